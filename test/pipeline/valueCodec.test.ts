import { expect } from 'chai'
import fc from 'fast-check'
import { isDeepStrictEqual } from 'node:util'
import { BookView } from '../../src/book/bookView'
import type { Fault } from '../../src/model/fault'
import { decodeValue, encodeValue, VALUE_CHARS_MAX, VALUE_DEPTH_MAX } from '../../src/pipeline/valueCodec'
import { delta, notice, snapshot, trade, viewOf } from '../kit/marketEvents'

const back = (value: unknown): unknown => decodeValue(encodeValue(value))

const refusal = (act: () => unknown): Fault => {
  try {
    act()
  } catch (thrown) {
    return thrown as Fault
  }
  throw new Error('it was not refused')
}

describe('The text of a value', () => {
  it('gives market events back field by field, in their order', () => {
    const events = [
      trade({ id: '7', receiveTimeUs: 1_700_000_000_000_001 }),
      snapshot([['99.5', '1.25']], [['100.123456789012345678', '2']], { seq: 3 }),
      delta([['99.5', '0']], []),
      notice('dropped', { details: { events: 3, of: 'book' } }),
    ]
    const read = back(events) as typeof events
    expect(read).to.deep.equal(events)
    expect(read.map((event) => Object.keys(event))).to.deep.equal(events.map((event) => Object.keys(event)))
  })

  it('is one line, and the plain JSON of what JSON can say', () => {
    const value = { text: 'two\nlines\u2028 and "quotes" \ud800', list: [1, 2.5, 1e21, null, true], empty: {} }
    expect(encodeValue(value)).to.equal(JSON.stringify(value))
    expect(encodeValue(value)).not.to.include('\n')
  })

  for (const [name, value] of Object.entries({
    undefined: undefined,
    'a field that is undefined': { a: undefined },
    NaN: NaN,
    infinities: [Infinity, -Infinity],
    'minus zero': [-0, 0],
    bigint: [0n, -123456789012345678901234567890n],
    dates: [new Date(0), new Date(1_700_000_000_123)],
    maps: new Map<unknown, unknown>([
      ['a', 1],
      [NaN, new Map([[{ key: 1 }, undefined]])],
    ]),
    sets: new Set<unknown>([1, 'a', new Set([undefined])]),
    'a key $': { $: 'u', other: { $: ['m', []] } },
    'a buffer': Buffer.from([0, 255, 128]),
    bytes: new Uint8Array([1, 2, 3]).subarray(1),
    'wider numbers': [new Float64Array([NaN, -0, 1e300]), new Int16Array([-1]), new BigUint64Array([2n ** 64n - 1n])],
    'array buffers': [new Uint8Array([7]).buffer, new DataView(new ArrayBuffer(3), 1)],
    'nested lists': [[], [[]], [[[1]]]],
    'an object without a prototype': Object.assign(Object.create(null) as object, { a: 1 }),
    texts: ['', '\0', '\u{1f4c8}'],
  })) {
    it(`gives back ${name}`, () => {
      expect(isDeepStrictEqual(back(value), value)).to.equal(true)
      expect(isDeepStrictEqual(back([value]), [value])).to.equal(true)
    })
  }

  it('keeps apart what looks alike', () => {
    expect(Object.is(back(-0), -0)).to.equal(true)
    expect((back(new Date(NaN)) as Date).getTime()).to.be.NaN
    expect(Object.keys(back({ a: undefined }) as object)).to.deep.equal(['a'])
    expect(back(Buffer.from('a'))).to.be.instanceOf(Buffer)
    expect(back(new Uint8Array(1))).not.to.be.instanceOf(Buffer)
    expect(Object.getPrototypeOf(back(Object.create(null)))).to.equal(null)
  })

  it('gives books back equal in every getter, as far as they showed', () => {
    for (const depth of [0, 1, 3, 200, Infinity]) {
      const bids = Array.from({ length: 150 }, (_, index) => [100 - index / 8, index + 1] as const)
      const asks = Array.from({ length: 70 }, (_, index) => [101 + index / 8, index + 0.5] as const)
      for (const view of [
        viewOf(bids, asks, { seq: 9, exchangeTimeUs: 5 }, depth),
        viewOf([], asks, { instrument: undefined }, depth),
        viewOf([[102, 1]], [[101, 1]], {}, depth),
      ]) {
        const read = back([view]) as BookView[]
        expect(read[0]).to.be.instanceOf(BookView)
        expect(shown(read[0]!)).to.deep.equal(shown(view))
      }
    }
  })

  it('gives any value back, whatever it is made of', () => {
    const value = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
      withNullPrototype: true,
      withObjectString: true,
      maxDepth: 4,
    })
    fc.assert(
      fc.property(value, (one) => {
        const text = encodeValue(one)
        expect(text).not.to.include('\n')
        expect(isDeepStrictEqual(decodeValue(text), one)).to.equal(true)
        expect(encodeValue(decodeValue(text))).to.equal(text)
      }),
      { seed: 1, numRuns: 2_000 },
    )
  })

  describe('refuses, with the place', () => {
    class Order {
      price = 1
    }
    for (const [name, value, message] of [
      ['functions', { rows: [1, { format: () => 1 }] }, 'value.rows[1].format is a function'],
      ['symbols', [Symbol('s')], 'value[0] is a symbol'],
      ['names that are symbols', { a: { [Symbol('s')]: 1 } }, 'value.a has a field whose name is a symbol'],
      ['instances of unknown classes', { 'an order': new Order() }, 'value["an order"] is an instance of Order'],
      ['errors', new Map([['k', new Error('e')]]), 'value.k is an instance of Error'],
      ['classes derived from known ones', new (class Bytes extends Uint8Array {})(1), 'is an instance of Bytes'],
      ['promises', Promise.resolve(1), 'value is an instance of Promise'],
    ] as const) {
      it(name, () => {
        const fault = refusal(() => encodeValue(value))
        expect(fault.code).to.equal('VALUE_INVALID')
        expect(fault.message).to.include(message)
      })
    }

    it('circles and depths without end', () => {
      const circle: unknown[] = []
      circle.push(circle)
      expect(refusal(() => encodeValue(circle)).message).to.include('goes round in a circle')
      let deep: unknown = 1
      for (let level = 0; level < VALUE_DEPTH_MAX; level++) deep = level % 2 === 0 ? [deep] : new Map([[1, deep]])
      expect(back(deep)).to.deep.equal(deep)
      expect(refusal(() => encodeValue([deep])).message).to.include(`more than ${VALUE_DEPTH_MAX} values deep`)
    })

    it('what is too large, before it is written out to the end', () => {
      let tree: unknown = 'x'.repeat(1_000)
      for (let level = 0; level < 60; level++) tree = [tree, tree]
      expect(refusal(() => encodeValue(tree)).message).to.include(`more than ${VALUE_CHARS_MAX} characters`)
    }).timeout(20_000)
  })

  describe('read back from hostile text', () => {
    for (const text of [
      '',
      '{',
      '[1,]',
      '{"$":"x"}',
      '{"$":[]}',
      '{"$":["toString"]}',
      '{"$":["u"]}',
      '{"$":"u","a":1}',
      '{"$":{"0":"i"}}',
      '{"$":["i","1e5"]}',
      '{"$":["i",5]}',
      '{"$":["d","now"]}',
      '{"$":["m",[[1]]]}',
      '{"$":["m",{}]}',
      '{"$":["o",[[1,2]]]}',
      '{"$":["b","Uint8Array","*"]}',
      '{"$":["b","Float64Array","AAE="]}',
      '{"$":["b","Function","AAE="]}',
      '{"$":["b","__proto__","AAE="]}',
      '{"$":["v",{},[],[]]}',
      '{"$":["v",null,[],[]]}',
      '{"$":["v",{"exchange":"a","symbol":"b","receiveTimeUs":1},[["1","2"]],[]]}',
      '{"$":["v",{"exchange":"a","symbol":"b","receiveTimeUs":1},[[1,2,3]],[]]}',
    ]) {
      it(`is refused: ${text === '' ? 'nothing' : text}`, () => {
        expect(refusal(() => decodeValue(text)).code).to.equal('VALUE_INVALID')
      })
    }

    it('never reaches a prototype', () => {
      for (const text of [
        '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}',
        '{"a":{"__proto__":[{"$":"u"}]}}',
        '{"$":["o",[["__proto__",{"polluted":1}],["$",1]]]}',
        '{"$":["z",[["__proto__",{"polluted":1}]]]}',
      ]) {
        const value = decodeValue(text) as object
        expect((value as { polluted?: unknown }).polluted).to.equal(undefined)
        expect(({} as { polluted?: unknown }).polluted).to.equal(undefined)
        expect(encodeValue(value)).to.equal(text)
      }
    })

    it('is bounded in depth and size', () => {
      const nested = '['.repeat(200_000) + ']'.repeat(200_000)
      expect(refusal(() => decodeValue(nested)).code).to.equal('VALUE_INVALID')
      expect(refusal(() => decodeValue(`"${'x'.repeat(VALUE_CHARS_MAX)}"`)).message).to.include('is the most')
    })

    it('either is a value or is refused, whatever was changed in it', () => {
      const text = encodeValue([
        new Map([[1n, viewOf([[1, 2]], [])]]),
        new Set([NaN]),
        Buffer.from('ab'),
        { $: undefined },
      ])
      fc.assert(
        fc.property(fc.nat(text.length - 1), fc.string({ maxLength: 3 }), fc.nat(4), (at, put, cut) => {
          const changed = text.slice(0, at) + put + text.slice(at + cut)
          try {
            encodeValue(decodeValue(changed))
          } catch (thrown) {
            expect((thrown as Fault).code).to.equal('VALUE_INVALID')
          }
        }),
        { seed: 1, numRuns: 3_000 },
      )
    })
  })
})

function shown(view: BookView): unknown {
  const { kind, exchange, symbol, instrument, exchangeTimeUs, receiveTimeUs, seq, crossed, mid } = view
  const columns = [new Float64Array(300), new Float64Array(300)] as const
  return {
    head: { kind, exchange, symbol, instrument, exchangeTimeUs, receiveTimeUs, seq, crossed, mid },
    best: [view.bestBid(), view.bestAsk()],
    levels: view.levels(),
    all: [view.bids(), view.asks()],
    some: [view.bids(2), view.asks(2), view.depthOf(2), view.depthOf(1_000)],
    copied: [view.copySide('bids', ...columns, 100), columns.map((column) => [...column])],
  }
}
