/**
 * A book as it was at a moment that has passed, which follows the views that are written late.
 *
 * A sink behind a queue writes the views of a book in their order, each when the book has gone on. Working out one after another
 * what the levels were would cost each time what has changed since. This is a second book in the kernel's memory: it begins as
 * a copy of the first, goes back to a view once, and from then on forward along the log with the views, by what was changed between
 * two of them. So the texts of its levels are kept as the first one's are, and a late text costs little more than one of the moment.
 *
 * It holds as much of the kernel's memory as the book itself, and keeps alive the epochs from its own on: its owner lets go of it
 * when these become many.
 */
import { AFTER, BEFORE, RECORD, type Epoch } from './bookLog'
import type { KernelBook } from './kernelBook'

/** Epochs that it goes back at most; views of older ones are worked out by themselves. */
const EPOCHS_BACK_MAX = 256

export class LateBook {
  private at: Place | undefined

  /** @param levels  an empty one, for the copy */
  constructor(
    private readonly book: KernelBook,
    readonly levels: KernelBook,
  ) {}

  /** The number of the epoch that it stands in; undefined before its first. */
  get epochNumber(): number | undefined {
    return this.at?.epoch.number
  }

  /**
   * Makes the levels those of a position in the book's log.
   *
   * @param now  the epoch that the book is in; the other one is not after it, and of the same story
   * @returns false when it is too long ago, or cannot be had
   */
  moveTo(epoch: Epoch, position: number, now: Epoch): boolean {
    if (now.number - epoch.number > EPOCHS_BACK_MAX) return false
    const from = (this.at ??= this.copyNow(now))
    const isForward = epoch.number > from.epoch.number || (epoch === from.epoch && position >= from.position)
    const moved = isForward ? this.forward(from, { epoch, position }) : this.back(from, { epoch, position })
    this.at = moved ? { epoch, position } : undefined
    return moved
  }

  /** Gives the memory back. */
  empty(): void {
    this.levels.empty()
    this.at = undefined
  }

  private copyNow(now: Epoch): Place {
    this.levels.copy(this.book)
    return { epoch: now, position: now.logged().length }
  }

  private forward(from: Place, to: Place): boolean {
    let { epoch, position } = from
    while (epoch !== to.epoch) {
      if (!this.apply(epoch.logged(), position, Infinity, AFTER)) return false
      epoch = epoch.following!
      position = 0
    }
    return this.apply(epoch.logged(), position, to.position, AFTER)
  }

  private back(from: Place, to: Place): boolean {
    const epochs: Epoch[] = []
    for (let { epoch } = to; epoch !== from.epoch; epoch = epoch.following!) epochs.push(epoch)
    if (epochs.length === 0) return this.apply(from.epoch.logged(), to.position, from.position, BEFORE)
    if (!this.apply(from.epoch.logged(), 0, from.position, BEFORE)) return false
    for (const epoch of epochs.reverse()) {
      if (!this.apply(epoch.logged(), epoch === to.epoch ? to.position : 0, Infinity, BEFORE)) return false
    }
    return true
  }

  /** Applies the records between two places of a log: what was there after them, in order, or before them, the latest first. */
  private apply(log: Float64Array, from: number, to: number, which: typeof BEFORE | typeof AFTER): boolean {
    const end = Math.min(to, log.length)
    if (from >= end) return true
    return this.levels.replay(log, from, end, which === AFTER ? RECORD : -RECORD, which)
  }
}

interface Place {
  readonly epoch: Epoch
  readonly position: number
}
