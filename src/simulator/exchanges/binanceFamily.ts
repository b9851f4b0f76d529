/**
 * The simulated side of Binance's public streams, spot and USD-M futures alike: where the two differ, a
 * {@link BinancePart} says how.
 *
 * Docs    ../shared/protocols/binance.md, binance-futures.md
 * Book    one diff event per step of the market, at every speed; REST snapshots of the same numbering
 * Time    milliseconds, or microseconds on a connection opened with `?timeUnit=MICROSECOND` (spot)
 * Quirk   a stream of an unknown symbol is acknowledged and stays silent; a stream of an unknown kind is refused
 */
import type { SimulatedCandle } from '../candles'
import { MONTH_MS } from '../candles'
import type { Connection } from '../connection'
import { own, parseObject, texts } from '../json'
import { bestLevels, changedLevels, priceText, sizeText, truthOf, turnoverText } from '../levels'
import type { MarketBook } from '../market'
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

/** What tells spot and futures apart. */
export interface BinancePart {
  readonly id: string
  readonly futures: boolean
  /** Path of the REST interface: `/api/v3`. */
  readonly rest: string
  readonly messagesPerSecond: number
  readonly pingEveryMs: number
  readonly pongWithinMs: number
  /** Levels that REST snapshots may be asked for; undefined: any number up to 5,000. */
  readonly snapshotLimits: readonly number[] | undefined
  readonly intervals: ReadonlyMap<string, number>
  instruments(books: readonly MarketBook[], nowMs: number): unknown
  /** REST answers that only this part has. */
  answer(path: string, book: MarketBook | undefined, nowMs: number): unknown
}

const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000

export const BINANCE_INTERVALS: readonly (readonly [string, number])[] = [
  ['1m', MINUTE_MS],
  ['3m', 3 * MINUTE_MS],
  ['5m', 5 * MINUTE_MS],
  ['15m', 15 * MINUTE_MS],
  ['30m', 30 * MINUTE_MS],
  ['1h', HOUR_MS],
  ['2h', 2 * HOUR_MS],
  ['4h', 4 * HOUR_MS],
  ['6h', 6 * HOUR_MS],
  ['8h', 8 * HOUR_MS],
  ['12h', 12 * HOUR_MS],
  ['1d', DAY_MS],
  ['3d', 3 * DAY_MS],
  ['1w', 7 * DAY_MS],
  ['1M', MONTH_MS],
]

const STREAMS_MAX = 1_024
const STREAM_NAME_MAX = 100

interface Session {
  /** Wraps data as `{"stream":..,"data":..}`. */
  readonly combined: boolean
  readonly micros: boolean
  /** The part of the futures' streams that this path carries. */
  readonly carries: 'all' | 'public' | 'market'
  /** Names of all streams subscribed to, with or without data. */
  readonly streams: Set<string>
  readonly budget: RequestBudget
}

type StreamKind =
  | 'trade'
  | 'aggTrade'
  | 'bookTicker'
  | 'depth'
  | 'partial'
  | 'kline'
  | 'ticker'
  | 'miniTicker'
  | 'avgPrice'
  | 'markPrice'
  | 'forceOrder'

/** One stream; its data in the four forms that connections can ask for. */
class Stream {
  private readonly topics: readonly Topic[]
  /** When data were last sent, for streams that go by time; and what was sent. */
  sentAtUs = 0
  sentTrades = -1
  sentCandle: SimulatedCandle | undefined
  forced: string | undefined
  /** The same by symbol, of the stream over all. */
  readonly forcedOf = new Map<string, string>()

  constructor(
    readonly name: string,
    readonly kind: StreamKind,
    readonly books: readonly MarketBook[],
    /** Levels, or milliseconds of an interval. */
    readonly parameter: number,
    readonly label: string,
  ) {
    this.topics = Array.from({ length: 4 }, () => new Topic(name, books))
  }

  topic(combined: boolean, micros: boolean): Topic {
    return this.topics[(combined ? 1 : 0) + (micros ? 2 : 0)]!
  }

