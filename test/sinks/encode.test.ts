import { expect } from 'chai'
import fc from 'fast-check'
import { EVENT_KINDS, type MarketEvent } from '../../src/model/events'
import { Fault } from '../../src/model/fault'
import { EVENT_FIELDS } from '../../src/sinks/eventFields'
import { compileEncoder, encodeEvent, encodeValue, eventSchema } from '../../src/sinks/encode'
import { jsonPieces } from '../../src/sinks/files/jsonPieces'

const base = {
  exchange: 'kraken',
  symbol: 'XBT/USD',
  instrument: 'BTC-USD',
  exchangeTimeUs: 1_700_000_000_000_001,
  receiveTimeUs: 1_700_000_000_000_777,
}
const digits = { decimals: [130], texts: new Map([[0, ['1', '2'] as const]]) }
const bookChange = {
  ...base,
  bids: [[42_000.1, 0.5]] as const,
  asks: [[42_000.2, 0]] as const,
  seq: 12,
  prevSeq: 11,
  firstSeq: 12,
  checksum: 974_947_235,
  depth: 10,
  bidDigits: digits,
  askDigits: digits,
}
/** One of each kind, with everything an exchange can say. */
const full: MarketEvent[] = [
  {
    ...base,
    kind: 'trade',
    id: '17',
    side: 'buy',
    price: 42_000.1,
    size: 1e-8,
    priceDecimals: 1,
    sizeDecimals: 8,
    history: true,
  },
  { ...bookChange, kind: 'snapshot' },
  { ...bookChange, kind: 'delta' },
  { ...base, kind: 'ticker', bidPrice: 1, bidSize: 2, askPrice: 3, askSize: 4, lastPrice: 5 },
  {
    ...base,
    kind: 'candle',
    openTimeUs: 1_700_000_000_000_000,
    intervalUs: 60_000_000,
    open: 1,
    high: 2,
    low: 0.5,
    close: 1.5,
    volume: 1e21,
    closed: false,
  },
  {
    ...base,
    kind: 'derivative',
    markPrice: 1,
    indexPrice: 2,
    fundingRate: -0.0001,
    nextFundingTimeUs: 1_700_000_000_000_000,
    openInterest: 0,
  },
  { ...base, kind: 'liquidation', side: 'sell', price: 1, size: 2 },
  { ...base, kind: 'notice', code: 'gap', details: { from: 1, to: null, reason: 'a "quote"' } },
]
const internal = ['firstSeq', 'checksum', 'depth', 'bidDigits', 'askDigits', 'priceDecimals', 'sizeDecimals']
const without = (event: MarketEvent, fields: readonly string[]): Record<string, unknown> =>
  Object.fromEntries(Object.entries(event).filter(([field]) => !fields.includes(field)))

describe('the JSON of market events', () => {
  it('has a field list for every kind', () => {
    expect(Object.keys(EVENT_FIELDS)).to.deep.equal([...EVENT_KINDS])
    expect(full.map(({ kind }) => kind)).to.deep.equal([...EVENT_KINDS])
  })

  for (const event of full) {
    it(`reads back as what it was, without what only the engine needs: ${event.kind}`, () => {
      expect(JSON.parse(encodeEvent(event))).to.deep.equal(without(event, internal))
    })

    it(`leaves out what the exchange did not say: ${event.kind}`, () => {
      const optional = [
        'instrument',
        'exchangeTimeUs',
        'id',
        'side',
        'seq',
        'prevSeq',
        'bidPrice',
        'bidSize',
        'askPrice',
      ]
      optional.push(
        'askSize',
        'lastPrice',
        'markPrice',
        'indexPrice',
        'fundingRate',
        'nextFundingTimeUs',
        'openInterest',
      )
      const silent = {
        ...event,
        ...Object.fromEntries(optional.filter((field) => field in event).map((field) => [field, undefined])),
      }
      expect(JSON.parse(encodeEvent(silent))).to.deep.equal(without(event, [...internal, ...optional]))
    })

    it(`writes a number that is none as null, not as 0: ${event.kind}`, () => {
      for (const [field, type] of Object.entries(EVENT_FIELDS[event.kind])) {
        if (type !== 'number') continue
        for (const bad of [NaN, Infinity, -Infinity, null]) {
          const read = JSON.parse(encodeEvent({ ...event, [field]: bad })) as Record<string, unknown>
          expect(read[field], `${field} = ${bad}`).to.equal(null)
        }
      }
    })
  }

  it('begins with the fields that all events have, in one order', () => {
    for (const event of full) {
      const fields = Object.keys(JSON.parse(encodeEvent(event)) as object)
      expect(fields.slice(0, 6)).to.deep.equal([
        'kind',
        'exchange',
        'symbol',
        'instrument',
        'exchangeTimeUs',
        'receiveTimeUs',
      ])
    }
  })

  it('writes history only when it is true', () => {
    const trade = full[0] as Extract<MarketEvent, { kind: 'trade' }>
    expect(encodeEvent(trade)).to.contain('"history":true')
    expect(encodeEvent({ ...trade, history: false })).not.to.contain('history')
  })

  it('reads back every double and every text', () => {
    const trade = full[0] as Extract<MarketEvent, { kind: 'trade' }>
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.string({ unit: 'binary' }), (price, id) => {
        const read = JSON.parse(encodeEvent({ ...trade, price, id })) as Record<string, unknown>
        expect(read['id']).to.equal(id)
        expect(read['price']).to.equal(price === 0 ? 0 : price)
      }),
      { seed: 1, numRuns: 500 },
    )
  })
})

