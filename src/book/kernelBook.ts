/**
 * One book in the kernel's memory: the address of its ladders, the room of its lists, and its log.
 *
 * It holds memory from its first level until it is emptied. Whoever forgets to empty it gives the memory back all the same
 * when the collector finds it.
 */
import { kernel, type Kernel } from '../kernel/kernel'
import {
  ASKS,
  ASKS_DONE,
  BIDS,
  BIDS_DONE,
  BOOK_ASKS,
  BOOK_BIDS,
  BOOK_BYTES,
  BOOK_HEAD_BYTES,
  BOOK_LOG_AT,
  BOOK_LOG_STOP,
  BOOK_PER_PRICE,
  BOOK_POWER,
  BOOK_SLOTS,
  BOOK_SLOTS_LACKED,
  BOOK_SLOT_CAPACITY,
  BOOK_SLOT_NEXT,
  BOOK_CRCS,
  BOOK_UNIT,
  CRCS_BYTES,
  DECIMALS,
  DEPTHS,
  LADDER_BYTES,
  LEVELS_MAX,
  LOG_RECORD_BYTES,
  PLACE_BYTES,
  POWERS_MAX,
  PRICES,
  REST_LEVEL_BYTES,
  SIDE_BEST_PRICE,
  SIDE_BEST_SIZE,
  SIDE_IS_CHANGED,
  SIDE_LADDER,
  SIDE_LADDER_BITS,
  SIDE_LADDER_COUNT,
  SIDE_REST_CAPACITY,
  SIDE_REST_COUNT,
  SIDE_REST_DECIMALS,
  SIDE_REST_SIZES,
  SIDE_REST_TICKS,
  SIDE_SIGN,
  SIZES,
  TICKS_MAX,
  WINDOW,
} from '../kernel/layout'
import type { Level } from '../model/events'
import { Epoch, UndoneSide, type FrozenSide, type LoggedBook, type Story } from './bookLog'
import type { BookViewHead, OfBook } from './bookView'
import { BookPrinter, type Block, type PrinterBlocks } from './bookPrinter'
import { LateBook } from './lateBook'
import { HEADER, RECORD, writeHeader } from './logRecords'

/** Records of a log when a book has its first view, usually, and at most: a small one stays in the processor's cache. */
const LOG_RECORDS_MIN = 64
const LOG_RECORDS = 256
const LOG_RECORDS_MAX = 1_024
/** Changes of a book that should find room in its log, should they all be as large as the one that found none. */
const LOG_CHANGES = 16
const REST_LEVELS_MIN = 256
/** The largest number that the kernel takes for a count. */
const WHOLE_MAX = 2_147_483_647
/** Epochs behind the book that its late one may stand: of what was logged since it keeps all. */
const EPOCHS_KEPT = 16
/** Records after which an epoch ends with the levels as they stand, and for each level: copying them costs little then. */
const CUT_RECORDS = 4_096
const CUT_RECORDS_A_LEVEL = 4
/** Words of a book that are zero when it begins. */
const NOTHING_YET = [BOOK_CRCS, BOOK_SLOTS, BOOK_SLOT_CAPACITY, BOOK_SLOT_NEXT, BOOK_SLOTS_LACKED] as const
/** Words of a side that say where its own things are. */
const SIDE_POINTERS = [
  SIDE_LADDER,
  SIDE_LADDER_BITS,
  SIDE_REST_TICKS,
  SIDE_REST_SIZES,
  SIDE_REST_DECIMALS,
  SIDE_REST_CAPACITY,
] as const
const SIDE_BYTES_OF_BOOK = BOOK_ASKS - BOOK_BIDS
/** The columns of what lies below a ladder, and the bytes of a level in each. */
const REST_COLUMNS = [
  [SIDE_REST_TICKS, 8],
  [SIDE_REST_SIZES, 8],
  [SIDE_REST_DECIMALS, 4],
] as const
/** What is given back when a book is collected without having been emptied. */
interface Held extends PrinterBlocks {
  at: number
  rests: [bids: Block, asks: Block]
  log: Block
  crcs: Block
}

