/**
 * Snapshots for the books of one connection: the first, and another whenever a book has lost its chain.
 *
 * Where snapshots come in the stream a book is repaired by leaving its topic and subscribing anew; where they come by
 * REST, by asking for one. One symbol's repair never touches another's.
 *
 * Pace    at once, then after 1, 2, 4 ... at most 30 s; from the beginning again when the book has been live for a minute.
 *         That pace is the budget: a book that cannot be repaired costs two requests a minute and says so each time
 * REST    asked for when the first delta waits for it, or 3 s after the acknowledgement where none comes
 */
import type { Clock, Timer } from '../clock/clock'
import type { ExchangeProtocol } from '../exchanges/protocol'
import { Fault } from '../model/fault'
import type { Subscription } from './subscriptions'

export interface BookRepairsOptions {
  readonly protocol: ExchangeProtocol
  readonly clock: Clock
  /** How long a book may wait for a snapshot that the stream owes. */
  readonly snapshotMs: number
  readonly renew: (subscription: Subscription) => void
  /** Asks over REST; the returned function withdraws. */
  readonly ask: (subscription: Subscription, symbol: string, told: SnapshotTold) => () => void
  readonly repaired: (symbol: string) => void
  readonly fault: (fault: Fault) => void
}

export interface SnapshotTold {
  /** Called before the answer is applied. */
  answered(): void
  failed(reason: string, final: boolean): void
}

interface Book {
  readonly symbol: string
  readonly subscription: Subscription
  /** Snapshots asked for since the book was last reliably live. */
  asked: number
  liveUs: number | undefined
  /** The next request, or the end of the patience with the last. */
  timer: Timer | undefined
  /** Until a snapshot that was asked for has come or failed. */
  withdraw: (() => void) | undefined
  /** True when the exchange will not give one. */
  refused: boolean
}

const FIRST_DELTA_MS = 3_000
const BACKOFF_MIN_MS = 1_000
const BACKOFF_MAX_MS = 30_000
const LIVE_MS = 60_000

export class BookRepairs {
  private readonly books = new Map<string, Book>()
  /** Books whose first REST snapshot waits for their first delta. */
  private readonly expecting = new Set<string>()
  private readonly inStream: boolean

  constructor(private readonly options: BookRepairsOptions) {
    this.inStream = options.protocol.book.snapshot === undefined
  }

  /** A connection has opened and will be asked for these. */
  start(subscriptions: readonly Subscription[]): void {
    this.stop()
    for (const subscription of subscriptions) {
      const { topic, symbols } = subscription.planned
      if (topic.channel !== 'book' || subscription.state === 'refused') continue
      for (const symbol of symbols) {
        this.books.set(symbol, {
          symbol,
          subscription,
          asked: 0,
          liveUs: undefined,
          timer: undefined,
          withdraw: undefined,
          refused: false,
        })
        if (!this.inStream) this.expecting.add(symbol)
      }
    }
  }

  /** A book's topic was acknowledged. */
  acked(subscription: Subscription): void {
    for (const symbol of subscription.planned.symbols) {
      const book = this.books.get(symbol)
      // Some exchanges send the snapshot before the acknowledgement.
      if (book === undefined || book.liveUs !== undefined) continue
      if (this.inStream) this.awaitSnapshot(book)
      else if (this.expecting.has(symbol)) {
        book.timer?.cancel()
        book.timer = this.options.clock.after(FIRST_DELTA_MS, () => this.request(book))
      }
    }
  }

  /** Data of a book came. Called for every frame of a book. */
  heard(symbol: string): void {
    if (this.expecting.size === 0 || !this.expecting.has(symbol)) return
    this.request(this.books.get(symbol)!)
  }

  /** The book says that it needs a snapshot. */
  lost(symbol: string): void {
    const book = this.books.get(symbol)
    if (book === undefined) return
    const { clock } = this.options
    const nowUs = clock.nowUs()
    if (book.liveUs !== undefined && nowUs - book.liveUs >= LIVE_MS * 1_000) book.asked = 0
    book.liveUs = undefined
    if (book.withdraw !== undefined || book.refused || this.expecting.has(symbol)) return
    this.schedule(book)
  }

  /** A snapshot made the book live. */
  live(symbol: string, timeUs: number): void {
    const book = this.books.get(symbol)
    if (book === undefined) return
    if (book.liveUs === undefined) {
      book.timer?.cancel()
      book.timer = undefined
    }
    book.liveUs ??= timeUs
  }

  /** The connection has ended, and all its books with it. */
  stop(): void {
    for (const { timer, withdraw } of this.books.values()) {
      timer?.cancel()
      withdraw?.()
    }
    this.books.clear()
    this.expecting.clear()
  }

  private schedule(book: Book): void {
    book.timer?.cancel()
    book.timer = undefined
    if (book.asked === 0) {
      this.request(book)
      return
    }
    const delayMs = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** (book.asked - 1))
    book.timer = this.options.clock.after(delayMs, () => this.request(book))
  }

  private request(book: Book): void {
    const { symbol, subscription } = book
    const { ask, renew, repaired } = this.options
    book.timer?.cancel()
    book.timer = undefined
    if (!this.expecting.delete(symbol)) repaired(symbol)
    book.asked++
    if (this.inStream) {
      renew(subscription)
      return
    }
    const told = { already: false }
    const withdraw = ask(subscription, symbol, {
      answered: () => {
        told.already = true
        book.withdraw = undefined
      },
      failed: (reason, final) => {
        told.already = true
        book.withdraw = undefined
        book.refused = final
        this.snapshotFailed(book, reason)
      },
    })
    // A full queue has said no already.
    if (!told.already) book.withdraw = withdraw
  }

  /** In the stream: the acknowledgement came, the snapshot is to follow. */
  private awaitSnapshot(book: Book): void {
    const { clock, snapshotMs } = this.options
    book.timer?.cancel()
    book.timer = clock.after(snapshotMs, () => {
      book.timer = undefined
      book.asked = Math.max(1, book.asked)
      this.snapshotFailed(book, `none came within ${snapshotMs} ms of the acknowledgement`)
    })
  }

  private snapshotFailed(book: Book, reason: string): void {
    const { protocol, fault } = this.options
    const { symbol } = book
    const next = book.refused ? 'the book stays silent until the connection is renewed' : 'it will be asked for again'
    const message = `The book of ${symbol} on ${protocol.title} got no snapshot: ${reason}; ${next}.`
    fault(new Fault('SNAPSHOT_FAILED', message, { exchange: protocol.id, symbol, reason }))
    if (!book.refused) this.schedule(book)
  }
}
