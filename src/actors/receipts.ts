/**
 * What is missing at an edge, and where: kept so that it can be told in the place of what was dropped.
 *
 * A receipt is delivered like a value but is none: it is in no ledger of the edge. Where it stands matters. What made
 * room by going first is missing before everything that still waits; what was turned away is missing behind it. Told too
 * late, a delta would be taken for the successor of one that never came; told too early, a snapshot that waits would undo it.
 *
 * Receipts are left by dropOldest, dropNewest, keepLatest and sample; by conflate for keys that were given up (`dropOldest`),
 * not for what was merged, which is not missing; by block for what overran it; and for single values that a stage
 * or sink did not take (failed, restarting, rejected, unencodable). None by what ends an edge (fail, stopped, deadline, closed):
 * nothing follows in which it could be told, and a fault says it.
 */
import { weightOf, type DropReason } from './ledger'

/** Keeps account of dropped values in bounded memory, and tells of them in values of the stream's own kind. */
export interface Receipts<T> {
  add(dropped: T, reason: DropReason): void
  /** A value that tells of what was added, and then the next; undefined when all is told. */
  take(): T | undefined
  /** An empty account of the same kind, for what is missing in another place. Without it all is told in one. */
  another?(): Receipts<T>
  /** Takes over what another account of this kind has; it is later than what is here. */
  absorb?(later: Receipts<T>): void
}

/** Plain fields for a summary, counted also where no receipt can be made. */
export interface ReceiptCounts {
  /** Uninterrupted runs of dropped values. */
  runs: number
  values: number
  /** Of the last run: when its first and last value were received; undefined where they do not say. */
  lastFromUs: number | undefined
  lastToUs: number | undefined
}

/** The two places at which something may be missing: before the first value that waits, and behind the last. */
export class Missing<T> {
  readonly counts: ReceiptCounts = { runs: 0, values: 0, lastFromUs: undefined, lastToUs: undefined }
  private front: Receipts<T> | undefined
  private behind: Receipts<T> | undefined
  private frontOpen = false
  private behindOpen = false

  constructor(private readonly receipts: Receipts<T> | undefined) {
    this.front = this.fresh()
    this.behind = this.fresh()
  }

  /** Something is missing before the first value that waits. */
  get hasFront(): boolean {
    return this.frontOpen
  }

  /** Something is missing behind the last value that waits. */
  get hasBehind(): boolean {
    return this.behindOpen
  }

  addFront(dropped: T, reason: DropReason, timeUs: number | undefined): void {
    this.count(dropped, timeUs, this.frontOpen)
    this.frontOpen = true
    this.front?.add(dropped, reason)
  }

  addBehind(dropped: T, reason: DropReason, timeUs: number | undefined): void {
    this.count(dropped, timeUs, this.behindOpen)
    this.behindOpen = true
    this.behind?.add(dropped, reason)
  }

  /** What is missing behind the last, for whoever remembers it with the value that comes next; undefined when nothing is. */
  takeBehind(): Receipts<T> | undefined {
    if (!this.behindOpen) return undefined
    this.behindOpen = false
    const taken = this.behind
    this.behind = this.fresh()
    return taken
  }

  /** It is missing before the first now: the values before it have gone. */
  toFront(later: Receipts<T> | undefined): void {
    if (later === undefined) return
    this.frontOpen = true
    if (later !== this.front) this.front?.absorb?.(later)
  }

  /** The same account, given from before this edge: missing behind the last. */
  toBehind(later: Receipts<T>): void {
    this.behindOpen = true
    if (later !== this.behind) this.behind?.absorb?.(later)
  }

  /** The next receipt of what is missing before the first; undefined when all is told. */
  tell(): T | undefined {
    if (!this.frontOpen) return undefined
    const receipt = this.front?.take()
    if (receipt === undefined) this.frontOpen = false
    return receipt
  }

  /** A run of dropped values of which nothing more is known. */
  countRun(values: number): void {
    this.counts.runs++
    this.counts.values += values
  }

  /** Nothing will be told any more. */
  clear(): void {
    this.frontOpen = false
    this.behindOpen = false
    this.front = this.fresh()
    this.behind = this.fresh()
  }

  private count(dropped: T, timeUs: number | undefined, goesOn: boolean): void {
    const { counts } = this
    counts.values += weightOf(dropped)
    const fromUs = receiveTimeUsOf(Array.isArray(dropped) ? dropped[0] : dropped) ?? timeUs
    const toUs = (Array.isArray(dropped) ? receiveTimeUsOf(dropped.at(-1)) : fromUs) ?? timeUs
    if (!goesOn) {
      counts.runs++
      counts.lastFromUs = fromUs
    }
    counts.lastFromUs ??= fromUs
    counts.lastToUs = toUs ?? counts.lastToUs
  }

  private fresh(): Receipts<T> | undefined {
    return this.receipts?.another?.() ?? this.receipts
  }
}

export function receiveTimeUsOf(row: unknown): number | undefined {
  const timeUs = (row as { receiveTimeUs?: unknown } | null | undefined)?.receiveTimeUs
  return typeof timeUs === 'number' ? timeUs : undefined
}
