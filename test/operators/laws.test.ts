/**
 * What every operator owes, of those whose own tests are about something else: waits, work and restarts.
 */
import { Observable, of } from 'rxjs'
import { actor } from '../../src/operators/actor'
import { mergeMapByKey } from '../../src/operators/mergeMapByKey'
import { retryWithBackoff } from '../../src/operators/retryWithBackoff'
import { staleAfter } from '../../src/operators/staleAfter'
import { subscribeWhileOpen } from '../../src/operators/subscribeWhileOpen'
import { operatorSuite, type OperatorCase } from '../../src/testing/operatorSuite'

const VALUES = [1, 2, 3]
const concurrent = { concurrency: 2, perKey: 1 } as const
const backoff = { minMs: 10, maxMs: 100, atMost: 3, withinMs: 1_000, shouldRetry: () => false }

const OPERATORS: Readonly<Record<string, OperatorCase[]>> = {
  // Within its silence: a silence that lasts is told of, unasked.
  staleAfter: operatorSuite((clock) => staleAfter<number>(5_000, clock), {
    ...{ values: VALUES, emits: VALUES, silenceMs: 4_000 },
  }),
  'mergeMapByKey with work that is done at once': operatorSuite(
    () =>
      mergeMapByKey(
        (value: number) => value,
        (value) => of(value, -value),
        concurrent,
      ),
    { values: VALUES, emits: [1, -1, 2, -2, 3, -3] },
  ),
  'mergeMapByKey with work that takes its time': operatorSuite(
    (clock) =>
      mergeMapByKey(
        (value: number) => value % 2,
        (value) =>
          new Observable<number>((out) => {
            const timer = clock.after(5, () => {
              out.next(value)
              out.complete()
            })
            return () => timer.cancel()
          }),
        { ...concurrent, clock, deadlineMs: 1_000 },
      ),
    { values: VALUES, emits: [1, 2, 3] },
  ),
  'retryWithBackoff of what is not worth a retry': operatorSuite(
    (clock) => retryWithBackoff<number>({ ...backoff, clock }),
    { values: VALUES, emits: VALUES },
  ),
  'retryWithBackoff in the time that is in force': operatorSuite(() => retryWithBackoff<number>(backoff), {
    values: VALUES,
    emits: VALUES,
  }),
  actor: operatorSuite(
    () =>
      actor<number, number>((context) => {
        let sum = 0
        const timer = context.clock.after(1_000_000, () => context.emit(-1))
        return { receive: (value) => context.emit((sum += value)), close: () => timer.cancel() }
      }),
    { values: [[1, 2], [3]], emits: [[1, 3], [6]] },
  ),
  subscribeWhileOpen: operatorSuite(
    () => (source: Observable<number>) => new Observable<number>((out) => void subscribeWhileOpen(source, out, out)),
    { values: VALUES, emits: VALUES },
  ),
}

for (const [operator, cases] of Object.entries(OPERATORS)) {
  describe(operator, () => {
    for (const { title, run } of cases) it(title, run)
  })
}