describe('a compiled encoder', () => {
  const encoder = (type: unknown): ((value: unknown) => unknown) => {
    const encode = compileEncoder({ type: 'object', properties: { a: type } })
    return (a) => (JSON.parse(encode({ a })) as { a: unknown }).a
  }

  it('writes null as null under every type', () => {
    for (const type of ['number', 'integer', 'string', 'boolean', 'array', 'object']) {
      expect(encoder({ type })(null), type).to.equal(null)
    }
    expect(encoder({ type: ['number', 'string'] })(null)).to.equal(null)
  })

  it('does not cut a fraction under integer', () => {
    expect(encoder({ type: 'integer' })(1.7)).to.equal(1.7)
  })

  it('writes NaN and infinities as null, wherever they are, and the rest as it is', () => {
    expect(encoder({ type: 'number' })(NaN)).to.equal(null)
    expect(encoder({ type: ['integer', 'string'] })(NaN)).to.equal(null)
    expect(encoder({ type: 'array', items: { type: 'number' } })([1, NaN, Infinity, 2])).to.deep.equal([
      1,
      null,
      null,
      2,
    ])
    const nested = { type: 'object', properties: { b: { type: 'number' }, c: { type: 'string' } } }
    expect(encoder(nested)({ b: NaN, c: 'kept', d: 'not in the schema' })).to.deep.equal({ b: null, c: 'kept' })
    expect(encoder({ type: 'object', additionalProperties: { type: 'number' } })({ x: NaN, y: 1 })).to.deep.equal({
      x: null,
      y: 1,
    })
  })

  it('writes JSON for an undefined in a list', () => {
    expect(encoder({ type: 'array', items: {} })([1, undefined, 2])).to.deep.equal([1, null, 2])
    expect(encoder({ type: 'array' })([undefined])).to.deep.equal([null])
    expect(encoder({ type: 'array', items: { type: 'number' } })([undefined])).to.deep.equal([null])
  })

  it('chooses among schemas by type', () => {
    const either = encoder({ anyOf: [{ type: 'integer' }, { type: 'string' }] })
    expect([either(1.5), either('x'), either(null)]).to.deep.equal([1.5, 'x', null])
  })

  it('goes through definitions', () => {
    const encode = compileEncoder({
      type: 'object',
      definitions: { level: { type: 'object', properties: { price: { type: 'number' } } } },
      properties: { bid: { $ref: '#/definitions/level' } },
    })
    expect(encode({ bid: { price: NaN } })).to.equal('{"bid":{"price":null}}')
  })

  it('refuses what is no schema with a sentence', () => {
    expect(() => compileEncoder({ type: 'nonsense' })).to.throw(Fault, 'cannot be compiled')
  })

  it('can be extended from the schema of an event', () => {
    const schema = eventSchema('ticker') as { properties: object }
    const encode = compileEncoder({ ...schema, properties: { ...schema.properties, spread: { type: 'number' } } })
    expect(JSON.parse(encode({ ...full[3], spread: 2 }))).to.include({ kind: 'ticker', spread: 2 })
  })
})

