import { expect } from 'chai'
import { crc32 } from 'node:zlib'
import { krakenChecksum, okxChecksum } from '../../src/book/checksum'
import { Level2Book } from '../../src/book/level2Book'
import type { LevelText } from '../../src/model/events'
import { delta, snapshot } from '../kit/marketEvents'
import { needsShared, readRecording } from '../kit/shared'

describe('checksums', () => {
  describe('of Kraken', () => {
    // A real snapshot of 24 Aug 2026 and the update after it, with the checksums that came with them.
    const bids: LevelText[] = [
      ['78871.5', '0.01266503'],
      ['78868.4', '0.00005100'],
      ['78867.3', '0.00059789'],
      ['78865.8', '0.00030000'],
      ['78865.7', '0.01532403'],
      ['78864.5', '0.00005100'],
      ['78860.6', '0.04618528'],
      ['78860.5', '0.00005100'],
      ['78859.2', '0.20128607'],
      ['78858.8', '0.63404462'],
    ]
    const asks: LevelText[] = [
      ['78871.6', '4.21103066'],
      ['78872.2', '0.41892437'],
      ['78872.5', '0.08877452'],
      ['78873.7', '0.64976822'],
      ['78875.5', '0.63391066'],
      ['78876.2', '0.02287157'],
      ['78877.2', '0.00810675'],
      ['78877.8', '0.65087492'],
      ['78877.9', '1.89408049'],
      ['78878.0', '4.52243185'],
    ]
    const depth = 10
    const update = delta([['78858.8', '0.00000000'], ['78857.0', '0.34775324']], [], { depth }) // prettier-ignore

    it('is the one it sent with a snapshot, and with the update after it', () => {
      const book = new Level2Book()
      book.snapshot(snapshot(bids, asks, { depth }))
      expect(krakenChecksum.compute(book)).to.equal(1406471562)
      book.delta(update)
      expect(krakenChecksum.compute(book)).to.equal(2416540570)
    })

    it('notices a lost level, a size and a digit', () => {
      for (const wrong of [bids.slice(1), [['78871.5', '0.01266504'] as const, ...bids.slice(1)]]) {
        const book = new Level2Book()
        book.snapshot(snapshot(wrong, asks, { depth }))
        expect(krakenChecksum.compute(book)).not.to.equal(1406471562)
      }
      const book = new Level2Book()
      book.snapshot(snapshot(bids, [...asks.slice(0, 9), ['78878.0', '4.522431850']], { depth }))
      expect(krakenChecksum.compute(book)).not.to.equal(1406471562)
    })

    /** The checksum of levels that stand in the order in which it takes them. */
    const checksumOf = (levels: readonly LevelText[]): number =>
      crc32(levels.map((level) => level.map((text) => text.replace('.', '').replace(/^0+/, '')).join('')).join(''))

    it('is over the ten best levels however deep the book is', () => {
      const deeper: LevelText[] = [['78000.0', '1.00000000']]
      const book = new Level2Book()
      book.snapshot(snapshot([...bids, ...deeper], asks))
      expect(krakenChecksum.compute(book)).to.equal(1406471562)
    })

    it('is over a book without the levels that were pushed out: they get no removal', () => {
      const book = new Level2Book()
      book.snapshot(snapshot(bids, asks, { depth }))
      const better: LevelText = ['78871.55', '1.00000000']
      book.delta(delta([better], [], { depth }))
      expect(krakenChecksum.compute(book)).to.equal(checksumOf([...asks, better, ...bids.slice(0, 9)]))
      // When the better level goes, the exchange sends the one that comes back into range. Without the cut it would be there twice over.
      book.delta(delta([['78871.55', '0.00000000'], ['78858.9', '0.50000000']], [], { depth })) // prettier-ignore
      expect(book.bids.texts(99).at(-1)).to.deep.equal(['78858.9', '0.50000000'])
      expect(krakenChecksum.compute(book)).to.equal(
        checksumOf([...asks, ...bids.slice(0, 9), ['78858.9', '0.50000000']]),
      )
    })

    it('is over what there is on a thin book', () => {
      const book = new Level2Book()
      expect(krakenChecksum.compute(book)).to.equal(0)
      book.snapshot(snapshot([['0.00010', '5.0']], []))
      expect(krakenChecksum.compute(book)).to.equal(crc32('1050'))
    })

    it('takes every value for a checksum, 0 too', () => {
      expect(krakenChecksum.isNone(0)).to.equal(false)
    })
  })

  describe('of OKX', () => {
    interface WireBook {
      readonly arg?: { readonly channel: string; readonly instId: string }
      readonly action?: 'snapshot' | 'update'
      readonly data?: readonly [
        { readonly bids: readonly string[][]; readonly asks: readonly string[][]; readonly checksum: number },
      ]
    }

    it('is the one it sent with every snapshot and update of a recorded session', function () {
      needsShared(this)
      const books = new Map<string, Level2Book>()
      let checked = 0
      for (const { dir, raw } of readRecording('okx.ws1.first60').lines) {
        const { arg, action, data } = (dir === 'in' ? JSON.parse(raw!) : {}) as WireBook
        if (action === undefined) continue
        const book = books.get(arg!.instId) ?? new Level2Book()
        books.set(arg!.instId, book)
        const [{ bids, asks, checksum }] = data!
        const levels = (side: readonly string[][]): LevelText[] => side.map(([price, size]) => [price!, size!])
        if (action === 'snapshot') book.snapshot(snapshot(levels(bids), levels(asks)))
        else book.delta(delta(levels(bids), levels(asks)))
        expect(okxChecksum.compute(book), `${arg!.instId}, frame ${checked}`).to.equal(checksum)
        checked++
      }
      expect(checked).to.be.greaterThan(100)
    })

    it('interleaves the 25 best levels of both sides, and goes on with the longer one alone', () => {
      const book = new Level2Book()
      book.snapshot(snapshot([['3366.1', '7'], ['3366', '6']], [['3366.8', '9'], ['3368', '8'], ['3372', '8']])) // prettier-ignore
      expect(okxChecksum.compute(book)).to.equal(crc32('3366.1:7:3366.8:9:3366:6:3368:8:3372:8') | 0)
    })

    it('leaves out what is deeper than 25 levels', () => {
      const side = Array.from({ length: 40 }, (_, index): LevelText => [String(100 + index), '1'])
      const [deep, shallow] = [new Level2Book(), new Level2Book()]
      deep.snapshot(snapshot([], side))
      shallow.snapshot(snapshot([], side.slice(0, 25)))
      expect(okxChecksum.compute(deep)).to.equal(okxChecksum.compute(shallow))
    })

    it('is signed, and 0 means that there is none', () => {
      const signs = new Set<number>()
      for (let price = 1; price < 40; price++) {
        const book = new Level2Book()
        book.snapshot(snapshot([[String(price), '1']], []))
        signs.add(Math.sign(okxChecksum.compute(book)))
      }
      expect([...signs].sort()).to.deep.equal([-1, 1])
      expect(okxChecksum.isNone(0)).to.equal(true)
      expect(okxChecksum.isNone(-5)).to.equal(false)
    })
  })
})
