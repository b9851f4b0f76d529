import { expect } from 'chai'
import fc from 'fast-check'
import { Fault } from '../../src/model/fault'
import { dropFrom, EdgeQueue, emptyLedger, type Ledger, type OnFull } from '../../src/workers/edgeQueue'

describe('EdgeQueue', () => {
  let ledger: Ledger
  let pressure: { calls: string[]; pause(): void; resume(): void }

  beforeEach(() => {
    ledger = emptyLedger()
    const calls: string[] = []
    pressure = { calls, pause: () => calls.push('pause'), resume: () => calls.push('resume') }
  })

  const queueOf = (capacity: number, onFull: OnFull<string>, ...values: string[]): EdgeQueue<string> => {
    const queue = new EdgeQueue<string>({ name: 'edge', capacity, onFull, pressure, ledger })
    for (const value of values) queue.push(value)
    return queue
  }
  const keyOf = (value: string): string => value[0]!

  it('gives back what it took, in order, as many as asked for', () => {
    const queue = queueOf(5, 'fail', 'a', 'b', 'c')
    expect(queue.take(2)).to.deep.equal(['a', 'b'])
    queue.push('d')
    expect(queue.take(9)).to.deep.equal(['c', 'd'])
    expect(queue.take(9)).to.deep.equal([])
  })

  it('fails when full, and keeps what it has', () => {
    const queue = queueOf(2, 'fail', 'a', 'b')
    expect(() => queue.push('c'))
      .to.throw(Fault)
      .with.property('code', 'EDGE_FULL')
    expect(queue.take(9)).to.deep.equal(['a', 'b'])
    expect(ledger.dropped).to.deep.equal({ fail: 1 })
  })

  it('drops the oldest, or the newest', () => {
    expect(queueOf(2, 'dropOldest', 'a', 'b', 'c', 'd').take(9)).to.deep.equal(['c', 'd'])
    expect(queueOf(2, 'dropNewest', 'a', 'b', 'c', 'd').take(9)).to.deep.equal(['a', 'b'])
    expect(ledger.dropped).to.deep.equal({ dropOldest: 2, dropNewest: 2 })
  })

  it('asks its source to pause when full, and to go on when half is gone', () => {
    const queue = queueOf(4, 'block', 'a', 'b', 'c')
    expect(pressure.calls).to.deep.equal([])
    queue.push('d')
    queue.push('e')
    expect(pressure.calls).to.deep.equal(['pause'])
    queue.take(2)
    expect(pressure.calls).to.deep.equal(['pause'])
    queue.take(1)
    expect(pressure.calls).to.deep.equal(['pause', 'resume'])
  })

  it('keeps what was under way when it asked for a pause, but not without end', () => {
    const queue = queueOf(2, 'block', 'a', 'b', 'c', 'd')
    expect(() => queue.push('e'))
      .to.throw(Fault, 'pause')
      .with.property('code', 'EDGE_FULL')
    expect(queue.take(9)).to.deep.equal(['a', 'b', 'c', 'd'])
  })

  it('lets its source go on when it is closed', () => {
    queueOf(1, 'block', 'a').close()
    expect(pressure.calls).to.deep.equal(['pause', 'resume'])
  })

  describe('that conflates', () => {
    const conflate = { conflate: keyOf }

    it('keeps everything while there is room', () => {
      expect(queueOf(3, conflate, 'a1', 'a2', 'b1').take(9)).to.deep.equal(['a1', 'a2', 'b1'])
    })

    it('puts the newer value of a key in the place of the older when full', () => {
      expect(queueOf(2, conflate, 'a1', 'b1', 'a2', 'b2', 'a3').take(9)).to.deep.equal(['b2', 'a3'])
      expect(ledger.dropped).to.deep.equal({ conflate: 3 })
    })

    it('makes room for a new key by an older value of another', () => {
      expect(queueOf(3, conflate, 'a1', 'a2', 'b1', 'c1').take(9)).to.deep.equal(['a2', 'b1', 'c1'])
    })

    it('fails when there are more keys than it may hold', () => {
      const queue = queueOf(2, conflate, 'a1', 'b1')
      expect(() => queue.push('c1'))
        .to.throw(Fault, 'keys')
        .with.property('code', 'EDGE_FULL')
    })

    it('counts a value whose key cannot be found', () => {
      const queue = queueOf(2, {
        conflate: () => {
          throw new Error('no key')
        },
      })
      expect(() => queue.push('a')).to.throw('no key')
      expect(ledger).to.deep.equal({ in: 1, out: 0, dropped: { fail: 1 }, inFlight: 0 })
    })
  })

  it('behaves as a list would, for every policy and any order of pushing and taking', () => {
    const steps = fc.array(fc.oneof(fc.constantFrom('a', 'b', 'c'), fc.integer({ min: 1, max: 3 })), { maxLength: 300 })
    const policies = fc.constantFrom<OnFull<string>>('block', 'dropOldest', 'dropNewest', 'fail', { conflate: keyOf })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), policies, steps, (capacity, onFull, script) => {
        ledger = emptyLedger()
        const queue = queueOf(capacity, onFull)
        let model: string[] = []
        let sent = 0
        for (const step of script) {
          if (typeof step === 'number') {
            const expected = model.splice(0, step)
            expect(queue.take(step)).to.deep.equal(expected)
            ledger.out += expected.length
            ledger.inFlight -= expected.length
          } else {
            const value = `${step}${sent++}`
            const after = pushedTo(model, value, capacity, onFull)
            if (after === undefined) expect(() => queue.push(value)).to.throw(Fault)
            else queue.push(value)
            model = after ?? model
          }
          const dropped = Object.values(ledger.dropped).reduce((sum, count) => sum + count, 0)
          expect(queue.size).to.equal(model.length)
          expect(ledger.in).to.equal(ledger.out + dropped + ledger.inFlight)
          expect(ledger.inFlight).to.equal(model.length)
        }
        expect(queue.take(999)).to.deep.equal(model)
      }),
      { numRuns: 500 },
    )
  })

  /** The policies in their plainest form; undefined where the queue is to fail. */
  function pushedTo(list: string[], value: string, capacity: number, onFull: OnFull<string>): string[] | undefined {
    if (list.length < capacity) return [...list, value]
    switch (onFull) {
      case 'block':
        return list.length < 2 * capacity ? [...list, value] : undefined
      case 'dropOldest':
        return [...list.slice(1), value]
      case 'dropNewest':
        return list
      case 'fail':
        return undefined
      default: {
        const newestOf = (key: string): number => list.findLastIndex((other) => keyOf(other) === key)
        const same = newestOf(keyOf(value))
        const older = same >= 0 ? same : firstSuperseded(list)
        return older < 0 ? undefined : [...list.toSpliced(older, 1), value]
      }
    }
  }

  /** Values are superseded in the order in which a newer one of their key came. */
  function firstSuperseded(list: string[]): number {
    for (let newer = 0; newer < list.length; newer++) {
      const older = list.slice(0, newer).findLastIndex((other) => keyOf(other) === keyOf(list[newer]!))
      if (older >= 0) return older
    }
    return -1
  }

  it('stays small while values pass through', () => {
    const queue = queueOf(10_000, 'fail')
    for (let value = 0; value < 10_000; value++) queue.push(String(value))
    for (let value = 0; value < 100_000; value++) {
      queue.take(1)
      queue.push('x')
      dropFrom(ledger, 'taken', 1)
    }
    expect((queue as unknown as { entries: unknown[] }).entries.length).to.be.below(20_100)
    expect(queue.take(1e9)).to.have.length(10_000)
  })
})
