/**
 * An edge with a mailbox: what carries values from a source to the stages behind it.
 *
 * It has a capacity, counted in values, and a policy for what happens when it is full; both are chosen where the pipeline
 * is written and known to no stage. Values wait in the dispatcher, in one order with those of all other edges. What is
 * dropped is in the ledger, and is told to the stages in its place: see `receipts.ts`.
 */
import { Fault, messageOf } from '../model/fault'
import type { Dispatcher, Posted, Receiver } from './dispatcher'
import { drop, emptyLedger, pass, receive, weightOf, type DropReason, type Ledger } from './ledger'
import { edgeFull, sampleOf, type EdgeOptions } from './overflow'
import type { Pressure } from './pressure'
import { Missing, type ReceiptCounts, type Receipts } from './receipts'

export interface EdgeHooks<T> {
  /** What the edge is called in a sentence: `The edge to spreads/best`. */
  readonly name: string
  /**
   * Delivers a value, or a receipt, to the stages. Gives back why they did not take it, if so: the value is dropped with
   * that reason, and is told of before the next that is taken. May throw: that is `failed`, and a fault.
   */
  deliver(value: T): DropReason | undefined
  fault(fault: Fault): void
  /** The stages behind the edge can go on no more: nothing is delivered afterwards. */
  fail(fault: Fault): void
  readonly pressure: Pressure | undefined
  /** Merges values that wait, oldest first, into fewer (one or more) that have the effect of all. May give back as many. */
  conflate?: ((values: readonly T[]) => readonly T[]) | undefined
  /** Where it matters downstream what was dropped. */
  readonly receipts?: Receipts<T> | undefined
  /** Default {@link OVERRUN_MAX}. */
  readonly overrunMax?: number
}

/** Once its source was paused, a blocked edge takes what was already on its way, but no more than this. */
export const OVERRUN_MAX = 65_536

export class Edge<T> implements Receiver<T> {
  readonly ledger: Ledger = emptyLedger()
  /** Most values that have waited at once. */
  highWater = 0
  private readonly missing: Missing<T>
  /** What is in line, in order. What is withdrawn is taken out at once. */
  private readonly waiting: (Posted | undefined)[] = []
  private head = 0
  /** What is missing right before a value that waits. */
  private readonly gaps = new Map<Posted, Receipts<T>>()
  /** A receipt that the stages did not take: the first thing that they are given when they take something again. */
  private held: T | undefined
  private processed = 0
  private paused = false
  /** Values taken since the source was asked to pause. */
  private overrun = 0
  private readonly overrunMax: number
  private closed = false
  private sampling = false
  /** Values that have come since the last one that was kept. */
  private sinceSample = 0
  /** Values still to come before merging is tried again, after it made no room. */
  private mergeAgainAfter = 0

  constructor(
    readonly options: EdgeOptions,
    private readonly dispatcher: Dispatcher,
    private readonly hooks: EdgeHooks<T>,
  ) {
    this.missing = new Missing(hooks.receipts)
    this.overrunMax = hooks.overrunMax ?? OVERRUN_MAX
  }

  /** Runs of dropped values, for a summary: told to the stages where a receipt can be made. */
  get receipts(): Readonly<ReceiptCounts> {
    return this.missing.counts
  }

  /** Takes a value that happened at `timeUs` (undefined: outside the stream's time). */
  offer(timeUs: number | undefined, value: T): void {
    const { ledger } = this
    const weight = weightOf(value)
    const held = ledger.inFlight
    receive(ledger, weight)
    this.mergeAgainAfter -= weight
    if (this.closed) {
      drop(ledger, 'closed', weight)
      return
    }
    if (this.mayEnter(timeUs, value, weight, held)) this.accept(timeUs, value, weight)
  }

  /** What was dropped before it came here, as by a disk that is full: it is told before the next value. */
  skipped(account: Receipts<T>): void {
    if (this.closed) return
    this.missing.toBehind(account)
    // Nothing may follow: then nothing else would tell it.
    if (this.isLineEmpty) this.dispatcher.post(undefined, this.teller, undefined)
  }

