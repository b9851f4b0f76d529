import { expect } from 'chai'
import { binance } from '../../src/exchanges/binance'
import { Fault } from '../../src/model/fault'
import { InstrumentTable } from '../../src/model/instrument'
import { decodeFrame, instrument, onlyEvent, RECEIVED_US, replay, writerFor } from '../kit/decoding'
import { expectGolden } from '../kit/goldenReplay'
import { survivesAnyJson, survivesMutations } from '../kit/hostile'
import { currentFixtures, needsShared, readRecording } from '../kit/shared'

const TRADE = {
  stream: 'ethusdt@trade',
  data: {
    e: 'trade',
    E: 1723161255612,
    s: 'ETHUSDT',
    t: 1520538925,
    p: '2683.80000000',
    q: '0.00200000',
    T: 1723161255611,
    m: true,
    M: true,
  },
}
const AGG_TRADE = {
  stream: 'lrcbtc@aggTrade',
  data: {
    e: 'aggTrade',
    E: 1633998534486,
    s: 'LRCBTC',
    a: 9213679,
    p: '0.00000638',
    q: '177.00000000',
    f: 12368013,
    l: 12368013,
    T: 1633998534486,
    m: false,
    M: true,
  },
}
const DEPTH = {
  stream: 'blzeth@depth@100ms',
  data: {
    e: 'depthUpdate',
    E: 1633998514469,
    s: 'BLZETH',
    U: 281916620,
    u: 281916627,
    b: [['0.00006421', '0.00000000']],
    a: [['0.00006560', '1528.00000000']],
  },
}
const BOOK_TICKER = {
  stream: 'blzeth@bookTicker',
  data: { u: 281916636, s: 'BLZETH', b: '0.00006547', B: '100.00000000', a: '0.00006560', A: '1528.00000000' },
}
const KLINE = {
  stream: 'lrcbtc@kline_1m',
  data: {
    e: 'kline',
    E: 1633998534486,
    s: 'LRCBTC',
    k: {
      t: 1633998480000,
      T: 1633998539999,
      s: 'LRCBTC',
      i: '1m',
      f: 12368013,
      L: 12368013,
      o: '0.00000637',
      c: '0.00000638',
      h: '0.00000639',
      l: '0.00000636',
      v: '177.00000000',
      n: 1,
      x: false,
    },
  },
}
const TOP = {
  stream: 'blzeth@depth5@100ms',
  data: { lastUpdateId: 160, bids: [['0.0024', '10']], asks: [['0.0026', '100']] },
}

