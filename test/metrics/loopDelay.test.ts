import { expect } from 'chai'
import { loopDelay } from '../../src/metrics/loopDelay'
import { turns, until } from '../sinks/support'

describe('the delay of the event loop', () => {
  it('shows a loop that was held up, and each window by itself', async () => {
    const delay = loopDelay(5)
    try {
      let looks = 0
      const held = (): void => {
        const end = performance.now() + 80
        while (performance.now() < end) looks++
      }
      const timer = setInterval(() => undefined, 1)
      await new Promise((resolve) => setTimeout(resolve, 20))
      await turns() // it has looked before
      held()
      await turns() // and after: it looks in turns of the loop, and timers alone may all be served in one
      clearInterval(timer)
      const looked = delay.look()
      const summary = delay.read()
      expect(looked).to.deep.equal(summary)
      expect(looks).to.be.above(0)
      expect(summary.max).to.be.above(50)
      expect(summary.p50).to.be.within(0, summary.max)
      expect(summary.p99).to.be.within(summary.p50, summary.max)
      expect(delay.read()).to.deep.equal({ p50: 0, p99: 0, max: 0 })
    } finally {
      delay.stop()
    }
  })

  it('can be stopped twice', async () => {
    const delay = loopDelay()
    delay.stop()
    delay.stop()
    delay.read()
    await until(() => true)
    expect(delay.read()).to.deep.equal({ p50: 0, p99: 0, max: 0 })
  })
})
