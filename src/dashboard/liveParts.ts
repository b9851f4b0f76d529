import { droppedOf, supersededOf } from '../actors/ledger'
import type { LatencyHistogram } from '../metrics/histogram'
import type { GraphEdge, GraphNode, RunningGraph } from '../pipeline/graph'
import type { InstrumentRow } from '../pipeline/monitor'
import type { Glance } from '../pipeline/runSummary'
import type { FaultLook, LatencyLook } from '../sinks/runLook'
import type {
  ConnectionPart,
  EdgePart,
  FaultsPart,
  GraphPart,
  HealthPart,
  LatencyPart,
  NodePart,
  ProcessPart,
  RunPart,
  SinkPart,
} from './liveFormat'
import { LiveRows } from './liveRows'

/** Letters of a fault's sentence that are told; the fault itself stands in the report. */
const SENTENCE_MAX = 500

/**
 * All that pages are told of a run, as texts, each with the tick in which it changed last. It is made once a tick for all
 * pages; a page is remembered by the number of the last tick that it was sent.
 */
export class LiveParts {
  private readonly parts = new Map<string, { text: string; changedAt: number }>()
  private readonly rows = new LiveRows()
  private graph: RunningGraph | undefined
  private faults: FaultsPart = { counts: {}, total: 0, latest: [] }
  private faultsText = ''
  private faultsChangedAt = 0
  /** Messages of this tick by what they begin from: most pages have seen the tick before. */
  private readonly made = new Map<string, string>()

  update(tick: number, glance: Glance): void {
    const { graph, health } = glance
    this.made.clear()
    this.set(tick, 'run', runPart(glance))
    this.updateGraph(tick, graph)
    this.set(tick, 'nodes', nodeParts(glance))
    this.set(tick, 'edges', edgeParts(graph))
    this.set(tick, 'connections', connectionParts(glance))
    this.set(tick, 'sinks', sinkParts(glance))
    this.set(tick, 'latency', latencyPart(glance.receiveToSink))
    this.set(tick, 'health', healthPart(health))
    this.updateFaults(tick, glance)
  }

  /** Reads so many of the rows; true when all were read. Until then nothing may be told of this tick. */
  updateRows(tick: number, left: Iterator<InstrumentRow>, count: number): boolean {
    return this.rows.update(tick, left, count)
  }

  process(tick: number, part: ProcessPart): void {
    this.set(tick, 'process', part)
  }

  loop(tick: number, delays: LatencyHistogram): void {
    this.set(tick, 'loop', latencyPart({ ...delays.summary(), buckets: delays.buckets() }))
  }

  /** All faults so far. */
  get faultsTotal(): number {
    return this.faults.total
  }

  /**
   * The fields of a message with what has changed after a tick, each behind a comma.
   *
   * @param faultsSeen  so many faults were told already
   */
  textSince(tick: number, faultsSeen: number): string {
    const key = `${tick} ${faultsSeen}`
    const known = this.made.get(key)
    if (known !== undefined) return known
    let text = ''
    for (const [name, part] of this.parts) if (part.changedAt > tick) text += `,"${name}":${part.text}`
    if (this.faultsChangedAt > tick) text += `,"faults":${this.faultsSince(faultsSeen)}`
    text += this.rows.textSince(tick)
    this.made.set(key, text)
    return text
  }

  private set(tick: number, name: string, value: unknown): void {
    const text = JSON.stringify(value)
    const part = this.parts.get(name)
    if (part === undefined) this.parts.set(name, { text, changedAt: tick })
    else if (part.text !== text) {
      part.text = text
      part.changedAt = tick
    }
  }

  /** The shape of a pipeline hardly ever changes: to see that it has not costs less than to write it. */
  private updateGraph(tick: number, graph: RunningGraph): void {
    if (this.graph === undefined || !isSameShape(graph, this.graph)) this.set(tick, 'graph', graphPart(graph))
    this.graph = graph
  }

  private updateFaults(tick: number, { faults, latestFaults }: Glance): void {
    const text = JSON.stringify(faults)
    if (text === this.faultsText) return
    this.faultsText = text
    this.faultsChangedAt = tick
    const total = Object.values(faults).reduce((sum, count) => sum + count, 0)
    this.faults = { counts: faults, total, latest: latestFaults.map(faultPart) }
  }

