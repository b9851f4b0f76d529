/**
 * The values that wait at an edge, in order, and what happens when there are too many: see {@link OnFull}.
 *
 * An edge that blocks asks its source to pause as soon as its capacity waits, and to go on at half. A source that can be
 * paused still delivers what it had on the way, and cannot be stopped within a batch: so as much again as the capacity is
 * kept, and a batch that began when there was room is kept whole. The bound holds all the same: what comes beyond it is
 * refused.
 *
 * Where receipts are kept, there is one to be taken in the place of each run of dropped values: see `receipts.ts`.
 */
import type { Fault } from '../model/fault'
import { drop, receive, type DropReason, type Ledger } from './ledger'
import { blocks, conflateKey, conflationOf, edgeFull, sampleOf, type Conflation, type EdgeOptions } from './overflow'
import type { Pressure } from './pressure'
import { Missing, type ReceiptCounts, type Receipts } from './receipts'

export interface BoundedQueueOptions<T> extends EdgeOptions<T> {
  /** For `block`. Without it nothing beyond the capacity is kept. */
  readonly pressure?: Pressure | undefined
  /** Kept by the queue as far as it goes: what came, and what was dropped here. What is taken is still in flight. */
  readonly ledger: Ledger
  /** Told of dropped values, in lists; what it makes are rows among the values, a list of them or a single one. */
  readonly receipts?: Receipts<readonly T[] | T> | undefined
}

export class BoundedQueue<T> {
  /** Most values that have waited at once. */
  highWater = 0
  /** A ring that grows up to what is needed, so that a large capacity costs memory only when it is used. */
  private ring: (T | undefined)[] = new Array<T | undefined>(RING_MIN)
  private first = 0
  private count = 0
  /** In use from when a conflating queue is full until it is empty: the latest value of each key, in order. */
  private readonly latest = new Map<unknown, T>()
  private readonly conflation: Conflation<T> | undefined
  private readonly sampleEvery: number
  private readonly isBlocking: boolean
  private readonly missing: Missing<readonly T[] | T>
  /** What is missing right before a value that waits, by its place. */
  private readonly gaps = new Map<number, Receipts<readonly T[] | T>>()
  /** Receipts that are to be taken next. */
  private told: readonly T[] = []
  private toldTaken = 0
  private left = 0
  private paused = false
  private sampling = false
  /** Values that have come since the last one that was kept. */
  private sinceSample = 0

  constructor(private readonly options: BoundedQueueOptions<T>) {
    this.conflation = conflationOf(options.onFull)
    this.sampleEvery = sampleOf(options.onFull) ?? 0
    this.isBlocking = blocks(options.onFull)
    this.missing = new Missing(options.receipts)
  }

  get size(): number {
    return this.count + this.latest.size
  }

  /** True when there is nothing to take: no value, and no receipt. */
  get isEmpty(): boolean {
    return (
      this.size === 0 &&
      this.toldTaken === this.told.length &&
      (this.options.receipts === undefined || (!this.missing.hasFront && !this.missing.hasBehind))
    )
  }

  /** Places that are no longer in the queue, whether taken, dropped or merged: what is in it now has left when `size` more have. */
  get gone(): number {
    return this.left
  }

  /** Runs of dropped values, for a summary. */
  get receipts(): Readonly<ReceiptCounts> {
    return this.missing.counts
  }

  /** How many may wait while `values` that belong together come in. */
  boundFor(values: number): number {
    const { capacity, pressure } = this.options
    if (!this.isBlocking || pressure === undefined) return capacity
    return this.size < capacity ? Math.max(2 * capacity, this.size + values) : 2 * capacity
  }

  /**
   * Takes a value in, or does with it what the policy says. False when it was refused, because the edge may not drop:
   * then the edge has failed, and {@link full} says why.
   */
  add(value: T, bound = this.boundFor(1)): boolean {
    const kept = this.put(value, bound)
    if (this.size > this.highWater) this.highWater = this.size
    return kept
  }

  /**
   * Receipts that belong before the next value, at most `max`; empty when there are none. To be asked for before each
   * {@link take}, and not to be counted as passed: they were never in flight.
   */
  takeReceipts(max: number): T[] {
    this.missing.toFront(this.gapBefore(this.left))
    if (this.size === 0) this.missing.toFront(this.missing.takeBehind())
    const taken: T[] = []
    while (taken.length < max) {
      if (this.toldTaken === this.told.length) {
        const told = this.missing.tell() ?? []
        this.told = Array.isArray(told) ? (told as readonly T[]) : [told as T]
        this.toldTaken = 0
        if (this.told.length === 0) break
      }
      taken.push(this.told[this.toldTaken++]!)
    }
    return taken
  }

  /** The first values, at most `max` and up to the next receipt, in order. They stay in flight until their owner passes or drops them. */
  take(max: number): T[] {
    // Where nobody is told, a run of dropped values ends here.
    if (this.options.receipts === undefined) this.missing.tell()
    const taken: T[] = []
    while (taken.length < max && this.size > 0 && (taken.length === 0 || !this.gaps.has(this.left))) {
      taken.push(this.takeFirst())
      this.left++
    }
    if (this.size <= this.options.capacity / 2) this.resume()
    return taken
  }

  /** Values that were taken, and will not be written after all: told before the next that is taken. */
  lose(values: readonly T[], reason: DropReason): void {
    if (values.length > 0) this.missing.addFront(values, reason, undefined)
  }

