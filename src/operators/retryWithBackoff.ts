import { Observable, type MonoTypeOperatorFunction } from 'rxjs'
import { backoffDelayMs, backoffProblem, RetryBudget, type Backoff, type Budget } from '../clock/backoff'
import { sleep, type Clock, type Timer } from '../clock/clock'
import { currentRandom, currentWaits } from '../clock/currentClock'
import { onAbort } from '../clock/onAbort'
import { askedWaitMs } from '../clock/retryAfter'
import { Fault, messageOf } from '../model/fault'
import { requireMs } from './options'
import type { SharedRetryBudget } from './sharedRetryBudget'
import { subscribeWhileOpen } from './subscribeWhileOpen'

export interface RetryOptions extends Omit<Backoff, 'random'>, Budget {
  /**
   * Retries that many calls may make together, so that a service that is down is not asked a thousand times by a thousand
   * of them. Beside the budget of each: whoever finds it spent gives up.
   */
  readonly budget?: SharedRetryBudget
  /** Default: the run's, or outside of one a generator that differs from process to process. */
  readonly random?: () => number
  /**
   * Whether this error is worth another try. Default: every error but a fault whose repair is `stop`, because asking
   * again cannot help; a deadline that passed is worth another try.
   */
  readonly shouldRetry?: (error: unknown) => boolean
  /**
   * How long the other side asked us to stay away, if the error says so. Never waited shorter. Default: what the error, its
   * `response` or its causes say by a `retry-after` header, or a fault by `waitMs` or `retryAfterMs` of its details.
   */
  readonly retryAfterMs?: (error: unknown) => number | undefined
  /** Told before each wait. */
  readonly onRetry?: (retry: Retry) => void
  /** Stops at once, also in the middle of a wait, with the signal's reason as the error. */
  readonly signal?: AbortSignal
  /** Default: the machine's time, or what stands for it in a run. */
  readonly clock?: Clock
}

export interface Retry {
  readonly error: unknown
  /** 1 for the first retry within the window. */
  readonly attempt: number
  readonly delayMs: number
}

export interface TaskRetryOptions extends RetryOptions {
  /** How long one attempt may take; then its signal is aborted and it counts as failed. */
  readonly attemptMs?: number
}

/**
 * Subscribes to the source again when it fails, after a capped, jittered and growing wait, within a budget.
 *
 *     source             a-#
 *     retryWithBackoff   a---a----a-------#      RETRIES_EXHAUSTED when the budget is spent
 *
 * Emits      each value of each attempt at once
 * Completes  with the source
 * Errors     `RETRIES_EXHAUSTED`, with the last error as its cause, when the budget is spent: `atMost` retries within
 *            `withinMs`, or failures for longer than `withinMs` with no value between them, or `budget`; the error itself
 *            when it is not worth a retry; the abort reason
 * Holds      one timer, and the times of the retries within the window
 *
 * A source that is hot loses what it emits meanwhile, and operators above start again from nothing: retry the smallest
 * thing that can fail. `retryWithBackoff.promise(task, options)` does the same for a function that returns a promise.
 */
export function retryWithBackoff<T>(options: RetryOptions): MonoTypeOperatorFunction<T> {
  check(options)

  return (source) =>
    new Observable((out) => {
      const { signal, clock = currentWaits() } = options
      const plan = planner(options, clock)
      let timer: Timer | undefined
      if (signal?.aborted) {
        out.error(signal.reason)
        return
      }
      if (signal !== undefined) out.add(onAbort(signal, () => out.error(signal.reason)))
      out.add(() => timer?.cancel())

      const attempt = (): void => {
        subscribeWhileOpen(source, out, {
          next: (value) => {
            plan.succeeded()
            out.next(value)
          },
          error: (error) => {
            const next = plan.failed(error)
            if (out.closed) return // aborted by whoever was told
            if ('giveUp' in next) out.error(next.giveUp)
            else timer = clock.after(next.delayMs, attempt)
          },
          complete: () => out.complete(),
        })
      }
      attempt()
    })
}

/**
 * Calls `task` until it resolves, as {@link retryWithBackoff} does for observables.
 *
 * @param task  gets the number of the attempt, counting from 1, and a signal that is aborted when the caller aborts or
 *              the attempt has taken longer than `attemptMs`
 * @returns     the task's value; rejects as the operator errors
 */
