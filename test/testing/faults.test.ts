import { expect } from 'chai'
import fc from 'fast-check'
import { from, map, of, range, retry, Subject, type MonoTypeOperatorFunction } from 'rxjs'
import { seededRandom } from '../../src/clock/backoff'
import { runWithClock } from '../../src/clock/currentClock'
import { VirtualClock } from '../../src/clock/virtualClock'
import { Fault } from '../../src/model/fault'
import {
  cutAfter,
  delayEach,
  duplicateEach,
  failAt,
  failEvery,
  loseEach,
  reorderWithin,
} from '../../src/testing/faults'
import { marbles } from '../../src/testing/marbles'
import { operatorSuite } from '../../src/testing/operatorSuite'
import { probe } from '../../src/testing/probe'
import { sourceProbe } from '../../src/testing/sourceProbe'

const one = (): number => 0.999_999
const none = (): number => 0

describe('failAt', () => {
  it('fails in the place of one value, and only once', () => {
    const out = probe<number>()
    const failing = failAt<number>(3)
    of(1, 2, 3, 4).pipe(failing).subscribe(out)
    out.expectNext(1, 2)
    expect(out.expectError('STAGE_FAILED')).to.have.property('message').that.includes('the 3. value')
    const again = probe<number>()
    of(1, 2, 3, 4).pipe(failing).subscribe(again)
    again.expectNext(1, 2, 3, 4)
    again.expectComplete()
  })

  it('fails with what it is given, and leaves the source', () => {
    const source = sourceProbe<number>()
    const out = probe<number>()
    const error = new Error('mine')
    source.pipe(failAt(1, error)).subscribe(out)
    source.sendNext(1)
    expect(out.expectError()).to.equal(error)
    source.expectUnsubscribed()
  })
})

describe('failEvery', () => {
  it('fails in the place of every nth value, whoever subscribes again', () => {
    const out = probe<number>()
    const source = new Subject<number>()
    source.pipe(failEvery(3), retry(5)).subscribe(out)
    for (let value = 1; value <= 8; value++) source.next(value)
    out.expectNext(1, 2, 4, 5, 7, 8)
    out.expectNothing()
  })
})

describe('delayEach', () => {
  it('delays each value, and lets none overtake another', () =>
    marbles(({ hot, clock, expectObservable }) => {
      const waits = [0.8, 0, 0, 0.4].values()
      const random = (): number => waits.next().value ?? 0
      const source = hot('                                                      ab-------c-d|')
      // a is due at 4, and b not before it; c at once; d 2 later, and the end with it
      expectObservable(source.pipe(delayEach({ maxMs: 5, clock, random }))).toBe('----(ab)-c---(d|)')
    }))

  it('follows the clock in force, and loses what waits when its source fails', () => {
    const clock = new VirtualClock()
    runWithClock({ clock, random: one }, () => {
      const source = sourceProbe<number>()
      const out = probe<number>()
      source.pipe(delayEach({ minMs: 10, maxMs: 10 })).subscribe(out)
      source.sendNext(1)
      clock.advance(9)
      out.expectNothing()
      clock.advance(1)
      out.expectNext(1)
      source.sendNext(2)
      source.error(new Fault('FEED_CLOSED', 'Gone.'))
      out.expectError('FEED_CLOSED')
      expect(clock.pending).to.equal(0)
    })
  })

  it('holds no more than its capacity', () => {
    const clock = new VirtualClock()
    const out = probe<number>()
    range(1, 4)
      .pipe(delayEach({ maxMs: 10, clock, random: one, capacity: 3 }))
      .subscribe(out)
    expect(out.expectError('EDGE_FULL')).to.have.property('message').that.includes('delayEach holds 3 values')
    expect(clock.pending).to.equal(0)
  })
})

describe('duplicateEach', () => {
  it('repeats values right behind themselves, with its probability', () => {
    expect(through(duplicateEach(1), [1, 2])).to.deep.equal([1, 1, 2, 2])
    expect(through(duplicateEach(0), [1, 2])).to.deep.equal([1, 2])
    const some = through(duplicateEach(0.5, { random: seededRandom(1) }), upTo(1_000))
    expect(some.length).to.be.within(1_400, 1_600)
    expect([...new Set(some)]).to.deep.equal(upTo(1_000))
  })
})

describe('loseEach', () => {
  it('loses values, with its probability', () => {
    expect(through(loseEach(1), [1, 2])).to.deep.equal([])
    expect(through(loseEach(0), [1, 2])).to.deep.equal([1, 2])
    const some = through(loseEach(0.5, { random: seededRandom(1) }), upTo(1_000))
    expect(some.length).to.be.within(400, 600)
    expect(some, 'in order').to.deep.equal([...some].sort((a, b) => a - b))
  })
})

