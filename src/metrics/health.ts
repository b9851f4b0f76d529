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
  readonly check: () => number | boolean | Promise<number | boolean>
  readonly degradedAbove?: number
  readonly unhealthyAbove?: number
  readonly degradedBelow?: number
  readonly unhealthyBelow?: number
  /** How far back over a threshold a value must come before it counts as better, in its own unit. Default 0. */
  readonly hysteresis?: number
  /** For the reason: `ms`, `%`. */
  readonly unit?: string
  /** When a check without an answer counts as unhealthy. */
  readonly deadlineMs: number
}

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
  validate(everyMs, checks)
  const reports = new Observable<HealthReport>((out) => {
    const watches = checks.map((check) => new Watch(check, clock))
    const timer = every(clock, everyMs, (timeUs) => {
      let left = watches.length
      const emit = (): void => out.next(reportOf(timeUs, watches))
      if (left === 0) emit()
      for (const watch of watches) {
        watch.ask(everyMs, () => {
          if (--left === 0 && !out.closed) emit()
        })
      }
    })
    return () => {
      timer.cancel()
      for (const watch of watches) watch.stop()
    }
  })
  // A pipeline refuses to let it wait: time goes on.
  return Object.assign(reports, { cannotPause: true })
}

function reportOf(timeUs: number, watches: readonly Watch[]): HealthReport {
  const reports = watches.map((watch) => watch.report)
  const level = reports.reduce<HealthLevel>(
    (worst, report) => (RANK[report.level] > RANK[worst] ? report.level : worst),
    'healthy',
  )
  return { timeUs, level, reasons: reports.flatMap(({ reason }) => reason ?? []), checks: reports }
}

const RANK: Readonly<Record<HealthLevel, number>> = { healthy: 0, degraded: 1, unhealthy: 2 }

/** One check over time. */
class Watch {
  report: CheckReport
  /** The level of the last number: what hysteresis holds on to. */
  private level: HealthLevel = 'healthy'
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
    this.deadline = this.clock.after(Math.min(this.check.deadlineMs, everyMs), () => {
      this.late()
      tell()
    })
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

  private take(value: number | boolean): void {
    const { name } = this.check
    if (typeof value === 'boolean') this.say(value ? 'healthy' : 'unhealthy', undefined, `${name} says no.`)
    else if (Number.isNaN(value)) this.say('unhealthy', undefined, `${name} did not give a number.`)
    else {
      this.level = levelOf(this.check, value, this.level)
      this.say(this.level, value, `${name} ${describe(this.check, value, this.level)}.`)
    }
  }

  private failed(cause: unknown): void {
    this.say('unhealthy', undefined, `${this.check.name} failed: ${messageOf(cause)}.`)
  }

  private late(): void {
    const forMs = Math.round((this.clock.nowUs() - (this.askedAtUs ?? 0)) / 1_000)
    this.say('unhealthy', undefined, `${this.check.name} has not answered for ${forMs} ms.`)
  }

  private say(level: HealthLevel, value: number | undefined, reason: string): void {
    this.report = { name: this.check.name, level, value, reason: level === 'healthy' ? undefined : reason }
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

function validate(everyMs: number, checks: readonly HealthCheck[]): void {
  const refuse = (problem: string): never => {
    throw new Fault('OPTION_INVALID', `health cannot be watched: ${problem}.`)
  }
  if (!(everyMs >= 1 && everyMs < Infinity)) refuse(`everyMs is ${everyMs}, it should be 1 or more milliseconds`)
  const names = new Set<string>()
  for (const { name, deadlineMs, hysteresis = 0, ...check } of checks) {
    if (names.has(name)) refuse(`two checks have the name ${name}`)
    names.add(name)
    if (!(deadlineMs > 0)) refuse(`${name} has deadlineMs ${deadlineMs}, it should be above 0`)
    if (!(hysteresis >= 0)) refuse(`${name} has hysteresis ${hysteresis}, it should be 0 or more`)
    if ((check.degradedAbove ?? -Infinity) > (check.unhealthyAbove ?? Infinity))
      refuse(`${name} is unhealthy before it is degraded`)
    if ((check.degradedBelow ?? Infinity) < (check.unhealthyBelow ?? -Infinity))
      refuse(`${name} is unhealthy before it is degraded`)
  }
}
