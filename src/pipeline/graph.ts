/**
 * The picture of a pipeline: nodes and edges as data, and drawn as Mermaid or DOT. Of a running pipeline the picture says
 * also how each stage fares, what waits on each edge and what was dropped.
 */
import { droppedOf, emptyLedger, supersededOf, type Ledger } from '../actors/ledger'
import { policyName, type EdgeOptions } from '../actors/overflow'
import { carriedEdgeOf } from '../actors/wiring'
import type { GroupDescription, NodeDescription, PipelineDescription } from './description'

export interface PipelineGraph {
  readonly format: 'millrace-graph/1'
  readonly pipeline: string
  readonly nodes: readonly GraphNode[]
  readonly edges: readonly GraphEdge[]
  /** Those that share a supervisor; absent where there are none. */
  readonly groups?: readonly GraphGroup[]
}

export interface GraphNode {
  readonly name: string
  readonly kind: 'source' | 'stage' | 'sink'
  /** The innermost group it is in. */
  readonly group?: string
  /** Of a sink: the name of the one that gets what it gave up; absent where there is none. */
  readonly deadLetters?: string
}

export interface GraphGroup {
  readonly name: string
  /** The group around it. */
  readonly group?: string
}

export interface GraphEdge {
  readonly from: string
  readonly to: string
  readonly kind: 'inline' | 'mailbox' | 'worker'
  /** Values that may wait; 0 in line, where nothing can. */
  readonly capacity: number
  readonly onFull: string
  /** There where a loop closes. */
  readonly feedback?: true
}

/** A picture of one moment of a run. */
export interface RunningGraph extends PipelineGraph {
  readonly running: true
  readonly nodes: readonly RunningNode[]
  readonly edges: readonly RunningEdge[]
}

/** `failed`: stopped because of what it threw. */
export type NodeState = 'running' | 'restarting' | 'ended' | 'stopped' | 'failed'

export interface RunningNode extends GraphNode {
  readonly state: NodeState
  readonly restarts: number
  /** Of a sink: batches that it gave up. */
  readonly failures: number
  /** Messages that it failed on. */
  readonly quarantined: number
}

export interface RunningEdge extends GraphEdge, Readonly<Ledger> {
  /** Most values that have waited at once. */
  readonly highWater?: number
}

/** What a running graph is drawn from: reports of one moment. */
export interface RunningParts {
  readonly pipeline: string
  readonly nodes: readonly NodeDescription[]
  readonly groups: readonly GroupDescription[]
  readonly edges: readonly RunningEdge[]
  readonly stages: readonly StageStanding[]
  readonly sinks: readonly { readonly name: string; readonly failed: number }[]
  /** Messages that each stage failed on, by its path. */
  readonly quarantined?: ReadonlyMap<string, number> | undefined
  /** The run is over: what has no standing of its own has ended with it. */
  readonly ended?: boolean
}

/** How a stage, or a source, has fared. */
export interface StageStanding {
  readonly name: string
  readonly path: string
  readonly state: Exclude<NodeState, 'failed'>
  readonly failures: number
  readonly restarts: number
  readonly lastFault?: string | undefined
}

/** The outside world, from where a source's mailbox is filled. */
export const OUTSIDE = 'exchanges'

export function graphOf({ name, nodes, groups }: PipelineDescription): PipelineGraph {
  const edges: GraphEdge[] = []
  for (const node of nodes) {
    if (node.kind === 'source') edges.push(graphEdge(OUTSIDE, node.name, node.edge))
    else {
      const carried = node.kind === 'stage' ? carriedEdgeOf(node.operator) : undefined
      for (const from of node.from) {
        const edge =
          node.edge === undefined && carried !== undefined
            ? { from, to: node.name, ...carried }
            : graphEdge(from, node.name, node.edge)
        edges.push(isFeedback(node) ? { ...edge, feedback: true } : edge)
      }
    }
  }
  return { format: 'millrace-graph/1', pipeline: name, nodes: nodes.map(graphNode), edges, ...groupsOf(groups) }
}

