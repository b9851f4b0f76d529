import { expect } from 'chai'
import { krakenChecksum } from '../../src/book/checksum'
import { Level2Book } from '../../src/book/level2Book'
import { kraken } from '../../src/exchanges/kraken'
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

const SNAPSHOT =
  '{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[{"price":78871.5,"qty":0.01266503},{"price":78868.4,"qty":0.00005100},{"price":78867.3,"qty":0.00059789},{"price":78865.8,"qty":0.00030000},{"price":78865.7,"qty":0.01532403},{"price":78864.5,"qty":0.00005100},{"price":78860.6,"qty":0.04618528},{"price":78860.5,"qty":0.00005100},{"price":78859.2,"qty":0.20128607},{"price":78858.8,"qty":0.63404462}],"asks":[{"price":78871.6,"qty":4.21103066},{"price":78872.2,"qty":0.41892437},{"price":78872.5,"qty":0.08877452},{"price":78873.7,"qty":0.64976822},{"price":78875.5,"qty":0.63391066},{"price":78876.2,"qty":0.02287157},{"price":78877.2,"qty":0.00810675},{"price":78877.8,"qty":0.65087492},{"price":78877.9,"qty":1.89408049},{"price":78878.0,"qty":4.52243185}],"checksum":1406471562,"timestamp":"2026-08-24T22:21:57.110183Z"}]}'
const UPDATE =
  '{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":78858.8,"qty":0.00000000},{"price":78857.0,"qty":0.34775324}],"asks":[],"checksum":2416540570,"timestamp":"2026-08-24T22:21:58.343688Z"}]}'
const ACK =
  '{"method":"subscribe","result":{"channel":"book","depth":10,"snapshot":true,"symbol":"BTC/USD"},"success":true,"time_in":"2026-08-24T22:21:56.724795Z","time_out":"2026-08-24T22:21:56.724853Z"}'
const UPDATE_V1_BOTH_SIDES =
  '[1920,{"a":[["0.042990","364630.28272081","1618678145.920470"]]},{"b":[["0.042990","0.00000000","1618678145.920708"]],"c":"4105471083"},"book-1000","SC/EUR"]'

const btcUsd = instrument(kraken, { symbol: 'BTC/USD', name: 'BTC-USD', base: 'BTC', quote: 'USD' })

function routeOf(text: string): Route {
  return kraken.route(parseWireJson(text, kraken), writerFor(kraken))
}

function eventsOf(text: string, writer = writerFor(kraken)): MarketEvent[] {
  return decodeFrame(kraken, text, writer).events
}

