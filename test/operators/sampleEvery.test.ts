import { expect } from 'chai'
import { Subject } from 'rxjs'
import { runWithClock } from '../../src/clock/currentClock'
import { VirtualClock } from '../../src/clock/virtualClock'
import { Fault } from '../../src/model/fault'
import { sampleEvery } from '../../src/operators/sampleEvery'
import { marbles } from '../kit/marbles'
import { keepsTheLaws } from './laws'

describe('sampleEvery', () => {
  keepsTheLaws((clock) => sampleEvery({ everyMs: 4, clock }), [1, 2])

  it('passes the latest value at each tick that follows one, and the last at completion', () =>
    marbles(({ hot, expectObservable, clock }) => {
      const source = hot('  a-b-----c-----d|')
      const expected = '    ----b-------c--(d|)'
      expectObservable(source.pipe(sampleEvery({ everyMs: 4, clock }))).toBe(expected)
    }))

  it('passes no value twice', () =>
    marbles(({ hot, expectObservable, clock }) => {
      const source = hot('  -a------------|')
      const expected = '    ----a---------|'
      expectObservable(source.pipe(sampleEvery({ everyMs: 4, clock }))).toBe(expected)
    }))

  it('passes an error at once, without the value that waited', () =>
    marbles(({ hot, expectObservable, clock }) => {
      const source = hot('  -a#')
      const expected = '    --#'
      expectObservable(source.pipe(sampleEvery({ everyMs: 4, clock }))).toBe(expected)
    }))

  it('passes falsy values and undefined like any other', () => {
    const clock = new VirtualClock()
    const source = new Subject<unknown>()
    const out: unknown[] = []
    source.pipe(sampleEvery({ everyMs: 10, clock })).subscribe((value) => out.push(value))
    for (const value of [0, undefined, '', false, null]) {
      source.next(value)
      clock.advance(10)
    }
    expect(out).to.deep.equal([0, undefined, '', false, null])
  })

  it('ticks on multiples of the interval since 1970, and has no timer while nothing waits', () => {
    const clock = new VirtualClock(1_003_000)
    const source = new Subject<number>()
    const atUs: number[] = []
    source.pipe(sampleEvery({ everyMs: 10, clock })).subscribe(() => atUs.push(clock.nowUs()))
    expect(clock.pending).to.equal(0)
    source.next(1)
    source.next(2)
    expect(clock.pending).to.equal(1)
    clock.advance(100)
    expect(atUs).to.deep.equal([1_010_000])
    expect(clock.pending).to.equal(0)
  })

  it('sleeps for what remains when a timer fires early, so that a tick is met once', () => {
    const inner = new VirtualClock()
    const early = {
      nowUs: () => inner.nowUs(),
      after: (delayMs: number, callback: () => void) => inner.after(delayMs > 0.5 ? delayMs - 0.5 : delayMs, callback),
    }
    const source = new Subject<number>()
    const atUs: number[] = []
    source.pipe(sampleEvery({ everyMs: 10, clock: early })).subscribe(() => atUs.push(inner.nowUs()))
    source.next(1)
    inner.advance(9.9)
    source.next(2)
    inner.advance(10)
    expect(atUs).to.deep.equal([10_000])
  })

  it('follows the clock of the run that is being wired when it is given none', () => {
    const clock = new VirtualClock()
    const source = new Subject<number>()
    const out: number[] = []
    runWithClock(clock, () => source.pipe(sampleEvery({ everyMs: 10 })).subscribe((value) => out.push(value)))
    source.next(1)
    clock.advance(10)
    expect(out).to.deep.equal([1])
  })

  for (const everyMs of [0, -1, NaN, Infinity]) {
    it(`refuses to tick every ${everyMs} ms`, () => {
      expect(() => sampleEvery({ everyMs })).to.throw(Fault, /sampleEvery: everyMs is/)
    })
  }
})
