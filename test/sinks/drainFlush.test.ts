import { expect } from 'chai'
import { Fault } from '../../src/model/fault'
import { Drain, drain, type DrainOptions, type DrainResult } from '../../src/sinks/drain'
import { of } from 'rxjs'
import { MissingList } from '../kit/schedule'
import { faultOf, ScriptedSink, turns, VirtualClock } from './support'

const refuse = (): never => {
  throw new Fault('SINK_REJECTED', 'The sink scripted cannot write: it was told so.')
}

describe('Drain', () => {
  let sink: ScriptedSink<number>
  let clock: VirtualClock
  let faults: Fault[]
  let options: DrainOptions<number>

  beforeEach(() => {
    sink = new ScriptedSink()
    clock = new VirtualClock(1_700_000_000_000_000)
    faults = []
    options = { capacity: 100, batchMax: 2, onFull: 'dropNewest', clock, onFault: (fault) => faults.push(fault) }
  })

  /** A sink whose writes wait until they are let go. */
  const gate = (): { open: () => void } => {
    const waiting: (() => void)[] = []
    let isOpen = false
    sink.onWrite = () => (isOpen ? undefined : new Promise<void>((resolve) => waiting.push(resolve)))
    return {
      open: () => {
        isOpen = true
        for (const resolve of waiting.splice(0)) resolve()
      },
    }
  }

  const watched = (promise: Promise<unknown>): { isSettled: boolean } => {
    const state = { isSettled: false }
    void promise.then(() => (state.isSettled = true))
    return state
  }

  describe('flush', () => {
    it('resolves at once when there is nothing', async () => {
      const edge = new Drain(sink, options)
      await edge.flush()
      await turns()
      expect(clock.pending).to.equal(0)
    })

    it('resolves when what was pushed before is written, without waiting for fuller batches or closing', async () => {
      const edge = new Drain(sink, { ...options, batchMax: 100, flushMs: 1_000 })
      edge.push([1, 2, 3])
      await turns()
      expect(sink.values).to.deep.equal([])
      await edge.flush()
      expect(sink.values).to.deep.equal([1, 2, 3])
      expect([edge.state, sink.closes]).to.deep.equal(['running', 0])
      edge.push(4)
      await edge.finish()
      expect(sink.values).to.deep.equal([1, 2, 3, 4])
      expect(clock.pending).to.equal(0)
    })

    it('waits for the batch that is with the sink, and not for what comes later', async () => {
      const { open } = gate()
      const edge = new Drain(sink, options)
      edge.push(1)
      await turns()
      const flushed = watched(edge.flush())
      await turns()
      expect(flushed.isSettled).to.equal(false)
      sink.onWrite = (_, batch) => (batch.includes(2) ? new Promise(() => undefined) : undefined)
      edge.push([2, 3])
      open()
      await turns()
      expect(flushed.isSettled).to.equal(true)
      const end = edge.finish()
      await turns()
      clock.advance(5_000)
      await end
    })

    it('does not take values that were turned away meanwhile for those that wait', async () => {
      const { open } = gate()
      const edge = new Drain(sink, { ...options, capacity: 2 })
      edge.push(1)
      await turns()
      edge.push([2, 3])
      const flushed = watched(edge.flush())
      edge.push([4, 5, 6, 7, 8, 9])
      await turns()
      expect(flushed.isSettled).to.equal(false)
      open()
      await turns()
      expect(flushed.isSettled).to.equal(true)
      expect(sink.values).to.deep.equal([1, 2, 3])
      await edge.finish()
    })

    it('resolves when what waited was dropped with a reason', async () => {
      sink.onWrite = refuse
      const edge = new Drain(sink, { ...options, retry: { attempts: 1 } })
      edge.push([1, 2, 3])
      await edge.flush()
      expect(edge.ledger.dropped).to.deep.equal({ rejected: 3 })
      await edge.finish()
      await edge.flush()
    })

    it('never waits for longer than closing may take, and says so', async () => {
      sink.onWrite = () => new Promise(() => undefined)
      const edge = new Drain(sink, { ...options, closeWithinMs: 2_000 })
      edge.push([1, 2, 3])
      const flushed = watched(edge.flush())
      await turns()
      clock.advance(1_999)
      await turns()
      expect(flushed.isSettled).to.equal(false)
      clock.advance(1)
      await turns()
      expect(flushed.isSettled).to.equal(true)
      expect(faults.map(({ code, message }) => [code, message])).to.deep.equal([
        [
          'DEADLINE_EXCEEDED',
          'The sink scripted was not flushed within 2 s: 3 values are still to be written. Check its destination, or allow more time.',
        ],
      ])
      expect(edge.ledger.inFlight).to.equal(3)
    })
  })

  describe('kill', () => {
    it('drops what waits, lets the sink finish the batch that it has, and closes it', async () => {
      const { open } = gate()
      const edge = new Drain(sink, options)
      edge.push([1, 2, 3, 4, 5])
      await turns()
      const killed = edge.kill()
      expect(edge.ledger).to.deep.equal({ in: 5, out: 0, dropped: { stopped: 3 }, inFlight: 2 })
      edge.push(6)
      open()
      const result = await killed
      expect(result).to.deep.include({ ended: 'aborted', written: 2 })
      expect(result.ledger).to.deep.equal({ in: 6, out: 2, dropped: { stopped: 3, closed: 1 }, inFlight: 0 })
      expect(sink.closes).to.equal(1)
      expect(clock.pending).to.equal(0)
    })

    it('offers nothing again: neither in a pause between two attempts, nor to a sink that refuses', async () => {
      sink.onWrite = refuse
      sink.onClose = refuse
      const edge = new Drain(sink, { ...options, retry: { attempts: 1_000, firstMs: 100_000, capMs: 100_000 } })
      edge.push([1, 2, 3])
      await turns()
      const result = await edge.kill()
      expect(result.ledger).to.deep.equal({ in: 3, out: 0, dropped: { stopped: 3 }, inFlight: 0 })
      expect(sink.calls).to.deep.equal(['open', 'write', 'close'])
      expect(clock.pending).to.equal(0)
    })

    it('cuts a finish short, with the deadline that it had', async () => {
      sink.onWrite = refuse
      const edge = new Drain(sink, { ...options, retry: { attempts: 1_000, firstMs: 100_000, capMs: 100_000 } })
      edge.push([1, 2, 3])
      const finished = edge.finish('completed', 60_000)
      await turns()
      expect(await edge.kill()).to.equal(await finished)
      expect((await finished).ended).to.equal('aborted')
    })

    it('does not wait beyond the deadline for a sink that hangs', async () => {
      sink.onWrite = () => new Promise(() => undefined)
      const edge = new Drain(sink, { ...options, closeWithinMs: 1_000 })
      edge.push([1, 2, 3])
      await turns()
      let result: DrainResult | undefined
      void edge.kill().then((done) => (result = done))
      await turns()
      clock.advance(1_000)
      await turns()
      expect(result!.ledger).to.deep.equal({ in: 3, out: 0, dropped: { stopped: 1, deadline: 2 }, inFlight: 0 })
    })

    it('settles a flush, and changes nothing when all is over', async () => {
      const { open } = gate()
      const edge = new Drain(sink, options)
      edge.push([1, 2, 3])
      await turns()
      const flushed = edge.flush()
      const killed = edge.kill()
      open()
      await flushed
      const result = await killed
      expect(await edge.kill()).to.equal(result)
    })

    it('lets a source go on that it had paused', async () => {
      const asked: string[] = []
      const pressure = { pause: () => void asked.push('pause'), resume: () => void asked.push('resume') }
      const { open } = gate()
      const edge = new Drain(sink, { ...options, capacity: 2, onFull: 'block', pressure })
      edge.push(0)
      await turns()
      edge.push([1, 2])
      const killed = edge.kill()
      open()
      await killed
      expect(asked).to.deep.equal(['pause', 'resume'])
    })
  })

  it('finishes within the time that it is given, not only within its own', async () => {
    sink.onWrite = () => new Promise(() => undefined)
    const edge = new Drain(sink, options)
    edge.push(1)
    const finished = watched(edge.finish('completed', 300))
    await turns()
    clock.advance(300)
    await turns()
    expect(finished.isSettled).to.equal(true)
    expect(faults[0]!.message).to.include('was not closed within 0.3 s')
  })

  describe('with receipts', () => {
    const receipts = (): MissingList<number, readonly number[]> =>
      new MissingList<number, readonly number[]>(
        (dropped) => dropped,
        (missing) => missing.map((value) => -value),
      )

    it('has them written in the place of what is missing, and keeps them out of the ledger', async () => {
      const { open } = gate()
      const edge = new Drain(sink, { ...options, capacity: 2, receipts: receipts() })
      edge.push(0)
      await turns()
      edge.push([1, 2, 3, 4])
      open()
      await edge.flush()
      edge.push(5)
      const { ledger, written } = await edge.finish()
      expect(sink.values).to.deep.equal([0, 1, 2, -3, -4, 5])
      expect(ledger).to.deep.equal({ in: 6, out: 4, dropped: { dropNewest: 2 }, inFlight: 0 })
      expect(written).to.equal(6)
      expect(edge.receipts).to.deep.include({ runs: 1, values: 2 })
    })

    it('writes the last of them also when nothing follows', async () => {
      const { open } = gate()
      const edge = new Drain(sink, { ...options, capacity: 1, receipts: receipts() })
      edge.push(0)
      await turns()
      edge.push([1, 2])
      open()
      await edge.finish()
      expect(sink.values).to.deep.equal([0, 1, -2])
    })

    it('tells of a batch that was given up, and of a value that could not be written', async () => {
      sink.onWrite = (_, batch) => {
        if (batch.includes(1)) refuse()
        const index = batch.indexOf(3)
        if (index >= 0) throw new Fault('VALUE_INVALID', 'It cannot be written.', { index })
      }
      const edge = new Drain(sink, { ...options, retry: { attempts: 1 }, receipts: receipts() })
      edge.push([1, 2, 3, 4, 5])
      const { ledger } = await edge.finish()
      expect(sink.values).to.deep.equal([-1, -2, 4, -3, 5])
      expect(ledger).to.deep.equal({ in: 5, out: 2, dropped: { rejected: 2, unencodable: 1 }, inFlight: 0 })
    })

    it('loses nothing else to a sink that cannot write them', async () => {
      sink.onWrite = (_, batch) => {
        if (batch.some((value) => value < 0)) refuse()
      }
      const edge = new Drain(sink, { ...options, capacity: 2, retry: { attempts: 1 }, receipts: receipts() })
      edge.push([1, 2, 3])
      await edge.flush()
      edge.push([4, 5, 6])
      const { ledger } = await edge.finish()
      expect(sink.values).to.deep.equal([1, 2, 4, 5])
      expect(ledger).to.deep.equal({ in: 6, out: 4, dropped: { dropNewest: 2 }, inFlight: 0 })
      expect(faults.map(({ message }) => message.includes('A batch of 1 receipt was given up'))).to.deep.equal([
        true,
        true,
      ])
    })

    it('tells what was dropped before it', async () => {
      const edge = new Drain(sink, { ...options, receipts: receipts() })
      edge.push(1)
      await edge.flush()
      const before = receipts()
      before.add([7])
      edge.skipped(before)
      await turns()
      expect(sink.values).to.deep.equal([1, -7])
      await edge.finish()
    })
  })

  it('refuses a policy that is none, and one that needs a disk where there is none', async () => {
    const wrong = { ...options, onFull: { sample: 1 } }
    expect(() => new Drain(sink, wrong))
      .to.throw('sample is a whole number')
      .with.property('code', 'OPTION_INVALID')
    const spilling = { ...options, onFull: { spill: 'x', bytesMax: 10 } }
    expect((await faultOf(drain(of(1), sink, spilling))).message).to.include('drain has no disk of its own')
  })
})
