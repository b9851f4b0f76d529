/**
 * What Binance's markets have in common: requests, the envelope of combined streams, and the frames of trades, books,
 * best prices and candles. `binance.ts` and `binanceFutures.ts` say where they differ.
 *
 * Docs  https://github.com/binance/binance-spot-api-docs (read July 2026)
 */
import { Fault } from '../model/fault'
import type { EventWriter } from '../model/codec/eventWriter'
import { id, integer, invalid, isRecord, list, record, text, type WireRecord } from '../model/codec/wire'
import * as scan from '../kernel/shape'
import type { Instrument } from '../model/instrument'
import type { ChannelName, ExchangeProtocol, RestSnapshot, Route, Topic, TopicOptions } from './protocol'
import { stepOf, type Step } from './steps'

// ── Requests ────────────────────────────────────────────────────────────────────────────────────────────────────────

export function subscribe(topics: readonly Topic[], id: number): string {
  return JSON.stringify({ method: 'SUBSCRIBE', params: topics.map(({ key }) => key), id })
}

export function unsubscribe(topics: readonly Topic[], id: number): string {
  return JSON.stringify({ method: 'UNSUBSCRIBE', params: topics.map(({ key }) => key), id })
}

/** Stream names spell symbols in lower case, payloads in upper case. */
export function topic(channel: ChannelName, { symbol }: Instrument, stream: string, endpoint: string): Topic {
  return { channel, symbol, key: `${symbol.toLowerCase()}@${stream}`, endpoint }
}

/** Candle intervals by their name in stream names; a month is nominal here, its candles carry their own length. */
const INTERVAL_MS: ReadonlyMap<string, number> = new Map([
  ['1s', 1_000],
  ['1m', 60_000],
  ['3m', 180_000],
  ['5m', 300_000],
  ['15m', 900_000],
  ['30m', 1_800_000],
  ['1h', 3_600_000],
  ['2h', 7_200_000],
  ['4h', 14_400_000],
  ['6h', 21_600_000],
  ['8h', 28_800_000],
  ['12h', 43_200_000],
  ['1d', 86_400_000],
  ['3d', 259_200_000],
  ['1w', 604_800_000],
  ['1M', 2_592_000_000],
])

/**
 * The name of a candle interval.
 *
 * @throws `Fault` OPTION_INVALID that lists what is offered
 */
export function intervalName(intervalMs: number, smallestMs: number): string {
  const offered = [...INTERVAL_MS].filter(([, ms]) => ms >= smallestMs)
  for (const [name, ms] of offered) if (ms === intervalMs) return name
  const names = offered.map(([name]) => name).join(', ')
  throw new Fault('OPTION_INVALID', `Binance has no candles of ${intervalMs} ms; it offers ${names}.`, { intervalMs })
}

// ── Routing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** What is done with the events of one type, the `e` of their payload. */
export type EventUse = { readonly channel: ChannelName } | { readonly ignored: string } | { readonly reconnect: string }

const SHUTDOWN = 'the server is about to shut down'

/** The types that both markets have. */
export const SHARED_EVENTS: readonly (readonly [type: string, use: EventUse])[] = [
  ['trade', { channel: 'trades' }],
  ['aggTrade', { channel: 'trades' }],
  ['depthUpdate', { channel: 'book' }],
  ['bookTicker', { channel: 'ticker' }],
  ['kline', { channel: 'candles' }],
  ['24hrTicker', { ignored: '24 h ticker: no best prices that belong to a moment' }],
  ['24hrMiniTicker', { ignored: '24 h mini ticker' }],
  ['serverShutdown', { reconnect: SHUTDOWN }],
]

/** What a stream's name says it carries, for payloads that do not say it themselves. */
const STREAM_CHANNELS: readonly (readonly [part: string, channel: ChannelName])[] = [
  ['@depth', 'book'],
  ['@bookTicker', 'ticker'],
  ['@trade', 'trades'],
  ['@aggTrade', 'trades'],
  ['@kline_', 'candles'],
  ['@markPrice', 'derivative'],
  ['@forceOrder', 'liquidations'],
]

