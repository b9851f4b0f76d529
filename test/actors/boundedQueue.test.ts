import { expect } from 'chai'
import fc from 'fast-check'
import { BoundedQueue } from '../../src/actors/boundedQueue'
import { balances, emptyLedger, pass, type DropReason, type Ledger } from '../../src/actors/ledger'
import type { OnFull } from '../../src/actors/overflow'

/** The same, as slowly and plainly as it can be said. */
class Oracle {
  waiting: number[] = []
  dropped: Partial<Record<DropReason, number>> = {}
  asked: string[] = []
  private conflating = false
  private paused = false

  constructor(
    readonly capacity: number,
    readonly onFull: OnFull<number>,
    readonly keyOf: (value: number) => unknown,
  ) {}

  add(value: number): boolean {
    const { onFull, capacity } = this
    if (!this.conflating && this.waiting.length < (onFull === 'block' ? 2 * capacity : capacity)) {
      this.waiting.push(value)
      if (onFull === 'block' && this.waiting.length >= capacity && !this.paused) {
        this.paused = true
        this.asked.push('pause')
      }
      return true
    }
    switch (onFull) {
      case 'block':
        this.drop('overrun', 1)
        return false
      case 'fail':
        this.drop('fail', 1)
        return false
      case 'dropNewest':
        this.drop('dropNewest', 1)
        return true
      case 'dropOldest':
        this.waiting = [...this.waiting.slice(1), value]
        this.drop('dropOldest', 1)
        return true
      case 'keepLatest':
        this.drop('keepLatest', this.waiting.length)
        this.waiting = [value]
        return true
      default: {
        const coming = this.conflating ? [value] : [...this.waiting.splice(0), value]
        this.conflating = true
        for (const one of coming) {
          const same = this.waiting.findIndex((other) => this.keyOf(other) === this.keyOf(one))
          if (same >= 0) {
            this.waiting[same] = one
            this.drop('conflated', 1)
            continue
          }
          if (this.waiting.length >= capacity) {
            this.waiting.shift()
            this.drop('dropOldest', 1)
          }
          this.waiting.push(one)
        }
        return true
      }
    }
  }

  take(max: number): number[] {
    const taken = this.waiting.splice(0, max)
    if (this.waiting.length === 0) this.conflating = false
    if (this.waiting.length <= this.capacity / 2 && this.paused) {
      this.paused = false
      this.asked.push('resume')
    }
    return taken
  }

  private drop(reason: DropReason, values: number): void {
    this.dropped[reason] = (this.dropped[reason] ?? 0) + values
  }
}

