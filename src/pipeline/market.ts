/**
 * Where a run's market data comes from: live exchanges, the simulator or recordings, behind one face.
 *
 * All feeds of a run share one market, so that an instrument that two sources wish is received once, and a recording of
 * the run holds everything exactly once. Whatever it is, a market gives records in the order in which they happened, with
 * the events of each.
 */
import type { GuardCounts } from '../book/bookGuard'
import type { BookName } from '../feed/liveFeed'
import type { SessionRecord } from '../feed/record'
import type { ReadingCounters } from '../feed/recording/recordingReader'
import type { RestCounts } from '../feed/restQueue'
import type { SessionNumbers } from '../feed/session'
import type { Sessions } from '../feed/sessions'
import type { StreamCounts } from '../feed/streams'
import type { MarketEvent } from '../model/events'
import type { Fault } from '../model/fault'

export interface MarketOutput {
  /** Every record, before its events. Who keeps one keeps what `kept` (`src/feed/record.ts`) makes of it. */
  record(record: SessionRecord): void
  /** The events of the record that was told of last; never none. */
  events(record: SessionRecord, events: readonly MarketEvent[]): void
  fault(fault: Fault): void
  /**
   * A connection to an exchange has spent its retry budget, or an exchange of which nothing is required could not be begun;
   * `fault` has been told as well, and the others go on. It may be begun again (`Market.restart`), the run may go on without
   * it, or end. Who leaves this out is told `ended` instead, unless nothing of the exchange is required and others are at
   * work.
   */
  exhausted?(exchange: string, fault: Fault): void
  /** Nothing more will come: the recordings are at their end, or everything that was asked for was refused. */
  ended(): void
}

export interface Market {
  readonly sessions: Sessions
  /**
   * Resolves when everything that is required has come once: live, each book has been live and each subscription answered;
   * on replay, the first record was read. Rejects with the `Fault` that says why it will not come any more; after that,
   * `restart` makes it a new promise.
   */
  readonly ready: Promise<void>
  /**
   * Resolves when the sources are open; an exchange of which nothing is required is not waited for. Rejects with a `Fault`
   * that says what cannot be had.
   */
  start(output: MarketOutput): Promise<void>
  /**
   * Closes everything in order; the last records come while it does. Resolves at the deadline at the latest: what has not
   * answered a goodbye by then is cut. Called again while it waits, the earlier deadline counts.
   *
   * @param withinMs  default 2 000
   */
  stop(withinMs?: number): Promise<void>
  /**
   * Asks for other snapshots of books, for stages that have lost theirs. They come in order with the data and give the books
   * as they are, so that other stages are not disturbed; for a book that is not live, with its repair. Does nothing on
   * replay: the answers are in the recording. What was asked for moments ago is asked for again at growing distances.
   *
   * @param books  as events name them; those that nobody wished for are left out
   */
  refresh(books: Iterable<BookName> | 'all'): void
  /**
   * Begins the connections of an exchange again that have spent their retry budget, with the same subscriptions and a budget
   * like the first. False when there are none: nothing was given up, or there is nothing that can be begun again.
   */
  restart(exchange: string): boolean
  /** Holds the sources back, and lets them go on. */
  pause(): void
  resume(): void
  /** The connections as they are, for people. */
  connections(): readonly ConnectionView[]
  /** What has come of it so far, in numbers. Of one that lives on a thread as it last told, a second ago at most. */
  traffic?(): MarketTraffic
  /** How far it is, where there is an end: on replay, from the first record on. */
  progress?(): MarketProgress | undefined
  /** False when the recording holds none of the wished instruments, so that all it holds are meant. */
  readonly byInstrument: boolean
}

export interface MarketTraffic {
  /** What was decoded, by exchange. */
  readonly exchanges: ReadonlyMap<string, ExchangeCounts>
  /** What came of each channel and symbol. Go on changing. */
  readonly streams: readonly Readonly<StreamCounts>[]
  /** REST requests, by exchange. */
  readonly rest: ReadonlyMap<string, RestNumbers>
  /** What was read of recordings, by file. */
  readonly readings: ReadonlyMap<string, Readonly<ReadingCounters>>
}

export type ExchangeCounts = SessionNumbers & { readonly guard: GuardCounts }
export type RestNumbers = Readonly<RestCounts> & { readonly waiting: number }

export interface MarketProgress {
  /** Of what is to be read, from 0 to 1. */
  readonly share: number
  /** Until the end, of the machine's time; undefined where the speed does not tell, and the share has to. */
  readonly secondsLeft: number | undefined
}

export interface ConnectionView {
  readonly exchange: string
  readonly url: string
  /** `waiting` for its next attempt, `connecting`, `open`, `failed` (given up, or refused), `stopped`; `replay` for a recording. */
  readonly state: string
  /** When it came into this state; undefined before the start. */
  readonly sinceUs: number | undefined
  /** Attempts to connect since it was begun. */
  readonly attempts: number
  /** What went wrong last, in words; undefined while nothing is wrong. */
  readonly trouble?: string | undefined
  /** Of a connection over the network: which of the exchange's hosts it is to, and what it has brought. */
  readonly endpoint?: string
  readonly frames?: number
  readonly bytes?: number
  readonly lastFrameUs?: number | undefined
  readonly reconnects?: number
  readonly resyncs?: number
  readonly refreshes?: number
  readonly staleStreams?: number
}
