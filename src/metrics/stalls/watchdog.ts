/**
 * Sees from another thread that an event loop stands still: the loop's heartbeat stays away.
 *
 * The rules alone, without thread, memory and clock, which are handed in at every look.
 */
import type { RawStall } from './stall'

/** What is seen at one look. */
export interface Look {
  readonly nowUs: number
  /** The loop's heartbeat: a number that is another one after each beat. */
  readonly beat: number
  /** The number of the stage at work; 0 for none. */
  readonly stage: number
  /** Of the loop's thread, since some beginning, µs; undefined where the machine does not say. */
  readonly ranUs: number | undefined
  readonly starvedUs: number | undefined
}

export interface WatchdogOptions {
  /** How long the heartbeat may stay away, milliseconds. */
  readonly afterMs: number
  /** How often the loop beats, milliseconds. */
  readonly beatMs: number
}

/** Stages that are told apart within one stall; what else is seen counts as none. */
const STAGES_MAX = 32

export class Watchdog {
  /** The last look at which the heart had beaten, and the one before this. */
  private alive: Look | undefined
  private before: Look | undefined
  /** The last beat, and when it was seen first. */
  private heard: Pick<Look, 'beat' | 'nowUs'> | undefined
  private lookedUs = 0
  private lateUs = 0
  private stages = new Map<number, number>()

  constructor(private readonly options: WatchdogOptions) {}

  /** True while the heartbeat is overdue: then to be looked at more often. */
  get overdue(): boolean {
    const { alive, before } = this
    return alive !== undefined && before !== undefined && before.nowUs - alive.nowUs > 2_000 * this.options.beatMs
  }

  /** How long the loop has stood still already, milliseconds, whether or not it was kept from beating; 0 while it goes. */
  get standsMs(): number {
    if (this.heard === undefined) return 0
    const us = this.lookedUs - this.heard.nowUs
    return us >= this.options.afterMs * 1_000 ? us / 1_000 : 0
  }

  /**
   * Takes a look into account.
   *
   * @param dueUs  when the look should have been made
   * @returns      the stall that has ended by now, if one has
   */
  look(look: Look, dueUs: number): RawStall | undefined {
    const { alive } = this
    const lateUs = Math.max(0, look.nowUs - dueUs)
    this.hear(look)
    this.before = look
    if (alive === undefined) {
      this.begin(look)
      return undefined
    }
    this.lateUs = Math.max(this.lateUs, lateUs)
    if (look.beat === alive.beat) {
      this.see(look.stage)
      return undefined
    }
    const stall = this.stallUntil(look, alive)
    this.begin(look)
    return stall
  }

  /** Forgets what it has seen of a stall: at this look the loop is kept from beating on purpose. */
  excuse(look: Pick<Look, 'beat' | 'nowUs'>): void {
    this.hear(look)
    this.alive = undefined
    this.before = undefined
  }

  private hear({ beat, nowUs }: Pick<Look, 'beat' | 'nowUs'>): void {
    this.lookedUs = nowUs
    if (this.heard?.beat !== beat) this.heard = { beat, nowUs }
  }

  private begin(look: Look): void {
    this.alive = look
    this.lateUs = 0
    this.stages = new Map()
  }

  private see(stage: number): void {
    const known = this.stages.has(stage) || this.stages.size < STAGES_MAX ? stage : 0
    this.stages.set(known, (this.stages.get(known) ?? 0) + 1)
  }

  private stallUntil(look: Look, alive: Look): RawStall | undefined {
    // The heart may have beaten right before this look and right after the last: what lies between two beats is no stall.
    const stoodUs = look.nowUs - alive.nowUs - this.options.beatMs * 1_000
    if (stoodUs < this.options.afterMs * 1_000) return undefined
    return {
      startedUs: alive.nowUs,
      endedUs: look.nowUs,
      stages: [...this.stages],
      ranUs: difference(look.ranUs, alive.ranUs),
      starvedUs: difference(look.starvedUs, alive.starvedUs),
      watchdogLateUs: this.lateUs,
    }
  }
}

function difference(later: number | undefined, earlier: number | undefined): number | undefined {
  return later === undefined || earlier === undefined ? undefined : Math.max(0, later - earlier)
}
