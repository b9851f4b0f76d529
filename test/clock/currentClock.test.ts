import { expect } from 'chai'
import { currentClock, runWithClock } from '../../src/clock/currentClock'
import { liveClock } from '../../src/clock/liveClock'
import { VirtualClock } from '../../src/clock/virtualClock'

describe('The current clock', () => {
  it('is the live clock outside of a run', () => {
    expect(currentClock()).to.equal(liveClock)
  })

  it('is the one that a run is wired with, and the outer one again behind it', () => {
    const outer = new VirtualClock()
    const inner = new VirtualClock()
    const seen = runWithClock(outer, () => [currentClock(), runWithClock(inner, () => currentClock()), currentClock()])
    expect(seen).to.deep.equal([outer, inner, outer])
    expect(currentClock()).to.equal(liveClock)
  })

  it('is the outer one again when wiring threw', () => {
    expect(() =>
      runWithClock(new VirtualClock(), () => {
        throw new Error('no such stage')
      }),
    ).to.throw('no such stage')
    expect(currentClock()).to.equal(liveClock)
  })

  it('gives what wiring gives', () => {
    expect(runWithClock(new VirtualClock(), () => 42)).to.equal(42)
  })
})
