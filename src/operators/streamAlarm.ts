/**
 * The time of a stream, and one alarm in it.
 *
 * Stream time is the clock's, and at least the latest receive stamp that was seen: an event that is later than the alarm
 * rings it before the event is looked at, even when the clock's timer has not come yet. So what an alarm closes never
 * depends on whether a timer or a frame was quicker.
 *
 * Events that are far older than the clock when they arrive come from a recording that is read outside a run, under the
 * machine's clock. There the clock says nothing about the stream: time is what the events say.
 */
import { LONGEST_WAIT_MS, type Clock, type Timer } from '../clock/clock'

const ANOTHER_TIME_US = 60_000_000

export class StreamAlarm {
  private latestUs = -Infinity
  private byEventsAlone = false
  /** What the clock said when it was compared with an event last. */
  private clockUs = -Infinity
  private dueUs = Infinity
  private timer: Timer | undefined
  private timerUs = Infinity
  private cancelled = false

  /** @param ring  called when the alarm is due; the alarm is then off until it is set again, to a later time */
  constructor(
    private readonly clock: Clock,
    private readonly ring: (nowUs: number) => void,
  ) {}

  nowUs(): number {
    return this.byEventsAlone ? this.latestUs : Math.max(this.latestUs, this.clock.nowUs())
  }

  /** To be called with the receive stamp of each event before the event is looked at; gives what time it is then. */
  arrive(receiveTimeUs: number): number {
    if (receiveTimeUs === this.latestUs) return this.nowUs() // the events of a frame share their stamp
    if (receiveTimeUs > this.latestUs) this.latestUs = receiveTimeUs
    // The clock never goes back: when it was of another time than this event already, it still is.
    if (this.clockUs - receiveTimeUs <= ANOTHER_TIME_US) this.clockUs = this.clock.nowUs()
    const anotherTime = this.clockUs - receiveTimeUs > ANOTHER_TIME_US
    if (anotherTime !== this.byEventsAlone) {
      this.byEventsAlone = anotherTime
      this.arm()
    }
    if (this.latestUs >= this.dueUs) this.rings()
    return anotherTime ? this.latestUs : Math.max(this.latestUs, this.clockUs)
  }

  /** Infinity turns the alarm off. */
  set(dueUs: number): void {
    if (dueUs === this.dueUs) return
    this.dueUs = dueUs
    this.arm()
  }

  /** For good. */
  cancel(): void {
    this.cancelled = true
    this.dueUs = Infinity
    this.arm()
  }

  private rings(): void {
    this.dueUs = Infinity
    this.ring(this.nowUs())
    this.arm()
  }

  /**
   * One timer, which is left alone when the alarm moves away from it: it then fires, looks, and sleeps for what remains.
   * Live timers may also fire up to a millisecond early, with the same consequence.
   */
  private arm(): void {
    const wanted = this.dueUs < Infinity && !this.byEventsAlone && !this.cancelled
    if (this.timer !== undefined && wanted && this.timerUs <= this.dueUs) return
    this.timer?.cancel()
    this.timer = undefined
    if (!wanted) return
    this.timerUs = this.dueUs
    const delayMs = Math.min(LONGEST_WAIT_MS, Math.max(0, (this.dueUs - this.clock.nowUs()) / 1_000))
    this.timer = this.clock.after(delayMs, () => {
      this.timer = undefined
      if (this.nowUs() >= this.dueUs) this.rings()
      else this.arm()
    })
  }
}
