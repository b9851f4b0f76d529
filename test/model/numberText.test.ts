import { expect } from 'chai'
import fc from 'fast-check'
import { numberText } from '../../src/model/numberText'

/** Of every size that prices, sizes and times have, and with every number of places. */
const decimal = fc
  .tuple(fc.bigInt({ min: 0n, max: 10n ** 16n }), fc.integer({ min: 0, max: 12 }))
  .map(([whole, places]) => Number(whole) / 10 ** places)

describe('the text of a number', () => {
  it('is that of JavaScript: of decimals', () => {
    fc.assert(
      fc.property(decimal, (number) => {
        expect(numberText(number)).to.equal(String(number))
      }),
      { seed: 1, numRuns: 20_000 },
    )
  })

  it('is that of JavaScript: of any double', () => {
    fc.assert(
      fc.property(fc.double(), (number) => {
        expect(numberText(number)).to.equal(String(number))
      }),
      { seed: 2, numRuns: 5_000 },
    )
  })

  it('is that of JavaScript: of doubles beside a decimal', () => {
    const bits = new DataView(new ArrayBuffer(8))
    fc.assert(
      fc.property(decimal, fc.integer({ min: -2, max: 2 }), (number, steps) => {
        bits.setFloat64(0, number)
        bits.setBigInt64(0, bits.getBigInt64(0) + BigInt(steps))
        const beside = bits.getFloat64(0)
        expect(numberText(beside)).to.equal(String(beside))
      }),
      { seed: 3, numRuns: 20_000 },
    )
  })

  it('is that of JavaScript where the ways to it part', () => {
    for (const number of [0, -0, 1e-6, 9.99e-7, 1e-7, 0.1, 1.5, 9_999_999, 9_999_999.99999999, 1e7, 1e7 + 0.5, -1.25]) {
      expect(numberText(number)).to.equal(String(number))
    }
    for (let places = 0; places <= 8; places++) {
      for (const whole of [1, 10, 101, 1_000, 99_999_999]) {
        const number = whole / 10 ** places
        expect(numberText(number)).to.equal(String(number))
      }
    }
  })
})
