/**
 * What is said of a run: while it goes on, and when it is over.
 */
import type { LatencySummary } from '../metrics/histogram'
import type { LatencyPart } from '../metrics/latencyBudget'
import type { FaultLook, LatencyLook, SinkLook } from '../sinks/runLook'
import type { RunningGraph } from './graph'
import type { ProcessCost } from './host'
import type { Market, MarketProgress } from './market'
import type { Monitor } from './monitor'
import type { RunHealth } from './runHealth'
import type { EdgeReport, SinkReport, StageStanding } from './stageGraph'
import type { StageReport } from './stageRunner'
import type { StreamRow } from './streamRows'
import type { SupervisionTree } from './supervisionTree'

export type RunMode = 'live' | 'simulate' | 'replay'

export interface RunSummary {
  readonly format: 'millrace-run/1'
  readonly pipeline: string
  readonly mode: RunMode
  readonly seconds: number
  readonly edges: readonly EdgeReport[]
  readonly sinks: readonly SinkReport[]
  readonly faults: Readonly<Record<string, number>>
  readonly books: { readonly live: number; readonly gaps: number; readonly resyncs: number }
  /** How each stage has fared; only those that have failed. */
  readonly stages: readonly StageReport[]
  /** Messages that stages failed on, and where they are kept; undefined when there were none. */
  readonly quarantine: { readonly kept: number; readonly unkept: number; readonly file: string | undefined } | undefined
  readonly held: Held
  readonly latencyUs: { readonly receiveToSink: { readonly p50: number; readonly p99: number; readonly max: number } }
  readonly process: ProcessCost
  /** What was not repaired, in sentences; empty when all is well. */
  readonly problems: readonly string[]
}

/** `starting` until its stages are at work, `stopping` from the decision to end until its summary, then `ended`. */
export type RunPhase = 'starting' | 'running' | 'stopping' | 'ended'

/** A run as it is now, for a terminal view or a notebook. */
export interface RunStatus {
  readonly phase: RunPhase
  readonly pipeline: string
  readonly mode: RunMode
  readonly seconds: number
  readonly records: number
  readonly events: number
  /** The stream's time; undefined before the first record. */
  readonly streamTimeUs: number | undefined
  /** Of a replay: how far it is; undefined of what has no end. */
  readonly progress: MarketProgress | undefined
  readonly rows: Monitor['rows']
  readonly edges: readonly EdgeReport[]
  readonly sinks: readonly SinkStanding[]
  readonly stages: readonly StageStanding[]
  /** Each channel of each symbol: what has come, how fast, and how long ago. */
  readonly streams: readonly StreamRow[]
  /** Of frames that were followed from the exchange to a sink; nothing in a replay. */
  readonly latencyUs: Readonly<Record<LatencyPart, LatencySummary>>
  readonly faults: Readonly<Record<string, number>>
  /** The last ones, oldest first. */
  readonly latestFaults: readonly FaultLook[]
  /** What `latencyUs` says of it, with how it is spread. */
  readonly receiveToSink: LatencyLook
  readonly connections: ReturnType<Market['connections']>
  /** Who supervises whom, and how everyone fares. */
  readonly tree: SupervisionTree
  readonly quarantine: RunSummary['quarantine']
  readonly held: Held
  /** How it is, and what is done about that; absent where the pipeline declares no health and nobody has asked. */
  readonly health?: RunHealth
}

/** What a page shows of a run at one moment: what status, picture and health say of it, without all that no page shows. */
export interface Glance extends Pick<
  RunStatus,
  | 'phase'
  | 'seconds'
  | 'records'
  | 'events'
  | 'streamTimeUs'
  | 'progress'
  | 'rows'
  | 'faults'
  | 'latestFaults'
  | 'receiveToSink'
  | 'connections'
  | 'held'
> {
  readonly sinks: readonly SinkLook[]
  /** Of the nodes of the picture those that can fail. */
  readonly stages: readonly StageReport[]
  readonly graph: RunningGraph
  readonly health: RunHealth
}

/** A sink while the run goes on. */
export interface SinkStanding extends SinkReport {
  /** Attempts to write a batch again. */
  readonly retries: number
}

/** How often, and for how long in all, the sources were held back because an edge that may not drop was full. */
export interface Held {
  readonly times: number
  readonly seconds: number
}
