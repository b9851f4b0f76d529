/**
 * A part of a recording by time, that replays by itself (`millrace-recording-cut/1`).
 *
 * What the part needs of the lines before it is carried over, stamped with the last time before the cut: the openings of the
 * connections that are open then, what was sent and acknowledged on them, the lists of instruments, and each book as it
 * stood (`bookState.ts`). What cannot be carried is said in the header, under `made`: books that waited for their snapshot,
 * or all of them where they were not wanted.
 *
 * Range   from `fromUs` on, to before `toUs`, microseconds since 1970
 * Cost    for the books everything before the range is decoded; without them the index says where to begin
 * Left    tickers of which an exchange sends changes only (Bybit's contracts) begin with what their first frames say
 */
import { Level2Book } from '../../book/level2Book'
import { exchangeById } from '../../exchanges/exchanges'
import type { Clock } from '../../clock/clock'
import type { MarketEvent } from '../../model/events'
import { Fault } from '../../model/fault'
import { kept, type RecordTime, type RestRecord, type SessionRecord } from '../record'
import { Sessions } from '../sessions'
import { bookStateText } from './bookState'
import { mergedHeader, named } from './convert'
import { replayRecords } from './mergeRecordings'
import { recordingOutput, type RecordOutput } from './recordOutput'
import type { RecordingHeader } from './recordingHeader'

