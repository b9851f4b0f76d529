import { expect } from 'chai'
import { coinbase } from '../../src/exchanges/coinbase'
import type { Route } from '../../src/exchanges/protocol'
import { parseWireJson } from '../../src/model/codec/wireJson'
import type { MarketEvent } from '../../src/model/events'
import { Fault } from '../../src/model/fault'
import { InstrumentTable } from '../../src/model/instrument'
import { decodeFrame, instrument, replay, writerFor } from '../kit/decoding'
import { expectGolden } from '../kit/goldenReplay'
import { survivesAnyJson, survivesMutations } from '../kit/hostile'
import { one } from '../kit/one'
import { needsShared, readGolden, readRecording } from '../kit/shared'

const MATCH =
  '{"type":"match","trade_id":82008,"maker_order_id":"f71dd5c4-b316-4869-83db-ff328a7379a6","taker_order_id":"d30ea30a-c805-4f05-ba7e-28020dfc52b3","side":"sell","size":"335","price":"0.5762","product_id":"SKL-GBP","sequence":27883501,"time":"2021-04-17T16:43:37.270697Z"}'
const SNAPSHOT =
  '{"type":"snapshot","product_id":"SKL-GBP","asks":[["0.5762","2865.9"],["0.5767","6327.2"]],"bids":[["0.5752","335.1"]]}'
const UPDATE =
  '{"type":"l2update","product_id":"SKL-USD","changes":[["buy","0.7885","0.0"],["sell","0.7901","12.5"],["buy","0.7884","3"]],"time":"2021-04-17T16:43:37.077621Z"}'
const TICKER =
  '{"type":"ticker","sequence":27883501,"product_id":"SKL-GBP","price":"0.5762","open_24h":"0.5102","volume_24h":"3480196.10000000","low_24h":"0.5","high_24h":"0.588","volume_30d":"76124009.10000000","best_bid":"0.5742","best_ask":"0.5771","side":"buy","time":"2021-04-17T16:43:37.270697Z","trade_id":82008,"last_size":"335"}'
const ACK =
  '{"type":"subscriptions","channels":[{"name":"level2","product_ids":["SKL-USD","SKL-GBP"]},{"name":"ticker","product_ids":["SKL-USD"]}]}'
const REFUSAL =
  '{"type":"error","message":"Failed to subscribe","reason":"level2, level3, and full channels now require authentication."}'

function routeOf(text: string): Route {
  return coinbase.route(parseWireJson(text, coinbase), writerFor(coinbase))
}

function eventsOf(text: string, writer = writerFor(coinbase)): MarketEvent[] {
  return decodeFrame(coinbase, text, writer).events
}

const btcUsd = instrument(coinbase, { symbol: 'BTC-USD', name: 'BTC-USD', quote: 'USD' })
const ethUsd = instrument(coinbase, { symbol: 'ETH-USD', name: 'ETH-USD', base: 'ETH', quote: 'USD' })
const options = { depth: undefined, intervalMs: 60_000 }

