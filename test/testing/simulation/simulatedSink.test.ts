import { createHash } from 'node:crypto'
import { expect } from 'chai'
import { VirtualClock } from '../../../src/clock/virtualClock'
import type { Fault } from '../../../src/model/fault'
import type { Sink } from '../../../src/sinks/sink'
import { simulatedSink } from '../../../src/testing/simulation/simulatedSink'
import { CALM, type SinkWeather } from '../../../src/testing/simulation/weather'
import { World } from '../../../src/testing/simulation/world'

const CONTEXT = { outDir: 'out', clock: new VirtualClock() }

describe('simulatedSink', () => {
  it('takes its time, keeps what it was given in order, and knows the digest of it', () =>
    within({ writeMs: 20 }, async (sink, taken, world) => {
      await sink.open(CONTEXT)
      const before = world.elapsedMs
      await sink.write([1, 2])
      await sink.write([3])
      await sink.close()
      expect(world.elapsedMs).to.be.greaterThan(before)
      expect(taken).to.deep.equal(['<1>', '<2>', '<3>'])
      expect(sink.counters).to.include({ written: 3, bytes: 12 })
      expect(sink.digest?.()).to.equal(`sha256:${createHash('sha256').update('<1>\n<2>\n<3>\n').digest('hex')}`)
    }))

  it('takes a batch whole or not at all', () =>
    within({ refusalChance: 0.5 }, async (sink, taken) => {
      while ((await refusalOf(sink.open(CONTEXT))) !== undefined) expect(taken).to.deep.equal([])
      let accepted = 0
      let refused = 0
      for (let batch = 0; batch < 100; batch++) {
        const fault = await refusalOf(sink.write([batch, batch]))
        if (fault === undefined) accepted++
        else {
          refused++
          expect(fault.code).to.equal('SINK_REJECTED')
        }
        expect(taken.length).to.equal(2 * accepted)
      }
      expect(accepted).to.be.greaterThan(20)
      expect(refused).to.be.greaterThan(20)
    }))

  it('hangs when the weather says so', () =>
    within({ hangChance: 1, hangMs: 400 }, async (sink, _, world) => {
      await sink.open(CONTEXT)
      const before = world.elapsedMs
      await sink.write([1])
      expect(world.elapsedMs - before).to.equal(400)
    }))

  it('goes on where it stood when it is opened again, unless it begins anew', () =>
    within({}, async (sink) => {
      await sink.open(CONTEXT)
      await sink.write([1])
      await sink.close()
      await sink.close()
      await sink.open({ ...CONTEXT, resume: true })
      await sink.write([2])
      expect(sink.counters.written).to.equal(2)
      await sink.close()
      await sink.open(CONTEXT)
      expect(sink.counters.written).to.equal(0)
    }))

  it('tells whoever writes to it twice at once, or before it is open', () =>
    within({ writeMs: 5 }, async (sink) => {
      expect((await refusalOf(sink.write([1])))?.message).to.include('before it was open')
      await sink.open(CONTEXT)
      const first = sink.write([1])
      expect((await refusalOf(sink.write([2])))?.message).to.include('twice at once')
      await first
    }))

  async function within(
    weather: Partial<SinkWeather>,
    body: (sink: Sink<number>, taken: readonly string[], world: World) => Promise<void>,
  ): Promise<void> {
    const world = new World(3)
    const taken: string[] = []
    const sink = simulatedSink<number>({
      name: 'sink',
      world,
      weather: { ...CALM.sinks, ...weather },
      encode: (value) => `<${value}>`,
      onTaken: (line) => void taken.push(line),
    })
    await world.run(() => body(sink, taken, world))
    expect(world.clock.pending, 'timers left').to.equal(0)
  }
})

async function refusalOf(promise: Promise<unknown>): Promise<Fault | undefined> {
  try {
    await promise
    return undefined
  } catch (thrown) {
    return thrown as Fault
  }
}
