import { expect } from 'chai'
import { liveClock } from '../../src/clock/liveClock'
import { eventually } from '../../src/testing/eventually'

describe('eventually', () => {
  it('asks until the answer holds, and gives it', async () => {
    let asked = 0
    const answer = await eventually(
      () => {
        if (++asked < 4) throw new Error('not yet')
        return Promise.resolve(asked)
      },
      { everyMs: 1 },
    )
    expect(answer).to.equal(4)
  })

  it('fails with the last error when that takes too long', async () => {
    let asked = 0
    const startedUs = liveClock.nowUs()
    let thrown: unknown
    await eventually(() => Promise.reject(new Error(`not yet ${++asked}`)), { withinMs: 20, everyMs: 2 }).catch(
      (error: unknown) => (thrown = error),
    )
    expect(thrown).to.have.property('message', `not yet ${asked}`)
    expect(asked).to.be.above(1)
    expect(liveClock.nowUs() - startedUs).to.be.at.least(20_000)
  })

  it('asks once more when the machine stood still until the time was over', async () => {
    let asked = 0
    const answer = await eventually(
      () => {
        if (++asked === 2) return 'it is there'
        const untilUs = liveClock.nowUs() + 10_000
        while (liveClock.nowUs() < untilUs);
        throw new Error('not yet')
      },
      { withinMs: 5 },
    )
    expect(answer).to.equal('it is there')
  })
})
