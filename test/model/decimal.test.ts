import { expect } from 'chai'
import fc from 'fast-check'
import {
  decimalsOf,
  isDecimal,
  isExactDecimal,
  printDecimal,
  shortDecimal,
  shortDecimals,
} from '../../src/model/decimal'

describe('isDecimal', () => {
  for (const text of ['0', '1', '-1', '0.1', '100.50', '00.10', '1e5', '1.5E-7', '1e+3', '9'.repeat(40)]) {
    it(`takes ${text.slice(0, 12)}`, () => expect(isDecimal(text)).to.equal(true))
  }
  for (const text of [
    ...['', ' ', ' 1', '1 ', '+1', '.5', '5.', '1,5', '0x10', '1e', 'e5', '--1', 'NaN', 'Infinity', '1.2.3', '1_000'],
    ...['١', '1\n', '1e9999', '9'.repeat(41), `0.${'0'.repeat(41)}`],
  ]) {
    it(`refuses ${JSON.stringify(text.slice(0, 12))}`, () => expect(isDecimal(text)).to.equal(false))
  }

  it('refuses what is no text', () => {
    for (const value of [1, NaN, null, undefined, {}, [], ['1'], true]) expect(isDecimal(value)).to.equal(false)
  })

  it('decides quickly on a text of any length', () => {
    const started = process.cpuUsage()
    expect(isDecimal('1'.repeat(5_000_000))).to.equal(false)
    expect(process.cpuUsage(started).user / 1_000).to.be.below(1_000)
  })
})

describe('decimalsOf', () => {
  for (const [text, decimals] of [
    ['1', 0],
    ['1.0', 1],
    ['0.00000638', 8],
    ['-12.500', 3],
    ['1e5', 0],
    ['1.5e-7', 8],
    ['1.25e1', 1],
    ['1E-3', 3],
    ['2e-999', 100],
  ] as const) {
    it(`is ${decimals} of ${text}`, () => expect(decimalsOf(text)).to.equal(decimals))
  }
})

describe('shortDecimal', () => {
  const digits = fc.stringMatching(/^\d{0,9}$/)

  it('reads plain texts as the double nearest to them, with their decimals', () => {
    fc.assert(
      fc.property(digits, digits, fc.boolean(), (whole, fraction, hasPoint) => {
        const text = hasPoint ? `${whole}.${fraction}` : whole + fraction
        const value = shortDecimal(text)
        const isShort = isDecimal(text) && text.replace('.', '').length <= 15
        expect(Number.isNaN(value)).to.equal(!isShort)
        if (!isShort) return
        expect(value).to.equal(Number(text))
        expect(shortDecimals()).to.equal(decimalsOf(text))
        expect(isExactDecimal(text, value, shortDecimals())).to.equal(true)
      }),
      { numRuns: 5_000 },
    )
  })

  it('leaves everything else to whoever reads with care', () => {
    for (const text of [
      '',
      '.',
      '.5',
      '5.',
      '-1',
      '+1',
      '1e5',
      ' 1',
      '1 ',
      '1..2',
      '1.2.3',
      '1,5',
      '١',
      '9'.repeat(16),
    ]) {
      expect(shortDecimal(text), text).to.be.NaN
    }
    for (const value of [1, null, undefined, {}, ['1'], true]) expect(shortDecimal(value)).to.be.NaN
  })
})

describe('A decimal text', () => {
  it('of up to fifteen digits is printed back digit for digit', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 999_999_999_999_999n }), fc.nat(15), (digits, decimals) => {
        const text = plain(digits, decimals)
        const value = Number(text)
        expect(decimalsOf(text)).to.equal(decimals)
        expect(isExactDecimal(text, value, decimals)).to.equal(true)
        expect(printDecimal(value, decimals)).to.equal(text)
      }),
      { numRuns: 2_000 },
    )
  })

  it('of any length is printed back digit for digit, or is found to be inexact', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 30n }), fc.nat(30), (digits, decimals) => {
        const text = plain(digits, decimals)
        const value = Number(text)
        fc.pre(value < 1e21)
        expect(isExactDecimal(text, value, decimals)).to.equal(printDecimal(value, decimals) === text)
      }),
      { numRuns: 2_000 },
    )
  })

  it('with an exponent is exact exactly when the same digits without one are', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: -(10n ** 20n), max: 10n ** 20n }),
        fc.integer({ min: -90, max: 15 }),
        (mantissa, exponent) => {
          const text = `${mantissa}e${exponent}`
          const value = Number(text)
          fc.pre(Math.abs(value) < 1e21)
          const decimals = decimalsOf(text)
          const sign = mantissa < 0n ? '-' : ''
          const size = mantissa < 0n ? -mantissa : mantissa
          const same = sign + (exponent >= 0 ? String(size * 10n ** BigInt(exponent)) : plain(size, -exponent))
          expect(isExactDecimal(text, value, decimals), text).to.equal(printDecimal(value, decimals) === same)
        },
      ),
      { numRuns: 2_000 },
    )
  })

  for (const [text, exact] of [
    ['0.1', true],
    ['123456789012345', true],
    ['9007199254740993', false],
    ['9007199254740992', true],
    ['0.12345678901234567', false],
    ['0.30000000000000004', true],
    ['100000000000000000.5', false],
    ['0000000000000000.50', true],
    ['1e-7', true],
    ['1.5e-7', true],
    ['1e18', true],
    ['12345678901234567890e-2', false],
    ['0e-200', true],
    ['-0', true],
    ['-0.0000000000000000', true],
    // So small that a double is none of it: nothing must be taken for zero, which removes a level.
    ['1e-999', false],
    ['1e-150', false],
    ['5e-324', false],
    ['1e21', false],
  ] as const) {
    it(`${text} is ${exact ? 'exact' : 'inexact'}`, () =>
      expect(isExactDecimal(text, Number(text), decimalsOf(text))).to.equal(exact))
  }
})

/** Digits with a point before the last `decimals` of them. */
function plain(digits: bigint, decimals: number): string {
  const text = String(digits).padStart(decimals + 1, '0')
  return decimals === 0 ? text : `${text.slice(0, -decimals)}.${text.slice(-decimals)}`
}
