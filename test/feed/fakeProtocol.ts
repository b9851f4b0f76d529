/**
 * A tiny exchange of one's own, so that tests of the feed depend on no real one. Its frames are JSON objects:
 *
 *     { ack: { id, keys } }  { refused: { id, keys, reason } }  { ask: text }  { restart: reason }  { beat: 1 }
 *     { channel, symbol, ... }  trades: price; books: kind, seq and the numbers of their chain
 */
import { linkedInStream, rangeAfterSnapshot } from '../../src/book/sequencing'
import type { ChannelName, ExchangeProtocol, Limits, Route, Topic } from '../../src/exchanges/protocol'
import type { EventWriter } from '../../src/model/codec/eventWriter'
import type { Instrument } from '../../src/model/instrument'

export interface FakeOptions {
  readonly id?: string
  /** Book snapshots by REST. */
  readonly rest?: boolean
  readonly limits?: Partial<Limits>
  readonly heartbeatMs?: number
  readonly idleMsMax?: number
  readonly bookIdleMsMax?: number
  readonly pollMs?: number
  readonly weightPerMinute?: number
  readonly pages?: number
}

interface Wire {
  readonly ack?: { id?: number; keys?: string[] }
  readonly refused?: { id?: number; keys?: string[]; reason?: string }
  readonly ask?: string
  readonly restart?: string
  readonly beat?: number
  readonly channel?: ChannelName
  readonly symbol?: string
}

export function fakeProtocol(options: FakeOptions = {}): ExchangeProtocol {
  const { id = 'fake', rest = false } = options
  const channel = (name: ChannelName, decode: (wire: unknown, writer: EventWriter) => void, idleMsMax?: number) => ({
    topics: (instrument: Instrument, { depth }: { depth: number | undefined }): Topic[] => [
      {
        channel: name,
        symbol: instrument.symbol,
        key:
          name === 'book' && depth !== undefined ? `book${depth}:${instrument.symbol}` : `${name}:${instrument.symbol}`,
        endpoint: instrument.market,
      },
    ],
    decode,
    idleMsMax,
  })
  return {
    id,
    title: `Exchange ${id}`,
    docs: '',
    markets: ['spot', 'linear'],
    hosts: { ws: 'wss://fake.invalid', rest: 'https://fake.invalid' },
    endpoints: { spot: { path: '/spot', market: 'spot' }, linear: { path: '/linear', market: 'linear' } },
    channels: {
      trades: channel('trades', decodeTrade),
      book: channel('book', decodeBook, options.bookIdleMsMax),
    },
    shapes: [],
    subscribe: (topics, requestId) =>
      JSON.stringify({ op: 'subscribe', id: requestId, keys: topics.map(({ key }) => key) }),
    unsubscribe: (topics, requestId) =>
      JSON.stringify({ op: 'unsubscribe', id: requestId, keys: topics.map(({ key }) => key) }),
    limits: {
      topicsPerRequest: 10,
      topicsPerConnection: 100,
      requestCharsMax: 10_000,
      requestEveryMs: 10,
      connectEveryMs: 100,
      ...options.limits,
    },
    heartbeat:
      options.heartbeatMs === undefined
        ? undefined
        : { everyMs: options.heartbeatMs, message: (requestId) => JSON.stringify({ op: 'ping', id: requestId }) },
    idleMsMax: options.idleMsMax ?? 60_000,
    numbersAsText: false,
    plainTexts: [],
    route,
    book: {
      sequencing: rest ? rangeAfterSnapshot : linkedInStream,
      checksum: undefined,
      crossingMeansLoss: false,
      snapshot: rest
        ? {
            path: (symbol) => `/depth?symbol=${symbol}`,
            weight: 10,
            symbolOf: (url) => /\/depth\?symbol=(\w+)/.exec(url)?.[1],
            decode: (body, symbol, writer) => {
              decodeBook({ ...(body as object), symbol, kind: 'snapshot' }, writer)
            },
          }
        : undefined,
      verified: 'numbers',
    },
    instruments: {
      requests: [{ market: 'spot', path: '/instruments', weight: 1 }],
      decode: (body) => (body as { symbols: string[] }).symbols.map((symbol) => fakeInstrument(symbol, id)),
      nextPath: (body) => (body as { next?: string }).next,
    },
    rest: { weightPerMinute: options.weightPerMinute ?? 6_000 },
    polls:
      options.pollMs === undefined
        ? []
        : [
            {
              channel: 'trades',
              everyMs: options.pollMs,
              weight: 1,
              path: ({ symbol }) => `/last?symbol=${symbol}`,
              symbolOf: (url) => /\/last\?symbol=(\w+)/.exec(url)?.[1],
              decode: (body, symbol, writer) => {
                decodeTrade({ ...(body as object), symbol }, writer)
              },
            },
          ],
    endpointOf: (url) => (url.endsWith('/linear') ? 'linear' : 'spot'),
  }
}

/** `AB` is a spot instrument of the unified name `A-B`; `ABP` its perpetual. */
export function fakeInstrument(symbol: string, exchange = 'fake'): Instrument {
  const perpetual = symbol.endsWith('P')
  const [base = '', quote = ''] = symbol
  return {
    exchange,
    symbol,
    name: perpetual ? `${base}-${quote}-PERP` : `${base}-${quote}`,
    kind: perpetual ? 'perpetual' : 'spot',
    base,
    quote,
    tickSize: undefined,
    priceDecimals: undefined,
    lotSize: undefined,
    sizeDecimals: undefined,
    contractSize: undefined,
    inverse: false,
    expiryTimeUs: undefined,
    trading: true,
    market: perpetual ? 'linear' : 'spot',
  }
}

function route(message: unknown): Route {
  const wire = message as Wire
  if (wire.ack) return { to: 'ack', id: wire.ack.id, keys: wire.ack.keys ?? [] }
  if (wire.refused) {
    return { to: 'refused', id: wire.refused.id, keys: wire.refused.keys ?? [], reason: wire.refused.reason ?? 'no' }
  }
  if (wire.ask !== undefined) return { to: 'answer', text: wire.ask }
  if (wire.restart !== undefined) return { to: 'reconnect', reason: wire.restart }
  if (wire.beat !== undefined) return { to: 'heartbeat' }
  if (wire.channel !== undefined) return { to: 'channel', channel: wire.channel, symbol: wire.symbol, wire }
  return { to: 'unknown', reason: 'no field that is known' }
}

function decodeTrade(wire: unknown, writer: EventWriter): void {
  const { symbol, price = '1', size = '1' } = wire as { symbol: string; price?: string; size?: string }
  writer.trade(symbol, undefined, { id: undefined, side: undefined, price, size })
}

function decodeBook(wire: unknown, writer: EventWriter): void {
  const {
    symbol,
    kind,
    seq,
    prevSeq,
    firstSeq,
    bids = [['1', '1']],
    asks = [['2', '1']],
  } = wire as {
    symbol: string
    kind: 'snapshot' | 'delta'
    seq?: number
    prevSeq?: number
    firstSeq?: number
    bids?: string[][]
    asks?: string[][]
  }
  writer.book(kind, symbol, undefined, writer.levelsOf(bids, 'bids'), writer.levelsOf(asks, 'asks'), {
    ...(seq !== undefined && { seq }),
    ...(prevSeq !== undefined && { prevSeq }),
    ...(firstSeq !== undefined && { firstSeq }),
  })
}
