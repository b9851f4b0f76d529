/**
 * Bybit v5, public market data: spot and linear contracts; recordings of inverse contracts, options and spreads are read too.
 *
 * Docs   https://bybit-exchange.github.io/docs/v5/ws/connect (read July 2026)
 * Book   snapshot in the stream, then changes whose `u` rises by one; `u` of 1 is a snapshot whatever its type says, and a
 *        snapshot may come at any time. The server removes the levels that leave the window
 * Units  prices in quote; sizes in base units on spot and linear, in quote units on inverse; as text
 * Time   milliseconds: `ts` when it was sent, `cts` when the book changed
 * Quirk  one connection serves one category, and `BTCUSDT` is an instrument of two. Tickers of contracts send changed
 *        fields only; those of spot have no best prices, which come from the book of depth 1. The side of a liquidation is
 *        the position's
 */
import { stepOfOne } from '../book/sequencing'
import type { Side } from '../model/events'
import { Fault } from '../model/fault'
import {
  amount,
  choice,
  integer as integerField,
  key,
  pairs,
  rows,
  shape,
  skipNumber,
  skipText,
  symbol,
  text as textField,
  timeMs,
} from '../kernel/shape'
import type { EventWriter, LevelsBuilder } from '../model/codec/eventWriter'
import { id, integer, invalid, isRecord, list, record, text, timeUsFromMs, type WireRecord } from '../model/codec/wire'
import { unifiedName, type Instrument, type InstrumentKind } from '../model/instrument'
import type { ChannelName, ExchangeProtocol, FrameShape, Route, Topic } from './protocol'
import { stepOf } from './steps'

const SENT = timeMs('sentUs')
const TIME = timeMs('exchangeTimeUs')
const BIDS = pairs('bids')
const ASKS = pairs('asks')
const SEQ = integerField('seq')
const ID = textField('id')
const SIDE = choice('side', 'Buy', 'Sell')
const PRICE = amount('price')
const SIZE = amount('size')
const IS_BLOCK = choice('isBlock', 'false', 'true')
const IS_RPI = choice('isRpi', 'false', 'true')

/** Each form of the book comes in two orders. Spot's books of depth 1 are tops, which only their decoder can merge. */
const SHAPES: readonly FrameShape[] = [
  {
    event: 'delta',
    channel: 'book',
    shape: shape`{"topic":"${key}","type":"delta","ts":${SENT},"data":{"s":"${symbol}","b":${BIDS},"a":${ASKS},"u":${SEQ},"seq":${skipNumber}},"cts":${TIME}}`,
    stepsOfOne: true,
  },
  {
    event: 'delta',
    channel: 'book',
    shape: shape`{"topic":"${key}","ts":${SENT},"type":"delta","data":{"s":"${symbol}","b":${BIDS},"a":${ASKS},"u":${SEQ},"seq":${skipNumber}},"cts":${TIME}}`,
    stepsOfOne: true,
  },
  {
    event: 'snapshot',
    channel: 'book',
    shape: shape`{"topic":"${key}","type":"snapshot","ts":${SENT},"data":{"s":"${symbol}","b":${BIDS},"a":${ASKS},"u":${SEQ},"seq":${skipNumber}},"cts":${TIME}}`,
  },
  {
    event: 'trade',
    channel: 'trades',
    shape: shape`{"topic":"${key}","type":"snapshot","ts":${SENT},"data":${rows(shape`{"T":${TIME},"s":"${symbol}","S":"${SIDE}","v":"${SIZE}","p":"${PRICE}","L":"${skipText}","i":"${ID}","BT":${IS_BLOCK},"RPI":${IS_RPI},"seq":${skipNumber}}`)}}`,
  },
  {
    event: 'trade',
    channel: 'trades',
    shape: shape`{"topic":"${key}","type":"snapshot","ts":${SENT},"data":${rows(shape`{"T":${TIME},"s":"${symbol}","S":"${SIDE}","v":"${SIZE}","p":"${PRICE}","i":"${ID}","BT":${IS_BLOCK},"RPI":${IS_RPI},"seq":${skipNumber}}`)}}`,
  },
]

