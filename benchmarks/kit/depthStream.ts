/**
 * A stream of Binance `depthUpdate` frames as it comes from a combined socket, made from a seed, with the REST answers that
 * belong to it: what the suites for books, pipelines, sockets and scale measure on.
 *
 * Calibrated on the recordings (`../shared/design/performance.md`): 285 bytes a frame; symbols of falling weight; ticks from
 * 1e-7 to 1e-2; 4.8 levels a frame (p50 3, p90 11, p99 28); position from the touch p50 4, p90 43, p99 250; 66 % updates,
 * 17 % inserts, 17 % removals. `test/benchmarks/depthStream.test.ts` holds it to that.
 *
 * The books behind it are real ones: every update and removal names a level that is there, every insert one that is not,
 * no book is ever crossed, and its price wanders. So a variant that loses a level ends with other best prices than `touches`
 * says, and is not believed.
 *
 * Frames are slices of chunks of 64 KiB, as a socket hands them out: a buffer for each would cost a third of the speed.
 */
import { seeded } from './random'

export interface DepthStreamOptions {
  readonly frames: number
  /** Default 50. */
  readonly symbols?: number
  /** Levels of a book, both sides together. Default 1,000. */
  readonly levels?: number
  readonly seed?: number
  /** Frames a second of the stream's own time. Default 5,000. */
  readonly framesPerSecond?: number
}

export interface DepthStream {
  readonly frames: readonly Buffer[]
  /** When each was received, integer microseconds since 1970, strictly rising. */
  readonly receiveTimesUs: Float64Array
  /** Text of `/api/v3/exchangeInfo`. */
  readonly instruments: string
  /** Texts of `/api/v3/depth`, from before the first frame. */
  readonly snapshots: readonly { readonly symbol: string; readonly body: string }[]
  /** The best prices of each book after the last frame. */
  readonly touches: ReadonlyMap<string, Touch>
  readonly bytes: number
}

export interface Touch {
  readonly bid: number
  readonly ask: number
}

/** One level of a frame, as the test counts them. */
export interface LevelChange {
  readonly kind: 'update' | 'insert' | 'removal'
  /** Levels between it and the best of its side. */
  readonly position: number
}

const LEVELS_A_FRAME = { median: 3, sigma: 0.97, max: 200 }
const POSITION = { median: 3.1, sigma: 1.85 }
const UPDATES = 0.685
const MEDIAN_LOTS = 2_000
const DRAWS_MAX = 8
/** How much heavier the first symbols are: the weight of the n-th is `n ** -FALL`. */
const FALL = 0.8
/** Within so many levels of the touch the market's direction tells in what is inserted and removed. */
const DIRECTED_POSITIONS = 5
const DIRECTION_TURNS = 1 / 400

const START_US = 1_722_988_800_000_000
const FIRST_UPDATE_ID = 48_000_000_000
const CHUNK_BYTES = 65_536
/** No frame is longer. */
const FRAME_BYTES_MAX = 400 + LEVELS_A_FRAME.max * 48

/** Half a hundred well-known coins; markets beyond them have numbers. */
const COINS =
  'BTC ETH SOL XRP BNB DOGE ADA TRX AVAX LINK SUI TON SHIB DOT LTC BCH UNI NEAR APT ICP PEPE ETC FET XLM STX RENDER FIL ARB ATOM IMX INJ OP WIF HBAR VET GRT RUNE SEI FTM ALGO TIA JUP FLOW AAVE GALA EOS SAND AXS THETA MANA'.split(
    ' ',
  )

/** @param onLevel  told of each level as it is written, for whoever counts them */
export function depthStream(options: DepthStreamOptions, onLevel?: (change: LevelChange) => void): DepthStream {
  const { frames: count, symbols = 50, levels = 1_000, seed = 1, framesPerSecond = 5_000 } = options
  const random = seeded(seed * 7_919 + 17)
  const normal = normalOf(random)
  const markets = Array.from(
    { length: symbols },
    (_, index) => new Market(index, Math.ceil(levels / 2), random, normal),
  )
  const snapshots = markets.map((market) => ({ symbol: market.symbol, body: market.snapshot() }))
  const pick = weighted(markets, random)

  const frames: Buffer[] = []
  const receiveTimesUs = new Float64Array(count)
  const writer = new FrameWriter()
  let bytes = 0
  for (let index = 0; index < count; index++) {
    const sentUs = START_US + Math.floor((index * 1_000_000) / framesPerSecond)
    const frame = pick().frame(writer, Math.floor(sentUs / 1_000), onLevel)
    receiveTimesUs[index] = sentUs + 2_000
    bytes += frame.length
    frames.push(frame)
  }
  return {
    frames,
    receiveTimesUs,
    instruments: exchangeInfo(markets),
    snapshots,
    touches: new Map(markets.map((market) => [market.symbol, market.touch()])),
    bytes,
  }
}

