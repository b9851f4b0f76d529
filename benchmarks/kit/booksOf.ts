/**
 * Ways from a frame's bytes to a book whose best prices are read, each as its users would write it.
 *
 * All take the same frames of Binance's combined stream, keep every level of every book, and read both best prices after each
 * frame. What they read last of each symbol must be what the stream says it is: a variant that lost a level is not believed.
 */
import { filter, from, map } from 'rxjs'
import { fromFrames } from '../../src/feed/fromFrames'
import { toBooks } from '../../src/operators/toBooks'
import type { DepthStream, Touch } from './depthStream'
import { apply, sideOf, sorted, type WireLevel } from './mapBook'
import { requirePeer } from './peers'
import { SortedBook } from './sortedBook'

/** Reads all frames. The best prices of each symbol when they are through. */
export type Reader = (
  stream: DepthStream,
  frames: Iterable<Buffer>,
) => ReadonlyMap<string, Touch> | Promise<ReadonlyMap<string, Touch>>

interface WireDepth {
  readonly stream: string
  readonly data: { readonly e: string; readonly s: string; readonly b: WireLevel[]; readonly a: WireLevel[] }
}

interface WireSnapshot {
  readonly lastUpdateId: number
  readonly bids: WireLevel[]
  readonly asks: WireLevel[]
}

/** Whatever is read ends here, so that it cannot be left out. */
let sink = 0

export function wasRead(): boolean {
  return sink !== 0
}

/** The floor: the text, parsed, and nothing else. It has no books, so there is nothing to compare. */
export function jsonParse(_stream: DepthStream, frames: Iterable<Buffer>): ReadonlyMap<string, Touch> {
  for (const frame of frames) sink += parsed(frame).data.b.length + 1
  return new Map()
}

export function sortedArrays(stream: DepthStream, frames: Iterable<Buffer>): ReadonlyMap<string, Touch> {
  const books = new Map<string, SortedBook>()
  for (const { symbol, body } of stream.snapshots) {
    const { bids, asks } = JSON.parse(body) as WireSnapshot
    const book = new SortedBook()
    for (const [price, size] of bids) book.bids.set(Number(price), Number(size))
    for (const [price, size] of asks) book.asks.set(Number(price), Number(size))
    books.set(symbol, book)
  }
  for (const frame of frames) {
    const { data } = parsed(frame)
    const book = books.get(data.s)!
    for (const [price, size] of data.b) book.bids.set(Number(price), Number(size))
    for (const [price, size] of data.a) book.asks.set(Number(price), Number(size))
    sink += book.bids.best + book.asks.best
  }
  return new Map([...books].map(([symbol, { bids, asks }]) => [symbol, { bid: bids.best, ask: asks.best }]))
}

/** A pipeline as teams write it: parse, keep levels in a `Map`, sort both sides into a new state for whoever reads it. */
export function teamPipeline(stream: DepthStream, frames: Iterable<Buffer>): ReadonlyMap<string, Touch> {
  const books = new Map(
    stream.snapshots.map(({ symbol, body }) => {
      const { bids, asks } = JSON.parse(body) as WireSnapshot
      return [symbol, { bids: sideOf(bids), asks: sideOf(asks) }]
    }),
  )
  const last = new Map<string, Touch>()
  from(frames)
    .pipe(
      map((frame) => parsed(frame)),
      filter(({ data }) => data.e === 'depthUpdate'),
      map(({ data }) => {
        const book = books.get(data.s)!
        apply(book.bids, data.b)
        apply(book.asks, data.a)
        return { symbol: data.s, bids: sorted(book.bids, -1), asks: sorted(book.asks, 1) }
      }),
      map(({ symbol, bids, asks }) => ({ symbol, bid: bids[0]!.price, ask: asks[0]!.price })),
    )
    .subscribe(({ symbol, bid, ask }) => {
      sink += bid + ask
      last.set(symbol, { bid, ask })
    })
  return last
}

