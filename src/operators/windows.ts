/**
 * Windows of event time: what happened between two moments, in a burst, or in so many rows, of each key.
 *
 * The answer is the same whatever the order in which rows came within `outOfOrderMs`: a window's rows are added in the
 * order of event time (see `eventTime.ts` for that order and for the watermark), and the window is emitted when the
 * watermark passes its end. With `order: 'arrival'` rows are added as they come and none is held; then the aggregate must
 * not depend on the order (a count, a sum of whole numbers, an extreme).
 *
 * With `allowedLatenessMs` a window is kept so much longer, and emitted again, as a revision, for each batch that brings
 * late rows of it: the last revision is exact, because its rows are added again in their order. A row that is later than
 * that goes to the side output and into no window; every other row is in each of its windows.
 */
import { Observable, type OperatorFunction } from 'rxjs'
import type { Batch } from '../model/events'
import {
  checkEventTime,
  checkEventTimeInput,
  defaultEventTimeUs,
  EventTime,
  EventTimeInput,
  instrumentPlaces,
  isBefore,
  requireWait,
  type EventTimeInputOptions,
  type EventTimeNeeds,
  type EventTimeOptions,
  type KeyNeeds,
  type Timed,
} from './eventTime'
import { Heap } from './heap'
import { compareTexts } from './instrumentStates'
import { requireCount, requireMs, requireOption } from './options'
import { subscribeWhileOpen } from './subscribeWhileOpen'

/** How the rows of a window become one value. */
export interface Aggregate<T, A, R> {
  /** The state of a window without rows. */
  readonly start: () => A
  /** The state with one more row: another one, or the same one changed. */
  readonly add: (state: A, row: T) => A
  /** The state of two sessions that have become one, `earlier` before `later`. Needed by sessions in order of arrival alone. */
  readonly merge?: (earlier: A, later: A) => A
  /** The value that is emitted; must not be changed by what is added afterwards. Default the state itself. */
  readonly result?: (state: A, bounds: WindowBounds) => R
}

export interface WindowBounds {
  readonly key: string
  /** Included. Of count and volume windows, and of sessions, the time of the first row. */
  readonly openTimeUs: number
  /** Excluded; of count and volume windows the time of the last row, included. */
  readonly closeTimeUs: number
  /** Rows. */
  readonly count: number
}

/** A window with its value. */
export interface Windowed<R> extends WindowBounds {
  readonly kind: 'window'
  readonly value: R
  /** 0 when it is emitted first, one more each time that late rows have changed it. */
  readonly revision: number
  /** Of a session that late rows have extended or merged: the `openTimeUs` under which what it replaces was emitted. */
  readonly replaces: readonly number[] | undefined
  /** False when the source ended, or room had to be made, before the window was over. */
  readonly closed: boolean
}

/** What all windows ask. */
export interface WindowOptions<T, A, R> extends EventTimeInputOptions<T>, EventTimeOptions {
  readonly aggregate: Aggregate<T, A, R>
  /** What has windows of its own. Default the instrument of an exchange: `kraken BTC-USDT`. */
  readonly key?: (row: T) => string
  /** Windows open or kept at most, of all keys. Default 100 000. With `hurry` the one that was opened first is emitted unfinished. */
  readonly windowsMax?: number
}

export interface TimeWindowOptions<T, A, R> extends WindowOptions<T, A, R> {
  /** How long after the watermark a row may still revise its windows. Milliseconds, default 0. */
  readonly allowedLatenessMs?: number
  /** The order in which rows are added; default `eventTime`. */
  readonly order?: 'eventTime' | 'arrival'
}

export interface TumblingOptions<T, A, R = A> extends TimeWindowOptions<T, A, R> {
  /** From opening to opening, milliseconds; windows open at multiples of it since 1970. */
  readonly everyMs: number
}

export interface SlidingOptions<T, A, R = A> extends TumblingOptions<T, A, R> {
  /** From opening to closing, milliseconds, `everyMs` or more. */
  readonly lengthMs: number
}

export interface SessionOptions<T, A, R = A> extends TimeWindowOptions<T, A, R> {
  /** A silence of so long ends a session, milliseconds. */
  readonly gapMs: number
}

