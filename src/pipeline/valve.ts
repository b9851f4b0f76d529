/**
 * A tap before an edge, open as a rule: what a reaction of a run closes, or lets drip, while the run is not well.
 *
 * What is turned away is counted (in = dropped: no value is on its way here) and told behind the edge in the place of what is
 * missing. A tap that is closed tells of the first value at once, so that nobody trusts what will not be renewed, and of the
 * others before the first value after it.
 */
import { drop, emptyLedger, receive, type DropReason, type Ledger } from '../actors/ledger'
import type { Receipts } from '../actors/receipts'

/** Nothing passes, or one of every so many values. */
export type ValveSetting = 'closed' | { readonly keepEvery: number }

export interface ValveTarget {
  offer(timeUs: number | undefined, value: unknown): void
  /** What was dropped before: to be told in its place. */
  skipped(account: Receipts<unknown>): void
}

export class Valve {
  readonly ledger: Ledger = emptyLedger()
  private setting: ValveSetting | undefined
  private sinceKept = 0
  /** Nothing has been turned away since it was closed. */
  private isFresh = false
  private missing: Receipts<unknown> | undefined

  constructor(
    private readonly to: ValveTarget,
    private readonly weigh: (value: unknown) => number,
    private readonly receipts: () => Receipts<unknown>,
  ) {}

  /** @param setting  undefined opens it */
  set(setting: ValveSetting | undefined): void {
    this.setting = setting
    this.sinceKept = 0
    this.isFresh = setting === 'closed'
  }

  offer(timeUs: number | undefined, value: unknown): void {
    if (this.setting !== undefined && !this.keeps(this.setting)) {
      this.turnAway(value, this.setting === 'closed' ? 'paused' : 'shed')
      return
    }
    if (this.missing !== undefined) this.tell()
    this.to.offer(timeUs, value)
  }

  private keeps(setting: ValveSetting): boolean {
    if (setting === 'closed' || ++this.sinceKept < setting.keepEvery) return false
    this.sinceKept = 0
    return true
  }

  private turnAway(value: unknown, reason: DropReason): void {
    const weight = this.weigh(value)
    receive(this.ledger, weight)
    drop(this.ledger, reason, weight)
    this.missing ??= this.receipts()
    this.missing.add(value, reason)
    if (!this.isFresh) return
    this.isFresh = false
    this.tell()
  }

  private tell(): void {
    const { missing } = this
    this.missing = undefined
    if (missing !== undefined) this.to.skipped(missing)
  }
}
