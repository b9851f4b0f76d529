/**
 * The simulated Kraken spot: WebSocket v2 at `/v2`, v1 at `/`.
 *
 * Docs    ../shared/protocols/kraken.md
 * Book    snapshot, then updates with a CRC32 of the ten best levels a side and no number. A level pushed out of the
 *         subscribed depth is not removed: the client cuts. One that comes back is sent again (v1 marks it `r`)
 * Units   v2 prices and quantities are JSON numbers whose zeros count
 * Time    RFC 3339 with microseconds (v2), seconds with microseconds as text (v1)
 * Quirk   v1 and REST say XBT and XDG, v2 says BTC and DOGE; one depth per symbol and connection
 */
import { crc32 } from 'node:zlib'
import type { BookSide, LevelChanges } from '../bookSide'
import type { SimulatedCandle } from '../candles'
import type { Connection } from '../connection'
import { DepthWindow } from '../depthWindow'
import { isoTime, secondsTime } from '../digits'
import { isObject, own, parseObject, texts, type JsonObject } from '../json'
import { priceText, sizeText, truthOf } from '../levels'
import type { Listing } from '../listing'
import type { MarketBook, MarketTrade } from '../market'
import { Topic } from '../outlet'
import { hash32 } from '../random'
import {
  answered,
  countOf,
  type BookTruth,
  type ExchangeContext,
  type RestAnswer,
  type SimulatedExchange,
} from '../simulatedExchange'

export function simulatedKraken(context: ExchangeContext): SimulatedExchange {
  return new Kraken(context)
}

const DEPTHS = [10, 25, 100, 500, 1_000]
const DEEPEST = 1_000
const INTERVALS = [1, 5, 15, 30, 60, 240, 1_440, 10_080, 21_600]
const CHECKED_LEVELS = 10
const TRADES_KEPT = 50
const SYMBOLS_PER_REQUEST_MAX = 1_000
const IDLE_US = 60_000_000

type Version = 'v1' | 'v2'
type Name = 'trade' | 'book' | 'ticker' | 'ohlc' | 'spread'

/** A topic and what it remembers of what it has sent. */
class Channel extends Topic {
  windows: readonly [DepthWindow, DepthWindow] | undefined
  candle: SimulatedCandle | undefined
  candleTrades = -1
  sentAtUs = 0

  constructor(
    key: string,
    readonly book: MarketBook,
    readonly version: Version,
    readonly name: Name,
    /** Depth of a book, minutes of a candle, 1 for tickers of every best-price change. */
    readonly parameter: number,
    /** v1: the number that stands for it in frames. */
    readonly id: number,
  ) {
    super(key, [book])
  }
}

/** What a book's checksum and trade snapshots need beside the book. */
interface Memory {
  checksum: number
  bidEdge: number
  askEdge: number
  /** Whether the last step changed a level that the checksum covers. */
  touched: boolean
  readonly trades: { readonly trade: MarketTrade; readonly timeUs: number }[]
  readonly channels: Channel[]
}

interface Session {
  readonly version: Version
  /** By channel name and symbol: one depth or interval of each at a time. */
  readonly channels: Map<string, Channel>
  instruments: boolean
}

class Kraken implements SimulatedExchange {
  readonly id = 'kraken'
  readonly lossIsVisible = true
  readonly hasChecksums = true
  readonly aliases = (book: MarketBook): readonly string[] => [pairName(book.listing)]

  private readonly sessions = new Map<Connection, Session>()
  private readonly bySymbol = new Map<string, MarketBook>()
  private readonly byPair = new Map<string, MarketBook>()
  private readonly byRestName = new Map<string, MarketBook>()
  private readonly memories = new Map<MarketBook, Memory>()
  private readonly channels = new Map<string, Channel>()

  constructor(private readonly context: ExchangeContext) {
    for (const book of context.books) {
      const { listing } = book
      this.bySymbol.set(listing.symbol, book)
      this.byPair.set(pairName(listing), book)
      for (const name of [restKey(listing), altName(listing), pairName(listing)]) this.byRestName.set(name, book)
      const memory: Memory = {
        checksum: 0,
        bidEdge: book.bids.edge(CHECKED_LEVELS),
        askEdge: book.asks.edge(CHECKED_LEVELS),
        touched: true,
        trades: [{ trade: book.lastTrade, timeUs: book.lastTradeTimeUs }],
        channels: [],
      }
      memory.checksum = checksum(book)
      this.memories.set(book, memory)
    }
  }