/** A route function for a market whose payload types are `events`. */
export function routeBy(events: ReadonlyMap<string, EventUse>): ExchangeProtocol['route'] {
  const channels = new Set([...events.values()].map((use) => ('channel' in use ? use.channel : undefined)))

  return (message, writer) => {
    if (Array.isArray(message)) return routeList(message, '', events)
    if (!isRecord(message)) return { to: 'unknown', reason: 'neither an object nor a list' }
    const stream = message['stream']
    const data = message['data']
    if (typeof stream === 'string') {
      if (Array.isArray(data)) return routeList(data, stream, events)
      if (isRecord(data)) {
        return routePayload(message, data, stream, events, writer) ?? routeByStream(message, data, stream, channels)
      }
      return routeByStream(message, {}, stream, channels)
    }
    return (
      routePayload(message, message, '', events, writer) ??
      routeAnswer(message) ??
      routeRest(message) ?? { to: 'unknown', reason: 'an object of no documented shape' }
    )
  }
}

function routePayload(
  message: WireRecord,
  data: WireRecord,
  stream: string,
  events: ReadonlyMap<string, EventUse>,
  writer: EventWriter,
): Route | undefined {
  const type = data['e']
  if (type === undefined) {
    if (isBestPrices(data)) return toChannel('ticker', symbolOf(data, stream), data)
    if (isPartialStream(stream) && data['lastUpdateId'] !== undefined) {
      return routeBook(symbolOfStream(stream), message, stream, writer)
    }
    return undefined
  }
  const use = typeof type === 'string' ? events.get(type) : undefined
  if (use === undefined) return undefined
  if ('ignored' in use) return { to: 'ignored', reason: use.ignored }
  if ('reconnect' in use) return { to: 'reconnect', reason: use.reconnect }
  const symbol = symbolOf(data, stream)
  if (use.channel === 'book') return routeBook(symbol, message, stream, writer)
  if (use.channel === 'trades' && data['X'] !== undefined && data['X'] !== 'MARKET') {
    return { to: 'ignored', reason: 'a trade outside the book (insurance fund, deleveraging)' }
  }
  return toChannel(use.channel, symbol, data)
}

/**
 * A payload that cannot be told by itself belongs to its stream: the decoder then says what is wrong with it, and a book
 * learns that it lost a change.
 */
function routeByStream(
  message: WireRecord,
  data: WireRecord,
  stream: string,
  channels: ReadonlySet<ChannelName | undefined>,
): Route {
  for (const [part, channel] of STREAM_CHANNELS) {
    if (channels.has(channel) && stream.includes(part)) {
      return toChannel(channel, symbolOf(data, stream), channel === 'book' ? message : data)
    }
  }
  if (stream === '!serverShutdown') return { to: 'reconnect', reason: SHUTDOWN }
  return { to: 'unknown', reason: 'a stream of no documented name' }
}

/** Lists: `!markPrice@arr` and its like, and REST answers. */
function routeList(rows: readonly unknown[], stream: string, events: ReadonlyMap<string, EventUse>): Route {
  const first = rows[0]
  if (first === undefined) return { to: 'ignored', reason: 'an empty list' }
  if (Array.isArray(first)) return { to: 'ignored', reason: 'REST answer: candles without a symbol' }
  if (!isRecord(first)) return { to: 'unknown', reason: 'a list of no documented shape' }
  const type = first['e']
  const use = typeof type === 'string' ? events.get(type) : undefined
  if (use !== undefined) {
    if ('ignored' in use) return { to: 'ignored', reason: use.ignored }
    if ('channel' in use && (use.channel === 'derivative' || use.channel === 'liquidations')) {
      return toChannel(use.channel, undefined, rows)
    }
  }
  if (type !== undefined || stream !== '') return { to: 'unknown', reason: 'a list of no documented shape' }
  const route = routeRest(first)
  if (route?.to === 'channel') return toChannel(route.channel, undefined, rows)
  return route ?? { to: 'unknown', reason: 'a list of no documented shape' }
}

