/**
 * Book mathematics: what quants ask of a book at one moment. Pure functions over a view; nothing is kept.
 *
 * A question that the book cannot answer (an empty side, not enough depth) is answered by `undefined`, never by 0 or NaN.
 * Prices are in quote units, sizes in the instrument's size unit, notionals in their product, `bps` in 1/10,000.
 */
import type { BookView } from './bookView'

/**
 * The distance from the best bid to the best ask.
 *
 * @returns  quote units; negative on a crossed book; undefined when a side is empty
 *
 * Cost      O(1)
 */
export function spread(view: BookView): number | undefined {
  const bid = view.bestBid()
  const ask = view.bestAsk()
  return bid === undefined || ask === undefined ? undefined : ask.price - bid.price
}

/**
 * The spread in relation to the mid, so that instruments can be compared.
 *
 * @returns  basis points of the mid; negative on a crossed book; undefined when a side is empty
 *
 * Cost      O(1)
 */
export function spreadBps(view: BookView): number | undefined {
  const wide = spread(view)
  const middle = mid(view)
  return wide === undefined || middle === undefined ? undefined : bpsOf(wide, middle)
}

/**
 * Halfway between the best bid and the best ask.
 *
 * @returns  quote units; undefined when a side is empty
 *
 * Cost      O(1), no allocation
 */
export function mid(view: BookView): number | undefined {
  const middle = view.mid
  return Number.isNaN(middle) ? undefined : middle
}

/**
 * The mid drawn towards the side that is thinner at the touch: where the next trade is more likely to move the price.
 * With I = bidSize / (bidSize + askSize) it is I × ask + (1 − I) × bid.
 *
 * @returns  quote units, between best bid and best ask; undefined when a side is empty
 *
 * Cost      O(1)
 * Source    Cartea, Jaimungal & Penalva (2015), Algorithmic and High-Frequency Trading, chapter 3. Stoikov's (2018) micro-price
 *           corrects this value by a function that is fitted to history; a single book cannot give it.
 */
export function microprice(view: BookView): number | undefined {
  const bid = view.bestBid()
  const ask = view.bestAsk()
  if (bid === undefined || ask === undefined) return undefined
  return (bid.price * ask.size + ask.price * bid.size) / (bid.size + ask.size)
}

/**
 * The microprice of a deeper book: each side stands for its average price and its whole size over the best levels.
 * With one level it is the microprice.
 *
 * @param levels  levels a side, at least 1; fewer where the book has fewer
 * @returns       quote units; undefined when a side is empty
 *
 * Cost           O(levels), no allocation per level
 */
export function weightedMid(view: BookView, levels: number): number | undefined {
  const bidCount = read(view, 'bids', levels)
  const bidDepth = sum(columns.sizes, bidCount)
  const bidNotional = sumOfProducts(columns, bidCount)
  const askCount = read(view, 'asks', levels)
  const askDepth = sum(columns.sizes, askCount)
  const askNotional = sumOfProducts(columns, askCount)
  if (bidCount === 0 || askCount === 0) return undefined
  return ((bidNotional / bidDepth) * askDepth + (askNotional / askDepth) * bidDepth) / (bidDepth + askDepth)
}

/**
 * Which side waits with more: (bids − asks) / (bids + asks), over the sizes of the best levels.
 *
 * @param levels  levels a side, at least 1
 * @returns       −1 (only asks) to 1 (only bids); undefined when both sides are empty
 *
 * Cost           O(levels), no allocation per level
 * Source         Cao, Hansch & Wang (2009), The information content of an open limit-order book, J. Futures Markets 29(1)
 */
export function imbalance(view: BookView, levels: number): number | undefined {
  const [bids, asks] = view.depthOf(levels)
  return imbalanceOf(bids, asks)
}

/** The imbalance of two depths; undefined when both are nothing. */
export function imbalanceOf(bidDepth: number, askDepth: number): number | undefined {
  const total = bidDepth + askDepth
  return total > 0 ? (bidDepth - askDepth) / total : undefined
}

