/**
 * The time and the chance that are in force where a pipeline is being wired.
 *
 * Operators are written without a clock in pipelines (`timeBars({ everyMs: 1_000 })`) and must still follow the time of
 * the run: the machine's live, the recording's on replay, a test's in tests. The run wires its stages inside
 * `runWithClock`, and an operator asks once, when it is subscribed to. Wiring is synchronous, so no other code can come
 * in between.
 *
 * There are two times. What belongs to the data (the end of a bar, a silence of a stream) follows the stream's. What waits
 * for the outside world (a deadline of a call, a pause before a retry) follows the machine's, on a replay too: there a
 * second of the stream may pass within a millisecond.
 */
import { ambient } from './ambient'
import { liveRandom } from './backoff'
import type { Clock } from './clock'
import { liveClock } from './liveClock'

/** What surrounds the stages of a run. */
export interface Surroundings {
  /** The stream's time. */
  readonly clock: Clock
  /** The machine's time, for waits for the outside world. Default the live clock. */
  readonly waits?: Clock
  /** Numbers from 0 (included) to 1 (excluded), for jitter. Default differs from process to process. */
  readonly random?: () => number
}

const OUTSIDE: Required<Surroundings> = { clock: liveClock, waits: liveClock, random: liveRandom }

const surroundings = ambient(OUTSIDE)

/** The stream's clock of the run that is being wired; the live clock outside of one. To be asked at subscription, not later. */
export function currentClock(): Clock {
  return surroundings.current().clock
}

/** The clock of waits for the outside world; to be asked at subscription, not later. */
export function currentWaits(): Clock {
  return surroundings.current().waits
}

/** The jitter of the run that is being wired; to be asked at subscription, not later. */
export function currentRandom(): () => number {
  return surroundings.current().random
}

/** Calls `wire` with these in force. */
export function runWithClock<T>(given: Clock | Surroundings, wire: () => T): T {
  return surroundings.runWith('nowUs' in given ? { ...OUTSIDE, clock: given } : { ...OUTSIDE, ...given }, wire)
}
