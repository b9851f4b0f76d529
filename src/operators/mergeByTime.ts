import { Observable, type Observer } from 'rxjs'
import type { Clock } from '../clock/clock'
import { currentClock } from '../clock/currentClock'
import { Fault } from '../model/fault'
import type { Batch } from '../model/events'
import {
  AHEAD_MS,
  balance,
  checkEventTime,
  defaultEventTimeUs,
  eventTimeLedger,
  requireWait,
  stampOf,
  type EventTimeDrop,
  type EventTimeFull,
  type EventTimeLedger,
} from './eventTime'
import { Heap } from './heap'
import { requireCount, requireOption } from './options'
import { StreamAlarm } from './streamAlarm'
import { subscribeWhileOpen } from './subscribeWhileOpen'

export interface MergeByTimeOptions<T> {
  /** When it happened, microseconds; undefined for a row that has no part in it. Default `exchangeTimeUs`, else `receiveTimeUs`. */
  readonly eventTimeUs?: (row: T) => number | undefined
  /** A source silent for so long is no longer waited for. Milliseconds of the stream's clock, > 0. */
  readonly idleMs: number
  /** Rows of each source that may wait for the others. */
  readonly capacity: number
  /** What happens to a row when so many wait: see {@link EventTimeFull}. */
  readonly onFull: EventTimeFull
  /** A row whose time is further after its receive stamp than this is not believed. Milliseconds, default 60 000. */
  readonly aheadMs?: number
  /** The side output: rows that are out of the order of their source, or came when what is newer had gone on. */
  readonly late?: Pick<Observer<T[]>, 'next'>
  /** Told of each row that was dropped. */
  readonly onDropped?: (row: T, reason: EventTimeDrop) => void
  readonly ledger?: EventTimeLedger
  /** The run's clock without it. */
  readonly clock?: Clock
}

/** What must be said of rows that do not have the usual fields. */
export type MergeByTimeNeeds<T> = [T] extends [{ readonly receiveTimeUs: number }]
  ? unknown
  : { readonly eventTimeUs: (row: T) => number | undefined }

/**
 * Merges sources, each of which is in the order of its time, into one that is.
 *
 *     mergeByTime([binance, kraken], { idleMs: 2_000, capacity: 10_000, onFull: 'hurry' })
 *
 *     one           1---4-------9|
 *     another       --2---3-7----------|
 *     mergeByTime   --1---2-3-4-7------9|
 *
 * Emits      each row as soon as no other source can have an earlier one: in batches. At the same time the rows of the
 *            source that is named first are first, those of one source in the order of their arrival
 * Completes  when all sources have
 * Errors     with the first source that does, and what is held is lost with it; with what an option's function throws;
 *            `EDGE_FULL` when more than `capacity` rows of a source wait and `onFull` is `fail`
 * Holds      at most `capacity` rows of each source, those that wait for the slowest; one timer while any wait
 *
 * A source that is silent for `idleMs` is not waited for. What it brings when it returns, and is older than what has gone
 * on, goes to `late`, as does a row that is older than the one before it in its own source: for sources that are out of
 * order in themselves put `orderByEventTime` before.
 */
export function mergeByTime<Rows extends readonly unknown[]>(
  sources: { readonly [K in keyof Rows]: Observable<Batch<Rows[K]>> },
  options: MergeByTimeOptions<Rows[number]> & MergeByTimeNeeds<Rows[number]>,
): Observable<Rows[number][]> {
  check(options)
  return new Observable((out) => {
    const merge = new TimeMerge<Rows[number]>(sources.length, options, {
      emit: (rows) => out.next(rows),
      failed: (error) => out.error(error),
      isOver: () => out.closed,
    })
    out.add(() => merge.cancel())
    if (sources.length === 0) out.complete()
    for (const [index, source] of (sources as readonly Observable<Batch<Rows[number]>>[]).entries()) {
      if (out.closed) return
      subscribeWhileOpen(source, out, {
        next: (batch) => merge.receive(index, batch),
        error: (error) => out.error(error),
        complete: () => {
          merge.end(index)
          if (merge.hasEnded) out.complete()
        },
      })
    }
    merge.begin()
  })
}

/** A source and what waits of it. */
interface Lane<T> {
  readonly index: number
  waiting: Waiting<T>[]
  /** The first that waits: those before it have gone on. */
  first: number
  /** The time of its latest row; it has no earlier one to come. */
  latestUs: number
  /** When it was heard last, in stream time. */
  heardUs: number
  ended: boolean
}

