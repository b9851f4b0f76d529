import { expect } from 'chai'
import { concatMap, map, Observable, of, Subject, throwError, toArray, type OperatorFunction } from 'rxjs'
import { setTimeout as pause } from 'node:timers/promises'
import { readFileSync } from 'node:fs'
import { describePipeline, type StageNode } from '../../../src/pipeline/description'
import { Instruments } from '../../../src/pipeline/diagnosis/instruments'
import { memory } from '../../../src/sinks/memory'
import { collectGarbage } from '../../kit/collectGarbage'
import { eventually } from '../../kit/eventually'

const roomy = { capacity: 100, onFull: 'block' } as const
const LINES = readFileSync(__filename, 'utf8').split('\n')

/** A stage of a pipeline with instruments in it, as an operator. */
function instrumented<T>(operator: OperatorFunction<T, unknown>): {
  readonly instruments: Instruments
  readonly operator: OperatorFunction<unknown, unknown>
} {
  const instruments = new Instruments()
  const description = describePipeline(
    'looked',
    ({ source, sink }) => {
      sink(source('from', of(undefined as T), roomy).through('stage', operator), memory({ capacity: 10 }), roomy)
    },
    { places: true },
  )
  const node = instruments.prepare(description).nodes.find((each): each is StageNode => each.kind === 'stage')!
  return { instruments, operator: node.operator! }
}

describe('a stage under observation', () => {
  it('emits what it would, completes as it would, and fails as it would', async () => {
    const doubled = instrumented(map((value: number) => value * 2))
    const values = await new Promise((resolve, reject) => {
      of(1, 2, 3).pipe(doubled.operator, toArray()).subscribe({ next: resolve, error: reject })
    })
    expect(values).to.deep.equal([2, 4, 6])
    expect(doubled.instruments.observed.map(({ path, received }) => [path, received])).to.deep.equal([
      ['looked/from', 0],
      ['looked/stage', 3],
      ['looked/memory', 0],
    ])
    const broken = instrumented(() => throwError(() => new Error('broken')))
    let thrown: unknown
    of(1)
      .pipe(broken.operator)
      .subscribe({ error: (error: unknown) => (thrown = error) })
    expect(thrown).to.have.property('message', 'broken')
  })

  it('fails where a subscriber inside it throws, and hurts nobody else', () => {
    const { operator } = instrumented<number>(
      (source) =>
        new Observable((out) => {
          out.add(
            source.subscribe(() => {
              throw new Error('inside')
            }),
          )
        }),
    )
    let thrown: unknown
    of(1)
      .pipe(operator)
      .subscribe({ error: (error: unknown) => (thrown = error) })
    expect(thrown).to.have.property('message', 'inside')
  })

  it('unsubscribes from what it reads', () => {
    const { operator } = instrumented(map((value: number) => value))
    const source = new Subject<unknown>()
    const subscription = source.pipe(operator).subscribe()
    expect(source.observed).to.equal(true)
    subscription.unsubscribe()
    expect(source.observed).to.equal(false)
  })

  it('keeps what the operator says of itself', () => {
    const books = Object.assign(
      map((value: number) => value),
      {
        needsEveryValue: true,
      },
    )
    expect(instrumented(books).operator).to.have.property('needsEveryValue', true)
  })

  it('is known by the line that describes it', () => {
    const { instruments } = instrumented(map((value: number) => value))
    const place = instruments.observed[1]!.place
    expect(place?.url).to.equal(__filename)
  })

  it('is seen to hold the values that wait in it, and to wait at the line that awaits', async () => {
    const { instruments, operator } = instrumented(
      concatMap(async (value: object) => {
        await pause(20) // the wait
        return value
      }),
    )
    const stage = instruments.observed[1]!
    const source = new Subject<unknown>()
    instruments.asyncWork.start()
    const subscription = source.pipe(operator).subscribe()
    try {
      for (let value = 0; value < 300; value++) source.next({ value })
      await eventually(() => {
        const times = [...stage.waits.values()].reduce((sum, wait) => sum + wait.times, 0)
        if (times < 3) throw new Error(`it has waited ${times} times`)
      })
      await collectGarbage()
      const held = stage.held()
      expect(held).to.be.within(1, 299)
      expect(stage.received).to.equal(300)
      const [wait] = [...stage.waits.values()].toSorted((a, b) => b.ms - a.ms)
      expect(wait!.place?.url).to.equal(__filename)
      expect(wait!.promised).to.be.at.least(1)
      expect(LINES.some((line) => line.endsWith('// the wait'))).to.equal(true)
    } finally {
      subscription.unsubscribe()
      instruments.asyncWork.stop()
    }
  })

  it('is not seen to hold what it has let go of', async () => {
    const { instruments, operator } = instrumented(map(() => 1))
    const stage = instruments.observed[1]!
    const source = new Subject<unknown>()
    const subscription = source.pipe(operator).subscribe()
    for (let value = 0; value < 100; value++) source.next({ value })
    await new Promise((resolve) => setImmediate(resolve))
    await collectGarbage()
    expect(stage.objects).to.equal(100)
    expect(stage.held()).to.be.at.most(5)
    subscription.unsubscribe()
  })
})