const forgotten = new FinalizationRegistry<Held>((held) => giveBack(held))

export class KernelBook implements LoggedBook {
  private readonly memory: Kernel = kernel()
  private held: Held | undefined
  /** Address; 0 without levels. */
  private at = 0
  private epoch: Epoch | undefined
  private logStart = 0
  private printer: BookPrinter | undefined
  private logRecords = LOG_RECORDS_MIN
  /** Numbers that have been logged since an epoch has ended with levels, without those of the current one. */
  private numbersLogged = 0

  get isEmpty(): boolean {
    return this.at === 0
  }

  /** Its address; 0 without levels. */
  get address(): number {
    return this.at
  }

  /** As `address`, for whoever computes checksums again and again: from the first on the book keeps the CRCs of its levels. */
  get checksumAddress(): number {
    const { held, memory } = this
    if (held !== undefined && held.crcs.at === 0) {
      held.crcs = { at: memory.allocateCrcs(), bytes: CRCS_BYTES }
      const { words } = memory
      words[(this.at + BOOK_CRCS) >> 2] = held.crcs.at
      for (const asks of [false, true]) words[(this.sideOf(asks) + SIDE_IS_CHANGED) >> 2] = 1
    }
    return this.at
  }

  // ── Reading ───────────────────────────────────────────────────────────────────────────────────────────────────────

  length(asks: boolean): number {
    if (this.at === 0) return 0
    const { words } = this.memory
    const side = this.sideOf(asks) >> 2
    return words[side + (SIDE_LADDER_COUNT >> 2)]! + words[side + (SIDE_REST_COUNT >> 2)]!
  }

  /** NaN on an empty side. */
  bestPrice(asks: boolean): number {
    return this.at === 0 ? NaN : this.memory.doubles[(this.sideOf(asks) + SIDE_BEST_PRICE) >> 3]!
  }

  /** NaN on an empty side. */
  bestSize(asks: boolean): number {
    return this.at === 0 ? NaN : this.memory.doubles[(this.sideOf(asks) + SIDE_BEST_SIZE) >> 3]!
  }

  copyDepths(to: Float64Array, at: number, n: number): void {
    const { memory } = this
    if (this.at === 0) to[at] = to[at + 1] = 0
    else {
      memory.code.depths(this.at, Math.min(n, WHOLE_MAX))
      const { doubles } = memory
      to[at] = doubles[DEPTHS >> 3]!
      to[at + 1] = doubles[(DEPTHS + 8) >> 3]!
    }
  }

  /** The best `n` levels, best first. */
  top(asks: boolean, n: number): Level[] {
    const levels: Level[] = []
    this.each(asks, n, (price, size) => levels.push([price, size]))
    return levels
  }

  /** Calls back with each of the best `n` levels, best first. */
  each(asks: boolean, n: number, level: (price: number, size: number, decimals: number) => void): void {
    const total = Math.min(n, this.length(asks))
    const column = (asks ? ASKS : BIDS) >> 3
    for (let done = 0; done < total;) {
      const count = this.memory.code.best(this.at, asks ? 1 : 0, done, Math.min(total - done, LEVELS_MAX))
      const { doubles } = this.memory
      // The columns are the kernel's: what is called back must not make it work.
      for (let index = 0; index < count; index++) {
        level(
          doubles[column + (PRICES >> 3) + index]!,
          doubles[column + (SIZES >> 3) + index]!,
          doubles[column + (DECIMALS >> 3) + index]!,
        )
      }
      done += count
    }
  }

  copyTo(asks: boolean, prices: Float64Array, sizes: Float64Array, n: number): number {
    const total = Math.min(n, this.length(asks))
    const column = (asks ? ASKS : BIDS) >> 3
    for (let done = 0; done < total;) {
      const count = this.memory.code.best(this.at, asks ? 1 : 0, done, Math.min(total - done, LEVELS_MAX))
      const { doubles } = this.memory
      const from = column + (PRICES >> 3)
      prices.set(doubles.subarray(from, from + count), done)
      sizes.set(doubles.subarray(column + (SIZES >> 3), column + (SIZES >> 3) + count), done)
      done += count
    }
    return total
  }

