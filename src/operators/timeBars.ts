/**
 * Bars of equal time: what happened from one boundary of the clock to the next, of each instrument.
 *
 * Boundaries are the multiples of the interval since 1970. An event belongs to the interval in which it was received: from
 * its opening, included, to its closing, excluded. A bar closes when stream time reaches the boundary (and `graceMs` more),
 * not when the next trade happens to come; bars that close together are emitted together.
 */
import { Observable, type OperatorFunction } from 'rxjs'
import { LONGEST_WAIT_MS, type Clock } from '../clock/clock'
import { currentClock } from '../clock/currentClock'
import type { Batch, EventBase, MarketEvent, Trade } from '../model/events'
import { byInstrument, InstrumentStates, type OfInstrument } from './instrumentStates'
import { requireCount, requireMs, requireOption } from './options'
import { StreamAlarm } from './streamAlarm'
import { subscribeWhileOpen } from './subscribeWhileOpen'

export interface TimeBarsOptions {
  /** The interval, milliseconds, > 0. */
  readonly everyMs: number
  /**
   * How long a bar waits after its end for events that were received before it but come later: give it where an edge with
   * a queue lies in between. Milliseconds, default 0.
   */
  readonly graceMs?: number
  /** True: an interval without an event gets a bar too, at the last close. Default false. */
  readonly emitEmpty?: boolean
  /** With `emitEmpty`: an instrument silent for so long gets no more bars. Milliseconds, default 100 intervals. */
  readonly forgetAfterMs?: number
  /** Instruments at most; the bar of an idle one is emitted unfinished to make room. Default 100,000. */
  readonly instrumentsMax?: number
  /** Filled in as events pass; see {@link barLedger}. */
  readonly ledger?: BarLedger
  /** The run's clock without it. */
  readonly clock?: Clock
}

export interface TradeBarsOptions extends TimeBarsOptions {
  readonly field?: 'price'
}

export interface FieldBarsOptions<F extends string> extends TimeBarsOptions {
  /** The number whose course is barred: `mid`, `bidPrice`, `spreadBps` … */
  readonly field: F
}

/** What a bar is about, and the interval. */
export interface BarBase {
  readonly kind: 'bar'
  readonly exchange: string
  readonly symbol: string
  readonly instrument: string | undefined
  readonly openTimeUs: number
  readonly closeTimeUs: number
  readonly intervalUs: number
  readonly open: number
  readonly high: number
  readonly low: number
  readonly close: number
  /** False when the source ended, or room had to be made, before the interval was over. */
  readonly closed: boolean
}

/** A bar of trades. Volumes are in the instrument's size unit. */
export interface Bar extends BarBase {
  readonly volume: number
  /** Of trades whose aggressor bought; trades without a side are in `volume` alone. */
  readonly buyVolume: number
  readonly sellVolume: number
  readonly trades: number
  /** The volume-weighted average price; undefined without volume. */
  readonly vwap: number | undefined
}

/** A bar of any number that has a course. */
export interface FieldBar<F extends string = string> extends BarBase {
  readonly field: F
  /** Values in the interval. */
  readonly count: number
}

/** Where each event is: `in = barred + ignored + late`. */
export interface BarLedger {
  in: number
  barred: number
  /** Not for a bar: of another kind, a trade sent as history, or without the value. */
  ignored: number
  /** Came after their bar had closed, and are in none. More than a few: raise `graceMs`. */
  late: number
}

export function barLedger(): BarLedger {
  return { in: 0, barred: 0, ignored: 0, late: 0 }
}

/** Intervals that may be open or be filled with empty bars at once: what a wrong unit in an option must not exceed. */
const INTERVALS_MAX = 10_000

