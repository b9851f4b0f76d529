import { expect } from 'chai'
import fc from 'fast-check'
import { exchangeById } from '../../../src/exchanges/exchanges'
import { EventWriter, packDecimals } from '../../../src/model/codec/eventWriter'
import { parseWireJson } from '../../../src/model/codec/wireJson'
import { printDecimal } from '../../../src/model/decimal'
import type { BookChange, LevelDigits, Level, MarketEvent } from '../../../src/model/events'
import { Fault } from '../../../src/model/fault'
import { decodeFrame, writerFor } from '../../kit/decoding'
import { one } from '../../kit/one'
import { needsShared, readRecording } from '../../kit/shared'

/** Every session of the six exchanges that holds trades or books. */
const SESSIONS: readonly (readonly [exchange: string, session: string])[] = [
  ['binance', 'binance.ws1'],
  ['binance', 'binance.ethusdt-20240808'],
  ['binance-futures', 'binance-futures.ws1'],
  ['binance-futures', 'binance-futures.btcusdt-20240808.first60'],
  ['bybit', 'bybit.xrpusdt-ob500-20241201.first60'],
  ['kraken', 'kraken.ws48'],
  ['kraken', 'kraken.ws50.first60'],
  ['kraken', 'kraken.v2-btcusd-20260824'],
  ['okx', 'okx.ws1.first60'],
  ['coinbase', 'coinbase.ws28.first60'],
]

