/**
 * Binance USD-M futures, public market data. Recordings of COIN-M (`dstream.binance.com`) are read too.
 *
 * Docs   https://developers.binance.com/docs/derivatives/usds-margined-futures (read July 2026)
 * Book   changes in the stream, the snapshot by REST; ids are shared by all symbols, so each change names (`pu`) the one
 *        before it
 * Units  prices in quote, sizes in base units, as text; COIN-M sizes are contracts
 * Time   milliseconds: `T` when it happened, `E` when it was sent
 * Quirk  since 2026 books and best prices are served under `/public`, all else under `/market`. The trade stream also
 *        carries trades outside the book. Open interest must be polled
 */
import { linkedAfterSnapshot } from '../book/sequencing'
import type { EventWriter } from '../model/codec/eventWriter'
import { invalid, record, text, type WireRecord } from '../model/codec/wire'
import { key, shape, skipNumber, skipText, symbol } from '../kernel/shape'
import { unifiedName, type Instrument, type InstrumentKind } from '../model/instrument'
import {
  decodeBook,
  decodeCandle,
  decodeTicker,
  decodeTrade,
  depthStream,
  FIELDS,
  instrumentsOf,
  intervalName,
  optionalTimeUs,
  restSnapshot,
  routeBy,
  SHARED_EVENTS,
  stepsOf,
  subscribe,
  symbolOfUrl,
  timeUs,
  topic,
  unsubscribe,
  type EventUse,
} from './binanceShared'
import type { ExchangeProtocol } from './protocol'
import { stepOf } from './steps'

/** Milliseconds between two frames of a book, and how its stream's name ends. The first is undocumented, and works. */
const PACES = [
  [0, '@0ms'],
  [100, '@100ms'],
  [250, ''],
  [500, '@500ms'],
] as const

