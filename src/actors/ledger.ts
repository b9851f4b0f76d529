/**
 * The account of an edge: at every quiescent point, in = out + dropped (by reason) + in flight.
 *
 * Counted in values: the events of a batch, or one for whatever is not a batch. Plain fields; reading them is the
 * sampler's work.
 */
export interface Ledger {
  in: number
  out: number
  readonly dropped: Map<string, number>
  inFlight: number
}

export function ledger(): Ledger {
  return { in: 0, out: 0, dropped: new Map(), inFlight: 0 }
}

export function countDropped(account: Ledger, reason: string, values: number): void {
  if (values > 0) account.dropped.set(reason, (account.dropped.get(reason) ?? 0) + values)
}

export function droppedOf(account: Ledger): number {
  let sum = 0
  for (const values of account.dropped.values()) sum += values
  return sum
}

/** True when nothing has vanished and nothing has appeared. */
export function balances(account: Ledger): boolean {
  return account.in === account.out + droppedOf(account) + account.inFlight
}

/** The number of values that a value stands for: the length of a batch, else one. */
export function weightOf(value: unknown): number {
  return Array.isArray(value) ? value.length : 1
}
