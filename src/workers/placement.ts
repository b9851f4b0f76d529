/**
 * Where the work on a batch is done: on the event loop, or on a worker.
 *
 * What is measured is the loop's own time for each value: there all of the work, on a worker what it takes to send a batch,
 * to be woken for its answer, and to read that. How long the worker itself is busy does not count, nor does how long a value
 * waits.
 *
 * Trials   the dearer place is tried again now and then, because streams change: when the other has cost so much since the
 *          last time that a trial is a hundredth of it. So measuring costs about one part in a hundred, whatever the two
 *          cost: a sort that costs the loop a hundred hops is tried there once in ten thousand batches
 * Judging  each place is judged by the median of its last batches, because a pause of the collector is nobody's fault; its
 *          first batches, which are compiled meanwhile, do not count
 * Waking   the kernel's part of a hop, some five to fifty microseconds, is in no clock that a thread can read. It is taken
 *          from the thread's time on a processor over some hops in a row, as what was not measured otherwise; of several
 *          such the least, since other work of the loop may have come in between
 */
export type Placement = 'loop' | 'worker' | 'auto'

export type Place = 'loop' | 'worker'

export interface PlacementRule {
  /** Where the next batch goes. @param canHop  false while there is no worker: then everything is done here, if it can be */
  next(canHop: boolean): Place
  /** A batch has come back from there, and has cost the loop so much. */
  spent(place: Place, us: number, values: number): void
}

export function fixedPlacement(place: Place): PlacementRule {
  return { next: () => place, spent: () => undefined }
}

/** First batches of a place that do not count, and batches that are judged together. */
const WARM_UP: Readonly<Record<Place, number>> = { loop: 4, worker: 64 }
const JUDGED = 7
/** Batches of a trial: what a wake-up costs can only be told of several hops. */
const TRIAL: Readonly<Record<Place, number>> = { loop: 1, worker: 8 }
/** The share of what the work costs that measuring may cost. */
const MEASURING_SHARE = 0.01
/** However cheap it is: so many batches go where they should between two trials. */
const BATCHES_BETWEEN_MIN = 64

export class MeasuredPlacement implements PlacementRule {
  private readonly loop = new Costs(WARM_UP.loop)
  private readonly worker = new Costs(WARM_UP.worker)
  private readonly wakeUps: WakeUps
  /** What the better place has cost since the other was tried, µs, and on how many batches. */
  private spentUs = 0
  private batches = 0
  private valuesABatch = 1
  /** Batches of a trial that are still to be sent. */
  private trial = 0

  /** @param threadTimeUs  the time of this thread on a processor; undefined where nobody knows it */
  constructor(threadTimeUs: () => number | undefined) {
    this.wakeUps = new WakeUps(threadTimeUs)
  }

  next(canHop: boolean): Place {
    if (!canHop) return 'loop'
    if (!this.loop.isKnown) return 'loop'
    if (!this.worker.isKnown) return 'worker'
    const { better } = this
    const other = better === 'loop' ? 'worker' : 'loop'
    if (this.trial === 0 && this.isTrialDue(better, other)) {
      this.trial = TRIAL[other]
      this.spentUs = 0
      this.batches = 0
    }
    if (this.trial === 0) return better
    this.trial--
    return other
  }

  spent(place: Place, us: number, values: number): void {
    if (place === 'worker') this.wakeUps.hopped(us)
    else this.wakeUps.stayed()
    const allUs = place === 'worker' ? us + this.wakeUps.us : us
    this[place].add(allUs / values)
    if (place !== this.better) return
    this.spentUs += allUs
    this.batches++
    this.valuesABatch = values
  }

  /** The place whose values have cost the loop less. */
  get better(): Place {
    return this.worker.isKnown && this.worker.usAValue < this.loop.usAValue ? 'worker' : 'loop'
  }

  private isTrialDue(better: Place, other: Place): boolean {
    if (this.batches < BATCHES_BETWEEN_MIN) return false
    const extraUs = (this[other].usAValue - this[better].usAValue) * this.valuesABatch * TRIAL[other]
    return this.spentUs * MEASURING_SHARE >= extraUs
  }
}

/** What values have cost at one place. */
class Costs {
  /** The median of the last batches, µs. */
  usAValue = 0
  private readonly last: number[] = []
  private seen = 0

  constructor(private readonly warmUp: number) {}

  get isKnown(): boolean {
    return this.seen >= this.warmUp + JUDGED
  }

  add(usAValue: number): void {
    if (this.seen < this.warmUp + JUDGED) this.seen++
    if (this.seen <= this.warmUp) return
    if (this.last.length === JUDGED) this.last.shift()
    this.last.push(usAValue)
    this.usAValue = this.last.toSorted((a, b) => a - b)[this.last.length >> 1]!
  }
}

/** What it costs to be woken: where it cannot be measured, what it costs on most machines. */
const WAKE_UP_US = 20
const WAKE_UP_US_MAX = 60
/** Hops in a row that are looked at together, how many are not looked at then, and how many looks are remembered. */
const HOPS = 6
const HOPS_BETWEEN = 60
const LOOKS = 4

class WakeUps {
  us = WAKE_UP_US
  private readonly looks: number[] = []
  private hops = -WARM_UP.worker
  private measuredUs = 0
  private fromUs: number | undefined

  constructor(private readonly threadTimeUs: () => number | undefined) {}

  hopped(us: number): void {
    if (this.hops > 0) this.measuredUs += us
    if (this.hops === 0) {
      this.fromUs = this.threadTimeUs()
      this.measuredUs = 0
    } else if (this.hops === HOPS && this.fromUs !== undefined) {
      const wakeUpUs = (this.threadTimeUs()! - this.fromUs - this.measuredUs) / HOPS
      if (this.looks.length === LOOKS) this.looks.shift()
      this.looks.push(Math.min(Math.max(wakeUpUs, 0), WAKE_UP_US_MAX))
      this.us = Math.min(...this.looks)
    }
    if (++this.hops === HOPS + HOPS_BETWEEN) this.hops = 0
  }

  /** What is done here comes between hops: they are not looked at together. */
  stayed(): void {
    this.hops = Math.min(this.hops, 0)
  }
}
