import { Subject, takeUntil, type Observable } from 'rxjs'
import type { Clock, Timer } from '../clock/clock'
import { liveClock } from '../clock/liveClock'
import { Fault } from '../model/fault'
import { requireCount, requireMs } from './options'

export interface CollectOptions {
  /** Stops after this many values. */
  readonly take?: number
  /** Stops after this many milliseconds, with what came until then. */
  readonly forMs?: number
  /** The most values that are kept; one more is an `EDGE_FULL` fault. Default 1 000 000. */
  readonly capacity?: number
  /** Stops when aborted, and rejects with the signal's reason. */
  readonly signal?: AbortSignal
  readonly clock?: Clock
}

/**
 * Collects the values of an observable into an array, for notebooks and tests.
 *
 *     const trades = await collect(feed(...), { take: 100, forMs: 10_000 })
 *
 * Resolves   with the values so far: when the source completes, after `take` values, or after `forMs`
 * Rejects    with the source's error; with `EDGE_FULL` when there are more than `capacity`; with the abort reason
 * Holds      at most `capacity` values, one timer; the source is unsubscribed in every case
 */
export function collect<T>(source: Observable<T>, options: CollectOptions = {}): Promise<T[]> {
  const { take, forMs, capacity = 1_000_000, signal, clock = liveClock } = options

  return new Promise((resolve, reject) => {
    requireCount('collect', 'capacity', capacity)
    if (take !== undefined) requireCount('collect', 'take', take, 0)
    if (forMs !== undefined) requireMs('collect', 'forMs', forMs)

    const values: T[] = []
    const stopped = new Subject<void>() // known before the first value, so that a synchronous endless source stops too
    let settled = false
    let timer: Timer | undefined

    const settle = (finish: () => void): void => {
      if (settled) return
      settled = true
      timer?.cancel()
      signal?.removeEventListener('abort', abort)
      stopped.next()
      finish()
    }
    const done = (): void => settle(() => resolve(values))
    const abort = (): void => settle(() => reject(signal!.reason as Error))

    if (signal?.aborted) {
      abort()
      return
    }
    if (take === 0) {
      done()
      return
    }
    signal?.addEventListener('abort', abort)
    if (forMs !== undefined) timer = clock.after(forMs, done)

    source.pipe(takeUntil(stopped)).subscribe({
      next: (value) => {
        if (values.length >= capacity) {
          settle(() => reject(tooMany(capacity)))
          return
        }
        values.push(value)
        if (values.length === take) done()
      },
      error: (error: Error) => settle(() => reject(error)),
      complete: done,
    })
  })
}

function tooMany(capacity: number): Fault {
  return new Fault(
    'EDGE_FULL',
    `collect has ${capacity} values and the source goes on: stop it with \`take\` or \`forMs\`, or raise \`capacity\`.`,
    { capacity },
  )
}