/** Acknowledgements and refusals of requests. */
function routeAnswer(message: WireRecord): Route | undefined {
  const requestId = idOf(message['id'])
  const error = isRecord(message['error']) ? message['error'] : message
  if (typeof error['code'] === 'number' && typeof error['msg'] === 'string') {
    return { to: 'refused', id: requestId, keys: [], reason: `${error['msg'].slice(0, 500)} (code ${error['code']})` }
  }
  const result = message['result']
  if (!('id' in message) || result === undefined) return undefined
  const keys = Array.isArray(result) ? result.filter((key): key is string => typeof key === 'string') : []
  return { to: 'ack', id: requestId, keys }
}

/** REST answers met as frames, bare as the exchange sends them. Most do not name their symbol. */
function routeRest(body: WireRecord): Route | undefined {
  const has = (...fields: string[]): boolean => fields.every((field) => Object.hasOwn(body, field))
  const ignored = (what: string): Route => ({ to: 'ignored', reason: `REST answer: ${what}` })

  if (has('lastUpdateId', 'bids', 'asks')) return ignored('order book without a symbol')
  if (has('symbols', 'serverTime')) return ignored('instruments')
  if (has('serverTime')) return ignored('server time')
  if (has('mins', 'price')) return ignored('average price')
  if (has('a', 'p', 'q', 'T', 'm')) return ignored('aggregated trades without a symbol')
  if (has('id', 'price', 'qty', 'isBuyerMaker')) return ignored('trades without a symbol')
  const symbol = body['symbol']
  if (typeof symbol !== 'string') return undefined
  if (has('openPrice', 'highPrice')) return ignored('24 h ticker')
  if (has('bidPrice', 'askPrice')) return toChannel('ticker', symbol, body)
  if (has('markPrice') || has('openInterest')) return toChannel('derivative', symbol, body)
  if (has('fundingRate', 'fundingTime')) return ignored('funding rate history')
  if (has('price')) return toChannel('ticker', symbol, body)
  return undefined
}

/** Symbols whose book streams are remembered; beyond them nothing is checked. */
const BOOK_STREAMS_MAX = 10_000

/**
 * A symbol's book is made of one stream. A connection may carry several (100 ms and real time, or the top 20 beside the
 * changes); mixed into one book they would break its chain. The first stream of changes has it; a stream of tops has it
 * only where there is no other.
 */
function routeBook(symbol: string | undefined, message: WireRecord, stream: string, writer: EventWriter): Route {
  if (symbol !== undefined) {
    let streams = writer.memory.get(BOOK_STREAMS) as Map<string, string> | undefined
    if (streams === undefined) writer.memory.set(BOOK_STREAMS, (streams = new Map()))
    const owner = streams.get(symbol)
    if (owner !== stream) {
      const mayOwn =
        owner === undefined ? streams.size < BOOK_STREAMS_MAX : isPartialStream(owner) && !isPartialStream(stream)
      if (mayOwn) streams.set(symbol, stream)
      else if (owner !== undefined) return { to: 'ignored', reason: 'a second book stream of the same symbol' }
    }
  }
  return toChannel('book', symbol, message)
}

const BOOK_STREAMS = 'binance.bookStreams'

function toChannel(channel: ChannelName, symbol: string | undefined, wire: unknown): Route {
  return { to: 'channel', channel, symbol, wire }
}

function symbolOf(data: WireRecord, stream: string): string | undefined {
  const inner = isRecord(data['o']) ? data['o']['s'] : undefined
  const symbol = data['s'] ?? inner
  return typeof symbol === 'string' && symbol.length > 0 && symbol.length <= 128 ? symbol : symbolOfStream(stream)
}

/** Payloads spell in upper case what stream names spell in lower case. */
function symbolOfStream(stream: string): string | undefined {
  const end = stream.indexOf('@')
  return end > 0 && end <= 128 && !stream.startsWith('!') ? stream.slice(0, end).toUpperCase() : undefined
}

/** Levels of complete tops. */
const TOPS = [5, 10, 20]

