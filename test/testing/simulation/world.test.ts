import { expect } from 'chai'
import { Subject } from 'rxjs'
import { Fault } from '../../../src/model/fault'
import { World } from '../../../src/testing/simulation/world'

describe('World', () => {
  it('lets hours pass in no time, timer by timer', async () => {
    const world = new World(1)
    const seen = await world.run(async () => {
      await world.sleep(3 * 3_600_000)
      return world.elapsedMs
    })
    expect(seen).to.equal(3 * 3_600_000)
    expect(world.steps).to.be.lessThan(5)
  })

  it('lets all promises settle between two timers', async () => {
    const world = new World(1)
    const order: string[] = []
    await world.run(async () => {
      world.clock.after(1, () => {
        order.push('first timer')
        void (async () => {
          for (let turn = 0; turn < 100; turn++) await Promise.resolve()
          await new Promise((resolve) => process.nextTick(resolve))
          order.push('its promises')
        })()
      })
      world.clock.after(1, () => order.push('second timer'))
      await world.sleep(2)
    })
    expect(order).to.deep.equal(['first timer', 'its promises', 'second timer'])
  })

  it('gives the same chance, turns and late timers for the same seed, and others for another', async () => {
    const happening = async (seed: number): Promise<string> => {
      const world = new World(seed)
      const order: unknown[] = []
      await world.run(async () => {
        for (let each = 0; each < 20; each++) {
          world.host.defer(() => order.push(['turn', each]))
          world.host.clock.after(each % 3, () => order.push(['timer', each, world.clock.nowUs()]))
        }
        order.push(world.host.random(), world.random('mine').unit())
        await world.sleep(100)
      })
      return JSON.stringify(order)
    }
    const [first, second, other] = [await happening(7), await happening(7), await happening(8)]
    expect(second).to.equal(first)
    expect(other).to.not.equal(first)
  })

  it('keeps the streams of chance apart, so that drawing from one changes no other', () => {
    const [left, right] = [new World(3), new World(3)]
    left.random('busy').unit()
    left.random('busy').unit()
    expect(left.random('calm').unit()).to.equal(right.random('calm').unit())
  })

  it('makes timers late when work is done, and lets none fire meanwhile', async () => {
    const world = new World(1)
    const fired: number[] = []
    await world.run(async () => {
      world.clock.after(1, () => {
        world.spend(50)
        expect(fired).to.deep.equal([])
      })
      world.clock.after(2, () => fired.push(world.elapsedMs))
      await world.sleep(100)
    })
    expect(fired).to.deep.equal([51])
  })

  it('says what is waited for when nothing is left that could happen', async () => {
    const world = new World(1)
    const fault = await faultOf(world.run(() => world.waitFor('an answer', new Promise(() => undefined))))
    expect(fault.code).to.equal('DEADLINE_EXCEEDED')
    expect(fault.message).to.include('deadlock').and.include('an answer')
    expect(fault.details['waiting']).to.deep.equal(['an answer'])
  })

  it('ends what never ends, by its steps or by its time', async () => {
    const forEver = (world: World): Promise<never> =>
      new Promise(() => {
        const again = (): void => void world.clock.after(10, again)
        again()
      })
    const steps = new World(1, { stepsMax: 1_000 })
    expect((await faultOf(steps.run(() => forEver(steps)))).message).to.include('1000 steps')
    const time = new World(1, { withinMs: 5_000 })
    expect((await faultOf(time.run(() => forEver(time)))).message).to.include('5000 ms')
  })

  it('keeps what nobody caught: of timers, of promises, of subscribers', async () => {
    const world = new World(1)
    await world.run(async () => {
      world.clock.after(1, () => {
        throw new Error('a timer')
      })
      world.clock.after(2, () => {
        const subject = new Subject<number>()
        subject.subscribe(() => {
          throw new Error('a subscriber')
        })
        subject.next(1)
      })
      await world.sleep(10)
    })
    expect(world.errors.map((error) => (error as Error).message)).to.have.members(['a timer', 'a subscriber'])
  })

  it('passes on what its body throws', async () => {
    const world = new World(1)
    expect(await faultOf(world.run(() => Promise.reject(new Fault('VALUE_INVALID', 'no'))))).to.include({
      message: 'no',
    })
  })

  it('refuses to wait for the real machine', async () => {
    const world = new World(1)
    let timer: NodeJS.Timeout | undefined
    const fault = await faultOf(
      world.run(async () => {
        timer = setTimeout(() => undefined, 60_000)
        for (;;) await world.sleep(1)
      }),
    )
    clearTimeout(timer)
    expect(fault.message).to.include('Something real is waited for (Timeout)')
  })

  it('has no threads unless it is given some', async () => {
    const world = new World(1)
    const fault = await faultOf(world.host.spawn('/somewhere/entry', { deadlineMs: 10 }))
    expect(fault.message).to.include('no threads').and.include('entry')
  })

  it('can tell where a timer was set that is left behind', async () => {
    const world = new World(1, { trace: true })
    await world.run(async () => {
      world.clock.after(5_000, () => undefined)
      world.clock.after(5_000, () => undefined).cancel()
      await world.sleep(1)
    })
    expect(world.timersLeft).to.have.length(1)
    expect(world.timersLeft[0]).to.include('world.test.ts')
  })
})

async function faultOf(promise: Promise<unknown>): Promise<Fault> {
  try {
    await promise
  } catch (thrown) {
    return thrown as Fault
  }
  throw new Error('It was expected to fail.')
}
