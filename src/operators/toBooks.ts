import { Observable, type OperatorFunction } from 'rxjs'
import { booksOf, isBookSource } from '../book/bookSource'
import { BookView, type BookViewHead } from '../book/bookView'
import { newBook } from '../book/newBook'
import type { Batch, BookChange, MarketEvent, Notice } from '../model/events'
import { requireCount } from './options'
import { subscribeWhileOpen } from './subscribeWhileOpen'

const BOOKS_MAX = 100_000

export interface ToBooksOptions {
  /**
   * Levels a side that views show; the whole book without it. The book behind them keeps what the exchange sends, because
   * a level that was cut off would be missing when the levels above it go.
   */
  readonly depth?: number
  /** Books kept at most; the one that has not changed for longest is dropped for a new one. Default 100,000. */
  readonly booksMax?: number
}

/**
 * Keeps the order book of every instrument and publishes each touched live book once per batch, as an immutable view.
 *
 * A feed, a replay and `fromFrames` let only changes through that they can vouch for; this operator applies them, and
 * falls silent for a book when a notice says that it is in doubt (`gap`, `disconnected`, `dropped`) until its next snapshot.
 *
 * Emits      one batch of views per source batch that touched a live book; nothing for the others
 * Completes  with the source
 * Errors     with the source; adds none of its own
 * Holds      one book per instrument
 *
 * In a pipeline let it be a stage of its own: only there a run sees that books are kept, refuses edges before it that drop, and
 * asks for snapshots when the stage was restarted.
 */
export function toBooks(options: ToBooksOptions = {}): OperatorFunction<Batch<MarketEvent>, Batch<BookView>> {
  const { depth = Infinity, booksMax = BOOKS_MAX } = options
  if (depth !== Infinity) requireCount('toBooks', 'depth', depth)
  requireCount('toBooks', 'booksMax', booksMax)

  const operator: OperatorFunction<Batch<MarketEvent>, Batch<BookView>> = (source) =>
    new Observable((out) => {
      // A source that keeps the books itself spares the events between.
      if (isBookSource(source) && booksMax >= BOOKS_MAX) {
        out.add(source[booksOf](depth, out))
        return
      }
      const books = new Map<string, Map<string, KeptBook>>()
      /** Books that the batch has touched, in order. */
      const touched: KeptBook[] = []
      let kept = 0
      // Levels lie outside of the collector's reach; views keep theirs.
      out.add(() => {
        for (const ofExchange of books.values()) for (const book of ofExchange.values()) book.levels.clear()
      })

      /** A book begins with a snapshot: a delta without one must not take the place of a book that is live. */
      const bookOf = (change: BookChange): KeptBook | undefined => {
        let ofExchange = books.get(change.exchange)
        const key = change.instrument ?? change.symbol
        let book = ofExchange?.get(key)
        if (book === undefined && change.kind === 'snapshot') {
          if (++kept > booksMax) kept -= evictIdlest(books)
          if (ofExchange === undefined) books.set(change.exchange, (ofExchange = new Map<string, KeptBook>()))
          ofExchange.set(key, (book = new KeptBook(change)))
        }
        return book
      }

      const silence = (book: KeptBook | undefined): void => {
        if (book === undefined) return
        book.live = false
        book.levels.clear()
        if (!book.isTouched) return
        book.isTouched = false
        touched.splice(touched.indexOf(book), 1)
      }

      const silenceNamed = ({ code, exchange, instrument, symbol }: Notice): void => {
        const ofExchange = books.get(exchange)
        if (symbol !== '') silence(ofExchange?.get(instrument ?? symbol))
        // A connection that ends names each of its books; what was dropped without a name may have been of any.
        else if (code === 'dropped') for (const book of ofExchange?.values() ?? []) silence(book)
      }

      subscribeWhileOpen(source, out, {
        next: (batch) => {
          for (const event of batch) {
            if (event.kind === 'delta' || event.kind === 'snapshot') {
              const book = bookOf(event)
              if (book?.apply(event) !== true || book.isTouched) continue
              book.isTouched = true
              touched.push(book)
            } else if (event.kind === 'notice' && endsTrust(event)) {
              silenceNamed(event)
            }
          }
          if (touched.length === 0) return
          const views = touched.map((book) => {
            book.isTouched = false
            return BookView.of(book, book.levels, depth)
          })
          touched.length = 0
          out.next(views)
        },
        error: (error) => out.error(error),
        complete: () => out.complete(),
      })
    })
  // A pipeline refuses to put it behind an edge that drops: a lost delta is a wrong book.
  // And levels are read by the book alone.
  return Object.assign(operator, { needsEveryValue: true, levels: 'unread' } as const)
}

/** A book, and what its next view says beside its levels; of what was not said NaN, and before the first change everything. */
class KeptBook implements BookViewHead {
  readonly levels = newBook()
  readonly exchange: string
  symbol: string
  instrument: string | undefined
  exchangeTimeUs = NaN
  receiveTimeUs = NaN
  seq = NaN
  live = false
  /** The batch that is being read has changed it. */
  isTouched = false

  constructor({ exchange, symbol, instrument }: BookChange) {
    this.exchange = exchange
    this.symbol = symbol
    this.instrument = instrument
  }

  /** False when there is no book that the change could extend. */
  apply(change: BookChange): boolean {
    if (change.kind === 'snapshot') {
      this.symbol = change.symbol
      this.instrument = change.instrument
      this.levels.snapshot(change)
      this.live = true
    } else {
      if (!this.live) return false
      this.levels.delta(change)
    }
    const { receiveTimeUs } = change
    this.exchangeTimeUs = change.exchangeTimeUs ?? NaN
    this.seq = change.seq ?? NaN
    // Deltas that waited for a REST snapshot were received before it, but this state of the book was not known before.
    if (change.kind === 'snapshot' || !(receiveTimeUs < this.receiveTimeUs)) this.receiveTimeUs = receiveTimeUs
    return true
  }
}

/** What was dropped of other streams (trades, tickers) leaves the book as it is; a receipt that does not say may be of any. */
function endsTrust({ code, details }: Notice): boolean {
  if (code === 'dropped') return details['of'] === undefined || details['of'] === 'book'
  return code === 'gap' || code === 'disconnected'
}

function evictIdlest(books: Map<string, Map<string, KeptBook>>): number {
  let idlest: { of: Map<string, KeptBook>; key: string; timeUs: number } | undefined
  for (const of of books.values()) {
    for (const [key, book] of of) {
      const timeUs = Number.isNaN(book.receiveTimeUs) ? 0 : book.receiveTimeUs
      if (idlest === undefined || timeUs < idlest.timeUs) idlest = { of, key, timeUs }
    }
  }
  if (idlest === undefined) return 0
  idlest.of.get(idlest.key)!.levels.clear()
  idlest.of.delete(idlest.key)
  return 1
}
