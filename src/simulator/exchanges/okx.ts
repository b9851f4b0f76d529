/**
 * The simulated OKX v5: spot and linear swaps.
 *
 * Docs    ../shared/protocols/okx.md
 * Book    `books`: 400 levels, snapshot then updates linked by `prevSeqId`, whose steps are irregular; levels that leave
 *         are removed. The checksum is 0 unless the simulator was asked for the one of 2021-2025
 * Units   sizes of swaps are contracts
 * Time    milliseconds, as text
 * Quirk   the client pings with the bare text `ping`; candles are on `/business`
 */
import { crc32 } from 'node:zlib'
import type { BookSide, LevelChanges } from '../bookSide'
import { MONTH_MS, type SimulatedCandle } from '../candles'
import type { Connection } from '../connection'
import { DepthWindow } from '../depthWindow'
import { isObject, own, parseObject, type JsonObject } from '../json'
import { trimmedPrice, trimmedSize, truthOf } from '../levels'
import type { Listing } from '../listing'
import type { MarketBook } from '../market'
import { Topic } from '../outlet'
import { hash32 } from '../random'
import { RequestBudget } from '../requestBudget'
import {
  answered,
  countOf,
  type BookTruth,
  type ExchangeContext,
  type RestAnswer,
  type SimulatedExchange,
} from '../simulatedExchange'
import { fundingRate, nextFundingMs } from './binanceFamily'

export function simulatedOkx(context: ExchangeContext): SimulatedExchange {
  return new Okx(context)
}

const LEVELS = 400
const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000
const INTERVALS: ReadonlyMap<string, number> = new Map([
  ['1s', 1_000],
  ...[1, 3, 5, 15, 30].map((minutes) => [`${minutes}m`, minutes * MINUTE_MS] as const),
  ...[1, 2, 4].map((hours) => [`${hours}H`, hours * HOUR_MS] as const),
  ...[6, 12].map((hours) => [`${hours}Hutc`, hours * HOUR_MS] as const),
  ...[1, 2, 3].map((days) => [`${days}Dutc`, days * DAY_MS] as const),
  ['1Wutc', 7 * DAY_MS],
  ['1Mutc', MONTH_MS],
])

const REQUESTS_PER_HOUR = 480
const REQUEST_CHARS_MAX = 64 * 1024
const SILENCE_US = 30_000_000
const KEEP_ALIVE_US = 60_000_000

type Kind = 'trades' | 'books' | 'books5' | 'bbo' | 'ticker' | 'candle' | 'funding' | 'mark' | 'index' | 'interest'

/** A topic and what it remembers of what it has sent. */
class Channel extends Topic {
  sentAtUs = 0
  seq = 0
  windows: readonly [DepthWindow, DepthWindow] | undefined
  sent = ''
  candle: SimulatedCandle | undefined
  candleTrades = -1

  constructor(
    key: string,
    readonly book: MarketBook,
    readonly kind: Kind,
    readonly arg: string,
    readonly parameter: number,
  ) {
    super(key, [book])
  }
}

interface Session {
  readonly business: boolean
  readonly budget: RequestBudget
}

class Okx implements SimulatedExchange {
  readonly id = 'okx'
  readonly lossIsVisible = true
  readonly hasChecksums: boolean
  readonly aliases = (): readonly string[] => []

  private readonly sessions = new Map<Connection, Session>()
  private readonly books = new Map<string, MarketBook>()
  private readonly channels = new Map<string, Channel>()
  private readonly byBook = new Map<MarketBook, Channel[]>()
  private readonly liquidations: Topic

  constructor(private readonly context: ExchangeContext) {
    this.hasChecksums = context.okxChecksum
    this.liquidations = new Topic(
      'liquidation-orders SWAP',
      context.books.filter(({ listing }) => listing.kind !== 'spot'),
    )
    for (const book of context.books) {
      this.books.set(book.listing.symbol, book)
      this.byBook.set(book, [])
    }
  }

