import { expect } from 'chai'
import { take } from 'rxjs'
import { EXCHANGES } from '../../src/exchanges/exchanges'
import { fromFrames, type FromFramesOptions } from '../../src/feed/fromFrames'
import type { Batch, MarketEvent } from '../../src/model/events'
import { Fault } from '../../src/model/fault'
import { DOCUMENTED } from '../exchanges/documentedFrames'
import { needsShared, readGolden } from '../kit/shared'
import { argumentsOf, booksOf, recordsOf } from './sessionRecords'

/** Sessions of one connection, and the golden summary that holds for them. */
const GOLDEN: readonly (readonly [exchange: string, session: string, set: string])[] = [
  ['binance', 'binance.ws1', 'binance'],
  ['binance', 'binance.ethusdt-20240808', 'binance.ethusdt-20240808'],
  ['binance-futures', 'binance-futures.ws1', 'binance-futures'],
  ['binance-futures', 'binance-futures.btcusdt-20240808.first60', 'binance-futures.btcusdt-20240808'],
  ['bybit', 'bybit.xrpusdt-ob500-20241201.first60', 'bybit.xrpusdt-ob500-20241201'],
  ['kraken', 'kraken.ws50.first60', 'kraken'],
  ['kraken', 'kraken.v2-btcusd-20260824', 'kraken.v2-btcusd-20260824'],
  ['okx', 'okx.ws1.first60', 'okx'],
  ['coinbase', 'coinbase.ws28.first60', 'coinbase'],
]

