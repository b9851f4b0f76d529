/**
 * Where the kernel takes the deltas of one book by itself (`kernel/desk.ts`): an address that outlives the book's levels.
 *
 * A guard opens it while its book is live and plain, and closes it before it does anything to the book: what the desk has
 * remembered in the meantime is the guard's again then.
 */
import { kernel, type Kernel } from '../kernel/kernel'
import { DESK_BOOK, DESK_BYTES, DESK_PREV_SEQ, DESK_RECEIVED, DESK_SEQ } from '../kernel/layout'

const forgotten = new FinalizationRegistry<number>((at) => kernel().release(at, DESK_BYTES))

export class Desk {
  private readonly memory: Kernel = kernel()
  private at = 0

  /** Where scans find it; it holds memory from then on, until it is released. */
  get address(): number {
    if (this.at === 0) {
      this.at = this.memory.allocate(DESK_BYTES)
      forgotten.register(this, this.at, this)
      this.memory.words[(this.at + DESK_BOOK) >> 2] = 0
      this.receiveTimeUs = NaN
    }
    return this.at
  }

  get isOpen(): boolean {
    return this.at !== 0 && this.memory.words[(this.at + DESK_BOOK) >> 2] !== 0
  }

  /** @param book  the address of its levels; none of them has a text beside it */
  open(book: number, seq: number, prevSeq: number): void {
    const { address, memory } = this
    memory.words[(address + DESK_BOOK) >> 2] = book
    memory.doubles[(address + DESK_SEQ) >> 3] = seq
    memory.doubles[(address + DESK_PREV_SEQ) >> 3] = prevSeq
  }

  close(): void {
    if (this.at !== 0) this.memory.words[(this.at + DESK_BOOK) >> 2] = 0
  }

  /** The numbers of the last delta that was taken; NaN is what it did not say. */
  get seq(): number {
    return this.memory.doubles[(this.at + DESK_SEQ) >> 3]!
  }

  get prevSeq(): number {
    return this.memory.doubles[(this.at + DESK_PREV_SEQ) >> 3]!
  }

  /** When the book was received last, integer microseconds since 1970; NaN before that. */
  get receiveTimeUs(): number {
    return this.at === 0 ? NaN : this.memory.doubles[(this.at + DESK_RECEIVED) >> 3]!
  }

  set receiveTimeUs(timeUs: number) {
    this.memory.doubles[(this.address + DESK_RECEIVED) >> 3] = timeUs
  }

  /** Gives its memory back; nothing that scans may know its address any more. */
  release(): void {
    if (this.at === 0) return
    forgotten.unregister(this)
    this.memory.release(this.at, DESK_BYTES)
    this.at = 0
  }
}
