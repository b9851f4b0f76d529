/**
 * A whole feed on a worker thread: its sockets, its decoding and its books. What crosses is what was asked for, the best
 * levels of each book that changed, as columns.
 *
 * Why      a feed is work for one thread. Two of them on two workers are work for two, and the event loop has neither
 * Limits   it is no feed of a run: it connects to the exchanges by itself (or to `addresses`), its rows are no market events,
 *          and what it receives is in no recording. A pipeline that is to be recorded, replayed or simulated names `feed` with
 *          `placement: 'worker'` and `levels`
 */
import path from 'node:path'
import { Observable, tap, type OperatorFunction } from 'rxjs'
import type { BookView } from '../book/bookView'
import { EXCHANGES } from '../exchanges/exchanges'
import type { ExchangeAddress } from '../feed/liveFeed'
import type { Batch, MarketEvent, Notice } from '../model/events'
import { Fault } from '../model/fault'
import { toBooks } from '../operators/toBooks'
import type { OpenedSource } from '../workers/exposeSource'
import { fromWorker, type FromWorkerOptions } from '../workers/fromWorker'
import { liveMarket } from './openMarket'
import { MarketSource, type AddressedFeedOptions } from './sources'
import { wishOf, type Wish } from './wish'

/** The best levels of a book as it was after one frame; columns best first, in the units of the events. */
export interface BookTop {
  readonly kind: 'top'
  readonly exchange: string
  readonly symbol: string
  /** The unified name; undefined where no metadata is known. */
  readonly instrument: string | undefined
  readonly exchangeTimeUs: number | undefined
  readonly receiveTimeUs: number
  readonly seq: number | undefined
  readonly bidPrices: Float64Array
  readonly bidSizes: Float64Array
  readonly askPrices: Float64Array
  readonly askSizes: Float64Array
}

export interface BooksOnWorkerOptions
  extends Omit<AddressedFeedOptions, 'channel' | 'channels' | 'intervalMs'>, Omit<FromWorkerOptions, 'data'> {
  /** Levels a side that cross. */
  readonly levels: number
}

/** What the thread is given. */
export interface BooksWish {
  readonly wish: Wish
  readonly levels: number
  readonly addresses: ReadonlyMap<string, ExchangeAddress> | undefined
}

/**
 * Books of one or several exchanges, kept on a worker thread.
 *
 * Emits      the best levels of each live book that a frame touched, and the notices of its stream, in order
 * Completes  when the exchanges are given up and nothing of them is required
 * Errors     as `feed`, and as {@link fromWorker}
 * Holds      as {@link fromWorker}. When it is full, `block` pauses the sockets, and `conflate` keeps the latest top of each
 *            book, none of them across a notice
 *
 * @throws `Fault` OPTION_INVALID for unknown exchanges, with the nearest names
 */
export function booksOnWorker({
  exchanges,
  instruments,
  depth,
  levels,
  addresses,
  ...options
}: BooksOnWorkerOptions): Observable<BookTop | Notice> {
  if (!Number.isSafeInteger(levels) || levels < 1) {
    const message = `booksOnWorker: levels is ${levels}; give a whole number of levels a side, 1 or more.`
    throw new Fault('OPTION_INVALID', message, { levels })
  }
  const wish = wishOf({ exchanges, instruments, channel: 'book', ...(depth === undefined ? {} : { depth }) }, [
    ...EXCHANGES.keys(),
  ])
  const data: BooksWish = { wish, levels, addresses }
  return fromWorker(path.join(__dirname, 'entries', 'books'), { ...options, data })
}

/** What {@link booksOnWorker} opens in its thread. */
export function openBooks({ wish, levels, addresses }: BooksWish): OpenedSource<BookTop | Notice> {
  const market = liveMarket({ wishes: [wish], addresses })
  return {
    source: new MarketSource(wish, () => ({ market })).pipe(topsOf(levels)),
    pressure: market,
    keyOf: bookKeys(),
  }
}

/** Views of the best levels as columns; before those of a frame its notices, which the views already know of. */
export function topsOf(levels: number): OperatorFunction<Batch<MarketEvent>, BookTop | Notice> {
  return (source) =>
    new Observable((out) =>
      source
        .pipe(
          tap((batch) => {
            for (const event of batch) if (event.kind === 'notice') out.next(event)
          }),
          toBooks({ depth: levels }),
        )
        .subscribe({
          next: (views) => {
            for (const view of views) out.next(topOf(view, levels))
          },
          error: (error) => out.error(error),
          complete: () => out.complete(),
        }),
    )
}

function topOf(view: BookView, levels: number): BookTop {
  const [bids, asks] = view.levels()
  const [bidPrices, bidSizes] = sideOf(view, 'bids', Math.min(bids, levels))
  const [askPrices, askSizes] = sideOf(view, 'asks', Math.min(asks, levels))
  return {
    kind: 'top',
    exchange: view.exchange,
    symbol: view.symbol,
    instrument: view.instrument,
    exchangeTimeUs: view.exchangeTimeUs,
    receiveTimeUs: view.receiveTimeUs,
    seq: view.seq,
    bidPrices,
    bidSizes,
    askPrices,
    askSizes,
  }
}

function sideOf(view: BookView, side: 'bids' | 'asks', levels: number): readonly [Float64Array, Float64Array] {
  const prices = new Float64Array(levels)
  const sizes = new Float64Array(levels)
  view.copySide(side, prices, sizes, levels)
  return [prices, sizes]
}

/** Keys by which tops are conflated: those of one book, as long as no notice has come in between. */
function bookKeys(): (row: BookTop | Notice) => unknown {
  let notices = 0
  return (row) => {
    if (row.kind === 'top') return `${notices} ${row.exchange} ${row.symbol}`
    notices++
    return Symbol()
  }
}
