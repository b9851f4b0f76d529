/**
 * The account of an edge: at every moment between two calls, in = out + dropped (by reason) + in flight.
 *
 * Counted in values: the values of a batch, or one for whatever is not a batch. A value enters by {@link receive} and
 * leaves by {@link pass} or {@link drop}; nobody else writes here, so the account balances by construction. A receipt,
 * which tells what was dropped, is no value of the edge and is counted nowhere here. Plain fields; reading them is the
 * sampler's work.
 */

/**
 * Why a value did not come out.
 *
 * dropOldest   it had waited longest, and made room for a newer one
 * dropNewest   it came when the edge was full
 * keepLatest   a newer one came when the edge was full
 * conflated    merged into, or replaced by, a newer one of the same key
 * sampled      it was not the one of every so many that is kept, or it made room for that one
 * fail         it came when an edge that may not drop was full; the edge failed with it
 * overrun      it came when an edge that blocks had already kept all it may of what its paused source had on the way
 * shed         the run was not well, and its pipeline says that this edge then takes one of every so many
 * paused       the run was not well, and its pipeline says that the branch behind this edge then gets nothing
 * rejected     the sink refused its batch for longer than the retry budget
 * unencodable  it has no form in which it could be written
 * alreadyWritten  it stands at the destination since an earlier attempt at the same run
 * failed       the work on it failed
 * restarting   it came while the stage behind the edge was being restarted
 * deadline     it was left over when closing took too long
 * stopped      it was still here when the edge was left
 * closed       it came after the end
 */
export type DropReason =
  | 'dropOldest'
  | 'dropNewest'
  | 'keepLatest'
  | 'conflated'
  | 'sampled'
  | 'fail'
  | 'overrun'
  | 'shed'
  | 'paused'
  | 'rejected'
  | 'unencodable'
  | 'alreadyWritten'
  | 'failed'
  | 'restarting'
  | 'deadline'
  | 'stopped'
  | 'closed'

export interface Ledger {
  in: number
  out: number
  /** Only reasons that there were. */
  readonly dropped: Partial<Record<DropReason, number>>
  inFlight: number
}

export function emptyLedger(): Ledger {
  return { in: 0, out: 0, dropped: {}, inFlight: 0 }
}

/** Values have come. */
export function receive(ledger: Ledger, values: number): void {
  ledger.in += values
  ledger.inFlight += values
}

/** Values that were in flight have reached what is behind the edge. */
export function pass(ledger: Ledger, values: number): void {
  ledger.inFlight -= values
  ledger.out += values
}

/** Values that were in flight will not come out. */
export function drop(ledger: Ledger, reason: DropReason, values: number): void {
  if (values === 0) return
  ledger.inFlight -= values
  ledger.dropped[reason] = (ledger.dropped[reason] ?? 0) + values
}

/** All values that were dropped, for whatever reason. */
export function droppedOf({ dropped }: Readonly<Ledger>): number {
  return Object.values(dropped).reduce((sum, values) => sum + values, 0)
}

/** Those of them that a newer value stands for. */
export function supersededOf({ dropped }: Readonly<Ledger>): number {
  return (dropped.keepLatest ?? 0) + (dropped.conflated ?? 0)
}

/** True when nothing has vanished and nothing has appeared. */
export function balances(ledger: Readonly<Ledger>): boolean {
  return ledger.in === ledger.out + droppedOf(ledger) + ledger.inFlight
}

/** The account as it is now, for a report: it no longer changes. */
export function copyOf({ in: received, out, dropped, inFlight }: Readonly<Ledger>): Ledger {
  return { in: received, out, dropped: { ...dropped }, inFlight }
}

/** Several accounts as one. */
export function sumOf(accounts: readonly Readonly<Ledger>[]): Ledger {
  const sum = emptyLedger()
  for (const account of accounts) {
    sum.in += account.in
    sum.out += account.out
    sum.inFlight += account.inFlight
    for (const [reason, values] of Object.entries(account.dropped) as [DropReason, number][]) {
      sum.dropped[reason] = (sum.dropped[reason] ?? 0) + values
    }
  }
  return sum
}

/** The number of values that a value stands for: the length of a batch, else one. */
export function weightOf(value: unknown): number {
  return Array.isArray(value) ? value.length : 1
}
