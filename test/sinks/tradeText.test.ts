import { expect } from 'chai'
import fc from 'fast-check'
import type { Trade } from '../../src/model/events'
import { encodeEvent } from '../../src/sinks/encode'
import { tradeText } from '../../src/sinks/tradeText'

/** What `JSON.stringify` writes of the fields of a trade. */
function plainText(trade: Trade): string {
  const { kind, exchange, symbol, instrument, exchangeTimeUs, receiveTimeUs, id, side, price, size } = trade
  const history = trade.history ? true : undefined
  return JSON.stringify({
    ...{ kind, exchange, symbol, instrument, exchangeTimeUs, receiveTimeUs, id, side, price, size, history },
    lineage: trade.lineage,
  })
}

const absent = <T>(values: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(values, { nil: undefined })
const name = fc.oneof(fc.constantFrom('binance', 'kraken', 'BTCUSDT', 'XBT/USD'), fc.string({ unit: 'binary' }))
const timeUs = fc.oneof(fc.integer({ min: 0, max: 2_000_000_000 }), fc.maxSafeInteger(), fc.double())
const amount = fc.oneof(
  fc.integer({ min: 0, max: 1e9 }).map((whole) => whole / 1e4),
  fc.double(),
)
const anyTrade: fc.Arbitrary<Trade> = fc.record({
  kind: fc.constant('trade' as const),
  exchange: name,
  symbol: name,
  instrument: absent(name),
  exchangeTimeUs: absent(timeUs),
  receiveTimeUs: timeUs,
  id: absent(fc.oneof(fc.nat().map(String), fc.string({ unit: 'binary' }))),
  side: absent(fc.constantFrom('buy' as const, 'sell' as const)),
  price: amount,
  size: amount,
  priceDecimals: fc.constant(2),
  sizeDecimals: fc.constant(4),
  history: fc.boolean(),
})

const [trade] = fc.sample(anyTrade, { seed: 4, numRuns: 1 }) as [Trade]
const usual: Trade = { ...trade, exchange: 'kraken', symbol: 'XBT/USD', id: '7', receiveTimeUs: 1, price: 2.5, size: 3 }

describe('the text of a trade', () => {
  it('is that of JSON.stringify, to the character', () => {
    fc.assert(
      fc.property(anyTrade, (any) => {
        expect(encodeEvent(any)).to.equal(plainText(any))
      }),
      { seed: 1, numRuns: 5_000 },
    )
  })

  it('is made by hand of what a trade nearly always is', () => {
    expect(tradeText({ ...usual, exchangeTimeUs: 5, side: 'buy' })).to.be.a('string')
    expect(tradeText({ ...usual, exchangeTimeUs: undefined, side: undefined })).to.be.a('string')
  })

  it('is left to others where a field holds something else', () => {
    const odd: Record<string, unknown>[] = [
      { exchange: 5 },
      { symbol: null },
      { instrument: null },
      { exchangeTimeUs: new Date(0) },
      { receiveTimeUs: '1' },
      { id: 17 },
      { side: true },
      { price: NaN },
      { size: 5n },
      { lineage: { block: 1, line: 2 } },
    ]
    for (const fields of odd) {
      expect(tradeText({ ...usual, ...fields }), Object.keys(fields)[0]).to.equal(undefined)
    }
  })

  it('tells instruments apart that share a symbol, on one exchange and on two', () => {
    const trades = ['XBT-USD', undefined, 'XBT-USD-PERP', 'XBT-USD'].flatMap((instrument) => [
      { ...usual, instrument },
      { ...usual, instrument, exchange: 'bybit' },
    ])
    for (const one of trades) expect(encodeEvent(one)).to.equal(plainText(one))
  })

  it('is the same of more instruments than are remembered', () => {
    for (let index = 0; index < 10_050; index++) {
      const one = { ...usual, symbol: `S${index}`, instrument: `I${index}` }
      expect(encodeEvent(one)).to.equal(plainText(one))
    }
    expect(encodeEvent({ ...usual, symbol: 'S0', instrument: 'I0' })).to.contain('"symbol":"S0","instrument":"I0"')
  })
})
