import { isMainThread } from 'node:worker_threads'
import { Subject, takeUntil, type Observable } from 'rxjs'
import { BoundedQueue } from '../actors/boundedQueue'
import { emptyLedger, type DropReason } from '../actors/ledger'
import type { OnFull } from '../actors/overflow'
import type { Pressure } from '../actors/pressure'
import { liveClock } from '../clock/liveClock'
import { errorOf, Fault } from '../model/fault'
import { exposeEntry } from './entry'
import { recordWordsMax, RingWriter, type RingMemory } from './ring'
import { wordsOf, writeValue } from './ringValues'

/** What a source on a worker is opened with. */
export interface OpenedSource<T> {
  readonly source: Observable<T>
  /** Asked to pause and resume the source when `onFull` is `block`. */
  readonly pressure?: Pressure
  /** Is told what the reader says; what it returns or resolves to is the answer. */
  readonly tell?: (message: never) => unknown
  /** The key by which rows are conflated when `onFull` is `conflate`: of those of one key only the latest waits. */
  readonly keyOf?: (value: T) => unknown
}

/** What a reader asks for: plain data, because it crosses. */
export interface SourceWish {
  readonly ring: RingMemory
  readonly capacity: number
  readonly onFull: WorkerOnFull
  readonly batchMax: number
  readonly gatherMs: number
  readonly data: unknown
}

/** The policies of an edge that can cross a thread; `conflate` by the entry's own key. */
export type WorkerOnFull = 'block' | 'dropOldest' | 'dropNewest' | 'keepLatest' | 'fail' | 'conflate'

/** What a record holds. */
export const VALUES = 1
/** Reason and number in turn. */
export const DROPPED = 2

/** What the entry offers. */
export interface SourceApi {
  /** Resolves when the source has completed, and rejects with its error. */
  open(wish: SourceWish): Promise<void>
  /** Leaves the source: its connections end in order. */
  leave(): Promise<void>
  /** What the reader has to say to the source. */
  tell(message: unknown): Promise<unknown>
}

/**
 * Makes a module the entry of a worker thread on which a source lives: what {@link fromWorker} subscribes to. Called once, at
 * the end of loading.
 *
 * Values wait in the thread, in a queue with the reader's capacity and policy, until there is room in the ring to the reader.
 * They are numbers, texts, typed arrays and plain rows of such.
 */
export function exposeSource<T>(open: (data: never) => OpenedSource<T> | Promise<OpenedSource<T>>): void {
  if (isMainThread) {
    throw new Fault('OPTION_INVALID', 'A worker entry was loaded in the main thread: start it with fromWorker.')
  }
  let outlet: Outlet<T> | undefined
  let opened: OpenedSource<T> | undefined
  exposeEntry({
    async open(wish: SourceWish): Promise<void> {
      opened = await open(wish.data as never)
      outlet = new Outlet(wish, opened)
      await outlet.ended
    },
    tell: (message: never) => opened?.tell?.(message),
    async leave(): Promise<void> {
      outlet?.leave()
      await outlet?.ended.catch(() => undefined)
    },
  })
}

/** From the source to the ring. */
class Outlet<T> {
  readonly ended: Promise<void>
  private readonly ring: RingWriter
  private readonly queue: BoundedQueue<T>
  private readonly ledger = emptyLedger()
  /** Drops that the reader was told of. */
  private readonly told: Partial<Record<DropReason, number>> = {}
  private readonly finish: (error: { readonly error: unknown } | undefined) => void
  /** Known before the first value, so that a synchronous endless source stops too. */
  private readonly left = new Subject<void>()
  /** Values that were taken from the queue and found no room. */
  private held: T[] = []
  private isDraining = false
  private drainedUs = 0
  private sourceEnded: { readonly failure: { readonly error: unknown } | undefined } | undefined

  constructor(
    private readonly wish: SourceWish,
    { source, pressure, keyOf }: OpenedSource<T>,
  ) {
    this.ring = new RingWriter(wish.ring)
    this.queue = new BoundedQueue<T>({
      capacity: wish.capacity,
      onFull: policyOf(wish.onFull, pressure, keyOf),
      pressure,
      ledger: this.ledger,
    })
    let finish!: typeof this.finish
    this.ended = new Promise((resolve, reject) => {
      finish = (failure) => (failure === undefined ? resolve() : reject(errorOf(failure.error)))
    })
    this.ended.catch(() => undefined) // whoever opened it is told
    this.finish = finish
    source.pipe(takeUntil(this.left)).subscribe({
      next: (value) => this.receive(value),
      error: (error: unknown) => this.end({ error }),
      complete: () => this.end(undefined),
    })
  }

