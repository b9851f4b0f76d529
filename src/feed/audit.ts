/**
 * How far recordings can be trusted: replays them through the decoders and books of the engine and counts
 * (`millrace-audit/1`).
 */
import { Level2Book } from '../book/level2Book'
import type { ExchangeProtocol } from '../exchanges/protocol'
import type { LevelText, MarketEvent } from '../model/events'
import type { Fault } from '../model/fault'
import type { SessionRecord } from './record'
import type { SessionCounts } from './session'
import { Sessions } from './sessions'

export interface AuditCounts {
  /** Live trades, one per trade. */
  trades: number
  /** Trades sent at subscribing. */
  tradesHistory: number
  tickers: number
  candles: number
  /** Snapshots applied, REST ones included. */
  bookSnapshots: number
  /** Deltas applied; stale ones that were dropped are not in it. */
  bookDeltas: number
}

export interface AuditReport {
  readonly format: 'millrace-audit/1'
  readonly exchange: string
  readonly files: readonly string[]
  readonly frames: number
  /** Frames that were read by their shape, without the plain decoder: how fast such a session is, not how good. */
  readonly scanned: number
  readonly unreadable: number
  readonly ignored: number
  readonly counts: AuditCounts
  readonly checksums: { readonly checked: number; readonly failed: number }
  readonly sequence: { readonly checked: number; readonly gaps: number; readonly stale: number }
  /** Updates after which a best bid stood at or above the best ask. */
  readonly crossed: number
  readonly inexactNumbers: number
  readonly books: Readonly<Record<string, AuditBook>>
  /** How often each kind of fault was met. */
  readonly faults: Readonly<Record<string, number>>
  /** One report for each exchange of a recording that holds several. */
  readonly exchanges?: Readonly<Record<string, AuditReport>>
}

export interface AuditBook {
  readonly state: 'live' | 'awaitingSnapshot'
  /** The ten best levels after the last frame, best first, with the digits of the wire. */
  readonly bids: readonly LevelText[]
  readonly asks: readonly LevelText[]
  /** Levels held: `[bids, asks]`. */
  readonly levels: readonly [number, number]
}

/** Levels of each side that a report shows. */
const LEVELS_SHOWN = 10

/** Takes records one after another; ask for the report when they are through. */
export class Audit {
  private readonly sessions: Sessions
  private readonly books = new Map<string, Map<string, AuditedBook>>()
  private readonly crossed = new Map<string, number>()

  /** @param onFault  is told of each fault in the data while its record is being taken */
  constructor(
    private readonly protocolOf: (exchange: string) => ExchangeProtocol,
    onFault?: (fault: Fault) => void,
  ) {
    this.sessions = new Sessions({ protocolOf, ...(onFault === undefined ? {} : { onFault }) })
  }

  /** Gives the events of the record, for whoever looks on. */
  take(record: SessionRecord): readonly MarketEvent[] {
    this.sessions.countsOf(record.exchange)
    const events = this.sessions.apply(record)
    for (const event of events) this.see(event)
    return events
  }

  report(files: readonly string[]): AuditReport {
    const exchanges = [...this.sessions.counts.keys()]
    const reports = exchanges.map((exchange) => this.reportOf(exchange, files))
    return reports.length === 1 ? reports[0]! : combined(reports, files)
  }

  private see(event: MarketEvent): void {
    if (event.kind === 'notice') {
      if (event.code === 'connected') for (const book of this.booksOf(event.exchange).values()) book.reconnected()
      else if (event.symbol !== '') this.booksOf(event.exchange).get(keyOf(event))?.noticed(event.code)
      return
    }
    if (event.kind !== 'snapshot' && event.kind !== 'delta') return
    const books = this.booksOf(event.exchange)
    const key = keyOf(event)
    let book = books.get(key)
    if (book === undefined) books.set(key, (book = new AuditedBook(event.symbol)))
    if (event.kind === 'snapshot') book.levels.snapshot(event)
    else book.levels.delta(event)
    book.state = 'live'
    if (book.levels.crossed) this.crossed.set(event.exchange, (this.crossed.get(event.exchange) ?? 0) + 1)
  }

  private booksOf(exchange: string): Map<string, AuditedBook> {
    let books = this.books.get(exchange)
    if (books === undefined) this.books.set(exchange, (books = new Map<string, AuditedBook>()))
    return books
  }

