import { expect } from 'chai'
import fc from 'fast-check'
import { bookDepth, type BookSides } from '../../src/workers/bookDepth'

const columns = (...values: number[]): Float64Array => Float64Array.of(...values)
const book = (bids: [number, number][], asks: [number, number][], bucketSize?: number): BookSides => ({
  bidPrices: Float64Array.from(bids, ([price]) => price),
  bidSizes: Float64Array.from(bids, ([, size]) => size),
  askPrices: Float64Array.from(asks, ([price]) => price),
  askSizes: Float64Array.from(asks, ([, size]) => size),
  bucketSize,
})

describe('bookDepth', () => {
  it('sorts bids from the highest and asks from the lowest, each size with its price', () => {
    const { bids, asks, ignored } = bookDepth(
      book(
        [
          [99, 1],
          [101, 2],
          [100, 3],
        ],
        [
          [104, 4],
          [102, 5],
          [103, 6],
        ],
      ),
    )
    expect(bids.prices).to.deep.equal(columns(101, 100, 99))
    expect(bids.sizes).to.deep.equal(columns(2, 3, 1))
    expect(asks.prices).to.deep.equal(columns(102, 103, 104))
    expect(asks.sizes).to.deep.equal(columns(5, 6, 4))
    expect(ignored).to.equal(0)
  })

  it('adds up size and notional from the best level on', () => {
    const { bids, asks } = bookDepth(
      book(
        [
          [10, 1],
          [9, 2],
        ],
        [
          [11, 3],
          [12, 4],
        ],
      ),
    )
    expect(bids.cumulativeSizes).to.deep.equal(columns(1, 3))
    expect(bids.cumulativeNotional).to.deep.equal(columns(10, 28))
    expect(asks.cumulativeSizes).to.deep.equal(columns(3, 7))
    expect(asks.cumulativeNotional).to.deep.equal(columns(33, 81))
  })

  it('gathers bids down to and asks up to the border of their bucket', () => {
    const { bids, asks } = bookDepth(
      book(
        [
          [99.7, 1],
          [99, 2],
          [98.99, 4],
        ],
        [
          [100.2, 1],
          [101, 2],
          [101.01, 4],
        ],
        1,
      ),
    )
    expect(bids.bucketPrices).to.deep.equal(columns(99, 98))
    expect(bids.bucketSizes).to.deep.equal(columns(3, 4))
    expect(bids.bucketNotional[0]).to.be.closeTo(99.7 + 198, 1e-9)
    expect(asks.bucketPrices).to.deep.equal(columns(101, 102))
    expect(asks.bucketSizes).to.deep.equal(columns(3, 4))
  })

  it('puts a price on a border into its bucket although doubles miss it, and names buckets by decimal prices', () => {
    const prices = [0.1, 0.2, 0.3, 0.6, 0.7]
    const { bids, asks } = bookDepth(
      book(
        prices.map((price) => [price, 1]),
        prices.map((price) => [price, 1]),
        0.1,
      ),
    )
    expect(asks.bucketPrices).to.deep.equal(columns(...prices))
    expect(bids.bucketPrices).to.deep.equal(columns(...prices.reverse()))
    const wide = bookDepth(book([], [[30_007, 1]], 2.5))
    expect(wide.asks.bucketPrices).to.deep.equal(columns(30_007.5))
  })

  it('has no buckets without a usable width', () => {
    for (const bucketSize of [undefined, 0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(bookDepth(book([[1, 1]], [[2, 1]], bucketSize)).bids.bucketPrices).to.have.length(0)
    }
  })

  it('gives empty columns for an empty side', () => {
    const { bids, asks } = bookDepth(book([], [[2, 1]], 1))
    for (const column of Object.values(bids)) expect(column).to.have.length(0)
    expect(asks.prices).to.have.length(1)
  })

  it('leaves out and counts what is no level', () => {
    const { bids, ignored } = bookDepth(
      book(
        [
          [Number.NaN, 1],
          [100, 0],
          [99, Number.NaN],
          [98, -1],
          [Number.POSITIVE_INFINITY, 1],
          [97, Number.POSITIVE_INFINITY],
          [96, 2],
        ],
        [[Number.NaN, Number.NaN]],
      ),
    )
    expect(bids.prices).to.deep.equal(columns(96))
    expect(ignored).to.equal(7)
  })

  it('equals sorting pairs, for any levels, and leaves its input as it was', () => {
    const level = fc.tuple(fc.integer({ min: -20, max: 40 }), fc.integer({ min: 1, max: 1_000 }))
    fc.assert(
      fc.property(fc.array(level, { maxLength: 60 }), fc.array(level, { maxLength: 60 }), (bidLevels, askLevels) => {
        const scaled = (levels: [number, number][]): [number, number][] => levels.map(([p, s]) => [p / 8, s / 16])
        const sides = book(scaled(bidLevels), scaled(askLevels), 0.5)
        const before = structuredClone(sides)
        const { bids, asks, ignored } = bookDepth(sides)
        const pairs = ({ prices, sizes }: { prices: Float64Array; sizes: Float64Array }): [number, number][] =>
          Array.from(prices, (price, index) => [price, sizes[index]!])
        const numbers = (levels: [number, number][]): [number, number][] => levels.map(([p, s]) => [p + 0, s])

        expect(pairs(bids)).to.deep.equal(numbers(scaled(bidLevels).toSorted(([a], [b]) => b - a)))
        expect(pairs(asks)).to.deep.equal(numbers(scaled(askLevels).toSorted(([a], [b]) => a - b)))
        expect(ignored).to.equal(0)
        for (const side of [bids, asks]) {
          expect(side.bucketSizes.reduce((sum, size) => sum + size, 0)).to.equal(side.cumulativeSizes.at(-1) ?? 0)
          expect(side.bucketNotional.reduce((sum, size) => sum + size, 0)).to.be.closeTo(
            side.cumulativeNotional.at(-1) ?? 0,
            1e-9,
          )
          expect(new Set(side.bucketPrices).size).to.equal(side.bucketPrices.length)
        }
        expect(sides).to.deep.equal(before)
      }),
    )
  })
})
