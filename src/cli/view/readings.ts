/**
 * What a view shows of one moment: the run's status, and what has changed since the moment before.
 *
 * Cost  one pass over the rows, of a few plain steps each; they are put in order only when there are new ones
 */
import { performance } from 'node:perf_hooks'
import { getHeapStatistics } from 'node:v8'
import { loopDelay } from '../../metrics/loopDelay'
import type { RunningGraph } from '../../pipeline/graph'
import type { InstrumentRow } from '../../pipeline/monitor'
import type { RunStatus } from '../../pipeline/runSummary'
import { History } from './history'

/** A run, as far as it is looked at. `RunHandle` is one. */
export interface ViewedRun {
  status(): RunStatus
  graph(): RunningGraph
  /** How well it is; left out by a run that does not know. */
  health?(): HealthShown
}

export interface HealthShown {
  readonly level: 'healthy' | 'degraded' | 'unhealthy'
  /** In sentences; none when all is well. */
  readonly reasons: readonly string[]
}

export interface Moment {
  readonly status: RunStatus
  /** Asked for only where it is drawn. */
  readonly graph: () => RunningGraph
  readonly health: HealthShown | undefined
  readonly market: MarketMoment
  readonly eventsPerSecond: number
  /** Values that came into each edge and out of it, a second. */
  readonly edges: ReadonlyMap<string, { readonly inPerSecond: number; readonly outPerSecond: number }>
  /** Values and bytes that each sink has written, a second. */
  readonly sinks: ReadonlyMap<string, { readonly writtenPerSecond: number; readonly bytesPerSecond: number }>
  readonly process: ProcessMoment
  /** The time by which things are old: of the machine, of a replay its stream's. */
  readonly nowUs: number
  /** Of the last minute, a value a second. */
  readonly eventsHistory: History
  readonly loopHistory: History
}

export interface MarketMoment {
  readonly rows: readonly InstrumentRow[]
  /** Indexes of `rows`, by name and exchange. */
  readonly order: readonly number[]
  /** Events a second of each row. */
  readonly rates: Float64Array
  readonly counts: MarketCounts
  /** Columns that the longest names take. */
  readonly nameWidth: number
  readonly exchangeWidth: number
}

export interface MarketCounts {
  live: number
  gap: number
  down: number
  waiting: number
  /** Whatever else they are. */
  stale: number
  gaps: number
  resyncs: number
}

export interface ProcessMoment {
  /** Of one core. */
  readonly cpuPercent: number
  readonly rssBytes: number
  readonly heapBytes: number
  readonly loopMsP99: number
}

/** A row of a run that looks out for channels which are silent for longer than is usual for them. */
type WatchedRow = InstrumentRow & { readonly stale?: readonly string[] }

export function isStale({ stale }: WatchedRow): boolean {
  return stale !== undefined && stale.length > 0
}

/** Of an edge, in the maps of a moment. */
export function edgeKey({ from, to }: { readonly from: string; readonly to: string }): string {
  return `${from}\n${to}`
}

/** What is held against the next moment. */
interface Before {
  readonly atMs: number
  readonly events: number
  readonly rowEvents: Float64Array
  readonly edges: ReadonlyMap<string, RunStatus['edges'][number]>
  readonly sinks: ReadonlyMap<string, RunStatus['sinks'][number]>
  readonly cpuUs: number
}

/** Moments shorter than this would make rates of nothing. */
const SECONDS_MIN = 0.001

/** Looks at a run again and again. */
export class Readings {
  private before: Before
  private readonly delay = loopDelay()
  private readonly eventsHistory = new History()
  private readonly loopHistory = new History()
  private readonly order = new RowOrder()

  constructor(private readonly run: ViewedRun) {
    const status = run.status()
    this.before = beforeOf(status, eventsOf([...status.rows.values()]))
  }

