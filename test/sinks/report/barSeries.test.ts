import { expect } from 'chai'
import { BarSeries } from '../../../src/sinks/report/barSeries'

const bar = (openTimeUs: number, open: number, high: number, low: number, close: number, volume = 1) => ({
  openTimeUs,
  open,
  high,
  low,
  close,
  volume,
})

describe('A series of bars of a report', () => {
  it('makes bars of trades', () => {
    const series = new BarSeries(1e6, 10)
    for (const [timeUs, price, size] of [
      [0.1e6, 10, 1],
      [0.2e6, 12, 2],
      [0.9e6, 9, 1],
      [3.5e6, 11, 5],
    ] as const) {
      series.trade(timeUs, price, size)
    }
    expect(series.columns(0)).to.deep.equal({
      t: [0, 3_000],
      widthMs: 1_000,
      open: [10, 11],
      high: [12, 11],
      low: [9, 11],
      close: [9, 11],
      volume: [4, 5],
    })
  })

  it('lets a bar that is told of again take its own place, also after it was looked at', () => {
    const series = new BarSeries(60e6, 10)
    series.put(bar(0, 10, 11, 9, 10, 5))
    expect(series.columns(0).volume).to.deep.equal([5])
    series.put(bar(0, 10, 14, 9, 13, 8))
    series.put(bar(60e6, 13, 13, 12, 12, 1))
    expect(series.columns(0).volume).to.deep.equal([8, 1])
    expect(series.columns(0).high).to.deep.equal([14, 13])
  })

  it('makes two bars one when there are as many as may be', () => {
    const series = new BarSeries(1e6, 4)
    for (let second = 0; second < 10; second++) {
      series.put(bar(second * 1e6, second, second + 10, second - 10, second + 1))
    }
    expect(series.columns(0)).to.deep.equal({
      t: [0, 4_000, 8_000],
      widthMs: 4_000,
      open: [0, 4, 8],
      high: [13, 17, 19],
      low: [-10, -6, -2],
      close: [4, 8, 10],
      volume: [4, 4, 2],
    })
  })

  it('passes over bars and trades that are none', () => {
    const series = new BarSeries(1e6, 4)
    series.put(bar(0, NaN, 1, 1, 1))
    series.put(bar(NaN, 1, 1, 1, 1))
    series.trade(0, 1, Infinity)
    expect(series.columns(0).t).to.deep.equal([])
  })
})
