/**
 * Where the work on a batch is done: on the event loop, or on a worker.
 *
 * What counts is the loop's own time for each value: there all of the work, on a worker what it takes to send a batch, to be
 * woken for its answer, and to read that. How long the worker itself is busy does not count, nor does how long a value waits.
 *
 * Looks   batches that follow each other at one place are looked at together: so many that the collector's part is in it, and
 *         that looking costs little. The time is the thread's on a processor, where the kernel tells it: that holds what no
 *         clock in the thread shows, which is falling asleep and being woken. Where that is more than these can be, the loop has
 *         done other work in between: then what they were in the last look without counts, or what they usually are. A look
 *         within which nothing came for a while is begun again; where that is always so, it does without the thread's time
 *         Whatever disturbs a look makes it dearer, never cheaper, so of some looks the cheapest tells most
 * Trials  the dearer place is tried again now and then, because streams change: when the other has cost so much since the
 *         last time that a trial is a hundredth of it. So measuring costs about one part in a hundred, whatever the two cost:
 *         a sort that costs the loop fifty hops is tried there once in five thousand batches. After a move trials may cost
 *         more, then half of that and half again: what a busy moment made look dear is soon looked at once more. A trial
 *         that is dear beyond doubt is broken off
 */
export type Placement = 'loop' | 'worker' | 'auto'

export type Place = 'loop' | 'worker'

export interface PlacementRule {
  /** True while batches are worked on here: then a value need not wait for others to travel with. */
  readonly isHere: boolean
  /**
   * Where the next batch goes. Whoever asks has looked at the clock for the batch anyway: looking costs a tenth of what is
   * done with a small one.
   *
   * @param nowUs   time as it passes
   * @param canHop  false while there is no worker: then everything is done here, if it can be
   */
  next(nowUs: number, canHop: boolean): Place
  /** A batch has come back from there, at which so much of the loop's time was measured. */
  spent(nowUs: number, place: Place, us: number, values: number): void
}

export function fixedPlacement(place: Place): PlacementRule {
  return { isHere: place === 'loop', next: () => place, spent: () => undefined }
}

/**
 * A look is over when the thread has worked so much in it. That is looked up whenever so much more was measured at the
 * batches; where threads have no time of their own, that is all there is. The kernel's books are some milliseconds late for a
 * thread that does not sleep: in a shorter look that would be all there is.
 */
const LOOK_US = 20_000
const MEASURED_US = 10_000
/** What is measured by the clock is more than the thread works, where it has to wait for a processor; but not for ever. */
const MEASURED_US_MAX = 200_000
/** Looks that are judged together, by their cheapest, and first ones that do not count: they are compiled meanwhile. */
const LOOKS = 3
const WARM_UP = 1
/** Between two looks at the better place so many batches pass. */
const BATCHES_BETWEEN = 256
/** A longer silence between two batches ends a look, µs; and so many that are ended make one that minds no silence. */
const SILENCE_US = 2_000
const SILENCES = 4
/** What being woken costs at most, and what it is taken for where nobody knows, µs for each batch. */
const WAKE_UP_US_MAX = 60
const WAKE_UP_US = 15
/** What the collector adds to work that is done here, at most: as much again. */
const COLLECTING_MAX = 2
/**
 * The share of what the work costs that trials may cost, in the end and after a move; and so many batches pass between two,
 * however cheap they are.
 */
const TRIAL_SHARE = 0.01
const TRIAL_SHARE_FIRST = 0.16
const BATCHES_BETWEEN_MIN = 128
/**
 * What is broken off has cost at least so many times as much as the better place, on so many batches: one that waits for a
 * processor is none.
 */
const BEYOND_DOUBT = 2
const BATCHES_OF_DOUBT = 64

export class MeasuredPlacement implements PlacementRule {
  private readonly loop = new Costs('loop')
  private readonly worker = new Costs('worker')
  /** The place that is tried; undefined between trials. */
  private tried: Place | undefined
  /** Values that the better place has worked on since. */
  private values = 0
  private look: Look | undefined
  private batchesBetween = 0
  private trialShare = TRIAL_SHARE_FIRST
  /** The better place of the last trial. */
  private home: Place | undefined
  private lastUs = 0
  private silences = 0

  /** @param threadTimeUs  the time of this thread on a processor; undefined where nobody knows it */
  constructor(private readonly threadTimeUs: () => number | undefined) {}

  next(nowUs: number, canHop: boolean): Place {
    const place = canHop ? this.place : 'loop'
    if (this.look?.fromUs !== undefined && nowUs - this.lastUs > SILENCE_US) {
      this.look = undefined
      this.silences++
    }
    if (this.look === undefined && this.isLookWanted(place)) {
      const fromUs = this.silences < SILENCES ? this.threadTimeUs() : undefined
      this.look = { place, fromUs, measuredUs: 0, dueUs: MEASURED_US, batches: 0, values: 0 }
      this.lastUs = nowUs
      this.batchesBetween = 0
    }
    return place
  }

