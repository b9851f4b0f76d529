import { expect } from 'chai'
import fc from 'fast-check'
import { conflateEvents, mergeBookChanges } from '../../src/book/conflate'
import { Level2Book } from '../../src/book/level2Book'
import type { LevelText, MarketEvent } from '../../src/model/events'
import { delta, notice, snapshot, trade } from '../kit/marketEvents'

/** Books as whoever reads the events would have them, with the digits of the wire. */
class Reader {
  private readonly books = new Map<string, { readonly book: Level2Book; seq: number | undefined }>()
  /** Everything that is not a book change, in order. */
  readonly facts: MarketEvent[] = []

  read(events: readonly MarketEvent[]): this {
    for (const event of events) {
      const known = this.books.get(event.symbol)
      if (event.kind === 'snapshot') {
        const book = new Level2Book()
        book.snapshot(event)
        this.books.set(event.symbol, { book, seq: event.seq })
      } else if (event.kind === 'delta') {
        if (known === undefined) continue
        expect(event.prevSeq, 'the number that a delta extends').to.equal(known.seq)
        known.book.delta(event)
        known.seq = event.seq
      } else {
        this.facts.push(event)
        if (event.kind === 'notice' && event.symbol === '') this.books.clear()
        else if (event.kind === 'notice') this.books.delete(event.symbol)
      }
    }
    return this
  }

  get state(): unknown {
    return [...this.books]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([symbol, { book, seq }]) => [symbol, seq, book.bids.texts(Infinity), book.asks.texts(Infinity)])
  }
}

describe('conflateEvents', () => {
  const AB = { symbol: 'AB', instrument: 'A-B' }
  const CD = { symbol: 'CD', instrument: 'C-D' }

  it('gives books that are the same as if nothing had been merged, with an unbroken chain, whatever came', () => {
    const size = fc.constantFrom('0', '0.00', '1.5', '2', '0.12345678901234567', '7.000')
    const level = fc.tuple(fc.constantFrom('9.5', '10', '10.00', '10.5', '11'), size) as fc.Arbitrary<LevelText>
    const levels = fc.uniqueArray(level, { maxLength: 5, selector: ([price]) => Number(price) })
    const what = fc.constantFrom('delta', 'delta', 'delta', 'delta', 'snapshot', 'trade', 'gap', 'disconnected')
    const step = fc.tuple(what, fc.constantFrom(AB, CD), levels, levels, fc.boolean())
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const seqs = new Map<string, number>()
        const batches: MarketEvent[][] = [[]]
        for (const [kind, of, bids, asks, isNewBatch] of steps) {
          const prevSeq = seqs.get(of.symbol)
          const seq = (prevSeq ?? 0) + 1
          if (isNewBatch) batches.push([])
          const batch = batches.at(-1)!
          if (kind === 'trade') batch.push(trade(of))
          else if (kind === 'gap') batch.push(notice('gap', of))
          else if (kind === 'disconnected') batch.push(notice('disconnected', { symbol: '', instrument: undefined }))
          else {
            seqs.set(of.symbol, seq)
            const exists = ([, text]: LevelText): boolean => Number(text) !== 0
            if (kind === 'delta') batch.push(delta(bids, asks, { ...of, seq, prevSeq, firstSeq: seq }))
            else batch.push(snapshot(bids.filter(exists), asks.filter(exists), { ...of, seq }))
          }
        }
        const plain = new Reader().read(batches.flat())
        const atOnce = new Reader().read(conflateEvents([], batches.flat()))
        const oneByOne = new Reader().read(batches.reduce<MarketEvent[]>(conflateEvents, []))
        for (const conflated of [atOnce, oneByOne]) {
          expect(conflated.state).to.deep.equal(plain.state)
          expect(conflated.facts).to.deep.equal(plain.facts)
        }
      }),
      { numRuns: 1_000 },
    )
  })

  it('leaves one change of each book between two notices', () => {
    const change = (seq: number, of: typeof AB): MarketEvent => delta([['10', String(seq)]], [], { ...of, seq })
    const gap = notice('gap', AB)
    const merged = conflateEvents(
      [change(1, AB), change(2, CD), change(3, AB)],
      [change(4, AB), gap, change(5, AB), change(6, CD), change(7, AB)],
    )
    expect(merged.map((event) => (event.kind === 'delta' ? `${event.symbol} ${event.seq}` : event.kind))).to.deep.equal(
      ['AB 1', 'CD 6', 'AB 4', 'notice', 'AB 7'],
    )
  })

  it('never merges trades', () => {
    const trades = [trade({ id: '1' }), trade({ id: '2' })]
    expect(conflateEvents(trades, trades)).to.deep.equal([...trades, ...trades])
  })
})

describe('mergeBookChanges', () => {
  it('extends what the older extended and ends where the newer ends', () => {
    const older = delta([['10', '1']], [], { seq: 5, prevSeq: 3, firstSeq: 4, checksum: 1 })
    const newer = delta([['10', '0']], [['11', '2']], {
      seq: 9,
      prevSeq: 5,
      firstSeq: 6,
      checksum: 2,
      receiveTimeUs: 7,
    })
    const merged = mergeBookChanges(older, newer)
    expect(merged).to.include({ kind: 'delta', seq: 9, prevSeq: 3, firstSeq: 4, checksum: 2, receiveTimeUs: 7 })
    expect(merged.bids).to.deep.equal([[10, 0]])
    expect(merged.asks).to.deep.equal([[11, 2]])
  })

  it('leaves removed levels out of a snapshot, and in a delta', () => {
    const removal = delta([['10', '0']], [])
    expect(
      mergeBookChanges(
        snapshot(
          [
            ['10', '1'],
            ['9', '1'],
          ],
          [],
        ),
        removal,
      ).bids,
    ).to.deep.equal([[9, 1]])
    expect(
      mergeBookChanges(
        delta(
          [
            ['10', '1'],
            ['9', '1'],
          ],
          [],
        ),
        removal,
      ).bids,
    ).to.deep.equal([
      [10, 0],
      [9, 1],
    ])
  })
})