export const bybit: ExchangeProtocol = {
  id: 'bybit',
  title: 'Bybit',
  docs: 'https://bybit-exchange.github.io/docs/v5/ws/connect',
  markets: ['spot', 'linear'],
  hosts: { ws: 'wss://stream.bybit.com', rest: 'https://api.bybit.com' },
  endpoints: {
    spot: { path: '/v5/public/spot', market: 'spot' },
    linear: { path: '/v5/public/linear', market: 'linear' },
    inverse: { path: '/v5/public/inverse', market: 'inverse' },
    option: { path: '/v5/public/option', market: 'option' },
    spread: { path: '/v5/public/spread', market: 'spread' },
  },

  channels: {
    trades: {
      topics: (instrument) => topics('trades', instrument, ['publicTrade']),
      decode: decodeTrades,
      idleMsMax: undefined,
    },
    book: {
      topics: (instrument, { depth }) => topics('book', instrument, [`orderbook.${offeredDepth(instrument, depth)}`]),
      decode: decodeBook,
      idleMsMax: 120_000,
    },
    ticker: {
      topics: (instrument) =>
        topics('ticker', instrument, instrument.market === 'spot' ? ['tickers', 'orderbook.1'] : ['tickers']),
      decode: decodeTicker,
      idleMsMax: undefined,
    },
    candles: {
      topics: (instrument, { intervalMs }) => topics('candles', instrument, [`kline.${intervalName(intervalMs)}`]),
      decode: decodeCandles,
      idleMsMax: undefined,
    },
    // Mark price, funding and open interest are fields of the ticker: its frames carry both events.
    derivative: {
      topics: (instrument) =>
        instrument.market === 'spot' ? undefined : topics('derivative', instrument, ['tickers']),
      decode: decodeTicker,
      idleMsMax: undefined,
    },
    liquidations: {
      topics: (instrument) =>
        instrument.market === 'spot' ? undefined : topics('liquidations', instrument, ['allLiquidation']),
      decode: decodeLiquidations,
      idleMsMax: undefined,
    },
  },

  shapes: SHAPES,

  subscribe: (wanted, requestId) => request('subscribe', wanted, requestId),
  unsubscribe: (wanted, requestId) => request('unsubscribe', wanted, requestId),
  limits: {
    // Spot takes no more, and one bad topic fails its whole request.
    topicsPerRequest: 10,
    // All topics of a connection may have 21,000 characters together; the longest have about 45.
    topicsPerConnection: 400,
    requestCharsMax: 21_000,
    requestEveryMs: 100,
    // 500 connections in five minutes.
    connectEveryMs: 600,
  },
  heartbeat: { everyMs: 20_000, message: (requestId) => JSON.stringify({ req_id: String(requestId), op: 'ping' }) },
  // Three of our pings without an answer.
  idleMsMax: 60_000,
  numbersAsText: false,
  plainTexts: [],

  route,

  book: {
    sequencing: stepOfOne,
    checksum: undefined,
    crossingMeansLoss: false,
    snapshot: undefined,
    verified: 'u = last u + 1',
  },

  instruments: {
    requests: [
      { market: 'spot', path: '/v5/market/instruments-info?category=spot', weight: 1 },
      { market: 'linear', path: '/v5/market/instruments-info?category=linear&limit=1000', weight: 1 },
    ],
    decode: decodeInstruments,
    nextPath,
  },
  rest: { weightPerMinute: 600 },
  polls: [],
  endpointOf,
}

// ── Requests ────────────────────────────────────────────────────────────────────────────────────────────────────────

function request(op: 'subscribe' | 'unsubscribe', wanted: readonly Topic[], requestId: number): string {
  return JSON.stringify({ req_id: String(requestId), op, args: wanted.map(({ key }) => key) })
}

/** Options are subscribed to by base coin and spreads are no instruments of ours: neither is offered live. */
const LIVE_MARKETS: readonly string[] = ['spot', 'linear', 'inverse']

function topics(
  channel: ChannelName,
  { symbol, market }: Instrument,
  prefixes: readonly string[],
): readonly Topic[] | undefined {
  if (!LIVE_MARKETS.includes(market)) return undefined
  return prefixes.map((prefix) => ({ channel, symbol, key: `${prefix}.${symbol}`, endpoint: market }))
}

const DEPTHS = [50, 200, 1_000] as const

