import type { Level } from '../model/events'
import type { Epoch, UndoneSide } from './bookLog'
import type { Level2Book } from './level2Book'
import { EXCHANGE_TIME, RECEIVE_TIME, SEQ } from './logRecords'

/** Which book something is of. */
export interface OfBook {
  readonly exchange: string
  /** The exchange's own symbol. */
  readonly symbol: string
  /** The unified name; undefined where no metadata is known. */
  readonly instrument: string | undefined
}

/** What a view says beside its levels. */
export interface BookViewHead extends OfBook {
  readonly exchangeTimeUs: number | undefined
  readonly receiveTimeUs: number
  /** The exchange's number of the book, where it numbers it. */
  readonly seq: number | undefined
}

/** Places of the six numbers of `BookView.copyTop`. */
export const TOP_BID_PRICE = 0
export const TOP_BID_SIZE = 1
export const TOP_ASK_PRICE = 2
export const TOP_ASK_SIZE = 3
export const TOP_BID_DEPTH = 4
export const TOP_ASK_DEPTH = 5

export interface PriceLevel {
  readonly price: number
  readonly size: number
}

/**
 * A live book as it was at one moment. It never changes, whatever becomes of the book behind it.
 *
 * It is a position in the log of its book (`bookLog.ts`): read at once it costs next to nothing, read late what has changed
 * since is taken back first.
 *
 * Prices and sizes are doubles in the units of the events. Levels come best first. `depthMax` is the most levels a side
 * that the view shows.
 */
export class BookView implements BookViewHead {
  /** A view of a book as it is now. */
  static of(head: BookViewHead, book: Level2Book, depthMax: number): BookView {
    const position = book.record(head)
    return viewOf(book.recorded, position, depthMax)
  }

  /** @param position  behind what is written in the epoch's log of this view */
  constructor(
    private readonly epoch: Epoch,
    private readonly position: number,
  ) {}

  /** Levels a side that the view shows at most. */
  protected get depthMax(): number {
    return Infinity
  }

  /** The same with at most so many levels a side. */
  upTo(depth: number): BookView {
    return depth >= this.depthMax ? this : viewOf(this.epoch, this.position, depth)
  }

  get kind(): 'view' {
    return 'view'
  }

  get exchange(): string {
    return this.epoch.of.exchange
  }

  get symbol(): string {
    return this.epoch.of.symbol
  }

  get instrument(): string | undefined {
    return this.epoch.of.instrument
  }

  get exchangeTimeUs(): number | undefined {
    return said(this.epoch.headerAt(this.position, EXCHANGE_TIME))
  }

  get receiveTimeUs(): number {
    return this.epoch.headerAt(this.position, RECEIVE_TIME)
  }

  get seq(): number | undefined {
    return said(this.epoch.headerAt(this.position, SEQ))
  }

  /** Undefined when nobody bids. */
  bestBid(): PriceLevel | undefined {
    const { epoch, position } = this
    return epoch.isNow(position) ? epoch.bidNow() : this.bestLate(false)
  }

  /** Undefined when nobody asks. */
  bestAsk(): PriceLevel | undefined {
    const { epoch, position } = this
    return epoch.isNow(position) ? epoch.askNow() : this.bestLate(true)
  }

  /** The best `n` bids as `[price, size]`, best first; all of them without `n`. */
  bids(n = this.depthMax): Level[] {
    return this.top(false, n)
  }

  asks(n = this.depthMax): Level[] {
    return this.top(true, n)
  }

  /** Levels a side: `[bids, asks]`. */
  levels(): readonly [bids: number, asks: number] {
    const { depthMax } = this
    const now = this.epoch.now(this.position)
    if (now !== undefined) return [Math.min(depthMax, now.length(false)), Math.min(depthMax, now.length(true))]
    return [Math.min(depthMax, this.side(false, depthMax).length), Math.min(depthMax, this.side(true, depthMax).length)]
  }

  /** Sizes of the best `n` levels, summed: `[bids, asks]`. */
  depthOf(n: number): readonly [bids: number, asks: number] {
    const levels = Math.min(n, this.depthMax)
    const now = this.epoch.now(this.position)
    if (now !== undefined) {
      now.copyDepths(depths, 0, levels)
      return [depths[0]!, depths[1]!]
    }
    return [this.side(false, levels).sizeOf(levels), this.side(true, levels).sizeOf(levels)]
  }