export const binanceFutures: ExchangeProtocol = {
  id: 'binance-futures',
  title: 'Binance USD-M futures',
  docs: 'https://developers.binance.com/docs/derivatives/usds-margined-futures',
  markets: ['usdm'],
  hosts: { ws: 'wss://fstream.binance.com', rest: 'https://fapi.binance.com' },
  endpoints: {
    public: { path: '/public/stream', market: 'usdm' },
    market: { path: '/market/stream', market: 'usdm' },
    /** Everything on one path, as before 2026. */
    all: { path: '/stream', market: 'usdm' },
  },

  channels: {
    trades: {
      topics: (instrument) => [topic('trades', instrument, 'aggTrade', 'market')],
      decode: decodeTrade,
      idleMsMax: undefined,
    },
    book: {
      topics: (instrument, options) => [topic('book', instrument, depthStream(PACES, options), 'public')],
      decode: decodeBook,
      idleMsMax: 60_000,
    },
    ticker: {
      topics: (instrument) => [topic('ticker', instrument, 'bookTicker', 'public')],
      decode: decodeTicker,
      idleMsMax: undefined,
    },
    candles: {
      topics: (instrument, { intervalMs }) => [
        topic('candles', instrument, `kline_${intervalName(intervalMs, 60_000)}`, 'market'),
      ],
      decode: decodeCandle,
      idleMsMax: undefined,
    },
    derivative: {
      topics: (instrument) => [topic('derivative', instrument, 'markPrice@1s', 'market')],
      decode: decodeDerivative,
      idleMsMax: 15_000,
    },
    liquidations: {
      topics: (instrument) => [topic('liquidations', instrument, 'forceOrder', 'market')],
      decode: decodeLiquidation,
      idleMsMax: undefined,
    },
  },

  shapes: [
    {
      event: 'delta',
      channel: 'book',
      shape: shape`{"stream":"${key}","data":{"e":"depthUpdate","E":${FIELDS.sent},"T":${FIELDS.time},"s":"${symbol}","U":${FIELDS.firstSeq},"u":${FIELDS.seq},"pu":${FIELDS.prevSeq},"b":${FIELDS.bids},"a":${FIELDS.asks}}}`,
    },
    {
      event: 'ticker',
      channel: 'ticker',
      shape: shape`{"stream":"${key}","data":{"e":"bookTicker","u":${skipNumber},"s":"${symbol}","b":"${FIELDS.bidPrice}","B":"${FIELDS.bidSize}","a":"${FIELDS.askPrice}","A":"${FIELDS.askSize}","T":${FIELDS.time},"E":${FIELDS.sent}}}`,
      zeroIsNone: true,
    },
    {
      event: 'trade',
      channel: 'trades',
      shape: shape`{"stream":"${key}","data":{"e":"aggTrade","E":${FIELDS.sent},"a":${FIELDS.id},"s":"${symbol}","p":"${FIELDS.price}","q":"${FIELDS.size}","f":${skipNumber},"l":${skipNumber},"T":${FIELDS.time},"m":${FIELDS.side}}}`,
    },
    {
      event: 'trade',
      channel: 'trades',
      shape: shape`{"stream":"${key}","data":{"e":"trade","E":${FIELDS.sent},"T":${FIELDS.time},"s":"${symbol}","t":${FIELDS.id},"p":"${FIELDS.price}","q":"${FIELDS.size}","X":"MARKET","m":${FIELDS.side}}}`,
    },
    // The forms of the documentation of 2026, with the status of the symbol and its pair.
    {
      event: 'delta',
      channel: 'book',
      shape: shape`{"stream":"${key}","data":{"e":"depthUpdate","E":${FIELDS.sent},"T":${FIELDS.time},"s":"${symbol}","ps":"${skipText}","st":${skipNumber},"U":${FIELDS.firstSeq},"u":${FIELDS.seq},"pu":${FIELDS.prevSeq},"b":${FIELDS.bids},"a":${FIELDS.asks}}}`,
    },
    {
      event: 'ticker',
      channel: 'ticker',
      shape: shape`{"stream":"${key}","data":{"e":"bookTicker","u":${skipNumber},"E":${FIELDS.sent},"T":${FIELDS.time},"s":"${symbol}","b":"${FIELDS.bidPrice}","B":"${FIELDS.bidSize}","a":"${FIELDS.askPrice}","A":"${FIELDS.askSize}","st":${skipNumber},"ps":"${skipText}"}}`,
      zeroIsNone: true,
    },
    {
      event: 'trade',
      channel: 'trades',
      shape: shape`{"stream":"${key}","data":{"e":"aggTrade","E":${FIELDS.sent},"a":${FIELDS.id},"s":"${symbol}","p":"${FIELDS.price}","q":"${FIELDS.size}","f":${skipNumber},"l":${skipNumber},"T":${FIELDS.time},"m":${FIELDS.side},"st":${skipNumber}}}`,
    },
  ],

  subscribe,
  unsubscribe,
  limits: {
    topicsPerRequest: 100,
    // 1024 by the documentation; clients in production stay at 200.
    topicsPerConnection: 200,
    requestCharsMax: 4_096,
    requestEveryMs: 300,
    connectEveryMs: 1_000,
  },
  heartbeat: undefined,
  // The server pings every 3 minutes.
  idleMsMax: 240_000,
  numbersAsText: false,
  plainTexts: [],

  route: routeBy(
    new Map<string, EventUse>([
      ...SHARED_EVENTS,
      ['markPriceUpdate', { channel: 'derivative' }],
      ['forceOrder', { channel: 'liquidations' }],
      ['continuous_kline', { ignored: 'candles of a continuous contract, which is no instrument' }],
      ['indexPriceUpdate', { ignored: 'index price of a pair, which is no instrument' }],
      ['indexPrice_kline', { ignored: 'candles of an index' }],
      ['markPrice_kline', { ignored: 'candles of the mark price' }],
      ['compositeIndex', { ignored: 'composition of an index' }],
      ['assetIndexUpdate', { ignored: 'index of a margin asset' }],
      ['contractInfo', { ignored: 'a contract was listed, settled or changed' }],
    ]),
  ),

  book: {
    sequencing: linkedAfterSnapshot,
    checksum: undefined,
    crossingMeansLoss: false,
    snapshot: restSnapshot('/fapi/v1/depth', ['/fapi/v1/depth', '/dapi/v1/depth'], 20),
    verified: 'REST snapshot, then pu = last u',
  },

  instruments: {
    requests: [{ market: 'usdm', path: '/fapi/v1/exchangeInfo', weight: 1 }],
    decode: (body) => instrumentsOf(body, instrumentOf),
    nextPath: () => undefined,
  },
  rest: { weightPerMinute: 2_400 },
  polls: [
    {
      channel: 'derivative',
      everyMs: 15_000,
      weight: 1,
      path: ({ symbol, trading }) =>
        trading ? `/fapi/v1/openInterest?symbol=${encodeURIComponent(symbol)}` : undefined,
      symbolOf: (url) => symbolOfUrl(url, ['/fapi/v1/openInterest', '/dapi/v1/openInterest']),
      decode: decodeAnswer,
    },
  ],
  endpointOf,
}