/** The default of 200 levels comes every 100 ms; 1000 only every 200 ms. On spot, depth 1 is part of the ticker. */
function offeredDepth({ market }: Instrument, wanted = 200): number {
  if (wanted <= 1 && market !== 'spot') return 1
  return DEPTHS.find((depth) => depth >= wanted) ?? 1_000
}

const INTERVAL_MS: ReadonlyMap<string, number> = new Map([
  ['1', 60_000],
  ['3', 180_000],
  ['5', 300_000],
  ['15', 900_000],
  ['30', 1_800_000],
  ['60', 3_600_000],
  ['120', 7_200_000],
  ['240', 14_400_000],
  ['360', 21_600_000],
  ['720', 43_200_000],
  ['D', 86_400_000],
  ['W', 604_800_000],
  // Nominal: the candles of a month carry their own length.
  ['M', 2_592_000_000],
])

function intervalName(intervalMs: number): string {
  for (const [name, ms] of INTERVAL_MS) if (ms === intervalMs) return name
  const offered = [...INTERVAL_MS.values()].join(', ')
  throw new Fault('OPTION_INVALID', `Bybit has no candles of ${intervalMs} ms; it offers ${offered} ms.`, {
    intervalMs,
  })
}

/** Connections of the years before v5 are recognised too. */
function endpointOf(url: string): string {
  const category = /\/v5\/public\/(spot|linear|inverse|option|spread)\b/.exec(url)?.[1]
  if (category !== undefined) return category
  if (/\/realtime_public\b|\/contract\/usdt\//.test(url)) return 'linear'
  return /\/realtime\b|\/contract\/inverse\//.test(url) ? 'inverse' : 'spot'
}

// ── Routing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function route(message: unknown, writer: EventWriter): Route {
  if (!isRecord(message)) return { to: 'unknown', reason: 'not an object' }
  if (typeof message['topic'] === 'string') return routeTopic(message['topic'], message, writer)
  if (typeof message['op'] === 'string') return routeAnswer(message['op'], message)
  if (message['type'] === 'COMMAND_RESP') return routeCommandAnswer(message)
  if (message['success'] === false) return refused(message)
  if (message['retCode'] !== undefined) return routeRest(message)
  return { to: 'unknown', reason: 'an object of no documented shape' }
}

const IGNORED_TOPICS: ReadonlyMap<string, string> = new Map([
  ['liquidation', 'the older liquidation channel, one a second at most'],
  ['tickers_lt', 'leveraged token'],
  ['kline_lt', 'leveraged token'],
  ['lt', 'leveraged token'],
  ['insurance', 'insurance pool'],
  ['adlAlert', 'deleveraging alert'],
  ['priceLimit', 'price limits of orders'],
])

function routeTopic(topic: string, message: WireRecord, writer: EventWriter): Route {
  const [name, rest] = splitFirst(topic)
  const ignored = IGNORED_TOPICS.get(name)
  if (ignored !== undefined) return { to: 'ignored', reason: ignored }
  switch (name) {
    case 'publicTrade':
      // Options come by base coin, with a symbol in each trade.
      return toChannel('trades', writer.market === 'option' ? undefined : rest, message)
    case 'trade': {
      const [category, symbol] = splitFirst(rest)
      return toChannel('trades', symbol === '' ? category : symbol, message)
    }
    case 'orderbook':
      return routeBook(rest, message, writer)
    case 'tickers':
      return toChannel('ticker', rest, message)
    case 'kline':
      return toChannel('candles', splitFirst(rest)[1], message)
    case 'allLiquidation':
      return toChannel('liquidations', rest, message)
    default:
      return { to: 'unknown', reason: 'a topic of no documented name' }
  }
}

/** Symbols whose book topics are remembered; beyond them nothing is checked. */
const BOOK_DEPTHS_MAX = 10_000
const BOOK_DEPTHS = 'bybit.bookDepths'

