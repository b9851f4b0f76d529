import { expect } from 'chai'
import fc from 'fast-check'
import { isDeepStrictEqual } from 'node:util'
import { Fault } from '../../src/model/fault'
import type { AssertionError } from '../../src/testing/assertionError'
import { differences, expectEqual, isEqual } from '../../src/testing/equality'
import { failureOf } from './failureOf'

class Level {
  constructor(
    readonly price: number,
    readonly size: number,
  ) {}
}

class Sealed {
  readonly #price: number
  constructor(price: number) {
    this.#price = price
  }
  get price(): number {
    return this.#price
  }
}

/** A record that holds itself. */
function circle(value: number): object {
  const made: Record<string, unknown> = { value }
  made['self'] = made
  return made
}

describe('Deep equality', () => {
  const same = Symbol('same')
  const equal: readonly (readonly [string, unknown, unknown])[] = [
    ['numbers that are none', NaN, NaN],
    ['lists', [1, [2, 3]], [1, [2, 3]]],
    ['records, whatever the order of their fields', { a: 1, b: 2 }, { b: 2, a: 1 }],
    ['records without a prototype', Object.assign(Object.create(null) as object, { a: 1 }), { a: 1 }],
    ['fields that are undefined', { a: undefined }, { a: undefined }],
    ['objects of one class', new Level(1, 2), new Level(1, 2)],
    [
      'Maps, whatever their order',
      new Map([
        ['a', 1],
        ['b', 2],
      ] as const),
      new Map([
        ['b', 2],
        ['a', 1],
      ] as const),
    ],
    ['Maps whose keys are objects', new Map([[{ k: 1 }, 1]]), new Map([[{ k: 1 }, 1]])],
    ['Sets of objects', new Set([{ a: 1 }, { a: 2 }]), new Set([{ a: 2 }, { a: 1 }])],
    ['typed arrays', new Float64Array([1, NaN]), new Float64Array([1, NaN])],
    ['bytes', Buffer.from('abc'), Buffer.from('abc')],
    ['dates', new Date(5), new Date(5)],
    ['errors, wherever they were made', new Fault('BOOK_GAP', 'x', { a: 1 }), new Fault('BOOK_GAP', 'x', { a: 1 })],
    ['circles', circle(1), circle(1)],
    ['fields that are symbols', { [same]: 1 }, { [same]: 1 }],
    ['bigints', 10n, 10n],
  ]
  for (const [what, one, other] of equal) {
    it(`finds no difference between ${what} that are alike`, () => {
      expect(differences(one, other)).to.deep.equal([])
      expectEqual(one, other)
    })
  }

  const unlike: readonly (readonly [string, unknown, unknown, RegExp])[] = [
    ['zero and negative zero', 0, -0, /^expected -0, got 0$/],
    ['undefined and missing', { a: undefined }, {}, /^at \.a: expected no such field, got undefined$/],
    ['missing and undefined', {}, { a: undefined }, /^at \.a: expected undefined, got no such field$/],
    ['null and undefined', null, undefined, /^expected undefined, got null$/],
    ['a number and its text', 1, '1', /^expected '1', got 1$/],
    [
      'values deep inside',
      { book: { bids: [[1, 2]] } },
      { book: { bids: [[1, 3]] } },
      /^at \.book\.bids\[0\]\[1\]: expected 3, got 2$/,
    ],
    ['a list that is shorter', [1], [1, 2], /^at \[1\]: expected 2, got nothing$/],
    ['a list that is longer', [1, 2], [1], /^at \[1\]: expected nothing, got 2$/],
    ['a hole and undefined', new Array(1), [undefined], /^at \[0\]: expected undefined, got nothing$/],
    ['objects of different classes', new Level(1, 2), { price: 1, size: 2 }, /^expected the record .*, got the Level /],
    ['a list and a typed array', [1], new Uint8Array([1]), /^expected the Uint8Array .*, got the Array /],
    ['typed arrays', new Float64Array([1, 2]), new Float64Array([1, 3]), /^at \[1\]: expected 3, got 2$/],
    ['values of Maps', new Map([['a', 1]]), new Map([['a', 2]]), /^at \.get\('a'\): expected 2, got 1$/],
    ['keys of Maps', new Map([['a', 1]]), new Map([['b', 1]]), /^at \.get\('a'\): expected nothing, got 1$/],
    ['Sets', new Set([1]), new Set([2]), /^at \.has\(1\): expected false, got true$/],
    ['dates', new Date(1), new Date(2), /^at \.getTime\(\): expected 2, got 1$/],
    ['messages of errors', new Error('a'), new Error('b'), /^at \.message: expected 'b', got 'a'$/],
    [
      'codes of faults',
      new Fault('BOOK_GAP', 'x'),
      new Fault('BOOK_CROSSED', 'x'),
      /^at \.code: expected 'BOOK_CROSSED', got 'BOOK_GAP'$/,
    ],
    ['circles', circle(1), circle(2), /^at \.value: expected 2, got 1$/],
    ['functions', () => 1, () => 1, /shows nothing to compare$/],
    ['what keeps its state to itself', new Sealed(1), new Sealed(1), /shows nothing to compare$/],
    ['odd field names', { 'a b': 1 }, { 'a b': 2 }, /^at \['a b'\]: expected 2, got 1$/],
    ['patterns', /a/, /b/, /^expected \/b\/, got \/a\/$/],
  ]
  for (const [what, one, other, line] of unlike) {
    it(`tells the difference between ${what}, and where it is`, () => {
      const [first] = differences(one, other)
      expect(first?.replace(/^(.*), which shows.*?$/s, '$1, which shows nothing to compare')).to.match(line)
      expect(isEqual(one, other)).to.equal(false)
    })
  }

  it('fails with a sentence, what it got and what it expected, for any test runner', () => {
    const failing = (): void => expectEqual({ a: 1, b: 2 }, { a: 1, b: 3 }, 'The summary')
    expect(failureOf(failing)).to.equal('The summary is not what was expected:\n  at .b: expected 3, got 2')
    try {
      failing()
    } catch (thrown) {
      expect((thrown as AssertionError).actual).to.deep.equal({ a: 1, b: 2 })
      expect((thrown as AssertionError).expected).to.deep.equal({ a: 1, b: 3 })
      expect(thrown).to.have.property('showDiff', false)
    }
  })

  it('names the first differences of many, and keeps large values short', () => {
    const message = failureOf(() => expectEqual(new Array(10_000).fill(1), new Array(10_000).fill('x'.repeat(10_000))))
    expect(message).to.include('at [9]').and.include('  and more')
    expect(message).to.not.include('at [10]')
    expect(message.length).to.be.below(10_000)
  })

  it('agrees with Node on whatever can be made up, save the order of what has none', () => {
    const anything = fc.anything({ withMap: true, withSet: false, withTypedArray: true, withNullPrototype: false })
    fc.assert(
      fc.property(anything, anything, (one, other) => {
        expect(isEqual(one, other)).to.equal(isDeepStrictEqual(one, other))
      }),
      { numRuns: 2_000 },
    )
    fc.assert(
      fc.property(anything, (one) => {
        expect(differences(one, structuredClone(one))).to.deep.equal([])
      }),
      { numRuns: 1_000 },
    )
  })
})