/**
 * Trade bars: open, high, low, close, volume, its sides, and the average price.
 *
 *     events.pipe(ofKind('trade'), timeBars({ everyMs: 1_000 }))
 *
 * With a `field` it bars the course of that number instead, in quotes, summaries or any rows that name their instrument:
 *
 *     quotes.pipe(timeBars({ everyMs: 1_000, field: 'mid' }))
 *
 * Emits      at each boundary one batch with the bars that it closed, sorted by exchange and instrument; nothing when it
 *            closed none. At completion the bars that are open, with `closed: false`
 * Completes  with the source
 * Errors     with the source, and open bars are lost with it; adds none of its own
 * Holds      one open bar per instrument (and one more for each interval of `graceMs`), one timer while one is open;
 *            with `emitEmpty` the last close of each instrument
 *
 * Trades sent as history at subscribing are no part of a bar. Events that come when their bar has closed are counted as
 * late in the ledger and dropped.
 */
export function timeBars(options: TradeBarsOptions): OperatorFunction<Batch<MarketEvent>, Batch<Bar>>
export function timeBars<F extends string>(
  options: FieldBarsOptions<F>,
): OperatorFunction<Batch<BarSource<F>>, Batch<FieldBar<F>>>
export function timeBars(
  options: TimeBarsOptions & { readonly field?: string },
): OperatorFunction<Batch<never>, Batch<BarBase>> {
  check(options)
  const { field } = options
  const kind = field === undefined || field === 'price' ? tradeBars : fieldBars(field)
  return barred(options, kind as BarKind<EventBase, Tally>)
}

/** A row that says which instrument it is about, when it was received, and the value of a field. */
export type BarSource<F extends string> = OfInstrument & { readonly receiveTimeUs: number } & {
  readonly [field in F]: number | undefined
}