/**
 * The stream of a book that is asked for, at the slowest pace that is often enough; ten frames a second are the default.
 *
 * @param paces  the milliseconds between two frames, the least first, and the end of the stream's name
 * @throws       `Fault` OPTION_INVALID for a top that is deeper than those that are sent
 */
export function depthStream(
  paces: readonly (readonly [everyMs: number, suffix: string])[],
  { depth = TOPS.at(-1)!, bookEveryMs = 100, bookTops }: TopicOptions,
): string {
  if (bookTops !== true) return `depth${suffixOf(paces, bookEveryMs)}`
  const levels = TOPS.find((offered) => offered >= depth)
  if (levels === undefined) {
    const message = `Binance sends complete tops of ${TOPS.join(', ')} levels, and ${depth} are wished for: wish for fewer, or for the changes of the book.`
    throw new Fault('OPTION_INVALID', message, { depth })
  }
  // Faster than this only changes are sent.
  return `depth${levels}${suffixOf(paces, Math.max(100, bookEveryMs))}`
}

function suffixOf(paces: readonly (readonly [everyMs: number, suffix: string])[], everyMs: number): string {
  return (paces.findLast(([paceMs]) => paceMs <= everyMs) ?? paces[0]!)[1]
}

/** `@depth5`, `@depth10`, `@depth20`: complete tops, not changes. */
function isPartialStream(stream: string): boolean {
  const at = stream.indexOf('@depth')
  const next = at < 0 ? NaN : stream.charCodeAt(at + '@depth'.length)
  return next >= 0x30 && next <= 0x39
}

function isBestPrices(data: WireRecord): boolean {
  return (
    data['u'] !== undefined &&
    data['b'] !== undefined &&
    data['B'] !== undefined &&
    data['a'] !== undefined &&
    data['A'] !== undefined
  )
}

function idOf(value: unknown): number | undefined {
  if (typeof value === 'string' && /^\d{1,15}$/.test(value)) return Number(value)
  return typeof value === 'number' && Number.isSafeInteger(value) ? value : undefined
}

// ── Shapes ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The fields of Binance's frames, as shapes name them. */
export const FIELDS = {
  bids: scan.pairs('bids'),
  asks: scan.pairs('asks'),
  /** `m` is true when the buyer rested. */
  side: scan.choice('side', 'false', 'true'),
  sent: scan.timeMs('sentUs'),
  time: scan.timeMs('exchangeTimeUs'),
  id: scan.integer('id'),
  seq: scan.integer('seq'),
  firstSeq: scan.integer('firstSeq'),
  prevSeq: scan.integer('prevSeq'),
  price: scan.amount('price'),
  size: scan.amount('size'),
  bidPrice: scan.decimal('bidPrice'),
  bidSize: scan.decimal('bidSize'),
  askPrice: scan.decimal('askPrice'),
  askSize: scan.decimal('askSize'),
}

// ── Decoders ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** `trade` { t, p, q, T, m } and `aggTrade` { a, p, q, T, m }: `m` is true when the buyer rested, so the taker sold. */
export function decodeTrade(wire: unknown, writer: EventWriter): void {
  const trade = record(wire, 'data')
  const aggregated = trade['e'] === 'aggTrade'
  if (!aggregated && trade['e'] !== 'trade') throw invalid('e', trade['e'], 'trade or aggTrade')
  const buyerRested = trade['m']
  if (typeof buyerRested !== 'boolean') throw invalid('m', buyerRested, 'true or false')
  writer.trade(text(trade['s'], 's'), timeUs(trade['T'], 'T'), {
    id: id(aggregated ? trade['a'] : trade['t'], aggregated ? 'a' : 't'),
    side: buyerRested ? 'sell' : 'buy',
    price: trade['p'],
    size: trade['q'],
  })
}

/**
 * `depthUpdate` { U, u, pu on futures, b, a }: a change, or a complete top where the stream's name says so; and the top of
 * a spot stream { lastUpdateId, bids, asks }, which names its symbol in the stream's name only.
 */
