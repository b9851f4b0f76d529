/**
 * A level-2 order book: price-aggregated levels, best first, with the digits of the wire kept.
 *
 * Its levels lie in the kernel (`kernelBook.ts`), by ticks that the prices themselves tell: the coarsest that all of them are
 * whole numbers of, made finer when a price falls between. A book whose prices are no such numbers (more than fifteen digits)
 * is kept in plain lists until its next snapshot (`plainSide.ts`). Sizes may be any doubles; the texts of those that no double
 * holds are kept beside the levels.
 *
 * A view costs a few words (`bookLog.ts`) and never changes under its reader.
 */
import { printDecimal } from '../model/decimal'
import { PackedDelta } from '../model/codec/packedDelta'
import type { BookChange, Level, LevelDigits, LevelText } from '../model/events'
import { LEVELS_MAX } from '../kernel/layout'
import { Epoch, type LoggedBook } from './bookLog'
import type { BookViewHead } from './bookView'
import { columnsFor, columnsOf, joined, KernelBook, type Columns } from './kernelBook'
import { HEADER, writeHeader } from './logRecords'
import { PlainSide } from './plainSide'

type Change = Pick<BookChange, 'bids' | 'asks' | 'bidDigits' | 'askDigits' | 'depth'>

export class Level2Book {
  readonly bids: BookSide
  readonly asks: BookSide
  /** Where the levels are, unless they are in plain lists. */
  readonly levels = new KernelBook()
  /** The epoch of the last view, where that had to freeze plain lists. */
  private frozen: Epoch | undefined
  private plain: { readonly bids: PlainSide; readonly asks: PlainSide } | undefined
  /** Texts of the few levels that doubles cannot hold exactly, by price. */
  private readonly bidTexts = new Map<number, LevelText>()
  private readonly askTexts = new Map<number, LevelText>()

  constructor() {
    this.bids = new BookSide(this.levels, false, this.bidTexts, () => this.plain?.bids)
    this.asks = new BookSide(this.levels, true, this.askTexts, () => this.plain?.asks)
  }

  /** Replaces the book. */
  snapshot(change: Change): void {
    this.clear()
    if (!this.beginWith(change)) this.delta(change)
    else if (change.depth !== undefined) this.cut(change.depth)
  }

  /** Begins an empty book with exact numbers, as they are; false when they are none, and the book is empty then. */
  private beginWith({ bids, asks, bidDigits, askDigits }: Change): boolean {
    if (bids.length + asks.length === 0 || !isExact(bids, bidDigits) || !isExact(asks, askDigits)) return false
    const { levels } = this
    const all = columnsFor(bids.length + asks.length)
    const bidSide = fill(all, 0, bids, bidDigits.decimals)
    const askSide = fill(all, bids.length, asks, askDigits.decimals)
    if (!levels.begin(all.prices, all.decimals, bestOf(bidSide, 1), bestOf(askSide, -1))) return false
    levels.put(false, worstFirst(bidSide, 1), 0, bids.length)
    levels.put(true, worstFirst(askSide, -1), 0, asks.length)
    if (levels.update(bids.length, asks.length)) return true
    this.clear()
    return false
  }

  /** Changes levels in the order given: size 0 removes, and the removal of a level that is not held is normal. */
  delta(change: Change): void {
    const { levels } = this
    if (change instanceof PackedDelta) {
      this.packed(change)
      return
    }
    const { bids, asks, bidDigits, askDigits } = change
    if (this.isExact && isExact(bids, bidDigits) && isExact(asks, askDigits)) {
      levels.putLevels(false, bids, bidDigits.decimals)
      levels.putLevels(true, asks, askDigits.decimals)
      this.update(bids.length, asks.length)
    } else this.applyInPieces(change)
    if (change.depth !== undefined) this.cut(change.depth)
  }

