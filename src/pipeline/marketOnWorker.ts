/**
 * A market whose sockets, decoding and books live on a worker thread, behind the same face as one of the loop.
 *
 * Stamps   a record is stamped when it has reached this thread. A run's order is made by its stamps: with those of another
 *          thread, a timer could have fired before a frame that is older. What a frame spends in its thread is in no stamp
 * Frames   stay in the thread. Where a run is recorded they cross with what was made of them, are written down with the
 *          stamps of this thread, and a replay gives the same events; else only beginnings and ends of connections cross,
 *          and a message in quarantine comes without its frame
 * A death  is the end of all connections of the thread, said as such: `close` records with their notices, so that books
 *          behind are void. Another thread begins anew, with connections of other numbers, and asks for snapshots
 * Pausing  means to read no more: the ring fills, then the queue in the thread, then the sockets there are paused
 */
import path from 'node:path'
import type { ResourceLimits } from 'node:worker_threads'
import { Observable, type Subscription } from 'rxjs'
import type { RestartPolicy } from '../actors/supervision'
import { emptyLedger, type Ledger } from '../actors/ledger'
import { within } from '../clock/clock'
import { liveClock } from '../clock/liveClock'
import { exchangeById } from '../exchanges/exchanges'
import type { BookName, ExchangeAddress } from '../feed/liveFeed'
import { Readiness } from '../feed/readiness'
import type { SessionRecord } from '../feed/record'
import { Sessions } from '../feed/sessions'
import { Stamper, type Stamp } from '../feed/stamper'
import type { MarketEvent, Notice } from '../model/events'
import { Fault, messageOf } from '../model/fault'
import { thrownFromData, type ThrownData } from '../workers/crossing'
import { Inlet } from '../workers/fromWorker'
import type { ConnectionView, Market, MarketOutput, MarketTraffic } from './market'
import type { MarketInThread, MarketMessage } from './marketInThread'
import { EventsReader, toldOf, type EventsRow, type FrameRow, type MarketRow, type ToldRow } from './marketRows'
import { TrafficReader, type ExchangesTold } from './marketTraffic'
import type { Wish } from './wish'

export interface MarketOnWorkerOptions {
  readonly wishes: readonly Wish[]
  readonly addresses: ReadonlyMap<string, ExchangeAddress> | undefined
  readonly keepsFrames: boolean
  /** False to count nothing for each channel and symbol. Default true. */
  readonly countsStreams?: boolean | undefined
  /** What is done about a thread that dies. */
  readonly restart?: RestartPolicy
  /** The module of the thread: one that calls `exposeSource`. Default that of this package. */
  readonly entry?: string | URL
  /** Memory of the thread. */
  readonly resourceLimits?: ResourceLimits
  /** Filled in as rows cross. */
  readonly ledger?: Ledger
}

const RESTART: RestartPolicy = { atMost: 10, withinMs: 60_000, backoffMs: [100, 5_000] }
/** Records that may wait in the thread; the most of them that cross together. */
const CAPACITY = 10_000
const BATCH_MAX = 64
/** Being woken for each frame would cost the loop as much as reading it from the socket. */
const GATHER_MS = 1
/** The ring to this thread: a row may take half of it, be it a book of a hundred thousand levels or a list of all instruments. */
const RING_BYTES = 2 ** 24
const RING_BYTES_OF_FRAMES = 2 ** 26
const LOAD_MS = 30_000
const STOP_MS = 2_000
/** What has been said by then still comes. */
const LAST_ROWS_MS = 500
/** As for a connection that broke (RFC 6455). */
const BROKEN = 1006

/** A connection of the thread that lives now, and the books on it that are live, in the order in which they came. */
interface Line {
  readonly connection: number
  readonly exchange: string
  readonly books: Map<string, MarketEvent>
}

export class MarketOnWorker implements Market {
  readonly sessions = new Sessions({ protocolOf: exchangeById })
  readonly byInstrument = true
  private readonly stamper = new Stamper(liveClock)
  private readonly lines = new Map<number, Line>()
  private reader = new EventsReader()
  /** Added to the thread's numbers of connections: each thread begins with 0. */
  private base = 0
  private next = 0
  private output: MarketOutput | undefined
  private inlet: Inlet<MarketRow> | undefined
  private subscription: Subscription | undefined
  private readiness = new Readiness()
  private views: readonly ConnectionView[] = []
  private readonly come = new TrafficReader()
  private stampOfKept: Stamp | undefined
  private settleStart: { resolve: () => void; reject: (fault: Fault) => void } | undefined
  private finished!: () => void
  private readonly whenFinished = new Promise<void>((resolve) => (this.finished = resolve))
  private isStopping = false
  private hasEnded = false

