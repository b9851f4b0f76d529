/**
 * What has come of each channel of each symbol: counted where frames are decoded, in plain fields, read by whoever wants to
 * know.
 *
 * A stream is one channel of one symbol of one exchange, over however many connections, one after another or at once.
 */
import type { ChannelName } from '../exchanges/protocol'
import type { MarketEvent } from '../model/events'
import type { FaultCode } from '../model/fault'

/** The counters of one stream. */
export interface StreamCounts {
  readonly exchange: string
  readonly channel: ChannelName
  /** As the exchange spells it. */
  readonly symbol: string
  /** Its usual name, once the exchange's list of instruments is known. */
  instrument: string | undefined
  /** Frames, and REST answers, with something of this stream. */
  frames: number
  /** Of frames with nothing of other streams. */
  bytes: number
  events: number
  /** When the last frame was received; NaN before. */
  lastFrameUs: number
  /** Times that a live book was lost. */
  gaps: number
  resyncs: number
  checksumFailures: number
  crossed: number
}

/** Streams that are counted one by one. Symbols come from outside: those beyond are counted together, by exchange and channel. */
export const STREAMS_MAX = 10_000

/** The symbol of streams that are counted together. */
export const FURTHER_SYMBOLS = '(further symbols)'

export class Streams {
  private readonly all: StreamCounts[] = []
  private readonly byExchange = new Map<string, Map<ChannelName, Map<string, StreamCounts>>>()
  private symbols = 0

  constructor(private readonly capacity = STREAMS_MAX) {}

  /** Those that there have been, in the order in which they came. */
  get list(): readonly StreamCounts[] {
    return this.all
  }

  /** The stream of a channel and symbol, new if it is the first time. */
  of(exchange: string, channel: ChannelName, symbol: string, instrument?: string): StreamCounts {
    let ofExchange = this.byExchange.get(exchange)
    if (ofExchange === undefined) this.byExchange.set(exchange, (ofExchange = new Map<ChannelName, never>()))
    let ofChannel = ofExchange.get(channel)
    if (ofChannel === undefined) ofExchange.set(channel, (ofChannel = new Map<string, StreamCounts>()))
    const known = ofChannel.get(symbol)
    if (known !== undefined) {
      known.instrument ??= instrument
      return known
    }
    if (symbol !== FURTHER_SYMBOLS && this.symbols >= this.capacity) {
      return this.of(exchange, channel, FURTHER_SYMBOLS)
    }
    if (symbol !== FURTHER_SYMBOLS) this.symbols++
    const stream = streamCounts(exchange, channel, symbol, instrument)
    ofChannel.set(symbol, stream)
    this.all.push(stream)
    return stream
  }
}

function streamCounts(exchange: string, channel: ChannelName, symbol: string, instrument?: string): StreamCounts {
  return {
    exchange,
    channel,
    symbol,
    instrument,
    frames: 0,
    bytes: 0,
    events: 0,
    lastFrameUs: NaN,
    gaps: 0,
    resyncs: 0,
    checksumFailures: 0,
    crossed: 0,
  }
}

/** The channel that an event came by; undefined of a notice. */
export function channelOf({ kind }: MarketEvent): ChannelName | undefined {
  return CHANNEL_OF[kind]
}

const CHANNEL_OF: Readonly<Record<MarketEvent['kind'], ChannelName | undefined>> = {
  trade: 'trades',
  snapshot: 'book',
  delta: 'book',
  ticker: 'ticker',
  candle: 'candles',
  derivative: 'derivative',
  liquidation: 'liquidations',
  notice: undefined,
}

/** A book of this stream is lost, or cannot be vouched for. */
export function countFault(stream: StreamCounts, code: FaultCode): void {
  if (code === 'BOOK_CHECKSUM') stream.checksumFailures++
  else if (code === 'BOOK_CROSSED') stream.crossed++
}
