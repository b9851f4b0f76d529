/**
 * The pipeline: a tree of its nodes with what comes in on their edges, what waits and what was lost; its sinks and its
 * connections.
 */
import { OUTSIDE, type RunningEdge, type RunningGraph, type RunningNode } from '../../pipeline/graph'
import type { RunStatus } from '../../pipeline/runSummary'
import { ageText, bytesText, rateText } from '../quantities'
import { fitting, row, titles, type Cell, type Column, type Format, type Line } from './line'
import { lossesOf, supersededOf } from './losses'
import { edgeKey, type Moment } from './readings'

/** How much is drawn of trees that go deeper. */
const DEPTH_MAX = 12

export function pipelineLines(moment: Moment, width: number): Line[] {
  return [...treeLines(moment, width), ...sinkLines(moment, width), ...connectionLines(moment, width)]
}

type EdgeColumn = Column & {
  readonly key: 'node' | 'state' | 'in' | 'out' | 'waiting' | 'capacity' | 'policy' | 'most' | 'newer' | 'lost' | 'all'
  readonly rank: number
}

const EDGE_COLUMNS: readonly EdgeColumn[] = [
  { key: 'node', title: '', width: 30, left: true, rank: 0 },
  { key: 'state', title: 'state', width: 10, left: true, rank: 3 },
  { key: 'in', title: 'in/s', width: 7, rank: 1 },
  { key: 'out', title: 'out/s', width: 7, rank: 5 },
  { key: 'waiting', title: 'waiting', width: 7, rank: 2 },
  { key: 'capacity', title: 'of', width: 8, left: true, rank: 4 },
  { key: 'policy', title: 'when full', width: 10, left: true, rank: 6 },
  { key: 'most', title: 'most', width: 7, rank: 9 },
  { key: 'all', title: 'in all', width: 11, rank: 8 },
  { key: 'newer', title: 'merged', width: 9, rank: 10 },
  { key: 'lost', title: 'lost', width: 24, left: true, rank: 7 },
]

/** What is wrong comes first where there is no room for the rest. */
const LOST_RANK = 4

function edgeColumns(title: string, nodeWidth: number, edges: readonly Edge[], width: number): EdgeColumn[] {
  const areLost = edges.some((edge) => lossesOf(edge).length > 0)
  return fitting(
    EDGE_COLUMNS.map((column) => {
      if (column.key === 'node') return { ...column, title, width: nodeWidth }
      return column.key === 'lost' && areLost ? { ...column, width: 16, rank: LOST_RANK } : column
    }),
    width,
  )
}

type Edge = RunStatus['edges'][number]

const STATE_FORMATS: Readonly<Record<RunningNode['state'], Format>> = {
  running: 'green',
  restarting: 'yellow',
  ended: 'dim',
  stopped: 'yellow',
  failed: 'red',
}

function edgeRow(
  columns: readonly EdgeColumn[],
  title: Cell,
  edge: Edge,
  moment: Moment,
  state: RunningNode['state'] | undefined,
): Line {
  const { inPerSecond = 0, outPerSecond = 0 } = moment.edges.get(edgeKey(edge)) ?? {}
  const waits = edge.kind !== 'inline'
  const fill = waits ? edge.inFlight / edge.capacity : 0
  const losses = lossesOf(edge)
  const superseded = supersededOf(edge)
  const cells: Readonly<Record<EdgeColumn['key'], Cell>> = {
    node: title,
    state: state === undefined ? '' : [state, STATE_FORMATS[state]],
    in: rateText(inPerSecond),
    out: rateText(outPerSecond),
    waiting: waits ? [String(edge.inFlight), fill > 0.5 ? 'red' : fill > 0.1 ? 'yellow' : undefined] : '',
    capacity: waits ? `of ${edge.capacity}` : '',
    policy: waits ? [edge.onFull, 'dim'] : '',
    most: edge.highWater === undefined ? '' : String(edge.highWater),
    all: String(edge.in),
    newer: superseded > 0 ? String(superseded) : '',
    lost: losses.length === 0 ? '' : [losses.map(([reason, count]) => `${count} ${reason}`).join(', '), 'yellow'],
  }
  return row(
    columns,
    columns.map(({ key }) => cells[key]),
  )
}

/** A node below the one that feeds it. */
interface Branch {
  readonly edge: RunningEdge
  /** What draws the tree before its name. */
  readonly trunk: string
  /** Drawn already, below another one that feeds it too. */
  readonly again: boolean
}

/** Each edge once, in the order of a tree that begins at the sources. */
export function branchesOf(graph: RunningGraph): Branch[] {
  const below = new Map<string, RunningEdge[]>()
  for (const edge of graph.edges) below.set(edge.from, [...(below.get(edge.from) ?? []), edge])
  const branches: Branch[] = []
  const seen = new Set<string>()
  const grow = (node: string, before: string, depth: number): void => {
    const edges = below.get(node) ?? []
    edges.forEach((edge, index) => {
      const last = index === edges.length - 1
      const again = seen.has(edge.to)
      branches.push({ edge, trunk: node === OUTSIDE ? '' : `${before}${last ? '└' : '├'} `, again })
      if (again) return
      seen.add(edge.to)
      grow(edge.to, node === OUTSIDE || depth >= DEPTH_MAX ? before : `${before}${last ? '  ' : '│ '}`, depth + 1)
    })
  }
  grow(OUTSIDE, '', 0)
  // What no source leads to: a loop, or what was fed by a branch that is gone.
  const roots = graph.nodes.filter(({ name }) => !seen.has(name)).map(({ name }) => name)
  for (const name of roots) {
    if (seen.has(name)) continue
    seen.add(name)
    grow(name, '', 1)
  }
  return branches
}

