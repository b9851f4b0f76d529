/**
 * The simulated market: one book per exchange and instrument, moved by seeded order flow.
 *
 * A step of a book is what one depth frame tells: aggressive orders that walk the book and make trades, and around five
 * changes of resting orders. Its numbers follow recorded frames (4.8 changed levels a frame: p50 3, p90 11, p99 28; two
 * thirds new sizes, the rest arrivals and removals in equal parts; distance from the touch p50 4, p90 43, p99 250 levels).
 *
 * All books of an asset follow one hidden price, each with a small basis and lag of its own. A book's sequence of steps
 * depends on the seed, the listing and the depth alone: not on the clock (which only stamps), the other books or who listens.
 */
import { BookSide } from './bookSide'
import { CandleSeries } from './candles'
import type { Listing } from './listing'
import { PricePath } from './pricePath'
import { hash32, Random } from './random'

export interface MarketTrade {
  readonly id: number
  readonly tick: number
  readonly lots: number
  /** True when the aggressor bought. */
  readonly bought: boolean
}

export interface MarketLiquidation {
  readonly tick: number
  readonly lots: number
  /** True when the liquidating order buys: it closes a short. */
  readonly buys: boolean
}

export class MarketBook {
  readonly bids: BookSide
  readonly asks: BookSide
  /** Steps taken. */
  steps = 0
  timeUs: number

  /** Change counter: the last step covers `firstUpdateId` to `updateId`, and came after `previousUpdateId`. */
  previousUpdateId: number
  firstUpdateId: number
  updateId: number

  /** Of the last step, in order of execution. */
  readonly trades: MarketTrade[] = []
  liquidation: MarketLiquidation | undefined
  topChanged = false

  lastTrade: MarketTrade
  lastTradeTimeUs: number
  readonly day: DayStatistics
  /** In lots; moves with trading. */
  openInterestLots: number

  /** Topics of this book that somebody is subscribed to. */
  watchers = 0
  /** Until when it stands still, and nothing of it is told. */
  frozenUntilUs = 0
  /** Until when it goes on unwatched, so that a client that reconnects finds it where others are. */
  lingersUntilUs = 0

  private readonly random: Random
  private readonly path: PricePath
  private readonly startTicks: number
  private readonly lag: number
  private readonly gapTicks: number
  private readonly usualLots: number
  private readonly candles = new Map<number, CandleSeries>()

  /** @param depth  levels a side that the book keeps */
  constructor(
    readonly listing: Listing,
    seed: number,
    depth: number,
    nowUs: number,
  ) {
    const name = `${listing.exchange} ${listing.market} ${listing.symbol}`
    this.random = new Random(seed, name)
    this.path = new PricePath(hash32(seed, `price of ${listing.base}`))
    const basis = (this.random.unit() - 0.5) * 2e-4
    this.startTicks = (listing.startPrice * (1 + basis)) / listing.tickSize
    this.lag = this.random.below(4)
    this.gapTicks = Math.max(1.6, (this.startTicks * 0.003) / 1_000)
    this.usualLots = Math.max(1, 2_000 / listing.lotUsd)
    this.timeUs = nowUs

    this.bids = new BookSide(1, depth)
    this.asks = new BookSide(-1, depth)
    this.fill(this.bids, Math.floor(this.fairTicks()))
    this.fill(this.asks, -Math.floor(this.fairTicks()) - 1)

    const start = 1_000_000_000 + this.random.below(1_000_000_000)
    this.updateId = start
    this.firstUpdateId = start
    this.previousUpdateId = start - 1
    const side = this.random.chance(0.5) ? this.bids : this.asks
    this.lastTrade = {
      id: 10_000_000 + this.random.below(900_000_000),
      tick: side.bestKey * side.sign,
      lots: this.sizeOf(1),
      bought: side === this.asks,
    }
    this.lastTradeTimeUs = nowUs
    this.day = new DayStatistics(this.lastTrade.tick, Math.round(this.usualLots * (20_000 + this.random.below(20_000))))
    this.openInterestLots = Math.round(this.usualLots * (30_000 + this.random.below(30_000)))
    this.candleSeries(60_000)
  }

  /** Where the hidden price stands for this book, in ticks. */
  fairTicks(): number {
    return this.startTicks * (1 + this.path.at(Math.max(0, this.steps - this.lag)))
  }

  /** The hidden price itself, without this book's lag, in ticks. */
  indexTicks(): number {
    return this.startTicks * (1 + this.path.at(this.steps))
  }

