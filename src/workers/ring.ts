/**
 * A ring of records in shared memory: one thread writes, one other reads, and whoever has nothing to do sleeps.
 *
 * Why      a message between two threads costs each of them some tens of microseconds, whatever it holds. A record here costs
 *          what its words cost to write, and a notification only when the other side sleeps
 * Records  a whole number of 8-byte words and a tag, both the writer's to choose; a record lies in one piece, so that it can
 *          be read where it lies. What does not fit before the end begins at the start again, and the rest is skipped
 * Flow     the room in the ring is the writer's credit: what is released by the reader may be written again, nothing else
 *          may. Nothing is ever overwritten, and nobody is asked to be quick
 * Batches  what was committed is seen by the reader when it is published: many records, one notification
 * Ends     `close` is the writer's: what lies there is still read. `abort` is anybody's, also that of a third who has
 *          heard that one of the two died: every wait ends at once, and nothing more is read or written
 * A death  at any moment leaves whole records: those that were not published were never there
 *
 * Order of memory: positions are stored and loaded by `Atomics`, words are plain. A reader that sees a position sees every
 * word written before it was stored. Nobody sleeps through a publication: the sleeper raises its flag before it looks a last
 * time, the writer looks at the flag after it has stored the position, and the bell it then rings is the word that is
 * slept on.
 *
 * `Atomics.waitAsync` is in every Node that is supported (V8 8.7, Node 16). A wait by it does not keep a process alive.
 */
import { Fault } from '../model/fault'

/** The memory of a ring: to be given to the other thread as it is. */
export interface RingMemory {
  readonly control: SharedArrayBuffer
  readonly words: SharedArrayBuffer
}

export type RingState = 'open' | 'closed' | 'aborted'

/** @param words  room in 8-byte words, a power of two from 16 to 2^27. A record takes one more than it holds, and at most half */
export function ringMemory(words: number): RingMemory {
  if (!Number.isSafeInteger(words) || words < 16 || words > 2 ** 27 || (words & (words - 1)) !== 0) {
    throw new Fault('OPTION_INVALID', `A ring has a power of two of words, from 16 to 2^27; ${words} is none.`, {
      words,
    })
  }
  return {
    control: new SharedArrayBuffer(CONTROL_WORDS * 4),
    words: new SharedArrayBuffer(words * 8),
  }
}

/** The most words that a record may hold: they fit into an empty ring wherever it stands. */
export function recordWordsMax({ words }: RingMemory): number {
  return words.byteLength / 16 - 1
}

/**
 * Words of `control`. What the one side writes and the other reads has a cache line of its own: sharing one would make each
 * of them wait for the other's every store.
 */
const HEAD = 0
const TAIL = 16
const STATE = 32
/** Raised by a reader that has found nothing; its bell. */
const READER_SLEEPS = 48
const READER_BELL = 49
/** Raised by a writer that has found no room; its bell. */
const WRITER_SLEEPS = 64
const WRITER_BELL = 65
const CONTROL_WORDS = 80

const STATES = ['open', 'closed', 'aborted'] as const satisfies readonly RingState[]
const CLOSED = STATES.indexOf('closed')
const ABORTED = STATES.indexOf('aborted')

/** The length of what is skipped before the end. */
const SKIP = -1

/** What both sides have. */
class RingSide {
  /** The ring as doubles, and the same memory as bytes and as 32-bit integers: word n begins at byte 8n and at integer 2n. */
  readonly words: Float64Array
  readonly bytes: Uint8Array
  readonly ints: Int32Array
  protected readonly control: Int32Array
  protected readonly capacity: number

  constructor(readonly memory: RingMemory) {
    this.words = new Float64Array(memory.words)
    this.bytes = new Uint8Array(memory.words)
    this.ints = new Int32Array(memory.words)
    this.control = new Int32Array(memory.control)
    this.capacity = this.words.length
  }

  get state(): RingState {
    return STATES[Atomics.load(this.control, STATE)]!
  }

  /** Ends it for both sides at once, from either side or from a third. May be called twice. */
  abort(): void {
    Atomics.store(this.control, STATE, ABORTED)
    this.ring(READER_BELL)
    this.ring(WRITER_BELL)
  }

  protected ring(bell: number): void {
    Atomics.add(this.control, bell, 1)
    Atomics.notify(this.control, bell)
  }

  /** Rings for whoever has raised the flag, once: it is taken down, so that a sleeper that is slow to wake is not rung again. */
  protected wake(flag: number, bell: number): void {
    if (Atomics.load(this.control, flag) === 1 && Atomics.exchange(this.control, flag, 0) === 1) this.ring(bell)
  }

  /** Undefined when the bell has been rung already; what it resolves to says nothing. */
  protected rung(bell: number, seen: number): Promise<unknown> | undefined {
    const wait = Atomics.waitAsync(this.control, bell, seen)
    return wait.async ? wait.value : undefined
  }
}

export class RingWriter extends RingSide {
  /** Where the words of the record that was reserved begin. */
  at = 0
  private head: number
  /** As it was when last looked at; there is at least so much room. */
  private tail: number
  private reserved = 0

  constructor(memory: RingMemory) {
    super(memory)
    this.head = Atomics.load(this.control, HEAD)
    this.tail = Atomics.load(this.control, TAIL)
  }

