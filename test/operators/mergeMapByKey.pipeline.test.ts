import { expect } from 'chai'
import { from, throwError, timer, map, type Observable } from 'rxjs'
import { mergeMapByKey } from '../../src/operators/mergeMapByKey'
import type { Fault } from '../../src/model/fault'
import { pipeline } from '../../src/pipeline/pipeline'
import { memory } from '../../src/sinks/memory'

const roomy = { capacity: 10_000, onFull: 'block' } as const

describe('mergeMapByKey in a pipeline', () => {
  const numbers = Array.from({ length: 200 }, (_, index) => index)

  it('is an edge of its picture and of its summary, whose account balances, and keeps order per key', async () => {
    const kept = memory<number>({ capacity: 1_000 })
    const work = (value: number): Observable<number> => timer(value % 3).pipe(map(() => value))
    const worked = pipeline('keyed', ({ source, sink }) => {
      const keyed = mergeMapByKey((value: number) => value % 7, work, {
        concurrency: 5,
        perKey: 1,
        capacity: 1_000,
        onFull: 'block',
      })
      sink(source('numbers', from(numbers), roomy).through('work', keyed), kept, roomy)
    })
    expect(worked.graph().edges.find(({ to }) => to === 'work')).to.deep.include({
      kind: 'mailbox',
      capacity: 1_000,
      onFull: 'block',
    })

    const summary = await worked.run()
    const edge = summary.edges.find(({ to }) => to === 'work')
    expect(edge).to.deep.include({ from: 'numbers', kind: 'mailbox', capacity: 1_000, in: 200, out: 200, inFlight: 0 })
    expect(kept.values).to.have.members(numbers)
    for (let key = 0; key < 7; key++) {
      expect(kept.values.filter((value) => value % 7 === key)).to.deep.equal(
        numbers.filter((value) => value % 7 === key),
      )
    }
    expect(summary.problems).to.deep.equal([])
  })

  it('tells the run of values whose work failed, and goes on', async () => {
    const kept = memory<number>({ capacity: 1_000 })
    const faults: Fault[] = []
    const failing = pipeline('failing', ({ source, sink }) => {
      const work = (value: number): Observable<number> =>
        value === 3 ? throwError(() => new Error('odd one out')) : from([value])
      const keyed = mergeMapByKey((value: number) => value % 2, work, { concurrency: 2, perKey: 1, onError: 'skip' })
      sink(source('numbers', from([1, 2, 3, 4, 5]), roomy).through('work', keyed), kept, roomy)
    })
    const summary = await failing.run({ onFault: (fault) => faults.push(fault) })
    expect(kept.values).to.deep.equal([1, 2, 4, 5])
    expect(faults.map(({ message }) => message)).to.deep.equal(['mergeMapByKey gave up a value of key 1: odd one out'])
    expect(summary.faults).to.deep.equal({ STAGE_FAILED: 1 })
    expect(summary.edges.find(({ to }) => to === 'work')).to.deep.include({ out: 4, dropped: { failed: 1 } })
  })

  it('says of a value whose key is too busy for a sink that may not drop where it was lost', async () => {
    const faults: Fault[] = []
    const crowded = pipeline('crowded', ({ source, sink }) => {
      const keyed = mergeMapByKey(
        () => 'one',
        (value: number) => timer(1).pipe(map(() => value)),
        {
          concurrency: 1,
          perKey: 1,
          capacity: 10,
        },
      )
      sink(source('numbers', from(numbers), roomy).through('work', keyed), memory<number>({ capacity: 10 }), roomy)
    })
    const summary = await crowded.run({ onFault: (fault) => faults.push(fault) })
    expect(summary.faults['EDGE_FULL']).to.be.above(0)
    expect(faults[0]!.message).to.include('crowded/work').and.to.include('10 values of one key waiting')
    const edge = summary.edges.find(({ to }) => to === 'work')!
    const dropped = Object.values(edge.dropped).reduce((sum, count) => sum + count, 0)
    expect(edge.in).to.equal(edge.out + dropped + edge.inFlight)
  })
})
