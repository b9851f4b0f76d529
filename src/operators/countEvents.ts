import { Observable, type OperatorFunction } from 'rxjs'
import { atNextTick, tickBefore, type Clock, type Timer } from '../clock/clock'
import { currentClock } from '../clock/currentClock'
import type { Batch, MarketEvent, NoticeCode } from '../model/events'
import { byInstrument, InstrumentStates, type OfInstrument } from './instrumentStates'
import { requireCount, requireMs } from './options'
import { subscribeWhileOpen } from './subscribeWhileOpen'

export interface CountEventsOptions {
  /** Milliseconds from tick to tick, > 0; ticks fall on multiples of it since 1970. */
  readonly everyMs: number
  /** Instruments counted at most; an idle one is dropped for a new one. Default 100,000. */
  readonly instrumentsMax?: number
  /** The run's clock without it. */
  readonly clock?: Clock
}

/** What has come of one instrument since the counting began. `symbol` is '' for notices about a whole connection. */
export interface EventCounts {
  readonly kind: 'counts'
  readonly exchange: string
  readonly symbol: string
  readonly instrument: string | undefined
  /** When this was counted. */
  readonly timeUs: number
  /** All kinds together. */
  readonly events: number
  /** Events per second since the tick before. */
  readonly perSecond: number
  /** From the receive stamp of the latest event until now. */
  readonly lastEventAgeMs: number
  /** Live ones; those sent at subscribing are `tradesHistory`. */
  readonly trades: number
  readonly tradesHistory: number
  readonly snapshots: number
  readonly deltas: number
  readonly tickers: number
  readonly candles: number
  readonly derivatives: number
  readonly liquidations: number
  readonly gaps: number
  readonly resyncs: number
  readonly notices: Readonly<Record<NoticeCode, number>>
}

/**
 * Counts what comes, by instrument and kind: the state of a market at a glance.
 *
 * Emits      at each tick, and at completion, the counts of every instrument that has had an event, sorted by exchange and
 *            instrument; nothing before the first event
 * Completes  with the source
 * Errors     with the source; adds none of its own
 * Holds      a score of numbers per instrument, one timer from the first event on
 */
export function countEvents(options: CountEventsOptions): OperatorFunction<Batch<MarketEvent>, EventCounts[]> {
  const { everyMs, instrumentsMax = 100_000 } = options
  requireMs('countEvents', 'everyMs', everyMs)
  requireCount('countEvents', 'instrumentsMax', instrumentsMax)

  const operator: OperatorFunction<Batch<MarketEvent>, EventCounts[]> = (source) =>
    new Observable((out) => {
      const clock = options.clock ?? currentClock()
      const tallies = new InstrumentStates(instrumentsMax, (of) => new Tally(of))
      let sinceUs = 0
      let timer: Timer | undefined
      out.add(() => {
        timer?.cancel()
        tallies.clear()
      })

      const pass = (nowUs: number): void => {
        const counts: EventCounts[] = []
        for (const tally of tallies) counts.push(tally.read(nowUs, sinceUs))
        sinceUs = nowUs
        if (counts.length > 0) out.next(counts.sort(byInstrument))
      }
      const tick = (tickUs: number): void => {
        timer = atNextTick(clock, everyMs, tick)
        pass(tickUs)
      }

      subscribeWhileOpen(source, out, {
        next: (batch) => {
          for (const event of batch) tallies.of(event).count(event)
          if (timer !== undefined || tallies.size === 0) return
          sinceUs = tickBefore(clock, everyMs)
          timer = atNextTick(clock, everyMs, tick)
        },
        error: (error) => out.error(error),
        complete: () => {
          pass(clock.nowUs())
          out.complete()
        },
      })
    })
  return Object.assign(operator, { levels: 'unread' } as const)
}

class Tally {
  private readonly exchange: string
  private readonly symbol: string
  private readonly instrument: string | undefined
  private eventsBefore = 0
  private lastEventUs = 0
  private events = 0
  private trades = 0
  private tradesHistory = 0
  private snapshots = 0
  private deltas = 0
  private tickers = 0
  private candles = 0
  private derivatives = 0
  private liquidations = 0
  private readonly notices = { connected: 0, disconnected: 0, gap: 0, resynced: 0, stale: 0, dropped: 0 }

  constructor({ exchange, symbol, instrument }: OfInstrument) {
    this.exchange = exchange
    this.symbol = symbol
    this.instrument = instrument
  }

  count(event: MarketEvent): void {
    this.events++
    this.lastEventUs = event.receiveTimeUs
    switch (event.kind) {
      case 'trade':
        if (event.history) this.tradesHistory++
        else this.trades++
        break
      case 'snapshot':
        this.snapshots++
        break
      case 'delta':
        this.deltas++
        break
      case 'ticker':
        this.tickers++
        break
      case 'candle':
        this.candles++
        break
      case 'derivative':
        this.derivatives++
        break
      case 'liquidation':
        this.liquidations++
        break
      case 'notice':
        this.notices[event.code]++
        break
    }
  }

  read(nowUs: number, sinceUs: number): EventCounts {
    const seconds = (nowUs - sinceUs) / 1_000_000
    const perSecond = seconds > 0 ? (this.events - this.eventsBefore) / seconds : 0
    this.eventsBefore = this.events
    return {
      kind: 'counts',
      exchange: this.exchange,
      symbol: this.symbol,
      instrument: this.instrument,
      timeUs: nowUs,
      events: this.events,
      perSecond,
      lastEventAgeMs: Math.max(0, (nowUs - this.lastEventUs) / 1_000),
      trades: this.trades,
      tradesHistory: this.tradesHistory,
      snapshots: this.snapshots,
      deltas: this.deltas,
      tickers: this.tickers,
      candles: this.candles,
      derivatives: this.derivatives,
      liquidations: this.liquidations,
      gaps: this.notices.gap,
      resyncs: this.notices.resynced,
      notices: { ...this.notices },
    }
  }
}
