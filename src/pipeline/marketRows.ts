/**
 * What a market on a worker says, as rows that cross the thread.
 *
 * Why      a thread that receives and decodes for the loop has to be cheaper for it than doing so itself: the events of a
 *          record cross as one column of numbers. Names are told once and are numbers from then on
 * Rare     and of any form are notices, candles, faults, REST answers: they cross as bytes of text
 */
import { textOf, type SessionRecord } from '../feed/record'
import type { BookChange, Level, LevelDigits, LevelText, MarketEvent, Ticker, Trade } from '../model/events'
import type { TrafficRow } from './marketTraffic'
import { decodeValue, encodeValue } from './valueCodec'

export type MarketRow = EventsRow | FrameRow | TrafficRow | ToldRow

/** The events of a record: their numbers, and what is no number, in the order in which the numbers speak of it. */
export type EventsRow = readonly [numbers: Float64Array, ...others: (string | Uint8Array)[]]

/** A frame that was received; only where frames are recorded. */
export interface FrameRow {
  readonly row: 'frame'
  readonly connection: number
  readonly exchange: string
  readonly isText: boolean
  readonly bytes: Uint8Array
}

/** Anything else: a record that is no received frame, or a fact about the market. */
export interface ToldRow {
  readonly row:
    | 'record'
    | 'fault'
    | 'exhausted'
    | 'ready'
    | 'unready'
    | 'started'
    | 'refused'
    | 'ended'
    | 'connections'
    | 'exchanges'
  readonly bytes: Uint8Array
}

export function toldRow(row: ToldRow['row'], value: unknown): ToldRow {
  return { row, bytes: bytesOf(value) }
}

export function toldOf({ bytes }: ToldRow): unknown {
  return valueOf(bytes)
}

export function recordRow(record: SessionRecord): FrameRow | ToldRow {
  if (record.dir !== 'in') return toldRow('record', record)
  const { connection, exchange, data } = record
  const isText = typeof data === 'string' || textOf(record) !== undefined
  const bytes = typeof data === 'string' ? Buffer.from(data) : data
  return { row: 'frame', connection, exchange, isText, bytes: new Uint8Array(bytes) }
}

/** Where events become rows. One for each {@link EventsReader}: the two share the names that were told. */
export class EventsWriter {
  private readonly names = new Map<string, number>()
  private numbers: number[] = []
  private others: (string | Uint8Array)[] = []

  /** @param isKept  whether the record itself has crossed just before */
  row({ connection, exchange }: SessionRecord, events: readonly MarketEvent[], isKept: boolean): EventsRow {
    const numbers: number[] = (this.numbers = [])
    this.others = []
    numbers.push(connection, this.nameOf(exchange), isKept ? 1 : 0, events.length)
    for (const event of events) this.write(event)
    return [Float64Array.from(numbers), ...this.others]
  }

  private write(event: MarketEvent): void {
    switch (event.kind) {
      case 'trade':
        this.head(TRADE, event)
        this.trade(event)
        return
      case 'snapshot':
      case 'delta':
        this.head(event.kind === 'snapshot' ? SNAPSHOT : DELTA, event)
        this.change(event)
        return
      case 'ticker': {
        const { bidPrice = NaN, bidSize = NaN, askPrice = NaN, askSize = NaN, lastPrice = NaN } = event
        this.head(TICKER, event)
        this.numbers.push(bidPrice, bidSize, askPrice, askSize, lastPrice)
        return
      }
      default:
        this.numbers.push(OTHER)
        this.others.push(bytesOf(event))
    }
  }

  private head(code: number, { exchange, symbol, instrument, exchangeTimeUs = NaN }: MarketEvent): void {
    this.numbers.push(code, this.nameOf(exchange), this.nameOf(symbol), this.nameOf(instrument), exchangeTimeUs)
  }

  private trade({ id, side, price, size, priceDecimals, sizeDecimals, history }: Trade): void {
    const whole = Number(id)
    const isNumber = id !== undefined && Number.isSafeInteger(whole) && String(whole) === id
    const form = id === undefined ? 0 : isNumber ? 1 : 2
    if (form === 2) this.others.push(bytesOf(id))
    this.numbers.push(form, isNumber ? whole : 0, SIDES.indexOf(side), price, size)
    this.numbers.push(priceDecimals, sizeDecimals, history ? 1 : 0)
  }

  private change(event: BookChange): void {
    const { bids, asks, seq = NaN, prevSeq = NaN, firstSeq = NaN, checksum = NaN, depth = NaN } = event
    const { bidDigits, askDigits } = event
    const hasTexts = bidDigits.texts !== undefined || askDigits.texts !== undefined
    if (hasTexts) this.others.push(bytesOf([bidDigits.texts, askDigits.texts]))
    this.numbers.push(seq, prevSeq, firstSeq, checksum, depth, hasTexts ? 1 : 0, bids.length, asks.length)
    this.side(bids, bidDigits)
    this.side(asks, askDigits)
  }