  /** The book of a stream of one symbol. */
  get book(): MarketBook {
    return this.books[0]!
  }

  get watched(): boolean {
    return this.topics.some((topic) => topic.watched)
  }
}

/** The streams of one book that have been asked for. Their number is bounded by the kinds and intervals there are. */
interface BookStreams {
  readonly stepwise: Stream[]
  readonly timed: Stream[]
}

export class BinanceFamily implements SimulatedExchange {
  readonly id: string
  readonly lossIsVisible = true
  readonly hasChecksums = false
  readonly aliases = (book: MarketBook): readonly string[] => [book.listing.symbol.toLowerCase()]

  private readonly sessions = new Map<Connection, Session>()
  private readonly bySymbol = new Map<string, MarketBook>()
  private readonly byBook = new Map<MarketBook, BookStreams>()
  private readonly streams = new Map<string, Stream>()
  /** Streams over all symbols. */
  private readonly ofAll: readonly Stream[]

  constructor(
    private readonly part: BinancePart,
    private readonly context: ExchangeContext,
  ) {
    this.id = part.id
    for (const book of context.books) {
      this.bySymbol.set(book.listing.symbol, book)
      this.byBook.set(book, { stepwise: [], timed: [] })
    }
    this.ofAll = (part.futures ? FUTURES_OF_ALL : SPOT_OF_ALL).map(
      ([name, kind, everyMs]) => new Stream(name, kind, context.books, everyMs, ''),
    )
    for (const stream of this.ofAll) this.streams.set(stream.name, stream)
  }

  serves(path: string): boolean {
    return (
      /^(\/(public|market))?\/(ws(\/.*)?|stream)$/.test(path) && (this.part.futures || !/^\/(public|market)/.test(path))
    )
  }

  opened(connection: Connection, path: string, query: URLSearchParams): void {
    const session: Session = {
      combined: path.endsWith('/stream'),
      micros: !this.part.futures && query.get('timeUnit')?.toUpperCase() === 'MICROSECOND',
      carries: path.startsWith('/public') ? 'public' : path.startsWith('/market') ? 'market' : 'all',
      streams: new Set(),
      budget: new RequestBudget(this.part.messagesPerSecond, 1_000),
    }
    this.sessions.set(connection, session)
    const names = session.combined
      ? (query.get('streams') ?? '').split('/')
      : decodeURIComponent(/\/ws\/(.*)$/.exec(path)?.[1] ?? '').split('/')
    for (const name of names) if (name !== '') this.subscribe(connection, session, name)
  }

  controlled(connection: Connection): void {
    const session = this.sessions.get(connection)
    if (session !== undefined) this.spend(connection, session)
  }

  closed(connection: Connection): void {
    this.sessions.delete(connection)
  }

  received(connection: Connection, text: string): void {
    const session = this.sessions.get(connection)
    if (session === undefined || !this.spend(connection, session)) return
    const message = parseObject(text)
    if (message === undefined) {
      this.refuse(connection, 3, 'Invalid JSON: expected value at line 1 column 1', undefined)
      return
    }
    const id = own(message, 'id')
    const unknown = Object.keys(message).find((key) => key !== 'method' && key !== 'params' && key !== 'id')
    if (unknown !== undefined) {
      this.refuse(connection, 0, `Unknown property "${unknown.slice(0, 40)}"`, undefined)
      return
    }
    if (!(
      id === undefined ||
      id === null ||
      Number.isSafeInteger(id) ||
      (typeof id === 'string' && /^\w{1,36}$/.test(id))
    )) {
      this.refuse(
        connection,
        1,
        'Invalid value type: expected a signed 64-bit integer, a string or null for "id"',
        undefined,
      )
      return
    }
    const params = texts(own(message, 'params'))
    switch (own(message, 'method')) {
      case 'SUBSCRIBE':
        if (params === undefined) this.refuse(connection, 2, 'Invalid request: missing field `params`', id)
        else this.subscribeAll(connection, session, params, id)
        return
      case 'UNSUBSCRIBE':
        if (params === undefined) {
          this.refuse(connection, 2, 'Invalid request: missing field `params`', id)
          return
        }
        for (const name of params) this.unsubscribe(connection, session, name)
        this.acknowledge(connection, null, id)
        return
      case 'LIST_SUBSCRIPTIONS':
        this.acknowledge(connection, [...session.streams], id)
        return
      default:
        this.refuse(
          connection,
          2,
          'Invalid request: unknown variant, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`',
          id,
        )
    }
  }

