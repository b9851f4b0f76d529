/**
 * All sessions of a run or recording: takes records in the order in which they happened and gives the events of each.
 *
 * The one road from records to events. The live feed puts its records here (and, when asked, on the way into a
 * recording); a replay puts here what it reads.
 */
import type { ExchangeProtocol } from '../exchanges/protocol'
import { parseWireJson } from '../model/codec/wireJson'
import type { MarketEvent } from '../model/events'
import { Fault, messageOf } from '../model/fault'
import { InstrumentTable, type Instrument } from '../model/instrument'
import type { TouchedBooks } from './bookKeeper'
import { BookSteps } from './bookSteps'
import { DeltaPacking } from './deltaPacking'
import type { OpenRecord, RestRecord, SessionRecord } from './record'
import type { StaleRule } from './staleness'
import { Streams } from './streams'
import { Session, sessionCounts, type SessionControl, type SessionCounts } from './session'

export interface SessionsOptions {
  /** The description of an exchange by its id; throws a `Fault` for an unknown one. */
  readonly protocolOf: (exchange: string) => ExchangeProtocol
  /** What live connections listen to; replays leave it out. */
  readonly controlOf?: (connection: number) => SessionControl | undefined
  readonly onFault?: (fault: Fault) => void
  /** As in `SessionOptions`. */
  readonly guarded?: boolean
  /** As in `SessionOptions`. */
  readonly scanning?: boolean
  /** As in `SessionOptions`. */
  readonly books?: TouchedBooks
  /** False to count nothing for each channel and symbol. Default true. */
  readonly countsStreams?: boolean | undefined
  /**
   * True where every instrument is known that may come, so that data of others is a fault; recordings may hold a part of
   * the list. Default false.
   */
  readonly wholeList?: boolean
  /** When a stream of an exchange counts as stale. Default {@link STALE_RULE}. */
  readonly staleRuleOf?: (exchange: string) => StaleRule
}

/** Snapshots of one exchange that may wait for the first delta of their book. */
const UNCLAIMED_MAX = 1_000

export class Sessions {
  readonly counts = new Map<string, SessionCounts>()
  /** What came of each channel and symbol, over all connections. */
  readonly streams = new Streams()
  private readonly sessions = new Map<number, Session>()
  /** The one that a frame was received on last; numbers of connections are not negative. */
  private lastConnection = -1
  private lastSession: Session | undefined
  private readonly exchangeOf = new Map<number, string>()
  private readonly tables = new Map<string, InstrumentTable>()
  /** Recorded snapshots that no connection has claimed yet, by exchange and symbol. */
  private readonly unclaimed = new Map<string, Map<string, RestRecord>>()

  private steps: BookSteps | undefined
  private readonly packing = new DeltaPacking()

  constructor(private readonly options: SessionsOptions) {}

  /**
   * Keeps the books of all connections, and gives a `BookStep` for each that a record has touched in the place of its changes;
   * of other data nothing. To be called before the first record.
   */
  keepBooks(): void {
    this.steps ??= new BookSteps()
  }

  /** Whether deltas may come as `PackedDelta`: for streams in which nobody reads their levels as objects. Default false. */
  packDeltas(wanted: boolean): void {
    this.packing.wanted = wanted
  }

  /** The instruments known of an exchange; grows with every instruments answer. */
  instruments(exchange: string): InstrumentTable {
    let table = this.tables.get(exchange)
    if (table === undefined) this.tables.set(exchange, (table = new InstrumentTable()))
    return table
  }

  countsOf(exchange: string): SessionCounts {
    let counts = this.counts.get(exchange)
    if (counts === undefined) this.counts.set(exchange, (counts = sessionCounts()))
    return counts
  }

  session(connection: number): Session | undefined {
    return this.sessions.get(connection)
  }