/** Each depth has a chain of its own; a symbol's book is made of the deepest that the connection carries. */
function routeBook(rest: string, message: WireRecord, writer: EventWriter): Route {
  const [depthText, symbol] = splitFirst(rest)
  if (depthText === 'rpi') return { to: 'ignored', reason: 'book with retail price improvement sizes' }
  if (depthText === 'full') return { to: 'ignored', reason: 'full book, which continues a REST answer' }
  const depth = /^\d{1,5}$/.test(depthText) ? Number(depthText) : 0
  if (depth === 0 || symbol === '') return { to: 'unknown', reason: 'a book of no documented depth' }
  if (depth === 1 && writer.market === 'spot') return toChannel('ticker', symbol, message)

  let depths = writer.memory.get(BOOK_DEPTHS) as Map<string, number> | undefined
  if (depths === undefined) writer.memory.set(BOOK_DEPTHS, (depths = new Map()))
  const deepest = depths.get(symbol)
  if (deepest !== undefined && depth < deepest) return { to: 'ignored', reason: 'a shallower book of the same symbol' }
  if (deepest !== depth && (deepest !== undefined || depths.size < BOOK_DEPTHS_MAX)) depths.set(symbol, depth)
  return toChannel('book', symbol, message)
}

function routeAnswer(op: string, message: WireRecord): Route {
  if (op === 'ping' || op === 'pong') return { to: 'heartbeat' }
  if (op === 'subscribe') {
    return message['success'] === true ? { to: 'ack', id: requestIdOf(message), keys: [] } : refused(message)
  }
  if (op === 'unsubscribe') {
    if (message['success'] === true) return { to: 'ack', id: requestIdOf(message), keys: [] }
    return { to: 'ignored', reason: 'an unsubscription was refused' }
  }
  return { to: 'ignored', reason: 'the answer to a request that is not ours' }
}

/** Options and spreads answer with the topics. */
function routeCommandAnswer(message: WireRecord): Route {
  const data = isRecord(message['data']) ? message['data'] : {}
  const failed = textsOf(data['failTopics'])
  if (message['success'] === false || failed.length > 0) {
    const route = refused(message)
    return failed.length > 0 ? { ...route, id: undefined, keys: failed } : route
  }
  return { to: 'ack', id: requestIdOf(message), keys: textsOf(data['successTopics']) }
}

/** One bad topic fails its request as a whole, so the topic is only named where the request is not. */
function refused(message: WireRecord): Route & { to: 'refused' } {
  const words = message['ret_msg']
  const reason = typeof words === 'string' && words !== '' ? words.slice(0, 500) : 'no reason was given'
  const requestId = requestIdOf(message)
  const key = requestId === undefined ? /topic:\s*([\w.-]+)/i.exec(reason)?.[1] : undefined
  return { to: 'refused', id: requestId, keys: key === undefined ? [] : [key], reason }
}

/** REST answers met as frames. */
function routeRest(message: WireRecord): Route {
  const ignored = (what: string): Route => ({ to: 'ignored', reason: `REST answer: ${what}` })
  if (message['retCode'] !== 0) return ignored('a refusal')
  const result = message['result']
  if (!isRecord(result)) return ignored('without a result')
  if (typeof result['s'] === 'string' && Array.isArray(result['b']) && Array.isArray(result['a'])) {
    const wire = { type: 'snapshot', ts: result['ts'], cts: result['cts'], data: result }
    return toChannel('book', result['s'], wire)
  }
  const first: unknown = Array.isArray(result['list']) ? result['list'][0] : undefined
  if (Array.isArray(first)) return ignored('candles without their interval')
  if (!isRecord(first)) return ignored('an empty list')
  if (first['execId'] !== undefined) return toChannel('trades', undefined, message)
  if (first['fundingRateTimestamp'] !== undefined) return ignored('funding rate history')
  if (first['priceFilter'] !== undefined) return ignored('instruments')
  if (first['lastPrice'] !== undefined) return ignored('24 h tickers')
  return ignored('of no use here')
}

function toChannel(channel: ChannelName, symbol: string | undefined, wire: unknown): Route {
  return { to: 'channel', channel, symbol: symbol === '' ? undefined : symbol, wire }
}

/** `orderbook.50.BTCUSDT` into `orderbook` and `50.BTCUSDT`: symbols may have points of their own. */
function splitFirst(topic: string): [first: string, rest: string] {
  const point = topic.indexOf('.')
  return point < 0 ? [topic, ''] : [topic.slice(0, point), topic.slice(point + 1)]
}

function requestIdOf(message: WireRecord): number | undefined {
  const requestId = message['req_id']
  return typeof requestId === 'string' && /^\d{1,15}$/.test(requestId) ? Number(requestId) : undefined
}

function textsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((entry): entry is string => typeof entry === 'string') : []
}

