import { expect } from 'chai'
import fc from 'fast-check'
import { Dispatcher, type Receiver } from '../../src/actors/dispatcher'
import { VirtualClock } from '../../src/clock/virtualClock'

describe('Dispatcher', () => {
  let clock: VirtualClock
  let nowMs: number
  /** What was put off to a later turn of the loop. */
  let deferred: (() => void)[]
  let broken: unknown[]
  let seen: string[]
  let dispatcher: Dispatcher

  beforeEach(() => {
    clock = new VirtualClock(1_000)
    nowMs = 0
    deferred = []
    broken = []
    seen = []
    dispatcher = new Dispatcher({
      clock,
      budgetMs: 8,
      nowMs: () => nowMs,
      defer: (callback) => deferred.push(callback),
      onBroken: (thrown) => broken.push(thrown),
    })
  })

  /** One turn of the event loop. */
  const turn = (): void => {
    for (const callback of deferred.splice(0)) callback()
  }
  const turns = (): void => {
    while (deferred.length > 0) turn()
  }
  const see: Receiver<string> = { process: (value) => void seen.push(`${value}@${clock.nowUs()}`) }
  const work = (ms: number): Receiver<string> => ({
    process: (value) => {
      nowMs += ms
      seen.push(value)
    },
  })

  it('runs at once what comes while nothing waits, at its own time', () => {
    dispatcher.post(2_000, see, 'a')
    dispatcher.post(undefined, see, 'b')
    dispatcher.post(3_000, see, 'c')
    expect(seen).to.deep.equal(['a@2000', 'b@2000', 'c@3000'])
    expect(dispatcher.depth).to.equal(0)
  })

  it('runs nothing while it is held, time included, and goes on in order when it is let go as often', () => {
    dispatcher.hold()
    dispatcher.hold()
    dispatcher.post(2_000, see, 'a')
    dispatcher.tick(3_000)
    dispatcher.post(4_000, see, 'b')
    turns()
    dispatcher.release()
    turns()
    expect([seen, clock.nowUs(), dispatcher.depth]).to.deep.equal([[], 1_000, 3])
    dispatcher.release()
    turns()
    expect(seen).to.deep.equal(['a@2000', 'b@4000'])
    dispatcher.release() // once too often
    dispatcher.post(5_000, see, 'c')
    expect(seen.at(-1)).to.equal('c@5000')
  })

  it('stops after the piece by which it is held', () => {
    const holding: Receiver<string> = {
      process: (value) => {
        seen.push(value)
        dispatcher.hold()
      },
    }
    nowMs = 0
    dispatcher.post(undefined, work(10), 'long')
    dispatcher.post(undefined, holding, 'full')
    dispatcher.post(undefined, see, 'later')
    turns()
    expect([seen, dispatcher.held]).to.deep.equal([['long', 'full'], true])
    dispatcher.release()
    turns()
    expect(seen).to.deep.equal(['long', 'full', 'later@1000'])
  })

  it('never moves the clock backwards', () => {
    dispatcher.post(5_000, see, 'a')
    dispatcher.post(4_000, see, 'b')
    expect(seen).to.deep.equal(['a@5000', 'b@5000'])
  })

  it('runs what a piece posts after that piece, in order', () => {
    const nesting: Receiver<string> = {
      process: (value) => {
        dispatcher.post(undefined, see, `${value}1`)
        dispatcher.post(undefined, see, `${value}2`)
        seen.push(value)
      },
    }
    dispatcher.post(undefined, nesting, 'a')
    dispatcher.post(undefined, see, 'b')
    turns()
    expect(seen).to.deep.equal(['a', 'a1@1000', 'a2@1000', 'b@1000'])
  })

  it('gives the loop its turn when the budget is spent, and keeps the order', () => {
    for (const value of ['a', 'b', 'c', 'd', 'e']) dispatcher.post(undefined, work(5), value)
    expect(seen).to.deep.equal(['a', 'b'])
    expect(dispatcher.depth).to.equal(3)
    turn()
    expect(seen).to.deep.equal(['a', 'b', 'c', 'd'])
    dispatcher.post(undefined, work(1), 'f')
    turns()
    expect(seen.join('')).to.equal('abcdef')
  })

  it('has a new budget in a new turn, also when nothing had to wait', () => {
    dispatcher.post(undefined, work(20), 'a')
    turn()
    dispatcher.post(undefined, work(20), 'b')
    expect(seen).to.deep.equal(['a', 'b'])
  })

  it('fires timers that are due before the piece of the same stamp, and after all earlier ones', () => {
    clock.after(2, () => seen.push(`timer@${clock.nowUs()}`))
    dispatcher.post(2_999, see, 'a')
    dispatcher.post(3_000, see, 'b')
    expect(seen).to.deep.equal(['a@2999', 'timer@3000', 'b@3000'])
  })

  it('fires them in the same place when the pieces had to wait', () => {
    clock.after(2, () => seen.push(`timer@${clock.nowUs()}`))
    dispatcher.post(undefined, work(100), 'busy')
    dispatcher.post(2_999, see, 'a')
    dispatcher.post(3_000, see, 'b')
    expect(seen).to.deep.equal(['busy'])
    turns()
    expect(seen).to.deep.equal(['busy', 'a@2999', 'timer@3000', 'b@3000'])
  })

  it('moves the clock by itself when told the time, in order with what waits', () => {
    clock.after(2, () => seen.push('timer'))
    dispatcher.post(undefined, work(100), 'busy')
    dispatcher.tick(3_000)
    expect(seen).to.deep.equal(['busy'])
    turns()
    expect(seen).to.deep.equal(['busy', 'timer'])
    expect(clock.nowUs()).to.equal(3_000)
  })

  it('runs what a timer posts after the piece whose time fired it', () => {
    clock.after(1, () => dispatcher.post(undefined, see, 'of the timer'))
    dispatcher.post(2_000, see, 'a')
    turns()
    expect(seen).to.deep.equal(['a@2000', 'of the timer@2000'])
  })

  it('reports what throws, timers included, and goes on', () => {
    const failure = new Error('thrown')
    const throws: Receiver<string> = {
      process: () => {
        throw failure
      },
    }
    dispatcher.post(undefined, throws, 'a')
    dispatcher.post(undefined, work(100), 'b')
    dispatcher.post(undefined, throws, 'c')
    dispatcher.post(undefined, see, 'd')
    turns()
    clock.after(1, () => throws.process('', undefined as never))
    dispatcher.tick(9_000)
    dispatcher.post(undefined, see, 'e')
    expect(broken).to.deep.equal([failure, failure, failure])
    expect(seen).to.deep.equal(['b', 'd@1000', 'e@9000'])
  })

  it('runs what took the place of a value, and not what was withdrawn, whose time moves the clock all the same', () => {
    const values: unknown[] = []
    const seen: Receiver<unknown> = { process: (value) => values.push(value, clock.nowUs()) }
    dispatcher.post(undefined, work(100), 'busy')
    const replaced = dispatcher.post(1, seen, 'a')
    const withdrawn = dispatcher.post(2_000, seen, 'b')
    dispatcher.post(undefined, seen, undefined)
    replaced.value = 'c'
    dispatcher.withdraw(withdrawn)
    dispatcher.withdraw(withdrawn)
    turns()
    expect(values).to.deep.equal(['c', 1_000, undefined, 2_000])
  })

  it('does not grow by what is withdrawn as fast as it comes', () => {
    dispatcher.post(undefined, work(100), 'busy')
    const ran: unknown[] = []
    const receiver: Receiver<unknown> = { process: (value) => ran.push(value) }
    dispatcher.post(undefined, receiver, 'first')
    for (let n = 0; n < 100_000; n++) dispatcher.withdraw(dispatcher.post(n, receiver, n))
    expect(dispatcher.depth).to.be.below(5_000)
    turns()
    expect(ran).to.deep.equal(['first'])
    expect(clock.nowUs()).to.equal(99_999)
  })

  it('says when nothing waits any more', async () => {
    await dispatcher.idle()
    dispatcher.post(undefined, work(100), 'a')
    dispatcher.post(undefined, work(100), 'b')
    dispatcher.post(undefined, work(100), 'c')
    let idle = 0
    const waits = [dispatcher.idle(), dispatcher.idle()].map((each) => each.then(() => idle++))
    turn()
    await Promise.resolve()
    expect(idle).to.equal(0)
    turns()
    await Promise.all(waits)
    expect(seen).to.deep.equal(['a', 'b', 'c'])
  })

  it('keeps the order of posting and the order of time whatever the pieces cost', () => {
    const piece = fc.record({ stepUs: fc.nat({ max: 3 }), ms: fc.nat({ max: 12 }), turnAfter: fc.boolean() })
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 200 }), (pieces) => {
        const order: number[] = []
        const at: number[] = []
        const time = new VirtualClock(0)
        let ms = 0
        const later: (() => void)[] = []
        const runs = new Dispatcher({
          clock: time,
          budgetMs: 8,
          nowMs: () => ms,
          defer: (callback) => later.push(callback),
          onBroken: (thrown) => expect.fail(String(thrown)),
        })
        let stampUs = 0
        pieces.forEach(({ stepUs, ms: cost, turnAfter }, index) => {
          stampUs += stepUs
          const expected = stampUs
          const process = (): void => {
            ms += cost
            order.push(index)
            at.push(time.nowUs() - expected)
          }
          runs.post(stampUs, { process }, index)
          if (turnAfter) for (const callback of later.splice(0)) callback()
        })
        while (later.length > 0) later.shift()!()
        expect(order).to.deep.equal(pieces.map((_, index) => index))
        expect(at.every((apart) => apart === 0)).to.equal(true)
        expect(runs.depth).to.equal(0)
      }),
    )
  })

  it('runs a hundred thousand pieces that waited without keeping them', () => {
    let sum = 0
    const add: Receiver<number> = { process: (value) => void (sum += value) }
    dispatcher.post(undefined, work(100), 'busy')
    for (let value = 0; value < 100_000; value++) dispatcher.post(undefined, add, value)
    turns()
    expect(sum).to.equal(4_999_950_000)
    expect((dispatcher as unknown as { waiting: unknown[] }).waiting.length).to.equal(0)
  })
})
