import { expect } from 'chai'
import fc from 'fast-check'
import { WaitingValues, type OnFull } from '../../src/sinks/waitingValues'

/** The same, as slowly and plainly as it can be said. */
class Oracle {
  waiting: number[] = []
  dropped: string[] = []
  private conflating = false

  constructor(
    readonly capacity: number,
    readonly onFull: OnFull<number>,
  ) {}

  add(value: number): boolean {
    const { onFull } = this
    if (!this.conflating && this.waiting.length < this.capacity) {
      this.waiting.push(value)
      return true
    }
    if (onFull === 'block' || onFull === 'fail') return false
    if (onFull === 'dropNewest') this.dropped.push('newest')
    else if (onFull === 'dropOldest') {
      this.waiting = [...this.waiting.slice(1), value]
      this.dropped.push('oldest')
    } else if (onFull === 'keepLatest') {
      this.dropped.push(...this.waiting.map(() => 'superseded'))
      this.waiting = [value]
    } else {
      const all = this.conflating ? this.waiting : this.waiting.splice(0)
      this.waiting = all
      const queue = this.conflating ? [value] : [...all.splice(0), value]
      this.conflating = true
      for (const one of queue) {
        const same = this.waiting.findIndex((other) => onFull.conflate(other) === onFull.conflate(one))
        if (same >= 0) {
          this.waiting[same] = one
          this.dropped.push('conflated')
          continue
        }
        if (this.waiting.length >= this.capacity) {
          this.waiting.shift()
          this.dropped.push('oldest')
        }
        this.waiting.push(one)
      }
    }
    return true
  }

  take(max: number): number[] {
    const taken = this.waiting.splice(0, max)
    if (this.waiting.length === 0) this.conflating = false
    return taken
  }
}

describe('the waiting values of an edge', () => {
  const policies: OnFull<number>[] = [
    'block',
    'fail',
    'dropOldest',
    'dropNewest',
    'keepLatest',
    { conflate: (value) => value % 3 },
    { conflate: (value) => value },
  ]
  for (const onFull of policies) {
    const name = typeof onFull === 'string' ? onFull : `conflate ${onFull.conflate.toString()}`
    it(`behave as the plainest list does: ${name}`, () => {
      const step = fc.oneof(
        fc.record({ add: fc.integer({ min: 0, max: 9 }) }),
        fc.record({ take: fc.integer({ min: 1, max: 6 }) }),
      )
      fc.assert(
        fc.property(fc.integer({ min: 1, max: 40 }), fc.array(step, { maxLength: 300 }), (capacity, steps) => {
          const dropped: string[] = []
          const waiting = new WaitingValues<number>(capacity, onFull, (reason) => dropped.push(reason))
          const oracle = new Oracle(capacity, onFull)
          for (const one of steps) {
            if ('add' in one) expect(waiting.add(one.add)).to.equal(oracle.add(one.add))
            else expect(waiting.take(one.take)).to.deep.equal(oracle.take(one.take))
            expect(waiting.size).to.equal(oracle.waiting.length)
            expect(waiting.size).to.be.at.most(capacity)
          }
          expect(dropped).to.deep.equal(oracle.dropped)
          expect(waiting.take(1_000)).to.deep.equal(oracle.take(1_000))
        }),
        { seed: 1, numRuns: 200 },
      )
    })
  }

  it('keep a value whose key cannot be told, as one like no other', () => {
    const conflate = (): never => {
      throw new Error('no key')
    }
    const waiting = new WaitingValues<number>(2, { conflate }, () => undefined)
    for (const value of [1, 2, 3]) expect(waiting.add(value)).to.equal(true)
    expect(waiting.take(10)).to.deep.equal([2, 3])
  })

  it('cost the same a value with few waiting and with many', () => {
    const waiting = new WaitingValues<number>(1_000_000, { conflate: (value) => value % 500_000 }, () => undefined)
    const started = process.cpuUsage().user
    for (let value = 0; value < 1_500_000; value++) waiting.add(value)
    expect(waiting.size).to.equal(500_000)
    expect(process.cpuUsage().user - started).to.be.below(5_000_000)
  })
})
