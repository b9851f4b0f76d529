/**
 * Binance spot, public market data. Binance.US speaks the same.
 *
 * Docs   https://github.com/binance/binance-spot-api-docs (read July 2026)
 * Book   changes in the stream, the snapshot by REST; a change starts one after the end of the one before it
 * Units  prices in quote, sizes in base units, as text
 * Time   milliseconds, or microseconds throughout a connection opened with `timeUnit=MICROSECOND`
 * Quirk  best prices carry no type and, on older streams, no time; tops of the book carry no symbol: the stream's name
 *        tells. An unknown symbol is acknowledged and stays silent
 */
import { rangeAfterSnapshot } from '../book/sequencing'
import { key, shape, skipNumber, symbol } from '../kernel/shape'
import { text, type WireRecord } from '../model/codec/wire'
import { unifiedName, type Instrument } from '../model/instrument'
import {
  decodeBook,
  decodeCandle,
  decodeTicker,
  decodeTrade,
  depthStream,
  FIELDS,
  instrumentsOf,
  intervalName,
  restSnapshot,
  routeBy,
  SHARED_EVENTS,
  stepsOf,
  subscribe,
  topic,
  unsubscribe,
  type EventUse,
} from './binanceShared'
import type { ExchangeProtocol } from './protocol'

/** Milliseconds between two frames of a book, and how its stream's name ends. */
const PACES = [
  [100, '@100ms'],
  [1_000, ''],
] as const

export const binance: ExchangeProtocol = {
  id: 'binance',
  title: 'Binance spot',
  docs: 'https://github.com/binance/binance-spot-api-docs',
  markets: ['spot'],
  hosts: { ws: 'wss://stream.binance.com:9443', rest: 'https://api.binance.com' },
  endpoints: { stream: { path: '/stream', market: 'spot' } },

  channels: {
    trades: {
      topics: (instrument) => [topic('trades', instrument, 'trade', 'stream')],
      decode: decodeTrade,
      idleMsMax: undefined,
    },
    book: {
      topics: (instrument, options) => [topic('book', instrument, depthStream(PACES, options), 'stream')],
      decode: decodeBook,
      // Only changes are sent, and a small market may rest for minutes.
      idleMsMax: 300_000,
    },
    ticker: {
      topics: (instrument) => [topic('ticker', instrument, 'bookTicker', 'stream')],
      decode: decodeTicker,
      idleMsMax: undefined,
    },
    candles: {
      topics: (instrument, { intervalMs }) => [
        topic('candles', instrument, `kline_${intervalName(intervalMs, 1_000)}`, 'stream'),
      ],
      decode: decodeCandle,
      idleMsMax: undefined,
    },
  },

  shapes: [
    {
      event: 'delta',
      channel: 'book',
      shape: shape`{"stream":"${key}","data":{"e":"depthUpdate","E":${FIELDS.time},"s":"${symbol}","U":${FIELDS.firstSeq},"u":${FIELDS.seq},"b":${FIELDS.bids},"a":${FIELDS.asks}}}`,
    },
    {
      event: 'trade',
      channel: 'trades',
      shape: shape`{"stream":"${key}","data":{"e":"trade","E":${FIELDS.sent},"s":"${symbol}","t":${FIELDS.id},"p":"${FIELDS.price}","q":"${FIELDS.size}","T":${FIELDS.time},"m":${FIELDS.side},"M":true}}`,
    },
    {
      event: 'trade',
      channel: 'trades',
      shape: shape`{"stream":"${key}","data":{"e":"aggTrade","E":${FIELDS.sent},"s":"${symbol}","a":${FIELDS.id},"p":"${FIELDS.price}","q":"${FIELDS.size}","f":${skipNumber},"l":${skipNumber},"T":${FIELDS.time},"m":${FIELDS.side},"M":true}}`,
    },
    {
      event: 'ticker',
      channel: 'ticker',
      shape: shape`{"stream":"${key}","data":{"u":${skipNumber},"s":"${symbol}","b":"${FIELDS.bidPrice}","B":"${FIELDS.bidSize}","a":"${FIELDS.askPrice}","A":"${FIELDS.askSize}"}}`,
      zeroIsNone: true,
    },
  ],

  subscribe,
  unsubscribe,
  limits: {
    topicsPerRequest: 100,
    topicsPerConnection: 1_024,
    requestCharsMax: 4_096,
    // Five incoming messages a second, pongs included; a burst of five may trip it, so requests keep a distance.
    requestEveryMs: 300,
    // 300 attempts in five minutes.
    connectEveryMs: 1_000,
  },
  heartbeat: undefined,
  // The server pings every 20 s: three missed pings are a dead line.
  idleMsMax: 60_000,
  numbersAsText: false,
  plainTexts: [],

  route: routeBy(
    new Map<string, EventUse>([
      ...SHARED_EVENTS,
      ['avgPrice', { ignored: 'average price' }],
      ['1hTicker', { ignored: 'rolling-window ticker' }],
      ['4hTicker', { ignored: 'rolling-window ticker' }],
      ['1dTicker', { ignored: 'rolling-window ticker' }],
      ['blockTrade', { ignored: 'a block trade, made outside the book' }],
    ]),
  ),

  book: {
    sequencing: rangeAfterSnapshot,
    checksum: undefined,
    crossingMeansLoss: false,
    snapshot: restSnapshot('/api/v3/depth', ['/api/v3/depth', '/api/v1/depth'], 50),
    verified: 'REST snapshot, then U = last u + 1',
  },

  instruments: {
    requests: [{ market: 'spot', path: '/api/v3/exchangeInfo', weight: 20 }],
    decode: (body) => instrumentsOf(body, instrumentOf),
    nextPath: () => undefined,
  },
  rest: { weightPerMinute: 6_000 },
  polls: [],
  endpointOf: () => 'stream',
}

function instrumentOf(row: WireRecord): Instrument {
  const base = text(row['baseAsset'], 'baseAsset')
  const quote = text(row['quoteAsset'], 'quoteAsset')
  const { tick, lot } = stepsOf(row)
  return {
    exchange: 'binance',
    symbol: text(row['symbol'], 'symbol'),
    name: unifiedName('spot', base, quote),
    kind: 'spot',
    base,
    quote,
    tickSize: tick.step,
    priceDecimals: tick.decimals,
    lotSize: lot.step,
    sizeDecimals: lot.decimals,
    contractSize: undefined,
    inverse: false,
    expiryTimeUs: undefined,
    trading: row['status'] === 'TRADING',
    market: 'spot',
  }
}
