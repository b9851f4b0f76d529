import { expect } from 'chai'
import fc from 'fast-check'
import { Fault } from '../../src/model/fault'
import {
  columnsOf,
  packColumns,
  packDepths,
  sortedColumns,
  unpackColumns,
  unpackDepths,
} from '../../src/workers/bookColumns'
import { bookDepth } from '../../src/workers/bookDepth'
import { Transferred } from '../../src/workers/transferred'

const column = fc.array(fc.double(), { maxLength: 20 }).map((values) => Float64Array.from(values))
const records = fc
  .integer({ min: 1, max: 4 })
  .chain((width) => fc.array(fc.array(column, { minLength: width, maxLength: width }), { maxLength: 8 }))
const side = fc
  .array(fc.tuple(fc.double({ noNaN: true }), fc.double({ noNaN: true })), { maxLength: 20 })
  .map((levels) => ({
    prices: Float64Array.from(levels, ([price]) => price),
    sizes: Float64Array.from(levels, ([, size]) => size),
  }))
const books = fc.array(
  fc.record({ bids: side, asks: side, bucketSize: fc.option(fc.double({ min: 1e-6, max: 1e6 }), { nil: undefined }) }),
  { maxLength: 8 },
)

describe('columns in one buffer', () => {
  const refused = (unpack: () => unknown): void => {
    expect(unpack).to.throw(Fault).with.property('code', 'VALUE_INVALID')
  }

  it('come back as they were, NaN and -0 included', () => {
    fc.assert(fc.property(records, (given) => void expect(unpackColumns(packColumns(given))).to.deep.equal(given)))
  })

  it('come back as they were when they are books', () => {
    fc.assert(
      fc.property(books, (given) => {
        const sides = given.map(({ bids, asks, bucketSize }) => ({
          bidPrices: bids.prices,
          bidSizes: bids.sizes,
          askPrices: asks.prices,
          askSizes: asks.sizes,
          bucketSize,
        }))
        const depths = sides.map(bookDepth)
        expect(unpackDepths(packDepths(depths))).to.deep.equal(depths)
        const sorted = sortedColumns(sides.map(columnsOf))
        expect(unpackDepths(sorted instanceof Transferred ? sorted.value : sorted)).to.deep.equal(depths)
      }),
    )
  })

  it('are copied, so that what was packed stays usable', () => {
    const values = Float64Array.of(1, 2, 3)
    const packed = packColumns([[values]])
    packed.fill(0)
    expect(values).to.deep.equal(Float64Array.of(1, 2, 3))
  })

  it('refuse books whose columns do not match', () => {
    const one = Float64Array.of(1)
    const none = new Float64Array(0)
    refused(() => columnsOf({ bidPrices: one, bidSizes: none, askPrices: none, askSizes: none }))
    refused(() => columnsOf({ bidPrices: one, bidSizes: one, askPrices: none, askSizes: one }))
    refused(() => packColumns([[one], [one, one]]))
  })

  it('refuse a buffer of other things, instead of reading past its end or allocating what it claims', () => {
    for (const wrong of [
      [],
      [1],
      [Number.NaN, 1],
      [-1, 1],
      [1.5, 1],
      [1e15, 0],
      [1e9, 1e9],
      [1, 1, 5, 0],
      [1, 1, Number.NaN],
      [1, 1, -1],
      [1, 1, 1, 7, 7],
      [2, 1, 1, 1, 7],
    ]) {
      refused(() => unpackColumns(Float64Array.from(wrong)))
    }
    refused(() => unpackDepths(packColumns([[Float64Array.of(1)]])))
  })

  it('refuse any cut of a packed buffer', () => {
    const packed = packColumns([[Float64Array.of(1, 2), Float64Array.of(3)]])
    for (let length = 0; length < packed.length; length++) refused(() => unpackColumns(packed.subarray(0, length)))
  })
})
