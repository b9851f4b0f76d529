import { expect } from 'chai'
import { concat, map, of, range, Subject, take } from 'rxjs'
import type { BookView } from '../../src/book/bookView'
import type { MarketEvent } from '../../src/model/events'
import { Fault } from '../../src/model/fault'
import { toBooks, type ToBooksOptions } from '../../src/operators/toBooks'
import { delta, notice, snapshot, trade } from '../kit/marketEvents'
import { keepsTheLaws } from './laws'

describe('toBooks', () => {
  const first = snapshot([['99', '1']], [['101', '2']])
  keepsTheLaws(() => toBooks(), [[first]])

  const started = (options?: ToBooksOptions) => {
    const source = new Subject<MarketEvent[]>()
    const out: BookView[][] = []
    source.pipe(toBooks(options)).subscribe((views) => out.push([...views]))
    return { source, out }
  }
  const short = (view: BookView): string =>
    `${view.symbol} ${JSON.stringify(view.bids())} ${JSON.stringify(view.asks())}`

  it('publishes the book of a snapshot and of every delta after it', () => {
    const { source, out } = started()
    source.next([first])
    source.next([delta([['99', '0']], [['100', '5']], { receiveTimeUs: 9, exchangeTimeUs: 8, seq: 7 })])
    expect(out.flat().map(short)).to.deep.equal(['BTC/USD [[99,1]] [[101,2]]', 'BTC/USD [] [[100,5],[101,2]]'])
    expect(out[1]![0]).to.include({
      exchange: 'kraken',
      instrument: 'BTC-USD',
      receiveTimeUs: 9,
      exchangeTimeUs: 8,
      seq: 7,
    })
  })

  it('publishes each touched book once per batch, as it is at its end', () => {
    const { source, out } = started()
    source.next([
      first,
      snapshot([['1', '1']], [['2', '1']], { symbol: 'ETH/USD', instrument: 'ETH-USD' }),
      delta([['98', '3']], []),
    ])
    expect(out.map((views) => views.map(short))).to.deep.equal([
      ['BTC/USD [[99,1],[98,3]] [[101,2]]', 'ETH/USD [[1,1]] [[2,1]]'],
    ])
    source.next([delta([], [['2', '9']], { symbol: 'ETH/USD', instrument: 'ETH-USD' })])
    expect(out[1]!.map(short)).to.deep.equal(['ETH/USD [[1,1]] [[2,9]]'])
  })

  it('says nothing for batches that touch no book', () => {
    const { source, out } = started()
    source.next([trade(), notice('connected', { symbol: '', instrument: undefined })])
    source.next([])
    expect(out).to.deep.equal([])
  })

  it('says nothing about a book without a snapshot', () => {
    const { source, out } = started()
    source.next([delta([['99', '1']], [])])
    expect(out).to.deep.equal([])
  })

  for (const code of ['gap', 'disconnected', 'dropped'] as const) {
    it(`falls silent after a ${code} until the next snapshot, without the levels from before`, () => {
      const { source, out } = started()
      source.next([first])
      source.next([notice(code)])
      source.next([delta([['98', '1']], [])])
      expect(out).to.have.length(1)
      source.next([snapshot([['97', '1']], [])])
      expect(out.slice(1).flat().map(short)).to.deep.equal(['BTC/USD [[97,1]] []'])
    })
  }

  it('does not publish a book that fell into doubt later in the batch, and does when it was repaired in it', () => {
    const { source, out } = started()
    source.next([first, notice('gap')])
    source.next([notice('gap'), snapshot([['97', '1']], [])])
    expect(out.flat().map(short)).to.deep.equal(['BTC/USD [[97,1]] []'])
  })

  it('keeps a book through notices that cast no doubt, and through those about others', () => {
    const { source, out } = started()
    source.next([first])
    source.next([
      notice('resynced'),
      notice('stale'),
      notice('connected'),
      notice('gap', { symbol: 'ETH/USD', instrument: 'ETH-USD' }),
      notice('gap', { exchange: 'okx' }),
      notice('disconnected', { symbol: '', instrument: undefined }),
      delta([['98', '1']], []),
    ])
    expect(out).to.have.length(2)
  })

  it('falls silent for a whole exchange when something was dropped and it is not said what', () => {
    const { source, out } = started()
    const other = { symbol: 'ETH/USD', instrument: 'ETH-USD' }
    const elsewhere = { ...other, exchange: 'okx' }
    source.next([first, snapshot([], [], other), snapshot([], [], elsewhere)])
    source.next([notice('dropped', { symbol: '', instrument: undefined })])
    source.next([delta([['98', '1']], []), delta([], [], other), delta([], [], elsewhere)])
    expect(out[1]!.map(({ exchange }) => exchange)).to.deep.equal(['okx'])
  })

  it('keeps books of one symbol apart: of two exchanges, and of two instruments', () => {
    const { source, out } = started()
    source.next([
      first,
      snapshot([['1', '1']], [], { exchange: 'okx' }),
      snapshot([['2', '1']], [], { instrument: 'X' }),
    ])
    expect(out[0]!.map((view) => view.bestBid()?.price)).to.deep.equal([99, 1, 2])
  })

  it('knows instruments without a unified name by their symbol', () => {
    const { source, out } = started()
    source.next([snapshot([['1', '1']], [], { instrument: undefined })])
    source.next([delta([['2', '1']], [], { instrument: undefined })])
    source.next([notice('gap', { instrument: undefined }), delta([['3', '1']], [], { instrument: undefined })])
    expect(out.flat().map(short)).to.deep.equal(['BTC/USD [[1,1]] []', 'BTC/USD [[2,1],[1,1]] []'])
  })

  it('shows only the levels asked for, and keeps those behind them for when they come up', () => {
    const { source, out } = started({ depth: 1 })
    source.next([snapshot([['99', '1'], ['98', '2']], [['101', '1'], ['102', '2']])]) // prettier-ignore
    source.next([delta([['99', '0']], [['101', '0']])])
    expect(out.flat().map(short)).to.deep.equal(['BTC/USD [[99,1]] [[101,1]]', 'BTC/USD [[98,2]] [[102,2]]'])
  })

  it('publishes views that never change afterwards', () => {
    const { source, out } = started()
    source.next([first])
    const before = short(out[0]![0]!)
    source.next([delta([['99', '7'], ['98', '1']], [['101', '0']])]) // prettier-ignore
    source.next([notice('gap')])
    expect(short(out[0]![0]!)).to.equal(before)
  })

  it('drops the book that has not changed for longest when it has too many', () => {
    const { source, out } = started({ booksMax: 2 })
    const at = (symbol: string, receiveTimeUs: number) => ({ symbol, instrument: symbol, receiveTimeUs })
    source.next([snapshot([], [], at('A', 1)), snapshot([], [], at('B', 2))])
    source.next([delta([], [], at('A', 3)), snapshot([], [], at('C', 4))])
    source.next([delta([], [], at('A', 5)), delta([], [], at('B', 6)), delta([], [], at('C', 7))])
    expect(out.map((views) => views.map(({ symbol }) => symbol).join(''))).to.deep.equal(['AB', 'AC', 'AC'])
  })

  it('ends an endless synchronous source when downstream has enough', () => {
    let taken = 0
    concat(of(first), range(1, Number.MAX_SAFE_INTEGER).pipe(map((size) => delta([['99', String(size)]], []))))
      .pipe(
        map((change) => [change]),
        toBooks(),
        take(3),
      )
      .subscribe(() => taken++)
    expect(taken).to.equal(3)
  })

  it('refuses unusable options', () => {
    expect(() => toBooks({ depth: 0 })).to.throw(Fault, /toBooks: depth is 0/)
    expect(() => toBooks({ booksMax: NaN })).to.throw(Fault, /toBooks: booksMax is NaN/)
    expect(() => toBooks({ depth: Infinity })).not.to.throw()
  })
})