export interface CutOptions {
  readonly files: readonly string[]
  readonly out: string
  /** Microseconds since 1970. Default: from the beginning, to the end. */
  readonly fromUs?: number | undefined
  readonly toUs?: number | undefined
  /** False to leave the books as they stood out. Default true. */
  readonly books?: boolean | undefined
  readonly replace?: boolean | undefined
  readonly clock: Clock
  readonly onFault: (fault: Fault) => void
  /** Is told how many lines were read, and which share of the whole that is, from 0 to 1; undefined where nobody knows. */
  readonly onProgress?: ((lines: number, share: number) => void) | undefined
  /** Is told how far a file without an index was read for one, which only a cut without books needs. */
  readonly onIndexing?: ((done: { readonly bytes: number; readonly of: number }) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface CutReport {
  readonly format: 'millrace-recording-cut/1'
  readonly inputs: readonly string[]
  readonly outputs: readonly { readonly path: string; readonly bytes: number }[]
  readonly fromUs: number | null
  readonly toUs: number | null
  /** Of the range. */
  readonly records: number
  /** Carried over from before it, by kind. */
  readonly carried: Readonly<Record<CarriedKind, number>>
  /** Books that begin without their state, and why. */
  readonly missing: readonly MissingBook[]
  /** False when something of the input could not be read. */
  readonly whole: boolean
}

export type CarriedKind = 'openings' | 'requests' | 'acknowledgements' | 'frames' | 'instruments' | 'books'

export interface MissingBook {
  readonly exchange: string
  readonly connection: number
  readonly symbol: string
  readonly why: string
}

/** Missing books that a header lists. */
const MISSING_MAX = 1_000

/**
 * @throws `OPTION_INVALID` and `RECORDING_INVALID` before anything is written, also when no record is in the range;
 *         `SINK_REJECTED`; the signal's reason when it is aborted
 */
export async function cutRecordings(options: CutOptions): Promise<CutReport> {
  const {
    files,
    out,
    fromUs = 0,
    toUs = Infinity,
    books = true,
    replace,
    clock,
    onFault,
    onProgress,
    onIndexing,
    signal,
  } = options
  if (!(fromUs < toUs)) {
    throw new Fault('OPTION_INVALID', 'The range is empty: its end is not after its beginning.', { fromUs, toUs })
  }
  let whole = true
  const records = replayRecords(files, {
    // Where no book is wanted, what is in force at the beginning is found without reading all that is before.
    fromUs: books ? undefined : options.fromUs,
    toUs: options.toUs,
    onProgress: onIndexing,
    onFault: (fault) => {
      // What its recorder lost is no fault of the file.
      if (fault.details['lost'] === undefined || fault.details['block'] !== undefined) whole = false
      onFault(fault)
    },
  })
  const before = new Before(books)
  let output: RecordOutput | undefined
  try {
    const headers: RecordingHeader[] = []
    const inputs = [...files]
    for (const reader of await records.open()) {
      headers.push(await reader.header())
      inputs.push(reader.path)
    }
    if (books) refuseUnspoken(headers)
    const header = mergedHeader(headers, files, undefined)
    let count = 0
    let carried = before.carried()
    for await (const batch of records) {
      signal?.throwIfAborted()
      onProgress?.(records.counters.lines, records.progress.share)
      const part: SessionRecord[] = []
      for (const record of batch) {
        if (record.timeUs < fromUs && output === undefined && part.length === 0) before.take(record)
        else part.push(record)
      }
      if (part.length > 0 && output === undefined) {
        carried = before.carried()
        const made = madeOf(files, options, carried)
        const started = { ...header, made, startedUs: part[0]!.timeUs }
        output = await recordingOutput(out, started, { clock, inputs, replace })
        await output.write(carried.records)
      }
      if (part.length > 0) await output!.write(part)
      count += part.length
    }
    if (output === undefined) {
      throw new Fault(
        'OPTION_INVALID',
        `No record of ${named(files)} is in the range from ${iso(fromUs)} to ${iso(toUs)}.`,
        {
          fromUs,
          toUs,
        },
      )
    }
    const { files: outputs } = await output.finish()
    return {
      format: 'millrace-recording-cut/1',
      inputs: files,
      outputs,
      fromUs: options.fromUs ?? null,
      toUs: options.toUs ?? null,
      records: count,
      carried: carried.counts,
      missing: carried.missing,
      whole,
    }
  } catch (error) {
    await output?.abandon()
    throw signal?.aborted === true ? signal.reason : error
  } finally {
    before.release()
    await records.return()
  }
}

/** Books are carried by decoding what is before them. */
function refuseUnspoken(headers: readonly RecordingHeader[]): void {
  for (const venue of new Set(headers.flatMap(({ venues }) => venues))) {
    try {
      exchangeById(venue)
    } catch (cause) {
      throw new Fault(
        'OPTION_INVALID',
        `The recording is of ${venue}, which is not decoded here, so its books cannot be carried over; cut it without them (--no-books).`,
        { venue },
        { cause },
      )
    }
  }
}

function madeOf(files: readonly string[], { fromUs, toUs }: CutOptions, carried: Carried): Record<string, unknown> {
  const { counts, missing } = carried
  const more = missing.length - MISSING_MAX
  return {
    by: 'cut',
    of: named(files),
    from: fromUs === undefined ? undefined : iso(fromUs),
    to: toUs === undefined ? undefined : iso(toUs),
    carried: counts,
    missing: missing.slice(0, MISSING_MAX),
    ...(more > 0 && { missing_more: more }),
  }
}

function iso(us: number): string {
  if (us === Infinity) return 'the end'
  const seconds = new Date(Math.floor(us / 1_000_000) * 1_000).toISOString().slice(0, 19)
  return `${seconds}.${String(us % 1_000_000).padStart(6, '0')}Z`
}

interface Carried {
  readonly records: readonly SessionRecord[]
  readonly counts: Readonly<Record<CarriedKind, number>>
  readonly missing: readonly MissingBook[]
}

interface Connection {
  readonly exchange: string
  readonly opening: SessionRecord | undefined
  readonly requests: SessionRecord[]
  readonly acknowledgements: SessionRecord[]
  readonly books: Map<string, Book>
}

interface Book {
  readonly levels: Level2Book
  isLive: boolean
  seq: number | undefined
  depth: number | undefined
  exchangeTimeUs: number | undefined
  /** The frame that changed it last; undefined where that was an answer. */
  frame: SessionRecord | undefined
  /** True where the frame says the whole book. */
  isWhole: boolean
}

/** Requests, and acknowledgements, of one connection that are carried: more than any exchange lets one send. */
const REQUESTS_MAX = 10_000

/** What the lines before a cut have come to. */
class Before {
  private readonly sessions: Sessions | undefined
  private readonly connections = new Map<number, Connection>()
  private readonly instruments = new Map<string, RestRecord>()
  private last: RecordTime | undefined

  constructor(withBooks: boolean) {
    if (withBooks) this.sessions = new Sessions({ protocolOf: exchangeById })
  }

  take(record: SessionRecord): void {
    this.last = { timeUs: record.timeUs, ns: record.ns }
    const events = this.sessions?.apply(record) ?? []
    switch (record.dir) {
      case 'open':
        this.connections.set(record.connection, newConnection(record.exchange, record))
        break
      case 'close':
        this.connections.delete(record.connection)
        return
      case 'out':
        this.keep(this.of(record).requests, record)
        break
      case 'in': {
        const { acknowledgements } = this.of(record)
        if (this.sessions?.session(record.connection)?.reason === 'acknowledgement') this.keep(acknowledgements, record)
        break
      }
      case 'rest':
        if (record.role === 'instruments') this.instruments.set(`${record.exchange} ${record.url}`, record)
        break
      case 'gap':
        break
    }
    for (const event of events) this.see(event, record)
  }

  /** The records that stand for all this, in order. */
  carried(): Carried {
    const records: SessionRecord[] = []
    const missing: MissingBook[] = []
    const counts = { openings: 0, requests: 0, acknowledgements: 0, frames: 0, instruments: 0, books: 0 }
    const add = (kind: CarriedKind, record: SessionRecord, time = this.last!): void => {
      counts[kind] += 1
      records.push({ ...record, ...time })
    }
    // Before the frames, which name instruments: at one time, what was answered would come after them.
    for (const record of this.instruments.values()) add('instruments', record, justBefore(this.last!))
    const frames = new Set<SessionRecord>()
    for (const [connection, { exchange, opening, requests, acknowledgements, books }] of this.connections) {
      if (opening !== undefined) add('openings', opening)
      for (const record of requests) add('requests', record)
      for (const record of acknowledgements) add('acknowledgements', record)
      for (const [symbol, book] of books) {
        if (!book.isLive) {
          missing.push({ exchange, connection, symbol, why: 'it waited for a snapshot when the cut begins' })
          continue
        }
        // Which of several streams a book is made of shows only in its frames.
        if (book.frame !== undefined && !frames.has(book.frame)) add('frames', book.frame)
        if (book.frame !== undefined) frames.add(book.frame)
        if (book.isWhole) continue
        const body = bookStateText({ ...book, symbol }, book.levels)
        const state = {
          connection,
          exchange,
          dir: 'rest',
          method: 'GET',
          url: BOOK_STATE_URL,
          role: 'book-state',
        } as const
        add('books', { ...state, timeUs: 0, ns: 0, body })
      }
      if (this.sessions === undefined) missing.push({ exchange, connection, symbol: '*', why: 'books were not wanted' })
    }
    return { records, counts, missing }
  }

  release(): void {
    this.sessions?.release()
  }

  private see(event: MarketEvent, record: SessionRecord): void {
    if (event.kind === 'notice') {
      const book = event.symbol === '' ? undefined : this.of(record).books.get(event.symbol)
      if (book !== undefined && (event.code === 'gap' || event.code === 'disconnected')) {
        book.isLive = false
        book.levels.clear()
      }
      return
    }
    if (event.kind !== 'snapshot' && event.kind !== 'delta') return
    // A snapshot without a connection belongs to the one that has the book.
    const { books } = record.connection >= 0 ? this.of(record) : this.withBook(record, event.symbol)
    let book = books.get(event.symbol)
    if (book === undefined) books.set(event.symbol, (book = newBook()))
    if (event.kind === 'snapshot') book.levels.snapshot(event)
    else book.levels.delta(event)
    book.isLive = true
    book.seq = event.kind === 'snapshot' ? event.seq : (event.seq ?? book.seq)
    book.depth = event.depth
    book.exchangeTimeUs = event.exchangeTimeUs
    book.frame = record.dir === 'in' ? kept(record) : undefined
    book.isWhole = record.dir === 'in' && event.kind === 'snapshot'
  }

  private of(record: SessionRecord): Connection {
    let connection = this.connections.get(record.connection)
    if (connection === undefined) {
      this.connections.set(record.connection, (connection = newConnection(record.exchange, undefined)))
    }
    return connection
  }

  private withBook(record: SessionRecord, symbol: string): Connection {
    let only: Connection | undefined
    for (const [number, connection] of this.connections) {
      if (connection.exchange !== record.exchange) continue
      only ??= connection
      if (this.sessions!.session(number)?.bookState(symbol) !== undefined) return connection
    }
    return only ?? this.of(record)
  }

  private keep(records: SessionRecord[], record: SessionRecord): void {
    if (records.length < REQUESTS_MAX) records.push(kept(record))
  }
}

/** The address of what was asked of nobody. */
const BOOK_STATE_URL = 'millrace:book-state'

function justBefore({ timeUs, ns }: RecordTime): RecordTime {
  return ns > 0 ? { timeUs, ns: ns - 1 } : { timeUs: Math.max(0, timeUs - 1), ns: 999 }
}

function newConnection(exchange: string, opening: SessionRecord | undefined): Connection {
  return { exchange, opening, requests: [], acknowledgements: [], books: new Map() }
}

function newBook(): Book {
  return {
    levels: new Level2Book(),
    isLive: false,
    seq: undefined,
    depth: undefined,
    exchangeTimeUs: undefined,
    frame: undefined,
    isWhole: false,
  }
}
