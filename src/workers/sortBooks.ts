import path from 'node:path'
import type { OperatorFunction } from 'rxjs'
import { Fault } from '../model/fault'
import { columnsOf, countOf, unpackDepths } from './bookColumns'
import { bookDepth, type BookDepth, type BookSides, type SideDepth } from './bookDepth'
import { onWorker, type OnWorkerOptions } from './onWorker'

/** A book that was sent, and its depth; that is laid out when it is first looked at. */
export interface SortedBook<T> extends BookDepth {
  readonly book: T
}

class Sorted<T> implements SortedBook<T> {
  constructor(
    readonly book: T,
    private readonly depth: () => BookDepth,
  ) {}

  get bids(): SideDepth {
    return this.depth().bids
  }

  get asks(): SideDepth {
    return this.depth().asks
  }

  get ignored(): number {
    return this.depth().ignored
  }
}

export type SortBooksOptions<T> = Omit<
  OnWorkerOptions<T, SortedBook<T>>,
  'encode' | 'decode' | 'workerData' | 'here' | 'rebuild'
>

/**
 * Sorts and adds up whole books on a worker thread: full depth both sides, cumulative size and notional, price buckets.
 *
 * Emits      for each book, in the order of the source, the book itself (which has not left this thread) and its depth
 * Completes  as {@link onWorker}
 * Errors     as {@link onWorker}
 * Holds      as {@link onWorker}; a batch of results shares one buffer
 *
 * What it costs this thread is one copy of the columns of a batch of books, and a notification. It pays from about a
 * hundred unsorted levels a batch; a single small book is sorted faster where it is: by {@link bookDepth}, or with `placement: 'auto'`.
 */
export function sortBooks<T extends BookSides>(options: SortBooksOptions<T>): OperatorFunction<T, SortedBook<T>> {
  return onWorker<T, SortedBook<T>>(path.join(__dirname, 'entries', 'sortBook'), {
    ...options,
    here: (books) =>
      books.map((book) => {
        const depth = bookDepth(book)
        return new Sorted(book, () => depth)
      }),
    encode: (books) => ({ message: books.map(columnsOf) }),
    decode(reply, books) {
      const count = reply instanceof Float64Array ? countOf(reply) : 0
      if (count !== books.length) {
        const message = `The worker answered with ${count} depths for ${books.length} books.`
        throw new Fault('STAGE_FAILED', message, { books: books.length, depths: count })
      }
      let depths: readonly BookDepth[] | undefined
      return books.map((book, index) => {
        return new Sorted(book, () => (depths ??= unpackDepths(reply as Float64Array))[index]!)
      })
    },
  })
}
