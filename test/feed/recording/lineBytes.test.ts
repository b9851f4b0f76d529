import { expect } from 'chai'
import fc from 'fast-check'
import type { InRecord } from '../../../src/feed/record'
import { LineBytes } from '../../../src/feed/recording/lineBytes'
import { writeLine } from '../../../src/feed/recording/recordLine'

const START_US = 1_767_225_600_000_000

describe('LineBytes', () => {
  it('holds the lines of frames whatever they are, wherever they are made, and however others write in between', () => {
    const text = fc.oneof(
      fc.json(),
      fc.string({ unit: 'binary', maxLength: 40 }),
      // More than fits beside what is on the page, or on a page at all.
      fc
        .tuple(fc.json({ maxDepth: 1 }), fc.constantFrom(1_000, 20_000, 40_000))
        .map(([one, times]) => one.repeat(times / 20)),
    )
    const step = fc.oneof(
      fc.record({
        kind: fc.constant('frame' as const),
        of: fc.nat(2),
        text,
        form: fc.constantFrom('string', 'bytes'),
        connection: fc.constantFrom(0, 1, 99_999_999, 100_000_000),
        ns: fc.nat(999),
        isEarly: fc.boolean(),
      }),
      fc.record({ kind: fc.constant('taken back' as const), of: fc.nat(2) }),
      fc.record({ kind: fc.constant('read' as const), of: fc.nat(2) }),
    )
    const property = fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const outs = [0, 1, 2].map(() => ({ lines: [] as string[], bytes: new LineBytes(64) }))
      for (const one of steps) {
        const { lines, bytes } = outs[one.of]!
        if (one.kind === 'read') expect(bytes.bytes.toString('utf8')).to.equal(lines.join(''))
        else if (one.kind === 'taken back') {
          lines.pop()
          bytes.cut(Buffer.byteLength(lines.join('')))
        } else {
          const { ns, connection, isEarly } = one
          const timeUs = isEarly ? 0 : START_US + lines.length
          const data = one.form === 'string' ? one.text : Buffer.from(one.text, 'utf8')
          // Half a surrogate has no bytes of its own.
          const held = typeof data === 'string' ? data : data.toString('utf8')
          const record: InRecord = { timeUs, ns, connection, exchange: 'okx', dir: 'in', data, isText: true }
          expect(writeLine(bytes, record, undefined)).to.equal(false)
          const time = isEarly ? String(ns) : `${timeUs}${String(ns).padStart(3, '0')}`
          const number = connection === 0 ? '' : `,"c":${connection}`
          lines.push(`{"t":"${time}","dir":"in"${number},"raw":${JSON.stringify(held)}}\n`)
        }
        expect(bytes.length).to.equal(Buffer.byteLength(lines.join('')))
      }
      for (const { lines, bytes } of outs) expect(bytes.bytes.toString('utf8')).to.equal(lines.join(''))
    })
    fc.assert(property, { seed: 12, numRuns: 150 })
  })

  it('takes a frame that is no UTF-8 as bytes', () => {
    const out = new LineBytes(64)
    const data = Buffer.from([0x7b, 0xff, 0x7d])
    const record: InRecord = { timeUs: START_US, ns: 0, connection: 0, exchange: 'okx', dir: 'in', data, isText: true }
    expect(writeLine(out, record, undefined)).to.equal(true)
    expect(out.bytes.toString('utf8')).to.equal(`{"t":"${START_US}000","dir":"in","b64":"e/99"}\n`)
  })
})
