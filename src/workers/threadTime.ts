import { readFileSync } from 'node:fs'

/**
 * The time that this thread has spent on a processor, µs, from the kernel's books; undefined where it keeps none that can be
 * read (anywhere but Linux). It holds what no clock in the thread can see: falling asleep and being woken. Some ten
 * microseconds a call.
 */
export function threadTimeUs(): number | undefined {
  try {
    return Number(readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ', 1)[0]) / 1_000
  } catch {
    return undefined
  }
}
