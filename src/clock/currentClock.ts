/**
 * The clock in force where a pipeline is being wired.
 *
 * Operators are written without a clock in pipelines (`timeBars({ everyMs: 1_000 })`) and must still follow the time of
 * the run: the machine's live, the recording's on replay, a test's in tests. The run wires its stages inside
 * `runWithClock`, and an operator asks for `currentClock()` once, when it is subscribed to. Wiring is synchronous, so no
 * other code can come in between.
 */
import type { Clock } from './clock'
import { liveClock } from './liveClock'

let current: Clock = liveClock

/** The clock of the run that is being wired; the live clock outside of one. To be asked at subscription, not later. */
export function currentClock(): Clock {
  return current
}

/** Calls `wire` with `clock` in force. */
export function runWithClock<T>(clock: Clock, wire: () => T): T {
  const outer = current
  current = clock
  try {
    return wire()
  } finally {
    current = outer
  }
}