  /** Books of an exchange that wait in vain for a snapshot that joins the stream. */
  unjoined(exchange: string): number {
    let count = 0
    for (const [connection, session] of this.sessions) {
      if (this.exchangeOf.get(connection) === exchange) count += session.unjoined
    }
    return count
  }

  /** The events of one record, in order. Never throws for what a record holds. */
  apply(record: SessionRecord): readonly MarketEvent[] {
    const events = this.eventsOf(record)
    return this.steps === undefined ? events : this.steps.behind(events)
  }

  private eventsOf(record: SessionRecord): readonly MarketEvent[] {
    switch (record.dir) {
      case 'in': {
        const session = this.known(record.connection) ?? this.sessionOf(record, undefined)
        const events = session.receive(record)
        return this.unclaimed.size === 0 ? events : this.claim(record.exchange, record.timeUs, session, events)
      }
      case 'open':
        return this.sessionOf(record, record).open(record.timeUs, record.url)
      case 'close': {
        const session = this.sessions.get(record.connection)
        // A number names one connection: the next has a session of its own, and this one is done.
        this.sessions.delete(record.connection)
        this.lastConnection = -1
        this.exchangeOf.delete(record.connection)
        return session === undefined ? [] : session.close(record.timeUs, record.reason)
      }
      case 'rest':
        return this.rest(record)
      case 'gap':
        return this.sessions.get(record.connection)?.gap(record.timeUs, record.lost, record.reason) ?? []
      case 'out':
        return []
    }
  }

  /** As `apply`, of a frame that was received on a connection that is open, without a record. */
  receive(connection: number, data: string | Uint8Array, timeUs: number): readonly MarketEvent[] {
    const session = this.known(connection)!
    let events = session.receiveFrame(data, timeUs)
    if (this.unclaimed.size > 0) events = this.claim(this.exchangeOf.get(connection)!, timeUs, session, events)
    return this.steps === undefined ? events : this.steps.behind(events)
  }

  /** The session of a connection, remembered as the one that is asked for next. */
  private known(connection: number): Session | undefined {
    if (connection === this.lastConnection) return this.lastSession
    const session = this.sessions.get(connection)
    if (session === undefined) return undefined
    this.lastConnection = connection
    return (this.lastSession = session)
  }

  /** Gives back what the sessions hold outside of the collector's reach. They are of no use afterwards. */
  release(): void {
    for (const session of this.sessions.values()) session.release()
    this.sessions.clear()
    this.lastConnection = -1
    this.lastSession = undefined
  }

  private rest(record: RestRecord): readonly MarketEvent[] {
    const protocol = this.options.protocolOf(record.exchange)
    if (record.role === 'instruments') {
      this.addInstruments(protocol, record)
      return []
    }
    if (record.role === 'poll') return this.sessionOf(record, undefined).polled(record.url, record.body, record.timeUs)
    if (record.role === 'book-state') return this.sessionOf(record, undefined).restored(record.body, record.timeUs)
    const symbol = protocol.book.snapshot?.symbolOf(record.url)
    if (symbol === undefined) return []
    const session = this.claimant(record, symbol)
    if (session !== undefined) return session.snapshot(symbol, record.body, record.timeUs)
    let waiting = this.unclaimed.get(record.exchange)
    if (waiting === undefined) this.unclaimed.set(record.exchange, (waiting = new Map<string, RestRecord>()))
    if (waiting.size >= UNCLAIMED_MAX) {
      const [oldest] = waiting.keys()
      waiting.delete(oldest!)
      const message = `A recorded snapshot of ${oldest!} on ${record.exchange} found no connection with its book: it is left out.`
      this.options.onFault?.(new Fault('SNAPSHOT_FAILED', message, { symbol: oldest }))
    }
    waiting.set(symbol, record)
    return []
  }

