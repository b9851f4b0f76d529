/**
 * What a simulated run must keep to, whatever its seed. Each is a name and a sentence; a failure says which one was broken,
 * and how.
 */
export const INVARIANTS = {
  ledger:
    'For every edge, in = out + dropped + in flight at every moment, what came out reached the stage behind it, and nothing is in flight at the end.',
  order:
    'Values of one key come out in the order in which they went in, each at most once, and none is missing without a reason.',
  books: 'Every book is in a state that the exchange’s book was in, and in the end the exchange’s own.',
  liveOnly: 'No view is emitted of a book that is not live.',
  receipts: 'Notices of what was dropped add up to what the account says was dropped.',
  replay: 'The recording of a run, replayed, writes the same bytes to every sink that loses nothing.',
  life: 'A run begins, ends within its deadlines when it is told to, fails in no unnoticed way, and leaves no timer behind.',
  determinism: 'The same seed gives the same run.',
} as const

export type Invariant = keyof typeof INVARIANTS

export interface Violation {
  readonly invariant: Invariant
  readonly message: string
}

/** Violations of one invariant that are kept; the first ones say most. */
const KEPT_MAX = 3

export class Verdict {
  readonly violations: Violation[] = []
  private readonly counts = new Map<Invariant, number>()

  fail(invariant: Invariant, message: string): void {
    const count = (this.counts.get(invariant) ?? 0) + 1
    this.counts.set(invariant, count)
    if (count <= KEPT_MAX) this.violations.push({ invariant, message })
  }

  expect(condition: boolean, invariant: Invariant, message: () => string): void {
    if (!condition) this.fail(invariant, message())
  }
}