  spent(nowUs: number, place: Place, us: number, values: number): void {
    if (place === this.better) {
      this.values += values
      this.batchesBetween++
    }
    const { look } = this
    if (look === undefined) return
    this.lastUs = nowUs
    if (look.place !== place) {
      if (look.fromUs !== undefined) look.fromUs += us // it is not what is looked at
      return
    }
    look.measuredUs += us
    look.batches++
    look.values += values
    if (place === this.tried && this.isBeyondDoubt(look)) {
      this[place].add({ ...look, fromUs: undefined }, undefined)
      this.look = undefined
      this.tried = undefined
      return
    }
    if (look.measuredUs < look.dueUs) return
    const threadUs = this.threadTimeUs()
    if (threadUs !== undefined && look.fromUs !== undefined && look.measuredUs < MEASURED_US_MAX) {
      look.dueUs = look.measuredUs + MEASURED_US
      if (threadUs - look.fromUs < LOOK_US) return
    }
    this[place].add(look, threadUs)
    this.silences = 0
    this.look = undefined
    if (this.tried === place) this.tried = undefined
  }

  get isHere(): boolean {
    if (this.loop.isKnown && !this.worker.isKnown) return false
    return (this.tried ?? this.better) === 'loop'
  }

  /** The place whose values have cost the loop less. */
  get better(): Place {
    return this.worker.isKnown && this.worker.usAValue < this.loop.usAValue ? 'worker' : 'loop'
  }

  /** Where the next batch goes while there is a worker. */
  private get place(): Place {
    if (!this.loop.isKnown) return 'loop'
    if (!this.worker.isKnown) return 'worker'
    if (this.tried !== undefined) return this.tried
    const { better } = this
    const other = better === 'loop' ? 'worker' : 'loop'
    const { usAValue } = this[better]
    const extraUs = this[other].lookUs - this[other].lookValues * usAValue
    if (better !== this.home) {
      this.home = better
      this.trialShare = TRIAL_SHARE_FIRST
      this.values = 0
    }
    if (this.batchesBetween < BATCHES_BETWEEN_MIN || this.values * usAValue * this.trialShare < extraUs) return better
    this.trialShare = Math.max(TRIAL_SHARE, this.trialShare / 2)
    this.look = undefined
    this.values = 0
    this.tried = other
    return other
  }

  /** What is measured at the batches alone is more than what the better place costs in all. */
  private isBeyondDoubt({ measuredUs, batches, values }: Look): boolean {
    if (batches < BATCHES_OF_DOUBT && measuredUs < LOOK_US) return false
    return measuredUs > values * this[this.better].usAValue * BEYOND_DOUBT
  }

  private isLookWanted(place: Place): boolean {
    return place === this.tried || !this[place].isKnown || this.batchesBetween >= BATCHES_BETWEEN
  }
}

interface Look {
  readonly place: Place
  /** The thread's time when it began, later by what came in between. */
  fromUs: number | undefined
  measuredUs: number
  /** What is to be measured before the thread's time is looked up. */
  dueUs: number
  batches: number
  values: number
}

/** What values have cost at one place. */
class Costs {
  usAValue = 0
  /** What the last look has cost, and on how many values: what another would cost. */
  lookUs = 0
  lookValues = 1
  private readonly last: number[] = []
  private seen = 0
  /** What is not measured at the batches: for each of them on the worker, and as a part of what is measured on the loop. */
  private unseen: number

  constructor(private readonly place: Place) {
    this.unseen = place === 'worker' ? WAKE_UP_US : 0
  }

  get isKnown(): boolean {
    return this.seen >= WARM_UP + LOOKS
  }

  add({ fromUs, measuredUs, batches, values }: Look, threadUs: number | undefined): void {
    if (!this.isKnown) this.seen++
    if (this.seen <= WARM_UP) return
    const isLoop = this.place === 'loop'
    const of = isLoop ? measuredUs : batches
    const most = isLoop ? COLLECTING_MAX - 1 : WAKE_UP_US_MAX
    let us = measuredUs + this.unseen * of
    if (fromUs !== undefined && threadUs !== undefined && threadUs - fromUs <= measuredUs + most * of) {
      us = threadUs - fromUs
      this.unseen = Math.max(0, us - measuredUs) / of
    }
    if (this.last.length === LOOKS) this.last.shift()
    this.last.push(us / values)
    this.usAValue = Math.min(...this.last)
    this.lookUs = us
    this.lookValues = values
  }
}
