import { expect } from 'chai'
import { map, merge, of } from 'rxjs'
import { describePipeline, type PipelineBuilder } from '../../src/pipeline/description'
import {
  graphEdge,
  graphOf,
  OUTSIDE,
  runningGraphOf,
  toDot,
  toMermaid,
  type PipelineGraph,
  type RunningParts,
} from '../../src/pipeline/graph'
import type { DeadLetter } from '../../src/sinks/deadLetter'
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

  it('says of a sink where its dead letters go', () => {
    const lettered = graphed('p', ({ source, sink }) => {
      const deadLetters = memory<DeadLetter<number>>({ capacity: 1, name: 'letters' })
      sink(source('a', of(1), edge), memory({ capacity: 1 }), { ...edge, deadLetters })
    })
    expect(lettered.nodes.at(-1)).to.deep.equal({ name: 'memory', kind: 'sink', deadLetters: 'letters' })
    expect(toMermaid(lettered)).to.contain('n1[("memory<br/>dead letters → letters")]')
    expect(toDot(lettered)).to.contain(String.raw`"memory" [shape=cylinder, label="memory\ndead letters → letters"]`)
  })

  it('draws the edges of a source that is called as the outside world is', () => {
    const outside = graphed('p', ({ source, sink }) => {
      sink(source('exchanges', merge(of(1)), edge).through('b', map(String)), memory({ capacity: 1 }), edge)
    })
    expect(toMermaid(outside)).to.contain('n0 --> n1').and.to.contain('n1 ==>|"10 block"| n2')
    expect(toDot(outside)).to.contain('"exchanges" -> "b"')
    expect(toMermaid(outside)).not.to.contain('n0 ==>')
  })

  describe('with groups and loops', () => {
    const looped = graphed('looped', ({ source, sink, group, feedback, merge: join }) => {
      const back = feedback<number>('again', { capacity: 8, onFull: 'dropOldest' })
      const numbers = source('numbers', of(1), edge)
      const last = group('outer', {}, () => {
        const first = join('both', numbers, back).through('first', map(Number))
        return group('inner', { onFailure: 'restart' }, () => first.through('second', map(Number)))
      })
      back.from(last)
      sink(last, memory({ capacity: 1, name: 'out' }), edge)
    })

    it('says which node is in which group, and which edge closes a loop', () => {
      expect(looped.groups).to.deep.equal([{ name: 'outer' }, { name: 'inner', group: 'outer' }])
      expect(
        looped.nodes.flatMap(({ name, group }) => (group === undefined ? [] : [`${name} in ${group}`])),
      ).to.deep.equal([...['both in outer', 'first in outer', 'second in inner']])
      expect(looped.edges.filter(({ feedback }) => feedback)).to.deep.equal([
        { from: 'second', to: 'again', kind: 'mailbox', capacity: 8, onFull: 'dropOldest', feedback: true },
      ])
    })

    it('draws groups as frames within each other, and what closes a loop dotted', () => {
      expect(toMermaid(looped)).to.equal(
        [
          'flowchart LR',
          '  n0["again"]',
          '  n1(["numbers"])',
          '  n5[("out")]',
          '  subgraph g0["outer"]',
          '    n2["both"]',
          '    n3["first"]',
          '    subgraph g1["inner"]',
          '      n4["second"]',
          '    end',
          '  end',
          '  n4 -.->|"8 dropOldest"| n0',
          '  n1 --> n2',
          '  n0 --> n2',
          '  n2 --> n3',
          '  n3 --> n4',
          '  n4 ==>|"10 block"| n5',
          '',
        ].join('\n'),
      )
      const dot = toDot(looped)
      expect(dot).to.contain(
        '  subgraph cluster_0 {\n    label="outer";\n    style=rounded; fontname="sans-serif";\n    "both" [shape=box];',
      )
      expect(dot).to.contain('    subgraph cluster_1 {\n      label="inner";')
      expect(dot).to.contain('"second" -> "again" [style=dotted, label="8 dropOldest"];')
      expect(dot.split('{').length).to.equal(dot.split('}').length)
    })
  })
})

