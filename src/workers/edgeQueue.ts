import { Fault } from '../model/fault'

/**
 * What happens to a value when as many as the capacity wait already.
 *
 * `block`       asks the source to pause (through `pressure`) until half are gone. Values that were under way come
 *               nevertheless and are kept, up to twice the capacity; more is an `EDGE_FULL` fault
 * `dropOldest`, `dropNewest`  gives up the value that waited longest, or the one that came
 * `fail`        an `EDGE_FULL` fault: for values none of which may be lost
 * `conflate`    a newer value of the same key takes the place of an older one that still waits; when no two that wait
 *               have the same key, an `EDGE_FULL` fault, for then the capacity is too small for the number of keys
 */
export type OnFull<T> = 'block' | 'dropOldest' | 'dropNewest' | 'fail' | { readonly conflate: (value: T) => unknown }

/** How an edge asks what feeds it to slow down. */
export interface Pressure {
  pause(): void
  resume(): void
}

/** Where each value of an edge is: `in = out + sum(dropped) + inFlight` whenever no call is running. */
export interface Ledger {
  in: number
  out: number
  /** By reason: the words of {@link OnFull}, `failed` (given up after a failure) and `stopped` (still here when the edge was left). */
  readonly dropped: Record<string, number>
  inFlight: number
}

export function emptyLedger(): Ledger {
  return { in: 0, out: 0, dropped: {}, inFlight: 0 }
}

/** Counts values that will not come out. */
export function dropFrom(ledger: Ledger, reason: string, count: number): void {
  if (count === 0) return
  ledger.dropped[reason] = (ledger.dropped[reason] ?? 0) + count
  ledger.inFlight -= count
}

export interface EdgeQueueOptions<T> {
  /** Whose queue it is, for messages. */
  readonly name: string
  readonly capacity: number
  readonly onFull: OnFull<T>
  readonly pressure?: Pressure | undefined
  readonly ledger: Ledger
}

/** The values that wait at an edge, oldest first: at most `capacity` of them, but for `block` (see there). */
export class EdgeQueue<T> {
  private entries: Entry<T>[] = []
  private head = 0
  private waiting = 0
  private paused = false
  /** For `conflate`: the newest entry that waits, by key, and the older ones of the same keys. */
  private readonly newest = new Map<unknown, Entry<T>>()
  private superseded: Entry<T>[] = []
  private supersededHead = 0

  constructor(private readonly options: EdgeQueueOptions<T>) {}

  get size(): number {
    return this.waiting
  }

  /** Takes a value in, or does with it what the policy says. Throws the fault when the policy is to fail. */
  push(value: T): void {
    const { capacity, onFull, ledger } = this.options
    ledger.in++
    ledger.inFlight++
    if (onFull === 'dropNewest' && this.waiting >= capacity) {
      dropFrom(ledger, 'dropNewest', 1)
      return
    }
    let entry: Entry<T>
    try {
      entry = { value, key: typeof onFull === 'object' ? onFull.conflate(value) : undefined, gone: false }
      if (this.waiting >= capacity) this.makeRoom(entry)
    } catch (error) {
      dropFrom(ledger, 'fail', 1)
      throw error
    }
    if (typeof onFull === 'object') this.noteKey(entry)
    this.entries.push(entry)
    this.waiting++
    if (onFull === 'block' && this.waiting >= capacity) this.pause()
  }

  /** The oldest values, at most `atMost`. */
  take(atMost: number): T[] {
    const values: T[] = []
    while (values.length < atMost && this.waiting > 0) values.push(this.shift().value)
    if (this.paused && this.waiting <= this.options.capacity / 2) this.resume()
    return values
  }

  /** Forgets what waits and lets the source go on. The ledger is left to the owner. */
  close(): void {
    this.entries = []
    this.superseded = []
    this.newest.clear()
    this.head = this.supersededHead = this.waiting = 0
    if (this.paused) this.resume()
  }

  private makeRoom(entry: Entry<T>): void {
    const { capacity, onFull, ledger } = this.options
    if (onFull === 'block' && this.waiting < capacity * 2) return
    if (onFull === 'dropOldest') {
      this.shift()
      dropFrom(ledger, 'dropOldest', 1)
      return
    }
    const older = typeof onFull === 'object' ? (this.newest.get(entry.key) ?? this.nextSuperseded()) : undefined
    if (older === undefined) throw full(this.options, this.waiting)
    older.gone = true
    if (this.newest.get(older.key) === older) this.newest.delete(older.key)
    this.waiting--
    dropFrom(ledger, 'conflate', 1)
    this.compact()
  }

  private noteKey(entry: Entry<T>): void {
    const older = this.newest.get(entry.key)
    this.newest.set(entry.key, entry)
    if (older === undefined) return
    this.superseded.push(older)
    if (this.superseded.length <= 2 * this.options.capacity + 64) return
    this.superseded = this.superseded.filter(({ gone }) => !gone)
    this.supersededHead = 0
  }

  private nextSuperseded(): Entry<T> | undefined {
    while (this.supersededHead < this.superseded.length) {
      const entry = this.superseded[this.supersededHead++]!
      if (!entry.gone) return entry
    }
    return undefined
  }

  private shift(): Entry<T> {
    let entry = this.entries[this.head++]!
    while (entry.gone) entry = this.entries[this.head++]!
    entry.gone = true
    this.waiting--
    if (this.newest.get(entry.key) === entry) this.newest.delete(entry.key)
    this.compact()
    return entry
  }

  /** Entries that are gone are removed when they are most of the storage: a little for each, instead of all for one. */
  private compact(): void {
    if (this.waiting === 0) {
      this.entries = []
      this.head = 0
    } else if (this.entries.length > 2 * this.waiting + 64) {
      this.entries = this.entries.filter(({ gone }) => !gone)
      this.head = 0
    }
  }

  private pause(): void {
    if (this.paused) return
    this.paused = true
    this.options.pressure?.pause()
  }

  private resume(): void {
    this.paused = false
    this.options.pressure?.resume()
  }
}

interface Entry<T> {
  readonly value: T
  readonly key: unknown
  /** Taken out or conflated away. */
  gone: boolean
}

function full<T>({ name, capacity, onFull }: EdgeQueueOptions<T>, waiting: number): Fault {
  const advice =
    onFull === 'block'
      ? 'its source was asked to pause and goes on: give it a `pressure` that pauses it, or choose what to drop'
      : typeof onFull === 'object'
        ? 'no two of them have the same key: raise `capacity` above the number of keys'
        : 'none may be dropped: raise `capacity`, make the work faster, or choose what to drop with `onFull`'
  return new Fault('EDGE_FULL', `${name} has ${waiting} values waiting and ${advice}.`, { edge: name, capacity })
}
