/**
 * The simulated Bybit v5: spot and linear.
 *
 * Docs    ../shared/protocols/bybit.md
 * Book    snapshot, then deltas whose `u` steps by one per topic; a level that leaves the window is removed, one that
 *         comes back is sent again. Depth 1 sends snapshots only, again every 3 s
 * Time    milliseconds
 * Quirk   one bad topic fails the whole request; spot takes ten topics a request
 */
import { MONTH_MS, type SimulatedCandle } from '../candles'
import type { Connection } from '../connection'
import { DepthWindow } from '../depthWindow'
import { own, parseObject, texts, type JsonObject } from '../json'
import { bestLevels, priceText, sizeText, truthOf, turnoverText } from '../levels'
import type { Listing } from '../listing'
import type { BookSide, LevelChanges } from '../bookSide'
import type { MarketBook } from '../market'
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
import { fundingRate, nextFundingMs } from './binanceFamily'

export function simulatedBybit(context: ExchangeContext): SimulatedExchange {
  return new Bybit(context)
}

const PATHS: ReadonlyMap<string, string> = new Map([
  ['/v5/public/spot', 'spot'],
  ['/v5/public/linear', 'linear'],
])

const MINUTE_MS = 60_000
const INTERVALS: ReadonlyMap<string, number> = new Map([
  ...[1, 3, 5, 15, 30, 60, 120, 240, 360, 720].map((minutes) => [String(minutes), minutes * MINUTE_MS] as const),
  ['D', 1_440 * MINUTE_MS],
  ['W', 7 * 1_440 * MINUTE_MS],
  ['M', MONTH_MS],
])

/** Levels that the deepest channel shows. 500 was served until September 2025 and is in recordings. */
const DEPTHS = [1, 50, 200, 500, 1_000]
const DEEPEST = 1_000
const ARGS_CHARS_MAX = 21_000
const SPOT_ARGS_MAX = 10
const IDLE_US = 600_000_000

type TickerFields = Map<string, string>

/** A topic and what it remembers of what it has sent. Their number is bounded by the books, depths and intervals. */
class Channel extends Topic {
  sentAtUs = 0
  update = 0
  windows: readonly [DepthWindow, DepthWindow] | undefined
  fields: TickerFields = new Map()
  candle: SimulatedCandle | undefined
  candleTrades = -1
  waiting: string[] = []

  constructor(
    key: string,
    readonly book: MarketBook,
    readonly kind: 'trades' | 'book' | 'ticker' | 'kline' | 'liquidations',
    /** Levels, or milliseconds. */
    readonly parameter: number,
    readonly label: string,
  ) {
    super(key, [book])
  }
}

interface Session {
  readonly category: string
  argsChars: number
}

class Bybit implements SimulatedExchange {
  readonly id = 'bybit'
  readonly lossIsVisible = true
  readonly hasChecksums = false
  readonly aliases = (): readonly string[] => []

  private readonly sessions = new Map<Connection, Session>()
  private readonly books = new Map<string, MarketBook>()
  private readonly channels = new Map<string, Channel>()
  private readonly byBook = new Map<MarketBook, Channel[]>()

  constructor(private readonly context: ExchangeContext) {
    for (const book of context.books) {
      this.books.set(`${book.listing.market} ${book.listing.symbol}`, book)
      this.byBook.set(book, [])
    }
  }

  serves(path: string): boolean {
    return PATHS.has(path)
  }

  opened(connection: Connection, path: string): void {
    this.sessions.set(connection, { category: PATHS.get(path)!, argsChars: 0 })
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
    if (message === undefined) {
      this.reply(connection, undefined, false, 'error:invalid request, the message is not a JSON object', '')
      return
    }
    const op = own(message, 'op')
    if (op === 'ping') {
      this.reply(connection, message, true, 'pong', 'ping')
      return
    }
    if (op !== 'subscribe' && op !== 'unsubscribe') {
      this.reply(connection, message, false, `error:unknown op ${typeof op === 'string' ? op.slice(0, 40) : ''}`, '')
      return
    }
    const args = texts(own(message, 'args'))
    if (args === undefined || args.length === 0) {
      this.reply(connection, message, false, 'error:args is not an array of topics', op)
      return
    }
    if (op === 'unsubscribe') {
      const nowUs = this.context.clock.nowUs()
      for (const arg of args) {
        if (this.channels.get(`${session.category} ${arg}`)?.remove(connection, nowUs) === true)
          session.argsChars -= arg.length
      }
      this.reply(connection, message, true, '', op)
      return
    }
    this.subscribe(connection, session, message, args)
  }