  /** The candles of an interval, kept from the first time that anybody asks. */
  candleSeries(intervalMs: number): CandleSeries {
    let series = this.candles.get(intervalMs)
    if (series === undefined) {
      series = new CandleSeries(intervalMs, this.lastTrade, this.timeUs)
      this.candles.set(intervalMs, series)
    }
    return series
  }

  /** The next step. What it changed is in `bids.changes`, `asks.changes` and `trades`. */
  step(nowUs: number): void {
    this.begin(nowUs)
    this.steps++
    const fair = this.fairTicks()
    this.aggress(fair)
    this.follow(this.bids, Math.floor(fair))
    this.follow(this.asks, -Math.floor(fair) - 1)
    const flow = CHANGES_PER_STEP[this.random.uint32() & TABLE_MASK]!
    for (let change = 0; change < flow; change++) this.rest(this.random.chance(0.5) ? this.bids : this.asks)
    this.finish()
  }

  /** A step that changes the size of both best levels and nothing else: every channel of the book says something. */
  settle(nowUs: number): void {
    this.begin(nowUs)
    this.resize(this.bids, 0)
    this.resize(this.asks, 0)
    this.finish()
  }

  private begin(nowUs: number): void {
    this.timeUs = nowUs
    this.bids.begin()
    this.asks.begin()
    this.trades.length = 0
    this.liquidation = undefined
  }

  private finish(): void {
    const { bids, asks } = this
    bids.finish()
    asks.finish()
    if (bids.changes.count + asks.changes.count === 0) {
      this.resize(bids, 0)
      bids.finish()
    }
    this.topChanged =
      (bids.changes.count > 0 && bids.changes.keys[0]! >= bids.bestKey) ||
      (asks.changes.count > 0 && asks.changes.keys[0]! >= asks.bestKey)
    this.previousUpdateId = this.updateId
    // On venues whose counter is shared by all symbols, others' changes lie between.
    const others = this.listing.kind === 'spot' ? 0 : this.random.below(60)
    this.firstUpdateId = this.updateId + 1 + others
    this.updateId = this.firstUpdateId + bids.changes.count + asks.changes.count - 1
  }

  private fill(side: BookSide, bestKey: number): void {
    let key = bestKey
    const worst = side.sign > 0 ? 1 : Number.NEGATIVE_INFINITY
    const levels: [number, number][] = []
    while (levels.length < side.capacity && key >= worst) {
      levels.push([key, this.sizeOf(1 + levels.length / 100)])
      key -= this.gap()
    }
    side.size = levels.length
    for (const [index, [levelKey, lots]] of levels.reverse().entries()) {
      side.keys[index] = levelKey
      side.lots[index] = lots
    }
  }

  /** Orders that take: up to the fair price when it lies beyond the touch, else now and then on either side. */
  private aggress(fair: number): void {
    if (fair >= -this.asks.bestKey + 1) this.take(this.asks, -Math.floor(fair), Number.POSITIVE_INFINITY)
    else if (fair <= this.bids.bestKey - 1) this.take(this.bids, Math.ceil(fair), Number.POSITIVE_INFINITY)
    else if (this.random.chance(0.12)) {
      this.take(this.random.chance(0.5) ? this.asks : this.bids, Number.NEGATIVE_INFINITY, this.sizeOf(1.5))
    }
  }

  private take(side: BookSide, worstKey: number, wantedLots: number): void {
    let wanted = wantedLots
    for (let level = 0; level < 8 && wanted > 0 && side.size > 5 && side.bestKey >= worstKey; level++) {
      const held = side.bestLots
      const lots = Math.min(wanted, held)
      this.print(side.bestKey * side.sign, lots, side === this.asks)
      side.put(side.bestKey, held - lots)
      wanted -= lots
    }
    if (this.listing.kind === 'spot' || this.trades.length === 0) return
    this.openInterestLots = Math.max(1, this.openInterestLots + this.sizeOf(1) - this.sizeOf(1))
    if (!this.random.chance(0.03)) return
    const { tick, lots, bought } = this.trades[0]!
    this.liquidation = { tick, lots, buys: bought }
  }

  private print(tick: number, lots: number, bought: boolean): void {
    const trade: MarketTrade = { id: this.lastTrade.id + 1, tick, lots, bought }
    this.trades.push(trade)
    this.lastTrade = trade
    this.lastTradeTimeUs = this.timeUs
    this.day.add(trade)
    for (const series of this.candles.values()) series.add(trade, this.timeUs)
  }