export interface CountOptions<T, A, R = A> extends WindowOptions<T, A, R> {
  /** Rows of a window. */
  readonly count: number
  /** A window opens with every so many rows of its key; default `count`, and at most that. */
  readonly every?: number
}

export interface VolumeOptions<T, A, R = A> extends WindowOptions<T, A, R> {
  /** What fills a window, in the unit of `volume`. */
  readonly size: number
  /** How much a row is; a negative amount, or none, has no part in it. Default the row's `size`. */
  readonly volume?: (row: T) => number | undefined
}

/** What must be said of rows that have no `size`. */
export type VolumeNeeds<T> = T extends { readonly size: number }
  ? unknown
  : { readonly volume: (row: T) => number | undefined }

type Needs<T> = EventTimeNeeds<T> & KeyNeeds<T>

/**
 * Windows of rows, by what ends them.
 *
 *     trades.pipe(windows.tumbling({
 *       everyMs: 60_000, outOfOrderMs: 500, idleMs: 5_000,
 *       aggregate: { start: () => 0, add: (volume, trade) => volume + trade.size },
 *     }))
 *
 * tumbling  equal times, one after another
 * sliding   equal times that overlap: of `lengthMs`, one every `everyMs`
 * session   bursts with at least `gapMs` of silence between them
 * count     so many rows, one window after another or overlapping
 * volume    so much volume: a row is not divided, the window that it fills has all of it. A part in 10^12 may be missing,
 *           so that ten times 0.1 fill 1
 *
 * Emits      one batch each time the watermark ends windows, or a batch revises some: sorted by close, opening and key.
 *            At completion what is open, with `closed: false`. No window without rows
 * Completes  with the source
 * Errors     with the source, and open windows are lost with it; with what an option's function throws; `EDGE_FULL` when
 *            a bound is reached and `onFull` is `fail`
 * Holds      a state per open window, at most `windowsMax`; the rows that wait for the watermark, and with lateness those
 *            of the windows that may be revised, at most `rowsMax`; one timer while it holds any
 */
export const windows = { tumbling, sliding, session, count, volume } as const

function tumbling<T, A, R = A>(
  options: TumblingOptions<T, A, R> & Needs<T>,
): OperatorFunction<Batch<T>, Batch<Windowed<R>>> {
  requireMs('windows.tumbling', 'everyMs', options.everyMs)
  const everyUs = usOf(options.everyMs)
  return windowed('windows.tumbling', options, options, (store) => timeWindows(store, everyUs, everyUs))
}

function sliding<T, A, R = A>(
  options: SlidingOptions<T, A, R> & Needs<T>,
): OperatorFunction<Batch<T>, Batch<Windowed<R>>> {
  const { everyMs, lengthMs, windowsMax = WINDOWS_MAX } = options
  requireMs('windows.sliding', 'everyMs', everyMs)
  const most = Math.min(OVERLAP_MAX, windowsMax)
  requireOption(
    lengthMs >= everyMs && lengthMs <= everyMs * most,
    'windows.sliding',
    'lengthMs',
    lengthMs,
    `everyMs (${everyMs}) to ${most} times as much`,
  )
  return windowed('windows.sliding', options, options, (store) => timeWindows(store, usOf(everyMs), usOf(lengthMs)))
}

function session<T, A, R = A>(
  options: SessionOptions<T, A, R> & Needs<T>,
): OperatorFunction<Batch<T>, Batch<Windowed<R>>> {
  const { gapMs, order, aggregate } = options
  requireMs('windows.session', 'gapMs', gapMs)
  requireOption(
    order !== 'arrival' || aggregate.merge !== undefined,
    'windows.session',
    'aggregate.merge',
    aggregate.merge,
    "a function that joins two states, or order: 'eventTime'",
  )
  return windowed('windows.session', options, options, (store) => sessionWindows(store, usOf(gapMs)))
}

