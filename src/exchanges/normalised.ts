/**
 * Market data that somebody else has decoded already (the CSV files of tardis.dev), in a line protocol of our own: what a
 * conversion writes as frames, so that a replay takes the same road as a recording of the exchange itself.
 *
 * Docs   one frame is one event, a JSON object with the fields of the events that `millrace decode` prints: `kind`,
 *        `symbol`, `exchangeTimeUs` (absent where the source gave none) and those of the kind. Prices, sizes and rates are
 *        texts, with the digits of the source. A book has `bids` and `asks`, lists of `[price, size]`, and `depth` where
 *        it is cut to so many levels a side. Fields that no event has are kept in the frame and not read
 * Book   a snapshot replaces, a delta changes levels. No numbers and no checksum: whoever decoded it has joined it, and a
 *        loss on its side does not show
 * Units  those of the source
 * Quirk  events carry the id of the exchange itself, so a pipeline for `binance` reads `normalised:binance` too
 */
import { unnumbered } from '../book/sequencing'
import type { EventWriter } from '../model/codec/eventWriter'
import { id, integer, invalid, isRecord, list, optionalInteger, text, type WireRecord } from '../model/codec/wire'
import type { Side } from '../model/events'
import type { ChannelName, ExchangeProtocol, Route } from './protocol'

/** The `protocol` of such recordings. */
export const NORMALISED_PROTOCOL = 'millrace-normalised/1'

const PREFIX = 'normalised:'
const EXCHANGE_ID = /^[a-z0-9][a-z0-9-]{0,63}$/

/** The venue of a recording of an exchange's decoded data. */
export function normalisedVenue(exchange: string): string {
  return `${PREFIX}${exchange}`
}

/** The exchange that a venue holds decoded data of; undefined of all other venues. */
export function exchangeOfNormalised(venue: string): string | undefined {
  if (!venue.startsWith(PREFIX)) return undefined
  const exchange = venue.slice(PREFIX.length)
  return EXCHANGE_ID.test(exchange) ? exchange : undefined
}

/**
 * The description by which decoded data of an exchange is read.
 *
 * @param exchange  its id; also one that millrace does not speak
 * @param native    its own description, where there is one: markets and lists of instruments are the same
 */
export function normalised(exchange: string, native: ExchangeProtocol | undefined): ExchangeProtocol {
  const channel = (decode: (wire: unknown, writer: EventWriter) => void) => ({
    topics: () => undefined,
    decode,
    idleMsMax: undefined,
  })
  return {
    id: exchange,
    title: native?.title ?? exchange,
    docs: native?.docs ?? '',
    markets: native?.markets ?? ['spot'],
    hosts: native?.hosts ?? { ws: '', rest: '' },
    endpoints: native?.endpoints ?? {},
    channels: {
      trades: channel(decodeTrade),
      book: channel(decodeBook),
      ticker: channel(decodeTicker),
      derivative: channel(decodeDerivative),
      liquidations: channel(decodeLiquidation),
    },
    shapes: [],
    subscribe: () => '',
    unsubscribe: () => '',
    limits: { topicsPerRequest: 1, topicsPerConnection: 1, requestCharsMax: 1, requestEveryMs: 0, connectEveryMs: 0 },
    heartbeat: undefined,
    idleMsMax: Infinity,
    numbersAsText: false,
    plainTexts: [],
    route,
    book: {
      sequencing: unnumbered,
      checksum: undefined,
      crossingMeansLoss: false,
      snapshot: undefined,
      verified: 'not at all: it was decoded elsewhere',
    },
    instruments: native?.instruments ?? { requests: [], decode: () => [], nextPath: () => undefined },
    rest: { weightPerMinute: 0 },
    polls: [],
    endpointOf: (url) => native?.endpointOf(url) ?? '',
  }
}

const CHANNEL_OF: ReadonlyMap<unknown, ChannelName> = new Map([
  ['trade', 'trades'],
  ['snapshot', 'book'],
  ['delta', 'book'],
  ['ticker', 'ticker'],
  ['derivative', 'derivative'],
  ['liquidation', 'liquidations'],
])

function route(message: unknown): Route {
  if (!isRecord(message)) return { to: 'unknown', reason: 'it is no JSON object' }
  const channel = CHANNEL_OF.get(message['kind'])
  if (channel === undefined) return { to: 'unknown', reason: 'it has no "kind" of a normalised event' }
  const { symbol } = message
  return { to: 'channel', channel, symbol: typeof symbol === 'string' ? symbol : undefined, wire: message }
}

function decodeTrade(wire: unknown, writer: EventWriter): void {
  const trade = wire as WireRecord
  writer.trade(symbolOf(trade), timeOf(trade), {
    id: trade['id'] === undefined ? undefined : id(trade['id'], 'id'),
    side: sideOf(trade['side']),
    price: trade['price'],
    size: trade['size'],
  })
}

function decodeBook(wire: unknown, writer: EventWriter): void {
  const book = wire as WireRecord
  const depth = optionalInteger(book['depth'], 'depth')
  writer.book(
    book['kind'] === 'snapshot' ? 'snapshot' : 'delta',
    symbolOf(book),
    timeOf(book),
    writer.levelsOf(list(book['bids'], 'bids'), 'bids'),
    writer.levelsOf(list(book['asks'], 'asks'), 'asks'),
    depth === undefined ? {} : { depth },
  )
}

function decodeTicker(wire: unknown, writer: EventWriter): void {
  const ticker = wire as WireRecord
  writer.ticker(symbolOf(ticker), timeOf(ticker), {
    bidPrice: ticker['bidPrice'],
    bidSize: ticker['bidSize'],
    askPrice: ticker['askPrice'],
    askSize: ticker['askSize'],
    lastPrice: ticker['lastPrice'],
  })
}

function decodeDerivative(wire: unknown, writer: EventWriter): void {
  const derivative = wire as WireRecord
  writer.derivative(symbolOf(derivative), timeOf(derivative), {
    markPrice: derivative['markPrice'],
    indexPrice: derivative['indexPrice'],
    fundingRate: derivative['fundingRate'],
    nextFundingTimeUs: optionalInteger(derivative['nextFundingTimeUs'], 'nextFundingTimeUs'),
    openInterest: derivative['openInterest'],
  })
}

function decodeLiquidation(wire: unknown, writer: EventWriter): void {
  const liquidation = wire as WireRecord
  writer.liquidation(symbolOf(liquidation), timeOf(liquidation), {
    side: sideOf(liquidation['side']),
    price: liquidation['price'],
    size: liquidation['size'],
  })
}

function symbolOf(wire: WireRecord): string {
  return text(wire['symbol'], 'symbol')
}

function timeOf(wire: WireRecord): number | undefined {
  const time = wire['exchangeTimeUs']
  return time === undefined ? undefined : integer(time, 'exchangeTimeUs')
}

function sideOf(side: unknown): Side | undefined {
  if (side === undefined || side === 'buy' || side === 'sell') return side
  throw invalid('side', side, '"buy" or "sell"')
}