  constructor(private readonly options: MarketOnWorkerOptions) {}

  get ready(): Promise<void> {
    return this.readiness.promise
  }

  start(output: MarketOutput): Promise<void> {
    const {
      wishes,
      addresses,
      keepsFrames,
      countsStreams,
      restart = RESTART,
      entry,
      ledger = emptyLedger(),
      resourceLimits,
    } = this.options
    this.output = output
    const data: MarketInThread = { wishes, addresses, keepsFrames, countsStreams }
    const started = new Promise<void>((resolve, reject) => (this.settleStart = { resolve, reject }))
    this.subscription = new Observable<MarketRow>((out) => {
      const inlet = new Inlet<MarketRow>(
        entry ?? path.join(__dirname, 'entries', 'market'),
        {
          capacity: CAPACITY,
          onFull: 'block',
          batchMax: BATCH_MAX,
          gatherMs: GATHER_MS,
          ringBytes: keepsFrames ? RING_BYTES_OF_FRAMES : RING_BYTES,
          deadlineMs: LOAD_MS,
          restart,
          data,
          ledger,
          ...(resourceLimits !== undefined && { resourceLimits }),
          onFault: (fault) => this.died(fault),
        },
        out,
      )
      this.inlet = inlet
      return () => inlet.end()
    }).subscribe({
      next: (row) => this.take(row),
      error: (error: unknown) => this.gaveUp(error),
      complete: () => this.finished(),
    })
    return started
  }

  async stop(withinMs = STOP_MS): Promise<void> {
    if (this.subscription === undefined) return
    this.isStopping = true
    this.inlet?.letGo()
    this.readiness.reject(new Fault('DEADLINE_EXCEEDED', 'The feed on a worker was stopped before it was ready.'))
    const asked = this.tell({ do: 'stop', withinMs })
    if (asked !== undefined) await within(liveClock, withinMs, Promise.race([asked, this.whenFinished]))
    if (asked !== undefined) await within(liveClock, LAST_ROWS_MS, this.whenFinished)
    this.subscription.unsubscribe()
    this.settleStart?.resolve()
  }

  refresh(books: Iterable<BookName> | 'all'): void {
    void this.tell({ do: 'refresh', books: books === 'all' ? 'all' : [...books] })
  }

  restart(exchange: string): boolean {
    if (!this.views.some((view) => view.exchange === exchange && view.state === 'failed')) return false
    this.readiness = this.readiness.again()
    void this.tell({ do: 'restart', exchange })
    return true
  }

  pause(): void {
    if (!this.isStopping) this.inlet?.hold()
  }

  resume(): void {
    this.inlet?.letGo()
  }

  connections(): readonly ConnectionView[] {
    return this.views
  }

  traffic(): MarketTraffic {
    return this.come.traffic
  }

  /** Of a thread that cannot answer its supervisor is told. */
  private tell(message: MarketMessage): Promise<unknown> | undefined {
    return this.inlet?.tell(message)?.catch(() => undefined)
  }

  private take(row: MarketRow): void {
    if (isEvents(row)) this.takeEvents(row)
    else if (row.row === 'frame') this.takeFrame(row)
    else if (row.row === 'traffic') this.come.take(row)
    else this.takeTold(row)
  }

  private takeFrame({ connection, exchange, isText, bytes }: FrameRow): void {
    const stamp = (this.stampOfKept = this.stamper.next())
    this.output!.record({
      ...stamp,
      connection: this.numbered(connection),
      exchange,
      dir: 'in',
      data: bytes,
      ...(isText && { isText }),
    })
  }

  private takeEvents(row: EventsRow): void {
    const { reader } = this
    reader.open(row)
    const { connection, exchange, isKept } = reader
    const stamp = isKept ? this.stampOfKept! : this.stamper.next()
    const events = reader.events(stamp.timeUs)
    this.remember(connection, events)
    const record: SessionRecord = {
      ...stamp,
      connection: this.numbered(connection),
      exchange,
      dir: 'in',
      data: NO_BYTES,
    }
    this.output!.events(record, events)
  }