/** What is. */
export function millrace(stream: DepthStream, frames: Iterable<Buffer>): ReadonlyMap<string, Touch> {
  const views = new Map<
    string,
    { bestBid(): { price: number } | undefined; bestAsk(): { price: number } | undefined }
  >()
  fromFrames('binance', frames, stream)
    .pipe(toBooks())
    .subscribe((batch) => {
      for (const view of batch) {
        sink += view.bestBid()!.price + view.bestAsk()!.price
        views.set(view.symbol, view)
      }
    })
  return new Map(
    [...views].map(([symbol, view]) => [symbol, { bid: view.bestBid()!.price, ask: view.bestAsk()!.price }]),
  )
}

interface Tardis {
  normalizeBookChanges(exchange: string, time: Date): TardisMapper
  readonly OrderBook: new () => TardisBook
}

interface TardisMapper {
  canHandle(message: unknown): boolean
  map(message: unknown, time: Date): Iterable<TardisBookChange>
}

interface TardisBookChange {
  readonly symbol: string
  readonly isSnapshot: boolean
}

interface TardisBook {
  update(change: TardisBookChange): void
  bestBid(): { readonly price: number } | undefined
  bestAsk(): { readonly price: number } | undefined
}

/**
 * tardis-dev's mapper and order books, as its `computable`s use them.
 *
 * @param read  given each book that a message has changed
 */
export class TardisBooks {
  readonly bySymbol = new Map<string, TardisBook>()
  private readonly time = new Date()
  private readonly mapper: TardisMapper
  private readonly tardis = requirePeer('tardis-dev') as Tardis

  constructor(
    exchange: string,
    private readonly read: (book: TardisBook) => void,
  ) {
    this.mapper = this.tardis.normalizeBookChanges(exchange, this.time)
  }

  /** A REST snapshot, in the words in which tardis-dev records it. */
  snapshot({ symbol, body }: { readonly symbol: string; readonly body: string }): void {
    this.apply({ stream: `${symbol.toLowerCase()}@depthSnapshot`, generated: true, data: JSON.parse(body) as unknown })
  }

  apply(message: unknown): void {
    if (!this.mapper.canHandle(message)) return
    for (const change of this.mapper.map(message, this.time)) {
      let book = this.bySymbol.get(change.symbol)
      if (book === undefined) this.bySymbol.set(change.symbol, (book = new this.tardis.OrderBook()))
      book.update(change)
      this.read(book)
    }
  }
}

/** Mapper and order book, both best prices read after each change. */
export function tardis(stream: DepthStream, frames: Iterable<Buffer>): ReadonlyMap<string, Touch> {
  const books = new TardisBooks('binance', (book) => (sink += book.bestBid()!.price + book.bestAsk()!.price))
  for (const snapshot of stream.snapshots) books.snapshot(snapshot)
  for (const frame of frames) books.apply(parsed(frame))
  return new Map(
    [...books.bySymbol].map(([symbol, book]) => [symbol, { bid: book.bestBid()!.price, ask: book.bestAsk()!.price }]),
  )
}

/** The part of ccxt's exchange that the road of a frame uses. */
export interface CcxtExchange {
  orderbooks: Record<string, CcxtBook>
  setMarkets(markets: readonly object[]): void
  safeMarketStructure(market: object): object
  parseOrderBook(book: unknown, symbol: string): object
  orderBook(snapshot: object, depth: number): CcxtBook
  handleMessage(client: object, message: unknown): void
  client(url: string): CcxtClient
  watchMultiple: (url: string, hashes: readonly string[]) => Promise<unknown>
  watchOrderBook(symbol: string, limit?: number): Promise<CcxtBook>
  loadMarkets: () => Promise<object>
}

export interface CcxtClient {
  readonly subscriptions: Record<string, unknown>
  future(hash: string): Promise<unknown>
}

export interface CcxtBook {
  nonce: number
  readonly bids: readonly (readonly [price: number, size: number])[]
  readonly asks: readonly (readonly [price: number, size: number])[]
}

const CCXT_URL = 'wss://stream.binance.com:9443/ws/0'

