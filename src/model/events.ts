/**
 * The words of market data: what every exchange's frames are turned into. The file to read first.
 *
 * Units   prices in quote units, sizes in the instrument's size unit (base units, or contracts for derivatives whose
 *         exchange counts contracts), both the doubles nearest to the exchange's text
 * Time    integer microseconds since 1970. `exchangeTimeUs` is the exchange's own word, `receiveTimeUs` was stamped in
 *         the socket callback
 * Absence `undefined` means "the exchange did not say"; it is never written as 0 or NaN
 *
 * An event is finished when it is emitted: nobody changes it afterwards. Each kind is built in one place with all its
 * fields in one order, because engines read objects of one shape several times faster.
 */

export type Side = 'buy' | 'sell'

/** One level of a book: `[price, size]`. In a delta, size 0 removes the level. */
export type Level = readonly [price: number, size: number]

/** Fields that every event has. */
export interface EventBase {
  readonly exchange: string
  /** The exchange's own name of the instrument, spelled as it spells it; '' for a notice about a whole connection. */
  readonly symbol: string
  /** The unified name (`BTC-USDT`, `BTC-USDT-PERP`); undefined where no metadata is known. */
  readonly instrument: string | undefined
  readonly exchangeTimeUs: number | undefined
  readonly receiveTimeUs: number
  /** Of what is replayed, where it was asked for: the frame that the event was made of. */
  readonly lineage?: Lineage
}

/** Where in which recording something stands. */
export interface Lineage {
  readonly file: string
  /** Counts from 0; of a gzip file its members. */
  readonly block: number
  /** Counts from 1, which is the header. */
  readonly line: number
}

/** An execution. `side` is the aggressor's. */
export interface Trade extends EventBase {
  readonly kind: 'trade'
  readonly id: string | undefined
  readonly side: Side | undefined
  readonly price: number
  readonly size: number
  readonly priceDecimals: number
  readonly sizeDecimals: number
  /** True for old trades sent at subscribing: not to be counted as new. */
  readonly history: boolean
}

/**
 * A change of an order book: a snapshot replaces it, a delta changes levels.
 *
 * Sequence numbers are those of the exchange, put into one form: `seq` is the number of the book after this change,
 * `prevSeq` the number it extends, `firstSeq` the first of the range a delta covers. Which of them an exchange sends and
 * how they chain is its sequencing rule (`book/sequencing.ts`).
 */
export interface BookChange extends EventBase {
  readonly kind: 'snapshot' | 'delta'
  readonly bids: readonly Level[]
  readonly asks: readonly Level[]
  readonly seq: number | undefined
  readonly prevSeq: number | undefined
  readonly firstSeq: number | undefined
  /** The exchange's checksum of the book after this change, as it was sent; undefined when it sent none. */
  readonly checksum: number | undefined
  /** Levels a side that the exchange keeps and sends; the book is cut to it after each change. Undefined: no cut. */
  readonly depth: number | undefined
  /** The digits of the levels' wire texts, parallel to `bids` and `asks`. */
  readonly bidDigits: LevelDigits
  readonly askDigits: LevelDigits
}

/**
 * The digits of a side's wire texts: `decimals[i]` is `priceDecimals * 128 + sizeDecimals` of level i.
 * `texts` holds the whole text of the few levels that a double cannot hold exactly, by index.
 */
export interface LevelDigits {
  readonly decimals: readonly number[]
  readonly texts: ReadonlyMap<number, LevelText> | undefined
}

/** The wire's own text of one level. */
export type LevelText = readonly [price: string, size: string]

/** An exchange's periodic summary, or its best bid and ask. */
export interface Ticker extends EventBase {
  readonly kind: 'ticker'
  readonly bidPrice: number | undefined
  readonly bidSize: number | undefined
  readonly askPrice: number | undefined
  readonly askSize: number | undefined
  readonly lastPrice: number | undefined
}

export interface Candle extends EventBase {
  readonly kind: 'candle'
  readonly openTimeUs: number
  readonly intervalUs: number
  readonly open: number
  readonly high: number
  readonly low: number
  readonly close: number
  /** In the instrument's size unit. */
  readonly volume: number
  /** False also where the exchange has no such flag. */
  readonly closed: boolean
}

/** What an exchange says of a derivative beside its trades and book. Only what changed is there. */
export interface Derivative extends EventBase {
  readonly kind: 'derivative'
  readonly markPrice: number | undefined
  readonly indexPrice: number | undefined
  /** Per funding interval, as a fraction: 0.0001 is one basis point. */
  readonly fundingRate: number | undefined
  readonly nextFundingTimeUs: number | undefined
  /** In the instrument's size unit. */
  readonly openInterest: number | undefined
}

/** A forced close. `side` is the side of the liquidating order: `sell` closed a long. */
export interface Liquidation extends EventBase {
  readonly kind: 'liquidation'
  readonly side: Side | undefined
  readonly price: number
  readonly size: number
}

export type NoticeCode = 'connected' | 'disconnected' | 'gap' | 'resynced' | 'stale' | 'dropped'

/** A fact about the stream that travels in it, because state downstream must change in order with the data. */
export interface Notice extends EventBase {
  readonly kind: 'notice'
  readonly code: NoticeCode
  readonly details: Readonly<Record<string, unknown>>
}

export type MarketEvent = Trade | BookChange | Ticker | Candle | Derivative | Liquidation | Notice

/** Every kind of event, in the order in which pages list them. */
export const EVENT_KINDS = [
  'trade',
  'snapshot',
  'delta',
  'ticker',
  'candle',
  'derivative',
  'liquidation',
  'notice',
] as const satisfies readonly MarketEvent['kind'][]

/**
 * Events that travel together; by default those of one frame, in its order. Read it with `for … of`; do not keep
 * references into its storage.
 */
export interface Batch<T> extends Iterable<T> {
  readonly length: number
}