  serves(path: string): boolean {
    return path === '/' || path === '/v2'
  }

  opened(connection: Connection, path: string): void {
    const version = path === '/v2' ? 'v2' : 'v1'
    this.sessions.set(connection, { version, channels: new Map(), instruments: false })
    const id = `${hash32(this.context.seed, `kraken connection ${connection.id}`)}${connection.id}`
    const text =
      version === 'v2'
        ? `{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"online","api_version":"v2","connection_id":${id}}]}`
        : `{"connectionID":${id},"event":"systemStatus","status":"online","version":"1.9.6"}`
    connection.send(text, this.context.clock.nowUs())
  }

  controlled(): void {
    // Control frames are neither limited nor asked for.
  }

  closed(connection: Connection): void {
    this.sessions.delete(connection)
  }

  received(connection: Connection, text: string): void {
    const session = this.sessions.get(connection)
    if (session === undefined) return
    const message = parseObject(text)
    if (session.version === 'v2') this.receivedV2(connection, session, message)
    else this.receivedV1(connection, session, message)
  }

  private receivedV2(connection: Connection, session: Session, message: JsonObject | undefined): void {
    const timeIn = isoTime(this.context.clock.nowUs())
    if (message === undefined) {
      this.refuseV2(connection, undefined, '', 'Malformed request', timeIn)
      return
    }
    const method = own(message, 'method')
    if (method === 'ping') {
      this.answerV2(connection, message, { method: 'pong' }, timeIn)
      return
    }
    if (method !== 'subscribe' && method !== 'unsubscribe') {
      this.refuseV2(
        connection,
        message,
        typeof method === 'string' ? method.slice(0, 40) : '',
        'Method not found',
        timeIn,
      )
      return
    }
    const params = own(message, 'params')
    if (!isObject(params)) {
      this.refuseV2(connection, message, method, 'Field(s) missing: params', timeIn)
      return
    }
    const channel = own(params, 'channel')
    if (channel === 'instrument') {
      session.instruments = method === 'subscribe'
      this.answerV2(connection, message, { method, result: { channel, snapshot: true }, success: true }, timeIn)
      if (session.instruments) connection.send(this.instruments(), this.context.clock.nowUs())
      return
    }
    if (channel !== 'trade' && channel !== 'book' && channel !== 'ticker' && channel !== 'ohlc') {
      this.refuseV2(connection, message, method, 'Channel not found', timeIn)
      return
    }
    const symbols = texts(own(params, 'symbol'))
    if (symbols === undefined || symbols.length === 0 || symbols.length > SYMBOLS_PER_REQUEST_MAX) {
      this.refuseV2(connection, message, method, 'Field(s) missing: symbol', timeIn)
      return
    }
    const parameter = parameterOf(channel, params)
    if (typeof parameter === 'string') {
      this.refuseV2(connection, message, method, parameter, timeIn)
      return
    }
    for (const symbol of symbols) {
      const book = this.bySymbol.get(symbol)
      if (book === undefined) {
        this.refuseV2(connection, message, method, `Currency pair not supported ${symbol.slice(0, 40)}`, timeIn, symbol)
        continue
      }
      const key = `${channel} ${symbol}`
      const held = session.channels.get(key)
      if (method === 'unsubscribe') {
        if (held === undefined) {
          this.refuseV2(connection, message, method, 'Subscription Not Found', timeIn, symbol)
          continue
        }
        session.channels.delete(key)
        held.remove(connection, this.context.clock.nowUs())
        const result = channel === 'book' ? { channel, depth: held.parameter, symbol } : { channel, symbol }
        this.answerV2(connection, message, { method, result, success: true }, timeIn)
        continue
      }
      if (held !== undefined) {
        this.refuseV2(connection, message, method, 'Already subscribed', timeIn, symbol)
        continue
      }
      const snapshot = own(params, 'snapshot') !== false
      const topic = this.channel('v2', channel, book, parameter)
      session.channels.set(key, topic)
      this.answerV2(
        connection,
        message,
        { method, result: resultOf(channel, topic.parameter, snapshot, symbol), success: true },
        timeIn,
      )
      this.join(connection, topic)
      if (snapshot) connection.send(this.snapshotV2(topic), this.context.clock.nowUs())
    }
  }

