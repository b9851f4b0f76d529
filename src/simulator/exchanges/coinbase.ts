/**
 * The simulated Coinbase Exchange.
 *
 * Docs    ../shared/protocols/coinbase-exchange.md
 * Book    `level2_batch`: full snapshot, then changes, without number or checksum: a lost one cannot be noticed.
 *         `level2` and `full` are refused to anonymous clients
 * Time    RFC 3339 with microseconds
 * Quirk   `match` names the maker's side, `ticker` the taker's; the acknowledgement lists everything subscribed to
 */
import type { BookSide } from '../bookSide'
import type { Connection } from '../connection'
import { isoTime } from '../digits'
import { isObject, own, parseObject, texts, type JsonObject } from '../json'
import { bestLevels, priceText, sizeText, truthOf } from '../levels'
import type { Listing } from '../listing'
import type { MarketBook, MarketTrade } from '../market'
import { Topic } from '../outlet'
import { RequestBudget } from '../requestBudget'
import {
  answered,
  countOf,
  refusedRequest,
  type BookTruth,
  type ExchangeContext,
  type RestAnswer,
  type SimulatedExchange,
} from '../simulatedExchange'
import { uuid } from './bybit'

export function simulatedCoinbase(context: ExchangeContext): SimulatedExchange {
  return new Coinbase(context)
}

const CHANNELS = ['level2_batch', 'matches', 'ticker', 'ticker_batch', 'heartbeat'] as const
const KEYED = ['level2', 'level3', 'full', 'user']
const SUBSCRIBE_WITHIN_US = 5_000_000
const MESSAGES_PER_SECOND = 100
const PING_EVERY_US = 30_000_000
const GRANULARITIES = [60, 300, 900, 3_600, 21_600, 86_400]

type ChannelName = (typeof CHANNELS)[number]

class Channel extends Topic {
  sentAtUs = 0
  sentTradeId = 0

  constructor(
    readonly name: ChannelName,
    readonly book: MarketBook,
  ) {
    super(`${name} ${book.listing.symbol}`, [book])
  }
}

interface Session {
  readonly subscribed: Map<string, Set<string>>
  readonly budget: RequestBudget
  hasAsked: boolean
}

class Coinbase implements SimulatedExchange {
  readonly id = 'coinbase'
  readonly lossIsVisible = false
  readonly hasChecksums = false
  readonly aliases = (): readonly string[] => []

  private readonly sessions = new Map<Connection, Session>()
  private readonly books = new Map<string, MarketBook>()
  private readonly byBook = new Map<MarketBook, ReadonlyMap<ChannelName, Channel>>()
  private readonly status = new Topic('status', [])
  private statusSentAtUs = 0

  constructor(private readonly context: ExchangeContext) {
    for (const book of context.books) {
      this.books.set(book.listing.symbol, book)
      this.byBook.set(book, new Map(CHANNELS.map((name) => [name, new Channel(name, book)])))
    }
  }

  serves(path: string): boolean {
    return path === '/'
  }