  private subscribe(connection: Connection, session: Session, message: JsonObject, args: readonly string[]): void {
    const chars = args.reduce((sum, arg) => sum + arg.length, 0)
    let problem: string | undefined
    if (session.category === 'spot' && args.length > SPOT_ARGS_MAX) problem = `args size >${SPOT_ARGS_MAX}`
    else if (session.argsChars + chars > ARGS_CHARS_MAX) problem = `error:args length >${ARGS_CHARS_MAX}`
    const channels: Channel[] = []
    for (const arg of args) {
      if (problem !== undefined) break
      const channel = this.channel(session.category, arg)
      if (channel === undefined) problem = `error:handler not found,topic:${arg.slice(0, 100)}`
      else if (connection.topics.has(channel) || channels.includes(channel))
        problem = `error:already subscribed,topic:${arg}`
      else channels.push(channel)
    }
    if (problem !== undefined) {
      this.reply(connection, message, false, problem, 'subscribe')
      return
    }
    session.argsChars += chars
    this.reply(connection, message, true, '', 'subscribe')
    for (const channel of channels) this.join(connection, channel)
  }

  /** Subscribes, and sends what the channel begins with. */
  private join(connection: Connection, channel: Channel): void {
    const nowUs = this.context.clock.nowUs()
    const first = !channel.watched
    channel.add(connection)
    if (channel.kind === 'book') {
      if (first) for (const window of channel.windows ?? []) window.reset()
      if (channel.update === 0) channel.update = 1_000 + (hash32(this.context.seed, channel.key) % 50_000_000)
      connection.send(this.snapshot(channel), nowUs)
    } else if (channel.kind === 'ticker') {
      if (first) channel.fields = this.tickerFields(channel.book, nowUs)
      connection.send(this.ticker(channel, 'snapshot', channel.fields, nowUs), nowUs)
    } else if (channel.kind === 'kline') {
      connection.send(this.kline(channel, channel.book.candleSeries(channel.parameter).at(nowUs), false, nowUs), nowUs)
    }
  }

  publish(book: MarketBook): void {
    const { outlet } = this.context
    for (const channel of this.byBook.get(book)!) {
      if (!channel.watched) continue
      switch (channel.kind) {
        case 'trades':
          if (book.trades.length > 0) outlet.publish(channel, this.trades(channel))
          break
        case 'book':
          if (channel.parameter === 1) {
            if (!book.topChanged) break
            channel.update++
            channel.sentAtUs = book.timeUs
            outlet.publish(channel, this.snapshot(channel))
            break
          }
          this.publishDelta(channel)
          break
        case 'liquidations':
          if (book.liquidation !== undefined && channel.waiting.length < 100)
            channel.waiting.push(this.liquidation(book))
          break
        default:
      }
    }
  }

  private publishDelta(channel: Channel): void {
    const { book } = channel
    const { listing } = book
    const [bidWindow, askWindow] = channel.windows!
    const bids = bidWindow.update()
    const asks = askWindow.update()
    if (bids.count + asks.count === 0) return
    channel.update++
    const ms = Math.floor(book.timeUs / 1_000)
    this.context.outlet.publishDelta(
      channel,
      `{"topic":"${channel.key}","type":"delta","ts":${ms},"data":{"s":"${listing.symbol}","b":[${told(listing, book.bids, bids)}],` +
        `"a":[${told(listing, book.asks, asks)}],"u":${channel.update},"seq":${book.updateId}},"cts":${ms}}`,
    )
  }