  // ── Changing ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Begins with levels on ticks that all of these prices lie on. The levels themselves are not yet in it.
   *
   * @returns false when there are no such ticks, and nothing was changed
   */
  begin(prices: Float64Array, decimals: Float64Array, bestBid: number, bestAsk: number): boolean {
    const ticks = ticksOf([{ prices, decimals }])
    if (ticks === undefined) return false
    this.beginOn(ticks, bestBid, bestAsk)
    return true
  }

  /**
   * Begins with the levels that lie in the kernel's columns, all with a size.
   *
   * @returns false when they lie on no ticks, and nothing was changed, nor are the columns
   */
  beginScanned(bids: number, asks: number): boolean {
    const sides = [this.columnsNow(false, bids), this.columnsNow(true, asks)] as const
    const ticks = ticksOf(sides)
    if (ticks === undefined) return false
    // Where there was a book its end is read through the columns.
    const waiting = this.isEmpty ? undefined : ([this.taken(false, 0, bids), this.taken(true, 0, asks)] as const)
    const [bidOrder, askOrder] = [orderOf(sides[0].prices, 1), orderOf(sides[1].prices, -1)]
    this.beginOn(ticks, bidOrder.best, askOrder.best)
    if (waiting !== undefined) {
      this.put(false, waiting[0], 0, bids)
      this.put(true, waiting[1], 0, asks)
    }
    // Lists are sorted so that the best is last: each level is put at the end of one instead of at its beginning.
    if (bidOrder.isBestFirst) this.turnColumns(false, bids)
    if (askOrder.isBestFirst) this.turnColumns(true, asks)
    this.update(bids, asks)
    return true
  }

  private beginOn(ticks: Ticks, bestBid: number, bestAsk: number): void {
    this.empty()
    this.take()
    this.setTicks(ticks)
    const { code } = this.memory
    const perPrice = ticks.power / ticks.unit
    // A side without levels begins where the other does: there its first will come.
    const touch = Number.isNaN(bestBid) ? (Number.isNaN(bestAsk) ? 0 : bestAsk) : bestBid
    code.reset(this.at, 0, Math.round(touch * perPrice))
    code.reset(this.at, 1, -Math.round((Number.isNaN(bestAsk) ? touch : bestAsk) * perPrice))
  }

  /**
   * Applies the levels that lie in the kernel's columns.
   *
   * @returns how many of the side's were applied: fewer when the next price lies between ticks
   */
  change(asks: boolean, count: number): number {
    this.makeRoom(asks, count)
    const log = this.epoch === undefined ? 0 : this.roomInLog(asks ? 0 : count, asks ? count : 0)
    const done = this.memory.code.change(this.at, asks ? 1 : 0, 0, count, log)
    if (log !== 0) this.logAt = this.memory.code.logEnd()
    return done
  }

  /**
   * Applies the levels of both sides that lie in the kernel's columns.
   *
   * @returns false when a price lies between ticks: `done` says how many of each side were applied
   */
  update(bids: number, asks: number): boolean {
    const { memory } = this
    const logged = this.epoch !== undefined
    let end = memory.code.update(this.at, bids, asks, logged ? this.logAt : 0, this.logStop, 0)
    if (end === -1) {
      this.makeRoom(false, bids)
      this.makeRoom(true, asks)
      const log = logged ? this.roomInLog(bids, asks) : 0
      end = memory.code.update(this.at, bids, asks, log, this.logStop, 0)
    }
    if (this.epoch !== undefined) this.logAt = end > 0 ? end : memory.code.logEnd()
    return end >= 0
  }

  /** How many levels of a side the last update has applied. */
  done(asks: boolean): number {
    return this.memory.words[(asks ? ASKS_DONE : BIDS_DONE) >> 2]!
  }

