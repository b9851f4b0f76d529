import { expect } from 'chai'
import type { Fault } from '../../../src/model/fault'
import type { WorkerHandle } from '../../../src/workers/spawn'
import { transferred } from '../../../src/workers/entry'
import { simulatedThreads } from '../../../src/testing/simulation/threads'
import { CALM, type ThreadWeather } from '../../../src/testing/simulation/weather'
import { World } from '../../../src/testing/simulation/world'

interface Api {
  double(values: number[]): number[]
  take(bytes: Uint8Array): Uint8Array
  fail(): never
  none(): undefined
}

const ENTRIES = {
  entry: {
    double: (values: number[]) => values.map((value) => value * 2),
    take: (bytes: Uint8Array) => transferred(bytes, [bytes.buffer]),
    fail: () => {
      throw new TypeError('it failed')
    },
    none: () => undefined,
  },
  alone: (value: number) => Promise.resolve(value + 1),
}

describe('simulatedThreads', () => {
  it('answers calls on copies, in their order, later', () =>
    within({}, async (spawn, world) => {
      const worker = await spawn('/somewhere/entry.ts')
      const values = [1, 2]
      const before = world.elapsedMs
      const first = worker.call('double', [values])
      values.push(3)
      const order: string[] = []
      await Promise.all([
        first.then(() => order.push('first')),
        worker.call('none', []).then((result) => order.push(`second ${String(result)}`)),
      ])
      expect(await first).to.deep.equal([2, 4])
      expect(order).to.deep.equal(['first', 'second undefined'])
      expect(world.elapsedMs).to.be.greaterThan(before)
      await worker.terminate()
    }))

  it('empties what is transferred, in both directions', () =>
    within({}, async (spawn) => {
      const worker = await spawn('/somewhere/entry')
      const bytes = new Uint8Array([1, 2, 3])
      const answer = worker.call('take', [bytes], { transfer: [bytes.buffer] })
      expect(bytes.length).to.equal(0)
      expect([...(await answer)]).to.deep.equal([1, 2, 3])
      await worker.terminate()
    }))

  it('gives what a function throws as a fault, and refuses functions and entries that there are not', () =>
    within({}, async (spawn) => {
      const worker = await spawn('/somewhere/entry')
      expect((await faultOf(worker.call('fail', []))).message).to.equal('it failed')
      expect((await faultOf(worker.call('missing' as 'none', []))).message).to.include('double, take, fail, none')
      expect((await faultOf(spawn('/somewhere/unknown'))).message).to.include('unknown')
      expect((await faultOf(worker.call('double', [[Symbol() as unknown as number]]))).code).to.equal('STAGE_FAILED')
      await worker.terminate()
    }))

  it('dies in the middle of a call, tells everybody, and answers nothing afterwards', () =>
    within({ deathChance: 1, workMs: 20 }, async (spawn) => {
      const worker = await spawn('/somewhere/entry')
      const calls = [worker.call('none', []), worker.call('double', [[1]])].map(faultOf)
      expect((await worker.died).code).to.equal('WORKER_DIED')
      for (const call of calls) expect((await call).code).to.equal('WORKER_DIED')
      expect((await faultOf(worker.call('none', []))).code).to.equal('WORKER_DIED')
      expect(worker.fault?.details).to.include({ reason: 'exit', callsLost: 2 })
    }))

  it('never becomes ready when the weather says so, and can be given up while it loads', () =>
    within({ stillbornChance: 1 }, async (spawn, world) => {
      const before = world.elapsedMs
      expect((await faultOf(spawn('/somewhere/entry'))).code).to.equal('WORKER_DIED')
      expect(world.elapsedMs - before).to.equal(500)
      const stopping = new AbortController()
      const spawned = faultOf(spawn('/somewhere/entry', stopping.signal))
      stopping.abort(new Error('no longer wanted'))
      expect((await spawned).message).to.equal('no longer wanted')
    }))

  it('keeps deadlines of calls', () =>
    within({ workMs: 10_000 }, async (spawn) => {
      const worker = await spawn('/somewhere/entry')
      expect((await faultOf(worker.call('none', [], { deadlineMs: 1 }))).code).to.equal('DEADLINE_EXCEEDED')
      await worker.terminate()
    }))

  async function within(
    weather: Partial<ThreadWeather>,
    body: (spawn: (entry: string, signal?: AbortSignal) => Promise<WorkerHandle<Api>>, world: World) => Promise<void>,
  ): Promise<void> {
    const world = new World(5, { threads: (of) => simulatedThreads(of, { ...CALM.threads, ...weather }, ENTRIES) })
    await world.run(() =>
      body(
        (entry, signal) =>
          world.host.spawn<Api>(entry, { deadlineMs: 500, ...(signal === undefined ? {} : { signal }) }),
        world,
      ),
    )
    expect(world.errors).to.deep.equal([])
    expect(world.clock.pending, 'timers left').to.equal(0)
  }
})

async function faultOf(promise: Promise<unknown>): Promise<Fault> {
  try {
    await promise
  } catch (thrown) {
    return thrown as Fault
  }
  throw new Error('It was expected to fail.')
}
