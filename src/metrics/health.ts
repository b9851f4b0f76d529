/**
 * Health as an interval stream: checks with thresholds and hysteresis, and reasons in sentences.
 */
import { Observable } from 'rxjs'
import { every, type Clock, type Timer } from '../clock/clock'
import { liveClock } from '../clock/liveClock'
import { Fault, messageOf } from '../model/fault'

export type HealthLevel = 'healthy' | 'degraded' | 'unhealthy'

export interface HealthCheck {
  readonly name: string
  /** A number to hold against the thresholds, or a verdict: true is healthy, false unhealthy. A throw is unhealthy. */
  readonly check: () => HealthAnswer | Promise<HealthAnswer>
  readonly degradedAbove?: number
  readonly unhealthyAbove?: number
  readonly degradedBelow?: number
  readonly unhealthyBelow?: number
  /** How far back over a threshold a value must come before it counts as better, in its own unit. Default 0. */
  readonly hysteresis?: number
  /** How long a worse level must last before it counts, milliseconds. Default 0. */
  readonly worseAfterMs?: number
  /** How long a better level must last before it counts, milliseconds: what comes and goes is not well. Default 0. */
  readonly betterAfterMs?: number
  /** The worst that this check can make of the whole. Default `unhealthy`. */
  readonly severity?: 'degraded' | 'unhealthy'
  /** For the reason: `ms`, `%`. */
  readonly unit?: string
  /** When a check without an answer counts as unhealthy. */
  readonly deadlineMs: number
}

/** What a check answers; with `because`, a sentence that is the reason while it is not healthy. */
export type HealthAnswer = number | boolean | { readonly value: number | boolean; readonly because: string | undefined }

export interface HealthOptions {
  readonly everyMs: number
  readonly checks: readonly HealthCheck[]
  readonly clock?: Clock
}

export interface HealthReport {
  readonly timeUs: number
  /** That of the worst check. */
  readonly level: HealthLevel
  /** One sentence for each check that is not healthy. */
  readonly reasons: readonly string[]
  readonly checks: readonly CheckReport[]
}

export interface CheckReport {
  readonly name: string
  readonly level: HealthLevel
  /** Undefined when it gave no number. */
  readonly value: number | undefined
  readonly reason: string | undefined
}

/**
 * Asks every check each `everyMs` and says how things stand.
 *
 * A check that hangs does not delay the others nor the next report: it is unhealthy from its deadline on (or from the
 * next report on, if that comes first), and it is not asked again before it has answered.
 *
 * Emits      one report an interval, as soon as all checks have answered or run out of time
 * Completes  never
 * Errors     never; a check that throws is unhealthy
 * Holds      one timer, one more for each check that is under way, and the level of each check
 */
export function health({ everyMs, checks, clock = liveClock }: HealthOptions): Observable<HealthReport> {
  const problems = problemsOfHealth({ everyMs, checks })
  if (problems.length > 0) {
    throw new Fault('OPTION_INVALID', `health cannot be watched: ${problems.join('; ')}.`, { problems })
  }
  const reports = new Observable<HealthReport>((out) => {
    const watched = new HealthWatch({ everyMs, checks, clock }, (report) => out.next(report))
    return () => watched.stop()
  })
  // A pipeline refuses to let it wait: time goes on.
  return Object.assign(reports, { cannotPause: true })
}

/** Checks that are asked each `everyMs`, and what they last said. */
export class HealthWatch {
  private readonly watches: readonly Watch[]
  private readonly timer: Timer
  private timeUs: number
  private stopped = false

  /** @param told  called with each report, as soon as all checks have answered or run out of time */
  constructor(
    private readonly options: Required<HealthOptions>,
    private readonly told: (report: HealthReport) => void = () => undefined,
  ) {
    const { everyMs, checks, clock } = options
    this.watches = checks.map((check) => new Watch(check, clock))
    this.timeUs = clock.nowUs()
    this.timer = every(clock, everyMs, (timeUs) => this.ask(timeUs))
  }

  /** What was said last. */
  get report(): HealthReport {
    return reportOf(this.timeUs, this.watches)
  }