  /** Drops what waits, and takes no more. */
  close(reason: DropReason): void {
    if (this.closed) return
    this.closed = true
    for (let posted = this.shift(); posted !== undefined; posted = this.shift()) {
      drop(this.ledger, reason, weightOf(posted.value))
      this.dispatcher.withdraw(posted)
    }
    this.gaps.clear()
    this.held = undefined
    this.missing.clear()
    this.letGo()
  }

  process(value: T, posted: Posted): void {
    this.processed++
    // A value that runs at once never stood in line.
    if (this.waiting[this.head] === posted) this.shift()
    this.missing.toFront(this.gapBefore(posted))
    const reason = this.tell() ?? this.deliver(value)
    if (reason === undefined) pass(this.ledger, weightOf(value))
    else this.lose(value, reason, posted.timeUs)
    this.tellWhatIsLast()
    if (this.ledger.inFlight <= this.options.capacity / 2) this.letGo()
  }

  private readonly teller: Receiver<undefined> = { process: () => this.tellWhatIsLast() }

  /** What is missing behind the last value, when that has gone. */
  private tellWhatIsLast(): void {
    if (!this.missing.hasBehind || !this.isLineEmpty) return
    this.missing.toFront(this.missing.takeBehind())
    this.tell()
  }

  private get isLineEmpty(): boolean {
    return this.head === this.waiting.length
  }

  private mayEnter(timeUs: number | undefined, value: T, weight: number, held: number): boolean {
    // What weighs nothing fills no edge: it needs a bound of its own.
    if (weight === 0) return this.waiting.length - this.head < this.options.capacity
    if (this.sampling && held <= this.options.capacity / 2) this.sampling = false
    // An edge with nothing waiting takes any one value, however large its batch.
    const isFull = held > 0 && this.ledger.inFlight > this.options.capacity
    return (!isFull && !this.sampling) || this.makeRoom(timeUs, value, weight, held)
  }

  private accept(timeUs: number | undefined, value: T, weight: number): void {
    const { ledger, options } = this
    let gap = this.missing.takeBehind()
    if (this.isLineEmpty) {
      this.missing.toFront(gap)
      gap = undefined
    }
    if (ledger.inFlight > this.highWater) this.highWater = ledger.inFlight
    if (this.paused) this.overrun += weight
    const before = this.processed
    const posted = this.dispatcher.post(timeUs, this, value)
    if (this.processed !== before || this.closed) return // run at once, or closed by what ran before it
    this.waiting.push(posted)
    if (gap !== undefined) this.gaps.set(posted, gap)
    if (this.blocks && ledger.inFlight >= options.capacity) this.holdBack()
  }

  private get blocks(): boolean {
    const { onFull } = this.options
    return onFull === 'block' || (typeof onFull === 'object' && 'spill' in onFull)
  }

  /** True when the value may be accepted now. */
  private makeRoom(timeUs: number | undefined, value: T, weight: number, held: number): boolean {
    const { onFull, capacity } = this.options
    const turnAway = (reason: DropReason): false => {
      drop(this.ledger, reason, weight)
      this.missing.addBehind(value, reason, timeUs)
      return false
    }
    switch (onFull) {
      case 'dropNewest':
        return turnAway('dropNewest')
      case 'dropOldest':
        this.dropOldest('dropOldest', capacity)
        return true
      case 'keepLatest':
        this.dropOldest('keepLatest', 0)
        return true
      case 'fail': {
        const fault = edgeFull(this.hooks.name, this.options, held, false)
        drop(this.ledger, 'fail', weight)
        this.close('stopped')
        this.hooks.fail(fault)
        return false
      }
      default:
    }
    // A batch that began when there was room is kept whole, and so is what was on its way.
    if (this.blocks) return held < capacity || this.overrun + weight <= this.overrunMax || turnAway('overrun')
    const every = sampleOf(onFull)
    if (every !== undefined) {
      this.sampling = true
      if (++this.sinceSample < every) return turnAway('sampled')
      this.sinceSample = 0
      this.dropOldest('sampled', capacity)
      return true
    }
    if (this.merge(value)) return false
    this.dropOldest('dropOldest', capacity)
    return true
  }