/** The picture of a run as it stands. */
export function runningGraphOf(parts: RunningParts): RunningGraph {
  const { pipeline, nodes, groups, quarantined, ended = false } = parts
  const stages = new Map(parts.stages.map((stage) => [stage.name, stage]))
  const sinks = new Map(parts.sinks.map((sink) => [sink.name, sink]))
  const byName = new Map(nodes.map((node) => [node.name, node]))
  // Edges of branches that were taken away again lead nowhere any more; before it is wired a pipeline has its edges all the same.
  const wired = new Set(parts.edges.map(({ to }) => to))
  const unwired = graphOf({ name: pipeline, nodes: nodes.filter(({ name }) => !wired.has(name)), groups }).edges
  const edges: RunningEdge[] = [
    ...parts.edges.filter(({ to }) => byName.has(to)),
    ...unwired.map((edge) => ({ ...edge, ...emptyLedger() })),
  ]
  const broken = new Set(edges.flatMap(({ to, dropped }) => ((dropped.fail ?? 0) > 0 ? [to] : [])))
  return {
    format: 'millrace-graph/1',
    running: true,
    pipeline,
    nodes: nodes.map((node) => {
      const stage = stages.get(node.name)
      const failures = stage?.failures ?? sinks.get(node.name)?.failed ?? 0
      return {
        ...graphNode(node),
        state: broken.has(node.name) ? 'failed' : stage !== undefined ? stateOf(stage) : ended ? 'ended' : 'running',
        restarts: stage?.restarts ?? 0,
        failures,
        quarantined: stage === undefined ? 0 : (quarantined?.get(stage.path) ?? 0),
      }
    }),
    edges: edges.map((edge) => (isFeedback(byName.get(edge.to)!) ? { ...edge, feedback: true } : edge)),
    ...groupsOf(groups),
  }
}

/** The state of a stage in one word: one that was stopped for what it threw has failed. */
export function stateOf({ state, failures }: Pick<StageStanding, 'state' | 'failures'>): NodeState {
  return state === 'stopped' && failures > 0 ? 'failed' : state
}

export function graphEdge(from: string, to: string, edge: EdgeOptions | undefined): GraphEdge {
  if (edge === undefined) return { from, to, kind: 'inline', capacity: 0, onFull: 'none' }
  return { from, to, kind: 'mailbox', capacity: edge.capacity, onFull: policyName(edge.onFull) }
}

/** For Markdown and notebooks. */
export function toMermaid(graph: PipelineGraph | RunningGraph): string {
  const ids = new Map(graph.nodes.map((node, index) => [node.name, `n${index}`]))
  const lines = ['flowchart LR']
  const node = (each: GraphNode | RunningNode, indent: string): void => {
    const text = `"${textOf(each, graph).map(mermaidText).join('<br/>')}"`
    const shape = each.kind === 'source' ? `([${text}])` : each.kind === 'sink' ? `[(${text})]` : `[${text}]`
    lines.push(`${indent}${ids.get(each.name)!}${shape}`)
  }
  drawGrouped(graph, node, {
    open: ({ name }, index, indent) => lines.push(`${indent}subgraph g${index}["${mermaidText(name)}"]`),
    close: (indent) => lines.push(`${indent}end`),
  })
  for (const edge of drawnEdges(graph)) {
    const label = labelOf(edge).map(mermaidText).join('<br/>')
    const arrow = edge.feedback === true ? '-.->' : edge.kind === 'inline' ? '-->' : '==>'
    lines.push(`  ${ids.get(edge.from)!} ${arrow}${label === '' ? '' : `|"${label}"|`} ${ids.get(edge.to)!}`)
  }
  for (const [state, { fill, stroke }] of Object.entries(COLOURS)) {
    const members = graph.nodes.flatMap((each) =>
      'state' in each && each.state === state ? [ids.get(each.name)!] : [],
    )
    if (members.length === 0) continue
    lines.push(
      `  classDef ${state} fill:${fill},stroke:${stroke},color:#1a1a1a`,
      `  class ${members.join(',')} ${state}`,
    )
  }
  return lines.join('\n') + '\n'
}

/** For Graphviz. */
export function toDot(graph: PipelineGraph | RunningGraph): string {
  const lines = [`digraph ${dotText([graph.pipeline])} {`, '  rankdir=LR;', '  node [fontname="sans-serif"];']
  if ('running' in graph) lines.push('  edge [fontname="sans-serif", fontsize=10];')
  const node = (each: GraphNode | RunningNode, indent: string): void => {
    const shape = each.kind === 'source' ? 'oval' : each.kind === 'sink' ? 'cylinder' : 'box'
    const text = textOf(each, graph)
    const label = text.length === 1 ? '' : `, label=${dotText(text)}`
    const colours = 'state' in each ? COLOURS[each.state] : undefined
    const colour = colours === undefined ? '' : `, style=filled, fillcolor="${colours.fill}", color="${colours.stroke}"`
    lines.push(`${indent}${dotText([each.name])} [shape=${shape}${label}${colour}];`)
  }
  drawGrouped(graph, node, {
    open: ({ name }, index, indent) =>
      lines.push(
        `${indent}subgraph cluster_${index} {`,
        `${indent}  label=${dotText([name])};`,
        `${indent}  style=rounded; fontname="sans-serif";`,
      ),
    close: (indent) => lines.push(`${indent}}`),
  })
  for (const edge of drawnEdges(graph)) {
    const label = labelOf(edge)
    const style = edge.feedback === true ? 'dotted' : edge.kind === 'inline' ? '' : 'bold'
    const attributes = [
      ...(style === '' ? [] : [`style=${style}`]),
      ...(label.length === 0 ? [] : [`label=${dotText(label)}`]),
    ].join(', ')
    lines.push(`  ${dotText([edge.from])} -> ${dotText([edge.to])}${attributes === '' ? '' : ` [${attributes}]`};`)
  }
  lines.push('}')
  return lines.join('\n') + '\n'
}

