/**
 * OKX v5, public market data: spot, perpetuals, dated futures and options on one socket.
 *
 * Docs    https://www.okx.com/docs-v5/en/#public-data-websocket (facts as of August and September 2026)
 * Book    `books`: snapshot of 400 levels, then updates; each `prevSeqId` equals the `seqId` before it. Up to late 2022 there
 *         were no numbers but a CRC32; since 2026 `checksum` is 0, which means none. `books5`: every frame is complete
 * Units   texts; sizes in base units on spot, in contracts on derivatives (`Instrument.contractSize` is what one is)
 * Time    milliseconds as text
 * Quirk   the client must send the text `ping`; candles are on an address of their own; liquidations are subscribed for all
 *         instruments of a type at once, and the first message repeats an old one; a missing side is an empty text
 */
import { okxChecksum } from '../book/checksum'
import { linkedInStream } from '../book/sequencing'
import {
  amount,
  choice,
  decimal as decimalField,
  integer,
  keyUntil,
  levels,
  rows,
  shape,
  signedInteger,
  skipNumber,
  skipText,
  symbol,
  text as textField,
  timeMs,
} from '../kernel/shape'
import type { EventWriter } from '../model/codec/eventWriter'
import {
  decimal,
  id,
  invalid,
  isRecord,
  list,
  optionalDecimal,
  optionalInteger,
  record,
  text,
  timeUsFromMs,
  type WireRecord,
} from '../model/codec/wire'
import type { Side } from '../model/events'
import { Fault } from '../model/fault'
import { unifiedName, type Instrument, type InstrumentKind } from '../model/instrument'
import type { ChannelName, ExchangeProtocol, FrameShape, Route, Topic, TopicOptions } from './protocol'
import { stepOf } from './steps'

// Shapes. The key is the rest of the argument: `"books","instId":"BTC-USDT"`.

const ARGUMENT = keyUntil('}')
const ASKS = levels({ side: 'asks', head: '["', middle: '","', foot: '', tail: 'texts' })
const BIDS = levels({ side: 'bids', head: '["', middle: '","', foot: '', tail: 'texts' })
const TIME = timeMs('exchangeTimeUs')
const CHECKSUM = signedInteger('checksum')
const SEQ = integer('seq')
/** That of a snapshot, -1, is none. */
const PREV_SEQ = integer('prevSeq')
const SIDE = choice('side', 'buy', 'sell')
const PRICE = amount('price')
const SIZE = amount('size')
const BID_PRICE = decimalField('bidPrice')
const BID_SIZE = decimalField('bidSize')
const ASK_PRICE = decimalField('askPrice')
const ASK_SIZE = decimalField('askSize')

