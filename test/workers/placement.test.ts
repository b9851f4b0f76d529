import { expect } from 'chai'
import { fixedPlacement, MeasuredPlacement, type Place } from '../../src/workers/placement'

/** A placement, and the time of the thread that it looks at. */
class Tried {
  readonly placement = new MeasuredPlacement(() => this.threadTimeUs)
  private threadTimeUs = 0
  private nowUs = 0

  /** @param wakeUpUs  the part of a hop's cost that only the thread's time shows */
  constructor(private readonly wakeUpUs = 12) {}

  /** Where so many batches went, each of as many values, when a batch costs so much at each place. */
  run(batches: number, costUs: Readonly<Record<Place, number>>, values = 1): Place[] {
    return Array.from({ length: batches }, () => {
      const place = this.placement.next(this.nowUs, true)
      this.threadTimeUs += costUs[place]
      this.nowUs += costUs[place]
      const us = place === 'loop' ? costUs.loop : costUs.worker - this.wakeUpUs
      this.placement.spent(this.nowUs, place, us, values)
      return place
    })
  }
}

/** The time of a clock by which nothing is ever silent. */
const STILL = 0

function countOf(places: readonly Place[], place: Place): number {
  return places.filter((each) => each === place).length
}

describe('placement', () => {
  it('that is fixed stays where it is', () => {
    expect(fixedPlacement('worker').next(0, false)).to.equal('worker')
    expect(fixedPlacement('loop').next(0, true)).to.equal('loop')
    expect(fixedPlacement('loop').isHere).to.equal(true)
    expect(fixedPlacement('worker').isHere).to.equal(false)
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
      expect(tried.placement.isHere).to.equal(better === 'loop')
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
      [20, 'loop'],
      [30, 'worker'],
    ] as const) {
      const placement = new MeasuredPlacement(() => undefined)
      for (let batch = 0; batch < 10_000; batch++) {
        const place = placement.next(STILL, true)
        placement.spent(STILL, place, place === 'loop' ? loop : 10, 1)
      }
      expect(placement.better).to.equal(better)
    }
  })

  it('does not take for its own what else the loop does meanwhile', () => {
    let threadTimeUs = 0
    const placement = new MeasuredPlacement(() => threadTimeUs)
    for (let batch = 0; batch < 10_000; batch++) {
      const place = placement.next(STILL, true)
      // While it waits for the worker, the loop works on other streams for most of a millisecond.
      threadTimeUs += place === 'loop' ? 200 : 800
      placement.spent(STILL, place, place === 'loop' ? 200 : 10, 1)
    }
    expect(placement.better).to.equal('worker')
  })

  it('is not led astray by other work of the loop, which comes and goes', () => {
    for (const [loop, worker, better] of [
      [28, 19, 'worker'],
      [6, 14, 'loop'],
      [14, 19, 'loop'],
    ] as const) {
      let threadTimeUs = 0
      let nowUs = 0
      let batch = 0
      const placement = new MeasuredPlacement(() => threadTimeUs)
      const run = (batches: number): Place[] =>
        Array.from({ length: batches }, () => {
          const place = placement.next(nowUs, true)
          // Two thousand batches in a row, then as much time again for four other streams.
          if (++batch % 2_000 === 0) threadTimeUs += 160_000
          nowUs = threadTimeUs
          const us = place === 'loop' ? loop : worker
          threadTimeUs += us
          placement.spent(nowUs, place, place === 'loop' ? us : us - 8, 1)
          return place
        })
      run(100_000)
      expect(countOf(run(200_000), better) / 200_000, `${loop} here, ${worker} there`).to.be.above(0.95)
    }
  })

  it('comes back soon to a place that looked dear in a busy moment', () => {
    const tried = new Tried()
    tried.run(100_000, { loop: 33, worker: 20 })
    expect(tried.placement.better).to.equal('worker')
    tried.run(2_000, { loop: 90, worker: 200 })
    tried.run(100, { loop: 33, worker: 20 })
    const away = tried.placement.better
    expect(countOf(tried.run(20_000, { loop: 33, worker: 20 }), 'worker'), `from ${away}`).to.be.above(15_000)
  })

  it('breaks off a trial that is dear beyond doubt', () => {
    const tried = new Tried()
    tried.run(100_000, { loop: 10_000, worker: 20 })
    const here = countOf(tried.run(1_000_000, { loop: 10_000, worker: 20 }), 'loop')
    expect(here).to.be.within(4, 24)
  })

  it('does without the time of the thread where batches are far apart', () => {
    for (const [loop, better] of [
      [20, 'loop'],
      [40, 'worker'],
    ] as const) {
      let nowUs = 0
      const placement = new MeasuredPlacement(() => nowUs)
      for (let batch = 0; batch < 20_000; batch++) {
        nowUs += 5_000 // in which the loop works for others
        const place = placement.next(nowUs, true)
        const us = place === 'loop' ? loop : 12
        nowUs += us
        placement.spent(nowUs, place, us, 1)
      }
      expect(placement.better).to.equal(better)
    }
  })

  it('counts by the value, since batches differ', () => {
    const placement = new MeasuredPlacement(() => undefined)
    for (let batch = 0; batch < 3_000; batch++) {
      const place = placement.next(STILL, true)
      if (place === 'loop') placement.spent(STILL, 'loop', 100, 1)
      else placement.spent(STILL, 'worker', 400, 10)
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
    expect(tried.placement.next(0, false)).to.equal('loop')
  })
})