  private faultsSince(seen: number): string {
    const { counts, total, latest } = this.faults
    const fresh = Math.max(0, total - seen)
    return JSON.stringify({ counts, total, latest: fresh === 0 ? [] : latest.slice(-fresh) } satisfies FaultsPart)
  }
}

function runPart(glance: Glance): RunPart {
  const { seconds, records, events, streamTimeUs, held, progress } = glance
  return {
    seconds: Math.round(seconds * 10) / 10,
    records,
    events,
    streamMs: streamTimeUs === undefined ? null : Math.floor(streamTimeUs / 1_000),
    heldTimes: held.times,
    heldSeconds: held.seconds,
    progress: progress === undefined ? null : Math.round(progress.share * 1_000) / 1_000,
    ended: glance.phase === 'ended',
  }
}

function healthPart({ level, reasons, reactions }: Glance['health']): HealthPart {
  return { level, reasons, reactions: reactions.flatMap(({ does, inForce }) => (inForce ? [does] : [])) }
}

function isSameShape(one: RunningGraph, other: RunningGraph): boolean {
  if (one.nodes.length !== other.nodes.length || one.edges.length !== other.edges.length) return false
  for (let at = 0; at < one.nodes.length; at++) if (!isSameNode(one.nodes[at]!, other.nodes[at]!)) return false
  for (let at = 0; at < one.edges.length; at++) if (!isSameEdge(one.edges[at]!, other.edges[at]!)) return false
  return true
}

function isSameNode(one: GraphNode, other: GraphNode): boolean {
  return (
    one.name === other.name &&
    one.kind === other.kind &&
    one.group === other.group &&
    one.deadLetters === other.deadLetters
  )
}

function isSameEdge(one: GraphEdge, other: GraphEdge): boolean {
  return (
    one.from === other.from &&
    one.to === other.to &&
    one.kind === other.kind &&
    one.capacity === other.capacity &&
    one.onFull === other.onFull &&
    one.feedback === other.feedback
  )
}

function graphPart({ nodes, edges }: RunningGraph): GraphPart {
  return {
    nodes: nodes.map(({ name, kind, group, deadLetters }) => ({
      name,
      kind,
      ...(group === undefined ? {} : { group }),
      ...(deadLetters === undefined ? {} : { deadLetters }),
    })),
    edges: edges.map(({ from, to, kind, capacity, onFull, feedback }) => ({
      ...{ from, to, kind, capacity, onFull },
      ...(feedback === undefined ? {} : { feedback }),
    })),
  }
}

function nodeParts({ graph: { nodes }, stages }: Glance): NodePart[] {
  const lastFaults = new Map(stages.map(({ name, lastFault }) => [name, lastFault]))
  return nodes.map(({ name, state, restarts, failures, quarantined }) => [
    state,
    restarts,
    failures,
    quarantined,
    lastFaults.get(name)?.slice(0, SENTENCE_MAX) ?? null,
  ])
}

function edgeParts({ edges }: RunningGraph): EdgePart[] {
  return edges.map((edge) => {
    const superseded = supersededOf(edge)
    return [edge.in, edge.out, edge.inFlight, edge.highWater ?? 0, droppedOf(edge) - superseded, superseded]
  })
}

function connectionParts({ connections }: Glance): ConnectionPart[] {
  return connections.map(({ exchange, url, state, sinceUs, attempts, trouble }) => ({
    exchange,
    url,
    state,
    sinceMs: sinceUs === undefined ? null : Math.floor(sinceUs / 1_000),
    attempts,
    trouble: trouble?.slice(0, SENTENCE_MAX) ?? null,
  }))
}

function sinkParts({ sinks }: Glance): SinkPart[] {
  return sinks.map(({ name, written, bytes, failed, retries, deadLettered = 0 }) => [
    ...([name, written, bytes, failed, retries, deadLettered] as const),
  ])
}

function latencyPart({ count, p50, p99, max, buckets }: LatencyLook): LatencyPart {
  return { count, p50, p99, max, buckets: buckets.map((bucket) => [bucket.fromUs, bucket.toUs, bucket.count]) }
}

function faultPart({ timeUs, code, message }: FaultLook): FaultsPart['latest'][number] {
  return [timeUs === undefined ? null : Math.floor(timeUs / 1_000), code, message.slice(0, SENTENCE_MAX)]
}
