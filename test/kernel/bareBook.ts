/**
 * A book of one kernel, with its memory laid out by hand: so that both languages of the kernel can be held to the same books.
 */
import type { Kernel } from '../../src/kernel/kernel'
import {
  ASKS,
  BIDS,
  BOOK_ASKS,
  BOOK_BIDS,
  BOOK_BYTES,
  BOOK_CRCS,
  BOOK_HEAD_BYTES,
  BOOK_LOG_AT,
  BOOK_LOG_STOP,
  BOOK_PER_PRICE,
  BOOK_POWER,
  BOOK_UNIT,
  CRCS_BYTES,
  DECIMALS,
  LADDER_BYTES,
  LOG_RECORD_BYTES,
  PLACE_BYTES,
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
  SIZES,
  WINDOW,
} from '../../src/kernel/layout'

export type BareLevel = readonly [price: number, size: number, decimals: number]

export class BareBook {
  readonly at: number
  private readonly log: number

  /** @param touch  in ticks of `unit / power` */
  constructor(
    private readonly kernel: Kernel,
    unit: number,
    power: number,
    touch: number,
    capacity = 4_096,
  ) {
    this.at = kernel.allocate(BOOK_BYTES)
    this.log = kernel.allocate(capacity * LOG_RECORD_BYTES)
    kernel.bytes.fill(0, this.at, this.at + BOOK_BYTES)
    for (const asks of [false, true]) {
      const rest = kernel.allocate(capacity * REST_LEVEL_BYTES)
      const side = this.sideOf(asks) >> 2
      const ladder = this.at + BOOK_HEAD_BYTES + (asks ? LADDER_BYTES : 0)
      kernel.words[side + (SIDE_LADDER >> 2)] = ladder
      kernel.words[side + (SIDE_LADDER_BITS >> 2)] = ladder + WINDOW * PLACE_BYTES
      kernel.words[side + (SIDE_REST_TICKS >> 2)] = rest
      kernel.words[side + (SIDE_REST_SIZES >> 2)] = rest + capacity * 8
      kernel.words[side + (SIDE_REST_DECIMALS >> 2)] = rest + capacity * 16
      kernel.words[side + (SIDE_REST_CAPACITY >> 2)] = capacity
    }
    kernel.doubles[(this.at + BOOK_UNIT) >> 3] = unit
    kernel.doubles[(this.at + BOOK_POWER) >> 3] = power
    kernel.doubles[(this.at + BOOK_PER_PRICE) >> 3] = power / unit
    const crcs = kernel.allocateCrcs()
    kernel.words[(this.at + BOOK_CRCS) >> 2] = crcs
    kernel.code.reset(this.at, 0, touch)
    kernel.code.reset(this.at, 1, -touch - 1)
  }

  /** Changes a side, and gives what the log says of it: price (negative for asks), size before and after, in turn. */
  change(asks: boolean, levels: readonly BareLevel[]): { done: number; log: number[] } {
    this.put(asks, levels)
    const done = this.kernel.code.change(this.at, asks ? 1 : 0, 0, levels.length, this.log)
    return { done, log: this.logged() }
  }

  cut(asks: boolean, depth: number): number[] {
    this.kernel.code.cut(this.at, asks ? 1 : 0, depth, this.log)
    return this.logged()
  }

  best(asks: boolean, skip: number, atMost: number): BareLevel[] {
    const count = this.kernel.code.best(this.at, asks ? 1 : 0, skip, atMost)
    const { doubles } = this.kernel
    const column = (asks ? ASKS : BIDS) >> 3
    return Array.from({ length: count }, (_, index) => [
      doubles[column + (PRICES >> 3) + index]!,
      doubles[column + (SIZES >> 3) + index]!,
      doubles[column + (DECIMALS >> 3) + index]!,
    ])
  }

  /** NaN and NaN on an empty side. */
  top(asks: boolean): [price: number, size: number] {
    const side = this.sideOf(asks)
    return [this.kernel.doubles[(side + SIDE_BEST_PRICE) >> 3]!, this.kernel.doubles[(side + SIDE_BEST_SIZE) >> 3]!]
  }

  length(asks: boolean): number {
    const side = this.sideOf(asks) >> 2
    return this.kernel.words[side + (SIDE_LADDER_COUNT >> 2)]! + this.kernel.words[side + (SIDE_REST_COUNT >> 2)]!
  }

  private put(asks: boolean, levels: readonly BareLevel[]): void {
    const { doubles } = this.kernel
    const column = (asks ? ASKS : BIDS) >> 3
    for (const [index, [price, size, decimals]] of levels.entries()) {
      doubles[column + (PRICES >> 3) + index] = price
      doubles[column + (SIZES >> 3) + index] = size
      doubles[column + (DECIMALS >> 3) + index] = decimals
    }
  }

  /** Lets the kernel write the book's log by itself, with room for so many records. */
  keepLog(records: number): void {
    this.kernel.words[(this.at + BOOK_LOG_AT) >> 2] = this.log
    this.kernel.words[(this.at + BOOK_LOG_STOP) >> 2] = this.log + records * LOG_RECORD_BYTES
  }

  /** What the kernel has written of it. */
  get keptLog(): number[] {
    return [...this.kernel.doubles.subarray(this.log >> 3, this.kernel.words[(this.at + BOOK_LOG_AT) >> 2]! >> 3)]
  }

  /** Checksums know nothing of the last any more. */
  forgetCrcs(): void {
    const crcs = this.kernel.words[(this.at + BOOK_CRCS) >> 2]!
    this.kernel.bytes.fill(0, crcs, crcs + CRCS_BYTES)
    for (const asks of [false, true]) this.kernel.words[(this.sideOf(asks) + SIDE_IS_CHANGED) >> 2] = 1
  }

  private logged(): number[] {
    return [...this.kernel.doubles.subarray(this.log >> 3, this.kernel.code.logEnd() >> 3)]
  }

  private sideOf(asks: boolean): number {
    return this.at + (asks ? BOOK_ASKS : BOOK_BIDS)
  }
}
