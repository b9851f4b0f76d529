/**
 * The pipeline as it runs: what receives how fast, what waits where, what is not at work. Drawn from left to right in
 * layers; a table beside it says the same in numbers.
 */
import { countText } from '../../page/numbers'
import type { EdgePart, GraphPart, NodePart } from '../liveFormat'
import { element, FilledTable, section, setAttribute, setText, svgElement } from './dom'
import { layersOf } from './layers'
import type { LiveState } from './liveState'
import { rateText } from './texts'

const WIDTH = 148
const HEIGHT = 50
const GAP_X = 46
const GAP_Y = 14
const MARGIN = 8
/** Letters of a name that a box has room for. */
const LETTERS = 19
/** Shares of a full mailbox from which it is told in colour. */
const FILLING = 0.5
const FULL = 0.9

interface DrawnNode {
  readonly box: SVGGElement
  readonly rate: SVGTextElement
  readonly waits: SVGTextElement
  readonly bar: SVGRectElement
  readonly title: SVGTitleElement
  /** Edges that lead to it, by their numbers. */
  readonly edges: readonly number[]
}

export class PipelineGraph {
  readonly element: HTMLElement
  private readonly picture = element('div', {
    class: 'graph',
    tabindex: '0',
    role: 'region',
    'aria-label': 'The pipeline as a picture; the table below says the same',
  })
  private readonly table = new FilledTable(
    'Edges',
    [
      'from',
      'to',
      'kind',
      'when full',
      'in/s#',
      'waiting#',
      'at most#',
      'high water#',
      'in#',
      'out#',
      'superseded#',
      'lost#',
    ],
    'The stages are not wired yet.',
  )
  private readonly details = element('details', {}, element('summary', {}, 'Edges in numbers'), this.table.element)
  private drawnOf: GraphPart | undefined
  private nodes: DrawnNode[] = []
  private lines: SVGPathElement[] = []

  constructor() {
    this.element = section('pipeline', 'Pipeline', this.picture, this.details)
  }

  show(state: LiveState): void {
    const { graph } = state
    if (graph === undefined) return
    if (graph !== this.drawnOf) this.draw(graph)
    state.nodes.forEach((node, at) => this.showNode(state, graph, node, at))
    state.edges.forEach((edge, at) => this.showEdge(edge, at))
    if (this.details.open) this.table.fill(graph.edges.map((edge, at) => edgeRow(state, edge, at)))
  }

  private draw(graph: GraphPart): void {
    this.drawnOf = graph
    const names = new Map(graph.nodes.map(({ name }, at) => [name, at]))
    const ends = graph.edges.map(({ from, to, feedback }) => ({
      from: names.get(from),
      to: names.get(to),
      feedback: feedback === true,
    }))
    const links = ends.flatMap(({ from, to, feedback }) =>
      from === undefined || to === undefined || feedback ? [] : [[from, to] as const],
    )
    const places = layersOf(graph.nodes.length, links)
    const rows = Math.max(1, ...places.map(({ row }) => row + 1))
    const layers = Math.max(1, ...places.map(({ layer }) => layer + 1))
    const width = layers * (WIDTH + GAP_X) - GAP_X + 2 * MARGIN
    const height = rows * (HEIGHT + GAP_Y) - GAP_Y + 2 * MARGIN
    const at = (node: number): [x: number, y: number] => {
      const { layer, row } = places[node]!
      return [MARGIN + layer * (WIDTH + GAP_X), MARGIN + row * (HEIGHT + GAP_Y)]
    }
    this.lines = ends.map(({ from, to, feedback }) => {
      const line = svgElement('path', { class: feedback ? 'edge feedback' : 'edge' })
      if (from !== undefined && to !== undefined) line.setAttribute('d', curve(at(from), at(to)))
      return line
    })
    this.nodes = graph.nodes.map((node, index) =>
      drawNode(
        node,
        at(index),
        ends.flatMap(({ to }, edge) => (to === index ? [edge] : [])),
      ),
    )
    const picture = svgElement(
      'svg',
      {
        width: String(width),
        height: String(height),
        viewBox: `0 0 ${width} ${height}`,
        role: 'img',
        'aria-label': 'Pipeline',
      },
      ...this.lines,
      ...this.nodes.map(({ box }) => box),
    )
    this.picture.replaceChildren(picture)
  }

