/**
 * A side of a book as teams write it: a `Map` of levels by price, and both sides sorted into new lists for whoever reads them.
 */

/** A level as Binance sends it. */
export type WireLevel = readonly [price: string, size: string]

export interface SortedLevel {
  readonly price: number
  readonly size: number
}

export function sideOf(levels: readonly WireLevel[]): Map<string, number> {
  return new Map(levels.map(([price, size]) => [price, Number(size)]))
}

export function apply(side: Map<string, number>, levels: readonly WireLevel[]): void {
  for (const [price, size] of levels) {
    if (Number(size) === 0) side.delete(price)
    else side.set(price, Number(size))
  }
}

/** @param sign  1 lowest first, -1 highest first */
export function sorted(side: ReadonlyMap<string, number>, sign: 1 | -1): SortedLevel[] {
  return [...side].map(([price, size]) => ({ price: Number(price), size })).sort((a, b) => sign * (a.price - b.price))
}
