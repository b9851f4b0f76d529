import type { Level } from '../model/events'
import type { Level2Book, SharedSide } from './level2Book'

/** What a view says beside its levels. */
export interface BookViewHead {
  readonly exchange: string
  /** The exchange's own symbol. */
  readonly symbol: string
  /** The unified name; undefined where no metadata is known. */
  readonly instrument: string | undefined
  readonly exchangeTimeUs: number | undefined
  readonly receiveTimeUs: number
  /** The exchange's number of the book, where it numbers it. */
  readonly seq: number | undefined
}

export interface PriceLevel {
  readonly price: number
  readonly size: number
}

/**
 * A live book as it was at one moment. It never changes: the book behind it goes on with copies of what it touches.
 *
 * Prices and sizes are doubles in the units of the events. Levels come best first. `depthMax` is the most levels a side
 * that the view shows.
 */
export class BookView implements BookViewHead {
  readonly kind = 'view'
  readonly exchange: string
  readonly symbol: string
  readonly instrument: string | undefined
  readonly exchangeTimeUs: number | undefined
  readonly receiveTimeUs: number
  readonly seq: number | undefined
  private readonly bidSide: SharedSide
  private readonly askSide: SharedSide

  constructor(
    head: BookViewHead,
    book: Level2Book,
    private readonly depthMax: number,
  ) {
    this.exchange = head.exchange
    this.symbol = head.symbol
    this.instrument = head.instrument
    this.exchangeTimeUs = head.exchangeTimeUs
    this.receiveTimeUs = head.receiveTimeUs
    this.seq = head.seq
    this.bidSide = book.bids.share()
    this.askSide = book.asks.share()
  }

  /** Undefined when nobody bids. */
  bestBid(): PriceLevel | undefined {
    return best(this.bidSide)
  }

  /** Undefined when nobody asks. */
  bestAsk(): PriceLevel | undefined {
    return best(this.askSide)
  }

  /** The best `n` bids as `[price, size]`, best first; all of them without `n`. */
  bids(n = this.depthMax): Level[] {
    return this.bidSide.top(Math.min(n, this.depthMax))
  }

  asks(n = this.depthMax): Level[] {
    return this.askSide.top(Math.min(n, this.depthMax))
  }

  /** Levels a side: `[bids, asks]`. */
  levels(): readonly [bids: number, asks: number] {
    return [Math.min(this.bidSide.length, this.depthMax), Math.min(this.askSide.length, this.depthMax)]
  }

  /** Sizes of the best `n` levels, summed: `[bids, asks]`. Allocates nothing per level. */
  depthOf(n: number): readonly [bids: number, asks: number] {
    const levels = Math.min(n, this.depthMax)
    return [this.bidSide.sizeOf(levels), this.askSide.sizeOf(levels)]
  }

  /** Copies the best `n` levels of a side into columns, best first; returns how many there were. */
  copySide(side: 'bids' | 'asks', prices: Float64Array, sizes: Float64Array, n: number): number {
    return (side === 'bids' ? this.bidSide : this.askSide).copyTo(prices, sizes, Math.min(n, this.depthMax))
  }

  /** True when the best bid is at or above the best ask: rare and short on healthy books. */
  get crossed(): boolean {
    return this.bidSide.bestPrice >= this.askSide.bestPrice
  }

  /** Halfway between best bid and best ask; NaN when a side is empty. */
  get mid(): number {
    return (this.bidSide.bestPrice + this.askSide.bestPrice) / 2
  }
}

function best(side: SharedSide): PriceLevel | undefined {
  return side.length === 0 ? undefined : { price: side.bestPrice, size: side.bestSize }
}
