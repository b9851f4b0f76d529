/**
 * Rows in the order of their event time, although they come out of order, and the watermark that says how far this order
 * is known. What windows, as-of joins and `orderByEventTime` stand on.
 *
 * Event time is when something happened, as its source says; rows of a source may come up to `outOfOrderMs` later than
 * newer ones. The watermark means "no row older than this will come". Of a source it is the highest event time seen from
 * it, less `outOfOrderMs`; of the whole it is the least of all sources that are not idle, and it never goes back. A row
 * goes on when the watermark has passed it, so rows go on in one order, whatever the order within the bound in which they
 * came.
 *
 * Order  by event time; at the same time by `ties`, then by source, by receive stamp, and by arrival
 * Idle   a source that was silent for `idleMs` of the stream's clock holds nobody back. When it returns it takes part
 *        again: the watermark waits for it, but does not go back to it, so its first rows may be late. While every source
 *        is idle the watermark follows the clock, so that what is held in a quiet market is not held forever
 * Late   what is older than the watermark (and the lateness that is allowed) when it comes goes to the side output
 *
 * The watermark moves once per batch: rows of one frame are never late because of each other. Sources are told apart when
 * the first row of each has come; one that starts later than others can be named in `sources`, and is then waited for.
 */
import type { Observer } from 'rxjs'
import { LONGEST_WAIT_MS, type Clock } from '../clock/clock'
import { currentClock } from '../clock/currentClock'
import { Fault } from '../model/fault'
import type { Batch } from '../model/events'
import { Heap } from './heap'
import { compareTexts, type OfInstrument } from './instrumentStates'
import { requireCount, requireMs, requireOption } from './options'
import { StreamAlarm } from './streamAlarm'

/** How the time of a stream's rows is told, and what becomes of those that come too late. */
export interface EventTimeInputOptions<T> {
  /** When it happened, microseconds; undefined for a row that has no part in it. Default `exchangeTimeUs`, else `receiveTimeUs`. */
  readonly eventTimeUs?: (row: T) => number | undefined
  /** Whose order it is: what is out of order by at most the bound. Default the exchange. */
  readonly source?: (row: T) => string
  /** Sources that are waited for before their first row has come, for `idleMs` at most. */
  readonly sources?: readonly string[]
  /** How much later than newer rows of its source a row may come, milliseconds, 0 or more. */
  readonly outOfOrderMs: number
  /** The order of rows of the same event time: negative when `a` is first. Where arrival may differ, compare ids here. */
  readonly ties?: (a: T, b: T) => number
  /**
   * A row whose event time is further after its receive stamp than this is not believed, because it would make everything
   * after it late. Milliseconds, default 60 000.
   */
  readonly aheadMs?: number
  /** The side output: late rows, in batches. A `Subject` fits. */
  readonly late?: Pick<Observer<T[]>, 'next'>
  /** Told of each row that was dropped. */
  readonly onDropped?: (row: T, reason: EventTimeDrop) => void
  /** Filled in as rows pass; see {@link eventTimeLedger}. */
  readonly ledger?: EventTimeLedger
}

/** What all streams that are joined in one time share. */
export interface EventTimeOptions {
  /** A source silent for so long is no longer waited for. Milliseconds of the stream's clock, > 0. */
  readonly idleMs: number
  /** Rows held at most. Default 100 000. */
  readonly rowsMax?: number
  /** Sources at most; an idle one is forgotten to make room. Default 1 000. */
  readonly sourcesMax?: number
  /** What happens when a bound is reached. Default `fail`. */
  readonly onFull?: EventTimeFull
  /** The run's clock without it. */
  readonly clock?: Clock
}

/**
 * fail        an `EDGE_FULL` fault ends the output
 * dropNewest  the row that comes is dropped
 * hurry       nobody is waited for any longer than it takes to make room: the oldest goes on at once, and what comes older
 *             than that is late
 */
export type EventTimeFull = 'fail' | 'dropNewest' | 'hurry'

/** ahead: its time is too far in the future; dropNewest: it came when a bound was reached. */
export type EventTimeDrop = 'ahead' | 'dropNewest'

