import { expect } from 'chai'
import fc from 'fast-check'
import { LatencyHistogram } from '../../src/metrics/histogram'

describe('a latency histogram', () => {
  it('is all zero while nothing was recorded', () => {
    expect(new LatencyHistogram().summary()).to.deep.equal({ count: 0, p50: 0, p99: 0, max: 0 })
  })

  it('records zero as zero', () => {
    const histogram = new LatencyHistogram()
    for (let n = 0; n < 99; n++) histogram.record(0)
    histogram.record(7)
    expect(histogram.summary()).to.deep.equal({ count: 100, p50: 0, p99: 0, max: 7 })
  })

  it('takes disagreeing clocks for zero, hours for an hour, and counts what is no number', () => {
    const histogram = new LatencyHistogram()
    histogram.record(-5)
    histogram.record(NaN)
    expect(histogram.summary()).to.deep.equal({ count: 1, p50: 0, p99: 0, max: 0 })
    expect(histogram.refused).to.equal(1)
    for (const huge of [1e12, Infinity]) histogram.record(huge)
    expect(histogram.count).to.equal(3)
    expect(histogram.max).to.be.closeTo(3.6e9, 3.6e6)
  })

  it('tells how latencies are spread, each in one bucket around it', () => {
    const histogram = new LatencyHistogram()
    for (const us of [0, 3, 3, 4, 1_000, 3_600_000_000, 1e12, NaN]) histogram.record(us)
    expect(histogram.buckets().map(({ fromUs, count }) => [fromUs, count])).to.deep.equal([
      [0, 1],
      [2, 2],
      [3, 1],
      [896, 1],
      [3_221_225_472, 2],
    ])
    expect(histogram.buckets().map(({ toUs }) => toUs)).to.deep.equal([0, 3, 4, 1_024, 3_758_096_384])
    const other = new LatencyHistogram()
    other.record(5)
    other.merge(histogram)
    expect(other.buckets().reduce((sum, { count }) => sum + count, 0)).to.equal(8)
    other.reset()
    expect(other.buckets()).to.deep.equal([])
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 3_600_000_000 }), (us) => {
        const one = new LatencyHistogram()
        one.record(us)
        const [bucket, ...more] = one.buckets()
        expect(more).to.deep.equal([])
        expect(us).to.be.within(us === 0 ? 0 : bucket!.fromUs + 1, bucket!.toUs)
        expect(bucket!.toUs - bucket!.fromUs).to.be.at.most(Math.max(1, us / 4))
      }),
      { numRuns: 200 },
    )
  })

  it('is right to three digits', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 1_000_000_000 }), { minLength: 1, maxLength: 200 }),
        (latencies) => {
          const histogram = new LatencyHistogram()
          for (const latency of latencies) histogram.record(latency)
          const sorted = [...latencies].sort((a, b) => a - b)
          for (const percent of [50, 99]) {
            const exact = sorted[Math.ceil((percent / 100) * sorted.length) - 1]!
            expect(histogram.percentile(percent)).to.be.closeTo(exact, exact * 0.001 + 1)
          }
          expect(histogram.max).to.be.closeTo(sorted.at(-1)!, sorted.at(-1)! * 0.001 + 1)
          expect(histogram.count).to.equal(latencies.length)
        },
      ),
      { seed: 1 },
    )
  })

  it('tells of fractions of a microsecond, and to a sixteenth where that is enough', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.001, max: 3.6e9, noNaN: true }), (us) => {
        for (const [precision, share] of [
          ['fine', 0.001],
          ['coarse', 1 / 16],
        ] as const) {
          const histogram = new LatencyHistogram(precision)
          histogram.record(us)
          histogram.record(3.6e9) // so that the bound of the bucket is told, and not the highest
          expect(histogram.percentile(50)).to.be.within(us, us * (1 + share))
        }
      }),
      { numRuns: 500 },
    )
  })

  it('lets a value stand for several', () => {
    const histogram = new LatencyHistogram()
    histogram.record(5, 64)
    histogram.record(900, 36)
    histogram.record(NaN, 3)
    expect(histogram.summary()).to.deep.equal({ count: 100, p50: 5, p99: 900, max: 900 })
    expect([histogram.sum, histogram.refused]).to.deep.equal([5 * 64 + 900 * 36, 3])
  })

  it('tells a distribution with the same bounds always, in which each value is counted from its own size on', () => {
    const empty = new LatencyHistogram().distribution()
    expect(empty.sum).to.equal(0)
    expect(empty.buckets.at(-1)).to.deep.equal({ upTo: Infinity, count: 0 })
    const values = fc.array(
      fc.oneof(fc.integer({ min: 0, max: 5_000 }), fc.double({ min: 0, max: 3.6e9, noNaN: true })),
    )
    fc.assert(
      fc.property(values, (latencies) => {
        const histogram = new LatencyHistogram('coarse')
        for (const latency of latencies) histogram.record(latency)
        const { sum, buckets } = histogram.distribution()
        expect(sum).to.be.closeTo(
          latencies.reduce((all, latency) => all + latency, 0),
          1e-3,
        )
        expect(buckets.map(({ upTo }) => upTo)).to.deep.equal(empty.buckets.map(({ upTo }) => upTo))
        for (const { upTo, count } of buckets) {
          expect(count, `up to ${upTo}`).to.equal(latencies.filter((latency) => latency <= upTo).length)
        }
      }),
      { numRuns: 200 },
    )
  })

  it('adds up with another and begins again', () => {
    const one = new LatencyHistogram()
    const other = new LatencyHistogram()
    one.record(10)
    other.record(30)
    other.record(NaN)
    one.merge(other)
    expect(one.summary()).to.deep.equal({ count: 2, p50: 10, p99: 30, max: 30 })
    expect(one.refused).to.equal(1)
    one.reset()
    expect(one.summary()).to.deep.equal({ count: 0, p50: 0, p99: 0, max: 0 })
    expect(one.refused).to.equal(0)
  })
})