  opened(connection: Connection): void {
    this.sessions.set(connection, {
      subscribed: new Map(),
      budget: new RequestBudget(MESSAGES_PER_SECOND, 1_000),
      hasAsked: false,
    })
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
    const nowUs = this.context.clock.nowUs()
    if (!session.budget.spend(nowUs)) {
      this.context.outlet.stats.offenders++
      connection.close(1008, 'Rate limit exceeded')
      return
    }
    const message = parseObject(text)
    const type = message === undefined ? undefined : own(message, 'type')
    if (message === undefined) {
      this.refuse(connection, 'Malformed JSON', undefined)
      return
    }
    if (type !== 'subscribe' && type !== 'unsubscribe') {
      this.refuse(connection, 'Type has to be either subscribe or unsubscribe', undefined)
      return
    }
    session.hasAsked = true
    const wanted = this.wanted(message)
    if (typeof wanted === 'string') {
      this.refuse(connection, type === 'subscribe' ? 'Failed to subscribe' : 'Failed to unsubscribe', wanted)
      return
    }
    const added: Channel[] = []
    for (const [name, products] of wanted) {
      if (name === 'status') {
        if (type === 'subscribe') {
          this.status.add(connection)
          session.subscribed.set(name, new Set())
        } else {
          this.status.remove(connection, nowUs)
          session.subscribed.delete(name)
        }
        continue
      }
      const held = session.subscribed.get(name) ?? new Set<string>()
      for (const product of products) {
        const channel = this.byBook.get(this.books.get(product)!)!.get(name as ChannelName)!
        if (type === 'subscribe') {
          held.add(product)
          if (channel.add(connection)) added.push(channel)
        } else {
          held.delete(product)
          channel.remove(connection, nowUs)
        }
      }
      if (held.size > 0) session.subscribed.set(name, held)
      else session.subscribed.delete(name)
    }
    connection.send(this.subscriptions(session), nowUs)
    for (const channel of added) {
      const first = this.first(channel)
      if (first !== undefined) connection.send(first, nowUs)
    }
    if (type === 'subscribe' && wanted.has('status')) connection.send(this.statusFrame(), nowUs)
  }

  /** The products asked for by channel, or the reason why they are refused. */
  private wanted(message: JsonObject): Map<string, readonly string[]> | string {
    const common = own(message, 'product_ids')
    const commonProducts = common === undefined ? [] : texts(common)
    const channels = own(message, 'channels')
    if (commonProducts === undefined) return 'product_ids must be an array of strings'
    if (!Array.isArray(channels) || channels.length === 0) return 'channels must be a non-empty array'
    const wanted = new Map<string, readonly string[]>()
    for (const channel of channels as unknown[]) {
      const name = isObject(channel) ? own(channel, 'name') : channel
      const list = isObject(channel) ? own(channel, 'product_ids') : undefined
      const products = list === undefined ? commonProducts : texts(list)
      if (typeof name !== 'string' || products === undefined)
        return 'channels must be names, or objects with name and product_ids'
      if (KEYED.includes(name)) return 'level2, level3, and full channels now require authentication.'
      if (name !== 'status' && !(CHANNELS as readonly string[]).includes(name))
        return `${name.slice(0, 40)} is not a valid channel`
      if (name !== 'status' && products.length === 0) return 'product_ids must not be empty'
      const unknown = products.find((product) => !this.books.has(product))
      if (unknown !== undefined) return `${unknown.slice(0, 40)} is not a valid product`
      wanted.set(name, [...(wanted.get(name) ?? []), ...products])
    }
    return wanted
  }

  publish(book: MarketBook): void {
    const { outlet } = this.context
    const channels = this.byBook.get(book)!
    const matches = channels.get('matches')!
    const ticker = channels.get('ticker')!
    for (const trade of book.trades) {
      if (matches.watched) outlet.publish(matches, this.match('match', book, trade, book.timeUs))
      if (ticker.watched) outlet.publish(ticker, this.ticker(book, trade, book.timeUs))
    }
    const level2 = channels.get('level2_batch')!
    if (level2.watched) outlet.publishDelta(level2, this.update(book))
  }

