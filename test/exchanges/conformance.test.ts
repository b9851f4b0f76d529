/**
 * What every exchange owes, by its description alone. A description that is listed without documented frames fails here.
 */
import { expect } from 'chai'
import { readdirSync } from 'node:fs'
import { EXCHANGES } from '../../src/exchanges/exchanges'
import { CHANNELS, type ChannelName, type ExchangeProtocol, type Topic } from '../../src/exchanges/protocol'
import type { MarketEvent } from '../../src/model/events'
import { Fault } from '../../src/model/fault'
import type { Instrument, InstrumentKind } from '../../src/model/instrument'
import { decodeFrame, instrument, writerFor } from '../kit/decoding'
import { survivesAnyJson, survivesMutations } from '../kit/hostile'
import { currentFixtures, hasShared, needsShared, readRecording, sharedPath } from '../kit/shared'
import { DOCUMENTED, type DocumentedExchange } from './documentedFrames'

describe('every exchange', () => {
  it('has documented frames, and every set of them an exchange', () => {
    expect([...DOCUMENTED.keys()].sort()).to.deep.equal([...EXCHANGES.keys()].sort())
  })

  for (const [id, exchange] of EXCHANGES) {
    const documented = DOCUMENTED.get(id)
    if (documented === undefined) continue
    describe(id, () => conforms(exchange, documented))
  }
})