const SHAPES: readonly FrameShape[] = [
  {
    event: 'delta',
    channel: 'book',
    shape: shape`{"arg":{"channel":${ARGUMENT}},"action":"update","data":[{"asks":${ASKS},"bids":${BIDS},"ts":"${TIME}","checksum":${CHECKSUM},"seqId":${SEQ},"prevSeqId":${PREV_SEQ}}]}`,
  },
  {
    // The form of the documentation's example.
    event: 'delta',
    channel: 'book',
    shape: shape`{"arg":{"channel":${ARGUMENT}},"action":"update","data":[{"asks":${ASKS},"bids":${BIDS},"ts":"${TIME}","checksum":${CHECKSUM},"prevSeqId":${PREV_SEQ},"seqId":${SEQ}}]}`,
  },
  {
    // The form of 2022.
    event: 'delta',
    channel: 'book',
    shape: shape`{"arg":{"channel":${ARGUMENT}},"action":"update","data":[{"asks":${ASKS},"bids":${BIDS},"ts":"${TIME}","checksum":${CHECKSUM}}]}`,
  },
  {
    event: 'snapshot',
    channel: 'book',
    shape: shape`{"arg":{"channel":${ARGUMENT}},"action":"snapshot","data":[{"asks":${ASKS},"bids":${BIDS},"ts":"${TIME}","checksum":${CHECKSUM},"seqId":${SEQ},"prevSeqId":-1}]}`,
  },
  {
    event: 'snapshot',
    channel: 'book',
    shape: shape`{"arg":{"channel":${ARGUMENT}},"action":"snapshot","data":[{"asks":${ASKS},"bids":${BIDS},"ts":"${TIME}","checksum":${CHECKSUM}}]}`,
  },
  {
    event: 'trade',
    channel: 'trades',
    shape: shape`{"arg":{"channel":${ARGUMENT}},"data":${rows(shape`{"instId":"${symbol}","tradeId":"${textField('id')}","px":"${PRICE}","sz":"${SIZE}","side":"${SIDE}","ts":"${TIME}","count":"${skipText}","seqId":${skipNumber}}`)}}`,
  },
  {
    event: 'trade',
    channel: 'trades',
    shape: shape`{"arg":{"channel":${ARGUMENT}},"data":${rows(shape`{"instId":"${symbol}","tradeId":"${textField('id')}","px":"${PRICE}","sz":"${SIZE}","side":"${SIDE}","ts":"${TIME}","count":"${skipText}"}`)}}`,
  },
  {
    event: 'trade',
    channel: 'trades',
    shape: shape`{"arg":{"channel":${ARGUMENT}},"data":${rows(shape`{"instId":"${symbol}","tradeId":"${textField('id')}","px":"${PRICE}","sz":"${SIZE}","side":"${SIDE}","ts":"${TIME}"}`)}}`,
  },
  {
    event: 'ticker',
    channel: 'ticker',
    shape: shape`{"arg":{"channel":${ARGUMENT}},"data":[{"asks":[["${ASK_PRICE}","${ASK_SIZE}","${skipText}","${skipText}"]],"bids":[["${BID_PRICE}","${BID_SIZE}","${skipText}","${skipText}"]],"ts":"${TIME}","seqId":${skipNumber}}]}`,
    zeroIsNone: false,
  },
  {
    event: 'ticker',
    channel: 'ticker',
    shape: shape`{"arg":{"channel":${ARGUMENT}},"data":[{"instType":"${skipText}","instId":"${symbol}","last":"${decimalField('lastPrice')}","lastSz":"${skipText}","askPx":"${ASK_PRICE}","askSz":"${ASK_SIZE}","bidPx":"${BID_PRICE}","bidSz":"${BID_SIZE}","open24h":"${skipText}","high24h":"${skipText}","low24h":"${skipText}","sodUtc0":"${skipText}","sodUtc8":"${skipText}","volCcy24h":"${skipText}","vol24h":"${skipText}","ts":"${TIME}"}]}`,
    zeroIsNone: false,
  },
]