  serves(path: string): boolean {
    return path === '/ws/v5/public' || path === '/ws/v5/business'
  }

  opened(connection: Connection, path: string): void {
    this.sessions.set(connection, {
      business: path.endsWith('business'),
      budget: new RequestBudget(REQUESTS_PER_HOUR, HOUR_MS),
    })
  }

  controlled(): void {
    // Control frames are neither limited nor count as a sign of life.
  }

  closed(connection: Connection): void {
    this.sessions.delete(connection)
  }

  received(connection: Connection, text: string): void {
    const session = this.sessions.get(connection)
    if (session === undefined) return
    if (text === 'ping') {
      connection.send('pong', this.context.clock.nowUs())
      return
    }
    const message = text.length > REQUEST_CHARS_MAX ? undefined : parseObject(text)
    const op = message === undefined ? undefined : own(message, 'op')
    const args = message === undefined ? undefined : own(message, 'args')
    if (message === undefined || (op !== 'subscribe' && op !== 'unsubscribe') || !Array.isArray(args)) {
      this.refuse(connection, '60012', `Invalid request: ${text.slice(0, 200)}`, message)
      return
    }
    if (!session.budget.spend(this.context.clock.nowUs())) {
      this.refuse(connection, '60014', 'Requests too frequent.', message)
      return
    }
    for (const arg of args as unknown[]) {
      if (!isObject(arg)) this.refuse(connection, '60012', `Invalid request: ${text.slice(0, 200)}`, message)
      else if (op === 'subscribe') this.subscribe(connection, session, arg, message)
      else this.unsubscribe(connection, arg, message)
    }
  }

  private subscribe(connection: Connection, session: Session, arg: JsonObject, message: JsonObject): void {
    const channel = textOf(own(arg, 'channel'))
    const instId = textOf(own(arg, 'instId'))
    const nowUs = this.context.clock.nowUs()
    if (channel === 'liquidation-orders' && own(arg, 'instType') === 'SWAP' && !session.business) {
      this.acknowledge(connection, 'subscribe', arg, message)
      this.liquidations.add(connection)
      return
    }
    if (channel === 'books-l2-tbt' || channel === 'books50-l2-tbt') {
      this.refuse(connection, '60011', 'Please log in', message)
      return
    }
    const topic = this.channel(channel, instId, session.business)
    if (topic === undefined) {
      const name = instId === '' ? `channel:${channel}` : `channel:${channel},instId:${instId}`
      this.refuse(
        connection,
        '60018',
        `Wrong URL or ${name.slice(0, 120)} doesn't exist. Please use the correct URL, channel and parameters referring to API document.`,
        message,
      )
      return
    }
    this.acknowledge(connection, 'subscribe', arg, message)
    const first = !topic.watched
    // A repeated subscription is acknowledged again and changes nothing.
    if (topic.add(connection)) this.begin(connection, topic, first, nowUs)
  }

  /** Sends what a channel begins with. */
  private begin(connection: Connection, topic: Channel, first: boolean, nowUs: number): void {
    const { book } = topic
    if (topic.kind === 'books') {
      if (first) {
        for (const window of topic.windows!) window.reset()
        topic.seq = book.updateId
        topic.sentAtUs = nowUs
      }
      const sides = `"asks":[${best(book.listing, book.asks, LEVELS)}],"bids":[${best(book.listing, book.bids, LEVELS)}]`
      connection.send(this.bookFrame(topic, 'snapshot', sides, -1, this.checksum(book)), nowUs)
      return
    }
    if (topic.kind === 'trades') {
      connection.send(this.trade(topic, book.lastTrade, book.lastTradeTimeUs), nowUs)
      return
    }
    const frame = this.timedFrame(topic, nowUs)
    if (frame !== undefined) connection.send(frame, nowUs)
  }

