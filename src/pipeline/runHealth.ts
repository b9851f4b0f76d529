/**
 * The health of a run: built-in checks (`vitals.ts`) and the pipeline's own, asked on a timer of the machine's clock; and what
 * the pipeline says is to be done while the run is not well.
 *
 * Nothing is watched before somebody wants to know, unless the pipeline declares health: then from the beginning. What is
 * said last stands, also after the run has ended. On a replay nothing is done: it goes no faster than the run can follow, and
 * what a sink is given must not depend on the machine.
 */
import { Observable } from 'rxjs'
import { ambient } from '../clock/ambient'
import type { Clock } from '../clock/clock'
import { HealthWatch, type HealthLevel, type HealthReport } from '../metrics/health'
import { Fault } from '../model/fault'
import { wordsOfReaction, type HealthDeclaration, type Reaction } from './healthDeclaration'
import { builtInChecks, type Vitals } from './vitals'

/** How a run is, as a whole and check by check, with a sentence for each check that is not well. */
export interface RunHealth extends HealthReport {
  readonly reactions: readonly ReactionReport[]
}

/** A reaction that the pipeline declares, and whether it is in force. */
export interface ReactionReport {
  /** What is done, in words. */
  readonly does: string
  readonly inForce: boolean
  /** When it came into force, or was undone; undefined before it ever was. */
  readonly sinceUs: number | undefined
  /** How often it came into force. */
  readonly times: number
}

export interface HealthBoardOptions {
  /** The machine's. */
  readonly clock: Clock
  readonly declared: HealthDeclaration | undefined
  /** Reads how the run fares. */
  readonly look: () => Vitals
  /** False where nothing is to be done, only said. */
  readonly reacts: boolean
  /** Does what a reaction says, or undoes it. */
  readonly act: (reaction: Reaction, inForce: boolean) => void
  /** Told of each reaction that comes into force or is undone. */
  readonly onFault: (fault: Fault) => void
}

/** How often checks are asked where nothing else is said. */
const EVERY_MS = 1_000
const UNDO_AFTER_MS = 30_000

export class HealthBoard {
  private readonly watch: HealthWatch
  private readonly reactions: readonly ReactionState[]
  private readonly readers = new Set<(health: RunHealth) => void>()
  /** Read once a round, by the first check that asks. */
  private vitals: Vitals | undefined

  constructor(private readonly options: HealthBoardOptions) {
    const { clock, declared, look, reacts } = options
    const builtIn = builtInChecks(() => (this.vitals ??= look()), declared?.builtIn)
    this.reactions = reacts ? (declared?.reactions ?? []).map((reaction) => new ReactionState(reaction)) : []
    const checks = [...builtIn, ...(declared?.checks ?? [])]
    this.watch = new HealthWatch({ everyMs: declared?.everyMs ?? EVERY_MS, checks, clock }, (report) =>
      this.reported(report),
    )
  }

  get report(): RunHealth {
    return this.healthOf(this.watch.report)
  }

  /** Asks all checks now. */
  ask(): void {
    this.watch.ask()
  }

  /** Calls `reader` with each report, until what is returned is called. */
  follow(reader: (health: RunHealth) => void): () => void {
    this.readers.add(reader)
    return () => void this.readers.delete(reader)
  }

  stop(): void {
    this.watch.stop()
    this.readers.clear()
  }

  private reported(report: HealthReport): void {
    this.vitals = undefined
    for (const state of this.reactions) {
      const turned = state.turn(report, this.options.clock.nowUs())
      if (!turned) continue
      this.options.act(state.reaction, state.inForce)
      this.options.onFault(faultOf(state, report))
    }
    if (this.readers.size === 0) return
    const health = this.healthOf(report)
    for (const reader of [...this.readers]) reader(health)
  }

  private healthOf(report: HealthReport): RunHealth {
    return { ...report, reactions: this.reactions.map((state) => state.report) }
  }
}

/** One reaction over time. */
class ReactionState {
  inForce = false
  private sinceUs: number | undefined
  private times = 0
  /** Since when the level asks for the other state. */
  private otherUs: number | undefined

  constructor(readonly reaction: Reaction) {}

  get report(): ReactionReport {
    const { reaction, inForce, sinceUs, times } = this
    return { does: wordsOfReaction(reaction), inForce, sinceUs, times }
  }

  /** True when it came into force now, or was undone. */
  turn(report: HealthReport, nowUs: number): boolean {
    const { when, of, afterMs = 0, undoAfterMs = UNDO_AFTER_MS } = this.reaction
    const level = of === undefined ? report.level : report.checks.find(({ name }) => name === of)?.level
    const wanted = isAtLeast(level ?? 'healthy', when)
    if (wanted === this.inForce || (this.inForce && 'stop' in this.reaction)) {
      this.otherUs = undefined
      return false
    }
    this.otherUs ??= nowUs
    if (nowUs - this.otherUs < (wanted ? afterMs : undoAfterMs) * 1_000) return false
    this.otherUs = undefined
    this.inForce = wanted
    this.sinceUs = nowUs
    if (wanted) this.times++
    return true
  }
}

function isAtLeast(level: HealthLevel, when: Reaction['when']): boolean {
  return level === 'unhealthy' || (level === 'degraded' && when === 'degraded')
}

function faultOf({ reaction, inForce }: ReactionState, report: HealthReport): Fault {
  const does = wordsOfReaction(reaction)
  const about = reaction.of === undefined ? 'The run' : `What the check ${reaction.of} looks at`
  const reason = report.checks.find(
    ({ name, reason: why }) => why !== undefined && (reaction.of ?? name) === name,
  )?.reason
  const because = reason === undefined ? '' : ` ${reason}`
  const message = inForce
    ? `${about} is ${reaction.when}, so ${does}.${because}`
    : `${about} is well enough again: no longer ${does}.`
  return new Fault('RUN_UNWELL', message, { does, inForce, level: report.level })
}

/** What follows the board of the run that is being wired. */
type Following = (reader: (health: RunHealth) => void) => () => void

const boards = ambient<Following | undefined>(undefined)

/** Calls `wire` with the health of a run at hand, for {@link runHealth}. */
export const runWithHealth: <R>(follow: Following | undefined, wire: () => R) => R = boards.runWith

/**
 * The health of the run as a stream: a source of a pipeline, to be written or shown like any other.
 *
 * Emits      a report each time all checks have been asked: as often as the pipeline's `health({ everyMs })` says, default
 *            each second
 * Completes  never
 * Errors     `OPTION_INVALID` outside of a run
 * Holds      nothing
 */
export function runHealth(): Observable<RunHealth> {
  const reports = new Observable<RunHealth>((out) => {
    const follow = boards.current()
    if (follow === undefined) {
      out.error(new Fault('OPTION_INVALID', 'runHealth() is a source of a pipeline: outside of a run there is none.'))
      return undefined
    }
    return follow((health) => out.next(health))
  })
  // A pipeline refuses to let it wait: time goes on.
  return Object.assign(reports, { cannotPause: true })
}

/** Of a run whose sources are not open yet. */
export function notBegun(nowUs: number): RunHealth {
  return { timeUs: nowUs, level: 'degraded', reasons: ['The run has not begun yet.'], checks: [], reactions: [] }
}