function count<T, A, R = A>(options: CountOptions<T, A, R> & Needs<T>): OperatorFunction<Batch<T>, Batch<Windowed<R>>> {
  const { count: rows, every = rows, windowsMax = WINDOWS_MAX } = options
  requireCount('windows.count', 'count', rows)
  requireCount('windows.count', 'every', every)
  const least = Math.ceil(rows / Math.min(OVERLAP_MAX, windowsMax))
  requireOption(every <= rows && every >= least, 'windows.count', 'every', every, `${least} to count (${rows}) rows`)
  return windowed('windows.count', options, {}, (store) => countWindows(store, rows, every))
}

function volume<T, A, R = A>(
  options: VolumeOptions<T, A, R> & Needs<T> & VolumeNeeds<T>,
): OperatorFunction<Batch<T>, Batch<Windowed<R>>> {
  const { size, volume: said = sizeOf, eventTimeUs = defaultEventTimeUs } = options
  requireOption(size > 0 && size < Infinity, 'windows.volume', 'size', size, 'a volume above 0')
  const volumeOf = (row: T): number => said(row) ?? NaN
  const measured = {
    ...options,
    eventTimeUs: (row: T) => {
      const amount = volumeOf(row)
      return amount >= 0 && amount < Infinity ? eventTimeUs(row) : undefined
    },
  }
  return windowed('windows.volume', measured, {}, (store) => volumeWindows(store, size, volumeOf))
}

function windowed<T, A, R>(
  operator: string,
  options: WindowOptions<T, A, R>,
  { allowedLatenessMs = 0, order = 'eventTime' }: Pick<TimeWindowOptions<T, A, R>, 'allowedLatenessMs' | 'order'>,
  kindOf: (store: WindowStore<T, A, R>) => WindowKind<T>,
): OperatorFunction<Batch<T>, Batch<Windowed<R>>> {
  checkEventTimeInput(operator, options)
  checkEventTime(operator, options)
  requireWait(operator, 'allowedLatenessMs', allowedLatenessMs)
  requireOption(['eventTime', 'arrival'].includes(order), operator, 'order', order, 'eventTime or arrival')
  if (options.windowsMax !== undefined) requireCount(operator, 'windowsMax', options.windowsMax)
  const latenessUs = Math.round(allowedLatenessMs * 1_000)
  const inOrder = order === 'eventTime'

  return (source) =>
    new Observable((out) => {
      const input = new EventTimeInput<T>(options)
      const emit = (): void => {
        const finished = store.takeFinished()
        if (finished.length > 0) out.next(finished)
      }
      const time: EventTime<T> = new EventTime<T>(
        options,
        { operator, latenessUs, inOrder },
        {
          release: (timed, isInOrder) => {
            if (isInOrder) store.advance(timed.timeUs) // what ends before it makes room first
            kind.put(timed, isInOrder)
          },
          advanced: (watermarkUs) => store.advance(watermarkUs),
          nextUs: () => store.nextUs(),
          held: () => store.rows,
          settled: () => {
            store.revise()
            emit()
          },
          failed: (error) => out.error(error),
          isOver: () => out.closed,
        },
      )
      const store = new WindowStore<T, A, R>(options, {
        time,
        operator,
        latenessUs,
        keepsRows: inOrder && latenessUs > 0,
        inOrder,
      })
      const kind = kindOf(store)
      time.addInput(input, false)
      time.begin()
      out.add(() => {
        time.cancel()
        store.clear()
      })

      subscribeWhileOpen(source, out, {
        next: (batch) => time.receive(input, batch),
        error: (error) => out.error(error),
        complete: () => {
          time.end(input)
          try {
            store.finish()
          } catch (error) {
            out.error(error)
          }
          emit()
          out.complete()
        },
      })
    })
}

/** Which windows a row belongs to. */
interface WindowKind<T> {
  put(timed: Timed<T>, inOrder: boolean): void
}

