/**
 * Where events are built: each kind in one place, all its fields in one order, every number checked on the way in.
 *
 * A decoder reads the exchange's words and calls the writer; the writer turns number texts into doubles with their
 * decimals, counts what a double cannot hold, names the instrument, and appends the finished event to the batch.
 */
import { decimalsOf, isExactDecimal, shortDecimal, shortDecimals } from '../decimal'
import type { Instrument } from '../instrument'
import type { Level, LevelDigits, LevelText, MarketEvent, NoticeCode, Side, Ticker, Trade } from '../events'
import { decimalText, invalid, list } from './wire'

/** Larger magnitudes are no prices or sizes of any market. */
const MAGNITUDE_MAX = 1e18

export interface EventCounts {
  /** Numbers that a double cannot hold exactly. Their text is kept in the book. */
  inexactNumbers: number
  /** Levels, trades or rows of a frame that were left out because a documented quirk makes them worthless. */
  skippedRows: number
}

/** Which book a change is of, and how deep the exchange keeps it. */
interface BookName {
  readonly symbol: string
  readonly instrument: string | undefined
  readonly depth: number | undefined
}

interface SideLevels {
  readonly levels: readonly Level[]
  readonly digits: LevelDigits
}

/** The numbers by which changes of a book chain, and its checksum. */
interface Chain {
  readonly seq?: number | undefined
  readonly prevSeq?: number | undefined
  readonly firstSeq?: number | undefined
  readonly checksum?: number | undefined
}

export class EventWriter {
  /** Set by the session before each frame. */
  receiveTimeUs = 0
  /** The batch being built. */
  events: MarketEvent[] = []
  readonly counts: EventCounts = { inexactNumbers: 0, skippedRows: 0 }
  /** What a protocol must remember from frame to frame of one connection: merged tickers, acknowledged depths. */
  readonly memory = new Map<string, unknown>()

  constructor(
    readonly exchange: string,
    /** The market of the connection (`spot`, `linear` ...). */
    readonly market: string,
    private readonly instrumentOf: (symbol: string) => Instrument | undefined,
  ) {}

  instrument(symbol: string): Instrument | undefined {
    return this.instrumentOf(symbol)
  }

  /** Hands over the batch and starts a new one. */
  take(): MarketEvent[] {
    const events = this.events
    this.events = []
    return events
  }

  /** A writer that remembers the same and forgets what it learns: to see what would be made of a frame. */
  trial(): EventWriter {
    const trial = new EventWriter(this.exchange, this.market, this.instrumentOf)
    trial.receiveTimeUs = this.receiveTimeUs
    for (const [key, value] of this.memory) trial.memory.set(key, structuredClone(value))
    return trial
  }

  levels(): LevelsBuilder {
    return new LevelsBuilder(this.counts)
  }

  /** Levels from a wire list of lists that start with price and size. */
  levelsOf(wire: unknown, field: string): LevelsBuilder {
    const levels = this.levels()
    for (const level of list(wire, field)) {
      const [price, size] = list(level, field)
      levels.add(price, size)
    }
    return levels
  }

  trade(
    symbol: string,
    exchangeTimeUs: number | undefined,
    fields: { id: string | undefined; side: Side | undefined; price: unknown; size: unknown; history?: boolean },
  ): void {
    const price = decimalText(fields.price, 'price')
    const size = decimalText(fields.size, 'size')
    this.scannedTrade(
      symbol,
      this.instrumentOf(symbol)?.name,
      exchangeTimeUs,
      {
        id: fields.id,
        side: fields.side,
        price: this.positive(price, 'price'),
        size: this.positive(size, 'size'),
        priceDecimals: decimalsOf(price),
        sizeDecimals: decimalsOf(size),
      },
      fields.history === true,
    )
  }

  /** A trade whose numbers have been read and checked. */
  scannedTrade(
    symbol: string,
    instrument: string | undefined,
    exchangeTimeUs: number | undefined,
    fields: Pick<Trade, 'id' | 'side' | 'price' | 'size' | 'priceDecimals' | 'sizeDecimals'>,
    history = false,
  ): void {
    this.events.push({
      kind: 'trade',
      exchange: this.exchange,
      symbol,
      instrument,
      exchangeTimeUs,
      receiveTimeUs: this.receiveTimeUs,
      id: fields.id,
      side: fields.side,
      price: fields.price,
      size: fields.size,
      priceDecimals: fields.priceDecimals,
      sizeDecimals: fields.sizeDecimals,
      history,
    })
  }

