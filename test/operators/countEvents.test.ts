import { expect } from 'chai'
import { Subject } from 'rxjs'
import { VirtualClock } from '../../src/clock/virtualClock'
import type { MarketEvent } from '../../src/model/events'
import { Fault } from '../../src/model/fault'
import { countEvents, type EventCounts } from '../../src/operators/countEvents'
import { delta, notice, snapshot, trade } from '../kit/marketEvents'
import { keepsTheLaws } from './laws'

describe('countEvents', () => {
  keepsTheLaws((clock) => countEvents({ everyMs: 1_000, clock }), [[trade()]])

  const started = (instrumentsMax = 100) => {
    const clock = new VirtualClock()
    const source = new Subject<MarketEvent[]>()
    const out: EventCounts[][] = []
    source.pipe(countEvents({ everyMs: 1_000, instrumentsMax, clock })).subscribe((counts) => out.push(counts))
    return { clock, source, out }
  }

  it('counts every kind, old trades apart from new ones, and notices by code', () => {
    const { clock, source, out } = started()
    const base = {
      exchange: 'kraken',
      symbol: 'BTC/USD',
      instrument: 'BTC-USD',
      exchangeTimeUs: 1,
      receiveTimeUs: 400_000,
    }
    source.next([
      trade(),
      trade(),
      trade({ history: true }),
      snapshot([], []),
      delta([], []),
      { kind: 'ticker', ...base, bidPrice: 1, bidSize: 1, askPrice: 1, askSize: 1, lastPrice: 1 },
      {
        kind: 'candle',
        ...base,
        openTimeUs: 0,
        intervalUs: 1,
        open: 1,
        high: 1,
        low: 1,
        close: 1,
        volume: 1,
        closed: true,
      },
      {
        kind: 'derivative',
        ...base,
        markPrice: 1,
        indexPrice: 1,
        fundingRate: 1,
        nextFundingTimeUs: 1,
        openInterest: 1,
      },
      notice('gap'),
      notice('resynced'),
      notice('gap'),
      { kind: 'liquidation', ...base, side: 'buy', price: 1, size: 1 },
    ])
    clock.advance(1_000)
    expect(out).to.deep.equal([
      [
        {
          kind: 'counts',
          exchange: 'kraken',
          symbol: 'BTC/USD',
          instrument: 'BTC-USD',
          timeUs: 1_000_000,
          events: 12,
          perSecond: 12,
          lastEventAgeMs: 600,
          trades: 2,
          tradesHistory: 1,
          snapshots: 1,
          deltas: 1,
          tickers: 1,
          candles: 1,
          derivatives: 1,
          liquidations: 1,
          gaps: 2,
          resyncs: 1,
          notices: { connected: 0, disconnected: 0, gap: 2, resynced: 1, stale: 0, dropped: 0 },
        },
      ],
    ])
  })

  it('goes on counting, and gives the rate since the tick before', () => {
    const { clock, source, out } = started()
    source.next([trade(), trade()])
    clock.advance(1_000)
    source.next([trade({ receiveTimeUs: 1_000_000 })])
    clock.advance(2_000)
    expect(out.map(([counts]) => [counts!.trades, counts!.perSecond, counts!.lastEventAgeMs])).to.deep.equal([
      [2, 2, 1_000],
      [3, 1, 1_000],
      [3, 0, 2_000],
    ])
  })

  it('lists instruments by exchange and name, those of one name on two exchanges apart', () => {
    const { clock, source, out } = started()
    source.next([
      trade({ exchange: 'okx', instrument: 'B' }),
      trade({ exchange: 'okx', instrument: 'A' }),
      trade({ exchange: 'bybit', instrument: 'B' }),
      notice('connected', { exchange: 'bybit', symbol: '', instrument: undefined }),
    ])
    clock.advance(1_000)
    expect(out[0]!.map(({ exchange, instrument }) => `${exchange} ${instrument ?? '-'}`)).to.deep.equal([
      'bybit -',
      'bybit B',
      'okx A',
      'okx B',
    ])
  })

  it('emits rows that do not change afterwards', () => {
    const { clock, source, out } = started()
    source.next([notice('gap')])
    clock.advance(1_000)
    const before = structuredClone(out[0])
    source.next([notice('gap')])
    clock.advance(1_000)
    expect(out[0]).to.deep.equal(before)
  })

  it('says what it has counted at completion', () => {
    const { clock, source, out } = started()
    source.next([trade()])
    clock.advance(500)
    source.complete()
    expect(out.map(([counts]) => [counts!.trades, counts!.perSecond])).to.deep.equal([[1, 2]])
    expect(clock.pending).to.equal(0)
  })

  it('drops an idle instrument for a new one when it is full', () => {
    const { clock, source, out } = started(2)
    source.next([trade({ symbol: 'A', instrument: 'A' }), trade({ symbol: 'B', instrument: 'B' })])
    source.next([trade({ symbol: 'A', instrument: 'A' }), trade({ symbol: 'C', instrument: 'C' })])
    clock.advance(1_000)
    expect(out[0]!.map(({ symbol, trades }) => `${symbol}${trades}`)).to.deep.equal(['A2', 'C1'])
  })

  it('refuses unusable options', () => {
    expect(() => countEvents({ everyMs: NaN })).to.throw(Fault, /everyMs is NaN/)
    expect(() => countEvents({ everyMs: 1, instrumentsMax: 0.5 })).to.throw(Fault, /instrumentsMax is 0.5/)
  })
})