  private unsubscribe(connection: Connection, arg: JsonObject, message: JsonObject): void {
    const nowUs = this.context.clock.nowUs()
    const channel = textOf(own(arg, 'channel'))
    if (channel === 'liquidation-orders') this.liquidations.remove(connection, nowUs)
    else this.channels.get(`${channel} ${textOf(own(arg, 'instId'))}`)?.remove(connection, nowUs)
    this.acknowledge(connection, 'unsubscribe', arg, message)
  }

  publish(book: MarketBook): void {
    const { outlet } = this.context
    for (const topic of this.byBook.get(book)!) {
      if (!topic.watched) continue
      switch (topic.kind) {
        case 'trades':
          for (const trade of book.trades) outlet.publish(topic, this.trade(topic, trade, book.timeUs))
          break
        case 'books':
          this.publishDelta(topic)
          break
        case 'bbo':
          if (book.topChanged) outlet.publish(topic, this.bestFrame(topic, 1))
          break
        case 'books5':
          outlet.publish(topic, this.bestFrame(topic, 5))
          break
        default:
      }
    }
    if (book.liquidation !== undefined && this.liquidations.watched)
      outlet.publish(this.liquidations, this.liquidation(book))
  }

  private publishDelta(topic: Channel): void {
    const { book } = topic
    const [bidWindow, askWindow] = topic.windows!
    const bids = bidWindow.update()
    const asks = askWindow.update()
    if (bids.count + asks.count === 0) return
    const previous = topic.seq
    topic.seq = book.updateId
    topic.sentAtUs = book.timeUs
    const sides = `"asks":[${told(book.listing, book.asks, asks)}],"bids":[${told(book.listing, book.bids, bids)}]`
    const checksum = this.checksum(book)
    const wrong = (): string => this.bookFrame(topic, 'update', sides, previous, checksum ^ 0x5a5a)
    this.context.outlet.publishDelta(
      topic,
      this.bookFrame(topic, 'update', sides, previous, checksum),
      true,
      this.hasChecksums ? wrong : undefined,
    )
  }

  beat(nowUs: number): void {
    const { outlet } = this.context
    for (const connection of outlet.connections) {
      const heardUs = Math.max(connection.lastReceivedUs, connection.lastSentUs)
      if (nowUs - heardUs > SILENCE_US) connection.close(4004, 'no data received in 30s')
    }
    for (const topic of this.channels.values()) {
      if (!topic.watched) continue
      if (topic.kind === 'books') {
        if (nowUs - topic.sentAtUs < KEEP_ALIVE_US) continue
        topic.sentAtUs = nowUs
        outlet.publish(
          topic,
          this.bookFrame(topic, 'update', '"asks":[],"bids":[]', topic.seq, this.checksum(topic.book)),
        )
      } else if (topic.kind === 'candle') this.beatCandle(topic, nowUs)
      else if (!STEPWISE.has(topic.kind) && nowUs - topic.sentAtUs >= topic.parameter * 1_000) {
        const frame = this.timedFrame(topic, nowUs)
        // Only what changed is sent; the time stamp alone is no change.
        const content = frame?.replace(/"ts":"\d+"/, '')
        if (frame === undefined || content === topic.sent) continue
        topic.sentAtUs = nowUs
        topic.sent = content!
        outlet.publish(topic, frame)
      }
    }
  }

  private beatCandle(topic: Channel, nowUs: number): void {
    const candle = topic.book.candleSeries(topic.parameter).at(nowUs)
    const before = topic.candle
    if (before !== undefined && before !== candle) this.context.outlet.publish(topic, this.candle(topic, before, true))
    else if (before === candle && (topic.candleTrades === candle.trades || nowUs - topic.sentAtUs < 1_000_000)) return
    topic.candle = candle
    topic.candleTrades = candle.trades
    topic.sentAtUs = nowUs
    this.context.outlet.publish(topic, this.candle(topic, candle, false))
  }

