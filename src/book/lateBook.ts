/**
 * A book as it was at a moment that has passed, which follows the views that are written late.
 *
 * A sink behind a queue writes the views of a book in their order, each when the book has gone on. Working out one after another
 * what the levels were would cost each time what has changed since. This is a second book in the kernel's memory: it begins as
 * a copy of the first, goes back to a view once, and from then on forward along the log with the views, by what was changed between
 * two of them. So the texts of its levels are kept as the first one's are, and a late text costs little more than one of the moment.
 *
 * It holds as much of the kernel's memory as the book itself, and keeps alive the epochs from its own on: the book lets go of it
 * when these become many. When the book ends, it stays for the views that still wait, such as those in the queue of a sink when a
 * run ends, until nobody holds them any more, or too many others have been left like it.
 */
import type { Epoch } from './bookLog'
import type { KernelBook } from './kernelBook'
import { AFTER, BEFORE, RECORD } from './logRecords'

/** Epochs that it goes at once, back or forward; views beyond are worked out by themselves. */
const EPOCHS_MAX = 256
/** Of books that have ended, so many are kept. */
const ENDED_MAX = 256

/** Late books whose first one is over, the oldest first. */
const ended: WeakRef<LateBook>[] = []

export class LateBook {
  private at: Place | undefined

  /** @param levels  an empty one, for the copy */
  constructor(
    private book: KernelBook | undefined,
    readonly levels: KernelBook,
  ) {}

  /** The number of the epoch that it stands in; undefined before its first. */
  get epochNumber(): number | undefined {
    return this.at?.epoch.number
  }

  /**
   * Makes the levels those of a position in the log of the book.
   *
   * @returns false when it is too far, or cannot be had
   */
  moveTo(epoch: Epoch, position: number): boolean {
    const from = (this.at ??= this.copyNow())
    if (from === undefined || Math.abs(epoch.number - from.epoch.number) > EPOCHS_MAX) return false
    const isForward = epoch.number > from.epoch.number || (epoch === from.epoch && position >= from.position)
    const moved = isForward ? this.forward(from, { epoch, position }) : this.back(from, { epoch, position })
    this.at = moved ? { epoch, position } : undefined
    return moved
  }

  /** The book goes on no further. */
  end(): void {
    this.book = undefined
    ended.push(new WeakRef(this))
    if (ended.length > ENDED_MAX) ended.shift()!.deref()?.empty()
  }

  /** Gives the memory back. */
  empty(): void {
    this.levels.empty()
    this.at = undefined
  }

  private copyNow(): Place | undefined {
    if (this.book === undefined) return undefined
    this.levels.copy(this.book)
    const epoch = this.book.recorded
    return { epoch, position: epoch.length }
  }

  private forward(from: Place, to: Place): boolean {
    let { epoch, position } = from
    while (epoch !== to.epoch) {
      if (epoch.following === undefined || !this.apply(epoch, position, Infinity, AFTER)) return false
      epoch = epoch.following
      position = 0
    }
    return this.apply(epoch, position, to.position, AFTER)
  }

  private back(from: Place, to: Place): boolean {
    const epochs: Epoch[] = []
    for (let { epoch } = to; epoch !== from.epoch; epoch = epoch.following) {
      if (epoch.following === undefined) return false
      epochs.push(epoch)
    }
    if (epochs.length === 0) return this.apply(from.epoch, to.position, from.position, BEFORE)
    if (!this.apply(from.epoch, 0, from.position, BEFORE)) return false
    for (const epoch of epochs.reverse()) {
      if (!this.apply(epoch, epoch === to.epoch ? to.position : 0, Infinity, BEFORE)) return false
    }
    return true
  }

  /** Applies the records between two positions of an epoch: what was there after them, in order, or before them, the latest first. */
  private apply(epoch: Epoch, from: number, to: number, which: number): boolean {
    const end = Math.min(to, epoch.length)
    if (from >= end) return true
    const { numbers, numbersAt } = epoch
    const step = which === AFTER ? RECORD : -RECORD
    return this.levels.replay(numbers, numbersAt + from, numbersAt + end, step, which)
  }
}

interface Place {
  readonly epoch: Epoch
  readonly position: number
}