  private reportOf(exchange: string, files: readonly string[]): AuditReport {
    const counts: SessionCounts = this.sessions.countsOf(exchange)
    const { guard } = counts
    // Events have the exchange's own id, whatever name its recording has for it.
    const { id } = this.protocolOf(exchange)
    const books: [string, AuditBook][] = []
    const taken = new Set<string>()
    for (const [key, book] of this.booksOf(id)) {
      // Two markets of an exchange may spell an instrument alike: the second is shown by its unified name.
      const name = taken.has(book.symbol) ? key : book.symbol
      taken.add(name)
      books.push([name, book.report()])
    }
    return {
      format: 'millrace-audit/1',
      exchange,
      files,
      frames: counts.frames,
      scanned: counts.scanned,
      unreadable: counts.unreadable,
      ignored: counts.ignored,
      counts: {
        trades: counts.trades,
        tradesHistory: counts.tradesHistory,
        tickers: counts.tickers,
        candles: counts.candles,
        bookSnapshots: guard.snapshots,
        bookDeltas: guard.deltas,
      },
      checksums: { checked: guard.checksumsChecked, failed: guard.checksumsFailed },
      sequence: {
        checked: guard.sequenceChecked,
        // A snapshot that never joined the stream leaves the same hole as a lost delta.
        gaps: guard.gaps + this.sessions.unjoined(exchange),
        stale: guard.stale,
      },
      crossed: this.crossed.get(id) ?? 0,
      inexactNumbers: counts.inexactNumbers,
      books: Object.fromEntries(books),
      faults: Object.fromEntries(counts.faults),
    }
  }
}

class AuditedBook {
  readonly levels = new Level2Book()
  state: 'live' | 'closed' | 'awaitingSnapshot' = 'awaitingSnapshot'

  constructor(readonly symbol: string) {}

  noticed(code: string): void {
    if (code === 'disconnected') {
      if (this.state === 'live') this.state = 'closed'
    } else if (code === 'gap') {
      this.state = 'awaitingSnapshot'
      this.levels.clear()
    }
  }

  /** What a connection left behind is void once another takes its place. */
  reconnected(): void {
    if (this.state !== 'closed') return
    this.state = 'awaitingSnapshot'
    this.levels.clear()
  }

  report(): AuditBook {
    return {
      // A recording ends with its connections closed; the book is shown as it stood after the last frame.
      state: this.state === 'awaitingSnapshot' ? 'awaitingSnapshot' : 'live',
      bids: this.levels.bids.texts(LEVELS_SHOWN),
      asks: this.levels.asks.texts(LEVELS_SHOWN),
      levels: [this.levels.bids.length, this.levels.asks.length],
    }
  }
}

/** True when nothing was unreadable, failed its checksum or was missing. */
export function isClean(report: AuditReport): boolean {
  return report.unreadable === 0 && report.checksums.failed === 0 && report.sequence.gaps === 0
}

function keyOf(event: { instrument: string | undefined; symbol: string }): string {
  return event.instrument ?? event.symbol
}

function combined(reports: readonly AuditReport[], files: readonly string[]): AuditReport {
  const sum = (of: (report: AuditReport) => number): number => reports.reduce((total, report) => total + of(report), 0)
  const faults = new Map<string, number>()
  for (const report of reports) {
    for (const [code, count] of Object.entries(report.faults)) faults.set(code, (faults.get(code) ?? 0) + count)
  }
  return {
    format: 'millrace-audit/1',
    exchange: reports.length === 0 ? 'none' : 'several',
    files,
    frames: sum((report) => report.frames),
    scanned: sum((report) => report.scanned),
    unreadable: sum((report) => report.unreadable),
    ignored: sum((report) => report.ignored),
    counts: {
      trades: sum((report) => report.counts.trades),
      tradesHistory: sum((report) => report.counts.tradesHistory),
      tickers: sum((report) => report.counts.tickers),
      candles: sum((report) => report.counts.candles),
      bookSnapshots: sum((report) => report.counts.bookSnapshots),
      bookDeltas: sum((report) => report.counts.bookDeltas),
    },
    checksums: { checked: sum((report) => report.checksums.checked), failed: sum((report) => report.checksums.failed) },
    sequence: {
      checked: sum((report) => report.sequence.checked),
      gaps: sum((report) => report.sequence.gaps),
      stale: sum((report) => report.sequence.stale),
    },
    crossed: sum((report) => report.crossed),
    inexactNumbers: sum((report) => report.inexactNumbers),
    books: Object.fromEntries(
      reports.flatMap((report) =>
        Object.entries(report.books).map(([symbol, book]) => [`${report.exchange} ${symbol}`, book]),
      ),
    ),
    faults: Object.fromEntries(faults),
    exchanges: Object.fromEntries(reports.map((report) => [report.exchange, report])),
  }
}
