import { expect } from 'chai'
import fc from 'fast-check'
import { readFile } from 'node:fs/promises'
import { VirtualClock } from '../../src/clock/virtualClock'
import { EVENT_KINDS, type MarketEvent } from '../../src/model/events'
import { csv } from '../../src/sinks/csv'
import { compileEncoder, encodeAny, encodeEvent, encodeValue, eventSchema } from '../../src/sinks/encode'
import { wholeText } from '../../src/model/wholeText'
import { ENGINE_FIELDS, EVENT_FIELDS, type FieldType } from '../../src/sinks/eventFields'
import { jsonLines } from '../../src/sinks/jsonLines'
import { TestFolder } from './support'

type Fields = Readonly<Record<string, unknown>>

const absent = fc.constantFrom(undefined, null)
const hostileText = fc.oneof(
  fc.constantFrom(
    '',
    '0',
    'null',
    '"',
    '\\',
    ',',
    '\r\n',
    '\n',
    ' x',
    'x ',
    '=1+1',
    '\0',
    '\u2028',
    '\ud800',
    'a\udfff',
    '😀',
    '__proto__',
  ),
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom('"', ',', '\r', '\n', '\\', ' ', 'a', '\ud800', '\udc00', '\ufeff', '\0') }),
)
const anyNumber = fc.oneof(
  fc.double(),
  fc.constantFrom(0, -0, NaN, Infinity, -Infinity, 5e-324, 1.7976931348623157e308, 1e21, 0.1, -1, 1e15, 2e15),
  fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  fc.maxSafeInteger(),
)
const timeUs = fc.oneof(
  fc.integer({ min: 1_000_000_000_000, max: 2_100_000_000_000_000 }),
  fc.constantFrom(
    1_722_988_800_000_000,
    1_722_988_800_000_001,
    1_999_999_999_999_999,
    2_000_000_000_000_000,
    1e12,
    1e12 - 1,
  ),
  fc.integer({ min: 1e9, max: 2e9 }).map((seconds) => seconds * 1e6 + 0.5),
  anyNumber,
)
const VALUES: Readonly<Record<FieldType, fc.Arbitrary<unknown>>> = {
  text: hostileText,
  number: anyNumber,
  integer: fc.oneof(anyNumber, timeUs),
  timeUs,
  boolean: fc.boolean(),
  levels: fc.array(fc.tuple(anyNumber, anyNumber), { maxLength: 5 }),
  json: fc.dictionary(hostileText, fc.oneof(hostileText, anyNumber, absent, fc.array(anyNumber, { maxLength: 3 }))),
}

/** An event of a kind with anything in its fields, built as the engine builds it: every field is there, undefined or not. */
function anyEvent(kind: MarketEvent['kind']): fc.Arbitrary<MarketEvent> {
  const fields = Object.entries<FieldType>(EVENT_FIELDS[kind]).filter(
    ([name]) => name !== 'kind' && name !== 'exchange',
  )
  const record = Object.fromEntries(
    fields.map(([name, type]) => [name, fc.oneof({ weight: 3, arbitrary: VALUES[type] }, absent)]),
  )
  const inside = Object.fromEntries(ENGINE_FIELDS[kind].map((name) => [name, fc.constantFrom(undefined, 7)]))
  return fc
    .record({ exchange: hostileText, ...record, ...inside })
    .map((made) => ({ kind, ...made }) as unknown as MarketEvent)
}

/** What JSON says of a value: a number that is none is null, and there is one zero. */
function inJson(value: unknown): unknown {
  if (typeof value === 'number') return Number.isFinite(value) ? (value === 0 ? 0 : value) : null
  if (Array.isArray(value)) return value.map(inJson)
  if (typeof value !== 'object' || value === null) return value
  const said = Object.entries(value).filter(([, field]) => field !== undefined)
  return Object.fromEntries(said.map(([name, field]) => [name, inJson(field)]))
}

function contractFields(event: MarketEvent): Fields {
  const names = Object.keys(EVENT_FIELDS[event.kind])
  const said = names.map((name) => [name, inJson((event as unknown as Fields)[name])] as const)
  return Object.fromEntries(
    said.filter(([name, value]) => value !== undefined && (name !== 'history' || value === true)),
  )
}

/** A reader of RFC 4180, written from its grammar: rows of cells, each with whether it was quoted. */
function readCsv(text: string): { text: string; quoted: boolean }[][] {
  const read: { text: string; quoted: boolean }[][] = []
  let at = 0
  const cell = (): { text: string; quoted: boolean } => {
    let cellText = ''
    if (text[at] !== '"') {
      while (at < text.length && text[at] !== ',' && text[at] !== '\r') {
        if (text[at] === '"' || text[at] === '\n') throw new Error(`a bare quote or line feed at ${at}`)
        cellText += text[at++]!
      }
      return { text: cellText, quoted: false }
    }
    for (at++; ; at++) {
      if (at >= text.length) throw new Error('a quote is not closed')
      if (text[at] !== '"') cellText += text[at]!
      else if (text[at + 1] === '"') cellText += text[at++]!
      else break
    }
    at++
    return { text: cellText, quoted: true }
  }
  while (at < text.length) {
    const cells = [cell()]
    while (text[at] === ',') {
      at++
      cells.push(cell())
    }
    if (text.slice(at, at + 2) !== '\r\n') throw new Error(`a row does not end at ${at}`)
    at += 2
    read.push(cells)
  }
  return read
}