// ── Decoders ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** { data: [{ T, s, S, v, p, i }] }, always of type `snapshot` although new; and the REST answer, which is history. */
function decodeTrades(wire: unknown, writer: EventWriter): void {
  const message = record(wire, 'frame')
  if (message['retCode'] !== undefined) {
    for (const row of list(record(message['result'], 'result')['list'], 'result.list')) {
      const trade = record(row, 'trade')
      writer.trade(text(trade['symbol'], 'symbol'), timeUsFromMs(trade['time'], 'time'), {
        id: id(trade['execId'], 'execId'),
        side: sideOf(trade['side'], 'side'),
        price: trade['price'],
        size: trade['size'],
        history: true,
      })
    }
    return
  }
  for (const row of list(message['data'], 'data')) {
    const trade = record(row, 'trade')
    writer.trade(text(trade['s'], 's'), timeUsFromMs(trade['T'], 'T'), {
      id: id(trade['i'], 'i'),
      side: sideOf(trade['S'], 'S'),
      price: trade['p'],
      size: trade['v'],
    })
  }
}

/** { type, data: { s, b, a, u }, cts, ts }. */
function decodeBook(wire: unknown, writer: EventWriter): void {
  const message = record(wire, 'frame')
  const data = record(message['data'], 'data')
  const type = message['type']
  if (type !== 'snapshot' && type !== 'delta') throw invalid('type', type, 'snapshot or delta')
  const symbol = text(data['s'], 'data.s')
  const exchangeTimeUs = timeUsFromMs(message['cts'] ?? message['ts'], 'cts')
  const seq = integer(data['u'], 'data.u')
  if (type === 'delta' && seq !== 1) {
    const bids = writer.levelsOf(data['b'], 'data.b')
    const asks = writer.levelsOf(data['a'], 'data.a')
    writer.book('delta', symbol, exchangeTimeUs, bids, asks, { seq, prevSeq: seq - 1 })
  } else {
    const bids = heldLevels(data['b'], 'data.b', writer)
    const asks = heldLevels(data['a'], 'data.a', writer)
    writer.book('snapshot', symbol, exchangeTimeUs, bids, asks, { seq })
  }
}

/** A restarted service sends a snapshot in the form of a change, where size 0 means that there is no such level. */
function heldLevels(wire: unknown, field: string, writer: EventWriter): LevelsBuilder {
  const levels = writer.levels()
  for (const level of list(wire, field)) {
    const [price, size] = list(level, field)
    if (!isZero(size)) levels.add(price, size)
  }
  return levels
}

/** What is known of a symbol's ticker, as the exchange's texts; an empty text means that there is none. */
interface TickerState {
  readonly bidPrice: unknown
  readonly bidSize: unknown
  readonly askPrice: unknown
  readonly askSize: unknown
  readonly lastPrice: unknown
}

const NOTHING_KNOWN: TickerState = {
  bidPrice: undefined,
  bidSize: undefined,
  askPrice: undefined,
  askSize: undefined,
  lastPrice: undefined,
}
const TICKERS = 'bybit.tickers'

/** Symbols whose tickers are merged; a ticker beyond them has only the fields of its frame. */
const TICKERS_MAX = 10_000

/**
 * `tickers` { type, data: { symbol, lastPrice, bid1Price, markPrice ... } }: all fields in a snapshot, the changed ones in
 * a delta. On spot also `orderbook.1`, whose best prices the ticker lacks.
 */
function decodeTicker(wire: unknown, writer: EventWriter): void {
  const message = record(wire, 'frame')
  const data = record(message['data'], 'data')
  const type = message['type']
  if (type !== 'snapshot' && type !== 'delta') throw invalid('type', type, 'snapshot or delta')
  const exchangeTimeUs = timeUsFromMs(message['cts'] ?? message['ts'], 'ts')
  const isBook = data['b'] !== undefined || data['a'] !== undefined
  const symbol = isBook ? text(data['s'], 'data.s') : text(data['symbol'], 'data.symbol')

  let tickers = writer.memory.get(TICKERS) as Map<string, TickerState> | undefined
  if (tickers === undefined) writer.memory.set(TICKERS, (tickers = new Map()))
  const known = tickers.get(symbol) ?? NOTHING_KNOWN
  const merged = isBook ? withBest(known, data, type) : withFields(known, data)

  writer.ticker(symbol, exchangeTimeUs, merged, true)
  if (!isBook && DERIVATIVE_FIELDS.some((field) => data[field] !== undefined && data[field] !== '')) {
    writer.derivative(symbol, exchangeTimeUs, {
      markPrice: data['markPrice'],
      indexPrice: data['indexPrice'],
      fundingRate: data['fundingRate'],
      nextFundingTimeUs: optionalTimeUs(data['nextFundingTime'], 'data.nextFundingTime'),
      openInterest: data['openInterest'],
    })
  }
  // Only now: a frame that cannot be read must leave nothing behind.
  if (tickers.has(symbol) || tickers.size < TICKERS_MAX) tickers.set(symbol, merged)
}

