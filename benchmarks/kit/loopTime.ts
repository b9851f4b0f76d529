/**
 * The time that the event loop's thread has worked, in microseconds.
 *
 * On Linux that is the thread's time on a processor, from the kernel's books: what other processes and other threads take
 * of a busy machine is not in it. Elsewhere it is the time in which the loop was not idle, in which it is.
 */
import { readFileSync } from 'node:fs'
import { performance } from 'node:perf_hooks'

export function loopTimeUs(): number {
  try {
    return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'latin1').split(' ')[0]) / 1_000
  } catch {
    return performance.eventLoopUtilization().active * 1_000
  }
}
