import { expect } from 'chai'
import { map, of } from 'rxjs'
import { describePipeline } from '../../src/pipeline/description'
import { supervisionTree, type SupervisedParts, type SupervisionTree } from '../../src/pipeline/supervisionTree'
import { memory } from '../../src/sinks/memory'

const edge = { capacity: 10, onFull: 'block' } as const

describe('The supervision tree', () => {
  const { nodes, groups } = describePipeline('spread', ({ source, sink, group }) => {
    const books = source('books', of(1), edge)
    const mid = group('quotes', {}, () => {
      const best = books.through('best', map(Number))
      return group('inner', {}, () => best.through('mid', map(Number)))
    })
    sink(mid, memory({ capacity: 1, name: 'lines' }), edge)
  })
  const parts: SupervisedParts = {
    pipeline: 'spread',
    nodes,
    groups,
    connections: [{ exchange: 'okx', url: 'wss://okx/ws?token=abc', state: 'open', sinceUs: 1, attempts: 3 }],
    stages: [
      { name: 'best', path: 'spread/quotes/best', state: 'running', failures: 2, restarts: 2, lastFault: 'It failed.' },
      { name: 'mid', path: 'spread/quotes/inner/mid', state: 'stopped', failures: 1, restarts: 0 },
    ],
    sinks: [{ name: 'lines', failed: 4 }],
    quarantined: new Map([['spread/quotes/inner/mid', 1]]),
  }

  it('has feeds, groups within groups, and at the leaves what they supervise', () => {
    expect(outline(supervisionTree(parts))).to.deep.equal([
      'run spread: failed, 4 restarts, 7 failures, 1 quarantined',
      '  feed okx wss://okx/ws?token=TOKEN: open, 2 restarts, 0 failures, 0 quarantined',
      '  group quotes: failed, 2 restarts, 3 failures, 1 quarantined',
      '    group inner: failed, 0 restarts, 1 failures, 1 quarantined',
      '      stage mid: failed, 0 restarts, 1 failures, 1 quarantined',
      '    stage best: running, 2 restarts, 2 failures, 0 quarantined (It failed.)',
      '  source books: running, 0 restarts, 0 failures, 0 quarantined',
      '  sink lines: running, 0 restarts, 4 failures, 0 quarantined',
    ])
  })

  it('is as well as the one that fares worst; a feed that waits is looked after by itself', () => {
    const tree = (state: string, stages: SupervisedParts['stages'] = []): string => {
      const connections = [{ exchange: 'okx', url: '', state, sinceUs: undefined, attempts: 0 }]
      return supervisionTree({ ...parts, connections, stages }).state
    }
    expect([tree('open'), tree('waiting'), tree('failed')]).to.deep.equal(['running', 'running', 'failed'])
    const restarting = { ...parts.stages[0]!, state: 'restarting' } as const
    expect(tree('open', [restarting])).to.equal('restarting')
    expect(supervisionTree({ ...parts, connections: [], stages: [], ended: true }).state).to.equal('ended')
  })

  it('has nothing to say of an empty run but its name', () => {
    const empty = { pipeline: 'p', nodes: [], groups: [], connections: [], stages: [], sinks: [] }
    expect(supervisionTree(empty)).to.deep.equal({
      ...{ name: 'p', kind: 'run', state: 'running', restarts: 0, failures: 0, quarantined: 0, children: [] },
    })
  })
})

function outline(tree: SupervisionTree, indent = ''): string[] {
  const { kind, name, state, restarts, failures, quarantined, lastFault, children } = tree
  const fault = lastFault === undefined ? '' : ` (${lastFault})`
  return [
    `${indent}${kind} ${name}: ${state}, ${restarts} restarts, ${failures} failures, ${quarantined} quarantined${fault}`,
    ...children.flatMap((child) => outline(child, `${indent}  `)),
  ]
}
