/**
 * Faults for streams of tests: what networks, exchanges and disks do, as operators. Chance comes from a seeded `random` (in a
 * run, the run's own), time from a clock, so a fault that was found comes again with its seed.
 *
 *     feed.pipe(reorderWithin({ values: 8 }, { random: seededRandom(7) }), cutAfter(1_000, 'fails'), retryWithBackoff(...))
 */
import { Observable, take, type MonoTypeOperatorFunction, type Observer, type Subscriber } from 'rxjs'
import type { Clock, Timer } from '../clock/clock'
import { currentClock, currentRandom } from '../clock/currentClock'
import { Fault } from '../model/fault'
import { requireOption } from '../operators/options'
import { subscribeWhileOpen } from '../operators/subscribeWhileOpen'

export interface ChanceOptions {
  /** Numbers from 0 (included) to 1 (excluded). Default the run's; outside of one it differs from process to process. */
  readonly random?: () => number
}

export interface DelayOptions extends ChanceOptions {
  /** The shortest and the longest wait, milliseconds. Default 0 and `maxMs`. */
  readonly minMs?: number
  readonly maxMs: number
  readonly clock?: Clock
  /** Values that may wait. One more ends the stream with `EDGE_FULL`. Default 10,000. */
  readonly capacity?: number
}

/** Within how many values, or milliseconds, order may change. */
export type ReorderWindow = { readonly values: number } | { readonly ms: number; readonly clock?: Clock }

/** What a connection does when it is cut: it ends, it fails, or nothing comes any more and nobody says so. */
export type Cut = 'completes' | 'fails' | 'falls silent'

/**
 * Fails in the place of one value: the `nth`, counting from 1 over all subscriptions of this operator. Whoever subscribes
 * again afterwards gets everything.
 *
 * Emits      each value before it
 * Completes  with the source
 * Errors     with `error` at the nth value; with the source
 * Holds      a count
 */
export function failAt<T>(nth: number, error: unknown = injected(`the ${nth}. value`)): MonoTypeOperatorFunction<T> {
  requireOption(isCount(nth), 'failAt', 'nth', nth, 'a whole number, 1 or more')
  return failWhen((count) => count === nth, error)
}

/**
 * Fails in the place of every `nth` value, counting over all subscriptions of this operator: a source that cannot be
 * relied on, for those who subscribe again.
 *
 * Emits, completes, errors and holds as {@link failAt}.
 */
export function failEvery<T>(
  nth: number,
  error: unknown = injected(`every ${nth}. value`),
): MonoTypeOperatorFunction<T> {
  requireOption(isCount(nth), 'failEvery', 'nth', nth, 'a whole number, 1 or more')
  return failWhen((count) => count % nth === 0, error)
}

/**
 * Delays each value by a random time, and keeps their order: none overtakes another.
 *
 * Emits      each value, `minMs` to `maxMs` later, or when the one before it has come
 * Completes  with the source, after the last value
 * Errors     with the source, at once: what waits is lost, as on a connection that breaks; `EDGE_FULL`
 * Holds      up to `capacity` values, and one timer
 */
