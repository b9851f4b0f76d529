import { Observable, type OperatorFunction } from 'rxjs'
import { bpsOf, imbalanceOf } from '../book/bookMath'
import type { BookView } from '../book/bookView'
import type { Batch } from '../model/events'
import { requireCount } from './options'
import { subscribeWhileOpen } from './subscribeWhileOpen'

export interface SummarizeBooksOptions {
  /** Levels a side over which depth and imbalance are taken, at least 1. */
  readonly levels: number
}

/** What a book comes to in one row. A value that a book with an empty side does not have is undefined. */
export interface BookSummary {
  readonly kind: 'summary'
  readonly exchange: string
  readonly symbol: string
  readonly instrument: string | undefined
  readonly exchangeTimeUs: number | undefined
  readonly receiveTimeUs: number
  readonly bidPrice: number | undefined
  readonly bidSize: number | undefined
  readonly askPrice: number | undefined
  readonly askSize: number | undefined
  readonly mid: number | undefined
  /** Best ask − best bid, in quote units; negative on a crossed book. */
  readonly spread: number | undefined
  /** The spread in 1/10,000 of the mid. */
  readonly spreadBps: number | undefined
  /** Sizes of the best levels, summed; 0 on an empty side. */
  readonly bidDepth: number
  readonly askDepth: number
  /** (bidDepth − askDepth) / (bidDepth + askDepth): −1 to 1. */
  readonly imbalance: number | undefined
}

/**
 * Turns each view of a book into one row: best prices, spread, depth and imbalance.
 *
 * Emits      one summary per view, in order, batch by batch
 * Completes  with the source
 * Errors     with the source; adds none of its own
 * Holds      nothing
 */
export function summarizeBooks({
  levels,
}: SummarizeBooksOptions): OperatorFunction<Batch<BookView>, Batch<BookSummary>> {
  requireCount('summarizeBooks', 'levels', levels)

  return (source) =>
    new Observable((out) => {
      subscribeWhileOpen(source, out, {
        next: (views) => {
          const summaries: BookSummary[] = []
          for (const view of views) summaries.push(summarizeBook(view, { levels }))
          if (summaries.length > 0) out.next(summaries)
        },
        error: (error) => out.error(error),
        complete: () => out.complete(),
      })
    })
}

/** One view as one row: best prices, spread, depth and imbalance over the best `levels` of a side. */
export function summarizeBook(view: BookView, { levels }: SummarizeBooksOptions): BookSummary {
  const bid = view.bestBid()
  const ask = view.bestAsk()
  const twoSided = bid !== undefined && ask !== undefined
  const mid = twoSided ? (bid.price + ask.price) / 2 : undefined
  const spread = twoSided ? ask.price - bid.price : undefined
  const [bidDepth, askDepth] = view.depthOf(levels)
  return {
    kind: 'summary',
    exchange: view.exchange,
    symbol: view.symbol,
    instrument: view.instrument,
    exchangeTimeUs: view.exchangeTimeUs,
    receiveTimeUs: view.receiveTimeUs,
    bidPrice: bid?.price,
    bidSize: bid?.size,
    askPrice: ask?.price,
    askSize: ask?.size,
    mid,
    spread,
    spreadBps: twoSided ? bpsOf(spread!, mid!) : undefined,
    bidDepth,
    askDepth,
    imbalance: imbalanceOf(bidDepth, askDepth),
  }
}
