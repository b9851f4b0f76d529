import { expect } from 'chai'
import { drop, emptyLedger, pass, receive } from '../../src/actors/ledger'
import { expectBalanced, type EdgeAccount } from '../../src/testing/ledger'
import { failureOf } from './failureOf'

const good: EdgeAccount = {
  ...{ from: 'market', to: 'bars' },
  ...{ in: 10, out: 6, dropped: { dropOldest: 1, conflated: 2 }, inFlight: 1 },
}

describe('expectBalanced', () => {
  it('holds for accounts that balance: a ledger, edges, a status', () => {
    const ledger = emptyLedger()
    expectBalanced(ledger)
    receive(ledger, 3)
    expectBalanced(ledger)
    pass(ledger, 1)
    drop(ledger, 'dropOldest', 1)
    expectBalanced(ledger)
    expectBalanced([good, good])
    expectBalanced({ edges: [good] })
    expectBalanced([])
  })

  it('names the edge and what is missing, or too many', () => {
    expect(failureOf(() => expectBalanced([good, { ...good, to: 'sink', out: 4 }]))).to.equal(
      'The accounts do not balance.\n' +
        '  The edge market > sink: 10 came in, but 4 came out, 3 were dropped (dropOldest 1, conflated 2) and 1 are in flight: 2 are missing.',
    )
    expect(failureOf(() => expectBalanced([{ ...good, dropped: {} }]))).to.match(
      /0 were dropped and 1 .*: 3 are missing\.$/,
    )
    expect(failureOf(() => expectBalanced({ edges: [{ ...good, in: 9 }] }))).to.match(/: 1 is too many\.$/)
    expect(failureOf(() => expectBalanced({ in: 1, out: 0, dropped: {}, inFlight: 0 }))).to.match(
      / {2}The edge: 1 came in, but 0 came out, 0 were dropped and 0 are in flight: 1 is missing\.$/,
    )
  })

  it('names every edge that does not balance', () => {
    const message = failureOf(() => expectBalanced([{ ...good, to: 'a', in: 0 }, good, { ...good, to: 'b', in: 0 }]))
    expect(message.match(/The edge market > \w+/g)).to.deep.equal(['The edge market > a', 'The edge market > b'])
  })

  it('leaves nothing in flight after the end: of a summary, or when it is said', () => {
    const sentence = '  The edge market > bars: 1 value is still in flight after the end.'
    for (const failing of [
      () => expectBalanced({ format: 'millrace-run/1', edges: [good] }),
      () => expectBalanced([good], { ended: true }),
    ]) {
      expect(failureOf(failing)).to.equal(`The accounts do not balance.\n${sentence}`)
    }
    expectBalanced({ format: 'millrace-run/1', edges: [good] }, { ended: false })
  })

  it('does not take nothing for a balance after the end', () => {
    expect(failureOf(() => expectBalanced({ format: 'millrace-run/1', edges: [] }))).to.equal(
      'There is no edge whose account could balance.',
    )
  })

  it('fails for counts that are none', () => {
    expect(failureOf(() => expectBalanced([{ ...good, in: NaN, inFlight: -1 }]))).to.equal(
      'The accounts do not balance.\n  The edge market > bars counts wrongly: in is NaN, in flight is -1.',
    )
    expect(failureOf(() => expectBalanced([{ ...good, dropped: { fail: 0.5 } }]))).to.include('fail is 0.5')
  })
})
