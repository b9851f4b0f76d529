/**
 * What every operator owes, whatever it does: silence for a source that is silent, an end for one that ends, errors passed
 * on, bounded work for one that never ends, and nothing left running when nobody listens.
 *
 *     for (const { title, run } of operatorSuite((clock) => staleAfter(50, { clock }), { values: [1, 2, 3] })) it(title, run)
 */
import { EMPTY, from, NEVER, Observable, take, tap, throwError, type OperatorFunction } from 'rxjs'
import { seededRandom } from '../clock/backoff'
import { runWithClock } from '../clock/currentClock'
import { VirtualClock } from '../clock/virtualClock'
import { messageOf } from '../model/fault'
import { AssertionError } from './assertionError'
import { expectEqual } from './equality'
import { probe, type Probe } from './probe'
import { sourceProbe } from './sourceProbe'

export interface OperatorSuiteOptions<T, R> {
  /** Something to receive, which makes the operator hold what it holds. At least one. */
  readonly values: readonly T[]
  /** What comes out when these values come in at once and the source completes. Not looked at unless given. */
  readonly emits?: readonly R[]
  /** Virtual milliseconds for which silence is listened to. Default 60,000. */
  readonly silenceMs?: number
  /** Values that an endless source sends, a millisecond apart, before it is left. Default 2,000. */
  readonly endless?: number
}

/** Values that a source sends at most that would go on for as long as anybody listens. */
const EAGER_MAX = 10_000

/** A case for any test runner. */
export interface OperatorCase {
  readonly title: string
  /** Throws when the operator does not do what the title says. */
  readonly run: () => void
}

/**
 * The cases that an operator owes. Nothing is registered: hand them to a test runner.
 *
 * @param operator  makes the operator under test, with the clock that it is to follow; the clock is also in force as the time
 *                  and the waits of operators that are not given one
 */
export function operatorSuite<T, R>(
  operator: (clock: VirtualClock) => OperatorFunction<T, R>,
  { values, emits, silenceMs = 60_000, endless = 2_000 }: OperatorSuiteOptions<T, R>,
): OperatorCase[] {
  if (values.length === 0) throw new AssertionError('An operator suite needs values for the operator to receive.')

  const inTime = (title: string, body: (bench: Bench<T, R>) => void): OperatorCase => ({
    title,
    run: () => {
      const clock = new VirtualClock()
      runWithClock({ clock, waits: clock, random: seededRandom(1) }, () => {
        const made = operator(clock)
        body({
          clock,
          operate: (source) => source.pipe(made),
          listen: (source) => {
            const out = probe<R>()
            source.pipe(made).subscribe(out)
            return out
          },
        })
      })
    },
  })

  return [
    inTime('says nothing for a source that never says anything', ({ clock, listen }) => {
      const out = listen(NEVER)
      clock.advance(silenceMs)
      out.expectNothing()
    }),
    inTime('completes at once, without a value, with an empty source', ({ clock, listen }) => {
      listen(EMPTY).expectComplete()
      expectNoTimer(clock, 'with the end of its source')
    }),
    inTime('passes the error of the source on at once, and leaves no timer', ({ clock, listen }) => {
      const error = new Error('gone')
      const early = listen(throwError(() => error))
      expectEqual(early.values, [], 'What came before the error')
      expectSameError(early, error)
      const source = sourceProbe<T>()
      const out = listen(source)
      source.sendNext(...values)
      source.error(error)
      out.takeAll()
      expectSameError(out, error)
      expectNoTimer(clock, 'after the error')
    }),
    inTime('completes after values when the source does', ({ clock, listen }) => {
      const out = listen(from(values))
      for (let waited = 0; out.ended === undefined && waited < 100; waited++) clock.advance(silenceMs / 100)
      if (emits !== undefined) expectEqual(out.values, emits, 'What the operator emitted')
      out.takeAll()
      out.expectComplete()
      expectNoTimer(clock, 'with its end')
    }),
    inTime('takes an endless source, and leaves it when it is left', ({ clock, operate }) => {
      const source = sourceProbe<T>()
      const failure: { error?: unknown } = {}
      const subscription = operate(source).subscribe({ error: (error: unknown) => (failure.error = error) })
      for (let sent = 0; sent < endless; sent++) {
        if (source.subscribers === 0) {
          const why = 'error' in failure ? `, because it failed: ${messageOf(failure.error)}` : ''
          throw new AssertionError(`The operator left its endless source after ${sent} values${why}.`)
        }
        source.sendNext(values[sent % values.length]!)
        clock.advance(1)
      }
      subscription.unsubscribe()
      source.expectUnsubscribed()
      expectNoTimer(clock, 'when it is left')
    }),
    inTime('can be left by whoever listens while it emits', ({ clock, operate }) => {
      // A source that emits within the call that subscribes to it, and that would go on for as long as anybody listens.
      let sent = 0
      const eager = new Observable<T>((out) => {
        while (!out.closed && sent < EAGER_MAX) out.next(values[sent++ % values.length]!)
      })
      let sentAtFirst: number | undefined
      const subscription = operate(eager)
        .pipe(
          tap(() => (sentAtFirst ??= sent)),
          take(1),
        )
        .subscribe({ error: () => undefined }) // told by the case of the endless source
      subscription.unsubscribe()
      if (sentAtFirst !== undefined && sent > sentAtFirst) {
        throw new AssertionError(
          `The operator went on reading its source after whoever listened had left: ${sent - sentAtFirst} values more.`,
        )
      }
      expectNoTimer(clock, 'when it is left')
    }),
    inTime('leaves the source and its timers at once when it is unsubscribed from', ({ clock, operate }) => {
      const source = sourceProbe<T>()
      const out = probe<R>()
      const subscription = operate(source).subscribe(out)
      source.sendNext(...values)
      subscription.unsubscribe()
      source.expectUnsubscribed()
      expectNoTimer(clock, 'when it is left')
      out.takeAll()
      clock.advance(silenceMs)
      out.expectNothing()
    }),
    inTime('keeps the state of its subscribers apart', ({ clock, listen }) => {
      const [first, second] = [sourceProbe<T>(), sourceProbe<T>()]
      const one = listen(first)
      const other = listen(second)
      first.sendNext(...values)
      second.complete()
      other.expectComplete()
      first.complete()
      for (let waited = 0; one.ended === undefined && waited < 100; waited++) clock.advance(silenceMs / 100)
      one.takeAll()
      one.expectComplete()
      expectNoTimer(clock, 'after both ended')
    }),
  ]
}

interface Bench<T, R> {
  readonly clock: VirtualClock
  /** The same operator each time: what it holds belongs to its subscribers. */
  readonly operate: (source: Observable<T>) => Observable<R>
  readonly listen: (source: Observable<T>) => Probe<R>
}

function expectNoTimer(clock: VirtualClock, when: string): void {
  if (clock.pending === 0) return
  throw new AssertionError(
    `The operator leaves ${clock.pending === 1 ? 'a timer' : `${clock.pending} timers`} behind ${when}.`,
  )
}

function expectSameError(out: Pick<Probe<never>, 'expectError'>, error: unknown): void {
  const got = out.expectError()
  if (got !== error) expectEqual(got, error, 'The error that the operator passed on')
}
