import { expect } from 'chai'
import { getEventListeners } from 'node:events'
import { onAbort } from '../../src/clock/onAbort'

describe('onAbort', () => {
  const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length

  it('calls all that wait, once, in the order in which they came', () => {
    const stop = new AbortController()
    const calls: number[] = []
    for (let index = 0; index < 1_000; index++) onAbort(stop.signal, () => calls.push(index))
    expect(listeners(stop.signal)).to.equal(1)
    stop.abort()
    stop.abort()
    expect(calls).to.deep.equal(Array.from({ length: 1_000 }, (_, index) => index))
    expect(listeners(stop.signal)).to.equal(0)
  })

  it('forgets those who no longer wait, and the signal with the last of them', () => {
    const stop = new AbortController()
    const calls: string[] = []
    const forgetFirst = onAbort(stop.signal, () => calls.push('first'))
    const forgetSecond = onAbort(stop.signal, () => calls.push('second'))
    forgetFirst()
    forgetFirst()
    expect(listeners(stop.signal)).to.equal(1)
    forgetSecond()
    expect(listeners(stop.signal)).to.equal(0)
    onAbort(stop.signal, () => calls.push('third'))
    stop.abort()
    forgetSecond()
    expect(calls).to.deep.equal(['third'])
  })

  it('does not call one that another took back within the abort', () => {
    const stop = new AbortController()
    const calls: string[] = []
    onAbort(stop.signal, () => {
      calls.push('first')
      forgetSecond()
    })
    const forgetSecond = onAbort(stop.signal, () => calls.push('second'))
    stop.abort()
    expect(calls).to.deep.equal(['first'])
  })

  it('keeps signals apart, and calls a function as often as it waits', () => {
    const [one, other] = [new AbortController(), new AbortController()]
    let calls = 0
    const count = (): void => {
      calls++
    }
    onAbort(one.signal, count)
    onAbort(one.signal, count)
    onAbort(other.signal, count)
    one.abort()
    expect(calls).to.equal(2)
    expect(listeners(other.signal)).to.equal(1)
  })
})
