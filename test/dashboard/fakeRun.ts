/** A run as its server and its dashboard see it, whose every word belongs to the test. */
import { viewOf } from '../kit/marketEvents'
import type { WatchedRun } from '../../src/dashboard/watchedRun'
import type { ServedRun } from '../../src/dashboard/servedRun'
import type { MetricFamily } from '../../src/metrics/metric'
import type { RunningGraph } from '../../src/pipeline/graph'
import type { InstrumentRow } from '../../src/pipeline/monitor'
import type { RunHealth } from '../../src/pipeline/runHealth'
import type { Glance, RunPhase, RunStatus } from '../../src/pipeline/runSummary'
import { noLatencies } from '../../src/pipeline/watching'

export const T_US = 1_700_000_000_000_000

export type FakeRow = { -readonly [K in keyof InstrumentRow]: InstrumentRow[K] }

export class FakeRun implements ServedRun, WatchedRun {
  phase: RunPhase = 'running'
  connections: RunStatus['connections'] = []
  families: readonly MetricFamily[] = []
  state: RunHealth = { timeUs: T_US, level: 'healthy', reasons: [], checks: [], reactions: [] }
  nodes: RunningGraph['nodes'] = []
  readonly rows = new Map<string, FakeRow>()
  readonly faults: Record<string, number> = {}
  readonly latestFaults: { timeUs: number; code: string; message: string }[] = []
  seconds = 0
  /** How often it was looked at, and its metrics were read. */
  looks = 0
  reads = 0
  settle!: { resolve: () => void; reject: (error: Error) => void }
  readonly ready = new Promise<void>((resolve, reject) => (this.settle = { resolve, reject }))

  constructor() {
    this.ready.catch(() => undefined)
  }

  addRow(exchange: string, name: string): FakeRow {
    const row: FakeRow = {
      ...{ exchange, name, state: 'live', events: 1, trades: 0, gaps: 0, resyncs: 0, lastUs: T_US },
      ...{ bidPrice: undefined, askPrice: undefined, levels: undefined, view: undefined, stale: [] },
    }
    this.rows.set(`${exchange} ${name}`, row)
    return row
  }

  fault(message: string): void {
    this.faults['BOOK_GAP'] = (this.faults['BOOK_GAP'] ?? 0) + 1
    this.latestFaults.push({ timeUs: T_US, code: 'BOOK_GAP', message })
    if (this.latestFaults.length > 200) this.latestFaults.shift()
  }

  metrics(): readonly MetricFamily[] {
    this.reads++
    return this.families
  }

  health(): RunHealth {
    return this.state
  }

  glance(): Glance {
    return { ...this.status(), graph: this.graph(), health: this.health() }
  }

  private graph(): RunningGraph {
    return { format: 'millrace-graph/1', running: true, pipeline: 'fake', nodes: this.nodes, edges: [] }
  }

  status(): RunStatus {
    this.looks++
    return {
      ...{ phase: this.phase, pipeline: 'fake', mode: 'live', seconds: this.seconds, progress: undefined },
      ...{ records: 0, events: 0, streamTimeUs: T_US, held: { times: 0, seconds: 0 } },
      ...{ rows: this.rows, connections: this.connections, streams: [] },
      ...{ edges: [], sinks: [], stages: [], quarantine: undefined },
      faults: { ...this.faults },
      latestFaults: this.latestFaults.slice(),
      latencyUs: noLatencies(),
      receiveToSink: { count: 0, p50: 0, p99: 0, max: 0, buckets: [] },
      tree: { name: 'fake', kind: 'run', state: 'running', restarts: 0, failures: 0, quarantined: 0, children: [] },
    }
  }
}

/** A change of a row, with the book that it leads to. */
export function moveRow(row: FakeRow, bid: number, step: number): void {
  row.events++
  row.lastUs = T_US + step * 1_000
  row.bidPrice = bid
  row.askPrice = bid + 1
  row.view = viewOf([[bid, 2]], [[bid + 1, 3]], { receiveTimeUs: row.lastUs })
}

/** So many series of one gauge. */
export function gauge(name: string, many: number, value = 1): MetricFamily {
  const samples = Array.from({ length: many }, (_, index) => ({ labels: { symbol: `S${index}` }, value }))
  return { name, kind: 'gauge', unit: 'values', meaning: 'Meaning.', samples }
}
