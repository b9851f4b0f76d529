/**
 * What a book was, for views of moments that have passed.
 *
 * A view copies nothing. It is a position in the log of its book, which holds for each change the price and the sizes that were
 * there before and after; whoever asks an old view for levels takes the levels of now and undoes what came since. So a view costs a few
 * words however deep the book is, and only a reader who comes late pays, by how late he is.
 *
 * The log is cut into epochs. The current one lies in the kernel's memory; when it is full it is copied into an array of its
 * own, which the views in it keep alive and nobody else does. An epoch ends for good, with the levels as they stood, where
 * undoing cannot go on: when the book is replaced or emptied. And now and then in between: a view keeps alive all epochs up to the
 * next such end, which must not be all that its book will ever log. Nor must an epoch of which there is no view any more: what
 * outlives two of the collector's rounds for the young is taken for alive until a round for the old, and so would be all that
 * it leads to.
 */
import { kernel, type Kernel } from '../kernel/kernel'
import { BOOK_ASKS, BOOK_BIDS, BOOK_LOG_AT, SIDE_BEST_PRICE, VIEW_HEADER } from '../kernel/layout'
import type { Level } from '../model/events'
import { wholeText } from '../model/wholeText'
import {
  TOP_ASK_PRICE,
  TOP_ASK_SIZE,
  TOP_BID_DEPTH,
  TOP_BID_PRICE,
  TOP_BID_SIZE,
  type OfBook,
  type PriceLevel,
} from './bookView'
import type { LateBook } from './lateBook'
import { columnsText } from './levelsText'
import { BEFORE, EXCHANGE_TIME, HEADER, RECEIVE_TIME, RECORD, SEQ } from './logRecords'

/** Levels of one side that never change, best first. */
export interface FrozenSide {
  readonly length: number
  /** Copies the best `n` levels into columns; returns how many there were. */
  copyTo(prices: Float64Array, sizes: Float64Array, n: number): number
}

/** A book whose current epoch is still being written. */
export interface LoggedBook {
  /** What has been written of the log since the epoch began; changes with the book. */
  written(): Float64Array
  readonly writtenLength: number
  /** One number of it. */
  writtenAt(index: number): number
  /** The levels as they are now. */
  sideNow(asks: boolean): FrozenSide
  length(asks: boolean): number
  /** The best `n` levels, best first. */
  top(asks: boolean, n: number): Level[]
  /** Writes the sums of the sizes of the best `n` levels, of bids and of asks, from a place on. */
  copyDepths(to: Float64Array, at: number, n: number): void
  /** The JSON text of a view, with at most `depth` levels a side; undefined when it has to be put together outside. */
  textAt(epoch: Epoch, position: number, depth: number): string | undefined
}

/** Where a book whose epoch is still being written lies in the kernel. */
export interface LogPlace {
  readonly book: number
  readonly log: number
}

/** What the epochs of a book from its first view until it is replaced or emptied have in common. */
export interface Story {
  /** Where its views are written that are read late, once one was. */
  late: LateBook | undefined
  /** Number of the epoch in which the text of a moment that had passed was last asked for; -Infinity before. */
  readLate: number
}

/** Levels that are worked out at least: most readers want some of the best, and not only one. */
const LEVELS_READ = 10

interface Read {
  readonly position: number
  readonly n: number
  readonly side: UndoneSide
}

/** The word at this place holds zero, which no log begins at: addresses below the registers are not used. */
const OVER = 0

export class Epoch {
  /** The log, once the epoch is over. */
  private log: Float64Array | undefined
  private next: Epoch | undefined
  private name: string | undefined
  /** What was read last, of each side. */
  private readonly read: [Read | undefined, Read | undefined] = [undefined, undefined]
  private readonly end: [FrozenSide | undefined, FrozenSide | undefined] = [undefined, undefined]

  private readonly memory: Kernel = kernel()
  /** Address of the epoch's log, and the places of words and doubles that say where the log goes on and what is best. */
  private readonly start: number
  private readonly bidAt: number
  private readonly askAt: number
  /** Outside of the memory once the epoch is over: what is there is no address. */
  private logAt: number

  /**
   * @param place  undefined for an epoch that is over at once
   * @param story  what all epochs that follow one another have in common
   * @param number  of epochs before it in the story
   */
  constructor(
    readonly of: OfBook,
    private readonly book: LoggedBook,
    place?: LogPlace,
    readonly story: Story = { late: undefined, readLate: -Infinity },
    readonly number = 0,
  ) {
    this.start = place?.log ?? 0
    this.logAt = place === undefined ? OVER : (place.book + BOOK_LOG_AT) >> 2
    this.bidAt = ((place?.book ?? 0) + BOOK_BIDS + SIDE_BEST_PRICE) >> 3
    this.askAt = ((place?.book ?? 0) + BOOK_ASKS + SIDE_BEST_PRICE) >> 3
  }

