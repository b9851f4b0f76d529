/**
 * Kraken spot, public market data: WebSocket v2, and v1 as recordings speak it.
 *
 * Docs    https://docs.kraken.com/api/docs/guides/spot-ws-intro (facts as of August 2026)
 * Book    snapshot in-stream, then absolute sizes; no numbers: a CRC32 of the ten best levels is in every v2 message and in
 *         every v1 update. Levels beyond the subscribed depth are never removed by the exchange, so the book is cut to it
 * Units   v2 prices and sizes are JSON numbers whose trailing zeros are part of the checksum, so numbers are read as text;
 *         v1 sends texts; sizes in base units
 * Time    v2 RFC 3339, v1 seconds with microseconds
 * Quirk   one request subscribes to one channel; v1 calls Bitcoin XBT and Dogecoin XDG, v2 BTC and DOGE; v1 data are
 *         lists whose channel and pair stand at the end, and a change of both sides is two objects in one list; candles
 *         carry no closed flag, so `closed` is always false; REST answers name pairs in a third spelling (`XXBTZUSD`),
 *         which their events keep
 */
import { krakenChecksum } from '../book/checksum'
import { unnumbered } from '../book/sequencing'
import {
  amount,
  bareAmount,
  bareDecimal,
  choice,
  decimal,
  integer as integerField,
  key,
  keyUntil,
  levels,
  rows,
  shape,
  skipNumber,
  skipText,
  timeRfc3339,
  timeSeconds,
} from '../kernel/shape'
import type { EventWriter, LevelsBuilder } from '../model/codec/eventWriter'
import {
  decimalText,
  id,
  integer,
  invalid,
  isRecord,
  list,
  optionalInteger,
  record,
  text,
  timeUsFromRfc3339,
  timeUsFromSeconds,
  type WireRecord,
} from '../model/codec/wire'
import type { Side } from '../model/events'
import { Fault } from '../model/fault'
import { unifiedName, type Instrument } from '../model/instrument'
import type { ChannelName, ExchangeProtocol, FrameShape, Route, Topic, TopicOptions } from './protocol'
import { stepOf } from './steps'

/** Levels a side that can be subscribed to. */
const DEPTHS = [10, 25, 100, 500, 1_000]
/** The checksum covers ten levels at any depth; a hundred are enough for most views and cheap to keep. */
const DEPTH_DEFAULT = 100
/** What both versions take when a request names no depth, and no interval. */
const DEPTH_OF_EXCHANGE = 10
const INTERVAL_OF_EXCHANGE = 1
/** Candle intervals in minutes. */
const INTERVALS = [1, 5, 15, 30, 60, 240, 1_440, 10_080, 21_600]

// Shapes. In v1 the key is what stands at the end, `"book-1000","XMR/USD"`; in v2 it is the symbol.

const LEVEL_V1 = { head: '["', middle: '","', foot: '', tail: 'time', timeName: 'exchangeTimeUs' } as const
const BIDS_V1 = levels({ side: 'bids', ...LEVEL_V1 })
const ASKS_V1 = levels({ side: 'asks', ...LEVEL_V1 })
const LEVEL_V2 = { head: '{"price":', middle: ',"qty":', foot: '}', bare: true } as const
const BIDS_V2 = levels({ side: 'bids', ...LEVEL_V2 })
const ASKS_V2 = levels({ side: 'asks', ...LEVEL_V2 })
const CHECKSUM = integerField('checksum')
const SECONDS = timeSeconds('exchangeTimeUs')
const TIME = timeRfc3339('exchangeTimeUs')
const NAME_AND_PAIR = keyUntil(']')
const ROW_V1 = shape`["${amount('price')}","${amount('size')}","${SECONDS}","${choice('side', 'b', 's')}","${skipText}","${skipText}"]`
const ROW_V2 = shape`{"symbol":"${key}","side":"${choice('side', 'buy', 'sell')}","price":${bareAmount('price')},"qty":${bareAmount('size')},"ord_type":"${skipText}","trade_id":${integerField('id')},"timestamp":"${TIME}"}`