  /** The moment now; rates are since the last call. */
  take(): Moment {
    const { before, order } = this
    const status = this.run.status()
    const rows = [...status.rows.values()]
    const now = beforeOf(status, eventsOf(rows))
    this.before = now
    order.update(status.rows, rows)
    const seconds = Math.max(SECONDS_MIN, (now.atMs - before.atMs) / 1_000)
    const eventsPerSecond = (now.events - before.events) / seconds
    const loopMsP99 = this.delay.read().p99
    this.eventsHistory.add(now.atMs, eventsPerSecond)
    this.loopHistory.add(now.atMs, loopMsP99)
    return {
      status,
      graph: () => this.run.graph(),
      health: this.run.health?.(),
      market: {
        rows,
        order: order.indexes,
        rates: now.rowEvents.map((events, index) => (events - (before.rowEvents[index] ?? 0)) / seconds),
        counts: countsOf(rows),
        nameWidth: order.nameWidth,
        exchangeWidth: order.exchangeWidth,
      },
      eventsPerSecond,
      edges: edgeRates(before, now, seconds),
      sinks: sinkRates(before, now, seconds),
      process: {
        cpuPercent: (now.cpuUs - before.cpuUs) / 1e4 / seconds,
        rssBytes: process.memoryUsage.rss(),
        heapBytes: getHeapStatistics().used_heap_size,
        loopMsP99,
      },
      nowUs: status.mode === 'replay' ? (status.streamTimeUs ?? 0) : wallUs(),
      eventsHistory: this.eventsHistory,
      loopHistory: this.loopHistory,
    }
  }

  stop(): void {
    this.delay.stop()
  }
}

/** The rows by name and exchange, found anew only when there are others. */
class RowOrder {
  indexes: readonly number[] = []
  nameWidth = 0
  exchangeWidth = 0
  private of: RunStatus['rows'] | undefined

  update(map: RunStatus['rows'], rows: readonly InstrumentRow[]): void {
    if (map === this.of && rows.length === this.indexes.length) return
    this.of = map
    this.indexes = rows
      .map((_, index) => index)
      .sort((a, b) => compare(rows[a]!.name, rows[b]!.name) || compare(rows[a]!.exchange, rows[b]!.exchange))
    this.nameWidth = longest(rows, ({ name }) => name)
    this.exchangeWidth = longest(rows, ({ exchange }) => exchange)
  }
}

function longest(rows: readonly InstrumentRow[], text: (row: InstrumentRow) => string): number {
  return rows.reduce((width, row) => Math.max(width, text(row).length), 0)
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function wallUs(): number {
  return (performance.timeOrigin + performance.now()) * 1_000
}

function beforeOf(status: RunStatus, rowEvents: Float64Array): Before {
  const { user, system } = process.cpuUsage()
  return {
    atMs: performance.now(),
    events: status.events,
    rowEvents,
    edges: new Map(status.edges.map((edge) => [edgeKey(edge), edge])),
    sinks: new Map(status.sinks.map((sink) => [sink.name, sink])),
    cpuUs: user + system,
  }
}

function eventsOf(rows: readonly InstrumentRow[]): Float64Array {
  return Float64Array.from(rows, ({ events }) => events)
}

function countsOf(rows: readonly InstrumentRow[]): MarketCounts {
  const counts: MarketCounts = { live: 0, gap: 0, down: 0, waiting: 0, stale: 0, gaps: 0, resyncs: 0 }
  for (const row of rows) {
    counts[row.state]++
    if (isStale(row)) counts.stale++
    counts.gaps += row.gaps
    counts.resyncs += row.resyncs
  }
  return counts
}

function edgeRates(before: Before, now: Before, seconds: number): Moment['edges'] {
  const rates = new Map<string, { inPerSecond: number; outPerSecond: number }>()
  for (const [key, edge] of now.edges) {
    const earlier = before.edges.get(key)
    rates.set(key, {
      inPerSecond: Math.max(0, edge.in - (earlier?.in ?? 0)) / seconds,
      outPerSecond: Math.max(0, edge.out - (earlier?.out ?? 0)) / seconds,
    })
  }
  return rates
}

function sinkRates(before: Before, now: Before, seconds: number): Moment['sinks'] {
  const rates = new Map<string, { writtenPerSecond: number; bytesPerSecond: number }>()
  for (const [key, sink] of now.sinks) {
    const earlier = before.sinks.get(key)
    rates.set(key, {
      writtenPerSecond: Math.max(0, sink.written - (earlier?.written ?? 0)) / seconds,
      bytesPerSecond: Math.max(0, sink.bytes - (earlier?.bytes ?? 0)) / seconds,
    })
  }
  return rates
}