  private receivedV1(connection: Connection, session: Session, message: JsonObject | undefined): void {
    const nowUs = this.context.clock.nowUs()
    const event = message === undefined ? undefined : own(message, 'event')
    const requestId = message === undefined ? undefined : own(message, 'reqid')
    const withId = Number.isSafeInteger(requestId) ? { reqid: requestId } : {}
    if (event === 'ping') {
      connection.send(JSON.stringify({ event: 'pong', ...withId }), nowUs)
      return
    }
    const subscription = message === undefined ? undefined : own(message, 'subscription')
    const pairs = message === undefined ? undefined : texts(own(message, 'pair'))
    if ((event !== 'subscribe' && event !== 'unsubscribe') || !isObject(subscription) || pairs === undefined) {
      this.context.outlet.stats.refused++
      connection.send(JSON.stringify({ errorMessage: 'Malformed request', event: 'error', ...withId }), nowUs)
      return
    }
    const name = own(subscription, 'name')
    for (const pair of pairs.slice(0, SYMBOLS_PER_REQUEST_MAX)) {
      const refuse = (errorMessage: string): void => {
        this.context.outlet.stats.refused++
        const frame = { errorMessage, event: 'subscriptionStatus', pair, ...withId, status: 'error', subscription }
        connection.send(JSON.stringify(frame), nowUs)
      }
      const book = this.byPair.get(pair)
      const parameter = parameterOf(name, subscription)
      if (book === undefined) refuse(`Currency pair not supported ${pair.slice(0, 40)}`)
      else if (name !== 'trade' && name !== 'book' && name !== 'ticker' && name !== 'ohlc' && name !== 'spread')
        refuse('Subscription name invalid')
      else if (typeof parameter === 'string') refuse(parameter)
      else {
        const key = `${name} ${pair}`
        const held = session.channels.get(key)
        if (event === 'unsubscribe' && held === undefined) {
          refuse('Subscription Not Found')
          continue
        }
        if (event === 'subscribe' && held !== undefined) {
          refuse('Already subscribed')
          continue
        }
        const topic = held ?? this.channel('v1', name, book, parameter)
        const status = {
          channelID: topic.id,
          channelName: channelName(topic),
          event: 'subscriptionStatus',
          pair,
          ...withId,
          status: held === undefined ? 'subscribed' : 'unsubscribed',
          subscription:
            name === 'book'
              ? { depth: topic.parameter, name }
              : name === 'ohlc'
                ? { interval: topic.parameter, name }
                : { name },
        }
        connection.send(JSON.stringify(status), nowUs)
        if (held === undefined) {
          session.channels.set(key, topic)
          this.join(connection, topic)
          connection.send(this.snapshotV1(topic), nowUs)
        } else {
          session.channels.delete(key)
          held.remove(connection, nowUs)
        }
      }
    }
  }

  private join(connection: Connection, topic: Channel): void {
    if (!topic.watched) for (const window of topic.windows ?? []) window.reset()
    topic.add(connection)
  }

  publish(book: MarketBook): void {
    const memory = this.memories.get(book)!
    this.remember(book, memory)
    const { outlet } = this.context
    for (const topic of memory.channels) {
      if (!topic.watched) continue
      const v2 = topic.version === 'v2'
      switch (topic.name) {
        case 'trade': {
          if (book.trades.length === 0) break
          const trades = book.trades.map((trade) => ({ trade, timeUs: book.timeUs }))
          outlet.publish(topic, v2 ? this.tradesV2(book, trades, 'update') : this.tradesV1(topic, trades))
          break
        }
        case 'book':
          this.publishDelta(topic, memory)
          break
        case 'ticker':
          if (topic.parameter === 1 ? !book.topChanged : book.trades.length === 0) break
          outlet.publish(topic, v2 ? this.tickerV2(book, 'update') : this.tickerV1(topic))
          break
        case 'spread':
          if (book.topChanged) outlet.publish(topic, this.spreadV1(topic))
          break
        default:
      }
    }
  }

