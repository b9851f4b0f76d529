/**
 * What a person wants to see of a running pipeline: per exchange and instrument its state, rate and best prices.
 *
 * It looks at values that pass anyway and keeps references and counts; whoever shows them reads on a timer.
 */
import { BookView } from '../book/bookView'
import type { MarketEvent, Notice, Ticker } from '../model/events'

/** Rows kept at most; further instruments are counted, not shown. */
const ROWS_MAX = 10_000

export interface InstrumentRow {
  readonly exchange: string
  readonly name: string
  state: 'waiting' | 'live' | 'gap' | 'down'
  readonly events: number
  readonly trades: number
  readonly gaps: number
  readonly resyncs: number
  readonly lastUs: number
  readonly bidPrice: number | undefined
  readonly askPrice: number | undefined
  readonly levels: readonly [bids: number, asks: number] | undefined
  /** The latest of its book that a stage emitted; undefined while none has. */
  readonly view?: BookView | undefined
  /** Channels of it that are stale: silent for longer than is usual for them, on a connection that is lively. */
  readonly stale: readonly string[]
}

export class Monitor {
  readonly rows = new Map<string, InstrumentRow>()
  /** The same by exchange and name: a key that has to be put together costs more than looking twice. */
  private readonly byExchange = new Map<string, Map<string, Row>>()

  /** Events of a record, as they leave the market. */
  events(events: readonly MarketEvent[]): void {
    for (const event of events) {
      if (event.symbol !== '') this.row(event)?.take(event)
    }
  }

  /** Whatever a stage emits: views of books tell best prices. */
  observe(value: unknown): void {
    if (!Array.isArray(value) || !(value[0] instanceof BookView)) return
    for (const view of value as BookView[]) {
      const row = this.row(view)
      if (row !== undefined) row.view = view
    }
  }

  private row(of: { exchange: string; instrument: string | undefined; symbol: string }): Row | undefined {
    const { exchange } = of
    const name = of.instrument ?? of.symbol
    const known = this.byExchange.get(exchange)?.get(name)
    if (known !== undefined) return known
    if (this.rows.size >= ROWS_MAX) return undefined
    const row = new Row(exchange, name)
    let ofExchange = this.byExchange.get(exchange)
    if (ofExchange === undefined) this.byExchange.set(exchange, (ofExchange = new Map<string, Row>()))
    ofExchange.set(name, row)
    this.rows.set(`${exchange} ${name}`, row)
    return row
  }
}

const NONE: readonly string[] = []

class Row implements InstrumentRow {
  state: InstrumentRow['state'] = 'waiting'
  events = 0
  trades = 0
  gaps = 0
  resyncs = 0
  lastUs = 0
  stale: readonly string[] = NONE
  /** The latest: what it says is worked out for whoever looks. */
  view: BookView | undefined
  private ticker: Ticker | undefined

  constructor(
    readonly exchange: string,
    readonly name: string,
  ) {}

  get bidPrice(): number | undefined {
    return this.view === undefined ? this.ticker?.bidPrice : this.view.bestBid()?.price
  }

  get askPrice(): number | undefined {
    return this.view === undefined ? this.ticker?.askPrice : this.view.bestAsk()?.price
  }

  get levels(): readonly [bids: number, asks: number] | undefined {
    return this.view?.levels()
  }

  take(event: MarketEvent): void {
    this.events++
    // A silence is no sign of life.
    if (event.kind !== 'notice' || event.code !== 'stale') this.lastUs = event.receiveTimeUs
    switch (event.kind) {
      case 'trade':
        this.trades++
        return
      case 'ticker':
        this.ticker = event
        return
      case 'snapshot':
        this.state = 'live'
        return
      case 'notice':
        this.notice(event)
        return
      default:
    }
  }

  private notice({ code, details }: Notice): void {
    if (code === 'stale') {
      const { channel, ended } = details
      const others = this.stale.filter((each) => each !== channel)
      this.stale = ended === true ? others : [...others, String(channel)]
      return
    }
    if (code === 'gap') this.gaps++
    if (code === 'resynced') this.resyncs++
    if (code === 'gap' || code === 'dropped') this.state = 'gap'
    else if (code === 'disconnected') this.state = 'down'
  }
}
