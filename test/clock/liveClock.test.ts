import { expect } from 'chai'
import { liveClock } from '../../src/clock/liveClock'

describe('The live clock', () => {
  it('tells whole microseconds since 1970 that never go back', () => {
    let beforeUs = liveClock.nowUs()
    expect(Math.abs(beforeUs - Date.now() * 1_000)).to.be.below(60_000_000)
    for (let reading = 0; reading < 10_000; reading++) {
      const nowUs = liveClock.nowUs()
      expect(Number.isSafeInteger(nowUs)).to.equal(true)
      expect(nowUs).to.be.at.least(beforeUs)
      beforeUs = nowUs
    }
  })

  it('keeps a wait that is longer than a timer of the machine can be, and lets it be cancelled', async () => {
    let fired = 0
    const timers = [2 ** 31, 1e12, Infinity].map((delayMs) => liveClock.after(delayMs, () => fired++))
    await new Promise((resolve) => setTimeout(resolve, 20))
    for (const timer of timers) timer.cancel()
    expect(fired).to.equal(0)
  })
})
