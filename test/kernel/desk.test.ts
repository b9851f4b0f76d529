import { expect } from 'chai'
import { crc32 } from 'node:zlib'
import { Kernel } from '../../src/kernel/kernel'
import {
  ASKS_DONE,
  BETWEEN,
  BIDS_DONE,
  CHAIN_LINK,
  CHAIN_NONE,
  CHAIN_RANGE,
  CHAIN_STEP,
  DESK_BOOK,
  DESK_BYTES,
  DESK_PREV_SEQ,
  DESK_RECEIVED,
  DESK_SEQ,
  DOUBTED,
  ENTRY_BYTES,
  FRAME,
  READ,
  TABLE_HEAD_BYTES,
  TAKEN,
  VERIFY_KRAKEN,
  VERIFY_NONE,
  VERIFY_OKX,
  VERIFY_UNCROSSED,
} from '../../src/kernel/layout'
import { compile, integer, key, pairs, signedInteger, timeMs, type Field } from '../../src/kernel/shape'
import { Random } from '../../src/simulator/random'
import { BareBook } from './bareBook'

type Pair = readonly [price: string, size: string]

/** What a frame may say beside its levels, in the order of its fields. */
interface Said {
  firstSeq?: number
  seq?: number
  prevSeq?: number
  exchangeTimeUs?: number
  checksum?: number
}

const FIELDS: Readonly<Record<keyof Said, Field>> = {
  firstSeq: integer('firstSeq'),
  seq: integer('seq'),
  prevSeq: integer('prevSeq'),
  exchangeTimeUs: timeMs('exchangeTimeUs'),
  checksum: signedInteger('checksum'),
}

const SENT_US = 1_723_161_255_608_000
/** Ticks of 0.05, the best bid at 50.00. */
const UNIT = 5
const POWER = 100
const TOUCH = 1_000

interface Wishes {
  readonly verify?: number
  readonly depth?: number
  /** Records that the log takes, and levels that each list does. */
  readonly records?: number
  readonly capacity?: number
  /** True where the key stands behind the levels, so that their places are not known when they are read. */
  readonly isKeyLast?: boolean
}

/** A book at 50.00 and 50.05 with a desk, numbered 10, and one shape of frames for it. */
class DeskedBook {
  readonly book: BareBook
  readonly desk: number
  private readonly isKeyLast: boolean
  private readonly chain: number
  private readonly table: number

  constructor(
    private readonly kernel: Kernel,
    chain: number,
    private readonly names: readonly (keyof Said)[],
    { verify = VERIFY_NONE, depth = 0, records = 64, capacity = 64, isKeyLast = false }: Wishes = {},
  ) {
    this.isKeyLast = isKeyLast
    this.book = new BareBook(kernel, UNIT, POWER, TOUCH, capacity)
    this.book.change(false, [
      [50, 1, 256],
      [49.95, 2, 256],
    ])
    this.book.change(true, [
      [50.05, 3, 256],
      [50.1, 4, 256],
    ])
    this.book.keepLog(records)
    this.desk = kernel.allocate(DESK_BYTES)
    this.open(this.book.at)
    this.set(DESK_SEQ, 10)
    this.set(DESK_PREV_SEQ, 9)
    this.set(DESK_RECEIVED, NaN)

    const literals = [isKeyLast ? '{"b":' : '{"s":"', ...(isKeyLast ? [',"a":'] : ['","b":', ',"a":'])]
    const fields: Field[] = [...(isKeyLast ? [] : [key]), pairs('bids'), pairs('asks')]
    for (const name of names) {
      literals.push(`,"${name}":`)
      fields.push(FIELDS[name])
    }
    if (isKeyLast) {
      literals.push(',"s":"')
      fields.push(key)
    }
    literals.push(isKeyLast ? '"}' : '}')
    const { words } = compile({ literals, fields }, 0, { chain, verify })
    this.chain = kernel.allocate((words.length + 2) * 4)
    kernel.words.set([0, 0, ...words], this.chain >> 2)

    this.table = kernel.allocate(TABLE_HEAD_BYTES + ENTRY_BYTES * 2)
    kernel.words.fill(0, this.table >> 2, (this.table + TABLE_HEAD_BYTES + ENTRY_BYTES * 2) >> 2)
    kernel.words[this.table >> 2] = 1
    const keyAt = kernel.allocate(16)
    kernel.bytes.fill(0, keyAt, keyAt + 16)
    kernel.bytes.write('A', keyAt)
    const place = kernel.code.hashOf(keyAt, 1, 0) & 1
    kernel.words.set(
      [keyAt, 1, 0, keyAt, 1, 0, this.desk, depth],
      (this.table + TABLE_HEAD_BYTES + place * ENTRY_BYTES) >> 2,
    )
  }

