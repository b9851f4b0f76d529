import { expect } from 'chai'
import { map, of, range, take } from 'rxjs'
import type { BookView } from '../../src/book/bookView'
import type { Batch } from '../../src/model/events'
import { Fault } from '../../src/model/fault'
import { summarizeBooks, type BookSummary } from '../../src/operators/summarizeBooks'
import { viewOf } from '../kit/marketEvents'
import { keepsTheLaws } from './laws'

describe('summarizeBooks', () => {
  const view = viewOf(
    [
      [99, 3],
      [98, 5],
      [97, 100],
    ],
    [
      [101, 1],
      [102, 1],
      [103, 100],
    ],
    { receiveTimeUs: 7, exchangeTimeUs: 5 },
  )

  keepsTheLaws(() => summarizeBooks({ levels: 2 }), [[view]])

  const summaries = (batch: Batch<BookView>, levels = 2): BookSummary[] => {
    const out: BookSummary[] = []
    of(batch)
      .pipe(summarizeBooks({ levels }))
      .subscribe((rows) => out.push(...rows))
    return out
  }

  it('says of each view its best prices, spread, depth and imbalance', () => {
    expect(summaries([view])).to.deep.equal([
      {
        kind: 'summary',
        exchange: 'kraken',
        symbol: 'BTC/USD',
        instrument: 'BTC-USD',
        exchangeTimeUs: 5,
        receiveTimeUs: 7,
        bidPrice: 99,
        bidSize: 3,
        askPrice: 101,
        askSize: 1,
        mid: 100,
        spread: 2,
        spreadBps: 200,
        bidDepth: 8,
        askDepth: 2,
        imbalance: 0.6,
      },
    ])
  })

  it('keeps the order and the number of the views', () => {
    const other = viewOf([[1, 1]], [[2, 1]], { symbol: 'ETH/USD' })
    expect(summaries([view, other, view]).map(({ symbol }) => symbol)).to.deep.equal(['BTC/USD', 'ETH/USD', 'BTC/USD'])
  })

  it('leaves undefined what a one-sided book does not have', () => {
    const [summary] = summaries([viewOf([[99, 3]], [])])
    expect(summary).to.include({ bidPrice: 99, bidSize: 3, bidDepth: 3, askDepth: 0, imbalance: 1 })
    for (const name of ['askPrice', 'askSize', 'mid', 'spread', 'spreadBps'] as const) {
      expect(summary![name], name).to.equal(undefined)
    }
  })

  it('leaves everything undefined of an empty book', () => {
    const [summary] = summaries([viewOf([], [])])
    expect(summary).to.include({ bidDepth: 0, askDepth: 0 })
    for (const name of ['bidPrice', 'askPrice', 'mid', 'spread', 'spreadBps', 'imbalance'] as const) {
      expect(summary![name], name).to.equal(undefined)
    }
  })

  it('shows a crossed book as it is', () => {
    expect(summaries([viewOf([[101, 1]], [[99, 1]])])[0]).to.include({ spread: -2, mid: 100, spreadBps: -200 })
  })

  it('emits nothing for an empty batch', () => {
    expect(summaries([])).to.deep.equal([])
  })

  it('ends an endless synchronous source when downstream has enough', () => {
    let taken = 0
    range(0, Number.MAX_SAFE_INTEGER)
      .pipe(
        map(() => [view]),
        summarizeBooks({ levels: 1 }),
        take(3),
      )
      .subscribe(() => taken++)
    expect(taken).to.equal(3)
  })

  for (const levels of [0, -1, 1.5, NaN, Infinity]) {
    it(`refuses ${levels} levels`, () => {
      expect(() => summarizeBooks({ levels })).to.throw(Fault, /summarizeBooks: levels is/)
    })
  }
})
