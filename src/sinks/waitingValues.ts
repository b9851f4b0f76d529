/**
 * What an edge does when a value comes and as many as its capacity wait already.
 *
 * - `block`       asks the source to pause, and goes on at half
 * - `dropOldest`  the value that has waited longest makes room
 * - `dropNewest`  the value that comes is not taken
 * - `keepLatest`  everything that waits makes room: only the newest matters
 * - `fail`        a loss is not allowed here: the edge fails
 * - `conflate`    of the values with the same key only the latest waits, in the place of the first; when there are more
 *                 keys than capacity, the value that has waited longest makes room
 */
export type OnFull<T> =
  'block' | 'dropOldest' | 'dropNewest' | 'keepLatest' | 'fail' | { readonly conflate: (value: T) => unknown }

/** The bounded queue of an edge: values in order, and what happens when there are too many. */
export class WaitingValues<T> {
  /** A ring that grows up to what is needed, so that a large capacity costs memory only when it is used. */
  private ring: (T | undefined)[] = new Array<T | undefined>(16)
  private first = 0
  private count = 0
  /** In use from when a conflating queue is full until it is empty: the latest value of each key, in order. */
  private readonly latest = new Map<unknown, T>()

  constructor(
    private readonly capacity: number,
    private readonly onFull: OnFull<T>,
    private readonly dropped: (reason: 'oldest' | 'newest' | 'superseded' | 'conflated') => void,
  ) {}

  get size(): number {
    return this.count + this.latest.size
  }

  /** False when there is no room, and the policy lets nothing make room. */
  add(value: T, bound: number = this.capacity): boolean {
    if (this.latest.size > 0) {
      this.conflate(value)
      return true
    }
    if (this.count < bound) {
      this.append(value)
      return true
    }
    const { onFull } = this
    switch (onFull) {
      case 'block':
      case 'fail':
        return false
      case 'dropNewest':
        this.dropped('newest')
        return true
      case 'dropOldest':
        this.shift()
        this.dropped('oldest')
        this.append(value)
        return true
      case 'keepLatest':
        for (let waited = this.count; waited > 0; waited--) this.dropped('superseded')
        this.clear()
        this.append(value)
        return true
      default:
        while (this.count > 0) this.conflate(this.shift())
        this.conflate(value)
        return true
    }
  }

  /** The first values, at most `max`, in order. */
  take(max: number): T[] {
    const taken: T[] = []
    if (this.latest.size > 0) {
      for (const [key, value] of this.latest) {
        if (taken.length >= max) break
        taken.push(value)
        this.latest.delete(key)
      }
      return taken
    }
    while (taken.length < max && this.count > 0) taken.push(this.shift())
    return taken
  }

  clear(): void {
    this.latest.clear()
    this.ring = new Array<T | undefined>(16)
    this.first = 0
    this.count = 0
  }

  private conflate(value: T): void {
    const key = this.keyOf(value)
    if (this.latest.has(key)) this.dropped('conflated')
    else if (this.latest.size >= this.capacity) {
      for (const oldest of this.latest.keys()) {
        this.latest.delete(oldest)
        this.dropped('oldest')
        break
      }
    }
    this.latest.set(key, value)
  }

  /** A value whose key cannot be told is like no other. */
  private keyOf(value: T): unknown {
    if (typeof this.onFull === 'string') return value
    try {
      return this.onFull.conflate(value)
    } catch {
      return Symbol()
    }
  }

  private append(value: T): void {
    const { ring } = this
    if (this.count === ring.length) {
      const larger = new Array<T | undefined>(ring.length * 2)
      for (let at = 0; at < this.count; at++) larger[at] = ring[(this.first + at) % ring.length]
      this.ring = larger
      this.first = 0
    }
    this.ring[(this.first + this.count) % this.ring.length] = value
    this.count++
  }

  private shift(): T {
    const value = this.ring[this.first] as T
    this.ring[this.first] = undefined
    this.first = (this.first + 1) % this.ring.length
    this.count--
    return value
  }
}
