/**
 * What is done about a stage that failed, and how often: the words are Pekko's, the policy is data.
 *
 * resume    the value is given up, the stage goes on with its state. For an actor (`src/operators/actor.ts`); an RxJS operator
 *           loses its state with its error, and is restarted in place
 * restart   the value is given up, and a new instance takes the place of the stage, after a wait that grows, within a budget
 * stop      the stage ends, and what is behind it is flushed; its siblings go on
 * escalate  the group it belongs to decides, in the end the run, which stops
 *
 * Without a policy the table of faults decides (`REPAIRS` in `src/model/fault.ts`): a fault whose repair is `stop` stops the
 * stage, everything else restarts it.
 */
import { backoffDelayMs, RetryBudget } from '../clock/backoff'
import { LONGEST_WAIT_MS, type Clock } from '../clock/clock'
import type { Fault } from '../model/fault'

export const DIRECTIVES = ['resume', 'restart', 'stop', 'escalate'] as const

export type Directive = (typeof DIRECTIVES)[number]

/** How often, and how soon, what failed is started again. */
export interface RestartPolicy {
  readonly atMost: number
  readonly withinMs: number
  /** Bounds of the wait before a restart, which grows and is jittered. The first restart does not wait. */
  readonly backoffMs: readonly [min: number, max: number]
}

export type OnFailure =
  | Directive
  /** `then` is what happens when the budget is spent; default `stop`. */
  | { readonly restart: RestartPolicy; readonly then?: 'stop' | 'escalate' }
  /** Decides for each fault; must be quick. A function that throws stops the stage. */
  | ((fault: Fault) => Directive)

/** What restarts without figures of their own keep to. */
export const DEFAULT_RESTART: RestartPolicy = { atMost: 5, withinMs: 60_000, backoffMs: [100, 10_000] }

/** What is wrong with a policy, as a sentence; undefined when it is usable. Plain JavaScript may pass anything. */
export function problemOfFailurePolicy(onFailure: unknown): string | undefined {
  if (onFailure === undefined || typeof onFailure === 'function') return undefined
  if ((DIRECTIVES as readonly unknown[]).includes(onFailure)) return undefined
  const { restart, then } = (onFailure ?? {}) as { restart?: Partial<RestartPolicy>; then?: unknown }
  if (typeof restart !== 'object') {
    return `onFailure is one of ${DIRECTIVES.join(', ')}, { restart: { atMost, withinMs, backoffMs } } or a function of the fault; it is ${JSON.stringify(onFailure)}.`
  }
  if (then !== undefined && then !== 'stop' && then !== 'escalate') {
    return `onFailure.then is stop or escalate: what happens when the restarts are spent; it is ${JSON.stringify(then)}.`
  }
  const { atMost, withinMs, backoffMs } = restart
  if (!Number.isSafeInteger(atMost) || atMost! < 0) return `restart.atMost is a whole number of restarts, 0 or more.`
  if (!(withinMs! > 0 && withinMs! <= LONGEST_WAIT_MS)) return `restart.withinMs is milliseconds above 0.`
  const [min, max] = Array.isArray(backoffMs) ? (backoffMs as unknown[]) : []
  if (!(typeof min === 'number' && typeof max === 'number' && min > 0 && min <= max && max <= LONGEST_WAIT_MS)) {
    return `restart.backoffMs is [shortest, longest] wait in milliseconds, above 0.`
  }
  return undefined
}

/** What is to be done now. */
export type Verdict =
  | { readonly directive: 'resume' | 'stop' | 'escalate'; readonly spent?: RestartPolicy }
  | { readonly directive: 'restart'; readonly delayMs: number }

/** The supervisor's view of one child: decides about each failure, and keeps the budget of restarts. */
export class Supervisor {
  private readonly budget: RetryBudget
  private readonly policy: RestartPolicy
  private failing = false

  /**
   * @param clock   restarts wait and are counted by this: the stream's for stages, so that a replay restarts them at the
   *                same places
   * @param random  jitter; seeded, for the same reason
   */
  constructor(
    private readonly onFailure: OnFailure | undefined,
    private readonly clock: Clock,
    private readonly random: () => number,
  ) {
    this.policy = typeof onFailure === 'object' ? onFailure.restart : DEFAULT_RESTART
    this.budget = new RetryBudget(this.policy)
  }

  judge(fault: Fault): Verdict {
    const directive = this.directiveFor(fault)
    if (directive !== 'restart') return { directive }
    this.failing = true
    const nowUs = this.clock.nowUs()
    const attempt = this.budget.failed(nowUs)
    const [minMs, maxMs] = this.policy.backoffMs
    const delayMs = backoffDelayMs(attempt, { minMs, maxMs, firstAtOnce: true, random: this.random })
    if (this.budget.take(nowUs, delayMs)) return { directive: 'restart', delayMs }
    const then = typeof this.onFailure === 'object' ? (this.onFailure.then ?? 'stop') : 'stop'
    return { directive: then, spent: this.policy }
  }

  /** The child has done something: its failures are no longer unbroken. */
  succeeded(): void {
    if (!this.failing) return
    this.failing = false
    this.budget.succeeded()
  }

  private directiveFor(fault: Fault): Directive {
    const { onFailure } = this
    if (typeof onFailure === 'object') return 'restart'
    if (typeof onFailure === 'string') return onFailure
    if (onFailure === undefined) return fault.repair === 'stop' ? 'stop' : 'restart'
    try {
      const decided = onFailure(fault)
      return DIRECTIVES.includes(decided) ? decided : 'stop'
    } catch {
      return 'stop'
    }
  }
}
