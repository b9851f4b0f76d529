/**
 * The picture of a pipeline: nodes and edges as data, and drawn as Mermaid or DOT.
 */
import { policyName, type EdgeOptions } from '../actors/overflow'
import { carriedEdgeOf } from '../actors/wiring'
import type { PipelineDescription } from './description'

export interface PipelineGraph {
  readonly format: 'millrace-graph/1'
  readonly pipeline: string
  readonly nodes: readonly { readonly name: string; readonly kind: 'source' | 'stage' | 'sink' }[]
  readonly edges: readonly GraphEdge[]
}

export interface GraphEdge {
  readonly from: string
  readonly to: string
  readonly kind: 'inline' | 'mailbox' | 'worker'
  /** Values that may wait; 0 in line, where nothing can. */
  readonly capacity: number
  readonly onFull: string
}

/** The outside world, from where a source's mailbox is filled. */
export const OUTSIDE = 'exchanges'

export function graphOf({ name, nodes }: PipelineDescription): PipelineGraph {
  const edges: GraphEdge[] = []
  for (const node of nodes) {
    if (node.kind === 'source') edges.push(graphEdge(OUTSIDE, node.name, node.edge))
    else {
      const carried = node.kind === 'stage' ? carriedEdgeOf(node.operator) : undefined
      for (const from of node.from) {
        edges.push(
          node.edge === undefined && carried !== undefined
            ? { from, to: node.name, ...carried }
            : graphEdge(from, node.name, node.edge),
        )
      }
    }
  }
  return {
    format: 'millrace-graph/1',
    pipeline: name,
    nodes: nodes.map((node) => ({ name: node.name, kind: node.kind })),
    edges,
  }
}

export function graphEdge(from: string, to: string, edge: EdgeOptions | undefined): GraphEdge {
  if (edge === undefined) return { from, to, kind: 'inline', capacity: 0, onFull: 'none' }
  return { from, to, kind: 'mailbox', capacity: edge.capacity, onFull: policyName(edge.onFull) }
}

/** For Markdown and notebooks. */
export function toMermaid(graph: PipelineGraph): string {
  const id = idsOf(graph)
  const sources = sourcesOf(graph)
  const lines = ['flowchart LR']
  for (const node of graph.nodes) {
    const text = mermaidText(node.name)
    const shape = node.kind === 'source' ? `([${text}])` : node.kind === 'sink' ? `[(${text})]` : `[${text}]`
    lines.push(`  ${id(node.name)}${shape}`)
  }
  for (const edge of graph.edges) {
    if (sources.has(edge.to)) continue // from the outside world, which is not drawn
    lines.push(
      edge.kind === 'inline'
        ? `  ${id(edge.from)} --> ${id(edge.to)}`
        : `  ${id(edge.from)} ==>|"${edge.capacity} ${edge.onFull}"| ${id(edge.to)}`,
    )
  }
  return lines.join('\n') + '\n'
}

/** For Graphviz. */
export function toDot(graph: PipelineGraph): string {
  const sources = sourcesOf(graph)
  const lines = [`digraph ${JSON.stringify(graph.pipeline)} {`, '  rankdir=LR;', '  node [fontname="sans-serif"];']
  for (const node of graph.nodes) {
    const shape = node.kind === 'source' ? 'oval' : node.kind === 'sink' ? 'cylinder' : 'box'
    lines.push(`  ${JSON.stringify(node.name)} [shape=${shape}];`)
  }
  for (const edge of graph.edges) {
    if (sources.has(edge.to)) continue // from the outside world, which is not drawn
    const label =
      edge.kind === 'inline' ? '' : ` [style=bold, label=${JSON.stringify(`${edge.capacity} ${edge.onFull}`)}]`
    lines.push(`  ${JSON.stringify(edge.from)} -> ${JSON.stringify(edge.to)}${label};`)
  }
  lines.push('}')
  return lines.join('\n') + '\n'
}

function sourcesOf(graph: PipelineGraph): ReadonlySet<string> {
  return new Set(graph.nodes.flatMap(({ name, kind }) => (kind === 'source' ? [name] : [])))
}

/** Mermaid has no escapes: what would end a text, or begin markup, is written as an entity. */
function mermaidText(text: string): string {
  const written = text.replace(/[#"<>&\\`\r\n]/g, (char) => `#${char.charCodeAt(0)};`)
  return `"${written}"`
}

/** Mermaid's ids are words: names may be anything. */
function idsOf(graph: PipelineGraph): (name: string) => string {
  const ids = new Map(graph.nodes.map((node, index) => [node.name, `n${index}`]))
  return (name) => ids.get(name)!
}