/** `handleMessage` on frames that are there, with books that have their snapshots: all that ccxt does after its socket. */
export function ccxt(stream: DepthStream, frames: Iterable<Buffer>): ReadonlyMap<string, Touch> {
  const { exchange, client, symbolOf } = ccxtWith(stream)
  for (const frame of frames) {
    const message = parsed(frame)
    exchange.handleMessage(client, message)
    const book = exchange.orderbooks[symbolOf.get(message.data.s)!]!
    sink += book.bids[0]![0] + book.asks[0]![0]
  }
  return ccxtTouches(exchange, symbolOf)
}

/** As its users are told to: `await watchOrderBook(symbol)`, which a frame of that symbol resolves. */
export async function ccxtWatching(stream: DepthStream, frames: Iterable<Buffer>): Promise<ReadonlyMap<string, Touch>> {
  const { exchange, client, symbolOf } = ccxtWith(stream)
  exchange.watchMultiple = (_url, [hash]) => client.future(hash!)
  for (const frame of frames) {
    const message = parsed(frame)
    const watched = exchange.watchOrderBook(symbolOf.get(message.data.s)!)
    // The promise is made before its frame comes in, as on a socket.
    await Promise.resolve()
    await Promise.resolve()
    exchange.handleMessage(client, message)
    const book = await watched
    sink += book.bids[0]![0] + book.asks[0]![0]
  }
  return ccxtTouches(exchange, symbolOf)
}

function ccxtWith(stream: DepthStream): {
  exchange: CcxtExchange
  client: CcxtClient
  symbolOf: ReadonlyMap<string, string>
} {
  const markets = stream.snapshots.map(({ symbol }) => ({
    id: symbol,
    base: symbol.slice(0, -'USDT'.length),
    quote: 'USDT',
  }))
  const { exchange, client } = ccxtOf('binance', CCXT_URL, markets)
  const symbolOf = new Map(markets.map(({ id, base, quote }) => [id, `${base}/${quote}`]))
  for (const { symbol, body } of stream.snapshots) ccxtSnapshot(exchange, symbolOf.get(symbol)!, body)
  return { exchange, client, symbolOf }
}

/** An exchange of ccxt pro that knows these spot markets, with a connection that was never made. */
export function ccxtOf(
  id: string,
  url: string,
  markets: readonly { readonly id: string; readonly base: string; readonly quote: string }[],
): { exchange: CcxtExchange; client: CcxtClient } {
  const { pro } = requirePeer('ccxt') as { pro: Readonly<Record<string, new (options: object) => CcxtExchange>> }
  const exchange = new pro[id]!({ newUpdates: true })
  exchange.setMarkets(
    markets.map(({ id: symbol, base, quote }) =>
      exchange.safeMarketStructure({
        ...{
          id: symbol,
          lowercaseId: symbol.toLowerCase(),
          symbol: `${base}/${quote}`,
          base,
          quote,
          baseId: base,
          quoteId: quote,
        },
        ...{ type: 'spot', spot: true, active: true, precision: { price: 8, amount: 8 } },
      }),
    ),
  )
  exchange.loadMarkets = () => Promise.resolve({})
  return { exchange, client: exchange.client(url) }
}

/** Gives it a book as its REST answer would, whole: its default limit would cut the book. */
export function ccxtSnapshot(exchange: CcxtExchange, symbol: string, body: string): void {
  const parsedBody = JSON.parse(body) as WireSnapshot
  const snapshot = { ...exchange.parseOrderBook(parsedBody, symbol), nonce: parsedBody.lastUpdateId }
  exchange.orderbooks[symbol] = exchange.orderBook(snapshot, 1_000_000)
}

function ccxtTouches({ orderbooks }: CcxtExchange, symbolOf: ReadonlyMap<string, string>): ReadonlyMap<string, Touch> {
  return new Map(
    [...symbolOf].map(([symbol, unified]) => {
      const { bids, asks } = orderbooks[unified]!
      return [symbol, { bid: bids[0]![0], ask: asks[0]![0] }]
    }),
  )
}

function parsed(frame: Buffer): WireDepth {
  return JSON.parse(frame.toString()) as WireDepth
}