describe('BoundedQueue', () => {
  let ledger: Ledger
  let asked: string[]
  const pressure = { pause: (): void => void asked.push('pause'), resume: (): void => void asked.push('resume') }

  beforeEach(() => {
    ledger = emptyLedger()
    asked = []
  })

  const queueOf = <T>(capacity: number, onFull: OnFull<T>, ...values: T[]): BoundedQueue<T> => {
    const queue = new BoundedQueue<T>({ capacity, onFull, pressure, ledger })
    for (const value of values) queue.add(value)
    return queue
  }

  const modulo = (divisor: number) => (value: number) => value % divisor
  const policies: [string, OnFull<number>, (value: number) => unknown][] = [
    ['block', 'block', String],
    ['fail', 'fail', String],
    ['dropOldest', 'dropOldest', String],
    ['dropNewest', 'dropNewest', String],
    ['keepLatest', 'keepLatest', String],
    ['conflate by a few keys', { conflate: modulo(3) }, modulo(3)],
    ['conflate by many keys', { conflate: modulo(100) }, modulo(100)],
  ]
  for (const [name, onFull, keyOf] of policies) {
    it(`behaves as the plainest list does, and balances after every step: ${name}`, () => {
      const step = fc.oneof(
        fc.record({ add: fc.integer({ min: 0, max: 9 }) }),
        fc.record({ take: fc.integer({ min: 1, max: 6 }) }),
      )
      fc.assert(
        fc.property(fc.integer({ min: 1, max: 40 }), fc.array(step, { maxLength: 300 }), (capacity, steps) => {
          ledger = emptyLedger()
          asked = []
          const queue = queueOf(capacity, onFull)
          const oracle = new Oracle(capacity, onFull, keyOf)
          const take = (max: number): void => {
            const taken = queue.take(max)
            expect(taken).to.deep.equal(oracle.take(max))
            expect(balances(ledger)).to.equal(true)
            pass(ledger, taken.length)
          }
          for (const one of steps) {
            if ('add' in one) expect(queue.add(one.add)).to.equal(oracle.add(one.add))
            else take(one.take)
            expect(queue.size).to.equal(oracle.waiting.length)
            expect(ledger.inFlight).to.equal(queue.size)
            expect(balances(ledger)).to.equal(true)
          }
          expect(ledger.dropped).to.deep.equal(oracle.dropped)
          expect(asked).to.deep.equal(oracle.asked)
          take(1_000)
        }),
        { seed: 1, numRuns: 200 },
      )
    })
  }

  it('asks its source to pause when full, and to go on when half is gone', () => {
    const queue = queueOf(4, 'block', 1, 2, 3)
    expect(asked).to.deep.equal([])
    queue.add(4)
    queue.add(5)
    expect(asked).to.deep.equal(['pause'])
    queue.take(2)
    expect(asked).to.deep.equal(['pause'])
    queue.take(1)
    expect(asked).to.deep.equal(['pause', 'resume'])
  })

  it('takes a batch whole that began when there was room, if its source can be paused', () => {
    const queue = queueOf(4, 'block', 1, 2, 3)
    const bound = queue.boundFor(20)
    for (let value = 0; value < 20; value++) expect(queue.add(value, bound)).to.equal(true)
    expect(queue.boundFor(20)).to.equal(8)
    expect(queue.add(20)).to.equal(false)
    expect(new BoundedQueue({ capacity: 4, onFull: 'block', ledger }).boundFor(20)).to.equal(4)
  })

  it('says why it refused a value', () => {
    const full = (queue: BoundedQueue<number>): string => {
      expect(queue.add(9)).to.equal(false)
      const fault = queue.full('The edge to the sink bars')
      expect(fault.code).to.equal('EDGE_FULL')
      return fault.message
    }
    expect(full(queueOf(1, 'fail', 1))).to.match(
      /^The edge to the sink bars is full: 1 value waits, and none may be dropped\. Raise .*\.$/,
    )
    expect(full(queueOf(1, 'block', 1, 2))).to.include('2 values wait, and its source did not stop when it was paused')
    const unpaused = new BoundedQueue<number>({ capacity: 1, onFull: 'block', ledger })
    unpaused.add(1)
    expect(full(unpaused)).to.include('its source cannot be paused')
  })

  it('drops what waits when it is cleared, and lets its source go on', () => {
    const queue = queueOf(2, 'block', 1, 2, 3)
    queue.clear('stopped')
    expect(asked).to.deep.equal(['pause', 'resume'])
    expect(ledger).to.deep.equal({ in: 3, out: 0, dropped: { stopped: 3 }, inFlight: 0 })
    queue.add(4)
    expect(queue.take(9)).to.deep.equal([4])
  })

  describe('that conflates', () => {
    it('keeps everything while there is room', () => {
      expect(queueOf(3, { conflate: modulo(2) }, 1, 3, 2).take(9)).to.deep.equal([1, 3, 2])
    })

    it('puts the newer value of a key in the place of the older when full', () => {
      expect(queueOf(2, { conflate: modulo(10) }, 11, 12, 21, 22, 31).take(9)).to.deep.equal([31, 22])
      expect(ledger.dropped).to.deep.equal({ conflated: 3 })
    })

    it('gives up the key that has waited longest when there are more than it may hold', () => {
      expect(queueOf(2, { conflate: modulo(10) }, 1, 2, 3).take(9)).to.deep.equal([2, 3])
      expect(ledger.dropped).to.deep.equal({ dropOldest: 1 })
    })

    it('finds the key in the field that is named, and takes what has no fields for its own key', () => {
      const rows = [{ of: 'a', n: 1 }, { of: 'b', n: 2 }, { of: 'a', n: 3 }, null, { n: 4 }, null]
      expect(queueOf<unknown>(4, { conflate: 'of' }, ...rows).take(9)).to.deep.equal([rows[2], rows[1], null, { n: 4 }])
    })

    it('keeps a value whose key cannot be told, as one like no other', () => {
      const conflate = (): never => {
        throw new Error('no key')
      }
      expect(queueOf(2, { conflate }, 1, 2, 3).take(10)).to.deep.equal([2, 3])
    })
  })

  it('costs the same a value with few waiting and with many', () => {
    const queue = queueOf(1_000_000, { conflate: modulo(500_000) })
    const started = process.cpuUsage().user
    for (let value = 0; value < 1_500_000; value++) queue.add(value)
    expect(queue.size).to.equal(500_000)
    expect(process.cpuUsage().user - started).to.be.below(5_000_000)
  })

  it('stays small while values pass through', () => {
    const queue = queueOf<number>(10_000, 'fail')
    for (let value = 0; value < 10_000; value++) queue.add(value)
    for (let value = 0; value < 100_000; value++) {
      pass(ledger, queue.take(1).length)
      queue.add(value)
    }
    expect((queue as unknown as { ring: unknown[] }).ring.length).to.be.below(20_000)
    expect(queue.take(1e9)).to.have.length(10_000)
    expect(ledger).to.deep.equal({ in: 110_000, out: 100_000, dropped: {}, inFlight: 10_000 })
  })
})