  cut(asks: boolean, depth: number): void {
    const surplus = this.length(asks) - depth
    if (surplus <= 0) return
    const log = this.epoch === undefined ? 0 : this.roomInLog(0, 0, surplus)
    this.memory.code.cut(this.at, asks ? 1 : 0, depth, log)
    if (log !== 0) this.logAt = this.memory.code.logEnd()
  }

  /** Lets go of all levels; views keep theirs. */
  empty(): void {
    if (this.epoch !== undefined) this.endEpoch()
    if (this.held === undefined) return
    forgotten.unregister(this)
    giveBack(this.held)
    this.held = undefined
    this.at = 0
    this.logStart = 0
  }

  /** All levels of a side, as columns: for whoever builds the book anew. */
  columns(asks: boolean): Columns {
    const length = this.length(asks)
    const columns = columnsFor(length)
    let index = 0
    this.each(asks, length, (price, size, decimals) => {
      columns.prices[index] = price
      columns.sizes[index] = size
      columns.decimals[index++] = decimals
    })
    return columns
  }

  /** Puts levels where `change` finds them; at most LEVELS_MAX. */
  put(asks: boolean, columns: Columns, from: number, to: number): void {
    const { doubles } = this.memory
    const column = (asks ? ASKS : BIDS) >> 3
    doubles.set(columns.prices.subarray(from, to), column + (PRICES >> 3))
    doubles.set(columns.sizes.subarray(from, to), column + (SIZES >> 3))
    doubles.set(columns.decimals.subarray(from, to), column + (DECIMALS >> 3))
  }

  /** As `put`, of the levels of an event. */
  putLevels(asks: boolean, levels: readonly Level[], decimals: readonly number[]): void {
    const { doubles } = this.memory
    const column = (asks ? ASKS : BIDS) >> 3
    for (let index = 0; index < levels.length; index++) {
      const level = levels[index]!
      doubles[column + (PRICES >> 3) + index] = level[0]
      doubles[column + (SIZES >> 3) + index] = level[1]
      doubles[column + (DECIMALS >> 3) + index] = decimals[index]!
    }
  }

  /** As `put`, of columns that lie one behind the other. */
  putNumbers(asks: boolean, numbers: Float64Array, from: number, count: number): void {
    const { doubles } = this.memory
    const column = (asks ? ASKS : BIDS) >> 3
    for (let index = 0; index < count; index++) {
      doubles[column + (PRICES >> 3) + index] = numbers[from + index]!
      doubles[column + (SIZES >> 3) + index] = numbers[from + count + index]!
      doubles[column + (DECIMALS >> 3) + index] = numbers[from + 2 * count + index]!
    }
  }

  /** What lies in the columns of a side, copied. */
  taken(asks: boolean, from: number, to: number): Columns {
    const { doubles } = this.memory
    const column = (asks ? ASKS : BIDS) >> 3
    const slice = (of: number): Float64Array => doubles.slice(column + (of >> 3) + from, column + (of >> 3) + to)
    return { prices: slice(PRICES), sizes: slice(SIZES), decimals: slice(DECIMALS) }
  }

  /** The kernel's columns themselves, of so many levels: they change with the next scan. */
  private columnsNow(asks: boolean, count: number): Columns {
    const { doubles } = this.memory
    const column = (asks ? ASKS : BIDS) >> 3
    const view = (of: number): Float64Array => doubles.subarray(column + (of >> 3), column + (of >> 3) + count)
    return { prices: view(PRICES), sizes: view(SIZES), decimals: view(DECIMALS) }
  }

  private turnColumns(asks: boolean, count: number): void {
    const { prices, sizes, decimals } = this.columnsNow(asks, count)
    prices.reverse()
    sizes.reverse()
    decimals.reverse()
  }

