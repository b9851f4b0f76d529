import { expect } from 'chai'
import { map, Observable, of, timer } from 'rxjs'
import { currentClock, currentRandom, currentWaits } from '../../src/clock/currentClock'
import { liveClock } from '../../src/clock/liveClock'
import { sampleEvery } from '../../src/operators/sampleEvery'
import { staleAfter } from '../../src/operators/staleAfter'
import { marbles } from '../../src/testing/marbles'
import { failureOf } from './failureOf'

describe('marbles', () => {
  it('run in virtual time, RxJS’ own timers included', () => {
    const startedUs = liveClock.nowUs()
    marbles(({ hot, expectObservable, expectSubscriptions }) => {
      const source = hot('--a 60m b|')
      expectObservable(source).toBe('--a 60m b|')
      expectSubscriptions(source.subscriptions).toBe('^-- 60m -!')
      expectObservable(timer(3_600_000).pipe(map(() => 'x'))).toBe('60m (x|)')
    })
    expect(liveClock.nowUs() - startedUs).to.be.below(10_000_000)
  })

  it('are the time of operators that are given their clock', () =>
    marbles(({ hot, clock, expectObservable }) => {
      const s = { kind: 'stale', idleMs: 4 }
      const source = hot('                                 a-b----------c-----|')
      expectObservable(source.pipe(staleAfter(4, clock))).toBe('a-b---s------c---s-|', { a: 'a', b: 'b', c: 'c', s })
    }))

  it('are the time of operators that are not, which tick on multiples since the first character', () =>
    marbles(({ hot, expectObservable }) => {
      const source = hot('                                        -a--b----c---|')
      expectObservable(source.pipe(sampleEvery({ everyMs: 5 }))).toBe('-----b----c--|')
    }))

  it('are in force when the observables of expectations are subscribed to, and not afterwards', () => {
    let seen: unknown[] = []
    marbles(({ clock, expectObservable }) => {
      const asking = new Observable<number>((out) => {
        seen = [currentClock() === clock, currentWaits() === clock, currentRandom()()]
        out.next(currentClock().nowUs())
        out.complete()
      })
      expectObservable(asking).toBe('(a|)', { a: 0 })
    })
    expect(seen.slice(0, 2)).to.deep.equal([true, true])
    expect(seen[2]).to.be.within(0, 1)
    expect(currentClock()).to.equal(liveClock)
  })

  it('compare deeply: Maps, typed arrays, NaN', () =>
    marbles(({ hot, expectObservable }) => {
      const value = (): unknown => ({ map: new Map([['a', NaN]]), column: new Float64Array([1, 2]), left: undefined })
      expectObservable(hot('a|', { a: value() })).toBe('a|', { a: value() })
    }))

  it('say when, and what, and where in it, when something else comes', () => {
    const message = failureOf(() =>
      marbles(({ hot, expectObservable }) => {
        const values = { a: { price: 1 }, b: { price: 2, size: undefined } }
        expectObservable(hot('a-b|', values)).toBe('a-b|', { a: { price: 1 }, b: { price: 3 } })
      }),
    )
    expect(message.split('\n').slice(0, 5)).to.deep.equal([
      'The marbles differ.',
      '  expected the value { price: 3 } at 2 ms',
      '  got      the value { price: 2, size: undefined } at 2 ms',
      '  the value at .price: expected 3, got 2',
      '  the value at .size: expected no such field, got undefined',
    ])
    expect(message).to.include('All that came:\n  the value { price: 1 } at 0 ms\n')
  })

  it('fail when a value is missing, too many, or late, when the end or the error is another', () => {
    for (const [came, expected, line] of [
      ['a|', 'ab|', /expected the value 'b' at 1 ms\n {2}got {6}the end at 1 ms/],
      ['ab|', 'a-|', /expected the end at 2 ms\n {2}got {6}the value 'b' at 1 ms/],
      ['-a|', 'a-|', /expected the value 'a' at 0 ms\n {2}got {6}the value 'a' at 1 ms/],
      ['a', 'a|', /expected the end at 1 ms\n {2}got {6}nothing more/],
      ['a#', 'a|', /expected the end at 1 ms\n {2}got {6}the error 'error' at 1 ms/],
    ] as const) {
      const failing = (): void => marbles(({ cold, expectObservable }) => expectObservable(cold(came)).toBe(expected))
      expect(failureOf(failing), `${came} for ${expected}`).to.match(line)
    }
  })

  it('fail when a subscription is another than expected', () => {
    const message = failureOf(() =>
      marbles(({ hot, expectObservable, expectSubscriptions }) => {
        const source = hot('a-b-c')
        expectObservable(source, '^--!').toBe('a-b')
        expectSubscriptions(source.subscriptions).toBe('^---!')
      }),
    )
    expect(message).to.include('expected a subscription from 0 ms to 4 ms\n  got      a subscription from 0 ms to 3 ms')
  })

  it('show observables within observables as their own marbles', () => {
    const message = failureOf(() =>
      marbles(({ cold, expectObservable }) => {
        expectObservable(of(cold('x|'))).toBe('(a|)', { a: cold('y|') })
      }),
    )
    expect(message).to.include("the value [the value 'y' at 0 ms; the end at 1 ms] at 0 ms")
  })

  it('let an error of the body through as it is', () => {
    expect(() =>
      marbles(() => {
        throw new RangeError('mine')
      }),
    ).to.throw(RangeError, 'mine')
  })
})
