import { expect } from 'chai'
import { CounterRegistry, type CounterSpecs } from '../../src/metrics/counters'

interface EdgeCounters {
  in: number
  out: number
}
const specs: CounterSpecs<EdgeCounters> = {
  in: { unit: 'values', meaning: 'values that came' },
  out: { unit: 'values', meaning: 'values that left' },
}

describe('the registry of counters', () => {
  it('reads plain fields as they stand, with name, unit and meaning', () => {
    const registry = new CounterRegistry()
    const edge: EdgeCounters = { in: 0, out: 0 }
    registry.register('edge', { from: 'a', to: 'b' }, specs, edge)
    edge.in += 3
    edge.out += 2
    expect(registry.read()).to.deep.equal([
      { name: 'edge.in', labels: { from: 'a', to: 'b' }, unit: 'values', meaning: 'values that came', value: 3 },
      { name: 'edge.out', labels: { from: 'a', to: 'b' }, unit: 'values', meaning: 'values that left', value: 2 },
    ])
  })

  it('forgets what was taken out, once', () => {
    const registry = new CounterRegistry()
    const remove = registry.register('edge', {}, specs, { in: 1, out: 1 })
    registry.register('other', {}, specs, { in: 2, out: 2 })
    remove()
    remove()
    expect(registry.read().map(({ name }) => name)).to.deep.equal(['other.in', 'other.out'])
    registry.register('edge', {}, specs, { in: 1, out: 1 })
    expect(registry.size).to.equal(2)
  })

  it('refuses two of the same name and labels, in whatever order', () => {
    const registry = new CounterRegistry()
    registry.register('edge', { a: '1', b: '2' }, specs, { in: 0, out: 0 })
    expect(() => registry.register('edge', { b: '2', a: '1' }, specs, { in: 0, out: 0 })).to.throw('registered already')
    registry.register('edge', { a: '1' }, specs, { in: 0, out: 0 })
  })

  it('takes no more than its capacity, so that a leak is seen', () => {
    const registry = new CounterRegistry(2)
    registry.register('edge', { n: '1' }, specs, { in: 0, out: 0 })
    registry.register('edge', { n: '2' }, specs, { in: 0, out: 0 })
    expect(() => registry.register('edge', { n: '3' }, specs, { in: 0, out: 0 })).to.throw(
      'holds its 2 objects already',
    )
  })
})
