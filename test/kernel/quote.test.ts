import { expect } from 'chai'
import * as fc from 'fast-check'
import { Kernel } from '../../src/kernel/kernel'
import { LINE_BYTES } from '../../src/kernel/layout'

const SEED = 20_261_129
const TEXT_BYTES_MAX = 4_096
const TIME_US = 1_767_225_600_123_456

/** Frames as exchanges send them, texts full of what is escaped, and others, around the lengths that are looked at at once. */
const plainText = fc.oneof(
  fc.json({ maxDepth: 2 }).filter((text) => text.length < TEXT_BYTES_MAX),
  fc.string({ unit: fc.constantFrom('"', '\\', 'a', '{', ' ', '~', '\u007f'), maxLength: 200 }),
  fc.string({ unit: fc.constantFrom('1', ',', '"'), minLength: 28, maxLength: 68 }),
)
const wideText = fc.string({ unit: fc.constantFrom('é', '€', '𝄞', '"', 'a', '\\'), maxLength: 100 })
/** Something, one character that JSON writes in another way, something. */
const controlText = fc
  .tuple(plainText, fc.integer({ min: 0, max: 31 }), plainText)
  .map(([before, code, after]) => before + String.fromCharCode(code) + after)

for (const language of ['wasm', 'typescript'] as const) {
  describe(`Quoting in the kernel in ${language}`, () => {
    const room = TEXT_BYTES_MAX * 8 + LINE_BYTES
    let kernel: Kernel
    let from: number
    let to: number

    before(() => {
      kernel = new Kernel(language)
      from = kernel.allocate(TEXT_BYTES_MAX * 4 + 32)
      to = kernel.allocate(room)
    })

    /** What is written, and whether it is said to be ASCII; undefined when it was left to others. */
    function written(
      text: string,
      write: (end: number) => number,
    ): { readonly text: string; readonly isAscii: boolean } | undefined {
      const bytes = Buffer.from(text, 'utf8')
      kernel.bytes.set(bytes, from)
      // What was there before must not be taken for text: it is all that quoting has to find.
      kernel.bytes.fill('"\u0001é\\', from + bytes.length, from + bytes.length + 32)
      const end = write(from + bytes.length)
      if (end === 0) return undefined
      const [at, isAscii] = [Math.abs(end), end > 0]
      expect(at - to).to.be.at.most(2 * bytes.length + LINE_BYTES)
      return { text: kernel.bytes.toString('utf8', to, at), isAscii }
    }

    function quoted(text: string): ReturnType<typeof written> {
      return written(text, (end) => kernel.code.quote(to, from, end))
    }

    it('gives what JSON.stringify gives, and says that it is ASCII', () => {
      fc.assert(
        fc.property(plainText, (text) => {
          expect(quoted(text)).to.deep.equal({ text: JSON.stringify(text).slice(1, -1), isAscii: isAscii(text) })
        }),
        { seed: SEED, numRuns: 2_000 },
      )
    })

    it('gives the same of text beyond ASCII, and says so', () => {
      fc.assert(
        fc.property(wideText, (text) => {
          expect(quoted(text)).to.deep.equal({ text: JSON.stringify(text).slice(1, -1), isAscii: isAscii(text) })
        }),
        { seed: SEED, numRuns: 500 },
      )
    })

    it('leaves text with a control character to others, wherever that is', () => {
      fc.assert(
        fc.property(controlText, (text) => {
          expect(quoted(text)).to.equal(undefined)
        }),
        { seed: SEED, numRuns: 500 },
      )
    })

    it('finds each byte at each place', () => {
      for (let length = 1; length <= 65; length += 1) {
        for (let at = 0; at < length; at += 1) {
          for (const byte of ['"', '\\', '\u007f', ' ']) {
            const text = 'a'.repeat(at) + byte + 'b'.repeat(length - at - 1)
            expect(quoted(text)?.text).to.equal(JSON.stringify(text).slice(1, -1))
          }
        }
      }
    })

    it('writes lines of frames as they stand in a recording', () => {
      const line = (text: string, timeUs: number, ns: number, connection: number): ReturnType<typeof written> =>
        written(text, (end) => kernel.code.frameLine(to, from, end, timeUs, ns, connection))
      fc.assert(
        fc.property(
          fc.oneof(plainText, wideText),
          fc.integer({ min: 1e15, max: Number.MAX_SAFE_INTEGER }),
          fc.nat(999),
          fc.oneof(fc.nat(12), fc.nat(99_999_999)),
          (text, timeUs, ns, connection) => {
            const number = connection === 0 ? '' : `,"c":${connection}`
            const time = `${timeUs}${String(ns).padStart(3, '0')}`
            expect(line(text, timeUs, ns, connection)).to.deep.equal({
              text: `{"t":"${time}","dir":"in"${number},"raw":${JSON.stringify(text)}}\n`,
              isAscii: isAscii(text),
            })
          },
        ),
        { seed: SEED, numRuns: 1_000 },
      )
      for (let ns = 0; ns <= 999; ns += 1) {
        expect(line('', TIME_US, ns, 0)?.text.slice(6, 25)).to.equal(`${TIME_US}${String(ns).padStart(3, '0')}`)
      }
      expect(line('a\n', TIME_US, 0, 0)).to.equal(undefined)
    })
  })
}

function isAscii(text: string): boolean {
  return Buffer.byteLength(text, 'utf8') === text.length
}
