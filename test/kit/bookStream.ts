/**
 * Books of invented markets in the words of each exchange, from a seed: prices that wander and jump, now and then between the
 * ticks, deltas of one level and of thousands, numbers that no double holds, books that cross, checksums that fail.
 */
import { crc32 } from 'node:zlib'
import type { Random } from '../../src/simulator/random'

type TextLevel = readonly [price: string, size: string]

/** Decimals of prices beyond those of the tick. */
const FINER = 3
const LEVELS_MAX = 1_500
const START_MS = 1_790_000_000_000

/** How an exchange tells of one book. */
export interface Dialect {
  /** Levels a side that it keeps; undefined: all. */
  readonly depth: number | undefined
  /** Frames with which it answers to a subscription. */
  readonly opening: readonly string[]
  /** True where snapshots are answers of REST. */
  readonly isRest: boolean
  snapshot(market: Market): string
  delta(market: Market, bids: readonly TextLevel[], asks: readonly TextLevel[]): string
}

/** Dialects of an exchange for a symbol, of which one is drawn. */
export function dialectOf(exchange: string, random: Random): { readonly symbol: string; readonly dialect: Dialect } {
  const name = `${'ABCDEFGHIJ'[random.below(10)]!}${'ABCDEFGHIJ'[random.below(10)]!}X`
  switch (exchange) {
    case 'binance':
    case 'binance-futures':
      return binance(`${name}USDT`, exchange === 'binance-futures')
    case 'bybit':
      return bybit(`${name}USDT`, random.chance(0.5))
    case 'okx':
      return okx(`${name}-USDT`, random.below(4))
    case 'kraken':
      return random.chance(0.5)
        ? krakenV1(`${name}/USD`, [10, 25, 100, 1_000][random.below(4)]!)
        : krakenV2(`${name}/USD`, [10, 25, 100, 1_000][random.below(4)]!)
    case 'coinbase':
      return coinbase(`${name}-USD`)
  }
  throw new Error(`There is no dialect of ${exchange}.`)
}

/** One book as the exchange has it. */
export class Market {
  /** The book's number, the one before it, and the first that the last delta covers. */
  seq = 1_000_000
  prevSeq = 0
  firstSeq = 0
  timeMs = START_MS
  private readonly sides = [new Map<number, TextLevel>(), new Map<number, TextLevel>()] as const
  private readonly priceDecimals: number
  private readonly sizeDecimals: number
  private readonly unit: number
  /** Zeros are written up to so many decimals. */
  private readonly padded: number
  private readonly isWild: boolean
  private mid: number

  constructor(
    readonly symbol: string,
    readonly dialect: Dialect,
    private readonly random: Random,
  ) {
    this.priceDecimals = random.below(7)
    this.sizeDecimals = random.below(9)
    this.unit = [1, 1, 5, 25][random.below(4)]!
    this.padded = [0, 0, this.priceDecimals, 8][random.below(4)]!
    this.isWild = random.chance(0.15)
    this.mid = 50_000 + random.below(200_000)
    const levels = 5 + random.below(random.chance(0.2) ? 1_200 : 120)
    for (let level = 0; level < levels; level++) for (const side of [0, 1] as const) this.put(side, this.place(), false)
    this.cut()
  }

  get bids(): TextLevel[] {
    return this.sorted(0)
  }

  get asks(): TextLevel[] {
    return this.sorted(1)
  }

  snapshot(): string {
    this.step(0)
    this.uncross(undefined)
    return this.dialect.snapshot(this)
  }

  delta(): string {
    const { random } = this
    const changes = [new Map<number, TextLevel>(), new Map<number, TextLevel>()] as const
    const jump = random.below(80) === 0 ? random.below(6_000) - 3_000 : random.below(7) - 3
    this.mid = Math.max(30_000, this.mid + jump)
    // A book that crosses now and then.
    if (random.below(250) > 0) this.uncross(changes)
    const kind = random.below(1_000)
    const count = kind === 0 ? 4_200 : kind < 8 ? 200 + random.below(1_000) : Math.floor(random.exponential(4))
    for (let change = 0; change < count; change++) {
      const side = random.below(2) as 0 | 1
      const held = [...(count < 20 ? this.sides[side].keys() : [])]
      const [price, level] =
        held.length > 0 && random.chance(0.6)
          ? this.put(side, held[random.below(held.length)]!, random.chance(0.4))
          : this.put(side, this.place(), random.chance(0.1))
      // A level may come twice in a frame, and the last counts.
      if (random.below(20) > 0) changes[side].delete(price)
      changes[side].set(price, level)
    }
    for (const side of [0, 1] as const) {
      const levels = this.sorted(side)
      if (levels.length <= LEVELS_MAX) continue
      for (const [text] of levels.slice(LEVELS_MAX >> 1)) {
        this.sides[side].delete(Number(text))
        changes[side].set(Number(text), [text, this.sizeText(0)])
      }
    }
    this.cut()
    this.step(1 + random.below(4))
    return this.dialect.delta(this, [...changes[0].values()], [...changes[1].values()])
  }

