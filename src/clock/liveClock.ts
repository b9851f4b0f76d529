import { performance } from 'node:perf_hooks'
import type { Clock, Timer } from './clock'

/**
 * The machine's time: the wall clock at start, carried on by the monotonic clock, so that it never steps backwards.
 */
export const liveClock: Clock = {
  nowUs: () => Math.floor((performance.timeOrigin + performance.now()) * 1_000),
  after(delayMs: number, callback: () => void): Timer {
    const timer = setTimeout(callback, delayMs)
    return { cancel: () => clearTimeout(timer) }
  },
}