/** Where each row is: `in = out + late + ignored + ahead + dropped + inFlight`. */
export interface EventTimeLedger {
  in: number
  /** Went on in its place: into its windows, its pair, the ordered stream. */
  out: number
  /** Came later than is allowed, and went to the side output. */
  late: number
  /** Has no event time, or no value. */
  ignored: number
  /** Claims to be of a time too far in the future. */
  ahead: number
  /** Came when a bound was reached, or was still held when the operator was left. */
  dropped: number
  /** Waits for the watermark. */
  inFlight: number
}

export function eventTimeLedger(): EventTimeLedger {
  return { in: 0, out: 0, late: 0, ignored: 0, ahead: 0, dropped: 0, inFlight: 0 }
}

/** What must be said of rows that do not have the usual fields. */
export type EventTimeNeeds<T> = (T extends { readonly receiveTimeUs: number }
  ? unknown
  : { readonly eventTimeUs: (row: T) => number | undefined }) &
  (T extends { readonly exchange: string } ? unknown : { readonly source: (row: T) => string })

/** The same for the key. */
export type KeyNeeds<T> = T extends OfInstrument ? unknown : { readonly key: (row: T) => string }

/** A row in its place in time. */
export interface Timed<T> {
  readonly input: EventTimeInput<T>
  readonly row: T
  readonly timeUs: number
  readonly source: string
  readonly stampUs: number
  readonly arrival: number
}

type Passing<T> = { -readonly [Field in keyof Timed<T>]: Timed<T>[Field] }

/** What is done with rows as time passes them. */
export interface EventTimeHooks<T> {
  /** A row goes on: in order, or, with `inOrder` false, within the lateness that is allowed. */
  readonly release: (timed: Timed<T>, inOrder: boolean) => void
  /** The watermark has passed; all rows before it were released. */
  readonly advanced: (watermarkUs: number) => void
  /** The least watermark at which there is something to do even without a row; Infinity when there is nothing. */
  readonly nextUs: () => number
  /** Rows that are held although they were released: they count to the bound. */
  readonly held: () => number
  /** In a hurry: lets one of them go without moving the watermark; false when there is none to let go like that. */
  readonly letGo?: () => boolean
  /** All that this batch, or this moment, has brought is known: the time to emit. */
  readonly settled: () => void
  readonly failed: (error: unknown) => void
  readonly isOver: () => boolean
}

export interface EventTimeSetting {
  /** Named in faults. */
  readonly operator: string
  /** How late a row may be and still be released. */
  readonly latenessUs?: number
  /** False: rows are released as they come, each in the same object, which must not be kept. */
  readonly inOrder?: boolean
}

export class EventTime<T> {
  /** All rows older than this have been released. */
  watermarkUs = -Infinity
  private readonly waiting = new Heap<Timed<T>>(isBefore)
  /** In the order in which they were made. */
  private marks: Mark<T>[] = []
  /** Sources that are waited for from when the first row of anything has come. */
  private readonly unheard: Mark<T>[] = []
  private readonly inputs: EventTimeInput<T>[] = []
  private readonly alarm: StreamAlarm
  private readonly idleUs: number
  private readonly rowsMax: number
  private readonly sourcesMax: number
  private readonly onFull: EventTimeFull
  private readonly latenessUs: number
  private readonly inOrder: boolean
  private nowUs = -Infinity
  /** When the watermark was looked at last. */
  private advancedUs = -Infinity
  /** The stamp that was heard last of a batch; NaN before one was. */
  private stampUs = NaN
  /** No source becomes idle before this; -Infinity while all are. */
  private nextIdleUs = Infinity
  /** While all sources are idle: the watermark that the clock gives, now. */
  private idleMarkUs = -Infinity
  /** The least that an active source is known to, when the watermark was looked at last. */
  private activeUs = Infinity
  /** Marks have changed in a way that may change the watermark, or when the next source becomes idle. */
  private marksMoved = true
  private arrivals = 0
  private begun = false
  /** The row that is being released, where none is kept. */
  private passing: Passing<T> | undefined