  open(book: number): void {
    this.kernel.words[(this.desk + DESK_BOOK) >> 2] = book
  }

  set(of: number, value: number): void {
    this.kernel.doubles[(this.desk + of) >> 3] = value
  }

  get numbers(): { seq: number; prevSeq: number; receivedUs: number } {
    const at = (of: number): number => this.kernel.doubles[(this.desk + of) >> 3]!
    return { seq: at(DESK_SEQ), prevSeq: at(DESK_PREV_SEQ), receivedUs: at(DESK_RECEIVED) }
  }

  /** How many levels of each side the last update has changed. */
  get done(): [bids: number, asks: number] {
    return [this.kernel.words[BIDS_DONE >> 2]!, this.kernel.words[ASKS_DONE >> 2]!]
  }

  take(said: Said, bids: readonly Pair[], asks: readonly Pair[], receiveTimeUs = 77): number {
    const numbers = this.names.map((name) => {
      const value = said[name]!
      return `,"${name}":${name === 'exchangeTimeUs' ? value / 1_000 : value}`
    })
    const levels = `"b":${JSON.stringify(bids)},"a":${JSON.stringify(asks)}`
    const frame = this.isKeyLast ? `{${levels}${numbers.join('')},"s":"A"}` : `{"s":"A",${levels}${numbers.join('')}}`
    const { kernel } = this
    const length = kernel.putFrame(frame)
    return kernel.code.scan(this.chain, FRAME, FRAME + length, this.table, receiveTimeUs)
  }

  /** Everything that a delta may change. */
  get state(): unknown {
    const { book, numbers } = this
    return { numbers, log: book.keptLog, bids: book.best(false, 0, 64), asks: book.best(true, 0, 64) }
  }

  expectUntouched(what: string, act: () => number): void {
    const before = this.state
    expect(act(), what).to.equal(READ)
    expect(this.state, what).to.deep.equal(before)
  }
}

const BID: readonly Pair[] = [['50.00', '7']]
const RANGE = ['firstSeq', 'seq'] as const
const LINK = ['seq', 'prevSeq'] as const

/** What a view writes into the log. */
function view(receiveTimeUs: number, exchangeTimeUs: number, seq: number): number[] {
  return [NaN, receiveTimeUs, exchangeTimeUs, NaN, seq, 0]
}

