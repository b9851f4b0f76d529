/**
 * A book as a careful team would write it by hand: prices and sizes of a side in sorted typed arrays, found by binary
 * search. What a book costs when `JSON.parse` is all that stands before it.
 */
export class SortedBook {
  readonly bids = new SortedSide(-1)
  readonly asks = new SortedSide(1)
}

/** The best level comes last, where most changes are. */
export class SortedSide {
  length = 0
  private keys = new Float64Array(4_096)
  private sizes = new Float64Array(4_096)

  /** @param sign  1 when the lowest price is the best, -1 when the highest is */
  constructor(private readonly sign: 1 | -1) {}

  get best(): number {
    return -this.sign * this.keys[this.length - 1]!
  }

  /** A size of 0 removes the level. */
  set(price: number, size: number): void {
    const key = -this.sign * price
    let low = 0
    for (let high = this.length; low < high;) {
      const middle = (low + high) >> 1
      if (this.keys[middle]! < key) low = middle + 1
      else high = middle
    }
    const isThere = low < this.length && this.keys[low] === key
    if (size === 0) {
      if (!isThere) return
      this.keys.copyWithin(low, low + 1, this.length)
      this.sizes.copyWithin(low, low + 1, this.length)
      this.length--
      return
    }
    if (!isThere) {
      if (this.length === this.keys.length) this.grow()
      this.keys.copyWithin(low + 1, low, this.length)
      this.sizes.copyWithin(low + 1, low, this.length)
      this.keys[low] = key
      this.length++
    }
    this.sizes[low] = size
  }

  private grow(): void {
    const { keys, sizes } = this
    this.keys = new Float64Array(keys.length * 2)
    this.sizes = new Float64Array(keys.length * 2)
    this.keys.set(keys)
    this.sizes.set(sizes)
  }
}