/** By state; what is at work is left as it is. */
const COLOURS: Readonly<Partial<Record<NodeState, { readonly fill: string; readonly stroke: string }>>> = {
  running: { fill: '#d9f2d9', stroke: '#2e7d32' },
  restarting: { fill: '#fff3c4', stroke: '#b58900' },
  ended: { fill: '#eeeeee', stroke: '#757575' },
  stopped: { fill: '#d9d9d9', stroke: '#424242' },
  failed: { fill: '#f8d0d0', stroke: '#c62828' },
}

/** Nodes outside of groups first, then each group with what is in it. */
function drawGrouped(
  graph: PipelineGraph | RunningGraph,
  node: (node: GraphNode | RunningNode, indent: string) => void,
  around: { open: (group: GraphGroup, index: number, indent: string) => void; close: (indent: string) => void },
): void {
  const groups = graph.groups ?? []
  const draw = (within: string | undefined, indent: string): void => {
    for (const each of graph.nodes) if (each.group === within) node(each, indent)
    groups.forEach((group, index) => {
      if (group.group !== within) return
      around.open(group, index, indent)
      draw(group.name, `${indent}  `)
      around.close(indent)
    })
  }
  draw(undefined, '  ')
}

/** The edges that are lines of the picture: those from the outside world, which is not drawn, are not. */
function drawnEdges(graph: PipelineGraph | RunningGraph): readonly (GraphEdge | RunningEdge)[] {
  const sources = sourcesOf(graph)
  return graph.edges.filter(({ to }) => !sources.has(to))
}

/** The lines of a node's text: its name, what waits before a source, how it fares where that is not well, and where its dead letters go. */
function textOf(node: GraphNode | RunningNode, graph: PipelineGraph | RunningGraph): string[] {
  const letters = node.deadLetters === undefined ? [] : [`dead letters → ${node.deadLetters}`]
  if (!('state' in node)) return [node.name, ...letters]
  const before = node.kind === 'source' ? graph.edges.find(({ to }) => to === node.name) : undefined
  const counts = [
    [node.restarts, 'restart'],
    [node.failures, 'failure'],
    [node.quarantined, 'quarantined'],
  ] as const
  const told = counts.flatMap(([count, noun]) =>
    count === 0 ? [] : [`${count} ${noun}${count === 1 || noun === 'quarantined' ? '' : 's'}`],
  )
  return [
    node.name,
    ...(before === undefined ? [] : labelOf(before)),
    ...(node.state === 'running' ? [] : [node.state]),
    ...(told.length === 0 ? [] : [told.join(', ')]),
    ...letters,
  ]
}

/** The lines beside an edge: its capacity and policy, and of a running one what waits and what did not come out. */
function labelOf(edge: GraphEdge | RunningEdge): string[] {
  const running = 'inFlight' in edge
  const waits = edge.kind === 'inline' ? [] : [`${running ? `${edge.inFlight}/` : ''}${edge.capacity} ${edge.onFull}`]
  if (!running) return waits
  const superseded = supersededOf(edge)
  const dropped = droppedOf(edge) - superseded
  return [
    ...waits,
    ...(superseded > 0 ? [`superseded ${superseded}`] : []),
    ...(dropped > 0 ? [`dropped ${dropped}`] : []),
  ]
}

function graphNode(node: NodeDescription): GraphNode {
  const { name, kind, groups } = node
  const group = groups.at(-1)
  const letters = node.kind === 'sink' ? node.edge.deadLetters?.name : undefined
  return {
    name,
    kind,
    ...(group === undefined ? {} : { group }),
    ...(letters === undefined ? {} : { deadLetters: letters }),
  }
}

function groupsOf(groups: readonly GroupDescription[]): Pick<PipelineGraph, 'groups'> {
  if (groups.length === 0) return {}
  return {
    groups: groups.map(({ name, groups: around }) => {
      const group = around.at(-1)
      return { name, ...(group === undefined ? {} : { group }) }
    }),
  }
}

function isFeedback(node: NodeDescription): boolean {
  return node.kind === 'stage' && node.feedback
}

function sourcesOf(graph: PipelineGraph): ReadonlySet<string> {
  return new Set(graph.nodes.flatMap(({ name, kind }) => (kind === 'source' ? [name] : [])))
}

/** Mermaid has no escapes: what would end a text, or begin markup, is written as an entity. */
function mermaidText(text: string): string {
  return text.replace(/[#"<>&\\`\r\n]/g, (char) => `#${char.charCodeAt(0)};`)
}

/** A quoted string of DOT, of several lines where there are several. */
function dotText(lines: readonly string[]): string {
  return `"${lines.map((line) => JSON.stringify(line).slice(1, -1)).join('\\n')}"`
}