describe('binance', () => {
  it('reads a trade, with the side of the taker', () => {
    expect(onlyEvent(binance, TRADE)).to.deep.equal({
      kind: 'trade',
      exchange: 'binance',
      symbol: 'ETHUSDT',
      instrument: undefined,
      exchangeTimeUs: 1723161255611000,
      receiveTimeUs: RECEIVED_US,
      id: '1520538925',
      side: 'sell',
      price: 2683.8,
      size: 0.002,
      priceDecimals: 8,
      sizeDecimals: 8,
      history: false,
    })
    expect(onlyEvent(binance, AGG_TRADE)).to.include({ id: '9213679', side: 'buy', price: 0.00000638, size: 177 })
  })

  it('reads a change of the book, with the range of numbers it covers', () => {
    const event = onlyEvent(binance, DEPTH)
    expect(event).to.include({ kind: 'delta', symbol: 'BLZETH', exchangeTimeUs: 1633998514469000 })
    expect(event).to.include({ firstSeq: 281916620, seq: 281916627, prevSeq: undefined })
    expect(event).to.have.deep.property('bids', [[0.00006421, 0]])
    expect(event).to.have.deep.property('asks', [[0.0000656, 1528]])
  })

  it('reads best prices that carry neither type nor time', () => {
    const event = onlyEvent(binance, BOOK_TICKER)
    expect(event).to.include({ kind: 'ticker', symbol: 'BLZETH', exchangeTimeUs: undefined, lastPrice: undefined })
    expect(event).to.include({ bidPrice: 0.00006547, bidSize: 100, askPrice: 0.0000656, askSize: 1528 })
  })

  it('reads an empty side of best prices as none', () => {
    const event = onlyEvent(binance, { u: 1, s: 'NEWUSDT', b: '0.00000000', B: '0.00000000', a: '1.5', A: '2' })
    expect(event).to.include({ bidPrice: undefined, bidSize: undefined, askPrice: 1.5, askSize: 2 })
  })

  it('reads a candle', () => {
    expect(onlyEvent(binance, KLINE)).to.include({
      kind: 'candle',
      openTimeUs: 1633998480000000,
      intervalUs: 60_000_000,
      open: 0.00000637,
      high: 0.00000639,
      low: 0.00000636,
      close: 0.00000638,
      volume: 177,
      closed: false,
    })
  })

  it('takes the length of a month from its candle', () => {
    const february = { ...KLINE.data.k, t: Date.UTC(2024, 1, 1), T: Date.UTC(2024, 2, 1) - 1, i: '1M', x: true }
    expect(onlyEvent(binance, { ...KLINE.data, k: february })).to.include({
      intervalUs: 29 * 86_400_000_000,
      closed: true,
    })
  })

  it('reads payloads of raw streams as those of combined streams', () => {
    for (const frame of [TRADE, AGG_TRADE, DEPTH, BOOK_TICKER, KLINE]) {
      expect(decodeFrame(binance, frame.data).events).to.deep.equal(decodeFrame(binance, frame).events)
    }
  })

  it('reads times of a connection in microseconds', () => {
    const micro = { ...TRADE.data, E: 1723161255612345, T: 1723161255611987 }
    expect(onlyEvent(binance, micro)).to.include({ exchangeTimeUs: 1723161255611987 })
    const candle = { ...KLINE.data.k, t: 1633996800000000, T: 1635724799999999, i: '1M' }
    expect(onlyEvent(binance, { ...KLINE.data, k: candle })).to.include({ intervalUs: 1_728_000_000_000 })
  })

  describe('tops of the book', () => {
    it('are snapshots, of the symbol in the name of the stream', () => {
      const event = onlyEvent(binance, TOP)
      expect(event).to.include({ kind: 'snapshot', symbol: 'BLZETH', seq: 160 })
      expect(event).to.have.deep.property('bids', [[0.0024, 10]])
    })

    it('are left out where the stream of changes of the same symbol is there too', () => {
      const writer = writerFor(binance)
      decodeFrame(binance, DEPTH, writer)
      expect(decodeFrame(binance, TOP, writer).route).to.deep.equal({
        to: 'ignored',
        reason: 'a second book stream of the same symbol',
      })
    })

    it('give way to the stream of changes', () => {
      const writer = writerFor(binance)
      decodeFrame(binance, TOP, writer)
      expect(decodeFrame(binance, DEPTH, writer).events).to.have.length(1)
      expect(decodeFrame(binance, TOP, writer).events).to.have.length(0)
    })
  })

  it('makes one book of one stream when the same changes come at two speeds', () => {
    const writer = writerFor(binance)
    expect(decodeFrame(binance, DEPTH, writer).events).to.have.length(1)
    const slow = { ...DEPTH, stream: 'blzeth@depth' }
    expect(decodeFrame(binance, slow, writer).events).to.have.length(0)
    const other = { stream: 'ethbtc@depth', data: { ...DEPTH.data, s: 'ETHBTC' } }
    expect(decodeFrame(binance, other, writer).events).to.have.length(1)
  })

  describe('routing', () => {
    const routeOf = (frame: unknown) => decodeFrame(binance, frame).route

    it('knows acknowledgements', () => {
      expect(routeOf({ result: null, id: 7 })).to.deep.equal({ to: 'ack', id: 7, keys: [] })
      expect(routeOf({ result: ['btcusdt@trade'], id: 'list' })).to.deep.equal({
        to: 'ack',
        id: undefined,
        keys: ['btcusdt@trade'],
      })
    })

    it('knows refusals, flat and nested, in the words of the exchange', () => {
      const refused = { to: 'refused', id: 1, keys: [], reason: 'Invalid request: unknown variant (code 2)' }
      expect(routeOf({ code: 2, msg: 'Invalid request: unknown variant', id: 1 })).to.deep.equal(refused)
      expect(routeOf({ error: { code: 2, msg: 'Invalid request: unknown variant' }, id: 1 })).to.deep.equal(refused)
    })

    it('knows that the server is about to leave', () => {
      expect(routeOf({ e: 'serverShutdown', E: 1770123456789 })).to.include({ to: 'reconnect' })
      expect(routeOf({ stream: '!serverShutdown', data: { e: 'serverShutdown', E: 1 } })).to.include({
        to: 'reconnect',
      })
    })

    it('names what it has no use for', () => {
      for (const type of ['24hrTicker', '24hrMiniTicker', '1hTicker', 'avgPrice', 'blockTrade']) {
        expect(routeOf({ e: type, s: 'BTCUSDT' })).to.include({ to: 'ignored' })
      }
      expect(routeOf({ stream: '!miniTicker@arr', data: [{ e: '24hrMiniTicker' }] })).to.include({ to: 'ignored' })
    })

    it('says unknown of what is not documented', () => {
      for (const frame of [
        null,
        1,
        '"x"',
        {},
        [1],
        [{}],
        { e: 'executionReport' },
        { stream: 'x@y', data: {} },
        { e: {} },
      ]) {
        expect(routeOf(frame), JSON.stringify(frame)).to.include({ to: 'unknown' })
      }
    })

    it('names the book that a broken change belonged to', () => {
      for (const data of [{ ...DEPTH.data, e: 7 }, {}, null, 'x', { ...DEPTH.data, s: 5 }]) {
        const route = binance.route({ stream: DEPTH.stream, data }, writerFor(binance))
        expect(route).to.include({ to: 'channel', channel: 'book', symbol: 'BLZETH' })
        expect(() => decodeFrame(binance, { stream: DEPTH.stream, data })).to.throw(Fault)
      }
      expect(binance.route({ stream: DEPTH.stream }, writerFor(binance))).to.include({ symbol: 'BLZETH' })
    })
  })

  describe('refuses', () => {
    const broken: readonly (readonly [what: string, frame: unknown])[] = [
      ['a price of zero', { ...TRADE.data, p: '0' }],
      ['a negative size', { ...TRADE.data, q: '-1' }],
      ['an empty price', { ...TRADE.data, p: '' }],
      ['NaN', { ...TRADE.data, p: 'NaN' }],
      ['a huge number', { ...TRADE.data, p: '1e300' }],
      ['no side', { ...TRADE.data, m: 'true' }],
      ['a time in the future of the exchange', { ...TRADE.data, T: 9e15 }],
      ['a negative time', { ...TRADE.data, T: -1 }],
      ['an empty symbol', { ...TRADE.data, s: '' }],
      ['a level without a size', { ...DEPTH.data, b: [['1']] }],
      ['a level that is none', { ...DEPTH.data, b: ['1'] }],
      ['a range that ends before it starts', { ...DEPTH.data, u: 1 }],
      ['a candle without an end', { ...KLINE.data, k: { ...KLINE.data.k, x: undefined } }],
    ]
    for (const [what, frame] of broken) {
      it(what, () => {
        expect(() => decodeFrame(binance, frame))
          .to.throw(Fault)
          .with.property('code', 'VALUE_INVALID')
      })
    }
  })

  it('survives any JSON value', () => survivesAnyJson(binance))
  it('survives frames with any one field changed', () =>
    survivesMutations(binance, [TRADE, AGG_TRADE, DEPTH, BOOK_TICKER, KLINE, TOP, TRADE.data, DEPTH.data]))

  describe('subscriptions', () => {
    const btc = instrument(binance)
    const options = { depth: undefined, intervalMs: 60_000 }

    it('spell symbols in lower case and data in upper case', () => {
      expect(binance.channels.book?.topics(btc, options)).to.deep.equal([
        { channel: 'book', symbol: 'BTCUSDT', key: 'btcusdt@depth@100ms', endpoint: 'stream' },
      ])
      expect(binance.channels.candles?.topics(btc, options)?.[0]?.key).to.equal('btcusdt@kline_1m')
      expect(binance.channels.candles?.topics(btc, { ...options, intervalMs: 1_000 })?.[0]?.key).to.equal(
        'btcusdt@kline_1s',
      )
    })

    it('are for changes at the slowest pace that is often enough', () => {
      const keys = [0, 100, 999, 1_000, 5_000].map(
        (bookEveryMs) => binance.channels.book?.topics(btc, { ...options, bookEveryMs })?.[0]?.key,
      )
      expect(keys).to.deep.equal([
        ...['btcusdt@depth@100ms', 'btcusdt@depth@100ms', 'btcusdt@depth@100ms'],
        ...['btcusdt@depth', 'btcusdt@depth'],
      ])
    })

    it('are for complete tops where they are wished for, of as many levels as there are, and no more often than they are sent', () => {
      const key = (depth?: number, bookEveryMs?: number) =>
        binance.channels.book?.topics(btc, { ...options, depth, bookEveryMs, bookTops: true })?.[0]?.key
      expect([key(), key(1), key(6), key(20, 1_000), key(10, 0)]).to.deep.equal([
        ...['btcusdt@depth20@100ms', 'btcusdt@depth5@100ms', 'btcusdt@depth10@100ms'],
        ...['btcusdt@depth20', 'btcusdt@depth10@100ms'],
      ])
      expect(() => key(21)).to.throw(Fault, /tops of 5, 10, 20 levels, and 21 are wished for/)
    })

    it('are asked for as documented', () => {
      const topics = ['trades', 'ticker'].flatMap((channel) =>
        binance.channels[channel as 'trades']!.topics(btc, options)!,
      )
      expect(binance.subscribe(topics, 1)).to.equal(
        '{"method":"SUBSCRIBE","params":["btcusdt@trade","btcusdt@bookTicker"],"id":1}',
      )
      expect(binance.unsubscribe(topics, 2)).to.equal(
        '{"method":"UNSUBSCRIBE","params":["btcusdt@trade","btcusdt@bookTicker"],"id":2}',
      )
    })

    it('of candles that are not offered are refused with those that are', () => {
      expect(() => binance.channels.candles?.topics(btc, { ...options, intervalMs: 7_000 }))
        .to.throw(Fault, /1s, 1m, 3m/)
        .with.property('code', 'OPTION_INVALID')
    })
  })

  describe('REST', () => {
    it('asks for a snapshot and recognises its address', () => {
      const { snapshot } = binance.book
      expect(snapshot?.path('BTCUSDT', { depth: 5, intervalMs: 0 })).to.equal('/api/v3/depth?symbol=BTCUSDT&limit=1000')
      expect(snapshot?.symbolOf('https://api.binance.us/api/v3/depth?symbol=BTCUSD&limit=1000')).to.equal('BTCUSD')
      expect(snapshot?.symbolOf('/api/v3/depth?limit=5&symbol=ETHBTC')).to.equal('ETHBTC')
      expect(snapshot?.symbolOf('https://api.binance.com/api/v3/exchangeInfo')).to.equal(undefined)
      expect(snapshot?.symbolOf('https://fapi.binance.com/fapi/v1/depth?symbol=BTCUSDT')).to.equal(undefined)
      expect(snapshot?.symbolOf('::')).to.equal(undefined)
    })

    it('reads a snapshot', () => {
      const writer = writerFor(binance)
      binance.book.snapshot?.decode({ lastUpdateId: 1027024, bids: [['4.0', '431.0']], asks: [] }, 'BTCUSDT', writer)
      expect(writer.take()[0]).to.include({
        kind: 'snapshot',
        symbol: 'BTCUSDT',
        seq: 1027024,
        exchangeTimeUs: undefined,
      })
      expect(() => binance.book.snapshot?.decode({ code: -1121, msg: 'Invalid symbol.' }, 'X', writer)).to.throw(Fault)
    })

    it('reads instruments, with names from the metadata, and leaves out rows that cannot be read', () => {
      const row = {
        symbol: 'NKNUSDT',
        status: 'TRADING',
        baseAsset: 'NKN',
        quoteAsset: 'USDT',
        filters: [
          { filterType: 'PRICE_FILTER', tickSize: '0.00010000' },
          { filterType: 'LOT_SIZE', stepSize: '1.00000000' },
        ],
      }
      const found = binance.instruments.decode({ symbols: [row, null, { ...row, baseAsset: 5 }] }, undefined)
      expect(found).to.have.length(1)
      expect(found[0]).to.include({
        name: 'NKN-USDT',
        kind: 'spot',
        tickSize: 0.0001,
        priceDecimals: 4,
        lotSize: 1,
        sizeDecimals: 0,
        trading: true,
        market: 'spot',
      })
      expect(() => binance.instruments.decode({}, undefined)).to.throw(Fault)
    })
  })

  describe('on recordings', () => {
    before(function () {
      needsShared(this)
    })

    it('gives the golden counts and books of 2021', () => {
      expectGolden(replay(binance, 'binance.ws1', 'binance.rest'), 'binance')
    })

    it('gives the golden counts and books of 2024', () => {
      expectGolden(
        replay(binance, 'binance.ethusdt-20240808', 'binance.ethusdt-20240808.rest'),
        'binance.ethusdt-20240808',
      )
    })

    it('notices any lost change of the book', () => {
      const { lines } = readRecording('binance.ws1')
      const changes = lines.flatMap(({ raw }, index) => (raw?.startsWith('{"stream":"nknusdt@depth') ? [index] : []))
      // The first ones are older than the snapshot; the last one has no successor to miss it.
      for (const lost of [changes[10]!, changes[40]!, changes.at(-2)!]) {
        const replayed = replay(binance, 'binance.ws1', 'binance.rest', (_, index) => index !== lost)
        expect(replayed.gaps).to.equal(1)
      }
    })

    it('names the instruments of a recorded answer', () => {
      const answer = readRecording('binance.rest').lines.find(({ role }) => role === 'instruments')
      const table = new InstrumentTable(binance.instruments.decode(JSON.parse(answer!.body!), undefined))
      expect(table.symbol('spot', 'RUNEEUR')?.name).to.equal('RUNE-EUR')
      expect(onlyEvent(binance, AGG_TRADE, writerFor(binance, 'spot', table))).to.include({ instrument: 'LRC-BTC' })
    })

    it('gives an event or a named reason for every sample message of today', () => {
      for (const { name, text } of currentFixtures('binance')) {
        const { route, events } = decodeFrame(binance, text)
        expect(events.length > 0 || route.to === 'ignored', name).to.equal(true)
      }
    })
  })
})
