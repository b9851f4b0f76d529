import { expect } from 'chai'
import fc from 'fast-check'
import {
  decimal,
  decimalText,
  id,
  integer,
  invalid,
  isRecord,
  list,
  optionalDecimal,
  optionalInteger,
  record,
  text,
  timeUsFromMs,
  timeUsFromRfc3339,
  timeUsFromSeconds,
} from '../../../src/model/codec/wire'
import { Fault } from '../../../src/model/fault'

const READERS = {
  record,
  list,
  text,
  id,
  integer,
  optionalInteger,
  decimal,
  decimalText,
  optionalDecimal,
  timeUsFromMs,
  timeUsFromSeconds,
  timeUsFromRfc3339,
}

describe('A reader of wire fields', () => {
  for (const [name, read] of Object.entries(READERS)) {
    it(`${name} gives a value without NaN in it, or a fault that names the field, for anything at all`, () => {
      fc.assert(
        fc.property(fc.oneof(fc.jsonValue(), fc.double(), fc.string(), fc.constantFrom(...ODD)), (value) => {
          let given: unknown
          try {
            given = read(value, 'p')
          } catch (thrown) {
            expect(thrown).to.be.instanceOf(Fault)
            expect(thrown).to.include({ code: 'VALUE_INVALID' })
            expect((thrown as Fault).message).to.match(/^Field p is .+; expected .+\.$/s)
            return
          }
          if (typeof given === 'number') expect(Number.isFinite(given) || name === 'decimal').to.equal(true)
          expect(given).not.to.be.NaN
        }),
        { numRuns: 500 },
      )
    })
  }

  it('says what it found in few words, whatever its size', () => {
    const fault = invalid('p', 'x'.repeat(1_000_000), 'a price')
    expect(fault.message.length).to.be.below(200)
    expect(invalid('p', undefined, 'a price').message).to.equal('Field p is missing; expected a price.')
  })

  it('tells objects from lists and null', () => {
    expect([{}, [], null, 'a', 1].map(isRecord)).to.deep.equal([true, false, false, false, false])
    expect(() => record([], 'data')).to.throw('expected an object')
    expect(() => list({ length: 1 }, 'data')).to.throw('expected a list')
  })

  it('takes texts of 1 to 128 characters', () => {
    expect(text('a'.repeat(128), 's')).to.have.length(128)
    for (const value of ['', 'a'.repeat(129), 1, null]) expect(() => text(value, 's')).to.throw(Fault)
  })

  it('takes ids as texts or whole numbers that a double holds', () => {
    expect([id(5, 'i'), id('a-5', 'i'), id(2 ** 53 - 1, 'i')]).to.deep.equal(['5', 'a-5', '9007199254740991'])
    for (const value of [2 ** 53, 1.5, NaN, null, {}]) expect(() => id(value, 'i')).to.throw(Fault)
  })

  it('takes integers as numbers or digits, and none that a double would round', () => {
    expect([integer(7, 'n'), integer('7', 'n'), integer('-7', 'n'), integer(0, 'n')]).to.deep.equal([7, 7, -7, 0])
    for (const value of ['', '7.0', ' 7', '0x7', '1e3', 7.5, '9007199254740993', 2 ** 53, NaN, Infinity, null, [7]]) {
      expect(() => integer(value, 'n'), String(value)).to.throw(Fault)
    }
    expect([optionalInteger(undefined, 'n'), optionalInteger(null, 'n')]).to.deep.equal([undefined, undefined])
    expect(() => optionalInteger('', 'n')).to.throw(Fault)
  })

  it('takes decimals as texts or numbers', () => {
    expect([decimal('1.50', 'p'), decimal(1.5, 'p'), decimal('-1e-3', 'p')]).to.deep.equal([1.5, 1.5, -0.001])
    expect([decimalText('1.50', 'p'), decimalText(1e-7, 'p')]).to.deep.equal(['1.50', '1e-7'])
    for (const value of ['', 'NaN', 'Infinity', '1,5', '0x1', NaN, Infinity, null, undefined, {}, ['1']]) {
      expect(() => decimal(value, 'p'), JSON.stringify(value)).to.throw(Fault)
    }
  })

  it('takes an absent decimal for what the exchange did not say', () => {
    expect([undefined, null, '', '0', 0].map((value) => optionalDecimal(value, 'p'))).to.deep.equal([
      ...[undefined, undefined, undefined, 0, 0],
    ])
  })

  it('reads milliseconds', () => {
    expect(timeUsFromMs(1_723_161_255_612, 't')).to.equal(1_723_161_255_612_000)
    expect(timeUsFromMs('1723161255612', 't')).to.equal(1_723_161_255_612_000)
    for (const value of [0, -1, 1_723_161_255, 1_723_161_255_612_000, 1.5, '', null]) {
      expect(() => timeUsFromMs(value, 't'), String(value)).to.throw(Fault)
    }
  })

  it('reads seconds with as many decimals as are sent, to the microsecond', () => {
    for (const [value, timeUs] of [
      ['1618678157.908269', 1_618_678_157_908_269],
      ['1618678157.9', 1_618_678_157_900_000],
      ['1618678157', 1_618_678_157_000_000],
      ['1618678157.9082691', 1_618_678_157_908_269],
      [1_618_678_157.5, 1_618_678_157_500_000],
    ] as const) {
      expect(timeUsFromSeconds(value, 't'), String(value)).to.equal(timeUs)
    }
    for (const value of ['0', '-5.5', '1618678157908', '1.6e9x', '', null]) {
      expect(() => timeUsFromSeconds(value, 't'), String(value)).to.throw(Fault)
    }
  })

  it('does not take a time with an exponent for another time', () => {
    for (const value of ['1.6186781579e9', '16186781579e-1', 1e21]) {
      let timeUs: number | undefined
      try {
        timeUs = timeUsFromSeconds(value, 't')
      } catch (thrown) {
        expect(thrown).to.be.instanceOf(Fault)
      }
      if (timeUs !== undefined) expect(timeUs).to.equal(Math.floor(Number(value) * 1e6))
    }
  })

  it('reads RFC 3339 in UTC, to the microsecond', () => {
    for (const [value, timeUs] of [
      ['2021-04-17T16:49:17.908269Z', 1_618_678_157_908_269],
      ['2021-04-17T16:49:17Z', 1_618_678_157_000_000],
      ['2021-04-17T16:49:17.908269123+00:00', 1_618_678_157_908_269],
      ['2021-04-17T16:49:17.9Z', 1_618_678_157_900_000],
    ] as const) {
      expect(timeUsFromRfc3339(value, 't'), value).to.equal(timeUs)
    }
    for (const value of [
      ...['2021-04-17T16:49:17', '2021-04-17T16:49:17+02:00', '2021-13-17T16:49:17Z', '2021-04-17', '', 'now'],
      ...['9999-01-01T00:00:00Z', 1_618_678_157, null],
    ]) {
      expect(() => timeUsFromRfc3339(value, 't'), String(value)).to.throw(Fault)
    }
  })
})

const ODD: readonly unknown[] = [
  undefined,
  NaN,
  Infinity,
  -Infinity,
  -0,
  2 ** 53,
  '__proto__',
  Symbol.iterator,
  () => 1,
]