describe('kraken', () => {
  describe('books of v2', () => {
    it('keeps the digits of JSON numbers, so that the checksums of a real snapshot and update verify', () => {
      const book = new Level2Book()
      const snapshot = one(eventsOf(SNAPSHOT)) as BookChange
      book.snapshot(snapshot)
      expect(book.bids.texts(2)[1]).to.deep.equal(['78868.4', '0.00005100'])
      expect(krakenChecksum.compute(book)).to.equal(1406471562).and.to.equal(snapshot.checksum)
      const update = one(eventsOf(UPDATE)) as BookChange
      book.delta(update)
      expect(krakenChecksum.compute(book)).to.equal(2416540570).and.to.equal(update.checksum)
      expect(update).to.include({ kind: 'delta', exchangeTimeUs: Date.parse('2026-08-24T22:21:58Z') * 1_000 + 343_688 })
      expect(update.seq).to.equal(undefined)
    })

    it('takes the depth to cut to from the acknowledgement', () => {
      const writer = writerFor(kraken)
      eventsOf(ACK.replace('"depth":10', '"depth":25'), writer)
      expect(one(eventsOf(SNAPSHOT, writer))).to.include({ depth: 25 })
      expect(one(eventsOf(UPDATE, writer))).to.include({ depth: 25 })
    })

    it('infers the depth from the snapshot when no acknowledgement was seen, and is corrected by one', () => {
      const writer = writerFor(kraken)
      expect(one(eventsOf(UPDATE, writer)).depth).to.equal(undefined)
      expect(one(eventsOf(SNAPSHOT, writer))).to.include({ depth: 10 })
      expect(one(eventsOf(UPDATE, writer))).to.include({ depth: 10 })
      eventsOf(ACK.replace('"depth":10', '"depth":1000'), writer)
      expect(one(eventsOf(SNAPSHOT, writer))).to.include({ depth: 1_000 })
    })

    it('loses levels that are pushed beyond the depth, which the exchange never removes', () => {
      const writer = writerFor(kraken)
      eventsOf(ACK, writer)
      const book = new Level2Book()
      book.snapshot(one(eventsOf(SNAPSHOT, writer)) as BookChange)
      const better = UPDATE.replace('{"price":78858.8,"qty":0.00000000},{"price":78857.0', '{"price":78871.55')
      book.delta(one(eventsOf(better, writer)) as BookChange)
      expect(book.bids.length).to.equal(10)
      expect(book.bids.top(1)).to.deep.equal([[78871.55, 0.34775324]])
      expect(book.bids.top(10).at(-1)).to.deep.equal([78859.2, 0.20128607])
    })

    it('applies several changes of one price in the order given', () => {
      const twice = UPDATE.replace('"price":78857.0,"qty":0.34775324', '"price":78858.8,"qty":0.5')
      const book = new Level2Book()
      book.snapshot(one(eventsOf(SNAPSHOT)) as BookChange)
      book.delta(one(eventsOf(twice)) as BookChange)
      expect(book.bids.top(10).at(-1)).to.deep.equal([78858.8, 0.5])
    })

    it('remembers the depths of no more than ten thousand symbols', () => {
      const writer = writerFor(kraken)
      for (let index = 0; index < 10_050; index++) eventsOf(ACK.replace('BTC/USD', `X${index}/USD`), writer)
      expect([...writer.memory.values()].map((value) => (value as Map<string, unknown>).size)).to.deep.equal([10_000])
    })

    it('refuses a type that is neither snapshot nor update', () => {
      expect(() => eventsOf(UPDATE.replace('"update"', '"patch"'))).to.throw(Fault)
    })

    it('names the symbol in the route, so that a broken frame costs one book', () => {
      const broken = UPDATE.replace('0.34775324', '"many"')
      expect(routeOf(broken)).to.include({ to: 'channel', channel: 'book', symbol: 'BTC/USD' })
      expect(() => eventsOf(broken))
        .to.throw(Fault)
        .with.property('code', 'VALUE_INVALID')
    })
  })

  describe('books of v1', () => {
    it('reads a change of both sides as one delta with the checksum of the last part', () => {
      const delta = one(eventsOf(UPDATE_V1_BOTH_SIDES))
      expect(delta).to.include({
        kind: 'delta',
        symbol: 'SC/EUR',
        depth: 1_000,
        checksum: 4105471083,
        exchangeTimeUs: 1618678145920708,
      })
      expect(delta.asks).to.deep.equal([[0.04299, 364630.28272081]])
      expect(delta.bids).to.deep.equal([[0.04299, 0]])
    })

    it('reads republished levels, whose fourth element is r', () => {
      const text = '[1,{"b":[["0.5","2.0","1618678137.640504","r"]],"c":"1"},"book-10","ADA/XBT"]'
      expect(one(eventsOf(text)).bids).to.deep.equal([[0.5, 2]])
    })

    it('reads a snapshot, which has no checksum', () => {
      const text =
        '[1,{"as":[["0.6","1.0","1618678130.000001"]],"bs":[["0.5","2.0","1618678137.640504"]]},"book-25","ADA/XBT"]'
      const snapshot = one(eventsOf(text))
      expect(snapshot).to.include({ kind: 'snapshot', depth: 25, exchangeTimeUs: 1618678137640504 })
      expect(snapshot.checksum).to.equal(undefined)
    })

    it('reads an empty snapshot', () => {
      const snapshot = one(eventsOf('[1,{"as":[],"bs":[]},"book-10","ADA/XBT"]'))
      expect(snapshot).to.include({ kind: 'snapshot', symbol: 'ADA/XBT' })
      expect(snapshot.exchangeTimeUs).to.equal(undefined)
    })
  })

  describe('trades', () => {
    const rows =
      '"data":[{"symbol":"BTC/USD","side":"buy","price":105944.20,"qty":0.00027625,"ord_type":"limit","trade_id":10218208,"timestamp":"2023-10-06T17:35:55.440295Z"},{"symbol":"BTC/USD","side":"sell","price":105910.50,"qty":0.00012460,"ord_type":"market","trade_id":10218209,"timestamp":"2023-10-06T17:35:56.123456Z"}]'

    it('reads v2 updates as new trades and v2 snapshots as history', () => {
      const updates = eventsOf(`{"channel":"trade","type":"update",${rows}}`)
      expect(updates).to.have.length(2)
      expect(updates[1]).to.include({ id: '10218209', side: 'sell', price: 105910.5, size: 0.0001246, history: false })
      expect(updates[1]).to.include({ priceDecimals: 2, sizeDecimals: 8, exchangeTimeUs: 1696613756123456 })
      const history = eventsOf(`{"channel":"trade","type":"snapshot",${rows}}`)
      expect(history.map((event) => event.kind === 'trade' && event.history)).to.deep.equal([true, true])
    })

    it('reads v1 trades, which have no id', () => {
      const trade = one(
        eventsOf(
          '[1921,[["0.043030","1081.72663000","1618678157.908269","b","l",""],["0.043020","1.0","1618678157.908270","s","m",""]],"trade","SC/EUR"]',
        ).slice(0, 1),
      )
      expect(trade).to.include({ symbol: 'SC/EUR', side: 'buy', price: 0.04303, exchangeTimeUs: 1618678157908269 })
      expect(trade.id).to.equal(undefined)
    })

    it('refuses a side that is none', () => {
      expect(() => eventsOf(`{"channel":"trade","type":"update",${rows.replace('"sell"', '"both"')}}`)).to.throw(Fault)
    })
  })

  describe('tickers and candles', () => {
    it('reads a v2 ticker and takes a side of 0 for a missing one', () => {
      const text =
        '{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":105944.20,"bid_qty":2.5,"ask":0,"ask_qty":0,"last":105899.40,"timestamp":"2022-12-25T09:30:59.123456Z"}]}'
      const ticker = one(eventsOf(text))
      expect(ticker).to.include({ bidPrice: 105944.2, bidSize: 2.5, lastPrice: 105899.4 })
      expect([ticker.askPrice, ticker.askSize]).to.deep.equal([undefined, undefined])
    })

    it('reads v1 tickers and spreads', () => {
      const ticker =
        '[1844,{"a":["9.608415",188,"188.00000000"],"b":["9.590799",136,"136.81110241"],"c":["9.608415","12.00000000"],"v":["206721.01544724","430490.17781308"],"p":["9.830615","9.979412"],"t":[2048,4148],"l":["9.320000","9.320000"],"h":["10.387727","10.657417"],"o":["10.181544","9.850589"]},"ticker","OMG/USD"]'
      expect(one(eventsOf(ticker))).to.include({
        bidPrice: 9.590799,
        bidSize: 136.81110241,
        askPrice: 9.608415,
        askSize: 188,
        lastPrice: 9.608415,
      })
      const spread = '[0,["5698.40000","5700.00000","1542057299.545897","1.01234567","0.98765432"],"spread","XBT/USD"]'
      expect(one(eventsOf(spread))).to.include({
        bidPrice: 5698.4,
        bidSize: 1.01234567,
        askPrice: 5700,
        askSize: 0.98765432,
        exchangeTimeUs: 1542057299545897,
      })
    })

    it('reads candles of both versions, never closed', () => {
      const v2 =
        '{"channel":"ohlc","type":"update","data":[{"symbol":"BTC/USD","interval":5,"interval_begin":"2023-10-04T16:25:00.000000000Z","open":106038.2,"high":106044.3,"low":106038.1,"close":106040.1,"volume":30927.68066226,"vwap":106039.6,"trades":12}]}'
      expect(one(eventsOf(v2))).to.include({
        openTimeUs: Date.parse('2023-10-04T16:25:00Z') * 1_000,
        intervalUs: 300_000_000,
        open: 106038.2,
        volume: 30927.68066226,
        closed: false,
      })
      const v1 =
        '[42,["1542057314.748456","1542057360.435743","3586.70000","3586.70000","3586.60000","3586.60000","3586.68894","0.03373000",2],"ohlc-5","XBT/USD"]'
      expect(one(eventsOf(v1))).to.include({
        openTimeUs: 1542057060435743,
        intervalUs: 300_000_000,
        close: 3586.6,
        volume: 0.03373,
        closed: false,
      })
    })

    it('refuses an interval that is none', () => {
      const text =
        '{"channel":"ohlc","type":"update","data":[{"symbol":"BTC/USD","interval":0,"interval_begin":"2023-10-04T16:25:00Z","open":1,"high":1,"low":1,"close":1,"volume":1}]}'
      expect(() => eventsOf(text)).to.throw(Fault)
    })
  })

  describe('control frames', () => {
    it('knows signs of life of both versions', () => {
      for (const text of [
        '{"channel":"heartbeat"}',
        '{"event":"heartbeat"}',
        '{"event":"pong","reqid":1}',
        '{"method":"pong","req_id":101,"time_in":"2023-09-25T09:05:00.123456Z","time_out":"2023-09-25T09:05:00.123500Z"}',
      ]) {
        expect(routeOf(text), text).to.deep.equal({ to: 'heartbeat' })
      }
    })

    it('reads acknowledgements of both versions with the topic they are for', () => {
      expect(routeOf(ACK)).to.deep.equal({ to: 'ack', id: undefined, keys: ['book-10 BTC/USD'] })
      const [topic] = kraken.channels.book!.topics(btcUsd, { depth: 10, intervalMs: 60_000 })!
      expect(topic!.key).to.equal('book-10 BTC/USD')
      expect(
        routeOf(
          '{"method":"subscribe","result":{"channel":"ohlc","interval":15,"snapshot":true,"symbol":"BTC/USD"},"success":true,"req_id":9}',
        ),
      ).to.deep.equal({ to: 'ack', id: 9, keys: ['ohlc-15 BTC/USD'] })
      expect(
        routeOf(
          '{"channelID":992,"channelName":"book-1000","event":"subscriptionStatus","pair":"XMR/USD","status":"subscribed","subscription":{"depth":1000,"name":"book"}}',
        ),
      ).to.deep.equal({ to: 'ack', id: undefined, keys: ['book-1000 XMR/USD'] })
    })

    it("reads refusals of both versions with the exchange's words", () => {
      expect(
        routeOf(
          '{"error":"Currency pair not supported XBT/USD","method":"subscribe","req_id":7,"success":false,"symbol":"XBT/USD"}',
        ),
      ).to.deep.equal({ to: 'refused', id: 7, keys: [], reason: 'Currency pair not supported XBT/USD (XBT/USD)' })
      expect(
        routeOf(
          '{"errorMessage":"Currency pair not supported XBT/XYZ","event":"subscriptionStatus","pair":"XBT/XYZ","status":"error","subscription":{"depth":25,"name":"book"}}',
        ),
      ).to.deep.equal({
        to: 'refused',
        id: undefined,
        keys: ['book-25 XBT/XYZ'],
        reason: 'Currency pair not supported XBT/XYZ',
      })
      expect(routeOf('{"error":"Malformed request","success":false}')).to.include({ to: 'refused' })
      expect(routeOf('{"event":"error","errorMessage":"Malformed request"}')).to.include({ to: 'refused' })
    })

    it('does not take an answer to unsubscribing for an acknowledgement', () => {
      const text = ACK.replace('"method":"subscribe"', '"method":"unsubscribe"')
      expect(routeOf(text)).to.include({ to: 'ignored' })
      expect(routeOf('{"method":"unsubscribe","success":false,"error":"Subscription Not Found"}')).to.include({
        to: 'ignored',
      })
    })

    it('ignores with a reason what it does not use, and says of the rest that it is unknown', () => {
      for (const channel of ['status', 'instrument', 'level3']) {
        const route = routeOf(`{"channel":"${channel}","type":"update","data":[]}`)
        expect(route).to.include({ to: 'ignored' })
        expect((route as { reason: string }).reason).to.contain(channel)
      }
      for (const text of ['{"channel":"weather"}', '[1,2,3]', '[1,{},"weather","BTC/USD"]', '{}', '5', 'null']) {
        expect(routeOf(text), text).to.include({ to: 'unknown' })
      }
    })
  })

  describe('requests', () => {
    const options = { depth: undefined, intervalMs: 60_000 }

    it('subscribes to one channel, with the smallest depth that is enough', () => {
      const depths = [undefined, 1, 10, 11, 100, 400, 5_000].map((depth) => {
        const [topic] = kraken.channels.book!.topics(btcUsd, { ...options, depth })!
        return (JSON.parse(kraken.subscribe([topic!], 3)) as { params: { depth: number } }).params.depth
      })
      expect(depths).to.deep.equal([100, 10, 10, 25, 100, 500, 1_000])
      const [trades] = kraken.channels.trades!.topics(btcUsd, options)!
      expect(JSON.parse(kraken.subscribe([trades!], 3))).to.deep.equal({
        method: 'subscribe',
        params: { channel: 'trade', symbol: ['BTC/USD'], snapshot: false },
        req_id: 3,
      })
      const [book] = kraken.channels.book!.topics(btcUsd, { ...options, depth: 10 })!
      expect(JSON.parse(kraken.unsubscribe([book!], 4))).to.deep.equal({
        method: 'unsubscribe',
        params: { channel: 'book', symbol: ['BTC/USD'], depth: 10 },
        req_id: 4,
      })
    })

    it('asks for every change of the best prices', () => {
      const [ticker] = kraken.channels.ticker!.topics(btcUsd, options)!
      expect(kraken.subscribe([ticker!], 1)).to.contain('"event_trigger":"bbo"')
    })

    it('spells v1 symbols as v2 wants them', () => {
      const [topic] = kraken.channels.trades!.topics({ ...btcUsd, symbol: 'XBT/USD' }, options)!
      expect(topic).to.include({ symbol: 'BTC/USD', key: 'trade BTC/USD', endpoint: 'v2' })
    })

    it('refuses to mix channels in one request, and intervals that are not offered', () => {
      const [trades] = kraken.channels.trades!.topics(btcUsd, options)!
      const [ticker] = kraken.channels.ticker!.topics(btcUsd, options)!
      expect(() => kraken.subscribe([trades!, ticker!], 1)).to.throw(Fault)
      expect(() => kraken.channels.candles!.topics(btcUsd, { ...options, intervalMs: 120_000 }))
        .to.throw(Fault)
        .with.property('code', 'OPTION_INVALID')
    })

    it('tells the version of a recorded address', () => {
      expect(kraken.endpointOf('wss://ws.kraken.com')).to.equal('v1')
      expect(kraken.endpointOf('wss://ws.kraken.com/')).to.equal('v1')
      expect(kraken.endpointOf('wss://beta-ws.kraken.com/v2')).to.equal('v2')
      expect(kraken.endpointOf('ws://127.0.0.1:40001/v2')).to.equal('v2')
      expect(kraken.endpointOf('')).to.equal('v2')
    })
  })

  describe('instruments', () => {
    const body = {
      error: [],
      result: {
        XXBTZUSD: {
          altname: 'XBTUSD',
          wsname: 'XBT/USD',
          pair_decimals: 1,
          lot_decimals: 8,
          tick_size: '0.1',
          status: 'online',
        },
        XDGEUR: { altname: 'XDGEUR', wsname: 'XDG/EUR', pair_decimals: 7, lot_decimals: 8, status: 'cancel_only' },
        'XETHXXBT.d': { altname: 'ETHXBT.d', pair_decimals: 6, lot_decimals: 8 },
        BROKEN: { wsname: 'A/B', pair_decimals: 'many', lot_decimals: 8 },
        ADAEUR: { altname: 'ADAEUR', wsname: 'ADA/EUR', pair_decimals: 6, lot_decimals: 8 },
      },
    }

    it('lists each pair under the names of both versions, with the common currency names', () => {
      const table = new InstrumentTable(kraken.instruments.decode(body, undefined))
      expect([...table].map(({ symbol }) => symbol)).to.deep.equal([
        'BTC/USD',
        'XBT/USD',
        'DOGE/EUR',
        'XDG/EUR',
        'ADA/EUR',
      ])
      expect(table.symbol('spot', 'XBT/USD')).to.include({
        name: 'BTC-USD',
        base: 'BTC',
        tickSize: 0.1,
        priceDecimals: 1,
      })
      expect(table.find('BTC-USD')).to.include({ symbol: 'BTC/USD', lotSize: 1e-8, sizeDecimals: 8, trading: true })
      expect(table.find('DOGE-EUR')).to.include({ tickSize: 1e-7, trading: false })
    })

    it('refuses an answer that reports an error', () => {
      expect(() => kraken.instruments.decode({ error: ['EGeneral:Too many requests'] }, undefined)).to.throw(Fault)
      expect(() => kraken.instruments.decode('<html>', undefined)).to.throw(Fault)
    })
  })

  describe('REST answers met as frames', () => {
    it('reads trades as history, books as snapshots and tickers, under the name the answer gives', () => {
      const trades = eventsOf(
        '{"error":[],"result":{"XBTUSDT":[["105433.60000","0.00027625",1762795433.9717445,"b","l","",10218208]],"last":"1762795433971744500"}}',
      )
      expect(one(trades)).to.include({
        symbol: 'XBTUSDT',
        id: '10218208',
        history: true,
        exchangeTimeUs: 1762795433971744,
      })
      const book = eventsOf(
        '{"error":[],"result":{"XBTUSDT":{"asks":[["105944.30000","0.136",1762820248]],"bids":[["105944.20000","0.002",1762820233]]}}}',
      )
      expect(one(book)).to.include({ kind: 'snapshot', symbol: 'XBTUSDT' })
    })

    it('ignores with a reason what cannot be read alone', () => {
      const reasons = [
        '{"error":["EQuery:Unknown asset pair"]}',
        '{"error":[],"result":{"XBTUSDT":[[1762777020,"1","1","1","1","0.0","0.0",0]],"last":1}}',
        '{"error":[],"result":{"status":"online","timestamp":"2025-11-11T00:17:10Z"}}',
        '{"error":[],"result":{}}',
      ].map((text) => {
        const route = routeOf(text)
        expect(route.to, text).to.equal('ignored')
        return (route as { reason: string }).reason
      })
      expect(new Set(reasons).size).to.equal(4)
    })
  })

  describe('recordings', () => {
    it('gives the golden counts and books of v2', function () {
      needsShared(this)
      expectGolden(replay(kraken, 'kraken.v2-btcusd-20260824'), 'kraken.v2-btcusd-20260824')
      expect(verifyChecksums(kraken, 'kraken.v2-btcusd-20260824')).to.equal(4)
    })

    it('gives the golden counts and books of v1, with every checksum verified', function () {
      needsShared(this)
      const { totals, checksum } = readGolden('kraken')
      expect(replay(kraken, 'kraken.ws48').counts.get('trade')).to.equal(totals.trades)
      expect(replay(kraken, 'kraken.ws49').counts.get('ticker')).to.equal(totals.tickers)
      const books = replay(kraken, 'kraken.ws50.first60')
      books.counts.set('trade', totals.trades!).set('ticker', totals.tickers!)
      expectGolden(books, 'kraken')
      expect(verifyChecksums(kraken, 'kraken.ws50.first60')).to.equal(checksum.checked)
    })

    it('notices by the next checksum that a change of the ten best levels was lost', () => {
      const book = new Level2Book()
      book.snapshot(one(eventsOf(SNAPSHOT)) as BookChange)
      const next = UPDATE.replace(/"bids":.*?\]/, '"bids":[{"price":78859.2,"qty":0.01378631}]')
      const after = one(eventsOf(next.replace('2416540570', '2136263304'))) as BookChange
      book.delta(after)
      expect(krakenChecksum.compute(book)).not.to.equal(after.checksum)
      const whole = new Level2Book()
      for (const frame of [SNAPSHOT, UPDATE]) whole.delta(one(eventsOf(frame)) as BookChange)
      whole.delta(after)
      expect(krakenChecksum.compute(whole)).to.equal(after.checksum)
    })

    it('names every recorded symbol from the REST answer of its time', function () {
      needsShared(this)
      const { lines } = readRecording('kraken.rest')
      const table = new InstrumentTable(kraken.instruments.decode(JSON.parse(lines[0]!.body!), undefined))
      for (const [symbol, { normalized }] of Object.entries(readGolden('kraken').symbols)) {
        expect(table.symbol('spot', symbol)?.name).to.equal(normalized)
      }
    })

    it('reads or ignores with a reason every sample message of today', function () {
      needsShared(this)
      for (const { name, text } of currentFixtures('kraken')) {
        const route = routeOf(text)
        expect(route.to, name).not.to.equal('unknown')
        if (route.to === 'channel') expect(eventsOf(text), name).not.to.have.length(0)
      }
    })
  })

  it('never fails otherwise than by a fault, whatever a frame holds', () => {
    survivesAnyJson(kraken)
    survivesMutations(
      kraken,
      [SNAPSHOT, UPDATE, ACK, UPDATE_V1_BOTH_SIDES].map((text) => JSON.parse(text) as unknown),
    )
  })
})
