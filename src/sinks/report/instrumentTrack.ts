import type { Lineage } from '../../model/events'
import { BarSeries, type BarValues } from './barSeries'
import { HeatMap, type DepthView } from '../../page/heatMap'
import { Series } from '../../page/series'

/** Points of a line, bars of a chart, and charts of bars of one instrument, at most. */
const POINTS = 1_000
const BARS = 480
const BAR_KINDS = 4

/** Bars that are made of trades here are at least so long. */
const TRADE_BAR_US = 1_000_000

/** A trade, and the line of a recording that it stands in. */
export interface TracedTrade {
  readonly timeUs: number
  readonly price: number
  readonly size: number
  readonly lineage: Lineage
}

export type BookState = 'none' | 'live' | 'gap' | 'down'

/** What a report keeps of one instrument. What grows in it has a capacity. */
export class InstrumentTrack {
  values = 0
  trades = 0
  /** In the instrument's size unit. */
  volume = 0
  gaps = 0
  resyncs = 0
  state: BookState = 'none'

  readonly mid = new Series(POINTS)
  readonly spreadBps = new Series(POINTS)
  readonly tradePrice = new Series(POINTS)
  /** Of a quote over several exchanges. */
  readonly dislocationBps = new Series(POINTS)
  /** What an exchange says of a derivative beside its trades and book, by name: the latest. */
  readonly derivative = new Map<string, number>()
  readonly bars = new Map<string, BarSeries>()
  /** Trades that none was beyond, the first of equals each; of those that say where they stand. */
  readonly extremes = new Map<'lowest' | 'highest' | 'largest', TracedTrade>()
  private silentSinceUs = -Infinity
  private depth: HeatMap | undefined
  private ownBars: BarSeries | undefined

  constructor(
    readonly exchange: string,
    readonly name: string,
  ) {}

  /** Undefined while no book was seen. */
  get heat(): HeatMap | undefined {
    return this.depth
  }

  /** Bars of the trades that were seen; undefined while there were none. */
  get tradeBars(): BarSeries | undefined {
    return this.ownBars
  }

  /** Best prices; those from before the book fell silent say nothing, though they come after it. */
  top(timeUs: number, bidPrice: number, askPrice: number): void {
    if (timeUs < this.silentSinceUs) return
    const mid = (bidPrice + askPrice) / 2
    this.mid.add(timeUs, mid)
    if (mid > 0) this.spreadBps.add(timeUs, ((askPrice - bidPrice) / mid) * 10_000)
  }

  book(view: DepthView): void {
    if (view.receiveTimeUs < this.silentSinceUs) return
    this.state = 'live'
    this.depth ??= new HeatMap()
    this.depth.see(view)
  }

  /** The book is in doubt, or its connection has ended. */
  silence(state: 'gap' | 'down', timeUs: number): void {
    this.state = state
    this.silentSinceUs = timeUs
    this.mid.cut()
    this.spreadBps.cut()
    this.depth?.silence(timeUs)
  }

  trade(timeUs: number, price: number, size: number, lineage?: Lineage): void {
    this.trades++
    this.volume += size
    this.tradePrice.add(timeUs, price)
    this.ownBars ??= new BarSeries(TRADE_BAR_US, BARS)
    this.ownBars.trade(timeUs, price, size)
    if (lineage !== undefined) this.compare({ timeUs, price, size, lineage })
  }

  /** @param label  which bars these are, for a person */
  bar(label: string, intervalUs: number, bar: BarValues): void {
    let series = this.bars.get(label)
    if (series === undefined) {
      if (this.bars.size >= BAR_KINDS) return
      this.bars.set(label, (series = new BarSeries(intervalUs, BARS)))
    }
    series.put(bar)
  }

  private compare(trade: TracedTrade): void {
    const { extremes } = this
    if (trade.price < (extremes.get('lowest')?.price ?? Infinity)) extremes.set('lowest', trade)
    if (trade.price > (extremes.get('highest')?.price ?? -Infinity)) extremes.set('highest', trade)
    if (trade.size > (extremes.get('largest')?.size ?? -Infinity)) extremes.set('largest', trade)
  }
}
