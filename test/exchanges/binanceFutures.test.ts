import { expect } from 'chai'
import { binanceFutures } from '../../src/exchanges/binanceFutures'
import { Fault } from '../../src/model/fault'
import { InstrumentTable } from '../../src/model/instrument'
import { decodeFrame, instrument, onlyEvent, replay, writerFor } from '../kit/decoding'
import { expectGolden } from '../kit/goldenReplay'
import { survivesAnyJson, survivesMutations } from '../kit/hostile'
import { currentFixtures, needsShared, readRecording } from '../kit/shared'

const AGG_TRADE = {
  stream: 'ctkusdt@aggTrade',
  data: {
    e: 'aggTrade',
    E: 1626992747395,
    a: 16599297,
    s: 'CTKUSDT',
    p: '1.01000',
    q: '5',
    f: 23961327,
    l: 23961327,
    T: 1626992747239,
    m: true,
  },
}
const TRADE = {
  stream: 'btcusdt@trade',
  data: {
    e: 'trade',
    E: 1723161256523,
    T: 1723161256523,
    s: 'BTCUSDT',
    t: 5266583939,
    p: '61800.20',
    q: '0.015',
    X: 'MARKET',
    m: true,
  },
}
const DEPTH = {
  stream: 'keepusdt@depth@100ms',
  data: {
    e: 'depthUpdate',
    E: 1626992743532,
    T: 1626992743425,
    s: 'KEEPUSDT',
    U: 600859645260,
    u: 600859645270,
    pu: 600859644386,
    b: [],
    a: [['0.2589', '0']],
  },
}
const BOOK_TICKER = {
  stream: 'btcusdt@bookTicker',
  data: {
    e: 'bookTicker',
    u: 5123107839020,
    s: 'BTCUSDT',
    b: '61800.20',
    B: '2.507',
    a: '61800.30',
    A: '2.510',
    T: 1723161256313,
    E: 1723161256314,
  },
}
const MARK_PRICE = {
  e: 'markPriceUpdate',
  E: 1562305380000,
  s: 'BTCUSDT',
  p: '11794.15000000',
  i: '11784.62659091',
  P: '11784.25641265',
  r: '-0.00038167',
  T: 1562306400000,
  st: 1,
}
const FORCE_ORDER = {
  e: 'forceOrder',
  E: 1568014460893,
  o: {
    s: 'BTCUSDT',
    S: 'SELL',
    o: 'LIMIT',
    f: 'IOC',
    q: '0.014',
    p: '9910.00000000',
    ap: '9910.12345678',
    X: 'FILLED',
    l: '0.014',
    z: '0.014',
    T: 1568014460891,
  },
}