  constructor(
    options: EventTimeOptions,
    private readonly setting: EventTimeSetting,
    private readonly hooks: EventTimeHooks<T>,
  ) {
    this.idleUs = Math.max(1, Math.round(options.idleMs * 1_000))
    this.rowsMax = options.rowsMax ?? ROWS_MAX
    this.sourcesMax = options.sourcesMax ?? SOURCES_MAX
    this.onFull = options.onFull ?? 'fail'
    this.latenessUs = setting.latenessUs ?? 0
    this.inOrder = setting.inOrder ?? true
    this.alarm = new StreamAlarm(options.clock ?? currentClock(), () => this.guarded(() => this.moment()))
  }

  /** @param awaited  the input is waited for before its first row has come, though its sources are not known by name */
  addInput(input: EventTimeInput<T>, awaited: boolean): void {
    this.inputs.push(input)
    for (const source of input.expected) this.unheard.push(this.newMark(input, source))
    if (awaited && input.marks.size === 0) {
      input.placeholder = { input, source: undefined, us: -Infinity, heardUs: Infinity }
      this.addToMarks(input.placeholder)
      this.unheard.push(input.placeholder)
    }
  }

  /** All inputs are subscribed to: from now on one that is silent may become idle. */
  begin(): void {
    this.begun = true
  }

  receive(input: EventTimeInput<T>, batch: Batch<T>): void {
    try {
      this.hearClock()
      for (const row of batch) {
        input.ledger.in++
        try {
          this.take(input, row)
        } catch (error) {
          balance(input.ledger)
          throw error
        }
        if (this.hooks.isOver()) return
      }
      this.moment()
    } catch (error) {
      this.hooks.failed(error)
    }
  }

  /** A row that was released has reached its place. */
  pass({ input }: Timed<T>): void {
    input.pending--
    input.ledger.inFlight--
    input.ledger.out++
  }

  /** An input has ended: it holds nobody back any more. With the last of them everything that is held is released. */
  end(input: EventTimeInput<T>): void {
    this.guarded(() => {
      input.ended = true
      this.marks = this.marks.filter((mark) => mark.input !== input)
      this.marksMoved = true
      input.forgetMarks()
      if (this.inputs.every(({ ended }) => ended)) {
        for (let next = this.waiting.pop(); next !== undefined; next = this.waiting.pop()) {
          this.hooks.release(next, true)
        }
      } else this.moment()
    })
  }

  /** For good: what is held is counted as dropped. */
  cancel(): void {
    this.alarm.cancel()
    this.waiting.clear()
    this.passing = undefined
    for (const { ledger, pending } of this.inputs) {
      ledger.dropped += pending
      ledger.inFlight -= pending
    }
    this.marks = []
    this.marksMoved = true
  }

  /** Drops a row that was released, because a bound was reached behind it. */
  refuse({ input, row }: Timed<T>): void {
    input.pending--
    input.ledger.inFlight--
    this.drop(input, row, 'dropNewest')
  }

  full(what: string, bound: string, value: number): Fault {
    const { operator } = this.setting
    return new Fault(
      'EDGE_FULL',
      `${operator} holds ${value} ${what} and may drop none: raise \`${bound}\`, lower \`outOfOrderMs\` or \`idleMs\` so that less waits, or choose with \`onFull\` what may be lost.`,
      { operator, bound, value },
    )
  }

