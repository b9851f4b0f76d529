/**
 * Which stage runs now, written where another thread can read it while this one stands still.
 *
 * A stage that works says so by two stores: its number when it is given something, and the number of whoever was at work
 * before when it hands back. Nobody is told, and nothing is looked up: whoever looks from a thread of its own reads the
 * memory, and asks for the path behind a number when the loop goes again.
 *
 * Plain stores, no atomic ones: a look that comes too early by some nanoseconds sees the stage before.
 */

/** Stages that have a number of their own in one process; those beyond share one. */
const STAGES_MAX = 10_000

/** Stands for every stage beyond {@link STAGES_MAX}. */
export const FURTHER_STAGES = '(further stages)'

/** The places of the shared memory. */
export const MARK = {
  /** The number of the innermost stage that is at work; 0 when none is. */
  stage: 0,
  /** How often a stage has been given something while none was at work. Goes round after 2^32. */
  turns: 1,
} as const

/** The marks of one thread. */
export class StageMarks {
  /** Over a `SharedArrayBuffer`: another thread may be given its `buffer`. The places are those of {@link MARK}. */
  readonly marks = new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT))
  private readonly numbers = new Map<string, number>()
  /** By number; there is no stage 0. */
  private readonly paths: string[] = ['']

  /** @param capacity  stages that have a number of their own */
  constructor(private readonly capacity = STAGES_MAX) {}

  /** The number of a stage, the same whenever it is asked for: 1 or more. */
  numberOf(path: string): number {
    const known = this.numbers.get(path)
    if (known !== undefined) return known
    if (this.paths.length > this.capacity && path !== FURTHER_STAGES) return this.numberOf(FURTHER_STAGES)
    const number = this.paths.length
    this.paths.push(path)
    this.numbers.set(path, number)
    return number
  }

  /** The stage behind a number, with the pipeline's name and its groups; undefined for 0 and for what no stage has. */
  pathOf(number: number): string | undefined {
    return number === 0 ? undefined : this.paths[number]
  }

  /** Calls `work` in the name of a stage. For what is rare: whoever is called by the million stores by itself. */
  during<T>(number: number, work: () => T): T {
    const { marks } = this
    const outer = marks[MARK.stage]!
    marks[MARK.stage] = number
    if (outer === 0) marks[MARK.turns]! += 1
    try {
      return work()
    } finally {
      marks[MARK.stage] = outer
    }
  }
}

/** Those of this thread. */
export const stageMarks = new StageMarks()