  leave(): void {
    this.left.next()
    this.ring.close()
    this.finish(undefined)
  }

  private receive(value: T): void {
    if (!this.queue.add(value)) {
      this.end({ error: this.queue.full('The edge from the worker') })
      this.left.next()
      return
    }
    this.planDrain()
  }

  private end(failure: { readonly error: unknown } | undefined): void {
    this.sourceEnded ??= { failure }
    this.planDrain()
  }

  private planDrain(): void {
    if (this.isDraining) return
    this.isDraining = true
    const { gatherMs } = this.wish
    const waitMs = gatherMs === 0 ? 0 : gatherMs - (liveClock.nowUs() - this.drainedUs) / 1_000
    if (waitMs > 0) liveClock.after(waitMs, () => void this.drain())
    else queueMicrotask(() => void this.drain()) // what else comes in this turn of the loop travels along
  }

  private async drain(): Promise<void> {
    try {
      for (;;) {
        while (this.writeDrops() && this.writeValues());
        this.ring.publish()
        if (this.ring.state !== 'open') {
          this.left.next()
          break
        }
        if (this.held.length === 0 && this.queue.size === 0) break
        await this.ring.roomMade()
      }
      if (this.sourceEnded !== undefined && this.held.length === 0 && this.queue.size === 0) {
        this.ring.close()
        this.finish(this.sourceEnded.failure)
      }
    } catch (error) {
      this.left.next()
      this.ring.close()
      this.finish({ error })
    } finally {
      this.isDraining = false
      if (this.wish.gatherMs > 0) this.drainedUs = liveClock.nowUs()
    }
  }

  /** False when there is nothing to write, or no room. */
  private writeValues(): boolean {
    if (this.held.length === 0) this.held = this.queue.take(this.wish.batchMax)
    if (this.held.length === 0) return false
    const max = recordWordsMax(this.wish.ring)
    const words = wordsOf(this.held, max)
    if (words < 0) {
      if (this.held.length > 1) {
        // Too much for one record, or one that has no form here: each by itself then.
        for (const value of this.held) if (wordsOf([value], max) < 0) throw noForm(value, max)
        const [first, ...rest] = this.held
        return this.write([first!], wordsOf([first!], max), rest)
      }
      throw noForm(this.held[0], max)
    }
    return this.write(this.held, words, [])
  }

  private write(values: readonly T[], words: number, rest: T[]): boolean {
    const { ring } = this
    if (!ring.reserve(words, VALUES)) return false
    writeValue(ring, ring.at, values)
    ring.commit()
    this.held = rest
    return true
  }

  /** Tells what was dropped since; false when there is no room to. */
  private writeDrops(): boolean {
    const { ring, ledger, told } = this
    for (const [reason, values] of Object.entries(ledger.dropped) as [DropReason, number][]) {
      const more = values - (told[reason] ?? 0)
      if (more === 0) continue
      const drops = [reason, more]
      if (!ring.reserve(wordsOf(drops, Infinity), DROPPED)) return false
      writeValue(ring, ring.at, drops)
      ring.commit()
      told[reason] = values
    }
    return true
  }
}

function policyOf<T>(
  onFull: WorkerOnFull,
  pressure: Pressure | undefined,
  keyOf: ((value: T) => unknown) | undefined,
): OnFull<T> {
  if (onFull === 'block' && pressure === undefined) {
    throw new Fault(
      'OPTION_INVALID',
      'The source on this worker cannot be paused: choose with onFull what may be dropped.',
    )
  }
  if (onFull !== 'conflate') return onFull
  if (keyOf === undefined) {
    throw new Fault('OPTION_INVALID', 'The source on this worker names no key of its rows: they cannot be conflated.')
  }
  return { conflate: keyOf }
}

function noForm(value: unknown, max: number): Fault {
  const what =
    wordsOf(value, Infinity) < 0 ? 'is no plain row of numbers, texts and columns' : `takes more than ${max} words`
  const message = `A value of the source on this worker cannot cross: it ${what}. Emit plain rows, or raise ringBytes.`
  return new Fault('VALUE_INVALID', message, { max })
}
