/**
 * The REST questions to one exchange: queued, within its rate limit, retried, answered once.
 *
 * Order     snapshots before polls, else as asked. A question whose key is waiting already takes its place: the latest wins
 * Limits    a token bucket of the exchange's weights, few requests at once, a capacity
 * Retries   with capped backoff and full jitter within a budget; 429 and 418 stop the whole queue as long as they say
 */
import { backoffDelayMs, RetryBudget, type Budget } from '../clock/backoff'
import type { Clock, Timer } from '../clock/clock'
import type { RateLimiter } from './rateLimiter'
import type { RestAnswer } from './rest'
import type { RestAsker } from './transport'

export interface RestQuestion {
  /** What is asked, whatever its address: `snapshot BTCUSDT`. */
  readonly key: string
  readonly url: string
  readonly weight: number
  readonly urgent: boolean
  readonly retries: Budget
  answered(body: string): void
  /** The budget is spent, or asking again cannot help (`final`). */
  failed(reason: string, final: boolean): void
}

export interface RestQueueOptions {
  readonly clock: Clock
  readonly client: Pick<RestAsker, 'get'>
  readonly limiter: RateLimiter
  readonly random: () => number
  readonly atOnce: number
  readonly capacity: number
  /** The exchange asked for a pause. */
  readonly limited: (reason: string, waitMs: number) => void
  /** A request failed and is asked again. */
  readonly retried?: (reason: string, url: string) => void
}

export interface RestCounts {
  requests: number
  answers: number
  retries: number
  rateLimited: number
  failures: number
}

const BACKOFF = { minMs: 500, maxMs: 30_000, firstAtOnce: true }

export class RestQueue {
  readonly counts: RestCounts = { requests: 0, answers: 0, retries: 0, rateLimited: 0, failures: 0 }
  private readonly urgent = new Map<string, Asked>()
  private readonly patient = new Map<string, Asked>()
  private readonly running = new Map<Asked, () => void>()
  private readonly resting = new Map<Asked, Timer>()
  private timer: Timer | undefined
  private paused = false
  private stopped = false

  constructor(private readonly options: RestQueueOptions) {}

  /** Asks; the returned function withdraws the question, whose callbacks then stay silent. */
  ask(question: RestQuestion): () => void {
    const queue = question.urgent ? this.urgent : this.patient
    const asked: Asked = { question, budget: new RetryBudget(question.retries) }
    if (this.stopped) return () => undefined
    if (!queue.has(question.key) && this.waiting >= this.options.capacity) {
      this.counts.failures++
      question.failed(`${this.waiting} requests are waiting already`, false)
      return () => undefined
    }
    queue.set(question.key, asked)
    this.work()
    return () => {
      this.withdraw(asked)
    }
  }

  get waiting(): number {
    return this.urgent.size + this.patient.size + this.resting.size
  }

  /** While paused nothing new is asked; what is under way is answered. */
  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
    this.work()
  }

  /** Nothing is asked or answered any more. */
  stop(): void {
    this.stopped = true
    this.timer?.cancel()
    for (const cancel of this.running.values()) cancel()
    for (const timer of this.resting.values()) timer.cancel()
    this.urgent.clear()
    this.patient.clear()
    this.running.clear()
    this.resting.clear()
  }

  private withdraw(asked: Asked): void {
    const queue = asked.question.urgent ? this.urgent : this.patient
    if (queue.get(asked.question.key) === asked) queue.delete(asked.question.key)
    this.resting.get(asked)?.cancel()
    this.resting.delete(asked)
    const cancel = this.running.get(asked)
    if (cancel === undefined) return
    cancel()
    this.running.delete(asked)
    this.work()
  }

  private work(): void {
    const { clock, limiter, atOnce } = this.options
    this.timer?.cancel()
    this.timer = undefined
    while (!this.stopped && !this.paused && this.running.size < atOnce) {
      const queue = this.urgent.size > 0 ? this.urgent : this.patient
      const [next] = queue.values()
      if (next === undefined) return
      const waitMs = limiter.take(next.question.weight)
      if (waitMs > 0) {
        this.timer = clock.after(waitMs, () => this.work())
        return
      }
      queue.delete(next.question.key)
      this.send(next)
    }
  }

  private send(asked: Asked): void {
    this.counts.requests++
    const cancel = this.options.client.get(asked.question.url, (answer) => {
      this.running.delete(asked)
      this.settle(asked, answer)
      this.work()
    })
    this.running.set(asked, cancel)
  }

  private settle(asked: Asked, answer: RestAnswer): void {
    const { counts } = this
    if (answer.outcome === 'answered') {
      counts.answers++
      asked.question.answered(answer.body)
      return
    }
    if (answer.outcome === 'refused') {
      counts.failures++
      asked.question.failed(answer.reason, true)
      return
    }
    const { clock, limiter, random, limited } = this.options
    const nowUs = clock.nowUs()
    const attempt = asked.budget.failed(nowUs)
    let waitMs = backoffDelayMs(attempt, { ...BACKOFF, random })
    if (answer.outcome === 'limited') {
      counts.rateLimited++
      limiter.block(answer.waitMs)
      limited(answer.reason, answer.waitMs)
      waitMs = answer.waitMs
    }
    if (!asked.budget.take(nowUs, waitMs)) {
      counts.failures++
      asked.question.failed(answer.reason, false)
      return
    }
    counts.retries++
    if (answer.outcome === 'failed') this.options.retried?.(answer.reason, asked.question.url)
    this.resting.set(
      asked,
      clock.after(waitMs, () => {
        this.resting.delete(asked)
        const queue = asked.question.urgent ? this.urgent : this.patient
        // Asked anew while it rested: the later question stands.
        if (!queue.has(asked.question.key)) queue.set(asked.question.key, asked)
        this.work()
      }),
    )
  }
}

interface Asked {
  readonly question: RestQuestion
  readonly budget: RetryBudget
}
