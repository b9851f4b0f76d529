import { expect } from 'chai'
import fc from 'fast-check'
import { BookView } from '../../src/book/bookView'
import { Level2Book } from '../../src/book/level2Book'
import { Kernel, kernel } from '../../src/kernel/kernel'
import {
  ASKS,
  BOOK_SLOTS,
  BOOK_SLOTS_LACKED,
  BOOK_SLOT_CAPACITY,
  BOOK_SLOT_NEXT,
  PRICES,
  SIZES,
} from '../../src/kernel/layout'
import { BareBook } from '../kernel/bareBook'
import { encodeValue } from '../../src/sinks/encode'
import { Random } from '../../src/simulator/random'
import { wholeText } from '../../src/model/wholeText'
import { delta, snapshot } from '../kit/marketEvents'

/** Numbers as exchanges write them, and others. */
const wire = fc
  .tuple(fc.integer({ min: 0, max: 10 ** 15 - 1 }), fc.integer({ min: 0, max: 15 }))
  .map(([digits, places]) => Number(`${digits}e-${places}`))
const short = fc
  .tuple(fc.integer({ min: 0, max: 99_999_999 }), fc.integer({ min: 0, max: 8 }))
  .map(([digits, places]) => Number(`${digits}e-${places}`))

/** So small that they have an exponent. */
const tiny = fc
  .tuple(fc.integer({ min: 1, max: 10 ** 9 }), fc.integer({ min: 7, max: 22 }))
  .map(([digits, places]) => Number(`${digits}e-${places}`))

function whole(random: Random, from: number, to: number): number {
  return from + (random.uint32() % (to - from + 1))
}

