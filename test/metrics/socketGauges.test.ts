import { expect } from 'chai'
import { SocketGauges } from '../../src/metrics/socketGauges'

describe('what waits in sockets', () => {
  it('adds up over those that are open', () => {
    const gauges = new SocketGauges()
    let unsent = 5
    const forget = gauges.note({ unsentBytes: () => unsent, unreadBytes: () => 1 })
    gauges.note({ unsentBytes: () => 7, unreadBytes: () => 0 })
    expect(gauges.look()).to.deep.equal({ count: 2, unsentBytes: 12, unreadBytes: 1 })
    unsent = 0
    expect(gauges.look()).to.deep.equal({ count: 2, unsentBytes: 7, unreadBytes: 1 })
    forget()
    forget()
    expect(gauges.look()).to.deep.equal({ count: 1, unsentBytes: 7, unreadBytes: 0 })
  })

  it('costs the same however many there are: some are asked, in turn, and none is forgotten', () => {
    const gauges = new SocketGauges()
    let asked = 0
    const forgets = Array.from({ length: 1_000 }, () =>
      gauges.note({ unsentBytes: () => (asked++, 1), unreadBytes: () => 2 }),
    )
    gauges.look()
    expect(asked).to.equal(64)
    for (let looks = 1; looks < 16; looks++) gauges.look()
    expect(gauges.look()).to.deep.equal({ count: 1_000, unsentBytes: 1_000, unreadBytes: 2_000 })
    expect(asked).to.equal(17 * 64)
    for (const forget of forgets) forget()
    expect(gauges.look()).to.deep.equal({ count: 0, unsentBytes: 0, unreadBytes: 0 })
  })
})
