/** What the page knows of the run, put together from the ticks. */
import type {
  BookPart,
  ConnectionPart,
  EdgePart,
  FaultsPart,
  GraphPart,
  HealthPart,
  HelloMessage,
  LatencyPart,
  NodePart,
  ProcessPart,
  RowPart,
  RunPart,
  SinkPart,
  TickMessage,
} from '../liveFormat'

/** Faults that are remembered one by one. */
const FAULTS_MAX = 200

export interface Row {
  readonly index: number
  readonly exchange: string
  readonly name: string
  /** What a filter is held against. */
  readonly searched: string
  readonly rate: Rate
  state: string
  events: number
  trades: number
  gaps: number
  resyncs: number
  lastMs: number
  bid: number | null
  ask: number | null
  bidLevels: number | null
  askLevels: number | null
  /** Channels that are stale; empty when none is. */
  stale: string
  /** Most digits behind the point that its prices have had: columns keep their width. */
  decimals: number
}

export class LiveState {
  run: RunPart | undefined
  graph: GraphPart | undefined
  nodes: readonly NodePart[] = []
  edges: readonly EdgePart[] = []
  connections: readonly ConnectionPart[] = []
  sinks: readonly SinkPart[] = []
  faultCounts: FaultsPart['counts'] = {}
  faultsTotal = 0
  /** Newest first. */
  faults: FaultsPart['latest'][number][] = []
  latency: LatencyPart | undefined
  loop: LatencyPart | undefined
  process: ProcessPart | undefined
  health: HealthPart | undefined
  book: BookPart | undefined
  /** Of the server, in the last tick. */
  atMs = 0
  readonly rows: Row[] = []
  readonly events = new Rate()
  readonly records = new Rate()
  readonly edgeRates = new Map<number, Rate>()
  readonly sinkRates = new Map<string, Rate>()
  private seenAtMs = 0

  constructor(readonly hello: HelloMessage) {}

  /** @param nowMs  of the page's own clock, which only moves on */
  take(tick: TickMessage, nowMs: number): void {
    this.atMs = tick.atMs
    this.seenAtMs = nowMs
    this.run = tick.run ?? this.run
    if (tick.graph !== undefined) {
      this.graph = tick.graph
      this.edgeRates.clear()
    }
    this.nodes = tick.nodes ?? this.nodes
    this.edges = tick.edges ?? this.edges
    this.connections = tick.connections ?? this.connections
    this.sinks = tick.sinks ?? this.sinks
    this.latency = tick.latency ?? this.latency
    this.loop = tick.loop ?? this.loop
    this.process = tick.process ?? this.process
    this.health = tick.health ?? this.health
    this.book = tick.book ?? this.book
    if (tick.faults !== undefined) this.takeFaults(tick.faults)
    for (const [exchange, name] of tick.names ?? []) this.addRow(exchange, name)
    for (const part of tick.rows ?? []) this.takeRow(part)
    this.measure(tick.atMs)
  }

  /** The time by which ages are told: a replay's is that of its recording. */
  nowMs(pageMs: number): number {
    if (this.hello.mode === 'replay') return this.run?.streamMs ?? this.atMs
    return this.atMs + Math.min(5_000, Math.max(0, pageMs - this.seenAtMs))
  }

  /** The connection was lost: rates begin anew, for nobody counted meanwhile. */
  interrupted(): void {
    for (const rate of this.rates()) rate.restart()
  }

  private takeFaults({ counts, total, latest }: FaultsPart): void {
    this.faultCounts = counts
    this.faultsTotal = total
    this.faults = [...latest.toReversed(), ...this.faults].slice(0, FAULTS_MAX)
  }

  private addRow(exchange: string, name: string): void {
    this.rows.push({
      index: this.rows.length,
      exchange,
      name,
      searched: `${name} ${exchange}`.toLowerCase(),
      rate: new Rate(),
      state: 'waiting',
      events: 0,
      trades: 0,
      gaps: 0,
      resyncs: 0,
      lastMs: 0,
      bid: null,
      ask: null,
      bidLevels: null,
      askLevels: null,
      stale: '',
      decimals: 0,
    })
  }

  private takeRow(part: RowPart): void {
    const row = this.rows[part[0]]
    if (row === undefined) return
    ;[, row.state, row.events, row.trades, row.gaps, row.resyncs, row.lastMs] = part
    ;[, , , , , , , row.bid, row.ask, row.bidLevels, row.askLevels, row.stale] = part
    row.decimals = Math.max(row.decimals, decimalsOf(row.bid), decimalsOf(row.ask))
  }

  private measure(atMs: number): void {
    if (this.run !== undefined) {
      this.events.count(this.run.events, atMs)
      this.records.count(this.run.records, atMs)
    }
    for (const row of this.rows) row.rate.count(row.events, atMs)
    this.edges.forEach(([received], at) => rateIn(this.edgeRates, at).count(received, atMs))
    for (const [name, written] of this.sinks) rateIn(this.sinkRates, name).count(written, atMs)
  }

  private rates(): Rate[] {
    const ofRows = this.rows.map(({ rate }) => rate)
    return [this.events, this.records, ...ofRows, ...this.edgeRates.values(), ...this.sinkRates.values()]
  }
}

/** How fast a count grows, a second; smoothed over some two seconds. */
export class Rate {
  perSecond = 0
  private before = NaN
  private beforeMs = NaN

  count(value: number, atMs: number): void {
    const seconds = (atMs - this.beforeMs) / 1_000
    if (seconds <= 0) return
    // Nothing is known before the first count.
    if (seconds > 0) {
      const now = Math.max(0, value - this.before) / seconds
      const weight = this.perSecond === 0 ? 1 : 1 - Math.exp(-seconds / 1.5)
      this.perSecond += (now - this.perSecond) * weight
      if (this.perSecond < 0.005) this.perSecond = 0
    }
    this.before = value
    this.beforeMs = atMs
  }

  restart(): void {
    this.before = this.beforeMs = NaN
  }
}

function rateIn<K>(rates: Map<K, Rate>, key: K): Rate {
  const known = rates.get(key)
  if (known !== undefined) return known
  const rate = new Rate()
  rates.set(key, rate)
  return rate
}

/** Digits behind the point that a number is written with, up to ten. */
export function decimalsOf(value: number | null): number {
  if (value === null || Number.isInteger(value)) return 0
  const text = String(Number(value.toPrecision(12)))
  const [digits, exponent] = text.split('e-')
  const point = digits!.indexOf('.')
  return Math.min(10, (point < 0 ? 0 : digits!.length - point - 1) + Number(exponent ?? 0))
}