  beat(nowUs: number): void {
    const { outlet } = this.context
    for (const connection of outlet.connections) {
      if (nowUs - Math.max(connection.lastReceivedUs, connection.lastSentUs) > IDLE_US) connection.close(1000, '')
    }
    for (const channel of this.channels.values()) {
      if (!channel.watched) continue
      switch (channel.kind) {
        case 'book':
          if (channel.parameter !== 1 || nowUs - channel.sentAtUs < 3_000_000) break
          channel.sentAtUs = nowUs
          outlet.publish(channel, this.snapshot(channel))
          break
        case 'ticker':
          this.beatTicker(channel, nowUs)
          break
        case 'kline':
          this.beatKline(channel, nowUs)
          break
        case 'liquidations':
          if (channel.waiting.length === 0 || nowUs - channel.sentAtUs < 500_000) break
          channel.sentAtUs = nowUs
          outlet.publish(
            channel,
            `{"topic":"${channel.key}","type":"snapshot","ts":${Math.floor(nowUs / 1_000)},"data":[${channel.waiting.join(',')}]}`,
          )
          channel.waiting = []
          break
        default:
      }
    }
  }

  private beatTicker(channel: Channel, nowUs: number): void {
    const fields = this.tickerFields(channel.book, nowUs)
    const changed: TickerFields = new Map([['symbol', channel.book.listing.symbol]])
    for (const [name, value] of fields) if (channel.fields.get(name) !== value) changed.set(name, value)
    if (changed.size === 1) return
    channel.fields = fields
    const spot = channel.book.listing.kind === 'spot'
    this.context.outlet.publish(
      channel,
      this.ticker(channel, spot ? 'snapshot' : 'delta', spot ? fields : changed, nowUs),
    )
  }

  private beatKline(channel: Channel, nowUs: number): void {
    const candle = channel.book.candleSeries(channel.parameter).at(nowUs)
    const before = channel.candle
    if (before !== undefined && before !== candle) {
      this.context.outlet.publish(channel, this.kline(channel, before, true, nowUs))
    } else if (before === candle && (channel.candleTrades === candle.trades || nowUs - channel.sentAtUs < 1_000_000))
      return
    channel.candle = candle
    channel.candleTrades = candle.trades
    channel.sentAtUs = nowUs
    this.context.outlet.publish(channel, this.kline(channel, candle, false, nowUs))
  }

  truth(book: MarketBook): BookTruth {
    return truthOf(book.listing, book.bids, book.asks, DEEPEST)
  }