export const okx: ExchangeProtocol = {
  id: 'okx',
  title: 'OKX',
  docs: 'https://www.okx.com/docs-v5/en/#public-data-websocket',
  markets: ['SPOT', 'SWAP', 'FUTURES', 'OPTION'],
  hosts: { ws: 'wss://ws.okx.com:8443', rest: 'https://www.okx.com' },
  // Both serve all markets: names of instruments are unique over them.
  endpoints: {
    public: { path: '/ws/v5/public', market: 'SPOT' },
    business: { path: '/ws/v5/business', market: 'SPOT' },
  },

  channels: {
    trades: {
      topics: (instrument) => topics('trades', ['trades'], instrument),
      decode: decodeTrades,
      idleMsMax: undefined,
    },
    // When nothing changes `books` sends an empty update about every 60 s.
    book: { topics: bookTopics, decode: decodeBook, idleMsMax: 150_000 },
    ticker: {
      topics: (instrument) => topics('ticker', ['tickers'], instrument),
      decode: decodeTicker,
      idleMsMax: undefined,
    },
    candles: { topics: candleTopics, decode: decodeCandles, idleMsMax: undefined },
    // The slowest of the three, the funding rate, comes every 30 to 90 s.
    derivative: { topics: derivativeTopics, decode: decodeDerivative, idleMsMax: 240_000 },
    liquidations: { topics: liquidationTopics, decode: decodeLiquidations, idleMsMax: undefined },
  },

  shapes: SHAPES,

  subscribe: (subscribed) => request('subscribe', subscribed),
  unsubscribe: (unsubscribed) => request('unsubscribe', unsubscribed),

  limits: {
    topicsPerRequest: 200, // requests are counted (480 an hour and connection), so each takes many
    topicsPerConnection: 400, // none is documented
    requestCharsMax: 60_000, // 64 KB
    requestEveryMs: 250,
    connectEveryMs: 350, // 3 a second per IP address
  },
  heartbeat: { everyMs: 18_000, message: () => 'ping' },
  idleMsMax: 30_000,
  numbersAsText: false,
  plainTexts: ['pong'],
  route,

  book: {
    sequencing: linkedInStream,
    checksum: okxChecksum,
    crossingMeansLoss: false,
    snapshot: undefined,
    verified:
      'snapshot in-stream; each update names the one before it; CRC32 of 25 levels where one is sent (until 2026)',
  },

  instruments: {
    requests: [
      { market: 'SPOT', path: '/api/v5/public/instruments?instType=SPOT', weight: 1 },
      { market: 'SWAP', path: '/api/v5/public/instruments?instType=SWAP', weight: 1 },
      { market: 'FUTURES', path: '/api/v5/public/instruments?instType=FUTURES', weight: 1 },
      { market: 'OPTION', path: '/api/v5/public/instruments?instType=OPTION&instFamily=BTC-USD', weight: 1 },
      { market: 'OPTION', path: '/api/v5/public/instruments?instType=OPTION&instFamily=ETH-USD', weight: 1 },
    ],
    decode: decodeInstruments,
    nextPath: () => undefined,
  },
  rest: { weightPerMinute: 300 }, // 20 in two seconds, half of it used
  polls: [],
  endpointOf: (url) => (url.includes('/business') ? 'business' : 'public'),
}

// Subscriptions. A key is the channel and what it is of: `books:BTC-USDT`, `liquidation-orders:SWAP`.

function topics(channel: ChannelName, names: readonly string[], { symbol }: Instrument, endpoint = 'public'): Topic[] {
  return names.map((name) => ({ channel, symbol, key: `${name}:${symbol}`, endpoint }))
}

/** `books5` is enough for five levels; the deeper fast channels need an account. */
function bookTopics(instrument: Instrument, { depth }: TopicOptions): Topic[] {
  return topics('book', [depth !== undefined && depth <= 5 ? 'books5' : 'books'], instrument)
}

const SECOND_MS = 1_000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

/** Of the intervals from six hours on, the variants whose day starts at midnight UTC. */
const CANDLE_CHANNELS = new Map([
  [SECOND_MS, 'candle1s'],
  [MINUTE_MS, 'candle1m'],
  [3 * MINUTE_MS, 'candle3m'],
  [5 * MINUTE_MS, 'candle5m'],
  [15 * MINUTE_MS, 'candle15m'],
  [30 * MINUTE_MS, 'candle30m'],
  [HOUR_MS, 'candle1H'],
  [2 * HOUR_MS, 'candle2H'],
  [4 * HOUR_MS, 'candle4H'],
  [6 * HOUR_MS, 'candle6Hutc'],
  [12 * HOUR_MS, 'candle12Hutc'],
  [DAY_MS, 'candle1Dutc'],
  [2 * DAY_MS, 'candle2Dutc'],
  [3 * DAY_MS, 'candle3Dutc'],
  [7 * DAY_MS, 'candle1Wutc'],
])

function candleTopics(instrument: Instrument, { intervalMs }: TopicOptions): Topic[] {
  const name = CANDLE_CHANNELS.get(intervalMs)
  if (name !== undefined) return topics('candles', [name], instrument, 'business')
  const offered = [...CANDLE_CHANNELS.keys()].join(', ')
  throw new Fault('OPTION_INVALID', `OKX has no candles of ${intervalMs} ms; choose one of ${offered}.`, { intervalMs })
}

function derivativeTopics(instrument: Instrument): Topic[] | undefined {
  if (instrument.kind === 'spot') return undefined
  const names = ['mark-price', 'open-interest']
  return topics('derivative', instrument.kind === 'perpetual' ? ['funding-rate', ...names] : names, instrument)
}

