/**
 * Snapshots for the books of one connection: the first, another whenever a book has lost its chain, and more of books that
 * are right for those behind them who have lost theirs.
 *
 * Where snapshots come in the stream a book is repaired by leaving its topic and subscribing anew; where they come by
 * REST, by asking for one. One symbol's repair never touches another's.
 *
 * Pace    at once, then after 1, 2, 4 ... at most 30 s; from the beginning again when the book has been live for a minute.
 *         That pace is the budget: a book that cannot be repaired costs two requests a minute and says so each time
 * Others  a book that is right stays so while another snapshot of it is on its way. Whoever asks meanwhile gets the same
 *         one, and a repair does not wait for it
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
  /** True while nobody reads, so that what is owed cannot come. */
  readonly isPaused: () => boolean
  readonly renew: (subscriptions: readonly Subscription[]) => void
  /** Asks over REST; the returned function withdraws. What is not `urgent` waits for what is. */
  readonly ask: (subscription: Subscription, symbol: string, urgent: boolean, told: SnapshotTold) => () => void
  readonly repaired: (symbol: string) => void
  readonly refreshed: (symbol: string) => void
  readonly fault: (fault: Fault) => void
}

export interface SnapshotTold {
  /** Called before the answer is applied. */
  answered(): void
  /** Called after it was. */
  applied(): void
  failed(reason: string, final: boolean): void
}

interface Book {
  readonly symbol: string
  readonly subscription: Subscription
  /** Snapshots asked for since the book was last reliably live, or left alone for as long. */
  asked: number
  /** When the last of them was. */
  askedUs: number
  liveUs: number | undefined
  /** True while the book is right and another snapshot of it is owed. */
  refreshing: boolean
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
          askedUs: 0,
          liveUs: undefined,
          refreshing: false,
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
      if (book === undefined || (book.liveUs !== undefined && !book.refreshing)) continue
      if (this.inStream) this.awaitSnapshot(book)
      else if (this.expecting.has(symbol)) {
        book.timer?.cancel()
        book.timer = this.options.clock.after(FIRST_DELTA_MS, () => this.request([book]))
      }
    }
  }

  /** Data of a book came. Called for every frame of a book. */
  heard(symbol: string): void {
    if (this.expecting.size === 0 || !this.expecting.has(symbol)) return
    this.request([this.books.get(symbol)!])
  }

  /**
   * Asks for other snapshots of books that are right; those of the others are on their way already.
   *
   * @param symbols  undefined for all books
   */
  refresh(symbols: Iterable<string> = this.books.keys()): void {
    const nowUs = this.options.clock.nowUs()
    const atOnce: Book[] = []
    for (const symbol of symbols) {
      const book = this.books.get(symbol)
      if (book === undefined || book.refused || book.liveUs === undefined || book.refreshing) continue
      book.refreshing = true
      if (nowUs - book.askedUs >= LIVE_MS * 1_000) book.asked = 0
      if (book.asked === 0) atOnce.push(book)
      else this.schedule(book)
    }
    this.request(atOnce)
  }

  /** The book says that it needs a snapshot. */
  lost(symbol: string): void {
    const book = this.books.get(symbol)
    if (book === undefined) return
    const { clock } = this.options
    const nowUs = clock.nowUs()
    if (book.liveUs !== undefined && nowUs - book.liveUs >= LIVE_MS * 1_000) book.asked = 0
    book.liveUs = undefined
    if (book.refreshing) {
      book.refreshing = false
      book.withdraw?.()
      book.withdraw = undefined
    }
    if (book.withdraw !== undefined || book.refused || this.expecting.has(symbol)) return
    this.schedule(book)
  }

  /** A snapshot made the book live. */
  live(symbol: string, timeUs: number): void {
    const book = this.books.get(symbol)
    if (book === undefined) return
    if (book.liveUs === undefined || book.refreshing) {
      book.refreshing = false
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
      this.request([book])
      return
    }
    const delayMs = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** (book.asked - 1))
    book.timer = this.options.clock.after(delayMs, () => this.request([book]))
  }

  private request(books: readonly Book[]): void {
    const { clock, renew, repaired, refreshed } = this.options
    for (const book of books) {
      book.timer?.cancel()
      book.timer = undefined
      if (book.refreshing) refreshed(book.symbol)
      else if (!this.expecting.delete(book.symbol)) repaired(book.symbol)
      book.asked++
      book.askedUs = clock.nowUs()
    }
    if (!this.inStream) for (const book of books) this.ask(book)
    else if (books.length > 0) renew([...new Set(books.map(({ subscription }) => subscription))])
  }

  private ask(book: Book): void {
    const told = { already: false }
    const withdraw = this.options.ask(book.subscription, book.symbol, !book.refreshing, {
      answered: () => {
        told.already = true
        book.withdraw = undefined
      },
      applied: () => {
        const satisfied = book.liveUs !== undefined && !book.refreshing
        if (satisfied || book.timer !== undefined || book.withdraw !== undefined) return
        this.snapshotFailed(book, 'the answer could not be used, or is too old to join the stream')
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
      if (this.options.isPaused()) {
        this.awaitSnapshot(book)
        return
      }
      book.asked = Math.max(1, book.asked)
      this.snapshotFailed(book, `none came within ${snapshotMs} ms of the acknowledgement`)
    })
  }

  private snapshotFailed(book: Book, reason: string): void {
    const { protocol, fault } = this.options
    const { symbol } = book
    const { refreshing } = book
    const silent = refreshing ? 'whoever has lost the book' : 'the book'
    const next = book.refused ? `${silent} stays silent until the connection is renewed` : 'it will be asked for again'
    const another = refreshing ? 'no other snapshot' : 'no snapshot'
    const message = `The book of ${symbol} on ${protocol.title} got ${another}: ${reason}; ${next}.`
    fault(new Fault('SNAPSHOT_FAILED', message, { exchange: protocol.id, symbol, reason }))
    if (!book.refused) this.schedule(book)
  }
}