const DERIVATIVE_FIELDS = ['markPrice', 'indexPrice', 'fundingRate', 'nextFundingTime', 'openInterest'] as const

/** Options spell the best prices without the 1. */
function withFields(known: TickerState, data: WireRecord): TickerState {
  return {
    bidPrice: data['bid1Price'] ?? data['bidPrice'] ?? known.bidPrice,
    bidSize: data['bid1Size'] ?? data['bidSize'] ?? known.bidSize,
    askPrice: data['ask1Price'] ?? data['askPrice'] ?? known.askPrice,
    askSize: data['ask1Size'] ?? data['askSize'] ?? known.askSize,
    lastPrice: data['lastPrice'] ?? known.lastPrice,
  }
}

function withBest(known: TickerState, data: WireRecord, type: 'snapshot' | 'delta'): TickerState {
  const [bidPrice, bidSize] = bestOf(data['b'], 'data.b', type) ?? [known.bidPrice, known.bidSize]
  const [askPrice, askSize] = bestOf(data['a'], 'data.a', type) ?? [known.askPrice, known.askSize]
  return { bidPrice, bidSize, askPrice, askSize, lastPrice: known.lastPrice }
}

const EMPTY_SIDE: readonly [unknown, unknown] = ['', '']

/** The one level of a side; undefined when the frame does not change it. */
function bestOf(wire: unknown, field: string, type: 'snapshot' | 'delta'): readonly [unknown, unknown] | undefined {
  const levels = list(wire, field)
  for (const level of levels) {
    const [price, size] = list(level, field)
    if (!isZero(size)) return [price, size]
  }
  return type === 'snapshot' || levels.length > 0 ? EMPTY_SIDE : undefined
}

/** { topic, data: [{ start, end, interval, open, high, low, close, volume, confirm, timestamp }] }. */
function decodeCandles(wire: unknown, writer: EventWriter): void {
  const message = record(wire, 'frame')
  const [, rest] = splitFirst(text(message['topic'], 'topic'))
  const symbol = text(splitFirst(rest)[1], 'topic')
  for (const row of list(message['data'], 'data')) {
    const candle = record(row, 'candle')
    const openTimeUs = timeUsFromMs(candle['start'], 'start')
    const name = text(candle['interval'], 'interval')
    const knownMs = name === 'M' ? undefined : INTERVAL_MS.get(name)
    const intervalUs = knownMs === undefined ? timeUsFromMs(candle['end'], 'end') + 1_000 - openTimeUs : knownMs * 1_000
    if (intervalUs <= 0) throw invalid('end', candle['end'], 'a time after start')
    const closed = candle['confirm']
    if (typeof closed !== 'boolean') throw invalid('confirm', closed, 'true or false')
    writer.candle(symbol, timeUsFromMs(candle['timestamp'] ?? message['ts'], 'timestamp'), {
      openTimeUs,
      intervalUs,
      open: candle['open'],
      high: candle['high'],
      low: candle['low'],
      close: candle['close'],
      volume: candle['volume'],
      closed,
    })
  }
}

/** { data: [{ T, s, S, v, p }] }: `S` is the side of the position, so the order that closes it has the other. */
function decodeLiquidations(wire: unknown, writer: EventWriter): void {
  for (const row of list(record(wire, 'frame')['data'], 'data')) {
    const liquidation = record(row, 'liquidation')
    writer.liquidation(text(liquidation['s'], 's'), timeUsFromMs(liquidation['T'], 'T'), {
      side: sideOf(liquidation['S'], 'S') === 'buy' ? 'sell' : 'buy',
      price: liquidation['p'],
      size: liquidation['v'],
    })
  }
}

