import { expect } from 'chai'
import { BoundedQueue } from '../../src/actors/boundedQueue'
import { emptyLedger, pass, type Ledger } from '../../src/actors/ledger'
import type { OnFull } from '../../src/actors/overflow'
import { MissingList } from '../kit/schedule'

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

  describe('that samples', () => {
    it('keeps the last of every n from when it is full until half is gone', () => {
      const queue = queueOf<number>(4, { sample: 3 }, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
      expect(ledger.dropped).to.deep.equal({ sampled: 6 })
      expect(queue.take(1)).to.deep.equal([3])
      queue.add(11)
      expect(queue.take(1)).to.deep.equal([4])
      for (const value of [12, 13]) queue.add(value)
      expect(queue.take(9)).to.deep.equal([7, 10, 12, 13])
    })
  })

  describe('with receipts', () => {
    const withReceipts = (capacity: number, onFull: OnFull<number>): BoundedQueue<number> =>
      new BoundedQueue<number>({
        capacity,
        onFull,
        pressure,
        ledger,
        receipts: new MissingList<number, readonly number[]>(
          (dropped) => dropped,
          (missing) => missing.map((value) => -value),
        ),
      })

    it('has them taken in the place of what is missing, and counts them nowhere', () => {
      const queue = withReceipts(2, 'dropNewest')
      for (const value of [1, 2, 3, 4]) queue.add(value)
      expect([queue.takeReceipts(9), queue.take(1)]).to.deep.equal([[], [1]])
      queue.add(5)
      expect([queue.takeReceipts(9), queue.take(9)]).to.deep.equal([[], [2]])
      expect([queue.takeReceipts(1), queue.takeReceipts(9), queue.take(9)]).to.deep.equal([[-3], [-4], [5]])
      expect(queue.isEmpty).to.equal(true)
      expect(ledger).to.deep.equal({ in: 5, out: 0, dropped: { dropNewest: 2 }, inFlight: 3 })
    })

    it('is not empty before the last is taken, though no value waits', () => {
      const queue = withReceipts(1, 'dropNewest')
      for (const value of [1, 2]) queue.add(value)
      expect(queue.take(9)).to.deep.equal([1])
      expect(queue.isEmpty).to.equal(false)
      expect(queue.takeReceipts(9)).to.deep.equal([-2])
      expect(queue.isEmpty).to.equal(true)
    })

    it('tells what its owner lost, what was dropped before it, and keys that were given up; not what was merged', () => {
      const queue = withReceipts(2, { conflate: (value) => value % 10 })
      for (const value of [1, 11, 2, 3]) queue.add(value)
      queue.lose([99], 'rejected')
      const before = new MissingList<number, readonly number[]>(
        (dropped) => dropped,
        (missing) => missing,
      )
      before.add([77])
      queue.skipped(before)
      expect([queue.takeReceipts(9), queue.take(9), queue.takeReceipts(9)]).to.deep.equal([[-11, -99], [2, 3], [-77]])
      expect(queue.receipts).to.deep.equal({ runs: 1, values: 2, lastFromUs: undefined, lastToUs: undefined })
    })
  })

  it('merges two rows of a key, and keeps both where that throws', () => {
    const merge = (older: number, newer: number): number => {
      if (newer === 13) throw new Error('unlucky')
      return older + newer
    }
    const queue = queueOf<number>(3, { conflate: () => 'one', merge }, 1, 2, 3, 4, 13, 5)
    expect(queue.take(9)).to.deep.equal([15, 13])
    expect(ledger.dropped).to.deep.equal({ conflated: 4 })
  })

  it('says how many places have left it', () => {
    const queue = queueOf<number>(3, { conflate: modulo(2) }, 1, 2, 3)
    const before = queue.gone + queue.size
    queue.add(5)
    expect(queue.gone).to.equal(1)
    queue.take(9)
    expect(queue.gone).to.equal(before)
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