export function decodeBook(wire: unknown, writer: EventWriter): void {
  const message = record(wire, 'frame')
  const stream = typeof message['stream'] === 'string' ? message['stream'] : ''
  const data = stream === '' ? message : record(message['data'], 'data')
  const partial = isPartialStream(stream)

  if (partial && data['lastUpdateId'] !== undefined) {
    const symbol = text(symbolOfStream(stream), 'stream')
    decodeDepth(data, symbol, optionalTimeUs(data['T'] ?? data['E'], 'T'), writer)
    return
  }
  if (data['e'] !== 'depthUpdate') throw invalid('e', data['e'], 'depthUpdate')
  const symbol = text(data['s'], 's')
  const exchangeTimeUs = timeUs(data['T'] ?? data['E'], 'E')
  const firstSeq = integer(data['U'], 'U')
  const seq = integer(data['u'], 'u')
  if (seq < firstSeq) throw invalid('u', seq, `at least U, which is ${firstSeq}`)
  const bids = writer.levelsOf(data['b'], 'b')
  const asks = writer.levelsOf(data['a'], 'a')
  if (partial) writer.book('snapshot', symbol, exchangeTimeUs, bids, asks, { seq })
  else if (data['pu'] === undefined) writer.book('delta', symbol, exchangeTimeUs, bids, asks, { seq, firstSeq })
  else writer.book('delta', symbol, exchangeTimeUs, bids, asks, { seq, firstSeq, prevSeq: integer(data['pu'], 'pu') })
}

/** { lastUpdateId, bids, asks }: the REST answer and the top of a spot stream. */
function decodeDepth(depth: WireRecord, symbol: string, exchangeTimeUs: number | undefined, writer: EventWriter): void {
  const seq = integer(depth['lastUpdateId'], 'lastUpdateId')
  const bids = writer.levelsOf(depth['bids'], 'bids')
  const asks = writer.levelsOf(depth['asks'], 'asks')
  writer.book('snapshot', symbol, exchangeTimeUs, bids, asks, { seq })
}

/**
 * `bookTicker` { s, b, B, a, A, T and E on futures and newer spot streams }, and the REST answers of best prices
 * { symbol, bidPrice, bidQty, askPrice, askQty } and last prices { symbol, price }, single or as a list. An empty side is
 * written as zeros.
 */
export function decodeTicker(wire: unknown, writer: EventWriter): void {
  for (const row of Array.isArray(wire) ? (wire as readonly unknown[]) : [wire]) {
    const ticker = record(row, 'data')
    if (typeof ticker['symbol'] === 'string') {
      writer.ticker(
        text(ticker['symbol'], 'symbol'),
        optionalTimeUs(ticker['time'], 'time'),
        {
          bidPrice: ticker['bidPrice'],
          bidSize: ticker['bidQty'],
          askPrice: ticker['askPrice'],
          askSize: ticker['askQty'],
          lastPrice: ticker['price'],
        },
        true,
      )
    } else {
      if (!isBestPrices(ticker)) throw invalid('data', ticker, 'best prices with u, b, B, a and A')
      writer.ticker(
        text(ticker['s'], 's'),
        optionalTimeUs(ticker['T'] ?? ticker['E'], 'T'),
        { bidPrice: ticker['b'], bidSize: ticker['B'], askPrice: ticker['a'], askSize: ticker['A'] },
        true,
      )
    }
  }
}

/** `kline` { k: { t, T, i, o, h, l, c, v, x } }: `T` is the last millisecond of the interval, `x` true when it closed. */
export function decodeCandle(wire: unknown, writer: EventWriter): void {
  const data = record(wire, 'data')
  const candle = record(data['k'], 'k')
  const openTimeUs = requiredTimeUs(candle['t'], 'k.t')
  const closed = candle['x']
  if (typeof closed !== 'boolean') throw invalid('k.x', closed, 'true or false')
  writer.candle(text(data['s'], 's'), timeUs(data['E'], 'E'), {
    openTimeUs,
    intervalUs: intervalUsOf(candle, openTimeUs),
    open: candle['o'],
    high: candle['h'],
    low: candle['l'],
    close: candle['c'],
    volume: candle['v'],
    closed,
  })
}

