/**
 * Latencies in microseconds, as a histogram: percentiles, counts and the sum, in little memory.
 *
 * Buckets are a fixed share of a power of two wide, so that a percentile is right to that share whatever the size. Memory is
 * taken for the powers of two that were met. A bucket holds what is above its lower bound, up to and including its upper one.
 * A value may stand for several, as where one of many was chosen to be measured.
 */
import type { MetricDistribution } from './metric'

export interface LatencySummary {
  readonly count: number
  readonly p50: number
  readonly p99: number
  readonly max: number
}

/** How many latencies were above `fromUs`, up to and including `toUs`. What took no time has a bucket of its own, from 0 to 0. */
export interface LatencyBucket {
  readonly fromUs: number
  readonly toUs: number
  readonly count: number
}

const HIGHEST_US = 3_600_000_000

/** The power of two up to which a latency counts as none: a nanosecond. */
const SMALLEST = -10
const SMALLEST_US = 2 ** SMALLEST

/** Powers of two that are told of a distribution. */
const FIRST_TOLD = -2
const LAST_TOLD = 32

/** Buckets of a power of two as it is drawn, which are no narrower than a microsecond. */
const DRAWN = 4

const number = new Float64Array(1)
const bits = new Int32Array(number.buffer)
const LOW = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? 0 : 1
const HIGH = 1 - LOW
const MANTISSA_BITS = 20
const EXPONENT_BIAS = 1_023

export class LatencyHistogram {
  /** How many were not numbers. */
  refused = 0
  /** How many were recorded. */
  count = 0
  /** Of all together, microseconds. */
  sum = 0
  private highest = 0
  private zeros = 0
  /** By power of two; undefined where nothing was met. */
  private readonly octaves: (Octave | undefined)[] = []
  private readonly digits: number

  /**
   * @param precision  `fine`: percentiles are right to three digits, for 8 KiB a power of two that was met; `coarse`: to a
   *                   sixteenth, for 128 bytes
   */
  constructor(precision: 'fine' | 'coarse' = 'fine') {
    this.digits = precision === 'fine' ? 10 : 4
  }

  /**
   * Records one latency. Negative ones (two clocks that disagree) count as 0, what is above an hour as an hour; a NaN is only
   * counted, in `refused`.
   *
   * @param times  how many it stands for
   */
  record(latencyUs: number, times = 1): void {
    if (Number.isNaN(latencyUs)) {
      this.refused += times
      return
    }
    const us = latencyUs > 0 ? Math.min(latencyUs, HIGHEST_US) : 0
    this.count += times
    this.sum += us * times
    if (us > this.highest) this.highest = us
    if (us <= SMALLEST_US) {
      this.zeros += times
      return
    }
    number[0] = us
    // The double just below: what is exactly on a bound belongs under it.
    const high = bits[HIGH]! - (bits[LOW] === 0 ? 1 : 0)
    const octave = (high >>> MANTISSA_BITS) - EXPONENT_BIAS - SMALLEST
    const { digits } = this
    const bucket = (high >>> (MANTISSA_BITS - digits)) & ((1 << digits) - 1)
    const met = (this.octaves[octave] ??= { total: 0, counts: new Float64Array(1 << digits) })
    met.total += times
    met.counts[bucket]! += times
  }

  /** The latency that `percent` (0 to 100, above 0) of all do not exceed; 0 while nothing was recorded. */
  percentile(percent: number): number {
    const wanted = Math.ceil((percent / 100) * this.count)
    let seen = this.zeros
    if (seen >= wanted) return 0
    const { octaves } = this
    for (let octave = 0; octave < octaves.length; octave++) {
      const met = octaves[octave]
      if (met === undefined) continue
      if (seen + met.total < wanted) {
        seen += met.total
        continue
      }
      const { counts } = met
      for (let bucket = 0; bucket < counts.length; bucket++) {
        seen += counts[bucket]!
        if (seen >= wanted) return Math.min(this.boundOf(octave, bucket + 1), this.highest)
      }
    }
    return this.highest
  }

  get max(): number {
    return this.highest
  }

  /** How the latencies are spread, from the shortest to the longest, as it is drawn; empty buckets are left out. */
  buckets(): LatencyBucket[] {
    const drawn: { fromUs: number; toUs: number; count: number }[] = []
    if (this.zeros > 0) drawn.push({ fromUs: 0, toUs: 0, count: this.zeros })
    this.octaves.forEach((met, octave) => {
      if (met === undefined) return
      const { counts } = met
      const base = 2 ** (octave + SMALLEST)
      const parts = Math.max(1, Math.min(base, DRAWN))
      const length = counts.length / parts
      for (let part = 0; part < parts; part++) {
        let count = 0
        for (let bucket = part * length; bucket < (part + 1) * length; bucket++) count += counts[bucket]!
        if (count === 0) continue
        const fromUs = base < 1 ? 0 : base * (1 + part / parts)
        const toUs = Math.max(1, base * (1 + (part + 1) / parts))
        const last = drawn.at(-1)
        if (last?.toUs === toUs) last.count += count
        else drawn.push({ fromUs, toUs, count })
      }
    })
    return drawn
  }

  /** The same for whoever adds it up: the same bounds always. */
  distribution(): MetricDistribution {
    const buckets: { upTo: number; count: number }[] = []
    let count = this.zeros
    let told = 0
    for (let power = FIRST_TOLD; power <= LAST_TOLD; power++) {
      // The octave above 2^n ends at 2^(n + 1).
      for (const end = power - SMALLEST; told < end; told++) count += this.octaves[told]?.total ?? 0
      buckets.push({ upTo: 2 ** power, count })
    }
    buckets.push({ upTo: Infinity, count: this.count })
    const { p50, p99, max } = this.summary()
    return { sum: this.sum, buckets, percentiles: { p50, p99, max } }
  }

  /** Adds everything that `other`, of the same precision, has recorded. */
  merge(other: LatencyHistogram): void {
    other.octaves.forEach((met, octave) => {
      if (met === undefined) return
      const own = (this.octaves[octave] ??= { total: 0, counts: new Float64Array(1 << this.digits) })
      own.total += met.total
      met.counts.forEach((count, bucket) => (own.counts[bucket]! += count))
    })
    this.zeros += other.zeros
    this.count += other.count
    this.sum += other.sum
    this.highest = Math.max(this.highest, other.highest)
    this.refused += other.refused
  }

  reset(): void {
    this.octaves.length = 0
    this.zeros = this.count = this.sum = this.highest = this.refused = 0
  }

  /** All zero while nothing was recorded: `count` tells that from a latency of zero. */
  summary(): LatencySummary {
    return { count: this.count, p50: this.percentile(50), p99: this.percentile(99), max: this.max }
  }

  /** The lower bound of a bucket. */
  private boundOf(octave: number, bucket: number): number {
    return 2 ** (octave + SMALLEST) * (1 + bucket / (1 << this.digits))
  }
}

/** What was met above a power of two, up to the next. */
interface Octave {
  total: number
  readonly counts: Float64Array
}
