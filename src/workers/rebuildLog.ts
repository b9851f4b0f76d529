/** What a worker's state is made of again after a death. */
export interface Rebuild {
  /** The state is asked for after so many values that were answered. */
  readonly everyValues: number
}

/**
 * The state of an entry as it was last saved, and every value that it was given since.
 *
 * Bounded by what names it: `everyValues`, and the batches that were away when they were reached. A smaller number costs a
 * round trip more often, a larger one memory here and time after a death. Values that killed a worker twice are not in it,
 * those that it threw on are: it may have changed by them.
 */
export class RebuildLog<T> {
  /** Undefined until it was saved for the first time: a new worker then begins with all there has been. */
  saved: { readonly state: unknown } | undefined
  /** Batches, in the order in which they were answered. */
  since: (readonly T[])[] = []
  private values = 0

  constructor(private readonly rebuild: Rebuild) {}

  get isEmpty(): boolean {
    return this.saved === undefined && this.since.length === 0
  }

  get isSaveDue(): boolean {
    return this.values >= this.rebuild.everyValues
  }

  answered(values: readonly T[]): void {
    this.since.push(values)
    this.values += values.length
  }

  save(state: unknown): void {
    this.saved = { state }
    this.since = []
    this.values = 0
  }
}