function timeWindows<T, A, R>(store: WindowStore<T, A, R>, everyUs: number, lengthUs: number): WindowKind<T> {
  const overlap = lengthUs > everyUs
  const missingIn = (lane: Lane<T, A> | undefined, timeUs: number): number => {
    let windowsMissing = 0
    for (let openUs = Math.floor(timeUs / everyUs) * everyUs; openUs + lengthUs > timeUs; openUs -= everyUs) {
      if (lane === undefined || lane.windows[placeOf(lane.windows, openUs)]?.openUs !== openUs) windowsMissing++
    }
    return windowsMissing
  }
  return {
    put(timed, inOrder) {
      const place = store.placeOf(timed.row)
      const { timeUs } = timed
      let lane = store.lane(place)
      // Most rows fall into windows that are open, and where these do not overlap into the last one.
      const last = overlap || lane === undefined ? undefined : lastOf(lane.windows)
      if (last !== undefined && last.openUs <= timeUs && timeUs < last.closeUs) {
        store.add(last, timed, store.keepRow(lane!, timed, inOrder))
        store.changed(last)
        store.placed(timed)
        return
      }
      if (lane === undefined || missingIn(lane, timeUs) > 0) {
        if (!store.makeRoom(() => missingIn(store.lane(place), timeUs), timed)) return
        lane = store.laneFor(place)
      }
      const appended = store.keepRow(lane, timed, inOrder)
      for (let openUs = Math.floor(timeUs / everyUs) * everyUs; openUs + lengthUs > timeUs; openUs -= everyUs) {
        const at = placeOf(lane.windows, openUs)
        let window = lane.windows[at]
        if (window?.openUs !== openUs) {
          window = store.open(lane, openUs, openUs + lengthUs, openUs + everyUs)
          if (at === lane.windows.length) lane.windows.push(window)
          else lane.windows.splice(at, 0, window)
        }
        store.add(window, timed, appended)
        store.changed(window)
      }
      store.placed(timed)
    },
  }
}

function sessionWindows<T, A, R>(store: WindowStore<T, A, R>, gapUs: number): WindowKind<T> {
  return {
    put(timed, inOrder) {
      const place = store.placeOf(timed.row)
      const { timeUs } = timed
      const missing = (): number => {
        const sessions = store.lane(place)?.windows ?? []
        const [from, to] = touching(sessions, timeUs, gapUs)
        return from === to ? 1 : 0
      }
      if (!store.makeRoom(missing, timed)) return
      const lane = store.laneFor(place)
      const appended = store.keepRow(lane, timed, inOrder)
      const [from, to] = touching(lane.windows, timeUs, gapUs)
      if (from === to) lane.windows.splice(from, 0, store.open(lane, timeUs, timeUs + gapUs))
      const session = store.join(lane.windows.splice(from + 1, Math.max(0, to - from - 1)), lane.windows[from]!)
      if (timeUs < session.openUs) session.openUs = timeUs
      if (timeUs + gapUs > session.closeUs) session.closeUs = session.freesUs = timeUs + gapUs
      store.add(session, timed, appended)
      store.changed(session)
      store.placed(timed)
    },
  }
}

/** The sessions that a row would join, from one index to another, excluded: those less than the gap away. */
function touching<A>(sessions: readonly Window<A>[], timeUs: number, gapUs: number): [from: number, to: number] {
  let to = sessions.length
  while (to > 0 && sessions[to - 1]!.openUs >= timeUs + gapUs) to--
  let from = to
  while (from > 0 && sessions[from - 1]!.closeUs > timeUs) from--
  return [from, to]
}

function countWindows<T, A, R>(store: WindowStore<T, A, R>, rows: number, every: number): WindowKind<T> {
  return {
    put(timed) {
      const place = store.placeOf(timed.row)
      const opens = (): boolean => (store.lane(place)?.seen ?? 0) % every === 0
      if (!store.makeRoom(() => (opens() ? 1 : 0), timed)) return
      const lane = store.laneFor(place)
      if (opens()) lane.windows.push(store.open(lane, timed.timeUs, timed.timeUs))
      lane.seen++
      for (const window of lane.windows) {
        window.closeUs = timed.timeUs
        store.add(window, timed, true)
      }
      const oldest = lane.windows[0]!
      if (oldest.count >= rows) store.end(oldest, true)
      store.placed(timed)
    },
  }
}

