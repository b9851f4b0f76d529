/**
 * Streams of other libraries, as streams of ours.
 *
 * Docs    RxJS 7 https://rxjs.dev, RxJS 9 beta (npm `rxjs@9.0.0-beta.0`, read in its source), the web platform's Observable
 *         https://wicg.github.io/observable/ (read 2026-11)
 * Quirks  An Observable of the web platform gives nothing back from `subscribe` and is stopped by a signal. One of another
 *         copy of RxJS 7 ignores signals; its subscription comes too late for a source that emits endlessly within the call,
 *         so it is given an observer that it takes for a subscriber of its own, and looks at `closed` of it. The older
 *         proposal hands the subscription to `start`. The platform calls observers without `this`: all here are closures.
 */
import { Observable, Subscription, type InteropObservable, type Subscriber } from 'rxjs'
import { currentWiring } from '../actors/wiring'
import type { Clock, Timer } from '../clock/clock'
import { currentWaits } from '../clock/currentClock'
import { Fault, messageOf } from '../model/fault'

/** What a foreign observable is handed. */
export interface ForeignObserver<T> {
  next: (value: T) => void
  error: (error: unknown) => void
  complete: () => void
}

/** Anything that can be subscribed to, whatever its `subscribe` gives back. */
export interface ForeignObservable<T> {
  subscribe(observer: ForeignObserver<T>, options?: { signal: AbortSignal }): unknown
  /** Not called. Overloads of `subscribe` hide from the compiler what the values are; this tells it. */
  forEach?(next: (value: T) => void): unknown
}

export type ForeignSource<T> =
  ForeignObservable<T> | InteropObservable<T> | AsyncIterable<T> | Iterable<T> | PromiseLike<T>

export interface FromForeignOptions {
  /** Told when an iterator that was left could not be closed. In a pipeline the run is told without it. */
  readonly onFault?: (fault: Fault) => void
  /** Of the pauses between many values of an async iterable that is always ready. Without it the machine's, or the run's. */
  readonly clock?: Clock
}

/**
 * An observable of another library, an async iterable, an iterable or a promise, as an observable of ours.
 *
 *     pipeline('own', ({ source }) => source('prices', fromForeign(prices), { capacity: 1_000, onFull: 'fail' }))
 *
 * Emits      what the source emits, as it comes, and nothing after its end
 * Completes  with the source; an iterable when it is done, a promise after its value
 * Errors     with the source, also when it throws while it is being subscribed to; with STAGE_FAILED when an async iterator
 *            does not keep to its protocol
 * Holds      one subscription, one signal or one iterator, and at most one call of `next()` under way
 *
 * Unsubscribing unsubscribes from the source, aborts the signal it was given, or calls the iterator's `return()` at once,
 * also while a `next()` is under way, and waits for neither. A promise cannot be stopped, and is no longer listened to.
 * After 1,024 values of an async iterable there is a pause of one turn, so that one which is always ready does not keep
 * timers and sockets from theirs. Nothing can interrupt an endless iterable that is not async, but `take` ends it.
 *
 * What has several of these faces is taken as the first of: interop (`Symbol.observable`), `subscribe`, async iterable,
 * promise, iterable. An observable of ours is given back as it is.
 */
export function fromForeign<T>(source: ForeignSource<T>, options: FromForeignOptions = {}): Observable<T> {
  if (source instanceof Observable) return source as Observable<T>
  const interop = interopOf<T>(source)
  if (interop !== undefined) return new Observable((out) => subscribeTo(interop(), out))
  if (has(source, 'subscribe')) return new Observable((out) => subscribeTo(source as ForeignObservable<T>, out))
  if (has(source, Symbol.asyncIterator)) return new Observable((out) => pull(source as AsyncIterable<T>, out, options))
  if (has(source, 'then')) return new Observable((out) => settle(source as PromiseLike<T>, out))
  if (has(source, Symbol.iterator)) return new Observable((out) => walk(source as Iterable<T>, out))
  throw notASource(source)
}

function subscribeTo<T>(source: ForeignObservable<T>, out: Subscriber<T>): void {
  if (!has(source, 'subscribe')) throw notASource(source)
  const stopping = new AbortController()
  out.add(() => stopping.abort())
  const observer = observerOf(out)
  const handle: unknown = source.subscribe(observer, { signal: stopping.signal })
  if (handle === observer) return // it has told our subscriber what to undo
  if (has(handle, 'unsubscribe')) out.add(() => (handle as Unsubscribable).unsubscribe())
  else if (typeof handle === 'function') out.add(handle as () => void)
}

interface Unsubscribable {
  unsubscribe(): void
}