describe('coinbase', () => {
  describe('trades', () => {
    it("turns the maker's side into the aggressor's", () => {
      expect(one(eventsOf(MATCH))).to.include({
        kind: 'trade',
        symbol: 'SKL-GBP',
        id: '82008',
        side: 'buy',
        price: 0.5762,
        size: 335,
        exchangeTimeUs: 1618677817270697,
        history: false,
      })
      expect(one(eventsOf(MATCH.replace('"sell"', '"buy"')))).to.include({ side: 'sell' })
      expect(() => eventsOf(MATCH.replace('"sell"', '"both"'))).to.throw(Fault)
    })

    it('takes last_match for history', () => {
      expect(one(eventsOf(MATCH.replace('"match"', '"last_match"')))).to.include({ history: true })
    })
  })

  describe('books', () => {
    it('reads a snapshot and an update, whose buy changes are bids', () => {
      expect(one(eventsOf(SNAPSHOT))).to.deep.include({
        kind: 'snapshot',
        bids: [[0.5752, 335.1]],
        asks: [
          [0.5762, 2865.9],
          [0.5767, 6327.2],
        ],
        exchangeTimeUs: undefined,
        seq: undefined,
      })
      expect(one(eventsOf(UPDATE))).to.deep.include({
        kind: 'delta',
        symbol: 'SKL-USD',
        bids: [
          [0.7885, 0],
          [0.7884, 3],
        ],
        asks: [[0.7901, 12.5]],
        exchangeTimeUs: 1618677817077621,
      })
    })

    it('applies an update whose time is the year 1, or before 1970, without a time', () => {
      for (const time of ['0001-01-01T00:00:00.000000Z', '1969-12-31T23:59:59.999999Z']) {
        const delta = one(eventsOf(UPDATE.replace('2021-04-17T16:43:37.077621Z', time)))
        expect(delta).to.include({ kind: 'delta', exchangeTimeUs: undefined })
        expect(delta.bids).to.have.length(2)
      }
    })

    it('leaves out and counts levels of a snapshot whose size is negative or no number', () => {
      const writer = writerFor(coinbase)
      const dirty = SNAPSHOT.replace('["0.5767","6327.2"]', '["0.5767","-1"],["0.5768","NaN"],["0.5769",null]')
      expect(one(eventsOf(dirty, writer)).asks).to.deep.equal([[0.5762, 2865.9]])
      expect(writer.counts.skippedRows).to.equal(3)
    })

    it('refuses such a size in an update, and a side that is none', () => {
      expect(() => eventsOf(UPDATE.replace('"12.5"', '"-12.5"'))).to.throw(Fault)
      expect(() => eventsOf(UPDATE.replace('"sell"', '"ask"'))).to.throw(Fault)
    })

    it('names the symbol in the route, so that a broken frame costs one book', () => {
      expect(routeOf(UPDATE.replace('"0.7885"', '{}'))).to.include({
        to: 'channel',
        channel: 'book',
        symbol: 'SKL-USD',
      })
    })
  })

  it('reads tickers with and without sizes and time', () => {
    const ticker = one(eventsOf(TICKER))
    expect(ticker).to.include({ bidPrice: 0.5742, bidSize: undefined, askPrice: 0.5771, lastPrice: 0.5762 })
    const sized = TICKER.replace('"best_ask":', '"best_bid_size":"7.5","best_ask":').replace(
      '"time":"2021-04-17T16:43:37.270697Z",',
      '',
    )
    expect(one(eventsOf(sized))).to.include({ bidSize: 7.5, exchangeTimeUs: undefined })
  })

  describe('control frames', () => {
    it('reads the list of all subscriptions, whatever name the book goes by in it', () => {
      expect(routeOf(ACK)).to.deep.equal({
        to: 'ack',
        id: undefined,
        keys: ['level2_batch:SKL-USD', 'level2_batch:SKL-GBP', 'ticker:SKL-USD'],
      })
      expect(routeOf(ACK.replace('"level2"', '"level2_50"'))).to.deep.equal(routeOf(ACK))
      expect(coinbase.channels.book!.topics(btcUsd, options)![0]!.key).to.equal('level2_batch:BTC-USD')
    })

    it("reads refusals with the exchange's words, and heartbeats", () => {
      expect(routeOf(REFUSAL)).to.deep.equal({
        to: 'refused',
        id: undefined,
        keys: [],
        reason: 'Failed to subscribe: level2, level3, and full channels now require authentication.',
      })
      expect(routeOf('{"type":"error"}')).to.include({ reason: 'an error without a reason' })
      expect(
        routeOf(
          '{"type":"heartbeat","sequence":90,"last_trade_id":20,"product_id":"BTC-USD","time":"2014-11-07T08:19:28.464459Z"}',
        ),
      ).to.deep.equal({ to: 'heartbeat' })
    })

    it('ignores with a reason what it does not use, and says of the rest that it is unknown', () => {
      for (const text of [
        '{"type":"status","products":[],"currencies":[]}',
        '{"type":"received","product_id":"BTC-USD"}',
        '["open","BTC-USD",1]',
        '[{"id":"BTC-USD","base_currency":"BTC"}]',
        '[{"trade_id":1,"price":"1"}]',
        '[[1618677780,1,2,1,2,3.5]]',
        '{"bids":[],"asks":[],"sequence":1}',
        '{"trade_id":1,"bid":"1","ask":"2"}',
        '{"message":"NotFound"}',
      ]) {
        expect(routeOf(text), text).to.include({ to: 'ignored' })
      }
      for (const text of ['{"type":"weather"}', '{}', '[]', '1', 'null', '["rain"]']) {
        expect(routeOf(text), text).to.include({ to: 'unknown' })
      }
    })
  })

  describe('requests', () => {
    it('groups products by channel, with one heartbeat as the sign of life', () => {
      const topics = [
        ...coinbase.channels.book!.topics(btcUsd, options)!,
        ...coinbase.channels.trades!.topics(btcUsd, options)!,
        ...coinbase.channels.book!.topics(ethUsd, options)!,
      ]
      expect(JSON.parse(coinbase.subscribe(topics, 1))).to.deep.equal({
        type: 'subscribe',
        channels: [
          { name: 'level2_batch', product_ids: ['BTC-USD', 'ETH-USD'] },
          { name: 'matches', product_ids: ['BTC-USD'] },
          { name: 'heartbeat', product_ids: ['BTC-USD'] },
        ],
      })
      expect(JSON.parse(coinbase.unsubscribe(topics.slice(2), 2))).to.deep.equal({
        type: 'unsubscribe',
        channels: [{ name: 'level2_batch', product_ids: ['ETH-USD'] }],
      })
    })

    it('recognises every address, the old ones too', () => {
      expect(coinbase.endpointOf('wss://ws-feed.pro.coinbase.com')).to.equal('feed')
    })
  })

  it('reads instruments and leaves out what it does not understand', () => {
    const list = coinbase.instruments.decode(
      [
        {
          id: 'BTC-USD',
          base_currency: 'BTC',
          quote_currency: 'USD',
          quote_increment: '0.01000000',
          base_increment: '0.00000001',
          status: 'online',
          trading_disabled: false,
        },
        {
          id: 'OLD-USD',
          base_currency: 'OLD',
          quote_currency: 'USD',
          quote_increment: '0.001',
          base_increment: '1',
          status: 'delisted',
        },
        { id: 'BROKEN' },
        7,
      ],
      undefined,
    )
    expect(list).to.have.length(2)
    expect(list[0]).to.include({
      name: 'BTC-USD',
      tickSize: 0.01,
      priceDecimals: 2,
      lotSize: 1e-8,
      sizeDecimals: 8,
      trading: true,
    })
    expect(list[1]).to.include({ sizeDecimals: 0, trading: false })
    expect(() => coinbase.instruments.decode({ message: 'rate limit' }, undefined)).to.throw(Fault)
  })

  describe('recordings', () => {
    it('gives the golden counts and books', function () {
      needsShared(this)
      expectGolden(replay(coinbase, 'coinbase.ws28.first60'), 'coinbase')
    })

    it('names every recorded symbol from the REST answer of its time', function () {
      needsShared(this)
      const [line] = readRecording('coinbase.rest').lines
      const table = new InstrumentTable(coinbase.instruments.decode(JSON.parse(line!.body!), undefined))
      for (const [symbol, { normalized }] of Object.entries(readGolden('coinbase').symbols)) {
        expect(table.symbol('spot', symbol)?.name).to.equal(normalized)
      }
    })
  })

  it('never fails otherwise than by a fault, whatever a frame holds', () => {
    survivesAnyJson(coinbase)
    survivesMutations(
      coinbase,
      [MATCH, SNAPSHOT, UPDATE, TICKER, ACK, REFUSAL].map((text) => JSON.parse(text) as unknown),
    )
  })
})
