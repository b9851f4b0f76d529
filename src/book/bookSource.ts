import type { Batch } from '../model/events'
import type { BookView } from './bookView'

/**
 * A source of market events that can give books without making events first. `toBooks` asks for it: between the bytes of a
 * frame and the view of its book there is then no object per change, nor per level.
 */
export interface BookSource {
  /** Emits what `toBooks({ depth })` would emit of the source's events. */
  [booksOf](depth: number, out: BookObserver): void
}

export const booksOf = Symbol('millrace.booksOf')

export interface BookObserver {
  readonly closed: boolean
  next(views: Batch<BookView>): void
  complete(): void
}

export function isBookSource(source: object): source is BookSource {
  return booksOf in source
}
