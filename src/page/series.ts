/**
 * A number over time, in bounded memory and with its extremes kept.
 *
 * Values fall into buckets of equal time, of which each keeps its lowest, highest and last value. When all buckets are
 * taken they become twice as wide: a run of a second is kept by the millisecond, a run of a day by the minute or two, and
 * a spike of one update is in both. Where nothing was known for a while the line is broken, and stays so as long as there is
 * a bucket to each side.
 */

/** Points, oldest first: columns of equal length. */
export interface SeriesColumns {
  /** When the last value of each bucket came, in milliseconds since `originUs`. */
  readonly t: readonly number[]
  readonly low: readonly number[]
  readonly high: readonly number[]
  readonly last: readonly number[]
  /** Points, by their index, between which and the point before nothing was known. */
  readonly breaks: readonly number[]
}

/** Of all values that were added. */
export interface SeriesStatistics {
  readonly count: number
  readonly low: number
  readonly high: number
  readonly last: number
  /** Each value weighted by how long it stood and was known to; of the values alike where no time passed. */
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
  private begins = new Float64Array(0)
  /** The next value does not follow on the last one. */
  private isCut = false

  private count = 0
  private low = Infinity
  private high = -Infinity
  private last = NaN
  private sum = 0
  private weighted = 0
  private weightUs = 0
  private lastUs = NaN

  /** @param capacity  buckets at most */
  constructor(private readonly capacity: number) {}

  /** Takes a value; what is no finite number, or has no time, is passed over. A value from before the last one counts as of its time. */
  add(timeUs: number, value: number): void {
    if (!Number.isFinite(value) || !Number.isFinite(timeUs)) return
    this.weigh(timeUs, value)
    const begins = this.isCut ? 1 : 0
    this.isCut = false
    while (!this.joinsLast(timeUs) && this.length === this.capacity) this.widen()
    if (this.joinsLast(timeUs)) {
      const end = this.length - 1
      this.times[end] = Math.max(this.times[end]!, timeUs)
      this.lows[end] = Math.min(this.lows[end]!, value)
      this.highs[end] = Math.max(this.highs[end]!, value)
      this.lasts[end] = value
      return
    }
    if (this.length === this.times.length) this.grow()
    const at = this.length++
    this.times[at] = timeUs
    this.lows[at] = this.highs[at] = this.lasts[at] = value
    this.begins[at] = begins
  }

  /** From now until the next value nothing is known. */
  cut(): void {
    this.isCut = this.count > 0
  }

  /** Undefined while nothing was added. */
  statistics(): SeriesStatistics | undefined {
    const { count, low, high, last } = this
    if (count === 0) return undefined
    return { count, low, high, last, mean: this.weightUs > 0 ? this.weighted / this.weightUs : this.sum / count }
  }

  columns(originUs: number): SeriesColumns {
    const { length } = this
    return {
      t: Array.from(this.times.subarray(0, length), (timeUs) => Math.round((timeUs - originUs) / 1_000)),
      low: Array.from(this.lows.subarray(0, length)),
      high: Array.from(this.highs.subarray(0, length)),
      last: Array.from(this.lasts.subarray(0, length)),
      breaks: Array.from(this.begins.subarray(0, length).keys()).filter((at) => this.begins[at] === 1),
    }
  }

  private weigh(timeUs: number, value: number): void {
    this.count++
    this.sum += value
    this.low = Math.min(this.low, value)
    this.high = Math.max(this.high, value)
    if (this.count === 1) this.lastUs = timeUs
    if (timeUs > this.lastUs) {
      if (!this.isCut) {
        this.weighted += this.last * (timeUs - this.lastUs)
        this.weightUs += timeUs - this.lastUs
      }
      this.lastUs = timeUs
    }
    this.last = value
  }

  private joinsLast(timeUs: number): boolean {
    return this.length > 0 && this.bucketOf(timeUs) <= this.bucketOf(this.times[this.length - 1]!)
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
        this.begins[kept] = this.begins[at]!
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
    this.begins = grown(this.begins, room)
  }
}

function grown(numbers: Float64Array, room: number): Float64Array<ArrayBuffer> {
  const more = new Float64Array(room)
  more.set(numbers)
  return more
}