  private showNode(state: LiveState, graph: GraphPart, part: NodePart, at: number): void {
    const drawn = this.nodes[at]
    if (drawn === undefined) return
    const [standing, restarts, failures, quarantined, lastFault] = part
    setAttribute(drawn.box, 'data-state', standing)
    let rate = 0
    let waiting = 0
    let capacity = 0
    let lost = 0
    for (const edge of drawn.edges) {
      rate += state.edgeRates.get(edge)?.perSecond ?? 0
      waiting += state.edges[edge]?.[2] ?? 0
      capacity += graph.edges[edge]!.capacity
      lost += state.edges[edge]?.[4] ?? 0
    }
    const share = capacity === 0 ? 0 : Math.min(1, waiting / capacity)
    const troubles = [
      standing === 'running' ? '' : standing,
      failures > 0 ? `${countText(failures)} failed` : '',
      lost > 0 ? `${countText(lost)} lost` : '',
    ].filter(Boolean)
    setText(drawn.rate, `${rateText(rate)}/s`)
    setText(
      drawn.waits,
      troubles.length > 0
        ? troubles.join(', ').slice(0, LETTERS)
        : capacity === 0
          ? ''
          : `${compact(waiting)} of ${compact(capacity)}`,
    )
    setAttribute(drawn.box, 'data-trouble', String(troubles.length > 0))
    setAttribute(drawn.box, 'data-full', share > FULL ? 'full' : share > FILLING ? 'filling' : '')
    setAttribute(drawn.bar, 'width', (share * (WIDTH - 16)).toFixed(1))
    const { name, deadLetters } = graph.nodes[at]!
    setText(
      drawn.title,
      [
        `${name}: ${standing}, ${rateText(rate)}/s`,
        capacity > 0 ? `waiting: ${countText(waiting)} of ${countText(capacity)}` : '',
        `restarts ${countText(restarts)}, failures ${countText(failures)}, quarantined ${countText(quarantined)}`,
        deadLetters === undefined ? '' : `dead letters to ${deadLetters}`,
        lastFault ?? '',
      ]
        .filter(Boolean)
        .join('\n'),
    )
  }

  private showEdge([, , waiting, , lost]: EdgePart, at: number): void {
    const line = this.lines[at]
    const capacity = this.drawnOf?.edges[at]?.capacity ?? 0
    if (line === undefined) return
    const share = capacity === 0 ? 0 : waiting / capacity
    setAttribute(line, 'data-full', lost > 0 || share > FULL ? 'full' : share > FILLING ? 'filling' : '')
  }
}

function drawNode(node: GraphPart['nodes'][number], [x, y]: [number, number], edges: readonly number[]): DrawnNode {
  const { name, kind } = node
  const title = svgElement('title')
  const rate = svgElement('text', { x: '10', y: '34', class: 'rate' })
  const waits = svgElement('text', { x: String(WIDTH - 10), y: '34', class: 'waits', 'text-anchor': 'end' })
  const bar = svgElement('rect', { x: '8', y: String(HEIGHT - 9), height: '3', width: '0', rx: '1.5', class: 'fill' })
  const short = name.length > LETTERS ? `${name.slice(0, LETTERS - 1)}…` : name
  const box = svgElement(
    'g',
    { class: `node ${kind}`, transform: `translate(${x},${y})`, 'data-name': name },
    title,
    svgElement('rect', {
      width: String(WIDTH),
      height: String(HEIGHT),
      rx: kind === 'source' ? '20' : '6',
      class: 'box',
    }),
    svgElement('text', { x: '10', y: '18', class: 'name' }, short),
    rate,
    waits,
    svgElement('rect', {
      x: '8',
      y: String(HEIGHT - 9),
      height: '3',
      width: String(WIDTH - 16),
      rx: '1.5',
      class: 'groove',
    }),
    bar,
  )
  if (kind === 'sink') box.append(svgElement('path', { d: `M${WIDTH - 5} 6v${HEIGHT - 12}`, class: 'end' }))
  return { box, rate, waits, bar, title, edges }
}

function curve([fromX, fromY]: [number, number], [toX, toY]: [number, number]): string {
  const [x1, y1, x2, y2] = [fromX + WIDTH, fromY + HEIGHT / 2, toX, toY + HEIGHT / 2]
  const bend = Math.max(GAP_X / 2, Math.abs(x2 - x1) / 2)
  return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`
}

/** A count in a box: `812`, `50k`. */
function compact(count: number): string {
  return count < 10_000 ? String(count) : rateText(count)
}

function edgeRow(state: LiveState, edge: GraphPart['edges'][number], at: number): { cells: string[]; mark: string } {
  const [received = 0, sent = 0, waiting = 0, highWater = 0, lost = 0, superseded = 0] = state.edges[at] ?? []
  const { from, to, kind, capacity, onFull } = edge
  const counts = [received, sent, superseded, lost].map(countText)
  const depth = capacity === 0 ? ['', '', ''] : [waiting, capacity, highWater].map(countText)
  return {
    cells: [
      from,
      to,
      kind,
      kind === 'inline' ? '' : onFull,
      rateText(state.edgeRates.get(at)?.perSecond ?? 0),
      ...depth,
      ...counts,
    ],
    mark: lost > 0 ? 'warn' : '',
  }
}