  /** Its numbers are exact, as all that were scanned. */
  private packed(delta: PackedDelta): void {
    const [bids, asks] = [delta.count(false), delta.count(true)]
    if (this.isExact && bids <= LEVELS_MAX && asks <= LEVELS_MAX) {
      this.levels.putNumbers(false, delta.numbers, delta.columnsAt(false), bids)
      this.levels.putNumbers(true, delta.numbers, delta.columnsAt(true), asks)
      this.update(bids, asks)
    } else this.applyInPieces(delta)
    if (delta.depth !== undefined) this.cut(delta.depth)
  }

  private applyInPieces(change: Change): void {
    if (this.plain === undefined) {
      const bids = columnsOf(change.bids, change.bidDigits.decimals)
      const asks = columnsOf(change.asks, change.askDigits.decimals)
      this.keepTexts(this.bidTexts, change.bids, change.bidDigits)
      this.keepTexts(this.askTexts, change.asks, change.askDigits)
      this.apply(bids, asks)
      if (this.isPlain) this.forgetTexts() // plain lists have taken them
    } else {
      this.plain.bids.change(change.bids, change.bidDigits)
      this.plain.asks.change(change.asks, change.askDigits)
    }
  }

  /** Applies the levels that a scan has left in the kernel's columns: a delta of exact numbers. */
  scanned(bids: number, asks: number, depth: number | undefined): void {
    if (this.isExact) this.update(bids, asks)
    else this.takeScanned(0, bids, 0, asks)
    if (depth !== undefined) this.cut(depth)
  }

  /**
   * Replaces the book by the levels that a scan has left in the kernel's columns.
   *
   * @returns false when they need plain lists, and nothing was changed
   */
  scannedSnapshot(bids: number, asks: number, depth: number | undefined): boolean {
    if (bids + asks === 0 || !this.levels.beginScanned(bids, asks)) return false
    this.plain = undefined
    this.forgetTexts()
    if (depth !== undefined) this.cut(depth)
    return true
  }

  /** The rest of levels that a scan has left in the columns, of which an update has applied the first (`KernelBook.done`). */
  scannedRest(bids: number, asks: number, depth: number | undefined): void {
    this.takeScanned(this.levels.done(false), bids, this.levels.done(true), asks)
    if (depth !== undefined) this.cut(depth)
  }

  /** True when all levels are in the kernel, and none has a text beside it. */
  private get isExact(): boolean {
    return this.plain === undefined && !this.levels.isEmpty && this.bidTexts.size === 0 && this.askTexts.size === 0
  }

  /** Applies what lies in the columns of a book that is exact. */
  private update(bids: number, asks: number): void {
    const { levels } = this
    if (!levels.update(bids, asks)) this.scannedRest(bids, asks, undefined)
  }

  /** Drops levels beyond the `depth` best of each side: an exchange that sends a fixed depth never removes them itself. */
  cut(depth: number): void {
    if (this.plain !== undefined) {
      this.plain.bids.cut(depth)
      this.plain.asks.cut(depth)
    } else if (!this.levels.isEmpty) {
      this.levels.cut(false, depth)
      this.levels.cut(true, depth)
      if (this.bidTexts.size > 0) this.forgetUnheld(false, this.bidTexts)
      if (this.askTexts.size > 0) this.forgetUnheld(true, this.askTexts)
    }
  }

  clear(): void {
    this.levels.empty()
    this.plain = undefined
    this.forgetTexts()
  }

  /** True when the best bid is at or above the best ask. */
  get crossed(): boolean {
    return this.bids.bestPrice >= this.asks.bestPrice
  }

  /** The address of its levels in the kernel, where all of them are exact numbers; 0 otherwise. */
  get address(): number {
    return this.bidTexts.size > 0 || this.askTexts.size > 0 ? 0 : this.levels.address
  }

  /** As `address`, for checksums. */
  get checksumAddress(): number {
    return this.address === 0 ? 0 : this.levels.checksumAddress
  }

  /** Records what a view of this moment says beside its levels; it reads them at this position of the epoch `recorded`. */
  record(head: BookViewHead): number {
    if (this.plain === undefined && !this.levels.isEmpty) {
      this.frozen = undefined
      return this.levels.record(head)
    }
    const [bids, asks] = [this.plain?.bids ?? new PlainSide(-1), this.plain?.asks ?? new PlainSide(1)]
    const header = new Float64Array(HEADER)
    writeHeader(header, 0, head)
    const { exchange, symbol, instrument } = head
    this.frozen = new Epoch({ exchange, symbol, instrument }, NO_LOG)
    this.frozen.endWith(bids.share(), asks.share(), header)
    return HEADER
  }

