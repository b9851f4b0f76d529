/**
 * What a person wants to see of a running pipeline: per exchange and instrument its state, rate and best prices.
 *
 * It looks at values that pass anyway and keeps references and counts; whoever shows them reads on a timer.
 */
import { BookView } from '../book/bookView'
import type { MarketEvent } from '../model/events'

/** Rows kept at most; further instruments are counted, not shown. */
const ROWS_MAX = 10_000

export interface InstrumentRow {
  readonly exchange: string
  readonly name: string
  state: 'waiting' | 'live' | 'gap' | 'down'
  events: number
  trades: number
  gaps: number
  resyncs: number
  lastUs: number
  bidPrice: number | undefined
  askPrice: number | undefined
  levels: readonly [bids: number, asks: number] | undefined
}

export class Monitor {
  readonly rows = new Map<string, InstrumentRow>()

  /** Events of a record, as they leave the market. */
  events(events: readonly MarketEvent[]): void {
    for (const event of events) {
      if (event.symbol === '') continue
      const row = this.row(event)
      if (row === undefined) continue
      row.events++
      row.lastUs = event.receiveTimeUs
      if (event.kind === 'trade') row.trades++
      else if (event.kind === 'ticker' && row.levels === undefined) {
        row.bidPrice = event.bidPrice
        row.askPrice = event.askPrice
      } else if (event.kind === 'snapshot') row.state = 'live'
      else if (event.kind === 'notice') {
        if (event.code === 'gap') row.gaps++
        if (event.code === 'resynced') row.resyncs++
        row.state =
          event.code === 'gap' || event.code === 'dropped' ? 'gap' : event.code === 'disconnected' ? 'down' : row.state
      }
    }
  }

  /** Whatever a stage emits: views of books tell best prices. */
  observe(value: unknown): void {
    if (!Array.isArray(value) || !(value[0] instanceof BookView)) return
    for (const view of value as BookView[]) {
      const row = this.row(view)
      if (row === undefined) continue
      row.bidPrice = view.bestBid()?.price
      row.askPrice = view.bestAsk()?.price
      row.levels = view.levels()
    }
  }

  private row(of: { exchange: string; instrument: string | undefined; symbol: string }): InstrumentRow | undefined {
    const name = of.instrument ?? of.symbol
    const key = `${of.exchange} ${name}`
    const known = this.rows.get(key)
    if (known !== undefined) return known
    if (this.rows.size >= ROWS_MAX) return undefined
    const row: InstrumentRow = {
      exchange: of.exchange,
      name,
      state: 'waiting',
      events: 0,
      trades: 0,
      gaps: 0,
      resyncs: 0,
      lastUs: 0,
      bidPrice: undefined,
      askPrice: undefined,
      levels: undefined,
    }
    this.rows.set(key, row)
    return row
  }
}
