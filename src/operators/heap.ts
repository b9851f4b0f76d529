/** A binary heap: the entry that comes before all others is at hand, and adding or taking one costs log n. */
export class Heap<T> {
  private readonly entries: T[] = []

  /** @param before  a strict total order, where the order of taking must be the same every time */
  constructor(private readonly before: (a: T, b: T) => boolean) {}

  get size(): number {
    return this.entries.length
  }

  peek(): T | undefined {
    return this.entries[0]
  }

  push(entry: T): void {
    const { entries, before } = this
    let at = entries.length
    entries.push(entry)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!before(entry, entries[parent]!)) break
      entries[at] = entries[parent]!
      at = parent
    }
    entries[at] = entry
  }

  pop(): T | undefined {
    const { entries } = this
    const first = entries[0]
    const last = entries.pop()
    if (entries.length > 0) this.sink(last!)
    return first
  }

  /** To be called when the first entry has changed its place in the order. */
  sinkFirst(): void {
    if (this.entries.length > 1) this.sink(this.entries[0]!)
  }

  clear(): void {
    this.entries.length = 0
  }

  /** Puts an entry in the first place and lets it sink to its own. */
  private sink(entry: T): void {
    const { entries, before } = this
    const end = entries.length
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= end) break
      if (child + 1 < end && before(entries[child + 1]!, entries[child]!)) child++
      if (!before(entries[child]!, entry)) break
      entries[at] = entries[child]!
      at = child
    }
    entries[at] = entry
  }
}
