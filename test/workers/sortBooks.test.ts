import { expect } from 'chai'
import { from, lastValueFrom, toArray } from 'rxjs'
import { emptyLedger } from '../../src/actors/ledger'
import { bookDepth, type BookSides } from '../../src/workers/bookDepth'
import { sortBooks } from '../../src/workers/sortBooks'

interface NamedBook extends BookSides {
  readonly symbol: string
}

/** Numbers that only look random: the same at every run. */
function numbers(count: number, seed: number): Float64Array {
  let state = seed
  return Float64Array.from({ length: count }, () => (state = (state * 16_807) % 2_147_483_647) / 1_000)
}

describe('sortBooks', () => {
  const books: NamedBook[] = Array.from({ length: 40 }, (_, index) => ({
    symbol: `S${index}`,
    bidPrices: numbers(index * 10, index + 1),
    bidSizes: numbers(index * 10, index + 2),
    askPrices: numbers(index * 7, index + 3),
    askSizes: numbers(index * 7, index + 4),
    bucketSize: index % 3 === 0 ? undefined : index,
  }))

  for (const placement of ['worker', 'loop', 'auto'] as const) {
    it(`gives each book back, in order, with the depth that this thread would compute (${placement})`, async () => {
      const ledger = emptyLedger()
      const sent = structuredClone(books)
      const sorted = await lastValueFrom(
        from(books).pipe(
          sortBooks({
            capacity: 100,
            onFull: 'fail',
            batchMax: 16,
            restart: { atMost: 3, withinMs: 60_000, backoffMs: [100, 1_000] },
            deadlineMs: 20_000,
            placement,
            ledger,
          }),
          toArray(),
        ),
      )
      expect(sorted.map(({ book }) => book)).to.deep.equal(books)
      for (const { book, bids, asks, ignored } of sorted) {
        expect({ bids, asks, ignored }).to.deep.equal(bookDepth(book))
      }
      expect(books).to.deep.equal(sent) // packed as copies: what was sent is whole
      expect(ledger).to.deep.equal({ in: 40, out: 40, dropped: {}, inFlight: 0 })
    })
  }
})
