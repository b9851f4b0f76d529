/**
 * Where the work on a batch is done: on the event loop, or on a worker.
 *
 * What counts is the loop's own time for each value: there all of the work, on a worker what it takes to send a batch, to be
 * woken for its answer, and to read that. How long the worker itself is busy does not count, nor does how long a value waits.
 *
 * Looks   batches that follow each other at one place are looked at together: so many that the collector's part is in it, and
 *         that looking costs little. The time is the thread's on a processor, where the kernel tells it: that holds what no
 *         clock in the thread shows, which is falling asleep and being woken. Other work of the loop that comes in between is
 *         kept out by a bound on what was not measured at the batches themselves
 * Trials  the dearer place is tried again now and then, because streams change: when the other has cost so much since the
 *         last time that a trial is a hundredth of it. So measuring costs about one part in a hundred, whatever the two cost:
 *         a sort that costs the loop fifty hops is tried there once in five thousand batches
 */
export type Placement = 'loop' | 'worker' | 'auto'

export type Place = 'loop' | 'worker'

export interface PlacementRule {
  /** Where the next batch goes. @param canHop  false while there is no worker: then everything is done here, if it can be */
  next(canHop: boolean): Place
  /** A batch has come back from there, at which so much of the loop's time was measured. */
  spent(place: Place, us: number, values: number): void
}

export function fixedPlacement(place: Place): PlacementRule {
  return { next: () => place, spent: () => undefined }
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
/** Looks that are judged together, by their median, and first ones that do not count: they are compiled meanwhile. */
const LOOKS = 3
const WARM_UP = 1
/** Between two looks at the better place so many batches pass. */
const BATCHES_BETWEEN = 256
/** What being woken costs at most; what it is taken for where threads have no time of their own. */
const WAKE_UP_US_MAX = 60
const WAKE_UP_US = 20
/** What the collector adds to work that is done here, at most: as much again. */
const COLLECTING_MAX = 2
/** The share of what the work costs that trials may cost; and so many batches pass between two, however cheap they are. */
const TRIAL_SHARE = 0.01
const BATCHES_BETWEEN_MIN = 128

export class MeasuredPlacement implements PlacementRule {
  private readonly loop = new Costs('loop')
  private readonly worker = new Costs('worker')
  /** The place that is tried; undefined between trials. */
  private tried: Place | undefined
  /** Values that the better place has worked on since. */
  private values = 0
  private look: Look | undefined
  private batchesBetween = 0

  /** @param threadTimeUs  the time of this thread on a processor; undefined where nobody knows it */
  constructor(private readonly threadTimeUs: () => number | undefined) {}

  next(canHop: boolean): Place {
    const place = canHop ? this.place : 'loop'
    if (this.look === undefined && this.isLookWanted(place)) {
      this.look = { place, fromUs: this.threadTimeUs(), measuredUs: 0, dueUs: MEASURED_US, batches: 0, values: 0 }
      this.batchesBetween = 0
    }
    return place
  }

  spent(place: Place, us: number, values: number): void {
    if (place === this.better) {
      this.values += values
      this.batchesBetween++
    }
    const { look } = this
    if (look === undefined) return
    if (look.place !== place) {
      if (look.fromUs !== undefined) look.fromUs += us // it is not what is looked at
      return
    }
    look.measuredUs += us
    look.batches++
    look.values += values
    if (look.measuredUs < look.dueUs) return
    const nowUs = this.threadTimeUs()
    if (nowUs !== undefined && look.fromUs !== undefined && look.measuredUs < MEASURED_US_MAX) {
      look.dueUs = look.measuredUs + MEASURED_US
      if (nowUs - look.fromUs < LOOK_US) return
    }
    this[place].add(look, nowUs)
    this.look = undefined
    if (this.tried === place) this.tried = undefined
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
    if (this.batchesBetween < BATCHES_BETWEEN_MIN || this.values * usAValue * TRIAL_SHARE < extraUs) return better
    this.look = undefined
    this.values = 0
    this.tried = other
    return other
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

  constructor(private readonly place: Place) {}

  get isKnown(): boolean {
    return this.seen >= WARM_UP + LOOKS
  }

  add({ fromUs, measuredUs, batches, values }: Look, nowUs: number | undefined): void {
    if (!this.isKnown) this.seen++
    if (this.seen <= WARM_UP) return
    const isLoop = this.place === 'loop'
    const mostUs = isLoop ? measuredUs * COLLECTING_MAX : measuredUs + WAKE_UP_US_MAX * batches
    const supposedUs = isLoop ? measuredUs : measuredUs + WAKE_UP_US * batches
    const us = fromUs === undefined || nowUs === undefined ? supposedUs : Math.min(nowUs - fromUs, mostUs)
    if (this.last.length === LOOKS) this.last.shift()
    this.last.push(us / values)
    this.usAValue = this.last.toSorted((a, b) => a - b)[this.last.length >> 1]!
    this.lookUs = us
    this.lookValues = values
  }
}
