/**
 * Coinbase Exchange, public market data (formerly Coinbase Pro).
 *
 * Docs    https://docs.cdp.coinbase.com/exchange/websocket-feed/channels (facts as of August 2026)
 * Book    `level2_batch`: `snapshot` with the full depth, then `l2update` with absolute sizes. No numbers and no
 *         checksum: a lost message shows only as a crossed book
 * Units   prices and sizes are texts; sizes in base units
 * Time    RFC 3339 with microseconds; now and then `0001-01-01T00:00:00.000000Z`, which means "no time"
 * Quirk   `side` of a match is the maker's, `side` of a ticker the taker's; the first `last_match` of a product is an old
 *         trade; `level2` and `full` refuse clients without a key; nothing is sent while nothing happens, so each request
 *         also subscribes one product to the `heartbeat` channel, a message a second
 */
import { unnumbered } from '../book/sequencing'
import {
  amount,
  choice,
  decimal,
  integer,
  key,
  levels,
  pairs,
  shape,
  skipNumber,
  skipText,
  timeRfc3339,
} from '../kernel/shape'
import type { EventWriter } from '../model/codec/eventWriter'
import {
  id,
  invalid,
  isRecord,
  list,
  optionalDecimal,
  record,
  text,
  timeUsFromRfc3339,
  type WireRecord,
} from '../model/codec/wire'
import type { Side } from '../model/events'
import { Fault } from '../model/fault'
import { unifiedName, type Instrument } from '../model/instrument'
import type { ChannelName, ExchangeProtocol, FrameShape, Route, Topic } from './protocol'
import { stepOf } from './steps'

const TIME = timeRfc3339('exchangeTimeUs')
const CHANGES = levels({ side: 'either', head: { bids: '["buy","', asks: '["sell","' }, middle: '","', foot: '"]' })
const LAST_PRICE = decimal('lastPrice')
const BID_PRICE = decimal('bidPrice')
const ASK_PRICE = decimal('askPrice')

const SHAPES: readonly FrameShape[] = [
  {
    event: 'delta',
    channel: 'book',
    shape: shape`{"type":"l2update","product_id":"${key}","changes":${CHANGES},"time":"${TIME}"}`,
  },
  {
    event: 'snapshot',
    channel: 'book',
    shape: shape`{"type":"snapshot","product_id":"${key}","asks":${pairs('asks')},"bids":${pairs('bids')}}`,
  },
  {
    event: 'snapshot',
    channel: 'book',
    shape: shape`{"type":"snapshot","product_id":"${key}","asks":${pairs('asks')},"bids":${pairs('bids')},"time":"${TIME}"}`,
  },
  {
    // The maker's side: when a seller rested, the taker bought.
    event: 'trade',
    channel: 'trades',
    shape: shape`{"type":"match","trade_id":${integer('id')},"maker_order_id":"${skipText}","taker_order_id":"${skipText}","side":"${choice('side', 'sell', 'buy')}","size":"${amount('size')}","price":"${amount('price')}","product_id":"${key}","sequence":${skipNumber},"time":"${TIME}"}`,
  },
  {
    event: 'ticker',
    channel: 'ticker',
    shape: shape`{"type":"ticker","sequence":${skipNumber},"product_id":"${key}","price":"${LAST_PRICE}","open_24h":"${skipText}","volume_24h":"${skipText}","low_24h":"${skipText}","high_24h":"${skipText}","volume_30d":"${skipText}","best_bid":"${BID_PRICE}","best_bid_size":"${decimal('bidSize')}","best_ask":"${ASK_PRICE}","best_ask_size":"${decimal('askSize')}","side":"${skipText}","time":"${TIME}","trade_id":${skipNumber},"last_size":"${skipText}"}`,
    zeroIsNone: true,
  },
  {
    // The form of 2021.
    event: 'ticker',
    channel: 'ticker',
    shape: shape`{"type":"ticker","sequence":${skipNumber},"product_id":"${key}","price":"${LAST_PRICE}","open_24h":"${skipText}","volume_24h":"${skipText}","low_24h":"${skipText}","high_24h":"${skipText}","volume_30d":"${skipText}","best_bid":"${BID_PRICE}","best_ask":"${ASK_PRICE}","side":"${skipText}","time":"${TIME}","trade_id":${skipNumber},"last_size":"${skipText}"}`,
    zeroIsNone: true,
  },
]