  /**
   * Finds room for a record of so many words; they are written to `words`, `bytes` or `ints` from {@link at} on, and then
   * committed. False when there is no room now, or the ring has ended.
   *
   * @throws `Fault` VALUE_INVALID for a record that no room would ever be enough for
   */
  reserve(words: number, tag: number): boolean {
    const { capacity, ints } = this
    if (words + 1 > capacity / 2) throw tooLarge(words, capacity)
    const place = this.head & (capacity - 1)
    const toEnd = capacity - place
    const skipped = words + 1 > toEnd ? toEnd : 0
    const needed = skipped + words + 1
    if (needed > this.room()) {
      this.tail = Atomics.load(this.control, TAIL)
      if (needed > this.room()) return false
    }
    if (Atomics.load(this.control, STATE) !== 0) return false
    if (skipped > 0) ints[2 * place] = SKIP
    const header = skipped > 0 ? 0 : place
    ints[2 * header] = words
    ints[2 * header + 1] = tag
    this.at = header + 1
    this.reserved = needed
    return true
  }

  /** The record that was reserved is complete. It is seen when it is published. */
  commit(): void {
    this.head = (this.head + this.reserved) | 0
    this.reserved = 0
  }

  /** Shows the reader everything that was committed, and wakes it if it sleeps. */
  publish(): void {
    Atomics.store(this.control, HEAD, this.head)
    this.wake(READER_SLEEPS, READER_BELL)
  }

  /** Nothing more comes; what was committed is published, and read. */
  close(): void {
    this.publish()
    Atomics.compareExchange(this.control, STATE, 0, CLOSED)
    this.ring(READER_BELL)
  }

  /** Words that are written and not yet released. */
  get used(): number {
    return (this.head - Atomics.load(this.control, TAIL)) >>> 0
  }

  /**
   * Resolves when the reader has released something since the last look, or the ring has ended; undefined when that is so
   * already. To be asked when `reserve` found no room: then `reserve` is to be tried again. Whoever may wait in vain for a
   * dead reader is told by `abort`.
   */
  roomMade(): Promise<unknown> | undefined {
    const bell = this.beforeRoom()
    return bell === undefined ? undefined : this.rung(WRITER_BELL, bell)
  }

  /** The same, with the whole thread asleep, for so many milliseconds at most. */
  sleepUntilRoom(timeoutMs: number): void {
    const bell = this.beforeRoom()
    if (bell === undefined) return
    Atomics.wait(this.control, WRITER_BELL, bell, timeoutMs)
    Atomics.store(this.control, WRITER_SLEEPS, 0)
  }

  /** The bell to sleep on; undefined when there is something to look at already. */
  private beforeRoom(): number | undefined {
    const { control } = this
    const bell = Atomics.load(control, WRITER_BELL)
    Atomics.store(control, WRITER_SLEEPS, 1)
    if (Atomics.load(control, TAIL) === this.tail && Atomics.load(control, STATE) === 0) return bell
    Atomics.store(control, WRITER_SLEEPS, 0)
    return undefined
  }

  private room(): number {
    return this.capacity - ((this.head - this.tail) >>> 0)
  }
}

export class RingReader extends RingSide {
  /** Of the record that {@link next} came to: its tag, where its words begin, and how many they are. */
  tag = 0
  at = 0
  length = 0
  private tail: number
  /** As it was when last looked at; there is at least so much to read. */
  private head: number

  constructor(memory: RingMemory) {
    super(memory)
    this.tail = Atomics.load(this.control, TAIL)
    this.head = Atomics.load(this.control, HEAD)
  }

  /**
   * Goes to the next record; false when there is none now. It may be read where it lies until it is released, which it is
   * with everything before it.
   */
  next(): boolean {
    const { control, ints, capacity } = this
    if (Atomics.load(control, STATE) === ABORTED) return false
    if (this.tail === this.head) {
      this.head = Atomics.load(control, HEAD)
      if (this.tail === this.head) return false
    }
    let place = this.tail & (capacity - 1)
    if (ints[2 * place] === SKIP) {
      this.tail = (this.tail + capacity - place) | 0
      place = 0
    }
    this.length = ints[2 * place]!
    this.tag = ints[2 * place + 1]!
    this.at = place + 1
    this.tail = (this.tail + this.length + 1) | 0
    return true
  }

  /** Gives the room of everything that was read back to the writer, and wakes it if it waits for that. */
  release(): void {
    Atomics.store(this.control, TAIL, this.tail)
    this.wake(WRITER_SLEEPS, WRITER_BELL)
  }

  /** True when nothing will come any more. */
  get isOver(): boolean {
    const state = Atomics.load(this.control, STATE)
    if (state === ABORTED) return true
    return state === CLOSED && Atomics.load(this.control, HEAD) === this.tail
  }

  /**
   * Resolves when there is something to read, or the ring has ended; undefined when that is so already. To be asked when
   * `next` found nothing.
   */
  published(): Promise<unknown> | undefined {
    const bell = this.beforeData()
    return bell === undefined ? undefined : this.rung(READER_BELL, bell)
  }

  /** The same, with the whole thread asleep, for so many milliseconds at most. */
  sleepUntilPublished(timeoutMs: number): void {
    const bell = this.beforeData()
    if (bell === undefined) return
    Atomics.wait(this.control, READER_BELL, bell, timeoutMs)
    Atomics.store(this.control, READER_SLEEPS, 0)
  }

  private beforeData(): number | undefined {
    const { control } = this
    const bell = Atomics.load(control, READER_BELL)
    Atomics.store(control, READER_SLEEPS, 1)
    if (Atomics.load(control, HEAD) === this.tail && Atomics.load(control, STATE) === 0) return bell
    Atomics.store(control, READER_SLEEPS, 0)
    return undefined
  }
}

function tooLarge(words: number, capacity: number): Fault {
  const message = `A record of ${words} words does not fit into a ring of ${capacity}: it may hold ${capacity / 2 - 1}. Give the ring more room, or send less at once.`
  return new Fault('VALUE_INVALID', message, { words, capacity })
}
