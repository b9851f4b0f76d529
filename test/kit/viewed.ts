/** Runs to be looked at: their status is made up, and is what a view shows. */
import type { HealthShown, ViewedRun } from '../../src/cli/view/readings'
import type { RunningGraph } from '../../src/pipeline/graph'
import type { InstrumentRow } from '../../src/pipeline/monitor'
import { noLatencies } from '../../src/pipeline/watching'
import type { RunStatus } from '../../src/pipeline/runSummary'

export function viewedRun(
  rows: RunStatus['rows'] = instruments(),
  more: Partial<RunStatus> = {},
  health?: HealthShown,
): ViewedRun {
  return {
    status: () => ({ ...statusOf(rows), ...more }),
    graph: () => GRAPH,
    ...(health === undefined ? {} : { health: () => health }),
  }
}

export function instruments(name = 'BTC-USDT'): Map<string, InstrumentRow> {
  const base = { name, trades: 0, gaps: 0, resyncs: 0, lastUs: 0, events: 100, stale: [] }
  return new Map<string, InstrumentRow>([
    ['kraken', { ...base, exchange: 'kraken', state: 'gap', gaps: 1, bidPrice: 1, askPrice: 2, levels: [10, 10] }],
    [
      'binance',
      { ...base, exchange: 'binance', state: 'live', bidPrice: 78640.41, askPrice: 78641.75, levels: [100, 100] },
    ],
  ])
}

/** So many symbols of one exchange, all live. */
export function manyInstruments(count: number): Map<string, InstrumentRow> {
  return new Map(
    Array.from({ length: count }, (_, index): [string, InstrumentRow] => {
      const name = `SYM${String(index).padStart(5, '0')}-USDT`
      const prices = { bidPrice: 100 + index, askPrice: 100.5 + index, levels: [5, 5] as const }
      const counts = { events: 0, trades: 0, gaps: 0, resyncs: 0, lastUs: 0, stale: [] }
      return [name, { name, exchange: 'binance', state: 'live', ...prices, ...counts }]
    }),
  )
}

const mailbox = { kind: 'mailbox', onFull: 'dropOldest' } as const
const EDGES: RunStatus['edges'] = [
  { ...mailbox, from: 'exchanges', to: 'market', capacity: 10, in: 9, out: 6, dropped: { dropOldest: 3 }, inFlight: 0 },
  {
    ...mailbox,
    from: 'market',
    to: 'sink',
    capacity: 4,
    onFull: 'keepLatest',
    in: 9,
    out: 1,
    dropped: { keepLatest: 5 },
    inFlight: 3,
    highWater: 4,
  },
]

const node = { restarts: 0, failures: 0, quarantined: 0 }
const GRAPH: RunningGraph = {
  format: 'millrace-graph/1',
  running: true,
  pipeline: 'test',
  nodes: [
    { ...node, name: 'market', kind: 'source', state: 'running' },
    { ...node, name: 'sink', kind: 'sink', state: 'failed' },
  ],
  edges: EDGES,
}

export function statusOf(rows: RunStatus['rows']): RunStatus {
  return {
    phase: 'running',
    pipeline: 'test',
    mode: 'simulate',
    seconds: 7,
    records: 10,
    events: 200,
    streamTimeUs: undefined,
    progress: undefined,
    rows,
    edges: EDGES,
    sinks: [{ name: 'sink', written: 12, bytes: 3_456, failed: 1, retries: 2 }],
    stages: [],
    faults: { BOOK_GAP: 2 },
    latestFaults: [
      { timeUs: Date.UTC(2026, 7, 24, 14, 30, 5) * 1_000, code: 'BOOK_GAP', message: 'The older one.' },
      { timeUs: Date.UTC(2026, 7, 24, 14, 30, 7) * 1_000, code: 'BOOK_GAP', message: 'The newer one.' },
    ],
    streams: [],
    latencyUs: { ...noLatencies(), receiveToSink: { count: 3, p50: 420, p99: 2_100, max: 3_000 } },
    receiveToSink: { count: 3, p50: 420, p99: 2_100, max: 3_000, buckets: [] },
    connections: [
      {
        exchange: 'kraken',
        url: 'wss://ws.kraken.com/v2',
        state: 'waiting',
        sinceUs: 1,
        attempts: 3,
        trouble: 'refused',
      },
    ],
    tree: { name: 'test', kind: 'run', state: 'running', restarts: 0, failures: 0, quarantined: 0, children: [] },
    quarantine: undefined,
    held: { times: 0, seconds: 0 },
  }
}