  beat(nowUs: number): void {
    const { outlet } = this.context
    for (const [connection, session] of this.sessions) {
      if (!session.hasAsked && nowUs - connection.openedAtUs > SUBSCRIBE_WITHIN_US)
        connection.close(1008, 'no subscription within 5 seconds')
      else if (nowUs - connection.pingedAtUs >= PING_EVERY_US) connection.ping(nowUs)
    }
    for (const [book, channels] of this.byBook) {
      const heartbeat = channels.get('heartbeat')!
      if (heartbeat.watched && nowUs - heartbeat.sentAtUs >= 1_000_000) {
        heartbeat.sentAtUs = nowUs
        outlet.publish(
          heartbeat,
          `{"type":"heartbeat","last_trade_id":${book.lastTrade.id},"product_id":"${book.listing.symbol}","sequence":${book.updateId},"time":"${isoTime(nowUs)}"}`,
          true,
        )
      }
      const batch = channels.get('ticker_batch')!
      if (batch.watched && nowUs - batch.sentAtUs >= 5_000_000 && batch.sentTradeId !== book.lastTrade.id) {
        batch.sentAtUs = nowUs
        batch.sentTradeId = book.lastTrade.id
        outlet.publish(batch, this.ticker(book, book.lastTrade, book.lastTradeTimeUs))
      }
    }
    if (this.status.watched && nowUs - this.statusSentAtUs >= 5_000_000) {
      this.statusSentAtUs = nowUs
      outlet.publish(this.status, this.statusFrame())
    }
  }

  truth(book: MarketBook): BookTruth {
    return truthOf(book.listing, book.bids, book.asks, Number.POSITIVE_INFINITY)
  }

  answer(path: string, query: URLSearchParams): RestAnswer | undefined {
    const nowUs = this.context.clock.nowUs()
    if (path === '/time') return answered({ iso: isoTime(nowUs), epoch: nowUs / 1_000_000 })
    if (path === '/products') return answered(this.context.books.map(product))
    const match = /^\/products\/([^/]{1,40})(?:\/(book|candles|ticker))?$/.exec(path)
    if (match === null) return undefined
    const book = this.books.get(match[1]!)
    if (book === undefined) return refusedRequest(404, { message: 'NotFound' })
    const { listing } = book
    switch (match[2]) {
      case 'book': {
        const level = countOf(query.get('level'), 1, 3)
        if (level === 3) return refusedRequest(401, { message: 'Unauthorized.' })
        const { bids, asks } = truthOf(listing, book.bids, book.asks, level === 1 ? 1 : Number.POSITIVE_INFINITY)
        const rows = (levels: [string, string][]): unknown[] => levels.map(([price, size]) => [price, size, 1])
        return answered({
          bids: rows(bids),
          asks: rows(asks),
          sequence: book.updateId,
          auction_mode: false,
          auction: null,
          time: isoTime(nowUs),
        })
      }
      case 'candles': {
        const granularity = Number(query.get('granularity') ?? '60')
        if (!GRANULARITIES.includes(granularity)) return refusedRequest(400, { message: 'Unsupported granularity' })
        const number = (tick: number): number => Number(priceText(listing, tick))
        const candles = book.candleSeries(granularity * 1_000).latest(300, nowUs)
        return answered(
          candles
            .map((candle) => [
              candle.openTimeMs / 1_000,
              number(candle.low),
              number(candle.high),
              number(candle.open),
              number(candle.close),
              Number(sizeText(listing, candle.volume)),
            ])
            .reverse(),
        )
      }
      case 'ticker':
        return answered({
          ask: priceText(listing, -book.asks.bestKey),
          bid: priceText(listing, book.bids.bestKey),
          volume: sizeText(listing, book.day.volumeLots),
          trade_id: book.lastTrade.id,
          price: priceText(listing, book.lastTrade.tick),
          size: sizeText(listing, book.lastTrade.lots),
          time: isoTime(book.lastTradeTimeUs),
        })
      default:
        return answered(product(book))
    }
  }

  private subscriptions({ subscribed }: Session): string {
    const channels = [...subscribed].map(([name, products]) => ({ name, product_ids: [...products] }))
    return JSON.stringify({ type: 'subscriptions', channels })
  }

  private refuse(connection: Connection, message: string, reason: string | undefined): void {
    this.context.outlet.stats.refused++
    connection.send(
      JSON.stringify({ type: 'error', message, ...(reason === undefined ? {} : { reason }) }),
      this.context.clock.nowUs(),
    )
  }

