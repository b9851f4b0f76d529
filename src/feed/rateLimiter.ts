/**
 * Limits on how often an exchange is asked.
 *
 * `RateLimiter` is a token bucket for weights a minute. It uses at most 80 % of what the exchange allows, because others
 * may work behind the same address and because its minutes need not be ours: three tenths of a minute's weight may go at
 * once, five tenths flow in each minute, so that no sixty seconds hold more than eight.
 *
 * `Gate` spaces attempts (connections to one exchange) by a fixed distance.
 *
 * Both can be blocked until a time, when the exchange has asked for it (`Retry-After`).
 */
import type { Clock } from '../clock/clock'

const BURST_SHARE = 0.3
const FLOW_SHARE = 0.5

export class RateLimiter {
  private readonly capacity: number
  private readonly perUs: number
  private tokens: number
  private filledUs: number
  private blockedUntilUs = 0

  constructor(
    private readonly clock: Clock,
    weightPerMinute: number,
  ) {
    this.capacity = weightPerMinute * BURST_SHARE
    this.perUs = (weightPerMinute * FLOW_SHARE) / 60_000_000
    this.tokens = this.capacity
    this.filledUs = clock.nowUs()
  }

  /**
   * Takes `weight` if it may be used now and returns 0; otherwise takes nothing and returns the milliseconds to wait.
   * A weight above the bucket's size waits for the full bucket and leaves a debt.
   */
  take(weight: number): number {
    const nowUs = this.clock.nowUs()
    if (nowUs < this.blockedUntilUs) return (this.blockedUntilUs - nowUs) / 1_000
    this.tokens = Math.min(this.capacity, this.tokens + (nowUs - this.filledUs) * this.perUs)
    this.filledUs = nowUs
    const needed = Math.min(weight, this.capacity)
    // A timer is exact to the microsecond, the sum of its tokens is not quite.
    if (this.tokens + 1e-6 >= needed) {
      this.tokens -= weight
      return 0
    }
    return Math.ceil((needed - this.tokens) / this.perUs) / 1_000
  }

  /** Nothing more is given for `ms`; a longer block stays. */
  block(ms: number): void {
    this.blockedUntilUs = Math.max(this.blockedUntilUs, this.clock.nowUs() + Math.round(ms * 1_000))
  }
}

export class Gate {
  private nextUs = 0

  constructor(
    private readonly clock: Clock,
    private readonly everyMs: number,
  ) {}

  /** Milliseconds until the next attempt may be made; 0 takes it. */
  take(): number {
    const nowUs = this.clock.nowUs()
    if (nowUs < this.nextUs) return (this.nextUs - nowUs) / 1_000
    this.nextUs = nowUs + Math.round(this.everyMs * 1_000)
    return 0
  }

  block(ms: number): void {
    this.nextUs = Math.max(this.nextUs, this.clock.nowUs() + Math.round(ms * 1_000))
  }
}
