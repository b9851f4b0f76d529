import { expect } from 'chai'
import fc from 'fast-check'
import {
  bpsOf,
  depth,
  depthWithin,
  imbalance,
  microprice,
  mid,
  spread,
  spreadBps,
  vwapToSize,
  weightedMid,
} from '../../src/book/bookMath'
import type { Level } from '../../src/model/events'
import { viewOf } from '../kit/marketEvents'

describe('book mathematics', () => {
  const view = viewOf(
    [
      [99, 3],
      [98, 5],
      [90, 100],
    ],
    [
      [101, 1],
      [102, 1],
      [110, 100],
    ],
  )

  it('measures the spread, and in relation to the mid', () => {
    expect([spread(view), mid(view), spreadBps(view)]).to.deep.equal([2, 100, 200])
  })

  it('draws the microprice towards the thinner side', () => {
    expect(microprice(view)).to.equal((99 * 1 + 101 * 3) / 4)
    expect(microprice(viewOf([[99, 1]], [[101, 1]]))).to.equal(100)
  })

  it('weighs the mid over several levels, and is the microprice with one', () => {
    expect(weightedMid(view, 1)).to.be.closeTo(microprice(view)!, 1e-12)
    const [bid, ask] = [(99 * 3 + 98 * 5) / 8, (101 + 102) / 2]
    expect(weightedMid(view, 2)).to.be.closeTo((bid * 2 + ask * 8) / 10, 1e-12)
  })

  it('says by how much one side waits with more', () => {
    expect(imbalance(view, 1)).to.equal(0.5)
    expect(imbalance(view, 2)).to.equal(0.6)
    expect(imbalance(viewOf([[1, 1]], []), 5)).to.equal(1)
    expect(imbalance(viewOf([], [[1, 1]]), 5)).to.equal(-1)
  })

  it('sums what waits in the best levels, and within a distance from the mid, both ends included', () => {
    expect(depth(view, 2)).to.deep.equal([8, 2])
    expect(depthWithin(view, 100)).to.deep.equal([99 * 3, 101])
    expect(depthWithin(view, 99)).to.deep.equal([0, 0])
    expect(depthWithin(view, 200)).to.deep.equal([99 * 3 + 98 * 5, 101 + 102])
    expect(depthWithin(view, 10_000)).to.deep.equal([99 * 3 + 98 * 5 + 90 * 100, 101 + 102 + 110 * 100])
  })

  it('prices an order by what it would take from the book', () => {
    expect(vwapToSize(view, 'buy', 0.5)).to.equal(101)
    expect(vwapToSize(view, 'buy', 2)).to.equal(101.5)
    expect(vwapToSize(view, 'buy', 3)).to.be.closeTo((101 + 102 + 110) / 3, 1e-12)
    expect(vwapToSize(view, 'sell', 4)).to.equal((99 * 3 + 98) / 4)
    expect(vwapToSize(view, 'buy', 102)).to.be.a('number')
    expect(vwapToSize(view, 'buy', 102.5)).to.equal(undefined)
  })

  it('does not price an order of no size', () => {
    for (const size of [0, -1, NaN]) expect(vwapToSize(view, 'buy', size)).to.equal(undefined)
  })

  it('answers undefined, and never 0 or NaN, where a side is empty', () => {
    for (const oneSided of [viewOf([], []), viewOf([[1, 1]], []), viewOf([], [[1, 1]])]) {
      expect(mid(oneSided), 'mid').to.equal(undefined)
      expect(spread(oneSided), 'spread').to.equal(undefined)
      expect(spreadBps(oneSided), 'spreadBps').to.equal(undefined)
      expect(microprice(oneSided), 'microprice').to.equal(undefined)
      expect(weightedMid(oneSided, 5), 'weightedMid').to.equal(undefined)
      expect(depthWithin(oneSided, 5), 'depthWithin').to.equal(undefined)
    }
    expect(imbalance(viewOf([], []), 5)).to.equal(undefined)
    expect(vwapToSize(viewOf([], []), 'sell', 1)).to.equal(undefined)
    expect(bpsOf(1, 0)).to.equal(undefined)
  })

  it('keeps to the depth that a view shows', () => {
    const shallow = viewOf(view.bids(), view.asks(), {}, 1)
    expect(depthWithin(shallow, 10_000)).to.deep.equal([99 * 3, 101])
    expect(vwapToSize(shallow, 'buy', 2)).to.equal(undefined)
    expect(weightedMid(shallow, 9)).to.be.closeTo(microprice(view)!, 1e-12)
  })

  it('agrees with the plain formulas on books of any depth', () => {
    const sideArb = fc.array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 99 })), {
      minLength: 1,
      maxLength: 300,
      size: 'max',
    })
    fc.assert(
      fc.property(sideArb, sideArb, fc.integer({ min: 1, max: 300 }), (below, above, levels) => {
        const stack = (steps: [number, number][], direction: 1 | -1): Level[] => {
          let price = 10_000
          return steps.map(([step, size]): Level => [(price += step * direction), size])
        }
        const [bids, asks] = [stack(below, -1), stack(above, 1)]
        const deep = viewOf(bids, asks)
        const size = (side: Level[]): number => side.reduce((sum, [, waiting]) => sum + waiting, 0)
        const notional = (side: Level[]): number => side.reduce((sum, [price, waiting]) => sum + price * waiting, 0)
        const [best, bestAsks] = [bids.slice(0, levels), asks.slice(0, levels)]

        expect(depth(deep, levels)).to.deep.equal([size(best), size(bestAsks)])
        const middle = (bids[0]![0] + asks[0]![0]) / 2
        const within = depthWithin(deep, levels)!
        expect(within[0]).to.equal(notional(bids.filter(([price]) => price >= middle - (middle * levels) / 10_000)))
        expect(within[1]).to.equal(notional(asks.filter(([price]) => price <= middle + (middle * levels) / 10_000)))
        expect(vwapToSize(deep, 'buy', size(bestAsks))).to.be.closeTo(notional(bestAsks) / size(bestAsks), 1e-6)
        expect(vwapToSize(deep, 'sell', size(bids) + 1)).to.equal(undefined)
        const [bidVwap, askVwap] = [notional(best) / size(best), notional(bestAsks) / size(bestAsks)]
        const weighted = (bidVwap * size(bestAsks) + askVwap * size(best)) / (size(best) + size(bestAsks))
        expect(weightedMid(deep, levels)).to.be.closeTo(weighted, 1e-6)
      }),
      { seed: 5, numRuns: 200 },
    )
  })
})
