import { expect } from 'chai'
import { okx } from '../../src/exchanges/okx'
import type { Route } from '../../src/exchanges/protocol'
import { parseWireJson } from '../../src/model/codec/wireJson'
import type { BookChange, MarketEvent } from '../../src/model/events'
import { Fault } from '../../src/model/fault'
import { InstrumentTable } from '../../src/model/instrument'
import { verifyChecksums } from '../kit/checksums'
import { decodeFrame, instrument, replay, writerFor } from '../kit/decoding'
import { expectGolden } from '../kit/goldenReplay'
import { survivesAnyJson, survivesMutations } from '../kit/hostile'
import { one } from '../kit/one'
import { currentFixtures, needsShared, readGolden, readRecording } from '../kit/shared'

const TRADE =
  '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"338476320","px":"30242","sz":"0.001","side":"buy","ts":"1652459227219"}]}'
const UPDATE_2022 =
  '{"arg":{"channel":"books","instId":"BTC-USD-220527"},"action":"update","data":[{"asks":[],"bids":[["30189","0","0","0"]],"ts":"1652459227954","checksum":67565745}]}'
const SNAPSHOT =
  '{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot","data":[{"asks":[["8476.98","415","0","13"],["8477","7","0","2"]],"bids":[["8476.97","256","0","12"]],"ts":"1597026383085","checksum":0,"prevSeqId":-1,"seqId":123456}]}'
const UPDATE =
  '{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[["8477","0","0","0"]],"bids":[["8476.97","101","0","3"]],"ts":"1597026383185","checksum":0,"prevSeqId":123456,"seqId":123468}]}'
const TICKER =
  '{"arg":{"channel":"tickers","instId":"UNI-USD-SWAP"},"data":[{"instType":"SWAP","instId":"UNI-USD-SWAP","last":"5.123","lastSz":"100","askPx":"5.142","askSz":"25","bidPx":"5.134","bidSz":"96","open24h":"4.799","high24h":"5.458","low24h":"4.537","sodUtc0":"4.654","sodUtc8":"5.204","volCcy24h":"577730.7823","vol24h":"289425","ts":"1652459223143"}]}'
const CANDLE =
  '{"arg":{"channel":"candle1Dutc","instId":"BTC-USDT"},"data":[["1597017600000","8533.02","8553.74","8527.17","8548.26","45247","529.5858061","5529.5858061","1"]]}'
const FUNDING =
  '{"arg":{"channel":"funding-rate","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP","fundingRate":"0.0001","nextFundingRate":"","fundingTime":"1744590349506","nextFundingTime":"1744619149506"}]}'
const LIQUIDATION =
  '{"arg":{"channel":"liquidation-orders","instType":"SWAP"},"data":[{"details":[{"bkLoss":"0","bkPx":"0.007831","ccy":"","posSide":"short","side":"buy","sz":"13","ts":"1692266434010"}],"instFamily":"IOST-USDT","instId":"IOST-USDT-SWAP","instType":"SWAP","uly":"IOST-USDT"}]}'
const ACK = '{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"},"connId":"a4d3ae55"}'

function routeOf(text: string, writer = writerFor(okx)): Route {
  return okx.route(okx.plainTexts.includes(text) ? text : parseWireJson(text, okx), writer)
}

function eventsOf(text: string, writer = writerFor(okx)): MarketEvent[] {
  return decodeFrame(okx, text, writer).events
}

const spot = instrument(okx, { symbol: 'BTC-USDT' })
const swap = instrument(okx, { symbol: 'BTC-USDT-SWAP', kind: 'perpetual', market: 'SWAP' })
const future = instrument(okx, { symbol: 'BTC-USD-251226', kind: 'future', market: 'FUTURES' })
const options = { depth: undefined, intervalMs: 60_000 }

