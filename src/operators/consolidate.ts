import { Observable, type OperatorFunction } from 'rxjs'
import { bpsOf } from '../book/bookMath'
import type { BookView } from '../book/bookView'
import type { Clock } from '../clock/clock'
import { currentClock } from '../clock/currentClock'
import type { Batch, Notice } from '../model/events'
import { Fifo, type FifoNode } from './fifo'
import { compareTexts } from './instrumentStates'
import { requireCount, requireMs } from './options'
import { StreamAlarm } from './streamAlarm'
import { subscribeWhileOpen } from './subscribeWhileOpen'
import type { BookSummary } from './summarizeBooks'

export interface ConsolidateOptions {
  /** An exchange whose book of an instrument has not changed for so long takes no part any more. Milliseconds, > 0. */
  readonly expireMs: number
  /** Books kept at most; the one that has not changed for longest leaves for a new one. Default 100,000. */
  readonly booksMax?: number
  /** The run's clock without it. */
  readonly clock?: Clock
}

/** The best bid and ask of an instrument over several exchanges. Without a side, or without any book, values are undefined. */
export interface ConsolidatedQuote {
  readonly kind: 'quote'
  readonly exchange: 'consolidated'
  /** The unified name, as `instrument`. */
  readonly symbol: string
  readonly instrument: string
  readonly exchangeTimeUs: undefined
  /** The receive stamp of the latest change that is in it; for an exchange that fell silent, the moment it left. */
  readonly receiveTimeUs: number
  readonly bidPrice: number | undefined
  readonly bidSize: number | undefined
  readonly bidExchange: string | undefined
  readonly askPrice: number | undefined
  readonly askSize: number | undefined
  readonly askExchange: string | undefined
  readonly mid: number | undefined
  /** Best ask − best bid, in quote units: negative when exchanges are crossed. */
  readonly spread: number | undefined
  /** The spread in 1/10,000 of the mid. */
  readonly spreadBps: number | undefined
  /** How far the exchanges are crossed, in 1/10,000 of the mid; 0 when they are not. */
  readonly dislocationBps: number | undefined
  /** How many exchanges take part. */
  readonly exchanges: number
}

/**
 * Joins the books of several exchanges to one quote per instrument: the best bid and the best ask, and who has them.
 *
 * Emits      one batch per source batch that changed a quote, with one quote for each instrument that it changed; and when
 *            an exchange falls silent, `expireMs` after its book's last change, the quotes without it
 * Completes  with the source
 * Errors     with the source; adds none of its own
 * Holds      one top of book per instrument and exchange, while it is not older than `expireMs`; one timer
 *
 * At equal prices the larger size has it, then the exchange that comes first by name. Books without a unified name cannot
 * be compared and take no part. Notices may be mixed in: what a `gap`, `disconnected` or `dropped` puts in doubt, and a book
 * that is `stale`, leaves at once instead of expiring.
 */
export function consolidate(
  options: ConsolidateOptions,
): OperatorFunction<Batch<BookView | BookSummary | Notice>, Batch<ConsolidatedQuote>> {
  const { expireMs, booksMax = 100_000 } = options
  requireMs('consolidate', 'expireMs', expireMs)
  requireCount('consolidate', 'booksMax', booksMax)

  return (source) =>
    new Observable((out) => {
      const markets = new Markets(Math.round(expireMs * 1_000), booksMax)
      const alarm = new StreamAlarm(options.clock ?? currentClock(), (nowUs) => {
        markets.expire(nowUs)
        emit()
      })
      out.add(() => alarm.cancel())

      const emit = (): void => {
        const quotes = markets.takeChanged()
        alarm.set(markets.nextExpiryUs())
        if (quotes.length > 0) out.next(quotes)
      }

      subscribeWhileOpen(source, out, {
        next: (batch) => {
          for (const item of batch) {
            alarm.arrive(item.receiveTimeUs)
            if (item.kind === 'notice') markets.doubt(item)
            else markets.update(item, alarm.nowUs())
          }
          emit()
        },
        error: (error) => out.error(error),
        complete: () => out.complete(),
      })
    })
}

