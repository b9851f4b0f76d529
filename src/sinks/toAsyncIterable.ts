/**
 * A stream for `for await`, with a bound on what waits.
 *
 * Written by hand: the `return()` of an async generator waits behind a `next()` under way, so that on a quiet stream a loop
 * that is left from outside would never end, nor leave the source. And a generator's body begins at the first `next()`;
 * here the source is subscribed to at once.
 */
import { Observable, Subscription } from 'rxjs'
import { BoundedQueue } from '../actors/boundedQueue'
import { emptyLedger, pass, type Ledger } from '../actors/ledger'
import { blocks, problemOfPolicy, spillOf, type OnFull, type SpillPolicy } from '../actors/overflow'
import type { Pressure } from '../actors/pressure'
import { onAbort } from '../clock/onAbort'
import { Fault } from '../model/fault'

export interface ToAsyncIterableOptions<T> {
  /** Values that may wait, 1 or more. A batch is one value. */
  readonly capacity: number
  readonly onFull: Exclude<OnFull<T>, SpillPolicy>
  /** For `block`: what pauses the source, and at half lets it go on. */
  readonly pressure?: Pressure
  /** Ends it when aborted: the source is left, what waits is dropped, and `next()` rejects with the signal's reason, once. */
  readonly signal?: AbortSignal
}

/** Gives the values of a stream once, to whoever asks first. */
export interface StreamIterator<T> extends AsyncIterableIterator<T> {
  /** in = out + dropped (by reason) + inFlight, at every moment between two calls. */
  readonly ledger: Readonly<Ledger>
  next(): Promise<IteratorResult<T, undefined>>
  /** Leaves the source at once, also while a `next()` is under way, which is then done. */
  return(): Promise<IteratorResult<T, undefined>>
  /** As `return`, and rejects with `error`. */
  throw(error?: unknown): Promise<IteratorResult<T, undefined>>
}

/** Calls of `next()` that may be under way at once. `for await` has one. */
const ASKING_MAX = 1_024

/**
 * A stream as an async iterable.
 *
 *     for await (const batch of toAsyncIterable(trades, { capacity: 1_000, onFull: 'dropOldest' })) await store(batch)
 *
 * The source is subscribed to in this call, so that nothing is lost before the first `next()`, and once: all loops over what
 * it gives back share the values. It is left when it ends, when a loop is left, by `return()`, by the signal, and when a
 * queue that may not drop is full. Whoever does none of these keeps the source open, with `capacity` values waiting.
 * Iterate over batches, not over single values: a value costs a turn of the microtask queue.
 *
 * Delivery  what waits is given in order before the end is; beyond `capacity`, as `onFull` says and counted in `ledger`
 * Errors    with the source, and with EDGE_FULL, after what waits and once: `next()` rejects; then it is done
 *           OPTION_INVALID is thrown at once, also for `block` without `pressure`, and for `spill`: there is no disk here
 */
export function toAsyncIterable<T>(source: Observable<T>, options: ToAsyncIterableOptions<T>): StreamIterator<T> {
  check(options)
  return new QueueIterator(source, options)
}

interface Asking<T> {
  readonly resolve: (result: IteratorResult<T, undefined>) => void
  readonly reject: (error: unknown) => void
}

class QueueIterator<T> implements StreamIterator<T> {
  readonly ledger = emptyLedger()
  private readonly queue: BoundedQueue<T>
  private readonly asking: Asking<T>[] = []
  private readonly upstream = new Subscription()
  private ended = false
  /** What is still to be told after the values that wait. */
  private failure: { readonly error: unknown } | undefined

  constructor(source: Observable<T>, options: ToAsyncIterableOptions<T>) {
    this.queue = new BoundedQueue<T>({ ...options, ledger: this.ledger })
    const { signal } = options
    if (signal?.aborted === true) {
      this.end({ error: signal.reason })
      return
    }
    if (signal !== undefined) this.upstream.add(onAbort(signal, () => this.abandon({ error: signal.reason })))
    // Not by what subscribing gives back: a source that emits while it is being subscribed to could not be left by it.
    new Observable<T>((inner) => {
      this.upstream.add(inner)
      source.subscribe(inner)
    }).subscribe({
      next: (value) => this.receive(value),
      error: (error: unknown) => this.end({ error }),
      complete: () => this.end(undefined),
    })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<T, undefined>> {
    if (this.asking.length >= ASKING_MAX) return Promise.reject(tooManyAsk())
    return new Promise((resolve, reject) => {
      this.asking.push({ resolve, reject })
      this.answer()
    })
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.abandon(undefined)
    const { failure } = this
    this.failure = undefined
    if (failure === undefined) return Promise.resolve({ done: true, value: undefined })
    return rejected(failure.error)
  }

  throw(error?: unknown): Promise<IteratorResult<T, undefined>> {
    this.abandon(undefined)
    this.failure = undefined
    return rejected(error)
  }

  private receive(value: T): void {
    if (this.ended) return
    if (this.queue.add(value)) this.answer()
    else this.end({ error: this.queue.full('The async iterable') })
  }

  /** What waits is still given. */
  private end(failure: { readonly error: unknown } | undefined): void {
    if (this.ended) return
    this.ended = true
    this.failure = failure
    try {
      this.upstream.unsubscribe()
    } catch (error) {
      this.failure ??= { error } // a source that cannot be left: whoever waits must not wait for ever
    }
    this.answer()
  }

  /** What waits is not given any more. */
  private abandon(failure: { readonly error: unknown } | undefined): void {
    this.queue.clear('stopped')
    if (this.ended) this.failure = undefined
    this.end(failure)
  }

  private answer(): void {
    while (this.asking.length > 0 && (this.queue.size > 0 || this.ended)) {
      // Taken first: at half the source goes on, which may send more within the call.
      const { resolve, reject } = this.asking.shift()!
      if (this.queue.size > 0) {
        const [value] = this.queue.take(1)
        pass(this.ledger, 1)
        resolve({ done: false, value: value as T })
        continue
      }
      const { failure } = this
      this.failure = undefined
      if (failure === undefined) resolve({ done: true, value: undefined })
      else reject(failure.error)
    }
  }
}

function check<T>({ capacity, onFull, pressure }: ToAsyncIterableOptions<T>): void {
  const refuse = (option: string, sentence: string): never => {
    throw new Fault('OPTION_INVALID', `toAsyncIterable: ${sentence}`, { operator: 'toAsyncIterable', option })
  }
  if (!Number.isSafeInteger(capacity) || capacity < 1) {
    refuse('capacity', `capacity is ${String(capacity)}; give a whole number, 1 or more.`)
  }
  const problem = problemOfPolicy(onFull)
  if (problem !== undefined) refuse('onFull', problem)
  if (spillOf(onFull) !== undefined) {
    refuse('onFull', 'onFull is spill, and there is no disk here; iterate faster, or choose what to drop.')
  }
  if (blocks(onFull) && pressure === undefined) {
    refuse(
      'pressure',
      'onFull is block and there is no pressure; give what pauses the source, or choose what to drop with onFull.',
    )
  }
}

/** With what the source or the caller has given, whatever it is. */
function rejected(error: unknown): Promise<never> {
  // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
  return Promise.reject(error)
}

function tooManyAsk(): Fault {
  return new Fault(
    'EDGE_FULL',
    `toAsyncIterable: ${ASKING_MAX} calls of next() wait for a value; await them before asking again, or use one loop.`,
    { capacity: ASKING_MAX },
  )
}