for (const language of ['wasm', 'typescript'] as const) {
  describe(`The desk of a book in ${language}`, () => {
    let kernel: Kernel
    before(() => (kernel = new Kernel(language)))
    const book = (chain: number, names: readonly (keyof Said)[], wishes?: Wishes): DeskedBook =>
      new DeskedBook(kernel, chain, names, wishes)

    describe('takes a delta', () => {
      it('whose range begins after the book’s number', () => {
        const one = book(CHAIN_RANGE, [...RANGE, 'exchangeTimeUs'])
        expect(one.take({ firstSeq: 11, seq: 14, exchangeTimeUs: SENT_US }, BID, [['50.05', '0']], 99)).to.equal(TAKEN)
        expect(one.numbers).to.deep.equal({ seq: 14, prevSeq: NaN, receivedUs: 99 })
        expect(one.book.best(false, 0, 9)[0]).to.deep.equal([50, 7, 256])
        expect(one.book.top(true)).to.deep.equal([50.1, 4])
        expect(one.book.keptLog).to.deep.equal([50, 1, 7, -50.05, 3, 0, ...view(99, SENT_US, 14)])
        expect(one.take({ firstSeq: 15, seq: 15, exchangeTimeUs: SENT_US }, [], [])).to.equal(TAKEN)
        expect(one.book.keptLog.slice(12)).to.deep.equal(view(99, SENT_US, 15))
      })

      it('that names the book’s number as the one before it', () => {
        const one = book(CHAIN_LINK, LINK)
        expect(one.take({ seq: 25, prevSeq: 10 }, BID, [])).to.equal(TAKEN)
        expect(one.numbers).to.deep.equal({ seq: 25, prevSeq: 10, receivedUs: 77 })
        expect(one.book.keptLog).to.deep.equal([50, 1, 7, ...view(77, NaN, 25)])
        // A sign of life, and a numbering that begins anew.
        expect(one.take({ seq: 25, prevSeq: 25 }, [], [])).to.equal(TAKEN)
        expect(one.take({ seq: 3, prevSeq: 25 }, BID, [])).to.equal(TAKEN)
        expect(one.numbers).to.deep.include({ seq: 3, prevSeq: 25 })
      })

      it('that is one step further', () => {
        const one = book(CHAIN_STEP, ['seq'])
        expect(one.take({ seq: 11 }, BID, [])).to.equal(TAKEN)
        expect(one.numbers).to.deep.equal({ seq: 11, prevSeq: 10, receivedUs: 77 })
      })

      it('of a book that has no numbers, and leaves the book’s as it is', () => {
        const one = book(CHAIN_NONE, [])
        one.set(DESK_SEQ, NaN)
        expect(one.take({}, BID, [])).to.equal(TAKEN)
        expect(one.numbers).to.deep.equal({ seq: NaN, prevSeq: NaN, receivedUs: 77 })
        expect(one.book.keptLog).to.deep.equal([50, 1, 7, ...view(77, NaN, NaN)])

        const numbered = book(CHAIN_NONE, ['seq'])
        expect(numbered.take({ seq: 500 }, BID, [])).to.equal(TAKEN)
        expect(numbered.numbers.seq).to.equal(500)
      })

      it('whatever stands first, its key or its levels', () => {
        const one = book(CHAIN_STEP, ['seq'], { isKeyLast: true })
        expect(one.take({ seq: 11 }, [['49.00', '5'], ...BID], [['90.00', '5']])).to.equal(TAKEN)
        const other = book(CHAIN_STEP, ['seq'])
        expect(other.take({ seq: 11 }, [['49.00', '5'], ...BID], [['90.00', '5']])).to.equal(TAKEN)
        expect(one.state).to.deep.equal(other.state)
      })

      it('in whose middle the ladder moves, which makes places that were found before void', () => {
        const one = book(CHAIN_STEP, ['seq'])
        const bids: Pair[] = [
          ['49.95', '8'],
          ['150.00', '1'],
          ['49.90', '9'],
          ['150.00', '0'],
          ['250.00', '2'],
          ['250.00', '0'],
          ['49.95', '6'],
        ]
        expect(one.take({ seq: 11 }, bids, [['12.00', '5']])).to.equal(TAKEN)
        expect(one.book.best(false, 0, 9).map(([price, size]) => [price, size])).to.deep.equal([
          [50, 1],
          [49.95, 6],
          [49.9, 9],
        ])
        expect(one.book.top(true)).to.deep.equal([12, 5])
      })

      it('at a time that does not fall', () => {
        const one = book(CHAIN_STEP, ['seq'])
        const times = [50, 40, 60].map((timeUs, index) => {
          expect(one.take({ seq: 11 + index }, [], [], timeUs)).to.equal(TAKEN)
          return [one.numbers.receivedUs, one.book.keptLog.at(-5)]
        })
        expect(times).to.deep.equal([
          [50, 50],
          [50, 50],
          [60, 60],
        ])
      })

      it('and cuts a book that has a depth, which stands in the log', () => {
        const one = book(CHAIN_STEP, ['seq'], { depth: 2 })
        expect(one.take({ seq: 11 }, [['49.97', '5']], [['50.07', '6']])).to.equal(BETWEEN)
        const other = book(CHAIN_STEP, ['seq'], { depth: 2 })
        expect(
          other.take(
            { seq: 11 },
            [['50.00', '5']],
            [
              ['49.90', '6'],
              ['49.85', '7'],
            ],
          ),
        ).to.equal(TAKEN)
        expect([other.book.length(false), other.book.length(true)]).to.deep.equal([2, 2])
        expect(other.book.best(true, 0, 9).map(([price]) => price)).to.deep.equal([49.85, 49.9])
        const log = other.book.keptLog
        expect(log.slice(0, 9)).to.deep.equal([50, 1, 5, -49.9, 0, 6, -49.85, 0, 7])
        expect(log.slice(9, 15)).to.deep.equal([-50.1, 4, 0, -50.05, 3, 0])
        expect(log.slice(15)).to.deep.equal(view(77, NaN, 11))
      })
    })

    describe('leaves a delta as it was', () => {
      it('when the book has no desk or no log', () => {
        const one = book(CHAIN_STEP, ['seq'])
        one.open(0)
        one.expectUntouched('no desk', () => one.take({ seq: 11 }, BID, []))
        const other = book(CHAIN_STEP, ['seq'])
        other.book.keepLog(0)
        other.expectUntouched('no room at all', () => other.take({ seq: 11 }, [], []))
      })

      it('that does not go on from the book’s number', () => {
        const range = book(CHAIN_RANGE, RANGE)
        for (const [firstSeq, seq] of [
          [10, 12],
          [12, 13],
          [1, 9],
          [11, 10],
        ] as const) {
          range.expectUntouched(`${firstSeq} to ${seq}`, () => range.take({ firstSeq, seq }, BID, []))
        }
        const link = book(CHAIN_LINK, LINK)
        for (const prevSeq of [9, 11, 0]) {
          link.expectUntouched(`after ${prevSeq}`, () => link.take({ seq: 12, prevSeq }, BID, []))
        }
        const step = book(CHAIN_STEP, ['seq'])
        for (const seq of [9, 10, 12, 1]) step.expectUntouched(`at ${seq}`, () => step.take({ seq }, BID, []))
      })

      it('when the book or the delta has no number to compare', () => {
        for (const [chain, names, said] of [
          [CHAIN_RANGE, RANGE, { firstSeq: 11, seq: 12 }],
          [CHAIN_LINK, LINK, { seq: 12, prevSeq: 10 }],
          [CHAIN_STEP, ['seq'], { seq: 11 }],
        ] as const) {
          const one = book(chain, names)
          one.set(DESK_SEQ, NaN)
          one.expectUntouched(`the book, chain ${chain}`, () => one.take(said, BID, []))
          const other = book(chain, [])
          other.expectUntouched(`the delta, chain ${chain}`, () => other.take({}, BID, []))
          other.set(DESK_SEQ, NaN)
          other.expectUntouched(`both, chain ${chain}`, () => other.take({}, BID, []))
        }
      })

      it('with the first number of a numbering, which is a snapshot', () => {
        const one = book(CHAIN_STEP, ['seq'])
        one.set(DESK_SEQ, 0)
        one.expectUntouched('1 after 0', () => one.take({ seq: 1 }, BID, []))
      })

      it('when a list has no room for what might come', () => {
        const one = book(CHAIN_STEP, ['seq'], { capacity: 4, records: 4 })
        const bids: Pair[] = ['49.90', '49.85', '49.80'].map((price) => [price, '1'])
        one.expectUntouched('three more than two of four', () => one.take({ seq: 11 }, bids, []))
        expect(one.take({ seq: 11 }, bids.slice(1), [])).to.equal(TAKEN)
      })

      it('when the book is deeper than it is to be, so that more would be cut than there is room for', () => {
        for (const asks of [false, true]) {
          const one = book(CHAIN_STEP, ['seq'], { depth: 2, records: 4 })
          one.book.change(
            asks,
            Array.from({ length: 20 }, (_, index) => [(TOUCH + (asks ? 10 + index : -10 - index)) / 20, 1, 256]),
          )
          one.book.keepLog(4)
          one.expectUntouched(asks ? 'asks' : 'bids', () => one.take({ seq: 11 }, BID, []))
        }
      })

      it('when the log has no room for it, for what is cut and for its view', () => {
        const levels: Pair[] = [...BID, ['49.95', '8']]
        for (const [depth, needed] of [
          [0, 4],
          [2, 6],
        ] as const) {
          const one = book(CHAIN_STEP, ['seq'], { depth, records: needed - 1 })
          one.expectUntouched(`${needed - 1} records, depth ${depth}`, () => one.take({ seq: 11 }, levels, []))
          const other = book(CHAIN_STEP, ['seq'], { depth, records: needed })
          expect(other.take({ seq: 11 }, levels, []), `depth ${depth}`).to.equal(TAKEN)
        }
      })
    })

    describe('doubts a book', () => {
      const digits = (levels: readonly Pair[]): string =>
        levels
          .flat()
          .map((text) => text.replace('.', '').replace(/^0+/, ''))
          .join('')

      /** All levels with new sizes, so that the texts are as they are sent. */
      const bids: Pair[] = [
        ['50.00', '7.50'],
        ['49.95', '0.002'],
      ]
      const asks: Pair[] = [
        ['50.05', '1'],
        ['50.10', '20'],
      ]

      it('whose checksum is not Kraken’s', () => {
        const sent = crc32(digits([...asks, ...bids]))
        const one = book(CHAIN_NONE, ['checksum'], { verify: VERIFY_KRAKEN })
        expect(one.take({ checksum: sent }, bids, asks)).to.equal(TAKEN)
        const log = one.book.keptLog
        expect(one.take({ checksum: sent + 1 }, [['50.00', '7.50']], [])).to.equal(DOUBTED)
        // The change is in the log, but no view.
        expect(one.book.keptLog.slice(log.length)).to.deep.equal([50, 7.5, 7.5])
        expect(book(CHAIN_NONE, [], { verify: VERIFY_KRAKEN }).take({}, bids, asks), 'none was sent').to.equal(TAKEN)
      })

      it('whose checksum is not OKX’s, which has a sign and may be none', () => {
        const parts = [...bids[0]!, ...asks[0]!, ...bids[1]!, ...asks[1]!]
        const sent = crc32(parts.join(':')) | 0
        const other = crc32([bids[0]![0], '8', ...parts.slice(2)].join(':')) | 0
        const one = book(CHAIN_LINK, [...LINK, 'checksum'], { verify: VERIFY_OKX })
        expect(one.take({ seq: 11, prevSeq: 10, checksum: sent }, bids, asks)).to.equal(TAKEN)
        expect(one.take({ seq: 12, prevSeq: 11, checksum: other }, [['50.00', '8']], [])).to.equal(TAKEN)
        expect(one.take({ seq: 13, prevSeq: 12, checksum: 0 }, bids, [])).to.equal(TAKEN)
        expect(one.take({ seq: 14, prevSeq: 13, checksum: -sent }, [], [])).to.equal(DOUBTED)
        expect(one.numbers).to.deep.include({ seq: 14, prevSeq: 13 })
      })

      it('whose checksum it cannot compute', () => {
        const one = book(CHAIN_NONE, ['checksum'], { verify: VERIFY_OKX })
        // More decimals than there is room for.
        expect(one.take({ checksum: 7 }, [['50.00', '0.0000000001000000']], [])).to.equal(DOUBTED)
      })

      it('that is crossed, where crossing means a loss, and not one with an empty side', () => {
        const one = book(CHAIN_NONE, [], { verify: VERIFY_UNCROSSED })
        expect(one.take({}, [['50.05', '1']], [])).to.equal(DOUBTED)
        expect(one.take({}, [], [['50.05', '0']])).to.equal(TAKEN)
        expect(one.take({}, [], [['50.10', '0']])).to.equal(TAKEN)
        expect(one.take({}, [['60.00', '1']], [])).to.equal(TAKEN)
        expect(book(CHAIN_NONE, []).take({}, [['50.05', '1']], []), 'where it does not').to.equal(TAKEN)
      })
    })

    describe('stops between ticks', () => {
      for (const isKeyLast of [false, true]) {
        it(`and says how far it came${isKeyLast ? ', with the key behind the levels' : ''}`, () => {
          const bids = book(CHAIN_STEP, ['seq'], { isKeyLast })
          const three: Pair[] = [...BID, ['49.97', '1'], ['49.95', '9']]
          expect(bids.take({ seq: 11 }, three, [['50.05', '9']])).to.equal(BETWEEN)
          expect(bids.done).to.deep.equal([1, 0])
          expect(bids.numbers).to.deep.include({ seq: 11, prevSeq: 10 })
          expect(bids.book.keptLog).to.deep.equal([50, 1, 7])
          expect(bids.book.best(false, 0, 9).map(([price, size]) => [price, size])).to.deep.equal([
            [50, 7],
            [49.95, 2],
          ])
          expect(bids.book.top(true)).to.deep.equal([50.05, 3])

          const asks = book(CHAIN_STEP, ['seq'], { isKeyLast })
          expect(
            asks.take({ seq: 11 }, BID, [
              ['50.05', '9'],
              ['50.051', '1'],
            ]),
          ).to.equal(BETWEEN)
          expect(asks.done).to.deep.equal([1, 1])
          expect(asks.book.keptLog).to.deep.equal([50, 1, 7, -50.05, 3, 9])
        })
      }
    })
  })
}