describe('fromFrames', () => {
  it('gives everything synchronously on subscription, batch by batch, and completes', () => {
    const frames = framesOf('bybit', 'trades', 'ticker')
    const said: string[] = []
    fromFrames('bybit', frames).subscribe({
      next: (batch) => said.push([...batch].map(({ kind }) => kind).join()),
      complete: () => said.push('complete'),
    })
    expect(said).to.deep.equal(['trade', 'ticker,derivative', 'complete'])
  })

  it('does nothing before it is subscribed to, and begins anew with each subscription', () => {
    let read = 0
    const frames = {
      *[Symbol.iterator]() {
        read++
        yield* framesOf('bybit', 'trades')
      },
    }
    const source = fromFrames('bybit', frames)
    expect(read).to.equal(0)
    const first = eventsOf(source)
    expect(eventsOf(source)).to.deep.equal(first)
    expect(read).to.equal(2)
  })

  it('stamps frames with the times it is given, or counts them', () => {
    const frames = [...framesOf('bybit', 'trades'), ...framesOf('bybit', 'trades'), ...framesOf('bybit', 'trades')]
    const times = (options: FromFramesOptions): number[] =>
      eventsOf(fromFrames('bybit', frames, options)).map(({ receiveTimeUs }) => receiveTimeUs)
    expect(times({ receiveTimesUs: [100, 200, 300] })).to.deep.equal([100, 200, 300])
    expect(times({})).to.deep.equal([1, 2, 3])
    expect(times({ receiveTimesUs: [100] }), 'times that run out go on').to.deep.equal([100, 101, 102])
  })

  it('reads no further when it is left', () => {
    let read = 0
    const frames = {
      *[Symbol.iterator]() {
        for (;;) {
          read++
          yield* framesOf('bybit', 'trades')
        }
      },
    }
    let taken = 0
    fromFrames('bybit', frames)
      .pipe(take(3))
      .subscribe(() => taken++)
    expect(taken).to.equal(3)
    expect(read).to.be.below(10)
  })

  it('skips bad frames and goes on', () => {
    const bad = ['', '{', 'null', '{"topic":"publicTrade.BTCUSDT","data":[{}]}', '['.repeat(100_000)].map((text) =>
      Buffer.from(text),
    )
    const [good] = framesOf('bybit', 'trades')
    const events = eventsOf(fromFrames('bybit', [...bad, good!, ...bad, good!]))
    expect(events.map(({ kind }) => kind)).to.deep.equal(['trade', 'trade'])
  })

  it('refuses an exchange that nobody knows, with the nearest name', () => {
    expect(() => fromFrames('krakn', [])).to.throw(Fault, 'Did you mean kraken?')
  })

  it('passes over nothing because a part of the exchange’s list does not name it', () => {
    const instruments = JSON.stringify({ symbols: [] })
    const events = eventsOf(fromFrames('binance', framesOf('binance', 'trades'), { instruments }))
    expect(events.map(({ instrument }) => instrument)).to.deep.equal([undefined, undefined])
  })

  it('tells the markets of an exchange apart by the address', () => {
    const [frame] = framesOf('bybit', 'trades')
    const body = (category: string, base: string): string =>
      JSON.stringify({
        retCode: 0,
        result: {
          category,
          list: [
            {
              ...{ symbol: 'BTCUSDT', status: 'Trading', baseCoin: base, quoteCoin: 'USDT', settleCoin: 'USDT' },
              ...(category === 'linear' ? { contractType: 'LinearPerpetual' } : {}),
              priceFilter: { tickSize: '0.1' },
              lotSizeFilter: { qtyStep: '0.001', basePrecision: '0.001' },
            },
          ],
        },
      })
    for (const [market, name] of [
      ['spot', 'BTC-USDT'],
      ['linear', 'BTC-USDT-PERP'],
    ] as const) {
      const url = `wss://stream.bybit.com/v5/public/${market}`
      const events = eventsOf(fromFrames('bybit', [frame!], { instruments: body(market, 'BTC'), url }))
      expect(events.at(-1)!.instrument, market).to.equal(name)
    }
  })

  for (const id of EXCHANGES.keys()) {
    it(`reads the documented frames of ${id}`, () => {
      const events = eventsOf(fromFrames(id, framesOf(id, 'trades', 'ticker')))
      expect(events.map(({ exchange }) => exchange)).to.satisfy((ids: string[]) => ids.every((each) => each === id))
      expect(events.filter(({ kind }) => kind === 'trade')).to.have.length.at.least(1)
      expect(events.filter(({ kind }) => kind === 'ticker')).to.have.length.at.least(1)
    })
  }

  describe('on real sessions', function () {
    this.timeout(120_000)

    before(function () {
      needsShared(this)
    })

    for (const [exchange, session, set] of GOLDEN) {
      it(`leaves the golden books of ${session}`, async () => {
        const { frames, options } = argumentsOf(exchange, await recordsOf(session))
        const events = eventsOf(fromFrames(exchange, frames, options))
        const books = booksOf(events)
        const golden = readGolden(set)
        expect([...books.keys()].sort()).to.deep.equal(Object.keys(golden.books).sort())
        for (const [symbol, { bids, asks, levels }] of Object.entries(golden.books)) {
          const book = books.get(symbol)!
          expect(book.bids.texts(10), `bids of ${symbol}`).to.deep.equal(bids)
          expect(book.asks.texts(10), `asks of ${symbol}`).to.deep.equal(asks)
          expect([book.bids.length, book.asks.length], `levels of ${symbol}`).to.deep.equal(levels)
        }
        expect(events.filter((event) => event.kind === 'notice' && event.code === 'gap')).to.deep.equal([])
        // OKX lists its instruments in several answers, of which the text is one.
        if (options.instruments === undefined || exchange === 'okx') return
        for (const event of events) {
          if (event.symbol !== '') expect(event.instrument, event.symbol).not.to.equal(undefined)
        }
      })
    }
  })
})

function framesOf(id: string, ...channels: readonly ('trades' | 'ticker')[]): Uint8Array[] {
  const { frames } = DOCUMENTED.get(id)!
  return channels.flatMap((channel) => frames[channel]!.map((text) => Buffer.from(text)))
}

function eventsOf(source: ReturnType<typeof fromFrames>): MarketEvent[] {
  const events: MarketEvent[] = []
  let complete = false
  source.subscribe({
    next: (batch: Batch<MarketEvent>) => events.push(...batch),
    complete: () => (complete = true),
  })
  expect(complete, 'everything comes before subscribing returns').to.equal(true)
  return events
}
