import { drop, emptyLedger, pass, receive, weightOf, type DropReason } from '../actors/ledger'
import type { Receipts } from '../actors/receipts'

/** An edge in line: nothing waits, but what the stage did not take is counted, and told before the next value that it takes. */
export class InlineEdge {
  readonly ledger = emptyLedger()
  private untold = false

  constructor(
    private readonly give: (value: unknown) => DropReason | undefined,
    private readonly canTake: () => boolean,
    private readonly receipts: Receipts<unknown>,
  ) {}

  /** What was dropped before it came here: it is told before the next value. */
  skipped(account: Receipts<unknown>): void {
    this.receipts.absorb?.(account)
    this.untold = true
  }

  offer(value: unknown): void {
    const { ledger, receipts } = this
    const weight = weightOf(value)
    receive(ledger, weight)
    if (this.untold && this.canTake()) {
      this.untold = false
      for (let told = receipts.take(); told !== undefined; told = receipts.take()) this.give(told)
    }
    const reason = this.give(value)
    if (reason === undefined) {
      pass(ledger, weight)
      return
    }
    drop(ledger, reason, weight)
    if (reason === 'closed') return
    receipts.add(value, reason)
    this.untold = true
  }
}
