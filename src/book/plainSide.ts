/**
 * One side of a book that takes any number there is: what a book falls back to when its prices are no whole ticks of fifteen
 * digits, and what the kernel's books are tested against.
 *
 * Levels lie in chunks of up to 64 in typed arrays, with the digits of the wire. A view takes the list of chunks, not the
 * levels: a chunk is copied when it is changed while a view may still look at it.
 */
import { printDecimal } from '../model/decimal'
import type { Level, LevelDigits, LevelText } from '../model/events'
import type { FrozenSide } from './bookLog'

/** Levels per chunk: large enough that a thousand levels are some twenty chunks, small enough that copying one is cheap. */
const CHUNK = 64

/** A chunk holds three columns in one array: prices, sizes, digits. */
type Chunk = Float64Array
const PRICE = 0
const SIZE = CHUNK
const DIGITS = 2 * CHUNK

/** One side of a book. `direction` is 1 for asks (lowest price first) and -1 for bids (highest first). */
export class PlainSide {
  private chunks: Chunk[] = []
  private counts: number[] = []
  /** Chunks that a view may still look at. */
  private shared: boolean[] = []
  private total = 0
  /** Texts of the few levels that doubles cannot hold exactly, by price. */
  private exactTexts = new Map<number, LevelText>()

  constructor(private readonly direction: 1 | -1) {}

  get length(): number {
    return this.total
  }

  /** NaN on an empty side. */
  get bestPrice(): number {
    return this.total === 0 ? NaN : this.chunks[0]![PRICE]!
  }

  /** NaN on an empty side. */
  get bestSize(): number {
    return this.total === 0 ? NaN : this.chunks[0]![SIZE]!
  }

  clear(): void {
    this.chunks = []
    this.counts = []
    this.shared = []
    this.total = 0
    if (this.exactTexts.size > 0) this.exactTexts = new Map()
  }

  load(levels: readonly Level[], digits: LevelDigits): void {
    this.clear()
    if (!this.isSorted(levels)) {
      this.change(levels, digits)
      return
    }
    for (let start = 0; start < levels.length; start += CHUNK - 16) {
      const count = Math.min(CHUNK - 16, levels.length - start)
      const chunk = new Float64Array(3 * CHUNK)
      for (let offset = 0; offset < count; offset++) {
        const level = levels[start + offset]!
        chunk[PRICE + offset] = level[0]
        chunk[SIZE + offset] = level[1]
        chunk[DIGITS + offset] = digits.decimals[start + offset]!
      }
      this.chunks.push(chunk)
      this.counts.push(count)
      this.shared.push(false)
    }
    this.total = levels.length
    if (digits.texts !== undefined)
      for (const [index, text] of digits.texts) this.exactTexts.set(levels[index]![0], text)
  }

  change(levels: readonly Level[], digits: LevelDigits): void {
    for (let index = 0; index < levels.length; index++) {
      const level = levels[index]!
      const text = digits.texts?.get(index)
      if (this.exactTexts.size > 0) this.exactTexts.delete(level[0])
      if (level[1] === 0) this.remove(level[0])
      else {
        this.set(level[0], level[1], digits.decimals[index]!)
        if (text !== undefined) this.exactTexts.set(level[0], text)
      }
    }
  }

  cut(depth: number): void {
    while (this.total > depth) {
      const last = this.chunks.length - 1
      const count = this.counts[last]!
      const surplus = Math.min(count, this.total - depth)
      if (this.exactTexts.size > 0) {
        for (let offset = count - surplus; offset < count; offset++) {
          this.exactTexts.delete(this.chunks[last]![PRICE + offset]!)
        }
      }
      if (surplus === count) this.dropChunk(last)
      else {
        // Views hold their own counts, so shortening a chunk changes nothing they see.
        this.counts[last] = count - surplus
      }
      this.total -= surplus
    }
  }

  /** The best `n` levels, best first. */
  top(n: number): Level[] {
    return readLevels(this.chunks, this.counts, n)
  }

  /** The best `n` levels with the digits of the wire, best first. */
  texts(n: number): LevelText[] {
    const result: LevelText[] = []
    for (let at = 0; at < this.chunks.length && result.length < n; at++) {
      const chunk = this.chunks[at]!
      for (let offset = 0; offset < this.counts[at]! && result.length < n; offset++) {
        const price = chunk[PRICE + offset]!
        const decimals = chunk[DIGITS + offset]!
        result.push(
          this.exactTexts.get(price) ?? [
            printDecimal(price, Math.floor(decimals / 128)),
            printDecimal(chunk[SIZE + offset]!, decimals % 128),
          ],
        )
      }
    }
    return result
  }

  /** Hands out the levels as they are now. From here on a chunk is copied before it is changed. */
  share(): SharedSide {
    this.shared.fill(true)
    return new SharedSide(this.chunks.slice(), this.counts.slice(), this.total)
  }