  private remember(book: MarketBook, memory: Memory): void {
    for (const trade of book.trades) memory.trades.push({ trade, timeUs: book.timeUs })
    if (memory.trades.length > TRADES_KEPT) memory.trades.splice(0, memory.trades.length - TRADES_KEPT)
    const bidEdge = book.bids.edge(CHECKED_LEVELS)
    const askEdge = book.asks.edge(CHECKED_LEVELS)
    const { changes: bids } = book.bids
    const { changes: asks } = book.asks
    memory.touched =
      (bids.count > 0 && bids.keys[0]! >= Math.min(bidEdge, memory.bidEdge)) ||
      (asks.count > 0 && asks.keys[0]! >= Math.min(askEdge, memory.askEdge))
    memory.bidEdge = bidEdge
    memory.askEdge = askEdge
    if (memory.touched) memory.checksum = checksum(book)
  }

  private publishDelta(topic: Channel, memory: Memory): void {
    const [bidWindow, askWindow] = topic.windows!
    const bids = bidWindow.update()
    const asks = askWindow.update()
    if (bids.count + asks.count === 0) return
    const frame = (sum: number): string =>
      topic.version === 'v2'
        ? this.deltaV2(topic.book, bids, asks, sum)
        : this.deltaV1(topic, bids, bidWindow.returnedFrom, asks, askWindow.returnedFrom, sum)
    this.context.outlet.publishDelta(topic, frame(memory.checksum), memory.touched, () =>
      frame((memory.checksum ^ 0x5a5a_5a5a) >>> 0),
    )
  }

  beat(nowUs: number): void {
    const { outlet } = this.context
    for (const [connection, session] of this.sessions) {
      if (session.channels.size === 0 && !session.instruments) {
        if (nowUs - connection.lastReceivedUs > IDLE_US) connection.close(1000, '')
      } else if (nowUs - connection.lastSentUs >= 1_000_000)
        connection.send(session.version === 'v2' ? '{"channel":"heartbeat"}' : '{"event":"heartbeat"}', nowUs)
    }
    for (const topic of this.channels.values()) {
      if (!topic.watched || topic.name !== 'ohlc') continue
      const candle = topic.book.candleSeries(topic.parameter * 60_000).at(nowUs)
      if (topic.candle === candle && (topic.candleTrades === candle.trades || nowUs - topic.sentAtUs < 1_000_000))
        continue
      topic.candle = candle
      topic.candleTrades = candle.trades
      topic.sentAtUs = nowUs
      outlet.publish(topic, topic.version === 'v2' ? this.ohlcV2(topic, candle, 'update') : this.ohlcV1(topic, candle))
    }
  }

  truth(book: MarketBook): BookTruth {
    return truthOf(book.listing, book.bids, book.asks, DEEPEST)
  }

  answer(path: string, query: URLSearchParams): RestAnswer | undefined {
    const nowUs = this.context.clock.nowUs()
    const ok = (result: unknown): RestAnswer => answered({ error: [], result })
    const bad = (error: string): RestAnswer => answered({ error: [error] })
    const unixtime = Math.floor(nowUs / 1_000_000)
    if (path === '/0/public/Time') return ok({ unixtime, rfc1123: new Date(unixtime * 1_000).toUTCString() })
    if (path === '/0/public/SystemStatus') return ok({ status: 'online', timestamp: `${isoTime(nowUs).slice(0, 19)}Z` })
    const names = query.get('pair')?.split(',')
    const books = names?.map((name) => this.byRestName.get(name))
    if (path === '/0/public/AssetPairs') {
      if (books?.includes(undefined) === true) return bad('EQuery:Unknown asset pair')
      const found = (books as MarketBook[] | undefined) ?? this.context.books
      return ok(Object.fromEntries(found.map(({ listing }) => [restKey(listing), assetPair(listing)])))
    }
    if (path !== '/0/public/Depth' && path !== '/0/public/OHLC') return undefined
    const book = books?.[0]
    if (book === undefined) return bad('EQuery:Unknown asset pair')
    const { listing } = book
    if (path === '/0/public/Depth') {
      const seconds = Math.floor(book.timeUs / 1_000_000)
      const { bids, asks } = truthOf(listing, book.bids, book.asks, countOf(query.get('count'), 100, 500))
      const rows = (levels: [string, string][]): unknown[] => levels.map(([price, size]) => [price, size, seconds])
      return ok({ [restKey(listing)]: { asks: rows(asks), bids: rows(bids) } })
    }
    const minutes = Number(query.get('interval') ?? '1')
    if (!INTERVALS.includes(minutes)) return bad('EGeneral:Invalid arguments:interval')
    const candles = book.candleSeries(minutes * 60_000).latest(720, nowUs)
    const rows = candles.map((candle) => [
      candle.openTimeMs / 1_000,
      priceText(listing, candle.open),
      priceText(listing, candle.high),
      priceText(listing, candle.low),
      priceText(listing, candle.close),
      vwap(listing, candle),
      sizeText(listing, candle.volume),
      candle.trades,
    ])
    return ok({ [restKey(listing)]: rows, last: (candles.at(-2)?.openTimeMs ?? 0) / 1_000 })
  }

