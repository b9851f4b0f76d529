import { Subscriber, Subscription, type Observable, type Observer } from 'rxjs'

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
  if (out.closed) return Subscription.EMPTY
  const road = new Road(out, observer)
  out.add(road) // it takes itself out again when it ends, so that many, one after another, are not remembered
  try {
    source.subscribe(road)
  } catch (error) {
    road.error(error)
  }
  return road
}

/** Calls the observer by itself: each value has half the way that it has through an observable of its own. */
class Road<T> extends Subscriber<T> {
  constructor(
    private readonly out: Subscriber<unknown>,
    private readonly observer: Observer<T>,
  ) {
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- to be replaced with RxJS 8, which has another way to this
    super()
  }

  protected override _next(value: T): void {
    try {
      this.observer.next(value)
    } catch (error) {
      this.out.error(error)
    }
  }

  // The source gives back what it holds before the observer is told, who may begin the next thing within that call.
  protected override _error(error: unknown): void {
    try {
      this.unsubscribe()
      this.observer.error(error)
    } catch (thrown) {
      this.out.error(thrown)
    }
  }

  protected override _complete(): void {
    try {
      this.unsubscribe()
      this.observer.complete()
    } catch (error) {
      this.out.error(error)
    }
  }
}