  truth(book: MarketBook): BookTruth {
    return truthOf(book.listing, book.bids, book.asks, LEVELS, trimmedPrice, trimmedSize)
  }

  answer(path: string, query: URLSearchParams): RestAnswer | undefined {
    const nowUs = this.context.clock.nowUs()
    const ms = String(Math.floor(nowUs / 1_000))
    const ok = (data: unknown): RestAnswer => answered({ code: '0', msg: '', data })
    const bad = (code: string, msg: string): RestAnswer => answered({ code, msg, data: [] })
    if (path === '/api/v5/public/time') return ok([{ ts: ms }])
    if (path === '/api/v5/public/instruments') {
      const type = query.get('instType')
      if (type === null) return bad('50014', "Parameter instType can't be empty.")
      if (!['SPOT', 'SWAP', 'FUTURES', 'OPTION', 'MARGIN'].includes(type))
        return bad('51000', 'Parameter instType error')
      const instId = query.get('instId')
      const books = this.context.books.filter(
        ({ listing }) => typeOf(listing) === type && (instId === null || listing.symbol === instId),
      )
      return ok(books.map(instrument))
    }
    if (
      ![
        '/api/v5/market/books',
        '/api/v5/market/candles',
        '/api/v5/public/open-interest',
        '/api/v5/public/funding-rate',
      ].includes(path)
    )
      return undefined
    const book = this.books.get(query.get('instId') ?? '')
    if (book === undefined) return bad('51001', "Instrument ID doesn't exist")
    const { listing } = book
    switch (path) {
      case '/api/v5/market/books': {
        const depth = countOf(query.get('sz'), 1, LEVELS)
        return answered(
          `{"code":"0","msg":"","data":[{"asks":[${best(listing, book.asks, depth)}],"bids":[${best(listing, book.bids, depth)}],"ts":"${ms}","seqId":${book.updateId}}]}`,
        )
      }
      case '/api/v5/market/candles': {
        const interval = INTERVALS.get(query.get('bar') ?? '1m')
        if (interval === undefined) return bad('51000', 'Parameter bar error')
        const candles = book.candleSeries(interval).latest(countOf(query.get('limit'), 100, 300), nowUs)
        return ok(candles.map((candle, index) => candleRow(listing, candle, index < candles.length - 1)).reverse())
      }
      case '/api/v5/public/open-interest':
        return ok([openInterest(book, ms)])
      default:
        return ok([funding(book, nowUs)])
    }
  }

  private channel(name: string, instId: string, business: boolean): Channel | undefined {
    const book = this.books.get(instId) ?? (name === 'index-tickers' ? this.indexBook(instId) : undefined)
    if (book === undefined) return undefined
    if ((name.startsWith('candle') || name === 'trades-all') !== business) return undefined
    const key = `${name} ${instId}`
    const known = this.channels.get(key)
    if (known !== undefined) return known
    const made = this.make(name, instId, book, key)
    if (made === undefined) return undefined
    this.channels.set(key, made)
    this.byBook.get(book)!.push(made)
    return made
  }

  private indexBook(instId: string): MarketBook | undefined {
    return this.context.books.find(({ listing }) => `${listing.base}-${listing.quote}` === instId)
  }

  private make(name: string, instId: string, book: MarketBook, key: string): Channel | undefined {
    const arg = JSON.stringify({ channel: name, instId })
    const made = (kind: Kind, everyMs = 0): Channel => new Channel(key, book, kind, arg, everyMs)
    const swap = book.listing.kind !== 'spot'
    switch (name) {
      case 'trades':
      case 'trades-all':
        return made('trades')
      case 'books': {
        const topic = made('books')
        topic.windows = [new DepthWindow(book.bids, LEVELS, true), new DepthWindow(book.asks, LEVELS, true)]
        return topic
      }
      case 'books5':
        return made('books5')
      case 'bbo-tbt':
        return made('bbo')
      case 'tickers':
        return made('ticker', 100)
      case 'index-tickers':
        return made('index', 100)
      case 'funding-rate':
        return swap ? made('funding', 30_000) : undefined
      case 'mark-price':
        return swap ? made('mark', 200) : undefined
      case 'open-interest':
        return swap ? made('interest', 3_000) : undefined
      default: {
        const interval = name.startsWith('candle') ? INTERVALS.get(name.slice(6)) : undefined
        return interval === undefined ? undefined : made('candle', interval)
      }
    }
  }

