import { expect } from 'chai'
import fc from 'fast-check'
import { Dispatcher } from '../../src/actors/dispatcher'
import { Edge, OVERRUN_MAX, type EdgeHooks } from '../../src/actors/edge'
import { balances, type DropReason, type Ledger } from '../../src/actors/ledger'
import type { OnFull } from '../../src/actors/overflow'
import { VirtualClock } from '../../src/clock/virtualClock'
import type { Fault } from '../../src/model/fault'
import { MissingList } from '../kit/schedule'

type Row = number | { readonly key: string; readonly n: number }
type Delivered = readonly Row[] | string

/** An edge whose stages take one value a turn of the loop. */
class Bench {
  readonly delivered: Delivered[] = []
  readonly asked: string[] = []
  readonly faults: Fault[] = []
  readonly failures: Fault[] = []
  readonly edge: Edge<Delivered>
  private readonly deferred: (() => void)[] = []
  private nowMs = 0

  constructor(capacity: number, onFull: OnFull, hooks: Partial<EdgeHooks<Delivered>> = {}) {
    const dispatcher = new Dispatcher({
      clock: new VirtualClock(),
      budgetMs: 8,
      nowMs: () => this.nowMs,
      defer: (callback) => this.deferred.push(callback),
      onBroken: (thrown) => expect.fail(String(thrown)),
    })
    this.edge = new Edge<Delivered>({ capacity, onFull }, dispatcher, {
      name: 'The edge to test/stage',
      deliver: (value) => {
        this.delivered.push(value)
        if (typeof value !== 'string') this.nowMs += 100
        return undefined
      },
      fault: (fault) => this.faults.push(fault),
      fail: (fault) => this.failures.push(fault),
      pressure: { pause: () => this.asked.push('pause'), resume: () => this.asked.push('resume') },
      receipts: new MissingList<Row, Delivered>(
        (value) => (typeof value === 'string' ? [] : value),
        (missing) => `${missing.length} missing`,
      ),
      ...hooks,
    })
  }

  get ledger(): Readonly<Ledger> {
    return this.edge.ledger
  }

  offer(...batches: Row[][]): this {
    for (const batch of batches) this.edge.offer(undefined, batch)
    return this
  }

  turn(): this {
    for (const callback of this.deferred.splice(0)) callback()
    return this
  }

  turns(): this {
    while (this.deferred.length > 0) this.turn()
    return this
  }
}