  private take(input: EventTimeInput<T>, row: T): void {
    const stampUs = stampOf(row)
    if (stampUs !== undefined && stampUs !== this.stampUs) this.hear(stampUs)
    const { ledger } = input
    if (this.hooks.isOver()) {
      ledger.dropped++
      return
    }
    const said = input.eventTimeUs(row)
    const timeUs = said === undefined ? NaN : Math.floor(said)
    if (!Number.isSafeInteger(timeUs)) {
      ledger.ignored++
      return
    }
    if (stampUs !== undefined && timeUs - stampUs > input.aheadUs) {
      this.drop(input, row, 'ahead')
      return
    }
    const source = input.source(row)
    const mark = input.markOf(source) ?? this.addMark(input, source)
    if (mark === undefined) {
      this.drop(input, row, 'dropNewest')
      return
    }
    this.heard(mark)
    if (this.begun && this.unheard.length > 0) {
      for (const each of this.unheard.splice(0)) if (each !== mark) this.heard(each)
    }
    const markUs = timeUs - input.outOfOrderUs
    if (markUs > mark.us) {
      if (mark.us <= this.activeUs) this.marksMoved = true
      mark.us = markUs
    }
    if (this.isLate(timeUs)) {
      this.late(input, row)
      return
    }
    const { inOrder } = this
    if (inOrder && this.rows >= this.rowsMax) {
      if (!this.makeRoom()) {
        this.drop(input, row, 'dropNewest')
        return
      }
      if (this.isLate(timeUs)) {
        this.late(input, row)
        return
      }
    }
    ledger.inFlight++
    input.pending++
    if (!inOrder) {
      this.hooks.release(this.passingOf(input, row, timeUs, source, stampUs ?? 0), false)
      return
    }
    const timed = { input, row, timeUs, source, stampUs: stampUs ?? 0, arrival: this.arrivals++ }
    if (timeUs >= this.watermarkUs) this.waiting.push(timed)
    else this.hooks.release(timed, false)
  }

  private passingOf(input: EventTimeInput<T>, row: T, timeUs: number, source: string, stampUs: number): Timed<T> {
    const arrival = this.arrivals++
    const passing = (this.passing ??= { input, row, timeUs, source, stampUs, arrival })
    passing.input = input
    passing.row = row
    passing.timeUs = timeUs
    passing.source = source
    passing.stampUs = stampUs
    passing.arrival = arrival
    return passing
  }

  private heard(mark: Mark<T>): void {
    const { nowUs, nextIdleUs } = this
    if (mark.heardUs !== nowUs) {
      // It was idle, or would have been the next.
      if (mark.heardUs + this.idleUs <= nextIdleUs) this.marksMoved = true
      mark.heardUs = nowUs
    }
    const idleAtUs = nowUs + this.idleUs
    if (idleAtUs < nextIdleUs || nextIdleUs === -Infinity) {
      this.nextIdleUs = idleAtUs
      this.marksMoved = true
    }
  }

  private get rows(): number {
    return this.waiting.size + this.hooks.held()
  }

  private isLate(timeUs: number): boolean {
    return timeUs < this.watermarkUs - this.latenessUs
  }

  private late(input: EventTimeInput<T>, row: T): void {
    input.ledger.late++
    input.lateRows.push(row)
  }

  private drop(input: EventTimeInput<T>, row: T, reason: EventTimeDrop): void {
    if (reason === 'ahead') input.ledger.ahead++
    else input.ledger.dropped++
    input.onDropped?.(row, reason)
  }

  private addMark(input: EventTimeInput<T>, source: string): Mark<T> | undefined {
    if (this.marks.length >= this.sourcesMax && !this.forgetSource()) return undefined
    if (input.placeholder !== undefined) {
      this.takeFromMarks(input.placeholder)
      input.placeholder = undefined
    }
    return this.newMark(input, source)
  }

  private newMark(input: EventTimeInput<T>, source: string): Mark<T> {
    const mark = { input, source, us: -Infinity, heardUs: Infinity }
    input.marks.set(source, mark)
    this.addToMarks(mark)
    return mark
  }

  private addToMarks(mark: Mark<T>): void {
    this.marks.push(mark)
    this.marksMoved = true
  }

  private takeFromMarks(mark: Mark<T>): void {
    // One that stands for sources may have been forgotten already.
    const at = this.marks.indexOf(mark)
    if (at !== -1) this.marks.splice(at, 1)
    this.marksMoved = true
  }