  // ── Views ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Writes what a view says beside its levels into the log; the view is the position behind it. */
  record(head: BookViewHead): number {
    const { epoch } = this
    if (epoch === undefined || epoch.of.symbol !== head.symbol || epoch.of.exchange !== head.exchange) {
      this.beginEpoch(head)
    } else if (this.logAt + HEADER * 8 > this.logStop) this.continueEpoch(epoch, HEADER / RECORD)
    writeHeader(this.memory.doubles, this.logAt >> 3, head)
    this.logAt += HEADER * 8
    return this.position
  }

  /** The view that was written last. */
  get position(): number {
    return (this.logAt - this.logStart) >> 3
  }

  /** The epoch that `record` has written into. */
  get recorded(): Epoch {
    return this.epoch!
  }

  get writtenLength(): number {
    return this.position
  }

  written(): Float64Array {
    return this.memory.doubles.subarray(this.logStart >> 3, this.logAt >> 3)
  }

  writtenAt(index: number): number {
    return this.memory.doubles[(this.logStart >> 3) + index]!
  }

  sideNow(asks: boolean): FrozenSide {
    return { length: this.length(asks), copyTo: (prices, sizes, n) => this.copyTo(asks, prices, sizes, n) }
  }

  // ── Texts ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  textAt(epoch: Epoch, position: number, depth: number): string | undefined {
    if (epoch.isNow(position)) return this.viewText(epoch, position, depth)
    const { story } = epoch
    const current = this.epoch
    if (current?.story === story) {
      story.readLate = current.number
      if (story.late === undefined && epoch.leadsTo(current)) story.late = new LateBook(this, new KernelBook())
    }
    if (story.late?.moveTo(epoch, position) === true) return story.late.levels.viewText(epoch, position, depth)
    forgetLate(story)
    return undefined
  }

  /** The text of a view of the levels as they are; undefined when it is not one that the kernel writes. */
  viewText(epoch: Epoch, position: number, depth: number): string | undefined {
    this.printer ??= new BookPrinter(this.memory, this.at, this.held!)
    return this.printer.text(epoch, position, Math.min(depth, this.length(false)), Math.min(depth, this.length(true)))
  }

  // ── As another book was ───────────────────────────────────────────────────────────────────────────────────────────

  /** Becomes a copy of another book, without its log and its texts. */
  copy(other: KernelBook): void {
    this.empty()
    this.take()
    const { memory, at } = this
    for (const asks of [false, true]) {
      const from = other.sideOf(asks)
      const side = this.sideOf(asks)
      const capacity = memory.words[(from + SIDE_REST_CAPACITY) >> 2]!
      this.takeRest(asks, capacity)
      const { words } = memory
      const pointers = words.slice(side >> 2, (side + SIDE_SIGN) >> 2)
      memory.bytes.copyWithin(side, from, from + SIDE_BYTES_OF_BOOK)
      for (const pointer of SIDE_POINTERS) words[(side + pointer) >> 2] = pointers[pointer >> 2]!
      const count = words[(side + SIDE_REST_COUNT) >> 2]!
      for (const [pointer, bytes] of REST_COLUMNS) {
        const column = words[(from + pointer) >> 2]!
        memory.bytes.copyWithin(words[(side + pointer) >> 2]!, column, column + count * bytes)
      }
      const ladder = words[(from + SIDE_LADDER) >> 2]!
      memory.bytes.copyWithin(words[(side + SIDE_LADDER) >> 2]!, ladder, ladder + LADDER_BYTES)
    }
    const { doubles } = memory
    for (const tick of [BOOK_UNIT, BOOK_POWER, BOOK_PER_PRICE]) {
      doubles[(at + tick) >> 3] = doubles[(other.at + tick) >> 3]!
    }
    memory.code.forgetTexts(at)
  }

  /**
   * Applies records of a log of the same ticks, which are no more than a log holds: `log[at + which]` is the size that a level has
   * from then on.
   *
   * @param step  numbers from a record to the next; below zero it begins with the last
   * @returns false when one lies between the ticks
   */
  replay(log: Float64Array, from: number, to: number, step: number, which: number): boolean {
    const { doubles } = this.memory
    let bids = 0
    let asks = 0
    for (let at = step > 0 ? from : to + step; at >= from && at < to; at += step) {
      const price = log[at]!
      if (Number.isNaN(price)) continue // the header of a view
      const level = price < 0 ? (ASKS >> 3) + asks++ : (BIDS >> 3) + bids++
      doubles[level + (PRICES >> 3)] = Math.abs(price)
      doubles[level + (SIZES >> 3)] = log[at + which]!
      doubles[level + (DECIMALS >> 3)] = 0
    }
    return this.update(bids, asks)
  }

  private beginEpoch(of: OfBook): void {
    if (this.epoch !== undefined) this.endEpoch()
    if (this.logStart === 0) this.takeLog()
    this.logAt = this.logStart
    // A head may be an event with all its levels: only what is needed of it is kept.
    const { exchange, symbol, instrument } = of
    this.epoch = new Epoch({ exchange, symbol, instrument }, this, { book: this.at, log: this.logStart })
  }

  /**
   * @param records  that have to find room in it
   * @param bids  levels that wait in the columns, likewise `asks`
   */
  private continueEpoch(epoch: Epoch, records: number, bids = 0, asks = 0): void {
    const written = this.written().slice()
    const usual = Math.min(2 * this.logRecords, LOG_RECORDS)
    const wanted = Math.min(LOG_RECORDS_MAX, Math.max(usual, 2 ** Math.ceil(Math.log2(LOG_CHANGES * records))))
    if (wanted > this.logRecords) {
      this.memory.release(this.held!.log.at, this.held!.log.bytes)
      this.logRecords = wanted
      this.takeLog()
    }
    this.logAt = this.logStart
    const place = { book: this.at, log: this.logStart }
    this.epoch = new Epoch(epoch.of, this, place, epoch.story, epoch.number + 1)
    this.numbersLogged += written.length
    if (this.isToBeCut(epoch)) this.endWith(epoch, written, bids, asks)
    else epoch.continueIn(this.epoch, written)
    // Who does not read on must not keep all that was logged since.
    if ((epoch.story.late?.epochNumber ?? epoch.number) < epoch.number - EPOCHS_KEPT) forgetLate(epoch.story)
  }

  /** So much has been logged that copying the levels is little; and nobody follows the log, who would lose the way. */
  private isToBeCut({ story, number }: Epoch): boolean {
    if (story.late !== undefined || number - story.readLate <= EPOCHS_KEPT) return false
    const levels = this.length(false) + this.length(true)
    return this.numbersLogged >= RECORD * Math.max(CUT_RECORDS, CUT_RECORDS_A_LEVEL * levels)
  }

  private endEpoch(bids = 0, asks = 0): void {
    this.epoch!.story.late?.end()
    this.endWith(this.epoch!, this.written().slice(), bids, asks)
    this.epoch = undefined
    this.logAt = 0
  }

  /** @param bids  levels that wait in the columns, through which those of now are read; likewise `asks` */
  private endWith(epoch: Epoch, written: Float64Array, bids: number, asks: number): void {
    const waiting = [this.taken(false, 0, bids), this.taken(true, 0, asks)] as const
    const frozen = (side: boolean): FrozenSide => new UndoneSide(this.sideNow(side), side, this.length(side))
    epoch.endWith(frozen(false), frozen(true), written)
    this.put(false, waiting[0], 0, bids)
    this.put(true, waiting[1], 0, asks)
    this.numbersLogged = 0
  }

  /**
   * Where the log may take as many records as there are levels in the columns (or to be cut); 0 when it never can, and so
   * the epoch has ended.
   */
  private roomInLog(bids: number, asks: number, records = bids + asks): number {
    const bytes = records * LOG_RECORD_BYTES
    if (records <= LOG_RECORDS_MAX >> 1) {
      while (this.logAt + bytes > this.logStop) this.continueEpoch(this.epoch!, records, bids, asks)
      return this.logAt
    }
    this.endEpoch(bids, asks)
    return 0
  }

  // ── Memory ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Where the log goes on: known to the kernel, which writes it too. 0 without an epoch. */
  private get logAt(): number {
    return this.memory.words[(this.at + BOOK_LOG_AT) >> 2]!
  }

  private set logAt(at: number) {
    this.memory.words[(this.at + BOOK_LOG_AT) >> 2] = at
  }

  private get logStop(): number {
    return this.memory.words[(this.at + BOOK_LOG_STOP) >> 2]!
  }

  private set logStop(at: number) {
    this.memory.words[(this.at + BOOK_LOG_STOP) >> 2] = at
  }

  private sideOf(asks: boolean): number {
    return this.at + (asks ? BOOK_ASKS : BOOK_BIDS)
  }

  private take(): void {
    const { memory } = this
    this.at = memory.allocate(BOOK_BYTES)
    this.logAt = this.logStop = 0
    const none = (): Block => ({ at: 0, bytes: 0 })
    this.held = { at: this.at, rests: [none(), none()], log: none(), crcs: none(), slots: none(), name: none() }
    this.printer = undefined
    for (const word of NOTHING_YET) memory.words[(this.at + word) >> 2] = 0
    forgotten.register(this, this.held, this)
    for (const asks of [false, true]) {
      const side = this.sideOf(asks) >> 2
      const ladder = this.at + BOOK_HEAD_BYTES + (asks ? LADDER_BYTES : 0)
      const { words } = memory
      words[side + (SIDE_LADDER >> 2)] = ladder
      words[side + (SIDE_LADDER_BITS >> 2)] = ladder + WINDOW * PLACE_BYTES
      words[side + (SIDE_REST_COUNT >> 2)] = 0
      words[side + (SIDE_REST_CAPACITY >> 2)] = 0
      this.takeRest(asks, REST_LEVELS_MIN)
    }
  }

  /** The list of a side must have room for its ladder, should that move, and for what comes. */
  private makeRoom(asks: boolean, more: number): void {
    const { words } = this.memory
    const side = this.sideOf(asks) >> 2
    const needed = words[side + (SIDE_LADDER_COUNT >> 2)]! + words[side + (SIDE_REST_COUNT >> 2)]! + more
    if (needed > words[side + (SIDE_REST_CAPACITY >> 2)]!) this.takeRest(asks, needed)
  }

  private takeRest(asks: boolean, needed: number): void {
    const { memory } = this
    const side = this.sideOf(asks) >> 2
    const before = memory.words[side + (SIDE_REST_CAPACITY >> 2)]!
    const capacity = Math.max(before * 2, 2 ** Math.ceil(Math.log2(needed)))
    const bytes = capacity * REST_LEVEL_BYTES
    const at = memory.allocate(bytes)
    const count = memory.words[side + (SIDE_REST_COUNT >> 2)]!
    const block = this.held!.rests[asks ? 1 : 0]
    if (block.at !== 0) {
      memory.bytes.copyWithin(at, block.at, block.at + count * 8)
      const [sizes, decimals] = [block.at + before * 8, block.at + before * 16]
      memory.bytes.copyWithin(at + capacity * 8, sizes, sizes + count * 8)
      memory.bytes.copyWithin(at + capacity * 16, decimals, decimals + count * 4)
      memory.release(block.at, block.bytes)
    }
    block.at = at
    block.bytes = bytes
    memory.words[side + (SIDE_REST_TICKS >> 2)] = at
    memory.words[side + (SIDE_REST_SIZES >> 2)] = at + capacity * 8
    memory.words[side + (SIDE_REST_DECIMALS >> 2)] = at + capacity * 16
    memory.words[side + (SIDE_REST_CAPACITY >> 2)] = capacity
  }

  private takeLog(): void {
    const bytes = this.logRecords * LOG_RECORD_BYTES
    this.logStart = this.memory.allocate(bytes)
    this.logAt = this.logStart
    this.logStop = this.logStart + bytes
    this.held!.log = { at: this.logStart, bytes }
  }

  private setTicks({ unit, power }: Ticks): void {
    const { doubles } = this.memory
    doubles[(this.at + BOOK_UNIT) >> 3] = unit
    doubles[(this.at + BOOK_POWER) >> 3] = power
    doubles[(this.at + BOOK_PER_PRICE) >> 3] = power / unit
  }
}

