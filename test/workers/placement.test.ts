import { expect } from 'chai'
import { fixedPlacement, MeasuredPlacement, type Place } from '../../src/workers/placement'

/** A placement, and the time of the thread that it looks at. */
class Tried {
  readonly placement = new MeasuredPlacement(() => this.threadTimeUs)
  private threadTimeUs = 0

  /** @param wakeUpUs  the part of a hop's cost that only the thread's time shows */
  constructor(private readonly wakeUpUs = 12) {}

  /** Where so many batches went, each of as many values, when a batch costs so much at each place. */
  run(batches: number, costUs: Readonly<Record<Place, number>>, values = 1): Place[] {
    return Array.from({ length: batches }, () => {
      const place = this.placement.next(true)
      this.threadTimeUs += costUs[place]
      this.placement.spent(place, place === 'loop' ? costUs.loop : costUs.worker - this.wakeUpUs, values)
      return place
    })
  }
}

function countOf(places: readonly Place[], place: Place): number {
  return places.filter((each) => each === place).length
}

describe('placement', () => {
  it('that is fixed stays where it is', () => {
    expect(fixedPlacement('worker').next(false)).to.equal('worker')
    expect(fixedPlacement('loop').next(true)).to.equal('loop')
  })

  it('that is measured goes where the loop has cost less', () => {
    for (const [loop, worker, better] of [
      [2, 15, 'loop'],
      [2_000, 30, 'worker'],
      [18, 15, 'worker'],
    ] as const) {
      const tried = new Tried()
      tried.run(60_000, { loop, worker })
      expect(tried.placement.better).to.equal(better)
      expect(countOf(tried.run(1_000, { loop, worker }), better)).to.be.at.least(900)
    }
  })

  it('costs about one part in a hundred for measuring, however dear the other place is', () => {
    for (const [loop, worker] of [
      [20, 150],
      [140, 150],
      [10, 200],
      [2_000, 20],
    ] as const) {
      const tried = new Tried()
      tried.run(60_000, { loop, worker })
      const batches = 1_000_000
      const places = tried.run(batches, { loop, worker })
      const costUs = countOf(places, 'loop') * loop + countOf(places, 'worker') * worker
      expect(costUs / (batches * Math.min(loop, worker))).to.be.within(1, 1.012)
      expect(countOf(places, 'loop') * countOf(places, 'worker'), 'both were tried').to.be.above(0)
    }
  })

  it('counts what it costs to be woken, which no clock of the thread shows', () => {
    for (const [wakeUpUs, better] of [
      [5, 'worker'],
      [40, 'loop'],
    ] as const) {
      const tried = new Tried(wakeUpUs)
      tried.run(60_000, { loop: 30, worker: 10 + wakeUpUs })
      expect(tried.placement.better).to.equal(better)
    }
  })

  it('supposes what it usually costs where the time of threads is not told', () => {
    for (const [loop, better] of [
      [25, 'loop'],
      [35, 'worker'],
    ] as const) {
      const placement = new MeasuredPlacement(() => undefined)
      for (let batch = 0; batch < 10_000; batch++) {
        const place = placement.next(true)
        placement.spent(place, place === 'loop' ? loop : 10, 1)
      }
      expect(placement.better).to.equal(better)
    }
  })

  it('does not take for its own what else the loop does meanwhile', () => {
    let threadTimeUs = 0
    const placement = new MeasuredPlacement(() => threadTimeUs)
    for (let batch = 0; batch < 10_000; batch++) {
      const place = placement.next(true)
      // While it waits for the worker, the loop works on other streams for most of a millisecond.
      threadTimeUs += place === 'loop' ? 200 : 800
      placement.spent(place, place === 'loop' ? 200 : 10, 1)
    }
    expect(placement.better).to.equal('worker')
  })

  it('counts by the value, since batches differ', () => {
    const placement = new MeasuredPlacement(() => undefined)
    for (let batch = 0; batch < 3_000; batch++) {
      const place = placement.next(true)
      if (place === 'loop') placement.spent('loop', 100, 1)
      else placement.spent('worker', 400, 10)
    }
    expect(placement.better).to.equal('worker')
  })

  it('notices that the work has become dearer, or cheaper', () => {
    const tried = new Tried()
    tried.run(60_000, { loop: 2, worker: 15 })
    expect(tried.placement.better).to.equal('loop')
    tried.run(20_000, { loop: 2_000, worker: 30 })
    expect(tried.placement.better).to.equal('worker')
    tried.run(2_000_000, { loop: 2, worker: 15 })
    expect(tried.placement.better).to.equal('loop')
  })

  it('stays here while there is no worker', () => {
    const tried = new Tried()
    tried.run(60_000, { loop: 2_000, worker: 30 })
    expect(tried.placement.better).to.equal('worker')
    expect(tried.placement.next(false)).to.equal('loop')
  })
})
