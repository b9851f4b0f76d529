/**
 * What tests of exchange descriptions share: a frame's text to its route and events, and a recording to counts and books,
 * by the description alone: no feed, no session.
 */
import { Level2Book } from '../../src/book/level2Book'
import type { ExchangeProtocol, Route } from '../../src/exchanges/protocol'
import type { BookChange, MarketEvent } from '../../src/model/events'
import { EventWriter } from '../../src/model/codec/eventWriter'
import { parseWireJson } from '../../src/model/codec/wireJson'
import { InstrumentTable, type Instrument } from '../../src/model/instrument'
import { readRecording, type RecordedLine } from './shared'

export const RECEIVED_US = 1_760_000_000_000_000

export function writerFor(
  exchange: ExchangeProtocol,
  market = exchange.markets[0]!,
  instruments = new InstrumentTable(),
): EventWriter {
  const writer = new EventWriter(exchange.id, market, (symbol) => instruments.symbol(market, symbol))
  writer.receiveTimeUs = RECEIVED_US
  return writer
}

export interface Decoded {
  readonly route: Route
  readonly events: MarketEvent[]
}

/** One frame, as text or as the value that is its JSON. Frames of one connection share a writer. */
export function decodeFrame(exchange: ExchangeProtocol, frame: unknown, writer = writerFor(exchange)): Decoded {
  const text = typeof frame === 'string' ? frame : JSON.stringify(frame)
  const message = exchange.plainTexts.includes(text) ? text : parseWireJson(text, exchange)
  const route = exchange.route(message, writer)
  if (route.to === 'channel') exchange.channels[route.channel]!.decode(route.wire, writer)
  return { route, events: writer.take() }
}

/** The one event of a frame that has one. */
export function onlyEvent(exchange: ExchangeProtocol, frame: unknown, writer = writerFor(exchange)): MarketEvent {
  const { route, events } = decodeFrame(exchange, frame, writer)
  if (events.length !== 1) throw new Error(`${events.length} events, routed to ${JSON.stringify(route).slice(0, 200)}`)
  return events[0]!
}

export interface Replayed {
  /** Events by kind, snapshots of REST answers included; deltas that were dropped as stale are not counted. */
  readonly counts: Map<string, number>
  readonly stale: number
  readonly gaps: number
  readonly books: Map<string, Level2Book>
  readonly crossed: number
}

/**
 * Replays a session with its REST snapshots through decoders, the sequencing rule and books, in the plainest way there is.
 * A line of the session for which `keep` says false is lost.
 */
export function replay(
  exchange: ExchangeProtocol,
  session: string,
  rest?: string,
  keep: (line: RecordedLine, index: number) => boolean = () => true,
): Replayed {
  const { header, lines } = readRecording(session)
  const answers = rest === undefined ? [] : readRecording(rest).lines.filter(({ role }) => role === 'book-snapshot')
  const merged = [...lines.filter(keep), ...answers].sort((a, b) =>
    BigInt(a.t) < BigInt(b.t) ? -1 : a.t === b.t ? 0 : 1,
  )
  const writer = writerFor(exchange, exchange.endpoints[exchange.endpointOf(header.url ?? '')]!.market)

  const counts = new Map<string, number>()
  const states = new Map<string, BookState>()
  let stale = 0
  let gaps = 0
  let crossed = 0
  const count = (kind: string): void => void counts.set(kind, (counts.get(kind) ?? 0) + 1)

  const follow = (delta: BookChange, state: BookState): void => {
    if (!state.live) return
    const { sequencing } = exchange.book
    const verdict = state.joined ? sequencing.next(delta, state.seq, state.prevSeq) : sequencing.join(delta, state.seq)
    if (verdict === 'stale') stale++
    else if (verdict === 'gap') {
      gaps++
      state.live = false
    } else {
      state.book.delta(delta)
      state.joined = true
      state.prevSeq = delta.prevSeq
      state.seq = delta.seq
      if (state.book.crossed) crossed++
      count('delta')
    }
  }

  const apply = (event: MarketEvent): void => {
    if (event.kind !== 'snapshot' && event.kind !== 'delta') {
      count(event.kind === 'trade' && event.history ? 'history' : event.kind)
      return
    }
    let state = states.get(event.symbol)
    if (state === undefined) states.set(event.symbol, (state = new BookState()))
    if (event.kind === 'snapshot') {
      count('snapshot')
      state.book.snapshot(event)
      state.live = true
      state.joined = false
      state.seq = event.seq
      for (const delta of state.waiting.splice(0)) follow(delta, state)
    } else if (state.live) follow(event, state)
    else state.waiting.push(event)
  }

  for (const line of merged) {
    if (line.dir === 'in') for (const event of decodeFrame(exchange, line.raw!, writer).events) apply(event)
    if (line.dir !== 'rest') continue
    const symbol = exchange.book.snapshot?.symbolOf(line.url!)
    if (symbol === undefined) throw new Error(`${line.url} is no snapshot`)
    exchange.book.snapshot!.decode(parseWireJson(line.body!, exchange), symbol, writer)
    for (const event of writer.take()) apply(event)
  }
  const books = new Map([...states].map(([symbol, { book }]): [string, Level2Book] => [symbol, book]))
  return { counts, stale, gaps, books, crossed }
}

class BookState {
  readonly book = new Level2Book()
  readonly waiting: BookChange[] = []
  live = false
  joined = false
  seq: number | undefined = undefined
  prevSeq: number | undefined = undefined
}

/** An instrument of an exchange, for tests of topics. */
export function instrument(exchange: ExchangeProtocol, fields: Partial<Instrument> = {}): Instrument {
  return {
    exchange: exchange.id,
    symbol: 'BTCUSDT',
    name: 'BTC-USDT',
    kind: 'spot',
    base: 'BTC',
    quote: 'USDT',
    tickSize: 0.01,
    priceDecimals: 2,
    lotSize: 0.00001,
    sizeDecimals: 5,
    contractSize: undefined,
    inverse: false,
    expiryTimeUs: undefined,
    trading: true,
    market: exchange.markets[0]!,
    ...fields,
  }
}