function endpointOf(url: string): 'public' | 'market' | 'all' {
  const path = /^[a-z]+:\/\/[^/]*\/(public|market)(?:\/|$)/.exec(url)?.[1]
  return path === 'public' || path === 'market' ? path : 'all'
}

/**
 * `markPriceUpdate` { s, p, i, r, T }, single or as the list of `!markPrice@arr`, and the REST answers `premiumIndex`
 * { markPrice, indexPrice, lastFundingRate, nextFundingTime } and `openInterest`. Dated contracts have no funding: `r` is
 * empty and the time of the next is 0.
 */
function decodeDerivative(wire: unknown, writer: EventWriter): void {
  for (const row of Array.isArray(wire) ? (wire as readonly unknown[]) : [wire]) {
    const data = record(row, 'data')
    if (data['e'] === 'markPriceUpdate') {
      writer.derivative(text(data['s'], 's'), timeUs(data['E'], 'E'), {
        markPrice: data['p'],
        indexPrice: data['i'],
        fundingRate: data['r'],
        nextFundingTimeUs: optionalTimeUs(data['T'], 'T'),
      })
    } else decodeAnswer(data, text(data['symbol'], 'symbol'), writer)
  }
}

function decodeAnswer(body: unknown, symbol: string, writer: EventWriter): void {
  const answer = record(body, 'body')
  const { markPrice, openInterest } = answer
  if (markPrice === undefined && openInterest === undefined) {
    throw invalid('openInterest', openInterest, 'a number where markPrice is absent')
  }
  writer.derivative(symbol, optionalTimeUs(answer['time'], 'time'), {
    markPrice,
    indexPrice: answer['indexPrice'],
    fundingRate: answer['lastFundingRate'],
    nextFundingTimeUs: optionalTimeUs(answer['nextFundingTime'], 'nextFundingTime'),
    openInterest,
  })
}

/** `forceOrder` { o: { s, S, p, q, T } }: `S` is the liquidating order's own side, `p` its limit. */
function decodeLiquidation(wire: unknown, writer: EventWriter): void {
  for (const row of Array.isArray(wire) ? (wire as readonly unknown[]) : [wire]) {
    const order = record(record(row, 'data')['o'], 'o')
    const side = order['S']
    if (side !== 'BUY' && side !== 'SELL') throw invalid('o.S', side, 'BUY or SELL')
    writer.liquidation(text(order['s'], 'o.s'), timeUs(order['T'], 'o.T'), {
      side: side === 'BUY' ? 'buy' : 'sell',
      price: order['p'],
      size: order['q'],
    })
  }
}

function instrumentOf(row: WireRecord): Instrument | undefined {
  const kind = kindOf(row['contractType'])
  if (kind === undefined) return undefined
  const base = text(row['baseAsset'], 'baseAsset')
  const quote = text(row['quoteAsset'], 'quoteAsset')
  // Perpetuals carry a delivery date in the year 2100.
  const expiryTimeUs = kind === 'future' ? timeUs(row['deliveryDate'], 'deliveryDate') : undefined
  const { tick, lot } = stepsOf(row)
  // Only COIN-M counts contracts, of a fixed worth in dollars, settled in coin.
  const contractSize = stepOf(row['contractSize']).step
  return {
    exchange: 'binance-futures',
    symbol: text(row['symbol'], 'symbol'),
    name: unifiedName(kind, base, quote, expiryTimeUs),
    kind,
    base,
    quote,
    tickSize: tick.step,
    priceDecimals: tick.decimals,
    lotSize: lot.step,
    sizeDecimals: lot.decimals,
    contractSize,
    inverse: contractSize !== undefined,
    expiryTimeUs,
    trading: (row['status'] ?? row['contractStatus']) === 'TRADING',
    market: 'usdm',
  }
}

/** `PERPETUAL`, `TRADIFI_PERPETUAL`, `CURRENT_QUARTER`, `NEXT_QUARTER DELIVERING` ...; empty before a listing. */
function kindOf(contractType: unknown): InstrumentKind | undefined {
  if (typeof contractType !== 'string') return undefined
  if (contractType.includes('PERPETUAL')) return 'perpetual'
  return /QUARTER|MONTH|WEEK/.test(contractType) ? 'future' : undefined
}