export const coinbase: ExchangeProtocol = {
  id: 'coinbase',
  title: 'Coinbase Exchange',
  docs: 'https://docs.cdp.coinbase.com/exchange/websocket-feed/channels',
  markets: ['spot'],
  hosts: { ws: 'wss://ws-feed.exchange.coinbase.com', rest: 'https://api.exchange.coinbase.com' },
  endpoints: { feed: { path: '', market: 'spot' } },

  channels: {
    trades: { topics: topicsOf('trades', 'matches'), decode: decodeTrade, idleMsMax: undefined },
    book: { topics: topicsOf('book', 'level2_batch'), decode: decodeBook, idleMsMax: undefined },
    ticker: { topics: topicsOf('ticker', 'ticker'), decode: decodeTicker, idleMsMax: undefined },
  },

  shapes: SHAPES,

  subscribe(topics) {
    const channels = channelsOf(topics)
    const [first] = topics
    if (first !== undefined) channels.push({ name: 'heartbeat', product_ids: [first.symbol] })
    return JSON.stringify({ type: 'subscribe', channels })
  },
  // The heartbeat stays: it is the connection's sign of life, not the topic's.
  unsubscribe: (topics) => JSON.stringify({ type: 'unsubscribe', channels: channelsOf(topics) }),

  limits: {
    // No limit is documented for the first three; full-depth snapshots are large, so a connection takes few hundred.
    topicsPerRequest: 100,
    topicsPerConnection: 300,
    requestCharsMax: 32_768,
    requestEveryMs: 20, // 100 messages a second per IP address
    connectEveryMs: 200, // 8 a second per IP address
  },
  heartbeat: undefined, // the server's protocol pings are answered by the socket
  idleMsMax: 15_000, // fifteen messages of the `heartbeat` channel
  numbersAsText: false,
  plainTexts: [],
  route,

  book: {
    sequencing: unnumbered,
    checksum: undefined,
    crossingMeansLoss: true,
    snapshot: undefined,
    verified: 'snapshot in-stream; no numbers, no checksum: watched for crossing',
  },

  instruments: {
    requests: [{ market: 'spot', path: '/products', weight: 1 }],
    decode: (body) => list(body, 'products').flatMap(instrumentOf),
    nextPath: () => undefined,
  },
  rest: { weightPerMinute: 300 }, // 10 a second per IP address, half of it used
  polls: [],
  endpointOf: () => 'feed',
}

/** Channels of the socket by the name that acknowledgements use; the book is acknowledged under several. */
const ACKNOWLEDGED_AS = new Map([
  ['level2', 'level2_batch'],
  ['level2_50', 'level2_batch'],
])

/** Documented messages that say nothing we use, by their `type`. */
const IGNORED = new Map([
  ['status', 'status channel: products and currencies'],
  ['received', 'full channel: single orders'],
  ['open', 'full channel: single orders'],
  ['done', 'full channel: single orders'],
  ['change', 'full channel: single orders'],
  ['activate', 'full channel: single orders'],
  ['level3', 'level3 channel: single orders'],
  ['auction', 'auctionfeed channel: an opening auction'],
  ['rfq_match', 'rfq_matches channel: trades off the book'],
  ['balance', 'balance channel: an account'],
])

const LEVEL3_TYPES = new Set<unknown>(['open', 'done', 'match', 'change', 'noop'])

function topicsOf(channel: ChannelName, name: string) {
  return ({ symbol }: Instrument): readonly Topic[] => [{ channel, symbol, key: `${name}:${symbol}`, endpoint: 'feed' }]
}