export function delayEach<T>({
  minMs = 0,
  maxMs,
  clock,
  random,
  capacity = 10_000,
}: DelayOptions): MonoTypeOperatorFunction<T> {
  requireOption(minMs >= 0 && minMs <= maxMs, 'delayEach', 'minMs', minMs, 'milliseconds, 0 or more and at most maxMs')
  requireOption(maxMs < Infinity, 'delayEach', 'maxMs', maxMs, 'milliseconds, 0 or more')
  requireOption(isCount(capacity), 'delayEach', 'capacity', capacity, 'a whole number, 1 or more')
  return (source) =>
    new Observable((out) => {
      const time = clock ?? currentClock()
      const chance = random ?? currentRandom()
      const waiting: { readonly dueUs: number; readonly value: T }[] = []
      let timer: Timer | undefined
      let completed = false
      let lastDueUs = -Infinity

      const arm = (): void => {
        const [first] = waiting
        timer = first === undefined ? undefined : time.after(Math.max(0, first.dueUs - time.nowUs()) / 1_000, deliver)
        if (first === undefined && completed) out.complete()
      }
      const deliver = (): void => {
        const nowUs = time.nowUs()
        while (!out.closed && waiting.length > 0 && waiting[0]!.dueUs <= nowUs) out.next(waiting.shift()!.value)
        if (!out.closed) arm()
      }
      out.add(() => timer?.cancel())
      subscribeWhileOpen(
        source,
        out,
        through(out, {
          next: (value: T) => {
            if (waiting.length >= capacity) {
              out.error(full('delayEach', capacity))
              return
            }
            lastDueUs = Math.max(lastDueUs, time.nowUs() + Math.round((minMs + chance() * (maxMs - minMs)) * 1_000))
            waiting.push({ dueUs: lastDueUs, value })
            if (timer === undefined) arm()
          },
          complete: () => {
            completed = true
            if (waiting.length === 0) out.complete()
          },
        }),
      )
    })
}

/**
 * Repeats values, each with the same probability, right behind themselves: deliveries that are made "at least once".
 *
 * Emits      each value once or twice
 * Completes  with the source
 * Errors     with the source
 * Holds      nothing
 */
export function duplicateEach<T>(probability = 1, { random }: ChanceOptions = {}): MonoTypeOperatorFunction<T> {
  requireProbability('duplicateEach', probability)
  return (source) =>
    new Observable((out) => {
      const chance = random ?? currentRandom()
      subscribeWhileOpen(
        source,
        out,
        through(out, {
          next: (value: T) => {
            out.next(value)
            if (chance() < probability && !out.closed) out.next(value)
          },
        }),
      )
    })
}

/**
 * Loses values, each with the same probability.
 *
 * Emits      the others
 * Completes  with the source
 * Errors     with the source
 * Holds      nothing
 */
export function loseEach<T>(probability: number, { random }: ChanceOptions = {}): MonoTypeOperatorFunction<T> {
  requireProbability('loseEach', probability)
  return (source) =>
    new Observable((out) => {
      const chance = random ?? currentRandom()
      subscribeWhileOpen(
        source,
        out,
        through(out, {
          next: (value: T) => {
            if (chance() >= probability) out.next(value)
          },
        }),
      )
    })
}

/**
 * Changes the order of values, within a bound: none comes more than `values - 1` places from its own, or more than `ms` later
 * than it came.
 *
 * Emits      each value once; by number, in shuffled groups of `values` as soon as each is full
 * Completes  with the source, after the last value
 * Errors     with the source, at once: what waits is lost; `EDGE_FULL` when more than `capacity` wait
 * Holds      up to `values` values, or those of `ms`, each with a timer
 */
export function reorderWithin<T>(
  window: ReorderWindow,
  { random, capacity = 10_000 }: ChanceOptions & { readonly capacity?: number } = {},
): MonoTypeOperatorFunction<T> {
  requireOption(isCount(capacity), 'reorderWithin', 'capacity', capacity, 'a whole number, 1 or more')
  if ('values' in window) {
    const { values } = window
    requireOption(
      isCount(values) && values <= capacity,
      'reorderWithin',
      'values',
      values,
      `a whole number, 1 to ${capacity}`,
    )
    return shuffleGroups(values, random)
  }
  const { ms } = window
  requireOption(ms >= 0 && ms < Infinity, 'reorderWithin', 'ms', ms, 'milliseconds, 0 or more')
  return scatter(ms, window.clock, random, capacity)
}

/**
 * Cuts the stream behind so many values, counted for each subscription anew.
 *
 * Emits      the first `values` values
 * Completes  with the source, and at the cut when it `completes`
 * Errors     with the source, and at the cut, with `FEED_CLOSED`, when it `fails`
 * Holds      a count. The source is left at the cut; falling silent, the stream itself goes on until it is left
 */
