/**
 * What the server of a run and its page say to each other over their WebSocket: `millrace-dashboard/1`, JSON texts.
 *
 * The server begins with a hello. Then come ticks, each with what has changed since the last one that it sent: what stood
 * in between is left out, so that a page that reads slowly sees fewer moments and not older ones. There is one tick on its
 * way at a time: the next one comes when the page has said `{"seen":n}`.
 *
 * Prices and sizes are the numbers of the events; what is not known is null. Times are milliseconds since 1970.
 */
export const LIVE_FORMAT = 'millrace-dashboard/1'

export type LiveMessage = HelloMessage | TickMessage

export interface HelloMessage {
  readonly type: 'hello'
  readonly format: typeof LIVE_FORMAT
  /** Of this run of this server: a page that meets another begins afresh. */
  readonly run: string
  readonly pipeline: string
  readonly mode: string
  /** How often ticks come at most. */
  readonly everyMs: number
}

/** A moment. What is left out is as it was. */
export interface TickMessage {
  readonly type: 'tick'
  readonly tick: number
  readonly atMs: number
  readonly run?: RunPart
  /** The shape of the pipeline; `nodes` and `edges` are in its order. */
  readonly graph?: GraphPart
  readonly nodes?: readonly NodePart[]
  readonly edges?: readonly EdgePart[]
  /** Rows that are new, `[exchange, name]`; they are numbered in the order in which they come, from 0. */
  readonly names?: readonly (readonly [exchange: string, name: string])[]
  readonly rows?: readonly RowPart[]
  readonly connections?: readonly ConnectionPart[]
  readonly sinks?: readonly SinkPart[]
  readonly faults?: FaultsPart
  readonly latency?: LatencyPart
  readonly loop?: LatencyPart
  readonly process?: ProcessPart
  readonly health?: HealthPart
  /** Of the instrument that the page watches, when its book has changed. */
  readonly book?: BookPart
}

export interface RunPart {
  readonly seconds: number
  readonly records: number
  readonly events: number
  /** The stream's time; null before the first record. */
  readonly streamMs: number | null
  readonly heldTimes: number
  readonly heldSeconds: number
  /** Of a replay, from 0 to 1; null of what has no end. */
  readonly progress: number | null
  /** True when the run has ended: nothing more will come of it. */
  readonly ended: boolean
}

export interface GraphPart {
  readonly nodes: readonly {
    readonly name: string
    readonly kind: 'source' | 'stage' | 'sink'
    readonly group?: string
    readonly deadLetters?: string
  }[]
  readonly edges: readonly {
    readonly from: string
    readonly to: string
    readonly kind: string
    readonly capacity: number
    readonly onFull: string
    readonly feedback?: true
  }[]
}

export type NodePart = readonly [
  state: string,
  restarts: number,
  failures: number,
  quarantined: number,
  lastFault: string | null,
]

/** `lost`: dropped, and nothing newer stands for it; `superseded`: conflated, or replaced by the latest. */
export type EdgePart = readonly [
  received: number,
  sent: number,
  waiting: number,
  highWater: number,
  lost: number,
  superseded: number,
]

export type RowPart = readonly [
  row: number,
  state: string,
  events: number,
  trades: number,
  gaps: number,
  resyncs: number,
  /** Of its last event. */
  lastMs: number,
  bid: number | null,
  ask: number | null,
  bidLevels: number | null,
  askLevels: number | null,
  /** Channels of it that are stale, as they are called; empty when none is. */
  stale: string,
]

export interface ConnectionPart {
  readonly exchange: string
  readonly url: string
  readonly state: string
  readonly sinceMs: number | null
  readonly attempts: number
  readonly trouble: string | null
}

export type SinkPart = readonly [
  name: string,
  written: number,
  bytes: number,
  failed: number,
  retries: number,
  deadLettered: number,
]

export interface FaultsPart {
  readonly counts: Readonly<Record<string, number>>
  /** All so far. */
  readonly total: number
  /** Those that the page has not seen, oldest first; of many the last. */
  readonly latest: readonly (readonly [atMs: number | null, code: string, message: string])[]
}

/** In microseconds. */
export interface LatencyPart {
  readonly count: number
  readonly p50: number
  readonly p99: number
  readonly max: number
  readonly buckets: readonly (readonly [fromUs: number, toUs: number, count: number])[]
}

/** Of one second. */
export interface ProcessPart {
  readonly atMs: number
  readonly cpuPercent: number | null
  readonly rssBytes: number | null
  readonly heapUsedBytes: number
  /** Milliseconds. */
  readonly loopP50: number
  readonly loopP99: number
  readonly loopMax: number
  /** 0 to 1. */
  readonly loopBusy: number
  readonly gcPauseMs: number
}

export interface HealthPart {
  readonly level: 'healthy' | 'degraded' | 'unhealthy'
  readonly reasons: readonly string[]
  /** What is done about it at the moment, in words. */
  readonly reactions: readonly string[]
}

export interface BookPart {
  readonly exchange: string
  readonly name: string
  /** False while the book cannot vouch for itself, or is not kept at all: then there are no levels. */
  readonly live: boolean
  /** Whether anything in the pipeline keeps a book of it. */
  readonly kept: boolean
  /** When it was received, in microseconds. */
  readonly receiveTimeUs: number | null
  /** Price and size in turn, best first. */
  readonly bids: readonly number[]
  readonly asks: readonly number[]
}

/** What a page may say, one of these at a time. Anything else is ignored, and counted. */
export type ClientMessage =
  | { readonly seen: number }
  | { readonly watch: { readonly exchange: string; readonly name: string } | null }
  | { readonly paused: boolean }
