import type { Budget } from '../clock/backoff'
import { requireCount, requireMs } from './options'

/**
 * Retries that many calls of {@link retryWithBackoff} may make together: at most `atMost` within any `withinMs`. They
 * must have the same clock.
 *
 *     const budget = new SharedRetryBudget({ atMost: 100, withinMs: 10_000 })
 */
export class SharedRetryBudget implements Budget {
  readonly atMost: number
  readonly withinMs: number
  /** When those within the window were taken, oldest first from `first` on. */
  private takenUs: number[] = []
  private first = 0

  constructor({ atMost, withinMs }: Budget) {
    requireCount('SharedRetryBudget', 'atMost', atMost, 0)
    requireMs('SharedRetryBudget', 'withinMs', withinMs)
    this.atMost = atMost
    this.withinMs = withinMs
  }

  /** Takes one retry; false when there is none left. */
  take(nowUs: number): boolean {
    const oldestUs = nowUs - this.withinMs * 1_000
    while (this.first < this.takenUs.length && this.takenUs[this.first]! <= oldestUs) this.first++
    if (this.takenUs.length - this.first >= this.atMost) return false
    if (this.first * 2 > this.takenUs.length) {
      this.takenUs = this.takenUs.slice(this.first)
      this.first = 0
    }
    this.takenUs.push(nowUs)
    return true
  }
}
