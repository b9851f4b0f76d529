/**
 * As-of joins: to each row of one stream the row of another that was valid then, followed, or was nearest in time.
 *
 * Both streams are put into one order of event time (see `eventTime.ts`) and joined in it, one row after another; so the
 * pairs, and the order in which they come, are those of two sorted tables, whatever the order within the bound in which
 * rows came.
 *
 * Ties  backward: a right row of the same time counts as before; of several the last in the order
 *       forward: a right row of the same time counts as after; of several the first in the order
 *       nearest: a right row of the same time is nearest, of several the last; at equal distances the one before
 */
import { Observable, type OperatorFunction } from 'rxjs'
import type { Batch } from '../model/events'
import {
  checkEventTime,
  checkEventTimeInput,
  EventTime,
  EventTimeInput,
  instrumentKeys,
  requireWait,
  type EventTimeInputOptions,
  type EventTimeNeeds,
  type EventTimeOptions,
  type KeyNeeds,
  type Timed,
} from './eventTime'
import { Heap } from './heap'
import type { OfInstrument } from './instrumentStates'
import { requireCount, requireOption } from './options'
import { subscribeWhileOpen } from './subscribeWhileOpen'

export type AsOfDirection = 'backward' | 'forward' | 'nearest'

/** How the rows of one side are read; what is not said is as for the other. */
export interface AsOfSideOptions<T> extends Partial<EventTimeInputOptions<T>> {
  /** Rows are joined with rows of the same key. Default the instrument of an exchange: `kraken BTC-USDT`. */
  readonly key?: (row: T) => string
}

export interface AsOfJoinOptions<L, R> extends EventTimeOptions {
  readonly direction: AsOfDirection
  /** How far a right row may be away in time, milliseconds, itself included. Default without a limit. */
  readonly toleranceMs?: number
  /** How much later than newer rows of its source a row of either side may come, milliseconds, 0 or more. */
  readonly outOfOrderMs: number
  readonly left?: AsOfSideOptions<L>
  readonly right?: AsOfSideOptions<R>
  /**
   * Keys whose latest right row is kept, where rows before are looked for. Default 100 000; with `hurry` the one that has
   * had none for longest is forgotten.
   */
  readonly keysMax?: number
}

/** What must be said of rows that do not have the usual fields. */
export type AsOfNeeds<L, R> = (L extends OfInstrument & { readonly receiveTimeUs: number }
  ? unknown
  : { readonly left: EventTimeNeeds<L> & KeyNeeds<L> }) &
  (R extends OfInstrument & { readonly receiveTimeUs: number }
    ? unknown
    : { readonly right: EventTimeNeeds<R> & KeyNeeds<R> })

/** A left row and what was found for it. */
export interface AsOf<L, R> {
  readonly kind: 'asOf'
  readonly key: string
  /** Event time of the left row. */
  readonly eventTimeUs: number
  readonly left: L
  /** Undefined when there is none within the tolerance. */
  readonly right: R | undefined
  /** Event time of the right row. */
  readonly rightTimeUs: number | undefined
}

/**
 * Joins each row with the row of `right` as of its event time.
 *
 *     trades.pipe(asOfJoin(quotes, { direction: 'backward', toleranceMs: 1_000, outOfOrderMs: 200, idleMs: 2_000 }))
 *
 * Within one stage of a pipeline, behind a `merge` of both streams:
 *
 *     (both) => both.pipe(ofKind('trade'), asOfJoin(both.pipe(ofKind('ticker')), { ... }))
 *
 * Emits      a pair for each left row that is not late, as soon as the watermark says that no better right row will come:
 *            in batches, in the order of the times at which that is known; without a right row `right` is undefined
 * Completes  when the left side has, and each of its rows is paired; what waits for the right side when that completes
 *            waits no more
 * Errors     with either side; with what an option's function throws; `EDGE_FULL` when a bound is reached and `onFull` is
 *            `fail`
 * Holds      rows that wait for the watermark, and left rows that wait for what follows, at most `rowsMax`; the latest
 *            right row of each key, at most `keysMax` and not longer than the tolerance; one timer while rows wait
 *
 * Until the first row of a side has come the other waits for it, for `idleMs` at most. Late rows of either side go to its
 * `late`.
 */
