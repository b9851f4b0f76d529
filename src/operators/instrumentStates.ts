/** What says which instrument something is about. */
export interface OfInstrument {
  readonly exchange: string
  readonly symbol: string
  readonly instrument: string | undefined
}

/**
 * State per exchange and instrument, within a bound.
 *
 * When it is full, room is made by the second-chance rule: of the states in the order of their making, the first that has
 * not been used since it was last passed over is dropped. It is as good as dropping the least recently used one, and a
 * use costs one flag instead of a place in a list.
 */
export class InstrumentStates<S extends object> {
  private readonly byExchange = new Map<string, Map<string, Kept<S>>>()
  private readonly queue = new Set<Kept<S>>()

  constructor(
    private readonly atMost: number,
    private readonly create: (of: OfInstrument) => S,
    /** Told of each state that was dropped to make room. */
    private readonly onEvicted: (state: S) => void = () => undefined,
  ) {}

  get size(): number {
    return this.queue.size
  }

  of(event: OfInstrument): S {
    let ofExchange = this.byExchange.get(event.exchange)
    if (ofExchange === undefined) this.byExchange.set(event.exchange, (ofExchange = new Map<string, Kept<S>>()))
    const key = event.instrument ?? event.symbol
    let kept = ofExchange.get(key)
    if (kept === undefined) {
      kept = { exchange: event.exchange, key, state: this.create(event), used: false }
      if (this.queue.size >= this.atMost) this.evict()
      // The eviction may have ended the map of this very exchange.
      if (this.byExchange.get(event.exchange) !== ofExchange) this.byExchange.set(event.exchange, ofExchange)
      ofExchange.set(key, kept)
      this.queue.add(kept)
    } else kept.used = true
    return kept.state
  }

  *[Symbol.iterator](): IterableIterator<S> {
    for (const { state } of this.queue) yield state
  }

  /** Drops every state that `isOver` says so of. */
  forget(isOver: (state: S) => boolean): void {
    for (const kept of this.queue) if (isOver(kept.state)) this.drop(kept)
  }

  clear(): void {
    this.byExchange.clear()
    this.queue.clear()
  }

  private evict(): void {
    for (const kept of this.queue) {
      if (kept.used) {
        kept.used = false
        this.queue.delete(kept)
        this.queue.add(kept)
        continue
      }
      this.drop(kept)
      this.onEvicted(kept.state)
      return
    }
  }

  private drop(kept: Kept<S>): void {
    this.queue.delete(kept)
    const ofExchange = this.byExchange.get(kept.exchange)
    ofExchange?.delete(kept.key)
    if (ofExchange?.size === 0) this.byExchange.delete(kept.exchange)
  }
}

interface Kept<S> {
  readonly exchange: string
  readonly key: string
  readonly state: S
  used: boolean
}

/** The order in which operators list instruments: by exchange, then by name, by code unit, the same on every machine. */
export function byInstrument(a: OfInstrument, b: OfInstrument): number {
  return compareTexts(a.exchange, b.exchange) || compareTexts(a.instrument ?? a.symbol, b.instrument ?? b.symbol)
}

export function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