/** Levels as columns; decimals are `priceDecimals * 128 + sizeDecimals`. */
export interface Columns {
  readonly prices: Float64Array
  readonly sizes: Float64Array
  readonly decimals: Float64Array
}

export function columnsFor(length: number): Columns {
  return {
    prices: new Float64Array(length),
    sizes: new Float64Array(length),
    decimals: new Float64Array(length),
  }
}

export function columnsOf(levels: readonly Level[], decimals: readonly number[]): Columns {
  const columns = columnsFor(levels.length)
  for (let index = 0; index < levels.length; index++) {
    columns.prices[index] = levels[index]![0]
    columns.sizes[index] = levels[index]![1]
    columns.decimals[index] = decimals[index]!
  }
  return columns
}

export function joined(a: Columns, b: Columns): Columns {
  const join = (one: Float64Array, other: Float64Array): Float64Array => {
    const both = new Float64Array(one.length + other.length)
    both.set(one)
    both.set(other, one.length)
    return both
  }
  return {
    prices: join(a.prices, b.prices),
    sizes: join(a.sizes, b.sizes),
    decimals: join(a.decimals, b.decimals),
  }
}

/** A tick is `unit / power`. */
interface Ticks {
  readonly unit: number
  readonly power: number
}

/** The coarsest tick that all prices are whole numbers of; undefined when their digits are too many. */
function ticksOf(sides: readonly Pick<Columns, 'prices' | 'decimals'>[]): Ticks | undefined {
  // Zeros at the end of a text say nothing of the tick: the decimals that are needed, not those that were sent.
  let places = 0
  for (const { prices, decimals } of sides) {
    for (let index = 0; index < prices.length; index++) {
      if (isWhole(prices[index]!, places)) continue
      const most = Math.min(POWERS_MAX, Math.floor(decimals[index]! / 128))
      while (places < most && !isWhole(prices[index]!, places)) places++
    }
  }
  const power = POWERS_OF_TEN[places]!
  let unit = 0
  for (const { prices } of sides) {
    for (let index = 0; index < prices.length; index++) {
      const price = prices[index]!
      const whole = Math.round(price * power)
      if (!(whole <= TICKS_MAX) || whole / power !== price) return undefined
      if (unit === 1 || whole % unit === 0) continue
      for (let rest = whole; rest !== 0;) [unit, rest] = [rest, unit % rest]
    }
  }
  return { unit: unit === 0 ? 1 : unit, power }
}