function volumeWindows<T, A, R>(
  store: WindowStore<T, A, R>,
  size: number,
  volumeOf: (row: T) => number,
): WindowKind<T> {
  return {
    put(timed) {
      const place = store.placeOf(timed.row)
      if (!store.makeRoom(() => (isEmpty(store.lane(place)) ? 1 : 0), timed)) return
      const lane = store.laneFor(place)
      if (lane.windows.length === 0) lane.windows.push(store.open(lane, timed.timeUs, timed.timeUs))
      const window = lane.windows[0]!
      window.closeUs = timed.timeUs
      window.volume += volumeOf(timed.row)
      store.add(window, timed, true)
      if (window.volume * (1 + 1e-12) >= size) store.end(window, true)
      store.placed(timed)
    },
  }
}

/** One key that has windows, or had some a moment ago: one without any is as good as a new one. */
interface Lane<T, A> {
  readonly key: string
  /** In the order of their openings. */
  readonly windows: Window<A>[]
  /** Where windows may be revised: the rows of all of them, in order. */
  readonly rows: Timed<T>[]
  /** Windows that are open or kept. */
  size: number
  /** Rows so far: it counts windows of rows. */
  seen: number
  /** It was without a window for long, and its key would get a new one. */
  isForgotten: boolean
}

/** Where the lane of a key is found. */
interface LanePlace<T, A> {
  readonly key: string
  /** Undefined, or forgotten, where it is to be looked for. */
  lane: Lane<T, A> | undefined
}

interface Window<A> {
  readonly lane: Lane<unknown, A>
  openUs: number
  closeUs: number
  /** When it is forgotten, rows of its key before this are of no more use. */
  freesUs: number
  state: A
  count: number
  volume: number
  /** Its rows have not been added in their order: they are to be added again. */
  stale: boolean
  /** It has rows that no emission of it has. */
  dirty: boolean
  /** -1 before it was emitted. */
  revision: number
  /** The openings under which it, or a session that is in it now, was emitted. */
  openings: readonly number[]
  /** When the agenda looks at it. */
  agendaUs: number
  over: boolean
  /** The windows that were made before it and after it, of all that are not over. */
  older: Window<A> | undefined
  newer: Window<A> | undefined
}

interface Agenda<A> {
  readonly dueUs: number
  readonly window: Window<A>
}

interface WindowSetting<T> {
  readonly time: EventTime<T>
  readonly operator: string
  readonly latenessUs: number
  readonly keepsRows: boolean
  readonly inOrder: boolean
}

/**
 * The windows of all keys.
 *
 * Windows come and go, ten a second of each key. Sets and maps in which they came and went would be built anew again and again,
 * and what one of them had held would be kept for as long as the next: so windows know their neighbours, and a key whose last
 * window has gone stays for the next one.
 */
class WindowStore<T, A, R> {
  /** Rows kept for revisions. */
  rows = 0
  private readonly lanes = new Map<string, Lane<T, A>>()
  /** Lanes without a window. */
  private emptyLanes = 0
  /** Every window, in the order of their making: the first, the last, and how many there are. */
  private oldest: Window<A> | undefined
  private newest: Window<A> | undefined
  private size = 0
  private agenda = new Heap<Agenda<A>>(isDueBefore)
  /** When the first window of the agenda is due, Infinity without one; NaN when it is to be looked up: it is asked for with each row. */
  private firstDueUs = Infinity
  private readonly revised = new Set<Window<A>>()
  private hasRevised = false
  private finished: Windowed<R>[] = []
  /** Windows that end by then have been emitted. */
  private passedUs = -Infinity
  private readonly aggregate: Aggregate<T, A, R>
  private readonly windowsMax: number
  /** Of a row's key. */
  readonly placeOf: (row: T) => LanePlace<T, A>

  constructor(
    private readonly options: WindowOptions<T, A, R>,
    private readonly setting: WindowSetting<T>,
  ) {
    this.aggregate = options.aggregate
    this.windowsMax = options.windowsMax ?? WINDOWS_MAX
    const keyOf = options.key
    this.placeOf =
      keyOf === undefined
        ? instrumentPlaces((key) => ({ key, lane: undefined }))
        : (row) => ({ key: keyOf(row), lane: undefined })
  }

  lane(place: LanePlace<T, A>): Lane<T, A> | undefined {
    const { lane } = place
    return lane !== undefined && !lane.isForgotten ? lane : (place.lane = this.lanes.get(place.key))
  }

