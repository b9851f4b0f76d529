/**
 * Latencies in microseconds, as a histogram: p50, p99, max and count with three significant digits, in fixed memory.
 *
 * Node's own HDR histogram (`perf_hooks.createHistogram`) does the work. Its quirk: it refuses 0, and it drops what is
 * above its highest value without counting it. Here 0 is recorded as 0, and what is above an hour as an hour.
 */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'

export interface LatencySummary {
  readonly count: number
  readonly p50: number
  readonly p99: number
  readonly max: number
}

/** How many latencies were from `fromUs`, included, to `toUs`, excluded. */
export interface LatencyBucket {
  readonly fromUs: number
  readonly toUs: number
  readonly count: number
}

const HIGHEST_US = 3_600_000_000

/** Up to 4 µs each bucket is one microsecond wide, from there on a quarter of an octave; the last one holds the hour. */
const BUCKETS = 124

export class LatencyHistogram {
  // Everything is stored one higher than it is, which makes 0 a value like any other.
  private readonly histogram: RecordableHistogram = createHistogram({ lowest: 1, highest: HIGHEST_US + 1, figures: 3 })
  private notNumbers = 0
  /** The same more coarsely: Node's histogram tells percentiles, and no counts. */
  private readonly counts = new Float64Array(BUCKETS)

  /** Records one latency. Negative ones (two clocks that disagree) count as 0; a NaN is only counted, in `refused`. */
  record(latencyUs: number): void {
    if (Number.isNaN(latencyUs)) {
      this.notNumbers++
      return
    }
    const us = latencyUs > 0 ? Math.min(Math.round(latencyUs), HIGHEST_US) : 0
    this.histogram.record(us + 1)
    this.counts[bucketOf(us)]! += 1
  }

  /** How many were recorded. */
  get count(): number {
    return this.histogram.count
  }

  /** How many were not numbers. */
  get refused(): number {
    return this.notNumbers
  }

  /** The latency that `percent` (0 to 100, above 0) of all do not exceed; 0 while nothing was recorded. */
  percentile(percent: number): number {
    return this.histogram.count === 0 ? 0 : this.histogram.percentile(percent) - 1
  }

  get max(): number {
    return this.histogram.count === 0 ? 0 : this.histogram.max - 1
  }

  /** How the latencies are spread, from the shortest to the longest; empty buckets are left out. */
  buckets(): LatencyBucket[] {
    const buckets: LatencyBucket[] = []
    this.counts.forEach((count, bucket) => {
      if (count > 0) buckets.push({ fromUs: beginOf(bucket), toUs: beginOf(bucket + 1), count })
    })
    return buckets
  }

  /** Adds everything that `other` recorded. */
  merge(other: LatencyHistogram): void {
    this.histogram.add(other.histogram)
    other.counts.forEach((count, bucket) => (this.counts[bucket]! += count))
    this.notNumbers += other.notNumbers
  }

  reset(): void {
    this.histogram.reset()
    this.counts.fill(0)
    this.notNumbers = 0
  }

  /** All zero while nothing was recorded: `count` tells that from a latency of zero. */
  summary(): LatencySummary {
    return { count: this.count, p50: this.percentile(50), p99: this.percentile(99), max: this.max }
  }
}

/** @param us  an integer from 0 to an hour */
function bucketOf(us: number): number {
  if (us < 4) return us
  const octave = 31 - Math.clz32(us)
  return (octave - 1) * 4 + ((us >>> (octave - 2)) & 3)
}

function beginOf(bucket: number): number {
  if (bucket < 4) return bucket
  return (4 + (bucket % 4)) * 2 ** (Math.floor(bucket / 4) - 1)
}