function barred<T extends OfInstrument & { readonly receiveTimeUs: number }, A extends Tally>(
  options: TimeBarsOptions,
  kind: BarKind<T, A>,
): OperatorFunction<Batch<T>, Batch<BarBase>> {
  const intervalUs = Math.max(1, Math.round(options.everyMs * 1_000))
  const graceUs = Math.round((options.graceMs ?? 0) * 1_000)
  const forgetUs = Math.round((options.forgetAfterMs ?? 100 * options.everyMs) * 1_000)
  const { emitEmpty = false, instrumentsMax = 100_000 } = options

  return (source) =>
    new Observable((out) => {
      const ledger = options.ledger ?? barLedger()
      /** Intervals with an open bar, oldest first: one, and a few more within the grace. */
      const intervals: Interval<A>[] = []
      const lanes = new InstrumentStates<Lane<A>>(instrumentsMax, newLane, evicted)
      /** Intervals that open before this are closed. */
      let closedBeforeUs = -Infinity
      /** With `emitEmpty`, the interval that gets bars even when nothing happens in it. */
      let nextEmptyUs = Infinity
      const unfinished: BarBase[] = []
      const alarm = new StreamAlarm(options.clock ?? currentClock(), closeDue)
      out.add(() => {
        alarm.cancel()
        lanes.clear()
        intervals.length = 0
      })

      subscribeWhileOpen(source, out, {
        next: (batch) => {
          for (const event of batch) {
            alarm.arrive(event.receiveTimeUs)
            if (out.closed) return
            receive(event)
          }
          emit(unfinished.splice(0))
        },
        error: (error) => out.error(error),
        complete: () => {
          const nowUs = alarm.nowUs()
          while (intervals.length > 0) {
            const interval = intervals.shift()!
            emit(barsOf(interval, interval.openUs + intervalUs <= nowUs))
          }
          out.complete()
        },
      })

      function receive(event: T): void {
        ledger.in++
        const value = kind.value(event)
        if (value === undefined) {
          ledger.ignored++
          return
        }
        const openUs = Math.floor(event.receiveTimeUs / intervalUs) * intervalUs
        if (openUs < closedBeforeUs) {
          ledger.late++
          return
        }
        ledger.barred++
        const lane = lanes.of(event)
        if (event.receiveTimeUs > lane.lastUs) lane.lastUs = event.receiveTimeUs
        if (lane.latest?.openUs !== openUs) lane.latest = open(lane, openUs)
        kind.add(lane.latest.tally, event, value)
      }

      function open(lane: Lane<A>, openUs: number): OpenBar<A> {
        let at = intervals.length
        while (at > 0 && intervals[at - 1]!.openUs > openUs) at--
        let interval = intervals[at - 1]
        if (interval?.openUs !== openUs) {
          interval = { openUs, bars: new Map() }
          intervals.splice(at, 0, interval)
          setAlarm()
        }
        let bar = interval.bars.get(lane)
        if (bar === undefined) interval.bars.set(lane, (bar = { openUs, tally: kind.start() }))
        return bar
      }

      function closeDue(nowUs: number): void {
        for (;;) {
          const openUs = nextOpenUs()
          if (openUs + intervalUs + graceUs > nowUs) break
          const interval =
            intervals[0]?.openUs === openUs ? intervals.shift()! : { openUs, bars: new Map<Lane<A>, OpenBar<A>>() }
          closedBeforeUs = openUs + intervalUs
          const bars = barsOf(interval, true)
          if (emitEmpty) {
            lanes.forget((lane) => lane.lastUs + forgetUs <= openUs)
            for (const lane of lanes) {
              if (lane.lastClose !== undefined && !interval.bars.has(lane)) {
                bars.push(kind.bar(timesOf(lane, openUs, true), kind.carry(lane.lastClose)))
              }
            }
          }
          nextEmptyUs = emitEmpty && lanes.size > 0 ? closedBeforeUs : Infinity
          emit(bars)
          if (out.closed) return
        }
        setAlarm()
      }

      function nextOpenUs(): number {
        return Math.min(intervals[0]?.openUs ?? Infinity, nextEmptyUs)
      }

      function setAlarm(): void {
        alarm.set(nextOpenUs() + intervalUs + graceUs)
      }

      function barsOf({ openUs, bars }: Interval<A>, closed: boolean): BarBase[] {
        const finished: BarBase[] = []
        for (const [lane, { tally }] of bars) {
          lane.lastClose = tally.close
          finished.push(kind.bar(timesOf(lane, openUs, closed), tally))
        }
        return finished
      }

      function evicted(lane: Lane<A>): void {
        for (const { openUs, bars } of intervals) {
          const bar = bars.get(lane)
          if (bar === undefined) continue
          bars.delete(lane)
          unfinished.push(kind.bar(timesOf(lane, openUs, false), bar.tally))
        }
      }

      function timesOf({ exchange, symbol, instrument }: Lane<A>, openUs: number, closed: boolean): BarTimes {
        return {
          exchange,
          symbol,
          instrument,
          openTimeUs: openUs,
          closeTimeUs: openUs + intervalUs,
          intervalUs,
          closed,
        }
      }

      function emit(bars: BarBase[]): void {
        if (bars.length > 0) out.next(bars.sort(byInstrument))
      }
    })
}

/** One instrument. */
interface Lane<A> extends OfInstrument {
  /** The bar that was touched last: most events belong to the bar of the event before them. */
  latest: OpenBar<A> | undefined
  lastUs: number
  lastClose: number | undefined
}

function newLane<A>({ exchange, symbol, instrument }: OfInstrument): Lane<A> {
  return { exchange, symbol, instrument, latest: undefined, lastUs: -Infinity, lastClose: undefined }
}

interface OpenBar<A> {
  readonly openUs: number
  readonly tally: A
}

interface Interval<A> {
  readonly openUs: number
  readonly bars: Map<Lane<A>, OpenBar<A>>
}

type BarTimes = Pick<
  BarBase,
  'exchange' | 'symbol' | 'instrument' | 'openTimeUs' | 'closeTimeUs' | 'intervalUs' | 'closed'
>

