/**
 * An edge with a mailbox: what carries values from a source to the stages behind it.
 *
 * It has a capacity, counted in values, and a policy for what happens when it is full; both are chosen where the pipeline
 * is written and known to no stage. Values wait in the dispatcher, in one order with those of all other edges.
 */
import { Fault } from '../model/fault'
import type { Dispatcher, Posted, Receiver } from './dispatcher'
import { countDropped, ledger, weightOf, type Ledger } from './ledger'

/**
 * What happens to values that do not fit:
 *
 * block       the source is paused and resumed at half; pressure reaches its socket
 * dropOldest  the values that have waited longest go
 * dropNewest  the values that just came go
 * keepLatest  only the newest value waits
 * fail        the stage behind the edge dies with EDGE_FULL
 * conflate    values of one key that wait are merged into one
 */
export type OnFull = 'block' | 'dropOldest' | 'dropNewest' | 'keepLatest' | 'fail' | { readonly conflate: string }

/** Required wherever values may wait: there is no default for what may be lost. */
export interface EdgeOptions {
  /** Values that may wait, 1 or more. */
  readonly capacity: number
  readonly onFull: OnFull
}

/** Holds back and lets go whatever produces the values. */
export interface Pressure {
  pause(): void
  resume(): void
}

export interface EdgeHooks<T> {
  /** Delivers a value to the stages. May throw: the edge then reports a fault and goes on. */
  deliver(value: T): void
  fault(fault: Fault): void
  /** The stages behind the edge can go on no more. */
  fail(fault: Fault): void
  readonly pressure: Pressure | undefined
  /** Merges two values that wait into one; undefined when these two cannot be merged. */
  conflate?: ((older: T, newer: T) => T | undefined) | undefined
  /** Where it matters downstream what was dropped. */
  readonly receipts?: Receipts<T> | undefined
}

/** Keeps account of dropped values in bounded memory, and tells of them in a value of the stream's own kind. */
export interface Receipts<T> {
  add(dropped: T): void
  /** What was added since the last call; undefined when nothing was. */
  take(): T | undefined
}

/** Beyond its capacity a blocked edge takes what was already on its way when the source was paused, but no more than this. */
const OVERRUN_MAX = 65_536

export class Edge<T> implements Receiver<T> {
  readonly ledger: Ledger = ledger()
  /** Most values that have waited at once. */
  highWater = 0
  private readonly waiting: Posted[] = []
  private head = 0
  private paused = false
  private dropping = false

  constructor(
    readonly options: EdgeOptions,
    private readonly dispatcher: Dispatcher,
    private readonly hooks: EdgeHooks<T>,
  ) {}

  /** Takes a value that happened at `timeUs` (undefined: outside the stream's time). */
  offer(timeUs: number | undefined, value: T): void {
    const weight = weightOf(value)
    this.ledger.in += weight
    // An edge with nothing waiting takes any one value, however large its batch.
    if (this.ledger.inFlight > 0 && this.ledger.inFlight + weight > this.options.capacity) {
      if (!this.makeRoom(value, weight)) return
    }
    this.accept(timeUs, value, weight)
  }

  process(value: T | undefined): void {
    if (this.head < this.waiting.length) this.head++
    if (this.head > 256 && this.head * 2 > this.waiting.length) {
      this.waiting.splice(0, this.head)
      this.head = 0
    }
    if (value === undefined) return // withdrawn: merged into another, or dropped
    if (this.dropping) this.deliverReceipt()
    const weight = weightOf(value)
    try {
      this.hooks.deliver(value)
    } finally {
      this.ledger.inFlight -= weight
      this.ledger.out += weight
      if (this.paused && this.ledger.inFlight <= this.options.capacity / 2) {
        this.paused = false
        this.hooks.pressure?.resume()
      }
    }
  }

  private accept(timeUs: number | undefined, value: T, weight: number): void {
    this.ledger.inFlight += weight
    if (this.ledger.inFlight > this.highWater) this.highWater = this.ledger.inFlight
    const before = this.ledger.out
    const posted = this.dispatcher.post(timeUs, this, value)
    // Run at once: nothing of it waits.
    if (this.ledger.out === before) this.waiting.push(posted)
  }

  /** True when the value may be accepted now. */
  private makeRoom(value: T, weight: number): boolean {
    const { onFull, capacity } = this.options
    if (onFull === 'block') {
      if (!this.paused) {
        this.paused = true
        this.hooks.pressure?.pause()
      }
      if (this.ledger.inFlight + weight <= capacity + OVERRUN_MAX) return true
      this.drop(value, 'overrun')
      return false
    }
    if (onFull === 'dropNewest') {
      this.drop(value, 'dropNewest')
      return false
    }
    if (onFull === 'fail') {
      this.drop(value, 'fail')
      this.hooks.fail(
        new Fault(
          'EDGE_FULL',
          `An edge that may not drop is full: ${capacity} values wait. Raise its capacity or choose what may be lost.`,
          {
            capacity,
          },
        ),
      )
      return false
    }
    if (typeof onFull === 'object') {
      if (this.conflate(value)) return false
      this.dropOldest(weight, 'conflate')
      return true
    }
    this.dropOldest(onFull === 'keepLatest' ? capacity : weight, onFull)
    return true
  }

  /** Merges the newest waiting value with this one. */
  private conflate(value: T): boolean {
    for (let index = this.waiting.length - 1; index >= this.head; index--) {
      const posted = this.waiting[index]!
      if (posted.value === undefined) continue
      const older = posted.value as T
      const merged = this.hooks.conflate?.(older, value)
      if (merged === undefined) return false
      const weightMerged = weightOf(merged)
      const weightBoth = weightOf(older) + weightOf(value)
      posted.value = merged
      this.ledger.inFlight += weightMerged - weightOf(older)
      countDropped(this.ledger, 'conflated', weightBoth - weightMerged)
      return true
    }
    return false
  }

  private dropOldest(weight: number, reason: string): void {
    const { capacity } = this.options
    for (let index = this.head; index < this.waiting.length; index++) {
      if (this.ledger.inFlight === 0 || this.ledger.inFlight + weight <= capacity) return
      const posted = this.waiting[index]!
      if (posted.value === undefined) continue
      const value = posted.value as T
      posted.value = undefined
      this.ledger.inFlight -= weightOf(value)
      this.drop(value, reason)
    }
  }

  private drop(value: T, reason: string): void {
    countDropped(this.ledger, reason, weightOf(value))
    if (this.hooks.receipts === undefined) return
    this.hooks.receipts.add(value)
    this.dropping = true
  }

  /** The receipt comes before the next value that is delivered, in place of what is missing. */
  private deliverReceipt(): void {
    this.dropping = false
    const receipt = this.hooks.receipts?.take()
    if (receipt !== undefined) this.hooks.deliver(receipt)
  }
}
