/**
 * What waits for one reader of a fan-out, bounded in values and in bytes, and what becomes of it when there is too much:
 *
 * dropOldest  what has waited longest goes
 * conflate    of each key only the latest waits, in the place of the first, from when it is full until it is empty; what has
 *             no key, and more keys than there is room for, go as with dropOldest
 * disconnect  nothing is given up: the reader is
 *
 * What goes is always what was next, so that one number tells the reader what is missing before the value that follows.
 */
export type ClientPolicy = 'dropOldest' | 'conflate' | 'disconnect'

export interface ClientQueueOptions {
  /** Values that may wait. */
  readonly capacity: number
  /** Bytes that may wait. No value is larger. */
  readonly bytesMax: number
  readonly onFull: ClientPolicy
}

/** Shared by all readers. */
export interface Outgoing {
  readonly data: Uint8Array
  readonly key: string | undefined
  /** A word of the server itself: not missing when it is dropped, wanted by every reader. */
  readonly isWord?: true
}

export class ClientQueue {
  /** Values that were given up, and merged into later ones, since the reader came. */
  dropped = 0
  conflated = 0
  private held = 0
  private lost = 0
  private places: Place[] = []
  private first = 0
  /** While it conflates: where the latest of each key waits. */
  private latest: Map<string, Place> | undefined

  constructor(private readonly options: ClientQueueOptions) {}

  get size(): number {
    return this.places.length - this.first
  }

  get bytes(): number {
    return this.held
  }

  /** False when there is no room and nothing may be given up. */
  add(next: Outgoing): boolean {
    const { onFull } = this.options
    if (this.isMerged(next)) return true
    if (!this.fits(next)) {
      if (onFull === 'disconnect') return false
      if (onFull === 'conflate' && this.latest === undefined) {
        this.beginToConflate()
        if (this.isMerged(next)) return true
      }
      while (!this.fits(next)) this.dropFirst()
    }
    const place = { waiting: next }
    this.places.push(place)
    this.held += next.data.length
    if (next.key !== undefined) this.latest?.set(next.key, place)
    return true
  }

  /** What is next, until nothing is. */
  take(): Outgoing | undefined {
    const place = this.places[this.first]
    if (place === undefined) return undefined
    this.first++
    this.forget(place)
    if (this.size === 0) {
      this.places = []
      this.first = 0
      this.latest = undefined
    } else if (this.first >= COMPACT_MIN && this.first * 2 >= this.places.length) {
      this.places = this.places.slice(this.first)
      this.first = 0
    }
    return place.waiting
  }

  /** How many values are missing before the next one; asked once for each gap. */
  takeMissing(): number {
    const missing = this.lost
    this.lost = 0
    return missing
  }

  /** Forgets what is not wanted any more: it is not missing. */
  retain(wants: (key: string | undefined) => boolean): void {
    const kept: Place[] = []
    for (const place of this.places.slice(this.first)) {
      if (place.waiting.isWord === true || wants(place.waiting.key)) kept.push(place)
      else this.forget(place)
    }
    this.places = kept
    this.first = 0
  }

  clear(): void {
    this.places = []
    this.first = 0
    this.held = 0
    this.latest = undefined
  }

  private fits({ data }: Outgoing): boolean {
    const { capacity, bytesMax } = this.options
    return this.size === 0 || (this.size < capacity && this.held + data.length <= bytesMax)
  }

  private isMerged(next: Outgoing): boolean {
    const place = next.key === undefined ? undefined : this.latest?.get(next.key)
    if (place === undefined) return false
    this.held += next.data.length - place.waiting.data.length
    place.waiting = next
    this.conflated++
    while (this.held > this.options.bytesMax && this.size > 1) this.dropFirstBut(place)
    return true
  }

  private beginToConflate(): void {
    const waiting = this.places.slice(this.first)
    this.latest = new Map()
    this.places = []
    this.first = 0
    this.held = 0
    for (const place of waiting) {
      if (this.isMerged(place.waiting)) continue
      this.places.push(place)
      this.held += place.waiting.data.length
      if (place.waiting.key !== undefined) this.latest.set(place.waiting.key, place)
    }
  }

  private dropFirst(): void {
    if (this.take()?.isWord === true) return
    this.lost++
    this.dropped++
  }

  /** What came just now stays, though its key has waited longest: what follows it goes in its stead. */
  private dropFirstBut(place: Place): void {
    if (this.places[this.first] === place) {
      this.places[this.first] = this.places[this.first + 1]!
      this.places[this.first + 1] = place
    }
    this.dropFirst()
  }

  private forget(place: Place): void {
    const { data, key } = place.waiting
    this.held -= data.length
    if (key !== undefined && this.latest?.get(key) === place) this.latest.delete(key)
  }
}

interface Place {
  waiting: Outgoing
}

const COMPACT_MIN = 1_024