retryWithBackoff.promise = async function promise<T>(
  task: (attempt: number, signal: AbortSignal) => Promise<T> | T,
  options: TaskRetryOptions,
): Promise<T> {
  check(options)
  if (options.attemptMs !== undefined) requireMs('retryWithBackoff', 'attemptMs', options.attemptMs)
  const { clock = currentWaits(), signal } = options
  const plan = planner(options, clock)

  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted()
    try {
      return await attemptOnce(attempt)
    } catch (error) {
      signal?.throwIfAborted()
      const next = plan.failed(error)
      if ('giveUp' in next) throw next.giveUp
      await sleep(clock, next.delayMs, signal)
    }
  }

  function attemptOnce(attempt: number): Promise<T> {
    const { attemptMs } = options
    const stop = new AbortController()
    return new Promise<T>((resolve, reject) => {
      const abort = (reason: Error): void => {
        settled() // the task may never end, and must not be remembered for it
        stop.abort(reason)
        reject(reason)
      }
      const timer =
        attemptMs === undefined ? undefined : clock.after(attemptMs, () => abort(attemptTooSlow(attempt, attemptMs)))
      const forget = signal === undefined ? undefined : onAbort(signal, () => abort(signal.reason as Error))
      const settled = (): void => {
        timer?.cancel()
        forget?.()
      }
      Promise.resolve()
        .then(() => task(attempt, stop.signal))
        .finally(settled)
        .then(resolve, reject)
    })
  }
}

interface RetryPlan {
  /** What to do about a failure: wait so long and try again, or give up with this error. */
  failed(error: unknown): { readonly delayMs: number } | { readonly giveUp: unknown }
  succeeded(): void
}

function planner(options: RetryOptions, clock: Clock): RetryPlan {
  const { random = currentRandom(), shouldRetry = isWorthRetrying, retryAfterMs, onRetry, budget: shared } = options
  const budget = new RetryBudget(options)

  return {
    failed(error) {
      try {
        if (!shouldRetry(error)) return { giveUp: error }
        const nowUs = clock.nowUs()
        const attempt = budget.failed(nowUs)
        const askedMs = (retryAfterMs === undefined ? askedWaitMs(error, nowUs) : retryAfterMs(error)) ?? 0
        const delayMs = Math.max(backoffDelayMs(attempt, { ...options, random }), askedMs > 0 ? askedMs : 0)
        if (!budget.take(nowUs, delayMs)) return { giveUp: exhausted(error, attempt - 1, delayMs, options) }
        if (shared?.take(nowUs) === false) return { giveUp: sharedSpent(error, shared) }
        onRetry?.({ error, attempt, delayMs })
        return { delayMs }
      } catch (thrown) {
        return { giveUp: thrown } // a callback threw: its error is the one to see
      }
    },
    succeeded: () => budget.succeeded(),
  }
}

function isWorthRetrying(error: unknown): boolean {
  return !(error instanceof Fault) || error.repair !== 'stop' || error.code === 'DEADLINE_EXCEEDED'
}

function exhausted(cause: unknown, retries: number, delayMs: number, { atMost, withinMs }: RetryOptions): Fault {
  const tried = retries === 1 ? 'one retry' : `${retries} retries`
  return new Fault(
    'RETRIES_EXHAUSTED',
    `Gave up after ${tried} (the budget is ${atMost} within ${withinMs} ms): ${messageOf(cause)}`,
    { retries, atMost, withinMs, delayMs },
    { cause },
  )
}

function sharedSpent(cause: unknown, { atMost, withinMs }: Budget): Fault {
  return new Fault(
    'RETRIES_EXHAUSTED',
    `Gave up: the budget shared with others (${atMost} retries within ${withinMs} ms) is spent: ${messageOf(cause)}`,
    { atMost, withinMs, shared: true },
    { cause },
  )
}

function attemptTooSlow(attempt: number, attemptMs: number): Fault {
  return new Fault(
    'DEADLINE_EXCEEDED',
    `Attempt ${attempt} took longer than ${attemptMs} ms: raise \`attemptMs\` or find out what it waits for.`,
    { attempt, attemptMs },
  )
}

function check(options: RetryOptions): void {
  const problem = backoffProblem(options)
  if (problem !== undefined) throw new Fault('OPTION_INVALID', `retryWithBackoff: ${problem}.`, {})
}