  /** Asks now. What answers at once is in the report that `told` is given before this returns. */
  ask(timeUs = this.options.clock.nowUs()): void {
    const { watches } = this
    let left = watches.length
    const answered = (): void => {
      if (this.stopped) return
      this.timeUs = timeUs
      this.told(reportOf(timeUs, watches))
    }
    if (left === 0) answered()
    for (const watch of watches) {
      watch.ask(this.options.everyMs, () => {
        if (--left === 0) answered()
      })
    }
  }

  stop(): void {
    this.stopped = true
    this.timer.cancel()
    for (const watch of this.watches) watch.stop()
  }
}

function reportOf(timeUs: number, watches: readonly Watch[]): HealthReport {
  const reports = watches.map((watch) => watch.report)
  const level = watches.reduce<HealthLevel>((worst, watch) => worseOf(worst, watch.weight), 'healthy')
  return { timeUs, level, reasons: reports.flatMap(({ reason }) => reason ?? []), checks: reports }
}

/** The worse of two levels. */
export function worseOf(one: HealthLevel, other: HealthLevel): HealthLevel {
  return RANK[other] > RANK[one] ? other : one
}

const RANK: Readonly<Record<HealthLevel, number>> = { healthy: 0, degraded: 1, unhealthy: 2 }

/** One check over time. */
class Watch {
  report: CheckReport
  /** The level of the last number: what hysteresis holds on to. */
  private level: HealthLevel = 'healthy'
  /** Since when its answers are worse, or better, than what is said. */
  private worseSinceUs: number | undefined
  private betterSinceUs: number | undefined
  private askedAtUs: number | undefined
  private deadline: Timer | undefined

  constructor(
    private readonly check: HealthCheck,
    private readonly clock: Clock,
  ) {
    this.report = { name: check.name, level: 'healthy', value: undefined, reason: undefined }
  }

  /** Calls `done` once: with the answer, or when the deadline has passed. */
  ask(everyMs: number, done: () => void): void {
    if (this.askedAtUs !== undefined) {
      this.late()
      done()
      return
    }
    this.askedAtUs = this.clock.nowUs()
    let told = false
    const tell = (): void => {
      if (told) return
      told = true
      this.deadline?.cancel()
      done()
    }
    // A late answer is no news, but it is an answer: the next report asks again.
    const settle = (take: () => void): void => {
      this.askedAtUs = undefined
      if (told) return
      take()
      tell()
    }
    try {
      const answer = this.check.check()
      if (answer instanceof Promise) {
        this.deadline = this.clock.after(Math.min(this.check.deadlineMs, everyMs), () => {
          this.late()
          tell()
        })
        answer.then(
          (value) => settle(() => this.take(value)),
          (cause: unknown) => settle(() => this.failed(cause)),
        )
      } else settle(() => this.take(answer))
    } catch (cause) {
      settle(() => this.failed(cause))
    }
  }

  stop(): void {
    this.deadline?.cancel()
  }

  /** The level for the whole. */
  get weight(): HealthLevel {
    const { level } = this.report
    return level === 'unhealthy' && this.check.severity === 'degraded' ? 'degraded' : level
  }

  private take(answer: HealthAnswer): void {
    const { name } = this.check
    const { value, because } = typeof answer === 'object' ? answer : { value: answer, because: undefined }
    if (typeof value === 'boolean') {
      this.say(value ? 'healthy' : 'unhealthy', undefined, because ?? `${name} says no.`)
    } else if (Number.isNaN(value)) this.say('unhealthy', undefined, `${name} did not give a number.`)
    else {
      this.level = levelOf(this.check, value, this.level)
      this.say(this.level, value, because ?? `${name} ${describe(this.check, value, this.level)}.`)
    }
  }

  private failed(cause: unknown): void {
    this.say('unhealthy', undefined, `${this.check.name} failed: ${messageOf(cause)}.`)
  }

  private late(): void {
    const forMs = Math.round((this.clock.nowUs() - (this.askedAtUs ?? 0)) / 1_000)
    this.say('unhealthy', undefined, `${this.check.name} has not answered for ${forMs} ms.`)
  }