  /** Merges this value with all that wait, in the places of the first of them; false when that makes no room. */
  private merge(value: T): boolean {
    const { conflate } = this.hooks
    if (this.mergeAgainAfter > 0 || conflate === undefined || this.isLineEmpty) return false
    const line = this.waiting.slice(this.head) as Posted[]
    const values = [...line.map((posted) => posted.value as T), value]
    const merged = this.merged(conflate, values)
    const saved = weightOfAll(values) - weightOfAll(merged)
    if (merged.length > line.length || saved < 0 || this.ledger.inFlight - saved > this.options.capacity) {
      // Merging costs as much as waits: where it does not help it is paid once in a while, not for every value.
      this.mergeAgainAfter = this.options.capacity / 4
      return false
    }
    for (const [index, posted] of line.entries()) {
      if (index < merged.length) posted.value = merged[index]
      else this.dispatcher.withdraw(posted)
    }
    this.waiting.length = this.head + merged.length
    drop(this.ledger, 'conflated', saved)
    return true
  }

  /** A function of the policy that throws must not hurt whoever delivers. */
  private merged(conflate: (values: readonly T[]) => readonly T[], values: readonly T[]): readonly T[] {
    try {
      return conflate(values)
    } catch (cause) {
      const message = `${this.hooks.name} could not merge what waits: ${messageOf(cause)}. The oldest goes instead.`
      this.report(new Fault('STAGE_FAILED', message, {}, { cause }))
      return values
    }
  }

  /** Gives up what has waited longest until no more than `capacity` values are here, or nothing waits. */
  private dropOldest(reason: DropReason, capacity: number): void {
    while (this.ledger.inFlight > capacity && !this.isLineEmpty) {
      const posted = this.shift()!
      this.missing.toFront(this.gapBefore(posted))
      this.lose(posted.value as T, reason, posted.timeUs)
      this.dispatcher.withdraw(posted)
    }
  }

  /** A value that will not come out, and is missing before all that waits. */
  private lose(value: T, reason: DropReason, timeUs: number | undefined): void {
    const weight = weightOf(value)
    drop(this.ledger, reason, weight)
    if (weight > 0 && !this.closed) this.missing.addFront(value, reason, timeUs)
  }

  private shift(): Posted | undefined {
    if (this.isLineEmpty) return undefined
    const posted = this.waiting[this.head]
    // What has left the line must not be kept alive by it.
    this.waiting[this.head++] = undefined
    if (this.head === this.waiting.length) {
      this.waiting.length = 0
      this.head = 0
    } else if (this.head > 256 && this.head * 2 > this.waiting.length) {
      this.waiting.splice(0, this.head)
      this.head = 0
    }
    return posted
  }

  private gapBefore(posted: Posted): Receipts<T> | undefined {
    if (this.gaps.size === 0) return undefined
    const gap = this.gaps.get(posted)
    this.gaps.delete(posted)
    return gap
  }

  private holdBack(): void {
    if (this.paused) return
    this.paused = true
    this.overrun = 0
    this.hooks.pressure?.pause()
  }

  private letGo(): void {
    if (!this.paused) return
    this.paused = false
    this.overrun = 0
    this.hooks.pressure?.resume()
  }

  /**
   * Delivers what there is to tell of what is missing before the next value. Gives back why the stages do not take it: then
   * they must not be given the value either. A receipt that a stage fails on is not tried again.
   */
  private tell(): DropReason | undefined {
    for (;;) {
      const receipt = this.held ?? this.missing.tell()
      if (receipt === undefined) return undefined
      this.held = undefined
      const reason = this.deliver(receipt)
      if (reason !== undefined && reason !== 'failed' && !this.closed) {
        this.held = receipt
        return reason
      }
    }
  }

  private deliver(value: T): DropReason | undefined {
    if (this.closed) return 'closed'
    try {
      return this.hooks.deliver(value)
    } catch (cause) {
      this.report(
        cause instanceof Fault
          ? cause
          : new Fault(
              'STAGE_FAILED',
              `${this.hooks.name} leads to a stage that threw: ${messageOf(cause)}`,
              {},
              { cause },
            ),
      )
      return 'failed'
    }
  }

  /** Whoever listens to faults must not unbalance the ledger. */
  private report(fault: Fault): void {
    try {
      this.hooks.fault(fault)
    } catch {
      // It has been told.
    }
  }
}

function weightOfAll(values: readonly unknown[]): number {
  return values.reduce<number>((sum, value) => sum + weightOf(value), 0)
}