  /** The epoch that `record` has written into. */
  get recorded(): Epoch {
    return this.frozen ?? this.levels.recorded
  }

  private get isPlain(): boolean {
    return this.plain !== undefined
  }

  private apply(bids: Columns, asks: Columns): void {
    if (bids.prices.length + asks.prices.length === 0) return
    if (this.plain === undefined && this.levels.isEmpty) {
      if (!this.begin(joined(bids, asks), bids, asks)) this.toPlain()
      this.applySide(false, worstFirst(bids, 1))
      this.applySide(true, worstFirst(asks, -1))
      return
    }
    this.applySide(false, bids)
    this.applySide(true, asks)
  }

  private applySide(asks: boolean, columns: Columns): void {
    const length = columns.prices.length
    for (let at = 0; at < length;) {
      if (this.plain !== undefined) {
        const { levels, digits } = levelsOf(columns, at, asks ? this.askTexts : this.bidTexts)
        const side = asks ? this.plain.asks : this.plain.bids
        side.change(levels, digits)
        return
      }
      const end = Math.min(length, at + LEVELS_MAX)
      this.levels.put(asks, columns, at, end)
      at += this.levels.change(asks, end - at)
      if (at < end && !this.refine(columns)) this.toPlain()
    }
  }

  /** Takes the scanned levels out of the columns and applies them one by one. */
  private takeScanned(bidsFrom: number, bidsTo: number, asksFrom: number, asksTo: number): void {
    const bids = this.levels.taken(false, bidsFrom, bidsTo)
    const asks = this.levels.taken(true, asksFrom, asksTo)
    for (const price of bids.prices) this.bidTexts.delete(price)
    for (const price of asks.prices) this.askTexts.delete(price)
    this.apply(bids, asks)
  }

  private begin(all: Columns, bids: Columns, asks: Columns): boolean {
    return this.levels.begin(all.prices, all.decimals, bestOf(bids, 1), bestOf(asks, -1))
  }

  /** Builds the book anew on ticks that these prices lie on too; false when there are none. */
  private refine(more: Columns): boolean {
    const bids = this.levels.columns(false)
    const asks = this.levels.columns(true)
    if (!this.begin(joined(joined(bids, asks), more), bids, asks)) return false
    this.applySide(false, worstFirst(bids, 1))
    this.applySide(true, worstFirst(asks, -1))
    return true
  }

  /** Texts of levels that were cut off would stay for ever. */
  private forgetUnheld(asks: boolean, texts: Map<number, LevelText>): void {
    const held = new Set<number>()
    this.levels.each(asks, Infinity, (price) => held.add(price))
    for (const price of texts.keys()) if (!held.has(price)) texts.delete(price)
  }

  private forgetTexts(): void {
    if (this.bidTexts.size > 0) this.bidTexts.clear()
    if (this.askTexts.size > 0) this.askTexts.clear()
  }

  private toPlain(): void {
    const plain = { bids: new PlainSide(-1), asks: new PlainSide(1) }
    for (const asks of [false, true]) {
      const { levels, digits } = levelsOf(this.levels.columns(asks), 0, asks ? this.askTexts : this.bidTexts)
      const side = asks ? plain.asks : plain.bids
      side.change(levels, digits)
    }
    this.levels.empty()
    this.plain = plain
  }

  private keepTexts(known: Map<number, LevelText>, levels: readonly Level[], { texts }: LevelDigits): void {
    if (known.size === 0 && texts === undefined) return
    for (let index = 0; index < levels.length; index++) {
      const [price, size] = levels[index]!
      const text = texts?.get(index)
      if (text === undefined || size === 0) known.delete(price)
      else known.set(price, text)
    }
  }
}