  laneFor(place: LanePlace<T, A>): Lane<T, A> {
    let lane = this.lane(place)
    if (lane === undefined) {
      const { key } = place
      lane = place.lane = { key, windows: [], rows: [], size: 0, seen: 0, isForgotten: false }
      this.lanes.set(key, lane)
      this.emptyLanes++
    }
    return lane
  }

  /**
   * Room for the windows that a row needs; false when there is none, and the row was dropped.
   *
   * @param missing  counts them: making room may end windows of the row's own key
   */
  makeRoom(missing: () => number, timed: Timed<T>): boolean {
    const { onFull = 'fail' } = this.options
    for (;;) {
      const needed = missing()
      if (needed === 0 || this.size + needed <= this.windowsMax) return true
      if (onFull === 'fail') throw this.setting.time.full('windows', 'windowsMax', this.size)
      if (onFull === 'dropNewest') {
        this.setting.time.refuse(timed)
        return false
      }
      if (this.oldest !== undefined) this.end(this.oldest, false)
    }
  }

  open(lane: Lane<T, A>, openUs: number, closeUs: number, freesUs = closeUs): Window<A> {
    const window: Window<A> = {
      lane: lane as Lane<unknown, A>,
      openUs,
      closeUs,
      freesUs,
      state: this.aggregate.start(),
      count: 0,
      volume: 0,
      stale: false,
      dirty: false,
      revision: -1,
      openings: NONE,
      agendaUs: Infinity,
      over: false,
      older: this.newest,
      newer: undefined,
    }
    if (this.newest === undefined) this.oldest = window
    else this.newest.newer = window
    this.newest = window
    this.size++
    if (lane.size++ === 0) this.emptyLanes--
    return window
  }