const SHAPES: readonly FrameShape[] = [
  {
    event: 'delta',
    channel: 'book',
    shape: shape`{"channel":"book","type":"update","data":[{"symbol":"${key}","bids":${BIDS_V2},"asks":${ASKS_V2},"checksum":${CHECKSUM},"timestamp":"${TIME}"}]}`,
  },
  {
    event: 'ticker',
    channel: 'ticker',
    shape: shape`{"channel":"ticker","type":"update","data":[{"symbol":"${key}","bid":${bareDecimal('bidPrice')},"bid_qty":${bareDecimal('bidSize')},"ask":${bareDecimal('askPrice')},"ask_qty":${bareDecimal('askSize')},"last":${bareDecimal('lastPrice')},"volume":${skipNumber},"vwap":${skipNumber},"low":${skipNumber},"high":${skipNumber},"change":${skipNumber},"change_pct":${skipNumber},"timestamp":"${TIME}"}]}`,
    zeroIsNone: true,
  },
  { event: 'trade', channel: 'trades', shape: shape`{"channel":"trade","type":"update","data":${rows(ROW_V2)}}` },
  {
    event: 'delta',
    channel: 'book',
    shape: shape`[${skipNumber},{"b":${BIDS_V1},"c":"${CHECKSUM}"},${NAME_AND_PAIR}]`,
  },
  {
    event: 'delta',
    channel: 'book',
    shape: shape`[${skipNumber},{"a":${ASKS_V1},"c":"${CHECKSUM}"},${NAME_AND_PAIR}]`,
  },
  {
    event: 'delta',
    channel: 'book',
    shape: shape`[${skipNumber},{"a":${ASKS_V1}},{"b":${BIDS_V1},"c":"${CHECKSUM}"},${NAME_AND_PAIR}]`,
  },
  {
    event: 'snapshot',
    channel: 'book',
    shape: shape`[${skipNumber},{"as":${ASKS_V1},"bs":${BIDS_V1}},${NAME_AND_PAIR}]`,
  },
  { event: 'trade', channel: 'trades', shape: shape`[${skipNumber},${rows(ROW_V1)},${NAME_AND_PAIR}]` },
  {
    event: 'ticker',
    channel: 'ticker',
    shape: shape`[${skipNumber},{"a":["${decimal('askPrice')}",${skipNumber},"${decimal('askSize')}"],"b":["${decimal('bidPrice')}",${skipNumber},"${decimal('bidSize')}"],"c":["${decimal('lastPrice')}","${skipText}"],"v":["${skipText}","${skipText}"],"p":["${skipText}","${skipText}"],"t":[${skipNumber},${skipNumber}],"l":["${skipText}","${skipText}"],"h":["${skipText}","${skipText}"],"o":["${skipText}","${skipText}"]},${NAME_AND_PAIR}]`,
    zeroIsNone: true,
  },
  {
    event: 'ticker',
    channel: 'ticker',
    shape: shape`[${skipNumber},["${decimal('bidPrice')}","${decimal('askPrice')}","${SECONDS}","${decimal('bidSize')}","${decimal('askSize')}"],${NAME_AND_PAIR}]`,
    zeroIsNone: true,
  },
]

