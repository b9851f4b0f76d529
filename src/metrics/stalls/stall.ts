/**
 * A time in which the event loop stood still, and whose doing that was.
 *
 * Three things stop a loop: code that runs on it, collections of garbage, and a machine that gives the thread no processor.
 * Only the first is a mistake of the pipeline's, so only the time that is neither of the others counts against it.
 */

/** As the watchdog saw it from its own thread. Times are those of the machine's monotonic clock. */
export interface RawStall {
  readonly startedUs: number
  readonly endedUs: number
  /** How often each stage was seen at work meanwhile, by its number in the marks; 0 stands for none. */
  readonly stages: readonly (readonly [stage: number, looks: number])[]
  /** What the thread spent on a processor, µs; undefined where the machine does not say. */
  readonly ranUs: number | undefined
  /** What it was ready to run and got no processor, µs; undefined where the machine does not say. */
  readonly starvedUs: number | undefined
  /** By how much the watchdog itself was late at one look meanwhile, µs, at most: then the machine was, or the process was suspended. */
  readonly watchdogLateUs: number
}

/** Times of collections, of the same clock. */
export interface GcPause {
  readonly startedUs: number
  readonly endedUs: number
}

export type StallCause = 'code' | 'gc' | 'machine'

export interface Stall {
  readonly startedUs: number
  readonly lastedMs: number
  /** Number of the stage that was at work most of the time; 0 when none was. */
  readonly stage: number
  readonly cause: StallCause
  /** What remains when collections and a machine that was busy otherwise are taken off. */
  readonly ownMs: number
  /** Of its own time, what was spent neither computing nor waiting for a processor: the thread slept in a call. Undefined where the machine does not say. */
  readonly asleepMs: number | undefined
  readonly gcMs: number
  readonly starvedMs: number
}

/**
 * Says whose doing a stall was.
 *
 * @param afterMs  own time from which on it counts as the code's
 */
export function judgeStall(raw: RawStall, pauses: readonly GcPause[], afterMs: number): Stall {
  const lastedUs = raw.endedUs - raw.startedUs
  const gcUs = Math.min(lastedUs, sum(pauses.map((pause) => overlapUs(pause, raw))))
  // A watchdog that was not woken either says the same of the machine, and the two are not to be counted twice.
  const starvedUs = Math.min(lastedUs, Math.max(raw.starvedUs ?? 0, raw.watchdogLateUs))
  const ownUs = Math.max(0, lastedUs - gcUs - starvedUs)
  const cause = ownUs >= afterMs * 1_000 ? 'code' : gcUs > starvedUs ? 'gc' : 'machine'
  const asleepUs = raw.ranUs === undefined ? undefined : Math.max(0, lastedUs - raw.ranUs - starvedUs)
  return {
    startedUs: raw.startedUs,
    lastedMs: lastedUs / 1_000,
    stage: mostSeen(raw.stages),
    cause,
    ownMs: ownUs / 1_000,
    asleepMs: asleepUs === undefined ? undefined : asleepUs / 1_000,
    gcMs: gcUs / 1_000,
    starvedMs: starvedUs / 1_000,
  }
}

function overlapUs(pause: GcPause, { startedUs, endedUs }: RawStall): number {
  return Math.max(0, Math.min(pause.endedUs, endedUs) - Math.max(pause.startedUs, startedUs))
}

/** A stage, rather than none, wherever one was seen at all for a third of the time. */
function mostSeen(stages: RawStall['stages']): number {
  const looks = sum(stages.map(([, seen]) => seen))
  let most = 0
  let seenMost = looks / 3
  for (const [stage, seen] of stages) {
    if (stage === 0 || seen < seenMost) continue
    most = stage
    seenMost = seen
  }
  return most
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
