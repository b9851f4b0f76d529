/** Levels of simulated books as the texts that most exchanges send: `["price","size"]`. */
import type { BookSide, LevelChanges } from './bookSide'
import { fixed, trimmed } from './digits'
import type { Listing } from './listing'
import type { BookTruth } from './simulatedExchange'

export function priceText(listing: Listing, tick: number): string {
  return fixed(tick, listing.priceDecimals, listing.priceTextDecimals)
}

export function sizeText(listing: Listing, lots: number): string {
  return fixed(lots, listing.sizeDecimals, listing.sizeTextDecimals)
}

/** Turnover (a sum of tick x lot) in quote units, rounded to `decimals`. */
export function turnoverText(listing: Listing, turnover: number, decimals: number): string {
  return (turnover * listing.tickSize * listing.lotSize).toFixed(decimals)
}

/** Changed levels, comma-separated, in the order of the changes. */
export function changedLevels(listing: Listing, side: BookSide, changes: LevelChanges): string {
  let text = ''
  for (let index = 0; index < changes.count; index++) {
    if (index > 0) text += ','
    text += pair(listing, changes.keys[index]! * side.sign, changes.lots[index]!)
  }
  return text
}

/** The best `depth` levels, comma-separated, best first. */
export function bestLevels(listing: Listing, side: BookSide, depth: number): string {
  let text = ''
  const last = Math.max(0, side.size - depth)
  for (let index = side.size - 1; index >= last; index--) {
    if (text !== '') text += ','
    text += pair(listing, side.keys[index]! * side.sign, side.lots[index]!)
  }
  return text
}

function pair(listing: Listing, tick: number, lots: number): string {
  return `["${priceText(listing, tick)}","${sizeText(listing, lots)}"]`
}

/** The best `depth` levels as texts. */
export function truthOf(
  listing: Listing,
  bids: BookSide,
  asks: BookSide,
  depth: number,
  price = priceText,
  size = sizeText,
): BookTruth {
  const side = (levels: BookSide): [string, string][] => {
    const pairs: [string, string][] = []
    for (let index = levels.size - 1; index >= Math.max(0, levels.size - depth); index--) {
      pairs.push([price(listing, levels.keys[index]! * levels.sign), size(listing, levels.lots[index]!)])
    }
    return pairs
  }
  return { bids: side(bids), asks: side(asks) }
}

export function trimmedPrice(listing: Listing, tick: number): string {
  return trimmed(tick, listing.priceDecimals)
}

export function trimmedSize(listing: Listing, lots: number): string {
  return trimmed(lots, listing.sizeDecimals)
}
