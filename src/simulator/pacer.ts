/**
 * Moves the market at a chosen number of frames a second.
 *
 * It works in slices of a few milliseconds. What a slow machine did not manage is caught up for a quarter of a second;
 * beyond that it is given up and counted as `lateMs`, so that nothing piles up. Books take turns in a fixed order, each as
 * often as its weight says, so that one asset's books stay together on all exchanges.
 */
import type { Clock, Timer } from '../clock/clock'
import type { MarketBook } from './market'

/** Slices are as short as they are worth: about four frames each. */
const SLICE_MS_MIN = 4
const SLICE_MS_MAX = 20
/** A market that hardly moves is looked at five times for each frame. */
const SLICES_PER_FRAME = 5
const FRAMES_PER_SLICE = 4
/** Longest work of one slice: other work of the process must get its turn. */
const WORK_US_MAX = 15_000
const CATCH_UP_S = 0.25
const STEPS_BETWEEN_LOOKS = 32
/** What a step counts that nobody was told of: it is work, too. */
const SILENT_STEP = 0.25

export class Pacer {
  steps = 0
  lateMs = 0
  private owed = 0
  private lastUs = 0
  private turn = 0
  private round = 0
  private readonly rounds: number
  private readonly sliceMs: number
  private timer: Timer | undefined

  /**
   * @param framesPerSecond  frames to be published, over all books
   * @param step             moves a book and tells its subscribers; returns the number of frames published
   * @param slice            called after each slice that did something
   * @param held             true while the market is to stand still: the time is given up, and not counted as late
   */
  constructor(
    private readonly clock: Clock,
    private readonly books: readonly MarketBook[],
    private readonly framesPerSecond: number,
    private readonly step: (book: MarketBook, nowUs: number) => number,
    private readonly slice: () => void,
    private readonly held: () => boolean = () => false,
  ) {
    const longestMs = Math.max(SLICE_MS_MAX, 1_000 / (SLICES_PER_FRAME * framesPerSecond))
    this.sliceMs = Math.min(longestMs, Math.max(SLICE_MS_MIN, (FRAMES_PER_SLICE * 1_000) / framesPerSecond))
    this.rounds = Math.max(1, ...books.map(({ listing }) => listing.weight))
  }

  start(): void {
    if (this.timer !== undefined) return
    this.lastUs = this.clock.nowUs()
    this.owed = 0
    this.arm(this.sliceMs)
  }

  stop(): void {
    this.timer?.cancel()
    this.timer = undefined
  }

  private arm(delayMs: number): void {
    this.timer = this.clock.after(delayMs, () => {
      this.arm(this.work() ? 0 : this.sliceMs)
    })
  }

  /** True when work is left. */
  private work(): boolean {
    const startUs = this.clock.nowUs()
    if (!this.books.some(({ watchers }) => watchers > 0) || this.held()) {
      this.lastUs = startUs
      this.owed = 0
      return false
    }
    this.owed += ((startUs - this.lastUs) / 1_000_000) * this.framesPerSecond
    this.lastUs = startUs
    const most = Math.max(1, this.framesPerSecond * CATCH_UP_S)
    if (this.owed > most) {
      this.lateMs += ((this.owed - most) / this.framesPerSecond) * 1_000
      this.owed = most
    }
    let nowUs = startUs
    for (let steps = 1; this.owed >= 1; steps++) {
      const book = this.next(nowUs)
      if (book === undefined) break
      this.owed -= Math.max(SILENT_STEP, this.step(book, nowUs))
      this.steps++
      if (steps % STEPS_BETWEEN_LOOKS !== 0) continue
      nowUs = this.clock.nowUs()
      if (nowUs - startUs > WORK_US_MAX) break
    }
    this.slice()
    return this.owed >= 1
  }

  /** The book whose turn it is: those that are watched, or were a little while ago. */
  private next(nowUs: number): MarketBook | undefined {
    for (let tries = this.books.length * this.rounds; tries > 0; tries--) {
      const book = this.books[this.turn]!
      const takesPart = book.listing.weight > this.round
      this.turn++
      if (this.turn === this.books.length) {
        this.turn = 0
        this.round = (this.round + 1) % this.rounds
      }
      const isWatched = book.watchers > 0 || book.lingersUntilUs > nowUs
      if (takesPart && isWatched && book.frozenUntilUs <= nowUs) return book
    }
    return undefined
  }
}
