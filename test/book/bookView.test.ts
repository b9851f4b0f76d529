import { expect } from 'chai'
import { BookView } from '../../src/book/bookView'
import { Level2Book } from '../../src/book/level2Book'
import type { Level } from '../../src/model/events'
import { delta, snapshot, viewOf } from '../kit/marketEvents'

describe('BookView', () => {
  const bids: Level[] = [
    [99, 1],
    [98, 2],
    [97, 3],
  ]
  const asks: Level[] = [
    [101, 4],
    [102, 5],
  ]

  it('says what book it is, of which moment and number', () => {
    const view = viewOf(bids, asks, { exchangeTimeUs: 3, receiveTimeUs: 4, seq: 5 })
    expect(view).to.include({
      kind: 'view',
      exchange: 'kraken',
      symbol: 'BTC/USD',
      instrument: 'BTC-USD',
      exchangeTimeUs: 3,
      receiveTimeUs: 4,
      seq: 5,
    })
  })

  it('gives the best levels of each side, as many as are asked for and there', () => {
    const view = viewOf(bids, asks)
    expect(view.bestBid()).to.deep.equal({ price: 99, size: 1 })
    expect(view.bestAsk()).to.deep.equal({ price: 101, size: 4 })
    expect(view.bids(2)).to.deep.equal(bids.slice(0, 2))
    expect(view.bids(0)).to.deep.equal([])
    expect(view.asks(9)).to.deep.equal(asks)
    expect(view.asks()).to.deep.equal(asks)
    expect(view.levels()).to.deep.equal([3, 2])
    expect(view.depthOf(2)).to.deep.equal([3, 9])
    expect(view.mid).to.equal(100)
    expect(view.crossed).to.equal(false)
  })

  describe('copyTop', () => {
    const topOf = (view: BookView, levels: number): number[] => {
      const top = new Float64Array(6)
      view.copyTop(top, levels)
      return [...top]
    }

    it('writes the best prices and sizes, and what the best levels come to', () => {
      expect(topOf(viewOf(bids, asks), 2)).to.deep.equal([99, 1, 101, 4, 3, 9])
      expect(topOf(viewOf(bids, asks), Infinity)).to.deep.equal([99, 1, 101, 4, 6, 9])
    })

    it('sums no more levels than the view shows', () => {
      expect(topOf(viewOf(bids, asks, {}, 1), 5)).to.deep.equal([99, 1, 101, 4, 1, 4])
    })

    it('has no prices and no sizes of an empty side, and a depth of 0', () => {
      expect(topOf(viewOf([], asks), 5)).to.deep.equal([NaN, NaN, 101, 4, 0, 9])
      expect(topOf(viewOf(bids, []), 5)).to.deep.equal([99, 1, NaN, NaN, 6, 0])
      expect(topOf(viewOf([], []), 5)).to.deep.equal([NaN, NaN, NaN, NaN, 0, 0])
    })

    it('says the same late as at once, whatever has become of the book', () => {
      const book = new Level2Book()
      const at = (): BookView =>
        BookView.of(
          { exchange: 'kraken', symbol: 'BTC/USD', instrument: 'BTC-USD', exchangeTimeUs: 1, receiveTimeUs: 2, seq: 3 },
          book,
          Infinity,
        )
      const moments: [BookView, number[]][] = []
      const look = (): void => {
        const view = at()
        moments.push([view, topOf(view, 2)])
      }
      book.snapshot(
        snapshot(
          [
            ['99', '1'],
            ['98', '2'],
            ['97', '3'],
          ],
          [
            ['101', '4'],
            ['102', '5'],
          ],
        ),
      )
      look()
      const better = [
        ['99', '0'],
        ['98.5', '7'],
      ] as const
      book.delta(delta(better, [['100', '2']]))
      look()
      book.delta(
        delta(
          ['98.5', '98', '97'].map((price) => [price, '0'] as const),
          [],
        ),
      )
      look()
      book.clear()
      look()
      expect(moments.map(([, top]) => top)).to.deep.equal([
        [99, 1, 101, 4, 3, 9],
        [98.5, 7, 100, 2, 9, 6],
        [NaN, NaN, 100, 2, 0, 6],
        [NaN, NaN, NaN, NaN, 0, 0],
      ])
      for (const [view, top] of moments) expect(topOf(view, 2)).to.deep.equal(top)
    })
  })

  it('shows no more levels than its depth, however it is asked', () => {
    const view = viewOf(bids, asks, {}, 1)
    expect(view.bids()).to.deep.equal([[99, 1]])
    expect(view.asks(9)).to.deep.equal([[101, 4]])
    expect(view.levels()).to.deep.equal([1, 1])
    expect(view.depthOf(9)).to.deep.equal([1, 4])
    expect(view.copySide('bids', new Float64Array(9), new Float64Array(9), 9)).to.equal(1)
  })

  it('knows no best level of an empty side', () => {
    const view = viewOf([], asks)
    expect(view.bestBid()).to.equal(undefined)
    expect(view.bestAsk()?.price).to.equal(101)
    expect(view.mid).to.be.NaN
    expect(view.crossed).to.equal(false)
    expect(view.depthOf(5)).to.deep.equal([0, 9])
  })

  it('is crossed when the best bid is at or above the best ask', () => {
    expect(viewOf([[101, 1]], [[101, 1]]).crossed).to.equal(true)
  })

  it('copies levels into columns across the joints of its storage', () => {
    const many = Array.from({ length: 200 }, (_, index): Level => [1_000 + index, index + 1])
    const view = viewOf([], many)
    const [prices, sizes] = [new Float64Array(150), new Float64Array(150)]
    expect(view.copySide('asks', prices, sizes, 150)).to.equal(150)
    expect([...prices]).to.deep.equal(many.slice(0, 150).map(([price]) => price))
    expect([...sizes]).to.deep.equal(many.slice(0, 150).map(([, size]) => size))
    expect(view.depthOf(150)[1]).to.equal((150 * 151) / 2)
  })

  it('does not change when the book behind it does, in any way', () => {
    const book = new Level2Book()
    const change = snapshot([['99', '1']], [['101', '1']])
    book.snapshot(change)
    const view = BookView.of(change, book, Infinity)
    for (const act of [
      () => book.delta(delta([['99', '7']], [['100', '1']])),
      () => book.delta(delta([['99', '0']], [])),
      () => book.cut(0),
      () => book.snapshot(snapshot([['5', '5']], [])),
      () => book.clear(),
    ]) {
      act()
      expect([view.bids(), view.asks(), view.bestBid()?.size]).to.deep.equal([[[99, 1]], [[101, 1]], 1])
    }
  })

  it('does not let a reader change another reader’s levels', () => {
    const view = viewOf(bids, asks)
    view.bids().length = 0
    expect(view.bids()).to.deep.equal(bids)
  })
})
