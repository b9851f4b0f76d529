import { expect } from 'chai'
import { EMPTY, NEVER, range, Subject, take } from 'rxjs'
import { runWithClock } from '../../src/clock/currentClock'
import { VirtualClock } from '../../src/clock/virtualClock'
import { Fault } from '../../src/model/fault'
import { staleAfter } from '../../src/operators/staleAfter'
import { marbles } from '../kit/marbles'

describe('staleAfter', () => {
  const s = { kind: 'stale', idleMs: 4 }

  it('passes values through while the source is lively', () =>
    marbles(({ hot, clock, expectObservable, expectSubscriptions }) => {
      const source = hot('  a-b-c-d|')
      const expected = '    a-b-c-d|'
      const subscribed = '  ^------!'
      expectObservable(source.pipe(staleAfter(4, clock))).toBe(expected)
      expectSubscriptions(source.subscriptions).toBe(subscribed)
    }))

  it('reports each silence once, then listens again', () =>
    marbles(({ hot, clock, expectObservable }) => {
      const source = hot('  a-b----------c-----|')
      const expected = '    a-b---s------c---s-|'
      expectObservable(source.pipe(staleAfter(4, clock))).toBe(expected, { a: 'a', b: 'b', c: 'c', s })
    }))

  it('reports a source that never says anything, once', () =>
    marbles(({ clock, expectObservable }) => {
      const expected = '    ----s-----------'
      expectObservable(NEVER.pipe(staleAfter(4, clock)), '^--------------!').toBe(expected, { s })
    }))

  it('completes at once with an empty source', () =>
    marbles(({ clock, expectObservable }) => {
      expectObservable(EMPTY.pipe(staleAfter(4, clock))).toBe('|')
    }))

  it('passes on the error of its source', () =>
    marbles(({ hot, clock, expectObservable }) => {
      const source = hot('  a-#')
      const expected = '    a-#'
      expectObservable(source.pipe(staleAfter(4, clock))).toBe(expected)
    }))

  it('unsubscribes from its source and stops its timer when it is left early', () =>
    marbles(({ hot, clock, expectObservable, expectSubscriptions }) => {
      const source = hot('  a-b-c-d-e-f')
      const left = '        ^----!     '
      const expected = '    a-b-c-     '
      expectObservable(source.pipe(staleAfter(4, clock)), left).toBe(expected)
      expectSubscriptions(source.subscriptions).toBe(left)
    }))

  it('leaves no timer behind when it completes, fails or is left', () => {
    const clock = new VirtualClock()
    const completed = new Subject<number>()
    const failed = new Subject<number>()
    completed.pipe(staleAfter(4, clock)).subscribe()
    failed.pipe(staleAfter(4, clock)).subscribe({ error: () => undefined })
    const left = NEVER.pipe(staleAfter(4, clock)).subscribe()
    expect(clock.pending).to.equal(3)
    completed.complete()
    failed.error(new Error('gone'))
    left.unsubscribe()
    expect(clock.pending).to.equal(0)
  })

  it('arms one timer for a thousand values', () => {
    const clock = new VirtualClock()
    const source = new Subject<number>()
    source.pipe(staleAfter(4, clock)).subscribe()
    for (let value = 0; value < 1_000; value++) source.next(value)
    expect(clock.pending).to.equal(1)
  })

  it('follows the time of the stream where it is subscribed to', () => {
    const clock = new VirtualClock()
    const seen: unknown[] = []
    runWithClock(clock, () => NEVER.pipe(staleAfter(4)).subscribe((value) => seen.push(value)))
    clock.advance(4)
    expect(seen).to.deep.equal([s])
  })

  it('stops an endless synchronous source when it is left early', () => {
    const values: unknown[] = []
    range(0, Number.MAX_SAFE_INTEGER)
      .pipe(staleAfter(4, new VirtualClock()), take(3))
      .subscribe((value) => values.push(value))
    expect(values).to.deep.equal([0, 1, 2])
  })

  for (const idleMs of [0, -1, Number.NaN, 2 ** 31]) {
    it(`refuses to wait ${idleMs} ms`, () => {
      expect(() => staleAfter(idleMs))
        .to.throw(Fault)
        .with.property('code', 'OPTION_INVALID')
    })
  }
})