  private channel(version: Version, name: Name, book: MarketBook, parameter: number): Channel {
    const key = `${version} ${name} ${parameter} ${book.listing.symbol}`
    const known = this.channels.get(key)
    if (known !== undefined) return known
    const topic = new Channel(key, book, version, name, parameter, 336 + (hash32(this.context.seed, key) % 100_000))
    if (name === 'book')
      topic.windows = [new DepthWindow(book.bids, parameter, false), new DepthWindow(book.asks, parameter, false)]
    if (name === 'ohlc') book.candleSeries(parameter * 60_000)
    this.channels.set(key, topic)
    this.memories.get(book)!.channels.push(topic)
    return topic
  }

  private answerV2(connection: Connection, request: JsonObject, answer: object, timeIn: string): void {
    const nowUs = this.context.clock.nowUs()
    connection.send(
      JSON.stringify({ ...answer, time_in: timeIn, time_out: isoTime(nowUs), ...requestId(request) }),
      nowUs,
    )
  }

  private refuseV2(
    connection: Connection,
    request: JsonObject | undefined,
    method: string,
    error: string,
    timeIn: string,
    symbol?: string,
  ): void {
    this.context.outlet.stats.refused++
    const answer = { error, method, ...(symbol === undefined ? {} : { symbol }), success: false }
    this.answerV2(connection, request ?? {}, answer, timeIn)
  }

  private snapshotV2(topic: Channel): string {
    const { book } = topic
    switch (topic.name) {
      case 'book': {
        const memory = this.memories.get(book)!
        const { listing, bids, asks } = book
        return (
          `{"channel":"book","type":"snapshot","data":[{"symbol":"${listing.symbol}","bids":[${bestV2(listing, bids, topic.parameter)}],` +
          `"asks":[${bestV2(listing, asks, topic.parameter)}],"checksum":${memory.checksum},"timestamp":"${isoTime(book.timeUs)}"}]}`
        )
      }
      case 'trade':
        return this.tradesV2(book, this.memories.get(book)!.trades, 'snapshot')
      case 'ohlc':
        return this.ohlcV2(
          topic,
          book.candleSeries(topic.parameter * 60_000).at(this.context.clock.nowUs()),
          'snapshot',
        )
      default:
        return this.tickerV2(book, 'snapshot')
    }
  }

  private deltaV2(
    { listing, bids, asks, timeUs }: MarketBook,
    bid: LevelChanges,
    ask: LevelChanges,
    sum: number,
  ): string {
    return (
      `{"channel":"book","type":"update","data":[{"symbol":"${listing.symbol}","bids":[${toldV2(listing, bids, bid)}],` +
      `"asks":[${toldV2(listing, asks, ask)}],"checksum":${sum},"timestamp":"${isoTime(timeUs)}"}]}`
    )
  }

  private tradesV2(book: MarketBook, trades: Memory['trades'], type: 'snapshot' | 'update'): string {
    const { listing } = book
    const rows = trades.map(
      ({ trade, timeUs }) =>
        `{"symbol":"${listing.symbol}","side":"${trade.bought ? 'buy' : 'sell'}","price":${priceText(listing, trade.tick)},` +
        `"qty":${sizeText(listing, trade.lots)},"ord_type":"market","trade_id":${trade.id},"timestamp":"${isoTime(timeUs)}"}`,
    )
    return `{"channel":"trade","type":"${type}","data":[${rows.join(',')}]}`
  }

