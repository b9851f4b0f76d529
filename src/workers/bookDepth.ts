/**
 * The full depth of a book, sorted and added up: the work that is too long for the event loop when books are deep or
 * many. Pure; it runs on whichever thread asks.
 *
 * Units  prices in quote units, sizes in the instrument's size unit, notional in their product
 */

/** Both sides of a book as columns, in any order; entry i of a side's two columns is one level. */
export interface BookSides {
  readonly bidPrices: Float64Array
  readonly bidSizes: Float64Array
  readonly askPrices: Float64Array
  readonly askSizes: Float64Array
  /** Width of a price bucket, in quote units, > 0; without it there are no buckets. */
  readonly bucketSize?: number | undefined
}

/** One side, best level first. The first four columns have an entry for each level, the last three for each bucket. */
export interface SideDepth {
  readonly prices: Float64Array
  readonly sizes: Float64Array
  /** Size, and price × size, of this level and all better ones. */
  readonly cumulativeSizes: Float64Array
  readonly cumulativeNotional: Float64Array
  /**
   * The bucket's price that is farther from the touch: a bid of 99.7 belongs to bucket 99 of width 1, an ask of 100.2 to
   * bucket 101, so that whoever pays the bucket's price gets all of it.
   */
  readonly bucketPrices: Float64Array
  readonly bucketSizes: Float64Array
  readonly bucketNotional: Float64Array
}

export interface BookDepth {
  readonly bids: SideDepth
  readonly asks: SideDepth
  /** Levels that were none and were left out: a price that is not a number, a size that is not above 0. */
  readonly ignored: number
}

/** Sorts both sides fully and adds them up. Levels of one price keep the order they came in. Inputs are not changed. */
export function bookDepth({ bidPrices, bidSizes, askPrices, askSizes, bucketSize }: BookSides): BookDepth {
  const bids = sortedSide(bidPrices, bidSizes, true)
  const asks = sortedSide(askPrices, askSizes, false)
  return {
    bids: sideDepth(bids, bucketSize, true),
    asks: sideDepth(asks, bucketSize, false),
    ignored: bidPrices.length - bids.prices.length + askPrices.length - asks.prices.length,
  }
}

interface Side {
  readonly prices: Float64Array
  readonly sizes: Float64Array
}

/**
 * The prices are sorted by themselves, by the engine's own sort without a comparator, and each size then looks up where
 * its price went: half again as fast as sorting pairs through a callback, and without an object for each level.
 */
function sortedSide(prices: Float64Array, sizes: Float64Array, descending: boolean): Side {
  const kept = realLevels(prices, sizes)
  if (isSorted(kept.prices, descending)) return kept
  const count = kept.prices.length
  const ascending = kept.prices.slice().sort()
  const taken = new Uint32Array(count) // by the first index of a price: how many levels of that price have found a place
  const sorted: Side = { prices: new Float64Array(count), sizes: new Float64Array(count) }
  for (let index = 0; index < count; index++) {
    const price = kept.prices[index]!
    const first = descending ? count - 1 - lastIndexOf(ascending, price) : firstIndexOf(ascending, price)
    const place = first + taken[first]!++
    sorted.prices[place] = price
    sorted.sizes[place] = kept.sizes[index]!
  }
  return sorted
}

function realLevels(prices: Float64Array, sizes: Float64Array): Side {
  const count = prices.length
  const kept: Side = { prices: new Float64Array(count), sizes: new Float64Array(count) }
  let length = 0
  for (let index = 0; index < count; index++) {
    const size = sizes[index]!
    if (!Number.isFinite(prices[index]!) || !(size > 0 && size < Infinity)) continue
    kept.prices[length] = prices[index]! + 0 // -0 would not be found where the sort put it
    kept.sizes[length++] = size
  }
  return { prices: kept.prices.subarray(0, length), sizes: kept.sizes.subarray(0, length) }
}

function isSorted(prices: Float64Array, descending: boolean): boolean {
  for (let index = 1; index < prices.length; index++) {
    if (descending ? prices[index]! > prices[index - 1]! : prices[index]! < prices[index - 1]!) return false
  }
  return true
}

function firstIndexOf(ascending: Float64Array, price: number): number {
  let low = 0
  let high = ascending.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (ascending[middle]! < price) low = middle + 1
    else high = middle
  }
  return low
}

function lastIndexOf(ascending: Float64Array, price: number): number {
  let low = 0
  let high = ascending.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (ascending[middle]! <= price) low = middle + 1
    else high = middle
  }
  return low - 1
}

function sideDepth({ prices, sizes }: Side, bucketSize: number | undefined, bids: boolean): SideDepth {
  const count = prices.length
  const cumulativeSizes = new Float64Array(count)
  const cumulativeNotional = new Float64Array(count)
  const bucketed = bucketSize !== undefined && bucketSize > 0 && Number.isFinite(bucketSize)
  const buckets = bucketed ? count : 0
  const bucketPrices = new Float64Array(buckets)
  const bucketSizes = new Float64Array(buckets)
  const bucketNotional = new Float64Array(buckets)
  let size = 0
  let notional = 0
  let last = -1
  let lastBucket = Number.NaN
  for (let index = 0; index < count; index++) {
    const levelNotional = prices[index]! * sizes[index]!
    cumulativeSizes[index] = size += sizes[index]!
    cumulativeNotional[index] = notional += levelNotional
    if (!bucketed) continue
    const bucket = bucketOf(prices[index]!, bucketSize, bids)
    if (bucket !== lastBucket) {
      lastBucket = bucket
      bucketPrices[++last] = multiple(bucket, bucketSize)
    }
    bucketSizes[last]! += sizes[index]!
    bucketNotional[last]! += levelNotional
  }
  return {
    prices,
    sizes,
    cumulativeSizes,
    cumulativeNotional,
    bucketPrices: bucketPrices.subarray(0, last + 1),
    bucketSizes: bucketSizes.subarray(0, last + 1),
    bucketNotional: bucketNotional.subarray(0, last + 1),
  }
}

/** A price on the border of a bucket belongs to it, also when the quotient of the two doubles misses by their last digit. */
function bucketOf(price: number, bucketSize: number, bids: boolean): number {
  const quotient = price / bucketSize
  const nearest = Math.round(quotient)
  if (Math.abs(quotient - nearest) <= Math.abs(quotient) * 4 * Number.EPSILON) return nearest
  return bids ? Math.floor(quotient) : Math.ceil(quotient)
}

/** `count × step` as the nearest double to the decimal that is meant: 3 × 0.1 is 0.3. Text is the last, slow resort. */
function multiple(count: number, step: number): number {
  if (Number.isInteger(step)) return count * step
  const perOne = Math.round(1 / step)
  return perOne >= 1 && Math.abs(perOne * step - 1) < 1e-12 ? count / perOne : Number((count * step).toPrecision(15))
}