  publish(book: MarketBook): void {
    for (const stream of this.ofAll) {
      if (!stream.watched) continue
      if (stream.kind === 'bookTicker' && book.topChanged) this.send(stream, () => this.bookTicker(book))
      if (stream.kind === 'forceOrder' && book.liquidation !== undefined) {
        stream.forcedOf.set(book.listing.symbol, this.forceOrder(book))
      }
    }
    const { stepwise } = this.byBook.get(book)!
    for (const stream of stepwise) {
      if (!stream.watched) continue
      switch (stream.kind) {
        case 'depth':
          this.send(stream, (micros) => this.depth(book, micros), true)
          break
        case 'partial':
          this.send(stream, (micros) => this.partial(book, stream.parameter, micros))
          break
        case 'bookTicker':
          if (book.topChanged) this.send(stream, () => this.bookTicker(book))
          break
        case 'forceOrder':
          if (book.liquidation !== undefined) stream.forced = this.forceOrder(book)
          break
        case 'trade':
        case 'aggTrade':
          for (const trade of book.trades) {
            const { listing } = book
            this.send(stream, (micros) => {
              const now = this.time(book.timeUs, micros)
              const p = priceText(listing, trade.tick)
              const q = sizeText(listing, trade.lots)
              const m = !trade.bought
              const { symbol } = listing
              if (stream.kind === 'trade')
                return this.part.futures
                  ? `{"e":"trade","E":${now},"T":${now},"s":"${symbol}","t":${trade.id},"p":"${p}","q":"${q}","X":"MARKET","m":${m}}`
                  : `{"e":"trade","E":${now},"s":"${symbol}","t":${trade.id},"p":"${p}","q":"${q}","T":${now},"m":${m},"M":true}`
              return this.part.futures
                ? `{"e":"aggTrade","E":${now},"a":${trade.id},"s":"${symbol}","p":"${p}","q":"${q}","f":${trade.id},"l":${trade.id},"T":${now},"m":${m}}`
                : `{"e":"aggTrade","E":${now},"s":"${symbol}","a":${trade.id},"p":"${p}","q":"${q}","f":${trade.id},"l":${trade.id},"T":${now},"m":${m},"M":true}`
            })
          }
          break
        default:
          break
      }
    }
  }

  beat(nowUs: number): void {
    for (const connection of this.context.outlet.connections) {
      // The oldest ping that has no answer went out one interval after the last pong.
      const dead = nowUs - connection.pongedAtUs > (this.part.pingEveryMs + this.part.pongWithinMs) * 1_000
      if (dead) connection.terminate()
      else if (nowUs - connection.pingedAtUs >= this.part.pingEveryMs * 1_000) connection.ping(nowUs)
    }
    for (const { timed } of this.byBook.values()) {
      for (const stream of timed) if (stream.watched) this.beatStream(stream, nowUs)
    }
    for (const stream of this.ofAll) {
      if (!stream.watched || nowUs - stream.sentAtUs < stream.parameter * 1_000 || stream.kind === 'bookTicker')
        continue
      stream.sentAtUs = nowUs
      if (stream.kind === 'forceOrder') {
        // One frame an order, at most the latest of each symbol.
        for (const text of stream.forcedOf.values()) this.send(stream, () => text)
        stream.forcedOf.clear()
      } else {
        this.send(stream, (micros) => {
          const rows = stream.books.map((book) =>
            stream.kind === 'markPrice'
              ? this.markPrice(book, nowUs)
              : stream.kind === 'ticker'
                ? this.ticker(book, micros)
                : this.miniTicker(book, micros),
          )
          return `[${rows.join(',')}]`
        })
      }
    }
  }

