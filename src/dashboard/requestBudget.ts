/**
 * So many questions a second are answered. Those beyond wait, in order, so that whoever asks without end is slowed down and
 * the run is not: an answer costs the event loop some tens of microseconds.
 *
 * Holds  what waits, which is bounded by the connections and by what each may have asked at once
 */
import type { Clock, Timer } from '../clock/clock'

export class RequestBudget {
  private tokens: number
  private filledUs: number
  private timer: Timer | undefined
  private readonly waiting: (() => boolean)[] = []

  /**
   * @param perSecond  questions
   * @param burst      that may come at once after a while of quiet
   */
  constructor(
    private readonly clock: Clock,
    private readonly perSecond: number,
    private readonly burst: number,
  ) {
    this.tokens = burst
    this.filledUs = clock.nowUs()
  }

  /** Takes of the budget for what cannot wait; false when nothing is left. */
  take(): boolean {
    this.fill()
    if (this.waiting.length > 0 || this.tokens < 1) return false
    this.tokens--
    return true
  }

  /** Calls `work` now or later; it says whether there was anything to do. */
  when(work: () => boolean): void {
    if (this.take()) {
      if (!work()) this.tokens++
      return
    }
    this.waiting.push(work)
    this.timer ??= this.clock.after(REFILL_MS, () => this.goOn())
  }

  close(): void {
    this.timer?.cancel()
    this.waiting.length = 0
  }

  private goOn(): void {
    this.timer = undefined
    this.fill()
    const many = Math.floor(this.tokens)
    for (const work of this.waiting.splice(0, many)) if (work()) this.tokens--
    if (this.waiting.length > 0) this.timer ??= this.clock.after(REFILL_MS, () => this.goOn())
  }

  private fill(): void {
    const nowUs = this.clock.nowUs()
    this.tokens = Math.min(this.burst, this.tokens + ((nowUs - this.filledUs) / 1e6) * this.perSecond)
    this.filledUs = nowUs
  }
}

/** Small shares, so that a turn is short. */
const REFILL_MS = 10