  /** Forgets the source that has been silent for longest; one that is not idle only in a hurry. */
  private forgetSource(): boolean {
    let silent: Mark<T> | undefined
    for (const mark of this.marks) if (silent === undefined || mark.heardUs < silent.heardUs) silent = mark
    if (silent === undefined) return false
    const idle = this.nowUs >= silent.heardUs + this.idleUs
    if (!idle && this.onFull === 'fail') throw this.full('active sources', 'sourcesMax', this.marks.length)
    if (!idle && this.onFull === 'dropNewest') return false
    this.takeFromMarks(silent)
    if (silent.source !== undefined) silent.input.forgetMark(silent.source)
    return true
  }

  private makeRoom(): boolean {
    this.advance()
    if (this.rows < this.rowsMax) return true
    if (this.onFull === 'fail') throw this.full('rows', 'rowsMax', this.rows)
    if (this.onFull === 'dropNewest') return false
    while (this.rows >= this.rowsMax) {
      if (this.hooks.letGo?.() === true) continue
      const nextUs = this.nextUs()
      if (nextUs === Infinity) return false
      this.passTo(Math.max(nextUs, this.watermarkUs))
      if (this.hooks.isOver()) return false
    }
    return true
  }

  /** Stream time has come to what the clock says. */
  private hearClock(): void {
    this.stampUs = NaN
    this.nowUs = this.alarm.nowUs()
    if (this.nowUs >= this.nextIdleUs) this.moment()
  }

  /** Stream time has come to a stamp. */
  private hear(stampUs: number): void {
    this.stampUs = stampUs
    this.nowUs = this.alarm.arrive(stampUs)
    if (this.nowUs >= this.nextIdleUs) this.moment()
  }

  private moment(): void {
    this.nowUs = this.alarm.nowUs()
    this.advance()
    if (this.hooks.isOver()) return
    for (const input of this.inputs) input.passLate()
    this.hooks.settled()
    if (!this.hooks.isOver()) this.setAlarm()
  }

  private advance(): void {
    const { nowUs, idleUs } = this
    // As it was, then, is how it is: no source has become idle, and none that matters has come further.
    if (!this.marksMoved && nowUs < this.nextIdleUs && nowUs >= this.advancedUs) {
      this.advancedUs = nowUs
      return
    }
    let watermarkUs = -Infinity
    if (nowUs >= this.nextIdleUs && this.nextIdleUs > -Infinity) {
      // Sources have fallen silent since: one after another, as timers that were never late would have seen it.
      for (const { heardUs } of this.marks) {
        const idleAtUs = heardUs + idleUs
        if (idleAtUs <= this.advancedUs || idleAtUs >= nowUs) continue
        watermarkUs = Math.max(watermarkUs, this.watermarkAt(idleAtUs))
      }
    }
    watermarkUs = Math.max(watermarkUs, this.watermarkAt(nowUs))
    this.advancedUs = nowUs
    this.marksMoved = false
    if (watermarkUs > this.watermarkUs) this.passTo(watermarkUs)
  }

  private passTo(watermarkUs: number): void {
    this.watermarkUs = watermarkUs
    for (let next = this.waiting.peek(); next !== undefined && next.timeUs < watermarkUs; next = this.waiting.peek()) {
      this.waiting.pop()
      this.hooks.release(next, true)
      if (this.hooks.isOver()) return
    }
    this.hooks.advanced(watermarkUs)
  }

  /** What the watermark is at a time, were it allowed to go back; notes when the next source becomes idle. */
  private watermarkAt(nowUs: number): number {
    const { idleUs } = this
    let activeUs = Infinity
    let idleMarkUs = Infinity
    let nextIdleUs = Infinity
    let allIdle = true
    for (const { us, heardUs } of this.marks) {
      const idleAtUs = heardUs + idleUs
      if (nowUs < idleAtUs) {
        allIdle = false
        if (us < activeUs) activeUs = us
        if (idleAtUs < nextIdleUs) nextIdleUs = idleAtUs
      } else if (us > -Infinity && us + (nowUs - idleAtUs) < idleMarkUs) idleMarkUs = us + (nowUs - idleAtUs)
    }
    this.nextIdleUs = allIdle ? -Infinity : nextIdleUs
    this.activeUs = activeUs
    this.idleMarkUs = allIdle && idleMarkUs < Infinity ? idleMarkUs : -Infinity
    return allIdle ? this.idleMarkUs : activeUs
  }