export function asOfJoin<L, R>(
  right: Observable<Batch<R>>,
  options: AsOfJoinOptions<L, R> & AsOfNeeds<L, R>,
): OperatorFunction<Batch<L>, AsOf<L, R>[]> {
  const { direction, toleranceMs, outOfOrderMs, keysMax = KEYS_MAX, onFull = 'fail' } = options
  const sides = {
    left: { ...options.left, outOfOrderMs: options.left?.outOfOrderMs ?? outOfOrderMs },
    right: { ...options.right, outOfOrderMs: options.right?.outOfOrderMs ?? outOfOrderMs },
  }
  const known = ['backward', 'forward', 'nearest'].includes(direction)
  requireOption(known, 'asOfJoin', 'direction', direction, 'backward, forward or nearest')
  if (toleranceMs !== undefined) requireWait('asOfJoin', 'toleranceMs', toleranceMs)
  checkEventTimeInput('asOfJoin', sides.left)
  checkEventTimeInput('asOfJoin', sides.right)
  checkEventTime('asOfJoin', options)
  requireCount('asOfJoin', 'keysMax', keysMax)
  const toleranceUs = toleranceMs === undefined ? Infinity : Math.round(toleranceMs * 1_000)
  const leftKey = options.left?.key ?? instrumentKeys()
  const rightKey = options.right?.key ?? instrumentKeys()

  return (source) =>
    new Observable((out) => {
      // At the same time the side that must be known first is released first.
      const leftInput = inputOf<L, L | R>(sides.left, direction === 'forward' ? 0 : 1)
      const rightInput = inputOf<R, L | R>(sides.right, direction === 'forward' ? 1 : 0)
      /** The latest right row of each key, the oldest first. */
      const latest = new Map<string, Timed<L | R>>()
      const waiting = new Map<string, Set<Waiting<L, R>>>()
      let decisions = new Heap<Waiting<L, R>>(isDecidedBefore)
      let waits = 0
      let released = 0
      let pairs: AsOf<L, R>[] = []

      const time = new EventTime<L | R>(
        options,
        { operator: 'asOfJoin' },
        {
          release: (timed) => {
            decide(timed.timeUs)
            if (timed.input === rightInput) receiveRight(timed)
            else receiveLeft(timed)
          },
          advanced: decide,
          nextUs: () => (nextDecision()?.dueUs ?? Infinity) + 1,
          held: () => waits,
          letGo: decideOldest,
          settled: () => {
            emit()
            if (leftInput.ended && leftInput.pending === 0) out.complete()
          },
          failed: (error) => out.error(error),
          isOver: () => out.closed,
        },
      )
      time.addInput(leftInput, true)
      time.addInput(rightInput, true)
      out.add(() => {
        time.cancel()
        latest.clear()
        waiting.clear()
        decisions.clear()
      })

      follow(right, rightInput)
      if (!out.closed) follow(source, leftInput)
      time.begin()

      function follow(rows: Observable<Batch<L | R>>, input: EventTimeInput<L | R>): void {
        subscribeWhileOpen(rows, out, {
          next: (batch) => time.receive(input, batch),
          error: (error) => out.error(error),
          complete: () => {
            time.end(input)
            if (!leftInput.ended || !rightInput.ended || out.closed) return
            decide(Infinity)
            emit()
            out.complete()
          },
        })
      }

      function receiveRight(timed: Timed<L | R>): void {
        const key = rightKey(timed.row as R)
        if (direction !== 'forward') {
          // Deleting first moves the key to the end: the oldest row is always at hand.
          if (!latest.delete(key) && latest.size >= keysMax && !forgetKey(timed)) return
          latest.set(key, timed)
        }
        const waitingHere = waiting.get(key)
        if (waitingHere !== undefined) {
          waiting.delete(key)
          for (const entry of waitingHere) {
            entry.decided = true
            pair(entry, timed)
          }
          waits -= waitingHere.size
          if (decisions.size > 2 * waits + DECISIONS_SLACK) forgetDecided()
        }
        time.pass(timed)
      }

      function receiveLeft(timed: Timed<L | R>): void {
        const { timeUs } = timed
        const key = leftKey(timed.row as L)
        const before = latest.get(key) // within the tolerance: what is older was forgotten
        const distanceUs = before === undefined ? Infinity : timeUs - before.timeUs
        const entry: Waiting<L, R> = {
          key,
          left: timed,
          before,
          dueUs: timeUs + Math.min(toleranceUs, distanceUs - 1),
          order: released++,
          decided: false,
        }
        if (direction === 'backward' || distanceUs === 0) {
          pair(entry, entry.before)
          return
        }
        let waitingHere = waiting.get(key)
        if (waitingHere === undefined) waiting.set(key, (waitingHere = new Set()))
        waitingHere.add(entry)
        waits++
        decisions.push(entry)
      }

      /** Time has come to here: what no right row can change any more is decided, and old right rows are forgotten. */
      function decide(timeUs: number): void {
        for (;;) {
          const next = nextDecision()
          if (next === undefined || (next.dueUs >= timeUs && timeUs < Infinity)) break
          decideOldest()
        }
        for (const [key, row] of latest) {
          if (row.timeUs + toleranceUs >= timeUs) break
          latest.delete(key)
        }
      }

      /** Pairs the left row whose wait would end first with what there is. */
      function decideOldest(): boolean {
        const entry = nextDecision()
        if (entry === undefined) return false
        decisions.pop()
        const waitingHere = waiting.get(entry.key)!
        waitingHere.delete(entry)
        if (waitingHere.size === 0) waiting.delete(entry.key)
        waits--
        pair(entry, entry.before)
        return true
      }

      function nextDecision(): Waiting<L, R> | undefined {
        while (decisions.peek()?.decided === true) decisions.pop()
        return decisions.peek()
      }

      function pair({ key, left }: Waiting<L, R>, found: Timed<L | R> | undefined): void {
        time.pass(left)
        pairs.push({
          kind: 'asOf',
          key,
          eventTimeUs: left.timeUs,
          left: left.row as L,
          right: found?.row as R | undefined,
          rightTimeUs: found?.timeUs,
        })
      }

      function forgetKey(timed: Timed<L | R>): boolean {
        if (onFull === 'fail') throw time.full('keys', 'keysMax', latest.size)
        if (onFull === 'dropNewest') {
          time.refuse(timed)
          return false
        }
        for (const oldest of latest.keys()) {
          latest.delete(oldest)
          break
        }
        return true
      }

      function forgetDecided(): void {
        const undecided = new Heap<Waiting<L, R>>(isDecidedBefore)
        for (const entries of waiting.values()) for (const entry of entries) undecided.push(entry)
        decisions = undecided
      }

      function emit(): void {
        if (pairs.length === 0) return
        const paired = pairs
        pairs = []
        out.next(paired)
      }
    })
}

/** A left row for which a better right row may still come. */
interface Waiting<L, R> {
  readonly key: string
  readonly left: Timed<L | R>
  /** What it is paired with unless something nearer comes. */
  readonly before: Timed<L | R> | undefined
  /** No right row after this changes it. */
  readonly dueUs: number
  readonly order: number
  decided: boolean
}

const KEYS_MAX = 100_000
const DECISIONS_SLACK = 64

function isDecidedBefore<L, R>(a: Waiting<L, R>, b: Waiting<L, R>): boolean {
  return a.dueUs !== b.dueUs ? a.dueUs < b.dueUs : a.order < b.order
}

/** Both sides share one order, whose rows are of either; an input gets back only what it gave. */
function inputOf<T, Rows>(options: EventTimeInputOptions<T>, rank: number): EventTimeInput<Rows> {
  return new EventTimeInput<Rows>(options as unknown as EventTimeInputOptions<Rows>, rank)
}