  private timedFrame(topic: Channel, nowUs: number): string | undefined {
    const { book } = topic
    const { listing } = book
    const ms = String(Math.floor(nowUs / 1_000))
    const frame = (data: unknown): string => `{"arg":${topic.arg},"data":[${JSON.stringify(data)}]}`
    switch (topic.kind) {
      case 'bbo':
        return this.bestFrame(topic, 1)
      case 'books5':
        return this.bestFrame(topic, 5)
      case 'candle':
        return this.candle(topic, book.candleSeries(topic.parameter).at(nowUs), false)
      case 'ticker':
        return frame(tickerOf(book, ms))
      case 'index': {
        const idxPx = (book.indexTicks() * listing.tickSize).toFixed(listing.priceDecimals)
        const open = trimmedPrice(listing, book.day.openTick)
        return frame({
          instId: `${listing.base}-${listing.quote}`,
          idxPx,
          high24h: trimmedPrice(listing, book.day.highTick),
          low24h: trimmedPrice(listing, book.day.lowTick),
          open24h: open,
          sodUtc0: open,
          sodUtc8: open,
          ts: ms,
        })
      }
      case 'funding':
        return frame(funding(book, nowUs))
      case 'mark':
        return frame({ instType: 'SWAP', instId: listing.symbol, markPx: markPrice(book), ts: ms })
      case 'interest':
        return frame(openInterest(book, ms))
      default:
        return undefined
    }
  }

  private bookFrame(topic: Channel, action: string, sides: string, previous: number, checksum: number): string {
    const ts = Math.floor(topic.book.timeUs / 1_000)
    return `{"arg":${topic.arg},"action":"${action}","data":[{${sides},"ts":"${ts}","checksum":${checksum},"seqId":${topic.seq},"prevSeqId":${previous}}]}`
  }

  private bestFrame(topic: Channel, depth: number): string {
    const { book } = topic
    const ts = Math.floor(book.timeUs / 1_000)
    const sides = `"asks":[${best(book.listing, book.asks, depth)}],"bids":[${best(book.listing, book.bids, depth)}]`
    return topic.kind === 'bbo'
      ? `{"arg":${topic.arg},"data":[{${sides},"ts":"${ts}","seqId":${book.updateId}}]}`
      : `{"arg":${topic.arg},"data":[{${sides},"instId":"${book.listing.symbol}","ts":"${ts}","seqId":${book.updateId}}]}`
  }

  private trade(topic: Channel, trade: MarketBook['lastTrade'], timeUs: number): string {
    const { listing, updateId } = topic.book
    return (
      `{"arg":${topic.arg},"data":[{"instId":"${listing.symbol}","tradeId":"${trade.id}","px":"${trimmedPrice(listing, trade.tick)}",` +
      `"sz":"${trimmedSize(listing, trade.lots)}","side":"${trade.bought ? 'buy' : 'sell'}","ts":"${Math.floor(timeUs / 1_000)}","count":"1","seqId":${updateId}}]}`
    )
  }

  private candle(topic: Channel, candle: SimulatedCandle, closed: boolean): string {
    return `{"arg":${topic.arg},"data":[${JSON.stringify(candleRow(topic.book.listing, candle, closed))}]}`
  }

