/**
 * An edge with a mailbox: what carries values from a source to the stages behind it.
 *
 * It has a capacity, counted in values, and a policy for what happens when it is full; both are chosen where the pipeline
 * is written and known to no stage. Values wait in the dispatcher, in one order with those of all other edges.
 */
import { Fault, messageOf } from '../model/fault'
import type { Dispatcher, Posted, Receiver } from './dispatcher'
import { drop, emptyLedger, pass, receive, weightOf, type DropReason, type Ledger } from './ledger'
import { edgeFull, type EdgeOptions } from './overflow'
import type { Pressure } from './pressure'

export interface EdgeHooks<T> {
  /** What the edge is called in a sentence: `The edge to spreads/best`. */
  readonly name: string
  /** Delivers a value to the stages. May throw: the edge then reports a fault and goes on. */
  deliver(value: T): void
  fault(fault: Fault): void
  /** The stages behind the edge can go on no more: nothing is delivered afterwards. */
  fail(fault: Fault): void
  readonly pressure: Pressure | undefined
  /** Merges values that wait, oldest first, into fewer (one or more) that have the effect of all. May give back as many. */
  conflate?: ((values: readonly T[]) => readonly T[]) | undefined
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
export const OVERRUN_MAX = 65_536

export class Edge<T> implements Receiver<T> {
  readonly ledger: Ledger = emptyLedger()
  /** Most values that have waited at once. */
  highWater = 0
  private readonly waiting: Posted[] = []
  private head = 0
  private processed = 0
  private paused = false
  private failed = false
  /** Something was dropped of which the stages have not been told. */
  private untold = false
  /** Values still to come before merging is tried again, after it made no room. */
  private mergeAgainAfter = 0

  constructor(
    readonly options: EdgeOptions,
    private readonly dispatcher: Dispatcher,
    private readonly hooks: EdgeHooks<T>,
  ) {}

  /** Takes a value that happened at `timeUs` (undefined: outside the stream's time). */
  offer(timeUs: number | undefined, value: T): void {
    const { ledger } = this
    const weight = weightOf(value)
    const held = ledger.inFlight
    receive(ledger, weight)
    this.mergeAgainAfter -= weight
    if (this.failed) {
      drop(ledger, 'closed', weight)
      return
    }
    // An edge with nothing waiting takes any one value, however large its batch.
    if (held > 0 && ledger.inFlight > this.options.capacity && !this.makeRoom(value, weight)) return
    this.accept(timeUs, value)
  }

  process(value: T | undefined): void {
    this.processed++
    if (this.head < this.waiting.length) this.head++
    if (this.head > 256 && this.head * 2 > this.waiting.length) {
      this.waiting.splice(0, this.head)
      this.head = 0
    }
    if (value === undefined) return // withdrawn: merged into another, or dropped
    if (this.untold && this.dropsOldest) this.deliver(this.takeReceipt())
    this.deliver(value)
    pass(this.ledger, weightOf(value))
    if (this.paused && this.ledger.inFlight <= this.options.capacity / 2) {
      this.paused = false
      this.hooks.pressure?.resume()
    }
  }

  /** True when room is made by giving up what waits: then what is missing is missing before all that is still delivered. */
  private get dropsOldest(): boolean {
    const { onFull } = this.options
    return onFull === 'dropOldest' || onFull === 'keepLatest' || typeof onFull === 'object'
  }

  private accept(timeUs: number | undefined, value: T): void {
    const { ledger, options } = this
    if (this.untold && !this.dropsOldest) {
      // In the place of what is missing, behind all that waits: earlier, it could be undone by a snapshot that waits.
      this.dispatcher.post(timeUs, this.receiptReceiver, this.takeReceipt())
    }
    if (ledger.inFlight > this.highWater) this.highWater = ledger.inFlight
    const before = this.processed
    const posted = this.dispatcher.post(timeUs, this, value)
    if (this.processed !== before) return // run at once
    this.waiting.push(posted)
    if (options.onFull === 'block' && ledger.inFlight >= options.capacity && !this.paused) {
      this.paused = true
      this.hooks.pressure?.pause()
    }
  }

  /** True when the value may be accepted now. */
  private makeRoom(value: T, weight: number): boolean {
    const { onFull, capacity } = this.options
    switch (onFull) {
      case 'block':
        if (this.ledger.inFlight <= capacity + OVERRUN_MAX) return true
        this.drop(value, 'overrun')
        return false
      case 'dropNewest':
        this.drop(value, 'dropNewest')
        return false
      case 'dropOldest':
        this.dropWaiting('dropOldest', () => this.ledger.inFlight <= capacity)
        return true
      case 'keepLatest':
        this.dropWaiting('keepLatest', () => false)
        return true
      case 'fail': {
        const fault = edgeFull(this.hooks.name, this.options, this.ledger.inFlight - weight, false)
        drop(this.ledger, 'fail', weight)
        this.dropWaiting('stopped', () => false)
        this.failed = true
        this.hooks.fail(fault)
        return false
      }
      default:
        if (this.merge(value)) return false
        this.dropWaiting('dropOldest', () => this.ledger.inFlight <= capacity)
        return true
    }
  }

  /** Merges this value with all that wait, in the places of the first of them; false when that makes no room. */
  private merge(value: T): boolean {
    if (this.mergeAgainAfter > 0 || this.hooks.conflate === undefined) return false
    const entries = this.waiting.slice(this.head).filter((posted) => posted.value !== undefined)
    if (entries.length === 0) return false
    const values = [...entries.map((posted) => posted.value as T), value]
    const merged = this.hooks.conflate(values)
    const saved = weightOfAll(values) - weightOfAll(merged)
    if (merged.length > entries.length || this.ledger.inFlight - saved > this.options.capacity) {
      // Merging costs as much as waits: where it does not help it is paid once in a while, not for every value.
      this.mergeAgainAfter = this.options.capacity / 4
      return false
    }
    entries.forEach((posted, index) => (posted.value = merged[index]))
    drop(this.ledger, 'conflated', saved)
    return true
  }

  /** Gives up what waits, oldest first, until there is room. */
  private dropWaiting(reason: DropReason, isEnough: () => boolean): void {
    for (let index = this.head; index < this.waiting.length && !isEnough(); index++) {
      const posted = this.waiting[index]!
      if (posted.value === undefined) continue
      const value = posted.value as T
      posted.value = undefined
      this.drop(value, reason)
    }
  }

  private drop(value: T, reason: DropReason): void {
    drop(this.ledger, reason, weightOf(value))
    if (this.hooks.receipts === undefined) return
    this.hooks.receipts.add(value)
    this.untold = true
  }

  private takeReceipt(): T | undefined {
    this.untold = false
    return this.hooks.receipts?.take()
  }

  private readonly receiptReceiver: Receiver<T | undefined> = { process: (receipt) => this.deliver(receipt) }

  private deliver(value: T | undefined): void {
    if (value === undefined) return
    try {
      this.hooks.deliver(value)
    } catch (cause) {
      this.hooks.fault(
        cause instanceof Fault
          ? cause
          : new Fault(
              'STAGE_FAILED',
              `${this.hooks.name} leads to a stage that threw: ${messageOf(cause)}`,
              {},
              { cause },
            ),
      )
    }
  }
}

function weightOfAll(values: readonly unknown[]): number {
  return values.reduce<number>((sum, value) => sum + weightOf(value), 0)
}
