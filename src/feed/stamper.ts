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
   * The clock's time, or one nanosecond after the stamp before it where that is not earlier.
   *
   * @param atUs  when it happened, for frames that the socket gave in one chunk: reading the clock for each would cost a tenth
   *              of their way to a book. They get a microsecond each, about what they take one after another, because
   *              events carry whole microseconds, and by those a value is traced to its frame
   */
  next(atUs?: number): Stamp {
    const nowUs = atUs ?? this.clock.nowUs()
    if (nowUs > this.timeUs) {
      this.timeUs = nowUs
      this.ns = 0
    } else if (atUs === undefined && this.ns < 999) this.ns++
    else {
      this.timeUs++
      this.ns = 0
    }
    return { timeUs: this.timeUs, ns: this.ns }
  }
}