  private beatStream(stream: Stream, nowUs: number): void {
    const { book } = stream
    const due = (everyMs: number): boolean => nowUs - stream.sentAtUs >= everyMs * 1_000
    switch (stream.kind) {
      case 'kline': {
        const candle = book.candleSeries(stream.parameter).at(nowUs)
        const before = stream.sentCandle
        if (before !== undefined && before !== candle) {
          stream.sentAtUs = nowUs
          this.send(stream, (micros) => this.kline(book, stream.label, before, true, micros))
        }
        if (
          before === candle &&
          (stream.sentTrades === candle.trades || !due(stream.label === '1s' ? 1_000 : this.part.futures ? 250 : 2_000))
        )
          return
        stream.sentAtUs = nowUs
        stream.sentCandle = candle
        stream.sentTrades = candle.trades
        this.send(stream, (micros) => this.kline(book, stream.label, candle, false, micros))
        return
      }
      case 'ticker':
      case 'miniTicker':
      case 'avgPrice':
        if (!due(stream.kind === 'ticker' && this.part.futures ? 2_000 : 1_000)) return
        stream.sentAtUs = nowUs
        this.send(stream, (micros) =>
          stream.kind === 'ticker'
            ? this.ticker(book, micros)
            : stream.kind === 'miniTicker'
              ? this.miniTicker(book, micros)
              : this.averagePrice(book, micros),
        )
        return
      case 'markPrice':
        if (!due(stream.parameter)) return
        stream.sentAtUs = nowUs
        this.send(stream, () => this.markPrice(book, nowUs))
        return
      case 'forceOrder': {
        const { forced } = stream
        if (forced === undefined || !due(1_000)) return
        stream.sentAtUs = nowUs
        stream.forced = undefined
        this.send(stream, () => forced)
        return
      }
      default:
    }
  }

  truth(book: MarketBook): BookTruth {
    return truthOf(book.listing, book.bids, book.asks, Number.POSITIVE_INFINITY)
  }

  answer(path: string, query: URLSearchParams): RestAnswer | undefined {
    if (!path.startsWith(`${this.part.rest}/`)) return undefined
    const nowMs = Math.floor(this.context.clock.nowUs() / 1_000)
    const name = path.slice(this.part.rest.length + 1)
    const symbol = query.get('symbol')
    const book = symbol === null ? undefined : this.bySymbol.get(symbol)
    switch (name) {
      case 'ping':
        return answered({})
      case 'time':
        return answered({ serverTime: nowMs })
      case 'exchangeInfo': {
        if (symbol !== null && book === undefined) return INVALID_SYMBOL
        return answered(this.part.instruments(book === undefined ? this.context.books : [book], nowMs))
      }
      case 'depth': {
        if (symbol === null) return missing('symbol')
        if (book === undefined) return INVALID_SYMBOL
        return this.snapshot(book, query.get('limit'), nowMs)
      }
      case 'klines': {
        if (symbol === null) return missing('symbol')
        if (book === undefined) return INVALID_SYMBOL
        const interval = this.part.intervals.get(query.get('interval') ?? '')
        if (interval === undefined) return refusedRequest(400, { code: -1120, msg: 'Invalid interval.' })
        const candles = book
          .candleSeries(interval)
          .latest(countOf(query.get('limit'), 500, 1_000), this.context.clock.nowUs())
        return answered(candles.map((candle) => this.klineRow(book, candle)))
      }
      default: {
        const body = this.part.answer(name, book, nowMs)
        if (body !== undefined) return answered(body)
        return symbol !== null && book === undefined ? INVALID_SYMBOL : undefined
      }
    }
  }