  private tickerV2(book: MarketBook, type: 'snapshot' | 'update'): string {
    const { listing, bids, asks, day, lastTrade } = book
    const price = (tick: number): string => priceText(listing, tick)
    const change = (lastTrade.tick - day.openTick) * listing.tickSize
    return (
      `{"channel":"ticker","type":"${type}","data":[{"symbol":"${listing.symbol}","bid":${price(bids.bestKey)},"bid_qty":${sizeText(listing, bids.bestLots)},` +
      `"ask":${price(-asks.bestKey)},"ask_qty":${sizeText(listing, asks.bestLots)},"last":${price(lastTrade.tick)},"volume":${sizeText(listing, day.volumeLots)},` +
      `"vwap":${((day.turnover / day.volumeLots) * listing.tickSize).toFixed(listing.priceDecimals)},"low":${price(day.lowTick)},"high":${price(day.highTick)},` +
      `"change":${change.toFixed(listing.priceDecimals)},"change_pct":${((lastTrade.tick / day.openTick - 1) * 100).toFixed(2)},"timestamp":"${isoTime(book.timeUs)}"}]}`
    )
  }

  private ohlcV2(topic: Channel, candle: SimulatedCandle, type: 'snapshot' | 'update'): string {
    const { listing } = topic.book
    const price = (tick: number): string => priceText(listing, tick)
    const nano = (ms: number): string => `${new Date(ms).toISOString().slice(0, 23)}000000Z`
    return (
      `{"channel":"ohlc","type":"${type}","timestamp":"${isoTime(this.context.clock.nowUs())}","data":[{"symbol":"${listing.symbol}","open":${price(candle.open)},` +
      `"high":${price(candle.high)},"low":${price(candle.low)},"close":${price(candle.close)},"trades":${candle.trades},"volume":${sizeText(listing, candle.volume)},` +
      `"vwap":${vwap(listing, candle)},"interval_begin":"${nano(candle.openTimeMs)}","interval":${topic.parameter},"timestamp":"${isoTime((candle.closeTimeMs + 1) * 1_000)}"}]}`
    )
  }

  private instruments(): string {
    const pairs = this.context.books.map(({ listing }) => ({
      symbol: listing.symbol,
      base: listing.base,
      quote: listing.quote,
      status: 'online',
      qty_precision: listing.sizeDecimals,
      qty_increment: listing.lotSize,
      price_precision: listing.priceDecimals,
      cost_precision: 5,
      marginable: false,
      has_index: true,
      cost_min: 0.5,
      tick_size: listing.tickSize,
      price_increment: listing.tickSize,
      qty_min: listing.lotSize,
    }))
    return JSON.stringify({ channel: 'instrument', type: 'snapshot', data: { assets: [], pairs } })
  }

  private snapshotV1(topic: Channel): string {
    const { book } = topic
    switch (topic.name) {
      case 'book': {
        const { listing, bids, asks } = book
        const time = secondsTime(book.timeUs)
        const sides = `{"as":[${bestV1(listing, asks, topic.parameter, time)}],"bs":[${bestV1(listing, bids, topic.parameter, time)}]}`
        return this.frameV1(topic, sides)
      }
      case 'trade':
        return this.tradesV1(topic, this.memories.get(book)!.trades)
      case 'ohlc':
        return this.ohlcV1(topic, book.candleSeries(topic.parameter * 60_000).at(this.context.clock.nowUs()))
      case 'spread':
        return this.spreadV1(topic)
      case 'ticker':
        return this.tickerV1(topic)
    }
  }

  private frameV1(topic: Channel, payload: string): string {
    return `[${topic.id},${payload},"${channelName(topic)}","${pairName(topic.book.listing)}"]`
  }

  private deltaV1(
    topic: Channel,
    bids: LevelChanges,
    bidsReturned: number,
    asks: LevelChanges,
    asksReturned: number,
    sum: number,
  ): string {
    const { listing, timeUs } = topic.book
    const time = secondsTime(timeUs)
    const a = asks.count === 0 ? '' : `"a":[${toldV1(listing, -1, asks, asksReturned, time)}]`
    const b = bids.count === 0 ? '' : `"b":[${toldV1(listing, 1, bids, bidsReturned, time)}]`
    const c = `"c":"${sum}"`
    return this.frameV1(topic, a !== '' && b !== '' ? `{${a}},{${b},${c}}` : `{${a}${b},${c}}`)
  }

