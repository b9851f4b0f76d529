/**
 * Candles of one book and interval, made from its trades.
 *
 * Prices in ticks, volumes in lots, turnover in tick x lot. A candle without trades stands at the last price with
 * volume 0. The last {@link KEPT} are kept for REST answers; older ones are forgotten.
 */
import type { MarketTrade } from './market'

const KEPT = 500
const DAY_MS = 86_400_000

/** Interval of calendar months, which have no fixed length. */
export const MONTH_MS = 30 * DAY_MS

export interface SimulatedCandle {
  readonly openTimeMs: number
  readonly closeTimeMs: number
  open: number
  high: number
  low: number
  close: number
  volume: number
  turnover: number
  boughtVolume: number
  boughtTurnover: number
  trades: number
  firstTradeId: number
  lastTradeId: number
}

export class CandleSeries {
  private readonly candles: SimulatedCandle[] = []

  constructor(
    readonly intervalMs: number,
    last: MarketTrade,
    nowUs: number,
  ) {
    this.candles.push(this.openAt(nowUs / 1_000, last.tick, last.id))
  }

  add(trade: MarketTrade, timeUs: number): void {
    const candle = this.at(timeUs)
    if (candle.trades === 0) candle.firstTradeId = trade.id
    candle.lastTradeId = trade.id
    candle.close = trade.tick
    candle.high = Math.max(candle.high, trade.tick)
    candle.low = Math.min(candle.low, trade.tick)
    candle.volume += trade.lots
    candle.turnover += trade.lots * trade.tick
    candle.trades++
    if (!trade.bought) return
    candle.boughtVolume += trade.lots
    candle.boughtTurnover += trade.lots * trade.tick
  }

  /** The candle that is open at a time. */
  at(timeUs: number): SimulatedCandle {
    let last = this.candles.at(-1)!
    if (timeUs / 1_000 > last.closeTimeMs) {
      last = this.openAt(timeUs / 1_000, last.close, last.lastTradeId)
      this.candles.push(last)
      if (this.candles.length > KEPT) this.candles.shift()
    }
    return last
  }

  /** The candle before the open one, if it is kept. */
  closed(): SimulatedCandle | undefined {
    return this.candles.at(-2)
  }

  /** Up to `limit` of the latest, oldest first. */
  latest(limit: number, timeUs: number): readonly SimulatedCandle[] {
    this.at(timeUs)
    return this.candles.slice(-Math.max(1, limit))
  }

  private openAt(timeMs: number, tick: number, tradeId: number): SimulatedCandle {
    const openTimeMs = openTime(timeMs, this.intervalMs)
    return {
      openTimeMs,
      closeTimeMs: nextOpenTime(openTimeMs, this.intervalMs) - 1,
      open: tick,
      high: tick,
      low: tick,
      close: tick,
      volume: 0,
      turnover: 0,
      boughtVolume: 0,
      boughtTurnover: 0,
      trades: 0,
      firstTradeId: tradeId,
      lastTradeId: tradeId,
    }
  }
}

/** Weeks begin on Monday, months on the first; all else on multiples of the interval since 1970, UTC. */
function openTime(timeMs: number, intervalMs: number): number {
  if (intervalMs === MONTH_MS) {
    const date = new Date(timeMs)
    return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1)
  }
  const offset = intervalMs === 7 * DAY_MS ? 4 * DAY_MS : 0
  return Math.floor((timeMs - offset) / intervalMs) * intervalMs + offset
}

function nextOpenTime(openTimeMs: number, intervalMs: number): number {
  if (intervalMs !== MONTH_MS) return openTimeMs + intervalMs
  const date = new Date(openTimeMs)
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1)
}
