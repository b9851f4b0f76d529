/** A random schedule from its seed (mulberry32): the same seed, the same schedule. */
export class Schedule {
  private state: number

  constructor(readonly seed: number) {
    this.state = Math.imul(seed + 1, 0x9e3779b1) >>> 0
  }

  /** A whole number from 0 up to, but not including, `bound`. */
  below(bound: number): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0
    let mixed = this.state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296) * bound)
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!
  }
}

/** Runs `check` once for each of `count` schedules, and says which seed it was when one fails. */
export function schedules(count: number, check: (schedule: Schedule) => void): void {
  for (let seed = 0; seed < count; seed++) {
    try {
      check(new Schedule(seed))
    } catch (thrown) {
      const error = thrown as Error
      error.message = `with the schedule of seed ${seed}: ${error.message}`
      throw error
    }
  }
}

/** A value that tells what is missing, as texts do it in the model tests. */
export class MissingList<T, R> {
  private missing: T[] = []

  constructor(
    private readonly listOf: (dropped: R) => readonly T[],
    private readonly receipt: (missing: readonly T[]) => R,
  ) {}

  add(dropped: R): void {
    this.missing.push(...this.listOf(dropped))
  }

  take(): R | undefined {
    return this.missing.length === 0 ? undefined : this.receipt(this.missing.splice(0))
  }

  another(): MissingList<T, R> {
    return new MissingList(this.listOf, this.receipt)
  }

  absorb(later: unknown): void {
    this.missing.push(...(later as MissingList<T, R>).missing.splice(0))
  }
}
