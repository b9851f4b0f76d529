import { expect } from 'chai'
import fc from 'fast-check'
import { EMPTY, map, NEVER, of, range, Subject, take, type Observable } from 'rxjs'
import { VirtualClock } from '../../src/clock/virtualClock'
import type { Batch, MarketEvent, Ticker, Trade } from '../../src/model/events'
import { Fault } from '../../src/model/fault'
import { asOfJoin, type AsOf, type AsOfJoinOptions } from '../../src/operators/asOfJoin'
import { eventTimeLedger } from '../../src/operators/eventTime'
import type { ConsolidatedQuote } from '../../src/operators/consolidate'
import { ofKind } from '../../src/operators/ofKind'
import { trade } from '../kit/marketEvents'
import { keepsTheLaws } from './laws'
import { arrivals, byId, inTime, row, type Row } from './timedRows'

const symbol = ({ symbol: name }: Row): string => name

describe('asOfJoin', () => {
  keepsTheLaws(
    (clock) => asOfJoin<Trade, Trade>(EMPTY, { direction: 'backward', outOfOrderMs: 1, idleMs: 10, clock }),
    [[trade()]],
  )

  const started = (options: Partial<AsOfJoinOptions<Row, Row>> = {}) => {
    const clock = new VirtualClock()
    const [left, right] = [new Subject<readonly Row[]>(), new Subject<readonly Row[]>()]
    const ledgers = { left: eventTimeLedger(), right: eventTimeLedger() }
    const late: string[] = []
    const lateOf = (side: string) => ({ next: (rows: Row[]) => late.push(...rows.map(({ id }) => `${side} ${id}`)) })
    const out: AsOf<Row, Row>[][] = []
    const ends: unknown[] = []
    const subscription = left
      .pipe(
        asOfJoin<Row, Row>(right, {
          direction: 'backward',
          outOfOrderMs: 0,
          idleMs: 1,
          clock,
          ...options,
          left: { key: symbol, ties: byId, ledger: ledgers.left, late: lateOf('left'), ...options.left },
          right: { key: symbol, ties: byId, ledger: ledgers.right, late: lateOf('right'), ...options.right },
        }),
      )
      .subscribe({
        next: (pairs) => out.push([...pairs]),
        error: (error) => ends.push(error),
        complete: () => ends.push('completed'),
      })
    /** Pairs as `left-right`, by the ids. */
    const seen = (): string[] =>
      out
        .splice(0)
        .flat()
        .map((pair) => `${pair.left.id}-${pair.right?.id ?? ''}`)
    const balanced = (): boolean =>
      Object.values(ledgers).every(
        (ledger) =>
          ledger.in === ledger.out + ledger.late + ledger.ignored + ledger.ahead + ledger.dropped + ledger.inFlight,
      )
    return { clock, left, right, ledgers, late, out, ends, seen, balanced, subscription }
  }

  const at = (timeUs: number, id: number, fields: Partial<Row> = {}): Row => row(timeUs, { id, ...fields })

  it('pairs a row with the last one before it, or of the very time', () => {
    const { left, right, out, ends } = started()
    right.next([at(5, 1), at(10, 2), at(10, 3), at(11, 4)])
    left.next([at(4, 1), at(9, 2), at(10, 3)])
    right.complete()
    left.complete()
    expect(out.flat()).to.deep.equal([
      { kind: 'asOf', key: 'X', eventTimeUs: 4, left: at(4, 1), right: undefined, rightTimeUs: undefined },
      { kind: 'asOf', key: 'X', eventTimeUs: 9, left: at(9, 2), right: at(5, 1), rightTimeUs: 5 },
      { kind: 'asOf', key: 'X', eventTimeUs: 10, left: at(10, 3), right: at(10, 3), rightTimeUs: 10 },
    ])
    expect(ends).to.deep.equal(['completed'])
  })

  it('pairs a row with the first one after it, or of the very time', () => {
    const { left, right, seen } = started({ direction: 'forward' })
    right.next([at(5, 1), at(10, 2), at(10, 3), at(12, 4)])
    left.next([at(4, 1), at(5, 2), at(6, 3), at(10, 4), at(11, 5), at(13, 6)])
    left.complete()
    right.complete()
    expect(seen()).to.deep.equal(['1-1', '2-1', '3-2', '4-2', '5-4', '6-'])
  })

  it('pairs a row with the nearest one, of equal distances the one before', () => {
    const { left, right, seen } = started({ direction: 'nearest' })
    right.next([at(4, 1), at(10, 2), at(10, 3), at(20, 4)])
    left.next([at(1, 1), at(7, 2), at(8, 3), at(10, 4), at(15, 5), at(16, 6), at(90, 7)])
    left.complete()
    right.complete()
    expect(seen()).to.deep.equal(['1-1', '2-1', '3-2', '4-3', '5-3', '6-4', '7-4'])
  })

  it('takes nothing that is further away than the tolerance', () => {
    for (const [direction, expected] of Object.entries({
      backward: ['1-', '2-1', '3-', '4-', '5-2'],
      forward: ['1-1', '2-', '3-', '4-2', '5-2'],
      nearest: ['1-1', '2-1', '3-', '4-2', '5-2'],
    })) {
      const { left, right, seen } = started({ direction: direction as 'backward', toleranceMs: 0.003 })
      right.next([at(10, 1), at(20, 2)])
      left.next([at(7, 1), at(13, 2), at(14, 3), at(17, 4), at(20, 5)])
      left.complete()
      right.complete()
      expect(seen().sort()).to.deep.equal(expected)
    }
  })

  it('emits when the watermark says that nothing better will come, and not before', () => {
    const { left, right, seen } = started({ direction: 'forward', toleranceMs: 0.005, outOfOrderMs: 0.002 })
    left.next([at(10, 1), at(11, 2)])
    right.next([at(9, 0), at(12, 1), at(13, 2)])
    left.next([at(14, 3)])
    expect(seen()).to.deep.equal([])
    right.next([at(11, 3), at(15, 4)])
    left.next([at(15, 4)])
    expect(seen()).to.deep.equal(['1-3', '2-3'])
    left.next([at(30, 5)])
    right.next([at(21, 5)])
    expect(seen()).to.deep.equal(['3-4', '4-4'])
  })

  it('waits for a side that has said nothing yet, until it is idle', () => {
    const { left, seen, clock } = started({ idleMs: 2 })
    left.next([at(1, 1), at(5, 2)])
    expect(seen()).to.deep.equal([])
    clock.advance(2)
    expect(seen()).to.deep.equal(['1-'])
    clock.advance(0.001)
    expect(seen()).to.deep.equal(['2-'])
    expect(clock.pending).to.equal(0)
  })

  it('puts late rows of each side aside', () => {
    const { left, right, late, ledgers, seen } = started()
    left.next([at(10, 1)])
    right.next([at(10, 1)])
    left.next([at(9, 2)])
    right.next([at(9, 2)])
    left.complete()
    right.complete()
    expect(seen()).to.deep.equal(['1-1'])
    expect(late).to.deep.equal(['left 2', 'right 2'])
    expect(ledgers.left).to.deep.include({ in: 2, out: 1, late: 1 })
    expect(ledgers.right).to.deep.include({ in: 2, out: 1, late: 1 })
  })

  it('completes when the left side has and all its rows are paired, or when both sides have', () => {
    const first = started()
    first.left.next([at(10, 1)])
    first.left.complete()
    expect(first.ends).to.deep.equal([])
    first.right.next([at(11, 1)])
    expect(first.seen()).to.deep.equal(['1-'])
    expect(first.ends).to.deep.equal(['completed'])
    expect(first.right.observed).to.equal(false)
    expect(first.clock.pending).to.equal(0)

    const second = started({ direction: 'forward' })
    second.left.next([at(10, 1)])
    second.right.complete()
    expect(second.ends).to.deep.equal([])
    second.left.complete()
    expect(second.seen()).to.deep.equal(['1-'])
    expect(second.ends).to.deep.equal(['completed'])
  })

  it('waits for the right side no more when that has ended', () => {
    const { left, right, seen } = started()
    right.next([at(5, 1)])
    right.complete()
    left.next([at(10, 1), at(11, 2)])
    expect(seen()).to.deep.equal(['1-1'])
  })

  it('ends with an error of either side', () => {
    const error = new Error('gone')
    for (const side of ['left', 'right'] as const) {
      const all = started()
      all.left.next([at(1, 1)])
      all[side].error(error)
      expect(all.ends).to.deep.equal([error])
      expect([all.left.observed, all.right.observed, all.clock.pending]).to.deep.equal([false, false, 0])
      expect(all.ledgers.left).to.deep.include({ in: 1, dropped: 1, inFlight: 0 })
    }
  })

  it('ends with what a function of its options throws', () => {
    const error = new Error('no')
    const key = (): never => {
      throw error
    }
    for (const options of [{ left: { key } }, { right: { key } }]) {
      const { left, right, ends, balanced, clock } = started(options)
      left.next([at(1, 1)])
      right.next([at(1, 1)])
      left.next([at(2, 1)])
      right.next([at(2, 1)])
      expect(ends).to.deep.equal([error])
      expect(balanced()).to.equal(true)
      expect(clock.pending).to.equal(0)
    }
  })

  it('leaves both sides when it is left', () => {
    const { left, right, subscription, clock, ledgers } = started({ direction: 'forward' })
    left.next([at(1, 1), at(2, 2)])
    right.next([at(0, 1)])
    subscription.unsubscribe()
    expect([left.observed, right.observed, clock.pending]).to.deep.equal([false, false, 0])
    expect(ledgers.left).to.deep.include({ in: 2, dropped: 2, inFlight: 0 })
  })

  it('joins two sides that are read in one go', () => {
    const pairs: string[] = []
    of([at(5, 1), at(9, 2)])
      .pipe(
        asOfJoin(of([at(4, 1), at(8, 2), at(1e6, 3, { receiveTimeUs: 1e6 })]), {
          direction: 'backward',
          outOfOrderMs: 0,
          idleMs: 1,
          clock: new VirtualClock(),
        }),
      )
      .subscribe((batch) => pairs.push(...batch.map(({ left, right }) => `${left.id}-${right?.id ?? ''}`)))
    expect(pairs).to.deep.equal(['1-1', '2-2'])
  })

  it('joins two kinds of one stream, as a stage behind a merge would', () => {
    const both = new Subject<Batch<MarketEvent>>()
    const pairs: unknown[] = []
    const options = { direction: 'backward', outOfOrderMs: 0, idleMs: 1, clock: new VirtualClock() } as const
    both.pipe(ofKind('trade'), asOfJoin(both.pipe(ofKind('ticker')), options)).subscribe({
      next: (batch) => pairs.push(...batch.map(({ left, right }) => [left.price, right?.bidPrice])),
      complete: () => pairs.push('completed'),
    })
    const ticker = (bidPrice: number, exchangeTimeUs: number): Ticker => ({
      kind: 'ticker',
      exchange: 'kraken',
      symbol: 'BTC/USD',
      instrument: 'BTC-USD',
      exchangeTimeUs,
      receiveTimeUs: 0,
      bidPrice,
      bidSize: undefined,
      askPrice: undefined,
      askSize: undefined,
      lastPrice: undefined,
    })
    both.next([ticker(9, 1), trade({ price: 10, exchangeTimeUs: 1 }), ticker(8, 2)])
    both.next([trade({ price: 11, exchangeTimeUs: 3 })])
    both.complete()
    expect(pairs).to.deep.equal([[10, 9], [11, 8], 'completed'])
  })

  describe('gives the pairs of two sorted tables, in one order, for any arrival within the bound', () => {
    const boundUs = 8
    const sideOf = (exchanges: readonly string[]) =>
      arrivals({ spanUs: 40, boundUs, exchanges, behindUs: 20, atMost: 25 })
    for (const direction of ['backward', 'forward', 'nearest'] as const) {
      for (const toleranceMs of [undefined, 0.004]) {
        it(`${direction}, ${toleranceMs === undefined ? 'without a tolerance' : 'with a tolerance'}`, () => {
          fc.assert(
            fc.property(
              sideOf(['a', 'b']),
              sideOf(['c', 'd']),
              fc.array(fc.boolean(), { minLength: 1, maxLength: 12 }),
              (lefts, rights, turns) => {
                const { left, right, out, ends, ledgers, balanced } = started({
                  direction,
                  ...(toleranceMs === undefined ? {} : { toleranceMs }),
                  outOfOrderMs: boundUs / 1_000,
                  left: { sources: ['a', 'b'] },
                  right: { sources: ['c', 'd'] },
                })
                const [leftBatches, rightBatches] = [[...lefts.batches], [...rights.batches]]
                for (let turn = 0; leftBatches.length + rightBatches.length > 0; turn++) {
                  const isLeft = turns[turn % turns.length]! ? leftBatches.length > 0 : rightBatches.length === 0
                  if (isLeft) left.next(leftBatches.shift()!)
                  else right.next(rightBatches.shift()!)
                  if (!balanced()) throw new Error('the ledgers do not balance')
                }
                right.complete()
                left.complete()
                expect(ends).to.deep.equal(['completed'])
                const toleranceUs = toleranceMs === undefined ? Infinity : toleranceMs * 1_000
                const pairs = out.flat().map((pair): [number, number | undefined] => [pair.left.id, pair.right?.id])
                expect(pairs).to.deep.equal(joined(direction, toleranceUs, lefts.rows, rights.rows))
                expect(ledgers.left).to.deep.include({ out: lefts.rows.length, inFlight: 0, late: 0 })
                expect(ledgers.right).to.deep.include({ out: rights.rows.length, inFlight: 0, late: 0 })
              },
            ),
            { numRuns: 1_000 },
          )
        })
      }
    }
  })

  it('knows the types of both sides by itself, and what must be said of them', () => {
    const trades = new Subject<Batch<Trade>>()
    const quotes = new Subject<Batch<ConsolidatedQuote>>()
    const pairs: Observable<AsOf<Trade, ConsolidatedQuote>[]> = trades.pipe(
      asOfJoin(quotes, {
        direction: 'backward',
        toleranceMs: 1_000,
        outOfOrderMs: 200,
        idleMs: 2_000,
        left: { key: ({ instrument }) => instrument ?? '' },
        right: { key: ({ instrument }) => instrument },
      }),
    )
    expect(pairs).to.have.property('subscribe')
    const bare = new Subject<Batch<{ at: number }>>()
    const usual = { direction: 'nearest', outOfOrderMs: 0, idleMs: 1 } as const
    const said = { eventTimeUs: ({ at: us }: { at: number }) => us, source: () => '', key: () => '' }
    trades.pipe(asOfJoin(bare, { ...usual, right: said }))
    // @ts-expect-error right rows without the usual fields must say their time, source and key
    trades.pipe(asOfJoin(bare, usual))
  })

  it('forgets right rows that are beyond the tolerance, and keeps only the latest of a key', () => {
    const { left, right, ends, seen } = started({ toleranceMs: 0.01, keysMax: 11 })
    for (let us = 0; us < 1_000; us++) {
      right.next([at(us, us, { symbol: String(us) })])
      left.next([at(us, us, { symbol: String(us) })])
    }
    expect(ends).to.deep.equal([])
    expect(seen()).to.have.length(999)
  })

  describe('when it is full', () => {
    const keyed = (onFull: 'fail' | 'dropNewest' | 'hurry') => {
      const made = started({ keysMax: 2, onFull })
      made.right.next(['A', 'B', 'C', 'A'].map((name, id) => at(id, id, { symbol: name })))
      made.left.next(['A', 'B', 'C'].map((name, id) => at(10, id, { symbol: name })))
      made.right.complete()
      made.left.complete()
      return made
    }

    it('fails, forgets the key that had no right row for longest, or drops the new one', () => {
      const failed = keyed('fail')
      expect(failed.ends[0]).to.be.instanceOf(Fault).with.property('code', 'EDGE_FULL')
      expect((failed.ends[0] as Fault).message).to.match(/^asOfJoin holds 2 keys .* `keysMax`/)
      expect(failed.balanced()).to.equal(true)
      const dropped = keyed('dropNewest')
      expect(dropped.seen()).to.deep.equal(['0-3', '1-1', '2-'])
      expect(dropped.ledgers.right).to.deep.include({ in: 4, out: 3, dropped: 1 })
      expect(keyed('hurry').seen()).to.deep.equal(['0-3', '1-', '2-2'])
    })

    it('hurries left rows that wait for what follows, without making others late', () => {
      const { left, right, seen, ledgers, balanced } = started({
        direction: 'forward',
        rowsMax: 3,
        onFull: 'hurry',
        toleranceMs: 1,
      })
      right.next([at(0, 0)])
      for (const us of [10, 11, 12, 13]) left.next([at(us, us)])
      expect(seen()).to.deep.equal(['10-'])
      right.next([at(14, 1)])
      left.next([at(15, 15)])
      right.complete()
      left.complete()
      expect(seen()).to.deep.equal(['11-', '12-', '13-1', '15-'])
      expect(ledgers.left).to.deep.include({ in: 5, out: 5, late: 0, dropped: 0 })
      expect(balanced()).to.equal(true)
    })
  })

  it('ends an endless synchronous source when downstream has enough', () => {
    let taken = 0
    range(0, Number.MAX_SAFE_INTEGER)
      .pipe(
        map((us) => [at(us, us)]),
        asOfJoin(of([at(0, 0)]), { direction: 'backward', outOfOrderMs: 0, idleMs: 1, clock: new VirtualClock() }),
        take(3),
      )
      .subscribe(() => taken++)
    expect(taken).to.equal(3)
  })

  for (const options of [
    { direction: 'sideways' as never },
    { toleranceMs: -1 },
    { toleranceMs: NaN },
    { outOfOrderMs: -1 },
    { idleMs: 0 },
    { keysMax: 0 },
    { rowsMax: 0 },
    { left: { outOfOrderMs: NaN } },
    { right: { aheadMs: -1 } },
  ]) {
    it(`refuses ${JSON.stringify(options)}`, () => {
      const usual = { direction: 'backward', outOfOrderMs: 0, idleMs: 1 } as const
      expect(() => asOfJoin<Row, Row>(NEVER, { ...usual, ...options })).to.throw(Fault, /^asOfJoin: \w+ is .*; give /)
    })
  }
})