function liquidationTopics({ symbol, kind, market }: Instrument): Topic[] | undefined {
  if (kind === 'spot') return undefined
  return [{ channel: 'liquidations', symbol, key: `liquidation-orders:${market}`, endpoint: 'public' }]
}

/** Repeated keys (liquidations of one type for several instruments) are asked for once. */
function request(op: 'subscribe' | 'unsubscribe', subscriptions: readonly Topic[]): string {
  const args = [...new Set(subscriptions.map(({ key }) => key))].map((key) => {
    const colon = key.indexOf(':')
    const channel = key.slice(0, colon)
    const of = key.slice(colon + 1)
    return channel === LIQUIDATIONS ? { channel, instType: of } : { channel, instId: of }
  })
  return JSON.stringify({ op, args })
}

// Routing.

const LIQUIDATIONS = 'liquidation-orders'

const CHANNEL_OF = new Map<string, ChannelName>([
  ['trades', 'trades'],
  ['trades-all', 'trades'],
  ['books', 'book'],
  ['books5', 'book'],
  ['books50-l2-tbt', 'book'],
  ['books-l2-tbt', 'book'],
  ['bbo-tbt', 'ticker'],
  ['tickers', 'ticker'],
  ['funding-rate', 'derivative'],
  ['mark-price', 'derivative'],
  ['index-tickers', 'derivative'],
  ['open-interest', 'derivative'],
  [LIQUIDATIONS, 'liquidations'],
])

/** Documented channels of which nothing is used. */
const IGNORED_CHANNELS = new Map([
  ['instruments', 'metadata is read over REST'],
  ['opt-summary', 'greeks and volatilities of options'],
  ['option-trades', 'trades of options by family; `trades` has them by instrument'],
  ['estimated-price', 'estimated settlement prices'],
  ['price-limit', 'price limits'],
  ['status', 'maintenance of the exchange'],
  ['adl-warning', 'the insurance fund'],
  ['call-auction-details', 'opening auctions'],
  ['economic-calendar', 'news'],
  ['block-tickers', 'block trades'],
  ['public-block-trades', 'block trades'],
  ['public-struc-block-trades', 'block trades'],
  ['sprd-bbo-tbt', 'spreads of instruments'],
  ['sprd-books5', 'spreads of instruments'],
  ['sprd-books-l2-tbt', 'spreads of instruments'],
  ['sprd-public-trades', 'spreads of instruments'],
  ['sprd-tickers', 'spreads of instruments'],
])

const CANDLE = /^candle(\d{1,2})([smHDWM])(utc)?$/
const OTHER_CANDLE = /^(?:mark-price|index|sprd)-candle\d{1,2}[smHDWM](?:utc)?$/

function channelOf(name: string): ChannelName | undefined {
  return CHANNEL_OF.get(name) ?? (CANDLE.test(name) ? 'candles' : undefined)
}

function route(message: unknown, writer: EventWriter): Route {
  if (message === 'pong') return { to: 'heartbeat' }
  if (Array.isArray(message)) {
    return isRecord(message[0]) && typeof message[0]['instId'] === 'string'
      ? { to: 'ignored', reason: 'only the data of a frame: its channel is not named' }
      : { to: 'unknown', reason: 'a list' }
  }
  if (!isRecord(message)) return { to: 'unknown', reason: 'a frame that is no object' }
  const { event, arg } = message
  if (typeof event === 'string') return routeEvent(event, message, writer)
  if (isRecord(arg)) return routeData(arg, message, writer)
  if (typeof message['code'] === 'string' && Array.isArray(message['data'])) return routeRest(message['code'], message)
  return { to: 'unknown', reason: 'an object without event, arg or code' }
}

