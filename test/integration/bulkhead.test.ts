/**
 * Sinks beside each other: one that refuses everything, one that never answers and one that is slow take nothing from
 * those that work.
 */
import { expect } from 'chai'
import { Subject } from 'rxjs'
import type { Fault } from '../../src/model/fault'
import { pipeline } from '../../src/pipeline/pipeline'
import type { DeadLetter } from '../../src/sinks/deadLetter'
import { http } from '../../src/sinks/http'
import { memory } from '../../src/sinks/memory'
import { sinkCounters, type Sink } from '../../src/sinks/sink'
import { expectBalanced } from '../../src/testing/ledger'
import { HttpReceiver } from '../sinks/httpReceiver'
import { until } from '../sinks/support'

const COUNT = 20_000
const AT_ONCE = 100
const CAPACITY = 500

/** A sink whose writes are answered when the test says so; the first of them is told. */
function waiting(name: string): { readonly sink: Sink<number>; writes: number; release?: () => void } {
  const under: ReturnType<typeof waiting> = {
    writes: 0,
    sink: {
      name,
      counters: sinkCounters(),
      open: () => Promise.resolve(),
      write: (batch) => {
        under.writes++
        return new Promise<void>((resolve) => {
          under.release = () => {
            under.sink.counters.written += batch.length
            resolve()
          }
        })
      },
      close: () => Promise.resolve(),
    },
  }
  return under
}

describe('Sinks of one stream', () => {
  let receiver: HttpReceiver
  let refuser: HttpReceiver

  before(async () => {
    receiver = await HttpReceiver.start()
    refuser = await HttpReceiver.start()
    refuser.reply = () => 503
  })
  after(() => Promise.all([receiver.stop(), refuser.stop()]))

  it('get everything in order though others refuse, never answer or are slow, and every edge balances', async () => {
    const numbers = new Subject<number>()
    const kept = memory<number>({ capacity: COUNT, name: 'kept' })
    const posted = http<number>(receiver.url, { name: 'posted' })
    const refused = http<number>(refuser.url, { name: 'refused' })
    const letters = memory<DeadLetter<number>>({ capacity: COUNT, name: 'letters' })
    const stalled = waiting('stalled')
    const slow = waiting('slow')
    const faults: Fault[] = []

    const run = pipeline('bulkhead', ({ source, sink }) => {
      const all = source('numbers', numbers, { capacity: CAPACITY, onFull: 'block' })
      const whole = { capacity: COUNT, onFull: 'fail', flushMs: 0 } as const
      const lossy = { capacity: CAPACITY, onFull: 'dropOldest', flushMs: 0, batchMax: 50 } as const
      sink(all, stalled.sink, lossy)
      sink(all, refused, { ...lossy, retry: { attempts: 3, firstMs: 1, capMs: 2 }, deadLetters: letters })
      sink(all, slow.sink, lossy)
      sink(all, kept, whole)
      sink(all, posted, whole)
    }).start({ stopWithinMs: 1_000, onFault: (fault) => faults.push(fault) })
    await run.ready

    for (let from = 0; from < COUNT; from += AT_ONCE) {
      for (let n = from; n < from + AT_ONCE; n++) numbers.next(n)
      slow.release?.()
      await until(() => kept.counters.written === from + AT_ONCE, `value ${from + AT_ONCE} among those that are kept`)
    }
    await until(() => posted.counters.written === COUNT, 'the last value that is posted')

    // The others are as broken as before.
    expect(stalled).to.include({ writes: 1 })
    expect(stalled.sink.counters.written).to.equal(0)
    expect(refused.counters.written).to.equal(0)
    await until(() => letters.values.length > 0, 'a dead letter')
    expect(slow.sink.counters.written).to.be.above(0).and.below(COUNT)
    const expected = Array.from({ length: COUNT }, (_, n) => n)
    expect(kept.values).to.deep.equal(expected)
    expect(receiver.values).to.deep.equal(expected)
    for (const edge of run.status().edges) expect(edge.inFlight, edge.to).to.be.at.most(CAPACITY + 50)

    const summary = await run.stop()
    expectBalanced(summary)
    const edge = (name: string) => summary.edges.find(({ to }) => to === name)!
    for (const name of ['kept', 'posted']) {
      expect(edge(name), name).to.deep.include({ in: COUNT, out: COUNT, dropped: {}, inFlight: 0 })
    }
    for (const name of ['stalled', 'refused', 'slow']) expect(edge(name), name).to.include({ in: COUNT, inFlight: 0 })
    expect(edge('stalled').out).to.equal(0)
    expect(edge('refused').out).to.equal(0)
    const lettersOf = (name: string) => summary.sinks.find((sink) => sink.name === name)!.deadLettered
    expect(lettersOf('refused')).to.equal(letters.values.length).and.to.be.above(0)
    expect(lettersOf('kept')).to.equal(undefined)
    expect(edge('slow').out).to.equal(slow.sink.counters.written)
    expect(edge('stalled').dropped['dropOldest']).to.be.above(COUNT - CAPACITY - 100)
    expect(faults.map(({ details }) => details['sink']).filter((name) => name !== undefined)).to.include.members([
      'stalled',
      'refused',
    ])
    expect(faults.filter(({ details }) => ['kept', 'posted'].includes(String(details['sink'])))).to.deep.equal([])
  })
})