  /** Kraken's checksum, or OKX's; a wrong one now and then. */
  checksum(of: 'kraken' | 'okx'): number {
    const [bids, asks] = [this.bids, this.asks]
    const wrong = this.random.below(300) === 0 ? 1 : 0
    if (of === 'kraken') {
      const digits = (text: string): string => text.replace('.', '').replace(/^0+/, '')
      return (crc32([...asks.slice(0, 10), ...bids.slice(0, 10)].flat().map(digits).join('')) ^ wrong) >>> 0
    }
    const parts: string[] = []
    for (let index = 0; index < 25; index++) parts.push(...(bids[index] ?? []), ...(asks[index] ?? []))
    return (crc32(parts.join(':')) | 0) ^ wrong
  }

  private step(by: number): void {
    this.timeMs += this.random.below(100)
    this.prevSeq = this.seq
    this.firstSeq = this.seq + 1
    this.seq += by
  }

  /** A place in ticks, most often near the touch; a fraction lies between them. */
  private place(): number {
    const { random } = this
    const kind = random.below(100)
    const distance = Math.floor(random.exponential(kind < 85 ? 12 : kind < 98 ? 300 : 8_000))
    const ticks = Math.max(1, this.mid + (random.chance(0.5) ? distance : -distance))
    if (random.below(400) > 0) return this.priceOf(ticks * 10 ** FINER)
    return this.priceOf(ticks * 10 ** FINER + random.below(10 ** FINER))
  }

  private priceOf(fine: number): number {
    return Number(decimal(fine * this.unit, this.priceDecimals + FINER))
  }

  /** Changes a level on the side of the touch where its price lies, unless it is one that is removed. */
  private put(wanted: 0 | 1, price: number, isRemoval: boolean): [number, TextLevel] {
    const touch = this.priceOf(this.mid * 10 ** FINER)
    const held = this.sides[wanted].has(price)
    // A price beyond the touch is mirrored.
    const isBeyond = wanted === 0 ? price > touch : price <= touch
    const own =
      isBeyond && !held
        ? this.priceOf(Math.round((2 * this.mid + (wanted === 0 ? 0 : 1)) * 10 ** FINER - this.fineOf(price)))
        : price
    const level: TextLevel = [this.priceText(own), this.sizeText(isRemoval ? 0 : 1 + this.random.below(1_000_000))]
    if (isRemoval || Number(level[1]) === 0) this.sides[wanted].delete(own)
    else this.sides[wanted].set(own, level)
    return [own, level]
  }

  private fineOf(price: number): number {
    return Math.round((price * 10 ** (this.priceDecimals + FINER)) / this.unit)
  }

  private priceText(price: number): string {
    const fine = Math.round(price * 10 ** (this.priceDecimals + FINER))
    const text = decimal(fine, this.priceDecimals + FINER)
    const least = Math.max(this.priceDecimals, this.padded)
    const short = text.includes('.') ? text.replace(/\.?0+$/, '') : text
    const places = short.includes('.') ? short.length - short.indexOf('.') - 1 : 0
    if (places >= least) return short
    return (places === 0 ? `${short}.` : short) + '0'.repeat(least - places)
  }

  private sizeText(lots: number): string {
    const { random } = this
    if (lots > 0 && this.isWild && random.below(60) === 0) return WILD_SIZES[random.below(WILD_SIZES.length)]!
    const text = decimal(lots, this.sizeDecimals)
    return lots > 0 && random.below(30) === 0 && this.sizeDecimals > 0 ? `${text}0` : text
  }