  /** A level that has not lasted is not said yet: the one before stands, with its reason. */
  private say(level: HealthLevel, value: number | undefined, reason: string): void {
    const { name, worseAfterMs = 0, betterAfterMs = 0 } = this.check
    const { level: before, reason: reasonBefore } = this.report
    const nowUs = this.clock.nowUs()
    if (RANK[level] > RANK[before]) this.worseSinceUs ??= nowUs
    else this.worseSinceUs = undefined
    if (RANK[level] < RANK[before]) this.betterSinceUs ??= nowUs
    else this.betterSinceUs = undefined
    const lastsUs = nowUs - (this.worseSinceUs ?? this.betterSinceUs ?? nowUs)
    const enoughUs = (RANK[level] > RANK[before] ? worseAfterMs : betterAfterMs) * 1_000
    if (level !== before && lastsUs < enoughUs) {
      this.report = { name, level: before, value, reason: reasonBefore }
      return
    }
    this.worseSinceUs = undefined
    this.betterSinceUs = undefined
    this.report = { name, level, value, reason: level === 'healthy' ? undefined : reason }
  }
}

/** A level is entered at its threshold, and left only when the value is `hysteresis` back over it. */
function levelOf(check: HealthCheck, value: number, before: HealthLevel): HealthLevel {
  const slack = check.hysteresis ?? 0
  const beyond = (level: 'degraded' | 'unhealthy'): boolean => {
    const keep = RANK[before] >= RANK[level] ? slack : 0
    const above = level === 'degraded' ? check.degradedAbove : check.unhealthyAbove
    const below = level === 'degraded' ? check.degradedBelow : check.unhealthyBelow
    return (above !== undefined && value > above - keep) || (below !== undefined && value < below + keep)
  }
  return beyond('unhealthy') ? 'unhealthy' : beyond('degraded') ? 'degraded' : 'healthy'
}

function describe(check: HealthCheck, value: number, level: HealthLevel): string {
  const unit = check.unit === undefined ? '' : check.unit === '%' ? '%' : ` ${check.unit}`
  const above = level === 'unhealthy' ? check.unhealthyAbove : check.degradedAbove
  const below = level === 'unhealthy' ? check.unhealthyBelow : check.degradedBelow
  if (above !== undefined && value > above) return `is ${value}${unit}, above ${above}${unit}`
  if (below !== undefined && value < below) return `is ${value}${unit}, below ${below}${unit}`
  const limit = above !== undefined && (below === undefined || above - value <= value - below) ? above : below
  return `is ${value}${unit}, back but not yet well clear of ${limit ?? value}${unit}`
}

/** What is wrong with the options, each the end of a sentence. */
export function problemsOfHealth({ everyMs, checks }: Pick<HealthOptions, 'everyMs' | 'checks'>): string[] {
  const problems: string[] = []
  if (!(everyMs >= 1 && everyMs < Infinity)) {
    problems.push(`everyMs is ${everyMs}, it should be 1 or more milliseconds`)
  }
  const names = new Set<string>()
  for (const { name, deadlineMs, hysteresis = 0, worseAfterMs = 0, betterAfterMs = 0, ...check } of checks) {
    if (names.has(name)) problems.push(`two checks have the name ${name}`)
    names.add(name)
    if (!(deadlineMs > 0)) problems.push(`${name} has deadlineMs ${deadlineMs}, it should be above 0`)
    if (!(hysteresis >= 0)) problems.push(`${name} has hysteresis ${hysteresis}, it should be 0 or more`)
    if (!(worseAfterMs >= 0)) problems.push(`${name} has worseAfterMs ${worseAfterMs}, it should be 0 or more`)
    if (!(betterAfterMs >= 0)) problems.push(`${name} has betterAfterMs ${betterAfterMs}, it should be 0 or more`)
    if (check.severity !== undefined && !['degraded', 'unhealthy'].includes(check.severity)) {
      problems.push(`${name} has severity ${check.severity as string}, it should be degraded or unhealthy`)
    }
    if ((check.degradedAbove ?? -Infinity) > (check.unhealthyAbove ?? Infinity)) {
      problems.push(`${name} is unhealthy before it is degraded`)
    }
    if ((check.degradedBelow ?? Infinity) < (check.unhealthyBelow ?? -Infinity)) {
      problems.push(`${name} is unhealthy before it is degraded`)
    }
  }
  return problems
}
