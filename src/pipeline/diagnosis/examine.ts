/**
 * A pipeline under examination: an ordinary run with instruments in it, looked at from a thread of its own.
 */
import { performance } from 'node:perf_hooks'
import { liveClock } from '../../clock/liveClock'
import { every } from '../../clock/clock'
import { OWN_FOLDERS } from '../../metrics/stalls/callPlace'
import { monotonicUs } from '../../metrics/stalls/heartbeat'
import type { FoundAllocation, LinesFound } from '../../metrics/stalls/lineDetective'
import { LoopWatch } from '../../metrics/stalls/loopWatch'
import type { RunningPlace, SourceLine } from '../../metrics/stalls/sourceLines'
import type { Stall } from '../../metrics/stalls/stall'
import { Fault } from '../../model/fault'
import type { Pipeline, RunHandle, RunOptions } from '../pipeline'
import type { RunMode, RunStatus, RunSummary } from '../runSummary'
import { EdgeLooks } from './edgeLooks'
import { findingsOf, type ObservedStage, type PipelineFinding } from './findings'
import { Instruments, type Observed } from './instruments'

export interface DiagnoseOptions extends Omit<RunOptions, 'seconds' | 'stalls' | 'instrument'> {
  /** How long it is observed. Default 20; a replay may end before. */
  readonly seconds?: number
  /** Called twice a second: how much of the time is over, from 0 to 1, and how the run stands. */
  readonly onProgress?: (share: number, status: RunStatus) => void
  /**
   * Ends the process when the loop stands still for ten seconds and the time of observation: for a program that does nothing
   * else, since a loop that does not come back hears no signal. That it stands, and where, is said on standard error in any case
   * after ten seconds. Default false.
   */
  readonly endHung?: boolean
}

export interface Diagnosis {
  readonly format: 'millrace-doctor/1'
  /** True when nothing was found. */
  readonly ok: boolean
  readonly pipeline: string
  readonly mode: RunMode
  /** Seconds from the first record on. */
  readonly seconds: number
  readonly findings: readonly PipelineFinding[]
  readonly loop: LoopDiagnosis
  /** What was allocated, by the functions of the pipeline's that did; most first. */
  readonly allocations: readonly AllocationSite[]
  /** Of everything, bytes; estimated from samples. */
  readonly allocatedBytes: number
  readonly edges: readonly EdgeDiagnosis[]
  /** What limits what can be said, in sentences; empty when nothing does. */
  readonly notes: readonly string[]
  readonly summary: RunSummary
}

export interface LoopDiagnosis {
  /** Share of the time in which it was busy, 0 to 1. */
  readonly utilization: number
  /** Times in which it stood still, by whose doing that was, and the longest, milliseconds. */
  readonly stalls: Readonly<Record<'code' | 'gc' | 'machine', { readonly times: number; readonly longestMs: number }>>
  readonly gcMs: number
}

export interface AllocationSite {
  readonly file: string
  /** Where the function begins. */
  readonly line: number
  readonly text: string
  readonly functionName: string
  readonly bytes: number
}

export interface EdgeDiagnosis {
  readonly from: string
  readonly to: string
  readonly capacity: number
  readonly onFull: string
  readonly highWater: number
  /** Share of the looks at which it was full. */
  readonly fullShare: number
}

const SECONDS = 20
/** How long the loop may stand still by its own doing. */
const STALL_MS = 100
/** From then on a loop that stands still is told of while it does. */
const HANG_MS = 10_000
/** So long after the first record everything is still being compiled. */
const EARLY_MS = 2_000
const LOOK_EVERY_MS = 250
const PROGRESS_EVERY = 2
const SAMPLE_EVERY_US = 500
/** Stalls that are remembered, and allocations that are told. */
const STALLS_MAX = 1_000
const ALLOCATIONS_MAX = 10
/** Looks at which a replay has read nothing more: it waits for its stages. */
const QUIET_LOOKS = 4

/** See `diagnose`. */
export async function examine(pipeline: Pipeline, options: DiagnoseOptions = {}): Promise<Diagnosis> {
  const { seconds = SECONDS, onProgress, endHung = false, ...run } = options
  if (!(seconds > 0 && seconds <= 86_400)) {
    throw new Fault('OPTION_INVALID', `A pipeline is diagnosed for ${seconds} seconds: give a number up to 86,400.`)
  }
  const endMs = endHung ? HANG_MS + seconds * 1_000 : Infinity
  return new Examination(pipeline, run, { seconds, endMs, onProgress }).run()
}