  private nextUs(): number {
    const next = this.waiting.peek()
    return Math.min(next === undefined ? Infinity : next.timeUs + 1, this.hooks.nextUs())
  }

  /** Nothing is waited for where nothing is held: then no timer runs. */
  private setAlarm(): void {
    const nextUs = this.nextUs()
    if (nextUs === Infinity) this.alarm.set(Infinity)
    else if (this.nextIdleUs > -Infinity) this.alarm.set(this.nextIdleUs)
    else this.alarm.set(this.idleMarkUs === -Infinity ? Infinity : this.nowUs + (nextUs - this.idleMarkUs))
  }

  private guarded(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.hooks.failed(error)
    }
  }
}

/** One stream of rows among those that share a time. */
export class EventTimeInput<T> {
  readonly marks = new Map<string, Mark<T>>()
  /** The one that was asked for last: rows of one source mostly follow one another. */
  private lastMark: Mark<T> | undefined
  /** Stands for its sources until the first of them is heard. */
  placeholder: Mark<T> | undefined
  /** Rows of this subscription that are in flight: the ledger may be shared. */
  pending = 0
  ended = false
  readonly lateRows: T[] = []
  readonly ledger: EventTimeLedger
  readonly expected: readonly string[]
  readonly eventTimeUs: (row: T) => number | undefined
  readonly source: (row: T) => string
  readonly ties: ((a: T, b: T) => number) | undefined
  readonly outOfOrderUs: number
  readonly aheadUs: number
  readonly onDropped: ((row: T, reason: EventTimeDrop) => void) | undefined
  private readonly side: Pick<Observer<T[]>, 'next'> | undefined

  /** @param rank  at the same time the rows of the input with the lesser rank are first */
  constructor(
    options: EventTimeInputOptions<T>,
    readonly rank = 0,
  ) {
    this.ledger = options.ledger ?? eventTimeLedger()
    this.expected = options.sources ?? []
    this.eventTimeUs = options.eventTimeUs ?? defaultEventTimeUs
    this.source = options.source ?? defaultSource
    this.ties = options.ties
    this.outOfOrderUs = Math.round(options.outOfOrderMs * 1_000)
    this.aheadUs = Math.round((options.aheadMs ?? AHEAD_MS) * 1_000)
    this.onDropped = options.onDropped
    this.side = options.late
  }

  markOf(source: string): Mark<T> | undefined {
    const { lastMark } = this
    return lastMark !== undefined && lastMark.source === source ? lastMark : (this.lastMark = this.marks.get(source))
  }

  forgetMark(source: string): void {
    this.marks.delete(source)
    this.lastMark = undefined
  }

  forgetMarks(): void {
    this.marks.clear()
    this.lastMark = undefined
  }

  passLate(): void {
    if (this.lateRows.length > 0) {
      const late = this.lateRows.splice(0)
      this.side?.next(late)
    }
  }
}

/** How far a source is known. */
interface Mark<T> {
  readonly input: EventTimeInput<T>
  /** Undefined for one that stands for sources that are not known yet. */
  readonly source: string | undefined
  /** The source's own watermark. */
  us: number
  /** When it was heard last, in stream time; Infinity before anything was. */
  heardUs: number
}

const ROWS_MAX = 100_000
const SOURCES_MAX = 1_000
const KEYS_KEPT_MAX = 20_000
export const AHEAD_MS = 60_000

/** The one order of rows, whatever the order in which they came. */
export function isBefore<T>(a: Timed<T>, b: Timed<T>): boolean {
  if (a.timeUs !== b.timeUs) return a.timeUs < b.timeUs
  if (a.input !== b.input) return a.input.rank < b.input.rank
  const ties = a.input.ties?.(a.row, b.row) ?? 0
  if (ties !== 0) return ties < 0
  if (a.source !== b.source) return compareTexts(a.source, b.source) < 0
  if (a.stampUs !== b.stampUs) return a.stampUs < b.stampUs
  return a.arrival < b.arrival
}