function routeData(arg: WireRecord, message: WireRecord, writer: EventWriter): Route {
  const { channel: name, instId } = arg
  if (typeof name !== 'string') return { to: 'unknown', reason: 'a frame without a channel' }
  const channel = channelOf(name)
  if (channel === undefined) {
    const reason = IGNORED_CHANNELS.get(name) ?? (OTHER_CANDLE.test(name) ? 'candles of no trades' : undefined)
    if (reason !== undefined) return { to: 'ignored', reason: `${name} channel: ${reason}` }
    return { to: 'unknown', reason: `a frame of channel ${name.slice(0, 40)}` }
  }
  if (name === LIQUIDATIONS && isRepeated(arg, writer)) {
    return { to: 'ignored', reason: 'the first liquidation-orders message after subscribing repeats an old one' }
  }
  return { to: 'channel', channel, symbol: typeof instId === 'string' ? instId : undefined, wire: message }
}

function routeEvent(event: string, message: WireRecord, writer: EventWriter): Route {
  const { arg, code, msg } = message
  const words = `${typeof msg === 'string' && msg !== '' ? msg.slice(0, 300) : 'no reason given'} (code ${String(code).slice(0, 20)})`
  switch (event) {
    case 'subscribe':
      return { to: 'ack', id: undefined, keys: keysOf(arg) }
    case 'unsubscribe':
      if (isRecord(arg)) forgetRepeated(arg, writer)
      return { to: 'ignored', reason: 'unsubscribed' }
    case 'error':
      return { to: 'refused', id: undefined, keys: isRecord(arg) ? keysOf(arg) : keysOfWords(msg), reason: words }
    case 'notice':
      return { to: 'reconnect', reason: words }
    case 'channel-conn-count':
    case 'channel-conn-count-error':
    case 'login':
      return { to: 'ignored', reason: `event ${event}: an account's channels` }
  }
  return { to: 'unknown', reason: `an event ${event.slice(0, 40)}` }
}

function keysOf(arg: unknown): string[] {
  if (!isRecord(arg)) return []
  const { channel, instId, instType } = arg
  const of = typeof instId === 'string' ? instId : instType
  return typeof channel === 'string' && typeof of === 'string' ? [`${channel}:${of}`] : []
}

/** A refusal names its subscription in words: `Wrong URL or channel:trades,instId:BTC-USDX doesn't exist.` */
const REFUSED = /channel:([\w-]+),inst(?:Id|Type):([\w-]+)/

function keysOfWords(msg: unknown): string[] {
  const [, channel, of] = (typeof msg === 'string' ? REFUSED.exec(msg.slice(0, 300)) : null) ?? []
  return channel !== undefined && of !== undefined ? [`${channel}:${of}`] : []
}

// The first message of a liquidation subscription is to be dropped, so those that have come are remembered.

const SEEN_KEY = 'okx liquidations seen'
/** Types that are remembered; there are five. */
const SEEN_MAX = 16

function seenTypes({ memory }: EventWriter): Set<unknown> {
  let seen = memory.get(SEEN_KEY) as Set<unknown> | undefined
  if (seen === undefined) memory.set(SEEN_KEY, (seen = new Set()))
  return seen
}

function isRepeated({ instType }: WireRecord, writer: EventWriter): boolean {
  const seen = seenTypes(writer)
  if (seen.has(instType) || seen.size >= SEEN_MAX) return false
  seen.add(instType)
  return true
}

function forgetRepeated({ channel, instType }: WireRecord, writer: EventWriter): void {
  if (channel === LIQUIDATIONS) seenTypes(writer).delete(instType)
}