  private snapshot(book: MarketBook, limitText: string | null, nowMs: number): RestAnswer {
    const { snapshotLimits, futures } = this.part
    const limit = limitText === null ? (futures ? 500 : 100) : Number(limitText)
    const allowed =
      snapshotLimits === undefined ? Number.isInteger(limit) && limit >= 1 : snapshotLimits.includes(limit)
    if (!allowed)
      return refusedRequest(
        400,
        futures
          ? { code: -4021, msg: `Invalid depth limit.` }
          : { code: -1100, msg: `Illegal characters found in parameter 'limit'.` },
      )
    const depth = Math.min(5_000, limit)
    const { listing } = book
    const times = futures ? `"E":${nowMs},"T":${Math.floor(book.timeUs / 1_000)},` : ''
    return answered(
      `{"lastUpdateId":${book.updateId},${times}"bids":[${bestLevels(listing, book.bids, depth)}],"asks":[${bestLevels(listing, book.asks, depth)}]}`,
    )
  }

  private subscribeAll(connection: Connection, session: Session, names: readonly string[], id: unknown): void {
    const strange = names.find((name) => !this.isStreamName(name))
    if (strange !== undefined) {
      this.refuse(connection, 2, `Invalid request: unknown stream ${strange.slice(0, STREAM_NAME_MAX)}`, id)
      return
    }
    const more = names.filter((name) => !session.streams.has(name)).length
    if (session.streams.size + more > STREAMS_MAX) {
      this.refuse(connection, 2, `Invalid request: more than ${STREAMS_MAX} streams on one connection`, id)
      return
    }
    for (const name of names) this.subscribe(connection, session, name)
    this.acknowledge(connection, null, id)
  }

  private subscribe(connection: Connection, session: Session, name: string): void {
    if (session.streams.size >= STREAMS_MAX || name.length > STREAM_NAME_MAX) return
    session.streams.add(name)
    const stream = this.stream(name)
    if (stream !== undefined && carried(stream.kind, session.carries))
      stream.topic(session.combined, session.micros).add(connection)
  }

  private unsubscribe(connection: Connection, session: Session, name: string): void {
    session.streams.delete(name)
    const nowUs = this.context.clock.nowUs()
    this.streams.get(name)?.topic(session.combined, session.micros).remove(connection, nowUs)
  }

  private isStreamName(name: string): boolean {
    return name.length <= STREAM_NAME_MAX && (this.streams.has(name) || this.kindOf(name) !== undefined)
  }

  /** The stream of a name; undefined where its symbol is not listed. */
  private stream(name: string): Stream | undefined {
    const known = this.streams.get(name)
    if (known !== undefined) return known
    const kind = this.kindOf(name)
    const book = this.bySymbol.get(name.slice(0, name.indexOf('@')).toUpperCase())
    if (kind === undefined || book === undefined || name !== name.replace(/^[^@]*/, (symbol) => symbol.toLowerCase()))
      return undefined
    const stream = new Stream(name, kind.kind, [book], kind.parameter, kind.label)
    this.streams.set(name, stream)
    const { stepwise, timed } = this.byBook.get(book)!
    if (STEPWISE.has(kind.kind)) stepwise.push(stream)
    if (kind.kind === 'forceOrder' || !STEPWISE.has(kind.kind)) timed.push(stream)
    if (kind.kind === 'kline') book.candleSeries(kind.parameter)
    return stream
  }

  private kindOf(name: string): { kind: StreamKind; parameter: number; label: string } | undefined {
    const match = /^[^@!]{1,40}@(.+)$/.exec(name)
    const rest = match?.[1]
    if (rest === undefined) return undefined
    const plain = (kind: StreamKind, parameter = 0): { kind: StreamKind; parameter: number; label: string } => ({
      kind,
      parameter,
      label: '',
    })
    if (rest === 'trade' || rest === 'aggTrade' || rest === 'bookTicker' || rest === 'ticker' || rest === 'miniTicker')
      return plain(rest)
    const { futures } = this.part
    if (rest === 'avgPrice' && !futures) return plain('avgPrice')
    if ((futures ? /^depth(@(500|250|100|0)ms)?$/ : /^depth(@(1000|100)ms)?$/).test(rest)) return plain('depth')
    const partial = (futures ? /^depth(5|10|20)(@(500|250|100)ms)?$/ : /^depth(5|10|20)(@(1000|100)ms)?$/).exec(rest)
    if (partial !== null) return plain('partial', Number(partial[1]))
    if (futures && /^markPrice(@1s)?$/.test(rest)) return plain('markPrice', rest === 'markPrice' ? 3_000 : 1_000)
    if (futures && rest === 'forceOrder') return plain('forceOrder')
    if (!rest.startsWith('kline_')) return undefined
    const label = rest.slice(6)
    const interval = this.part.intervals.get(label)
    return interval === undefined ? undefined : { kind: 'kline', parameter: interval, label }
  }

