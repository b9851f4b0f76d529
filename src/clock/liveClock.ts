import { performance } from 'node:perf_hooks'
import type { Clock, Timer } from './clock'

/**
 * The machine's time: the wall clock at start, carried on by the monotonic clock, so that it never steps backwards.
 */
export const liveClock: Clock = {
  nowUs: () => Math.floor((performance.timeOrigin + performance.now()) * 1_000),
  after(delayMs: number, callback: () => void): Timer {
    if (delayMs > TIMER_MS_MAX) return afterLong(delayMs, callback)
    const timer = setTimeout(callback, delayMs)
    return { cancel: () => clearTimeout(timer) }
  },
}

/** Timers of Node that are asked to wait longer than this, almost 25 days, fire at once. */
const TIMER_MS_MAX = 2 ** 31 - 1

function afterLong(delayMs: number, callback: () => void): Timer {
  let timer: NodeJS.Timeout
  const arm = (leftMs: number): void => {
    timer = setTimeout(
      () => (leftMs > TIMER_MS_MAX ? arm(leftMs - TIMER_MS_MAX) : callback()),
      Math.min(leftMs, TIMER_MS_MAX),
    )
  }
  arm(delayMs)
  return { cancel: () => clearTimeout(timer) }
}