  /** Keeps a row for revisions; true when it comes after all that were kept, or when none are. */
  keepRow({ rows }: Lane<T, A>, timed: Timed<T>, inOrder: boolean): boolean {
    if (!this.setting.keepsRows) return true
    this.rows++
    let low = inOrder ? rows.length : 0
    let high = rows.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (isBefore(timed, rows[middle]!)) high = middle
      else low = middle + 1
    }
    rows.splice(low, 0, timed)
    return low === rows.length - 1
  }

  /** @param inPlace  false when rows that come after it were added already */
  add(window: Window<A>, { row }: Timed<T>, inPlace: boolean): void {
    window.count++
    window.dirty = true
    if (!inPlace) window.stale = true
    if (!window.stale) window.state = this.aggregate.add(window.state, row)
  }

  /** A window of time has one more row: it is to be emitted at its end, or again. */
  changed(window: Window<A>): void {
    const { closeUs } = window
    if (closeUs <= this.passedUs) {
      this.revised.add(window)
      this.hasRevised = true
      if (window.agendaUs === Infinity) this.schedule(window, closeUs + this.setting.latenessUs)
    } else if (window.agendaUs > closeUs) this.schedule(window, closeUs)
  }

  /** A row is in all of its windows. */
  placed(timed: Timed<T>): void {
    this.setting.time.pass(timed)
  }

  /** Sessions that a row has joined, taken out of the list of their key, become part of the earliest. */
  join(others: readonly Window<A>[], earliest: Window<A>): Window<A> {
    for (const other of others) {
      // In order the row between them makes the state stale: it is made again from the rows.
      if (!this.setting.inOrder) earliest.state = this.aggregate.merge!(earliest.state, other.state)
      earliest.closeUs = earliest.freesUs = Math.max(earliest.closeUs, other.closeUs)
      earliest.count += other.count
      earliest.revision = Math.max(earliest.revision, other.revision)
      earliest.openings = earliest.openings.concat(other.openings)
      this.remove(other)
    }
    return earliest
  }

  /** Time has passed: emits the windows that are over, and forgets those that can no longer be revised. */
  advance(toUs: number): void {
    if (toUs > this.passedUs) this.passedUs = toUs
    if (toUs < this.firstDueUs) return
    for (let next = this.agenda.peek(); next !== undefined && next.dueUs <= toUs; next = this.agenda.peek()) {
      const { window, dueUs } = next
      this.agenda.pop()
      if (window.over || window.agendaUs !== dueUs) continue
      if (window.dirty && window.closeUs <= dueUs) this.emit(window, true)
      // Strictly one after another, also in a great leap: forgetting a window drops the rows of its key that were before.
      const laterUs = window.dirty ? window.closeUs : window.closeUs + this.setting.latenessUs
      if (laterUs > dueUs) this.schedule(window, laterUs)
      else this.forget(window, window.freesUs)
    }
  }

  nextUs(): number {
    if (Number.isNaN(this.firstDueUs)) this.firstDueUs = this.lookUpFirstDue()
    return this.firstDueUs
  }

  private lookUpFirstDue(): number {
    for (let next = this.agenda.peek(); next !== undefined; next = this.agenda.peek()) {
      if (!next.window.over && next.window.agendaUs === next.dueUs) return next.dueUs
      this.agenda.pop()
    }
    return Infinity
  }

  /** Emits what late rows have changed. */
  revise(): void {
    if (!this.hasRevised) return
    this.hasRevised = false
    for (const window of this.revised) if (window.dirty && window.closeUs <= this.passedUs) this.emit(window, true)
    this.revised.clear()
  }

  /** Emits a window now, and forgets it. */
  end(window: Window<A>, closed: boolean): void {
    if (window.dirty) this.emit(window, closed)
    const { lane } = window
    let keptFromUs = Infinity
    for (const each of lane.windows) if (each !== window && each.openUs < keptFromUs) keptFromUs = each.openUs
    this.forget(window, keptFromUs)
  }

  /** The source has ended: emits what has not been emitted. */
  finish(): void {
    for (let window = this.oldest; window !== undefined; window = window.newer) {
      if (window.dirty) this.emit(window, window.agendaUs < Infinity && window.closeUs <= this.passedUs)
    }
  }

  takeFinished(): Windowed<R>[] {
    const { finished } = this
    if (finished.length === 0) return finished
    this.finished = []
    return finished.length === 1 ? finished : finished.sort(byClose)
  }

  clear(): void {
    this.lanes.clear()
    this.emptyLanes = this.size = 0
    this.oldest = this.newest = undefined
    this.agenda.clear()
    this.firstDueUs = Infinity
    this.revised.clear()
    this.rows = 0
  }

  private emit(window: Window<A>, closed: boolean): void {
    const { aggregate } = this
    if (window.stale) this.addAgain(window)
    const { lane, openUs, closeUs, count } = window
    // Without `result` the value is the state, and the types say so: R is A.
    const value =
      aggregate.result === undefined
        ? (window.state as unknown as R)
        : aggregate.result(window.state, { key: lane.key, openTimeUs: openUs, closeTimeUs: closeUs, count })
    window.revision++
    this.finished.push({
      kind: 'window',
      key: lane.key,
      openTimeUs: openUs,
      closeTimeUs: closeUs,
      count,
      value,
      revision: window.revision,
      replaces: replacedBy(window),
      closed,
    })
    window.openings = [window.openUs]
    window.dirty = false
    if (this.setting.keepsRows) window.stale = true // what was emitted is not to be added to
  }

  private addAgain(window: Window<A>): void {
    const rows = window.lane.rows as readonly Timed<T>[]
    let at = firstFrom(rows, window.openUs)
    let state = this.aggregate.start()
    for (; at < rows.length && rows[at]!.timeUs < window.closeUs; at++) state = this.aggregate.add(state, rows[at]!.row)
    window.state = state
    window.stale = false
  }

  private schedule(window: Window<A>, dueUs: number): void {
    if (window.agendaUs <= this.firstDueUs) this.firstDueUs = dueUs <= this.firstDueUs ? dueUs : NaN
    else if (dueUs < this.firstDueUs) this.firstDueUs = dueUs
    window.agendaUs = dueUs
    this.agenda.push({ dueUs, window })
    if (this.agenda.size <= 2 * this.size + AGENDA_SLACK) return
    // Sessions that were joined have left entries behind.
    const kept = new Heap<Agenda<A>>(isDueBefore)
    for (let each = this.oldest; each !== undefined; each = each.newer) {
      if (each.agendaUs < Infinity) kept.push({ dueUs: each.agendaUs, window: each })
    }
    this.agenda = kept
  }

  private forget(window: Window<A>, keptFromUs: number): void {
    const lane = window.lane as Lane<T, A>
    if (lane.windows[0] === window) lane.windows.shift()
    else lane.windows.splice(lane.windows.indexOf(window), 1)
    this.remove(window)
    if (lane.rows.length === 0) return
    const useless = lane.size === 0 ? lane.rows.length : firstFrom(lane.rows, keptFromUs)
    lane.rows.splice(0, useless)
    this.rows -= useless
  }

  private remove(window: Window<A>): void {
    const { lane, older, newer } = window
    window.over = true
    if (window.agendaUs <= this.firstDueUs) this.firstDueUs = NaN
    if (older === undefined) this.oldest = newer
    else older.newer = newer
    if (newer === undefined) this.newest = older
    else newer.older = older
    window.older = window.newer = undefined
    this.size--
    if (this.hasRevised) this.revised.delete(window)
    if (--lane.size > 0) return
    lane.seen = 0
    this.emptyLanes++
    if (this.emptyLanes > EMPTY_LANES_MAX) this.forgetEmptyLanes()
  }

  private forgetEmptyLanes(): void {
    for (const [key, lane] of this.lanes) {
      if (lane.size > 0) continue
      lane.isForgotten = true
      this.lanes.delete(key)
    }
    this.emptyLanes = 0
  }
}

