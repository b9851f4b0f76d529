import { expect } from 'chai'
import fc from 'fast-check'
import { VirtualClock } from '../../src/clock/virtualClock'
import { Gate, RateLimiter } from '../../src/feed/rateLimiter'
import { isRateLimited } from '../../src/feed/retryAfter'

describe('RateLimiter', () => {
  it('lets a burst through and then says how long to wait', () => {
    const clock = new VirtualClock()
    const limiter = new RateLimiter(clock, 1_000)
    for (let taken = 0; taken < 300; taken += 50) expect(limiter.take(50)).to.equal(0)
    expect(limiter.take(50)).to.equal(6_000)
    clock.advance(5_999)
    expect(limiter.take(50)).to.be.greaterThan(0)
    clock.advance(1)
    expect(limiter.take(50)).to.equal(0)
  })

  it('gives no minute more than eight tenths of its weight, however it is asked', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({ afterMs: fc.integer({ min: 0, max: 20_000 }), weight: fc.integer({ min: 1, max: 300 }) }),
          {
            minLength: 1,
            maxLength: 200,
          },
        ),
        (asked) => {
          const clock = new VirtualClock()
          const limiter = new RateLimiter(clock, 1_000)
          const given: { atUs: number; weight: number }[] = []
          for (const { afterMs, weight } of asked) {
            clock.advance(afterMs)
            if (limiter.take(weight) === 0) given.push({ atUs: clock.nowUs(), weight })
          }
          for (const { atUs } of given) {
            const minute = given.filter((other) => other.atUs >= atUs && other.atUs < atUs + 60_000_000)
            expect(minute.reduce((sum, { weight }) => sum + weight, 0)).to.be.at.most(800.001)
          }
        },
      ),
    )
  })

  it('lets a weight above its whole bucket through when the bucket is full, and makes up for it after', () => {
    const clock = new VirtualClock()
    const limiter = new RateLimiter(clock, 100)
    expect(limiter.take(60)).to.equal(0)
    expect(limiter.take(1)).to.be.greaterThan(30_000)
  })

  it('gives nothing while it is blocked, and a shorter block does not end a longer one', () => {
    const clock = new VirtualClock()
    const limiter = new RateLimiter(clock, 1_000)
    limiter.block(5_000)
    limiter.block(1_000)
    expect(limiter.take(1)).to.equal(5_000)
    clock.advance(5_000)
    expect(limiter.take(1)).to.equal(0)
  })
})

describe('Gate', () => {
  it('spaces attempts', () => {
    const clock = new VirtualClock(1)
    const gate = new Gate(clock, 100)
    expect(gate.take()).to.equal(0)
    expect(gate.take()).to.equal(100)
    clock.advance(60)
    expect(gate.take()).to.equal(40)
    clock.advance(40)
    expect(gate.take()).to.equal(0)
  })

  it('stays shut while it is blocked', () => {
    const clock = new VirtualClock(1)
    const gate = new Gate(clock, 100)
    gate.block(3_000)
    expect(gate.take()).to.equal(3_000)
  })
})

describe('The statuses of rate limits', () => {
  it('are 429 and 418', () => {
    expect([429, 418, 503, 403].map(isRateLimited)).to.deep.equal([true, true, false, false])
  })
})