  private isSorted(levels: readonly Level[]): boolean {
    for (let index = 0; index < levels.length; index++) {
      if (levels[index]![1] === 0) return false
      if (index > 0 && (levels[index]![0] - levels[index - 1]![0]) * this.direction <= 0) return false
    }
    return true
  }

  private set(price: number, size: number, digits: number): void {
    if (this.chunks.length === 0) {
      const chunk = new Float64Array(3 * CHUNK)
      chunk[PRICE] = price
      chunk[SIZE] = size
      chunk[DIGITS] = digits
      this.chunks.push(chunk)
      this.counts.push(1)
      this.shared.push(false)
      this.total = 1
      return
    }
    let at = this.chunkOf(price)
    if (at === this.chunks.length) at--
    let offset = this.offsetIn(at, price)
    if (offset < this.counts[at]! && this.chunks[at]![PRICE + offset] === price) {
      const chunk = this.own(at)
      chunk[SIZE + offset] = size
      chunk[DIGITS + offset] = digits
      return
    }
    if (this.counts[at] === CHUNK) {
      this.split(at)
      if (offset > CHUNK / 2) {
        at++
        offset -= CHUNK / 2
      }
    }
    const chunk = this.own(at)
    const count = this.counts[at]!
    for (let column = 0; column < 3 * CHUNK; column += CHUNK) {
      chunk.copyWithin(column + offset + 1, column + offset, column + count)
    }
    chunk[PRICE + offset] = price
    chunk[SIZE + offset] = size
    chunk[DIGITS + offset] = digits
    this.counts[at] = count + 1
    this.total++
  }

  private remove(price: number): void {
    const at = this.chunkOf(price)
    if (at === this.chunks.length) return
    const offset = this.offsetIn(at, price)
    const count = this.counts[at]!
    if (offset === count || this.chunks[at]![PRICE + offset] !== price) return
    this.total--
    if (count === 1) {
      this.dropChunk(at)
      return
    }
    const chunk = this.own(at)
    for (let column = 0; column < 3 * CHUNK; column += CHUNK) {
      chunk.copyWithin(column + offset, column + offset + 1, column + count)
    }
    this.counts[at] = count - 1
  }

  /** Index of the first chunk whose worst price is not better than `price`: most changes are found in the first. */
  private chunkOf(price: number): number {
    const { chunks, counts, direction } = this
    let low = 0
    while (low < chunks.length && low < 4) {
      if ((chunks[low]![PRICE + counts[low]! - 1]! - price) * direction >= 0) return low
      low++
    }
    let high = chunks.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((chunks[middle]![PRICE + counts[middle]! - 1]! - price) * direction >= 0) high = middle
      else low = middle + 1
    }
    return low
  }

  /** Offset of the first level of the chunk that is not better than `price`. */
  private offsetIn(at: number, price: number): number {
    const chunk = this.chunks[at]!
    const direction = this.direction
    let low = 0
    let high = this.counts[at]!
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((chunk[PRICE + middle]! - price) * direction >= 0) high = middle
      else low = middle + 1
    }
    return low
  }

  private own(at: number): Chunk {
    if (this.shared[at]) {
      this.chunks[at] = this.chunks[at]!.slice()
      this.shared[at] = false
    }
    return this.chunks[at]!
  }

  private split(at: number): void {
    const half = CHUNK / 2
    const left = this.chunks[at]!
    const right = new Float64Array(3 * CHUNK)
    for (let column = 0; column < 3 * CHUNK; column += CHUNK)
      right.set(left.subarray(column + half, column + CHUNK), column)
    // The left half keeps its array: shortening it is a matter of its count, which views hold themselves.
    this.chunks.splice(at + 1, 0, right)
    this.counts.splice(at, 1, half, half)
    this.shared.splice(at + 1, 0, false)
  }

  private dropChunk(at: number): void {
    this.chunks.splice(at, 1)
    this.counts.splice(at, 1)
    this.shared.splice(at, 1)
  }
}

/** One side as it was when it was shared. */
export class SharedSide implements FrozenSide {
  constructor(
    private readonly chunks: readonly Chunk[],
    private readonly counts: readonly number[],
    readonly length: number,
  ) {}

  /** Copies the best `n` levels into columns, best first; returns how many there were. */
  copyTo(prices: Float64Array, sizes: Float64Array, n: number): number {
    let done = 0
    for (let at = 0; at < this.chunks.length && done < n; at++) {
      const count = Math.min(n - done, this.counts[at]!)
      prices.set(this.chunks[at]!.subarray(PRICE, PRICE + count), done)
      sizes.set(this.chunks[at]!.subarray(SIZE, SIZE + count), done)
      done += count
    }
    return done
  }
}

function readLevels(chunks: readonly Chunk[], counts: readonly number[], n: number): Level[] {
  const levels: Level[] = []
  for (let at = 0; at < chunks.length && levels.length < n; at++) {
    const chunk = chunks[at]!
    for (let offset = 0; offset < counts[at]! && levels.length < n; offset++) {
      levels.push([chunk[PRICE + offset]!, chunk[SIZE + offset]!])
    }
  }
  return levels
}
