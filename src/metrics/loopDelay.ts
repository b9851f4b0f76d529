/**
 * How long the event loop keeps its timers waiting, in milliseconds.
 *
 * Node measures it by a timer of its own in C++ (`monitorEventLoopDelay`), which costs the loop nothing in JavaScript and
 * never keeps a process alive. Its quirk: what it records is the time between two firings, so an idle loop shows the
 * timer's own interval; here the interval is taken off, and an idle loop shows about 0. A delay that it is emptied in the
 * middle of it does not record: whoever looks again and again takes `loopBeat.ts`.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'

export interface LoopDelaySummary {
  readonly p50: number
  readonly p99: number
  readonly max: number
}

export interface LoopDelay {
  /** The delays since the last `read`, or since the start. */
  read(): LoopDelaySummary
  /** The same, which the next `read` then tells once more. */
  look(): LoopDelaySummary
  /** Stops looking. May be called twice. */
  stop(): void
}

/** @param resolutionMs  how often the loop is looked at; a delay shorter than this may be missed */
export function loopDelay(resolutionMs = 10): LoopDelay {
  const histogram = monitorEventLoopDelay({ resolution: resolutionMs })
  histogram.enable()

  const delayMs = (betweenNs: number): number =>
    Math.max(0, Math.round(betweenNs / 1_000 - resolutionMs * 1_000) / 1_000)

  const look = (): LoopDelaySummary =>
    histogram.count === 0
      ? { p50: 0, p99: 0, max: 0 }
      : {
          p50: delayMs(histogram.percentile(50)),
          p99: delayMs(histogram.percentile(99)),
          max: delayMs(histogram.max),
        }

  return {
    look,
    read() {
      const summary = look()
      histogram.reset()
      return summary
    },
    stop() {
      histogram.disable()
    },
  }
}
