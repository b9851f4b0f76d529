import { createRequire } from 'node:module'
import type { MetricFamily } from '../metrics/metric'
import type { Fault } from '../model/fault'
import {
  describePipeline,
  type BranchBuilder,
  type DescribeOptions,
  type PipelineBuilder,
  type PipelineDescription,
  type Stream,
} from './description'
import { graphOf, type PipelineGraph, type RunningGraph } from './graph'
import type { OpenTelemetryOptions } from './openTelemetryOptions'
import type { QuarantinedMessage } from './quarantinedMessage'
import type { BranchHandle } from './run'
import type { RunHealth } from './runHealth'
import type { RunStatus, RunSummary } from './runSummary'
import type { ServeOptions } from './serveOptions'
import type { StageTrial, TrialOptions } from './stageTrial'
import type * as stageTrial from './stageTrial'
import type { StallOptions } from './stallFaults'
import type * as startRun from './startRun'

/** What runs a pipeline is loaded when one is run: it is more than half of what `import 'millrace'` would load. */
const load = createRequire(__filename)

export interface RunOptions {
  /** The exchanges themselves. */
  readonly live?: boolean
  /** The exchange simulator on loopback; the default. */
  readonly simulate?: boolean
  /** Recordings in the place of the exchanges. */
  readonly replay?: readonly string[]
  /** Of a replay: `max` (default), `real`, or a multiple such as `10x`. */
  readonly speed?: string
  /** Of a replay: begins with the first records of this time or later, microseconds since 1970. As of `replay()`. */
  readonly fromUs?: number
  /** Of a replay: ends before the first records of this time or later. */
  readonly toUs?: number
  /** Of a replay: each event says of which line of which recording it was made. Default false. */
  readonly lineage?: boolean
  /** The run stops by itself after so many seconds; a replay also at its end. */
  readonly seconds?: number
  /** The folder for sinks' relative paths; default `out`. */
  readonly out?: string
  /** Of the simulator. */
  readonly seed?: number
  /** Of the simulator: market frames per second, up to 50,000. */
  readonly messagesPerSecond?: number
  /** Of the simulator: faults, as `millrace simulate --faults`. */
  readonly faults?: string
  /** Records the run into this file. */
  readonly record?: string
  /** Digests what sinks write. */
  readonly digest?: boolean
  /**
   * Names the run. One that was killed may be repeated under its name over the same input: sinks that are effectively once
   * leave out what they hold of it. Default: none, every run is a new one.
   */
  readonly runId?: string
  /** The exchange whose protocol a replayed recording speaks, where its header names another. */
  readonly exchange?: string
  /** Hosts by exchange in the place of the exchanges' own. */
  readonly addresses?: ReadonlyMap<string, { readonly ws: string; readonly rest: string }>
  /**
   * Serves the run until it has ended: `/ping`, `/ready`, `/health`, `/metrics` and a page. A port, `[HOST:]PORT`, or more.
   * Default: not at all.
   */
  readonly serve?: number | string | ServeOptions
  /**
   * Tells OpenTelemetry what the run counts, and follows some frames as traces, through the package @opentelemetry/api. The
   * SDK is yours, registered before the run begins. Default: not at all.
   */
  readonly openTelemetry?: boolean | OpenTelemetryOptions
  /** Milliseconds that draining and flushing may take at the end; default 5,000. */
  readonly stopWithinMs?: number
  readonly onFault?: (fault: Fault) => void
  /**
   * False leaves out whatever of watching the run costs more than an addition: times of stages, latencies, what comes of each
   * channel and symbol. For measuring what it costs. Default true.
   *
   * @internal
   */
  readonly watching?: boolean
  /**
   * The watch over the event loop: that it stands still is a `LOOP_BLOCKED` fault, with the stage that was at work. Default on;
   * false: nobody watches.
   */
  readonly stalls?: StallOptions | false
  /** Puts instruments into what was described, before it is wired; the nodes know their places. For development. */
  readonly instrument?: (description: PipelineDescription) => PipelineDescription
  /** Aborting it stops the run in order. */
  readonly signal?: AbortSignal
}

/** A run under way. */
export interface RunHandle {
  /** Resolves when the run has ended. */
  readonly done: Promise<RunSummary>
  /** Resolves when the stages are at work and every required feed is synced; rejects when that cannot happen any more. */
  readonly ready: Promise<void>
  /** Ends it in order: sources, what is under way, sinks. */
  stop(): Promise<RunSummary>
  /** Ends it where it stands: what is under way is given up, and counted. */
  kill(): Promise<RunSummary>
  /** Resolves when everything that had been received before is written; rejects when that takes longer than `stopWithinMs`. */
  flush(): Promise<void>
  /**
   * Adds a branch while the run goes on; it is taken away again with `detach()`. The others lose nothing.
   *
   *     const branch = await run.attach(({ stream, sink }) => {
   *       sink(stream<Batch<Trade>>('trades'), jsonLines('out/trades.jsonl'), { capacity: 10_000, onFull: 'block' })
   *     })
   *
   * @throws `Fault` PIPELINE_INVALID with all problems at once
   */
  attach(build: (builder: BranchBuilder & StreamFinder) => void): Promise<BranchHandle>
  /** The pipeline's picture as it stands, with what waits on its edges and how its stages fare. */
  graph(): RunningGraph
  /** How it stands: edges with what waits, stages and their restarts, sinks, connections. */
  status(): RunStatus
  /** Everything that it counts and measures, as it stands at this moment; also after the end. */
  metrics(): readonly MetricFamily[]
  /** How it is: healthy, degraded or unhealthy, with a sentence for each check that is not well. From the first call on it is watched. */
  health(): RunHealth
}

/** Finds the streams of a running pipeline by their names. */
export interface StreamFinder {
  stream<T>(name: string): Stream<T>
}

/** A declarative pipeline: the value that a pipeline file exports by default. */
export interface Pipeline {
  readonly name: string
  /** Runs it to its end. Rejects with a `Fault` when it cannot begin; faults on the way are in the summary. */
  run(options?: RunOptions): Promise<RunSummary>
  /** Begins a run and hands it over. */
  start(options?: RunOptions): RunHandle
  /** What it describes. Throws PIPELINE_INVALID with all problems. */
  describe(options?: DescribeOptions): PipelineDescription
  /** Its picture, without running it. Throws PIPELINE_INVALID with all problems. */
  graph(): PipelineGraph
  /** Gives a message that a stage failed on once more to a new instance of that stage, alone. */
  retry(message: QuarantinedMessage, options?: TrialOptions): Promise<StageTrial>
}

/**
 * Describes a pipeline. `build` is called for each picture and each run, so that every run has operators and sinks of its
 * own.
 *
 * @throws `Fault` PIPELINE_INVALID with all problems at once, each with its place, when it is run or drawn
 */
export function pipeline(name: string, build: (builder: PipelineBuilder) => void): Pipeline {
  const describe = (options?: DescribeOptions): PipelineDescription => describePipeline(name, build, options)
  const made: Pipeline = {
    name,
    run: async (options) => made.start(options).done,
    start: (options = {}) => {
      const { instrument } = options
      const description = instrument === undefined ? describe() : instrument(describe({ places: true }))
      return (load('./startRun') as typeof startRun).startRun(description, options)
    },
    describe,
    graph: () => graphOf(describe()),
    retry: (message, options) => (load('./stageTrial') as typeof stageTrial).tryStage(describe(), message, options),
  }
  return made
}