describe('Edge', () => {
  it('delivers at once what comes while nothing waits', () => {
    const bench = new Bench(1, 'fail').offer([1, 2, 3])
    expect(bench.delivered).to.deep.equal([[1, 2, 3]])
    expect(bench.ledger).to.deep.equal({ in: 3, out: 3, dropped: {}, inFlight: 0 })
  })

  it('takes one value that is larger than its capacity, if nothing else waits', () => {
    const bench = new Bench(2, 'dropNewest').offer([0], [1, 2, 3, 4], [5]).turns()
    expect(bench.delivered).to.deep.equal([[0], [1, 2, 3, 4], '1 missing'])
  })

  describe('that blocks', () => {
    it('asks its source to pause when its capacity waits, and to go on at half', () => {
      const bench = new Bench(4, 'block').offer([0], [1], [2], [3])
      expect(bench.asked).to.deep.equal([])
      bench.offer([4], [5])
      expect(bench.asked).to.deep.equal(['pause'])
      bench.turn().turn()
      expect(bench.asked).to.deep.equal(['pause'])
      bench.turn()
      expect(bench.asked).to.deep.equal(['pause', 'resume'])
      expect(bench.turns().delivered).to.deep.equal([[0], [1], [2], [3], [4], [5]])
    })

    it('keeps what was on its way, but not without end: the rest is missing in its place', () => {
      const half = Array.from({ length: OVERRUN_MAX / 2 }, (_, n) => n)
      const bench = new Bench(10, 'block').offer([0], half, half, [1], [...half], [2])
      expect(bench.ledger.dropped).to.deep.equal({ overrun: OVERRUN_MAX / 2 })
      expect(bench.ledger.inFlight).to.equal(OVERRUN_MAX + 2)
      expect(bench.asked).to.deep.equal(['pause'])
      bench.turns()
      expect(bench.delivered.slice(-3)).to.deep.equal([[1], `${OVERRUN_MAX / 2} missing`, [2]])
      expect(bench.asked).to.deep.equal(['pause', 'resume'])
    })
  })

  describe('tells what is missing', () => {
    it('before the next value, when what waited longest went', () => {
      const bench = new Bench(2, 'dropOldest').offer([0], [1], [2], [3], [4]).turns()
      expect(bench.delivered).to.deep.equal([[0], '2 missing', [3], [4]])
    })

    it('behind what waits, when what came last went: a snapshot that waits must not undo it', () => {
      const bench = new Bench(2, 'dropNewest').offer([0], [1], [2], [3], [4]).turns().offer([5]).turns()
      expect(bench.delivered).to.deep.equal([[0], [1], [2], '2 missing', [5]])
    })
  })

  it('fails once, says so, gives up what waits and takes no more', () => {
    const bench = new Bench(2, 'fail').offer([0], [1], [2], [3], [4]).turns()
    expect(bench.failures.map(({ code }) => code)).to.deep.equal(['EDGE_FULL'])
    expect(bench.failures[0]!.message).to.match(/^The edge to test\/stage is full: 2 values wait, .*\.$/)
    expect(bench.delivered).to.deep.equal([[0]])
    expect(bench.ledger).to.deep.equal({ in: 5, out: 1, dropped: { fail: 1, stopped: 2, closed: 1 }, inFlight: 0 })
  })

  describe('that conflates', () => {
    const latest = (values: readonly Delivered[]): Delivered[] => {
      const rows = new Map<unknown, Row>()
      for (const row of values.flat()) rows.set((row as { key: string }).key, row as Row)
      return [[...rows.values()]]
    }
    const row = (key: string, n: number): Row => ({ key, n })
    const bench = (capacity: number, conflate: EdgeHooks<Delivered>['conflate'] = latest): Bench =>
      new Bench(capacity, { conflate: 'key' }, { conflate })

    it('merges what waits when full, in the place of the first', () => {
      const edge = bench(2).offer([row('a', 0)], [row('a', 1)], [row('b', 2)], [row('a', 3)], [row('b', 4)])
      expect(edge.ledger).to.deep.equal({ in: 5, out: 1, dropped: { conflated: 2 }, inFlight: 2 })
      edge.turns()
      expect(edge.delivered).to.deep.equal([[row('a', 0)], [row('a', 3), row('b', 4)]])
    })

    it('gives up what has waited longest, and tells so, where merging makes no room', () => {
      const edge = bench(2)
        .offer([row('a', 0)], [row('a', 1)], [row('b', 2)], [row('c', 3)])
        .turns()
      expect(edge.delivered).to.deep.equal([[row('a', 0)], '1 missing', [row('b', 2)], [row('c', 3)]])
      expect(edge.ledger).to.deep.equal({ in: 4, out: 3, dropped: { dropOldest: 1 }, inFlight: 0 })
    })

    it('merges single values as well as batches', () => {
      const merged = new Bench(2, { conflate: 'x' }, { conflate: (values) => [values.at(-2)!, values.at(-1)!] })
      for (const value of ['a', 'b', 'c', 'd']) merged.edge.offer(undefined, value)
      expect(merged.ledger.dropped).to.deep.equal({})
      merged.offer([0])
      for (const value of ['b', 'c', 'd']) merged.edge.offer(undefined, value)
      merged.turns()
      expect(merged.delivered).to.deep.equal(['a', 'b', 'c', 'd', [0], 'c', 'd'])
    })

    it('does not take an empty batch that was delivered for one that waits', () => {
      const edge = bench(1)
        .offer([], [row('a', 1)], [row('a', 2)], [row('a', 3)])
        .turns()
      expect(edge.delivered).to.deep.equal([[], [row('a', 3)]])
    })

    it('does not pay for merging with every value where it makes no room', () => {
      let calls = 0
      const edge = bench(1_000, (values) => {
        calls++
        return values
      })
      for (let n = 0; n < 5_000; n++) edge.offer([row(String(n), n)])
      expect(calls).to.be.at.most(20)
      expect(edge.ledger.inFlight).to.equal(1_000)
    })

    it('delivers the last state of every key, holds no more than its capacity and balances, whatever comes', () => {
      const batch = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1, maxLength: 6 })
      const step = fc.oneof({ weight: 3, arbitrary: batch }, { weight: 1, arbitrary: fc.constant('turn' as const) })
      fc.assert(
        fc.property(fc.integer({ min: 6, max: 20 }), fc.array(step, { maxLength: 120 }), (capacity, steps) => {
          const edge = bench(capacity)
          const last = new Map<string, number>()
          let n = 0
          for (const one of steps) {
            if (one === 'turn') edge.turn()
            else {
              for (const [index, key] of one.entries()) last.set(key, n + index)
              edge.offer(one.map((key) => row(key, n++)))
            }
            expect(edge.ledger.inFlight).to.be.at.most(capacity)
            expect(balances(edge.ledger)).to.equal(true)
          }
          edge.turns()
          const seen = new Map<string, number>()
          for (const { key, n: at } of edge.delivered.flat() as Exclude<Row, number>[]) {
            expect(at).to.be.above(seen.get(key) ?? -1)
            seen.set(key, at)
          }
          expect(Object.fromEntries(seen)).to.deep.equal(Object.fromEntries(last))
          expect(edge.ledger.inFlight).to.equal(0)
        }),
        { numRuns: 300 },
      )
    })
  })

  it('reports a stage that throws and goes on', () => {
    const thrown = new Error('not today')
    const bench = new Bench(10, 'fail', {
      deliver: () => {
        throw thrown
      },
      receipts: undefined,
    })
    bench.offer([1], [2]).turns()
    expect(bench.faults.map(({ code, cause }) => [code, cause])).to.deep.equal([
      ['STAGE_FAILED', thrown],
      ['STAGE_FAILED', thrown],
    ])
    expect(bench.ledger).to.deep.equal({ in: 2, out: 0, dropped: { failed: 2 }, inFlight: 0 })
  })

  it('keeps account of a stage that throws also when nobody can be told', () => {
    const bench = new Bench(10, 'fail', {
      deliver: () => {
        throw new Error('not today')
      },
      fault: () => {
        throw new Error('nor this')
      },
    })
    bench.offer([1]).turns()
    expect(bench.ledger).to.deep.equal({ in: 1, out: 0, dropped: { failed: 1 }, inFlight: 0 })
  })

  it('passes on what is undefined, as any value', () => {
    const seen: unknown[] = []
    const bench = new Bench(10, 'fail', { deliver: (value) => void seen.push(value) })
    bench.edge.offer(undefined, undefined as unknown as Delivered)
    expect(seen).to.deep.equal([undefined])
    expect(bench.ledger).to.deep.equal({ in: 1, out: 1, dropped: {}, inFlight: 0 })
  })

  describe('before a stage that does not take what it is given', () => {
    const refusing = (capacity = 10): { bench: Bench; delivered: Delivered[]; say: (why?: DropReason) => void } => {
      let reason: DropReason | undefined
      const delivered: Delivered[] = []
      const bench = new Bench(capacity, 'dropNewest', {
        deliver: (value) => {
          if (reason === undefined) delivered.push(value)
          return reason
        },
      })
      return { bench, delivered, say: (why) => (reason = why) }
    }

    it('drops the value with the reason that it gives, and tells before the next that it takes', () => {
      const { bench, delivered, say } = refusing()
      bench.offer([1]).turns()
      say('failed')
      bench.offer([2, 3]).turns()
      say('restarting')
      bench.offer([4]).turns()
      bench.offer([5]).turns()
      say()
      bench.offer([6]).turns()
      expect(delivered).to.deep.equal([[1], '2 missing', '2 missing', [6]])
      expect(bench.ledger).to.deep.equal({ in: 6, out: 2, dropped: { failed: 2, restarting: 2 }, inFlight: 0 })
    })

    it('gives it no value before it has taken what there is to tell', () => {
      const taken: Delivered[] = []
      const bench = new Bench(10, 'fail', {
        deliver: (value) => {
          taken.push(value)
          return 'restarting'
        },
      })
      bench.offer([1], [2], [3]).turns()
      expect(taken).to.deep.equal([[1], '1 missing', '1 missing'])
      expect(bench.ledger.dropped).to.deep.equal({ restarting: 3 })
    })

    it('does not try a receipt again that the stage fails on', () => {
      const taken: Delivered[] = []
      const bench = new Bench(10, 'fail', {
        deliver: (value) => {
          taken.push(value)
          return typeof value === 'string' || taken.length === 1 ? 'failed' : undefined
        },
      })
      bench.offer([1], [2], [3]).turns()
      expect(taken).to.deep.equal([[1], '1 missing', [2], [3]])
    })
  })

  describe('closed', () => {
    it('drops what waits with the reason given, takes no more, and lets its source go on', () => {
      const bench = new Bench(3, 'block').offer([0], [1], [2], [3])
      bench.edge.close('deadline')
      bench.edge.close('stopped')
      bench.offer([4]).turns()
      expect(bench.delivered).to.deep.equal([[0]])
      expect(bench.asked).to.deep.equal(['pause', 'resume'])
      expect(bench.ledger).to.deep.equal({ in: 5, out: 1, dropped: { deadline: 3, closed: 1 }, inFlight: 0 })
    })

    it('by the stage that it delivers to, passes what that has taken and nothing else', () => {
      const bench: Bench = new Bench(3, 'block', {
        deliver: (value) => {
          seen.push(value)
          if (seen.length === 2) bench.edge.close('stopped')
          return undefined
        },
      })
      const seen: Delivered[] = []
      bench.offer([0], [1], [2]).turns()
      expect(seen).to.deep.equal([[0], [1], [2]].slice(0, 2))
      expect(balances(bench.ledger)).to.equal(true)
      expect(bench.ledger.inFlight).to.equal(0)
    })
  })

  it('tells at once what was dropped before it while nothing waits, and behind what waits otherwise', () => {
    const before = (rows: Row[]): MissingList<Row, Delivered> => {
      const account = new MissingList<Row, Delivered>(
        (value) => value as Row[],
        (missing) => `${missing.length} missing`,
      )
      account.add(rows)
      return account
    }
    const bench = new Bench(10, 'block').offer([0], [1])
    bench.edge.skipped(before([7, 8]))
    bench.turns()
    bench.edge.skipped(before([9]))
    bench.turns()
    expect(bench.delivered).to.deep.equal([[0], [1], '2 missing', '1 missing'])
    expect(bench.ledger).to.deep.equal({ in: 2, out: 2, dropped: {}, inFlight: 0 })
  })

  it('counts runs of dropped values and when they were received, also where nobody is told', () => {
    const row = (n: number): Row => ({ key: 'k', n, receiveTimeUs: n }) as Row
    const bench = new Bench(2, 'dropNewest', { receipts: undefined })
    bench.offer([row(0)], [row(1)], [row(2)], [row(3)], [row(4), row(5)]).turns()
    expect(bench.edge.receipts).to.deep.equal({ runs: 1, values: 3, lastFromUs: 3, lastToUs: 5 })
    bench.offer([row(6)], [row(7)], [row(8)], [row(9)]).turns()
    expect(bench.edge.receipts).to.deep.equal({ runs: 2, values: 4, lastFromUs: 9, lastToUs: 9 })
  })

  it('holds a bounded number of empty batches', () => {
    const bench = new Bench(3, 'block').offer([0], ...Array.from({ length: 100 }, () => []))
    expect(bench.turns().delivered).to.have.length(4)
  })

  it('keeps a batch whole that came when there was room, however large', () => {
    const large = Array.from({ length: OVERRUN_MAX * 2 }, (_, n) => n)
    const bench = new Bench(10, 'block').offer([0], [1], large).turns()
    expect(bench.ledger).to.deep.equal({ in: large.length + 2, out: large.length + 2, dropped: {}, inFlight: 0 })
  })

  it('gives up the oldest when merging throws, and says so', () => {
    const bench = new Bench(
      2,
      { conflate: 'key' },
      {
        conflate: () => {
          throw new Error('no')
        },
      },
    )
    bench.offer([0], [1], [2], [3]).turns()
    expect(bench.delivered).to.deep.equal([[0], '1 missing', [2], [3]])
    expect(bench.faults.map(({ message }) => message)).to.deep.equal([
      'The edge to test/stage could not merge what waits: no. The oldest goes instead.',
    ])
  })
})