interface Waiting<T> {
  readonly row: T
  readonly timeUs: number
}

interface MergeHooks<T> {
  readonly emit: (rows: T[]) => void
  readonly failed: (error: unknown) => void
  readonly isOver: () => boolean
}

class TimeMerge<T> {
  private readonly lanes: Lane<T>[] = []
  /** Of the lanes with something that waits, the one that is next. */
  private readonly next = new Heap<Lane<T>>(isNext)
  private readonly ledger: EventTimeLedger
  private readonly alarm: StreamAlarm
  private readonly eventTimeUs: (row: T) => number | undefined
  private readonly idleUs: number
  private readonly aheadUs: number
  private passedUs = -Infinity
  private nowUs = -Infinity
  private pending = 0
  private begun = false
  /** From then on those that were not heard are waited for. */
  private anyHeard = false
  private stampUs: number | undefined
  private merged: T[] = []
  private lateRows: T[] = []

  constructor(
    sources: number,
    private readonly options: MergeByTimeOptions<T>,
    private readonly hooks: MergeHooks<T>,
  ) {
    this.ledger = options.ledger ?? eventTimeLedger()
    this.eventTimeUs = options.eventTimeUs ?? defaultEventTimeUs
    this.idleUs = Math.max(1, Math.round(options.idleMs * 1_000))
    this.aheadUs = Math.round((options.aheadMs ?? AHEAD_MS) * 1_000)
    for (let index = 0; index < sources; index++) {
      this.lanes.push({ index, waiting: [], first: 0, latestUs: -Infinity, heardUs: Infinity, ended: false })
    }
    this.alarm = new StreamAlarm(options.clock ?? currentClock(), () => this.guarded(() => this.moment()))
  }

  get hasEnded(): boolean {
    return this.lanes.every(({ ended }) => ended)
  }

  /** All sources are subscribed to: from now on one that is silent may become idle. */
  begin(): void {
    this.begun = true
  }

  receive(index: number, batch: Batch<T>): void {
    this.guarded(() => {
      const lane = this.lanes[index]!
      this.nowUs = this.alarm.nowUs()
      for (const row of batch) {
        this.ledger.in++
        try {
          this.take(lane, row)
        } catch (error) {
          balance(this.ledger)
          throw error
        }
        if (this.hooks.isOver()) return
      }
      this.moment()
    })
  }

  end(index: number): void {
    this.lanes[index]!.ended = true
    this.guarded(() => this.moment())
  }

  cancel(): void {
    this.alarm.cancel()
    this.next.clear()
    this.lanes.length = 0
    this.ledger.dropped += this.pending
    this.ledger.inFlight -= this.pending
    this.pending = 0
  }

  private take(lane: Lane<T>, row: T): void {
    const { ledger, options } = this
    const stampUs = stampOf(row)
    if (stampUs !== undefined && stampUs !== this.stampUs) {
      this.stampUs = stampUs
      this.alarm.arrive(stampUs)
      this.nowUs = this.alarm.nowUs()
    }
    if (this.hooks.isOver()) {
      ledger.dropped++
      return
    }
    this.hear(lane)
    const said = this.eventTimeUs(row)
    const timeUs = said === undefined ? NaN : Math.floor(said)
    if (!Number.isSafeInteger(timeUs)) {
      ledger.ignored++
      return
    }
    if (stampUs !== undefined && timeUs - stampUs > this.aheadUs) {
      ledger.ahead++
      options.onDropped?.(row, 'ahead')
      return
    }
    if (size(lane) >= options.capacity) {
      this.pass()
      if (size(lane) >= options.capacity && !this.makeRoom(lane)) {
        ledger.dropped++
        options.onDropped?.(row, 'dropNewest')
        return
      }
    }
    if (timeUs < lane.latestUs || timeUs < this.passedUs) {
      if (timeUs > lane.latestUs) lane.latestUs = timeUs
      ledger.late++
      this.lateRows.push(row)
      return
    }
    lane.latestUs = timeUs
    lane.waiting.push({ row, timeUs })
    if (size(lane) === 1) this.next.push(lane)
    ledger.inFlight++
    this.pending++
  }

  private makeRoom(lane: Lane<T>): boolean {
    const { capacity, onFull } = this.options
    if (onFull === 'fail') throw full(lane.index, capacity)
    if (onFull === 'dropNewest') return false
    while (size(lane) >= capacity) this.passFirst()
    return true
  }

