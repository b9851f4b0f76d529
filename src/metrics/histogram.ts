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

const HIGHEST_US = 3_600_000_000

export class LatencyHistogram {
  // Everything is stored one higher than it is, which makes 0 a value like any other.
  private readonly histogram: RecordableHistogram = createHistogram({ lowest: 1, highest: HIGHEST_US + 1, figures: 3 })
  private notNumbers = 0

  /** Records one latency. Negative ones (two clocks that disagree) count as 0; a NaN is only counted, in `refused`. */
  record(latencyUs: number): void {
    if (latencyUs > 0) this.histogram.record(latencyUs < HIGHEST_US ? Math.round(latencyUs) + 1 : HIGHEST_US + 1)
    else if (latencyUs <= 0) this.histogram.record(1)
    else this.notNumbers++
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

  /** Adds everything that `other` recorded. */
  merge(other: LatencyHistogram): void {
    this.histogram.add(other.histogram)
    this.notNumbers += other.notNumbers
  }

  reset(): void {
    this.histogram.reset()
    this.notNumbers = 0
  }

  /** All zero while nothing was recorded: `count` tells that from a latency of zero. */
  summary(): LatencySummary {
    return { count: this.count, p50: this.percentile(50), p99: this.percentile(99), max: this.max }
  }
}
