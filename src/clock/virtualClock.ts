import type { Clock, Timer } from './clock'

/**
 * A clock that stands still until it is moved. Timers fire in order of their due time (ties in order of creation) while
 * it moves, and see their own due time as now.
 */
export class VirtualClock implements Clock {
  private readonly timers: Due[] = []
  private created = 0
  private now: number

  constructor(startUs = 0) {
    this.now = startUs
  }

  nowUs(): number {
    return this.now
  }

  after(delayMs: number, callback: () => void): Timer {
    const due: Due = { atUs: this.now + Math.max(0, Math.round(delayMs * 1_000)), order: this.created++, callback }
    let low = 0
    let high = this.timers.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.timers[middle]!.atUs <= due.atUs) low = middle + 1
      else high = middle
    }
    this.timers.splice(low, 0, due)
    return {
      cancel: () => {
        const index = this.timers.indexOf(due)
        if (index >= 0) this.timers.splice(index, 1)
      },
    }
  }

  /** The due time of the next timer; undefined when there is none. */
  nextDueUs(): number | undefined {
    return this.timers[0]?.atUs
  }

  /** Timers that have not fired: a leak assertion reads it. */
  get pending(): number {
    return this.timers.length
  }

  /** Moves to `timeUs`, firing on the way whatever is due by then. Never moves backwards. */
  advanceTo(timeUs: number): void {
    for (let next = this.timers[0]; next !== undefined && next.atUs <= timeUs; next = this.timers[0]) {
      this.timers.shift()
      this.now = Math.max(this.now, next.atUs)
      next.callback()
    }
    this.now = Math.max(this.now, timeUs)
  }

  advance(ms: number): void {
    this.advanceTo(this.now + Math.round(ms * 1_000))
  }
}

interface Due {
  readonly atUs: number
  readonly order: number
  readonly callback: () => void
}
