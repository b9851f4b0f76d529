import { Observable, type OperatorFunction } from 'rxjs'
import { atNextTick, type Clock, type Timer } from '../clock/clock'
import { currentClock } from '../clock/currentClock'
import { requireMs } from './options'
import { subscribeWhileOpen } from './subscribeWhileOpen'

export interface SampleEveryOptions {
  /** Milliseconds from tick to tick, > 0; ticks fall on multiples of it since 1970. */
  readonly everyMs: number
  /** The run's clock without it. */
  readonly clock?: Clock
}

/**
 * Passes the latest value at each tick, if there has been one since the tick before.
 *
 *     source                      a-b-----c-----d|
 *     sampleEvery({everyMs: 4})   ----b-------c--(d|)
 *
 * Emits      the latest value at each tick that follows one; the last value at completion
 * Completes  with the source
 * Errors     with the source, at once and without the value that waited; adds none of its own
 * Holds      one value, and one timer while it waits
 */
export function sampleEvery<T>(options: SampleEveryOptions): OperatorFunction<T, T> {
  const { everyMs } = options
  requireMs('sampleEvery', 'everyMs', everyMs)

  return (source) =>
    new Observable((out) => {
      const clock = options.clock ?? currentClock()
      let waiting: { readonly value: T } | undefined
      let timer: Timer | undefined
      out.add(() => timer?.cancel())

      const pass = (): void => {
        timer?.cancel()
        timer = undefined
        if (waiting === undefined) return
        const { value } = waiting
        waiting = undefined
        out.next(value)
      }

      subscribeWhileOpen(source, out, {
        next: (value) => {
          waiting = { value }
          timer ??= atNextTick(clock, everyMs, pass)
        },
        error: (error) => out.error(error),
        complete: () => {
          pass()
          out.complete()
        },
      })
    })
}
