import { expect } from 'chai'
import { VirtualClock } from '../../src/clock/virtualClock'
import { Stamper, type Stamp } from '../../src/feed/stamper'

describe('Stamper', () => {
  it("gives the clock's time while it moves on", () => {
    const clock = new VirtualClock(5)
    const stamper = new Stamper(clock)
    expect(stamper.next()).to.deep.equal({ timeUs: 5, ns: 0 })
    clock.advanceTo(9)
    expect(stamper.next()).to.deep.equal({ timeUs: 9, ns: 0 })
  })

  it('gives the next nanosecond to what arrives within one microsecond', () => {
    const stamper = new Stamper(new VirtualClock(5))
    expect([stamper.next(), stamper.next(), stamper.next()]).to.deep.equal([
      { timeUs: 5, ns: 0 },
      { timeUs: 5, ns: 1 },
      { timeUs: 5, ns: 2 },
    ])
  })

  it('carries over into the next microsecond, and stays there until the clock has caught up', () => {
    const clock = new VirtualClock(5)
    const stamper = new Stamper(clock)
    const stamps: Stamp[] = Array.from({ length: 1_002 }, () => stamper.next())
    expect(stamps.at(-2)).to.deep.equal({ timeUs: 6, ns: 0 })
    clock.advanceTo(6)
    expect(stamper.next()).to.deep.equal({ timeUs: 6, ns: 2 })
    clock.advanceTo(7)
    expect(stamper.next()).to.deep.equal({ timeUs: 7, ns: 0 })
  })

  it('never goes back with a clock that does', () => {
    let nowUs = 10
    const stamper = new Stamper({ nowUs: () => nowUs, after: () => ({ cancel: () => undefined }) })
    stamper.next()
    nowUs = 3
    expect(stamper.next()).to.deep.equal({ timeUs: 10, ns: 1 })
  })
})