  /** Which book it is, as the beginning of its JSON text. */
  get nameText(): string {
    return (this.name ??= nameTextOf(this.of))
  }

  /** The log is full; the story goes on in another epoch. */
  continueIn(next: Epoch, log: Float64Array): void {
    this.logAt = OVER
    this.log = log
    this.next = next
    next.name = this.name
  }

  /** It ends with the levels as they stand: what follows, if anything does, cannot be reached from here. */
  endWith(bids: FrozenSide, asks: FrozenSide, log: Float64Array): void {
    this.logAt = OVER
    this.log = log
    this.end[0] = bids
    this.end[1] = asks
  }

  /** The one after it; undefined for the current one, and for one that has ended with levels. */
  get following(): Epoch | undefined {
    return this.next
  }

  /** True when one comes after another and all between them can be reached. */
  leadsTo(other: Epoch): boolean {
    if (this === other) return true
    for (let epoch = this.next; epoch !== undefined; epoch = epoch.next) if (epoch === other) return true
    return false
  }

  /** Its log lies in these numbers, from `numbersAt` on. They may be replaced when the kernel's memory grows, as long as the epoch goes on. */
  get numbers(): Float64Array {
    return this.log ?? this.memory.doubles
  }

  get numbersAt(): number {
    return this.log === undefined ? this.start >> 3 : 0
  }

  /** How many numbers there are of it: as many as the position of its last view, or more. */
  get length(): number {
    return this.log?.length ?? this.book.writtenLength
  }

  /** Where the kernel finds the header that ends at a position. */
  headerAddress(position: number): number {
    const { log } = this
    if (log === undefined) return this.start + (position - HEADER) * 8
    const { doubles } = this.memory
    for (let index = 0; index < HEADER; index++) doubles[(VIEW_HEADER >> 3) + index] = log[position - HEADER + index]!
    return VIEW_HEADER
  }

  /** True while the book is as it was at a position: `bidNow` and `askNow` give its best levels then. */
  isNow(position: number): boolean {
    return this.memory.words[this.logAt] === this.start + position * 8
  }

  /** The book, while it is as it was at a position. */
  now(position: number): LoggedBook | undefined {
    return this.isNow(position) ? this.book : undefined
  }

  /** Undefined without bids. */
  bidNow(): PriceLevel | undefined {
    const { doubles } = this.memory
    const price = doubles[this.bidAt]!
    // A call that never happens leaves only the object, which the caller's optimised code then need not make.
    return price > 0 ? { price, size: doubles[this.bidAt + 1]! } : this.nobody()
  }

  /** Undefined without asks. */
  askNow(): PriceLevel | undefined {
    const { doubles } = this.memory
    const price = doubles[this.askAt]!
    return price > 0 ? { price, size: doubles[this.askAt + 1]! } : this.nobody()
  }

  /** What `BookView.copyTop` writes, while the book is as it was. */
  copyTopNow(top: Float64Array, n: number): void {
    const { doubles } = this.memory
    const { bidAt, askAt } = this
    top[TOP_BID_PRICE] = doubles[bidAt]!
    top[TOP_BID_SIZE] = doubles[bidAt + 1]!
    top[TOP_ASK_PRICE] = doubles[askAt]!
    top[TOP_ASK_SIZE] = doubles[askAt + 1]!
    this.book.copyDepths(top, TOP_BID_DEPTH, n)
  }

  private nobody(): PriceLevel | undefined {
    return undefined
  }

  /** One number of the header that ends at a position. */
  headerAt(position: number, index: number): number {
    const at = position - HEADER + index
    return this.log === undefined ? this.book.writtenAt(at) : this.log[at]!
  }

  /** The best levels of a side as they were at a position, at least `n` of them if there were so many. */
  sideAt(position: number, asks: boolean, n: number): UndoneSide {
    // Who reads a view late asks it several things, one after another.
    const index = asks ? 1 : 0
    const last = this.read[index]
    if (last !== undefined && last.position === position && last.n >= n) return last.side
    const wanted = Math.max(n, LEVELS_READ)
    const log = this.log ?? this.book.written()
    const end = this.endOf(asks)
    const undone = (log.length - position) / RECORD
    const side = new UndoneSide(end, asks, Math.min(end.length, wanted + undone))
    side.undo(log, position)
    side.cut(wanted)
    this.read[index] = { position, n: wanted, side }
    return side
  }

  /** The JSON text of the view at a position, with at most `depth` levels a side. */
  text(position: number, depth: number): string {
    return this.book.textAt(this, position, depth) ?? this.textAnew(position, depth)
  }

