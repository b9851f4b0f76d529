import { expect } from 'chai'
import fc from 'fast-check'
import { DelayWindow, observeLoop } from '../../src/metrics/loopBeat'
import { until } from '../sinks/support'

describe('a window of loop delays', () => {
  it('is all zero when the loop was not looked at', () => {
    expect(new DelayWindow().read()).to.deep.equal({ p50: 0, p90: 0, p99: 0, max: 0 })
  })

  it('begins anew when it is read', () => {
    const window = new DelayWindow()
    window.add(250)
    expect(window.read()).to.deep.equal({ p50: 250, p90: 250, p99: 250, max: 250 })
    expect(window.read()).to.deep.equal({ p50: 0, p90: 0, p99: 0, max: 0 })
    window.add(0)
    expect(window.read()).to.deep.equal({ p50: 0, p90: 0, p99: 0, max: 0 })
  })

  it('tells percentiles that are right to an eighth, never too low, and the exact longest', () => {
    const delays = fc.array(
      fc.oneof(fc.double({ min: 0, max: 2, noNaN: true }), fc.double({ min: 0, max: 1e7, noNaN: true })),
      {
        minLength: 1,
        maxLength: 300,
      },
    )
    const window = new DelayWindow()
    fc.assert(
      fc.property(delays, (list) => {
        for (const delay of list) window.add(delay)
        const read = window.read()
        const sorted = list.toSorted((a, b) => a - b)
        for (const [percent, value] of [
          [50, read.p50],
          [90, read.p90],
          [99, read.p99],
        ] as const) {
          const exact = sorted[Math.ceil((percent / 100) * sorted.length) - 1]!
          expect(value).to.be.within(Math.min(exact, 2 ** 32 / 1_024) - 0.001, Math.max(exact * 1.126, 0.126))
        }
        expect(read.max).to.be.closeTo(sorted.at(-1)!, 0.001)
      }),
      { numRuns: 300, seed: 5 },
    )
  })
})

describe('a look at the loop', () => {
  it('sees a delay that begins right after a window was read', async () => {
    const window = new DelayWindow()
    let looked = 0
    const stop = observeLoop((delayMs) => {
      looked++
      window.add(delayMs)
    })
    try {
      await until(() => looked > 1)
      window.read()
      const endMs = performance.now() + 120
      while (performance.now() < endMs) looked += 0
      const before = looked
      await until(() => looked > before)
      expect(window.read().max).to.be.above(80)
    } finally {
      stop()
    }
  })

  it('tells everybody who looks, and nobody of what was before he did', async () => {
    const first: number[] = []
    const second: number[] = []
    const stopFirst = observeLoop((delayMs) => first.push(delayMs))
    try {
      await until(() => first.length > 1)
      const endMs = performance.now() + 120
      while (performance.now() < endMs) first.length = 0
      const lookedAtMs = performance.now()
      const stopSecond = observeLoop((delayMs) => second.push(delayMs))
      await until(() => second.length > 0)
      const sinceMs = performance.now() - lookedAtMs
      stopSecond()
      expect(first[0]).to.be.above(80)
      expect(second[0]).to.be.at.most(sinceMs)
      const told = second.length
      const toldFirst = first.length
      await until(() => first.length > toldFirst)
      expect(second.length).to.equal(told)
    } finally {
      stopFirst()
    }
  })

  it('ends when it is told to, also twice', async () => {
    let looked = 0
    const stop = observeLoop(() => looked++)
    stop()
    stop()
    await new Promise((resolve) => setTimeout(resolve, 40))
    expect(looked).to.equal(0)
  })
})