  /** What was dropped before it came here, as by a disk that is full: told before the next value that comes. */
  skipped(account: Receipts<readonly T[] | T>): void {
    this.missing.toBehind(account)
  }

  /** Drops everything that waits, and lets the source go on. Of this no receipt is left: nothing follows it. */
  clear(reason: DropReason): void {
    drop(this.options.ledger, reason, this.size)
    this.left += this.size
    this.empty()
    this.gaps.clear()
    this.missing.clear()
    this.told = []
    this.toldTaken = 0
    this.resume()
  }

  /** Why a value was refused. */
  full(edge: string): Fault {
    return edgeFull(edge, this.options, this.size, this.paused && this.options.pressure !== undefined)
  }

  private put(value: T, bound: number): boolean {
    const { onFull, ledger, capacity } = this.options
    receive(ledger, 1)
    if (this.latest.size > 0) {
      this.conflate(value)
      return true
    }
    if (this.sampling && this.count <= capacity / 2) this.sampling = false
    if (this.count < bound && !this.sampling) {
      this.append(value)
      if (this.isBlocking && this.count >= capacity) this.pause()
      return true
    }
    switch (onFull) {
      case 'fail':
        drop(ledger, 'fail', 1)
        return false
      case 'dropNewest':
        this.turnAway(value, 'dropNewest')
        return true
      case 'dropOldest':
        this.dropFirst('dropOldest')
        this.append(value)
        return true
      case 'keepLatest':
        while (this.count > 0) this.dropFirst('keepLatest')
        this.empty()
        this.append(value)
        return true
      default:
    }
    if (this.isBlocking) {
      drop(ledger, 'overrun', 1)
      return false
    }
    if (this.sampleEvery > 0) this.sample(value)
    else {
      while (this.count > 0) if (this.conflate(this.shift())) this.left++
      this.conflate(value)
    }
    return true
  }

  private sample(value: T): void {
    this.sampling = true
    if (++this.sinceSample < this.sampleEvery) {
      this.turnAway(value, 'sampled')
      return
    }
    this.sinceSample = 0
    if (this.count >= this.options.capacity) this.dropFirst('sampled')
    this.append(value)
  }

  private turnAway(value: T, reason: DropReason): void {
    drop(this.options.ledger, reason, 1)
    this.missing.addBehind([value], reason, undefined)
  }

  private dropFirst(reason: DropReason): void {
    this.missing.toFront(this.gapBefore(this.left))
    const value = this.shift()
    this.left++
    drop(this.options.ledger, reason, 1)
    this.missing.addFront([value], reason, undefined)
  }

  /** True when it was merged with one that waited. */
  private conflate(value: T): boolean {
    const { capacity, ledger } = this.options
    const key = this.keyOf(value)
    const older = this.latest.get(key)
    if (older !== undefined || this.latest.has(key)) {
      const merged = this.merged(older as T, value)
      if (merged !== undefined) {
        this.latest.set(key, merged.value)
        drop(ledger, 'conflated', 1)
        return true
      }
    }
    if (this.latest.size >= capacity) {
      for (const [oldest, evicted] of this.latest) {
        this.latest.delete(oldest)
        this.left++
        drop(ledger, 'dropOldest', 1)
        this.missing.addFront([evicted], 'dropOldest', undefined)
        break
      }
    }
    // Two rows of one key that cannot be merged wait as two.
    this.latest.set(this.latest.has(key) ? Symbol() : key, value)
    return false
  }

  /** Undefined when the two cannot be merged. */
  private merged(older: T, newer: T): { readonly value: T } | undefined {
    const merge = this.conflation?.merge
    if (merge === undefined) return { value: newer }
    try {
      return { value: merge(older, newer) as T }
    } catch {
      return undefined
    }
  }

  /** A value whose key cannot be told is like no other. */
  private keyOf(value: T): unknown {
    try {
      return conflateKey(this.conflation!.conflate, value)
    } catch {
      return Symbol()
    }
  }

  private gapBefore(place: number): Receipts<readonly T[] | T> | undefined {
    if (this.gaps.size === 0) return undefined
    const gap = this.gaps.get(place)
    this.gaps.delete(place)
    return gap
  }

  private takeFirst(): T {
    if (this.latest.size === 0) return this.shift()
    const [key, value] = this.latest.entries().next().value!
    this.latest.delete(key)
    return value
  }

  private append(value: T): void {
    const gap = this.missing.takeBehind()
    if (this.count === 0) this.missing.toFront(gap)
    else if (gap !== undefined) this.gaps.set(this.left + this.count, gap)
    const { ring } = this
    if (this.count === ring.length) {
      const larger = new Array<T | undefined>(ring.length * 2)
      for (let at = 0; at < this.count; at++) larger[at] = ring[(this.first + at) % ring.length]
      this.ring = larger
      this.first = 0
    }
    this.ring[(this.first + this.count) % this.ring.length] = value
    this.count++
  }

  private shift(): T {
    const value = this.ring[this.first] as T
    this.ring[this.first] = undefined
    this.first = (this.first + 1) % this.ring.length
    this.count--
    return value
  }

  private empty(): void {
    this.latest.clear()
    this.ring = new Array<T | undefined>(RING_MIN)
    this.first = 0
    this.count = 0
  }

  private pause(): void {
    if (this.paused) return
    this.paused = true
    this.options.pressure?.pause()
  }

  private resume(): void {
    if (!this.paused) return
    this.paused = false
    this.options.pressure?.resume()
  }
}

const RING_MIN = 16
