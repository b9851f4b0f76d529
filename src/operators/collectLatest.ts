import { Observable, type OperatorFunction } from 'rxjs'
import { atNextTick, type Clock, type Timer } from '../clock/clock'
import { currentClock } from '../clock/currentClock'
import type { Batch } from '../model/events'
import { compareTexts } from './instrumentStates'
import { requireCount, requireMs } from './options'
import { subscribeWhileOpen } from './subscribeWhileOpen'

export interface CollectLatestOptions<T> {
  /** What a value replaces the former value of. */
  readonly key: (value: T) => string
  /** Milliseconds from tick to tick, > 0; ticks fall on multiples of it since 1970. */
  readonly everyMs: number
  /** Keys kept at most; the one that has had no value for longest is dropped for a new one. */
  readonly capacity: number
  /** The run's clock without it. */
  readonly clock?: Clock
}

/**
 * Keeps the latest value of every key and passes all of them at each tick: a table that is looked at now and then.
 *
 *     books.pipe(collectLatest({ key: (book) => `${book.exchange} ${book.instrument}`, everyMs: 5_000, capacity: 1_000 }))
 *
 * Emits      at each tick that follows a change, and at completion after one, the latest value of each key, as a fresh
 *            array sorted by key
 * Completes  with the source
 * Errors     with the source; with what `key` throws
 * Holds      at most `capacity` values, and one timer after a change
 */
export function collectLatest<T>(options: CollectLatestOptions<T>): OperatorFunction<Batch<T>, T[]> {
  const { key, everyMs, capacity } = options
  requireMs('collectLatest', 'everyMs', everyMs)
  requireCount('collectLatest', 'capacity', capacity)

  return (source) =>
    new Observable((out) => {
      const clock = options.clock ?? currentClock()
      const latest = new Map<string, T>() // in the order of their last values, oldest first
      let changed = false
      let timer: Timer | undefined
      out.add(() => {
        timer?.cancel()
        latest.clear()
      })

      const keep = (value: T): void => {
        const valueKey = key(value)
        if (!latest.delete(valueKey) && latest.size >= capacity) latest.delete(latest.keys().next().value!)
        latest.set(valueKey, value)
      }

      const pass = (): void => {
        timer?.cancel()
        timer = undefined
        if (!changed) return
        changed = false
        const entries = [...latest].sort(([a], [b]) => compareTexts(a, b))
        out.next(entries.map(([, value]) => value))
      }

      subscribeWhileOpen(source, out, {
        next: (batch) => {
          if (batch.length === 0) return
          try {
            for (const value of batch) keep(value)
          } catch (error) {
            out.error(error)
            return
          }
          changed = true
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