  private hear(lane: Lane<T>): void {
    lane.heardUs = this.nowUs
    if (!this.begun || this.anyHeard) return
    this.anyHeard = true
    for (const each of this.lanes) if (each.heardUs === Infinity) each.heardUs = this.nowUs
  }

  private moment(): void {
    this.nowUs = this.alarm.nowUs()
    this.pass()
    if (this.lateRows.length > 0) this.options.late?.next(this.lateRows.splice(0))
    if (this.merged.length > 0) {
      const { merged } = this
      this.merged = []
      this.hooks.emit(merged)
    }
    if (!this.hooks.isOver()) this.setAlarm()
  }

  /** Lets everything go on before which no other source can have a row. */
  private pass(): void {
    /** The earliest place of a row that a source with nothing here may still bring. */
    let holder: Lane<T> | undefined
    for (const lane of this.lanes) if (this.holdsBack(lane) && isHolder(lane, holder)) holder = lane
    for (let lane = this.next.peek(); lane !== undefined; lane = this.next.peek()) {
      const { timeUs } = lane.waiting[lane.first]!
      if (holder !== undefined && !goesBefore(timeUs, lane.index, holder)) return
      this.passFirst()
      if (this.holdsBack(lane) && isHolder(lane, holder)) holder = lane
    }
  }

  private passFirst(): void {
    const lane = this.next.peek()!
    const { row, timeUs } = lane.waiting[lane.first]!
    lane.first++
    if (lane.first === lane.waiting.length) {
      lane.waiting = []
      lane.first = 0
      this.next.pop()
    } else {
      if (lane.first > COMPACT && lane.first * 2 > lane.waiting.length) {
        lane.waiting = lane.waiting.slice(lane.first)
        lane.first = 0
      }
      this.next.sinkFirst()
    }
    this.passedUs = timeUs
    this.merged.push(row)
    this.pending--
    this.ledger.inFlight--
    this.ledger.out++
  }

  private holdsBack(lane: Lane<T>): boolean {
    return size(lane) === 0 && !lane.ended && this.nowUs < lane.heardUs + this.idleUs
  }

  /** Nothing is waited for where nothing waits: then no timer runs. */
  private setAlarm(): void {
    let dueUs = Infinity
    if (this.next.size > 0) {
      for (const lane of this.lanes) if (this.holdsBack(lane)) dueUs = Math.min(dueUs, lane.heardUs + this.idleUs)
    }
    this.alarm.set(dueUs)
  }

  private guarded(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.hooks.failed(error)
    }
  }
}

const COMPACT = 32

function size<T>({ waiting, first }: Lane<T>): number {
  return waiting.length - first
}

function isNext<T>(a: Lane<T>, b: Lane<T>): boolean {
  const [aUs, bUs] = [a.waiting[a.first]!.timeUs, b.waiting[b.first]!.timeUs]
  return aUs !== bUs ? aUs < bUs : a.index < b.index
}

/** Whether a row goes before every row that a source may still bring. */
function goesBefore<T>(timeUs: number, index: number, holder: Lane<T>): boolean {
  return timeUs !== holder.latestUs ? timeUs < holder.latestUs : index <= holder.index
}

function isHolder<T>(lane: Lane<T>, holder: Lane<T> | undefined): boolean {
  if (holder === undefined) return true
  return lane.latestUs !== holder.latestUs ? lane.latestUs < holder.latestUs : lane.index < holder.index
}

function full(source: number, capacity: number): Fault {
  return new Fault(
    'EDGE_FULL',
    `mergeByTime has ${capacity} rows of source ${source} waiting for the others and may drop none: raise \`capacity\`, lower \`idleMs\` so that a silent source is waited for less, or choose with \`onFull\` what may be lost.`,
    { source, capacity },
  )
}

function check<T>(options: MergeByTimeOptions<T>): void {
  const { capacity, onFull, aheadMs } = options
  checkEventTime('mergeByTime', options)
  requireCount('mergeByTime', 'capacity', capacity)
  // Plain JavaScript may leave out what the types require: what may be lost has no default.
  const given = (onFull as EventTimeFull | undefined) !== undefined
  requireOption(given, 'mergeByTime', 'onFull', onFull, 'fail, dropNewest or hurry')
  if (aheadMs !== undefined) requireWait('mergeByTime', 'aheadMs', aheadMs)
}
