import { expect } from 'chai'
import fc from 'fast-check'
import { readValue, wordsOf, writeValue, type Words } from '../../src/workers/ringValues'

function memory(words: number): Words {
  const buffer = new SharedArrayBuffer(words * 8)
  return { words: new Float64Array(buffer), bytes: new Uint8Array(buffer), ints: new Int32Array(buffer) }
}

/** What comes back, from a place that is not the beginning; undefined for what has no form. */
function crossed(value: unknown): { readonly value: unknown } | undefined {
  const words = wordsOf(value, 10_000)
  if (words < 0) return undefined
  const to = memory(words + 3)
  expect(writeValue(to, 3, value)).to.equal(words + 3)
  return { value: readValue(to, 3) }
}

const plain = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5 },
    fc.double(),
    fc.integer(),
    fc.boolean(),
    fc.constantFrom(null, undefined),
    fc.string({ unit: 'binary' }),
    fc.float64Array(),
    fc.float32Array(),
    fc.int32Array(),
    fc.uint8Array(),
    fc.bigInt64Array(),
    fc.array(fc.double()),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(
      fc.string().filter((name) => name !== '__proto__'),
      tie('value'),
      { maxKeys: 5, noNullPrototype: true },
    ),
  ),
})).value

describe('ringValues', () => {
  it('brings plain values and columns back as structured clone would', () => {
    fc.assert(
      fc.property(plain, (value) => {
        expect(crossed(value)).to.deep.equal({ value: structuredClone(value) })
      }),
      { numRuns: 500 },
    )
  })

  it('keeps minus zero, numbers that are none, and every unit of a text', () => {
    for (const value of [-0, Number.NaN, Infinity, 2 ** 53, '\0', '\ud800', '💧', [-0, Number.NaN]]) {
      expect(crossed(value)!.value).to.deep.equal(value)
    }
  })

  it('copies of a view what it shows, into memory of its own', () => {
    const pool = Buffer.from('a larger pool')
    const bytes = crossed(pool.subarray(2, 8))!.value as Uint8Array
    expect(bytes.constructor).to.equal(Uint8Array)
    expect(Buffer.from(bytes).toString()).to.equal('larger')
    expect(bytes.buffer.byteLength).to.equal(6)
    const numbers = crossed(Float64Array.of(1, 2, 3).subarray(1))!.value as Float64Array
    expect(numbers).to.deep.equal(Float64Array.of(2, 3))
    expect(numbers.buffer).to.be.instanceOf(ArrayBuffer)
  })

  it('has no form for what only structured clone can carry, or nothing can', () => {
    const circle: unknown[] = []
    circle.push(circle)
    class Row {
      readonly price = 1
    }
    for (const value of [
      new Date(),
      new Map(),
      new Row(),
      Object.create(null),
      1n,
      () => undefined,
      Symbol(),
      new DataView(new ArrayBuffer(8)),
      new Int32Array(new SharedArrayBuffer(4)),
      circle,
      JSON.parse('{"__proto__":1}'),
      'x'.repeat(2_000),
      [1, { deep: new Date() }],
    ]) {
      expect(crossed(value)).to.equal(undefined)
    }
  })

  it('says when a value takes more words than there may be, without looking at all of it', () => {
    expect(wordsOf(new Float64Array(10), 100)).to.equal(11)
    expect(wordsOf([new Float64Array(10)], 11)).to.equal(-1)
    expect(wordsOf(new Array(1e9), 100)).to.equal(-1)
    expect(wordsOf({ a: 'abcd', b: [1, 2] }, 9)).to.equal(-1)
    expect(wordsOf({ a: 'abcd', b: [1, 2] }, 10)).to.equal(10)
  })

  it('refuses words that nothing is written as', () => {
    const words = memory(4)
    words.ints[0] = 99
    expect(() => readValue(words, 0))
      .to.throw()
      .with.property('code', 'VALUE_INVALID')
  })
})
