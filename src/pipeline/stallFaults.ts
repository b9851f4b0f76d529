/**
 * The watch over the event loop in production: that it stood still is told as a fault, with the stage that was at work.
 *
 * Only what the code itself took counts: not collections of garbage, not a machine that had no processor to give. Of stalls
 * that follow one another each stage tells once in a while, with how often it happened and the longest.
 */
import type { Clock, Timer } from '../clock/clock'
import { LoopWatch } from '../metrics/stalls/loopWatch'
import type { Stall } from '../metrics/stalls/stall'
import { stageMarks } from '../metrics/stageMarks'
import { Fault } from '../model/fault'

export interface StallOptions {
  /** How long the loop may stand still by its own doing, milliseconds. Default 250. */
  readonly afterMs?: number
  /** Where a loop that does not come back is told of while it stands: `stderr`, after ten seconds. Default nowhere. */
  readonly hangs?: 'stderr'
}

export interface StallFaultsOptions extends StallOptions {
  readonly pipeline: string
  readonly clock: Clock
  readonly onFault: (fault: Fault) => void
}

const AFTER_MS = 250
const HANG_MS = 10_000
/** Runs that are over by then are watched by nobody: a thread costs more than they do. */
const BEGIN_AFTER_MS = 1_000
/** While everything is still being loaded and compiled, a stall has to be so many times as long to be told. */
const WARM_UP_MS = 4_000
const WARM_UP_TIMES = 4
/** One stage tells no more often than this. */
const TELL_EVERY_MS = 10_000
/** Stages that tell for themselves; those beyond tell as one. */
const STAGES_MAX = 100

/** Begins the watch; the returned function ends it. Throws for options that are none. */
export function tellStalls(options: StallFaultsOptions): () => void {
  const { afterMs = AFTER_MS, hangs, clock } = options
  if (!(afterMs >= 50 && afterMs <= 3_600_000)) {
    throw new Fault('OPTION_INVALID', `stalls.afterMs is ${afterMs}: give milliseconds from 50 to 3,600,000.`)
  }
  const teller = new StallTeller(options.pipeline, clock, options.onFault)
  let watch: LoopWatch | undefined
  let warm: Timer | undefined
  let isWarm = false
  const begin = clock.after(BEGIN_AFTER_MS, () => {
    watch = new LoopWatch({
      afterMs,
      ...(hangs === undefined ? {} : { hangMs: HANG_MS }),
      onStall: (stall) => {
        if (isWarm || stall.ownMs >= afterMs * WARM_UP_TIMES) teller.take(stall, stageMarks.pathOf(stall.stage))
      },
      onBroken: options.onFault,
    })
    watch.nameStages()
    warm = clock.after(WARM_UP_MS, () => (isWarm = true))
  })
  return () => {
    begin.cancel()
    warm?.cancel()
    watch?.stop()
    teller.end()
  }
}

interface Told {
  times: number
  longest: Stall
  untilUs: number
}

/** Turns stalls into faults, no more of them than somebody can read. */
export class StallTeller {
  private readonly stages = new Map<string, Told>()

  constructor(
    private readonly pipeline: string,
    private readonly clock: Clock,
    private readonly onFault: (fault: Fault) => void,
  ) {}

  /** @param stage  the path of the stage that was at work; undefined when none was */
  take(stall: Stall, stage: string | undefined): void {
    if (stall.cause !== 'code') return
    // Another pipeline of this process tells of its own stages.
    if (stage !== undefined && !stage.startsWith(`${this.pipeline}/`)) return
    const nowUs = this.clock.nowUs()
    const wanted = stage ?? ''
    const key = this.stages.has(wanted) || this.stages.size < STAGES_MAX ? wanted : ''
    const known = this.stages.get(key)
    if (known === undefined || nowUs >= known.untilUs) {
      this.tell(key, stall, known?.times ?? 0)
      this.stages.set(key, { times: 0, longest: stall, untilUs: nowUs + TELL_EVERY_MS * 1_000 })
      return
    }
    known.times++
    if (known.longest.lastedMs < stall.lastedMs) known.longest = stall
  }

  /** Tells what was only counted. */
  end(): void {
    for (const [stage, { times, longest }] of this.stages) if (times > 0) this.tell(stage, longest, times - 1)
    this.stages.clear()
  }

  private tell(stage: string, stall: Stall, further: number): void {
    const { lastedMs, ownMs, asleepMs, gcMs, starvedMs } = stall
    const who = stage === '' ? 'while no stage was at work' : `while the stage ${stage} was at work`
    const slept =
      asleepMs !== undefined && asleepMs > ownMs / 2
        ? ', asleep in a call that does not return before its work is done'
        : ''
    const often =
      further === 0 ? '' : ` (and ${further} ${further === 1 ? 'time' : 'times'} before since it was told last)`
    const message = `The event loop stood still for ${Math.round(lastedMs)} ms ${who}${slept}${often}: whatever came meanwhile is late. \`millrace doctor\` on the pipeline names the line.`
    const details = {
      ...(stage === '' ? {} : { stage }),
      lastedMs: Math.round(lastedMs),
      ownMs: Math.round(ownMs),
      gcMs: Math.round(gcMs),
      starvedMs: Math.round(starvedMs),
      further,
    }
    this.onFault(new Fault('LOOP_BLOCKED', message, details))
  }
}