/** What makes bars of trades differ from bars of anything else. */
interface BarKind<T, A extends Tally> {
  /** Undefined for what is no part of a bar. */
  value(event: T): number | undefined
  start(): A
  /** The tally of an interval in which nothing happened. */
  carry(close: number): A
  add(tally: A, event: T, value: number): void
  bar(times: BarTimes, tally: A): BarBase
}

/** What an open bar has counted. */
interface Tally {
  open: number
  high: number
  low: number
  close: number
  count: number
}

interface TradeTally extends Tally {
  volume: number
  buyVolume: number
  sellVolume: number
  notional: number
}

function addValue(tally: Tally, value: number): void {
  if (tally.count === 0) tally.open = value
  if (!(value <= tally.high)) tally.high = value
  if (!(value >= tally.low)) tally.low = value
  tally.close = value
  tally.count++
}

function tallyAt(price: number): Tally {
  return { open: price, high: price, low: price, close: price, count: 0 }
}

function tradeTallyAt(price: number): TradeTally {
  return {
    open: price,
    high: price,
    low: price,
    close: price,
    count: 0,
    volume: 0,
    buyVolume: 0,
    sellVolume: 0,
    notional: 0,
  }
}

const tradeBars: BarKind<MarketEvent, TradeTally> = {
  value: (event) => (event.kind === 'trade' && !event.history ? event.price : undefined),
  start: () => tradeTallyAt(NaN),
  carry: tradeTallyAt,
  add(tally, event, price) {
    const { size, side } = event as Trade // what `value` let through
    addValue(tally, price)
    tally.volume += size
    if (side === 'buy') tally.buyVolume += size
    else if (side === 'sell') tally.sellVolume += size
    tally.notional += price * size
  },
  bar: ({ closed, ...times }, { open, high, low, close, count, volume, buyVolume, sellVolume, notional }): Bar => ({
    kind: 'bar',
    ...times,
    open,
    high,
    low,
    close,
    volume,
    buyVolume,
    sellVolume,
    trades: count,
    vwap: volume > 0 ? notional / volume : undefined,
    closed,
  }),
}

function fieldBars<F extends string>(field: F): BarKind<BarSource<F>, Tally> {
  return {
    value(row) {
      const value: unknown = row[field]
      return typeof value === 'number' && Number.isFinite(value) ? value : undefined
    },
    start: () => tallyAt(NaN),
    carry: tallyAt,
    add: (tally, _row, value) => addValue(tally, value),
    bar: ({ closed, ...times }, { open, high, low, close, count }): FieldBar<F> => ({
      kind: 'bar',
      ...times,
      field,
      open,
      high,
      low,
      close,
      count,
      closed,
    }),
  }
}

function check(options: TimeBarsOptions & { readonly field?: string }): void {
  const { everyMs, graceMs = 0, forgetAfterMs, instrumentsMax, field } = options
  requireMs('bars.time', 'everyMs', everyMs)
  requireOption(
    graceMs >= 0 && graceMs <= Math.min(LONGEST_WAIT_MS, everyMs * INTERVALS_MAX),
    'bars.time',
    'graceMs',
    graceMs,
    `0 milliseconds or more, and at most ${INTERVALS_MAX} intervals`,
  )
  if (forgetAfterMs !== undefined) {
    requireOption(
      forgetAfterMs >= everyMs && forgetAfterMs <= everyMs * INTERVALS_MAX,
      'bars.time',
      'forgetAfterMs',
      forgetAfterMs,
      `one interval (${everyMs} ms) to ${INTERVALS_MAX} intervals`,
    )
  }
  if (instrumentsMax !== undefined) requireCount('bars.time', 'instrumentsMax', instrumentsMax)
  if (field !== undefined) {
    requireOption(
      typeof field === 'string' && field !== '',
      'bars.time',
      'field',
      field,
      'the name of a number, such as mid',
    )
  }
}