for (const language of ['wasm', 'typescript'] as const) {
  describe(`levels as JSON text, by the kernel in ${language}`, () => {
    let memory: Kernel
    let room: number
    before(() => {
      memory = new Kernel(language)
      room = memory.allocate(64 * 1_024)
    })

    const textOf = (levels: readonly (readonly [number, number])[]): string | undefined => {
      for (const [index, [price, size]] of levels.entries()) {
        memory.doubles[((ASKS + PRICES) >> 3) + index] = price
        memory.doubles[((ASKS + SIZES) >> 3) + index] = size
      }
      const end = memory.code.levelsText(room, 1, levels.length)
      return end === 0 ? undefined : `[${memory.bytes.toString('latin1', room, end)}]`
    }

    it('is what JSON.stringify gives, to the character, or is left to it', () => {
      let printed = 0
      const any = fc.oneof({ weight: 6, arbitrary: short }, { weight: 3, arbitrary: wire }, fc.double({ noNaN: true }))
      fc.assert(
        fc.property(fc.array(fc.tuple(any, any), { minLength: 1, maxLength: 20 }), (levels) => {
          const text = textOf(levels)
          if (text === undefined) return
          printed++
          expect(text).to.equal(JSON.stringify(levels))
        }),
        { numRuns: 5_000, seed: 11 },
      )
      expect(printed).to.be.above(1_000)
    })

    it('prints every number of at most fifteen digits, with an exponent where it has one', () => {
      fc.assert(
        fc.property(wire, fc.oneof(short, tiny), (price, size) => {
          expect(textOf([[price, size]])).to.equal(JSON.stringify([[price, size]]))
        }),
        { numRuns: 20_000, seed: 12 },
      )
    })

    it('writes views of a book whose levels change, go away and move, with however few slots for their texts', () => {
      const random = new Random(21, 'views')
      const book = new BareBook(memory, 1, 100, 500_000)
      const header = memory.allocate(48)
      const name = memory.allocate(16)
      const nameLength = memory.bytes.write('{"of":1', name, 'latin1')
      const slots = memory.allocate(65 * 32)
      const word = (at: number): number => (book.at + at) >> 2
      memory.words[word(BOOK_SLOTS)] = slots
      memory.words[word(BOOK_SLOT_NEXT)] = 1
      memory.words[word(BOOK_SLOT_CAPACITY)] = 65
      let touch = 500_000
      for (let round = 0; round < 1_500; round++) {
        touch += whole(random, -2, 2) + (whole(random, 0, 50) === 0 ? whole(random, -900, 900) : 0)
        for (const asks of [false, true]) {
          const gone = book
            .best(asks, 0, 4_096)
            .filter(([price]) => (asks ? price * 100 <= touch : price * 100 >= touch))
            .map(([price]) => [price, 0, 256] as const)
          const levels = Array.from({ length: whole(random, 0, 6) }, () => {
            const tick = touch + (asks ? 1 : -1) * whole(random, 1, whole(random, 0, 3) === 0 ? 1_500 : 15)
            return [tick / 100, whole(random, 0, 2) === 0 ? 0 : whole(random, 1, 1e9) / 1e8, 264] as const
          })
          book.change(asks, [...gone, ...levels])
          if (whole(random, 0, 30) === 0) book.cut(asks, whole(random, 1, 80))
        }
        const said = whole(random, 0, 3) !== 0
        const numbers = [
          NaN,
          1_700_000_000_000_000 + round,
          said ? round * 12_345_678_901 : NaN,
          NaN,
          said ? round : NaN,
          0,
        ]
        memory.doubles.set(numbers, header >> 3)
        const depth = [1, 5, 20, 4_096][round % 4]!
        const sides = [false, true].map((asks) => book.best(asks, 0, depth).map(([price, size]) => [price, size]))
        const [bids, asks] = [sides[0]!, sides[1]!]
        const end = memory.code.viewText(room, book.at, name, nameLength, bids.length, asks.length, header)
        const expected = JSON.stringify({
          of: 1,
          ...(said && { exchangeTimeUs: numbers[2] }),
          receiveTimeUs: numbers[1],
          bids,
          asks,
          ...(said && { seq: round }),
        })
        expect(memory.bytes.toString('latin1', room, end)).to.equal(expected)
        if (memory.words[word(BOOK_SLOTS_LACKED)] !== 0 && round % 20 === 0) memory.code.forgetTexts(book.at)
      }
      expect(memory.words[word(BOOK_SLOTS_LACKED)]).to.be.above(0)
    })

    it('prints what stands at the edges', () => {
      for (const levels of [
        [[0, 0]],
        [[1, 0]],
        [[0, 1]],
        [[1, 1]],
        [[-0, 0.1]],
        [[1e7, 9999999.12345678]],
        [[1e-6, 1e-7]],
        [[9.99999999999e-7, 1e-22]],
      ] as const) {
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

  /** A book near 1,000.00 in which levels come and go near the touch, and sometimes far from it; the touch wanders. */
  class Market {
    readonly book: Level2Book
    private touch = 100_000

    constructor(
      readonly random: Random,
      levels = 300,
    ) {
      this.book = bookOf(levels, random)
    }

    /** Changes some levels; now and then so many that its log is too small, and its depth. */
    step(): void {
      const { random } = this
      this.touch += whole(random, -3, 3) + (whole(random, 0, 40) === 0 ? whole(random, -600, 600) : 0)
      const count = whole(random, 0, 30) === 0 ? whole(random, 50, 400) : whole(random, 0, 6)
      const side = (sign: 1 | -1): [string, string][] =>
        Array.from({ length: count }, () => {
          const reach = whole(random, 0, 5) === 0 ? 3_000 : 20
          const tick = this.touch + sign * whole(random, 1, reach)
          const size = whole(random, 0, 2) === 0 ? 0 : whole(random, 1, 1e6) / 1e8
          return [(tick / 100).toFixed(2), size.toFixed(8)]
        })
      // What the touch has passed is gone.
      const passed = (asks: boolean): [string, string][] => {
        const of = asks ? this.book.asks : this.book.bids
        return of
          .top(400)
          .filter(([price]) => (asks ? price * 100 <= this.touch : price * 100 >= this.touch))
          .map(([price]) => [price.toFixed(2), '0'])
      }
      this.book.delta(delta([...passed(false), ...side(-1)], [...passed(true), ...side(1)]))
      if (whole(random, 0, 20) === 0) this.book.cut(whole(random, 100, 400))
    }
  }

  it('is that of its moment, in whatever order and however late views are written', function () {
    this.timeout(30_000)
    for (let seed = 1; seed <= 6; seed++) {
      const random = new Random(seed, 'markets')
      const market = new Market(random)
      const waiting: { readonly view: BookView; readonly depth: number; readonly text: string }[] = []
      for (let round = 0; round < 800; round++) {
        market.step()
        const depth = [1, 10, 50, 200, 250, Infinity][whole(random, 0, 5)]!
        const view = BookView.of({ ...head, seq: round }, market.book, depth)
        // Some are written at once as well, so that both books have texts.
        const text = JSON.stringify(view)
        if (whole(random, 0, 1) === 0) expect(view.toJSONText()).to.equal(text)
        waiting.push({ view, depth, text })
        const batch = whole(random, 0, 60) === 0 ? waiting.splice(0, whole(random, 1, waiting.length)) : []
        if (whole(random, 0, 4) === 0) batch.reverse()
        for (const late of batch) expect(late.view.toJSONText()).to.equal(late.text)
      }
      for (const late of waiting) expect(late.view.toJSONText()).to.equal(late.text)
      market.book.clear()
      for (const late of waiting.reverse()) expect(late.view.toJSONText()).to.equal(late.text)
    }
  })

  it('outlives the book that was replaced, and the one that follows has its own', () => {
    const market = new Market(new Random(9, 'markets'))
    const texts: [BookView, string][] = []
    for (let round = 0; round < 30; round++) {
      market.step()
      const view = BookView.of({ ...head, seq: round }, market.book, 40)
      texts.push([view, JSON.stringify(view)])
    }
    for (const [view, text] of texts.slice(0, 20)) expect(view.toJSONText()).to.equal(text)
    market.book.snapshot(snapshot([['5', '1']], [['6', '2']]))
    const after = BookView.of({ ...head, seq: 99, exchange: 'okx' }, market.book, 40)
    expect(after.toJSONText()).to.equal(JSON.stringify(after))
    for (const [view, text] of texts) expect(view.toJSONText()).to.equal(text)
    expect(after.toJSONText()).to.equal(JSON.stringify(after))
  })

  it('is written of views that are so late that nothing is kept for them', () => {
    const market = new Market(new Random(10, 'markets'), 60)
    const early = BookView.of(head, market.book, Infinity)
    const text = JSON.stringify(early.toJSON())
    for (let round = 0; round < 12_000; round++) {
      market.step()
      BookView.of({ ...head, seq: round }, market.book, Infinity)
    }
    expect(early.toJSONText()).to.equal(text)
  }).timeout(30_000)

  it('has names of any script', () => {
    for (const symbol of ['BTC-USD', 'é', '币安人生USDT', '"\\\n']) {
      const book = bookOf(3, new Random(1, 'levels'))
      const [first, second] = [1, 2].map((seq) => BookView.of({ ...head, symbol, seq }, book, Infinity))
      expect(second!.toJSONText()).to.equal(JSON.stringify(second))
      expect(first!.toJSONText()).to.equal(JSON.stringify(first))
    }
  })

  it('has times and numbers that are not whole, or too large to be', () => {
    const book = bookOf(3, new Random(1, 'levels'))
    for (const number of [0, 0.5, -1, 2 ** 53, 1e21, 1_700_000_000_000_000.5, 2 ** 53 - 1, 4_294_967_296]) {
      const view = BookView.of({ ...head, exchangeTimeUs: number, receiveTimeUs: number, seq: number }, book, Infinity)
      expect(view.toJSONText()).to.equal(JSON.stringify(view))
    }
  })

  it('keeps no more of levels that come and go than it has room for', () => {
    const market = new Market(new Random(11, 'markets'), 60)
    const memory = kernel()
    const grown: number[] = []
    for (let round = 0; round < 6_000; round++) {
      market.step()
      const view = BookView.of({ ...head, seq: round }, market.book, 20)
      expect(view.toJSONText().length).to.be.above(0)
      if (round % 1_000 === 999) {
        expect(view.toJSONText()).to.equal(JSON.stringify(view))
        grown.push(memory.bytes.length)
      }
    }
    expect(grown.at(-1)).to.equal(grown[0])
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
        expect(wholeText(number)).to.equal(String(number))
      }),
      { numRuns: 20_000, seed: 3 },
    )
  })
})