  book(
    kind: 'snapshot' | 'delta',
    symbol: string,
    exchangeTimeUs: number | undefined,
    bids: LevelsBuilder,
    asks: LevelsBuilder,
    chain: { seq?: number; prevSeq?: number; firstSeq?: number; checksum?: number; depth?: number } = {},
  ): void {
    const of = { symbol, instrument: this.instrumentOf(symbol)?.name, depth: chain.depth }
    const bidSide = { levels: bids.levels, digits: bids.digits() }
    this.scannedChange(kind, of, exchangeTimeUs, bidSide, { levels: asks.levels, digits: asks.digits() }, chain)
  }

  /** A change of a book whose numbers have been read and checked. */
  scannedChange(
    kind: 'snapshot' | 'delta',
    of: BookName,
    exchangeTimeUs: number | undefined,
    bids: SideLevels,
    asks: SideLevels,
    chain: Chain,
  ): void {
    this.events.push({
      kind,
      exchange: this.exchange,
      symbol: of.symbol,
      instrument: of.instrument,
      exchangeTimeUs,
      receiveTimeUs: this.receiveTimeUs,
      bids: bids.levels,
      asks: asks.levels,
      seq: chain.seq,
      prevSeq: chain.prevSeq,
      firstSeq: chain.firstSeq,
      checksum: chain.checksum,
      depth: of.depth,
      bidDigits: bids.digits,
      askDigits: asks.digits,
    })
  }

  /** Absent, null and empty fields become undefined; a size or price of 0 on an empty side too where `zeroIsNone`. */
  ticker(
    symbol: string,
    exchangeTimeUs: number | undefined,
    fields: { bidPrice?: unknown; bidSize?: unknown; askPrice?: unknown; askSize?: unknown; lastPrice?: unknown },
    zeroIsNone = false,
  ): void {
    const read = (value: unknown, field: string): number | undefined => {
      const number = this.optional(value, field)
      return zeroIsNone && number === 0 ? undefined : number
    }
    this.scannedTicker({ symbol, instrument: this.instrumentOf(symbol)?.name }, exchangeTimeUs, {
      bidPrice: read(fields.bidPrice, 'bidPrice'),
      bidSize: read(fields.bidSize, 'bidSize'),
      askPrice: read(fields.askPrice, 'askPrice'),
      askSize: read(fields.askSize, 'askSize'),
      lastPrice: read(fields.lastPrice, 'lastPrice'),
    })
  }

  /** A ticker whose numbers have been read and checked. */
  scannedTicker(
    of: Omit<BookName, 'depth'>,
    exchangeTimeUs: number | undefined,
    fields: Pick<Ticker, 'bidPrice' | 'bidSize' | 'askPrice' | 'askSize' | 'lastPrice'>,
  ): void {
    this.events.push({
      kind: 'ticker',
      exchange: this.exchange,
      symbol: of.symbol,
      instrument: of.instrument,
      exchangeTimeUs,
      receiveTimeUs: this.receiveTimeUs,
      bidPrice: fields.bidPrice,
      bidSize: fields.bidSize,
      askPrice: fields.askPrice,
      askSize: fields.askSize,
      lastPrice: fields.lastPrice,
    })
  }

  candle(
    symbol: string,
    exchangeTimeUs: number | undefined,
    fields: {
      openTimeUs: number
      intervalUs: number
      open: unknown
      high: unknown
      low: unknown
      close: unknown
      volume: unknown
      closed: boolean
    },
  ): void {
    this.events.push({
      kind: 'candle',
      exchange: this.exchange,
      symbol,
      instrument: this.instrumentOf(symbol)?.name,
      exchangeTimeUs,
      receiveTimeUs: this.receiveTimeUs,
      openTimeUs: fields.openTimeUs,
      intervalUs: fields.intervalUs,
      open: this.positive(decimalText(fields.open, 'open'), 'open'),
      high: this.positive(decimalText(fields.high, 'high'), 'high'),
      low: this.positive(decimalText(fields.low, 'low'), 'low'),
      close: this.positive(decimalText(fields.close, 'close'), 'close'),
      volume: this.notNegative(decimalText(fields.volume, 'volume'), 'volume'),
      closed: fields.closed,
    })
  }

  derivative(
    symbol: string,
    exchangeTimeUs: number | undefined,
    fields: {
      markPrice?: unknown
      indexPrice?: unknown
      fundingRate?: unknown
      nextFundingTimeUs?: number | undefined
      openInterest?: unknown
    },
  ): void {
    this.events.push({
      kind: 'derivative',
      exchange: this.exchange,
      symbol,
      instrument: this.instrumentOf(symbol)?.name,
      exchangeTimeUs,
      receiveTimeUs: this.receiveTimeUs,
      markPrice: this.optional(fields.markPrice, 'markPrice'),
      indexPrice: this.optional(fields.indexPrice, 'indexPrice'),
      fundingRate: this.signed(fields.fundingRate, 'fundingRate'),
      nextFundingTimeUs: fields.nextFundingTimeUs,
      openInterest: this.optional(fields.openInterest, 'openInterest'),
    })
  }

