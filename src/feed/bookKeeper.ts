/**
 * The books of a connection, read where they are guarded: for whoever wants views and no events.
 *
 * A guard that keeps its book has applied each change already when it lets it through. What is left to do is to remember whose
 * book was touched, and to give one view of each that is live when the frame is done: what `toBooks` does with events.
 */
import type { BookGuard } from '../book/bookGuard'
import { BookStep } from '../book/bookStep'
import { BookView, viewOf, type BookViewHead } from '../book/bookView'
import type { KernelBook } from '../book/kernelBook'
import type { Level2Book } from '../book/level2Book'
import type { Batch, BookChange } from '../model/events'
import type { ScannedDelta } from './scanner'

/** Whoever wants to know of books that were touched. */
export interface TouchedBooks {
  /** Called with each book that a frame touches, once until its `view` or `step` is taken. */
  touched(book: KeptBook): void
  /** Called with the book whose delta a desk has taken, which is all of its frame; the view of it is already written. */
  taken(book: KeptBook): void
}

/** A book, and what its next view will say beside its levels. NaN is what was not said. */
export class KeptBook implements BookViewHead {
  exchangeTimeUs = NaN
  seq = NaN
  private touched = false
  private readonly levels: KernelBook
  /** One of the changes since the last step was a snapshot. */
  private isWhole = false

  constructor(
    readonly exchange: string,
    readonly symbol: string,
    readonly instrument: string | undefined,
    readonly guard: BookGuard,
    private readonly keeper: TouchedBooks,
  ) {
    this.levels = guard.book!.levels
  }

  /** Of the desk, which knows it too. */
  get receiveTimeUs(): number {
    return this.guard.desk!.receiveTimeUs
  }

  /** The guard has let a change through. */
  changed({ kind, exchangeTimeUs, receiveTimeUs, seq }: BookChange): void {
    this.exchangeTimeUs = exchangeTimeUs ?? NaN
    this.seq = seq ?? NaN
    this.touch(kind, receiveTimeUs)
  }

  /** The guard has applied a change that was scanned. */
  scanned(kind: BookChange['kind'], { exchangeTimeUs, seq }: ScannedDelta, receiveTimeUs: number): void {
    this.exchangeTimeUs = exchangeTimeUs
    this.seq = seq
    this.touch(kind, receiveTimeUs)
  }

  /** The guard's desk has taken a delta, and written the view of it. */
  taken(): void {
    this.keeper.taken(this)
  }

  /** The view that the desk has written last. */
  takenView(depth: number): BookView {
    return viewOf(this.levels.recorded, this.levels.position, depth)
  }

  /** The step that it was. */
  takenStep(): BookStep {
    return new BookStep(this.takenView(Infinity), 'delta')
  }

  /** A view of the book as it is; undefined when it has lost it since it was touched. */
  view(depth: number): BookView | undefined {
    this.touched = false
    const book: Level2Book | undefined = this.guard.book
    return this.guard.state === 'live' && book !== undefined ? BookView.of(this, book, depth) : undefined
  }

  /** What has become of the book since this was last called; undefined when it is not live. */
  step(): BookStep | undefined {
    const { isWhole } = this
    this.isWhole = false
    const view = this.view(Infinity)
    return view === undefined ? undefined : new BookStep(view, isWhole ? 'snapshot' : 'delta')
  }

  private touch(kind: BookChange['kind'], receiveTimeUs: number): void {
    // Deltas that waited for a REST snapshot were received before it, but this state of the book was not known before. With a
    // snapshot a book begins, whatever it was before.
    if (kind === 'snapshot') this.isWhole = true
    const desk = this.guard.desk!
    if (kind === 'snapshot' || !(receiveTimeUs < desk.receiveTimeUs)) desk.receiveTimeUs = receiveTimeUs
    if (this.touched) return
    this.touched = true
    this.keeper.touched(this)
  }
}

/** Books that a frame has touched, and what is made of each when it is done. */
export abstract class BooksOfFrame<T> implements TouchedBooks {
  /** Of a frame that a desk has taken: it has no other. */
  private sole: T | undefined
  /** In order; the first has a place of its own, since most frames touch no other. */
  private first: KeptBook | undefined
  private readonly others: KeptBook[] = []

  taken(book: KeptBook): void {
    this.sole = this.ofTaken(book)
  }

  touched(book: KeptBook): void {
    if (this.first === undefined) this.first = book
    else this.others.push(book)
  }

  /** One of each book that was touched since the last call and is live; undefined when there is none. */
  protected takeAll(): T[] | undefined {
    const { first, others, sole } = this
    if (sole !== undefined) {
      this.sole = undefined
      return [sole]
    }
    if (first === undefined) return undefined
    this.first = undefined
    const one = this.of(first)
    if (others.length === 0) return one === undefined ? undefined : [one]
    const all = one === undefined ? [] : [one]
    for (const book of others) {
      const other = this.of(book)
      if (other !== undefined) all.push(other)
    }
    others.length = 0
    return all.length === 0 ? undefined : all
  }

  /** Undefined of a book that is not live. */
  protected abstract of(book: KeptBook): T | undefined

  /** Of a book whose desk has taken a delta. */
  protected abstract ofTaken(book: KeptBook): T
}

/** Views of the books of a connection. */
export class BookKeeper extends BooksOfFrame<BookView> {
  constructor(private readonly depth: number) {
    super()
  }

  /** One view of each live book that was touched since the last call; undefined when there is none. */
  take(): Batch<BookView> | undefined {
    return this.takeAll()
  }

  protected override of(book: KeptBook): BookView | undefined {
    return book.view(this.depth)
  }

  protected override ofTaken(book: KeptBook): BookView {
    return book.takenView(this.depth)
  }
}
