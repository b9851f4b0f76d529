/**
 * Where the work on a batch is done: on the event loop, or on a worker.
 *
 * What is measured is the loop's own time for each value: there all of the work, on a worker what it takes to send a batch,
 * to take its answer and to read it. How long the worker itself is busy does not count, nor does how long a value waits.
 *
 * The dearer place is tried again now and then, because streams change: when the other has cost so much since the last time
 * that one batch more there is a hundredth of it. So measuring costs about one part in a hundred, whatever the two cost: a
 * sort that costs the loop a hundred hops is tried there once in ten thousand batches. Each place is judged by the median of
 * its last batches, because a pause of the collector is nobody's fault; its first batches, which are compiled meanwhile, do
 * not count.
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
const WARM_UP = 4
const JUDGED = 7
/** The share of what the work costs that measuring may cost. */
const MEASURING_SHARE = 0.01
/** However cheap it is: so many batches go where they should between two that are tried elsewhere. */
const BATCHES_BETWEEN_MIN = 32

export class MeasuredPlacement implements PlacementRule {
  private readonly costs: Readonly<Record<Place, Costs>> = { loop: new Costs(), worker: new Costs() }
  /** What the better place has cost since the other was tried, µs, and on how many batches. */
  private spentUs = 0
  private batches = 0
  private valuesABatch = 1

  next(canHop: boolean): Place {
    if (!canHop) return 'loop'
    const { loop, worker } = this.costs
    if (!loop.isKnown) return 'loop'
    if (!worker.isKnown) return 'worker'
    const better = this.better
    const other = better === 'loop' ? 'worker' : 'loop'
    if (this.batches < BATCHES_BETWEEN_MIN) return better
    const extraUs = (this.costs[other].usAValue - this.costs[better].usAValue) * this.valuesABatch
    if (this.spentUs * MEASURING_SHARE < extraUs) return better
    this.spentUs = 0
    this.batches = 0
    return other
  }

  spent(place: Place, us: number, values: number): void {
    this.costs[place].add(us / values)
    if (place !== this.better) return
    this.spentUs += us
    this.batches++
    this.valuesABatch = values
  }

  /** The place whose values have cost the loop less. */
  get better(): Place {
    const { loop, worker } = this.costs
    return worker.isKnown && worker.usAValue < loop.usAValue ? 'worker' : 'loop'
  }
}

/** What values have cost at one place. */
class Costs {
  usAValue = 0
  private readonly last: number[] = []
  private seen = 0

  get isKnown(): boolean {
    return this.seen >= WARM_UP + JUDGED
  }

  add(usAValue: number): void {
    if (this.seen < WARM_UP + JUDGED) this.seen++
    if (this.seen <= WARM_UP) return
    if (this.last.length === JUDGED) this.last.shift()
    this.last.push(usAValue)
    this.usAValue = this.last.toSorted((a, b) => a - b)[this.last.length >> 1]!
  }
}
