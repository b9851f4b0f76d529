/** A run as a dashboard sees it, whose every word belongs to the test. */
import { viewOf } from '../kit/marketEvents'
import type { WatchedRun } from '../../src/dashboard/lookAt'
import type { RunningGraph } from '../../src/pipeline/graph'
import type { InstrumentRow } from '../../src/pipeline/monitor'
import type { RunHealth } from '../../src/pipeline/runHealth'
import type { RunStatus, RunSummary } from '../../src/pipeline/runSummary'
import { noLatencies } from '../../src/pipeline/watching'

export const T_US = 1_700_000_000_000_000

export type PretendRow = { -readonly [K in keyof InstrumentRow]: InstrumentRow[K] }

export class PretendRun implements WatchedRun {
  readonly rows = new Map<string, PretendRow>()
  readonly faults: Record<string, number> = {}
  readonly latestFaults: { timeUs: number; code: string; message: string }[] = []
  seconds = 0
  /** How often it was looked at. */
  looks = 0
  /** It has no summary that anybody looks at. */
  readonly done: Promise<RunSummary>
  end!: () => void
  reasons: string[] = []

  constructor() {
    this.done = new Promise((_, reject) => (this.end = () => reject(new Error('It ended.'))))
  }

  addRow(exchange: string, name: string): PretendRow {
    const row: PretendRow = {
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

  status(): RunStatus {
    this.looks++
    return {
      phase: 'running',
      ...{
        pipeline: 'fake',
        mode: 'live',
        seconds: this.seconds,
        records: 0,
        events: 0,
        streamTimeUs: T_US,
        progress: undefined,
      },
      ...{ rows: this.rows, edges: [], sinks: [], stages: [], connections: [], quarantine: undefined },
      faults: { ...this.faults },
      latestFaults: this.latestFaults.slice(),
      streams: [],
      latencyUs: noLatencies(),
      receiveToSink: { count: 0, p50: 0, p99: 0, max: 0, buckets: [] },
      tree: { name: 'fake', kind: 'run', state: 'running', restarts: 0, failures: 0, quarantined: 0, children: [] },
      held: { times: 0, seconds: 0 },
    }
  }

  health(): RunHealth {
    const { reasons } = this
    return { timeUs: T_US, level: reasons.length === 0 ? 'healthy' : 'degraded', reasons, checks: [], reactions: [] }
  }

  graph(): RunningGraph {
    return { format: 'millrace-graph/1', running: true, pipeline: 'fake', nodes: [], edges: [] }
  }
}

/** A change of a row, with the book that it leads to. */
export function moveRow(row: PretendRow, bid: number, step: number): void {
  row.events++
  row.lastUs = T_US + step * 1_000
  row.bidPrice = bid
  row.askPrice = bid + 1
  row.view = viewOf([[bid, 2]], [[bid + 1, 3]], { receiveTimeUs: row.lastUs })
}