function conforms(exchange: ExchangeProtocol, documented: DocumentedExchange): void {
  const channels = CHANNELS.filter((name) => exchange.channels[name] !== undefined)
  const frames = channels.flatMap((name) => documented.frames[name] ?? [])

  it('describes itself completely', () => {
    expect(exchange.docs).to.match(/^https:\/\//)
    expect(exchange.hosts.ws).to.match(/^wss:\/\/[^/]+$/)
    expect(exchange.hosts.rest).to.match(/^https:\/\/[^/]+$/)
    expect(exchange.title).not.to.equal('')
    expect(exchange.markets).not.to.have.length(0)
    expect(exchange.book.verified).not.to.equal('')
    expect(exchange.instruments.requests).not.to.have.length(0)
    for (const { path, market } of exchange.instruments.requests) {
      expect(path).to.match(/^\//)
      expect(exchange.markets).to.include(market)
    }
    for (const { path } of Object.values(exchange.endpoints)) expect(path).to.match(/^(?:\/|$)/)
    expect(exchange.book.snapshot === undefined).to.equal(exchange.book.sequencing.snapshot === 'stream')
  })

  it('declares a connection dead only after its heartbeat has had time', () => {
    expect(exchange.idleMsMax).to.be.above(exchange.heartbeat?.everyMs ?? 0)
    expect(exchange.idleMsMax).to.be.at.most(600_000)
  })

  it('names an endpoint of its own for any address', () => {
    for (const url of [exchange.hosts.ws, 'ws://127.0.0.1:40001/', '', 'nonsense', 'wss://example.org/a?b=c']) {
      expect(exchange.endpoints, url).to.have.property(exchange.endpointOf(url))
    }
    for (const [name, { path, market }] of Object.entries(exchange.endpoints)) {
      const recognised = exchange.endpointOf(exchange.hosts.ws + path)
      expect(exchange.endpoints[recognised]!.market, name).to.equal(market)
    }
  })

  it('has a documented frame for every channel, and reads it as events of that channel', () => {
    expect(Object.keys(documented.frames).sort()).to.deep.equal([...channels].sort())
    for (const name of channels) {
      const writer = writerFor(exchange)
      const events = documented.frames[name]!.flatMap((frame) => decodeFrame(exchange, frame, writer).events)
      expect(events.length, name).to.be.above(0)
      const kinds = new Set(events.map(({ kind }) => kind))
      for (const kind of kinds) expect(KINDS_OF[name], name).to.include(kind)
      expect(
        KINDS_OF[name].some((kind) => kinds.has(kind)),
        name,
      ).to.equal(true)
      events.forEach(expectWellFormed)
    }
  })

  it('names the symbol of a book frame in its route, so that one that cannot be read costs that book', () => {
    for (const frame of documented.frames.book!) {
      const { route, events } = decodeFrame(exchange, frame)
      expect(route).to.include({ to: 'channel', channel: 'book', symbol: events[0]!.symbol })
    }
  })

  it('reads the same frames twice to the same events', () => {
    expect(eventsOf(exchange, frames)).to.deep.equal(eventsOf(exchange, frames))
  })

  it('passes over fields that it does not know', () => {
    const extended = frames.map((frame) => frame.replaceAll('{', '{"not documented":{"a":[1,null]},'))
    expect(eventsOf(exchange, extended)).to.deep.equal(eventsOf(exchange, frames))
  })

  it('routes acknowledgements, refusals and signs of life where they belong', () => {
    for (const [to, frame] of documented.control) {
      const { route } = decodeFrame(exchange, frame)
      expect(route.to, frame).to.equal(to)
      if (route.to === 'refused') expect(route.reason, frame).not.to.equal('')
    }
    const routes = new Set(documented.control.map(([to]) => to))
    expect(routes).to.include('ack').and.to.include('refused')
  })

  it('answers a truncated frame with a fault, or by not knowing it', () => {
    for (const frame of [...frames, ...documented.control.map(([, control]) => control)]) {
      for (let end = 0; end < frame.length; end++) {
        try {
          const { route } = decodeFrame(exchange, frame.slice(0, end))
          expect(route.to).to.equal('unknown')
        } catch (thrown) {
          expect(thrown, frame.slice(0, end)).to.be.instanceOf(Fault)
        }
      }
    }
  })

  it('survives any JSON at all, and any change to a good frame', function () {
    this.timeout(60_000)
    survivesAnyJson(exchange)
    const texts = [...frames, ...documented.control.map(([, frame]) => frame)]
    survivesMutations(
      exchange,
      texts.filter((text) => !exchange.plainTexts.includes(text)).map((text) => JSON.parse(text) as unknown),
    )
  })

  describe('its requests', () => {
    it('keep to the documented limits', () => {
      const { limits } = exchange
      for (const [name, most] of Object.entries(documented.atMost ?? {})) {
        expect(limits[name as keyof typeof limits], name).to.be.at.most(most)
      }
      for (const [name, least] of Object.entries(documented.atLeast)) {
        expect(limits[name as keyof typeof limits], name).to.be.at.least(least)
      }
      for (const [name, value] of Object.entries(limits)) {
        expect(Number.isSafeInteger(value) && value > 0, name).to.equal(true)
      }
      expect(limits.topicsPerRequest).to.be.at.most(limits.topicsPerConnection)
    })

    it('fit into one request when as many topics are in it as may be', () => {
      const all = topicsOf(exchange, 500)
      expect(all).not.to.have.length(0)
      for (const endpoint of new Set(all.map((topic) => topic.endpoint))) {
        expect(exchange.endpoints).to.have.property(endpoint)
        const topics = all.filter((topic) => topic.endpoint === endpoint)
        for (let start = 0; start < topics.length; start += exchange.limits.topicsPerRequest) {
          const slice = topics.slice(start, start + exchange.limits.topicsPerRequest)
          for (const request of [exchange.subscribe(slice, 7), exchange.unsubscribe(slice, 8)]) {
            expect(request.length).to.be.at.most(exchange.limits.requestCharsMax)
            expect(() => JSON.parse(request) as unknown).not.to.throw()
          }
        }
      }
    })

    it('have a key of their own for every topic, and are told apart by instrument', () => {
      const topics = topicsOf(exchange, 20)
      for (const channel of channels)
        expect(
          topics.some((topic) => topic.channel === channel),
          channel,
        ).to.equal(true)
      for (const { symbol, key } of topics) {
        expect(symbol).not.to.equal('')
        expect(key).not.to.equal('')
      }
      const books = topics.filter(({ channel }) => channel === 'book')
      const [first] = books
      const other = books.find(({ symbol }) => symbol !== first!.symbol)
      const request = exchange.subscribe([first!], 7)
      expect(request).not.to.equal(exchange.subscribe([other!], 7))
      expect(request).not.to.equal(exchange.unsubscribe([first!], 7))
    })

    it('send a heartbeat that is a text', () => {
      if (exchange.heartbeat === undefined) return
      expect(exchange.heartbeat.message(5)).not.to.equal('')
      expect(exchange.heartbeat.everyMs).to.be.above(0)
    })
  })

  describe('its REST answers', () => {
    it('that are no lists of instruments are refused or empty', () => {
      for (const body of [
        null,
        5,
        'x',
        '<html>',
        [],
        {},
        { data: 5 },
        { result: [] },
        { symbols: [null, 3, {}] },
        [[]],
      ]) {
        try {
          expect(exchange.instruments.decode(body, undefined), JSON.stringify(body)).to.deep.equal([])
        } catch (thrown) {
          expect(thrown).to.be.instanceOf(Fault)
        }
        expect(exchange.instruments.nextPath(body, exchange.instruments.requests[0]!.path)).to.equal(undefined)
      }
    })

    it('are recognised by the address they were asked at, and no others', () => {
      const perpetual = instrumentOf(exchange, 'perpetual', 0)
      const asked: [path: string, symbolOf: (url: string) => string | undefined, symbol: string][] = []
      const { snapshot } = exchange.book
      if (snapshot !== undefined) {
        const path = snapshot.path('BTCUSDT', { depth: undefined, intervalMs: 60_000 })
        asked.push([path, (url) => snapshot.symbolOf(url), 'BTCUSDT'])
      }
      for (const poll of exchange.polls) {
        const path = poll.path(perpetual)
        if (path !== undefined) asked.push([path, (url) => poll.symbolOf(url), perpetual.symbol])
      }
      for (const [path, symbolOf, symbol] of asked) {
        expect(symbolOf(exchange.hosts.rest + path), path).to.equal(symbol)
        for (const url of ['', 'nonsense', exchange.hosts.rest, `${exchange.hosts.rest}/elsewhere?symbol=BTCUSDT`]) {
          expect(symbolOf(url), url).to.equal(undefined)
        }
      }
    })

    it('that are junk are refused by a fault', () => {
      const decoders = [exchange.book.snapshot, ...exchange.polls].filter((each) => each !== undefined)
      for (const decoder of decoders) {
        for (const body of [null, 5, 'x', [], {}, { bids: 5 }, { lastUpdateId: 1, bids: [[]], asks: [] }]) {
          const writer = writerFor(exchange)
          expect(() => decoder.decode(body, 'BTCUSDT', writer), JSON.stringify(body)).to.throw(Fault)
        }
      }
    })
  })

  describe('its fixtures', () => {
    it('of today each give events, or are left aside for a named reason', function () {
      needsShared(this)
      if (!readdirSync(sharedPath('fixtures', 'current')).includes(exchange.id)) return
      for (const { name, text } of currentFixtures(exchange.id)) {
        const { route, events } = decodeFrame(exchange, text)
        expect(route.to, name).not.to.equal('unknown')
        if (route.to === 'ignored') expect(route.reason, name).not.to.equal('')
        if (route.to === 'channel') expect(events, name).not.to.have.length(0)
        events.forEach(expectWellFormed)
        expect(decodeFrame(exchange, text).events, name).to.deep.equal(events)
      }
    })

    for (const session of recordedSessions(exchange.id)) {
      it(`of ${session} each are known, and read twice to the same well-formed events`, function () {
        this.timeout(60_000)
        const texts = readRecording(session)
          .lines.filter(({ dir, raw }) => dir === 'in' && raw !== undefined)
          .slice(0, FRAMES_MAX)
          .map(({ raw }) => raw!)
        const [writer, again] = [writerFor(exchange), writerFor(exchange)]
        for (const text of texts) {
          const { route, events } = decodeFrame(exchange, text, writer)
          expect(route.to, text.slice(0, 200)).not.to.equal('unknown')
          events.forEach(expectWellFormed)
          expect(decodeFrame(exchange, text, again).events).to.deep.equal(events)
        }
      })
    }

    it('of instruments are well-formed', function () {
      needsShared(this)
      for (const { role, body } of recordedAnswers(exchange.id)) {
        if (role !== 'instruments') continue
        const list = exchange.instruments.decode(JSON.parse(body!), undefined)
        expect(list).not.to.have.length(0)
        for (const each of list) expectInstrument(exchange, each)
      }
    })
  })
}

/** Frames of one recording that are read twice and compared: enough to meet every kind, few enough to be quick. */
const FRAMES_MAX = 1_500

const KINDS_OF: Readonly<Record<ChannelName, readonly MarketEvent['kind'][]>> = {
  trades: ['trade'],
  book: ['snapshot', 'delta'],
  // Exchanges that say both in one frame give both events.
  ticker: ['ticker', 'derivative'],
  candles: ['candle'],
  derivative: ['derivative', 'ticker'],
  liquidations: ['liquidation'],
}

const BASE_FIELDS = ['kind', 'exchange', 'symbol', 'instrument', 'exchangeTimeUs', 'receiveTimeUs']
const BOOK_FIELDS = ['bids', 'asks', 'seq', 'prevSeq', 'firstSeq', 'checksum', 'depth', 'bidDigits', 'askDigits']

const FIELDS_OF: Readonly<Record<MarketEvent['kind'], readonly string[]>> = {
  trade: ['id', 'side', 'price', 'size', 'priceDecimals', 'sizeDecimals', 'history'],
  snapshot: BOOK_FIELDS,
  delta: BOOK_FIELDS,
  ticker: ['bidPrice', 'bidSize', 'askPrice', 'askSize', 'lastPrice'],
  candle: ['openTimeUs', 'intervalUs', 'open', 'high', 'low', 'close', 'volume', 'closed'],
  derivative: ['markPrice', 'indexPrice', 'fundingRate', 'nextFundingTimeUs', 'openInterest'],
  liquidation: ['side', 'price', 'size'],
  notice: ['code', 'details'],
}

const TIME_US_MIN = Date.UTC(2010, 0, 1) * 1_000
const TIME_US_MAX = Date.UTC(2100, 0, 1) * 1_000

function eventsOf(exchange: ExchangeProtocol, frames: readonly string[]): MarketEvent[] {
  const writer = writerFor(exchange)
  return frames.flatMap((frame) => decodeFrame(exchange, frame, writer).events)
}

/** All fields of the kind in their order and no others, numbers finite, times between 2010 and 2100. */
function expectWellFormed(event: MarketEvent): void {
  const shown = (): string => JSON.stringify(event).slice(0, 300)
  if (Object.keys(event).join() !== [...BASE_FIELDS, ...FIELDS_OF[event.kind]].join())
    expect.fail(`fields of ${shown()}`)
  if (event.symbol === '') expect.fail(`symbol of ${shown()}`)
  for (const [name, value] of Object.entries(event)) {
    if (typeof value === 'number' && !Number.isFinite(value)) expect.fail(`${name} of ${shown()}`)
    if (name.endsWith('TimeUs') && value !== undefined && !isTime(value)) expect.fail(`${name} of ${shown()}`)
  }
  if (event.kind === 'trade' || event.kind === 'liquidation') {
    if (!(event.price > 0 && event.size > 0)) expect.fail(shown())
    if (event.side !== 'buy' && event.side !== 'sell') expect.fail(`side of ${shown()}`)
  }
  if (event.kind === 'candle' && !(event.low <= event.high && event.intervalUs > 0)) expect.fail(shown())
  if (event.kind !== 'snapshot' && event.kind !== 'delta') return
  for (const [levels, { decimals }] of [
    [event.bids, event.bidDigits],
    [event.asks, event.askDigits],
  ] as const) {
    if (levels.length !== decimals.length) expect.fail(`digits of ${shown()}`)
    for (const [price, size] of levels) {
      if (!(price > 0 && price < Infinity && size >= 0 && size < Infinity)) expect.fail(`levels of ${shown()}`)
    }
  }
}

function isTime(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= TIME_US_MIN && (value as number) <= TIME_US_MAX
}

function expectInstrument(exchange: ExchangeProtocol, each: Instrument): void {
  const shown = JSON.stringify(each)
  expect(each.exchange, shown).to.equal(exchange.id)
  expect(each.symbol, shown).not.to.equal('')
  expect(each.name, shown).to.match(/^[^-\s]+-[^-\s]+(?:-PERP|-\d{6}(?:-[\d.]+-[CP])?)?$/)
  for (const name of ['tickSize', 'lotSize', 'contractSize'] as const) {
    const value = each[name]
    expect(value === undefined || (Number.isFinite(value) && value > 0), `${name} of ${shown}`).to.equal(true)
  }
  for (const name of ['priceDecimals', 'sizeDecimals'] as const) {
    const value = each[name]
    expect(
      value === undefined || (Number.isInteger(value) && value >= 0 && value <= 40),
      `${name} of ${shown}`,
    ).to.equal(true)
  }
  expect(each.expiryTimeUs === undefined || isTime(each.expiryTimeUs), shown).to.equal(true)
}

/** Topics of every channel for `count` instruments of each market, each once. */
function topicsOf(exchange: ExchangeProtocol, count: number): Topic[] {
  const topics = new Map<string, Topic>()
  for (let index = 0; index < count; index++) {
    for (const kind of ['spot', 'perpetual', 'future'] as const) {
      for (const channel of CHANNELS) {
        const each = instrumentOf(exchange, kind, index)
        const wanted = exchange.channels[channel]?.topics(each, { depth: undefined, intervalMs: 60_000 }) ?? []
        for (const topic of wanted) topics.set(`${topic.endpoint} ${topic.channel} ${topic.key}`, topic)
      }
    }
  }
  return [...topics.values()]
}

/** An instrument with a name about as long as the longest there are, in the exchange's market for such. */
function instrumentOf(exchange: ExchangeProtocol, kind: InstrumentKind, index: number): Instrument {
  const { markets } = exchange
  const market = markets[Math.min(['spot', 'perpetual', 'future'].indexOf(kind), markets.length - 1)]!
  const base = `1000000MOGCAT${index}`
  return instrument(exchange, { symbol: `${base}USDT`, name: `${base}-USDT`, base, kind, market })
}

function recordedSessions(id: string): string[] {
  if (!hasShared()) return []
  return readdirSync(sharedPath('fixtures', 'recorded'))
    .filter((file) => file.startsWith(`${id}.`) && file.endsWith('.ndjson.gz') && !file.includes('.rest.'))
    .map((file) => file.slice(0, -'.ndjson.gz'.length))
}

function recordedAnswers(id: string) {
  return readdirSync(sharedPath('fixtures', 'recorded'))
    .filter((file) => file.startsWith(`${id}.`) && file.includes('.rest.'))
    .flatMap((file) => readRecording(file.slice(0, -'.ndjson.gz'.length)).lines)
}