/** By looking at every right row for each left one; in the order in which the answers are known. */
function joined(
  direction: string,
  toleranceUs: number,
  lefts: readonly Row[],
  rights: readonly Row[],
): [number, number | undefined][] {
  const sorted = [...rights].sort(inTime)
  const known = [...lefts].sort(inTime).map((left, order) => {
    const leftUs = left.exchangeTimeUs!
    const same = sorted.filter(
      (right) => right.symbol === left.symbol && Math.abs(right.exchangeTimeUs! - leftUs) <= toleranceUs,
    )
    const before = same.filter((right) => right.exchangeTimeUs! <= leftUs).at(-1)
    const after = same.find((right) => right.exchangeTimeUs! >= leftUs)
    const beforeUs = before === undefined ? Infinity : leftUs - before.exchangeTimeUs!
    const afterUs = after === undefined ? Infinity : after.exchangeTimeUs! - leftUs
    // With the row itself, with a right row, or when time has gone by: in this order at the same time.
    const withIt = (right: Row | undefined) => ({ left, right, at: [leftUs, 1, 0, order] })
    const withRight = {
      left,
      right: after,
      at: [leftUs + afterUs, 0, after === undefined ? 0 : sorted.indexOf(after), order],
    }
    const withTime = (right: Row | undefined, us: number) => ({ left, right, at: [leftUs + us, 2, 0, order] })
    if (direction === 'backward') return withIt(before)
    if (direction === 'forward') return after === undefined ? withTime(undefined, toleranceUs) : withRight
    if (beforeUs === 0) return withIt(before)
    return afterUs < beforeUs ? withRight : withTime(before, Math.min(toleranceUs, beforeUs - 1))
  })
  return known.sort((a, b) => lexically(a.at, b.at)).map(({ left, right }) => [left.id, right?.id])
}

function lexically(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((each, index) => each !== b[index])
  return at < 0 ? 0 : a[at]! < b[at]! ? -1 : 1
}
