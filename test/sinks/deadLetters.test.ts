import { expect } from 'chai'
import { from, Subject } from 'rxjs'
import { Fault } from '../../src/model/fault'
import type { DeadLetter } from '../../src/sinks/deadLetter'
import { drain, type DrainOptions } from '../../src/sinks/drain'
import { memory } from '../../src/sinks/memory'
import { ScriptedSink, until } from './support'

const options: DrainOptions<number> = {
  capacity: 100,
  batchMax: 2,
  onFull: 'fail',
  retry: { attempts: 2, firstMs: 1, capMs: 1 },
}

describe('dead letters', () => {
  it('hold the values that a sink refused for longer than its budget, with the reason', async () => {
    const sink = new ScriptedSink<number>()
    sink.onWrite = (_, batch) => {
      if (batch.includes(3)) throw new Error('no threes')
    }
    const letters = memory<DeadLetter<number>>({ capacity: 10 })
    const result = await drain(from([[1, 2, 3, 4, 5]]), sink, { ...options, deadLetters: letters })
    expect(sink.values).to.deep.equal([1, 2, 5])
    expect(letters.values.map(({ value }) => value)).to.deep.equal([3, 4])
    expect(letters.values[0]).to.deep.include({
      sink: 'scripted',
      reason: 'rejected',
      code: 'SINK_REJECTED',
      attempts: 2,
      message: 'The sink scripted refused a batch: no threes.',
    })
    expect(result.ledger).to.deep.equal({ in: 5, out: 3, dropped: { rejected: 2 }, inFlight: 0 })
    expect(result.deadLettered).to.equal(2)
  })

  it('are counted while the run goes on', async () => {
    const sink = new ScriptedSink<number>()
    sink.onWrite = () => {
      throw new Error('no')
    }
    const values = new Subject<number>()
    const deadLetters = memory<DeadLetter<number>>({ capacity: 10 })
    const draining = drain(values, sink, { ...options, deadLetters })
    values.next(1)
    await until(() => sink.counters.deadLettered === 1, 'a dead letter that is counted')
    values.complete()
    expect(await draining).to.include({ deadLettered: 1, failed: 1 })
  })

  it('hold a single value that has no form, and none of its batch', async () => {
    const sink = new ScriptedSink<number>()
    sink.onWrite = (_, batch) => {
      const index = batch.indexOf(2)
      if (index >= 0) throw new Fault('VALUE_INVALID', 'Two cannot be written.', { index })
    }
    const letters = memory<DeadLetter<number>>({ capacity: 10 })
    const result = await drain(from([[1, 2, 3]]), sink, { ...options, batchMax: 3, deadLetters: letters })
    expect(sink.values).to.deep.equal([1, 3])
    expect(letters.values.map(({ value, reason }) => [value, reason])).to.deep.equal([[2, 'unencodable']])
    expect(result.ledger).to.deep.equal({ in: 3, out: 2, dropped: { unencodable: 1 }, inFlight: 0 })
  })

  it('that cannot be written down are said to be lost', async () => {
    const sink = new ScriptedSink<number>()
    sink.onWrite = () => {
      throw new Error('no')
    }
    const letters = new ScriptedSink<DeadLetter<number>>()
    letters.onWrite = () => {
      throw new Error('neither')
    }
    const faults: Fault[] = []
    const result = await drain(from([[1, 2, 3]]), sink, {
      ...options,
      deadLetters: letters,
      onFault: (fault) => faults.push(fault),
    })
    expect(result.deadLettered).to.equal(0)
    expect(faults.at(-1)?.message).to.match(/^3 of 3 values that the sink scripted gave up could not be written down/)
  })
})

describe('a sink that knows how far a run has come', () => {
  class Remembering extends ScriptedSink<number> {
    at = 0
    readonly keys: (readonly [string | undefined, number, number])[] = []
    position(): number {
      return this.at
    }
    override async write(
      batch: readonly number[],
      key?: { readonly run: string | undefined; readonly from: number; readonly to: number },
    ): Promise<void> {
      this.keys.push([key?.run, key?.from ?? -1, key?.to ?? -1])
      await super.write(batch)
      this.at = key?.to ?? this.at
      if (this.loseNext) {
        this.loseNext = false
        throw new Error('the answer was lost')
      }
    }
    loseNext = false
  }

  it('is told which values a batch holds', async () => {
    const sink = new Remembering()
    await drain(from([[1, 2, 3, 4, 5]]), sink, { ...options, run: 'monday' })
    expect(sink.keys).to.deep.equal([
      ['monday', 0, 2],
      ['monday', 2, 4],
      ['monday', 4, 5],
    ])
  })

  it('is not offered again what it holds of the run', async () => {
    const sink = new Remembering()
    sink.at = 3
    const result = await drain(from([[1, 2, 3, 4, 5]]), sink, { ...options, run: 'monday' })
    expect(sink.values).to.deep.equal([4, 5])
    expect(sink.keys[0]).to.deep.equal(['monday', 3, 4])
    expect(result.ledger).to.deep.equal({ in: 5, out: 2, dropped: { alreadyWritten: 3 }, inFlight: 0 })
  })

  it('is believed when the answer to a write was lost', async () => {
    const sink = new Remembering()
    sink.loseNext = true
    const result = await drain(from([[1, 2, 3]]), sink, { ...options, run: 'monday' })
    expect(sink.values).to.deep.equal([1, 2, 3])
    expect(result.ledger).to.deep.equal({ in: 3, out: 3, dropped: {}, inFlight: 0 })
    expect(result.failed).to.equal(0)
  })
})