describe('The graph of a running pipeline', () => {
  const description = describePipeline('spread', ({ source, sink, group, merge: join }) => {
    const books = source('books', of(1), { capacity: 1_024, onFull: 'block' })
    const best = group('quotes', {}, () => books.through('best', map(String)).through('mid', map(String)))
    sink(join('all', books, best), memory({ capacity: 1, name: 'lines' }), { capacity: 5, onFull: 'keepLatest' })
  })
  const account = { in: 9, out: 9, dropped: {}, inFlight: 0 }
  const parts: RunningParts = {
    pipeline: 'spread',
    nodes: description.nodes,
    groups: description.groups,
    edges: [
      { ...graphEdge(OUTSIDE, 'books', { capacity: 1_024, onFull: 'block' }), ...account, inFlight: 12, highWater: 40 },
      { ...graphEdge('books', 'best', undefined), ...account, dropped: { failed: 2 } },
      { ...graphEdge('best', 'mid', undefined), ...account },
      {
        ...graphEdge('all', 'lines', { capacity: 5, onFull: 'keepLatest' }),
        ...account,
        dropped: { keepLatest: 7, rejected: 3 },
        inFlight: 2,
      },
      { ...graphEdge('mid', 'was-detached', undefined), ...account },
    ],
    stages: [
      {
        name: 'best',
        path: 'spread/quotes/best',
        state: 'restarting',
        failures: 2,
        restarts: 1,
        lastFault: 'It failed.',
      },
      { name: 'mid', path: 'spread/quotes/mid', state: 'stopped', failures: 1, restarts: 0, lastFault: undefined },
    ],
    sinks: [{ name: 'lines', failed: 1 }],
    quarantined: new Map([['spread/quotes/best', 2]]),
  }
  const running = runningGraphOf(parts)

  it('says how each node fares', () => {
    expect(running).to.include({ format: 'millrace-graph/1', pipeline: 'spread', running: true })
    expect(running.nodes).to.deep.equal([
      { name: 'books', kind: 'source', state: 'running', restarts: 0, failures: 0, quarantined: 0 },
      { name: 'best', kind: 'stage', group: 'quotes', state: 'restarting', restarts: 1, failures: 2, quarantined: 2 },
      { name: 'mid', kind: 'stage', group: 'quotes', state: 'failed', restarts: 0, failures: 1, quarantined: 0 },
      { name: 'all', kind: 'stage', state: 'running', restarts: 0, failures: 0, quarantined: 0 },
      { name: 'lines', kind: 'sink', state: 'running', restarts: 0, failures: 1, quarantined: 0 },
    ])
  })

  it('has the account of every edge, also before it is wired, but for those of branches that have gone', () => {
    expect(running.edges.map(({ from, to, inFlight }) => `${from} > ${to}: ${inFlight}`)).to.deep.equal([
      ...['exchanges > books: 12', 'books > best: 0', 'best > mid: 0', 'all > lines: 2'],
      ...['books > all: 0', 'mid > all: 0'],
    ])
    expect(running.edges[0]!.highWater).to.equal(40)
    expect(JSON.parse(JSON.stringify(running))).to.deep.equal(running)
  })

  it('is drawn with what waits, what was dropped, and states as colours', () => {
    expect(toMermaid(running)).to.equal(
      [
        'flowchart LR',
        '  n0(["books<br/>12/1024 block"])',
        '  n3["all"]',
        '  n4[("lines<br/>1 failure")]',
        '  subgraph g0["quotes"]',
        '    n1["best<br/>restarting<br/>1 restart, 2 failures, 2 quarantined"]',
        '    n2["mid<br/>failed<br/>1 failure"]',
        '  end',
        '  n0 -->|"dropped 2"| n1',
        '  n1 --> n2',
        '  n3 ==>|"2/5 keepLatest<br/>superseded 7<br/>dropped 3"| n4',
        '  n0 --> n3',
        '  n2 --> n3',
        '  classDef running fill:#d9f2d9,stroke:#2e7d32,color:#1a1a1a',
        '  class n0,n3,n4 running',
        '  classDef restarting fill:#fff3c4,stroke:#b58900,color:#1a1a1a',
        '  class n1 restarting',
        '  classDef failed fill:#f8d0d0,stroke:#c62828,color:#1a1a1a',
        '  class n2 failed',
        '',
      ].join('\n'),
    )
    const dot = toDot(running)
    expect(dot).to.contain('"books" [shape=oval, label="books\\n12/1024 block", style=filled, fillcolor="#d9f2d9"')
    expect(dot).to.contain('"all" -> "lines" [style=bold, label="2/5 keepLatest\\nsuperseded 7\\ndropped 3"];')
    expect(dot).to.contain('"books" -> "best" [label="dropped 2"];')
  })

  it('shows what ended with the run as ended, and an edge that could not go on as failed', () => {
    const last = { ...parts.edges[3]!, dropped: { fail: 1 } }
    const over = runningGraphOf({ ...parts, ended: true, edges: [...parts.edges.slice(0, 3), last] })
    expect(over.nodes.map(({ name, state }) => `${name} ${state}`)).to.deep.equal([
      ...['books ended', 'best restarting', 'mid failed', 'all ended', 'lines failed'],
    ])
  })

  it('is drawn in less than ten milliseconds with a thousand stages', () => {
    const many = describePipeline('many', ({ source, sink }) => {
      let stream = source('s', of(1), edge)
      for (let index = 0; index < 1_000; index++) stream = stream.through(`stage-${index}`, map(Number))
      sink(stream, memory({ capacity: 1 }), edge)
    })
    const stages = many.nodes.map(({ name }) => ({
      ...{ name, path: name, state: 'running', failures: 0, restarts: 0 },
    })) as unknown as RunningParts['stages']
    const edges = graphOf(many).edges.map((each) => ({ ...each, ...account }))
    const draw = (): number => {
      const startedMs = performance.now()
      runningGraphOf({ pipeline: 'many', nodes: many.nodes, groups: [], edges, stages, sinks: [] })
      return performance.now() - startedMs
    }
    expect(Math.min(...Array.from({ length: 10 }, draw))).to.be.lessThan(10)
  })
})

function graphed(name: string, build: (builder: PipelineBuilder) => void): PipelineGraph {
  return graphOf(describePipeline(name, build))
}
