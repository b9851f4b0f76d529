import { expect } from 'chai'
import { Observable, concatMap, finalize, from, map, startWith, timer, toArray, type OperatorFunction } from 'rxjs'
import type { Clock } from '../../src/clock/clock'
import { currentClock } from '../../src/clock/currentClock'
import { sampleEvery } from '../../src/operators/sampleEvery'
import { operatorSuite } from '../../src/testing/operatorSuite'
import { failureOf } from './failureOf'

type Made = (clock: Clock) => OperatorFunction<number, unknown>

describe('operatorSuite', () => {
  it('gives cases for any runner, and registers nothing', () => {
    const cases = operatorSuite(() => map((value: number) => value + 1), { values: [1, 2], emits: [2, 3] })
    expect(cases.map(({ title }) => title)).to.deep.equal([
      'says nothing for a source that never says anything',
      'completes at once, without a value, with an empty source',
      'passes the error of the source on at once, and leaves no timer',
      'completes after values when the source does',
      'takes an endless source, and leaves it when it is left',
      'can be left by whoever listens while it emits',
      'leaves the source and its timers at once when it is unsubscribed from',
      'keeps the state of its subscribers apart',
    ])
    for (const { run } of cases) run()
  })

  it('holds for an operator that waits on the clock it is given, or on the one in force', () => {
    for (const made of [
      (clock: Clock) => sampleEvery<number>({ everyMs: 10, clock }),
      () => sampleEvery<number>({ everyMs: 10 }),
    ]) {
      for (const { run } of operatorSuite(made, { values: [1, 2, 3], emits: [3] })) run()
    }
  })

  /** Operators, each wrong in one way, and which case must find it. */
  const wrong: readonly (readonly [string, Made, string, RegExp])[] = [
    ['speaks unasked', () => startWith(0), 'says nothing for a source that never', /^Expected nothing, but 0 came/],
    [
      'speaks at the end of nothing',
      () => toArray(),
      'completes at once, without a value',
      /^Expected the stream to be complete, but \[\] came/,
    ],
    [
      'does not end',
      () => onto(() => ({ complete: () => undefined })),
      'completes after values',
      /complete, but nothing more has come, and the stream goes on\.$/,
    ],
    [
      'swallows the error',
      () => onto((out) => ({ error: () => out.complete() })),
      'passes the error',
      /^Expected the stream to fail, but the stream has completed\.$/,
    ],
    [
      'makes the error another',
      () => onto((out) => ({ error: () => out.error(new Error('mine')) })),
      'passes the error',
      /^The error that the operator passed on .*\n {2}at \.message: expected 'gone', got 'mine'$/,
    ],
    ['emits something else', () => map((value) => value + 1), 'completes after values', /at \[0\]: expected 1, got 2/],
    [
      'leaves a timer at the end',
      (clock) =>
        onto((out) => ({
          complete: () => {
            clock.after(10, () => undefined)
            out.complete()
          },
        })),
      'completes after values',
      /^The operator leaves a timer behind with its end\.$/,
    ],
    [
      'leaves a timer for every value',
      () =>
        onto((out) => ({
          next: (value) => {
            currentOnto.after(10_000, () => undefined)
            out.next(value)
          },
        })),
      'takes an endless source',
      /^The operator leaves \d+ timers behind when it is left\.$/,
    ],
    [
      'does not leave its source',
      () => (source) => new Observable((out) => void source.subscribe(out.next.bind(out))),
      'leaves the source and its timers',
      /^Expected nobody to be subscribed to the source, but one subscription is open\.$/,
    ],
    [
      'leaves an endless source',
      () => (source) => source.pipe(concatMap((value, at) => (at > 50 ? stop() : from([value])))),
      'takes an endless source',
      /^The operator left its endless source after 52 values, because it failed: enough\.$/,
    ],
    [
      'cannot be left while it emits',
      () => (source) =>
        new Observable((out) => {
          const subscription = source.subscribe((value) => out.next(value))
          return () => subscription.unsubscribe()
        }),
      'can be left by whoever listens',
      /^The operator went on reading its source after whoever listened had left: 9999 values more\.$/,
    ],
    ['shares its state', shared, 'keeps the state', /^Expected the stream to be complete, but 1, 2, 3 came/],
  ]
  for (const [what, made, title, message] of wrong) {
    it(`finds an operator that ${what}`, () => {
      const cases = operatorSuite(
        (clock) => {
          currentOnto = clock
          return made(clock)
        },
        { values: [1, 2, 3], emits: [1, 2, 3] },
      )
      const finding = cases.find((each) => each.title.startsWith(title))!
      expect(failureOf(finding.run)).to.match(message)
    })
  }

  it('has its clock in force while the operator is subscribed to', () => {
    const clocks = new Set<Clock>()
    const given = new Set<Clock>()
    const cases = operatorSuite(
      (clock) => (source: Observable<number>) =>
        new Observable((out) => {
          given.add(clock)
          clocks.add(currentClock())
          return source.subscribe(out)
        }),
      { values: [1] },
    )
    for (const { run } of cases) run()
    expect([...clocks]).to.deep.equal([...given])
    expect(clocks.size).to.equal(cases.length)
  })

  it('does not wait for the machine: an operator on raw timers is found', () => {
    const cases = operatorSuite(() => concatMap((value: number) => timer(1).pipe(map(() => value))), { values: [1] })
    const finding = cases.find(({ title }) => title.startsWith('completes after'))!
    expect(failureOf(finding.run)).to.include('the stream goes on')
  })

  it('needs values', () => {
    expect(failureOf(() => operatorSuite(() => map((value) => value), { values: [] }))).to.include('needs values')
  })
})

let currentOnto: Clock

interface Told {
  next?: (value: number) => unknown
  error?: (error: unknown) => unknown
  complete?: () => unknown
}

/** An operator that passes everything on, but for what it is told to do otherwise. */
function onto(told: (out: { next(v: unknown): void; error(e: unknown): void; complete(): void }) => Told) {
  return (source: Observable<number>): Observable<unknown> =>
    new Observable((out) => {
      const other = told(out)
      return source.pipe(finalize(() => undefined)).subscribe({
        next: (value) => void (other.next ?? ((each) => out.next(each)))(value),
        error: (error: unknown) => void (other.error ?? ((each) => out.error(each)))(error),
        complete: () => void (other.complete ?? (() => out.complete()))(),
      })
    })
}

function stop(): never {
  throw new Error('enough')
}

/** Holds what all of its subscribers got, and gives it to each at its end. */
function shared(): OperatorFunction<number, unknown> {
  const all: number[] = []
  return (source) =>
    new Observable((out) =>
      source.subscribe({
        next: (value) => void all.push(value),
        error: (error: unknown) => out.error(error),
        complete: () => {
          for (const value of all) out.next(value)
          out.complete()
        },
      }),
    )
}
