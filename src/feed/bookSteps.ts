/**
 * The books of all connections of a feed, kept where they are guarded: what a record has done to each of them becomes one event,
 * whatever it has changed.
 *
 * Steps come behind the other events of a record. What these say of a book (`gap`, `resynced`) was before the book became what
 * the step shows; a book that is not live when the record is done has none.
 */
import type { MarketEvent } from '../model/events'
import type { BookStep } from '../book/bookStep'
import type { KeptBook, TouchedBooks } from './bookKeeper'

export class BookSteps implements TouchedBooks {
  /** Books that the record has touched, in order; the first has a place of its own, since most records touch no other. */
  private first: KeptBook | undefined
  private readonly others: KeptBook[] = []
  /** The step of a frame that a desk has taken: it has no other. */
  private step: BookStep | undefined

  taken(book: KeptBook): void {
    this.step = book.takenStep()
  }

  touched(book: KeptBook): void {
    if (this.first === undefined) this.first = book
    else this.others.push(book)
  }

  /** The events of a record, and behind them the steps of the books that it has touched. */
  behind(events: readonly MarketEvent[]): readonly MarketEvent[] {
    const { first, others, step: taken } = this
    if (taken !== undefined) {
      this.step = undefined
      return events.length === 0 ? [taken] : [...events, taken]
    }
    if (first === undefined) return events
    this.first = undefined
    const step = first.step()
    if (events.length === 0 && others.length === 0) return step === undefined ? events : [step]
    const all = step === undefined ? [...events] : [...events, step]
    for (const book of others) {
      const other = book.step()
      if (other !== undefined) all.push(other)
    }
    others.length = 0
    return all
  }
}