/** What a cell should say; undefined where it should be empty. */
function inCell(type: FieldType, value: unknown): unknown {
  const said = inJson(value)
  if (said === undefined || said === null) return undefined
  if (typeof said === 'string') return Buffer.from(said).toString()
  return type === 'levels' || type === 'json' ? JSON.parse(encodeValue(value)) : said
}

function ofCell(type: FieldType, { text, quoted }: { text: string; quoted: boolean }): unknown {
  if (text === '' && !quoted) return undefined
  if (type === 'text') return text
  if (type === 'boolean') return text === 'true'
  return type === 'levels' || type === 'json' ? (JSON.parse(text) as unknown) : Number(text) === 0 ? 0 : Number(text)
}

for (const kind of EVENT_KINDS) {
  describe(`rows of ${kind} events`, () => {
    let folder: TestFolder
    const clock = new VirtualClock(0)
    before(async () => (folder = await TestFolder.create()))
    after(() => folder.remove())

    it('are JSON that reads back as what they were, whatever that was', () => {
      fc.assert(
        fc.property(anyEvent(kind), (event) => {
          expect(JSON.parse(encodeEvent(event))).to.deep.equal(contractFields(event))
        }),
        { seed: 1, numRuns: 500 },
      )
    })

    it('say what the compiled schema of the kind says', () => {
      const encode = compileEncoder(eventSchema(kind))
      fc.assert(
        fc.property(anyEvent(kind), (event) => {
          const { history, ...said } = JSON.parse(encode(event)) as Record<string, unknown>
          expect(JSON.parse(encodeEvent(event))).to.deep.equal(history === true ? { ...said, history } : said)
        }),
        { seed: 2, numRuns: 200 },
      )
    })

    it('are lines of a file by themselves, without being told how', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(anyEvent(kind), { minLength: 1, maxLength: 5 }), async (events) => {
          const sink = jsonLines<MarketEvent>('rows.jsonl')
          await sink.open({ outDir: folder.outDir, clock })
          await sink.write(events)
          await sink.close()
          const lines = (await readFile(folder.file('rows.jsonl'), 'utf8')).split('\n')
          expect(lines.pop()).to.equal('')
          expect(lines.map((line) => JSON.parse(line) as unknown)).to.deep.equal(events.map(contractFields))
        }),
        { seed: 3, numRuns: 30 },
      )
    })

    it('are rows of a csv that reads back as what they were, by a reader that knows nothing of the writer', async () => {
      const types = Object.entries<FieldType>(EVENT_FIELDS[kind])
      await fc.assert(
        fc.asyncProperty(fc.array(anyEvent(kind), { minLength: 1, maxLength: 10 }), async (events) => {
          const sink = csv<MarketEvent>('rows.csv')
          await sink.open({ outDir: folder.outDir, clock })
          await sink.write(events)
          await sink.close()
          const [header, ...read] = readCsv(await readFile(folder.file('rows.csv'), 'utf8'))
          expect(header!.map(({ text }) => text)).to.deep.equal(types.map(([name]) => name))
          expect(read.map((cells) => cells.map((cell, at) => ofCell(types[at]![1], cell)))).to.deep.equal(
            events.map((event) => types.map(([name, type]) => inCell(type, (event as unknown as Fields)[name]))),
          )
        }),
        { seed: 4, numRuns: 60 },
      )
    })
  })
}

describe('the rows of events', () => {
  const trade = {
    kind: 'trade',
    exchange: 'kraken',
    symbol: 'XBT/USD',
    instrument: undefined,
    exchangeTimeUs: 1_722_988_800_000_137,
    receiveTimeUs: 1_722_988_800_002_237,
    id: undefined,
    side: 'buy',
    price: 1,
    size: 2,
    priceDecimals: 1,
    sizeDecimals: 8,
    history: false,
  } as const

  it('have what a stage has added behind them, and not what only the engine needs', () => {
    const text = encodeAny({ ...trade, notional: 2n, none: undefined })
    expect(text).to.equal(`${encodeEvent(trade).slice(0, -1)},"notional":"2"}`)
    const { history, ...others } = trade
    expect(encodeAny({ history, ...others })).to.equal(encodeEvent(trade))
  })

  it('are left as they are where they are no events after all', () => {
    for (const value of [
      { kind: 'trade', exchange: 'kraken', history: false, depth: 1 },
      { kind: 'bar', exchange: 'kraken', symbol: 'X' },
      { kind: 'trade' },
      { kind: 'constructor', exchange: 'kraken' },
      null,
      'trade',
      [trade],
    ]) {
      expect(JSON.parse(encodeAny(value))).to.deep.equal(JSON.parse(JSON.stringify(value)))
    }
  })

  it('write a value of another type than its field as what it is', () => {
    const odd = { ...trade, price: '1.50', id: 17, side: true, size: 5n, exchangeTimeUs: new Date(0) }
    expect(JSON.parse(encodeEvent(odd as unknown as MarketEvent))).to.include({
      price: '1.50',
      id: 17,
      side: true,
      size: '5',
      exchangeTimeUs: '1970-01-01T00:00:00.000Z',
    })
  })

  it('write whole numbers as everybody does', () => {
    fc.assert(
      fc.property(timeUs, (number) => {
        expect(wholeText(number)).to.equal(String(number))
      }),
      { seed: 5, numRuns: 5_000 },
    )
  })
})