/** v1 is at the root of the host. */
const WITHOUT_PATH = /^wss?:\/\/[^/?#]+\/?(?:[?#]|$)/

export const kraken: ExchangeProtocol = {
  id: 'kraken',
  title: 'Kraken',
  docs: 'https://docs.kraken.com/api/docs/guides/spot-ws-intro',
  markets: ['spot'],
  hosts: { ws: 'wss://ws.kraken.com', rest: 'https://api.kraken.com' },
  endpoints: {
    v2: { path: '/v2', market: 'spot' },
    v1: { path: '', market: 'spot' }, // replayed only: nothing is subscribed there
  },

  channels: {
    trades: {
      topics: (instrument) => topic('trades', 'trade', instrument),
      decode: decodeTrades,
      idleMsMax: undefined,
    },
    book: { topics: bookTopics, decode: decodeBook, idleMsMax: undefined },
    ticker: {
      topics: (instrument) => topic('ticker', 'ticker', instrument),
      decode: decodeTicker,
      idleMsMax: undefined,
    },
    candles: { topics: candleTopics, decode: decodeCandles, idleMsMax: undefined },
  },

  shapes: SHAPES,

  subscribe: (topics, id) => request('subscribe', topics, id),
  unsubscribe: (topics, id) => request('unsubscribe', topics, id),

  limits: {
    topicsPerRequest: 1, // a request names one channel; one symbol each makes a refusal tell what it refuses
    topicsPerConnection: 300, // none is documented
    requestCharsMax: 16_384, // none is documented
    requestEveryMs: 20, // none is documented
    connectEveryMs: 4_000, // 150 attempts in ten minutes, then a ban of ten minutes
  },
  heartbeat: { everyMs: 5_000, message: (id) => JSON.stringify({ method: 'ping', req_id: id }) },
  idleMsMax: 10_000, // the server sends a heartbeat every second, and answers pings where nothing is subscribed
  // v1 sends lists, whose digits are texts already.
  numbersAsText: (text) => !text.startsWith('['),
  plainTexts: [],
  route,

  book: {
    sequencing: unnumbered,
    checksum: krakenChecksum,
    crossingMeansLoss: false,
    snapshot: undefined,
    verified: 'snapshot in-stream; CRC32 of the ten best levels in every message',
  },

  instruments: {
    requests: [{ market: 'spot', path: '/0/public/AssetPairs', weight: 1 }],
    decode: decodeInstruments,
    nextPath: () => undefined,
  },
  rest: { weightPerMinute: 60 }, // one public request a second
  polls: [],
  endpointOf: (url) => (WITHOUT_PATH.test(url) ? 'v1' : 'v2'),
}

// Subscriptions. A key is the subscription's name and the symbol, the name as v1 writes it: `book-100 BTC/USD`.

function topic(channel: ChannelName, name: string, instrument: Instrument): readonly Topic[] {
  const symbol = symbolV2(instrument.symbol)
  return [{ channel, symbol, key: `${name} ${symbol}`, endpoint: 'v2' }]
}

function bookTopics(instrument: Instrument, { depth = DEPTH_DEFAULT }: TopicOptions): readonly Topic[] {
  const offered = DEPTHS.find((candidate) => candidate >= depth) ?? DEPTHS.at(-1)!
  return topic('book', `book-${offered}`, instrument)
}

function candleTopics(instrument: Instrument, { intervalMs }: TopicOptions): readonly Topic[] {
  const minutes = intervalMs / 60_000
  if (!INTERVALS.includes(minutes)) {
    throw new Fault(
      'OPTION_INVALID',
      `Kraken has no candles of ${intervalMs} ms; choose one of ${INTERVALS.map((each) => each * 60_000).join(', ')}.`,
      { intervalMs },
    )
  }
  return topic('candles', `ohlc-${minutes}`, instrument)
}

function request(method: 'subscribe' | 'unsubscribe', topics: readonly Topic[], id: number): string {
  const names = new Set(topics.map(({ key }) => key.slice(0, key.indexOf(' '))))
  const [name] = names
  if (name === undefined || names.size > 1) {
    throw new Fault(
      'OPTION_INVALID',
      `A Kraken request is for one channel, not for ${[...names].join(' and ') || 'none'}.`,
      {
        names: [...names],
      },
    )
  }
  const [channel = name, parameter] = name.split('-')
  const symbol = topics.map((each) => each.symbol)
  const params: Record<string, unknown> = { channel, symbol }
  if (channel === 'book') params['depth'] = Number(parameter)
  if (channel === 'ohlc') params['interval'] = Number(parameter)
  if (channel === 'ticker') params['event_trigger'] = 'bbo'
  // Old trades and old candles would only have to be told from new ones; books and tickers start with what is now.
  if (method === 'subscribe') params['snapshot'] = channel === 'book' || channel === 'ticker'
  return JSON.stringify({ method, params, req_id: id })
}

// Routing.

/** Channels of v2 that carry what we use. */
const CHANNEL_OF = new Map<string, ChannelName>([
  ['trade', 'trades'],
  ['book', 'book'],
  ['ticker', 'ticker'],
  ['ohlc', 'candles'],
])

/** Names of v1, without what follows the dash. */
const CHANNEL_OF_V1 = new Map<string, ChannelName>([...CHANNEL_OF, ['spread', 'ticker']])

const IGNORED_CHANNELS = new Map([
  ['status', 'status channel: the exchange and its version'],
  ['instrument', 'instrument channel: metadata is read over REST'],
  ['level3', 'level3 channel: single orders'],
  ['executions', 'executions channel: an account'],
  ['balances', 'balances channel: an account'],
])

function route(message: unknown, writer: EventWriter): Route {
  if (Array.isArray(message)) return routeV1(message)
  if (!isRecord(message)) return { to: 'unknown', reason: 'a frame that is neither object nor list' }
  const { channel, method, event } = message
  if (typeof channel === 'string') return routeChannel(channel, message)
  if (typeof method === 'string') return routeAnswer(method, message, writer)
  if (typeof event === 'string') return routeEvent(event, message)
  if (message['success'] === false) {
    return { to: 'refused', id: requestId(message['req_id']), keys: [], reason: words(message['error']) }
  }
  if (Array.isArray(message['error'])) return routeRest(message['error'], message)
  return { to: 'unknown', reason: 'an object without channel, method or event' }
}

function routeChannel(channel: string, message: WireRecord): Route {
  const ours = CHANNEL_OF.get(channel)
  if (ours !== undefined) return { to: 'channel', channel: ours, symbol: symbolOfRows(message['data']), wire: message }
  if (channel === 'heartbeat') return { to: 'heartbeat' }
  const reason = IGNORED_CHANNELS.get(channel)
  if (reason !== undefined) return { to: 'ignored', reason }
  return { to: 'unknown', reason: `a frame of channel ${channel.slice(0, 40)}` }
}

function symbolOfRows(rows: unknown): string | undefined {
  let symbol: string | undefined
  if (!Array.isArray(rows)) return undefined
  for (const row of rows as readonly unknown[]) {
    const named = isRecord(row) ? row['symbol'] : undefined
    if (typeof named !== 'string' || (symbol !== undefined && symbol !== named)) return undefined
    symbol = named
  }
  return symbol
}

function routeAnswer(method: string, message: WireRecord, writer: EventWriter): Route {
  const { success, result, error } = message
  const id = requestId(message['req_id'])
  if (method === 'pong') return { to: 'heartbeat' }
  if (method !== 'subscribe' && method !== 'unsubscribe') {
    if (success === false) return { to: 'refused', id, keys: [], reason: words(error) }
    return { to: 'unknown', reason: `an answer to ${method.slice(0, 40)}` }
  }
  if (success === false) {
    if (method === 'unsubscribe') return { to: 'ignored', reason: `unsubscribe refused: ${words(error)}` }
    const symbol = message['symbol']
    const reason = typeof symbol === 'string' ? `${words(error)} (${symbol.slice(0, 40)})` : words(error)
    return { to: 'refused', id, keys: [], reason }
  }
  if (success !== true || !isRecord(result)) return { to: 'unknown', reason: `an answer to ${method} without a result` }
  if (method === 'unsubscribe') return { to: 'ignored', reason: 'unsubscribed' }
  const { channel, symbol } = result
  if (typeof channel !== 'string' || typeof symbol !== 'string') return { to: 'ack', id, keys: [] }
  if (channel === 'book') rememberDepth(writer, symbol, requestId(result['depth']) ?? DEPTH_OF_EXCHANGE, true)
  return { to: 'ack', id, keys: [`${nameOf(channel, result)} ${symbol}`] }
}

/** The subscription's name: the channel, and its depth or interval. */
function nameOf(channel: string, { depth, interval }: WireRecord): string {
  if (channel === 'book') return `book-${requestId(depth) ?? DEPTH_OF_EXCHANGE}`
  if (channel === 'ohlc') return `ohlc-${requestId(interval) ?? INTERVAL_OF_EXCHANGE}`
  return channel
}

function routeEvent(event: string, message: WireRecord): Route {
  const id = requestId(message['reqid'])
  switch (event) {
    case 'heartbeat':
    case 'pong':
      return { to: 'heartbeat' }
    case 'systemStatus':
      return { to: 'ignored', reason: 'systemStatus: the exchange and its version' }
    case 'error':
      return { to: 'refused', id, keys: [], reason: words(message['errorMessage']) }
    case 'subscriptionStatus':
      break
    default:
      return { to: 'unknown', reason: `an event ${event.slice(0, 40)}` }
  }
  const { status, pair, channelName, subscription } = message
  const name = isRecord(subscription) && typeof subscription['name'] === 'string' ? subscription['name'] : undefined
  const named = typeof channelName === 'string' ? channelName : name && nameOf(name, subscription as WireRecord)
  const keys = named !== undefined && typeof pair === 'string' ? [`${named} ${pair}`] : []
  if (status === 'subscribed') return { to: 'ack', id, keys }
  if (status === 'unsubscribed') return { to: 'ignored', reason: 'unsubscribed' }
  if (status === 'error') return { to: 'refused', id, keys, reason: words(message['errorMessage']) }
  return { to: 'unknown', reason: 'a subscriptionStatus without a status' }
}

/** `[channelID, payload, (payload,) channelName, pair]`, or the list of an unknown kind. */
function routeV1(message: readonly unknown[]): Route {
  const name = message.at(-2)
  const symbol = message.at(-1)
  if (message.length < 4 || typeof name !== 'string' || typeof symbol !== 'string') {
    return { to: 'unknown', reason: 'a list that ends without channel and pair' }
  }
  const [kind = name] = name.split('-')
  const channel = CHANNEL_OF_V1.get(kind)
  if (channel !== undefined) return { to: 'channel', channel, symbol, wire: message }
  return { to: 'unknown', reason: `a frame of channel ${name.slice(0, 40)}` }
}

/** REST answers: `{ error: [], result: { PAIR: ... } }`. */
function routeRest(errors: readonly unknown[], message: WireRecord): Route {
  if (errors.length > 0) return { to: 'ignored', reason: `REST answer: ${words(errors[0])}` }
  const result = message['result']
  if (!isRecord(result)) return { to: 'unknown', reason: 'a REST answer without a result' }
  if (typeof result['status'] === 'string') return { to: 'ignored', reason: 'REST answer: status of the exchange' }
  const pairs = pairsOf(result)
  const [first] = pairs
  if (first === undefined) return { to: 'ignored', reason: 'REST answer: empty' }
  const [pair, value] = first
  const symbol = pairs.length === 1 ? pair : undefined
  if (isRecord(value)) {
    if (value['altname'] !== undefined) return { to: 'ignored', reason: 'REST answer: instruments' }
    if (Array.isArray(value['asks'])) return { to: 'channel', channel: 'book', symbol, wire: message }
    if (Array.isArray(value['a'])) return { to: 'channel', channel: 'ticker', symbol, wire: message }
  }
  if (Array.isArray(value)) {
    const [row] = value as readonly unknown[]
    if (row === undefined) return { to: 'ignored', reason: 'REST answer: empty' }
    if (Array.isArray(row)) {
      if (row[3] === 'b' || row[3] === 's') return { to: 'channel', channel: 'trades', symbol, wire: message }
      if (row.length === 8) return { to: 'ignored', reason: 'REST answer: candles without their interval' }
    }
  }
  return { to: 'unknown', reason: 'a REST answer of unknown content' }
}

function pairsOf(result: WireRecord): [pair: string, value: unknown][] {
  return Object.entries(result).filter(([key]) => key !== 'last')
}

/** A small number of the exchange's own, sent as number or, where numbers are read as text, as digits. */
function requestId(value: unknown): number | undefined {
  const number = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value
  return typeof number === 'number' && Number.isSafeInteger(number) && number >= 0 ? number : undefined
}

function words(value: unknown): string {
  return typeof value === 'string' && value !== '' ? value.slice(0, 300) : 'no reason given'
}

// Decoders. Each reads v2 (an object with `data`), v1 (a list) and, where it names its pair, the REST answer.

/** v2 rows `symbol side price qty trade_id timestamp`; v1 rows `[price, volume, time, b|s, type, misc]`, REST adds the id. */
function decodeTrades(wire: unknown, writer: EventWriter): void {
  if (Array.isArray(wire)) {
    const { payloads, symbol } = frameV1(wire)
    for (const payload of payloads) for (const row of list(payload, 'trades')) tradeV1(row, symbol, writer, false)
    return
  }
  const message = record(wire, 'frame')
  if (message['result'] !== undefined) {
    for (const [pair, rows] of pairsOf(record(message['result'], 'result'))) {
      for (const row of list(rows, 'trades')) tradeV1(row, pair, writer, true)
    }
    return
  }
  const history = isSnapshot(message)
  for (const row of list(message['data'], 'data')) {
    const trade = record(row, 'trade')
    writer.trade(text(trade['symbol'], 'symbol'), timeUsFromRfc3339(trade['timestamp'], 'timestamp'), {
      id: id(trade['trade_id'], 'trade_id'),
      side: sideOf(trade['side'], 'buy', 'sell'),
      price: trade['price'],
      size: trade['qty'],
      history,
    })
  }
}

function tradeV1(wire: unknown, symbol: string, writer: EventWriter, history: boolean): void {
  const [price, size, time, side, , , tradeId] = list(wire, 'trade')
  writer.trade(symbol, timeUsFromSeconds(time, 'time'), {
    id: tradeId === undefined ? undefined : id(tradeId, 'trade_id'),
    side: sideOf(side, 'b', 's'),
    price,
    size,
    history,
  })
}

function sideOf(wire: unknown, buy: string, sell: string): Side {
  if (wire === buy) return 'buy'
  if (wire === sell) return 'sell'
  throw invalid('side', wire, `${buy} or ${sell}`)
}

/** v2 `data` of `symbol bids asks checksum timestamp`, levels `{ price, qty }`. */
function decodeBook(wire: unknown, writer: EventWriter): void {
  if (Array.isArray(wire)) return decodeBookV1(wire, writer)
  const message = record(wire, 'frame')
  if (message['result'] !== undefined) return decodeBookRest(record(message['result'], 'result'), writer)
  const snapshot = isSnapshot(message)
  for (const row of list(message['data'], 'data')) {
    const book = record(row, 'book')
    const symbol = text(book['symbol'], 'symbol')
    const bids = levelsV2(book['bids'], 'bids', writer)
    const asks = levelsV2(book['asks'], 'asks', writer)
    if (snapshot) inferDepth(writer, symbol, Math.max(bids.length, asks.length))
    const checksum = optionalInteger(book['checksum'], 'checksum')
    const depth = depthsOf(writer).get(symbol)?.depth
    writer.book(snapshot ? 'snapshot' : 'delta', symbol, optionalTime(book['timestamp']), bids, asks, {
      ...(checksum !== undefined && { checksum }),
      ...(depth !== undefined && { depth }),
    })
  }
}

function levelsV2(wire: unknown, field: string, writer: EventWriter): LevelsBuilder {
  const levels = writer.levels()
  for (const level of list(wire, field)) {
    const { price, qty } = record(level, field)
    levels.add(price, qty)
  }
  return levels
}

/**
 * v1 payloads: `{ as, bs }` is a snapshot; `{ a, c }`, `{ b, c }` or both `{ a }, { b, c }` are one update. Levels are
 * `[price, volume, time]`, an update's may end with `r` for one that came back into range.
 */
function decodeBookV1(wire: readonly unknown[], writer: EventWriter): void {
  const { payloads, name, symbol } = frameV1(wire)
  const depth = requestId(name.split('-')[1]) ?? DEPTH_OF_EXCHANGE
  const bids = writer.levels()
  const asks = writer.levels()
  let timeUs: number | undefined
  let checksum: number | undefined
  let snapshot = false
  for (const payload of payloads) {
    const fields = record(payload, 'book')
    snapshot ||= fields['as'] !== undefined || fields['bs'] !== undefined
    for (const [side, levels] of [
      [fields['bs'] ?? fields['b'], bids],
      [fields['as'] ?? fields['a'], asks],
    ] as const) {
      if (side === undefined) continue
      for (const level of list(side, 'levels')) {
        const [price, volume, time] = list(level, 'level')
        levels.add(price, volume)
        timeUs = Math.max(timeUs ?? 0, timeUsFromSeconds(time, 'time'))
      }
    }
    checksum = optionalInteger(fields['c'], 'c') ?? checksum
  }
  const chain = { depth, ...(checksum !== undefined && { checksum }) }
  writer.book(snapshot ? 'snapshot' : 'delta', symbol, timeUs, bids, asks, chain)
}

function decodeBookRest(result: WireRecord, writer: EventWriter): void {
  for (const [pair, value] of pairsOf(result)) {
    const { bids, asks } = record(value, 'book')
    writer.book('snapshot', pair, undefined, writer.levelsOf(bids, 'bids'), writer.levelsOf(asks, 'asks'))
  }
}

/** v2 `bid bid_qty ask ask_qty last timestamp`, a missing side is 0. v1 and REST `a b c`; v1 `spread` is a list. */
function decodeTicker(wire: unknown, writer: EventWriter): void {
  if (Array.isArray(wire)) {
    const { payloads, name, symbol } = frameV1(wire)
    for (const payload of payloads) {
      if (name === 'spread') spreadV1(payload, symbol, writer)
      else tickerV1(payload, symbol, writer)
    }
    return
  }
  const message = record(wire, 'frame')
  if (message['result'] !== undefined) {
    for (const [pair, value] of pairsOf(record(message['result'], 'result'))) tickerV1(value, pair, writer)
    return
  }
  for (const row of list(message['data'], 'data')) {
    const ticker = record(row, 'ticker')
    const fields = {
      bidPrice: ticker['bid'],
      bidSize: ticker['bid_qty'],
      askPrice: ticker['ask'],
      askSize: ticker['ask_qty'],
      lastPrice: ticker['last'],
    }
    writer.ticker(text(ticker['symbol'], 'symbol'), optionalTime(ticker['timestamp']), fields, true)
  }
}

/** `a` and `b` are `[price, whole lots, lots]`, `c` is `[price, lots]` of the last trade. */
function tickerV1(wire: unknown, symbol: string, writer: EventWriter): void {
  const { a, b, c } = record(wire, 'ticker')
  const [askPrice, , askSize] = list(a, 'a')
  const [bidPrice, , bidSize] = list(b, 'b')
  const [lastPrice] = list(c, 'c')
  writer.ticker(symbol, undefined, { bidPrice, bidSize, askPrice, askSize, lastPrice }, true)
}

function spreadV1(wire: unknown, symbol: string, writer: EventWriter): void {
  const [bidPrice, askPrice, time, bidSize, askSize] = list(wire, 'spread')
  writer.ticker(symbol, timeUsFromSeconds(time, 'time'), { bidPrice, bidSize, askPrice, askSize }, true)
}

const MINUTE_US = 60_000_000

/** v2 `symbol open high low close volume interval_begin interval`; v1 `[time, end, open, high, low, close, vwap, volume, count]`. */
function decodeCandles(wire: unknown, writer: EventWriter): void {
  if (Array.isArray(wire)) {
    const { payloads, name, symbol } = frameV1(wire)
    const intervalUs = (requestId(name.split('-')[1]) ?? INTERVAL_OF_EXCHANGE) * MINUTE_US
    for (const payload of payloads) {
      const [time, end, open, high, low, close, , volume] = list(payload, 'ohlc')
      const openTimeUs = timeUsFromSeconds(end, 'etime') - intervalUs
      const fields = { openTimeUs, intervalUs, open, high, low, close, volume, closed: false }
      writer.candle(symbol, timeUsFromSeconds(time, 'time'), fields)
    }
    return
  }
  for (const row of list(record(wire, 'frame')['data'], 'data')) {
    const candle = record(row, 'ohlc')
    // Its `timestamp` is the end of the interval, not the time of the message.
    writer.candle(text(candle['symbol'], 'symbol'), undefined, {
      openTimeUs: timeUsFromRfc3339(candle['interval_begin'], 'interval_begin'),
      intervalUs: intervalMinutes(candle['interval']) * MINUTE_US,
      open: candle['open'],
      high: candle['high'],
      low: candle['low'],
      close: candle['close'],
      volume: candle['volume'],
      closed: false,
    })
  }
}

/** A month of minutes is more than any interval. */
function intervalMinutes(wire: unknown): number {
  const minutes = integer(wire, 'interval')
  if (minutes <= 0 || minutes > 50_000) throw invalid('interval', wire, 'minutes')
  return minutes
}

interface FrameV1 {
  readonly payloads: readonly unknown[]
  readonly name: string
  readonly symbol: string
}

function frameV1(wire: readonly unknown[]): FrameV1 {
  return { payloads: wire.slice(1, -2), name: text(wire.at(-2), 'channelName'), symbol: text(wire.at(-1), 'pair') }
}

function isSnapshot({ type }: WireRecord): boolean {
  if (type !== 'snapshot' && type !== 'update') throw invalid('type', type, 'snapshot or update')
  return type === 'snapshot'
}

function optionalTime(wire: unknown): number | undefined {
  return wire === undefined || wire === null ? undefined : timeUsFromRfc3339(wire, 'timestamp')
}

// The subscribed depth, which updates must be cut to, is told by the acknowledgement alone.

interface KnownDepth {
  readonly depth: number
  /** False where it was only inferred from a snapshot. */
  readonly acknowledged: boolean
}

const DEPTHS_KEY = 'kraken depths'
/** Symbols that are remembered; what comes beyond them is not, so that what is known stays. Kraken lists about 1,500. */
const SYMBOLS_MAX = 10_000

function depthsOf({ memory }: EventWriter): Map<string, KnownDepth> {
  let depths = memory.get(DEPTHS_KEY) as Map<string, KnownDepth> | undefined
  if (depths === undefined) memory.set(DEPTHS_KEY, (depths = new Map<string, KnownDepth>()))
  return depths
}

function rememberDepth(writer: EventWriter, symbol: string, depth: number, acknowledged: boolean): void {
  if (depth === 0) return
  const depths = depthsOf(writer)
  if (depths.has(symbol) || depths.size < SYMBOLS_MAX) depths.set(symbol, { depth, acknowledged })
}

/** Recordings may start after the acknowledgement: the smallest depth that holds the snapshot is the likely one. */
function inferDepth(writer: EventWriter, symbol: string, levels: number): void {
  if (depthsOf(writer).get(symbol)?.acknowledged === true) return
  rememberDepth(writer, symbol, DEPTHS.find((depth) => depth >= levels) ?? levels, false)
}

// Instruments.

/** v1 names by which v2 and the rest of the world know otherwise. */
const COMMON_NAMES = new Map([
  ['XBT', 'BTC'],
  ['XDG', 'DOGE'],
])

function commonName(currency: string): string {
  return COMMON_NAMES.get(currency) ?? currency
}

function symbolV2(symbol: string): string {
  return symbol.split('/').map(commonName).join('/')
}

/**
 * `{ error: [], result: { XXBTZUSD: { wsname: "XBT/USD", ... } } }`. A pair whose v1 name differs is listed under both names, v2
 * first, so that frames of either version find it. Pairs without `wsname` are not on the socket.
 */
function decodeInstruments(body: unknown): Instrument[] {
  const { error, result } = record(body, 'AssetPairs')
  if (Array.isArray(error) && error.length > 0) throw invalid('error', error, 'no error')
  return Object.values(record(result, 'result')).flatMap((pair) => {
    try {
      return instrumentsOf(record(pair, 'pair'))
    } catch (thrown) {
      if (thrown instanceof Fault) return []
      throw thrown
    }
  })
}

function instrumentsOf(pair: WireRecord): Instrument[] {
  const symbolV1 = text(pair['wsname'], 'wsname')
  const currencies = symbolV1.split('/')
  if (currencies.length !== 2) throw invalid('wsname', symbolV1, 'BASE/QUOTE')
  const [base, quote] = currencies.map(commonName) as [string, string]
  const priceDecimals = integer(pair['pair_decimals'], 'pair_decimals')
  const sizeDecimals = integer(pair['lot_decimals'], 'lot_decimals')
  const symbol = `${base}/${quote}`
  const status = pair['status']
  const instrument: Instrument = {
    exchange: 'kraken',
    symbol,
    name: unifiedName('spot', base, quote),
    kind: 'spot',
    base,
    quote,
    tickSize: stepOf(pair['tick_size']).step ?? stepOfDecimals(priceDecimals),
    priceDecimals,
    lotSize: stepOfDecimals(sizeDecimals),
    sizeDecimals,
    contractSize: undefined,
    inverse: false,
    expiryTimeUs: undefined,
    trading: status === undefined || status === 'online', // absent in 2021
    market: 'spot',
  }
  return symbol === symbolV1 ? [instrument] : [instrument, { ...instrument, symbol: symbolV1 }]
}

function stepOfDecimals(decimals: number): number {
  return Number(decimalText(`1e-${decimals}`, 'decimals'))
}