/** REST answers: `{ code, msg, data }`, told apart by the fields of their first row. */
function routeRest(code: string, message: WireRecord): Route {
  if (code !== '0') {
    const { msg } = message
    return {
      to: 'ignored',
      reason: `REST answer: ${typeof msg === 'string' ? msg.slice(0, 300) : 'refused'} (code ${code.slice(0, 20)})`,
    }
  }
  const [row] = message['data'] as readonly unknown[]
  if (row === undefined) return { to: 'ignored', reason: 'REST answer: empty' }
  if (Array.isArray(row)) return { to: 'ignored', reason: 'REST answer: candles without a symbol' }
  if (!isRecord(row)) return { to: 'unknown', reason: 'a REST answer of unknown content' }
  const has = (...fields: string[]): boolean => fields.every((field) => row[field] !== undefined)
  const to = (channel: ChannelName): Route => ({ to: 'channel', channel, symbol: undefined, wire: message })
  if (has('sprdId')) return { to: 'ignored', reason: 'REST answer: spreads of instruments' }
  if (has('asks', 'bids')) return { to: 'ignored', reason: 'REST answer: order book without a symbol' }
  if (has('instId', 'tickSz', 'lotSz')) return { to: 'ignored', reason: 'REST answer: instruments' }
  if (has('instId', 'markVol')) return { to: 'ignored', reason: 'REST answer: greeks and volatilities of options' }
  if (has('maxLever', 'imr')) return { to: 'ignored', reason: 'REST answer: position tiers' }
  if (has('instId', 'realizedRate')) return { to: 'ignored', reason: 'REST answer: past funding rates' }
  if (has('instId', 'tradeId', 'px', 'sz', 'side')) return to('trades')
  if (has('instId', 'last', 'bidPx', 'askPx')) return to('ticker')
  if (has('instId', 'details')) return to('liquidations')
  if (has('instId') && (has('markPx') || has('idxPx') || has('fundingRate') || has('oi'))) return to('derivative')
  return { to: 'unknown', reason: 'a REST answer of unknown content' }
}

// Decoders. Frames and REST answers differ in `arg`, which REST has not.

interface Frame {
  readonly channel: string | undefined
  /** The instrument that the envelope names. */
  readonly symbol: string | undefined
  readonly action: unknown
  readonly rows: readonly unknown[]
}

function frameOf(wire: unknown): Frame {
  const message = record(wire, 'frame')
  const rows = list(message['data'], 'data')
  if (message['arg'] === undefined) return { channel: undefined, symbol: undefined, action: undefined, rows }
  const arg = record(message['arg'], 'arg')
  const symbol = arg['instId'] === undefined ? undefined : text(arg['instId'], 'instId')
  return { channel: text(arg['channel'], 'channel'), symbol, action: message['action'], rows }
}

/** Rows `instId tradeId px sz side ts`; `side` is the taker's. */
function decodeTrades(wire: unknown, writer: EventWriter): void {
  const { channel, rows } = frameOf(wire)
  for (const row of rows) {
    const trade = record(row, 'trade')
    writer.trade(text(trade['instId'], 'instId'), timeUsFromMs(trade['ts'], 'ts'), {
      id: id(trade['tradeId'], 'tradeId'),
      side: sideOf(trade['side']),
      price: trade['px'],
      size: trade['sz'],
      history: channel === undefined,
    })
  }
}

function sideOf(wire: unknown): Side {
  if (wire !== 'buy' && wire !== 'sell') throw invalid('side', wire, 'buy or sell')
  return wire
}

/** `asks`, `bids` of `[price, size, "0", orders]`, `ts`, `checksum`, `seqId`, `prevSeqId`. */
function decodeBook(wire: unknown, writer: EventWriter): void {
  const { channel, symbol, action, rows } = frameOf(wire)
  const snapshot = channel === 'books5' || action === 'snapshot'
  if (!snapshot && action !== 'update') throw invalid('action', action, 'snapshot or update')
  for (const row of rows) {
    const book = record(row, 'book')
    const seq = optionalInteger(book['seqId'], 'seqId')
    const prevSeq = optionalInteger(book['prevSeqId'], 'prevSeqId')
    const checksum = optionalInteger(book['checksum'], 'checksum')
    writer.book(
      snapshot ? 'snapshot' : 'delta',
      text(symbol, 'instId'),
      timeUsFromMs(book['ts'], 'ts'),
      writer.levelsOf(book['bids'], 'bids'),
      writer.levelsOf(book['asks'], 'asks'),
      {
        ...(seq !== undefined && { seq }),
        // A snapshot extends nothing and says -1.
        ...(prevSeq !== undefined && prevSeq !== -1 && { prevSeq }),
        ...(checksum !== undefined && { checksum }),
      },
    )
  }
}

