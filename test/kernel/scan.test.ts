import { expect } from 'chai'
import fc from 'fast-check'
import { EXCHANGES } from '../../src/exchanges/exchanges'
import { Kernel } from '../../src/kernel/kernel'
import {
  ASKS,
  ASK_COUNT,
  BIDS,
  BID_COUNT,
  DECIMALS,
  ENTRY_BYTES,
  FRAME,
  FRAME_BYTES_MAX,
  MISSED,
  PRICES,
  PROGRAM,
  READ,
  REGISTERS,
  ROWS,
  ROW_BYTES,
  ROW_COUNT,
  ROW_REGISTERS,
  R_FIELDS,
  SIZES,
  SLOT,
  TABLE_HEAD_BYTES,
  TEXTS,
  UNKNOWN_KEY,
} from '../../src/kernel/layout'
import {
  amount,
  bareDecimal,
  choice,
  compile,
  decimal,
  integer,
  key,
  levels,
  pairs,
  rows,
  shape,
  signedInteger,
  skipNumber,
  skipText,
  symbol,
  text,
  timeMs,
  timeRfc3339,
  timeSeconds,
  type Shape,
} from '../../src/kernel/shape'
import { FrameMutator } from '../kit/frameMutator'
import { samplesOf } from '../kit/scannerFuzz'

const ENTRIES = 64

/** A kernel with a chain of shapes and a table of keys. */
class Scans {
  private readonly chain: number
  private readonly table: number

  constructor(
    readonly kernel: Kernel,
    shapes: readonly Shape[],
  ) {
    let chain = 0
    for (const [number, each] of [...shapes.entries()].reverse()) {
      const { words } = compile(each, number)
      const at = kernel.allocate((words.length + 2) * 4)
      kernel.words.set([chain, number, ...words], at >> 2)
      chain = at
    }
    this.chain = chain
    this.table = kernel.allocate(TABLE_HEAD_BYTES + ENTRIES * ENTRY_BYTES)
    kernel.words.fill(0, this.table >> 2, (this.table + TABLE_HEAD_BYTES + ENTRIES * ENTRY_BYTES) >> 2)
    kernel.words[this.table >> 2] = ENTRIES - 1
  }

  know(keyText: string, symbolText: string, slot: number, salt = 0): void {
    const { kernel, table } = this
    const put = (bytes: string): number => {
      const at = kernel.allocate(bytes.length + 8)
      kernel.bytes.fill(0, at, at + bytes.length + 8)
      kernel.bytes.write(bytes, at, 'latin1')
      return at
    }
    const [keyAt, symbolAt] = [put(keyText), put(symbolText)]
    let place = kernel.code.hashOf(keyAt, keyText.length, salt) & (ENTRIES - 1)
    const wordOf = (of: number): number => (table + TABLE_HEAD_BYTES + of * ENTRY_BYTES) >> 2
    while (kernel.words[wordOf(place) + 1] !== 0) place = (place + 1) & (ENTRIES - 1)
    kernel.words.set([keyAt, keyText.length, slot, symbolAt, symbolText.length, salt], wordOf(place))
  }

  scan(frame: string | Uint8Array): number {
    const length = this.kernel.putFrame(frame)
    return length < 0 ? MISSED : this.kernel.code.scan(this.chain, FRAME, FRAME + length, this.table, 0)
  }

  /** The first field, when the frame was read or lacks but its key; undefined when it was missed. */
  value(frame: string | Uint8Array): number | undefined {
    return this.scan(frame) === MISSED ? undefined : this.kernel.doubles[(REGISTERS >> 3) + R_FIELDS]!
  }

  /** Everything that a scan which was not missed has left. */
  left(): unknown {
    const { doubles, words } = this.kernel
    const column = (at: number, count: number): number[] => [...doubles.subarray(at >> 3, (at >> 3) + count)]
    const side = (at: number, count: number): number[][] =>
      [PRICES, SIZES, DECIMALS].map((of) => column(at + of, count))
    const count = (at: number): number => words[at >> 2]!
    return {
      program: count(PROGRAM),
      registers: column(REGISTERS + R_FIELDS * 8, ROW_REGISTERS),
      texts: [...words.subarray(TEXTS >> 2, (TEXTS >> 2) + 8)],
      bids: side(BIDS, count(BID_COUNT)),
      asks: side(ASKS, count(ASK_COUNT)),
      rows: column(ROWS, (count(ROW_COUNT) * ROW_BYTES) >> 3),
    }
  }
}

