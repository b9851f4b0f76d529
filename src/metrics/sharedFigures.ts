/**
 * A row of numbers in shared memory: one thread writes it, others read it, and nobody sends a message.
 *
 * A message costs an event loop some 20 µs to send and more to take, and wakes it; a reading of these costs less than one.
 * A count says whether a reading is of one piece: it is odd while a row is being written, and a reader that sees it odd,
 * or changed, reads again.
 */

/** Of the words before the numbers: how often was written, twice; and how often somebody wants it to be. */
const COUNT = 0
const WANTED = 1
const HEAD_BYTES = 16
/** A write takes less than a microsecond, so that a reader meets one rarely and hardly ever two. */
const TRIES = 4

export class SharedFigures {
  private readonly words: Int32Array
  private readonly numbers: Float64Array

  /** @param memory  of {@link SharedFigures.ofSize}, possibly made by another thread */
  constructor(readonly memory: SharedArrayBuffer) {
    this.words = new Int32Array(memory, 0, HEAD_BYTES / 4)
    this.numbers = new Float64Array(memory, HEAD_BYTES)
  }

  static ofSize(numbers: number): SharedFigures {
    return new SharedFigures(new SharedArrayBuffer(HEAD_BYTES + numbers * 8))
  }

  /** How often its readers want it to be written, milliseconds; 0 while there are none. */
  get wantedMs(): number {
    return Atomics.load(this.words, WANTED)
  }

  set wantedMs(everyMs: number) {
    Atomics.store(this.words, WANTED, Math.min(Math.ceil(everyMs), 2 ** 31 - 1))
  }

  /** By one thread alone. */
  write(numbers: ArrayLike<number>): void {
    Atomics.add(this.words, COUNT, 1)
    this.numbers.set(numbers)
    Atomics.add(this.words, COUNT, 1)
  }

  /** Reads all of it; false, with `into` unspecified, when nothing was written yet or a write was met again and again. */
  read(into: Float64Array): boolean {
    const { words, numbers } = this
    for (let tried = 0; tried < TRIES; tried++) {
      const before = Atomics.load(words, COUNT)
      if (before === 0) return false
      if (before % 2 !== 0) continue
      for (let index = 0; index < into.length; index++) into[index] = numbers[index]!
      if (Atomics.load(words, COUNT) === before) return true
    }
    return false
  }
}
