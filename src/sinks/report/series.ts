/**
 * A number over time, in bounded memory and with its extremes kept.
 *
 * Values fall into buckets of equal time, of which each keeps its lowest, highest and last value. When all buckets are
 * taken they become twice as wide: a run of a second is kept by the millisecond, a run of a day by the minute or two, and
 * a spike of one update is in both.
 */

/** Points, oldest first: columns of equal length. */
export interface SeriesColumns {
  /** When the last value of each bucket came, in milliseconds since `originUs`. */
  readonly t: readonly number[]
  readonly low: readonly number[]
  readonly high: readonly number[]
  readonly last: readonly number[]
}

/** Of all values that were added. */
export interface SeriesStatistics {
  readonly count: number
  readonly low: number
  readonly high: number
  readonly last: number
  /** Each value weighted by how long it stood; of the values alike where no time passed. */
  readonly mean: number
}

const FIRST_WIDTH_US = 1_000
const FIRST_ROOM = 64

export class Series {
  private widthUs = FIRST_WIDTH_US
  private length = 0
  private times = new Float64Array(0)
  private lows = new Float64Array(0)
  private highs = new Float64Array(0)
  private lasts = new Float64Array(0)

  private count = 0
  private low = Infinity
  private high = -Infinity
  private last = NaN
  private sum = 0
  private weighted = 0
  private firstUs = NaN
  private lastUs = NaN

  /** @param capacity  buckets at most */
  constructor(private readonly capacity: number) {}

  /** Takes a value; what is no finite number, or has no time, is passed over. A value from before the last one counts as of its time. */
  add(timeUs: number, value: number): void {
    if (!Number.isFinite(value) || !Number.isFinite(timeUs)) return
    this.weigh(timeUs, value)
    const end = this.length - 1
    if (end >= 0 && this.bucketOf(timeUs) <= this.bucketOf(this.times[end]!)) {
      this.times[end] = Math.max(this.times[end]!, timeUs)
      this.lows[end] = Math.min(this.lows[end]!, value)
      this.highs[end] = Math.max(this.highs[end]!, value)
      this.lasts[end] = value
      return
    }
    while (this.length === this.capacity) this.widen()
    if (this.length === this.times.length) this.grow()
    const at = this.length++
    this.times[at] = timeUs
    this.lows[at] = this.highs[at] = this.lasts[at] = value
  }

  /** Undefined while nothing was added. */
  statistics(): SeriesStatistics | undefined {
    const { count, low, high, last } = this
    if (count === 0) return undefined
    const elapsedUs = this.lastUs - this.firstUs
    return { count, low, high, last, mean: elapsedUs > 0 ? this.weighted / elapsedUs : this.sum / count }
  }

  columns(originUs: number): SeriesColumns {
    const { length } = this
    return {
      t: Array.from(this.times.subarray(0, length), (timeUs) => Math.round((timeUs - originUs) / 1_000)),
      low: Array.from(this.lows.subarray(0, length)),
      high: Array.from(this.highs.subarray(0, length)),
      last: Array.from(this.lasts.subarray(0, length)),
    }
  }

  private weigh(timeUs: number, value: number): void {
    this.count++
    this.sum += value
    this.low = Math.min(this.low, value)
    this.high = Math.max(this.high, value)
    if (this.count === 1) this.firstUs = this.lastUs = timeUs
    if (timeUs > this.lastUs) {
      this.weighted += this.last * (timeUs - this.lastUs)
      this.lastUs = timeUs
    }
    this.last = value
  }

  private bucketOf(timeUs: number): number {
    return Math.floor(timeUs / this.widthUs)
  }

  /** Doubles the width of the buckets and joins those that fall together. */
  private widen(): void {
    this.widthUs *= 2
    let kept = 0
    for (let at = 1; at < this.length; at++) {
      if (this.bucketOf(this.times[at]!) === this.bucketOf(this.times[kept]!)) {
        this.lows[kept] = Math.min(this.lows[kept]!, this.lows[at]!)
        this.highs[kept] = Math.max(this.highs[kept]!, this.highs[at]!)
      } else {
        kept++
        this.lows[kept] = this.lows[at]!
        this.highs[kept] = this.highs[at]!
      }
      this.times[kept] = this.times[at]!
      this.lasts[kept] = this.lasts[at]!
    }
    this.length = kept + 1
  }

  private grow(): void {
    const room = Math.min(this.capacity, Math.max(FIRST_ROOM, this.times.length * 2))
    this.times = grown(this.times, room)
    this.lows = grown(this.lows, room)
    this.highs = grown(this.highs, room)
    this.lasts = grown(this.lasts, room)
  }
}

function grown(numbers: Float64Array, room: number): Float64Array<ArrayBuffer> {
  const more = new Float64Array(room)
  more.set(numbers)
  return more
}
