/**
 * The contract of an exchange: the list of questions that its description answers, as data and pure functions.
 *
 * A description knows no socket, timer or clock. The feed asks it where to connect and what to send, hands it each parsed
 * frame, and gets back where the frame belongs; the decoder of that channel then writes events.
 */
import type { SequencingRule } from '../book/sequencing'
import type { ChecksumRule } from '../book/checksum'
import type { EventWriter } from '../model/codec/eventWriter'
import type { Shape } from '../kernel/shape'
import type { Instrument } from '../model/instrument'

export type ChannelName = 'trades' | 'book' | 'ticker' | 'candles' | 'derivative' | 'liquidations'

export const CHANNELS: readonly ChannelName[] = ['trades', 'book', 'ticker', 'candles', 'derivative', 'liquidations']

export interface ExchangeProtocol {
  /** As in commands and recordings: `binance-futures`. */
  readonly id: string
  /** As people say it: `Binance USD-M futures`. */
  readonly title: string
  readonly docs: string
  /** The exchange's own parts, each with its instruments: `spot`, `linear`. The first is the default. */
  readonly markets: readonly string[]
  readonly hosts: { readonly ws: string; readonly rest: string }
  /** Addresses under the WebSocket host, by name. One connection serves one endpoint. */
  readonly endpoints: Readonly<Record<string, Endpoint>>
  readonly channels: Readonly<Partial<Record<ChannelName, Channel>>>
  /**
   * The frames that come most often, as the exchange writes them today: they are scanned instead of parsed. The decoders above
   * remain the judges, of all other frames and, in tests, of these.
   */
  readonly shapes: readonly FrameShape[]
  /** Frames that subscribe to the topics (all of one endpoint), within the limits of one request. `id` is unique per connection. */
  subscribe(topics: readonly Topic[], id: number): string
  unsubscribe(topics: readonly Topic[], id: number): string
  readonly limits: Limits
  readonly heartbeat: Heartbeat | undefined
  /** Silence of a whole connection (control frames and pongs included) after which it is dead, in milliseconds. */
  readonly idleMsMax: number
  /** True where digits of JSON numbers count, so that they are read as text. */
  readonly numbersAsText: boolean | ((text: string) => boolean)
  /** Texts that are not JSON and are meant so (`pong`). */
  readonly plainTexts: readonly string[]
  /** Where a parsed frame belongs. Pure, but may read and write `writer.memory`. Never throws on foreign shapes: returns `unknown`. */
  route(message: unknown, writer: EventWriter): Route
  readonly book: BookProtocol
  readonly instruments: InstrumentsProtocol
  readonly rest: RestLimits
  /** What must be polled over REST because no channel sends it. */
  readonly polls: readonly Poll[]
  /**
   * Names the endpoint (and so the market) of a recorded connection from its address, for replay.
   * Addresses that the exchange no longer uses are recognised too.
   */
  endpointOf(url: string): string
}

export interface Endpoint {
  /** Appended to the WebSocket host: `/v5/public/linear`. */
  readonly path: string
  readonly market: string
}

export interface Channel {
  /**
   * What to subscribe to for one instrument; undefined when the instrument's market has no such channel.
   * Several topics where one channel of ours is several of theirs.
   */
  topics(instrument: Instrument, options: TopicOptions): readonly Topic[] | undefined
  /** Writes the frame's events. Throws a `Fault` when a field is not what the protocol documents. */
  decode(wire: unknown, writer: EventWriter): void
  /**
   * Milliseconds of silence of one topic after which it is suspected; undefined where silence means nothing
   * (a quiet instrument has no trades).
   */
  readonly idleMsMax: number | undefined
}

/**
 * A frame of one shape, and what its fields are. What no field says (symbol, instrument, depth) belongs to the key, and is taken
 * from what the channel's decoder makes of the first frame with that key.
 */
export type FrameShape =
  | BookShape
  /** Fields, of the frame or of its rows: `exchangeTimeUs`, `id` (text or integer), `side` (0 buy, 1 sell), `price`, `size`. */
  | { readonly event: 'trade'; readonly channel: 'trades'; readonly shape: Shape }
  /** Fields: `exchangeTimeUs`, `bidPrice`, `bidSize`, `askPrice`, `askSize`, `lastPrice`. */
  | {
      readonly event: 'ticker'
      readonly channel: 'ticker'
      readonly shape: Shape
      /** True where a price or size of 0 stands for an empty side. */
      readonly zeroIsNone: boolean
    }

