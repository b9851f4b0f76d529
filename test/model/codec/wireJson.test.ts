import { expect } from 'chai'
import fc from 'fast-check'
import { FRAME_CHARS_MAX, FRAME_DEPTH_MAX, parseWireJson } from '../../../src/model/codec/wireJson'
import { Fault } from '../../../src/model/fault'
import { DOCUMENTED } from '../../exchanges/documentedFrames'

const asTold = { numbersAsText: false }
const asTexts = { numbersAsText: true }

describe('parseWireJson', () => {
  it('reads JSON as JSON.parse does', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), (json) => {
        expect(parseWireJson(json, asTold)).to.deep.equal(JSON.parse(json))
      }),
    )
  })

  describe('with numbers as texts', () => {
    it('keeps every digit, trailing zeros and exponents included', () => {
      expect(parseWireJson('{"price":56600.10,"qty":0.00450000,"n":-0,"e":1E-7,"i":12345678901234567890}', asTexts))
        .to //
        .deep.equal({ price: '56600.10', qty: '0.00450000', n: '-0', e: '1E-7', i: '12345678901234567890' })
    })

    it('leaves strings as they are, with digits, escapes, quotes and line ends in them', () => {
      const strings = ['12.50', 'a "1" b', '\\', '\\"1\\"', '1\n2', '\u2028 3', '{"p":1}', 'é 1', '"', '\\\\1', '']
      expect(parseWireJson(JSON.stringify({ strings, 'key 1 "2"': 3 }), asTexts)).to.deep.equal({
        strings,
        'key 1 "2"': '3',
      })
    })

    it('changes numbers and nothing else', () => {
      const textual = (value: unknown): unknown =>
        typeof value === 'number'
          ? JSON.stringify(value)
          : Array.isArray(value)
            ? value.map(textual)
            : typeof value === 'object' && value !== null
              ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, textual(inner)]))
              : value
      fc.assert(
        fc.property(fc.jsonValue({ maxDepth: 6 }), fc.constantFrom(undefined, 1, '\t'), (value, indent) => {
          expect(parseWireJson(JSON.stringify(value, null, indent), asTexts)).to.deep.equal(textual(value))
        }),
        { numRuns: 1_000 },
      )
    })

    it('takes nothing for JSON that is not', () => {
      fc.assert(
        fc.property(
          fc.oneof(mangled(), fc.string(), fc.string({ unit: fc.constantFrom(...Array.from('{}[]":,.-+eE01 \\n')) })),
          (given) => {
            expect(parses(given, asTexts), given).to.equal(parses(given, asTold))
          },
        ),
        { numRuns: 5_000 },
      )
    })

    for (const broken of [
      '[01]',
      '[1.2.3]',
      '[1e]',
      '[1.]',
      '[-]',
      '[+1]',
      '{1:2}',
      '{12 :3}',
      '[1 2]',
      '[--1]',
      '[.5]',
    ]) {
      it(`refuses ${broken}`, () => expect(faultOf(broken, asTexts)).to.include({ code: 'FRAME_UNREADABLE' }))
    }
  })

  for (const options of [asTold, asTexts]) {
    describe(options.numbersAsText ? 'of hostile text, numbers as texts' : 'of hostile text', () => {
      it('refuses what is not JSON with a sentence that shows its beginning', () => {
        for (const given of [
          '',
          ' ',
          'pong',
          '{',
          '[1,',
          'NaN',
          '[NaN]',
          'undefined',
          '{"a":1}}',
          "{'a':1}",
          '\u0000',
        ]) {
          const fault = faultOf(given, options)
          expect(fault, given).to.include({ code: 'FRAME_UNREADABLE' })
          expect(fault.message).to.match(/^The frame is not JSON: /)
        }
        expect(JSON.stringify(faultOf('x'.repeat(100_000), options).details).length).to.be.below(200)
      })

      it('answers every truncation of every documented frame with a fault', () => {
        for (const { frames } of DOCUMENTED.values()) {
          for (const frame of Object.values(frames).flat()) {
            for (let end = 0; end < frame.length; end++) {
              expect(faultOf(frame.slice(0, end), options)).to.include({ code: 'FRAME_UNREADABLE' })
            }
          }
        }
      })

      it('refuses ten megabytes of nesting at once, of lists and of objects', () => {
        for (const given of [
          '['.repeat(10_000_000),
          '['.repeat(5_000_000) + ']'.repeat(5_000_000),
          '{"a":'.repeat(2_000_000),
          `{"a":"${'x'.repeat(5_000)}","b":${'['.repeat(200)}${']'.repeat(200)}}`,
        ]) {
          const started = process.cpuUsage()
          expect(faultOf(given, options)).to.include({ code: 'FRAME_TOO_LARGE' })
          expect(process.cpuUsage(started).user / 1_000).to.be.below(2_000)
        }
      })

      it('reads nesting up to the limit, and brackets in strings as the letters that they are', () => {
        const nested = (depth: number): string =>
          `[${JSON.stringify('['.repeat(10_000) + '\\"[')},${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}]`
        expect(parseWireJson(nested(FRAME_DEPTH_MAX), options)).to.be.an('array')
        expect(faultOf(nested(FRAME_DEPTH_MAX + 1), options)).to.include({ code: 'FRAME_TOO_LARGE' })
      })

      it('refuses what is larger than any frame without looking into it', () => {
        const fault = faultOf(' '.repeat(FRAME_CHARS_MAX + 1), options)
        expect(fault).to.include({ code: 'FRAME_TOO_LARGE' })
        expect(fault.details).to.deep.equal({ chars: FRAME_CHARS_MAX + 1 })
      })

      it('takes time in proportion to the text, whatever its quotes and escapes', () => {
        for (const given of [
          '"' + '\\"'.repeat(1_000_000),
          '"'.repeat(2_000_001),
          '"' + '\\'.repeat(2_000_001),
          '"a'.repeat(1_000_000),
          '-'.repeat(2_000_000),
          '1 '.repeat(1_000_000),
          '[' + '1'.repeat(2_000_000),
          '[1' + ' '.repeat(2_000_000),
        ]) {
          const started = process.cpuUsage()
          expect(faultOf(given, options)).to.include({ code: 'FRAME_UNREADABLE' })
          expect(process.cpuUsage(started).user / 1_000, given.slice(0, 10)).to.be.below(2_000)
        }
      })

      it('leaves prototypes alone', () => {
        const value = parseWireJson('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}', options)
        expect(Object.getPrototypeOf(value)).to.equal(Object.prototype)
        expect(Object.keys(value as object)).to.deep.equal(['__proto__', 'constructor'])
        expect(({} as Record<string, unknown>)['polluted']).to.equal(undefined)
      })

      it('throws nothing but faults, whatever it is given', () => {
        fc.assert(
          fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' }), mangled()), (given) => {
            try {
              parseWireJson(given, options)
            } catch (thrown) {
              expect(thrown).to.be.instanceOf(Fault)
            }
          }),
          { numRuns: 1_000 },
        )
      })
    })
  }
})

/** JSON with one place cut out, doubled or replaced. */
function mangled(): fc.Arbitrary<string> {
  return fc
    .tuple(
      fc.json({ maxDepth: 4 }),
      fc.nat(),
      fc.nat(3),
      fc.constantFrom('', '0', '.', '"', '\\', '-', 'e', ':', '[', '}', ' '),
    )
    .map(([json, at, length, by]) => {
      const from = at % (json.length + 1)
      return json.slice(0, from) + by + json.slice(from + length)
    })
}

function parses(given: string, options: { numbersAsText: boolean }): boolean {
  try {
    parseWireJson(given, options)
    return true
  } catch {
    return false
  }
}

function faultOf(given: string, options: { numbersAsText: boolean }): Fault {
  try {
    parseWireJson(given, options)
  } catch (thrown) {
    expect(thrown).to.be.instanceOf(Fault)
    return thrown as Fault
  }
  throw new Error(`taken for JSON: ${given.slice(0, 100)}`)
}
