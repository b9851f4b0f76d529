import { Observable, type OperatorFunction } from 'rxjs'
import type { Batch } from '../model/events'
import {
  checkEventTime,
  checkEventTimeInput,
  EventTime,
  EventTimeInput,
  type EventTimeInputOptions,
  type EventTimeNeeds,
  type EventTimeOptions,
} from './eventTime'
import { subscribeWhileOpen } from './subscribeWhileOpen'

export interface OrderByEventTimeOptions<T> extends EventTimeInputOptions<T>, EventTimeOptions {}

/**
 * Puts rows into the order of their event time, so that everything behind it sees one order whatever the order in which
 * they came.
 *
 *     events.pipe(ofKind('trade'), orderByEventTime({ outOfOrderMs: 200, idleMs: 2_000 }))
 *
 *     source (event times)           3-1-5-2-9-|
 *     orderByEventTime (bound of 3)  ----1---a-(9|)     a = 2, 3, 5
 *
 * Emits      the rows that the watermark has passed, in batches; at completion the rest. See `eventTime.ts` for the order,
 *            the watermark and idle sources
 * Completes  with the source
 * Errors     with the source, and what is held is lost with it; with what an option's function throws; `EDGE_FULL` when
 *            a bound is reached and `onFull` is `fail`
 * Holds      the rows of the last `outOfOrderMs`, and those that wait for a slower source, at most `rowsMax`; one timer
 *            while it holds any
 *
 * Rows that are older than the watermark when they come go to `late`, never into the output.
 */
export function orderByEventTime<T>(
  options: OrderByEventTimeOptions<T> & EventTimeNeeds<T>,
): OperatorFunction<Batch<T>, T[]> {
  checkEventTimeInput('orderByEventTime', options)
  checkEventTime('orderByEventTime', options)

  return (source) =>
    new Observable((out) => {
      let ordered: T[] = []
      const emit = (): void => {
        if (ordered.length === 0) return
        const rows = ordered
        ordered = []
        out.next(rows)
      }
      const input = new EventTimeInput<T>(options)
      const time = new EventTime<T>(
        options,
        { operator: 'orderByEventTime' },
        {
          release: (timed) => {
            time.pass(timed)
            ordered.push(timed.row)
          },
          advanced: () => undefined,
          nextUs: () => Infinity,
          held: () => 0,
          settled: emit,
          failed: (error) => out.error(error),
          isOver: () => out.closed,
        },
      )
      time.addInput(input, false)
      time.begin()
      out.add(() => time.cancel())

      subscribeWhileOpen(source, out, {
        next: (batch) => time.receive(input, batch),
        error: (error) => out.error(error),
        complete: () => {
          time.end(input)
          emit()
          out.complete()
        },
      })
    })
}