describe('the JSON of any value', () => {
  const roundTrip = (value: unknown): unknown => JSON.parse(encodeValue(value))

  it('is that of JSON.stringify where that tells the truth', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.integer({ min: 0, max: 2 }), (value, indent) => {
        expect(encodeValue(value, indent)).to.equal(JSON.stringify(value, null, indent))
      }),
      { seed: 1 },
    )
  })

  it('writes what JSON has no word for in the nearest that it has', () => {
    expect(roundTrip({ a: 1n, b: new Map([['x', 1n]]), c: new Set([1]), d: new Float64Array([0.5]) })).to.deep.equal({
      a: '1',
      b: { x: '1' },
      c: [1],
      d: [0.5],
    })
    expect(roundTrip(new Map([[1, 2]]))).to.deep.equal([[1, 2]])
    expect(roundTrip({ a: NaN, b: { c: -Infinity } })).to.deep.equal({ a: null, b: { c: null } })
    expect(roundTrip(10n)).to.equal('10')
    expect(roundTrip({ at: new Date(0) })).to.deep.equal({ at: '1970-01-01T00:00:00.000Z' })
    for (const nothing of [undefined, () => 1, Symbol('x')]) expect(encodeValue(nothing)).to.equal('null')
  })

  it('writes an error with its message and its own fields', () => {
    const fault = new Fault('BOOK_GAP', 'A delta is missing.', { from: 1 })
    expect(roundTrip({ fault })).to.deep.equal({
      fault: { name: 'Fault', message: 'A delta is missing.', code: 'BOOK_GAP', details: { from: 1 } },
    })
  })

  it('keeps a map with hostile keys a plain object', () => {
    const text = encodeValue(new Map([['__proto__', 1]]))
    expect(text).to.equal('{"__proto__":1}')
  })

  it('refuses a value that contains itself', () => {
    const circle: unknown[] = []
    circle.push(circle)
    expect(() => encodeValue(circle)).to.throw(TypeError)
  })
})

describe('JSON in pieces', () => {
  const pieces = (value: unknown, indent: number, pieceChars = 1_000): string[] => [
    ...jsonPieces(value, { indent, pieceChars }),
  ]

  it('is together what JSON.stringify writes', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.integer({ min: 0, max: 3 }), (value, indent) => {
        const large = {
          list: new Array(300).fill(value),
          fields: Object.fromEntries(new Array(300).fill(0).map((_, at) => [`f${at}`, value])),
        }
        expect(pieces(large, indent).join('')).to.equal(JSON.stringify(large, null, indent))
        expect(pieces(value, indent).join('')).to.equal(JSON.stringify(value, null, indent))
      }),
      { seed: 1, numRuns: 50 },
    )
  })

  it('is that also for what has no text, maps, dates and own ideas of JSON', () => {
    const odd = {
      none: undefined,
      call: () => 1,
      at: new Date(0),
      own: { toJSON: () => new Array(400).fill({ toJSON: (key: string) => `at ${key}` }) },
      map: new Map(new Array(400).fill(0).map((_, at) => [`k${at}`, BigInt(at)])),
      list: new Array(400).fill(undefined),
      set: new Set([NaN]),
    }
    expect(pieces(odd, 2).join('')).to.equal(encodeValue(odd, 2))
    expect(pieces([], 2)).to.deep.equal(['[]'])
  })

  it('is that also for long lists, at any depth, of rows with something else among them', () => {
    const elements: readonly unknown[] = [
      ...[{ price: 1.5, id: 'a', none: undefined, call: () => 1 }, { size: NaN }, [1, 2], 'text', null, undefined, -0],
      ...[{ deep: { er: [1] } }, { text: 'x'.repeat(5_000) }, new Date(0), new Map([['a', 1n]]), {}, [], Symbol('s')],
      { toJSON: (key: string) => `at ${key}` },
    ]
    fc.assert(
      fc.property(
        fc.array(fc.nat(elements.length - 1), { minLength: 1, maxLength: 40 }),
        fc.nat(5),
        fc.nat(3),
        (order, depth, indent) => {
          const list: unknown[] = []
          for (let round = 0; round < 20; round++) list.push(...order.map((at) => elements[at]))
          let value: unknown = list
          for (let level = 0; level < depth; level++) value = level % 2 === 0 ? { list: value } : [value]
          expect(pieces(value, indent, 65_536).join('')).to.equal(encodeValue(value, indent))
        },
      ),
      { seed: 2, numRuns: 200 },
    )
  })

  it('comes in pieces of about the size that was asked for', () => {
    const value = new Array(10_000).fill({ price: 1.5, size: 2 })
    for (const piece of pieces(value, 2).slice(0, -1)) expect(piece.length).to.be.within(1_000, 1_200)
  })

  it('refuses a value that contains itself, or is nested without end', () => {
    const circle: Record<string, unknown> = { list: new Array(300).fill(1) }
    circle['self'] = circle
    expect(() => pieces(circle, 2)).to.throw(TypeError, 'contains itself')
    let deep: unknown = new Array(300).fill(1)
    for (let level = 0; level < 300; level++) deep = [deep]
    expect(() => pieces(deep, 2)).to.throw(TypeError, 'nested deeper')
  })

  it('takes the same object in two places for no circle', () => {
    const shared = new Array(300).fill(1)
    expect(pieces([shared, shared], 0).join('')).to.equal(JSON.stringify([shared, shared]))
  })
})
