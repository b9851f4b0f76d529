import { expect } from 'chai'
import fc from 'fast-check'
import { Series } from '../../src/page/series'

describe('A series of a report', () => {
  it('keeps every value while there is room, with its own time', () => {
    const series = new Series(10)
    for (const ms of [0, 5, 9]) series.add(1_000_000 + ms * 1_000, ms)
    expect(series.columns(1_000_000)).to.deep.equal({
      t: [0, 5, 9],
      low: [0, 5, 9],
      high: [0, 5, 9],
      last: [0, 5, 9],
      breaks: [],
    })
  })

  it('joins values of the same millisecond, and keeps their lowest, highest and last', () => {
    const series = new Series(10)
    for (const value of [3, 9, 1, 4]) series.add(500, value)
    expect(series.columns(0)).to.deep.equal({ t: [1], low: [1], high: [9], last: [4], breaks: [] })
  })

  it('keeps a day of updates in its capacity, and the one spike among them', () => {
    const series = new Series(100)
    for (let second = 0; second < 86_400; second++) series.add(second * 1e6, second === 40_001 ? -7 : 100)
    const { t, low, high, last } = series.columns(0)
    expect(t.length).to.be.within(50, 100)
    expect(t.at(-1)).to.equal(86_399_000)
    expect(low.filter((value) => value === -7)).to.have.length(1)
    expect(new Set(high)).to.deep.equal(new Set([100]))
    expect(new Set(last).size).to.equal(1)
    expect(series.statistics()).to.include({ count: 86_400, low: -7, high: 100, last: 100 })
  })

  it('weighs each value by how long it stood', () => {
    const series = new Series(10)
    series.add(0, 10)
    series.add(9e6, 20)
    series.add(10e6, 0)
    expect(series.statistics()!.mean).to.equal(11)
  })

  it('breaks the line where nothing was known, and does not weigh that time', () => {
    const series = new Series(10)
    series.cut()
    series.add(0, 10)
    series.add(1e6, 10)
    series.cut()
    series.add(100e6, 30)
    series.add(101e6, 30)
    expect(series.columns(0).breaks).to.deep.equal([2])
    expect(series.statistics()!.mean).to.equal(20)
  })

  it('counts a value that comes late as of the time of the last one', () => {
    const series = new Series(10)
    series.add(5e6, 1)
    series.add(2e6, 3)
    expect(series.columns(0)).to.deep.equal({ t: [5_000], low: [1], high: [3], last: [3], breaks: [] })
  })

  it('passes over what is no number and what has no time', () => {
    const series = new Series(10)
    for (const value of [NaN, Infinity, -Infinity]) series.add(0, value)
    series.add(NaN, 1)
    expect(series.statistics()).to.equal(undefined)
    expect(series.columns(0).t).to.deep.equal([])
  })

  it('never holds more than its capacity, and never loses an extreme, whatever comes', () => {
    const values = fc.array(
      fc.tuple(fc.integer({ min: 0, max: 100_000_000_000 }), fc.integer({ min: -1_000, max: 1_000 })),
      { minLength: 1, maxLength: 300 },
    )
    fc.assert(
      fc.property(values, fc.integer({ min: 1, max: 20 }), (all, capacity) => {
        const series = new Series(capacity)
        for (const [timeUs, value] of all) series.add(timeUs, value)
        const { t, low, high, last } = series.columns(0)
        expect(t.length).to.be.within(1, capacity)
        for (const column of [low, high, last]) expect(column).to.have.length(t.length)
        const added = all.map(([, value]) => value)
        expect(Math.min(...low)).to.equal(Math.min(...added))
        expect(Math.max(...high)).to.equal(Math.max(...added))
        expect(last.at(-1)).to.equal(added.at(-1))
        expect([...t].sort((left, right) => left - right)).to.deep.equal(t)
      }),
      { numRuns: 200 },
    )
  })
})
