import { expect } from 'chai'
import { from, of, range, map, take, type Observable } from 'rxjs'
import type { Batch, BookChange, MarketEvent, Trade } from '../../src/model/events'
import { Fault } from '../../src/model/fault'
import { ofKind } from '../../src/operators/ofKind'
import { delta, notice, snapshot, trade } from '../kit/marketEvents'
import { keepsTheLaws } from './laws'

describe('ofKind', () => {
  keepsTheLaws(() => ofKind('trade'), [[trade()]])

  const batches: Batch<MarketEvent>[] = [
    [trade({ id: '1' }), notice('gap'), trade({ id: '2' })],
    [delta([], [])],
    [trade({ id: '3' })],
    [],
  ]

  it('passes the kinds asked for, in order and batch by batch, and no empty batches', () => {
    const out: string[][] = []
    from(batches)
      .pipe(ofKind('trade'))
      .subscribe((trades) => out.push([...trades].map(({ id }) => id!)))
    expect(out).to.deep.equal([['1', '2'], ['3']])
  })

  it('passes several kinds', () => {
    const out: string[][] = []
    from(batches)
      .pipe(ofKind('delta', 'notice'))
      .subscribe((events) => out.push([...events].map(({ kind }) => kind)))
    expect(out).to.deep.equal([['notice'], ['delta']])
  })

  it('passes a batch of nothing else without a copy', () => {
    const batch = [trade(), trade()]
    let passed: unknown
    of(batch)
      .pipe(ofKind('trade'))
      .subscribe((trades) => (passed = trades))
    expect(passed).to.equal(batch)
  })

  it('narrows the type of what it passes', () => {
    const events: Observable<Batch<MarketEvent>> = of([snapshot([], [])])
    const trades: Observable<Batch<Trade>> = events.pipe(ofKind('trade'))
    const changes: Observable<Batch<BookChange>> = events.pipe(ofKind('snapshot'))
    const both: Observable<Batch<Trade | BookChange>> = events.pipe(ofKind('trade', 'delta'))
    for (const narrowed of [trades, changes, both]) expect(narrowed).to.have.property('subscribe')
  })

  it('ends an endless synchronous source when downstream has enough', () => {
    let taken = 0
    range(0, Number.MAX_SAFE_INTEGER)
      .pipe(
        map(() => [trade()]),
        ofKind('trade'),
        take(3),
      )
      .subscribe(() => taken++)
    expect(taken).to.equal(3)
  })

  it('refuses a kind that is none, with the one that may be meant', () => {
    expect(() => ofKind('trades' as 'trade'))
      .to.throw(Fault, /'trades' is not a kind of event.*Did you mean trade\?/)
      .with.property('code', 'OPTION_INVALID')
    expect(() => (ofKind as () => unknown)()).to.throw(Fault, /no kind is named/)
  })
})