const WINDOWS_MAX = 100_000
/** Windows of one key that a row may be in: what a wrong unit in an option must not exceed. */
const OVERLAP_MAX = 10_000
const AGENDA_SLACK = 64
/** Keys without a window that are kept for their next one. */
const EMPTY_LANES_MAX = 1_024

const NONE: readonly number[] = []

/** The openings under which it was emitted that are not its own any more. */
function replacedBy({ openings, openUs }: Window<unknown>): readonly number[] | undefined {
  if (openings.length === 0 || (openings.length === 1 && openings[0] === openUs)) return undefined
  const replaced = openings.filter((each) => each !== openUs)
  return replaced.length > 0 ? replaced.sort((a, b) => a - b) : undefined
}

function isDueBefore<A>(a: Agenda<A>, b: Agenda<A>): boolean {
  return a.dueUs < b.dueUs
}

/** The order in which windows are emitted together: as if each had been emitted when it ended. */
function byClose<R>(a: Windowed<R>, b: Windowed<R>): number {
  if (a.closed !== b.closed) return a.closed ? -1 : 1
  return a.closeTimeUs - b.closeTimeUs || a.openTimeUs - b.openTimeUs || compareTexts(a.key, b.key)
}

function isEmpty(lane: Pick<Lane<unknown, unknown>, 'size'> | undefined): boolean {
  return lane === undefined || lane.size === 0
}

/** Undefined when there is none. To ask for the one before the first would cost every list that is asked. */
function lastOf<A>(windows: readonly Window<A>[]): Window<A> | undefined {
  const { length } = windows
  return length === 0 ? undefined : windows[length - 1]
}

/** The index of the first window that opens at a time or later. Mostly it is the last one that is asked for. */
function placeOf<A>(windows: readonly Window<A>[], openUs: number): number {
  let high = windows.length
  if (high > 0 && windows[high - 1]!.openUs === openUs) return high - 1
  let low = 0
  while (low < high) {
    const middle = (low + high) >>> 1
    if (windows[middle]!.openUs < openUs) low = middle + 1
    else high = middle
  }
  return low
}

/** The index of the first row that is not before a time. */
function firstFrom(rows: readonly Pick<Timed<unknown>, 'timeUs'>[], timeUs: number): number {
  let low = 0
  let high = rows.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (rows[middle]!.timeUs < timeUs) low = middle + 1
    else high = middle
  }
  return low
}

function sizeOf(row: unknown): number | undefined {
  const { size } = row as { readonly size?: unknown }
  return typeof size === 'number' ? size : undefined
}

function usOf(ms: number): number {
  return Math.max(1, Math.round(ms * 1_000))
}
