/**
 * Frames that somebody else has decoded: each is one event, and what is none of them is a fault, never an exception.
 */
import { expect } from 'chai'
import { exchangeById, EXCHANGES } from '../../src/exchanges/exchanges'
import { exchangeOfNormalised, normalisedVenue } from '../../src/exchanges/normalised'
import { Sessions } from '../../src/feed/sessions'
import type { MarketEvent } from '../../src/model/events'
import { Fault } from '../../src/model/fault'

interface Taken {
  readonly events: readonly MarketEvent[]
  readonly faults: readonly string[]
}

function take(frames: readonly unknown[], venue = 'normalised:kraken'): Taken {
  const faults: string[] = []
  const sessions = new Sessions({ protocolOf: exchangeById, onFault: ({ code }) => faults.push(code) })
  const events = frames.flatMap((frame, i) =>
    sessions.apply({
      timeUs: 1_000 + i,
      ns: 0,
      connection: 0,
      exchange: venue,
      dir: 'in',
      data: typeof frame === 'string' ? frame : JSON.stringify(frame),
    }),
  )
  return { events, faults }
}

const BOOK = { symbol: 'X', exchangeTimeUs: 5 }

describe('normalised', () => {
  it('reads each kind of event, with the digits of its texts and the id of the exchange', () => {
    const { events, faults } = take([
      { kind: 'trade', symbol: 'X', exchangeTimeUs: 5, id: '7', side: 'sell', price: '1.50', size: '2' },
      { ...BOOK, kind: 'snapshot', bids: [['1.50', '2']], asks: [['1.60', '3.0']], depth: 5 },
      { ...BOOK, kind: 'delta', bids: [['1.50', '0']], asks: [] },
      { kind: 'ticker', symbol: 'X', bidPrice: '1', askPrice: '2', lastPrice: '1.5' },
      {
        kind: 'derivative',
        symbol: 'X',
        markPrice: '1',
        fundingRate: '-0.0001',
        nextFundingTimeUs: 9,
        predictedFundingRate: '1',
      },
      { kind: 'liquidation', symbol: 'X', side: 'buy', price: '1', size: '2' },
    ])
    expect(faults).to.deep.equal([])
    expect(events.map(({ kind, exchange, symbol }) => `${exchange} ${symbol} ${kind}`)).to.deep.equal([
      'kraken X trade',
      'kraken X snapshot',
      'kraken X delta',
      'kraken X ticker',
      'kraken X derivative',
      'kraken X liquidation',
    ])
    expect(events[0]).to.include({
      exchangeTimeUs: 5,
      receiveTimeUs: 1_000,
      id: '7',
      side: 'sell',
      price: 1.5,
      priceDecimals: 2,
    })
    expect(events[1]).to.deep.include({ bids: [[1.5, 2]], asks: [[1.6, 3]], depth: 5, seq: undefined })
    expect(events[3]).to.include({ exchangeTimeUs: undefined, bidPrice: 1, bidSize: undefined, lastPrice: 1.5 })
    expect(events[4]).to.include({ fundingRate: -0.0001, nextFundingTimeUs: 9 })
  })

  it('keeps a book silent until its snapshot', () => {
    const { events } = take([{ ...BOOK, kind: 'delta', bids: [['1', '2']], asks: [] }])
    expect(events).to.deep.equal([])
  })

  it('makes a fault of every frame that is none', () => {
    const frames = [
      '',
      '[]',
      'null',
      '{"kind":"news"}',
      '{"kind":"trade"}',
      { kind: 'trade', symbol: 'X', price: '0', size: '1' },
      { kind: 'trade', symbol: 'X', price: 'NaN', size: '1' },
      { kind: 'trade', symbol: 'X', side: 'both', price: '1', size: '1' },
      { kind: 'trade', symbol: 'x'.repeat(1_000), price: '1', size: '1' },
      { ...BOOK, kind: 'snapshot', bids: 'all', asks: [] },
      { ...BOOK, kind: 'snapshot', bids: [[]], asks: [] },
      { ...BOOK, kind: 'snapshot', bids: [['1', '-1']], asks: [] },
      { ...BOOK, kind: 'delta', exchangeTimeUs: 'now', bids: [], asks: [] },
      { kind: 'derivative', symbol: 'X', nextFundingTimeUs: 'soon' },
      `${'['.repeat(50_000)}${']'.repeat(50_000)}`,
    ]
    const { events, faults } = take(frames)
    expect(events).to.deep.equal([])
    expect(faults).to.have.length(frames.length)
  })

  it('stands for any exchange, spoken or not, under a name of its own', () => {
    expect(exchangeById('normalised:deribit')).to.include({ id: 'deribit', title: 'deribit' })
    expect(exchangeById('normalised:binance')).to.include({ id: 'binance', title: 'Binance spot' })
    expect([...EXCHANGES.keys()].some((id) => id.includes(':'))).to.equal(false)
    expect(exchangeOfNormalised(normalisedVenue('okx'))).to.equal('okx')
    for (const venue of ['normalised:', 'normalised:../x', 'normalised:a b', `normalised:${'a'.repeat(65)}`, 'okx']) {
      expect(exchangeOfNormalised(venue), venue).to.equal(undefined)
    }
    expect(() => exchangeById('normalised:')).to.throw(Fault)
  })
})