interface WireChannel {
  readonly name: string
  readonly product_ids: string[]
}

function channelsOf(topics: readonly Topic[]): WireChannel[] {
  const products = new Map<string, string[]>()
  for (const { key, symbol } of topics) {
    const name = key.slice(0, key.indexOf(':'))
    const ids = products.get(name)
    if (ids === undefined) products.set(name, [symbol])
    else ids.push(symbol)
  }
  return Array.from(products, ([name, product_ids]) => ({ name, product_ids }))
}

function route(message: unknown): Route {
  if (Array.isArray(message)) return routeList(message)
  if (!isRecord(message)) return { to: 'unknown', reason: 'a frame that is no object' }
  const type = message['type']
  if (typeof type !== 'string') return routeRest(message)
  const product = message['product_id']
  const symbol = typeof product === 'string' ? product : undefined
  switch (type) {
    case 'l2update':
    case 'snapshot':
      return { to: 'channel', channel: 'book', symbol, wire: message }
    case 'match':
    case 'last_match':
      return { to: 'channel', channel: 'trades', symbol, wire: message }
    case 'ticker':
      return { to: 'channel', channel: 'ticker', symbol, wire: message }
    case 'heartbeat':
      return { to: 'heartbeat' }
    case 'subscriptions':
      return { to: 'ack', id: undefined, keys: acknowledgedKeys(message['channels']) }
    case 'error':
      return { to: 'refused', id: undefined, keys: [], reason: reasonOf(message) }
  }
  const reason = IGNORED.get(type)
  return reason === undefined
    ? { to: 'unknown', reason: `a message of type ${type.slice(0, 40)}` }
    : { to: 'ignored', reason }
}

/** An acknowledgement always lists everything that the connection is subscribed to. */
function acknowledgedKeys(channels: unknown): string[] {
  const keys: string[] = []
  if (!Array.isArray(channels)) return keys
  for (const channel of channels as readonly unknown[]) {
    if (!isRecord(channel)) continue
    const { name, product_ids: products } = channel
    if (typeof name !== 'string' || !Array.isArray(products)) continue
    for (const product of products as readonly unknown[]) {
      if (typeof product === 'string') keys.push(`${ACKNOWLEDGED_AS.get(name) ?? name}:${product}`)
    }
  }
  return keys
}

function reasonOf({ message, reason }: WireRecord): string {
  const parts = [message, reason].filter((part) => typeof part === 'string' && part !== '')
  return parts.length === 0 ? 'an error without a reason' : parts.join(': ').slice(0, 300)
}

/** The lists that REST answers with name no product, but for the list of products itself; `level3` frames are lists too. */
function routeList(message: readonly unknown[]): Route {
  const [first] = message
  if (LEVEL3_TYPES.has(first)) return { to: 'ignored', reason: 'level3 channel: single orders' }
  if (isRecord(first)) {
    if (first['base_currency'] !== undefined) return { to: 'ignored', reason: 'REST answer: instruments' }
    if (first['trade_id'] !== undefined) return { to: 'ignored', reason: 'REST answer: trades without a symbol' }
  }
  if (Array.isArray(first) && first.length === 6 && first.every((value) => typeof value === 'number')) {
    return { to: 'ignored', reason: 'REST answer: candles without a symbol' }
  }
  return { to: 'unknown', reason: 'a list' }
}

function routeRest(message: WireRecord): Route {
  if (Array.isArray(message['bids']) && Array.isArray(message['asks'])) {
    return { to: 'ignored', reason: 'REST answer: order book without a symbol' }
  }
  if (message['base_currency'] !== undefined) return { to: 'ignored', reason: 'REST answer: an instrument' }
  if (message['trade_id'] !== undefined && message['bid'] !== undefined) {
    return { to: 'ignored', reason: 'REST answer: ticker without a symbol' }
  }
  if (typeof message['message'] === 'string') return { to: 'ignored', reason: `REST answer: ${reasonOf(message)}` }
  return { to: 'unknown', reason: 'an object without a type' }
}