  answer(path: string, query: URLSearchParams): RestAnswer | undefined {
    const nowUs = this.context.clock.nowUs()
    const time = Math.floor(nowUs / 1_000)
    const ok = (result: unknown): RestAnswer => answered({ retCode: 0, retMsg: 'OK', result, retExtInfo: {}, time })
    const bad = (retCode: number, retMsg: string): RestAnswer =>
      answered({ retCode, retMsg, result: {}, retExtInfo: {}, time })
    if (path === '/v5/market/time')
      return ok({ timeSecond: String(Math.floor(time / 1_000)), timeNano: String(BigInt(nowUs) * 1_000n) })
    if (!path.startsWith('/v5/market/')) return undefined
    const category = query.get('category') ?? ''
    if (![...PATHS.values()].includes(category)) return bad(10001, 'params error: Category is invalid')
    const symbol = query.get('symbol')
    const book = symbol === null ? undefined : this.books.get(`${category} ${symbol}`)
    if (path === '/v5/market/instruments-info') {
      const books =
        symbol === null
          ? this.context.books.filter(({ listing }) => listing.market === category)
          : book === undefined
            ? []
            : [book]
      // Pages hold up to 1,000; the cursor is where the next one begins.
      const limit = countOf(query.get('limit'), 500, 1_000)
      const from = countOf(query.get('cursor'), 0, books.length)
      const next = from + limit < books.length ? String(from + limit) : ''
      return ok({ category, list: books.slice(from, from + limit).map(instrument), nextPageCursor: next })
    }
    if (!['orderbook', 'kline', 'tickers', 'open-interest'].includes(path.slice('/v5/market/'.length))) return undefined
    if (book === undefined) return bad(10001, 'params error: Symbol Invalid')
    const { listing } = book
    switch (path.slice('/v5/market/'.length)) {
      case 'orderbook': {
        const depth = countOf(query.get('limit'), category === 'spot' ? 1 : 25, DEEPEST)
        const { bids, asks } = truthOf(listing, book.bids, book.asks, depth)
        return ok({
          s: symbol,
          b: bids,
          a: asks,
          ts: time,
          u: book.updateId,
          seq: book.updateId,
          cts: Math.floor(book.timeUs / 1_000),
        })
      }
      case 'kline': {
        const interval = INTERVALS.get(query.get('interval') ?? '')
        if (interval === undefined) return bad(10001, 'params error: Invalid period!')
        const candles = book.candleSeries(interval).latest(countOf(query.get('limit'), 200, 1_000), nowUs)
        const rows = candles.map((candle) => [
          String(candle.openTimeMs),
          priceText(listing, candle.open),
          priceText(listing, candle.high),
          priceText(listing, candle.low),
          priceText(listing, candle.close),
          sizeText(listing, candle.volume),
          turnoverText(listing, candle.turnover, 4),
        ])
        return ok({ category, symbol, list: rows.reverse() })
      }
      case 'tickers':
        return ok({ category, list: [Object.fromEntries(this.tickerFields(book, nowUs))] })
      default:
        return ok({
          category,
          symbol,
          list: [{ openInterest: sizeText(listing, book.openInterestLots), timestamp: String(time) }],
          nextPageCursor: '',
        })
    }
  }

  private channel(category: string, topic: string): Channel | undefined {
    const key = `${category} ${topic}`
    const known = this.channels.get(key)
    if (known !== undefined) return known
    const match = /^([a-zA-Z]+)\.(?:([0-9A-Z]{1,5})\.)?([A-Z0-9-]{1,40})$/.exec(topic)
    if (match === null) return undefined
    const [, name, parameter, symbol] = match
    const book = this.books.get(`${category} ${symbol}`)
    if (book === undefined) return undefined
    let channel: Channel | undefined
    if (parameter === undefined) {
      if (name === 'publicTrade') channel = new Channel(topic, book, 'trades', 0, '')
      else if (name === 'tickers') channel = new Channel(topic, book, 'ticker', 0, '')
      else if (name === 'allLiquidation' && category === 'linear')
        channel = new Channel(topic, book, 'liquidations', 0, '')
    } else if (name === 'orderbook' && DEPTHS.includes(Number(parameter))) {
      const depth = Number(parameter)
      channel = new Channel(topic, book, 'book', depth, parameter)
      if (depth > 1)
        channel.windows = [new DepthWindow(book.bids, depth, true), new DepthWindow(book.asks, depth, true)]
    } else if (name === 'kline') {
      const interval = INTERVALS.get(parameter)
      if (interval !== undefined) channel = new Channel(topic, book, 'kline', interval, parameter)
    }
    if (channel === undefined) return undefined
    this.channels.set(key, channel)
    this.byBook.get(book)!.push(channel)
    return channel
  }

  private reply(
    connection: Connection,
    request: JsonObject | undefined,
    success: boolean,
    message: string,
    op: string,
  ): void {
    if (!success) this.context.outlet.stats.refused++
    const requestId = request === undefined ? undefined : own(request, 'req_id')
    connection.send(
      JSON.stringify({
        success,
        ret_msg: message,
        conn_id: connectionId(this.context.seed, connection.id),
        ...(typeof requestId === 'string' ? { req_id: requestId.slice(0, 64) } : {}),
        op,
      }),
      this.context.clock.nowUs(),
    )
  }