function sideOf(value: unknown, field: string): Side {
  if (value !== 'Buy' && value !== 'Sell') throw invalid(field, value, 'Buy or Sell')
  return value === 'Buy' ? 'buy' : 'sell'
}

function isZero(size: unknown): boolean {
  return size !== '' && (typeof size === 'string' || typeof size === 'number') && Number(size) === 0
}

/** Absent, empty and zero times are none. */
function optionalTimeUs(value: unknown, field: string): number | undefined {
  return value === undefined || value === null || value === '' || isZero(value) ? undefined : timeUsFromMs(value, field)
}

// ── Instruments ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** Rows that cannot be read are left out. */
function decodeInstruments(body: unknown, market: string | undefined): Instrument[] {
  const result = record(record(body, 'body')['result'], 'result')
  const category = market ?? (typeof result['category'] === 'string' ? result['category'] : undefined)
  const instruments: Instrument[] = []
  for (const row of list(result['list'], 'result.list')) {
    try {
      const instrument = instrumentOf(record(row, 'instrument'), category)
      if (instrument !== undefined) instruments.push(instrument)
    } catch (thrown) {
      if (!(thrown instanceof Fault)) throw thrown
    }
  }
  return instruments
}

function instrumentOf(row: WireRecord, category: string | undefined): Instrument | undefined {
  const kind = kindOf(row)
  if (kind === undefined) return undefined
  const symbol = text(row['symbol'], 'symbol')
  const base = text(row['baseCoin'], 'baseCoin')
  const quote = text(row['quoteCoin'], 'quoteCoin')
  const option = kind === 'option' ? optionOf(symbol) : undefined
  if (kind === 'option' && option === undefined) return undefined

  const inverse = typeof row['contractType'] === 'string' && row['contractType'].startsWith('Inverse')
  const dated = kind === 'future' || kind === 'option'
  const expiryTimeUs = dated ? timeUsFromMs(row['deliveryTime'], 'deliveryTime') : undefined
  const sizes = record(row['lotSizeFilter'], 'lotSizeFilter')
  const tick = stepOf(record(row['priceFilter'], 'priceFilter')['tickSize'])
  const lot = stepOf(sizes['qtyStep'] ?? sizes['basePrecision'])
  return {
    exchange: 'bybit',
    symbol,
    name: unifiedName(kind, base, quote, expiryTimeUs, option),
    kind,
    base,
    quote,
    tickSize: tick.step,
    priceDecimals: tick.decimals,
    lotSize: lot.step,
    sizeDecimals: lot.decimals,
    // A contract on an inverse instrument is worth one unit of the quote.
    contractSize: inverse ? 1 : undefined,
    inverse,
    expiryTimeUs,
    trading: row['status'] === 'Trading',
    market: category ?? (kind === 'spot' || kind === 'option' ? kind : inverse ? 'inverse' : 'linear'),
  }
}

function kindOf(row: WireRecord): InstrumentKind | undefined {
  const contractType = row['contractType']
  if (contractType === undefined) return row['optionsType'] === undefined ? 'spot' : 'option'
  if (contractType === 'LinearPerpetual' || contractType === 'InversePerpetual') return 'perpetual'
  return contractType === 'LinearFutures' || contractType === 'InverseFutures' ? 'future' : undefined
}

/** `BTC-26DEC25-100000-C-USDT`: the metadata has no strike, so the symbol is the only place that tells it. */
function optionOf(symbol: string): { strike: string; right: 'C' | 'P' } | undefined {
  const match = /-(\d+(?:\.\d+)?)-([CP])(?:-[A-Z]+)?$/.exec(symbol)
  return match === null ? undefined : { strike: match[1]!, right: match[2] as 'C' | 'P' }
}

/** Linear has more instruments than a page holds. */
function nextPath(body: unknown, path: string): string | undefined {
  const result = isRecord(body) ? body['result'] : undefined
  if (!isRecord(result)) return undefined
  const cursor = result['nextPageCursor']
  if (typeof cursor !== 'string' || cursor === '' || cursor.length > 1_024) return undefined
  if (!Array.isArray(result['list']) || result['list'].length === 0) return undefined
  return `${path.replace(/&cursor=[^&]*/, '')}&cursor=${encodeURIComponent(cursor)}`
}