/** `match` and `last_match`: `trade_id`, `price`, `size`, `side` of the maker, `time`, `product_id`. */
function decodeTrade(wire: unknown, writer: EventWriter): void {
  const message = record(wire, 'match')
  writer.trade(text(message['product_id'], 'product_id'), timeOf(message['time']), {
    id: id(message['trade_id'], 'trade_id'),
    side: aggressor(message['side']),
    price: message['price'],
    size: message['size'],
    history: message['type'] === 'last_match',
  })
}

function aggressor(makerSide: unknown): Side {
  if (makerSide === 'sell') return 'buy'
  if (makerSide === 'buy') return 'sell'
  throw invalid('side', makerSide, 'buy or sell')
}

/** `snapshot` has `bids` and `asks`; `l2update` has `changes` of `[side, price, size]`. */
function decodeBook(wire: unknown, writer: EventWriter): void {
  const message = record(wire, 'book')
  const symbol = text(message['product_id'], 'product_id')
  const timeUs = timeOf(message['time'])
  if (message['type'] === 'snapshot') {
    writer.book(
      'snapshot',
      symbol,
      timeUs,
      snapshotSide(message['bids'], writer),
      snapshotSide(message['asks'], writer),
    )
    return
  }
  const bids = writer.levels()
  const asks = writer.levels()
  for (const change of list(message['changes'], 'changes')) {
    const [side, price, size] = list(change, 'changes')
    if (side === 'buy') bids.add(price, size)
    else if (side === 'sell') asks.add(price, size)
    else throw invalid('changes', side, 'buy or sell')
  }
  writer.book('delta', symbol, timeUs, bids, asks)
}

/** Snapshots have been seen with levels whose size is negative or no number: they are left out and counted. */
function snapshotSide(wire: unknown, writer: EventWriter) {
  const levels = writer.levels()
  for (const level of list(wire, 'levels')) {
    const [price, size] = list(level, 'level')
    if (isSize(size)) levels.add(price, size)
    else writer.counts.skippedRows++
  }
  return levels
}

function isSize(wire: unknown): boolean {
  try {
    return (optionalDecimal(wire, 'size') ?? -1) >= 0
  } catch (thrown) {
    if (thrown instanceof Fault) return false
    throw thrown
  }
}

/** `best_bid`, `best_bid_size`, `best_ask`, `best_ask_size`, `price`: one a trade. The sizes were absent in 2021. */
function decodeTicker(wire: unknown, writer: EventWriter): void {
  const message = record(wire, 'ticker')
  const fields = {
    bidPrice: message['best_bid'],
    bidSize: message['best_bid_size'],
    askPrice: message['best_ask'],
    askSize: message['best_ask_size'],
    lastPrice: message['price'],
  }
  writer.ticker(text(message['product_id'], 'product_id'), timeOf(message['time']), fields, true)
}

/** Before this no exchange of this name existed: the text stands for "no time". */
const TIME_US_MIN = 946_684_800_000_000

function timeOf(wire: unknown): number | undefined {
  if (wire === undefined || wire === null || wire === '') return undefined
  const timeUs = timeUsFromRfc3339(wire, 'time')
  return timeUs < TIME_US_MIN ? undefined : timeUs
}

function instrumentOf(wire: unknown): Instrument[] {
  try {
    const product = record(wire, 'product')
    const base = text(product['base_currency'], 'base_currency')
    const quote = text(product['quote_currency'], 'quote_currency')
    const tick = stepOf(product['quote_increment'])
    const lot = stepOf(product['base_increment'])
    return [
      {
        exchange: 'coinbase',
        symbol: text(product['id'], 'id'),
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
        trading: product['status'] === 'online' && product['trading_disabled'] !== true,
        market: 'spot',
      },
    ]
  } catch (thrown) {
    if (thrown instanceof Fault) return []
    throw thrown
  }
}