  private spend(connection: Connection, session: Session): boolean {
    if (session.budget.spend(this.context.clock.nowUs())) return true
    this.context.outlet.stats.offenders++
    connection.close(1008, 'Too many requests')
    return false
  }

  private acknowledge(connection: Connection, result: unknown, id: unknown): void {
    connection.send(JSON.stringify({ result, id: id ?? null }), this.context.clock.nowUs())
  }

  private refuse(connection: Connection, code: number, msg: string, id: unknown): void {
    this.context.outlet.stats.refused++
    connection.send(JSON.stringify(id === undefined ? { code, msg } : { code, msg, id }), this.context.clock.nowUs())
  }

  /** Sends data in each form that somebody is subscribed to; `data` is made once per unit of time. */
  private send(stream: Stream, data: (micros: boolean) => string, isDelta = false): void {
    const { outlet } = this.context
    for (const micros of [false, true]) {
      const raw = stream.topic(false, micros)
      const combined = stream.topic(true, micros)
      if (!raw.watched && !combined.watched) continue
      const text = data(micros)
      for (const topic of [raw, combined]) {
        if (!topic.watched) continue
        const frame = topic === raw ? text : `{"stream":"${stream.name}","data":${text}}`
        if (isDelta) outlet.publishDelta(topic, frame)
        else outlet.publish(topic, frame)
      }
    }
  }

  private time(timeUs: number, micros: boolean): number {
    return micros ? timeUs : Math.floor(timeUs / 1_000)
  }

  private depth(book: MarketBook, micros: boolean): string {
    const { listing, bids, asks } = book
    const now = this.time(book.timeUs, micros)
    const levels = `"b":[${changedLevels(listing, bids, bids.changes)}],"a":[${changedLevels(listing, asks, asks.changes)}]`
    return this.part.futures
      ? `{"e":"depthUpdate","E":${now},"T":${now},"s":"${listing.symbol}","U":${book.firstUpdateId},"u":${book.updateId},"pu":${book.previousUpdateId},${levels}}`
      : `{"e":"depthUpdate","E":${now},"s":"${listing.symbol}","U":${book.firstUpdateId},"u":${book.updateId},${levels}}`
  }

  private partial(book: MarketBook, depth: number, micros: boolean): string {
    const { listing, bids, asks } = book
    const best = [bestLevels(listing, bids, depth), bestLevels(listing, asks, depth)] as const
    const now = this.time(book.timeUs, micros)
    return this.part.futures
      ? `{"e":"depthUpdate","E":${now},"T":${now},"s":"${listing.symbol}","U":${book.firstUpdateId},"u":${book.updateId},"pu":${book.previousUpdateId},"b":[${best[0]}],"a":[${best[1]}]}`
      : `{"lastUpdateId":${book.updateId},"bids":[${best[0]}],"asks":[${best[1]}]}`
  }

  private bookTicker(book: MarketBook): string {
    const { listing, bids, asks } = book
    const now = this.time(book.timeUs, false)
    const best =
      `"u":${book.updateId},"s":"${listing.symbol}","b":"${priceText(listing, bids.bestKey)}","B":"${sizeText(listing, bids.bestLots)}",` +
      `"a":"${priceText(listing, -asks.bestKey)}","A":"${sizeText(listing, asks.bestLots)}"`
    return this.part.futures ? `{"e":"bookTicker",${best},"T":${now},"E":${now}}` : `{${best}}`
  }