function treeLines(moment: Moment, width: number): Line[] {
  const graph = moment.graph()
  const nodes = new Map(graph.nodes.map((node) => [node.name, node]))
  const branches = branchesOf(graph)
  const names = branches.map(({ edge, trunk, again }) => `${trunk}${edge.to}${again ? ' …' : ''}`)
  const nodeWidth = Math.min(Math.max(20, ...names.map((name) => name.length)), Math.max(20, Math.floor(width / 3)))
  const columns = edgeColumns('pipeline', nodeWidth, graph.edges, width)
  return [
    titles(columns),
    ...branches.map(({ edge, again }, index) =>
      edgeRow(
        columns,
        [names[index]!, again ? 'dim' : undefined],
        edge,
        moment,
        again ? undefined : nodes.get(edge.to)?.state,
      ),
    ),
  ]
}

const NAME_WIDTH = 36

/** Edges where something can wait, the fullest first: for a page that has room for a few. */
export function edgeLines(moment: Moment, width: number): Line[] {
  const edges = moment.status.edges.filter(({ kind }) => kind !== 'inline').sort((a, b) => tenths(b) - tenths(a))
  if (edges.length === 0) return []
  const columns = edgeColumns('edge', Math.min(NAME_WIDTH, Math.floor(width / 2)), edges, width).filter(
    ({ key }) => key !== 'state',
  )
  return [
    titles(columns),
    ...edges.map((edge) => edgeRow(columns, `${edge.from} → ${edge.to}`, edge, moment, undefined)),
  ]
}

/** How full an edge is, so coarsely that lines change places only when it matters. */
function tenths({ inFlight, capacity }: Edge): number {
  return Math.floor((10 * inFlight) / capacity)
}

const SINK_COLUMNS: readonly (Column & { readonly rank: number })[] = [
  { title: 'sink', width: 26, left: true, rank: 0 },
  { title: 'written/s', width: 9, rank: 1 },
  { title: 'queue', width: 7, rank: 2 },
  { title: 'written', width: 11, rank: 3 },
  { title: 'bytes/s', width: 11, rank: 6 },
  { title: 'bytes', width: 11, rank: 7 },
  { title: 'retries', width: 7, rank: 4 },
  { title: 'failed', width: 7, rank: 5 },
  { title: 'dead', width: 7, rank: 8 },
]

function sinkLines(moment: Moment, width: number): Line[] {
  const { sinks, edges } = moment.status
  if (sinks.length === 0) return []
  const columns = fitting(SINK_COLUMNS, width)
  const queues = new Map(edges.map((edge) => [edge.to, edge.inFlight]))
  return [
    [],
    titles(columns),
    ...sinks.map((sink) => {
      const { writtenPerSecond = 0, bytesPerSecond = 0 } = moment.sinks.get(sink.name) ?? {}
      const count = (value: number, format: Format): Cell => [String(value), value > 0 ? format : 'dim']
      const cells: readonly Cell[] = [
        sink.name,
        rateText(writtenPerSecond),
        String(queues.get(sink.name) ?? 0),
        String(sink.written),
        bytesText(bytesPerSecond),
        bytesText(sink.bytes),
        count(sink.retries, 'yellow'),
        count(sink.failed, 'red'),
        count(sink.deadLettered ?? 0, 'yellow'),
      ]
      return row(
        columns,
        columns.map((column) => cells[SINK_COLUMNS.indexOf(column)]!),
      )
    }),
  ]
}

const CONNECTION_COLUMNS: readonly (Column & { readonly rank: number })[] = [
  { title: 'connection', width: 16, left: true, rank: 0 },
  { title: 'state', width: 10, left: true, rank: 1 },
  { title: 'since', width: 5, rank: 2 },
  { title: 'attempts', width: 8, rank: 3 },
  { title: 'address', width: 40, left: true, rank: 5 },
  { title: 'trouble', width: 36, left: true, rank: 4 },
]

const CONNECTION_FORMATS: Readonly<Record<string, Format>> = {
  open: 'green',
  waiting: 'yellow',
  connecting: 'yellow',
  failed: 'red',
}

function connectionLines(moment: Moment, width: number): Line[] {
  const { connections, mode } = moment.status
  if (connections.length === 0) return []
  const columns = fitting(CONNECTION_COLUMNS, width)
  return [
    [],
    titles(columns),
    ...connections.map(({ exchange, state, sinceUs, attempts, url, trouble }) => {
      const cells: readonly Cell[] = [
        mode === 'replay' ? 'recording' : exchange,
        [state, CONNECTION_FORMATS[state]],
        // The stream's time of a replay says nothing of when the machine opened a file.
        sinceUs === undefined || mode === 'replay' ? '' : ageText(moment.nowUs - sinceUs),
        String(attempts),
        url,
        [trouble ?? '', 'yellow'],
      ]
      return row(
        columns,
        columns.map((column) => cells[CONNECTION_COLUMNS.indexOf(column)]!),
      )
    }),
  ]
}