interface ObservationOptions {
  readonly seconds: number
  readonly endMs: number
  readonly onProgress: DiagnoseOptions['onProgress']
}

class Examination {
  private readonly instruments = new Instruments()
  private readonly edges = new EdgeLooks()
  private readonly stalls: Stall[] = []
  private readonly watch: LoopWatch
  private broken: Fault | undefined
  private firstUs: number | undefined
  private recordsBefore = 0
  private quietLooks = 0
  private held: ReadonlyMap<Observed, number> | undefined
  private heldAsked: Promise<void> | undefined

  constructor(
    private readonly pipeline: Pipeline,
    private readonly options: Omit<DiagnoseOptions, 'seconds' | 'onProgress' | 'endHung'>,
    private readonly how: ObservationOptions,
  ) {
    this.watch = new LoopWatch({
      afterMs: STALL_MS,
      hangMs: HANG_MS,
      endMs: how.endMs,
      lines: { ownFolders: OWN_FOLDERS, sampleEveryUs: SAMPLE_EVERY_US },
      onStall: (stall) => {
        if (this.stalls.length < STALLS_MAX) this.stalls.push(stall)
      },
      onBroken: (fault) => (this.broken = fault),
    })
  }

  async run(): Promise<Diagnosis> {
    const { watch, instruments, pipeline } = this
    try {
      await watch.startLines()
      instruments.asyncWork.start()
      const handle = pipeline.start({ ...this.options, stalls: false, instrument: instruments.prepare })
      try {
        return await this.observe(handle)
      } finally {
        await handle.kill().catch(() => undefined)
      }
    } finally {
      instruments.asyncWork.stop()
      watch.stop()
    }
  }

  private async observe(handle: RunHandle): Promise<Diagnosis> {
    const startedUs = liveClock.nowUs()
    const before = performance.eventLoopUtilization()
    let looks = 0
    const timer = every(liveClock, LOOK_EVERY_MS, (nowUs) => {
      const status = handle.status()
      this.look(status)
      if (looks++ % PROGRESS_EVERY === 0)
        this.how.onProgress?.(Math.min(1, (nowUs - startedUs) / 1e6 / this.how.seconds), status)
    })
    let status: RunStatus
    try {
      await this.over(handle)
      status = handle.status()
      this.look(status)
    } finally {
      timer.cancel()
    }
    const { utilization } = performance.eventLoopUtilization(before)
    const observedSeconds = this.firstUs === undefined ? 0 : (monotonicUs() - this.firstUs) / 1e6
    await (this.heldAsked ?? this.measureHeld())
    this.instruments.asyncWork.stop()
    const lines = await this.watch.lines({ places: this.places })
    const observed = this.observedStages(lines)
    this.watch.stop() // stalls that have ended are told
    const summary = await handle.stop()
    return this.diagnosis(status, observedSeconds, utilization, lines, observed, summary)
  }

