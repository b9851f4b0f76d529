import { Observable, type OperatorFunction } from 'rxjs'
import { bpsOf, imbalanceOf } from '../book/bookMath'
import {
  TOP_ASK_DEPTH,
  TOP_ASK_PRICE,
  TOP_ASK_SIZE,
  TOP_BID_DEPTH,
  TOP_BID_PRICE,
  TOP_BID_SIZE,
  type BookView,
} from '../book/bookView'
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
          // Mostly it is one: a list that begins empty makes room for more than a dozen.
          let summaries: BookSummary[] | undefined
          for (const view of views) {
            const summary = summaryOf(view, levels)
            if (summaries === undefined) summaries = [summary]
            else summaries.push(summary)
          }
          if (summaries !== undefined) out.next(summaries)
        },
        error: (error) => out.error(error),
        complete: () => out.complete(),
      })
    })
}

/** One view as one row: best prices, spread, depth and imbalance over the best `levels` of a side. */
export function summarizeBook(view: BookView, { levels }: SummarizeBooksOptions): BookSummary {
  return summaryOf(view, levels)
}

/** What is read of a view: between calls nothing of it is used. */
const top = new Float64Array(6)

function summaryOf(view: BookView, levels: number): BookSummary {
  view.copyTop(top, levels)
  const bidPrice = top[TOP_BID_PRICE]!
  const askPrice = top[TOP_ASK_PRICE]!
  const bidDepth = top[TOP_BID_DEPTH]!
  const askDepth = top[TOP_ASK_DEPTH]!
  if (!(bidPrice > 0 && askPrice > 0 && bidDepth + askDepth > 0)) return unusualSummary(view)
  const mid = (bidPrice + askPrice) / 2
  const spread = askPrice - bidPrice
  return {
    kind: 'summary',
    exchange: view.exchange,
    symbol: view.symbol,
    instrument: view.instrument,
    exchangeTimeUs: view.exchangeTimeUs,
    receiveTimeUs: view.receiveTimeUs,
    bidPrice,
    bidSize: top[TOP_BID_SIZE],
    askPrice,
    askSize: top[TOP_ASK_SIZE],
    mid,
    spread,
    spreadBps: (spread / mid) * 10_000,
    bidDepth,
    askDepth,
    imbalance: (bidDepth - askDepth) / (bidDepth + askDepth),
  }
}

/** Of what has been read of a book with an empty side. By itself: where numbers may be missing, each of them costs more. */
function unusualSummary(view: BookView): BookSummary {
  const [bidPrice, bidSize] = [known(top[TOP_BID_PRICE]!), known(top[TOP_BID_SIZE]!)]
  const [askPrice, askSize] = [known(top[TOP_ASK_PRICE]!), known(top[TOP_ASK_SIZE]!)]
  const [bidDepth, askDepth] = [top[TOP_BID_DEPTH]!, top[TOP_ASK_DEPTH]!]
  const twoSided = bidPrice !== undefined && askPrice !== undefined
  const mid = twoSided ? (bidPrice + askPrice) / 2 : undefined
  const spread = twoSided ? askPrice - bidPrice : undefined
  return {
    kind: 'summary',
    exchange: view.exchange,
    symbol: view.symbol,
    instrument: view.instrument,
    exchangeTimeUs: view.exchangeTimeUs,
    receiveTimeUs: view.receiveTimeUs,
    bidPrice,
    bidSize,
    askPrice,
    askSize,
    mid,
    spread,
    spreadBps: twoSided ? bpsOf(spread!, mid!) : undefined,
    bidDepth,
    askDepth,
    imbalance: imbalanceOf(bidDepth, askDepth),
  }
}

function known(number: number): number | undefined {
  return Number.isNaN(number) ? undefined : number
}
