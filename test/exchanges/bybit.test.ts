import { expect } from 'chai'
import { bybit } from '../../src/exchanges/bybit'
import type { Ticker } from '../../src/model/events'
import { Fault } from '../../src/model/fault'
import { decodeFrame, instrument, onlyEvent, replay, writerFor } from '../kit/decoding'
import { expectGolden } from '../kit/goldenReplay'
import { survivesAnyJson, survivesMutations } from '../kit/hostile'
import { currentFixtures, needsShared, readRecording } from '../kit/shared'

const TRADE = {
  topic: 'publicTrade.BTCUSDT',
  type: 'snapshot',
  ts: 1709891679005,
  data: [
    {
      T: 1709891679000,
      s: 'BTCUSDT',
      S: 'Buy',
      v: '0.010',
      p: '27451.00',
      i: '9dc75fca-4bdd-4773-9f78-6f5d7ab2a110',
      BT: false,
    },
    { T: 1709891679001, s: 'BTCUSDT', S: 'Sell', v: '1', p: '27450.50', i: '2290000000012345678', BT: false },
  ],
}
const DELTA = {
  topic: 'orderbook.50.XRPUSDT',
  type: 'delta',
  ts: 1733011201990,
  data: { s: 'XRPUSDT', b: [['1.9533', '16514']], a: [['1.9535', '0']], u: 20254883, seq: 130020244295 },
  cts: 1733011201982,
}
const SNAPSHOT = { ...DELTA, type: 'snapshot', data: { ...DELTA.data, a: [['1.9535', '2183']] } }
const TICKER = {
  topic: 'tickers.BTCUSDT',
  type: 'snapshot',
  data: {
    symbol: 'BTCUSDT',
    lastPrice: '17216.00',
    markPrice: '17217.33',
    indexPrice: '17227.36',
    openInterest: '68744.761',
    nextFundingTime: '1673280000000',
    fundingRate: '-0.000212',
    bid1Price: '17215.50',
    bid1Size: '84.489',
    ask1Price: '17216.00',
    ask1Size: '83.020',
  },
  cs: 24987956059,
  ts: 1673272861686,
}
const SPOT_TICKER = {
  topic: 'tickers.BTCUSDT',
  ts: 1673853746003,
  type: 'snapshot',
  cs: 2588407389,
  data: { symbol: 'BTCUSDT', lastPrice: '21109.77', highPrice24h: '21426.99' },
}
const SPOT_BEST = {
  topic: 'orderbook.1.BTCUSDT',
  type: 'snapshot',
  ts: 1673853746100,
  data: { s: 'BTCUSDT', b: [['21109.70', '0.5']], a: [['21109.80', '0.25']], u: 5, seq: 9 },
  cts: 1673853746099,
}
const KLINE = {
  topic: 'kline.5.BTCUSDT',
  data: [
    {
      start: 1672324800000,
      end: 1672325099999,
      interval: '5',
      open: '16649.5',
      close: '16677',
      high: '16678',
      low: '16608',
      volume: '2.081',
      turnover: '34666.4005',
      confirm: false,
      timestamp: 1672324988882,
    },
  ],
  ts: 1672324988883,
  type: 'snapshot',
}
const LIQUIDATION = {
  topic: 'allLiquidation.ROSEUSDT',
  type: 'snapshot',
  ts: 1739502303204,
  data: [
    { T: 1739502302929, s: 'ROSEUSDT', S: 'Sell', v: '20000', p: '0.04499' },
    { T: 1739502302930, s: 'ROSEUSDT', S: 'Buy', v: '5', p: '0.04' },
  ],
}

