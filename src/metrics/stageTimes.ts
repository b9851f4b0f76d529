/**
 * What stages take of the thread: how long each works, without what it calls.
 *
 * Reading the clock twice for each value would cost more than many stages do. So one piece of work in several is timed, from
 * its beginning to its end with every stage that it comes through, and stands for the others. Which one is drawn, and not
 * counted off: a beat would fall in with that of the market. The first pieces of a run are all timed, so that a short run, or
 * a quiet one, tells something too.
 */
import { LatencyHistogram } from './histogram'

/** From so many pieces on, one in so many is timed; the last holds for the rest of the run. */
const SHARES: readonly { readonly from: number; readonly every: number }[] = [
  { from: 0, every: 1 },
  { from: 256, every: 8 },
  { from: 4_096, every: 64 },
]

/** The times of one stage. Plain fields. */
export class StageTime {
  /** Microseconds of all its work, worked out from what was timed. */
  busyUs = 0
  /** Of what it was given at once. */
  readonly latency = new LatencyHistogram('coarse')
}

/** The pieces of work that stages do on one thread, one after another. */
export class StageTimes {
  /** True while a piece of work is timed. Stages ask this, and do nothing more while it is false. */
  isOn = false
  /** Pieces that come before the next that is timed. */
  private left = 0
  private pieces = 0
  /** What is timed now stands for so many pieces. */
  private every = 1
  private share = 0
  private drawn = 0x9e3779b9
  /** What those took that the stage which is at work has called. */
  private calledUs = 0

  /** @param nowUs  a clock that goes on steadily, in microseconds and fractions of them */
  constructor(private readonly nowUs: () => number) {}

  /** Whether the next piece of work is one to be timed. If so, `begin` and `end` are owed around it. */
  isNext(): boolean {
    if (this.left === 0) return true
    this.left--
    return false
  }

  begin(): void {
    this.isOn = true
  }

  end(): void {
    this.isOn = false
    this.calledUs = 0
    this.draw()
  }

  /** Times what a stage does, called by the one that is at work, if any. Only while a piece is timed. */
  during(stage: StageTime, work: () => void): void {
    const outerUs = this.calledUs
    this.calledUs = 0
    const beganUs = this.nowUs()
    try {
      work()
    } finally {
      const tookUs = this.nowUs() - beganUs
      const ownUs = Math.max(0, tookUs - this.calledUs)
      this.calledUs = outerUs + tookUs
      stage.busyUs += ownUs * this.every
      stage.latency.record(ownUs, this.every)
    }
  }

  /** Draws which piece is the next: on average the share's, each as likely as the others. */
  private draw(): void {
    this.pieces++
    while (this.share + 1 < SHARES.length && this.pieces >= SHARES[this.share + 1]!.from) this.share++
    this.every = SHARES[this.share]!.every
    if (this.every === 1) return
    let drawn = this.drawn
    drawn ^= drawn << 13
    drawn ^= drawn >>> 17
    drawn ^= drawn << 5
    this.drawn = drawn
    this.left = (drawn >>> 0) % (2 * this.every - 1)
    this.pieces += this.left
  }
}