  private liquidation(book: MarketBook): string {
    const { listing } = book
    const { tick, lots, buys } = book.liquidation!
    const detail = {
      side: buys ? 'buy' : 'sell',
      posSide: buys ? 'short' : 'long',
      bkPx: trimmedPrice(listing, tick),
      sz: trimmedSize(listing, lots),
      bkLoss: '0',
      ccy: '',
      ts: String(Math.floor(book.timeUs / 1_000)),
    }
    const family = `${listing.base}-${listing.quote}`
    return JSON.stringify({
      arg: { channel: 'liquidation-orders', instType: 'SWAP' },
      data: [{ details: [detail], instFamily: family, instId: listing.symbol, instType: 'SWAP', uly: family }],
    })
  }

  /** Of 25 levels a side, interleaved, with the texts as sent; 0 where checksums are off. */
  private checksum(book: MarketBook): number {
    if (!this.hasChecksums) return 0
    const { listing, bids, asks } = book
    const parts: string[] = []
    for (let level = 1; level <= 25; level++) {
      for (const side of [bids, asks]) {
        const index = side.size - level
        if (index < 0) continue
        parts.push(trimmedPrice(listing, side.keys[index]! * side.sign), trimmedSize(listing, side.lots[index]!))
      }
    }
    return crc32(parts.join(':')) | 0
  }

  private acknowledge(connection: Connection, event: string, arg: JsonObject, message: JsonObject): void {
    connection.send(
      JSON.stringify({ ...idOf(message), event, arg, connId: connectionId(this.context.seed, connection.id) }),
      this.context.clock.nowUs(),
    )
  }

  private refuse(connection: Connection, code: string, msg: string, message: JsonObject | undefined): void {
    this.context.outlet.stats.refused++
    connection.send(
      JSON.stringify({
        ...idOf(message),
        event: 'error',
        code,
        msg,
        connId: connectionId(this.context.seed, connection.id),
      }),
      this.context.clock.nowUs(),
    )
  }
}

const STEPWISE: ReadonlySet<Kind> = new Set(['trades', 'books', 'books5', 'bbo'])

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function idOf(message: JsonObject | undefined): { readonly id?: string } {
  const id = message === undefined ? undefined : own(message, 'id')
  return typeof id === 'string' && /^[a-zA-Z0-9]{1,32}$/.test(id) ? { id } : {}
}

function connectionId(seed: number, id: number): string {
  return hash32(seed, `okx connection ${id}`).toString(16).padStart(8, '0')
}

function typeOf(listing: Listing): string {
  return listing.kind === 'spot' ? 'SPOT' : 'SWAP'
}

/** Levels as OKX writes them: price, size, a deprecated zero, number of orders. */
function level(listing: Listing, tick: number, lots: number): string {
  const orders = lots === 0 ? 0 : 1 + ((tick + lots) % 5)
  return `["${trimmedPrice(listing, tick)}","${trimmedSize(listing, lots)}","0","${orders}"]`
}

function told(listing: Listing, side: BookSide, changes: LevelChanges): string {
  let text = ''
  for (let index = 0; index < changes.count; index++) {
    if (index > 0) text += ','
    text += level(listing, changes.keys[index]! * side.sign, changes.lots[index]!)
  }
  return text
}

function best(listing: Listing, side: BookSide, depth: number): string {
  let text = ''
  const last = Math.max(0, side.size - depth)
  for (let index = side.size - 1; index >= last; index--) {
    if (text !== '') text += ','
    text += level(listing, side.keys[index]! * side.sign, side.lots[index]!)
  }
  return text
}

function markPrice({ bids, asks, listing }: MarketBook): string {
  return (((bids.bestKey - asks.bestKey) / 2) * listing.tickSize).toFixed(listing.priceDecimals)
}

