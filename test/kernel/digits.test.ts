import { expect } from 'chai'
import * as fc from 'fast-check'
import { crc32 } from 'node:zlib'
import { Kernel } from '../../src/kernel/kernel'
import { BOOK_CRCS } from '../../src/kernel/layout'
import { BareBook, type BareLevel } from './bareBook'

const SEED = 20_261_128
const PRICE_DECIMALS = 2

type TextLevel = readonly [price: string, size: string]

/** Sizes as exchanges write them, zeros at the end and all: `0.00050000`, `12`, `3.10`. */
const sizeText = fc.oneof(
  fc
    .tuple(fc.integer({ min: 1, max: 99_999_999 }), fc.integer({ min: 0, max: 10 }))
    .map(([lots, places]) => decimal(lots, places)),
  fc
    .tuple(fc.integer({ min: 1, max: 999_999_999_999 }), fc.integer({ min: 0, max: 8 }))
    .map(([lots, places]) => decimal(lots, places)),
  fc.constantFrom('0.00050000', '5.00000000', '100000000', '0.1', '999999999999999', '1000000.00000000', '0.00000001'),
)

/** Prices of two decimals, one level each. */
const side = fc.uniqueArray(fc.tuple(fc.integer({ min: 1, max: 20_000_000 }), sizeText), {
  selector: ([ticks]) => ticks,
  maxLength: 40,
})

function decimal(whole: number, places: number): string {
  const digits = String(whole).padStart(places + 1, '0')
  return places === 0 ? digits : `${digits.slice(0, -places)}.${digits.slice(-places)}`
}

function levelOf([price, size]: TextLevel): BareLevel {
  const places = (text: string): number => (text.includes('.') ? text.length - text.indexOf('.') - 1 : 0)
  return [Number(price), Number(size), places(price) * 128 + places(size)]
}

