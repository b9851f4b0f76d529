import { expect } from 'chai'
import fc from 'fast-check'
import { map, range, Subject, take, type Observable } from 'rxjs'
import { runWithClock } from '../../src/clock/currentClock'
import { VirtualClock } from '../../src/clock/virtualClock'
import type { Batch, MarketEvent, Trade } from '../../src/model/events'
import { Fault } from '../../src/model/fault'
import { bars } from '../../src/operators/bars'
import type { ConsolidatedQuote } from '../../src/operators/consolidate'
import { summarizeBooks } from '../../src/operators/summarizeBooks'
import { barLedger, timeBars, type Bar, type FieldBar, type TradeBarsOptions } from '../../src/operators/timeBars'
import { notice, trade, viewOf } from '../kit/marketEvents'
import { keepsTheLaws } from './laws'

describe('bars.time', () => {
  keepsTheLaws((clock) => bars.time({ everyMs: 1_000, clock }), [[trade()]])
  keepsTheLaws((clock) => bars.time({ everyMs: 1_000, emitEmpty: true, clock }), [[trade()]])
  keepsTheLaws((clock) => bars.time({ everyMs: 1_000, field: 'mid', clock }), [[viewOf([[1, 1]], [[2, 1]])]])

  const started = (options: Partial<TradeBarsOptions> = {}, startUs = 0) => {
    const clock = new VirtualClock(startUs)
    const ledger = barLedger()
    const source = new Subject<MarketEvent[]>()
    const out: Bar[][] = []
    source
      .pipe(bars.time({ everyMs: 1_000, clock, ledger, ...options }))
      .subscribe((closed) => out.push([...closed] as Bar[]))
    /** A trade that is received now. */
    const send = (...trades: Partial<Trade>[]): void =>
      source.next(trades.map((fields) => trade({ receiveTimeUs: clock.nowUs(), ...fields })))
    return { clock, source, out, ledger, send }
  }

  const short = ({ openTimeUs, open, high, low, close, trades, closed }: Bar): string =>
    `${openTimeUs / 1e6}s ${open}/${high}/${low}/${close} x${trades}${closed ? '' : ' unfinished'}`

  it('counts open, high, low, close, volumes and the average price of an interval', () => {
    const { clock, out, send } = started()
    clock.advanceTo(2_100_000)
    send({ price: 10, size: 1, side: 'buy' })
    clock.advance(100)
    send({ price: 14, size: 2, side: 'sell' }, { price: 8, size: 3, side: undefined })
    clock.advance(100)
    send({ price: 12, size: 4, side: 'buy' })
    clock.advance(1_000)
    expect(out).to.deep.equal([
      [
        {
          kind: 'bar',
          exchange: 'kraken',
          symbol: 'BTC/USD',
          instrument: 'BTC-USD',
          openTimeUs: 2_000_000,
          closeTimeUs: 3_000_000,
          intervalUs: 1_000_000,
          open: 10,
          high: 14,
          low: 8,
          close: 12,
          volume: 10,
          buyVolume: 5,
          sellVolume: 2,
          trades: 4,
          vwap: 11,
          closed: true,
        },
      ],
    ])
  })

  it('closes a bar on the clock, not on the next trade', () => {
    const { clock, out, send } = started()
    clock.advanceTo(300_000)
    send({})
    clock.advanceTo(999_999)
    expect(out).to.have.length(0)
    clock.advanceTo(1_000_000)
    expect(out).to.have.length(1)
    expect(clock.pending).to.equal(0)
  })

  it('counts a trade at the boundary to the interval that opens there', () => {
    const { clock, out, send } = started()
    send({ price: 1 })
    clock.advanceTo(999_999)
    send({ price: 2 })
    clock.advanceTo(1_000_000)
    send({ price: 3 })
    clock.advanceTo(2_000_000)
    expect(out.flat().map(short)).to.deep.equal(['0s 1/2/1/2 x2', '1s 3/3/3/3 x1'])
  })

  it('closes a bar before a trade of the next interval, also when its timer is late', () => {
    const { source, out } = started()
    source.next([trade({ price: 1, receiveTimeUs: 500_000 }), trade({ price: 2, receiveTimeUs: 1_500_000 })])
    expect(out.flat().map(short)).to.deep.equal(['0s 1/1/1/1 x1'])
  })

  it('closes the bars of one boundary together, by exchange and instrument', () => {
    const { clock, out, send } = started()
    send(
      { exchange: 'okx', instrument: 'B' },
      { exchange: 'okx', instrument: undefined, symbol: 'A' },
      { exchange: 'bybit', instrument: 'B' },
    )
    clock.advance(1_000)
    expect(out.map((batch) => batch.map((bar) => `${bar.exchange} ${bar.instrument ?? bar.symbol}`))).to.deep.equal([
      ['bybit B', 'okx A', 'okx B'],
    ])
  })

  it('has no bar for an interval without trades', () => {
    const { clock, out, send } = started()
    send({})
    clock.advance(10_000)
    send({})
    clock.advance(10_000)
    expect(out.flat().map(({ openTimeUs }) => openTimeUs)).to.deep.equal([0, 10_000_000])
  })

  it('ignores trades sent as history, and events of other kinds', () => {
    const { clock, out, send, source, ledger } = started()
    send({ history: true })
    source.next([notice('gap')])
    clock.advance(1_000)
    expect(out).to.deep.equal([])
    expect(ledger).to.deep.equal({ in: 2, barred: 0, ignored: 2, late: 0 })
  })

  it('drops a trade that comes after its bar has closed, and counts it', () => {
    const { clock, out, send, ledger } = started()
    send({ price: 1 })
    clock.advance(1_001)
    send({ price: 9, receiveTimeUs: 999_999 }, { price: 2 })
    clock.advance(1_000)
    expect(out.flat().map(short)).to.deep.equal(['0s 1/1/1/1 x1', '1s 2/2/2/2 x1'])
    expect(ledger).to.deep.equal({ in: 3, barred: 2, ignored: 0, late: 1 })
  })

  it('waits for late trades as long as it is told', () => {
    const { clock, out, send, ledger } = started({ graceMs: 500 })
    send({ price: 1 })
    clock.advance(1_400)
    send({ price: 2 }, { price: 3, receiveTimeUs: 999_999 }, { price: 4 })
    expect(out).to.have.length(0)
    clock.advance(100)
    expect(out.flat().map(short)).to.deep.equal(['0s 1/3/1/3 x2'])
    clock.advance(1_000)
    expect(out.flat().map(short).slice(1)).to.deep.equal(['1s 2/4/2/4 x2'])
    expect(ledger.late).to.equal(0)
  })

  it('keeps several intervals open within its grace, and closes them in order', () => {
    const { clock, out, send } = started({ graceMs: 3_000 })
    clock.advanceTo(2_500_000)
    send({ price: 3 }, { price: 1, receiveTimeUs: 100_000 }, { price: 2, receiveTimeUs: 1_100_000 }, { price: 4 })
    clock.advance(10_000)
    expect(out.flat().map(short)).to.deep.equal(['0s 1/1/1/1 x1', '1s 2/2/2/2 x1', '2s 3/4/3/4 x2'])
    expect(clock.pending).to.equal(0)
  })

  it('emits an open bar unfinished at completion, and one whose time is over as closed', () => {
    const { clock, source, out, send } = started({ graceMs: 500 })
    send({ price: 1 })
    clock.advance(1_200)
    send({ price: 2 })
    source.complete()
    expect(out.map((batch) => batch.map(short))).to.deep.equal([['0s 1/1/1/1 x1'], ['1s 2/2/2/2 x1 unfinished']])
    expect(clock.pending).to.equal(0)
  })

  it('carries the close through empty intervals when asked to, until the instrument is forgotten', () => {
    const { clock, out, send } = started({ emitEmpty: true, forgetAfterMs: 3_000 })
    clock.advanceTo(200_000)
    send({ price: 5, size: 2 })
    clock.advance(20_000)
    expect(out.flat().map(short)).to.deep.equal(['0s 5/5/5/5 x1', '1s 5/5/5/5 x0', '2s 5/5/5/5 x0', '3s 5/5/5/5 x0'])
    expect(out[1]![0]).to.include({ volume: 0, buyVolume: 0, sellVolume: 0, vwap: undefined, closed: true })
    expect(clock.pending).to.equal(0)
  })

  it('fills only from the first bar of an instrument on, beside those that have trades', () => {
    const { clock, out, send } = started({ emitEmpty: true })
    send({ instrument: 'A', price: 1 })
    clock.advance(1_500)
    send({ instrument: 'B', price: 2 })
    clock.advance(1_500)
    const named = out.map((batch) => batch.map((bar) => `${bar.instrument!} ${short(bar)}`))
    expect(named).to.deep.equal([
      ['A 0s 1/1/1/1 x1'],
      ['A 1s 1/1/1/1 x0', 'B 1s 2/2/2/2 x1'],
      ['A 2s 1/1/1/1 x0', 'B 2s 2/2/2/2 x0'],
    ])
  })

  it('starts anew after it has forgotten, however long the silence was', () => {
    const { clock, out, send } = started({ everyMs: 1, emitEmpty: true })
    send({ price: 1 })
    clock.advance(1_000)
    const before = out.length
    clock.advanceTo(1e13)
    send({ price: 2 })
    clock.advance(1)
    expect(before).to.equal(100)
    expect(out.slice(before).flat().map(short)).to.deep.equal(['10000000s 2/2/2/2 x1'])
  })

  it('emits the bar of an idle instrument unfinished to make room for another', () => {
    const { clock, out, send, ledger } = started({ instrumentsMax: 2 })
    send({ instrument: 'A' }, { instrument: 'B' }, { instrument: 'A' }, { instrument: 'C' })
    clock.advance(1_000)
    expect(out.map((batch) => batch.map((bar) => `${bar.instrument!} x${bar.trades} ${bar.closed}`))).to.deep.equal([
      ['B x1 false'],
      ['A x2 true', 'C x1 true'],
    ])
    expect(ledger.barred).to.equal(4)
  })

  it('has no average price without volume', () => {
    const { clock, out, send } = started()
    send({ size: 0 })
    clock.advance(1_000)
    expect(out[0]![0]).to.include({ volume: 0, vwap: undefined, trades: 1 })
  })

  it('goes by the time of the events when they are of another time than the clock', () => {
    const { clock, source, out, send } = started({}, 1e15)
    send({ price: 1, receiveTimeUs: 1_100_000 })
    clock.advance(10_000)
    send({ price: 2, receiveTimeUs: 1_900_000 })
    send({ price: 3, receiveTimeUs: 2_000_000 })
    expect(clock.pending).to.equal(0)
    source.complete()
    expect(out.flat().map(short)).to.deep.equal(['1s 1/2/1/2 x2', '2s 3/3/3/3 x1 unfinished'])
  })

  it('follows the clock of the run that is being wired when it is given none', () => {
    const clock = new VirtualClock()
    const source = new Subject<Trade[]>()
    let closed = 0
    runWithClock(clock, () => source.pipe(bars.time({ everyMs: 1_000 })).subscribe(() => closed++))
    source.next([trade()])
    clock.advance(1_000)
    expect(closed).to.equal(1)
  })

  it('bars the course of a field of views, summaries and quotes', () => {
    const clock = new VirtualClock()
    const source = new Subject<ReturnType<typeof viewOf>[]>()
    const [ofViews, ofSummaries]: [FieldBar<'mid'>[], FieldBar<'mid'>[]] = [[], []]
    source.pipe(bars.time({ everyMs: 1_000, field: 'mid', clock })).subscribe((closed) => ofViews.push(...closed))
    source
      .pipe(summarizeBooks({ levels: 1 }), bars.time({ everyMs: 1_000, field: 'mid', clock }))
      .subscribe((closed) => ofSummaries.push(...closed))
    for (const mid of [10, 14, 9, 11]) source.next([viewOf([[mid - 1, 1]], [[mid + 1, 1]])])
    source.next([viewOf([], [[100, 1]])])
    clock.advance(1_000)
    expect(ofViews).to.deep.equal([
      {
        kind: 'bar',
        exchange: 'kraken',
        symbol: 'BTC/USD',
        instrument: 'BTC-USD',
        openTimeUs: 0,
        closeTimeUs: 1_000_000,
        intervalUs: 1_000_000,
        field: 'mid',
        open: 10,
        high: 14,
        low: 9,
        close: 11,
        count: 4,
        closed: true,
      },
    ])
    expect(ofSummaries).to.deep.equal(ofViews)
    const quotes = new Subject<Batch<ConsolidatedQuote>>()
    const typed: Observable<Batch<FieldBar<'spreadBps'>>> = quotes.pipe(bars.time({ everyMs: 1, field: 'spreadBps' }))
    expect(typed).to.have.property('subscribe')
  })

  it('carries a negative or zero value of a field like any other', () => {
    const clock = new VirtualClock()
    const source = new Subject<
      { exchange: string; symbol: string; instrument: undefined; receiveTimeUs: number; x: number }[]
    >()
    const out: FieldBar[] = []
    source.pipe(timeBars({ everyMs: 1, field: 'x', clock })).subscribe((closed) => out.push(...closed))
    source.next([-1, 0, -3].map((x) => ({ exchange: 'a', symbol: 'b', instrument: undefined, receiveTimeUs: 0, x })))
    clock.advance(1)
    expect(out[0]).to.include({ open: -1, high: 0, low: -3, close: -3 })
  })

  it('gives the bars that sorting all trades into intervals would give, whatever the batches', () => {
    const step = fc.record({
      waitMs: fc.integer({ min: 0, max: 700 }),
      instrument: fc.constantFrom('A', 'B'),
      price: fc.integer({ min: 1, max: 9 }),
      size: fc.integer({ min: 0, max: 3 }),
      graceMs: fc.constant(0),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.constantFrom(0, 250, 1_500), (steps, graceMs) => {
        const { clock, source, out, send } = started({ graceMs })
        const expected = new Map<string, { prices: number[]; volume: number }>()
        for (const { waitMs, instrument, price, size } of steps) {
          clock.advance(waitMs)
          send({ instrument, price, size })
          const key = `${String(Math.floor(clock.nowUs() / 1e6)).padStart(6)} ${instrument}`
          const bar = expected.get(key) ?? { prices: [], volume: 0 }
          bar.prices.push(price)
          bar.volume += size
          expected.set(key, bar)
        }
        source.complete()
        const got = out.flat().map((bar) => ({
          key: `${String(bar.openTimeUs / 1e6).padStart(6)} ${bar.instrument!}`,
          row: [bar.open, bar.high, bar.low, bar.close, bar.trades, bar.volume],
        }))
        expect(got).to.deep.equal(
          [...expected]
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .map(([key, { prices, volume }]) => ({
              key,
              row: [prices[0], Math.max(...prices), Math.min(...prices), prices.at(-1), prices.length, volume],
            })),
        )
      }),
      { seed: 11, numRuns: 200 },
    )
  })

  it('ends an endless synchronous source when downstream has enough', () => {
    let taken = 0
    range(0, Number.MAX_SAFE_INTEGER)
      .pipe(
        map((second) => [trade({ receiveTimeUs: second * 1e6 })]),
        bars.time({ everyMs: 1_000, clock: new VirtualClock() }),
        take(3),
      )
      .subscribe(() => taken++)
    expect(taken).to.equal(3)
  })

  for (const options of [
    { everyMs: 0 },
    { everyMs: NaN },
    { everyMs: 1_000, graceMs: -1 },
    { everyMs: 1, graceMs: 10_001 },
    { everyMs: 1_000, forgetAfterMs: 999 },
    { everyMs: 1, forgetAfterMs: Infinity },
    { everyMs: 1_000, instrumentsMax: 0 },
  ]) {
    it(`refuses ${Object.entries(options).join(' ')}`, () => {
      expect(() => bars.time(options)).to.throw(Fault, /^bars\.time: \w+ is .*; give /)
    })
  }

  it('refuses a field without a name', () => {
    expect(() => bars.time({ everyMs: 1, field: '' })).to.throw(Fault, /field is/)
  })
})
