import { expect } from 'chai'
import { HeatMap, SHADES, type HeatColumns } from '../../src/page/heatMap'
import { viewOf } from '../kit/marketEvents'
import type { Level } from '../../src/model/events'

/** A book of 21 levels a side, a tick of 1 around `mid`, and one large order. */
function book(timeUs: number, mid: number, wall = 0) {
  const sizeAt = (price: number): number => (price === wall ? 500 : 1 + (price % 3))
  const bids = Array.from({ length: 21 }, (_, at): Level => [mid - 1 - at, sizeAt(mid - 1 - at)])
  const asks = Array.from({ length: 21 }, (_, at): Level => [mid + 1 + at, sizeAt(mid + 1 + at)])
  const copySide = (side: 'bids' | 'asks', prices: Float64Array, sizes: Float64Array, n: number): number => {
    const levels = (side === 'bids' ? bids : asks).slice(0, n)
    levels.forEach(([price, size], at) => {
      prices[at] = price
      sizes[at] = size
    })
    return levels.length
  }
  return { receiveTimeUs: timeUs, copySide }
}

/** The shade of a price in each column. */
function shadesAt({ from, shades, lowestPrice, rowPrice }: HeatColumns, price: number): number[] {
  const row = Math.floor((price - lowestPrice) / rowPrice + 1e-6)
  return shades.map((text, column) => Math.max(0, SHADES.indexOf(text[row - from[column]!] ?? SHADES[0]!)))
}

describe('The heat map of a report', () => {
  it('has nothing to show before a book with two sides', () => {
    const heat = new HeatMap()
    heat.see(viewOf([[100, 1]], []))
    heat.see(viewOf([], [[100, 1]]))
    expect(heat.columns(0, 0)).to.equal(undefined)
  })

  it('shows each price in its row, and the large order as the darkest', () => {
    const heat = new HeatMap()
    heat.see(book(0, 10_000, 10_010))
    const columns = heat.columns(0, 0)!
    expect(columns).to.include({ lowestPrice: 9_979, rowPrice: 0.5, widthMs: 100 })
    expect(columns.shades).to.have.length(1)
    const darkest = SHADES.length - 1
    expect(shadesAt(columns, 10_010)).to.deep.equal([darkest])
    expect(shadesAt(columns, 10_000)).to.deep.equal([0])
    expect(shadesAt(columns, 9_990)[0]).to.be.within(1, darkest - 1)
  })

  it('reads the views that books give', () => {
    const heat = new HeatMap()
    heat.see(viewOf([[100, 2]], [[101, 3]], { receiveTimeUs: 5 }))
    const columns = heat.columns(0, 5)!
    expect(shadesAt(columns, 100)).to.deep.equal([1])
    expect(shadesAt(columns, 101)).to.deep.equal([SHADES.length - 1])
  })

  it('looks once per column', () => {
    const heat = new HeatMap()
    let looked = 0
    const counting = (timeUs: number) => {
      const view = book(timeUs, 10_000)
      return {
        receiveTimeUs: timeUs,
        copySide: (...args: Parameters<typeof view.copySide>) => {
          looked++
          return view.copySide(...args)
        },
      }
    }
    for (let ms = 0; ms < 300; ms += 10) heat.see(counting(ms * 1_000))
    expect(looked).to.equal(3 * 2)
    expect(heat.columns(0, 299_000)!.t).to.deep.equal([0, 100, 200])
  })

  it('shows a book that does not change as it is, until it falls silent', () => {
    const heat = new HeatMap()
    heat.see(book(0, 10_000))
    heat.silence(450_000)
    heat.see(book(1_000_000, 10_000))
    const { t, spans } = heat.columns(0, 1_950_000)!
    expect(t).to.deep.equal([0, 1_000])
    expect(spans).to.deep.equal([5, 10])
  })

  it('keeps an order that stays at its price while the mid moves away, in no more than its rows and columns', () => {
    const heat = new HeatMap()
    for (let step = 0; step < 5_000; step++) heat.see(book(step * 1e6, 10_000 + Math.floor(step / 20), 10_010))
    const columns = heat.columns(0, 5_000e6)!
    expect(columns.t.length).to.be.within(60, 240)
    expect(columns.rows).to.be.at.most(192)
    expect(columns.lowestPrice).to.be.within(9_960, 9_979)
    const wall = shadesAt(columns, 10_010)
    const seen = wall.filter((shade) => shade > 0).length
    // Out of reach of 21 levels when the mid has gone 21 ticks further: after 32 of 250 ticks.
    expect(seen / wall.length).to.be.closeTo(32 / 250, 0.03)
    expect(Math.min(...wall.slice(0, seen - 1))).to.be.above(SHADES.length * 0.7)
  })

  it('goes to any price and time without growing', () => {
    const heat = new HeatMap()
    const jumps: [number, number][] = [
      [0, 100],
      [1, 5_000_000],
      [2, 100],
      [86_400e6, 1e9],
      [86_400e9, 50],
    ]
    for (const [timeUs, mid] of jumps) heat.see(book(timeUs * 1e3, mid))
    const { rows, t, spans } = heat.columns(0, 86_400e12)!
    expect(rows).to.be.at.most(192)
    expect(t.length).to.be.at.most(240)
    expect(spans.reduce((sum, span) => sum + span, 0)).to.be.at.most(240)
  })
})
