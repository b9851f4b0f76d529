import { Observable, type OperatorFunction } from 'rxjs'
import type { Clock, Timer } from '../clock/clock'
import { currentClock } from '../clock/currentClock'
import { requireMs } from './options'
import { subscribeWhileOpen } from './subscribeWhileOpen'

/** The source has been silent for `idleMs`. */
export interface Stale {
  readonly kind: 'stale'
  readonly idleMs: number
}

/**
 * Passes every value through, and emits one `stale` notice each time the source has been silent for `idleMs`.
 *
 *     source          a-b--------c--|
 *     staleAfter(4)   a-b---s----c--|
 *
 * Emits      each source value at once; `{ kind: 'stale', idleMs }` once per silence, `idleMs` after the last value
 * Completes  with the source
 * Errors     with the source; adds none of its own
 * Holds      one timer, one timestamp
 *
 * The timer is not re-armed for each value (at 50 000 values/s that is 50 000 timers/s): it fires, looks at the last
 * arrival, and sleeps for what remains.
 *
 * @param idleMs  milliseconds, > 0
 * @param given   the time by which silence is measured. Default: the stream's in a run, so that a replay finds the same
 *                silences, and the machine's outside of one
 */
export function staleAfter<T>(idleMs: number, given?: Clock): OperatorFunction<T, T | Stale> {
  requireMs('staleAfter', 'idleMs', idleMs)

  return (source) =>
    new Observable((out) => {
      const clock = given ?? currentClock()
      let lastArrivalUs = clock.nowUs()
      let timer: Timer | undefined
      out.add(() => timer?.cancel())

      const watch = (delayMs: number): void => {
        timer = clock.after(delayMs, () => {
          const remainingMs = (lastArrivalUs - clock.nowUs()) / 1_000 + idleMs
          if (remainingMs > 0) {
            watch(remainingMs)
            return
          }
          timer = undefined
          out.next({ kind: 'stale', idleMs })
        })
      }

      watch(idleMs)
      subscribeWhileOpen(source, out, {
        next: (value) => {
          lastArrivalUs = clock.nowUs()
          if (timer === undefined) watch(idleMs)
          out.next(value)
        },
        error: (error) => out.error(error),
        complete: () => out.complete(),
      })
    })
}
