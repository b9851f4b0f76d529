/**
 * A run as a sink sees it that reports on it: `SinkContext.look`.
 *
 * Plain data, as it stands at the moment of asking. Whoever drains into a sink without a pipeline has none of it, and may
 * give the parts that it knows.
 */
import type { LatencyBucket } from '../metrics/histogram'
import type { Lineage } from '../model/events'

export interface RunLook {
  readonly pipeline: string
  /** `live`, `simulate` or `replay`. */
  readonly mode: string
  readonly seconds: number
  /** Records received, and events that they gave. */
  readonly records: number
  readonly events: number
  /** The instruments, whatever their keys. */
  readonly rows: ReadonlyMap<string, InstrumentLook>
  readonly edges: readonly EdgeLook[]
  readonly sinks: readonly SinkLook[]
  readonly stages: readonly StageLook[]
  readonly connections: readonly ConnectionLook[]
  /** How often each kind of fault was met. */
  readonly faults: Readonly<Record<string, number>>
  /** The last faults, oldest first. */
  readonly latestFaults: readonly FaultLook[]
  /** From a frame's receive stamp to the moment at which a value of it was safe at a sink; nothing in a replay. */
  readonly receiveToSink: LatencyLook
  /** Undefined where nothing is known of it. */
  readonly process?: ProcessLook | undefined
  /** How often the sources were held back by edges that may not drop, and for how long in all. */
  readonly held: { readonly times: number; readonly seconds: number }
}

export interface InstrumentLook {
  readonly exchange: string
  readonly name: string
  /** Of its book. `closed`: it was live until its connection was closed in order. */
  readonly state: 'waiting' | 'live' | 'gap' | 'down' | 'closed'
  readonly events: number
  readonly trades: number
  readonly gaps: number
  readonly resyncs: number
}

/** An edge and its account: `in = out + sum(dropped) + inFlight`. */
export interface EdgeLook {
  readonly from: string
  readonly to: string
  readonly kind: string
  readonly capacity: number
  readonly onFull: string
  readonly in: number
  readonly out: number
  readonly dropped: Readonly<Partial<Record<string, number>>>
  readonly inFlight: number
}

export interface SinkLook {
  readonly name: string
  readonly written: number
  readonly bytes: number
  readonly failed: number
  readonly retries: number
  /** Values that it gave up and that stand among the dead letters; undefined where there are none. */
  readonly deadLettered?: number
}

export interface StageLook {
  /** With the pipeline's name and its groups. */
  readonly path: string
  readonly state: string
  readonly failures: number
  readonly restarts: number
  readonly lastFault: string | undefined
}

export interface ConnectionLook {
  readonly exchange: string
  readonly state: string
  readonly attempts: number
  readonly trouble?: string | undefined
}

export interface FaultLook {
  /** Of the stream; undefined before its first record. */
  readonly timeUs: number | undefined
  readonly code: string
  readonly message: string
  /** What it was met on, where that is known. */
  readonly lineage?: Lineage | undefined
}

export interface LatencyLook {
  readonly count: number
  readonly p50: number
  readonly p99: number
  readonly max: number
  readonly buckets: readonly LatencyBucket[]
}

export interface ProcessLook {
  /** Of one core, since the start. */
  readonly cpuPercent: number
  readonly rssBytes: number
  readonly loopDelayMs: { readonly p50: number; readonly p99: number; readonly max: number }
}
