import { Fault } from '../model/fault'
import { sinkCounters, type Sink } from './sink'
import { wholeAboveZero } from './sinkOptions'

export interface MemoryOptions {
  /** How many values are kept. */
  readonly capacity: number
  /** When full: forget the oldest value (counted in `dropped`), or refuse the batch. Default `dropOldest`. */
  readonly onFull?: 'dropOldest' | 'refuse'
  readonly name?: string
}

export interface MemorySink<T> extends Sink<T> {
  /** What is kept, oldest first. A copy: it does not change afterwards. */
  readonly values: readonly T[]
  /** How many values were forgotten because it was full. */
  readonly dropped: number
  /** Gives what is kept and forgets it. */
  take(): T[]
}

/**
 * Keeps values in memory: for notebooks and tests. What was kept can still be read after closing.
 *
 * Delivery  effectively once: a batch is kept whole or refused whole, and never twice. It dies with the process
 * Order     as received
 * Errors    `SINK_REJECTED` when full and `onFull` is `refuse`; `OPTION_INVALID` for a capacity that is none
 */
export function memory<T>({ capacity, onFull = 'dropOldest', name = 'memory' }: MemoryOptions): MemorySink<T> {
  wholeAboveZero(name, 'capacity', capacity)
  const counters = sinkCounters()
  let kept: T[] = []
  let start = 0
  let dropped = 0
  let position = 0

  const take = (): T[] => {
    const taken = kept.slice(start)
    kept = []
    start = 0
    return taken
  }

  return {
    name,
    counters,
    delivery: 'effectivelyOnce',
    position: () => position,
    get values() {
      return kept.slice(start)
    },
    get dropped() {
      return dropped
    },
    take,
    open({ resume }) {
      if (resume !== true) {
        take()
        dropped = 0
        position = 0
        counters.written = 0
      }
      return Promise.resolve()
    },
    write(batch, key) {
      const excess = kept.length - start + batch.length - capacity
      if (excess > 0 && onFull === 'refuse') {
        return Promise.reject(
          new Fault(
            'SINK_REJECTED',
            `The sink ${name} is full: it holds ${capacity} values. Take some, or give it more capacity.`,
            {
              sink: name,
              capacity,
            },
          ),
        )
      }
      for (const value of batch) kept.push(value)
      if (excess > 0) {
        kept.fill(undefined as T, start, start + excess)
        start += excess
        dropped += excess
        // Moving the rest to the front once per `capacity` forgotten values costs one copy a value.
        if (start >= capacity) {
          kept = kept.slice(start)
          start = 0
        }
      }
      counters.written += batch.length
      if (key !== undefined) position = key.to
      return Promise.resolve()
    },
    close: () => Promise.resolve(),
  }
}
