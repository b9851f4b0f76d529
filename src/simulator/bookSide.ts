/**
 * One side of a simulated book: levels as integers in two sorted columns, the best at the end, where most changes are.
 *
 * A level's key is its tick on the bid side and minus its tick on the ask side, so that on both sides the best level
 * has the greatest key and the same code serves both.
 */
export class BookSide {
  readonly keys: Float64Array
  readonly lots: Float64Array
  size = 0
  /** What the step under way has changed; net of it once {@link finish} was called, best first. */
  readonly changes = new LevelChanges()

  /** @param capacity  levels kept; when full, the worst makes room */
  constructor(
    readonly sign: 1 | -1,
    readonly capacity: number,
  ) {
    this.keys = new Float64Array(capacity + 1)
    this.lots = new Float64Array(capacity + 1)
  }

  get bestKey(): number {
    return this.keys[this.size - 1]!
  }

  get bestLots(): number {
    return this.lots[this.size - 1]!
  }

  /** The key of the worst level that a window of `depth` levels shows; -Infinity when the window is not full. */
  edge(depth: number): number {
    return this.size >= depth ? this.keys[this.size - depth]! : Number.NEGATIVE_INFINITY
  }

  /** The index of the first key that is not below `key`. */
  lowerBound(key: number): number {
    let low = 0
    let high = this.size
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.keys[middle]! < key) low = middle + 1
      else high = middle
    }
    return low
  }

  lotsAt(key: number): number {
    const index = this.lowerBound(key)
    return index < this.size && this.keys[index] === key ? this.lots[index]! : 0
  }

  /** Sets a level's size; 0 removes it. */
  put(key: number, lots: number): void {
    const index = this.lowerBound(key)
    const held = index < this.size && this.keys[index] === key
    this.changes.note(key, held ? this.lots[index]! : 0)
    if (lots === 0) {
      if (!held) return
      this.keys.copyWithin(index, index + 1, this.size)
      this.lots.copyWithin(index, index + 1, this.size)
      this.size--
    } else if (held) {
      this.lots[index] = lots
    } else {
      this.keys.copyWithin(index + 1, index, this.size)
      this.lots.copyWithin(index + 1, index, this.size)
      this.keys[index] = key
      this.lots[index] = lots
      this.size++
      if (this.size > this.capacity) this.put(this.keys[0]!, 0)
    }
  }

  begin(): void {
    this.changes.clear()
  }

  /** Leaves in `changes` only what differs from before the step, best level first. */
  finish(): void {
    const changes = this.changes
    let kept = 0
    for (let index = 0; index < changes.count; index++) {
      const key = changes.keys[index]!
      const prior = changes.prior[index]!
      const lots = this.lotsAt(key)
      if (lots === prior) continue
      let at = kept++
      while (at > 0 && changes.keys[at - 1]! < key) {
        changes.keys[at] = changes.keys[at - 1]!
        changes.prior[at] = changes.prior[at - 1]!
        changes.lots[at] = changes.lots[at - 1]!
        at--
      }
      changes.keys[at] = key
      changes.prior[at] = prior
      changes.lots[at] = lots
    }
    changes.count = kept
  }
}

/** The levels that a step touched, each once: key, size after it (0: gone) and size before it (0: new). */
export class LevelChanges {
  readonly keys: number[] = []
  readonly lots: number[] = []
  readonly prior: number[] = []
  count = 0

  clear(): void {
    this.count = 0
  }

  note(key: number, prior: number): void {
    for (let index = 0; index < this.count; index++) if (this.keys[index] === key) return
    this.add(key, 0, prior)
  }

  add(key: number, lots: number, prior: number): void {
    this.keys[this.count] = key
    this.lots[this.count] = lots
    this.prior[this.count] = prior
    this.count++
  }

  has(key: number): boolean {
    for (let index = 0; index < this.count; index++) if (this.keys[index] === key) return true
    return false
  }

  /** True when a level was new before the step's end: the step itself brought it. */
  brought(key: number): boolean {
    for (let index = 0; index < this.count; index++) if (this.keys[index] === key) return this.prior[index] === 0
    return false
  }
}
