/**
 * What a run tells when its metrics are read: each part of it from what it counts anyway.
 */
import type { GuardCounts } from '../book/bookGuard'
import { sumOf, type DropReason } from '../actors/ledger'
import type { RecordingCounters } from '../feed/recording/recordingWriter'
import type { ReadingCounters } from '../feed/recording/recordingReader'
import type { SessionNumbers } from '../feed/session'
import type { MetricName } from '../metrics/catalogue'
import { LATENCY_PARTS, type LatencyBudget, type LatencyPart } from '../metrics/latencyBudget'
import type { Fields, Labels, Reading } from '../metrics/registry'
import type { SinkCounters } from '../sinks/sink'
import type { ConnectionView, ExchangeCounts, RestNumbers } from './market'
import type { EdgeReport, TimedStage } from './stageGraph'
import type { StageReport } from './stageRunner'
import type { StreamRow } from './streamRows'

const SINK: Fields<SinkCounters> = {
  written: 'sink.written',
  bytes: 'sink.bytes',
  failed: 'sink.failed',
  retries: 'sink.retries',
  deadLettered: 'sink.dead_lettered',
}

const SINK_FIELDS = Object.keys(SINK) as readonly (keyof SinkCounters)[]

const SESSION: Fields<SessionNumbers> = {
  frames: 'exchange.frames',
  bytes: 'exchange.bytes',
  scanned: 'exchange.scanned',
  unreadable: 'exchange.unreadable',
  ignored: 'exchange.ignored',
  trades: 'exchange.trades',
  tradesHistory: 'exchange.trades_history',
  tickers: 'exchange.tickers',
  candles: 'exchange.candles',
  derivatives: 'exchange.derivatives',
  liquidations: 'exchange.liquidations',
  inexactNumbers: 'exchange.inexact_numbers',
}

const GUARD: Fields<GuardCounts> = {
  snapshots: 'exchange.snapshots',
  deltas: 'exchange.deltas',
  sequenceChecked: 'exchange.sequence_checked',
  gaps: 'exchange.sequence_gaps',
  stale: 'exchange.stale_deltas',
  checksumsChecked: 'exchange.checksums_checked',
  checksumsFailed: 'exchange.checksum_failures',
  buffered: 'exchange.buffered_deltas',
  unanchored: 'exchange.unanchored_deltas',
  resyncs: 'exchange.resyncs',
}

const REST: Fields<RestNumbers> = {
  requests: 'rest.requests',
  answers: 'rest.answers',
  retries: 'rest.retries',
  rateLimited: 'rest.rate_limited',
  failures: 'rest.failures',
  waiting: 'rest.waiting',
}

const RECORDING: Fields<RecordingCounters> = {
  lines: 'recording.lines',
  lost: 'recording.lost',
  bytes: 'recording.bytes',
  retries: 'recording.retries',
}

const READING: Fields<ReadingCounters> = {
  lines: 'reading.lines',
  records: 'reading.records',
  unreadable: 'reading.unreadable',
  ignored: 'reading.ignored',
  lost: 'reading.lost',
  bytes: 'reading.bytes',
}

const LATENCY: Readonly<Record<LatencyPart, MetricName>> = {
  exchangeToReceive: 'latency.exchange_to_receive',
  receiveToDecode: 'latency.receive_to_decode',
  decodeToOperator: 'latency.decode_to_operator',
  operatorToSink: 'latency.operator_to_sink',
  receiveToSink: 'latency.receive_to_sink',
  exchangeToSink: 'latency.exchange_to_sink',
}

/** Edges between the same two nodes, as of a branch that was taken away and attached again, are told together. */
export function tellEdges(reading: Reading, edges: readonly EdgeReport[]): void {
  for (const same of groupsOf(edges, ({ from, to }) => `${from.length} ${from} ${to}`)) {
    const edge = same.length === 1 ? same[0]! : together(same)
    const { from, to, dropped } = edge
    const labels = { from, to }
    reading.tell('edge.received', labels, edge.in)
    reading.tell('edge.sent', labels, edge.out)
    for (const reason in dropped) reading.tell('edge.dropped', { from, to, reason }, dropped[reason as DropReason])
    reading.tell('edge.depth', labels, edge.inFlight)
    reading.tell('edge.capacity', labels, edge.capacity)
    reading.tell('edge.high_water', labels, edge.highWater)
    reading.tell('edge.spilled_high_water', labels, edge.spilledBytesMax)
  }
}

/** @param sources  sources that are not of the market: they fail as stages do */
export function tellStages(reading: Reading, stages: readonly TimedStage[], sources: readonly StageReport[]): void {
  for (const { report, values, time } of stages) {
    const labels = { stage: report.name }
    reading.tell('stage.values', labels, values)
    reading.tell('stage.faults', labels, report.failures)
    reading.tell('stage.restarts', labels, report.restarts)
    reading.tell('stage.busy', labels, Math.round(time.busyUs))
    reading.tellLatency('stage.latency', labels, time.latency)
  }
  for (const { name: stage, failures, restarts } of sources) {
    reading.tell('stage.faults', { stage }, failures)
    reading.tell('stage.restarts', { stage }, restarts)
  }
}