  /** Resolves when the time is over, or the run. */
  private over(handle: RunHandle): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = liveClock.after(this.how.seconds * 1_000, resolve)
      const abort = (): void => resolve()
      this.options.signal?.addEventListener('abort', abort, { once: true })
      handle.done
        .then(() => resolve(), reject)
        .finally(() => {
          timer.cancel()
          this.options.signal?.removeEventListener('abort', abort)
        })
    })
  }

  private look(status: RunStatus): void {
    const { records, mode } = status
    if (this.firstUs === undefined) {
      // As soon as they are wired: a loop that does not come back tells no names.
      this.watch.nameStages()
      if (records > 0 || status.edges.some((edge) => edge.in > 0)) this.firstUs = monotonicUs()
    }
    this.edges.look(status.edges)
    this.quietLooks = records > 0 && records === this.recordsBefore ? this.quietLooks + 1 : 0
    this.recordsBefore = records
    // A replay that has read everything waits for what its stages still hold, and then gives them up.
    if (mode === 'replay' && this.quietLooks === QUIET_LOOKS) this.heldAsked ??= this.measureHeld()
  }

  private async measureHeld(): Promise<void> {
    await this.watch.collectGarbage()
    this.held = new Map(this.instruments.observed.map((each) => [each, each.held()]))
  }

  /** Of the stages first, then of what they wait for, stage by stage. */
  private get places(): RunningPlace[] {
    return this.instruments.observed.flatMap(({ place, waits }) => [
      place ?? NOWHERE,
      ...[...waits.values()].map((wait) => wait.place ?? NOWHERE),
    ])
  }

  private observedStages({ places }: LinesFound): ObservedStage[] {
    let at = 0
    return this.instruments.observed.map((each) => {
      const { number, path, kind, received, objects, begun, waits } = each
      const place = places[at++]
      return {
        ...{ number, path, kind, place, received, objects, begun },
        held: this.held?.get(each) ?? 0,
        waits: [...waits.values()].map(({ times, ms, promised }) => ({ place: places[at++], times, ms, promised })),
      }
    })
  }

  private diagnosis(
    status: RunStatus,
    seconds: number,
    utilization: number,
    lines: LinesFound,
    stages: readonly ObservedStage[],
    summary: RunSummary,
  ): Diagnosis {
    const { mode, pipeline, held } = status
    const firstUs = this.firstUs ?? monotonicUs()
    const stalls = this.stalls
      .filter(({ startedUs, lastedMs }) => startedUs + lastedMs * 1_000 >= firstUs)
      .map((stall) => ({ ...stall, early: stall.startedUs < firstUs + EARLY_MS * 1_000 }))
    const paths = new Map(this.instruments.observed.map(({ name, path }) => [name, path]))
    const edges = this.edges.observed((name) => paths.get(name) ?? name)
    const findings = findingsOf({
      ...{ mode, seconds, stages, edges, stalls, lines },
      loopUtilization: utilization,
      heldBackSeconds: held.seconds,
    })
    return {
      format: 'millrace-doctor/1',
      ok: findings.length === 0,
      pipeline,
      mode,
      seconds: Math.round(seconds * 10) / 10,
      findings,
      loop: {
        utilization: Math.round(utilization * 1_000) / 1_000,
        stalls: sums(stalls),
        gcMs: Math.round(lines.gcMs),
      },
      allocations: lines.allocations.flatMap(siteOf).slice(0, ALLOCATIONS_MAX),
      allocatedBytes: lines.allocatedBytes,
      edges: edges.map(({ from, to, capacity, onFull, highWater, looks, full }) => ({
        ...{ from, to, capacity, onFull, highWater },
        fullShare: looks === 0 ? 0 : Math.round((full / looks) * 1_000) / 1_000,
      })),
      notes: this.notes(stalls, status),
      summary,
    }
  }

  private notes(stalls: readonly Stall[], { records, edges }: RunStatus): string[] {
    const notes: string[] = []
    if (records === 0 && !edges.some((edge) => edge.in > 0)) {
      notes.push('Nothing was received: a pipeline at rest shows nothing. Choose where its messages come from.')
    }
    const machineMs = stalls.reduce((sum, { cause, starvedMs }) => (cause === 'machine' ? sum + starvedMs : sum), 0)
    if (machineMs > this.how.seconds * 50) {
      notes.push(
        `The machine was busy with other things: for ${(machineMs / 1_000).toFixed(1)} s the event loop got no processor. Figures are rougher than on a quiet machine.`,
      )
    }
    if (this.broken !== undefined) notes.push(this.broken.message)
    return notes
  }
}

/** Stands for a place that is not known. */
const NOWHERE: RunningPlace = { url: '', line: 0 }

function sums(stalls: readonly Stall[]): LoopDiagnosis['stalls'] {
  const of = (wanted: Stall['cause']): { times: number; longestMs: number } => {
    const these = stalls.filter(({ cause }) => cause === wanted)
    return {
      times: these.length,
      longestMs: Math.round(these.reduce((longest, { lastedMs }) => Math.max(longest, lastedMs), 0)),
    }
  }
  return { code: of('code'), gc: of('gc'), machine: of('machine') }
}

function siteOf({ place, functionName, bytes }: FoundAllocation): AllocationSite[] {
  return place === undefined ? [] : [{ ...lineOf(place), functionName, bytes }]
}

function lineOf({ file, line, text }: SourceLine): SourceLine {
  return { file, line, text }
}
