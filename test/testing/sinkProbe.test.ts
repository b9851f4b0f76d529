import { expect } from 'chai'
import { Fault } from '../../src/model/fault'
import { VirtualClock } from '../../src/clock/virtualClock'
import { Drain } from '../../src/sinks/drain'
import { expectBalanced } from '../../src/testing/ledger'
import { sinkProbe, type SinkProbe } from '../../src/testing/sinkProbe'
import { sourceProbe } from '../../src/testing/sourceProbe'
import { failureOf, rejectionOf } from './failureOf'

const context = { outDir: 'out', clock: new VirtualClock() }
const refused = new Fault('SINK_REJECTED', 'No.')

describe('A sink probe', () => {
  it('holds each write until it is acknowledged', async () => {
    const { out, drain, source } = drained()
    source.sendNext(1, 2)
    expect(await out.nextWrite()).to.deep.equal([1, 2])
    out.expectWriting([1, 2])
    source.sendNext(3)
    expect(drain.ledger).to.deep.include({ in: 3, out: 0, inFlight: 3 })
    out.acknowledge()
    await turn()
    out.expectWriting([3])
    out.acknowledge()
    await turn()
    out.expectIdle()
    expect([out.batches, out.values, out.attempts]).to.deep.equal([[[1, 2], [3]], [1, 2, 3], 2])
    out.expectOpen()
    const { ledger, written } = await drain.finish()
    expectBalanced(ledger, { ended: true })
    expect(written).to.equal(3)
    out.expectClosed()
    out.expectContract()
  })

  it('lets as many writes through as it is told to', async () => {
    const { out, source } = drained({ allowed: 1 })
    source.sendNext(1)
    await turn()
    source.sendNext(2)
    await turn()
    expect(out.values).to.deep.equal([1])
    out.expectWriting([2])
    out.allow(2)
    await turn()
    source.sendNext(3)
    await turn()
    expect(out.values).to.deep.equal([1, 2, 3])
    out.allow()
    for (let value = 4; value < 8; value++) {
      source.sendNext(value)
      await turn()
    }
    expect(out.values).to.have.length(7)
    out.hold()
    source.sendNext(8)
    await turn()
    out.expectWriting([8])
  })

  it('holds its source back through a full edge', async () => {
    const { out, source } = drained({ capacity: 2 })
    source.sendNext(1)
    await out.nextWrite()
    source.sendNext(2, 3)
    source.expectPaused()
    out.allow()
    await turn()
    source.expectResumed()
  })

  it('refuses as often as it is told to, and is offered the same batch again', async () => {
    const { out, source, clock, faults } = drained()
    out.refuse(refused, 2)
    source.sendNext(1)
    await turn()
    expect(out.attempts).to.equal(1)
    clock.advance(60_000)
    await turn()
    clock.advance(60_000)
    await out.nextWrite()
    expect(out.attempts).to.equal(3)
    out.acknowledge()
    expect([out.values, faults]).to.deep.equal([[1], []])
    out.expectContract()
  })

  it('refuses what it holds', async () => {
    const { out, source, clock } = drained()
    source.sendNext(1)
    await out.nextWrite()
    out.refuse(refused)
    await turn()
    out.expectIdle()
    clock.advance(60_000)
    await out.nextWrite()
    out.acknowledge()
    expect(out.attempts).to.equal(2)
  })

  it('refuses to be opened', async () => {
    const out = sinkProbe<number>()
    out.refuseOpen(refused)
    let thrown: unknown
    await out.open(context).catch((fault: unknown) => (thrown = fault))
    expect(thrown).to.equal(refused)
    expect(failureOf(() => out.expectOpen())).to.equal('Expected the sink probe to be open, but it is new.')
    await out.open({ ...context, resume: true })
    out.expectOpen()
    expect(out.context).to.include({ resume: true })
    expect(failureOf(() => out.expectClosed())).to.equal('Expected the sink probe to be closed, but it is open.')
  })

  it('hangs until it is let go', async () => {
    const { out, source, clock, faults } = drained({ allowed: Infinity })
    out.hang()
    source.sendNext(1)
    await out.nextWrite()
    clock.advance(40_000)
    expect(faults.map(({ code }) => code)).to.deep.equal(['DEADLINE_EXCEEDED'])
    out.allow()
    out.expectWriting([1])
    out.release()
    await turn()
    expect(out.values).to.deep.equal([1])
    source.sendNext(2)
    await turn()
    expect(out.values, 'only that one hung').to.deep.equal([1, 2])
  })

  it('accepts the drain of the engine when one value is unwritable, and when a batch is given up', async () => {
    const { out, source, clock, drain } = drained({ retries: 2 })
    source.sendNext(1)
    await out.nextWrite()
    source.sendNext(2, 3)
    out.acknowledge()
    await out.nextWrite()
    out.refuse(new Fault('VALUE_INVALID', 'Not that one.', { index: 0 }))
    await turn()
    out.expectWriting([3])
    out.refuse(refused, 2)
    for (let tries = 0; tries < 3; tries++) {
      await turn()
      clock.advance(60_000)
    }
    await turn()
    source.sendNext(4)
    await out.nextWrite()
    out.allow()
    await turn()
    expect(out.values).to.deep.equal([1, 4])
    const { ledger } = await drain.finish()
    expect(ledger.dropped).to.deep.equal({ unencodable: 1, rejected: 1 })
    expectBalanced(ledger, { ended: true })
    out.expectContract()
  })

  describe('fails when the contract is broken:', () => {
    const broken = async (breakIt: (out: SinkProbe<number>) => unknown): Promise<string> => {
      const out = sinkProbe<number>()
      void Promise.resolve(breakIt(out)).catch(() => undefined)
      await turn()
      const message = failureOf(() => out.expectContract())
      expect(
        failureOf(() => out.expectIdle()),
        'every expectation says it',
      ).to.equal(message)
      return message
    }

    it('written before it is open, or after it was closed', async () => {
      expect(await broken((out) => out.write([1]))).to.equal(
        'The sink contract was broken by what writes to probe:\n  A batch was written while the sink was not yet open.',
      )
      expect(
        await broken((out) =>
          out
            .open(context)
            .then(() => out.close())
            .then(() => out.write([1])),
        ),
      ).to.include('while the sink was closed')
      expect(
        await broken((out) => {
          void out.open(context)
          void out.write([1])
        }),
      ).to.include('while the sink was opening')
    })

    it('written concurrently', async () => {
      expect(
        await broken(async (out) => {
          await out.open(context)
          void out.write([1])
          void out.write([2])
        }),
      ).to.include('while another was being written')
    })

    it('opened twice', async () => {
      expect(await broken((out) => out.open(context).then(() => out.open(context)))).to.include(
        'opened while it was open',
      )
      expect(
        await broken((out) => {
          void out.open(context)
          void out.open(context)
        }),
      ).to.include('while it was being opened')
    })

    it('another array after a refusal', async () => {
      expect(
        await broken(async (out) => {
          await out.open(context)
          out.refuse(refused)
          await out.write([1]).catch(() => undefined)
          await out.write([1])
        }),
      ).to.include('as the same array')
    })

    it('an unwritable value offered again', async () => {
      expect(
        await broken(async (out) => {
          await out.open(context)
          out.refuse(new Fault('VALUE_INVALID', 'Not that one.', { index: 1 }))
          const batch = [1, 2, 3]
          await out.write(batch).catch(() => undefined)
          await out.write(batch)
        }),
      ).to.include('was not offered again without it')
    })

    it('a batch that changes while it is written', async () => {
      expect(
        await broken(async (out) => {
          await out.open(context)
          const batch = [1, 2]
          void out.write(batch)
          batch.push(3)
          out.acknowledge()
        }),
      ).to.include('changed while it was being written')
    })
  })

  it('says what is missing when a write is expected', async () => {
    const out = sinkProbe<number>({ name: 'trades' })
    expect(failureOf(() => out.acknowledge())).to.equal(
      'Expected a write to acknowledge, but nothing is being written to trades.',
    )
    expect(failureOf(() => out.expectWriting())).to.match(/^Expected a write to be under way/)
    await out.open(context)
    void out.write([1])
    expect(failureOf(() => out.expectIdle())).to.equal('Expected nothing to be written to trades, but [ 1 ] is.')
    expect(failureOf(() => out.expectWriting([2]))).to.include('being written to trades is not what was expected')
    expect(failureOf(() => out.release())).to.include('does not')
  })

  it('waits for a write no longer than its deadline', async () => {
    const clock = new VirtualClock()
    const out = sinkProbe<number>()
    const waiting = rejectionOf(() => out.nextWrite({ withinMs: 50, clock }))
    clock.advance(50)
    expect(await waiting).to.equal('Expected a write to probe, but none came within 50 ms.')
    expect(clock.pending).to.equal(0)
  })

  it('keeps no more than its capacity', async () => {
    const out = sinkProbe<number>({ allowed: Infinity, capacity: 2 })
    await out.open(context)
    await out.write([1, 2])
    let thrown: unknown
    await out.write([3]).catch((fault: unknown) => (thrown = fault))
    expect(thrown).to.include({ code: 'SINK_REJECTED' })
    expect(out.values).to.deep.equal([1, 2])
  })
})

function drained({ allowed = 0, capacity = 100, retries = 8 } = {}) {
  const out = sinkProbe<number>({ allowed })
  const clock = new VirtualClock()
  const faults: Fault[] = []
  const source = sourceProbe<number>()
  const drain = new Drain<number>(out, {
    capacity,
    batchMax: 10,
    onFull: 'block',
    clock,
    pressure: source.pressure,
    retry: { attempts: retries },
    onFault: (fault) => faults.push(fault),
  })
  source.subscribe((value) => drain.push(value))
  return { out, clock, faults, source, drain }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