/** The top of one exchange's book. */
interface Top {
  readonly exchange: string
  readonly market: Market
  bidPrice: number
  bidSize: number
  askPrice: number
  askSize: number
  changedUs: number
  /** Where it stands among those that may expire. */
  place: FifoNode<Top> | undefined
}

/** One instrument on all exchanges. */
interface Market {
  readonly instrument: string
  readonly tops: Map<string, Top>
  receiveTimeUs: number
  last: ConsolidatedQuote | undefined
  /** Since its quote was last taken. */
  isTouched: boolean
}

/**
 * No set, nor map, is emptied or turned over here with every batch: each time one is laid out anew, what it was leads to what
 * it is, so that one that has grown old keeps alive all that came after it, and every small collection carries them along.
 */
class Markets {
  private readonly markets = new Map<string, Market>()
  /** In the order of their last changes, so that those that expire next come first. */
  private readonly queue = new Fifo<Top>()
  private readonly touched: Market[] = []

  constructor(
    private readonly expireUs: number,
    private readonly topsMax: number,
  ) {}

  update(book: BookView | BookSummary, nowUs: number): void {
    if (book.instrument === undefined) return
    const market = this.marketOf(book.instrument)
    let top = market.tops.get(book.exchange)
    if (book.receiveTimeUs + this.expireUs <= nowUs) {
      // It waited for longer than it is good for: the exchange takes no part, whatever it said before.
      if (top !== undefined) this.remove(top, book.receiveTimeUs)
      return
    }
    if (top === undefined) {
      if (this.queue.size >= this.topsMax) this.evictIdlest()
      top = newTop(book.exchange, market)
      market.tops.set(book.exchange, top)
      top.place = this.queue.push(top)
    } else this.queue.renew(top.place!)
    if (book.kind === 'view') setFromView(top, book)
    else setFromSummary(top, book)
    top.changedUs = book.receiveTimeUs
    this.touch(market, book.receiveTimeUs)
  }

  /** Takes out what a notice puts in doubt. */
  doubt({ code, exchange, instrument, symbol, receiveTimeUs, details }: Notice): void {
    const isStaleBook = code === 'stale' && details['channel'] === 'book' && details['ended'] !== true
    if (code !== 'gap' && code !== 'disconnected' && code !== 'dropped' && !isStaleBook) return
    // A connection that ends names each of its books; what was dropped without a name may have been of any.
    if (symbol === '' && code !== 'dropped') return
    const concerned = symbol === '' ? this.markets.values() : [this.markets.get(instrument ?? '')]
    for (const market of concerned) {
      const top = market?.tops.get(exchange)
      if (top !== undefined) this.remove(top, receiveTimeUs)
    }
  }

  expire(nowUs: number): void {
    for (let top = this.queue.peek(); top !== undefined; top = this.queue.peek()) {
      const expiryUs = top.changedUs + this.expireUs
      if (expiryUs > nowUs) return
      this.remove(top, expiryUs)
    }
  }

  /** Infinity when there is nothing to expire. */
  nextExpiryUs(): number {
    const first = this.queue.peek()
    return first === undefined ? Infinity : first.changedUs + this.expireUs
  }

  /** The quotes that are not what they were when they were last taken, by instrument. */
  takeChanged(): ConsolidatedQuote[] {
    const changed: ConsolidatedQuote[] = []
    const { touched } = this
    for (let market = touched.pop(); market !== undefined; market = touched.pop()) {
      market.isTouched = false
      const quote = quoteOf(market)
      if (market.tops.size === 0) this.markets.delete(market.instrument)
      if (market.last === undefined ? quote.exchanges === 0 : sameQuote(quote, market.last)) continue
      market.last = quote
      changed.push(quote)
    }
    return changed.length < 2 ? changed : changed.sort((a, b) => compareTexts(a.instrument, b.instrument))
  }

