import { expect } from 'chai'
import fc from 'fast-check'
import { BookView } from '../../src/book/bookView'
import { Level2Book } from '../../src/book/level2Book'
import { Kernel } from '../../src/kernel/kernel'
import { ASKS, PRICES, SIZES, SLOT_BYTES, TEXT_SLOTS } from '../../src/kernel/layout'
import { encodeValue } from '../../src/sinks/encode'
import { Random } from '../../src/simulator/random'
import { seqText, timeText } from '../../src/book/wholeText'
import { delta, snapshot } from '../kit/marketEvents'

/** Numbers as exchanges write them, and others. */
const wire = fc
  .tuple(fc.integer({ min: 0, max: 10 ** 15 - 1 }), fc.integer({ min: 0, max: 15 }))
  .map(([digits, places]) => Number(`${digits}e-${places}`))
const short = fc
  .tuple(fc.integer({ min: 0, max: 99_999_999 }), fc.integer({ min: 0, max: 8 }))
  .map(([digits, places]) => Number(`${digits}e-${places}`))

function whole(random: Random, from: number, to: number): number {
  return from + (random.uint32() % (to - from + 1))
}

for (const language of ['wasm', 'typescript'] as const) {
  describe(`levels as JSON text, by the kernel in ${language}`, () => {
    const memory = new Kernel(language)
    const room = memory.allocate(64 * 1_024)
    const known = memory.allocate(TEXT_SLOTS * SLOT_BYTES)
    memory.words.fill(-1, known >> 2, (known + TEXT_SLOTS * SLOT_BYTES) >> 2)

    const textOf = (levels: readonly (readonly [number, number])[]): string | undefined => {
      for (const [index, [price, size]] of levels.entries()) {
        memory.doubles[((ASKS + PRICES) >> 3) + index] = price
        memory.doubles[((ASKS + SIZES) >> 3) + index] = size
      }
      const end = memory.code.levelsText(room, 1, levels.length, known)
      return end === 0 ? undefined : `[${memory.bytes.toString('latin1', room, end)}]`
    }

    it('is what JSON.stringify gives, to the character, or is left to it', () => {
      let printed = 0
      const any = fc.oneof({ weight: 6, arbitrary: short }, { weight: 3, arbitrary: wire }, fc.double({ noNaN: true }))
      fc.assert(
        fc.property(fc.array(fc.tuple(any, any), { minLength: 1, maxLength: 20 }), (levels) => {
          for (let again = 0; again < 2; again++) {
            const text = textOf(levels)
            if (text === undefined) continue
            printed++
            expect(text).to.equal(JSON.stringify(levels))
          }
        }),
        { numRuns: 5_000, seed: 11 },
      )
      expect(printed).to.be.above(1_000)
    })

    it('prints every number of at most fifteen digits that is not printed with an exponent', () => {
      fc.assert(
        fc.property(
          wire.filter((number) => number === 0 || number >= 1e-6),
          short,
          (price, size) => {
            if (size !== 0 && size < 1e-6) return
            expect(textOf([[price, size]])).to.equal(JSON.stringify([[price, size]]))
          },
        ),
        { numRuns: 20_000, seed: 12 },
      )
    })

    it('does not take a level for another one', () => {
      for (const levels of [[[0, 0]], [[1, 0]], [[0, 1]], [[1, 1]], [[-0, 0.1]], [[1e7, 9999999.12345678]]] as const) {
        expect(textOf(levels)).to.equal(JSON.stringify(levels))
      }
    })
  })
}

describe('a book as JSON text', () => {
  const head = {
    exchange: 'kraken',
    symbol: 'ADA/"X"',
    instrument: 'ADA-BTC',
    exchangeTimeUs: 1_700_000_000_123_456,
    receiveTimeUs: 1_700_000_000_200_001,
    seq: 7,
  }

  const bookOf = (levels: number, random: Random): Level2Book => {
    const book = new Level2Book()
    const side = (sign: 1 | -1): [string, string][] =>
      Array.from({ length: levels }, (_, index) => [
        ((100_000 + sign * (index + 1)) / 100).toFixed(2),
        (whole(random, 1, 1e9) / 1e5).toFixed(5),
      ])
    book.snapshot(snapshot(side(-1), side(1)))
    return book
  }

  const same = (view: BookView, depth: number): void => {
    const shown = view.upTo(depth)
    const plain = { kind: 'snapshot', exchange: view.exchange, symbol: view.symbol, instrument: view.instrument }
    const times = { exchangeTimeUs: view.exchangeTimeUs, receiveTimeUs: view.receiveTimeUs }
    const expected = { ...plain, ...times, bids: shown.bids(), asks: shown.asks(), seq: view.seq }
    expect(shown.toJSONText()).to.equal(JSON.stringify(expected))
    expect(encodeValue(shown)).to.equal(JSON.stringify(expected))
    expect(JSON.stringify(shown)).to.equal(JSON.stringify(expected))
  }

  it('is the text of its snapshot, at once and late, at any depth', () => {
    const random = new Random(5, 'levels')
    const book = bookOf(1_500, random)
    const views: BookView[] = []
    for (let round = 0; round < 300; round++) {
      const price = (whole(random, 99_000, 99_999) / 100).toFixed(2)
      const size = (whole(random, 0, 3) * 0.25).toFixed(2)
      book.delta(delta([[price, size]], []))
      const view = BookView.of({ ...head, seq: round }, book, Infinity)
      views.push(view)
      same(view, [1, 10, 1_100, Infinity][round % 4]!)
    }
    for (const view of views) same(view, 25)
    same(views[0]!, Infinity)
  })

  it('leaves out what the exchange did not say', () => {
    const book = bookOf(3, new Random(1, 'levels'))
    const view = BookView.of(
      { ...head, instrument: undefined, exchangeTimeUs: undefined, seq: undefined },
      book,
      Infinity,
    )
    same(view, 2)
    expect(view.toJSONText()).to.not.contain('seq')
  })

  it('has numbers of more digits than the kernel prints, and sides without levels', () => {
    const book = new Level2Book()
    book.snapshot(
      snapshot(
        [
          ['0.000000012345678901', '123456789.123456789'],
          ['0.000000012345', '0.0000005'],
        ],
        [],
      ),
    )
    same(BookView.of(head, book, Infinity), Infinity)
    const tiny = new Level2Book()
    tiny.snapshot(snapshot([['0.00000012', '5']], [['0.00000013', '100']]))
    same(BookView.of(head, tiny, Infinity), Infinity)
  })
})

describe('whole numbers as text', () => {
  it('are what String gives', () => {
    const any = fc.oneof(
      fc.integer({ min: 0, max: 2 ** 53 - 1 }),
      fc.integer({ min: 1_700_000_000_000_000, max: 1_700_000_000_000_000 + 3_000_000 }),
      fc.double(),
      fc.integer(),
    )
    fc.assert(
      fc.property(any, (number) => {
        expect(timeText(number)).to.equal(String(number))
        expect(seqText(number)).to.equal(String(number))
      }),
      { numRuns: 20_000, seed: 3 },
    )
  })
})