  private tradesV1(topic: Channel, trades: Memory['trades']): string {
    const { listing } = topic.book
    const rows = trades.map(
      ({ trade, timeUs }) =>
        `["${priceText(listing, trade.tick)}","${sizeText(listing, trade.lots)}","${secondsTime(timeUs)}","${trade.bought ? 'b' : 's'}","m",""]`,
    )
    return this.frameV1(topic, `[${rows.join(',')}]`)
  }

  private tickerV1(topic: Channel): string {
    const { listing, bids, asks, day, lastTrade } = topic.book
    const price = (tick: number): string => priceText(listing, tick)
    const best = (side: BookSide): string =>
      `["${price(side.bestKey * side.sign)}",${Math.floor(side.bestLots * listing.lotSize)},"${sizeText(listing, side.bestLots)}"]`
    const twice = (text: string): string => `["${text}","${text}"]`
    const average = ((day.turnover / day.volumeLots) * listing.tickSize).toFixed(listing.priceDecimals)
    return this.frameV1(
      topic,
      `{"a":${best(asks)},"b":${best(bids)},"c":["${price(lastTrade.tick)}","${sizeText(listing, lastTrade.lots)}"],` +
        `"v":${twice(sizeText(listing, day.volumeLots))},"p":${twice(average)},"t":[${day.trades},${day.trades}],` +
        `"l":${twice(price(day.lowTick))},"h":${twice(price(day.highTick))},"o":${twice(price(day.openTick))}}`,
    )
  }

  private spreadV1(topic: Channel): string {
    const { listing, bids, asks, timeUs } = topic.book
    return this.frameV1(
      topic,
      `["${priceText(listing, bids.bestKey)}","${priceText(listing, -asks.bestKey)}","${secondsTime(timeUs)}",` +
        `"${sizeText(listing, bids.bestLots)}","${sizeText(listing, asks.bestLots)}"]`,
    )
  }

  private ohlcV1(topic: Channel, candle: SimulatedCandle): string {
    const { listing } = topic.book
    const price = (tick: number): string => priceText(listing, tick)
    return this.frameV1(
      topic,
      `["${secondsTime(this.context.clock.nowUs())}","${secondsTime((candle.closeTimeMs + 1) * 1_000)}","${price(candle.open)}","${price(candle.high)}",` +
        `"${price(candle.low)}","${price(candle.close)}","${vwap(listing, candle)}","${sizeText(listing, candle.volume)}",${candle.trades}]`,
    )
  }
}

/**
 * CRC32 of the ten best asks, then bids: price and quantity without point and leading zeros. Of an integer number of
 * ticks and lots those are simply its digits.
 */
function checksum({ bids, asks }: MarketBook): number {
  let digits = ''
  for (const side of [asks, bids]) {
    const last = Math.max(0, side.size - CHECKED_LEVELS)
    for (let index = side.size - 1; index >= last; index--)
      digits += `${side.keys[index]! * side.sign}${side.lots[index]!}`
  }
  return crc32(digits)
}

function parameterOf(channel: unknown, params: JsonObject): number | string {
  if (channel === 'book') {
    const depth = own(params, 'depth') ?? 10
    return typeof depth === 'number' && DEPTHS.includes(depth) ? depth : 'Subscription depth not supported'
  }
  if (channel === 'ohlc') {
    const interval = own(params, 'interval') ?? 1
    return typeof interval === 'number' && INTERVALS.includes(interval)
      ? interval
      : 'Subscription ohlc interval not supported'
  }
  if (channel !== 'ticker') return 0
  const trigger = own(params, 'event_trigger') ?? 'trades'
  if (trigger !== 'trades' && trigger !== 'bbo') return 'Event trigger not supported'
  return trigger === 'bbo' ? 1 : 0
}

function resultOf(channel: Name, parameter: number, snapshot: boolean, symbol: string): object {
  if (channel === 'book') return { channel, depth: parameter, snapshot, symbol }
  if (channel === 'ohlc') return { channel, interval: parameter, snapshot, symbol }
  if (channel === 'ticker') return { channel, event_trigger: parameter === 1 ? 'bbo' : 'trades', snapshot, symbol }
  return { channel, snapshot, symbol }
}