function intervalUsOf(candle: WireRecord, openTimeUs: number): number {
  const name = text(candle['i'], 'k.i')
  const knownMs = name === '1M' ? undefined : INTERVAL_MS.get(name)
  if (knownMs !== undefined) return knownMs * 1_000
  const lastUnit = integer(candle['T'], 'k.T') >= MICROSECONDS_FROM ? 1 : 1_000
  const intervalUs = requiredTimeUs(candle['T'], 'k.T') + lastUnit - openTimeUs
  if (intervalUs <= 0) throw invalid('k.T', candle['T'], 'a time after k.t')
  return intervalUs
}

// ── Times ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Connections opened with `timeUnit=MICROSECOND` send microseconds in all fields; in milliseconds this is the year 5138. */
const MICROSECONDS_FROM = 1e14
const TIME_US_MIN = 946_684_800_000_000
const TIME_US_MAX = 4_102_444_800_000_000

/**
 * Microseconds from a time in milliseconds or microseconds. Times between 1970 and 2000 say nothing: documented sample
 * frames carry such placeholders.
 */
export function timeUs(value: unknown, field: string): number | undefined {
  const time = integer(value, field)
  const us = time >= MICROSECONDS_FROM ? time : time * 1_000
  if (us < 0 || us > TIME_US_MAX) throw invalid(field, value, 'a time in milliseconds since 1970')
  return us < TIME_US_MIN ? undefined : us
}

/** As {@link timeUs}, or undefined where the field is absent. */
export function optionalTimeUs(value: unknown, field: string): number | undefined {
  return value === undefined || value === null ? undefined : timeUs(value, field)
}

function requiredTimeUs(value: unknown, field: string): number {
  const us = timeUs(value, field)
  if (us === undefined) throw invalid(field, value, 'a time in milliseconds since 1970')
  return us
}

// ── REST ────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Levels a side of a snapshot: the most that spot and futures both offer at a moderate weight. */
const SNAPSHOT_LEVELS = 1_000

/** `GET <path>/depth`, for markets whose answer is recognised by `paths`. */
export function restSnapshot(path: string, paths: readonly string[], weight: number): RestSnapshot {
  return {
    path: (symbol) => `${path}?symbol=${encodeURIComponent(symbol)}&limit=${SNAPSHOT_LEVELS}`,
    weight,
    symbolOf: (url) => symbolOfUrl(url, paths),
    decode(body, symbol, writer) {
      const depth = record(body, 'body')
      decodeDepth(depth, symbol, optionalTimeUs(depth['T'] ?? depth['E'], 'T'), writer)
    },
  }
}

/** The `symbol` of a REST address with one of these paths. */
export function symbolOfUrl(url: string, paths: readonly string[]): string | undefined {
  if (!URL.canParse(url, 'https://rest')) return undefined
  const { pathname, searchParams } = new URL(url, 'https://rest')
  return paths.includes(pathname) ? (searchParams.get('symbol') ?? undefined) : undefined
}

/** The instruments of an `exchangeInfo` answer; rows that cannot be read, or that `read` has no use for, are left out. */
export function instrumentsOf(body: unknown, read: (row: WireRecord) => Instrument | undefined): Instrument[] {
  const instruments: Instrument[] = []
  for (const row of list(record(body, 'body')['symbols'], 'symbols')) {
    try {
      const instrument = read(record(row, 'symbol'))
      if (instrument !== undefined) instruments.push(instrument)
    } catch (thrown) {
      if (!(thrown instanceof Fault)) throw thrown
    }
  }
  return instruments
}

/** The steps of an instrument's prices and sizes. */
export function stepsOf(row: WireRecord): { tick: Step; lot: Step } {
  return {
    tick: stepOf(filterField(row, 'PRICE_FILTER', 'tickSize')),
    lot: stepOf(filterField(row, 'LOT_SIZE', 'stepSize')),
  }
}

function filterField(row: WireRecord, filterType: string, field: string): unknown {
  const filters = row['filters']
  if (!Array.isArray(filters)) return undefined
  for (const filter of filters as readonly unknown[]) {
    if (isRecord(filter) && filter['filterType'] === filterType) return filter[field]
  }
  return undefined
}
