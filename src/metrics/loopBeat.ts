/**
 * How long the event loop keeps its timers waiting, for several who look at different moments.
 *
 * A timer of 20 ms tells each time by how much it was late; an idle loop shows about 0, a delay shorter than 20 ms may be
 * missed. Node's own histogram (`loopDelay.ts`) would do for one who looks once. Its percentiles cost the loop 26 µs each,
 * and after it was emptied it does not see the delay that it is emptied in: what holds the loop up at each full second,
 * when samples are taken, it would never show.
 */
import { performance } from 'node:perf_hooks'
import type { LoopDelaySummary } from './loopDelay'

export interface LoopDelayPercentiles extends LoopDelaySummary {
  readonly p90: number
}

const BEAT_MS = 20

interface Observer {
  readonly told: (delayMs: number) => void
  readonly sinceMs: number
}

/** Whoever looks at this thread's loop: they share one timer, since each would wake an idle loop as often as it beats. */
const observers = new Set<Observer>()
let beat: NodeJS.Timeout | undefined

/** Calls back 50 times a second with a delay in milliseconds, until the returned function is called. Keeps no process alive. */
export function observeLoop(told: (delayMs: number) => void): () => void {
  const observer: Observer = { told, sinceMs: performance.now() }
  observers.add(observer)
  beat ??= beginBeat()
  return () => {
    observers.delete(observer)
    if (observers.size > 0) return
    clearInterval(beat)
    beat = undefined
  }
}

function beginBeat(): NodeJS.Timeout {
  let lastMs = performance.now()
  const timer = setInterval(() => {
    const nowMs = performance.now()
    const delayMs = Math.max(0, nowMs - lastMs - BEAT_MS)
    lastMs = nowMs
    // Nobody is told of what was before he looked.
    for (const { told, sinceMs } of observers) told(Math.min(delayMs, nowMs - sinceMs))
  }, BEAT_MS)
  timer.unref()
  return timer
}

/** Delays below this, in units of 1/1024 ms, are told as the longest of them: timers are late by up to a millisecond anyway. */
const LEAST = 128
const LEAST_OCTAVE = 7
/** Buckets an octave, so that a percentile is too high by an eighth at most. */
const STEPS = 8
/** The last begins at an hour. */
const BUCKETS = 1 + (32 - LEAST_OCTAVE) * STEPS

/** The delays since the last look, in 900 bytes. */
export class DelayWindow {
  private readonly counts = new Uint32Array(BUCKETS)
  /** A bit for each bucket that has some: a look is seldom, its code cold, and most buckets are empty. */
  private readonly filled = new Int32Array(Math.ceil(BUCKETS / 32))
  private count = 0
  private max = 0
  private highest = 0

  add(delayMs: number): void {
    const bucket = bucketOf(delayMs)
    this.counts[bucket]!++
    this.filled[bucket >>> 5]! |= 1 << (bucket & 31)
    this.count++
    if (delayMs > this.max) this.max = delayMs
    if (bucket > this.highest) this.highest = bucket
  }

  /** All zero when the loop has not been looked at since. */
  read(): LoopDelayPercentiles {
    const { counts, filled, count, max, highest } = this
    if (highest === 0) return this.readIdle()
    // How many delays are longer than each percentile. One pass from the longest down: most are in the first bucket.
    const above = { p99: count - Math.ceil(count * 0.99), p90: count - Math.ceil(count * 0.9), p50: count >> 1 }
    let p99 = -1
    let p90 = -1
    let p50 = -1
    let seen = 0
    for (let word = highest >>> 5; word >= 0; word--) {
      for (let bits = filled[word]!; bits !== 0;) {
        const bit = 31 - Math.clz32(bits)
        bits ^= 1 << bit
        const bucket = word * 32 + bit
        seen += counts[bucket]!
        counts[bucket] = 0
        if (p99 < 0 && seen > above.p99) p99 = bucket
        if (p90 < 0 && seen > above.p90) p90 = bucket
        if (p50 < 0 && seen > above.p50) p50 = bucket
      }
      filled[word] = 0
    }
    this.clear()
    return { p50: upTo(p50, max), p90: upTo(p90, max), p99: upTo(p99, max), max: rounded(max) }
  }

  /** All delays lie in the first bucket, as they mostly do. */
  private readIdle(): LoopDelayPercentiles {
    const max = rounded(this.max)
    this.counts[0] = 0
    this.filled[0] = 0
    this.clear()
    return { p50: max, p90: max, p99: max, max }
  }

  private clear(): void {
    this.count = 0
    this.max = 0
    this.highest = 0
  }
}

function bucketOf(delayMs: number): number {
  const units = delayMs * 1_024
  if (units < LEAST) return 0
  if (units >= 2 ** 32) return BUCKETS - 1
  const whole = units >>> 0
  const octave = 31 - Math.clz32(whole)
  return 1 + (octave - LEAST_OCTAVE) * STEPS + ((whole >>> (octave - 3)) & (STEPS - 1))
}

/** Where a bucket ends, or the longest delay where that is shorter. */
function upTo(bucket: number, max: number): number {
  if (bucket < 0) return 0
  const octave = Math.floor((bucket - 1) / STEPS) + LEAST_OCTAVE
  const step = ((bucket - 1) % STEPS) + 1
  const endMs = bucket === 0 ? LEAST / 1_024 : (2 ** octave * (1 + step / STEPS)) / 1_024
  return rounded(Math.min(endMs, max))
}

function rounded(ms: number): number {
  return Math.round(ms * 1_000) / 1_000
}
