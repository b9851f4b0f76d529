/**
 * The contract of a simulated exchange: everything between its clients' bytes and the market.
 *
 * The server knows sockets and no exchange; an exchange knows its protocol and no socket. Each is one file in
 * `exchanges/`, written from the same page as its description in `src/exchanges/`, and shares no code with it: two
 * readings of one page that must agree.
 */
import type { Clock } from '../clock/clock'
import type { Connection } from './connection'
import type { MarketBook } from './market'
import type { Outlet } from './outlet'

export interface SimulatedExchange {
  readonly id: string
  /** Whether WebSockets are served at this path. */
  serves(path: string): boolean
  opened(connection: Connection, path: string, query: URLSearchParams): void
  received(connection: Connection, text: string): void
  /** A ping or pong frame came; the library has answered pings already. */
  controlled(connection: Connection): void
  closed(connection: Connection): void
  /** Answers a GET; undefined when there is no such path. */
  answer(path: string, query: URLSearchParams): RestAnswer | undefined
  /** Tells subscribers what the book's last step changed. */
  publish(book: MarketBook): void
  /** Ten times a second: heartbeats, and channels that go by time. */
  beat(nowUs: number): void
  /** The book as its subscribers should have it. */
  truth(book: MarketBook): BookTruth
  /** Names for a book beside its symbol. */
  readonly aliases: (book: MarketBook) => readonly string[]
  /** Whether a client can notice a lost delta by the protocol. */
  readonly lossIsVisible: boolean
  readonly hasChecksums: boolean
}

/** Best first, with the digits that the exchange sends. */
export interface BookTruth {
  readonly bids: [price: string, size: string][]
  readonly asks: [price: string, size: string][]
}

export interface RestAnswer {
  readonly status: number
  readonly body: string
}

export interface ExchangeContext {
  readonly clock: Clock
  readonly books: readonly MarketBook[]
  readonly outlet: Outlet
  /** For connection ids and the like. */
  readonly seed: number
  /** OKX sent checksums until 2026. */
  readonly okxChecksum: boolean
}

export function answered(body: unknown): RestAnswer {
  return { status: 200, body: typeof body === 'string' ? body : JSON.stringify(body) }
}

export function refusedRequest(status: number, body: unknown): RestAnswer {
  return { status, body: JSON.stringify(body) }
}

/** An integer of a query between limits; the default where it is absent or no integer. */
export function countOf(text: string | null, fallback: number, most: number): number {
  if (text === null || !/^\d{1,9}$/.test(text)) return fallback
  return Math.min(most, Math.max(1, Number(text)))
}
