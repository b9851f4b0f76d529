/**
 * What a loop and its watchdog share: memory that both see, and how they name the things in it.
 */

/** The places of the shared memory of a heartbeat. */
export const BEAT = {
  /** Grows by one at each beat, and goes round after 2^32. */
  count: 0,
} as const

/** What the watchdog's thread is given. */
export interface WatchdogData {
  /** Of the stages: see `stageMarks`. */
  readonly marks: Int32Array
  /** By the places of {@link BEAT}. */
  readonly beats: Int32Array
  readonly afterMs: number
  readonly beatMs: number
  /** The kernel's number of the thread that is watched; undefined where it is not known. */
  readonly thread: number | undefined
  /** A loop that stands still for so long cannot be told of it: it is said on standard error. Infinity: nowhere. */
  readonly hangMs: number
  /** One that stands still for so long is ended with its process. Infinity: never. */
  readonly endMs: number
  /** Where the lines are wanted too: see `LineDetective`. */
  readonly lines: LinesData | undefined
}

export interface LinesData {
  /** Folders of code that is not the user's, beside `node_modules`. */
  readonly ownFolders: readonly string[]
  /** Microseconds between two samples of the stack. */
  readonly sampleEveryUs: number
}

/** Milliseconds of the machine's monotonic clock are the same in all threads of a process; so are these. */
export function monotonicUs(): number {
  return Number(process.hrtime.bigint() / 1_000n)
}
