import { Subject, Subscription, takeUntil, type Observable, type Observer, type Subscriber } from 'rxjs'

/**
 * Subscribes an operator to a source for as long as the operator's own subscriber is open.
 *
 * `source.subscribe(...)` gives the means to stop it only when it returns, which is too late for a source that emits
 * endlessly within the call (`range`, a recording read in one go): `take(3)` downstream would never end. Here the way
 * out is known before the first value. Stopping is not completion: `observer.complete` is not called for it.
 *
 * @returns  stops this source alone
 */
export function subscribeWhileOpen<T>(
  source: Observable<T>,
  out: Subscriber<unknown>,
  observer: Observer<T>,
): Subscription {
  const stopped = new Subject<void>()
  const stop = new Subscription(() => stopped.next())
  out.add(stop)
  const ended = (): void => {
    out.remove(stop) // an operator with many sources, one after another, must not remember each of them
  }
  source.pipe(takeUntil(stopped)).subscribe({
    next: (value) => observer.next(value),
    error: (error) => {
      ended()
      observer.error(error)
    },
    complete: () => {
      if (stop.closed) return
      ended()
      observer.complete()
    },
  })
  return stop
}