/** `tickers`: `bidPx bidSz askPx askSz last ts`. `bbo-tbt`: a book of one level. */
function decodeTicker(wire: unknown, writer: EventWriter): void {
  const { channel, symbol, rows } = frameOf(wire)
  for (const row of rows) {
    const ticker = record(row, 'ticker')
    const timeUs = timeUsFromMs(ticker['ts'], 'ts')
    if (channel === 'bbo-tbt') {
      const [bidPrice, bidSize] = bestOf(ticker['bids'], 'bids')
      const [askPrice, askSize] = bestOf(ticker['asks'], 'asks')
      writer.ticker(text(symbol, 'instId'), timeUs, { bidPrice, bidSize, askPrice, askSize })
      continue
    }
    writer.ticker(text(ticker['instId'], 'instId'), timeUs, {
      bidPrice: ticker['bidPx'],
      bidSize: ticker['bidSz'],
      askPrice: ticker['askPx'],
      askSize: ticker['askSz'],
      lastPrice: ticker['last'],
    })
  }
}

function bestOf(wire: unknown, field: string): readonly unknown[] {
  const [best] = list(wire, field)
  return best === undefined ? [] : list(best, field)
}

/** Rows `[ts, open, high, low, close, volume, volume in coin, volume in quote, confirm]`; 2022 had no `confirm`. */
function decodeCandles(wire: unknown, writer: EventWriter): void {
  const { channel, symbol, rows } = frameOf(wire)
  for (const row of rows) {
    const [ts, open, high, low, close, volume, , , confirm] = list(row, 'candle')
    const openTimeUs = timeUsFromMs(ts, 'ts')
    writer.candle(text(symbol, 'instId'), undefined, {
      openTimeUs,
      intervalUs: intervalUsOf(text(channel, 'channel'), openTimeUs),
      open,
      high,
      low,
      close,
      volume,
      closed: confirm === '1',
    })
  }
}

const UNIT_MS = new Map([
  ['s', SECOND_MS],
  ['m', MINUTE_MS],
  ['H', HOUR_MS],
  ['D', DAY_MS],
  ['W', 7 * DAY_MS],
])

/** Days of the channels without `utc` start at midnight of UTC+8. */
const DAY_START_MS = 8 * HOUR_MS

/** Months have no fixed length: theirs is counted from the month that opens. */
function intervalUsOf(channel: string, openTimeUs: number): number {
  const [, count, unit = '', utc] = CANDLE.exec(channel) ?? []
  const unitMs = UNIT_MS.get(unit)
  if (unitMs !== undefined) return Number(count) * unitMs * 1_000
  if (unit !== 'M') throw invalid('channel', channel, 'a candle channel')
  const offsetMs = utc === undefined ? DAY_START_MS : 0
  const next = new Date(openTimeUs / 1_000 + offsetMs)
  next.setUTCMonth(next.getUTCMonth() + Number(count))
  return (next.getTime() - offsetMs) * 1_000 - openTimeUs
}

/** `funding-rate`, `mark-price`, `index-tickers` and `open-interest`: each row has the fields of its channel only. */
function decodeDerivative(wire: unknown, writer: EventWriter): void {
  for (const row of frameOf(wire).rows) {
    const { instId, ts, markPx, idxPx, fundingRate, fundingTime, oi } = record(row, 'row')
    if (!isSaid(markPx) && !isSaid(idxPx) && !isSaid(fundingRate) && !isSaid(oi)) {
      throw invalid('row', row, 'markPx, idxPx, fundingRate or oi')
    }
    writer.derivative(text(instId, 'instId'), isSaid(ts) ? timeUsFromMs(ts, 'ts') : undefined, {
      markPrice: markPx,
      indexPrice: idxPx,
      fundingRate,
      nextFundingTimeUs: isSaid(fundingTime) ? timeUsFromMs(fundingTime, 'fundingTime') : undefined,
      openInterest: oi,
    })
  }
}

function isSaid(wire: unknown): boolean {
  return wire !== undefined && wire !== null && wire !== ''
}