  private side(levels: readonly Level[], { decimals }: LevelDigits): void {
    for (let index = 0; index < levels.length; index++) {
      const level = levels[index]!
      this.numbers.push(level[0], level[1], decimals[index]!)
    }
  }

  private nameOf(name: string | undefined): number {
    if (name === undefined) return -1
    const known = this.names.get(name)
    if (known !== undefined) return known
    this.others.push(name)
    const number = this.names.size
    this.names.set(name, number)
    return number
  }
}

/** Where rows become events again. */
export class EventsReader {
  connection = 0
  exchange = ''
  /** Whether the record itself has come just before. */
  isKept = false
  private readonly names: string[] = []
  private row: EventsRow = [new Float64Array(0)]
  private at = 0
  private other = 1
  private left = 0

  /** Reads what a row is about; {@link events} are to be asked for next. */
  open(row: EventsRow): void {
    this.row = row
    this.at = 0
    this.other = 1
    this.connection = this.number()
    this.exchange = this.name() ?? ''
    this.isKept = this.number() === 1
    this.left = this.number()
  }

  events(receiveTimeUs: number): MarketEvent[] {
    const events: MarketEvent[] = []
    for (; this.left > 0; this.left--) events.push(this.event(receiveTimeUs))
    return events
  }

  private event(receiveTimeUs: number): MarketEvent {
    const code = this.number()
    if (code === OTHER) return { ...(valueOf(this.row[this.other++] as Uint8Array) as MarketEvent), receiveTimeUs }
    const exchange = this.name()!
    const symbol = this.name()!
    const instrument = this.name()
    const exchangeTimeUs = this.said()
    if (code === TICKER) {
      return {
        kind: 'ticker',
        ...{ exchange, symbol, instrument, exchangeTimeUs, receiveTimeUs },
        bidPrice: this.said(),
        bidSize: this.said(),
        askPrice: this.said(),
        askSize: this.said(),
        lastPrice: this.said(),
      } satisfies Ticker
    }
    if (code === TRADE) {
      const form = this.number()
      const whole = this.number()
      return {
        kind: 'trade',
        ...{ exchange, symbol, instrument, exchangeTimeUs, receiveTimeUs },
        id:
          form === 0
            ? undefined
            : form === 1
              ? String(whole)
              : (valueOf(this.row[this.other++] as Uint8Array) as string),
        side: SIDES[this.number()],
        price: this.number(),
        size: this.number(),
        priceDecimals: this.number(),
        sizeDecimals: this.number(),
        history: this.number() === 1,
      } satisfies Trade
    }
    const seq = this.said()
    const prevSeq = this.said()
    const firstSeq = this.said()
    const checksum = this.said()
    const depth = this.said()
    const hasTexts = this.number() === 1
    const [bidTexts, askTexts] = hasTexts ? (valueOf(this.row[this.other++] as Uint8Array) as [Texts, Texts]) : []
    const bids = new Array<Level>(this.number())
    const asks = new Array<Level>(this.number())
    const bidDigits = this.side(bids, bidTexts)
    const askDigits = this.side(asks, askTexts)
    return {
      kind: code === SNAPSHOT ? 'snapshot' : 'delta',
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

  private side(levels: Level[], texts: Texts): LevelDigits {
    const numbers = this.row[0]
    const decimals = new Array<number>(levels.length)
    let { at } = this
    for (let index = 0; index < levels.length; index++) {
      levels[index] = [numbers[at++]!, numbers[at++]!]
      decimals[index] = numbers[at++]!
    }
    this.at = at
    return { decimals, texts }
  }

  private number(): number {
    return this.row[0][this.at++]!
  }

  private said(): number | undefined {
    const number = this.number()
    return Number.isNaN(number) ? undefined : number
  }

  private name(): string | undefined {
    const number = this.number()
    if (number < 0) return undefined
    if (number === this.names.length) this.names.push(this.row[this.other++] as string)
    return this.names[number]
  }
}

type Texts = ReadonlyMap<number, LevelText> | undefined

const SIDES = [undefined, 'buy', 'sell'] as const

const TRADE = 0
const SNAPSHOT = 1
const DELTA = 2
const TICKER = 3
const OTHER = 4

function bytesOf(value: unknown): Uint8Array {
  return new TextEncoder().encode(encodeValue(value))
}

function valueOf(bytes: Uint8Array): unknown {
  return decodeValue(new TextDecoder().decode(bytes))
}