/**
 * What waits in the best levels.
 *
 * @param levels  levels a side, at least 1
 * @returns       sizes, `[bids, asks]`; 0 on an empty side
 *
 * Cost           O(levels), no allocation per level
 */
export function depth(view: BookView, levels: number): readonly [bids: number, asks: number] {
  return view.depthOf(levels)
}

/**
 * What waits within a distance from the mid, both ends included.
 *
 * @param bps  basis points of the mid, > 0
 * @returns    notionals (price × size), `[bids, asks]`; undefined when a side is empty, because then there is no mid
 *
 * Cost        O(levels within the distance), no allocation per level
 */
export function depthWithin(view: BookView, bps: number): readonly [bids: number, asks: number] | undefined {
  const middle = mid(view)
  if (middle === undefined) return undefined
  const distance = (middle * bps) / 10_000
  return [notionalTo(view, 'bids', middle - distance), notionalTo(view, 'asks', middle + distance)]
}

/**
 * The average price at which a market order of a size would be filled by the book as it stands.
 *
 * @param side  the order's: `buy` takes asks, `sell` takes bids
 * @param size  in the instrument's size unit, > 0
 * @returns     quote units; undefined when the book (or the depth that the view shows) does not hold that much
 *
 * Cost         O(levels taken), no allocation per level
 */
export function vwapToSize(view: BookView, side: 'buy' | 'sell', size: number): number | undefined {
  if (!(size > 0)) return undefined
  let left = size
  let paid = 0
  const enough = walk(view, side === 'buy' ? 'asks' : 'bids', (price, waiting) => {
    const taken = Math.min(left, waiting)
    paid += taken * price
    left -= taken
    return left > 0
  })
  return enough ? paid / size : undefined
}

/** `part` in basis points of `whole`; undefined where the whole is not a positive price. */
export function bpsOf(part: number, whole: number): number | undefined {
  return whole > 0 ? (part / whole) * 10_000 : undefined
}

function notionalTo(view: BookView, side: 'bids' | 'asks', lastPrice: number): number {
  let notional = 0
  walk(view, side, (price, size) => {
    if (side === 'bids' ? price < lastPrice : price > lastPrice) return false
    notional += price * size
    return true
  })
  return notional
}

interface Columns {
  prices: Float64Array
  sizes: Float64Array
}

/** Room for the levels that a function looks at; each fills it anew, and none returns while it still needs another's. */
const columns: Columns = { prices: new Float64Array(64), sizes: new Float64Array(64) }

/** Copies the best `n` levels of a side into the columns; returns how many there were. */
function read(view: BookView, side: 'bids' | 'asks', n: number): number {
  const [bids, asks] = view.levels()
  const count = Math.min(n, side === 'bids' ? bids : asks)
  if (count > columns.prices.length) {
    columns.prices = new Float64Array(2 ** Math.ceil(Math.log2(count)))
    columns.sizes = new Float64Array(columns.prices.length)
  }
  return view.copySide(side, columns.prices, columns.sizes, count)
}

/**
 * Goes through a side, best level first, until `visit` says that it has seen enough; false when the side ended before.
 * Most questions are answered near the touch, so it reads a few levels first, and then twice as many each time.
 */
function walk(view: BookView, side: 'bids' | 'asks', visit: (price: number, size: number) => boolean): boolean {
  let visited = 0
  for (let n = 32; ; n *= 2) {
    const count = read(view, side, n)
    const { prices, sizes } = columns
    for (; visited < count; visited++) if (!visit(prices[visited]!, sizes[visited]!)) return true
    if (count < n) return false
  }
}

function sum(values: Float64Array, count: number): number {
  let total = 0
  for (let index = 0; index < count; index++) total += values[index]!
  return total
}

function sumOfProducts({ prices, sizes }: Columns, count: number): number {
  let total = 0
  for (let index = 0; index < count; index++) total += prices[index]! * sizes[index]!
  return total
}
