import { expect } from 'chai'
import { map, NEVER, Observable, type OperatorFunction } from 'rxjs'
import { currentClock } from '../../src/clock/currentClock'
import { MARK, stageMarks } from '../../src/metrics/stageMarks'
import { StageTimes } from '../../src/metrics/stageTimes'
import { memory } from '../../src/sinks/memory'
import { wired } from './wired'

const roomy = { capacity: 1_000, onFull: 'block' } as const

describe('A stage at work', () => {
  it('is marked while it handles a value, also when it has handed on to another and gets back', () => {
    const seen: string[] = []
    const { offer } = running(noting('before', 'after', seen), noting('inner', 'inner again', seen))
    offer(1)
    expect(seen).to.deep.equal(['before test/one', 'inner test/two', 'inner again test/two', 'after test/one'])
    expect(atWork()).to.equal(undefined)
  })

  it('is not marked any more when it has thrown', () => {
    const { offer, faults } = running(
      map(() => {
        throw new Error('this is bad')
      }),
      map((value: number) => value),
    )
    offer(1)
    expect(faults).to.have.length(1)
    expect(atWork()).to.equal(undefined)
  })

  it('is marked while it is started, while its timers run and while it ends', async () => {
    const seen: string[] = []
    const living: OperatorFunction<number, number> = (source) => {
      seen.push(`start ${atWork()}`)
      currentClock().after(5, () => seen.push(`timer ${atWork()}`))
      return new Observable((out) =>
        source
          .subscribe({ complete: () => out.complete(), next: () => undefined })
          .add(() => seen.push(`end ${atWork()}`)),
      )
    }
    const { clock, graph } = running(
      living,
      map((value: number) => value),
    )
    clock.advance(5)
    await graph.finish(1_000)
    expect(seen).to.deep.equal(['start test/one', 'timer test/one', 'end test/one'])
    expect(atWork()).to.equal(undefined)
  })

  it('counts as one turn, whatever it calls', () => {
    const { offer } = running(
      map((value: number) => value),
      map((value: number) => value),
    )
    const before = stageMarks.marks[MARK.turns]!
    offer(1)
    offer(2)
    expect(stageMarks.marks[MARK.turns]! - before).to.equal(2)
  })
})

function atWork(): string | undefined {
  return stageMarks.pathOf(stageMarks.marks[MARK.stage]!)
}

function noting(before: string, after: string, seen: string[]): OperatorFunction<number, number> {
  return (source) =>
    new Observable((out) =>
      source.subscribe((value) => {
        seen.push(`${before} ${atWork()}`)
        out.next(value)
        seen.push(`${after} ${atWork()}`)
      }),
    )
}

function running(one: OperatorFunction<number, number>, two: OperatorFunction<number, number>) {
  const parts = wired(({ source, sink }) => {
    const values = source('n', NEVER as Observable<number>, roomy)
    sink(values.through('one', one).through('two', two), memory<number>({ capacity: 9 }), roomy)
  }, 'out', { times: new StageTimes(() => 0) })
  return { ...parts, offer: (value: number) => parts.graph.source('n').offer(undefined, value) }
}
