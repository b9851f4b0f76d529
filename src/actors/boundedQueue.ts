/**
 * The values that wait at an edge, in order, and what happens when there are too many: see {@link OnFull}.
 *
 * An edge that blocks asks its source to pause as soon as its capacity waits, and to go on at half. A source that can be
 * paused still delivers what it had on the way, and cannot be stopped within a batch: so as much again as the capacity is
 * kept, and a batch that began when there was room is kept whole. The bound holds all the same: what comes beyond it is
 * refused.
 */
import type { Fault } from '../model/fault'
import { drop, receive, type DropReason, type Ledger } from './ledger'
import { conflateKey, edgeFull, type EdgeOptions } from './overflow'
import type { Pressure } from './pressure'

export interface BoundedQueueOptions<T> extends EdgeOptions<T> {
  /** For `block`. Without it nothing beyond the capacity is kept. */
  readonly pressure?: Pressure | undefined
  /** Kept by the queue as far as it goes: what came, and what was dropped here. What is taken is still in flight. */
  readonly ledger: Ledger
}

export class BoundedQueue<T> {
  /** A ring that grows up to what is needed, so that a large capacity costs memory only when it is used. */
  private ring: (T | undefined)[] = new Array<T | undefined>(RING_MIN)
  private first = 0
  private count = 0
  /** In use from when a conflating queue is full until it is empty: the latest value of each key, in order. */
  private readonly latest = new Map<unknown, T>()
  private paused = false

  constructor(private readonly options: BoundedQueueOptions<T>) {}

  get size(): number {
    return this.count + this.latest.size
  }

  /** How many may wait while `values` that belong together come in. */
  boundFor(values: number): number {
    const { capacity, onFull, pressure } = this.options
    if (onFull !== 'block' || pressure === undefined) return capacity
    return this.size < capacity ? Math.max(2 * capacity, this.size + values) : 2 * capacity
  }

  /**
   * Takes a value in, or does with it what the policy says. False when it was refused, because the edge may not drop:
   * then the edge has failed, and {@link full} says why.
   */
  add(value: T, bound = this.boundFor(1)): boolean {
    const { onFull, ledger } = this.options
    receive(ledger, 1)
    if (this.latest.size > 0) {
      this.conflate(value)
      return true
    }
    if (this.count < bound) {
      this.append(value)
      if (onFull === 'block' && this.count >= this.options.capacity) this.pause()
      return true
    }
    switch (onFull) {
      case 'block':
        drop(ledger, 'overrun', 1)
        return false
      case 'fail':
        drop(ledger, 'fail', 1)
        return false
      case 'dropNewest':
        drop(ledger, 'dropNewest', 1)
        return true
      case 'dropOldest':
        this.shift()
        drop(ledger, 'dropOldest', 1)
        this.append(value)
        return true
      case 'keepLatest':
        drop(ledger, 'keepLatest', this.count)
        this.empty()
        this.append(value)
        return true
      default:
        while (this.count > 0) this.conflate(this.shift())
        this.conflate(value)
        return true
    }
  }

  /** The first values, at most `max`, in order. They stay in flight until their owner passes or drops them. */
  take(max: number): T[] {
    const taken: T[] = []
    if (this.latest.size > 0) {
      for (const [key, value] of this.latest) {
        if (taken.length >= max) break
        taken.push(value)
        this.latest.delete(key)
      }
    } else while (taken.length < max && this.count > 0) taken.push(this.shift())
    if (this.size <= this.options.capacity / 2) this.resume()
    return taken
  }

  /** Drops everything that waits, and lets the source go on. */
  clear(reason: DropReason): void {
    drop(this.options.ledger, reason, this.size)
    this.empty()
    this.resume()
  }

  /** Why a value was refused. */
  full(edge: string): Fault {
    return edgeFull(edge, this.options, this.size, this.paused && this.options.pressure !== undefined)
  }

  private conflate(value: T): void {
    const { capacity, ledger } = this.options
    const key = this.keyOf(value)
    if (this.latest.has(key)) drop(ledger, 'conflated', 1)
    else if (this.latest.size >= capacity) {
      for (const oldest of this.latest.keys()) {
        this.latest.delete(oldest)
        drop(ledger, 'dropOldest', 1)
        break
      }
    }
    this.latest.set(key, value)
  }

  /** A value whose key cannot be told is like no other. */
  private keyOf(value: T): unknown {
    const { onFull } = this.options
    if (typeof onFull === 'string') return value
    try {
      return conflateKey(onFull.conflate, value)
    } catch {
      return Symbol()
    }
  }

  private append(value: T): void {
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