  /** A market is made by its first book and ends, when its last quote is taken, without one. */
  private marketOf(instrument: string): Market {
    let market = this.markets.get(instrument)
    if (market === undefined) {
      market = { instrument, tops: new Map(), receiveTimeUs: -Infinity, last: undefined, isTouched: false }
      this.markets.set(instrument, market)
    }
    return market
  }

  private touch(market: Market, timeUs: number): void {
    if (timeUs > market.receiveTimeUs) market.receiveTimeUs = timeUs
    if (market.isTouched) return
    market.isTouched = true
    this.touched.push(market)
  }

  private remove(top: Top, timeUs: number): void {
    this.queue.remove(top.place!)
    top.market.tops.delete(top.exchange)
    this.touch(top.market, timeUs)
  }

  private evictIdlest(): void {
    const top = this.queue.peek()
    if (top !== undefined) this.remove(top, top.changedUs)
  }
}

function newTop(exchange: string, market: Market): Top {
  const nothing = { bidPrice: NaN, bidSize: NaN, askPrice: NaN, askSize: NaN }
  return { exchange, market, ...nothing, changedUs: 0, place: undefined }
}

/** Inside, an empty side is NaN: it compares as no better than anything. */
function setFromView(top: Top, view: BookView): void {
  const bid = view.bestBid()
  const ask = view.bestAsk()
  top.bidPrice = bid?.price ?? NaN
  top.bidSize = bid?.size ?? NaN
  top.askPrice = ask?.price ?? NaN
  top.askSize = ask?.size ?? NaN
}

function setFromSummary(top: Top, summary: BookSummary): void {
  top.bidPrice = summary.bidPrice ?? NaN
  top.bidSize = summary.bidSize ?? NaN
  top.askPrice = summary.askPrice ?? NaN
  top.askSize = summary.askSize ?? NaN
}

function quoteOf({ instrument, tops, receiveTimeUs }: Market): ConsolidatedQuote {
  let bid: Top | undefined
  let ask: Top | undefined
  for (const top of tops.values()) {
    if (wins(top, top.bidPrice, top.bidSize, bid, bid?.bidPrice, bid?.bidSize, 1)) bid = top
    if (wins(top, top.askPrice, top.askSize, ask, ask?.askPrice, ask?.askSize, -1)) ask = top
  }
  const twoSided = bid !== undefined && ask !== undefined
  const mid = twoSided ? (bid!.bidPrice + ask!.askPrice) / 2 : undefined
  const spread = twoSided ? ask!.askPrice - bid!.bidPrice : undefined
  return {
    kind: 'quote',
    exchange: 'consolidated',
    symbol: instrument,
    instrument,
    exchangeTimeUs: undefined,
    receiveTimeUs,
    bidPrice: bid?.bidPrice,
    bidSize: bid?.bidSize,
    bidExchange: bid?.exchange,
    askPrice: ask?.askPrice,
    askSize: ask?.askSize,
    askExchange: ask?.exchange,
    mid,
    spread,
    spreadBps: twoSided ? bpsOf(spread!, mid!) : undefined,
    dislocationBps: twoSided ? bpsOf(Math.max(0, -spread!), mid!) : undefined,
    exchanges: tops.size,
  }
}

/** Whether a top is the better one of a side; `direction` is 1 where higher prices are better. */
function wins(
  top: Top,
  price: number,
  size: number,
  best: Top | undefined,
  bestPrice = NaN,
  bestSize = NaN,
  direction: 1 | -1,
): boolean {
  if (Number.isNaN(price)) return false
  if (best === undefined) return true
  if (price !== bestPrice) return (price - bestPrice) * direction > 0
  if (size !== bestSize) return size > bestSize
  return top.exchange < best.exchange
}

function sameQuote(a: ConsolidatedQuote, b: ConsolidatedQuote): boolean {
  return (
    a.bidPrice === b.bidPrice &&
    a.bidSize === b.bidSize &&
    a.bidExchange === b.bidExchange &&
    a.askPrice === b.askPrice &&
    a.askSize === b.askSize &&
    a.askExchange === b.askExchange &&
    a.exchanges === b.exchanges
  )
}