for (const language of ['wasm', 'typescript'] as const) {
  describe(`A scan in ${language}`, () => {
    let kernel: Kernel
    before(() => (kernel = new Kernel(language)))
    const scans = (...shapes: Shape[]): Scans => new Scans(kernel, shapes)

    it('reads a frame only when all of it is as its shape says', () => {
      const one = scans(shape`{"s":"${key}","u":${integer('u')}}`)
      one.know('A', 'A', 5)
      expect(one.scan('{"s":"A","u":17}')).to.equal(READ)
      expect(kernel.words[SLOT >> 2]).to.equal(5)
      expect(one.value('{"s":"A","u":17}')).to.equal(17)
      const others = [
        '{"s":"A","u":17}}',
        '{"s":"A","u":17',
        '{"s":"A","u":17} ',
        '{"s":"A", "u":17}',
        '{"u":17,"s":"A"}',
      ]
      for (const frame of [...others, '{"s":"A","u":"17"}', '']) expect(one.scan(frame), frame).to.equal(MISSED)
    })

    it('is not completed by what is left of a longer frame', () => {
      const one = scans(shape`{"s":"${key}","u":${integer('u')}}`)
      one.know('A', 'A', 0)
      const frame = '{"s":"A","u":17}'
      for (let length = 0; length < frame.length; length++) {
        expect(one.scan(frame)).to.equal(READ)
        expect(one.scan(frame.slice(0, length)), String(length)).to.equal(MISSED)
      }
    })

    it('tells keys that it does not know, and symbols that are not the key’s', () => {
      const one = scans(shape`{"k":"${key}","s":"${symbol}"}`)
      one.know('a', 'A', 0)
      expect(one.scan('{"k":"a","s":"A"}')).to.equal(READ)
      expect(one.scan('{"k":"b","s":"A"}')).to.equal(UNKNOWN_KEY)
      expect(one.scan('{"k":"a","s":"AB"}')).to.equal(UNKNOWN_KEY)
      expect(one.scan('{"k":"a","s":"B"}')).to.equal(UNKNOWN_KEY)
    })

    it('keeps apart the keys of shapes', () => {
      const two = scans(shape`{"k":"${key}"}`, shape`["${key}"]`)
      two.know('a', 'A', 0, 0)
      two.know('a', 'A', 1, 1)
      expect([two.scan('{"k":"a"}'), kernel.words[SLOT >> 2]]).to.deep.equal([READ, 0])
      expect([two.scan('["a"]'), kernel.words[SLOT >> 2]]).to.deep.equal([READ, 1])
    })

    it('takes rows that each name the key only when all name the same', () => {
      const one = scans(shape`${rows(shape`"${key}"`)}`)
      one.know('a', 'A', 0)
      one.know('b', 'B', 1)
      expect(one.scan('["a","a"]')).to.equal(READ)
      expect(kernel.words[ROW_COUNT >> 2]).to.equal(2)
      for (const frame of ['["a","b"]', '["b","a"]', '["a","aa"]', '[]', '["a",]', '["a"']) {
        expect(one.scan(frame), frame).to.equal(MISSED)
      }
    })

    it('reads integers of JSON of up to fifteen digits', () => {
      const one = scans(shape`<${integer('u')}>`)
      for (const good of ['0', '7', '12345678', '999999999999999'])
        expect(one.value(`<${good}>`)).to.equal(Number(good))
      for (const bad of ['', '00', '01', '-1', '-0', '1.0', '1e3', '+1', '1000000000000000', ' 1']) {
        expect(one.value(`<${bad}>`), bad).to.equal(undefined)
      }
      const signed = scans(shape`<${signedInteger('u')}>`)
      expect(signed.value('<-756333598>')).to.equal(-756333598)
      for (const bad of ['-', '-0', '-01', '--1']) expect(signed.value(`<${bad}>`), bad).to.equal(undefined)
    })

    it('reads decimals as the nearest double, whatever their length, or not at all', () => {
      const one = scans(shape`<${decimal('p')}>`)
      const good = [
        '0',
        '0.00',
        '1',
        '0.1',
        '7.25',
        '1234567.12345678',
        '12345678.1234567',
        '0.000000000000001',
        '007.50',
      ]
      const long = [
        '99999997.00000000',
        '4503599627370496.0000',
        '999999999999999',
        '1234567890123456',
        '4503599627370496',
        '12345678.12345678',
        '0.1234567890',
      ]
      for (const each of [...good, ...long, '0.0000000000000000000001']) {
        expect(one.value(`<${each}>`), each).to.equal(Number(each))
        expect(kernel.doubles[(REGISTERS >> 3) + R_FIELDS + 1], each).to.equal(each.split('.')[1]?.length ?? 0)
      }
      for (const bad of [
        '',
        '.',
        '.5',
        '5.',
        '-1',
        '1e5',
        '1E5',
        '1.2.3',
        '4503599627370497',
        '45035996273704.97',
        '4503599627370497.0',
        '99999997.00000001',
        `1${'0'.repeat(15)}.${'0'.repeat(23)}`,
        '0.12345678901234567',
        'NaN',
      ]) {
        expect(one.value(`<${bad}>`), bad).to.equal(undefined)
      }
    })

    it('reads only what prints back as it was sent', () => {
      const one = scans(shape`<${decimal('p')}>`)
      fc.assert(
        fc.property(fc.integer({ min: 10 ** 14, max: 2 ** 52 }), fc.integer({ min: 1, max: 12 }), (digits, places) => {
          const padded = String(digits)
          const text = `${padded.slice(0, -places)}.${padded.slice(-places)}`
          const value = one.value(`<${text}>`)
          expect(value).to.equal(Number(text))
          expect(value!.toFixed(places)).to.equal(text)
        }),
        { numRuns: 3_000 },
      )
    })

    it('takes no zero for an amount, and no zeros in front of a JSON number', () => {
      const positive = scans(shape`<${amount('p')}>`)
      expect(positive.value('<0.01>')).to.equal(0.01)
      for (const bad of ['0', '0.00', '000']) expect(positive.value(`<${bad}>`), bad).to.equal(undefined)
      const bare = scans(shape`<${bareDecimal('p')}>`)
      expect(bare.value('<0.50>')).to.equal(0.5)
      for (const bad of ['00.5', '01', '007.50']) expect(bare.value(`<${bad}>`), bad).to.equal(undefined)
    })

    it('reads times between 2000 and 2100', () => {
      const ms = scans(shape`<${timeMs('t')}>`)
      expect(ms.value('<1723161255608>')).to.equal(1_723_161_255_608_000)
      for (const bad of ['946684799999', '4102444800001', '1723161255608000', '0'])
        expect(ms.value(`<${bad}>`)).to.equal(undefined)
      const seconds = scans(shape`<${timeSeconds('t')}>`)
      expect(seconds.value('<1618678133.365913>')).to.equal(1_618_678_133_365_913)
      expect(seconds.value('<1618678133.3659139>')).to.equal(1_618_678_133_365_913)
      expect(seconds.value('<1618678133>')).to.equal(1_618_678_133_000_000)
      for (const bad of ['1618678133.', '16186781330', '.5', '946684799.9', '1618678133.1234567890']) {
        expect(seconds.value(`<${bad}>`), bad).to.equal(undefined)
      }
    })

    it('knows the calendar of this century', () => {
      const one = scans(shape`<${timeRfc3339('t')}>`)
      for (let day = Date.UTC(2001, 0, 1); day < Date.UTC(2100, 0, 1); day += 86_400_000) {
        const iso = new Date(day + (day % 86_399_000)).toISOString()
        if (one.value(`<${iso}>`) !== Date.parse(iso) * 1_000) expect.fail(`${iso} is read wrongly.`)
      }
      const bad = [
        '2021-02-29',
        '2023-02-30',
        '2021-04-31',
        '2021-13-01',
        '2021-00-10',
        '2021-01-00',
        '2021-01-32',
        '2000-01-01',
      ]
      for (const date of bad) expect(one.value(`<${date}T00:00:00Z>`), date).to.equal(undefined)
      for (const time of [
        '24:00:00Z',
        '23:60:00Z',
        '23:59:60Z',
        '23:59:59',
        '23:59:59+00:00',
        '23:59:59.Z',
        '23:59:59.1234567890Z',
      ]) {
        expect(one.value(`<2021-01-01T${time}>`), time).to.equal(undefined)
      }
      expect(one.value('<2024-02-29T23:59:59.075687999Z>')).to.equal(Date.UTC(2024, 1, 29, 23, 59, 59) * 1_000 + 75_687)
    })

    it('keeps texts of plain characters that are not empty, and passes over others that are', () => {
      const kept = scans(shape`"${text('i')}"`)
      expect(kept.scan('"a b/c"')).to.not.equal(MISSED)
      for (const bad of ['""', '"a\\u0031"', '"é"', '"a\u0000"', '"a\n"', '"a\u007f"', `"${'x'.repeat(129)}"`]) {
        expect(kept.scan(bad), bad).to.equal(MISSED)
      }
      const skipped = scans(shape`"${skipText}"`)
      expect(skipped.scan('""')).to.not.equal(MISSED)
      for (const bad of ['"a\\"', '"\u2028"', `"${'x'.repeat(300)}"`]) expect(skipped.scan(bad), bad).to.equal(MISSED)
    })

    it('passes over JSON’s numbers and no others', () => {
      const one = scans(shape`<${skipNumber}>`)
      for (const good of ['0', '-0', '-1.50', '12345678901234567890', '0.0'])
        expect(one.scan(`<${good}>`), good).to.not.equal(MISSED)
      for (const bad of ['', '-', '01', '1.', '.5', '1e5', '+1', 'NaN', '1-'])
        expect(one.scan(`<${bad}>`), bad).to.equal(MISSED)
    })

    it('tells which of several words stands there', () => {
      const one = scans(shape`<${choice('side', 'buy', 'sell')}>`)
      expect([one.value('<buy>'), one.value('<sell>')]).to.deep.equal([0, 1])
      for (const bad of ['Buy', 'bu', 'buyy', 'sel', '']) expect(one.value(`<${bad}>`), bad).to.equal(undefined)
    })

    it('reads lists of levels of both sides, and of sides that each level names', () => {
      const two = scans(
        shape`{"b":${pairs('bids')},"a":${pairs('asks')}}`,
        shape`${levels({ side: 'either', head: { bids: '["buy","', asks: '["sell","' }, middle: '","', foot: '"]' })}`,
      )
      expect(two.scan('{"b":[["1.50","2"],["1","0"]],"a":[]}')).to.not.equal(MISSED)
      expect(two.left()).to.deep.include({
        bids: [
          [1.5, 1],
          [2, 0],
          [256, 0],
        ],
        asks: [[], [], []],
      })
      expect(two.scan('[["sell","3","4.0"],["buy","1.50","2"],["sell","5","6"]]')).to.not.equal(MISSED)
      expect(two.left()).to.deep.include({
        bids: [[1.5], [2], [256]],
        asks: [
          [3, 5],
          [4, 6],
          [1, 0],
        ],
      })
      const bad = [
        '[["1","2","3"]]',
        '[["1"]]',
        '[["0","2"]]',
        '[["-1","2"]]',
        '[["1","-2"]]',
        '[["1","2"],]',
        '[["1","2"]["1","2"]]',
        '[[1,2]]',
        '[["1","2"]',
        '[ ]',
      ]
      for (const list of bad) expect(two.scan(`{"b":${list},"a":[]}`), list).to.equal(MISSED)
      expect(two.scan('[["hold","3","4"]]')).to.equal(MISSED)
    })

    it('takes the latest time of levels, over both lists, and misses a list that has none', () => {
      const timed = { head: '["', middle: '","', foot: '', tail: 'time', timeName: 't' } as const
      const one = scans(shape`${levels({ side: 'asks', ...timed })}${levels({ side: 'bids', ...timed })}`)
      const level = (time: string, more = ''): string => `[["1","2","${time}"${more}]]`
      expect(one.value(level('1618678133.5') + level('1618678133.25', ',"r"'))).to.equal(1_618_678_133_500_000)
      expect(one.value(level('1618678133.5') + level('1618678133.75'))).to.equal(1_618_678_133_750_000)
      // Nothing is left of the frame before.
      expect(one.value(level('1518678133') + level('1418678133'))).to.equal(1_518_678_133_000_000)
      expect(one.value(`[]${level('1618678133.5')}`)).to.equal(undefined)
      expect(one.value(level('1618678133.5', ',"r') + level('1618678133'))).to.equal(undefined)
    })

    it('misses what is longer than the kernel’s place for frames', () => {
      const one = scans(shape`"${skipText}"`)
      expect(one.scan(Buffer.alloc(FRAME_BYTES_MAX + 1, 32))).to.equal(MISSED)
      expect(one.scan('x'.repeat(FRAME_BYTES_MAX))).to.equal(MISSED)
    })
  })
}

describe('The two languages of the kernel', () => {
  const HARMED = 2_000

  for (const { id, shapes } of EXCHANGES.values()) {
    it(`leave the same of the frames of ${id}, harmed or not`, function () {
      this.timeout(60_000)
      const all = shapes.map((frame) => frame.shape)
      const wasm = new Scans(new Kernel('wasm'), all)
      const typescript = new Scans(new Kernel('typescript'), all)
      const { frames } = samplesOf(id)
      const mutator = new FrameMutator(20_261_128, frames)
      const results = new Map<number, number>()
      const compare = (frame: string | Uint8Array): void => {
        const result = wasm.scan(frame)
        results.set(result, (results.get(result) ?? 0) + 1)
        expect(typescript.scan(frame)).to.equal(result)
        if (result !== MISSED) expect(typescript.left()).to.deep.equal(wasm.left())
      }
      for (const frame of frames) compare(frame)
      for (let index = 0; index < HARMED; index++) compare(mutator.harmed(mutator.pick(frames)))
      expect(results.get(UNKNOWN_KEY)).to.be.greaterThan(HARMED / 50)
      expect(results.get(MISSED)).to.be.greaterThan(HARMED / 4)
    })
  }
})