describe('bybit', () => {
  const linear = () => writerFor(bybit, 'linear')
  const spot = () => writerFor(bybit, 'spot')

  it('reads trades as new although their frame calls itself a snapshot, with the side of the taker', () => {
    const { events } = decodeFrame(bybit, TRADE)
    expect(events).to.have.length(2)
    expect(events[0]).to.include({
      kind: 'trade',
      symbol: 'BTCUSDT',
      exchangeTimeUs: 1709891679000000,
      id: '9dc75fca-4bdd-4773-9f78-6f5d7ab2a110',
      side: 'buy',
      price: 27451,
      priceDecimals: 2,
      size: 0.01,
      history: false,
    })
    expect(events[1]).to.include({ id: '2290000000012345678', side: 'sell' })
  })

  it('reads trades whose topic names the category', () => {
    const { route } = decodeFrame(bybit, { ...TRADE, topic: 'trade.linear.BTCUSDT' })
    expect(route).to.include({ channel: 'trades', symbol: 'BTCUSDT' })
  })

  it('reads symbols that have points of their own', () => {
    const frame = { ...DELTA, topic: 'orderbook.25.XRP-26DEC25-2.5-C' }
    expect(bybit.route(frame, writerFor(bybit, 'option'))).to.include({ symbol: 'XRP-26DEC25-2.5-C' })
  })

  describe('books', () => {
    it('change by one number at a time, at the time of the matching engine', () => {
      const event = onlyEvent(bybit, DELTA)
      expect(event).to.include({ kind: 'delta', seq: 20254883, prevSeq: 20254882, exchangeTimeUs: 1733011201982000 })
      expect(event).to.have.deep.property('asks', [[1.9535, 0]])
    })

    it('are replaced by a snapshot', () => {
      expect(onlyEvent(bybit, SNAPSHOT)).to.include({ kind: 'snapshot', seq: 20254883, prevSeq: undefined })
    })

    it('are replaced by a change of number 1: the service was restarted', () => {
      const event = onlyEvent(bybit, { ...DELTA, data: { ...DELTA.data, u: 1 } })
      expect(event).to.include({ kind: 'snapshot', seq: 1 })
      expect(event).to.have.deep.property('asks', [])
    })

    it('take the time of sending where the other is missing', () => {
      expect(onlyEvent(bybit, { ...DELTA, cts: undefined })).to.include({ exchangeTimeUs: 1733011201990000 })
    })

    it('are made of the deepest topic of a symbol', () => {
      const writer = linear()
      const at = (depth: number) => decodeFrame(bybit, { ...SNAPSHOT, topic: `orderbook.${depth}.XRPUSDT` }, writer)
      expect(at(50).events).to.have.length(1)
      expect(at(200).events).to.have.length(1)
      expect(at(50).route).to.deep.equal({ to: 'ignored', reason: 'a shallower book of the same symbol' })
      expect(at(1).events).to.have.length(0)
      expect(at(200).events).to.have.length(1)
    })

    it('of depth 1 are books on linear', () => {
      expect(onlyEvent(bybit, { ...SPOT_BEST }, linear())).to.include({ kind: 'snapshot', symbol: 'BTCUSDT' })
    })

    it('with other sizes or without their beginning are left out by name', () => {
      for (const topic of ['orderbook.rpi.BTCUSDT', 'orderbook.full.BTCUSDT']) {
        expect(bybit.route({ ...DELTA, topic }, spot())).to.include({ to: 'ignored' })
      }
    })
  })

  describe('tickers', () => {
    it('of contracts carry mark price, funding and open interest beside the best prices', () => {
      const [ticker, derivative, ...rest] = decodeFrame(bybit, TICKER, linear()).events
      expect(rest).to.have.length(0)
      expect(ticker).to.include({
        kind: 'ticker',
        bidPrice: 17215.5,
        bidSize: 84.489,
        askPrice: 17216,
        lastPrice: 17216,
      })
      expect(derivative).to.include({
        kind: 'derivative',
        exchangeTimeUs: 1673272861686000,
        markPrice: 17217.33,
        indexPrice: 17227.36,
        fundingRate: -0.000212,
        nextFundingTimeUs: 1673280000000000,
        openInterest: 68744.761,
      })
    })

    it('are merged: a change has only the fields that changed', () => {
      const writer = linear()
      decodeFrame(bybit, TICKER, writer)
      const change = (data: object) =>
        decodeFrame(bybit, { ...TICKER, type: 'delta', data: { symbol: 'BTCUSDT', ...data } }, writer).events
      const bid = change({ bid1Price: '17215.00' })
      expect(bid).to.have.length(1)
      expect(bid[0]).to.include({ bidPrice: 17215, bidSize: 84.489, askPrice: 17216, lastPrice: 17216 })
      const mark = change({ markPrice: '17300' })
      expect(mark[0]).to.include({ bidPrice: 17215 })
      expect(mark[1]).to.include({ markPrice: 17300, indexPrice: undefined, fundingRate: undefined })
      expect(change({ ask1Price: '', ask1Size: '' })[0]).to.include({ askPrice: undefined, askSize: undefined })
    })

    it('remember nothing of a frame that cannot be read', () => {
      const writer = linear()
      decodeFrame(bybit, TICKER, writer)
      const bad = { ...TICKER, type: 'delta', data: { symbol: 'BTCUSDT', bid1Price: '1', markPrice: 'x' } }
      expect(() => decodeFrame(bybit, bad, writer)).to.throw(Fault)
      writer.take()
      const good = { ...TICKER, type: 'delta', data: { symbol: 'BTCUSDT', lastPrice: '5' } }
      expect(onlyEvent(bybit, good, writer)).to.include({ bidPrice: 17215.5, lastPrice: 5 })
    })

    it('of spot take their best prices from the book of depth 1', () => {
      const writer = spot()
      expect(onlyEvent(bybit, SPOT_TICKER, writer)).to.include({ lastPrice: 21109.77, bidPrice: undefined })
      expect(onlyEvent(bybit, SPOT_BEST, writer)).to.include({
        kind: 'ticker',
        lastPrice: 21109.77,
        bidPrice: 21109.7,
        bidSize: 0.5,
        askPrice: 21109.8,
        askSize: 0.25,
      })
      const emptied = { ...SPOT_BEST, data: { ...SPOT_BEST.data, b: [] } }
      expect((onlyEvent(bybit, emptied, writer) as Ticker).bidPrice).to.equal(undefined)
    })

    it('of options read zeros as no price', () => {
      const option = { symbol: 'BTC-6JAN23-17500-C', bidPrice: '0', bidSize: '0', askPrice: '10', askSize: '5.1' }
      const frame = { topic: 'tickers.BTC-6JAN23-17500-C', ts: 1672917511074, type: 'snapshot', data: option }
      expect(onlyEvent(bybit, frame)).to.include({ bidPrice: undefined, bidSize: undefined, askPrice: 10 })
    })
  })

  it('reads candles', () => {
    expect(onlyEvent(bybit, KLINE)).to.include({
      kind: 'candle',
      symbol: 'BTCUSDT',
      exchangeTimeUs: 1672324988882000,
      openTimeUs: 1672324800000000,
      intervalUs: 300_000_000,
      open: 16649.5,
      high: 16678,
      low: 16608,
      close: 16677,
      volume: 2.081,
      closed: false,
    })
    const month = { ...KLINE.data[0], start: Date.UTC(2023, 1, 1), end: Date.UTC(2023, 2, 1) - 1, interval: 'M' }
    expect(onlyEvent(bybit, { ...KLINE, data: [month] })).to.include({ intervalUs: 28 * 86_400_000_000 })
  })

  it('reads liquidations, with the side of the order that closes the position', () => {
    const { events } = decodeFrame(bybit, LIQUIDATION)
    expect(events[0]).to.include({ kind: 'liquidation', symbol: 'ROSEUSDT', side: 'buy', price: 0.04499, size: 20000 })
    expect(events[1]).to.include({ side: 'sell' })
  })

  describe('routing', () => {
    const routeOf = (frame: unknown) => bybit.route(frame, linear())

    it('knows acknowledgements by the number of the request', () => {
      const ack = { success: true, ret_msg: '', conn_id: 'cejreaspqfm9se7usbrg-2xh', req_id: '12', op: 'subscribe' }
      expect(routeOf(ack)).to.deep.equal({ to: 'ack', id: 12, keys: [] })
      expect(routeOf({ ...ack, req_id: 'sub-orderbook-1' })).to.deep.equal({ to: 'ack', id: undefined, keys: [] })
      expect(routeOf({ ...ack, op: 'unsubscribe' })).to.include({ to: 'ack', id: 12 })
    })

    it('knows refusals in the words of the exchange', () => {
      const refusal = { success: false, ret_msg: 'error:handler not found,topic:kline.7.BTCUSDT', op: 'subscribe' }
      expect(routeOf({ ...refusal, req_id: '3' })).to.deep.equal({
        to: 'refused',
        id: 3,
        keys: [],
        reason: 'error:handler not found,topic:kline.7.BTCUSDT',
      })
      expect(routeOf(refusal)).to.deep.include({ to: 'refused', id: undefined, keys: ['kline.7.BTCUSDT'] })
    })

    it('knows the answers of options, which name topics', () => {
      const answer = {
        success: true,
        type: 'COMMAND_RESP',
        data: { failTopics: [] as string[], successTopics: ['a.B'] },
      }
      expect(routeOf(answer)).to.deep.equal({ to: 'ack', id: undefined, keys: ['a.B'] })
      const failed = { ...answer, data: { failTopics: ['x.Y'], successTopics: [] } }
      expect(routeOf(failed)).to.deep.include({ to: 'refused', keys: ['x.Y'] })
    })

    it('knows both forms of a pong', () => {
      expect(routeOf({ success: true, ret_msg: 'pong', conn_id: 'x', op: 'ping' })).to.deep.equal({ to: 'heartbeat' })
      expect(routeOf({ args: ['1672916271846'], op: 'pong' })).to.deep.equal({ to: 'heartbeat' })
    })

    it('names what it has no use for', () => {
      for (const topic of ['liquidation.BTCUSDT', 'tickers_lt.EOS3LUSDT', 'insurance.USDT']) {
        expect(routeOf({ topic, type: 'snapshot', data: {} })).to.include({ to: 'ignored' })
      }
      expect(routeOf({ retCode: 10001, retMsg: 'params error' })).to.include({ to: 'ignored' })
    })

    it('says unknown of what is not documented', () => {
      for (const frame of [null, [], 5, 'x', {}, { topic: 'greeks.BTC' }, { topic: 'orderbook.x.BTCUSDT' }]) {
        expect(routeOf(frame), JSON.stringify(frame)).to.include({ to: 'unknown' })
      }
    })

    it('names the book that a broken change belonged to', () => {
      const broken = { topic: DELTA.topic, type: 'delta', data: 5 }
      expect(routeOf(broken)).to.include({ to: 'channel', channel: 'book', symbol: 'XRPUSDT' })
      expect(() => decodeFrame(bybit, broken)).to.throw(Fault)
    })
  })

  for (const [what, frame] of [
    ['a change of an unknown type', { ...DELTA, type: 'update' }],
    ['a book without a number', { ...DELTA, data: { ...DELTA.data, u: undefined } }],
    ['a book without a time', { ...DELTA, ts: undefined, cts: undefined }],
    ['a negative size', { ...DELTA, data: { ...DELTA.data, b: [['1', '-1']] } }],
    ['a snapshot level without a size', { ...SNAPSHOT, data: { ...SNAPSHOT.data, b: [['1', '']] } }],
    ['a trade of no side', { ...TRADE, data: [{ ...TRADE.data[0], S: 'None' }] }],
    ['a trade at a price of zero', { ...TRADE, data: [{ ...TRADE.data[0], p: '0' }] }],
    ['a candle of no known state', { ...KLINE, data: [{ ...KLINE.data[0], confirm: 'no' }] }],
    ['trades that are no list', { ...TRADE, data: {} }],
  ] as const) {
    it(`refuses ${what}`, () => {
      expect(() => decodeFrame(bybit, frame))
        .to.throw(Fault)
        .with.property('code', 'VALUE_INVALID')
    })
  }

  it('survives any JSON value', () => survivesAnyJson(bybit))
  it('survives frames with any one field changed', () =>
    survivesMutations(bybit, [TRADE, DELTA, SNAPSHOT, TICKER, SPOT_TICKER, SPOT_BEST, KLINE, LIQUIDATION]))

  describe('subscriptions', () => {
    const onSpot = instrument(bybit)
    const onLinear = instrument(bybit, { market: 'linear', kind: 'perpetual', name: 'BTC-USDT-PERP' })
    const options = { depth: undefined, intervalMs: 60_000 }
    const keys = (
      channel: 'book' | 'ticker' | 'candles' | 'derivative' | 'liquidations',
      of: typeof onSpot,
      depth?: number,
    ) => bybit.channels[channel]?.topics(of, { ...options, depth })?.map(({ endpoint, key }) => `${endpoint} ${key}`)

    it('take the smallest depth that is enough', () => {
      expect(keys('book', onSpot)).to.deep.equal(['spot orderbook.200.BTCUSDT'])
      expect(keys('book', onLinear, 1)).to.deep.equal(['linear orderbook.1.BTCUSDT'])
      expect(keys('book', onSpot, 1)).to.deep.equal(['spot orderbook.50.BTCUSDT'])
      expect(keys('book', onLinear, 51)).to.deep.equal(['linear orderbook.200.BTCUSDT'])
      expect(keys('book', onLinear, 1_000)).to.deep.equal(['linear orderbook.1000.BTCUSDT'])
      expect(keys('book', onLinear, 5_000)).to.deep.equal(['linear orderbook.1000.BTCUSDT'])
    })

    it('of spot have no derivative channels, and two topics of a ticker', () => {
      expect(keys('ticker', onSpot)).to.deep.equal(['spot tickers.BTCUSDT', 'spot orderbook.1.BTCUSDT'])
      expect(keys('ticker', onLinear)).to.deep.equal(['linear tickers.BTCUSDT'])
      expect(keys('derivative', onSpot)).to.equal(undefined)
      expect(keys('liquidations', onSpot)).to.equal(undefined)
      expect(keys('derivative', onLinear)).to.deep.equal(['linear tickers.BTCUSDT'])
      expect(keys('liquidations', onLinear)).to.deep.equal(['linear allLiquidation.BTCUSDT'])
      expect(keys('book', { ...onLinear, market: 'option' })).to.equal(undefined)
    })

    it('are asked for as documented, and the heartbeat too', () => {
      const topics = bybit.channels.book!.topics(onLinear, options)!
      expect(bybit.subscribe(topics, 4)).to.equal('{"req_id":"4","op":"subscribe","args":["orderbook.200.BTCUSDT"]}')
      expect(bybit.unsubscribe(topics, 5)).to.equal(
        '{"req_id":"5","op":"unsubscribe","args":["orderbook.200.BTCUSDT"]}',
      )
      expect(bybit.heartbeat?.message(6)).to.equal('{"req_id":"6","op":"ping"}')
    })

    it('of candles that are not offered are refused', () => {
      expect(() => bybit.channels.candles?.topics(onSpot, { ...options, intervalMs: 1_000 })).to.throw(Fault, /60000/)
      expect(keys('candles', onSpot)).to.deep.equal(['spot kline.1.BTCUSDT'])
    })
  })

  it('recognises the category of an address', () => {
    expect(bybit.endpointOf('wss://stream.bybit.com/v5/public/linear')).to.equal('linear')
    expect(bybit.endpointOf('wss://stream-testnet.bybit.com/v5/public/inverse')).to.equal('inverse')
    expect(bybit.endpointOf('wss://stream.bybit.com/realtime_public')).to.equal('linear')
    expect(bybit.endpointOf('')).to.equal('spot')
  })

  describe('instruments', () => {
    const row = {
      symbol: 'BTCUSDT',
      contractType: 'LinearPerpetual',
      status: 'Trading',
      baseCoin: 'BTC',
      quoteCoin: 'USDT',
      deliveryTime: '0',
      priceFilter: { tickSize: '0.10' },
      lotSizeFilter: { qtyStep: '0.001' },
    }
    const decode = (rows: readonly unknown[], market?: string) =>
      bybit.instruments.decode({ retCode: 0, result: { list: rows } }, market)

    it('of one symbol are told by their category', () => {
      const spotRow = { ...row, contractType: undefined, lotSizeFilter: { basePrecision: '0.000001' } }
      expect(decode([row], 'linear')[0]).to.include({ name: 'BTC-USDT-PERP', market: 'linear', tickSize: 0.1 })
      expect(decode([spotRow], 'spot')[0]).to.include({ name: 'BTC-USDT', market: 'spot', sizeDecimals: 6 })
      expect(decode([spotRow])[0]).to.include({ market: 'spot' })
    })

    it('are named after their metadata, not their symbol', () => {
      const rows = [
        { ...row, symbol: 'BTCPERP', quoteCoin: 'USDC' },
        {
          ...row,
          symbol: 'BTC-26DEC25',
          contractType: 'LinearFutures',
          quoteCoin: 'USDC',
          deliveryTime: '1766736000000',
        },
        { ...row, symbol: 'BTCUSD', contractType: 'InversePerpetual', quoteCoin: 'USD' },
      ]
      const found = decode(rows)
      expect(found.map(({ name }) => name)).to.deep.equal(['BTC-USDC-PERP', 'BTC-USDC-251226', 'BTC-USD-PERP'])
      expect(found[2]).to.include({ inverse: true, contractSize: 1, market: 'inverse' })
    })

    it('that cannot be read are left out', () => {
      const rows = [null, { ...row, contractType: 'Odd' }, { ...row, baseCoin: '' }, { ...row, priceFilter: 5 }, row]
      expect(decode(rows)).to.have.length(1)
      expect(() => bybit.instruments.decode({ retCode: 10001 }, 'spot')).to.throw(Fault)
    })

    it('come in pages', () => {
      const path = bybit.instruments.requests[1]!.path
      const page = (nextPageCursor: unknown, list: readonly unknown[] = [row]) => ({ result: { nextPageCursor, list } })
      const second = bybit.instruments.nextPath(page('first%3DA&b'), path)
      expect(second).to.equal(`${path}&cursor=first%253DA%26b`)
      expect(bybit.instruments.nextPath(page('c'), second!)).to.equal(`${path}&cursor=c`)
      for (const last of [page(''), page(null), page('again', []), {}, null]) {
        expect(bybit.instruments.nextPath(last, path)).to.equal(undefined)
      }
    })
  })

  describe('on recordings', () => {
    before(function () {
      needsShared(this)
    })

    it('gives the golden counts and books', () => {
      const set = 'bybit.xrpusdt-ob500-20241201'
      expectGolden(replay(bybit, `${set}.first60`), set)
    })

    it('notices any lost change of the book', () => {
      const session = 'bybit.xrpusdt-ob500-20241201.first60'
      const last = readRecording(session).lines.length - 1
      for (const lost of [1, 2, 15, last - 1]) {
        expect(replay(bybit, session, undefined, (_, index) => index !== lost).gaps).to.equal(1)
      }
    })

    it('gives an event or a named reason for every sample message of today', () => {
      for (const { name, text } of currentFixtures('bybit')) {
        const { route, events } = decodeFrame(bybit, text)
        const answered = route.to === 'ignored' || route.to === 'ack' || route.to === 'refused'
        expect(events.length > 0 || answered, name).to.equal(true)
      }
    })
  })
})