export function cutAfter<T>(values: number, how: Cut = 'completes'): MonoTypeOperatorFunction<T> {
  requireOption(values === 0 || isCount(values), 'cutAfter', 'values', values, 'a whole number, 0 or more')
  return (source) =>
    new Observable((out) => {
      let left = values
      subscribeWhileOpen(
        source.pipe(take(values)),
        out,
        through(out, {
          next: (value: T) => {
            left--
            out.next(value)
          },
          complete: () => {
            if (left > 0 || how === 'completes') out.complete()
            else if (how === 'fails') out.error(cut(values))
          },
        }),
      )
    })
}

function failWhen<T>(isTime: (count: number) => boolean, error: unknown): MonoTypeOperatorFunction<T> {
  let count = 0
  return (source) =>
    new Observable((out) => {
      subscribeWhileOpen(
        source,
        out,
        through(out, {
          next: (value: T) => {
            if (isTime(++count)) out.error(error)
            else out.next(value)
          },
        }),
      )
    })
}

function shuffleGroups<T>(size: number, random: (() => number) | undefined): MonoTypeOperatorFunction<T> {
  return (source) =>
    new Observable((out) => {
      const chance = random ?? currentRandom()
      let group: T[] = []
      const flush = (): void => {
        const shuffled = group
        group = []
        for (let at = shuffled.length - 1; at > 0; at--) {
          const other = Math.floor(chance() * (at + 1))
          const value = shuffled[at]!
          shuffled[at] = shuffled[other]!
          shuffled[other] = value
        }
        for (const value of shuffled) out.next(value)
      }
      subscribeWhileOpen(
        source,
        out,
        through(out, {
          next: (value: T) => {
            group.push(value)
            if (group.length === size) flush()
          },
          complete: () => {
            flush()
            out.complete()
          },
        }),
      )
    })
}

/** Delays each value by a time of its own. */
function scatter<T>(
  ms: number,
  clock: Clock | undefined,
  random: (() => number) | undefined,
  capacity: number,
): MonoTypeOperatorFunction<T> {
  return (source) =>
    new Observable((out) => {
      const time = clock ?? currentClock()
      const chance = random ?? currentRandom()
      const timers = new Set<Timer>()
      let completed = false
      out.add(() => {
        for (const timer of timers) timer.cancel()
        timers.clear()
      })
      subscribeWhileOpen(
        source,
        out,
        through(out, {
          next: (value: T) => {
            if (timers.size >= capacity) {
              out.error(full('reorderWithin', capacity))
              return
            }
            const timer = time.after(chance() * ms, () => {
              timers.delete(timer)
              out.next(value)
              if (completed && timers.size === 0) out.complete()
            })
            timers.add(timer)
          },
          complete: () => {
            completed = true
            if (timers.size === 0) out.complete()
          },
        }),
      )
    })
}

/** An observer that passes on what it is not told to treat otherwise. */
function through<T>(out: Subscriber<T>, told: Pick<Observer<T>, 'next'> & Partial<Observer<T>>): Observer<T> {
  return { error: (error) => out.error(error), complete: () => out.complete(), ...told }
}

function requireProbability(operator: string, probability: number): void {
  requireOption(probability >= 0 && probability <= 1, operator, 'probability', probability, 'a number from 0 to 1')
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 1
}

function injected(where: string): Fault {
  return new Fault('STAGE_FAILED', `A fault was injected at ${where}, as the test asked for.`, { injected: true })
}

function cut(values: number): Fault {
  return new Fault('FEED_CLOSED', `The stream was cut after ${values} values, as the test asked for.`, { values })
}

function full(operator: string, capacity: number): Fault {
  return new Fault(
    'EDGE_FULL',
    `${operator} holds ${capacity} values and another came. Give it more capacity, a shorter wait or a slower source.`,
    { operator, capacity },
  )
}
