import type { MarketEvent } from '../model/events'

/**
 * What a field holds, wherever it is written.
 *
 * text     a text
 * number   the double nearest to the wire's text
 * integer  a whole number that a double holds exactly
 * timeUs   microseconds since 1970
 * levels   a list of `[price, size]` pairs
 * json     anything else that has a JSON text
 */
export type FieldType = 'text' | 'number' | 'integer' | 'timeUs' | 'boolean' | 'levels' | 'json'

type EventOf<K extends MarketEvent['kind'], E = MarketEvent> = E extends { kind: infer Kinds }
  ? K extends Kinds
    ? E
    : never
  : never

const BASE_FIELDS = {
  kind: 'text',
  exchange: 'text',
  symbol: 'text',
  instrument: 'text',
  exchangeTimeUs: 'timeUs',
  receiveTimeUs: 'timeUs',
} as const

const BOOK_FIELDS = { ...BASE_FIELDS, bids: 'levels', asks: 'levels', seq: 'integer', prevSeq: 'integer' } as const

/** What is written of each kind of event: the one definition behind schemas, encoders and columns. */
export const EVENT_FIELDS = {
  trade: { ...BASE_FIELDS, id: 'text', side: 'text', price: 'number', size: 'number', history: 'boolean' },
  snapshot: BOOK_FIELDS,
  delta: BOOK_FIELDS,
  ticker: {
    ...BASE_FIELDS,
    bidPrice: 'number',
    bidSize: 'number',
    askPrice: 'number',
    askSize: 'number',
    lastPrice: 'number',
  },
  candle: {
    ...BASE_FIELDS,
    openTimeUs: 'timeUs',
    intervalUs: 'integer',
    open: 'number',
    high: 'number',
    low: 'number',
    close: 'number',
    volume: 'number',
    closed: 'boolean',
  },
  derivative: {
    ...BASE_FIELDS,
    markPrice: 'number',
    indexPrice: 'number',
    fundingRate: 'number',
    nextFundingTimeUs: 'timeUs',
    openInterest: 'number',
  },
  liquidation: { ...BASE_FIELDS, side: 'text', price: 'number', size: 'number' },
  notice: { ...BASE_FIELDS, code: 'text', details: 'json' },
} as const satisfies { [K in MarketEvent['kind']]: Partial<Record<keyof EventOf<K>, FieldType>> }

const BOOK_ENGINE_FIELDS = ['firstSeq', 'checksum', 'depth', 'bidDigits', 'askDigits'] as const

/** What only the engine needs of each kind, and stays inside. */
export const ENGINE_FIELDS: Readonly<Record<MarketEvent['kind'], readonly string[]>> = {
  trade: ['priceDecimals', 'sizeDecimals'],
  snapshot: BOOK_ENGINE_FIELDS,
  delta: BOOK_ENGINE_FIELDS,
  ticker: [],
  candle: [],
  derivative: [],
  liquidation: [],
  notice: [],
}

/** The kind of what says that it is a market event. */
export function eventKindOf(value: unknown): MarketEvent['kind'] | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { kind, exchange } = value as { readonly kind?: unknown; readonly exchange?: unknown }
  if (typeof kind !== 'string' || typeof exchange !== 'string') return undefined
  return KINDS.has(kind) ? (kind as MarketEvent['kind']) : undefined
}

const KINDS: ReadonlySet<string> = new Set(Object.keys(EVENT_FIELDS))
