import { expect } from 'chai'
import { map, merge, of } from 'rxjs'
import { describePipeline, type PipelineBuilder } from '../../src/pipeline/description'
import { graphOf, toDot, toMermaid, type PipelineGraph } from '../../src/pipeline/graph'
import { memory } from '../../src/sinks/memory'

const edge = { capacity: 10, onFull: 'block' } as const

describe('The graph of a pipeline', () => {
  const graph = graphed('spread', ({ source, sink, merge: join }) => {
    const books = source('books', of(1), { capacity: 1_024, onFull: { conflate: 'instrument' } })
    const trades = source('trades', of(2), edge)
    const best = books.through('best', map(String))
    const all = join('all', books, trades).through('counted', map(String), { capacity: 5, onFull: 'dropOldest' })
    sink(best, memory({ capacity: 1, name: 'report' }), { capacity: 1, onFull: 'keepLatest' })
    sink(all, memory({ capacity: 1, name: 'lines' }), edge)
  })

  it('names every node with its kind, in the order of the description', () => {
    expect(graph.format).to.equal('millrace-graph/1')
    expect(graph.pipeline).to.equal('spread')
    expect(graph.nodes.map(({ kind, name }) => `${kind} ${name}`)).to.deep.equal([
      ...['source books', 'source trades', 'stage best', 'stage all', 'stage counted', 'sink report', 'sink lines'],
    ])
  })

  it('has an edge for every stream that is read, with its capacity and policy', () => {
    const lines = graph.edges.map(
      ({ from, to, kind, capacity, onFull }) => `${from} > ${to}: ${kind} ${capacity} ${onFull}`,
    )
    expect(lines).to.deep.equal([
      'exchanges > books: mailbox 1024 conflate',
      'exchanges > trades: mailbox 10 block',
      'books > best: inline 0 none',
      'books > all: inline 0 none',
      'trades > all: inline 0 none',
      'all > counted: mailbox 5 dropOldest',
      'best > report: mailbox 1 keepLatest',
      'counted > lines: mailbox 10 block',
    ])
  })

  it('is plain data', () => {
    expect(JSON.parse(JSON.stringify(graph))).to.deep.equal(graph)
  })

  it('shows the edge that an operator carries itself in the place of the one in line', () => {
    const carried = Object.assign(map(String), {
      carries: { kind: 'worker', capacity: 64, onFull: 'block' } as const,
    })
    const { edges } = graphed('p', ({ source, sink }) => {
      sink(source('a', of(1), edge).through('hop', carried), memory({ capacity: 1 }), edge)
    })
    expect(edges[1]).to.deep.equal({ from: 'a', to: 'hop', kind: 'worker', capacity: 64, onFull: 'block' })
  })

  it('is drawn as Mermaid', () => {
    expect(toMermaid(graph)).to.equal(
      [
        'flowchart LR',
        '  n0(["books"])',
        '  n1(["trades"])',
        '  n2["best"]',
        '  n3["all"]',
        '  n4["counted"]',
        '  n5[("report")]',
        '  n6[("lines")]',
        '  n0 --> n2',
        '  n0 --> n3',
        '  n1 --> n3',
        '  n3 ==>|"5 dropOldest"| n4',
        '  n2 ==>|"1 keepLatest"| n5',
        '  n4 ==>|"10 block"| n6',
        '',
      ].join('\n'),
    )
  })

  it('is drawn for Graphviz', () => {
    const dot = toDot(graph)
    expect(dot).to.match(/^digraph "spread" \{\n.*\}\n$/s)
    expect(dot).to.contain('  "books" [shape=oval];').and.to.contain('  "report" [shape=cylinder];')
    expect(dot).to.contain('  "books" -> "best";')
    expect(dot).to.contain('  "all" -> "counted" [style=bold, label="5 dropOldest"];')
    expect(dot).not.to.contain('exchanges')
  })

  it('draws names that have quotes, brackets and line ends in them, and no markup of theirs', () => {
    const name = 'a "quoted" <b>]#\n\\`name`'
    const odd = graphed(name, ({ source, sink }) => sink(source(name, of(1), edge), memory({ capacity: 1 }), edge))
    const [, first] = toMermaid(odd).split('\n')
    expect(first).to.match(/^ {2}n0\(\["[^"<>\\`]*"\]\)$/)
    expect(first).to.contain('a #34;quoted#34; #60;b#62;]#35;#10;#92;#96;name#96;')
    const quoted = toDot(odd).split('\n')[3]!
    expect(JSON.parse(quoted.slice(quoted.indexOf('"'), quoted.lastIndexOf('"') + 1))).to.equal(name)
  })

  it('draws the edges of a source that is called as the outside world is', () => {
    const outside = graphed('p', ({ source, sink }) => {
      sink(source('exchanges', merge(of(1)), edge).through('b', map(String)), memory({ capacity: 1 }), edge)
    })
    expect(toMermaid(outside)).to.contain('n0 --> n1').and.to.contain('n1 ==>|"10 block"| n2')
    expect(toDot(outside)).to.contain('"exchanges" -> "b"')
    expect(toMermaid(outside)).not.to.contain('n0 ==>')
  })
})

function graphed(name: string, build: (builder: PipelineBuilder) => void): PipelineGraph {
  return graphOf(describePipeline(name, build))
}