describe('binance-futures', () => {
  it('reads trades, with the side of the taker', () => {
    expect(onlyEvent(binanceFutures, AGG_TRADE)).to.include({
      kind: 'trade',
      symbol: 'CTKUSDT',
      exchangeTimeUs: 1626992747239000,
      id: '16599297',
      side: 'sell',
      price: 1.01,
      priceDecimals: 5,
      size: 5,
      history: false,
    })
    expect(onlyEvent(binanceFutures, TRADE)).to.include({ id: '5266583939', side: 'sell', size: 0.015 })
  })

  it('leaves out trades that were not made in the book', () => {
    for (const X of ['INSURANCE_FUND', 'ADL', 'NA']) {
      const { route, events } = decodeFrame(binanceFutures, { ...TRADE, data: { ...TRADE.data, X } })
      expect(route).to.include({ to: 'ignored' })
      expect(events).to.have.length(0)
    }
  })

  it('reads a change of the book, with the number of the change before it', () => {
    const event = onlyEvent(binanceFutures, DEPTH)
    expect(event).to.include({ kind: 'delta', symbol: 'KEEPUSDT', exchangeTimeUs: 1626992743425000 })
    expect(event).to.include({ firstSeq: 600859645260, seq: 600859645270, prevSeq: 600859644386 })
    expect(event).to.have.deep.property('asks', [[0.2589, 0]])
  })

  it('reads the top of the book as a snapshot where the name of the stream says so', () => {
    for (const stream of ['keepusdt@depth5', 'keepusdt@depth10@100ms', 'keepusdt@depth20@500ms']) {
      expect(onlyEvent(binanceFutures, { ...DEPTH, stream })).to.include({ kind: 'snapshot', seq: 600859645270 })
    }
    for (const stream of ['keepusdt@depth', 'keepusdt@depth@0ms']) {
      expect(onlyEvent(binanceFutures, { ...DEPTH, stream })).to.include({ kind: 'delta' })
    }
  })

  it('never mixes two speeds of a symbol in one book', () => {
    const writer = writerFor(binanceFutures)
    decodeFrame(binanceFutures, DEPTH, writer)
    const { route } = decodeFrame(binanceFutures, { ...DEPTH, stream: 'keepusdt@depth@0ms' }, writer)
    expect(route).to.deep.equal({ to: 'ignored', reason: 'a second book stream of the same symbol' })
  })

  it('reads best prices with the time at which they held', () => {
    expect(onlyEvent(binanceFutures, BOOK_TICKER)).to.include({
      exchangeTimeUs: 1723161256313000,
      bidPrice: 61800.2,
      bidSize: 2.507,
      askPrice: 61800.3,
      askSize: 2.51,
    })
  })

  it('reads mark price and funding, which may be negative', () => {
    expect(onlyEvent(binanceFutures, MARK_PRICE)).to.include({
      kind: 'derivative',
      symbol: 'BTCUSDT',
      exchangeTimeUs: 1562305380000000,
      markPrice: 11794.15,
      indexPrice: 11784.62659091,
      fundingRate: -0.00038167,
      nextFundingTimeUs: 1562306400000000,
      openInterest: undefined,
    })
  })

  it('reads no funding of contracts that have none', () => {
    expect(onlyEvent(binanceFutures, { ...MARK_PRICE, s: 'BTCUSDT_251226', r: '', T: 0 })).to.include({
      markPrice: 11794.15,
      fundingRate: undefined,
      nextFundingTimeUs: undefined,
    })
  })

  it('reads the mark prices of all symbols in one frame', () => {
    const data = [MARK_PRICE, { ...MARK_PRICE, s: 'ETHUSDT' }]
    for (const frame of [data, { stream: '!markPrice@arr@1s', data }]) {
      const { route, events } = decodeFrame(binanceFutures, frame)
      expect(route).to.include({ to: 'channel', channel: 'derivative', symbol: undefined })
      expect(events.map(({ symbol }) => symbol)).to.deep.equal(['BTCUSDT', 'ETHUSDT'])
    }
  })

  it('reads a liquidation, with the side of the order that closes the position', () => {
    expect(onlyEvent(binanceFutures, FORCE_ORDER)).to.include({
      kind: 'liquidation',
      symbol: 'BTCUSDT',
      exchangeTimeUs: 1568014460891000,
      side: 'sell',
      price: 9910,
      size: 0.014,
    })
    expect(
      binanceFutures.route({ stream: '!forceOrder@arr', data: FORCE_ORDER }, writerFor(binanceFutures)),
    ).to.include({
      symbol: 'BTCUSDT',
    })
  })

  it('names what it has no use for', () => {
    for (const e of ['24hrTicker', 'continuous_kline', 'indexPriceUpdate', 'contractInfo', 'compositeIndex']) {
      expect(decodeFrame(binanceFutures, { e, s: 'BTCUSDT' }).route).to.include({ to: 'ignored' })
    }
  })

  for (const [what, frame] of [
    ['a side of a liquidation that is none', { ...FORCE_ORDER, o: { ...FORCE_ORDER.o, S: 'LONG' } }],
    ['a liquidation without its order', { ...FORCE_ORDER, o: undefined }],
    ['a mark price of text', { ...MARK_PRICE, p: 'high' }],
    ['a link that is no number', { ...DEPTH.data, pu: null }],
    ['a change without numbers', { ...DEPTH.data, u: undefined }],
    ['a mark price in a list of other things', [MARK_PRICE, 5]],
  ] as const) {
    it(`refuses ${what}`, () => {
      expect(() => decodeFrame(binanceFutures, frame))
        .to.throw(Fault)
        .with.property('code', 'VALUE_INVALID')
    })
  }

  it('survives any JSON value', () => survivesAnyJson(binanceFutures))
  it('survives frames with any one field changed', () =>
    survivesMutations(binanceFutures, [TRADE, AGG_TRADE, DEPTH, BOOK_TICKER, MARK_PRICE, FORCE_ORDER, [MARK_PRICE]]))

  describe('subscriptions', () => {
    const btc = instrument(binanceFutures, { kind: 'perpetual', name: 'BTC-USDT-PERP' })
    const options = { depth: undefined, intervalMs: 60_000 }

    it('go to the path that serves them', () => {
      const topics = Object.values(binanceFutures.channels).flatMap((channel) => channel.topics(btc, options)!)
      expect(topics.map(({ key, endpoint }) => `${endpoint} ${key}`)).to.deep.equal([
        'market btcusdt@aggTrade',
        'public btcusdt@depth@100ms',
        'public btcusdt@bookTicker',
        'market btcusdt@kline_1m',
        'market btcusdt@markPrice@1s',
        'market btcusdt@forceOrder',
      ])
    })

    it('are for changes at the slowest pace that is often enough', () => {
      const keys = [0, 99, 100, 250, 400, 1_000].map(
        (bookEveryMs) => binanceFutures.channels.book?.topics(btc, { ...options, bookEveryMs })?.[0]?.key,
      )
      expect(keys).to.deep.equal([
        ...['btcusdt@depth@0ms', 'btcusdt@depth@0ms', 'btcusdt@depth@100ms'],
        ...['btcusdt@depth', 'btcusdt@depth', 'btcusdt@depth@500ms'],
      ])
    })

    it('are for complete tops where they are wished for, no more often than they are sent', () => {
      const keys = [0, undefined, 300, 500].map(
        (bookEveryMs) =>
          binanceFutures.channels.book?.topics(btc, { ...options, bookEveryMs, bookTops: true })?.[0]?.key,
      )
      expect(keys).to.deep.equal([
        ...['btcusdt@depth20@100ms', 'btcusdt@depth20@100ms'],
        ...['btcusdt@depth20', 'btcusdt@depth20@500ms'],
      ])
    })

    it('know no candles of a second', () => {
      expect(() => binanceFutures.channels.candles?.topics(btc, { ...options, intervalMs: 1_000 })).to.throw(
        Fault,
        /1m/,
      )
    })
  })

  it('recognises the paths of today and of before 2026', () => {
    const of = (url: string): string => binanceFutures.endpointOf(url)
    expect(of('wss://fstream.binance.com/public/stream?streams=btcusdt@depth')).to.equal('public')
    expect(of('wss://fstream.binance.com/market/ws/btcusdt@aggTrade')).to.equal('market')
    expect(of('wss://fstream.binance.com/stream?streams=btcusdt@depth')).to.equal('all')
    expect(of('ws://127.0.0.1:4000/public/ws')).to.equal('public')
    expect(of('')).to.equal('all')
  })

  describe('REST', () => {
    it('polls open interest, of instruments that trade', () => {
      const [poll] = binanceFutures.polls
      const path = poll?.path(instrument(binanceFutures))
      expect(path).to.equal('/fapi/v1/openInterest?symbol=BTCUSDT')
      expect(poll?.symbolOf(`https://fapi.binance.com${path!}`)).to.equal('BTCUSDT')
      expect(poll?.symbolOf('https://fapi.binance.com/fapi/v1/depth?symbol=BTCUSDT')).to.equal(undefined)
      expect(poll?.path(instrument(binanceFutures, { trading: false }))).to.equal(undefined)
      const writer = writerFor(binanceFutures)
      poll?.decode({ openInterest: '10659.509', symbol: 'BTCUSDT', time: 1589437530011 }, 'BTCUSDT', writer)
      expect(writer.take()[0]).to.include({ openInterest: 10659.509, exchangeTimeUs: 1589437530011000 })
      expect(() => poll?.decode({ code: -1121, msg: 'Invalid symbol.' }, 'X', writer)).to.throw(Fault)
    })

    it('reads a snapshot with the time at which it held', () => {
      const { snapshot } = binanceFutures.book
      expect(snapshot?.path('BTCUSDT', { depth: undefined, intervalMs: 0 })).to.equal(
        '/fapi/v1/depth?symbol=BTCUSDT&limit=1000',
      )
      expect(snapshot?.symbolOf('https://fapi.binance.com/fapi/v1/depth?symbol=KEEPUSDT&limit=1000')).to.equal(
        'KEEPUSDT',
      )
      expect(snapshot?.symbolOf('https://api.binance.com/api/v3/depth?symbol=BTCUSDT')).to.equal(undefined)
      const writer = writerFor(binanceFutures)
      snapshot?.decode({ lastUpdateId: 7, E: 1589436922972, T: 1589436922959, bids: [], asks: [] }, 'BTCUSDT', writer)
      expect(writer.take()[0]).to.include({ kind: 'snapshot', seq: 7, exchangeTimeUs: 1589436922959000 })
    })

    it('reads perpetual, dated and coin-margined instruments', () => {
      const row = {
        symbol: 'BTCUSDT',
        contractType: 'PERPETUAL',
        deliveryDate: 4133404800000,
        status: 'TRADING',
        baseAsset: 'BTC',
        quoteAsset: 'USDT',
        filters: [
          { filterType: 'PRICE_FILTER', tickSize: '0.10' },
          { filterType: 'LOT_SIZE', stepSize: '0.001' },
        ],
      }
      const dated = { ...row, symbol: 'BTCUSDT_251226', contractType: 'CURRENT_QUARTER', deliveryDate: 1766736000000 }
      const coin = { ...row, symbol: 'BTCUSD_PERP', quoteAsset: 'USD', contractSize: 100, contractStatus: 'TRADING' }
      const symbols = [row, dated, coin, { ...row, contractType: '' }, { ...dated, deliveryDate: 'soon' }]
      const found = binanceFutures.instruments.decode({ symbols }, 'usdm')
      expect(found.map(({ name }) => name)).to.deep.equal(['BTC-USDT-PERP', 'BTC-USDT-251226', 'BTC-USD-PERP'])
      expect(found[0]).to.include({ tickSize: 0.1, priceDecimals: 1, contractSize: undefined, expiryTimeUs: undefined })
      expect(found[1]).to.include({ kind: 'future', expiryTimeUs: 1766736000000000 })
      expect(found[2]).to.include({ contractSize: 100, inverse: true })
    })
  })

  describe('on recordings', () => {
    before(function () {
      needsShared(this)
    })

    it('gives the golden counts and books of 2021', () => {
      expectGolden(replay(binanceFutures, 'binance-futures.ws1', 'binance-futures.rest'), 'binance-futures')
    })

    it('gives the golden counts and books of 2024', () => {
      const set = 'binance-futures.btcusdt-20240808'
      expectGolden(replay(binanceFutures, `${set}.first60`, `${set}.rest`), set)
    })

    it('notices any lost change of the book', () => {
      const { lines } = readRecording('binance-futures.ws1')
      const changes = lines.flatMap(({ raw }, index) => (raw?.startsWith('{"stream":"sushiusdt@depth') ? [index] : []))
      for (const lost of [changes[20]!, changes[100]!, changes.at(-2)!]) {
        const replayed = replay(
          binanceFutures,
          'binance-futures.ws1',
          'binance-futures.rest',
          (_, index) => index !== lost,
        )
        expect(replayed.gaps).to.equal(1)
      }
    })

    it('names the instruments of a recorded answer', () => {
      const answer = readRecording('binance-futures.rest').lines.find(({ role }) => role === 'instruments')
      const table = new InstrumentTable(binanceFutures.instruments.decode(JSON.parse(answer!.body!), undefined))
      expect(table.symbol('usdm', 'SUSHIUSDT')?.name).to.equal('SUSHI-USDT-PERP')
      const dated = [...table].find(({ kind }) => kind === 'future')
      expect(dated?.name).to.match(/^[A-Z]+-USDT-\d{6}$/)
    })

    it('gives an event or a named reason for every sample message of today', () => {
      for (const { name, text } of currentFixtures('binance-futures')) {
        const { route, events } = decodeFrame(binanceFutures, text)
        expect(events.length > 0 || route.to === 'ignored', name).to.equal(true)
      }
    })
  })
})