const POWERS_OF_TEN = Float64Array.from({ length: POWERS_MAX + 1 }, (_, places) => 10 ** places)

/** True when a price needs no more decimals. */
function isWhole(price: number, places: number): boolean {
  const power = POWERS_OF_TEN[places]!
  return Math.round(price * power) / power === price
}

/** The best of a list of prices, NaN without one, and whether it begins with it and goes on in order; `sign` is 1 where higher is better. */
function orderOf(prices: Float64Array, sign: 1 | -1): { readonly best: number; readonly isBestFirst: boolean } {
  let best = NaN
  let last = sign * Infinity
  let isBestFirst = true
  for (let index = 0; index < prices.length; index++) {
    const price = prices[index]!
    if (!((last - price) * sign > 0)) isBestFirst = false
    if (!((price - best) * sign <= 0)) best = price
    last = price
  }
  return { best, isBestFirst }
}

function forgetLate(story: Story): void {
  story.late?.empty()
  story.late = undefined
}

function giveBack({ at, rests, ...blocks }: Held): void {
  const memory = kernel()
  memory.release(at, BOOK_BYTES)
  for (const block of [...rests, blocks.log, blocks.crcs, blocks.slots, blocks.name]) {
    if (block.at !== 0) memory.release(block.at, block.bytes)
  }
}