export interface BookShape {
  readonly event: 'delta' | 'snapshot'
  readonly channel: 'book'
  /** Fields: `exchangeTimeUs`, `seq`, `prevSeq`, `firstSeq`, `checksum`, and levels. */
  readonly shape: Shape
  /** True where each `seq` is one more than the last, so that `prevSeq` is not sent. */
  readonly stepsOfOne?: boolean
}

export interface TopicOptions {
  /** Levels a side that are wanted; the protocol picks the smallest depth it offers that is enough. Undefined: its default. */
  readonly depth: number | undefined
  /**
   * Milliseconds between two frames of a book that are often enough; the protocol picks the slowest pace it offers that is, where
   * the pace is no matter of the depth. Undefined: its default.
   */
  readonly bookEveryMs?: number | undefined
  /** A complete top of the book in every frame, in the place of changes, where the exchange offers both. */
  readonly bookTops?: boolean | undefined
  /** Candle interval. */
  readonly intervalMs: number
}

/** One subscription. */
export interface Topic {
  readonly channel: ChannelName
  /** The exchange's symbol, as it appears in data frames. */
  readonly symbol: string
  /** The exchange's own name for the subscription (`btcusdt@depth@100ms`); unique within the endpoint. */
  readonly key: string
  readonly endpoint: string
}

export interface Limits {
  readonly topicsPerRequest: number
  readonly topicsPerConnection: number
  /** Characters of one request. */
  readonly requestCharsMax: number
  /** Pause between two requests of a connection, in milliseconds. */
  readonly requestEveryMs: number
  /** Pause between two connection attempts to the exchange, in milliseconds. */
  readonly connectEveryMs: number
}

export interface Heartbeat {
  readonly everyMs: number
  /** The text that the client sends. */
  message(id: number): string
}

export interface BookProtocol {
  readonly sequencing: SequencingRule
  /** Undefined where the exchange sends no checksums. */
  readonly checksum: ChecksumRule | undefined
  /** True where neither numbers nor checksums tell a loss, so that a crossed book is the sign of it. */
  readonly crossingMeansLoss: boolean
  /** How REST snapshots are asked for and read; undefined where snapshots come in the stream. */
  readonly snapshot: RestSnapshot | undefined
  /** How a book is verified, for tables and `millrace exchanges`. */
  readonly verified: string
}

export interface RestSnapshot {
  /** Path and query under the REST host. */
  path(symbol: string, options: TopicOptions): string
  /** The request's cost in the units of `RestLimits.weightPerMinute`. */
  readonly weight: number
  /** Recognises a recorded answer by its address; undefined when it is not a book snapshot of this exchange. */
  symbolOf(url: string): string | undefined
  decode(body: unknown, symbol: string, writer: EventWriter): void
}

export interface InstrumentsProtocol {
  /** One request per market or part of it. */
  readonly requests: readonly { readonly market: string; readonly path: string; readonly weight: number }[]
  /** Instruments that are not understood are left out. */
  decode(body: unknown, market: string | undefined): Instrument[]
  /** Path of the next page, from the answer to the last; undefined at the end. */
  nextPath(body: unknown, path: string): string | undefined
}

export interface RestLimits {
  readonly weightPerMinute: number
}

export interface Poll {
  readonly channel: ChannelName
  readonly everyMs: number
  readonly weight: number
  /** Undefined for instruments that have no such thing. */
  path(instrument: Instrument): string | undefined
  /** Recognises a recorded answer by its address. */
  symbolOf(url: string): string | undefined
  decode(body: unknown, symbol: string, writer: EventWriter): void
}

/** Where a frame belongs. */
export type Route =
  /** Data. `symbol` where the envelope names it: it tells which book to repair when the data cannot be read. */
  | {
      readonly to: 'channel'
      readonly channel: ChannelName
      readonly symbol: string | undefined
      readonly wire: unknown
    }
  /** A subscription was acknowledged: the request's id or the topics' keys where the frame names them. */
  | { readonly to: 'ack'; readonly id: number | undefined; readonly keys: readonly string[] }
  /** A subscription was refused, with the exchange's own words. */
  | {
      readonly to: 'refused'
      readonly id: number | undefined
      readonly keys: readonly string[]
      readonly reason: string
    }
  /** A sign of life, nothing more. */
  | { readonly to: 'heartbeat' }
  /** The server asks for this answer. */
  | { readonly to: 'answer'; readonly text: string }
  /** The server will drop the connection. */
  | { readonly to: 'reconnect'; readonly reason: string }
  /** Documented, and of no use here. */
  | { readonly to: 'ignored'; readonly reason: string }
  /** Not documented. */
  | { readonly to: 'unknown'; readonly reason: string }
