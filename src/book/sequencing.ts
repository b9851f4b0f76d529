/**
 * How updates of a book chain, and how a snapshot joins them: the families of rules by which exchanges do it, each named
 * and documented once. An exchange's description names its rule; nothing else in the engine knows sequence numbers.
 *
 * In events the numbers have one form: `seq` is the book's number after the change, `prevSeq` the number it extends,
 * `firstSeq` the first number of the range it covers.
 */

import { CHAIN_LINK, CHAIN_NONE, CHAIN_RANGE, CHAIN_STEP } from '../kernel/layout'

/**
 * The numbers of one change. `undefined` and NaN both mean that the exchange did not say: objects of the first kind are
 * events, of the second the one that a guard uses again and again.
 */
export interface ChainNumbers {
  readonly seq: number | undefined
  readonly prevSeq: number | undefined
  readonly firstSeq: number | undefined
}

/**
 * apply   the delta extends the book
 * stale   the book already contains it: drop it
 * gap     something between the book and the delta is missing: the book can no longer vouch for itself
 */
export type Verdict = 'apply' | 'stale' | 'gap'

export interface SequencingRule {
  readonly name: 'range' | 'linkedRest' | 'linked' | 'step' | 'none'
  /** One line for people: how a book of this family is verified. */
  readonly meaning: string
  /** `next` as the kernel follows it, where the frame has the numbers for it. */
  readonly chain: number
  /** Where snapshots come from: the stream itself, or a REST answer that must be spliced into the stream. */
  readonly snapshot: 'stream' | 'rest'
  /** True where deltas carry numbers that are compared: without them the checked counter stays still. */
  numbered(delta: ChainNumbers): boolean
  /** The first delta after a snapshot whose number is `seq`. */
  join(delta: ChainNumbers, seq: number | undefined): Verdict
  /** Every further delta; `seq` and `prevSeq` are those of the delta before it. */
  next(delta: ChainNumbers, seq: number | undefined, prevSeq: number | undefined): Verdict
}

/**
 * Ranges after a REST snapshot (Binance spot): a delta covers `firstSeq..seq`.
 *
 * Join  drop `seq` <= snapshot; the first that remains must satisfy `firstSeq` <= snapshot + 1 <= `seq`
 * Next  `firstSeq` == previous `seq` + 1; a delta that ends at or before the book's number is ignored
 */
export const rangeAfterSnapshot: SequencingRule = {
  name: 'range',
  chain: CHAIN_RANGE,
  meaning: 'REST snapshot; each delta starts one after the previous one ended',
  snapshot: 'rest',
  numbered: (delta) => isSaid(delta.seq),
  join(delta, seq) {
    if (!isSaid(seq) || !isSaid(delta.seq) || !isSaid(delta.firstSeq)) return 'gap'
    if (delta.seq <= seq) return 'stale'
    return delta.firstSeq <= seq + 1 ? 'apply' : 'gap'
  },
  next(delta, seq) {
    if (!isSaid(seq) || !isSaid(delta.seq) || !isSaid(delta.firstSeq)) return 'gap'
    if (delta.seq <= seq) return 'stale'
    return delta.firstSeq === seq + 1 ? 'apply' : 'gap'
  },
}

/**
 * Links after a REST snapshot (Binance USD-M futures): ids are shared by all symbols, so only `prevSeq` chains.
 *
 * Join  drop `seq` < snapshot; the first that remains must satisfy `firstSeq` <= snapshot <= `seq`, or `prevSeq` == snapshot
 * Next  `prevSeq` == previous `seq`
 */
export const linkedAfterSnapshot: SequencingRule = {
  name: 'linkedRest',
  chain: CHAIN_LINK,
  meaning: 'REST snapshot; each delta names the one before it',
  snapshot: 'rest',
  numbered: (delta) => isSaid(delta.prevSeq),
  join(delta, seq) {
    if (!isSaid(seq) || !isSaid(delta.seq) || !isSaid(delta.firstSeq)) return 'gap'
    if (delta.seq < seq) return 'stale'
    return delta.firstSeq <= seq || delta.prevSeq === seq ? 'apply' : 'gap'
  },
  next: linked,
}

/**
 * Links in the stream (OKX): snapshot in-stream, then each delta names the one before it. A `seq` below `prevSeq` is a
 * restart of the numbering by maintenance and is applied; `seq` == `prevSeq` is a keep-alive. Deltas without numbers
 * (before late 2022) are applied unchecked.
 */
export const linkedInStream: SequencingRule = {
  name: 'linked',
  chain: CHAIN_LINK,
  meaning: 'snapshot in-stream; each delta names the one before it',
  snapshot: 'stream',
  numbered: (delta) => isSaid(delta.prevSeq),
  join: (delta, seq) => linked(delta, seq, undefined),
  next: linked,
}

/** Steps of one in the stream (Bybit): `seq` == previous `seq` + 1, which the decoder writes as `prevSeq` = `seq` - 1. */
export const stepOfOne: SequencingRule = {
  name: 'step',
  chain: CHAIN_STEP,
  meaning: 'snapshot in-stream; numbers rise by one',
  snapshot: 'stream',
  numbered: (delta) => isSaid(delta.prevSeq),
  join: (delta, seq) => linked(delta, seq, undefined),
  next: linked,
}

/** No numbers (Kraken, Coinbase Exchange): snapshot in-stream, integrity by checksum or not at all. */
export const unnumbered: SequencingRule = {
  name: 'none',
  chain: CHAIN_NONE,
  meaning: 'snapshot in-stream; no numbers',
  snapshot: 'stream',
  numbered: () => false,
  join: () => 'apply',
  next: () => 'apply',
}

function linked(delta: ChainNumbers, seq: number | undefined, prevSeq: number | undefined): Verdict {
  if (!isSaid(delta.prevSeq) || delta.prevSeq === seq) return 'apply'
  // The very delta that was applied last, sent again: the book already contains it.
  if (delta.seq === seq && isSaid(prevSeq) && delta.prevSeq === prevSeq) return 'stale'
  return 'gap'
}

function isSaid(number: number | undefined): number is number {
  return number !== undefined && !Number.isNaN(number)
}