  /** The session that a snapshot belongs to: the one that asked, else the one that has this book, else the only one. */
  private claimant(record: RestRecord, symbol: string): Session | undefined {
    if (record.connection >= 0) return this.sessionOf(record, undefined)
    let only: Session | undefined
    let candidates = 0
    for (const [connection, session] of this.sessions) {
      if (this.exchangeOf.get(connection) !== record.exchange) continue
      if (session.bookState(symbol) !== undefined) return session
      only = session
      candidates++
    }
    return candidates === 1 ? only : undefined
  }

  /** After a frame: a snapshot that came before the first delta of its book now finds it. */
  private claim(
    exchange: string,
    timeUs: number,
    session: Session,
    events: readonly MarketEvent[],
  ): readonly MarketEvent[] {
    const waiting = this.unclaimed.get(exchange)
    if (waiting === undefined) return events
    const all = [...events]
    for (const [symbol, snapshot] of waiting) {
      if (session.bookState(symbol) === undefined) continue
      waiting.delete(symbol)
      all.push(...session.snapshot(symbol, snapshot.body, timeUs))
    }
    if (waiting.size === 0) this.unclaimed.delete(exchange)
    return all
  }

  private addInstruments(protocol: ExchangeProtocol, record: RestRecord): void {
    const path = pathOf(record.url)
    const request = protocol.instruments.requests.find((candidate) => path.startsWith(candidate.path))
    try {
      const table = this.instruments(record.exchange)
      const answer = answerIn(protocol, record.body, request)
      if (table.size === 0) table.beginAs(answer.table)
      else for (const instrument of answer.instruments) table.add(instrument)
    } catch (thrown) {
      const fault =
        thrown instanceof Fault ? thrown : new Fault('FRAME_UNREADABLE', messageOf(thrown), {}, { cause: thrown })
      const { faults } = this.countsOf(record.exchange)
      faults.set(fault.code, (faults.get(fault.code) ?? 0) + 1)
      this.options.onFault?.(fault)
    }
  }

  private sessionOf(record: SessionRecord, opened: OpenRecord | undefined): Session {
    const known = this.sessions.get(record.connection)
    if (known !== undefined) return known
    const protocol = this.options.protocolOf(record.exchange)
    const session = new Session({
      protocol,
      endpoint: protocol.endpointOf(opened?.url ?? ''),
      instruments: this.instruments(record.exchange),
      counts: this.countsOf(record.exchange),
      streams: this.options.countsStreams === false ? undefined : this.streams,
      control: this.options.controlOf?.(record.connection),
      onFault: this.options.onFault,
      guarded: this.options.guarded ?? true,
      scanning: this.options.scanning ?? true,
      books: this.options.books ?? this.steps,
      // Guards are what packed deltas go to.
      packing: this.options.guarded === false ? undefined : this.packing,
      wholeList: this.options.wholeList ?? false,
      stale: this.options.staleRuleOf?.(protocol.id),
    })
    this.sessions.set(record.connection, session)
    this.exchangeOf.set(record.connection, record.exchange)
    return session
  }
}

interface KnownAnswer {
  readonly body: string
  readonly instruments: readonly Instrument[]
  readonly table: InstrumentTable
}

/** The last answer to each request of an exchange, and what it lists: several recordings, and a feed that begins again, hold the same. */
const answers = new WeakMap<ExchangeProtocol, Map<string, KnownAnswer>>()

function answerIn(
  protocol: ExchangeProtocol,
  body: string,
  request: ExchangeProtocol['instruments']['requests'][number] | undefined,
): KnownAnswer {
  let known = answers.get(protocol)
  if (known === undefined) answers.set(protocol, (known = new Map<string, KnownAnswer>()))
  const last = known.get(request?.path ?? '')
  if (last?.body === body) return last
  const instruments = protocol.instruments.decode(parseWireJson(body, protocol), request?.market)
  const answer = { body, instruments, table: new InstrumentTable(instruments) }
  known.set(request?.path ?? '', answer)
  return answer
}

function pathOf(url: string): string {
  const parsed = URL.parse(url)
  return parsed === null ? url : parsed.pathname + parsed.search
}
