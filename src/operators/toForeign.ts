/**
 * Our streams, as observables of other libraries.
 *
 * Docs    RxJS 9 beta (npm `rxjs@9.0.0-beta.0`, read in its source), https://wicg.github.io/observable/ (read 2026-11)
 * Quirks  RxJS 9 ignores what the initializer gives back and wants `addTeardown`; RxJS 7 takes both what is given back and
 *         `add`; the older proposal only what is given back. `ColdObservable` of RxJS 9 forgets a teardown that is added
 *         after the end, and the platform reports an `error` after the end as uncaught: both are asked first.
 */
import { Observable, Subscription } from 'rxjs'

/** What the initializer of a foreign observable is handed, as far as it is used here. Each library has some of these. */
export interface ForeignSubscriber<T> {
  next(value: T): void
  error(error: unknown): void
  complete(): void
  /** RxJS 7 and the older proposal. */
  readonly closed?: boolean
  /** RxJS 9 and the web platform. */
  readonly active?: boolean
  readonly signal?: AbortSignal
  addTeardown?(teardown: () => void): void
  /** RxJS 7. */
  add?(teardown: () => void): void
}

/** A class of observables: `Observable` of the web platform or of a copy of RxJS 7, `ColdObservable` of RxJS 9. */
export type ForeignObservableClass<T, Foreign> = new (
  initializer: (subscriber: ForeignSubscriber<T>) => () => void,
) => Foreign

/**
 * An observable of ours as one of the given class.
 *
 *     import { ColdObservable } from 'rxjs' // 9
 *     const books = toForeign(simulator(...).pipe(toBooks({ depth: 10 })), ColdObservable<Batch<BookView>>)
 *
 * In TypeScript the classes of RxJS 9 are told their type, as above: its declarations do not let it be inferred.
 *
 * Emits      what the source emits, within the same call
 * Completes  with the source
 * Errors     with the source
 * Holds      one subscription of the source for each execution of the initializer: for each subscriber, but for one at a time
 *            however many subscribe with the platform's `Observable`, which shares it
 *
 * The source is left as soon as the foreign subscriber is, also by a source that emits endlessly within the call.
 */
export function toForeign<T, Foreign>(source: Observable<T>, Class: ForeignObservableClass<T, Foreign>): Foreign {
  return new Class((subscriber) => {
    const way = new Subscription()
    const stop = (): void => way.unsubscribe()

    // Known before the first value: what is given back would come too late.
    if (typeof subscriber.addTeardown === 'function') subscriber.addTeardown(stop)
    else if (typeof subscriber.add === 'function') subscriber.add(stop)
    else if (subscriber.signal !== undefined) listen(subscriber.signal, stop, way)

    const isOpen = (): boolean => !way.closed && !isOver(subscriber)
    if (!isOpen()) {
      stop()
      return stop
    }
    // The subscriber that an observable is given is the one that stops it, and it can be handed on.
    new Observable<T>((inner) => {
      way.add(inner)
      source.subscribe(inner)
    }).subscribe({
      next: (value) => {
        if (!isOpen()) {
          stop()
          return
        }
        try {
          subscriber.next(value)
        } catch (error) {
          // A class that lets through what its subscribers throw: the stream is over, as in RxJS' own operators.
          stop()
          if (!isOver(subscriber)) subscriber.error(error)
        }
      },
      error: (error) => {
        if (isOpen()) subscriber.error(error)
      },
      complete: () => {
        if (isOpen()) subscriber.complete()
      },
    })
    return stop
  })
}

function isOver({ closed, active, signal }: ForeignSubscriber<never>): boolean {
  return closed === true || active === false || signal?.aborted === true
}

function listen(signal: AbortSignal, stop: () => void, way: Subscription): void {
  signal.addEventListener('abort', stop)
  way.add(() => signal.removeEventListener('abort', stop))
}