/** One symbol's true book, in ticks. */
class Market {
  readonly symbol: string
  readonly base: string
  /** Decimals of prices, and of sizes. */
  readonly priceDecimals: number
  readonly sizeDecimals: number
  readonly weight: number
  private readonly bids: Side
  private readonly asks: Side
  private readonly head: Buffer
  private readonly name: Buffer
  private lastId: number
  private direction = 1

  constructor(
    index: number,
    private readonly levelsASide: number,
    private readonly random: () => number,
    private readonly normal: () => number,
  ) {
    this.base = COINS[index] ?? `C${index}`
    this.symbol = `${this.base}USDT`
    this.weight = (index + 1) ** -FALL
    this.priceDecimals = 2 + (index % 6)
    const midTicks = Math.floor(400_000 * 15 ** random())
    const price = midTicks / 10 ** this.priceDecimals
    this.sizeDecimals = Math.max(0, Math.min(5, Math.round(Math.log10(price))))
    this.bids = new Side(1, midTicks, levelsASide, random)
    this.asks = new Side(-1, midTicks + 1, levelsASide, random)
    this.lastId = FIRST_UPDATE_ID + index * 1_000_000
    this.head = Buffer.from(`{"stream":"${this.symbol.toLowerCase()}@depth@100ms","data":{"e":"depthUpdate","E":`)
    this.name = Buffer.from(`,"s":"${this.symbol}","U":`)
  }

  touch(): Touch {
    const unit = 10 ** this.priceDecimals
    return { bid: this.bids.bestTick / unit, ask: this.asks.bestTick / unit }
  }

  /** The answer of `/api/v3/depth` to the book as it is. */
  snapshot(): string {
    const side = (of: Side): string =>
      of
        .ticks()
        .map((tick) => `["${padded(tick, this.priceDecimals)}","${padded(this.lots(), this.sizeDecimals)}"]`)
        .join(',')
    return `{"lastUpdateId":${this.lastId},"bids":[${side(this.bids)}],"asks":[${side(this.asks)}]}`
  }

  frame(writer: FrameWriter, timeMs: number, onLevel: ((change: LevelChange) => void) | undefined): Buffer {
    const { random } = this
    if (random() < DIRECTION_TURNS) this.direction = -this.direction
    const wanted = Math.round(LEVELS_A_FRAME.median * Math.exp(LEVELS_A_FRAME.sigma * this.normal()))
    const count = Math.max(1, Math.min(wanted, LEVELS_A_FRAME.max, this.levelsASide))
    // What is changed most is drawn most, but comes once in a frame: it is drawn again.
    for (let level = 0, draws = 0; level < count && draws < count * DRAWS_MAX; draws++) {
      const [side, other] = random() < 0.5 ? [this.bids, this.asks] : [this.asks, this.bids]
      const change = this.change(side, other)
      if (change === undefined) continue
      onLevel?.(change)
      level++
    }
    writer.begin()
    writer.bytes(this.head)
    writer.integer(timeMs)
    writer.bytes(this.name)
    writer.integer(this.lastId + 1)
    this.lastId += count + Math.floor(random() * 4)
    writer.bytes(U)
    writer.integer(this.lastId)
    writer.bytes(B)
    this.levelsOf(this.bids, writer)
    writer.bytes(A)
    this.levelsOf(this.asks, writer)
    writer.bytes(END)
    return writer.end()
  }