/** @param queues  values that are on the edge of each sink, by its name */
export function tellSinks(
  reading: Reading,
  sinks: readonly ({ readonly name: string } & Partial<SinkCounters>)[],
  queues: ReadonlyMap<string, number>,
): void {
  for (const same of groupsOf(sinks, ({ name }) => name)) {
    const labels = { sink: same[0]!.name }
    for (const field of SINK_FIELDS) {
      let sum = 0
      for (const sink of same) sum += sink[field] ?? 0
      reading.tell(SINK[field], labels, sum)
    }
    reading.tell('sink.queue', labels, queues.get(labels.sink) ?? 0)
  }
}

export function tellFeeds(reading: Reading, connections: readonly ConnectionView[], nowUs: number): void {
  const places = new Map<string, number>()
  for (const view of connections) {
    // Of recordings there is no connection.
    if (view.frames === undefined) continue
    const { exchange, endpoint = '', state, lastFrameUs } = view
    const place = (places.get(exchange) ?? 0) + 1
    places.set(exchange, place)
    const labels = { exchange, endpoint, connection: String(place) }
    reading.tell('feed.up', labels, state === 'open' ? 1 : 0)
    reading.tell('feed.frames', labels, view.frames)
    reading.tell('feed.bytes', labels, view.bytes)
    reading.tell('feed.last_frame_age', labels, lastFrameUs === undefined ? undefined : ageMs(lastFrameUs, nowUs))
    reading.tell('feed.attempts', labels, view.attempts)
    reading.tell('feed.reconnects', labels, view.reconnects)
    reading.tell('feed.resyncs', labels, view.resyncs)
    reading.tell('feed.refreshes', labels, view.refreshes)
    reading.tell('feed.renewals', labels, view.staleStreams)
  }
}

export function tellExchanges(reading: Reading, exchanges: ReadonlyMap<string, ExchangeCounts>): void {
  for (const [exchange, counts] of exchanges) {
    reading.tellFields(SESSION, { exchange }, counts)
    reading.tellFields(GUARD, { exchange }, counts.guard)
  }
}

export function tellRest(reading: Reading, rest: ReadonlyMap<string, RestNumbers>): void {
  for (const [exchange, counts] of rest) reading.tellFields(REST, { exchange }, counts)
}

export function tellReadings(reading: Reading, readings: ReadonlyMap<string, Readonly<ReadingCounters>>): void {
  for (const [file, counters] of readings) reading.tellFields(READING, { file }, counters)
}

export function tellRecording(reading: Reading, file: string, counters: Readonly<RecordingCounters>): void {
  reading.tellFields(RECORDING, { file }, counters)
}

export function tellStreams(reading: Reading, rows: readonly StreamRow[]): void {
  for (const row of rows) {
    const { labels } = row
    reading.tell('stream.frames', labels, row.frames)
    reading.tell('stream.bytes', labels, row.bytes)
    reading.tell('stream.events', labels, row.events)
    reading.tell('stream.rate', labels, row.eventsPerSecond)
    reading.tell('stream.age', labels, row.ageMs)
    reading.tell('stream.stale', labels, row.isStale ? 1 : 0)
    // What a stream of trades or tickers cannot have is not told of it.
    if (row.channel !== 'book') continue
    reading.tell('stream.gaps', labels, row.gaps)
    reading.tell('stream.resyncs', labels, row.resyncs)
    reading.tell('stream.checksum_failures', labels, row.checksumFailures)
    reading.tell('stream.crossed', labels, row.crossed)
  }
}

export function tellLatencies(reading: Reading, { parts, ahead }: LatencyBudget): void {
  for (const part of LATENCY_PARTS) reading.tellLatency(LATENCY[part], NO_LABELS, parts[part])
  reading.tell('latency.exchange_ahead', NO_LABELS, ahead)
}

export const NO_LABELS: Labels = {}

export function ageMs(sinceUs: number, nowUs: number): number {
  return Math.max(0, Math.round((nowUs - sinceUs) / 1_000))
}

/** Edges between the same two nodes as one. */
function together(edges: readonly EdgeReport[]): EdgeReport {
  return {
    ...edges[0]!,
    ...sumOf(edges),
    capacity: Math.max(...edges.map(({ capacity }) => capacity)),
    ...highestOf(edges, 'highWater'),
    ...highestOf(edges, 'spilledBytesMax'),
  }
}

function groupsOf<T>(all: readonly T[], keyOf: (each: T) => string): T[][] {
  const groups = new Map<string, T[]>()
  for (const each of all) {
    const key = keyOf(each)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [each])
    else group.push(each)
  }
  return [...groups.values()]
}

/** Of those that have it; nothing where none has. */
function highestOf<K extends 'highWater' | 'spilledBytesMax'>(
  edges: readonly EdgeReport[],
  field: K,
): { readonly [F in K]?: number } {
  const known = edges.flatMap((edge) => edge[field] ?? [])
  return known.length === 0 ? {} : ({ [field]: Math.max(...known) } as { readonly [F in K]: number })
}
