/**
 * What a market on a worker says, as rows that cross the thread: numbers, texts, columns and plain rows of them.
 *
 * The levels of a book cross as one list of numbers a side. What is rare and of any form (notices' details, faults, REST
 * answers) crosses as bytes of text.
 */
import { textOf, type SessionRecord } from '../feed/record'
import type { BookChange, Level, LevelDigits, LevelText, MarketEvent } from '../model/events'
import { decodeValue, encodeValue } from './valueCodec'

export type MarketRow = EventsRow | FrameRow | ToldRow

/** The events of a record; `isKept` when the record itself has crossed just before. */
export interface EventsRow {
  readonly row: 'events'
  readonly connection: number
  readonly exchange: string
  readonly isKept: boolean
  readonly events: readonly object[]
}

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
  readonly row: 'record' | 'fault' | 'exhausted' | 'ready' | 'unready' | 'started' | 'refused' | 'ended' | 'connections'
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

export function eventsRow(
  { connection, exchange }: SessionRecord,
  events: readonly MarketEvent[],
  isKept: boolean,
): EventsRow {
  return { row: 'events', connection, exchange, isKept, events: events.map(crossed) }
}

/** The events of a row, stamped. */
export function eventsOf({ events }: EventsRow, receiveTimeUs: number): MarketEvent[] {
  return events.map((event) => arrived(event as CrossedEvent, receiveTimeUs))
}

type CrossedEvent =
  | Exclude<MarketEvent, { readonly kind: 'notice' } | BookChange>
  | (Omit<BookChange, 'bids' | 'asks' | 'bidDigits' | 'askDigits'> & {
      readonly bids: readonly number[]
      readonly asks: readonly number[]
      readonly bidDecimals: readonly number[]
      readonly askDecimals: readonly number[]
      readonly texts: Uint8Array | undefined
    })
  | (Omit<Extract<MarketEvent, { readonly kind: 'notice' }>, 'details'> & { readonly details: Uint8Array })

function crossed(event: MarketEvent): object {
  switch (event.kind) {
    case 'notice':
      return { ...event, details: bytesOf(event.details) } satisfies CrossedEvent
    case 'snapshot':
    case 'delta': {
      const { bidDigits, askDigits, ...rest } = event
      const texts =
        bidDigits.texts === undefined && askDigits.texts === undefined
          ? undefined
          : bytesOf([bidDigits.texts, askDigits.texts])
      return {
        ...rest,
        bids: event.bids.flat(),
        asks: event.asks.flat(),
        bidDecimals: bidDigits.decimals,
        askDecimals: askDigits.decimals,
        texts,
      } satisfies CrossedEvent
    }
    default:
      return event
  }
}

type Texts = ReadonlyMap<number, LevelText> | undefined

function arrived(event: CrossedEvent, receiveTimeUs: number): MarketEvent {
  switch (event.kind) {
    case 'notice':
      return { ...event, receiveTimeUs, details: valueOf(event.details) as Readonly<Record<string, unknown>> }
    case 'snapshot':
    case 'delta': {
      const { kind, exchange, symbol, instrument, exchangeTimeUs, seq, prevSeq, firstSeq, checksum, depth } = event
      const [bidTexts, askTexts] = event.texts === undefined ? [] : (valueOf(event.texts) as [Texts, Texts])
      return {
        ...{ kind, exchange, symbol, instrument, exchangeTimeUs, receiveTimeUs },
        bids: levelsOf(event.bids),
        asks: levelsOf(event.asks),
        ...{ seq, prevSeq, firstSeq, checksum, depth },
        bidDigits: digitsOf(event.bidDecimals, bidTexts),
        askDigits: digitsOf(event.askDecimals, askTexts),
      }
    }
    default:
      return { ...event, receiveTimeUs }
  }
}

function levelsOf(numbers: readonly number[]): Level[] {
  const levels = new Array<Level>(numbers.length / 2)
  for (let index = 0; index < levels.length; index++) levels[index] = [numbers[2 * index]!, numbers[2 * index + 1]!]
  return levels
}

function digitsOf(decimals: readonly number[], texts: Texts): LevelDigits {
  return { decimals, texts }
}

function bytesOf(value: unknown): Uint8Array {
  return new TextEncoder().encode(encodeValue(value))
}

function valueOf(bytes: Uint8Array): unknown {
  return decodeValue(new TextDecoder().decode(bytes))
}