  private takeTold(row: ToldRow): void {
    const { output } = this
    const told = toldOf(row)
    switch (row.row) {
      case 'record': {
        const record = told as SessionRecord
        const stamp = (this.stampOfKept = this.stamper.next())
        const { connection, exchange, dir } = record
        if (dir === 'open') this.lines.set(connection, { connection, exchange, books: new Map() })
        if (dir === 'close') this.lines.delete(connection)
        output!.record({ ...record, ...stamp, connection: this.numbered(connection) })
        return
      }
      case 'fault':
        output!.fault(thrownFromData(told as ThrownData))
        return
      case 'exhausted': {
        const { exchange, thrown } = told as { readonly exchange: string; readonly thrown: ThrownData }
        this.exhausted(exchange, thrownFromData(thrown))
        return
      }
      case 'connections':
        this.views = told as readonly ConnectionView[]
        return
      case 'exchanges':
        this.come.takeExchanges(told as ExchangesTold)
        return
      case 'ready':
        this.readiness.resolve()
        return
      case 'unready':
        this.readiness.reject(thrownFromData(told as ThrownData))
        return
      case 'started':
        this.settleStart?.resolve()
        return
      case 'refused':
        this.settleStart?.reject(thrownFromData(told as ThrownData))
        return
      case 'ended':
        this.end()
    }
  }

  /** Which books a connection has, so that its end can be told of if nobody is left to do so. */
  private remember(connection: number, events: readonly MarketEvent[]): void {
    const books = this.lines.get(connection)?.books
    if (books === undefined) return
    for (const event of events) {
      if (event.kind === 'snapshot' || event.kind === 'delta') books.set(event.symbol, event)
      else if (event.kind === 'notice' && IN_DOUBT.has(event.code)) books.delete(event.symbol)
    }
  }

  /** All connections of the thread have ended with it. It is begun again, unless `gaveUp` follows. */
  private died(fault: Fault): void {
    const { output } = this
    const reason = 'its worker died'
    for (const { connection, exchange, books } of this.lines.values()) {
      const stamp = this.stamper.next()
      const record: SessionRecord = {
        ...stamp,
        connection: this.numbered(connection),
        exchange,
        dir: 'close',
        code: BROKEN,
        reason,
      }
      const about = (symbol: string, instrument: string | undefined): Notice => ({
        kind: 'notice',
        ...{ exchange, symbol, instrument, exchangeTimeUs: undefined, receiveTimeUs: stamp.timeUs },
        code: 'disconnected',
        details: { reason },
      })
      output?.record(record)
      output?.events(record, [
        about('', undefined),
        ...[...books.values()].map(({ symbol, instrument }) => about(symbol, instrument)),
      ])
    }
    this.lines.clear()
    this.come.restart()
    this.reader = new EventsReader()
    this.base = this.next
    this.views = this.views.map((view) => ({ ...view, state: 'waiting', trouble: fault.message }))
    if (!this.isStopping) output?.fault(fault)
    else this.finished()
  }

  /** The thread has died too often, or its source has failed. */
  private gaveUp(error: unknown): void {
    const fault =
      error instanceof Fault ? error : new Fault('WORKER_DIED', messageOf(error), {}, { cause: error as Error })
    this.views = this.views.map((view) => ({ ...view, state: 'failed', trouble: fault.message }))
    this.readiness.reject(fault)
    this.finished()
    if (this.isStopping) return
    this.output?.fault(fault)
    this.settleStart?.reject(fault)
    for (const exchange of new Set(this.options.wishes.flatMap(({ exchanges }) => exchanges))) {
      this.exhausted(exchange, fault)
    }
  }

  private exhausted(exchange: string, fault: Fault): void {
    const { output } = this
    if (output?.exhausted !== undefined) {
      output.exhausted(exchange, fault)
      return
    }
    const isRequired = this.options.wishes.some(
      ({ required, exchanges }) => required !== false && exchanges.includes(exchange),
    )
    if (isRequired || this.views.every(({ state }) => state === 'failed' || state === 'stopped')) this.end()
  }

  private end(): void {
    if (this.hasEnded) return
    this.hasEnded = true
    this.output?.ended()
  }

  /** Where nobody says which connection asked, nobody does here. */
  private numbered(connection: number): number {
    if (connection < 0) return connection
    this.next = Math.max(this.next, this.base + connection + 1)
    return this.base + connection
  }
}

function isEvents(row: MarketRow): row is EventsRow {
  return Array.isArray(row)
}

const IN_DOUBT: ReadonlySet<string> = new Set(['gap', 'disconnected', 'dropped'])

const NO_BYTES = new Uint8Array(0)