describe('The desks of the two languages of the kernel', () => {
  it('take the same deltas, and leave the same of them', function () {
    this.timeout(30_000)
    for (const [chain, verify, depth] of [
      [CHAIN_STEP, VERIFY_NONE, 0],
      [CHAIN_NONE, VERIFY_UNCROSSED, 0],
      [CHAIN_STEP, VERIFY_KRAKEN, 10],
    ] as const) {
      const wishes = { verify, depth, records: 1_024, capacity: 1_024 }
      const names = ['seq', ...(verify === VERIFY_KRAKEN ? (['checksum'] as const) : [])] as const
      const wasm = new DeskedBook(new Kernel('wasm'), chain, names, wishes)
      const typescript = new DeskedBook(new Kernel('typescript'), chain, names, wishes)
      const random = new Random(20_261_128, `desk ${chain} ${verify}`)
      const results = new Map<number, number>()
      let [seq, touch] = [10, TOUCH]
      for (let index = 0; index < 1_500; index++) {
        touch = Math.max(200, touch + (random.below(60) === 0 ? random.below(3_000) - 1_500 : random.below(5) - 2))
        const side = (sign: 1 | -1): Pair[] =>
          Array.from({ length: random.below(6) }, () => {
            const distance = random.below(20) === 0 ? random.below(2_000) : random.below(12)
            const tick = Math.max(1, touch + sign * distance + (sign === 1 ? 1 : 0))
            const price = (tick * UNIT) / POWER + (random.below(500) === 0 ? 0.01 : 0)
            return [price.toFixed(2), random.chance(0.4) ? '0.00' : (random.below(900) / 100 + 0.01).toFixed(2)]
          })
        const said = { seq: random.below(20) === 0 ? seq : seq + 1, checksum: 7 }
        const [bids, asks] = [side(-1), side(1)]
        const result = wasm.take(said, bids, asks, index)
        results.set(result, (results.get(result) ?? 0) + 1)
        expect(typescript.take(said, bids, asks, index)).to.equal(result)
        expect(typescript.state).to.deep.equal(wasm.state)
        if (result === BETWEEN) {
          expect(typescript.done).to.deep.equal(wasm.done)
          // As a guard does then.
          for (const { book } of depth === 0 ? [] : [wasm, typescript]) {
            for (const asks of [false, true]) book.cut(asks, depth)
            book.keepLog(1_024)
          }
        }
        seq = wasm.numbers.seq
        if (wasm.book.keptLog.length > 1_500) for (const each of [wasm, typescript]) each.book.keepLog(1_024)
      }
      expect(results.get(verify === VERIFY_NONE ? TAKEN : DOUBTED)).to.be.greaterThan(500)
      expect(results.get(BETWEEN)).to.be.greaterThan(1)
    }
  })
})