  private snapshot(channel: Channel): string {
    const { book, parameter } = channel
    const { listing } = book
    const ms = Math.floor(book.timeUs / 1_000)
    return (
      `{"topic":"${channel.key}","type":"snapshot","ts":${ms},"data":{"s":"${listing.symbol}","b":[${bestLevels(listing, book.bids, parameter)}],` +
      `"a":[${bestLevels(listing, book.asks, parameter)}],"u":${channel.update},"seq":${book.updateId}},"cts":${ms}}`
    )
  }

  private trades(channel: Channel): string {
    const { book } = channel
    const { listing } = book
    const ms = Math.floor(book.timeUs / 1_000)
    let rows = ''
    for (const trade of book.trades) {
      if (rows !== '') rows += ','
      const id = listing.kind === 'spot' ? `2290000000${trade.id}` : uuid(trade.id)
      const extra = listing.kind === 'spot' ? '' : `"L":"${trade.bought ? 'PlusTick' : 'MinusTick'}",`
      rows +=
        `{"T":${ms},"s":"${listing.symbol}","S":"${trade.bought ? 'Buy' : 'Sell'}","v":"${sizeText(listing, trade.lots)}",` +
        `"p":"${priceText(listing, trade.tick)}",${extra}"i":"${id}","BT":false,"RPI":false,"seq":${book.updateId}}`
    }
    return `{"topic":"${channel.key}","type":"snapshot","ts":${ms},"data":[${rows}]}`
  }

  private tickerFields(book: MarketBook, nowUs: number): TickerFields {
    const { listing, bids, asks, day, lastTrade } = book
    const price = (tick: number): string => priceText(listing, tick)
    const fields: TickerFields = new Map([['symbol', listing.symbol]])
    if (listing.kind !== 'spot') fields.set('tickDirection', lastTrade.bought ? 'PlusTick' : 'MinusTick')
    fields.set('price24hPcnt', (lastTrade.tick / day.openTick - 1).toFixed(6))
    fields.set('lastPrice', price(lastTrade.tick))
    fields.set('prevPrice24h', price(day.openTick))
    fields.set('highPrice24h', price(day.highTick))
    fields.set('lowPrice24h', price(day.lowTick))
    if (listing.kind === 'spot') {
      fields.set('volume24h', sizeText(listing, day.volumeLots))
      fields.set('turnover24h', turnoverText(listing, day.turnover, 4))
      fields.set('usdIndexPrice', '')
      return fields
    }
    const mark = ((bids.bestKey - asks.bestKey) / 2) * listing.tickSize
    fields.set('prevPrice1h', price(day.openTick))
    fields.set('markPrice', mark.toFixed(listing.priceTextDecimals))
    fields.set('indexPrice', (book.indexTicks() * listing.tickSize).toFixed(listing.priceTextDecimals))
    fields.set('openInterest', sizeText(listing, book.openInterestLots))
    fields.set('openInterestValue', (book.openInterestLots * listing.lotSize * mark).toFixed(2))
    fields.set('turnover24h', turnoverText(listing, day.turnover, 4))
    fields.set('volume24h', sizeText(listing, day.volumeLots))
    fields.set('nextFundingTime', String(nextFundingMs(nowUs)))
    fields.set('fundingRate', fundingRate(book))
    fields.set('bid1Price', price(bids.bestKey))
    fields.set('bid1Size', sizeText(listing, bids.bestLots))
    fields.set('ask1Price', price(-asks.bestKey))
    fields.set('ask1Size', sizeText(listing, asks.bestLots))
    fields.set('fundingIntervalHour', '8')
    return fields
  }

  private ticker(channel: Channel, type: 'snapshot' | 'delta', fields: TickerFields, nowUs: number): string {
    const data = JSON.stringify(Object.fromEntries(fields))
    const ts = Math.floor(nowUs / 1_000)
    const { updateId, listing } = channel.book
    return listing.kind === 'spot'
      ? `{"topic":"${channel.key}","ts":${ts},"type":"${type}","cs":${updateId},"data":${data}}`
      : `{"topic":"${channel.key}","type":"${type}","data":${data},"cs":${updateId},"ts":${ts}}`
  }