interface UsualFields {
  readonly exchange?: unknown
  readonly exchangeTimeUs?: unknown
  readonly receiveTimeUs?: unknown
}

export function stampOf(row: unknown): number | undefined {
  const stampUs = (row as UsualFields | null | undefined)?.receiveTimeUs
  return typeof stampUs === 'number' && Number.isSafeInteger(stampUs) ? stampUs : undefined
}

export function defaultEventTimeUs(row: unknown): number | undefined {
  const { exchangeTimeUs, receiveTimeUs } = row as UsualFields
  const timeUs = exchangeTimeUs ?? receiveTimeUs
  return typeof timeUs === 'number' ? timeUs : undefined
}

function defaultSource(row: unknown): string {
  const { exchange } = row as UsualFields
  return typeof exchange === 'string' ? exchange : ''
}

/**
 * The key of a row that names its exchange and instrument: `kraken BTC-USDT`. Made for one operator, because keys that were
 * made are kept: joining the texts for each row, and hashing what was joined, costs more than all else that is done with it.
 */
export function instrumentKeys(): (row: unknown) => string {
  const placeOf = instrumentPlaces((key) => ({ key }))
  return (row) => placeOf(row).key
}

/**
 * What is kept with the key of a row's instrument. Two instruments may have the same key, and now and then all is made anew.
 *
 * @param make  what is kept with a key at first
 */
export function instrumentPlaces<P>(make: (key: string) => P): (row: unknown) => P {
  const known = new Map<string, Map<string, P>>()
  let size = 0
  // Rows of one exchange mostly follow one another.
  let lastExchange: string | undefined
  let lastPlaces: Map<string, P> | undefined
  return (row) => {
    const { exchange, instrument, symbol } = row as OfInstrument
    const name = instrument ?? symbol
    let places = lastPlaces
    if (places === undefined || exchange !== lastExchange) places = known.get(exchange)
    let place = places?.get(name)
    if (place === undefined) {
      if (size++ >= KEYS_KEPT_MAX) {
        known.clear()
        places = undefined
        size = 1
      }
      if (places === undefined) known.set(exchange, (places = new Map<string, P>()))
      places.set(name, (place = make(`${exchange} ${name}`)))
    }
    lastExchange = exchange
    lastPlaces = places
    return place
  }
}

/** A row that was taken in and then failed on the way is a row dropped. */
export function balance(ledger: EventTimeLedger): void {
  const { out, late, ignored, ahead, dropped, inFlight } = ledger
  ledger.dropped += ledger.in - (out + late + ignored + ahead + dropped + inFlight)
}

export function checkEventTimeInput<T>(operator: string, options: EventTimeInputOptions<T>): void {
  const { outOfOrderMs, aheadMs, sources } = options
  requireWait(operator, 'outOfOrderMs', outOfOrderMs)
  if (aheadMs !== undefined) requireWait(operator, 'aheadMs', aheadMs)
  if (sources !== undefined) {
    const named = Array.isArray(sources) && sources.every((source) => typeof source === 'string')
    requireOption(named, operator, 'sources', sources, 'a list of the names of sources')
  }
}

export function checkEventTime(operator: string, options: EventTimeOptions): void {
  const { idleMs, rowsMax, sourcesMax, onFull } = options
  requireMs(operator, 'idleMs', idleMs)
  if (rowsMax !== undefined) requireCount(operator, 'rowsMax', rowsMax)
  if (sourcesMax !== undefined) requireCount(operator, 'sourcesMax', sourcesMax)
  if (onFull !== undefined) {
    requireOption(
      ['fail', 'dropNewest', 'hurry'].includes(onFull),
      operator,
      'onFull',
      onFull,
      'fail, dropNewest or hurry',
    )
  }
}

export function requireWait(operator: string, option: string, value: number): void {
  const wanted = `0 milliseconds or more, and at most ${LONGEST_WAIT_MS}`
  requireOption(value >= 0 && value <= LONGEST_WAIT_MS, operator, option, value, wanted)
}