/** Rows `instId`, `details` of `side` (the liquidating order's), `bkPx` (bankruptcy price), `sz`, `ts`. */
function decodeLiquidations(wire: unknown, writer: EventWriter): void {
  for (const row of frameOf(wire).rows) {
    const liquidated = record(row, 'row')
    const symbol = text(liquidated['instId'], 'instId')
    for (const entry of list(liquidated['details'], 'details')) {
      const detail = record(entry, 'details')
      // Margin and option liquidations have no bankruptcy price.
      if (detail['bkPx'] === '') {
        writer.counts.skippedRows++
        continue
      }
      writer.liquidation(symbol, timeUsFromMs(detail['ts'], 'ts'), {
        side: sideOf(detail['side']),
        price: detail['bkPx'],
        size: detail['sz'],
      })
    }
  }
}

// Instruments.

const KINDS = new Map<unknown, InstrumentKind>([
  ['SPOT', 'spot'],
  ['SWAP', 'perpetual'],
  ['FUTURES', 'future'],
  ['OPTION', 'option'],
])

/** `MARGIN` repeats spot instruments under the same names and is left out. */
function decodeInstruments(body: unknown): Instrument[] {
  const { code, data } = record(body, 'instruments')
  if (code !== '0') throw invalid('code', code, '0')
  return list(data, 'data').flatMap((row) => {
    try {
      const instrument = record(row, 'instrument')
      const kind = KINDS.get(instrument['instType'])
      return kind === undefined ? [] : [instrumentOf(instrument, kind)]
    } catch (thrown) {
      if (thrown instanceof Fault) return []
      throw thrown
    }
  })
}

function instrumentOf(wire: WireRecord, kind: InstrumentKind): Instrument {
  const [base, quote, family] = currenciesOf(wire, kind)
  const tick = stepOf(wire['tickSz'])
  const lot = stepOf(wire['lotSz'])
  const dated = kind === 'future' || kind === 'option'
  const expiryTimeUs = dated ? timeUsFromMs(wire['expTime'], 'expTime') : undefined
  return {
    exchange: 'okx',
    symbol: text(wire['instId'], 'instId'),
    name: unifiedName(kind, base, family, expiryTimeUs, kind === 'option' ? optionOf(wire) : undefined),
    kind,
    base,
    quote,
    tickSize: tick.step,
    priceDecimals: tick.decimals,
    lotSize: lot.step,
    sizeDecimals: lot.decimals,
    contractSize: kind === 'spot' ? undefined : contractSizeOf(wire),
    inverse: wire['ctType'] === 'inverse',
    expiryTimeUs,
    trading: wire['state'] === 'live',
    market: text(wire['instType'], 'instType'),
  }
}

/**
 * Base, quote, and the quote as names spell it: the family `BTC-USD_UM` is settled in another currency than `BTC-USD` and
 * is another instrument, so its suffix stays in the name. Derivatives give currencies in `uly` and `instFamily` only.
 */
function currenciesOf(wire: WireRecord, kind: InstrumentKind): [base: string, quote: string, family: string] {
  if (kind === 'spot') {
    const quote = text(wire['quoteCcy'], 'quoteCcy')
    return [text(wire['baseCcy'], 'baseCcy'), quote, quote]
  }
  const underlying = text(wire['uly'], 'uly')
  const [base, quote] = underlying.split('-')
  const { instFamily } = wire // absent in 2022
  const family = instFamily === undefined || instFamily === '' ? quote : text(instFamily, 'instFamily').split('-')[1]
  if (base === undefined || quote === undefined || family === undefined) throw invalid('uly', underlying, 'BASE-QUOTE')
  return [base, quote, family]
}

function optionOf({ stk, optType }: WireRecord): { strike: string; right: 'C' | 'P' } {
  if (optType !== 'C' && optType !== 'P') throw invalid('optType', optType, 'C or P')
  return { strike: text(stk, 'stk'), right: optType }
}

/** `ctVal` times `ctMult`, without the noise of multiplying doubles: both have few digits. */
function contractSizeOf(wire: WireRecord): number {
  const size = decimal(wire['ctVal'], 'ctVal') * (optionalDecimal(wire['ctMult'], 'ctMult') ?? 1)
  if (!(size > 0)) throw invalid('ctVal', wire['ctVal'], 'a number above zero')
  return Number(size.toPrecision(12))
}