describe('EventWriter', () => {
  const writer = (): EventWriter => new EventWriter('kraken', 'spot', () => undefined)

  it('names the instrument where its metadata is known, and leaves it unsaid where not', () => {
    const { instrument } = one(decodedTrade('BTC/USD', 'BTC-USD'))
    expect(instrument).to.equal('BTC-USD')
    expect(one(decodedTrade('ETH/USD', 'BTC-USD'))).to.have.property('instrument', undefined)
  })

  it('gives each kind one shape, whatever the exchange left out', () => {
    const shapes = new Map<string, Set<string>>()
    const made = writer()
    for (const fields of [{}, { bidPrice: '1', lastPrice: '' }, { askSize: null }]) made.ticker('A', undefined, fields)
    for (const fields of [{}, { fundingRate: '-0.0001' }, { openInterest: '5', nextFundingTimeUs: 1 }]) {
      made.derivative('A', 5, fields)
    }
    const none = made.levels()
    made.book('snapshot', 'A', 1, none, none)
    made.book('delta', 'A', undefined, none, none, { seq: 1, prevSeq: 0, firstSeq: 1, checksum: 2, depth: 10 })
    made.trade('A', undefined, { id: undefined, side: undefined, price: '1', size: '1' })
    made.trade('A', 1, { id: '1', side: 'buy', price: 1, size: 1, history: true })
    for (const event of made.take()) {
      const kind = event.kind === 'snapshot' ? 'delta' : event.kind
      shapes.set(kind, (shapes.get(kind) ?? new Set()).add(Object.keys(event).join()))
    }
    expect([...shapes.keys()]).to.deep.equal(['ticker', 'derivative', 'delta', 'trade'])
    for (const [kind, keys] of shapes) expect(keys.size, kind).to.equal(1)
  })

  it('leaves unsaid what the exchange left empty, and never writes 0 for it', () => {
    const made = writer()
    made.ticker('A', undefined, { bidPrice: '', bidSize: null, askPrice: '0', lastPrice: '7' })
    made.ticker('A', undefined, { bidPrice: '0', bidSize: '0', askPrice: '8' }, true)
    const [plain, zeroIsNone] = made.take()
    expect(plain).to.include({ bidPrice: undefined, bidSize: undefined, askPrice: 0, askSize: undefined, lastPrice: 7 })
    expect(zeroIsNone).to.include({ bidPrice: undefined, bidSize: undefined, askPrice: 8 })
  })

  it('takes negative funding rates, and no other negative number', () => {
    const made = writer()
    made.derivative('A', undefined, { fundingRate: '-0.0003' })
    expect(one(made.take())).to.include({ fundingRate: -0.0003, markPrice: undefined })
    for (const field of ['markPrice', 'indexPrice', 'openInterest'] as const) {
      expect(() => made.derivative('A', undefined, { [field]: '-1' }), field).to.throw(Fault)
    }
  })

  const bad = [
    ...['', 'NaN', 'Infinity', '-1', '1e999', '1e19', '0x5', '1,5', ' 1', null],
    undefined,
    NaN,
    {},
    [],
    true,
  ]
  for (const value of bad) {
    it(`refuses ${value === undefined ? 'nothing' : JSON.stringify(value)} as a price or a size, and writes no event`, () => {
      const made = writer()
      const trade = { id: undefined, side: undefined, price: '1', size: '1' }
      const candle = { openTimeUs: 1, intervalUs: 1, open: 1, high: 1, low: 1, close: 1, volume: 1, closed: true }
      for (const write of [
        () => made.trade('A', undefined, { ...trade, price: value }),
        () => made.trade('A', undefined, { ...trade, size: value }),
        () => made.liquidation('A', undefined, { ...trade, price: value }),
        () => made.candle('A', undefined, { ...candle, high: value }),
        () => made.candle('A', undefined, { ...candle, volume: value }),
        () => made.levels().add(value, '1'),
        () => made.levels().add('1', value),
        () => made.levelsOf([['1', '1'], [value]], 'bids'),
      ]) {
        expect(write).to.throw(Fault).with.property('code', 'VALUE_INVALID')
      }
      expect(made.take()).to.deep.equal([])
    })
  }

  it('refuses zero as a price, and takes it as the size of a level that goes', () => {
    const made = writer()
    expect(() => made.levels().add('0.00', '1')).to.throw('above zero')
    expect(() => made.trade('A', undefined, { id: undefined, side: undefined, price: '1', size: '0' })).to.throw(Fault)
    const levels = made.levels()
    levels.add('1.50', '0.000')
    expect(levels.levels).to.deep.equal([[1.5, 0]])
  })

  it('counts numbers that a double cannot hold, and keeps the texts of their levels', () => {
    const made = writer()
    const bids = made.levels()
    bids.add('100.5', '1')
    bids.add('0.1234567890123456789', '1.50')
    bids.add('99.5', '9007199254740993')
    made.book('snapshot', 'A', undefined, bids, made.levels())
    expect(made.counts.inexactNumbers).to.equal(2)
    const { bidDigits, askDigits } = one(made.take()) as unknown as BookChange
    expect([...bidDigits.texts!]).to.deep.equal([
      [1, ['0.1234567890123456789', '1.50']],
      [2, ['99.5', '9007199254740993']],
    ])
    expect(askDigits.texts).to.equal(undefined)
    made.trade('A', undefined, { id: undefined, side: undefined, price: '12345678.123456789012', size: '1' })
    expect(made.counts.inexactNumbers).to.equal(3)
  })

  it('does not take a size that is almost nothing for a removal in silence', () => {
    const made = writer()
    made.levels().add('1', '1e-999')
    expect(made.counts.inexactNumbers).to.equal(1)
  })

  it('prints every level back digit for digit', () => {
    const digits = fc.tuple(fc.bigInt({ min: 1n, max: 10n ** 22n }), fc.nat(20)).map(([number, decimals]) => {
      const text = String(number).padStart(decimals + 1, '0')
      return decimals === 0 ? text : `${text.slice(0, -decimals)}.${text.slice(-decimals)}`
    })
    const usable = digits.filter((text) => Number(text) > 0 && Number(text) <= 1e18)
    fc.assert(
      fc.property(fc.array(fc.tuple(usable, usable), { maxLength: 20 }), (wire) => {
        const levels = writer().levelsOf(wire, 'bids')
        expect(printed(levels.levels, levels.digits())).to.deep.equal(wire)
      }),
      { numRuns: 500 },
    )
  })

  it('packs decimals without mixing them up', () => {
    for (let price = 0; price <= 100; price += 20) {
      for (let size = 0; size <= 100; size += 20) {
        const packed = packDecimals(price, size)
        expect([Math.floor(packed / 128), packed % 128]).to.deep.equal([price, size])
      }
    }
  })

  describe('on real sessions', function () {
    this.timeout(60_000)

    before(function () {
      needsShared(this)
    })

    for (const [exchange, session] of SESSIONS) {
      it(`prints every price and size of ${session} back as it was sent, and finds none inexact`, () => {
        const protocol = exchangeById(exchange)
        const made = writerFor(protocol)
        let compared = 0
        for (const { dir, raw } of readRecording(session).lines) {
          if (dir !== 'in') continue
          const events = decodeFrame(protocol, raw!, made).events
          if (events.length === 0) continue
          const sent = new Set<string>()
          collectTexts(parseWireJson(raw!, { numbersAsText: true }), sent)
          for (const text of events.flatMap(textsOf)) {
            if (!sent.has(text)) expect.fail(`${text} was not sent in ${raw!.slice(0, 300)}`)
            compared++
          }
        }
        expect(made.counts.inexactNumbers).to.equal(0)
        expect(compared, 'numbers compared').to.be.above(0)
      })
    }
  })

  function decodedTrade(symbol: string, name: string): MarketEvent[] {
    const known = new EventWriter('kraken', 'spot', (asked) => (asked === 'BTC/USD' ? ({ name } as never) : undefined))
    known.trade(symbol, undefined, { id: undefined, side: undefined, price: '1', size: '1' })
    return known.take()
  }
})

function printed(levels: readonly Level[], { decimals, texts }: LevelDigits): (readonly [string, string])[] {
  return levels.map(([price, size], index) => {
    const packed = decimals[index]!
    return texts?.get(index) ?? [printDecimal(price, Math.floor(packed / 128)), printDecimal(size, packed % 128)]
  })
}

/** The numbers of an event as texts with the digits that it keeps. */
function textsOf(event: MarketEvent): string[] {
  if (event.kind === 'trade') {
    return [printDecimal(event.price, event.priceDecimals), printDecimal(event.size, event.sizeDecimals)]
  }
  if (event.kind !== 'snapshot' && event.kind !== 'delta') return []
  return [...printed(event.bids, event.bidDigits), ...printed(event.asks, event.askDigits)].flat()
}

function collectTexts(value: unknown, into: Set<string>): void {
  if (typeof value === 'string') into.add(value)
  else if (typeof value === 'object' && value !== null)
    for (const inner of Object.values(value)) collectTexts(inner, into)
}
