import { expect } from 'chai'
import fc from 'fast-check'
import { VirtualClock } from '../../src/clock/virtualClock'

describe('VirtualClock', () => {
  it('stands still until it is moved', () => {
    const clock = new VirtualClock(1_000)
    let fired = false
    clock.after(0, () => (fired = true))
    expect(clock.nowUs()).to.equal(1_000)
    expect(fired, 'a timer of no delay fires when the clock moves, not at once').to.equal(false)
    clock.advance(0)
    expect(fired).to.equal(true)
  })

  it('fires timers in order of their due time, each at its own', () => {
    const clock = new VirtualClock()
    const fired: [string, number][] = []
    for (const [name, delayMs] of [
      ['c', 3],
      ['a', 1],
      ['b', 2],
    ] as const) {
      clock.after(delayMs, () => fired.push([name, clock.nowUs()]))
    }
    clock.advance(10)
    expect(fired).to.deep.equal([
      ['a', 1_000],
      ['b', 2_000],
      ['c', 3_000],
    ])
    expect(clock.nowUs()).to.equal(10_000)
  })

  it('fires timers that are due together in the order of their creation', () => {
    const clock = new VirtualClock()
    const fired: number[] = []
    for (let index = 0; index < 50; index++) clock.after(5, () => fired.push(index))
    clock.advance(5)
    expect(fired).to.deep.equal([...fired.keys()])
    expect(fired).to.have.length(50)
  })

  it('fires timers that a timer sets, when they are due on the way', () => {
    const clock = new VirtualClock()
    const fired: number[] = []
    clock.after(1, () => {
      clock.after(1, () => fired.push(clock.nowUs()))
      clock.after(10, () => fired.push(clock.nowUs()))
    })
    clock.advance(5)
    expect(fired).to.deep.equal([2_000])
    expect(clock.nextDueUs()).to.equal(11_000)
  })

  it('cancels a timer before it fires, after it has fired, and twice, and no other with it', () => {
    const clock = new VirtualClock()
    const fired: string[] = []
    const cancelled = clock.after(1, () => fired.push('cancelled'))
    const kept = clock.after(1, () => fired.push('kept'))
    cancelled.cancel()
    cancelled.cancel()
    clock.advance(1)
    kept.cancel()
    clock.after(1, () => fired.push('later'))
    kept.cancel()
    clock.advance(1)
    expect(fired).to.deep.equal(['kept', 'later'])
    expect([clock.pending, clock.nextDueUs()]).to.deep.equal([0, undefined])
  })

  it('lets a timer cancel another that is due at the same time', () => {
    const clock = new VirtualClock()
    const fired: string[] = []
    clock.after(1, () => {
      fired.push('first')
      second.cancel()
    })
    const second = clock.after(1, () => fired.push('second'))
    clock.advance(1)
    expect(fired).to.deep.equal(['first'])
  })

  it('never moves backwards', () => {
    const clock = new VirtualClock(5_000)
    clock.advanceTo(4_000)
    expect(clock.nowUs()).to.equal(5_000)
    clock.advance(-1)
    expect(clock.nowUs()).to.equal(5_000)
  })

  it('takes a negative delay for none', () => {
    const clock = new VirtualClock(5_000)
    const fired: number[] = []
    clock.after(-3, () => fired.push(clock.nowUs()))
    clock.advance(0)
    expect(fired).to.deep.equal([5_000])
  })

  it('fires the next timer alone when it is asked to, and says when there is none', () => {
    const clock = new VirtualClock()
    const fired: number[] = []
    clock.after(5, () => fired.push(clock.nowUs()))
    clock.after(3, () => fired.push(clock.nowUs()))
    clock.after(1, () => fired.push(0)).cancel()
    expect(clock.fireNext()).to.equal(true)
    expect(fired).to.deep.equal([3_000])
    expect(clock.pending).to.equal(1)
    expect([clock.fireNext(), clock.fireNext()]).to.deep.equal([true, false])
    expect(fired).to.deep.equal([3_000, 5_000])
  })

  it('lets time pass in which nothing fires: what became due fires late, and sees that', () => {
    const clock = new VirtualClock()
    const fired: number[] = []
    clock.after(1, () => {
      clock.spend(10)
      clock.spend(-1)
    })
    clock.after(2, () => fired.push(clock.nowUs()))
    clock.advance(5)
    expect(fired).to.deep.equal([11_000])
    expect(clock.nowUs()).to.equal(11_000)
  })

  it('goes on after a timer that throws, with the next one', () => {
    const clock = new VirtualClock()
    const fired: string[] = []
    clock.after(1, () => {
      throw new Error('a timer that throws')
    })
    clock.after(1, () => fired.push('next'))
    expect(() => clock.advance(5)).to.throw('a timer that throws')
    clock.advance(5)
    expect(fired).to.deep.equal(['next'])
  })

  it('waits not at all for what is no number of milliseconds, and for ever for Infinity', () => {
    const clock = new VirtualClock()
    const fired: string[] = []
    clock.after(Number.NaN, () => fired.push('no number'))
    clock.after(Infinity, () => fired.push('for ever'))
    clock.advance(1e9)
    expect(fired).to.deep.equal(['no number'])
    expect(clock.pending).to.equal(1)
  })

  it('costs little when a million timers are set and cancelled, and forgets them', () => {
    const clock = new VirtualClock()
    let fired = 0
    for (let index = 0; index < 1_000_000; index++) {
      const timer = clock.after(1_000 + (index % 977), () => fired++)
      if (index % 100 !== 0) timer.cancel()
    }
    expect(clock.pending).to.equal(10_000)
    clock.advance(10_000)
    expect([fired, clock.pending]).to.deep.equal([10_000, 0])
  })

  it('fires each timer that was not cancelled once, in order of due time and creation, whatever the steps', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ delayMs: fc.nat(50), cancelled: fc.boolean() }), { maxLength: 40 }),
        fc.array(fc.nat(20), { maxLength: 10 }),
        (timers, stepsMs) => {
          const clock = new VirtualClock()
          const fired: number[] = []
          const set = timers.map(({ delayMs }, index) => clock.after(delayMs, () => fired.push(index)))
          for (const [index, timer] of set.entries()) if (timers[index]!.cancelled) timer.cancel()
          for (const stepMs of stepsMs) clock.advance(stepMs)
          const expected = timers
            .map(({ delayMs, cancelled }, index) => ({ delayMs, cancelled, index }))
            .filter(({ delayMs, cancelled }) => !cancelled && delayMs * 1_000 <= clock.nowUs())
            .sort((a, b) => a.delayMs - b.delayMs || a.index - b.index)
            .map(({ index }) => index)
          // Timers of no delay wait for the first move.
          expect(fired).to.deep.equal(stepsMs.length === 0 ? [] : expected)
        },
      ),
    )
  })
})
