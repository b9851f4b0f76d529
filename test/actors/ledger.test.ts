import { expect } from 'chai'
import fc from 'fast-check'
import {
  balances,
  copyOf,
  drop,
  droppedOf,
  emptyLedger,
  pass,
  receive,
  weightOf,
  type DropReason,
} from '../../src/actors/ledger'

describe('the account of an edge', () => {
  it('balances whatever comes, passes and is dropped', () => {
    const reason = fc.constantFrom<DropReason>('dropOldest', 'conflated', 'failed', 'closed')
    const step = fc.tuple(fc.constantFrom('receive', 'pass', 'drop'), fc.nat({ max: 50 }), reason)
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const ledger = emptyLedger()
        for (const [what, values, why] of steps) {
          const atMost = Math.min(values, ledger.inFlight)
          if (what === 'receive') receive(ledger, values)
          else if (what === 'pass') pass(ledger, atMost)
          else drop(ledger, why, atMost)
          expect(balances(ledger)).to.equal(true)
          expect(ledger.inFlight).to.be.at.least(0)
        }
        expect(droppedOf(ledger)).to.equal(ledger.in - ledger.out - ledger.inFlight)
      }),
    )
  })

  it('names only the reasons that there were', () => {
    const ledger = emptyLedger()
    receive(ledger, 5)
    drop(ledger, 'dropOldest', 0)
    drop(ledger, 'dropNewest', 2)
    drop(ledger, 'dropNewest', 1)
    expect(ledger).to.deep.equal({ in: 5, out: 0, dropped: { dropNewest: 3 }, inFlight: 2 })
  })

  it('does not balance when a value has vanished', () => {
    expect(balances({ in: 3, out: 1, dropped: { failed: 1 }, inFlight: 0 })).to.equal(false)
  })

  it('is copied as it is now', () => {
    const ledger = emptyLedger()
    receive(ledger, 2)
    const before = copyOf(ledger)
    drop(ledger, 'stopped', 2)
    expect(before).to.deep.equal({ in: 2, out: 0, dropped: {}, inFlight: 2 })
  })

  it('counts the values of a batch, and one for anything else', () => {
    expect([[], [1, 2, 3], 'text', { length: 4 }, undefined].map(weightOf)).to.deep.equal([0, 3, 1, 1, 1])
  })
})
