/**
 * The receive stamps of a process: the clock's time, made strictly increasing.
 *
 * Frames of several connections arrive within one microsecond. Their order is a fact that recordings must keep, so what
 * would share a time gets the next nanosecond instead, and sorting by time gives back the order of arrival.
 */
import type { Clock } from '../clock/clock'

/** A time as records carry it. */
export interface Stamp {
  readonly timeUs: number
  /** 0 to 999. */
  readonly ns: number
}

export class Stamper implements Stamp {
  /** Of the last stamp. */
  timeUs = -1
  ns = 0

  constructor(private readonly clock: Clock) {}

  /** Now, or one nanosecond after the stamp before it where the clock has not moved on. */
  next(): Stamp {
    this.advance()
    return { timeUs: this.timeUs, ns: this.ns }
  }

  /** As `next`, for who reads the stamp here. */
  advance(): void {
    const nowUs = this.clock.nowUs()
    if (nowUs > this.timeUs) {
      this.timeUs = nowUs
      this.ns = 0
    } else if (this.ns < 999) this.ns++
    else {
      this.timeUs++
      this.ns = 0
    }
  }
}
