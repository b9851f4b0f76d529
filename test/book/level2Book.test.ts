import { expect } from 'chai'
import fc from 'fast-check'
import { BookView } from '../../src/book/bookView'
import { Level2Book, type BookSide } from '../../src/book/level2Book'
import type { Level, LevelText } from '../../src/model/events'
import { delta, snapshot } from '../kit/marketEvents'

/** The plainest book there is: texts by price, sorted whenever somebody asks. */
class NaiveSide {
  private readonly byPrice = new Map<number, LevelText>()

  constructor(private readonly direction: 1 | -1) {}

  change(levels: readonly LevelText[]): void {
    for (const level of levels) {
      this.byPrice.delete(Number(level[0]))
      if (Number(level[1]) !== 0) this.byPrice.set(Number(level[0]), level)
    }
  }

  load(levels: readonly LevelText[]): void {
    this.byPrice.clear()
    this.change(levels)
  }

  cut(depth: number): void {
    for (const [price] of this.texts().slice(depth)) this.byPrice.delete(Number(price))
  }

  texts(): LevelText[] {
    return [...this.byPrice.values()].sort((a, b) => (Number(a[0]) - Number(b[0])) * this.direction)
  }

  levels(): Level[] {
    return this.texts().map(([price, size]) => [Number(price), Number(size)])
  }
}

const text = (price: number, size: number): LevelText => [String(price), String(size)]
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, index) => from + index)