describe('okx', () => {
  describe('books', () => {
    it('reads a snapshot, which extends nothing, and an update, which names what it extends', () => {
      const snapshot = one(eventsOf(SNAPSHOT))
      expect(snapshot).to.include({
        kind: 'snapshot',
        seq: 123456,
        prevSeq: undefined,
        exchangeTimeUs: 1597026383085000,
      })
      expect(snapshot.asks).to.deep.equal([
        [8476.98, 415],
        [8477, 7],
      ])
      expect(snapshot.depth).to.equal(undefined)
      const update = one(eventsOf(UPDATE)) as BookChange
      expect(update).to.include({ kind: 'delta', seq: 123468, prevSeq: 123456 })
      expect(okx.book.sequencing.join(update, 123456)).to.equal('apply')
      expect(okx.book.sequencing.join(update, 123450)).to.equal('gap')
    })

    it('applies a restart of the numbering and a keep-alive, which chain like any other update', () => {
      const restarted = one(eventsOf(UPDATE.replace('"seqId":123468', '"seqId":3'))) as BookChange
      expect(okx.book.sequencing.next(restarted, 123456, 123400)).to.equal('apply')
      const keepAlive = one(
        eventsOf(
          '{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[],"bids":[],"ts":"1597026443185","checksum":0,"prevSeqId":123468,"seqId":123468}]}',
        ),
      ) as BookChange
      expect(okx.book.sequencing.next(keepAlive, 123468, 123456)).to.equal('apply')
      expect([keepAlive.bids, keepAlive.asks]).to.deep.equal([[], []])
    })

    it('takes a checksum of 0, or none, for no checksum', () => {
      const { checksum } = one(eventsOf(UPDATE)) as BookChange
      expect(okx.book.checksum!.isNone(checksum!)).to.equal(true)
      expect(one(eventsOf(UPDATE.replace('"checksum":0,', ''))).checksum).to.equal(undefined)
      expect(one(eventsOf(UPDATE_2022))).to.include({ checksum: 67565745, seq: undefined, prevSeq: undefined })
    })

    it('takes every frame of books5 for the whole book', () => {
      const frame =
        '{"arg":{"channel":"books5","instId":"BTC-USDT"},"data":[{"asks":[["8476.98","415","0","13"]],"bids":[["8476.97","256","0","12"]],"instId":"BTC-USDT","ts":"1597026383085","seqId":123456}]}'
      expect(one(eventsOf(frame))).to.include({ kind: 'snapshot', symbol: 'BTC-USDT', seq: 123456 })
    })

    it('refuses a frame without an action', () => {
      expect(() => eventsOf(UPDATE.replace('"action":"update",', ''))).to.throw(Fault)
    })

    it('names the symbol in the route, so that a broken frame costs one book', () => {
      const broken = UPDATE.replace('"101"', '""')
      expect(routeOf(broken)).to.include({ to: 'channel', channel: 'book', symbol: 'BTC-USDT' })
      expect(() => eventsOf(broken))
        .to.throw(Fault)
        .with.property('code', 'VALUE_INVALID')
    })
  })

  it("reads trades with the taker's side", () => {
    expect(one(eventsOf(TRADE))).to.include({
      kind: 'trade',
      symbol: 'BTC-USDT',
      id: '338476320',
      side: 'buy',
      price: 30242,
      size: 0.001,
      exchangeTimeUs: 1652459227219000,
      history: false,
    })
    expect(one(eventsOf(TRADE.replace('"trades"', '"trades-all"')))).to.include({ kind: 'trade' })
    expect(() => eventsOf(TRADE.replace('"buy"', '"both"'))).to.throw(Fault)
  })

  describe('tickers', () => {
    it('reads summaries, where an empty text is a missing side', () => {
      expect(one(eventsOf(TICKER))).to.include({
        symbol: 'UNI-USD-SWAP',
        bidPrice: 5.134,
        bidSize: 96,
        askPrice: 5.142,
        askSize: 25,
        lastPrice: 5.123,
      })
      const halved = one(eventsOf(TICKER.replace('"askPx":"5.142","askSz":"25"', '"askPx":"","askSz":""')))
      expect(halved).to.include({ bidPrice: 5.134, askPrice: undefined, askSize: undefined })
    })

    it('reads best prices, where a side may be empty', () => {
      const frame =
        '{"arg":{"channel":"bbo-tbt","instId":"BCH-USDT-SWAP"},"data":[{"asks":[["111.06","55154","0","2"]],"bids":[],"ts":"1670324386802","seqId":363996337}]}'
      expect(one(eventsOf(frame))).to.include({
        kind: 'ticker',
        symbol: 'BCH-USDT-SWAP',
        askPrice: 111.06,
        askSize: 55154,
        bidPrice: undefined,
        lastPrice: undefined,
      })
    })
  })

  describe('candles', () => {
    it('reads rows with their interval and whether they are closed', () => {
      const candle = one(eventsOf(CANDLE))
      expect(candle).to.include({
        openTimeUs: 1597017600000000,
        intervalUs: 86_400_000_000,
        volume: 45247,
        closed: true,
      })
      expect(candle.exchangeTimeUs).to.equal(undefined)
      expect(one(eventsOf(CANDLE.replace('"1"]]', '"0"]]')))).to.include({ closed: false })
      expect(one(eventsOf(CANDLE.replace('candle1Dutc', 'candle15m')))).to.include({ intervalUs: 900_000_000 })
    })

    it('reads rows of 2022, which had no flag, as open', () => {
      expect(one(eventsOf(CANDLE.replace(',"5529.5858061","1"', '')))).to.include({ closed: false, close: 8548.26 })
    })

    it('counts the days of a month, from midnight UTC or UTC+8', () => {
      const february = Date.UTC(2024, 1, 1)
      const utc = CANDLE.replace('candle1Dutc', 'candle1Mutc').replace('1597017600000', String(february))
      expect(one(eventsOf(utc))).to.include({ intervalUs: 29 * 86_400_000_000 })
      const east = CANDLE.replace('candle1Dutc', 'candle3M').replace('1597017600000', String(february - 8 * 3_600_000))
      expect(one(eventsOf(east))).to.include({ intervalUs: (29 + 31 + 30) * 86_400_000_000 })
    })
  })

  describe('derivatives', () => {
    it('reads funding, mark price, index price and open interest, each with its own fields only', () => {
      expect(one(eventsOf(FUNDING))).to.include({
        kind: 'derivative',
        symbol: 'BTC-USDT-SWAP',
        fundingRate: 0.0001,
        nextFundingTimeUs: 1744590349506000,
        markPrice: undefined,
        exchangeTimeUs: undefined,
      })
      const others = [
        '{"arg":{"channel":"mark-price","instId":"BTC-USDT-SWAP"},"data":[{"instType":"SWAP","instId":"BTC-USDT-SWAP","markPx":"84660.1","ts":"1744590349506"}]}',
        '{"arg":{"channel":"index-tickers","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","idxPx":"103895","high24h":"1","ts":"1746942707815"}]}',
        '{"arg":{"channel":"open-interest","instId":"BTC-USDT-SWAP"},"data":[{"instType":"SWAP","instId":"BTC-USDT-SWAP","oi":"2216113.01","oiCcy":"22161.1301","oiUsd":"1","ts":"1743041250440"}]}',
      ].map((frame) => one(eventsOf(frame)))
      expect(
        others.map(({ markPrice, indexPrice, openInterest }) => [markPrice, indexPrice, openInterest]),
      ).to.deep.equal([
        [84660.1, undefined, undefined],
        [undefined, 103895, undefined],
        [undefined, undefined, 2216113.01],
      ])
    })

    it('reads negative funding rates', () => {
      expect(one(eventsOf(FUNDING.replace('"0.0001"', '"-0.0000236017"')))).to.include({ fundingRate: -0.0000236017 })
    })

    it('refuses a row that says nothing', () => {
      expect(() => eventsOf(FUNDING.replace('"fundingRate":"0.0001",', ''))).to.throw(Fault)
    })
  })

  describe('liquidations', () => {
    it('drops the first message of each type, which repeats an old one, and reads those after it', () => {
      const writer = writerFor(okx)
      expect(routeOf(LIQUIDATION, writer)).to.include({ to: 'ignored' })
      expect(one(eventsOf(LIQUIDATION, writer))).to.include({
        kind: 'liquidation',
        symbol: 'IOST-USDT-SWAP',
        side: 'buy',
        price: 0.007831,
        size: 13,
        exchangeTimeUs: 1692266434010000,
      })
      expect(routeOf(LIQUIDATION.replace('"SWAP"', '"FUTURES"'), writer)).to.include({ to: 'ignored' })
    })

    it('drops the first again after unsubscribing, not after a repeated acknowledgement', () => {
      const writer = writerFor(okx)
      const arg = '"arg":{"channel":"liquidation-orders","instType":"SWAP"}'
      routeOf(LIQUIDATION, writer)
      routeOf(`{"event":"subscribe",${arg}}`, writer)
      expect(routeOf(LIQUIDATION, writer)).to.include({ to: 'channel' })
      routeOf(`{"event":"unsubscribe",${arg}}`, writer)
      expect(routeOf(LIQUIDATION, writer)).to.include({ to: 'ignored' })
    })

    it('leaves out and counts liquidations without a price', () => {
      const writer = writerFor(okx)
      routeOf(LIQUIDATION, writer)
      expect(eventsOf(LIQUIDATION.replace('"0.007831"', '""'), writer)).to.deep.equal([])
      expect(writer.counts.skippedRows).to.equal(1)
    })

    it('remembers no more types than there can be', () => {
      const writer = writerFor(okx)
      for (let index = 0; index < 100; index++) routeOf(LIQUIDATION.replace('"SWAP"', `"T${index}"`), writer)
      expect([...writer.memory.values()].map((value) => (value as Set<unknown>).size)).to.deep.equal([16])
    })
  })

  describe('control frames', () => {
    it('takes pong for a sign of life', () => {
      expect(okx.heartbeat!.message(1)).to.equal('ping')
      expect(routeOf('pong')).to.deep.equal({ to: 'heartbeat' })
    })

    it('reads acknowledgements with the topic they are for', () => {
      expect(routeOf(ACK)).to.deep.equal({ to: 'ack', id: undefined, keys: ['books:BTC-USDT'] })
      expect(okx.channels.book!.topics(spot, options)![0]!.key).to.equal('books:BTC-USDT')
      const liquidations = '{"event":"subscribe","arg":{"channel":"liquidation-orders","instType":"SWAP"}}'
      expect(routeOf(liquidations)).to.deep.equal({ to: 'ack', id: undefined, keys: ['liquidation-orders:SWAP'] })
      expect(okx.channels.liquidations!.topics(swap, options)![0]!.key).to.equal('liquidation-orders:SWAP')
    })

    it('reads refusals, with the topic where the words name it', () => {
      expect(
        routeOf(
          '{"event":"error","msg":"Wrong URL or channel:trades,instId:BTC-USDX doesn\'t exist. Please use the correct URL, channel and parameters referring to API document.","code":"60018","connId":"a4d3ae55"}',
        ),
      ).to.deep.equal({
        to: 'refused',
        id: undefined,
        keys: ['trades:BTC-USDX'],
        reason:
          "Wrong URL or channel:trades,instId:BTC-USDX doesn't exist. Please use the correct URL, channel and parameters referring to API document. (code 60018)",
      })
      expect(routeOf('{"event":"error","code":"60012","msg":"Invalid request: {}","connId":"a4"}')).to.deep.equal({
        to: 'refused',
        id: undefined,
        keys: [],
        reason: 'Invalid request: {} (code 60012)',
      })
    })

    it('takes a notice for the announcement that the connection will end', () => {
      expect(routeOf('{"event":"notice","code":"64008","msg":"The connection will soon be closed."}')).to.deep.equal({
        to: 'reconnect',
        reason: 'The connection will soon be closed. (code 64008)',
      })
    })

    it('ignores with a reason what it does not use, and says of the rest that it is unknown', () => {
      for (const channel of ['instruments', 'opt-summary', 'price-limit', 'index-candle1m', 'sprd-tickers']) {
        const route = routeOf(`{"arg":{"channel":"${channel}"},"data":[{}]}`)
        expect(route).to.include({ to: 'ignored' })
        expect((route as { reason: string }).reason).to.contain(channel)
      }
      expect(routeOf('{"event":"unsubscribe","arg":{"channel":"books","instId":"A"}}')).to.include({ to: 'ignored' })
      for (const text of [
        '{"arg":{"channel":"weather"},"data":[]}',
        '{"arg":{}}',
        '{"event":"party"}',
        '[]',
        '{}',
        '7',
      ]) {
        expect(routeOf(text), text).to.include({ to: 'unknown' })
      }
    })
  })

  describe('requests', () => {
    it('names instruments, or their type where a channel has no other way, once', () => {
      const topics = [
        ...okx.channels.trades!.topics(spot, options)!,
        ...okx.channels.liquidations!.topics(swap, options)!,
        ...okx.channels.liquidations!.topics({ ...swap, symbol: 'ETH-USDT-SWAP' }, options)!,
      ]
      expect(JSON.parse(okx.subscribe(topics, 1))).to.deep.equal({
        op: 'subscribe',
        args: [
          { channel: 'trades', instId: 'BTC-USDT' },
          { channel: 'liquidation-orders', instType: 'SWAP' },
        ],
      })
      expect(JSON.parse(okx.unsubscribe(topics.slice(0, 1), 2))).to.deep.equal({
        op: 'unsubscribe',
        args: [{ channel: 'trades', instId: 'BTC-USDT' }],
      })
    })

    it('takes five levels where they are enough, and the whole book otherwise', () => {
      const keys = [undefined, 1, 5, 6, 1_000].map(
        (depth) => okx.channels.book!.topics(spot, { ...options, depth })![0]!.key.split(':')[0],
      )
      expect(keys).to.deep.equal(['books', 'books5', 'books5', 'books', 'books'])
    })

    it('asks for candles at their own address, with days that start at midnight UTC', () => {
      const topic = (intervalMs: number) => okx.channels.candles!.topics(spot, { ...options, intervalMs })![0]
      expect(topic(60_000)).to.include({ key: 'candle1m:BTC-USDT', endpoint: 'business' })
      expect(topic(86_400_000)).to.include({ key: 'candle1Dutc:BTC-USDT' })
      expect(() => topic(61_000))
        .to.throw(Fault)
        .with.property('code', 'OPTION_INVALID')
    })

    it('offers to each kind of instrument the channels it has', () => {
      const keys = (channel: 'derivative' | 'liquidations', of: typeof spot) =>
        okx.channels[channel]!.topics(of, options)?.map(({ key }) => key.split(':')[0])
      expect(keys('derivative', spot)).to.equal(undefined)
      expect(keys('liquidations', spot)).to.equal(undefined)
      expect(keys('derivative', swap)).to.deep.equal(['funding-rate', 'mark-price', 'open-interest'])
      expect(keys('derivative', future)).to.deep.equal(['mark-price', 'open-interest'])
      expect(keys('liquidations', future)).to.deep.equal(['liquidation-orders'])
    })

    it('tells the endpoint of a recorded address', () => {
      expect(okx.endpointOf('wss://ws.okx.com:8443/ws/v5/public')).to.equal('public')
      expect(okx.endpointOf('wss://real.okcoin.com:8443/ws/v5/public')).to.equal('public')
      expect(okx.endpointOf('wss://wspap.okx.com:8443/ws/v5/business')).to.equal('business')
      expect(okx.endpointOf('')).to.equal('public')
    })
  })

  describe('instruments', () => {
    const rows = [
      {
        instType: 'SPOT',
        instId: 'BTC-USDT',
        baseCcy: 'BTC',
        quoteCcy: 'USDT',
        tickSz: '0.1',
        lotSz: '0.00000001',
        ctVal: '',
        ctMult: '',
        ctType: '',
        uly: '',
        instFamily: '',
        expTime: '',
        state: 'live',
      },
      {
        instType: 'MARGIN',
        instId: 'BTC-USDT',
        baseCcy: 'BTC',
        quoteCcy: 'USDT',
        tickSz: '0.1',
        lotSz: '0.00000001',
        state: 'live',
      },
      {
        instType: 'SWAP',
        instId: 'BTC-USD-SWAP',
        baseCcy: '',
        quoteCcy: '',
        tickSz: '0.1',
        lotSz: '1',
        ctVal: '100',
        ctMult: '1',
        ctType: 'inverse',
        ctValCcy: 'USD',
        uly: 'BTC-USD',
        expTime: '',
        state: 'live',
      },
      {
        instType: 'SWAP',
        instId: 'BTC-USD_UM-SWAP',
        tickSz: '0.1',
        lotSz: '1',
        ctVal: '0.01',
        ctMult: '1',
        ctType: 'linear',
        uly: 'BTC-USD',
        instFamily: 'BTC-USD_UM',
        expTime: '',
        state: 'live',
      },
      {
        instType: 'FUTURES',
        instId: 'BTC-USD-241220',
        tickSz: '0.1',
        lotSz: '1',
        ctVal: '100',
        ctMult: '1',
        ctType: 'inverse',
        uly: 'BTC-USD',
        instFamily: 'BTC-USD',
        expTime: '1734681600000',
        state: 'suspend',
      },
      {
        instType: 'OPTION',
        instId: 'BTC-USD-241217-92000-C',
        tickSz: '0.0001',
        lotSz: '1',
        ctVal: '1',
        ctMult: '0.01',
        ctType: '',
        uly: 'BTC-USD',
        instFamily: 'BTC-USD',
        expTime: '1734422400000',
        stk: '92000',
        optType: 'C',
        state: 'live',
      },
      { instType: 'FUTURES', instId: 'BROKEN', uly: 'BTC-USD', expTime: 'soon' },
      { instType: 'MOON', instId: 'A-B' },
      'junk',
    ]

    it('reads every kind and leaves out margin, which repeats spot, and what it does not understand', () => {
      const list = okx.instruments.decode({ code: '0', msg: '', data: rows }, undefined)
      expect(list.map(({ name, market }) => [name, market])).to.deep.equal([
        ['BTC-USDT', 'SPOT'],
        ['BTC-USD-PERP', 'SWAP'],
        ['BTC-USD_UM-PERP', 'SWAP'],
        ['BTC-USD-241220', 'FUTURES'],
        ['BTC-USD-241217-92000-C', 'OPTION'],
      ])
      const [btcUsdt, inverse, linear, dated, option] = list
      expect(btcUsdt).to.include({
        tickSize: 0.1,
        priceDecimals: 1,
        lotSize: 1e-8,
        sizeDecimals: 8,
        contractSize: undefined,
      })
      expect(inverse).to.include({
        contractSize: 100,
        inverse: true,
        base: 'BTC',
        quote: 'USD',
        lotSize: 1,
        sizeDecimals: 0,
      })
      expect(linear).to.include({ contractSize: 0.01, inverse: false, quote: 'USD' })
      expect(dated).to.include({ expiryTimeUs: 1734681600000000, trading: false })
      expect(option).to.include({ contractSize: 0.01, kind: 'option' })
    })

    it('refuses an answer that is an error', () => {
      expect(() => okx.instruments.decode({ code: '50011', msg: 'Too Many Requests', data: [] }, 'SPOT')).to.throw(
        Fault,
      )
    })
  })

  it('reads REST answers that name their symbol, and ignores the others with a reason', () => {
    const rest = (data: unknown, code = '0') => JSON.stringify({ code, msg: '', data })
    const trade = { instId: 'BTC-USDT', side: 'sell', sz: '0.1', px: '102537.9', tradeId: '7', ts: '1747087163557' }
    expect(one(eventsOf(rest([trade])))).to.include({ kind: 'trade', history: true, id: '7' })
    const mark = { instType: 'SWAP', instId: 'BTC-USDT-SWAP', markPx: '84660.1', ts: '1744590349506' }
    expect(one(eventsOf(rest([mark])))).to.include({ kind: 'derivative', markPrice: 84660.1 })
    for (const text of [
      rest([]),
      rest([], '50011'),
      rest([['1', '2']]),
      rest([{ asks: [], bids: [], ts: '1' }]),
      rest([{ instId: 'A', tickSz: '1', lotSz: '1' }]),
      rest([{ ...trade, sprdId: 'A_B' }]),
      '[{"instId":"BTC-USD-250328-92000-C","delta":"0.5"}]',
    ]) {
      expect(routeOf(text), text).to.include({ to: 'ignored' })
    }
    expect(routeOf(rest([{ weather: 'fine' }]))).to.include({ to: 'unknown' })
  })

  describe('recordings', () => {
    it('gives the golden counts and books, with every checksum verified', function () {
      needsShared(this)
      expectGolden(replay(okx, 'okx.ws1.first60'), 'okx')
      expect(verifyChecksums(okx, 'okx.ws1.first60')).to.equal(readGolden('okx').checksum.checked)
    })

    it('names every recorded symbol from the REST answers of its time', function () {
      needsShared(this)
      const table = new InstrumentTable(
        readRecording('okx.rest').lines.flatMap(({ body }) => okx.instruments.decode(JSON.parse(body!), undefined)),
      )
      const names = ['BTC-USD-220527', 'BTC-USDT', 'UNI-USD-SWAP'].map((symbol) => table.symbol('SPOT', symbol)?.name)
      expect(names).to.deep.equal(['BTC-USD-220527', 'BTC-USDT', 'UNI-USD-PERP'])
    })

    it('reads or ignores with a reason every sample message of today', function () {
      needsShared(this)
      for (const { name, text } of currentFixtures('okx')) {
        const route = routeOf(text)
        expect(route.to, name).not.to.equal('unknown')
        if (route.to === 'channel') expect(eventsOf(text), name).not.to.have.length(0)
      }
    })
  })

  it('never fails otherwise than by a fault, whatever a frame holds', () => {
    survivesAnyJson(okx)
    survivesMutations(
      okx,
      [TRADE, SNAPSHOT, UPDATE, TICKER, CANDLE, FUNDING, LIQUIDATION, ACK].map((text) => JSON.parse(text) as unknown),
    )
  })
})