for (const language of ['wasm', 'typescript'] as const) {
  describe(`The checksums of the kernel in ${language}`, () => {
    // In TypeScript there is one memory at a time: that of the kernel made last.
    let kernel: Kernel
    before(() => (kernel = new Kernel(language)))

    function bookOf(bids: readonly TextLevel[], asks: readonly TextLevel[]): BareBook {
      const book = new BareBook(kernel, 1, 10 ** PRICE_DECIMALS, 10_000_000)
      book.change(false, bids.map(levelOf))
      book.change(true, asks.map(levelOf))
      return book
    }

    function texts(drawn: readonly (readonly [number, string])[], descending: boolean): TextLevel[] {
      return [...drawn]
        .sort(([a], [b]) => (descending ? b - a : a - b))
        .map(([ticks, size]) => [decimal(ticks, PRICE_DECIMALS), size])
    }

    it('are the CRC32 of the texts that Kraken sent', function () {
      this.timeout(30_000)
      fc.assert(
        fc.property(side, side, (drawnBids, drawnAsks) => {
          const [bids, asks] = [texts(drawnBids, true), texts(drawnAsks, false)]
          const book = bookOf(bids, asks)
          const digits = (text: string): string => text.replace('.', '').replace(/^0+/, '')
          const text = [...asks.slice(0, 10), ...bids.slice(0, 10)].flat().map(digits).join('')
          expect(kernel.code.krakenChecksum(book.at, 10)).to.equal(crc32(text))
        }),
        { seed: SEED, numRuns: 300 },
      )
    })

    it('are the CRC32 of the texts that OKX sent', function () {
      this.timeout(30_000)
      fc.assert(
        fc.property(side, side, (drawnBids, drawnAsks) => {
          const [bids, asks] = [texts(drawnBids, true), texts(drawnAsks, false)]
          const book = bookOf(bids, asks)
          const parts: string[] = []
          for (let index = 0; index < 25; index++) parts.push(...(bids[index] ?? []), ...(asks[index] ?? []))
          expect(kernel.code.okxChecksum(book.at, 25)).to.equal(crc32(parts.join(':')))
        }),
        { seed: SEED, numRuns: 300 },
      )
    })

    it('keep the zeros at the end of a size, and drop those in front where Kraken does', () => {
      const book = bookOf([['5.00', '0.00050000']], [])
      expect(kernel.code.krakenChecksum(book.at, 10)).to.equal(crc32('50050000'))
      // A book is of one exchange.
      book.forgetCrcs()
      expect(kernel.code.okxChecksum(book.at, 25)).to.equal(crc32('5.00:0.00050000'))
    })

    it('are the same from one change of a book to the next, with what is known from the last at hand', function () {
      this.timeout(60_000)
      const change = fc.tuple(
        fc.boolean(),
        fc.integer({ min: 1, max: 40 }),
        fc.oneof(sizeText, fc.constant('0')),
        fc.integer({ min: 1, max: 100 }),
      )
      fc.assert(
        fc.property(fc.array(change, { minLength: 5, maxLength: 120 }), fc.boolean(), (changes, isKraken) => {
          const ours = bookOf([], [])
          const other = bookOf([], [])
          const checksum = isKraken ? 'krakenChecksum' : 'okxChecksum'
          for (const [asks, ticks, size, depth] of changes) {
            const level = levelOf([decimal(10_000_000 + (asks ? ticks : -ticks), PRICE_DECIMALS), size])
            ours.change(asks, [level])
            other.change(asks, [level])
            ours.cut(!asks, depth)
            other.cut(!asks, depth)
            const levels = isKraken ? 10 : 25
            other.forgetCrcs()
            expect(kernel.code[checksum](ours.at, levels)).to.equal(kernel.code[checksum](other.at, levels))
          }
        }),
        { seed: SEED, numRuns: 200 },
      )
    })

    it('are right again after one that could not be computed', () => {
      const [ours, other] = [bookOf([['5.00', '7.5']], [['6.00', '1']]), bookOf([['5.00', '7.5']], [['6.00', '1']])]
      for (const size of [1, 2 ** 53, 3, 3]) {
        ours.change(true, [[6.01, size, 2 * 128]])
        other.change(true, [[6.01, size, 2 * 128]])
        other.forgetCrcs()
        expect(kernel.code.okxChecksum(ours.at, 25)).to.equal(kernel.code.okxChecksum(other.at, 25))
      }
    })

    it('are not made of numbers whose zeros would need more room than the texts have', () => {
      const book = new BareBook(kernel, 1, 1e8, 100)
      const behind = kernel.allocate(4_096)
      kernel.bytes.fill(7, behind, behind + 4_096)
      for (const asks of [false, true]) {
        const levels = Array.from({ length: 25 }, (_, index): BareLevel => {
          const tick = asks ? 101 + index : 100 - index
          return [tick / 1e8, 1e-8, 20 * 128 + 22]
        })
        book.change(asks, levels)
      }
      for (let time = 0; time < 2; time++) expect(kernel.code.okxChecksum(book.at, 25)).to.equal(-1)
      expect(kernel.bytes.subarray(behind, behind + 4_096).every((byte) => byte === 7)).to.equal(true)
    })

    it('are made of the longest texts that are printed here', () => {
      const book = new BareBook(kernel, 1, 1e8, 100)
      const behind = kernel.allocate(4_096)
      kernel.bytes.fill(7, behind, behind + 4_096)
      const parts: string[] = []
      for (let index = 0; index < 25; index++) {
        for (const tick of [100 - index, 101 + index]) {
          book.change(tick > 100, [[tick / 1e8, 1.5, 14 * 128 + 14]])
          parts.push(decimal(tick, 8) + '000000', '1.50000000000000')
        }
      }
      for (let time = 0; time < 2; time++) {
        expect(kernel.code.okxChecksum(book.at, 25)).to.equal(crc32(parts.join(':')))
      }
      expect(kernel.bytes.subarray(behind, behind + 4_096).every((byte) => byte === 7)).to.equal(true)
    })

    it('are not computed without a place for what is known', () => {
      const book = bookOf([['5.00', '1']], [])
      kernel.words[(book.at + BOOK_CRCS) >> 2] = 0
      expect(kernel.code.krakenChecksum(book.at, 10)).to.equal(-1)
      expect(kernel.code.okxChecksum(book.at, 25)).to.equal(-1)
    })

    it('are not made of numbers with more digits than are printed here', () => {
      const book = bookOf([], [])
      book.change(false, [[5, 2 ** 53, 2 * 128]])
      expect(kernel.code.krakenChecksum(book.at, 10)).to.equal(-1)
      expect(kernel.code.okxChecksum(book.at, 25)).to.equal(-1)
    })
  })
}
