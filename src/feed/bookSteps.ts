/**
 * The books of all connections of a feed, kept where they are guarded: what a record has done to each of them becomes one event,
 * whatever it has changed.
 *
 * Steps come behind the other events of a record. What these say of a book (`gap`, `resynced`) was before the book became what
 * the step shows; a book that is not live when the record is done has none.
 */
import type { BookStep } from '../book/bookStep'
import type { MarketEvent } from '../model/events'
import { BooksOfFrame, type KeptBook } from './bookKeeper'

export class BookSteps extends BooksOfFrame<BookStep> {
  /** The events of a record, and behind them the steps of the books that it has touched. */
  behind(events: readonly MarketEvent[]): readonly MarketEvent[] {
    const steps = this.takeAll()
    if (steps === undefined) return events
    return events.length === 0 ? steps : [...events, ...steps]
  }

  protected override of(book: KeptBook): BookStep | undefined {
    return book.step()
  }

  protected override ofTaken(book: KeptBook): BookStep {
    return book.takenStep()
  }
}