  /** Removes what the touch has gone over. */
  private uncross(changes: readonly [Map<number, TextLevel>, Map<number, TextLevel>] | undefined): void {
    const touch = this.priceOf(this.mid * 10 ** FINER)
    for (const side of [0, 1] as const) {
      for (const [price, [text]] of this.sides[side]) {
        if (side === 0 ? price <= touch : price > touch) continue
        this.sides[side].delete(price)
        changes?.[side].set(price, [text, this.sizeText(0)])
      }
    }
  }

  private cut(): void {
    const { depth } = this.dialect
    if (depth === undefined) return
    for (const side of [0, 1] as const) {
      if (this.sides[side].size <= depth) continue
      for (const [text] of this.sorted(side).slice(depth)) this.sides[side].delete(Number(text))
    }
  }

  private sorted(side: 0 | 1): TextLevel[] {
    const sign = side === 0 ? -1 : 1
    return [...this.sides[side]].sort(([a], [b]) => (a - b) * sign).map(([, level]) => level)
  }
}

/** Sizes that no double holds, or that the kernel does not print. */
const WILD_SIZES = [
  '0.1234567890123456789',
  '123456789012345678',
  '99999997.00000000',
  '0.00000000000000000001',
  '0.0000001000000000000000',
  '4503599627370497',
]

function decimal(whole: number, places: number): string {
  const digits = String(whole).padStart(places + 1, '0')
  return places === 0 ? digits : `${digits.slice(0, -places)}.${digits.slice(-places)}`
}

const pairs = (levels: readonly TextLevel[]): string => `[${levels.map(([p, s]) => `["${p}","${s}"]`).join(',')}]`

function binance(symbol: string, isFutures: boolean) {
  const dialect: Dialect = {
    depth: undefined,
    opening: [],
    isRest: true,
    snapshot: ({ seq, timeMs, bids, asks }) =>
      `{"lastUpdateId":${seq},${isFutures ? `"E":${timeMs},"T":${timeMs},` : ''}"bids":${pairs(bids)},"asks":${pairs(asks)}}`,
    delta: ({ seq, prevSeq, firstSeq, timeMs }, bids, asks) =>
      isFutures
        ? `{"stream":"${symbol.toLowerCase()}@depth@100ms","data":{"e":"depthUpdate","E":${timeMs},"T":${timeMs},"s":"${symbol}","U":${firstSeq},"u":${seq},"pu":${prevSeq},"b":${pairs(bids)},"a":${pairs(asks)}}}`
        : `{"stream":"${symbol.toLowerCase()}@depth@100ms","data":{"e":"depthUpdate","E":${timeMs},"s":"${symbol}","U":${firstSeq},"u":${seq},"b":${pairs(bids)},"a":${pairs(asks)}}}`,
  }
  return { symbol, dialect }
}

function bybit(symbol: string, isTypeFirst: boolean) {
  let u = 0
  const frame = (type: string, { timeMs }: Market, bids: readonly TextLevel[], asks: readonly TextLevel[]): string => {
    const head = isTypeFirst ? `"type":"${type}","ts":${timeMs}` : `"ts":${timeMs},"type":"${type}"`
    u++
    return `{"topic":"orderbook.500.${symbol}",${head},"data":{"s":"${symbol}","b":${pairs(bids)},"a":${pairs(asks)},"u":${u + 1_000},"seq":${u * 7}},"cts":${timeMs - 2}}`
  }
  const dialect: Dialect = {
    depth: undefined,
    opening: [],
    isRest: false,
    // A snapshot has the number of the last delta.
    snapshot: (market) => {
      u--
      return frame('snapshot', market, market.bids, market.asks)
    },
    delta: (market, bids, asks) => frame('delta', market, bids, asks),
  }
  return { symbol, dialect }
}