  private kline(book: MarketBook, label: string, candle: SimulatedCandle, closed: boolean, micros: boolean): string {
    const { listing } = book
    const unit = micros ? 1_000 : 1
    const turnoverDecimals = this.part.futures ? 4 : 8
    return (
      `{"e":"kline","E":${this.time(this.context.clock.nowUs(), micros)},"s":"${listing.symbol}","k":{` +
      `"t":${candle.openTimeMs * unit},"T":${(candle.closeTimeMs + 1) * unit - 1},"s":"${listing.symbol}","i":"${label}",` +
      `"f":${candle.firstTradeId},"L":${candle.lastTradeId},"o":"${priceText(listing, candle.open)}","c":"${priceText(listing, candle.close)}",` +
      `"h":"${priceText(listing, candle.high)}","l":"${priceText(listing, candle.low)}","v":"${sizeText(listing, candle.volume)}",` +
      `"n":${candle.trades},"x":${closed},"q":"${turnoverText(listing, candle.turnover, turnoverDecimals)}",` +
      `"V":"${sizeText(listing, candle.boughtVolume)}","Q":"${turnoverText(listing, candle.boughtTurnover, turnoverDecimals)}","B":"0"}}`
    )
  }

  private klineRow(book: MarketBook, candle: SimulatedCandle): unknown[] {
    const { listing } = book
    return [
      candle.openTimeMs,
      priceText(listing, candle.open),
      priceText(listing, candle.high),
      priceText(listing, candle.low),
      priceText(listing, candle.close),
      sizeText(listing, candle.volume),
      candle.closeTimeMs,
      turnoverText(listing, candle.turnover, 8),
      candle.trades,
      sizeText(listing, candle.boughtVolume),
      turnoverText(listing, candle.boughtTurnover, 8),
      '0',
    ]
  }

  private ticker(book: MarketBook, micros: boolean): string {
    const { listing, bids, asks, day, lastTrade } = book
    const now = this.context.clock.nowUs()
    const change = (lastTrade.tick - day.openTick) * listing.tickSize
    const price = (tick: number): string => priceText(listing, tick)
    const average = day.turnover / day.volumeLots
    const best = this.part.futures
      ? ''
      : `"b":"${price(bids.bestKey)}","B":"${sizeText(listing, bids.bestLots)}","a":"${price(-asks.bestKey)}","A":"${sizeText(listing, asks.bestLots)}",`
    return (
      `{"e":"24hrTicker","E":${this.time(now, micros)},"s":"${listing.symbol}","p":"${change.toFixed(listing.priceTextDecimals)}",` +
      `"P":"${((lastTrade.tick / day.openTick - 1) * 100).toFixed(3)}","w":"${(average * listing.tickSize).toFixed(8)}",` +
      (this.part.futures ? '' : `"x":"${price(day.openTick)}",`) +
      `"c":"${price(lastTrade.tick)}","Q":"${sizeText(listing, lastTrade.lots)}",${best}"o":"${price(day.openTick)}","h":"${price(day.highTick)}",` +
      `"l":"${price(day.lowTick)}","v":"${sizeText(listing, day.volumeLots)}","q":"${turnoverText(listing, day.turnover, 8)}",` +
      `"O":${this.time(now - 86_400_000_000, micros)},"C":${this.time(now, micros)},"F":${lastTrade.id - day.trades},"L":${lastTrade.id},"n":${day.trades + 1}}`
    )
  }

  private miniTicker(book: MarketBook, micros: boolean): string {
    const { listing, day, lastTrade } = book
    return (
      `{"e":"24hrMiniTicker","E":${this.time(this.context.clock.nowUs(), micros)},"s":"${listing.symbol}","c":"${priceText(listing, lastTrade.tick)}",` +
      `"o":"${priceText(listing, day.openTick)}","h":"${priceText(listing, day.highTick)}","l":"${priceText(listing, day.lowTick)}",` +
      `"v":"${sizeText(listing, day.volumeLots)}","q":"${turnoverText(listing, day.turnover, 8)}"}`
    )
  }