/** One side of a book, for reading. */
export class BookSide {
  constructor(
    private readonly levels: KernelBook,
    private readonly asks: boolean,
    private readonly exactTexts: ReadonlyMap<number, LevelText>,
    private readonly plain: () => PlainSide | undefined,
  ) {}

  get length(): number {
    return this.plain()?.length ?? this.levels.length(this.asks)
  }

  /** NaN on an empty side. */
  get bestPrice(): number {
    return this.plain()?.bestPrice ?? this.levels.bestPrice(this.asks)
  }

  /** NaN on an empty side. */
  get bestSize(): number {
    return this.plain()?.bestSize ?? this.levels.bestSize(this.asks)
  }

  /** The best `n` levels, best first. */
  top(n: number): Level[] {
    const plain = this.plain()
    return plain === undefined ? this.levels.top(this.asks, n) : plain.top(n)
  }

  /** The best `n` levels with the digits of the wire, best first. */
  texts(n: number): LevelText[] {
    const plain = this.plain()
    if (plain !== undefined) return plain.texts(n)
    const texts: LevelText[] = []
    this.levels.each(this.asks, n, (price, size, decimals) =>
      texts.push(
        this.exactTexts.get(price) ?? [
          printDecimal(price, Math.floor(decimals / 128)),
          printDecimal(size, decimals % 128),
        ],
      ),
    )
    return texts
  }
}

/** Writes levels into columns from a place on; returns that part of them. */
function fill(all: Columns, from: number, levels: readonly Level[], decimals: readonly number[]): Columns {
  const to = from + levels.length
  const prices = all.prices.subarray(from, to)
  const sizes = all.sizes.subarray(from, to)
  for (let index = 0; index < levels.length; index++) {
    const level = levels[index]!
    prices[index] = level[0]
    sizes[index] = level[1]
    all.decimals[from + index] = decimals[index]!
  }
  return { prices, sizes, decimals: all.decimals.subarray(from, to) }
}

/** Plain lists are frozen as a whole for each view: they have no log. */
const NO_LOG: LoggedBook = {
  written: () => new Float64Array(0),
  writtenLength: 0,
  writtenAt: () => NaN,
  sideNow: () => new PlainSide(1).share(),
  length: () => 0,
  top: () => [],
  copyDepths: (to, at) => void to.fill(0, at, at + 2),
  textAt: () => undefined,
}

/** True of levels that the kernel takes as they are. */
function isExact(levels: readonly Level[], { texts }: LevelDigits): boolean {
  return levels.length <= LEVELS_MAX && (texts === undefined || texts.size === 0)
}

/**
 * Levels that come best first, as snapshots do, the other way round: lists are sorted so that the best is last, and each level
 * is then put at the end of one instead of at its beginning. Others stay in their order, in which later ones of a price win.
 */
function worstFirst(columns: Columns, sign: 1 | -1): Columns {
  const { prices, sizes, decimals } = columns
  for (let index = 1; index < prices.length; index++) {
    if (!((prices[index - 1]! - prices[index]!) * sign > 0)) return columns
  }
  return { prices: prices.toReversed(), sizes: sizes.toReversed(), decimals: decimals.toReversed() }
}

/** The best price of levels that are there; `sign` is 1 where higher is better. NaN without one. */
function bestOf({ prices, sizes }: Columns, sign: 1 | -1): number {
  let best = NaN
  for (let index = 0; index < prices.length; index++) {
    if (sizes[index] !== 0 && !((prices[index]! - best) * sign <= 0)) best = prices[index]!
  }
  return best
}

function levelsOf(
  { prices, sizes, decimals }: Columns,
  from: number,
  known: ReadonlyMap<number, LevelText>,
): { levels: Level[]; digits: LevelDigits } {
  const levels: Level[] = []
  const texts = new Map<number, LevelText>()
  for (let index = from; index < prices.length; index++) {
    const text = known.get(prices[index]!)
    if (text !== undefined) texts.set(levels.length, text)
    levels.push([prices[index]!, sizes[index]!])
  }
  return { levels, digits: { decimals: [...decimals.subarray(from)], texts } }
}