  /** Updates, inserts or removes one level; undefined when this frame has named it already. */
  private change(side: Side, other: Side): LevelChange | undefined {
    const { random } = this
    const drawn = Math.floor(POSITION.median * Math.exp(POSITION.sigma * this.normal()))
    const position = Math.min(drawn, side.length - 1)
    if (random() < UPDATES) return side.change(position, this.lots()) ? { kind: 'update', position } : undefined
    const crowded = (side.length - this.levelsASide) / this.levelsASide
    const towards = position < DIRECTED_POSITIONS ? 0.2 * this.direction * side.sign : 0
    if (random() < 0.5 + towards - crowded) {
      const inserted = side.insert(position, -other.best, this.lots())
      return inserted === undefined ? undefined : { kind: 'insert', position: inserted }
    }
    return side.length > 1 && side.remove(position) ? { kind: 'removal', position } : undefined
  }

  private levelsOf(side: Side, writer: FrameWriter): void {
    side.sortTouched()
    for (let at = 0; at < side.touchedCount; at++) {
      writer.bytes(at === 0 ? FIRST : NEXT)
      writer.decimal(side.touchedTick(at), this.priceDecimals)
      writer.bytes(BETWEEN)
      writer.decimal(side.touchedLots[at]!, this.sizeDecimals)
      writer.bytes(LAST)
    }
    side.forgetTouched()
  }

  private lots(): number {
    return 1 + Math.floor(MEDIAN_LOTS * Math.exp(1.5 * this.normal()))
  }
}

/**
 * One side of a book: ticks times the side's sign, rising towards the touch, so that what changes most lies at the end and
 * both sides are handled alike.
 */
class Side {
  length: number
  touchedCount = 0
  readonly touchedLots = new Float64Array(LEVELS_A_FRAME.max)
  private readonly touched = new Int32Array(LEVELS_A_FRAME.max)
  private signed: Int32Array

  constructor(
    readonly sign: 1 | -1,
    bestTick: number,
    levels: number,
    private readonly random: () => number,
  ) {
    this.signed = new Int32Array(Math.ceil(levels * 1.5) + 16)
    this.length = levels
    let tick = sign * bestTick
    for (let position = 0; position < levels; position++) {
      this.signed[levels - 1 - position] = tick
      // Dense at the touch, sparser and sparser behind it.
      tick -= 1 + Math.floor(-Math.log(1 - random()) * Math.min(0.3 + position * 0.1, 30))
    }
  }

  get best(): number {
    return this.signed[this.length - 1]!
  }

  get bestTick(): number {
    return this.sign * this.best
  }

  /** All ticks, best first. */
  ticks(): number[] {
    return Array.from(this.signed.subarray(0, this.length), (signed) => this.sign * signed).reverse()
  }

  touchedTick(at: number): number {
    return this.sign * this.touched[at]!
  }

  change(position: number, lots: number): boolean {
    return this.touch(this.signed[this.length - 1 - position]!, lots)
  }

  remove(position: number): boolean {
    const at = this.length - 1 - position
    if (!this.touch(this.signed[at]!, 0)) return false
    this.signed.copyWithin(at, at + 1, this.length)
    this.length--
    return true
  }

  /** Puts a level before the one at a position, or into the next gap behind it; returns where it came to lie. */
  insert(position: number, limit: number, lots: number): number | undefined {
    for (let at = this.length - position; at >= 0; at--) {
      const above = at === this.length ? limit : this.signed[at]!
      const below = at === 0 ? above - 10 : this.signed[at - 1]!
      const free = above - below - 1
      if (free <= 0) continue
      // A new best price lands anywhere in the spread, so that the spread stays narrow.
      const tick = below + 1 + Math.floor(this.random() * (at === this.length ? free : Math.min(free, 8)))
      if (!this.touch(tick, lots)) continue
      if (this.length === this.signed.length) this.grow()
      this.signed.copyWithin(at + 1, at, this.length)
      this.signed[at] = tick
      this.length++
      return this.length - 1 - at
    }
    return undefined
  }

  sortTouched(): void {
    const { touched, touchedLots } = this
    for (let from = 1; from < this.touchedCount; from++) {
      const tick = touched[from]!
      const lots = touchedLots[from]!
      let at = from
      for (; at > 0 && touched[at - 1]! < tick; at--) {
        touched[at] = touched[at - 1]!
        touchedLots[at] = touchedLots[at - 1]!
      }
      touched[at] = tick
      touchedLots[at] = lots
    }
  }

  forgetTouched(): void {
    this.touchedCount = 0
  }