function tickerOf(book: MarketBook, ms: string): unknown {
  const { listing, bids, asks, day, lastTrade } = book
  const price = (tick: number): string => trimmedPrice(listing, tick)
  const base = day.volumeLots * listing.lotSize * (listing.contractSize ?? 1)
  const quote = day.turnover * listing.tickSize * listing.lotSize * (listing.contractSize ?? 1)
  return {
    instType: typeOf(listing),
    instId: listing.symbol,
    last: price(lastTrade.tick),
    lastSz: trimmedSize(listing, lastTrade.lots),
    askPx: price(-asks.bestKey),
    askSz: trimmedSize(listing, asks.bestLots),
    bidPx: price(bids.bestKey),
    bidSz: trimmedSize(listing, bids.bestLots),
    open24h: price(day.openTick),
    high24h: price(day.highTick),
    low24h: price(day.lowTick),
    sodUtc0: price(day.openTick),
    sodUtc8: price(day.openTick),
    volCcy24h: listing.kind === 'spot' ? quote.toFixed(4) : base.toFixed(4),
    vol24h: trimmedSize(listing, day.volumeLots),
    ts: ms,
  }
}

function candleRow(listing: Listing, candle: SimulatedCandle, closed: boolean): string[] {
  const price = (tick: number): string => trimmedPrice(listing, tick)
  const base = candle.volume * listing.lotSize * (listing.contractSize ?? 1)
  const quote = (candle.turnover * listing.tickSize * listing.lotSize * (listing.contractSize ?? 1)).toFixed(6)
  return [
    String(candle.openTimeMs),
    price(candle.open),
    price(candle.high),
    price(candle.low),
    price(candle.close),
    trimmedSize(listing, candle.volume),
    listing.kind === 'spot' ? quote : base.toFixed(8),
    quote,
    closed ? '1' : '0',
  ]
}

function openInterest(book: MarketBook, ms: string): unknown {
  const { listing, openInterestLots } = book
  const coins = openInterestLots * listing.lotSize * (listing.contractSize ?? 1)
  return {
    instType: 'SWAP',
    instId: listing.symbol,
    oi: trimmedSize(listing, openInterestLots),
    oiCcy: coins.toFixed(4),
    oiUsd: (coins * book.indexTicks() * listing.tickSize).toFixed(2),
    ts: ms,
  }
}

function funding(book: MarketBook, nowUs: number): unknown {
  const next = nextFundingMs(nowUs)
  return {
    formulaType: 'withRate',
    fundingRate: fundingRate(book),
    fundingTime: String(next),
    impactValue: '20000',
    instId: book.listing.symbol,
    instType: 'SWAP',
    interestRate: '0.0001',
    method: 'current_period',
    nextFundingRate: '',
    nextFundingTime: String(next + 8 * HOUR_MS),
    premium: '0',
    settState: 'settled',
    ts: String(Math.floor(nowUs / 1_000)),
  }
}

function instrument({ listing }: MarketBook): unknown {
  const swap = listing.kind !== 'spot'
  const family = swap ? `${listing.base}-${listing.quote}` : ''
  return {
    alias: '',
    auctionEndTime: '',
    baseCcy: swap ? '' : listing.base,
    category: '1',
    ctMult: swap ? '1' : '',
    ctType: swap ? 'linear' : '',
    ctVal: swap ? String(listing.contractSize) : '',
    ctValCcy: swap ? listing.base : '',
    expTime: '',
    instFamily: family,
    instId: listing.symbol,
    instType: typeOf(listing),
    lever: '10',
    listTime: '1548133413000',
    lotSz: listing.lotSize.toFixed(listing.sizeDecimals),
    maxIcebergSz: '9999999999',
    maxLmtSz: '9999999999',
    maxMktSz: '1000000',
    maxStopSz: '1000000',
    maxTriggerSz: '9999999999',
    maxTwapSz: '9999999999',
    minSz: listing.lotSize.toFixed(listing.sizeDecimals),
    optType: '',
    quoteCcy: swap ? '' : listing.quote,
    ruleType: 'normal',
    settleCcy: swap ? listing.quote : '',
    state: 'live',
    stk: '',
    tickSz: listing.tickSize.toFixed(listing.priceDecimals),
    uly: family,
  }
}