/** Observer to every library, and to any copy of RxJS 7 one of its own subscribers. */
function observerOf<T>(out: Subscriber<T>) {
  return {
    next: (value: T): void => out.next(value),
    error: (error: unknown): void => out.error(error),
    complete: (): void => out.complete(),
    start: (subscription: unknown): void => {
      if (has(subscription, 'unsubscribe')) out.add(() => (subscription as Unsubscribable).unsubscribe())
    },
    get closed(): boolean {
      return out.closed
    },
    unsubscribe: (): void => out.unsubscribe(),
    add: (teardown: unknown): void => addTo(out, teardown),
    remove: (teardown: unknown): void => out.remove(teardown as () => void),
  }
}

/**
 * A subscription of another copy takes itself out when it ends only of parents of its own copy. Here it is asked to say
 * when it ends, so that the many inner ones of a `mergeMap`, one after another, are not remembered.
 */
function addTo(out: Subscription, teardown: unknown): void {
  if (typeof teardown === 'function') {
    out.add(teardown as () => void)
    return
  }
  if (!has(teardown, 'unsubscribe')) return
  const theirs = teardown as Unsubscribable & { readonly closed?: boolean; add?: (teardown: () => void) => void }
  if (theirs.closed === true) return
  const ours = new Subscription(() => theirs.unsubscribe())
  out.add(ours)
  if (!ours.closed) theirs.add?.(() => ours.unsubscribe())
}

/** Values of an async iterable that come without a pause. */
const VALUES_PER_TURN = 1_024

function pull<T>(source: AsyncIterable<T>, out: Subscriber<T>, options: FromForeignOptions): void {
  const clock = options.clock ?? currentWaits()
  const tell = options.onFault ?? currentWiring()?.onFault
  const iterator = source[Symbol.asyncIterator]()
  let finished = false
  let values = 0
  let turn: Timer | undefined
  out.add(() => {
    turn?.cancel()
    if (!finished) close(iterator, tell)
  })
  ask()

  function ask(): void {
    if (out.closed) return
    try {
      void Promise.resolve(iterator.next()).then(take, fail)
    } catch (error) {
      fail(error)
    }
  }

  function take(result: unknown): void {
    if (out.closed) return
    try {
      if (typeof result !== 'object' || result === null) throw notAResult(result)
      const { done, value } = result as IteratorResult<T, unknown>
      if (done === true) {
        finished = true
        out.complete()
        return
      }
      out.next(value)
    } catch (error) {
      fail(error)
      return
    }
    if (++values % VALUES_PER_TURN === 0) turn = clock.after(0, ask)
    else ask()
  }

  function fail(error: unknown): void {
    finished = true // an iterator that throws has ended: there is nothing left to close
    out.error(error)
  }
}

/** Does not wait: an iterator may take as long as it wishes, or for ever. */
function close(iterator: AsyncIterator<unknown>, tell: ((fault: Fault) => void) | undefined): void {
  const failed = (cause: unknown): void =>
    tell?.(
      new Fault(
        'STAGE_FAILED',
        `An async iterator that fromForeign has left could not be closed: ${messageOf(cause)}. What it holds may stay open.`,
        {},
        { cause },
      ),
    )
  try {
    void Promise.resolve(iterator.return?.()).then(undefined, failed)
  } catch (cause) {
    failed(cause)
  }
}

function settle<T>(source: PromiseLike<T>, out: Subscriber<T>): void {
  // Not by `then` alone: one that is not a promise may call back twice, or throw.
  void Promise.resolve(source).then(
    (value) => {
      out.next(value)
      out.complete()
    },
    (error: unknown) => out.error(error),
  )
}

function walk<T>(source: Iterable<T>, out: Subscriber<T>): void {
  for (const value of source) {
    out.next(value)
    if (out.closed) return // which closes the iterator
  }
  out.complete()
}

/** Libraries that were loaded before the symbol was there use the text. */
function interopOf<T>(source: unknown): (() => ForeignObservable<T>) | undefined {
  for (const name of [Symbol.observable as symbol | undefined, '@@observable']) {
    if (name !== undefined && has(source, name)) {
      return () => (source as Record<PropertyKey, () => ForeignObservable<T>>)[name]!()
    }
  }
  return undefined
}

function has(value: unknown, name: PropertyKey): boolean {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return false
  return typeof (value as Record<PropertyKey, unknown>)[name] === 'function'
}

function notASource(source: unknown): Fault {
  const given = source === null ? 'null' : typeof source === 'object' ? 'an object with none of these' : typeof source
  return new Fault(
    'OPTION_INVALID',
    `fromForeign was given ${given}; give an observable of any library (with \`subscribe\` or \`Symbol.observable\`), an async iterable, an iterable or a promise.`,
    { operator: 'fromForeign', option: 'source' },
  )
}

function notAResult(result: unknown): Fault {
  return new Fault(
    'STAGE_FAILED',
    `fromForeign: next() of an async iterator gave ${result === null ? 'null' : typeof result} instead of { done, value }; mend the iterator.`,
    { operator: 'fromForeign' },
  )
}