function requestId(request: JsonObject): { readonly req_id?: number } {
  const id = own(request, 'req_id')
  return typeof id === 'number' && Number.isSafeInteger(id) ? { req_id: id } : {}
}

function channelName(topic: Channel): string {
  return topic.name === 'book' || topic.name === 'ohlc' ? `${topic.name}-${topic.parameter}` : topic.name
}

function levelV2(listing: Listing, tick: number, lots: number): string {
  return `{"price":${priceText(listing, tick)},"qty":${sizeText(listing, lots)}}`
}

function bestV2(listing: Listing, side: BookSide, depth: number): string {
  const levels: string[] = []
  const last = Math.max(0, side.size - depth)
  for (let index = side.size - 1; index >= last; index--)
    levels.push(levelV2(listing, side.keys[index]! * side.sign, side.lots[index]!))
  return levels.join(',')
}

function toldV2(listing: Listing, side: BookSide, changes: LevelChanges): string {
  let text = ''
  for (let index = 0; index < changes.count; index++) {
    if (index > 0) text += ','
    text += levelV2(listing, changes.keys[index]! * side.sign, changes.lots[index]!)
  }
  return text
}

function bestV1(listing: Listing, side: BookSide, depth: number, time: string): string {
  const levels: string[] = []
  const last = Math.max(0, side.size - depth)
  for (let index = side.size - 1; index >= last; index--) {
    levels.push(
      `["${priceText(listing, side.keys[index]! * side.sign)}","${sizeText(listing, side.lots[index]!)}","${time}"]`,
    )
  }
  return levels.join(',')
}

function toldV1(listing: Listing, sign: number, changes: LevelChanges, returnedFrom: number, time: string): string {
  let text = ''
  for (let index = 0; index < changes.count; index++) {
    if (index > 0) text += ','
    const returned = index >= returnedFrom ? ',"r"' : ''
    text += `["${priceText(listing, changes.keys[index]! * sign)}","${sizeText(listing, changes.lots[index]!)}","${time}"${returned}]`
  }
  return text
}

function vwap(listing: Listing, candle: SimulatedCandle): string {
  const ticks = candle.volume === 0 ? candle.close : candle.turnover / candle.volume
  return (ticks * listing.tickSize).toFixed(listing.priceDecimals)
}

/** v1 and REST spellings. */
function oldCode(currency: string): string {
  return currency === 'BTC' ? 'XBT' : currency === 'DOGE' ? 'XDG' : currency
}

function pairName(listing: Listing): string {
  return `${oldCode(listing.base)}/${oldCode(listing.quote)}`
}

function altName(listing: Listing): string {
  return oldCode(listing.base) + oldCode(listing.quote)
}

const OLD_CRYPTO = ['XBT', 'ETH', 'LTC', 'XRP', 'XDG']
const OLD_FIAT = ['USD', 'EUR', 'GBP', 'CAD', 'JPY']

function assetCode(currency: string): string {
  const code = oldCode(currency)
  if (OLD_CRYPTO.includes(code)) return `X${code}`
  return OLD_FIAT.includes(code) ? `Z${code}` : code
}

/** The key of the pair in REST answers: the old long form only where both sides have one. */
function restKey(listing: Listing): string {
  const base = assetCode(listing.base)
  const quote = assetCode(listing.quote)
  return base.length === 4 && quote.length === 4 && /^[XZ]/.test(quote) ? base + quote : altName(listing)
}

function assetPair(listing: Listing): object {
  return {
    altname: altName(listing),
    wsname: pairName(listing),
    aclass_base: 'currency',
    base: assetCode(listing.base),
    aclass_quote: 'currency',
    quote: assetCode(listing.quote),
    lot: 'unit',
    cost_decimals: 5,
    pair_decimals: listing.priceDecimals,
    lot_decimals: listing.sizeDecimals,
    lot_multiplier: 1,
    leverage_buy: [2, 3, 4, 5],
    leverage_sell: [2, 3, 4, 5],
    fees: [[0, 0.4]],
    fees_maker: [[0, 0.25]],
    fee_volume_currency: 'ZUSD',
    margin_call: 80,
    margin_stop: 40,
    ordermin: listing.lotSize.toFixed(listing.sizeDecimals),
    costmin: '0.5',
    tick_size: listing.tickSize.toFixed(listing.priceDecimals),
    status: 'online',
  }
}
