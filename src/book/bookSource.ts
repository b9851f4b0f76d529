import type { Batch } from '../model/events'
import type { BookView } from './bookView'

/**
 * A source of market events that can give books without making events first. `toBooks` asks for it: between the bytes of a
 * frame and the view of its book there is then no object per change, nor per level.
 */
export interface BookSource {
  /**
   * Emits what `toBooks({ depth })` would emit of the source's events.
   *
   * @returns what ends it, where that is not done when this returns
   */
  [booksOf](depth: number, out: BookObserver): (() => void) | undefined
}

export const booksOf = Symbol('millrace.booksOf')

export interface BookObserver {
  readonly closed: boolean
  next(views: Batch<BookView>): void
  complete(): void
  error(thrown: unknown): void
}

export function isBookSource(source: object): source is BookSource {
  return booksOf in source
}