  private textAnew(position: number, depth: number): string {
    const number = (index: number): string => wholeText(this.headerAt(position, index))
    const said = (name: string, index: number): string =>
      Number.isNaN(this.headerAt(position, index)) ? '' : `,"${name}":${number(index)}`
    const [bids, asks] = [this.sideText(position, false, depth), this.sideText(position, true, depth)]
    const times = `${said('exchangeTimeUs', EXCHANGE_TIME)},"receiveTimeUs":${number(RECEIVE_TIME)}`
    return `${this.nameText}${times},"bids":${bids},"asks":${asks}${said('seq', SEQ)}}`
  }

  private sideText(position: number, asks: boolean, depth: number): string {
    const side = this.now(position)?.sideNow(asks) ?? this.sideAt(position, asks, depth)
    const count = Math.min(depth, side.length)
    const [prices, sizes] = [new Float64Array(count), new Float64Array(count)]
    side.copyTo(prices, sizes, count)
    return columnsText(prices, sizes, count)
  }

  /** The levels with which this epoch ended, or as they are now. */
  private endOf(asks: boolean): FrozenSide {
    const index = asks ? 1 : 0
    const known = this.end[index]
    if (known !== undefined) return known
    if (this.log === undefined) return this.book.sideNow(asks)
    // The ends of all epochs up to one that has its own are worked out once, from the last backwards.
    const open: Epoch[] = [this]
    let after = this.next!
    while (after.log !== undefined && after.end[index] === undefined) {
      open.push(after)
      after = after.next!
    }
    for (const epoch of open.reverse()) {
      epoch.end[index] = after.sideAt(0, asks, Infinity)
      after = epoch
    }
    return this.end[index]!
  }
}

function nameTextOf({ exchange, symbol, instrument }: OfBook): string {
  return JSON.stringify({ kind: 'snapshot', exchange, symbol, instrument }).slice(0, -1)
}

/** Levels from which changes have been taken back. Once it is given out it does not change. */
export class UndoneSide implements FrozenSide {
  length: number
  private prices: Float64Array
  private sizes: Float64Array
  /** True when there are no levels beyond those that are held. */
  private readonly isWhole: boolean

  constructor(
    from: FrozenSide,
    private readonly asks: boolean,
    n: number,
  ) {
    this.prices = new Float64Array(n)
    this.sizes = new Float64Array(n)
    this.length = from.copyTo(this.prices, this.sizes, n)
    this.isWhole = this.length === from.length
  }

  copyTo(prices: Float64Array, sizes: Float64Array, n: number): number {
    const count = Math.min(n, this.length)
    prices.set(this.prices.subarray(0, count))
    sizes.set(this.sizes.subarray(0, count))
    return count
  }

  /** Shows no more than the best `n`. */
  cut(n: number): void {
    if (this.length > n) this.length = n
  }

  /** Sum of the sizes of the best `n` levels. */
  sizeOf(n: number): number {
    let sum = 0
    for (let index = 0; index < Math.min(n, this.length); index++) sum += this.sizes[index]!
    return sum
  }

  /** Writes price and size of the best level, NaN without one. */
  copyBest(to: Float64Array, at: number): void {
    to[at] = this.length === 0 ? NaN : this.prices[0]!
    to[at + 1] = this.length === 0 ? NaN : this.sizes[0]!
  }

  price(index: number): number {
    return this.prices[index]!
  }

  size(index: number): number {
    return this.sizes[index]!
  }

  /** Takes back what was changed since a position, the latest first. */
  undo(log: Float64Array, position: number): void {
    for (let at = log.length - RECORD; at >= position; at -= RECORD) {
      const price = log[at]!
      if (Number.isNaN(price)) continue // the header of a view
      if (price < 0 === this.asks) this.putBack(Math.abs(price), log[at + BEFORE]!)
    }
  }

  private putBack(price: number, size: number): void {
    const place = this.placeOf(price)
    const isHeld = place < this.length && this.prices[place] === price
    if (isHeld && size !== 0) this.sizes[place] = size
    else if (isHeld) {
      this.prices.copyWithin(place, place + 1, this.length)
      this.sizes.copyWithin(place, place + 1, this.length)
      this.length--
    } else if (size !== 0 && (place < this.length || this.isWhole)) {
      if (this.length === this.prices.length) this.makeRoom()
      this.prices.copyWithin(place + 1, place, this.length)
      this.sizes.copyWithin(place + 1, place, this.length)
      this.prices[place] = price
      this.sizes[place] = size
      this.length++
    }
  }

  /** Place of the first level that is not better than a price. */
  private placeOf(price: number): number {
    let low = 0
    let high = this.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.asks ? this.prices[middle]! < price : this.prices[middle]! > price) low = middle + 1
      else high = middle
    }
    return low
  }

  private makeRoom(): void {
    const [prices, sizes] = [this.prices, this.sizes]
    this.prices = new Float64Array(prices.length * 2 + 8)
    this.sizes = new Float64Array(prices.length * 2 + 8)
    this.prices.set(prices)
    this.sizes.set(sizes)
  }
}
