import { Observable, Subscription, type Observer, type Subscriber } from 'rxjs'

/**
 * Subscribes an operator to a source for as long as the operator's own subscriber is open.
 *
 * `source.subscribe(...)` gives the means to stop it only when it returns, which is too late for a source that emits
 * endlessly within the call (`range`, a recording read in one go): `take(3)` downstream would never end. Here the way
 * out is known before the first value. Stopping is not completion: `observer.complete` is not called for it.
 *
 * What the observer throws ends the output with it, as RxJS' own operators do. RxJS would take the observer for the last
 * subscriber, whose errors nobody hears: it throws them again on a timer, which ends the process.
 *
 * @returns  stops this source alone
 */
export function subscribeWhileOpen<T>(
  source: Observable<T>,
  out: Subscriber<unknown>,
  observer: Observer<T>,
): Subscription {
  let stop = Subscription.EMPTY
  if (out.closed) return stop
  // The subscriber that an observable is given is the one that stops it, and it can be handed on.
  new Observable<T>((subscriber) => {
    stop = subscriber
    out.add(subscriber) // it takes itself out again when it ends, so that many, one after another, are not remembered
    source.subscribe(subscriber)
  }).subscribe({
    next: (value) => {
      try {
        observer.next(value)
      } catch (error) {
        out.error(error)
      }
    },
    // The source gives back what it holds before the observer is told, who may begin the next thing within that call.
    error: (error) => {
      try {
        stop.unsubscribe()
        observer.error(error)
      } catch (thrown) {
        out.error(thrown)
      }
    },
    complete: () => {
      try {
        stop.unsubscribe()
        observer.complete()
      } catch (error) {
        out.error(error)
      }
    },
  })
  return stop
}
