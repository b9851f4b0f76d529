import type { BookView } from '../book/bookView'
import type { InstrumentRow } from '../pipeline/monitor'
import type { BookPart } from './liveFormat'

/** Levels of a side that a page is told of the book that it watches. */
const LEVELS = 200

/** What one reading of a side takes; shared, for nobody keeps it. */
const prices = new Float64Array(LEVELS)
const sizes = new Float64Array(LEVELS)

/** The rows of a run as texts, each with the tick in which it changed last: whoever was told of a tick gets what is newer. */
export class LiveRows {
  private readonly rows: RowText[] = []
  /** The tick whose rows are being read, and how many were. */
  private tick = 0
  private at = 0

  /**
   * Reads some of the rows, beginning with those that `left` gives next. The rows of a run only become more, and keep their
   * order.
   *
   * @returns  whether all were read
   */
  update(tick: number, left: Iterator<InstrumentRow>, count: number): boolean {
    if (this.tick !== tick) this.at = 0
    this.tick = tick
    for (let read = 0; read < count; read++) {
      const next = left.next()
      if (next.done === true) return true
      const row = next.value
      const known = this.rows[this.at]
      if (known === undefined) this.rows.push(new RowText(this.at, row, tick))
      else known.update(tick, row)
      this.at++
    }
    return false
  }

  /** The fields of a message that tell of the rows that changed after a tick; empty when none has. */
  textSince(tick: number): string {
    const names: string[] = []
    const rows: string[] = []
    for (const row of this.rows) {
      if (row.changedAt <= tick) continue
      rows.push(row.text)
      if (row.bornAt > tick) names.push(row.nameText)
    }
    const named = names.length === 0 ? '' : `,"names":[${names.join(',')}]`
    return rows.length === 0 ? '' : `${named},"rows":[${rows.join(',')}]`
  }
}

class RowText {
  text = ''
  changedAt = 0
  readonly nameText: string
  private events = -1
  private state = ''
  private gaps = -1
  private resyncs = -1
  /** Of its book. No view is kept: it would keep alive all that comes after it, for as long as nobody looks. */
  private viewUs: number | undefined
  private stale: readonly string[] = []

  constructor(
    private readonly index: number,
    row: InstrumentRow,
    readonly bornAt: number,
  ) {
    this.nameText = JSON.stringify([row.exchange, row.name])
    this.update(bornAt, row)
  }

  update(tick: number, row: InstrumentRow): void {
    const { events, state, gaps, resyncs, view, stale } = row
    const viewUs = view?.receiveTimeUs
    if (events === this.events && state === this.state && viewUs === this.viewUs) {
      if (gaps === this.gaps && resyncs === this.resyncs && isSame(stale, this.stale)) return
    }
    this.events = events
    this.state = state
    this.gaps = gaps
    this.resyncs = resyncs
    this.viewUs = viewUs
    this.stale = stale.slice()
    // The prices of a book that cannot vouch for itself are no prices.
    const live = state === 'live' || view === undefined
    const levels = live ? row.levels : undefined
    const lastMs = Math.floor(row.lastUs / 1_000)
    this.text = `[${this.index},"${state}",${events},${row.trades},${gaps},${resyncs},${lastMs},${live ? said(row.bidPrice) : null},${live ? said(row.askPrice) : null},${said(levels?.[0])},${said(levels?.[1])},${JSON.stringify(stale.join(', '))}]`
    this.changedAt = tick
  }
}

function isSame(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((each, at) => each === right[at])
}

function said(value: number | undefined): number | null {
  return value !== undefined && Number.isFinite(value) ? value : null
}

/** The best levels of a row's book, as it is now. */
export function bookPartOf(row: InstrumentRow): BookPart {
  const { exchange, name, view } = row
  const live = view !== undefined && row.state === 'live'
  return {
    exchange,
    name,
    live,
    kept: view !== undefined,
    receiveTimeUs: view?.receiveTimeUs ?? null,
    bids: live ? levelsOf(view, 'bids') : [],
    asks: live ? levelsOf(view, 'asks') : [],
  }
}

function levelsOf(view: BookView, side: 'bids' | 'asks'): number[] {
  const count = view.copySide(side, prices, sizes, LEVELS)
  const levels: number[] = []
  for (let at = 0; at < count; at++) levels.push(prices[at]!, sizes[at]!)
  return levels
}
