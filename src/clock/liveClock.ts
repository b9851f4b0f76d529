import { performance } from 'node:perf_hooks'
import { LONGEST_WAIT_MS, type Clock, type Timer } from './clock'

/**
 * The machine's time: the wall clock at start, carried on by the monotonic clock, so that it never steps backwards.
 */
export const liveClock: Clock = {
  nowUs: () => Math.floor((performance.timeOrigin + performance.now()) * 1_000),
  after(delayMs: number, callback: () => void): Timer {
    if (delayMs > LONGEST_WAIT_MS) return afterLong(delayMs, callback)
    const timer = setTimeout(callback, delayMs)
    return { cancel: () => clearTimeout(timer) }
  },
}

function afterLong(delayMs: number, callback: () => void): Timer {
  let timer: NodeJS.Timeout
  const arm = (leftMs: number): void => {
    timer = setTimeout(
      () => (leftMs > LONGEST_WAIT_MS ? arm(leftMs - LONGEST_WAIT_MS) : callback()),
      Math.min(leftMs, LONGEST_WAIT_MS),
    )
  }
  arm(delayMs)
  return { cancel: () => clearTimeout(timer) }
}