/** Forms: 0 with numbers and a checksum, 1 with numbers, 2 as documented, 3 with a checksum alone, as in 2022. */
function okx(symbol: string, form: number) {
  const side = (levels: readonly TextLevel[]): string =>
    `[${levels.map(([p, s]) => `["${p}","${s}","0","1"]`).join(',')}]`
  const frame = (
    action: string,
    market: Market,
    bids: readonly TextLevel[],
    asks: readonly TextLevel[],
    prevSeq: number,
  ): string => {
    const checksum = form === 1 ? 0 : market.checksum('okx')
    const numbers = [
      `,"seqId":${market.seq},"prevSeqId":${prevSeq}`,
      `,"seqId":${market.seq},"prevSeqId":${prevSeq}`,
      `,"prevSeqId":${prevSeq},"seqId":${market.seq}`,
      '',
    ][form]!
    return `{"arg":{"channel":"books","instId":"${symbol}"},"action":"${action}","data":[{"asks":${side(asks)},"bids":${side(bids)},"ts":"${market.timeMs}","checksum":${checksum}${numbers}}]}`
  }
  const dialect: Dialect = {
    depth: undefined,
    opening: [`{"event":"subscribe","arg":{"channel":"books","instId":"${symbol}"}}`],
    isRest: false,
    snapshot: (market) => frame('snapshot', market, market.bids, market.asks, -1),
    delta: (market, bids, asks) => frame('update', market, bids, asks, market.prevSeq),
  }
  return { symbol, dialect }
}

function krakenV1(symbol: string, depth: number) {
  const name = `"book-${depth}","${symbol}"`
  const side = ({ timeMs }: Market, levels: readonly TextLevel[]): string =>
    `[${levels.map(([p, s], index) => `["${p}","${s}","${decimal(timeMs * 1_000 + index, 6)}"]`).join(',')}]`
  const dialect: Dialect = {
    depth,
    opening: [
      `{"channelID":1,"channelName":"book-${depth}","event":"subscriptionStatus","pair":"${symbol}","status":"subscribed","subscription":{"depth":${depth},"name":"book"}}`,
    ],
    isRest: false,
    snapshot: (market) => `[1,{"as":${side(market, market.asks)},"bs":${side(market, market.bids)}},${name}]`,
    delta: (market, bids, asks) => {
      const checksum = `"c":"${market.checksum('kraken')}"`
      if (asks.length === 0) return `[1,{"b":${side(market, bids)},${checksum}},${name}]`
      if (bids.length === 0) return `[1,{"a":${side(market, asks)},${checksum}},${name}]`
      return `[1,{"a":${side(market, asks)}},{"b":${side(market, bids)},${checksum}},${name}]`
    },
  }
  return { symbol, dialect }
}

function krakenV2(symbol: string, depth: number) {
  const side = (levels: readonly TextLevel[]): string =>
    `[${levels.map(([price, qty]) => `{"price":${price},"qty":${qty}}`).join(',')}]`
  const frame = (type: string, market: Market, bids: readonly TextLevel[], asks: readonly TextLevel[]): string =>
    `{"channel":"book","type":"${type}","data":[{"symbol":"${symbol}","bids":${side(bids)},"asks":${side(asks)},"checksum":${market.checksum('kraken')},"timestamp":"${new Date(market.timeMs).toISOString().replace('Z', '123Z')}"}]}`
  const dialect: Dialect = {
    depth,
    opening: [
      `{"method":"subscribe","result":{"channel":"book","depth":${depth},"snapshot":true,"symbol":"${symbol}"},"success":true,"time_in":"2026-08-24T22:21:57.000000Z","time_out":"2026-08-24T22:21:57.000001Z"}`,
    ],
    isRest: false,
    snapshot: (market) => frame('snapshot', market, market.bids, market.asks),
    delta: (market, bids, asks) => frame('update', market, bids, asks),
  }
  return { symbol, dialect }
}

function coinbase(symbol: string) {
  const time = ({ timeMs }: Market): string => new Date(timeMs).toISOString().replace('Z', '456Z')
  let frames = 0
  const dialect: Dialect = {
    depth: undefined,
    opening: [],
    isRest: false,
    snapshot: (market) =>
      `{"type":"snapshot","product_id":"${symbol}","asks":${pairs(market.asks)},"bids":${pairs(market.bids)}${frames++ % 2 === 0 ? '' : `,"time":"${time(market)}"`}}`,
    delta: (market, bids, asks) => {
      const changes = [
        ...bids.map(([p, s]) => `["buy","${p}","${s}"]`),
        ...asks.map(([p, s]) => `["sell","${p}","${s}"]`),
      ]
      return `{"type":"l2update","product_id":"${symbol}","changes":[${changes.join(',')}],"time":"${time(market)}"}`
    },
  }
  return { symbol, dialect }
}