describe('Level2Book', () => {
  it('is replaced by a snapshot and changed by deltas, best levels first', () => {
    const book = new Level2Book()
    book.snapshot(snapshot([text(99, 1), text(98, 2)], [text(101, 1), text(102, 2)]))
    book.delta(delta([text(98, 0), text(97, 5)], [text(100, 3), text(102, 4)]))
    expect(book.bids.top(9)).to.deep.equal([
      [99, 1],
      [97, 5],
    ])
    expect(book.asks.top(2)).to.deep.equal([
      [100, 3],
      [101, 1],
    ])
    book.snapshot(snapshot([text(1, 1)], []))
    expect([book.bids.top(9), book.asks.top(9)]).to.deep.equal([[[1, 1]], []])
  })

  it('shows every price as it came, also beside one of sixteen digits', () => {
    for (const fine of ['8191.302196246632', '8191.3021962466324623', '4503.599627370497', '4503599627370497']) {
      const book = new Level2Book()
      book.snapshot(snapshot([['8192.20', '1']], [['8192.35', '2']]))
      book.delta(delta([[fine, '3']], []))
      book.delta(delta([['8192.25', '4']], [[fine, '5']]))
      const sorted = (levels: Level[], sign: 1 | -1): Level[] => levels.sort(([a], [b]) => (a - b) * sign)
      const price = Number(fine)
      expect(book.bids.top(9), fine).to.deep.equal(
        sorted(
          [
            [8192.25, 4],
            [8192.2, 1],
            [price, 3],
          ],
          -1,
        ),
      )
      expect(book.asks.top(9), fine).to.deep.equal(
        sorted(
          [
            [8192.35, 2],
            [price, 5],
          ],
          1,
        ),
      )
    }
  })

  it('has no best price, and is not crossed, without levels', () => {
    const book = new Level2Book()
    expect(book.bids.bestPrice).to.be.NaN
    expect(book.asks.bestSize).to.be.NaN
    expect(book.crossed).to.equal(false)
    book.delta(delta([text(5, 1)], []))
    expect(book.crossed).to.equal(false)
    book.delta(delta([], [text(5, 1)]))
    expect(book.crossed).to.equal(true)
  })

  it('takes the removal of a level that it does not hold as nothing', () => {
    const book = new Level2Book()
    book.delta(delta([text(5, 0)], []))
    book.snapshot(snapshot([text(10, 1), text(8, 1)], []))
    book.delta(delta([text(11, 0), text(9, 0), text(7, 0)], []))
    expect(book.bids.top(9)).to.deep.equal([
      [10, 1],
      [8, 1],
    ])
  })

  it('applies the changes of one delta in the order given, several of one price included', () => {
    const book = new Level2Book()
    book.delta(delta([text(5, 1), text(5, 0), text(6, 1), text(5, 2), text(6, 0)], []))
    expect(book.bids.top(9)).to.deep.equal([[5, 2]])
  })

  it('reads a snapshot that is out of order, or names a price twice', () => {
    const book = new Level2Book()
    book.snapshot(snapshot([text(5, 1), text(7, 1), text(6, 1), text(7, 9), text(4, 0)], []))
    expect(book.bids.top(9)).to.deep.equal([
      [7, 9],
      [6, 1],
      [5, 1],
    ])
  })

  it('gives back the digits of the wire, of the latest change of a level', () => {
    const book = new Level2Book()
    book.snapshot(snapshot([['0.00000100', '12.50']], [['78871.60', '0.00005100']]))
    expect(book.bids.texts(9)).to.deep.equal([['0.00000100', '12.50']])
    expect(book.asks.texts(9)).to.deep.equal([['78871.60', '0.00005100']])
    book.delta(delta([['0.00000100', '12.5000']], []))
    expect(book.bids.texts(9)).to.deep.equal([['0.00000100', '12.5000']])
  })

  it('keeps texts that no double holds exactly, as long as their level has them', () => {
    const inexact = '0.123456789012345678'
    const book = new Level2Book()
    book.snapshot(snapshot([['3', inexact], ['2', '1']], [])) // prettier-ignore
    expect(book.bids.texts(9)).to.deep.equal([
      ['3', inexact],
      ['2', '1'],
    ])
    book.delta(delta([['2', inexact], ['3', '7.0']], [])) // prettier-ignore
    expect(book.bids.texts(9)).to.deep.equal([
      ['3', '7.0'],
      ['2', inexact],
    ])
    book.delta(delta([['2', '0']], []))
    book.delta(delta([['2', '4']], []))
    expect(book.bids.texts(9)).to.deep.equal([
      ['3', '7.0'],
      ['2', '4'],
    ])
  })

  it('drops what lies beyond the depth that an exchange keeps, after each change', () => {
    const book = new Level2Book()
    book.snapshot(snapshot([text(5, 1), text(4, 1), text(3, 1)], [], { depth: 2 }))
    expect(book.bids.top(9).map(([price]) => price)).to.deep.equal([5, 4])
    book.delta(delta([text(6, 1)], [], { depth: 2 }))
    book.delta(delta([text(6, 0)], [], { depth: 2 }))
    expect(book.bids.top(9).map(([price]) => price)).to.deep.equal([5])
  })

  it('splits and joins its storage without a trace, in rising, falling and mixed order', () => {
    for (const prices of [range(0, 500), range(0, 500).reverse(), range(0, 500).map((index) => (index * 263) % 500)]) {
      const book = new Level2Book()
      for (const price of prices) book.delta(delta([text(price + 1, 1)], [text(price + 1, 1)]))
      expect(book.asks.top(999).map(([price]) => price)).to.deep.equal(range(1, 501))
      expect(book.bids.top(999).map(([price]) => price)).to.deep.equal(range(1, 501).reverse())
      for (const price of prices) book.delta(delta([text(price + 1, 0)], []))
      expect(book.bids.length).to.equal(0)
      expect(book.bids.bestPrice).to.be.NaN
    }
  })

  it('keeps its views as they were when storage that they share is split, shortened and filled again', () => {
    const full = range(1, 65).map((price) => text(10 * price, 1))
    for (const price of [5, 155, 325, 335, 645]) {
      const book = new Level2Book()
      for (const level of full) book.delta(delta([], [level]))
      const view = BookView.of(delta([], []), book, Infinity)
      book.delta(delta([], [text(price, 9)]))
      book.delta(delta([], [text(price + 1, 9)]))
      expect(view.asks(), `split at ${price}`).to.deep.equal(full.map(([of]) => [Number(of), 1]))
    }
    const book = new Level2Book()
    for (const level of full) book.delta(delta([], [level]))
    const view = BookView.of(delta([], []), book, Infinity)
    book.cut(10)
    book.delta(delta([], [text(105, 9)]))
    expect(view.asks()).to.have.length(64)
    expect(view.asks()[10]).to.deep.equal([110, 1])
  })

  // Many prices make many chunks; few make many changes of one level. Both are needed.
  const priceArb = fc.oneof(fc.integer({ min: 1, max: 400 }), fc.integer({ min: 1, max: 12 }))
  const sizeArb = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom('0', '0.000') },
    { weight: 6, arbitrary: fc.constantFrom('1', '2.50', '0.00005100', '123456.7') },
    { weight: 1, arbitrary: fc.constantFrom('0.123456789012345678', '98765432109876543.21') },
  )
  const levelArb = fc
    .tuple(priceArb, fc.integer({ min: 0, max: 3 }), sizeArb)
    .map(([price, decimals, size]): LevelText => [price.toFixed(decimals), size])
  const levelsArb = fc.oneof(
    fc.array(levelArb, { maxLength: 8 }),
    fc.array(levelArb, { maxLength: 300, size: 'max' }),
    fc.uniqueArray(levelArb, { maxLength: 300, size: 'max', selector: ([price]) => Number(price) }),
  )
  const depthArb = fc.option(fc.integer({ min: 0, max: 150 }), { nil: undefined, freq: 4 })
  const stepArb = fc.oneof(
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('snapshot' as const), bids: levelsArb, asks: levelsArb, depth: depthArb }),
    },
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constant('delta' as const), bids: levelsArb, asks: levelsArb, depth: depthArb }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('cut' as const), depth: fc.integer({ min: 0, max: 250 }) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('view' as const), depth: fc.integer({ min: 1, max: 300 }) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('clear' as const) }) },
  )

  it('is always what a map that is sorted on demand would be, and its views never change', function () {
    this.timeout(60_000)
    fc.assert(
      fc.property(fc.array(stepArb, { maxLength: 25, size: 'max' }), (steps) => {
        const book = new Level2Book()
        const [bids, asks] = [new NaiveSide(-1), new NaiveSide(1)]
        const views: { view: BookView; bids: Level[]; asks: Level[] }[] = []
        for (const step of steps) {
          switch (step.do) {
            case 'snapshot':
            case 'delta': {
              const { depth } = step
              if (step.do === 'snapshot') {
                bids.load(step.bids)
                asks.load(step.asks)
                book.snapshot(snapshot(step.bids, step.asks, { depth }))
              } else {
                bids.change(step.bids)
                asks.change(step.asks)
                book.delta(delta(step.bids, step.asks, { depth }))
              }
              if (depth !== undefined) {
                bids.cut(depth)
                asks.cut(depth)
              }
              break
            }
            case 'cut':
              bids.cut(step.depth)
              asks.cut(step.depth)
              book.cut(step.depth)
              break
            case 'clear':
              bids.load([])
              asks.load([])
              book.clear()
              break
            case 'view':
              views.push({
                view: BookView.of(delta([], []), book, step.depth),
                bids: bids.levels().slice(0, step.depth),
                asks: asks.levels().slice(0, step.depth),
              })
              break
          }
          agrees(book.bids, bids)
          agrees(book.asks, asks)
        }
        for (const { view, bids: bidsThen, asks: asksThen } of views) {
          expect(view.bids()).to.deep.equal(bidsThen)
          expect(view.asks()).to.deep.equal(asksThen)
          expect(view.bestBid()?.price).to.equal(bidsThen[0]?.[0])
          expect(view.bestAsk()?.size).to.equal(asksThen[0]?.[1])
          expect(view.levels()).to.deep.equal([bidsThen.length, asksThen.length])
        }
      }),
      { seed: 3, numRuns: 100 },
    )
  })

  function agrees(side: BookSide, naive: NaiveSide): void {
    const texts = naive.texts()
    const levels = naive.levels()
    expect(side.length).to.equal(levels.length)
    expect(side.top(Infinity)).to.deep.equal(levels)
    expect(side.top(3)).to.deep.equal(levels.slice(0, 3))
    expect(side.texts(Infinity)).to.deep.equal(texts)
    if (levels.length > 0) expect([side.bestPrice, side.bestSize]).to.deep.equal(levels[0])
  }
})
