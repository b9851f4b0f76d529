import { expect } from 'chai'
import fc from 'fast-check'
import { lineBlocks } from '../../../src/sinks/files/lineBlocks'

describe('lineBlocks', () => {
  const usual = { lineEnd: '\n', header: '' }

  /** All bytes, each block copied before the next is asked for. */
  const bytesOf = (blocks: Iterable<Buffer>): Buffer => Buffer.concat(Array.from(blocks, (block) => Buffer.from(block)))

  const text = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    // Parts and blocks that are full to the last byte, and records longer than each of them.
    fc
      .record({
        char: fc.constantFrom('a', 'é', '€', '😀'),
        length: fc.constantFrom(5_461, 16_383, 16_384, 87_382, 300_000),
      })
      .map(({ char, length }) => char.repeat(length / char.length)),
  )

  it('gives the bytes of the header and of each record with its line end, however long they are', () => {
    fc.assert(
      fc.property(
        fc.array(text, { maxLength: 12 }),
        fc.constantFrom('\n', '\r\n'),
        fc.constantFrom('', 'head\n', 'é'.repeat(200_000)),
        fc.nat(12),
        (records, lineEnd, header, skipped) => {
          const from = Math.min(skipped, records.length)
          const wanted =
            header +
            records
              .slice(from)
              .map((record) => record + lineEnd)
              .join('')
          const given = bytesOf(lineBlocks(records, from, records.length, { lineEnd, header }))
          expect(given.equals(Buffer.from(wanted))).to.equal(true)
        },
      ),
      { numRuns: 60 },
    )
  })

  it('leaves out what is not asked for', () => {
    expect(bytesOf(lineBlocks(['a', 'b', 'c'], 1, 2, usual)).toString()).to.equal('b\n')
    expect([...lineBlocks(['a', 'b'], 1, 1, usual)]).to.deep.equal([])
  })

  it('writes half a pair of code units as what it is replaced by, as a buffer does', () => {
    const halves = ['\ud83d', '\ude00']
    expect(bytesOf(lineBlocks(halves, 0, 2, usual)).equals(Buffer.from('\ud83d\n\ude00\n'))).to.equal(true)
  })

  it('keeps what several files write at once apart, also when one of them is left early', () => {
    const lines = (char: string): string[] => Array.from({ length: 4_000 }, () => char.repeat(99))
    const left = lineBlocks(lines('x'), 0, 4_000, usual)[Symbol.iterator]()
    left.next()
    left.return?.()
    const [one, other] = [lines('a'), lines('b')].map((records) =>
      lineBlocks(records, 0, 4_000, usual)[Symbol.iterator](),
    )
    let [of, beside] = ['', '']
    for (let at = 0; at < 3; at++) {
      const [first, second] = [one!.next(), other!.next()]
      if (first.done !== true) of += first.value.toString()
      if (second.done !== true) beside += second.value.toString()
    }
    expect(of).to.equal(`${'a'.repeat(99)}\n`.repeat(4_000))
    expect(beside).to.equal(`${'b'.repeat(99)}\n`.repeat(4_000))
  })
})