describe('reorderWithin', () => {
  it('moves no value further than its window of values, and loses none', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.nat(200), fc.nat(), (values, count, seed) => {
        const got = through(reorderWithin({ values }, { random: seededRandom(seed) }), upTo(count))
        expect([...got].sort((a, b) => a - b)).to.deep.equal(upTo(count))
        got.forEach((value, at) => expect(Math.abs(value - at)).to.be.below(values))
      }),
      { numRuns: 300 },
    )
  })

  it('does change the order', () => {
    const got = through(reorderWithin({ values: 10 }, { random: seededRandom(3) }), upTo(100))
    expect(got).to.not.deep.equal(upTo(100))
    expect(
      through(reorderWithin({ values: 10 }, { random: seededRandom(3) }), upTo(100)),
      'the same for a seed',
    ).to.deep.equal(got)
  })

  it('delays no value longer than its window of time, and completes with the last', () => {
    const clock = new VirtualClock()
    const out = probe<number>()
    const source = sourceProbe<number>()
    const lateness: number[] = []
    source
      .pipe(
        reorderWithin({ ms: 50, clock }, { random: seededRandom(5) }),
        map((sentUs) => {
          lateness.push(clock.nowUs() - sentUs)
          return sentUs
        }),
      )
      .subscribe(out)
    for (let sent = 0; sent < 500; sent++) {
      source.sendNext(clock.nowUs())
      clock.advance(1)
    }
    source.complete()
    expect(out.ended).to.equal(undefined)
    clock.advance(50)
    expect(Math.max(...lateness)).to.be.within(40_000, 50_000)
    const got = out.takeAll()
    out.expectComplete()
    expect(got).to.not.deep.equal([...got].sort((a, b) => a - b))
    expect(new Set(got).size).to.equal(500)
    expect(clock.pending).to.equal(0)
  })

  it('holds no more than its capacity', () => {
    const clock = new VirtualClock()
    const out = probe<number>()
    range(1, 4)
      .pipe(reorderWithin({ ms: 10, clock }, { random: one, capacity: 3 }))
      .subscribe(out)
    out.expectError('EDGE_FULL')
    expect(clock.pending).to.equal(0)
  })
})

describe('cutAfter', () => {
  it('ends the stream behind so many values, leaving an endless source', () => {
    const out = probe<number>()
    range(1, Infinity).pipe(cutAfter(3)).subscribe(out)
    out.expectNext(1, 2, 3)
    out.expectComplete()
  })

  it('fails it', () => {
    const out = probe<number>()
    range(1, Infinity).pipe(cutAfter(2, 'fails')).subscribe(out)
    out.expectNext(1, 2)
    out.expectError('FEED_CLOSED')
  })

  it('has it fall silent, as a connection that is half open', () => {
    const source = sourceProbe<number>()
    const out = probe<number>()
    source.pipe(cutAfter(1, 'falls silent')).subscribe(out)
    source.sendNext(1)
    source.expectUnsubscribed()
    out.expectNext(1)
    out.expectNothing()
  })

  it('counts for each subscription anew, and lets a shorter stream end as it does', () => {
    const cut = cutAfter<number>(2, 'fails')
    expect(through(cut, [1])).to.deep.equal([1])
    expect(through(cut, [1])).to.deep.equal([1])
  })

  it('cuts before the first value', () => {
    const source = sourceProbe<number>()
    const out = probe<number>()
    source.pipe(cutAfter(0)).subscribe(out)
    out.expectComplete()
    expect(source.subscriptions).to.equal(0)
  })
})

describe('A fault for streams', () => {
  it('refuses options that are none', () => {
    for (const [made, option] of [
      [() => failAt(0), 'nth'],
      [() => failEvery(1.5), 'nth'],
      [() => delayEach({ minMs: 3, maxMs: 2 }), 'minMs'],
      [() => delayEach({ maxMs: Infinity }), 'maxMs'],
      [() => delayEach({ maxMs: 1, capacity: 0 }), 'capacity'],
      [() => duplicateEach(2), 'probability'],
      [() => loseEach(NaN), 'probability'],
      [() => reorderWithin({ values: 0 }), 'values'],
      [() => reorderWithin({ ms: -1 }), 'ms'],
      [() => cutAfter(-1), 'values'],
    ] as const) {
      expect(made).to.throw(Fault, option).with.property('code', 'OPTION_INVALID')
    }
  })

  const calm = { random: none }
  const operators: Readonly<Record<string, () => MonoTypeOperatorFunction<number>>> = {
    failAt: () => failAt(1_000_000),
    failEvery: () => failEvery(1_000_000),
    delayEach: () => delayEach({ maxMs: 20 }),
    duplicateEach: () => duplicateEach(0.5),
    loseEach: () => loseEach(0, calm),
    'reorderWithin values': () => reorderWithin({ values: 2 }),
    'reorderWithin ms': () => reorderWithin({ ms: 20 }),
    cutAfter: () => cutAfter(1_000_000),
  }
  for (const [name, operator] of Object.entries(operators)) {
    for (const { title, run } of operatorSuite(operator, { values: [1, 2, 3] })) it(`${name} ${title}`, run)
  }
})

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, at) => at)
}

function through(operator: MonoTypeOperatorFunction<number>, values: readonly number[]): number[] {
  const out = probe<number>()
  from(values).pipe(operator).subscribe(out)
  const got = out.takeAll()
  out.expectComplete()
  return got
}
