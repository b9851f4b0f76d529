/**
 * Merging market events that wait, so that a slow reader gets the latest state and no wrong book.
 *
 * Of a book the last size of each price wins, and the chain is preserved: the merged delta extends what the older one
 * extended and ends where the newer one ends. A snapshot replaces whatever waited before it. Of a ticker, derivative or
 * candle the newer one wins, field by field where it only says what changed. Trades, liquidations and notices are facts of
 * their own and are never merged.
 */
import { PackedDelta } from '../model/codec/packedDelta'
import type { BookChange, Derivative, Level, LevelDigits, LevelText, MarketEvent } from '../model/events'

/** The batch that has the effect of both; it may be shorter than the two together. */
export function conflateEvents(older: readonly MarketEvent[], newer: readonly MarketEvent[]): MarketEvent[] {
  const merged: (MarketEvent | undefined)[] = [...older]
  /** Where the last mergeable event of each kind and instrument stands. */
  const places = new Map<string, number>()
  for (let index = 0; index < merged.length; index++) place(places, merged[index]!, index)
  for (const event of newer) {
    const key = keyOf(event)
    const at = key === undefined ? undefined : places.get(key)
    const before = at === undefined ? undefined : merged[at]
    if (before === undefined) {
      merged.push(event)
      place(places, event, merged.length - 1)
      continue
    }
    merged[at!] = mergeTwo(before, event)
  }
  return merged.filter((event) => event !== undefined)
}

function place(places: Map<string, number>, event: MarketEvent, index: number): void {
  if (event.kind === 'notice') {
    // Nothing is merged across a notice: state downstream changes in order with it.
    if (event.symbol === '') places.clear()
    else places.delete(`book ${event.exchange} ${event.instrument ?? event.symbol}`)
    return
  }
  const key = keyOf(event)
  if (key !== undefined) places.set(key, index)
}

function keyOf(event: MarketEvent): string | undefined {
  const owner = `${event.exchange} ${event.instrument ?? event.symbol}`
  switch (event.kind) {
    case 'snapshot':
    case 'delta':
      return `book ${owner}`
    case 'ticker':
    case 'derivative':
      return `${event.kind} ${owner}`
    case 'candle':
      return `candle ${owner} ${event.intervalUs} ${event.openTimeUs}`
    case 'trade':
    case 'liquidation':
    case 'notice':
      return undefined
  }
}

function mergeTwo(older: MarketEvent, newer: MarketEvent): MarketEvent {
  if (newer.kind === 'delta' && (older.kind === 'delta' || older.kind === 'snapshot'))
    return mergeBookChanges(older, newer)
  if (newer.kind === 'derivative' && older.kind === 'derivative') return mergeDerivatives(older, newer)
  return newer
}

/** The change that has the effect of `older` followed by the delta `newer`. */
export function mergeBookChanges(older: BookChange, newer: BookChange): BookChange {
  if (newer instanceof PackedDelta) return mergeBookChanges(older, newer.plain())
  if (older instanceof PackedDelta) return mergeBookChanges(older.plain(), newer)
  const whole = older.kind === 'snapshot'
  const bids = mergeSide(older.bids, older.bidDigits, newer.bids, newer.bidDigits, whole)
  const asks = mergeSide(older.asks, older.askDigits, newer.asks, newer.askDigits, whole)
  return {
    ...newer,
    kind: older.kind,
    bids: bids.levels,
    asks: asks.levels,
    prevSeq: older.prevSeq,
    firstSeq: older.firstSeq,
    bidDigits: bids.digits,
    askDigits: asks.digits,
  }
}

function mergeSide(
  older: readonly Level[],
  olderDigits: LevelDigits,
  newer: readonly Level[],
  newerDigits: LevelDigits,
  whole: boolean,
): { levels: Level[]; digits: LevelDigits } {
  const byPrice = new Map<number, { level: Level; decimals: number; text: LevelText | undefined }>()
  const take = (levels: readonly Level[], digits: LevelDigits): void => {
    for (let index = 0; index < levels.length; index++) {
      const level = levels[index]!
      if (whole && level[1] === 0) byPrice.delete(level[0])
      else byPrice.set(level[0], { level, decimals: digits.decimals[index] ?? 0, text: digits.texts?.get(index) })
    }
  }
  take(older, olderDigits)
  take(newer, newerDigits)
  const levels: Level[] = []
  const decimals: number[] = []
  let texts: Map<number, LevelText> | undefined
  for (const entry of byPrice.values()) {
    if (entry.text !== undefined) (texts ??= new Map()).set(levels.length, entry.text)
    levels.push(entry.level)
    decimals.push(entry.decimals)
  }
  return { levels, digits: { decimals, texts } }
}

function mergeDerivatives(older: Derivative, newer: Derivative): Derivative {
  return {
    ...newer,
    markPrice: newer.markPrice ?? older.markPrice,
    indexPrice: newer.indexPrice ?? older.indexPrice,
    fundingRate: newer.fundingRate ?? older.fundingRate,
    nextFundingTimeUs: newer.nextFundingTimeUs ?? older.nextFundingTimeUs,
    openInterest: newer.openInterest ?? older.openInterest,
  }
}