  private kline(channel: Channel, candle: SimulatedCandle, closed: boolean, nowUs: number): string {
    const { listing } = channel.book
    const ms = Math.floor(nowUs / 1_000)
    return (
      `{"topic":"${channel.key}","data":[{"start":${candle.openTimeMs},"end":${candle.closeTimeMs},"interval":"${channel.label}",` +
      `"open":"${priceText(listing, candle.open)}","close":"${priceText(listing, candle.close)}","high":"${priceText(listing, candle.high)}",` +
      `"low":"${priceText(listing, candle.low)}","volume":"${sizeText(listing, candle.volume)}","turnover":"${turnoverText(listing, candle.turnover, 4)}",` +
      `"confirm":${closed},"timestamp":${ms}}],"ts":${ms},"type":"snapshot"}`
    )
  }

  /** The position's side: `Buy` when a long was liquidated, whose order sells. */
  private liquidation(book: MarketBook): string {
    const { listing } = book
    const { tick, lots, buys } = book.liquidation!
    return (
      `{"T":${Math.floor(book.timeUs / 1_000)},"s":"${listing.symbol}","S":"${buys ? 'Sell' : 'Buy'}",` +
      `"v":"${sizeText(listing, lots)}","p":"${priceText(listing, tick)}"}`
    )
  }
}

/** As changed levels, but with the bare `0` that Bybit writes for a removal. */
function told(listing: Listing, side: BookSide, changes: LevelChanges): string {
  let text = ''
  for (let index = 0; index < changes.count; index++) {
    if (index > 0) text += ','
    const lots = changes.lots[index]!
    text += `["${priceText(listing, changes.keys[index]! * side.sign)}","${lots === 0 ? '0' : sizeText(listing, lots)}"]`
  }
  return text
}

function instrument({ listing }: MarketBook): unknown {
  const tickSize = listing.tickSize.toFixed(listing.priceTextDecimals)
  const step = listing.lotSize.toFixed(listing.sizeTextDecimals)
  const common = { symbol: listing.symbol, baseCoin: listing.base, quoteCoin: listing.quote }
  if (listing.kind === 'spot')
    return {
      ...common,
      innovation: '0',
      status: 'Trading',
      marginTrading: 'utaOnly',
      stTag: '0',
      lotSizeFilter: {
        basePrecision: step,
        quotePrecision: '0.0000001',
        minOrderQty: step,
        maxOrderQty: '1000000000',
        minOrderAmt: '5',
        maxOrderAmt: '8000000',
      },
      priceFilter: { tickSize },
      riskParameters: { priceLimitRatioX: '0.01', priceLimitRatioY: '0.02' },
    }
  return {
    ...common,
    contractType: 'LinearPerpetual',
    status: 'Trading',
    launchTime: '1585526400000',
    deliveryTime: '0',
    deliveryFeeRate: '',
    priceScale: String(listing.priceTextDecimals),
    leverageFilter: { minLeverage: '1', maxLeverage: '100.00', leverageStep: '0.01' },
    priceFilter: { minPrice: tickSize, maxPrice: '1999999.80', tickSize },
    lotSizeFilter: {
      maxOrderQty: '1190.000',
      minOrderQty: step,
      qtyStep: step,
      postOnlyMaxOrderQty: '1190.000',
      maxMktOrderQty: '119.000',
      minNotionalValue: '5',
    },
    unifiedMarginTrade: true,
    fundingInterval: 480,
    settleCoin: listing.quote,
    copyTrading: 'both',
    upperFundingRate: '0.005',
    lowerFundingRate: '-0.005',
  }
}

function connectionId(seed: number, id: number): string {
  return `${hash32(seed, `bybit connection ${id}`).toString(36)}-${id.toString(36)}`
}

/** A stable UUID of a number. */
export function uuid(value: number): string {
  const hex = (salt: string): string => hash32(value, salt).toString(16).padStart(8, '0')
  const [a, b, c, d] = [hex('a'), hex('b'), hex('c'), hex('d')] as const
  return `${a}-${b.slice(0, 4)}-4${b.slice(5)}-a${c.slice(0, 3)}-${c.slice(4)}${d}`
}