  /**
   * Writes what most readers want to know into six numbers: price and size of the best bid, of the best ask, and the sizes
   * of the best `n` levels summed, of bids and of asks. Price and size of an empty side are NaN.
   */
  copyTop(top: Float64Array, n: number): void {
    const { epoch, position } = this
    const levels = Math.min(n, this.depthMax)
    if (epoch.isNow(position)) epoch.copyTopNow(top, levels)
    else {
      const [bids, asks] = [this.side(false, levels), this.side(true, levels)]
      bids.copyBest(top, TOP_BID_PRICE)
      asks.copyBest(top, TOP_ASK_PRICE)
      top[TOP_BID_DEPTH] = bids.sizeOf(levels)
      top[TOP_ASK_DEPTH] = asks.sizeOf(levels)
    }
  }

  /** Copies the best `n` levels of a side into columns, best first; returns how many there were. */
  copySide(side: 'bids' | 'asks', prices: Float64Array, sizes: Float64Array, n: number): number {
    const levels = Math.min(n, this.depthMax)
    const now = this.epoch.now(this.position)
    return (now?.sideNow(side === 'asks') ?? this.side(side === 'asks', n)).copyTo(prices, sizes, levels)
  }

  /** The book as a `snapshot` event has it: what `JSON.stringify` makes of a view. */
  toJSON(): BookViewHead & { readonly kind: 'snapshot'; readonly bids: Level[]; readonly asks: Level[] } {
    const { exchange, symbol, instrument, exchangeTimeUs, receiveTimeUs, seq } = this
    const [bids, asks] = [this.bids(), this.asks()]
    return { kind: 'snapshot', exchange, symbol, instrument, exchangeTimeUs, receiveTimeUs, bids, asks, seq }
  }

  /** The text that `JSON.stringify` makes of it, to the character, some ten times faster: read at once, and little slower when read late. */
  toJSONText(): string {
    return this.epoch.text(this.position, this.depthMax)
  }

  /** True when the best bid is at or above the best ask: rare and short on healthy books. */
  get crossed(): boolean {
    return this.bestPrice(false) >= this.bestPrice(true)
  }

  /** Halfway between best bid and best ask; NaN when a side is empty. */
  get mid(): number {
    return (this.bestPrice(false) + this.bestPrice(true)) / 2
  }

  private bestLate(asks: boolean): PriceLevel | undefined {
    const side = this.epoch.sideAt(this.position, asks, 1)
    return side.length === 0 ? undefined : { price: side.price(0), size: side.size(0) }
  }

  /** NaN on an empty side. */
  private bestPrice(asks: boolean): number {
    return (asks ? this.bestAsk() : this.bestBid())?.price ?? NaN
  }

  private top(asks: boolean, n: number): Level[] {
    const now = this.epoch.now(this.position)
    if (now !== undefined) return now.top(asks, Math.min(n, this.depthMax))
    const side = this.side(asks, n)
    const levels: Level[] = []
    const count = Math.min(n, this.depthMax, side.length)
    for (let index = 0; index < count; index++) levels.push([side.price(index), side.size(index)])
    return levels
  }

  private side(asks: boolean, n: number): UndoneSide {
    return this.epoch.sideAt(this.position, asks, Math.min(n, this.depthMax))
  }
}

/** What `depthOf` reads: between calls nothing of it is used. */
const depths = new Float64Array(2)

/** A view of the best levels alone: most show all, and need not say so. */
class BookViewOfBest extends BookView {
  constructor(
    epoch: Epoch,
    position: number,
    private readonly levelsMax: number,
  ) {
    super(epoch, position)
  }

  protected override get depthMax(): number {
    return this.levelsMax
  }
}

/** A view by its place in the log; `depthMax` is the most levels a side that it shows. */
export function viewOf(epoch: Epoch, position: number, depthMax: number): BookView {
  return depthMax === Infinity ? new BookView(epoch, position) : new BookViewOfBest(epoch, position, depthMax)
}

/** What was not said is NaN in a log. */
function said(value: number): number | undefined {
  return Number.isNaN(value) ? undefined : value
}
