import { expect } from 'chai'
import fc from 'fast-check'
import { Dispatcher } from '../../src/actors/dispatcher'
import { Edge, OVERRUN_MAX, type EdgeHooks } from '../../src/actors/edge'
import { balances, type DropReason, type Ledger } from '../../src/actors/ledger'
import type { OnFull } from '../../src/actors/overflow'
import { VirtualClock } from '../../src/clock/virtualClock'
import type { Fault } from '../../src/model/fault'

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
  private missing = 0

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
      },
      fault: (fault) => this.faults.push(fault),
      fail: (fault) => this.failures.push(fault),
      pressure: { pause: () => this.asked.push('pause'), resume: () => this.asked.push('resume') },
      receipts: {
        add: (value) => (this.missing += value.length),
        take: () => {
          if (this.missing === 0) return undefined
          const receipt = `${this.missing} missing`
          this.missing = 0
          return receipt
        },
      },
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

/** The same, as slowly and plainly as it can be said: `~n` in the list stands for n values that are missing there. */
class Oracle {
  readonly delivered: Delivered[] = []
  readonly asked: string[] = []
  dropped: Partial<Record<DropReason, number>> = {}
  waiting: number[][] = []
  failed = false
  /** Missing before all that waits, and behind all that waits. */
  private before = 0
  private behind = 0
  private readonly receipts = new Map<number[], number>()
  private paused = false
  private isFree = true

  constructor(
    readonly capacity: number,
    readonly onFull: OnFull,
  ) {}

  get held(): number {
    return this.waiting.flat().length
  }

  offer(batch: number[]): void {
    if (this.failed) return this.drop('closed', batch)
    if (this.held > 0 && this.held + batch.length > this.capacity) {
      switch (this.onFull) {
        case 'dropNewest':
          this.behind += batch.length
          return this.drop('dropNewest', batch)
        case 'dropOldest':
          while (this.waiting.length > 0 && this.held + batch.length > this.capacity) this.giveUp('dropOldest')
          break
        case 'keepLatest':
          while (this.waiting.length > 0) this.giveUp('keepLatest')
          break
        case 'fail':
          this.drop('fail', batch)
          while (this.waiting.length > 0) this.giveUp('stopped')
          this.failed = true
          return
        default: // block: it is kept
      }
    }
    this.receipts.set(batch, this.behind)
    this.behind = 0
    this.waiting.push(batch)
    if (this.isFree && this.waiting.length === 1) return this.deliver()
    if (this.onFull === 'block' && this.held >= this.capacity && !this.paused) {
      this.paused = true
      this.asked.push('pause')
    }
  }

  turn(): void {
    this.isFree = this.waiting.length === 0
    if (!this.isFree) this.deliver()
  }

  private deliver(): void {
    this.isFree = false
    const batch = this.waiting.shift()!
    const missing = this.before + (this.receipts.get(batch) ?? 0)
    this.before = 0
    if (missing > 0) this.delivered.push(`${missing} missing`)
    this.delivered.push(batch)
    if (this.paused && this.held <= this.capacity / 2) {
      this.paused = false
      this.asked.push('resume')
    }
  }

  private giveUp(reason: DropReason): void {
    const batch = this.waiting.shift()!
    this.before += batch.length
    this.drop(reason, batch)
  }

  private drop(reason: DropReason, batch: number[]): void {
    if (batch.length > 0) this.dropped[reason] = (this.dropped[reason] ?? 0) + batch.length
  }
}

describe('Edge', () => {
  for (const onFull of ['block', 'dropOldest', 'dropNewest', 'keepLatest', 'fail'] as const) {
    it(`behaves as the plainest list does, and balances after every step: ${onFull}`, () => {
      const batch = fc.array(fc.nat({ max: 9 }), { maxLength: 5 })
      const step = fc.oneof({ weight: 3, arbitrary: batch }, { weight: 1, arbitrary: fc.constant('turn' as const) })
      fc.assert(
        fc.property(fc.integer({ min: 1, max: 12 }), fc.array(step, { maxLength: 120 }), (capacity, steps) => {
          const bench = new Bench(capacity, onFull)
          const oracle = new Oracle(capacity, onFull)
          for (const one of steps) {
            if (one === 'turn') {
              bench.turn()
              oracle.turn()
            } else {
              const values = [...one]
              bench.offer(values)
              oracle.offer(values)
            }
            expect(bench.ledger.inFlight).to.equal(oracle.held)
            expect(balances(bench.ledger)).to.equal(true)
            expect(bench.delivered).to.deep.equal(oracle.delivered)
            expect(bench.asked).to.deep.equal(oracle.asked)
          }
          bench.turns()
          while (oracle.waiting.length > 0) oracle.turn()
          expect(bench.delivered).to.deep.equal(oracle.delivered)
          expect(bench.ledger.dropped).to.deep.equal(oracle.dropped)
          expect(bench.ledger.inFlight).to.equal(0)
          expect(bench.failures.length).to.equal(oracle.failed ? 1 : 0)
          expect(bench.edge.highWater).to.be.at.most(Math.max(5, capacity) + (onFull === 'block' ? 1_000 : 0))
        }),
        { seed: 1, numRuns: 200 },
      )
    })
  }

  it('delivers at once what comes while nothing waits', () => {
    const bench = new Bench(1, 'fail').offer([1, 2, 3])
    expect(bench.delivered).to.deep.equal([[1, 2, 3]])
    expect(bench.ledger).to.deep.equal({ in: 3, out: 3, dropped: {}, inFlight: 0 })
  })

  it('takes one value that is larger than its capacity, if nothing else waits', () => {
    const bench = new Bench(2, 'dropNewest').offer([0], [1, 2, 3, 4], [5]).turns()
    expect(bench.delivered).to.deep.equal([[0], [1, 2, 3, 4]])
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
    })
    bench.offer([1], [2]).turns()
    expect(bench.faults.map(({ code, cause }) => [code, cause])).to.deep.equal([
      ['STAGE_FAILED', thrown],
      ['STAGE_FAILED', thrown],
    ])
    expect(bench.ledger).to.deep.equal({ in: 2, out: 2, dropped: {}, inFlight: 0 })
  })
})