  /** New orders close in on the fair price after the touch was left behind. */
  private follow(side: BookSide, fairKey: number): void {
    const distance = fairKey - side.bestKey
    if (distance <= 0 || !this.random.chance(0.5)) return
    const other = side === this.bids ? this.asks : this.bids
    const nearest = Math.min(fairKey, -other.bestKey - 1)
    if (nearest <= side.bestKey) return
    side.put(nearest - Math.floor(this.random.unit() ** 2 * (nearest - side.bestKey)), this.sizeOf(1))
  }

  /** One change of resting orders: a new size, an arrival or a removal. */
  private rest(side: BookSide): void {
    const dice = this.random.unit()
    const thin = side.size < side.capacity * 0.98
    const position = Math.min(POSITIONS[this.random.uint32() & TABLE_MASK]!, side.size - 1)
    if (dice < (thin ? 0.3 : 0.17)) {
      // The far end moves away as the price drifts: some arrivals of a thin side extend it.
      const arrived = thin && this.random.chance(0.4) ? this.arrive(side, side.size - 1) : this.arrive(side, position)
      if (!arrived) this.resize(side, position)
    } else if (dice > (thin ? 0.92 : 0.83) && side.size > 10) {
      side.put(side.keys[side.size - 1 - position]!, 0)
    } else {
      this.resize(side, position)
    }
  }

  /** Puts a new level behind the one at `position`, or behind the next that leaves room; false when none does. */
  private arrive(side: BookSide, position: number): boolean {
    for (let index = side.size - 1 - position, tries = 0; tries < 6 && index >= 0; index--, tries++) {
      const key = side.keys[index]!
      const room = index === 0 ? this.gap() : key - side.keys[index - 1]! - 1
      if (room < 1) continue
      const arrival = key - 1 - this.random.below(room)
      if (side.sign > 0 && arrival < 1) return false
      if (side.lotsAt(arrival) > 0) continue
      side.put(arrival, this.sizeOf(1 + position / 100))
      return true
    }
    return false
  }

  private resize(side: BookSide, position: number): void {
    const index = side.size - 1 - position
    const held = side.lots[index]!
    const wanted = this.random.chance(0.5)
      ? this.sizeOf(1 + position / 100)
      : Math.round(held * (0.4 + this.random.unit() * 1.2))
    const lots = Math.max(1, wanted)
    side.put(side.keys[index]!, lots === held ? held + 1 : lots)
  }

  private gap(): number {
    return 1 + Math.floor(this.random.exponential(this.gapTicks - 1))
  }

  private sizeOf(scale: number): number {
    const lots = this.usualLots * scale * SIZES[this.random.uint32() & TABLE_MASK]!
    return Math.min(1e13, Math.max(1, Math.round(lots)))
  }
}

/** What a 24-hour ticker says. The simulated day begins with the book and never ends. */
export class DayStatistics {
  highTick: number
  lowTick: number
  /** Sum of tick x lot. */
  turnover: number
  trades = 0
  openTimeUs: number | undefined

  constructor(
    readonly openTick: number,
    public volumeLots: number,
  ) {
    this.highTick = openTick
    this.lowTick = openTick
    this.turnover = openTick * volumeLots
  }

  add(trade: MarketTrade): void {
    this.highTick = Math.max(this.highTick, trade.tick)
    this.lowTick = Math.min(this.lowTick, trade.tick)
    this.volumeLots += trade.lots
    this.turnover += trade.tick * trade.lots
    this.trades++
  }
}

const TABLE_MASK = 4_095

/** Quantiles of a lognormal distribution: drawing an entry is drawing from it, without a logarithm. */
function lognormal(median: number, sigma: number, low: number, high: number): Float64Array {
  return Float64Array.from({ length: TABLE_MASK + 1 }, (_, index) => {
    const quantile = median * Math.exp(sigma * inverseNormal((index + 0.5) / (TABLE_MASK + 1)))
    return Math.min(high, Math.max(low, quantile))
  })
}

/** The normal quantile, to about 4.5e-4 (Abramowitz & Stegun 26.2.23): believable is enough here. */
function inverseNormal(probability: number): number {
  const tail = Math.min(probability, 1 - probability)
  const t = Math.sqrt(-2 * Math.log(tail))
  const z = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)))
  return probability < 0.5 ? -z : z
}

const CHANGES_PER_STEP = lognormal(3, 1, 1, 60).map(Math.round)
const POSITIONS = lognormal(4, 1.85, 0, 5_000).map(Math.floor)
const SIZES = lognormal(0.5, 1.3, 0.001, 200)