  /** False when this frame has named the tick already: a level comes once in a frame. */
  private touch(tick: number, lots: number): boolean {
    for (let at = 0; at < this.touchedCount; at++) if (this.touched[at] === tick) return false
    this.touched[this.touchedCount] = tick
    this.touchedLots[this.touchedCount++] = lots
    return true
  }

  private grow(): void {
    const grown = new Int32Array(this.signed.length * 2)
    grown.set(this.signed)
    this.signed = grown
  }
}

const U = Buffer.from(',"u":')
const B = Buffer.from(',"b":[')
const A = Buffer.from('],"a":[')
const END = Buffer.from(']}}')
const FIRST = Buffer.from('["')
const NEXT = Buffer.from(',["')
const BETWEEN = Buffer.from('","')
const LAST = Buffer.from('"]')

/** Binance pads all numbers to eight decimals. */
const DECIMALS = 8

/** Writes frames one behind the other into chunks. */
class FrameWriter {
  private chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  private from = 0
  private at = 0

  begin(): void {
    if (this.at + FRAME_BYTES_MAX > CHUNK_BYTES) {
      this.chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES)
      this.at = 0
    }
    this.from = this.at
  }

  end(): Buffer {
    return this.chunk.subarray(this.from, this.at)
  }

  bytes(bytes: Uint8Array): void {
    for (let index = 0; index < bytes.length; index++) this.chunk[this.at++] = bytes[index]!
  }

  integer(value: number): void {
    let digits = 1
    for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) digits++
    this.digits(value, digits)
  }

  /** A count of units of `10 ** -decimals`. */
  decimal(units: number, decimals: number): void {
    const unit = 10 ** decimals
    const whole = Math.floor(units / unit)
    this.integer(whole)
    this.chunk[this.at++] = 0x2e
    this.digits((units - whole * unit) * 10 ** (DECIMALS - decimals), DECIMALS)
  }

  private digits(value: number, count: number): void {
    for (let at = this.at + count - 1; at >= this.at; at--) {
      const rest = Math.floor(value / 10)
      this.chunk[at] = 0x30 + (value - rest * 10)
      value = rest
    }
    this.at += count
  }
}

function padded(units: number, decimals: number): string {
  return (units / 10 ** decimals).toFixed(DECIMALS)
}

/** Standard normal numbers, by Box and Muller. */
function normalOf(random: () => number): () => number {
  let spare: number | undefined
  return () => {
    if (spare !== undefined) {
      const kept = spare
      spare = undefined
      return kept
    }
    const radius = Math.sqrt(-2 * Math.log(1 - random()))
    const angle = 2 * Math.PI * random()
    spare = radius * Math.sin(angle)
    return radius * Math.cos(angle)
  }
}

function weighted(markets: readonly Market[], random: () => number): () => Market {
  const sums = new Float64Array(markets.length)
  let total = 0
  for (const [index, { weight }] of markets.entries()) sums[index] = total += weight
  return () => {
    const wanted = random() * total
    let low = 0
    for (let high = markets.length - 1; low < high;) {
      const middle = (low + high) >> 1
      if (sums[middle]! <= wanted) low = middle + 1
      else high = middle
    }
    return markets[low]!
  }
}

function exchangeInfo(markets: readonly Market[]): string {
  const symbols = markets.map(({ symbol, base, priceDecimals, sizeDecimals }) => ({
    symbol,
    status: 'TRADING',
    baseAsset: base,
    baseAssetPrecision: 8,
    quoteAsset: 'USDT',
    quotePrecision: 8,
    quoteAssetPrecision: 8,
    filters: [
      {
        filterType: 'PRICE_FILTER',
        minPrice: step(priceDecimals),
        maxPrice: '1000000.00000000',
        tickSize: step(priceDecimals),
      },
      { filterType: 'LOT_SIZE', minQty: step(sizeDecimals), maxQty: '90000000.00000000', stepSize: step(sizeDecimals) },
    ],
    permissions: ['SPOT'],
  }))
  return JSON.stringify({ timezone: 'UTC', serverTime: START_US / 1_000, rateLimits: [], exchangeFilters: [], symbols })
}

function step(decimals: number): string {
  return (10 ** -decimals).toFixed(DECIMALS)
}
