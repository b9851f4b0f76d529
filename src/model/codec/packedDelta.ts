import type { BookChange, Lineage, Level, LevelDigits } from '../events'

/** What is said of a delta beside its levels, as numbers; NaN is what was not sent. */
export interface PackedHead {
  readonly exchangeTimeUs: number
  readonly seq: number
  readonly prevSeq: number
  readonly firstSeq: number
  readonly checksum: number
  /** Levels of each side. */
  readonly bids: number
  readonly asks: number
}

/** Which book of an exchange a delta is of, and the depth that it is cut to. */
export interface PackedOf {
  readonly symbol: string
  readonly instrument: string | undefined
  readonly depth: number | undefined
}

/** Where a side's columns begin in an array of numbers. */
export interface PackedColumns {
  readonly prices: number
  readonly sizes: number
  readonly decimals: number
}

const EXCHANGE_TIME = 0
const RECEIVE_TIME = 1
const SEQ = 2
const PREV_SEQ = 3
const FIRST_SEQ = 4
const CHECKSUM = 5
const BIDS = 6
const ASKS = 7
const HEADER = 8
const NUMBERS_OF_LEVEL = 3

/** Of one array, which many deltas share: it lives as long as the last of them. */
const NUMBERS = 4_096

/**
 * A delta whose levels lie in columns beside those of others, and become objects when somebody asks for them: for streams of
 * which nobody does.
 *
 * It reads as any delta does, but its fields are the class's: a copy by `...` has none of them. Who keeps one for long keeps
 * the numbers of a few hundred others; `plain` gives a delta that stands alone.
 */
export class PackedDelta implements BookChange {
  declare readonly lineage?: Lineage

  constructor(
    readonly exchange: string,
    private readonly of: PackedOf,
    /** The numbers that it shares, and where its own are: a header, and of each side prices, sizes and decimals. */
    readonly numbers: Float64Array,
    private readonly at: number,
  ) {}

  get kind(): 'delta' {
    return 'delta'
  }

  get symbol(): string {
    return this.of.symbol
  }

  get instrument(): string | undefined {
    return this.of.instrument
  }

  get depth(): number | undefined {
    return this.of.depth
  }

  get exchangeTimeUs(): number | undefined {
    return this.said(EXCHANGE_TIME)
  }

  get receiveTimeUs(): number {
    return this.numbers[this.at + RECEIVE_TIME]!
  }

  get seq(): number | undefined {
    return this.said(SEQ)
  }

  get prevSeq(): number | undefined {
    return this.said(PREV_SEQ)
  }

  get firstSeq(): number | undefined {
    return this.said(FIRST_SEQ)
  }

  get checksum(): number | undefined {
    return this.said(CHECKSUM)
  }

  get bids(): Level[] {
    return this.levels(false)
  }

  get asks(): Level[] {
    return this.levels(true)
  }

  get bidDigits(): LevelDigits {
    return this.digits(false)
  }

  get askDigits(): LevelDigits {
    return this.digits(true)
  }

  /** Levels of a side. */
  count(asks: boolean): number {
    return this.numbers[this.at + (asks ? ASKS : BIDS)]!
  }

  /** Where in `numbers` the prices of a side begin; its sizes and decimals follow, as many each. */
  columnsAt(asks: boolean): number {
    return this.at + HEADER + (asks ? NUMBERS_OF_LEVEL * this.count(false) : 0)
  }

  plain(): BookChange {
    const { kind, exchange, symbol, instrument, exchangeTimeUs, receiveTimeUs, bids, asks } = this
    const { seq, prevSeq, firstSeq, checksum, depth, bidDigits, askDigits } = this
    return {
      kind,
      exchange,
      symbol,
      instrument,
      exchangeTimeUs,
      receiveTimeUs,
      bids,
      asks,
      seq,
      prevSeq,
      firstSeq,
      checksum,
      depth,
      bidDigits,
      askDigits,
    }
  }

  private levels(asks: boolean): Level[] {
    const { numbers } = this
    const count = this.count(asks)
    const from = this.columnsAt(asks)
    return Array.from({ length: count }, (_, index): Level => [numbers[from + index]!, numbers[from + count + index]!])
  }

  private digits(asks: boolean): LevelDigits {
    const count = this.count(asks)
    const from = this.columnsAt(asks) + 2 * count
    return { decimals: [...this.numbers.subarray(from, from + count)], texts: undefined }
  }

  private said(index: number): number | undefined {
    const number = this.numbers[this.at + index]!
    return Number.isNaN(number) ? undefined : number
  }
}

/** Makes packed deltas, one array of numbers after the other. */
export class DeltaPacker {
  private numbers = new Float64Array(0)
  private at = 0

  /** @param from  the numbers in which the columns lie; they are copied */
  pack(
    exchange: string,
    of: PackedOf,
    head: PackedHead,
    receiveTimeUs: number,
    from: Float64Array,
    bids: PackedColumns,
    asks: PackedColumns,
  ): PackedDelta {
    const size = HEADER + NUMBERS_OF_LEVEL * (head.bids + head.asks)
    if (this.at + size > this.numbers.length) {
      this.numbers = new Float64Array(Math.max(NUMBERS, size))
      this.at = 0
    }
    const { numbers, at } = this
    this.at += size
    numbers[at + EXCHANGE_TIME] = head.exchangeTimeUs
    numbers[at + RECEIVE_TIME] = receiveTimeUs
    numbers[at + SEQ] = head.seq
    numbers[at + PREV_SEQ] = head.prevSeq
    numbers[at + FIRST_SEQ] = head.firstSeq
    numbers[at + CHECKSUM] = head.checksum
    numbers[at + BIDS] = head.bids
    numbers[at + ASKS] = head.asks
    const asksAt = copySide(from, bids, head.bids, numbers, at + HEADER)
    copySide(from, asks, head.asks, numbers, asksAt)
    return new PackedDelta(exchange, of, numbers, at)
  }
}

function copySide(from: Float64Array, side: PackedColumns, count: number, to: Float64Array, at: number): number {
  const { prices, sizes, decimals } = side
  for (let index = 0; index < count; index++) {
    to[at + index] = from[prices + index]!
    to[at + count + index] = from[sizes + index]!
    to[at + 2 * count + index] = from[decimals + index]!
  }
  return at + NUMBERS_OF_LEVEL * count
}
