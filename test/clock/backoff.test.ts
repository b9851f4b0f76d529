import { expect } from 'chai'
import fc from 'fast-check'
import { backoffDelayMs, backoffProblem, RetryBudget } from '../../src/clock/backoff'

const almostOne = 1 - Number.EPSILON / 2
const most = (attempt: number, firstAtOnce = false): number =>
  Math.round(backoffDelayMs(attempt, { minMs: 100, maxMs: 5_000, firstAtOnce, random: () => almostOne }))

describe('backoffDelayMs', () => {
  it('doubles the longest wait with every attempt, up to the cap', () => {
    expect([1, 2, 3, 4, 5, 6, 7, 8].map((attempt) => most(attempt))).to.deep.equal([
      100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000,
    ])
  })

  it('waits not at all the first time when asked so, then starts doubling', () => {
    expect([1, 2, 3].map((attempt) => most(attempt, true))).to.deep.equal([0, 100, 200])
  })

  it('draws from nothing up to the ceiling', () => {
    expect(backoffDelayMs(3, { minMs: 100, maxMs: 5_000, random: () => 0 })).to.equal(0)
    expect(backoffDelayMs(3, { minMs: 100, maxMs: 5_000, random: () => 0.5 })).to.equal(200)
  })

  it('keeps its bounds for any attempt, bounds and generator', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000_000 }),
        fc.double({ min: 0.001, max: 1e6, noNaN: true }),
        fc.double({ min: 1, max: 1e6, noNaN: true }),
        fc.double(),
        fc.boolean(),
        (attempt, minMs, factor, drawn, firstAtOnce) => {
          const maxMs = minMs * factor
          const delayMs = backoffDelayMs(attempt, { minMs, maxMs, firstAtOnce, random: () => drawn })
          expect(delayMs).to.be.within(0, maxMs)
        },
      ),
    )
  })

  it('spreads a thousand clients that failed together', () => {
    let state = 1
    const random = (): number => (state = (state * 16_807) % 2_147_483_647) / 2_147_483_647
    const buckets = new Map<number, number>()
    for (let client = 0; client < 1_000; client++) {
      const bucket = Math.floor(backoffDelayMs(5, { minMs: 100, maxMs: 60_000, random }) / 100)
      buckets.set(bucket, (buckets.get(bucket) ?? 0) + 1)
    }
    expect(buckets.size).to.equal(16)
    expect(Math.max(...buckets.values())).to.be.below(120)
  })
})

describe('RetryBudget', () => {
  const second = 1_000_000

  it('allows its number of retries within the window, and again when they have grown old', () => {
    const budget = new RetryBudget({ atMost: 2, withinMs: 10_000 })
    const retryAt = (seconds: number): boolean => {
      budget.failed(seconds * second)
      const allowed = budget.take(seconds * second, 0)
      budget.succeeded()
      return allowed
    }
    expect([0, 1, 2, 9.9, 10, 10.5, 11].map(retryAt)).to.deep.equal([true, true, false, false, true, false, true])
  })

  it('numbers the retries within the window, so that what keeps failing waits longer', () => {
    const budget = new RetryBudget({ atMost: 5, withinMs: 10_000 })
    const numbers = [0, 1, 2, 30].map((seconds) => {
      const attempt = budget.failed(seconds * second)
      budget.succeeded()
      budget.failed(seconds * second)
      budget.take(seconds * second, 0)
      budget.succeeded()
      return attempt
    })
    expect(numbers).to.deep.equal([1, 2, 3, 1])
  })

  it('refuses a retry that would come too long after the first of unbroken failures', () => {
    const budget = new RetryBudget({ atMost: 100, withinMs: 10_000 })
    budget.failed(0)
    expect(budget.take(0, 10_000)).to.equal(true)
    budget.failed(10 * second)
    expect(budget.take(10 * second, 1)).to.equal(false)
    budget.succeeded()
    budget.failed(20 * second)
    expect(budget.take(20 * second, 1)).to.equal(true)
  })

  it('allows nothing when its number is nothing', () => {
    const budget = new RetryBudget({ atMost: 0, withinMs: 1_000 })
    budget.failed(0)
    expect(budget.take(0, 0)).to.equal(false)
  })
})

describe('backoffProblem', () => {
  const usable = { minMs: 100, maxMs: 1_000, atMost: 5, withinMs: 60_000 }

  it('finds nothing wrong with usable bounds', () => {
    expect(backoffProblem(usable)).to.equal(undefined)
    expect(backoffProblem({ ...usable, atMost: 0, minMs: 1_000 })).to.equal(undefined)
  })

  for (const [option, value] of [
    ['minMs', 0],
    ['minMs', Number.NaN],
    ['minMs', 2_000],
    ['maxMs', Number.POSITIVE_INFINITY],
    ['atMost', -1],
    ['atMost', 1.5],
    ['atMost', Number.POSITIVE_INFINITY],
    ['withinMs', 0],
    ['withinMs', 2 ** 31],
  ] as const) {
    it(`names ${option} when it is ${value}`, () => {
      expect(backoffProblem({ ...usable, [option]: value })).to.match(new RegExp(`^${option} is `))
    })
  }
})