  liquidation(
    symbol: string,
    exchangeTimeUs: number | undefined,
    fields: { side: Side | undefined; price: unknown; size: unknown },
  ): void {
    this.events.push({
      kind: 'liquidation',
      exchange: this.exchange,
      symbol,
      instrument: this.instrumentOf(symbol)?.name,
      exchangeTimeUs,
      receiveTimeUs: this.receiveTimeUs,
      side: fields.side,
      price: this.positive(decimalText(fields.price, 'price'), 'price'),
      size: this.positive(decimalText(fields.size, 'size'), 'size'),
    })
  }

  notice(code: NoticeCode, symbol: string, details: Readonly<Record<string, unknown>> = {}): void {
    this.events.push({
      kind: 'notice',
      exchange: this.exchange,
      symbol,
      instrument: symbol === '' ? undefined : this.instrumentOf(symbol)?.name,
      exchangeTimeUs: undefined,
      receiveTimeUs: this.receiveTimeUs,
      code,
      details,
    })
  }

  private positive(text: string, field: string): number {
    const value = this.number(text, field)
    if (value <= 0) throw invalid(field, text, 'a number above zero')
    return value
  }

  private notNegative(text: string, field: string): number {
    const value = this.number(text, field)
    if (value < 0) throw invalid(field, text, 'a number of zero or more')
    return value
  }

  private optional(value: unknown, field: string): number | undefined {
    return value === undefined || value === null || value === ''
      ? undefined
      : this.notNegative(decimalText(value, field), field)
  }

  private signed(value: unknown, field: string): number | undefined {
    return value === undefined || value === null || value === ''
      ? undefined
      : this.number(decimalText(value, field), field)
  }

  private number(text: string, field: string): number {
    return readNumber(text, field, this.counts)
  }
}

/** Collects one side's levels with their digits. */
export class LevelsBuilder {
  readonly levels: Level[] = []
  private readonly decimals: number[] = []
  private texts: Map<number, LevelText> | undefined

  constructor(private readonly counts: EventCounts) {}

  get length(): number {
    return this.levels.length
  }

  /**
   * Adds a level; size 0 removes in a delta.
   *
   * @throws `Fault` VALUE_INVALID when the price is not above zero or the size is negative or either is no decimal
   */
  add(wirePrice: unknown, wireSize: unknown): void {
    const price = shortDecimal(wirePrice)
    const priceDecimals = shortDecimals()
    const size = shortDecimal(wireSize)
    if (!(price > 0 && size >= 0)) {
      this.addWithCare(wirePrice, wireSize)
      return
    }
    this.levels.push([price, size])
    this.decimals.push(packDecimals(priceDecimals, shortDecimals()))
  }

  /** Numbers of any length and form, and those that are none. */
  private addWithCare(wirePrice: unknown, wireSize: unknown): void {
    const priceText = decimalText(wirePrice, 'price')
    const sizeText = decimalText(wireSize, 'size')
    const inexactBefore = this.counts.inexactNumbers
    const price = readNumber(priceText, 'price', this.counts)
    const size = readNumber(sizeText, 'size', this.counts)
    if (price <= 0) throw invalid('price', priceText, 'a number above zero')
    if (size < 0) throw invalid('size', sizeText, 'a number of zero or more')
    if (this.counts.inexactNumbers !== inexactBefore) {
      this.texts ??= new Map()
      this.texts.set(this.levels.length, [priceText, sizeText])
    }
    this.levels.push([price, size])
    this.decimals.push(packDecimals(decimalsOf(priceText), decimalsOf(sizeText)))
  }

  digits(): LevelDigits {
    return { decimals: this.decimals, texts: this.texts }
  }
}

/** `LevelDigits.decimals` holds both counts of a level in one small integer. */
export function packDecimals(priceDecimals: number, sizeDecimals: number): number {
  return priceDecimals * 128 + sizeDecimals
}

function readNumber(text: string, field: string, counts: EventCounts): number {
  const value = Number(text)
  if (!(Math.abs(value) <= MAGNITUDE_MAX)) throw invalid(field, text, `a number of at most ${MAGNITUDE_MAX}`)
  if (!isExactDecimal(text, value, decimalsOf(text))) counts.inexactNumbers++
  return value
}
