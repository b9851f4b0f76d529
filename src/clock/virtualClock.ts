import type { Clock, Timer } from './clock'

/**
 * A clock that stands still until it is moved. Timers fire in order of their due time (ties in order of creation) while
 * it moves, and see their own due time as now; one that is late, because time was {@link spend | spent} past it, sees the
 * time that it is.
 *
 * Timers lie in a heap, so that setting and firing one costs the logarithm of how many there are. A cancelled one stays
 * there until it comes up, or until most of what lies there is cancelled.
 */
export class VirtualClock implements Clock {
  /** A binary heap: no timer is due before its parent. */
  private heap: Due[] = []
  private cancelled = 0
  private created = 0
  private now: number

  constructor(startUs = 0) {
    this.now = startUs
  }

  nowUs(): number {
    return this.now
  }

  after(delayMs: number, callback: () => void): Timer {
    // What is no number waits not at all, as timers of Node do.
    const delayUs = delayMs > 0 ? Math.round(delayMs * 1_000) : 0
    const due: Due = { atUs: this.now + delayUs, order: this.created++, callback }
    this.heap.push(due)
    rise(this.heap, this.heap.length - 1)
    return { cancel: () => this.cancel(due) }
  }

  /** The due time of the next timer; undefined when there is none. */
  nextDueUs(): number | undefined {
    return this.first()?.atUs
  }

  /** Timers that have not fired: a leak assertion reads it. */
  get pending(): number {
    return this.heap.length - this.cancelled
  }

  /** Moves to `timeUs`, firing on the way whatever is due by then. Never moves backwards. */
  advanceTo(timeUs: number): void {
    for (let next = this.first(); next !== undefined && next.atUs <= timeUs; next = this.first()) this.fire(next)
    if (timeUs > this.now) this.now = timeUs
  }

  advance(ms: number): void {
    this.advanceTo(this.now + Math.round(ms * 1_000))
  }

  /** Moves to the next timer and fires it alone; false when there is none. */
  fireNext(): boolean {
    const next = this.first()
    if (next === undefined) return false
    this.fire(next)
    return true
  }

  /** Lets time pass in which nothing fires, as while a process computes: what became due meanwhile fires late. */
  spend(ms: number): void {
    if (ms > 0) this.now += Math.round(ms * 1_000)
  }

  private fire(due: Due): void {
    const { heap } = this
    const last = heap.pop()!
    if (last !== due) {
      heap[0] = last
      sink(heap, 0)
    }
    if (due.atUs > this.now) this.now = due.atUs
    const { callback } = due
    due.callback = undefined
    callback!()
  }

  private cancel(due: Due): void {
    if (due.callback === undefined) return
    due.callback = undefined
    this.cancelled++
    if (this.cancelled < SWEPT_FROM || this.cancelled * 2 < this.heap.length) return
    this.heap = this.heap.filter((each) => each.callback !== undefined)
    for (let at = (this.heap.length >> 1) - 1; at >= 0; at--) sink(this.heap, at)
    this.cancelled = 0
  }

  /** The timer that is due first, after those before it that were cancelled have been taken out. */
  private first(): Due | undefined {
    const { heap } = this
    for (;;) {
      const first = heap[0]
      if (first === undefined || first.callback !== undefined) return first
      const last = heap.pop()!
      this.cancelled--
      if (last !== first) {
        heap[0] = last
        sink(heap, 0)
      }
    }
  }
}

interface Due {
  readonly atUs: number
  readonly order: number
  /** Undefined once it has fired or was cancelled. */
  callback: (() => void) | undefined
}

/** Fewer cancelled timers than this are not worth looking for. */
const SWEPT_FROM = 64

function isBefore(a: Due, b: Due): boolean {
  return a.atUs < b.atUs || (a.atUs === b.atUs && a.order < b.order)
}

/** Moves a timer up to its place. */
function rise(heap: Due[], from: number): void {
  const due = heap[from]!
  let at = from
  while (at > 0) {
    const parent = (at - 1) >> 1
    if (isBefore(heap[parent]!, due)) break
    heap[at] = heap[parent]!
    at = parent
  }
  heap[at] = due
}

/** Moves a timer down to its place. */
function sink(heap: Due[], from: number): void {
  const due = heap[from]
  if (due === undefined) return
  let at = from
  for (;;) {
    let child = 2 * at + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
    if (!isBefore(heap[child]!, due)) break
    heap[at] = heap[child]!
    at = child
  }
  heap[at] = due
}