  private averagePrice(book: MarketBook, micros: boolean): string {
    const { listing, day } = book
    const now = this.time(this.context.clock.nowUs(), micros)
    const average = ((day.turnover / day.volumeLots) * listing.tickSize).toFixed(8)
    return `{"e":"avgPrice","E":${now},"s":"${listing.symbol}","i":"5m","w":"${average}","T":${this.time(book.lastTradeTimeUs, micros)}}`
  }

  private markPrice(book: MarketBook, nowUs: number): string {
    const { listing } = book
    const mark = (((book.bids.bestKey - book.asks.bestKey) / 2) * listing.tickSize).toFixed(8)
    const index = (book.indexTicks() * listing.tickSize).toFixed(8)
    return (
      `{"e":"markPriceUpdate","E":${this.time(nowUs, false)},"s":"${listing.symbol}","p":"${mark}","i":"${index}","P":"${index}",` +
      `"r":"${fundingRate(book)}","T":${nextFundingMs(nowUs)}}`
    )
  }

  private forceOrder(book: MarketBook): string {
    const { listing } = book
    const { tick, lots, buys } = book.liquidation!
    const now = this.time(book.timeUs, false)
    const q = sizeText(listing, lots)
    const p = priceText(listing, tick)
    return (
      `{"e":"forceOrder","E":${now},"o":{"s":"${listing.symbol}","S":"${buys ? 'BUY' : 'SELL'}","o":"LIMIT","f":"IOC","q":"${q}","p":"${p}",` +
      `"ap":"${p}","X":"FILLED","l":"${q}","z":"${q}","T":${now}}}`
    )
  }
}

/** Name, kind and milliseconds between two. */
type OfAll = readonly (readonly [name: string, kind: StreamKind, everyMs: number])[]

const SPOT_OF_ALL: OfAll = [
  ['!miniTicker@arr', 'miniTicker', 1_000],
  ['!ticker@arr', 'ticker', 1_000],
]
const FUTURES_OF_ALL: OfAll = [
  ['!miniTicker@arr', 'miniTicker', 1_000],
  ['!ticker@arr', 'ticker', 2_000],
  ['!bookTicker', 'bookTicker', 0],
  ['!markPrice@arr', 'markPrice', 3_000],
  ['!markPrice@arr@1s', 'markPrice', 1_000],
  ['!forceOrder@arr', 'forceOrder', 1_000],
]

const STEPWISE: ReadonlySet<StreamKind> = new Set(['depth', 'partial', 'bookTicker', 'trade', 'aggTrade', 'forceOrder'])
const PUBLIC: ReadonlySet<StreamKind> = new Set(['depth', 'partial', 'bookTicker', 'trade'])

/** Since 2026 futures streams are split by path; a stream asked for at the wrong one stays silent. */
function carried(kind: StreamKind, carries: Session['carries']): boolean {
  return carries === 'all' || PUBLIC.has(kind) === (carries === 'public')
}

const INVALID_SYMBOL = refusedRequest(400, { code: -1121, msg: 'Invalid symbol.' })

function missing(parameter: string): RestAnswer {
  return refusedRequest(400, {
    code: -1102,
    msg: `Mandatory parameter '${parameter}' was not sent, was empty/null, or malformed.`,
  })
}

/** What longs pay shorts per eight hours, as text: a ten-thousandth, moved by where the book stands against the index. */
export function fundingRate(book: MarketBook): string {
  const premium = (book.bids.bestKey - book.asks.bestKey) / 2 / book.indexTicks() - 1
  return (0.0001 + Math.max(-0.0005, Math.min(0.0005, premium))).toFixed(8)
}

/** Settlements are every eight hours, UTC. */
export function nextFundingMs(nowUs: number): number {
  const every = 8 * HOUR_MS
  return (Math.floor(nowUs / 1_000 / every) + 1) * every
}