  /** What a channel begins with. */
  private first(channel: Channel): string | undefined {
    const { book } = channel
    const { listing, bids, asks, lastTrade, lastTradeTimeUs } = book
    switch (channel.name) {
      case 'level2_batch':
        return (
          `{"type":"snapshot","product_id":"${listing.symbol}","asks":[${bestLevels(listing, asks, asks.size)}],` +
          `"bids":[${bestLevels(listing, bids, bids.size)}],"time":"${isoTime(book.timeUs)}"}`
        )
      case 'matches':
        return this.match('last_match', book, lastTrade, lastTradeTimeUs)
      case 'ticker':
      case 'ticker_batch':
        return this.ticker(book, lastTrade, lastTradeTimeUs)
      case 'heartbeat':
        return undefined
    }
  }

  private update(book: MarketBook): string {
    const { listing, bids, asks, timeUs } = book
    let changes = changed(listing, bids, 'buy')
    const sells = changed(listing, asks, 'sell')
    if (changes !== '' && sells !== '') changes += ','
    return `{"type":"l2update","product_id":"${listing.symbol}","changes":[${changes}${sells}],"time":"${isoTime(timeUs)}"}`
  }

  private match(type: string, book: MarketBook, trade: MarketTrade, timeUs: number): string {
    const { listing } = book
    return (
      `{"type":"${type}","trade_id":${trade.id},"maker_order_id":"${uuid(trade.id)}","taker_order_id":"${uuid(-trade.id)}",` +
      `"side":"${trade.bought ? 'sell' : 'buy'}","size":"${sizeText(listing, trade.lots)}","price":"${priceText(listing, trade.tick)}",` +
      `"product_id":"${listing.symbol}","sequence":${book.updateId},"time":"${isoTime(timeUs)}"}`
    )
  }

  private ticker(book: MarketBook, trade: MarketTrade, timeUs: number): string {
    const { listing, bids, asks, day } = book
    const price = (tick: number): string => priceText(listing, tick)
    return (
      `{"type":"ticker","sequence":${book.updateId},"product_id":"${listing.symbol}","price":"${price(trade.tick)}","open_24h":"${price(day.openTick)}",` +
      `"volume_24h":"${sizeText(listing, day.volumeLots)}","low_24h":"${price(day.lowTick)}","high_24h":"${price(day.highTick)}",` +
      `"volume_30d":"${sizeText(listing, day.volumeLots * 30)}","best_bid":"${price(bids.bestKey)}","best_bid_size":"${sizeText(listing, bids.bestLots)}",` +
      `"best_ask":"${price(-asks.bestKey)}","best_ask_size":"${sizeText(listing, asks.bestLots)}","side":"${trade.bought ? 'buy' : 'sell'}",` +
      `"time":"${isoTime(timeUs)}","trade_id":${trade.id},"last_size":"${sizeText(listing, trade.lots)}"}`
    )
  }

  private statusFrame(): string {
    return JSON.stringify({ type: 'status', products: this.context.books.map(product), currencies: [] })
  }
}

function changed(listing: Listing, side: BookSide, name: 'buy' | 'sell'): string {
  const { changes } = side
  let text = ''
  for (let index = 0; index < changes.count; index++) {
    if (index > 0) text += ','
    text += `["${name}","${priceText(listing, changes.keys[index]! * side.sign)}","${sizeText(listing, changes.lots[index]!)}"]`
  }
  return text
}

function product({ listing }: MarketBook): object {
  return {
    id: listing.symbol,
    base_currency: listing.base,
    quote_currency: listing.quote,
    quote_increment: listing.tickSize.toFixed(listing.priceDecimals),
    base_increment: listing.lotSize.toFixed(listing.sizeDecimals),
    display_name: `${listing.base}-${listing.quote}`,
    min_market_funds: '1',
    margin_enabled: false,
    post_only: false,
    limit_only: false,
    cancel_only: false,
    status: 'online',
    status_message: '',
    trading_disabled: false,
    fx_stablecoin: false,
    max_slippage_percentage: '0.02000000',
    auction_mode: false,
    high_bid_limit_percentage: '',
  }
}
