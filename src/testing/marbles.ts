/**
 * Marble tests on the virtual clock: time runs from left to right, one character is one millisecond, and nothing waits.
 *
 *     marbles(({ hot, expectObservable }) => {
 *       const source = hot('  a-b----------c-----|')
 *       const expected = '    a-b---s------c---s-|'
 *       expectObservable(source.pipe(staleAfter(4))).toBe(expected, { s: { kind: 'stale', idleMs: 4 }, ... })
 *     })
 */
import { TestScheduler, type RunHelpers } from 'rxjs/testing'
import type { Clock } from '../clock/clock'
import { seededRandom } from '../clock/backoff'
import { runWithClock } from '../clock/currentClock'
import { AssertionError } from './assertionError'
import { differences, list, show } from './equality'

/** The helpers of RxJS, and a clock that runs on the same marbles. */
export interface MarbleHelpers extends RunHelpers {
  readonly clock: Clock
}

/**
 * Runs marbles in virtual time, with `clock` as the time and the waits of every operator that is not given a clock of its
 * own, and with jitter from a seed. What differs is told with its place: the millisecond, the notification, the field.
 *
 * The time of the marbles begins at 0, so a tick "on multiples since 1970" is one on multiples since the first character.
 */
export function marbles(body: (helpers: MarbleHelpers) => void): void {
  const scheduler = new TestScheduler((actual, expected) => compareLogs(actual, expected))
  const clock: Clock = {
    nowUs: () => Math.round(scheduler.now() * 1_000),
    after(delayMs, callback) {
      const action = scheduler.schedule(() => callback(), Math.max(0, delayMs))
      return { cancel: () => action.unsubscribe() }
    },
  }
  // In force until the flush is over: that is when the observables of expectations are subscribed to.
  runWithClock({ clock, waits: clock, random: seededRandom(1) }, () =>
    scheduler.run((helpers) => body({ ...helpers, clock })),
  )
}

/** What the scheduler hands over: notifications with their frames, or when there were subscriptions. */
interface Notified {
  readonly frame: number
  readonly notification: { readonly kind: 'N' | 'E' | 'C'; readonly value?: unknown; readonly error?: unknown }
}

interface Subscribed {
  readonly subscribedFrame: number
  readonly unsubscribedFrame: number
}

function compareLogs(actual: unknown, expected: unknown): void {
  if (differences(actual, expected, 1).length === 0) return
  const got = entriesOf(actual)
  const wanted = entriesOf(expected)
  const at = firstDifference(actual, expected)
  const lines = [
    'The marbles differ.',
    `  expected ${wanted[at] ?? 'nothing more'}`,
    `  got      ${got[at] ?? 'nothing more'}`,
    ...details(actual, expected, at),
    `All that was expected:\n${bullets(wanted)}`,
    `All that came:\n${bullets(got)}`,
  ]
  throw new AssertionError(lines.join('\n'), { actual, expected })
}

/** Of two values at one place, what differs within them. */
function details(actual: unknown, expected: unknown, at: number): string[] {
  const [one, other] = [(actual as unknown[])[at], (expected as unknown[])[at]]
  if (!isNotified(one) || !isNotified(other) || one.notification.kind !== other.notification.kind) return []
  const key = one.notification.kind === 'N' ? 'value' : 'error'
  const found = differences(one.notification[key], other.notification[key])
  return found.length === 0 ? [] : [list(found.map((line) => (line.startsWith('at ') ? `the ${key} ${line}` : line)))]
}

function firstDifference(actual: unknown, expected: unknown): number {
  const [got, wanted] = [actual as readonly unknown[], expected as readonly unknown[]]
  for (let at = 0; ; at++) {
    if (at >= got.length || at >= wanted.length || differences(got[at], wanted[at], 1).length > 0) return at
  }
}

function entriesOf(log: unknown): string[] {
  return (log as readonly unknown[]).map((entry) => {
    if (isNotified(entry)) {
      const { kind, value, error } = entry.notification
      const what = kind === 'N' ? `the value ${valueOf(value)}` : kind === 'E' ? `the error ${show(error)}` : 'the end'
      return `${what} at ${entry.frame} ms`
    }
    const { subscribedFrame, unsubscribedFrame } = entry as Subscribed
    return `a subscription from ${frameOf(subscribedFrame)} to ${frameOf(unsubscribedFrame)}`
  })
}

/** An observable within an observable is shown as its own marbles. */
function valueOf(value: unknown): string {
  return Array.isArray(value) && value.length > 0 && value.every(isNotified)
    ? `[${entriesOf(value).join('; ')}]`
    : show(value)
}

function frameOf(frame: number): string {
  return Number.isFinite(frame) ? `${frame} ms` : 'never'
}

function bullets(entries: readonly string[]): string {
  const LINES_MAX = 50
  if (entries.length === 0) return '  nothing'
  const shown = entries.slice(0, LINES_MAX).map((entry) => `  ${entry}`)
  if (entries.length > LINES_MAX) shown.push(`  and ${entries.length - LINES_MAX} more`)
  return shown.join('\n')
}

function isNotified(entry: unknown): entry is Notified {
  return typeof entry === 'object' && entry !== null && 'frame' in entry && 'notification' in entry
}
