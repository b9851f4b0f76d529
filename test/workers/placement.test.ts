import { expect } from 'chai'
import { fixedPlacement, MeasuredPlacement, type Place } from '../../src/workers/placement'

/** Where so many batches went, each of as many values, when one costs so much at each place. */
function placesOf(
  placement: MeasuredPlacement,
  batches: number,
  costUs: Readonly<Record<Place, number>>,
  values = 1,
): Place[] {
  return Array.from({ length: batches }, () => {
    const place = placement.next(true)
    placement.spent(place, costUs[place] * values, values)
    return place
  })
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
      [14, 15, 'loop'],
    ] as const) {
      const placement = new MeasuredPlacement()
      placesOf(placement, 30, { loop, worker })
      expect(placement.better).to.equal(better)
      expect(countOf(placesOf(placement, 1_000, { loop, worker }), better)).to.be.at.least(960)
    }
  })

  it('costs at most one part in a hundred for measuring, however dear the other place is', () => {
    for (const [loop, worker] of [
      [2, 15],
      [1, 1_000],
      [2_000, 20],
      [10, 11],
    ] as const) {
      const placement = new MeasuredPlacement()
      placesOf(placement, 30, { loop, worker })
      const batches = 200_000
      const places = placesOf(placement, batches, { loop, worker })
      const costUs = countOf(places, 'loop') * loop + countOf(places, 'worker') * worker
      expect(costUs / (batches * Math.min(loop, worker))).to.be.within(1, 1.011)
      expect(countOf(places, 'loop') * countOf(places, 'worker'), 'both were tried').to.be.above(0)
    }
  })

  it('counts by the value, since batches differ', () => {
    const placement = new MeasuredPlacement()
    for (let batch = 0; batch < 30; batch++) {
      const place = placement.next(true)
      if (place === 'loop') placement.spent('loop', 10, 1)
      else placement.spent('worker', 40, 10)
    }
    expect(placement.better).to.equal('worker')
  })

  it('does not mind a pause of the collector, nor first batches that are compiled meanwhile', () => {
    const placement = new MeasuredPlacement()
    let batch = 0
    for (; batch < 300; batch++) {
      const place = placement.next(true)
      const hiccup = batch < 3 || batch % 20 === 7 ? 10_000 : 0
      placement.spent(place, place === 'loop' ? 100 + hiccup : 20, 1)
    }
    expect(placement.better).to.equal('worker')
  })

  it('notices that the work has become dearer, or cheaper', () => {
    const placement = new MeasuredPlacement()
    placesOf(placement, 1_000, { loop: 2, worker: 15 })
    expect(placement.better).to.equal('loop')
    placesOf(placement, 100, { loop: 2_000, worker: 30 })
    expect(placement.better).to.equal('worker')
    placesOf(placement, 200_000, { loop: 2, worker: 15 })
    expect(placement.better).to.equal('loop')
  })

  it('stays here while there is no worker', () => {
    const placement = new MeasuredPlacement()
    placesOf(placement, 100, { loop: 2_000, worker: 30 })
    expect(placement.better).to.equal('worker')
    expect(placement.next(false)).to.equal('loop')
  })
})
