/**
 * How long to wait before trying again, and when to stop trying.
 *
 * The schedule is capped exponential backoff with full jitter: the wait is drawn evenly from nothing up to a ceiling
 * that doubles with every attempt. Full jitter spreads the clients of an exchange that went down together further than
 * any other form of jitter (Brooker, Exponential Backoff and Jitter, AWS Architecture Blog, 2015).
 *
 * Nothing here waits or reads a clock; callers do.
 */
import { LONGEST_WAIT_MS } from './clock'

export interface Backoff {
  /** The ceiling of the first wait, milliseconds, > 0. */
  readonly minMs: number
  /** The ceiling that no wait exceeds, milliseconds, >= `minMs`. */
  readonly maxMs: number
  /** True: the first attempt waits not at all, and the doubling starts with the second. */
  readonly firstAtOnce?: boolean
  /** Numbers from 0 (included) to 1 (excluded): a seeded generator where runs must be repeatable. */
  readonly random: () => number
}

/**
 * The wait before an attempt.
 *
 * @param attempt  1 for the first retry; larger numbers, however large, keep to `maxMs`
 * @returns        milliseconds, from 0 up to the attempt's ceiling
 */
export function backoffDelayMs(attempt: number, { minMs, maxMs, firstAtOnce = false, random }: Backoff): number {
  const doublings = attempt - (firstAtOnce ? 2 : 1)
  if (doublings < 0) return 0
  const ceilingMs = Math.min(maxMs, minMs * 2 ** doublings)
  const drawn = random()
  return ceilingMs * (drawn >= 0 ? Math.min(1, drawn) : 0) // a generator that gives NaN must not give NaN timers
}

/**
 * The jitter of live runs: processes that fail together must not draw the same waits. Like the live clock it is a
 * default at the rim only; whatever must be repeatable passes a seeded generator.
 */
export const liveRandom: () => number = Math.random

/** How often something may be tried again. Both bounds are needed: a count alone wears out on a long-lived stream. */
export interface Budget {
  /** Retries within any `withinMs`, an integer >= 0. */
  readonly atMost: number
  /** Milliseconds, > 0; also the longest that failures without a success between them are put up with. */
  readonly withinMs: number
}

/**
 * Counts retries against a budget.
 *
 * It is spent when `atMost` retries were made within the last `withinMs`, or when the next one would come later than
 * `withinMs` after the first of the failures that no success has interrupted. The first rule stops what works for a
 * moment and fails again; the second stops a slow failure whose retries are too far apart to be many in any window.
 */
export class RetryBudget {
  private readonly retriesUs: number[] = []
  private failingSinceUs: number | undefined

  constructor(private readonly budget: Budget) {}

  /** Notes a failure and returns the number of the retry that would follow it, counting from 1 within the window. */
  failed(nowUs: number): number {
    this.failingSinceUs ??= nowUs
    const oldestUs = nowUs - this.budget.withinMs * 1_000
    while (this.retriesUs.length > 0 && this.retriesUs[0]! <= oldestUs) this.retriesUs.shift()
    return this.retriesUs.length + 1
  }

  /** Takes one retry, to be made `delayMs` from now; false when the budget does not allow it. */
  take(nowUs: number, delayMs: number): boolean {
    const retryUs = nowUs + delayMs * 1_000
    if (this.retriesUs.length >= this.budget.atMost) return false
    if (retryUs > (this.failingSinceUs ?? nowUs) + this.budget.withinMs * 1_000) return false
    this.retriesUs.push(retryUs)
    return true
  }

  succeeded(): void {
    this.failingSinceUs = undefined
  }
}

/** What is wrong with the bounds of a schedule and its budget, as the end of a sentence; undefined when they are usable. */
export function backoffProblem({
  minMs,
  maxMs,
  atMost,
  withinMs,
}: Omit<Backoff, 'random'> & Budget): string | undefined {
  if (!(minMs > 0 && minMs <= maxMs)) return `minMs is ${minMs}; give milliseconds above 0 and not above maxMs`
  if (!(maxMs <= LONGEST_WAIT_MS)) return `maxMs is ${maxMs}; give at most ${LONGEST_WAIT_MS} milliseconds`
  if (!(Number.isSafeInteger(atMost) && atMost >= 0)) return `atMost is ${atMost}; give a whole number, 0 or more`
  if (!(withinMs > 0 && withinMs <= LONGEST_WAIT_MS)) {
    return `withinMs is ${withinMs}; give milliseconds above 0 and at most ${LONGEST_WAIT_MS}`
  }
  return undefined
}

/** Numbers from 0 (included) to 1 (excluded) that are the same for the same seed (mulberry32). */
export function seededRandom(seed: number | string): () => number {
  let state = typeof seed === 'number' ? seed >>> 0 : hashOf(seed)
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** FNV-1a. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return hash >>> 0
}
