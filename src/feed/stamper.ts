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

export class Stamper {
  private timeUs = -1
  private ns = 0

  constructor(private readonly clock: Clock) {}

  /**
   * A time, or one nanosecond after the stamp before it where that is not earlier.
   *
   * @param atUs  when it happened. Frames that the socket gave in one chunk came at one time: reading the clock for each would
   *              cost a tenth of their way to a book
   */
  next(atUs = this.clock.nowUs()): Stamp {
    if (atUs > this.timeUs) {
      this.timeUs = atUs
      this.ns = 0
    } else if (this.ns < 999) this.ns++
    else {
      this.timeUs++
      this.ns = 0
    }
    return { timeUs: this.timeUs, ns: this.ns }
  }
}
