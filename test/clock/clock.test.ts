import { expect } from 'chai'
import fc from 'fast-check'
import { every, sleep, type Clock, type Timer } from '../../src/clock/clock'
import { VirtualClock } from '../../src/clock/virtualClock'

describe('every', () => {
  it('ticks on multiples of its period since 1970, wherever it starts', () => {
    const clock = new VirtualClock(2_500_000)
    const ticks: number[] = []
    every(clock, 1_000, (nowUs) => ticks.push(nowUs))
    clock.advance(3_000)
    expect(ticks).to.deep.equal([3_000_000, 4_000_000, 5_000_000])
  })

  it('waits a whole period when it starts on a multiple', () => {
    const clock = new VirtualClock(2_000_000)
    const ticks: number[] = []
    every(clock, 1_000, (nowUs) => ticks.push(nowUs))
    clock.advance(999)
    expect(ticks).to.deep.equal([])
    clock.advance(1)
    expect(ticks).to.deep.equal([3_000_000])
  })

  it('ticks once per period on a clock whose timers fire early', () => {
    const clock = new EarlyClock(900)
    const ticks: number[] = []
    every(clock, 10, (nowUs) => ticks.push(nowUs))
    clock.runUntil(50_500)
    expect(ticks).to.deep.equal([10_000, 20_000, 30_000, 40_000, 50_000])
    expect(clock.early, 'timers that did fire early').to.be.above(0)
  })

  it('never tells a tick before its time', () => {
    const clock = new EarlyClock(900)
    const early: number[] = []
    every(clock, 7, (dueUs) => {
      if (clock.nowUs() < dueUs) early.push(dueUs)
    })
    clock.runUntil(200_000)
    expect(early).to.deep.equal([])
  })

  it('skips the ticks that were missed while the machine was busy', () => {
    const clock = new LateClock()
    const ticks: number[] = []
    every(clock, 10, (nowUs) => ticks.push(nowUs))
    clock.fireAt(10_000)
    clock.fireAt(57_000)
    clock.fireAt(60_000)
    expect(ticks).to.deep.equal([10_000, 20_000, 60_000])
  })

  it('skips the ticks that its own callback took too long for', () => {
    const clock = new LateClock()
    const ticks: number[] = []
    every(clock, 10, (nowUs) => {
      ticks.push(nowUs)
      if (ticks.length === 1) clock.passTo(45_000)
    })
    clock.fireAt(10_000)
    clock.fireAt(45_100)
    clock.fireAt(50_000)
    expect(ticks).to.deep.equal([10_000, 50_000])
  })

  it('stops when it is cancelled, also from within a tick', () => {
    const clock = new VirtualClock()
    let ticks = 0
    const outside = every(clock, 10, () => ticks++)
    clock.advance(30)
    outside.cancel()
    clock.advance(100)
    expect(ticks).to.equal(3)

    const inside = every(clock, 10, () => {
      ticks++
      inside.cancel()
    })
    clock.advance(100)
    expect(ticks).to.equal(4)
    expect(clock.pending).to.equal(0)
  })

  it('ticks every period exactly once, whatever the period, the start and how the clock moves', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 10_000_000 }),
        fc.integer({ min: 1, max: 5_000 }),
        fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 20 }),
        (startUs, everyMs, stepsMs) => {
          const clock = new VirtualClock(startUs)
          const ticks: number[] = []
          every(clock, everyMs, (nowUs) => ticks.push(nowUs))
          for (const stepMs of stepsMs) clock.advance(stepMs)
          const periodUs = everyMs * 1_000
          const first = Math.floor(startUs / periodUs) + 1
          const last = Math.floor(clock.nowUs() / periodUs)
          const due = Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => (first + index) * periodUs)
          expect(ticks).to.deep.equal(due)
        },
      ),
    )
  })
})

describe('sleep', () => {
  it('resolves after its time and not before', async () => {
    const clock = new VirtualClock()
    let awake = false
    const sleeping = sleep(clock, 100).then(() => (awake = true))
    clock.advance(99)
    await Promise.resolve()
    expect(awake).to.equal(false)
    clock.advance(1)
    await sleeping
    expect(awake).to.equal(true)
  })

  it('rejects with the reason as soon as it is aborted, and leaves no timer', async () => {
    const clock = new VirtualClock()
    const abort = new AbortController()
    const sleeping = sleep(clock, 100, abort.signal)
    const reason = new Error('enough')
    abort.abort(reason)
    expect(await rejectionOf(sleeping)).to.equal(reason)
    expect(clock.pending).to.equal(0)
  })

  it('does not begin when it was aborted before', async () => {
    const clock = new VirtualClock()
    const reason = new Error('enough')
    expect(await rejectionOf(sleep(clock, 100, AbortSignal.abort(reason)))).to.equal(reason)
    expect(clock.pending).to.equal(0)
  })

  it('lets go of the signal when it has slept', async () => {
    const clock = new VirtualClock()
    const { signal, listeners } = countedSignal()
    const sleeping = sleep(clock, 100, signal)
    expect(listeners()).to.equal(1)
    clock.advance(100)
    await sleeping
    expect(listeners()).to.equal(0)
  })
})

interface Due {
  readonly atUs: number
  readonly callback: () => void
}

/** A clock whose timers fire up to `earlyUs` before they are due, as those of an event loop do. */
class EarlyClock implements Clock {
  early = 0
  private now = 0
  private readonly due: Due[] = []

  constructor(private readonly earlyUs: number) {}

  nowUs(): number {
    return this.now
  }

  after(delayMs: number, callback: () => void): Timer {
    const due: Due = { atUs: this.now + Math.max(0, delayMs * 1_000), callback }
    this.due.push(due)
    return { cancel: () => void this.due.splice(this.due.indexOf(due), 1) }
  }

  runUntil(timeUs: number): void {
    for (;;) {
      const next = this.due.reduce<Due | undefined>(
        (first, due) => (first === undefined || due.atUs < first.atUs ? due : first),
        undefined,
      )
      if (next === undefined || next.atUs > timeUs) return
      this.due.splice(this.due.indexOf(next), 1)
      const firesUs = Math.max(this.now + 1, next.atUs - this.earlyUs)
      if (firesUs < next.atUs) this.early++
      this.now = firesUs
      next.callback()
    }
  }
}

/** A clock with one timer, which fires when the test says so: as late as a busy machine's. */
class LateClock implements Clock {
  private now = 0
  private callback: (() => void) | undefined

  nowUs(): number {
    return this.now
  }

  after(_: number, callback: () => void): Timer {
    this.callback = callback
    return { cancel: () => (this.callback = undefined) }
  }

  passTo(timeUs: number): void {
    this.now = timeUs
  }

  fireAt(timeUs: number): void {
    this.passTo(timeUs)
    const { callback } = this
    this.callback = undefined
    callback?.()
  }
}

function countedSignal(): { signal: AbortSignal; listeners: () => number } {
  const { signal } = new AbortController()
  let count = 0
  const add = signal.addEventListener.bind(signal)
  const remove = signal.removeEventListener.bind(signal)
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    count++
    add(...args)
  }
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    count--
    remove(...args)
  }
  return { signal, listeners: () => count }
}

async function rejectionOf(work: Promise<unknown>): Promise<unknown> {
  try {
    await work
  } catch (thrown) {
    return thrown
  }
  throw new Error('expected a rejection')
}
