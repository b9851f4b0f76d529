import { expect } from 'chai'
import { interval, map } from 'rxjs'
import { VirtualClock } from '../../src/clock/virtualClock'
import type { Stall } from '../../src/metrics/stalls/stall'
import type { Fault } from '../../src/model/fault'
import { pipeline } from '../../src/pipeline/pipeline'
import { StallTeller, tellStalls } from '../../src/pipeline/stallFaults'
import { memory } from '../../src/sinks/memory'
import { eventually } from '../kit/eventually'

const stall = (more: Partial<Stall> = {}): Stall => ({
  startedUs: 0,
  lastedMs: 400,
  stage: 1,
  cause: 'code',
  ownMs: 380,
  asleepMs: 0,
  gcMs: 20,
  starvedMs: 0,
  ...more,
})

describe('stalls as faults', () => {
  let clock: VirtualClock
  let faults: Fault[]
  let teller: StallTeller
  beforeEach(() => {
    clock = new VirtualClock(1_700_000_000_000_000)
    faults = []
    teller = new StallTeller('monitor', clock, (fault) => faults.push(fault))
  })

  it('name the stage and how long, in a sentence', () => {
    teller.take(stall(), 'monitor/best')
    expect(faults).to.have.length(1)
    expect(faults[0]).to.include({ code: 'LOOP_BLOCKED', repair: 'skip' })
    expect(faults[0]!.details).to.deep.include({ stage: 'monitor/best', lastedMs: 400, ownMs: 380, gcMs: 20 })
    expect(faults[0]!.message).to.match(
      /^The event loop stood still for 400 ms while the stage monitor\/best was at work: /,
    )
    expect(faults[0]!.message).to.contain('millrace doctor')
  })

  it('say so where the thread slept, and where no stage was at work', () => {
    teller.take(stall({ asleepMs: 350 }), undefined)
    expect(faults[0]!.message).to.contain('while no stage was at work, asleep in a call')
    expect(faults[0]!.details).not.to.have.property('stage')
  })

  it('are none where collections of garbage or the machine were the cause, or another pipeline', () => {
    teller.take(stall({ cause: 'gc' }), 'monitor/best')
    teller.take(stall({ cause: 'machine' }), 'monitor/best')
    teller.take(stall(), 'monitoring/best')
    expect(faults).to.deep.equal([])
  })

  it('are told once in a while for each stage, with how often it happened since', () => {
    for (let times = 0; times < 5; times++) teller.take(stall({ lastedMs: 400 + times }), 'monitor/best')
    teller.take(stall(), 'monitor/other')
    expect(faults.map(({ details }) => details['stage'])).to.deep.equal(['monitor/best', 'monitor/other'])
    clock.advance(10_001)
    teller.take(stall(), 'monitor/best')
    expect(faults[2]!.details).to.deep.include({ stage: 'monitor/best', further: 4 })
    expect(faults[2]!.message).to.contain('(and 4 times before since it was told last)')
  })

  it('that were only counted are told at the end, the longest', () => {
    for (const lastedMs of [400, 900, 500]) teller.take(stall({ lastedMs }), 'monitor/best')
    teller.end()
    expect(faults.map(({ details }) => details['lastedMs'])).to.deep.equal([400, 900])
    teller.end()
    expect(faults).to.have.length(2)
  })

  it('of very many stages are told as of one', () => {
    for (let stage = 0; stage < 1_000; stage++) teller.take(stall(), `monitor/${stage}`)
    expect(faults.length).to.be.at.most(101)
  })

  it('are refused options that are none', () => {
    for (const afterMs of [0, -1, Number.NaN, 1e9]) {
      const begin = (): unknown => tellStalls({ afterMs, pipeline: 'monitor', clock, onFault: () => undefined })
      expect(begin, String(afterMs)).to.throw().with.property('code', 'OPTION_INVALID')
    }
  })

  it('come of a run whose stage sleeps, and stop nothing', async () => {
    const pause = new Int32Array(new SharedArrayBuffer(4))
    const sleepy = pipeline('sleepy', ({ source, sink }) => {
      const numbers = source('numbers', interval(20), { capacity: 2, onFull: 'dropOldest' })
      const slept = numbers.through(
        'sleeper',
        map((number) => {
          Atomics.wait(pause, 0, 0, 600)
          return { number }
        }),
      )
      sink(slept, memory({ capacity: 10 }), { capacity: 100, onFull: 'dropOldest' })
    })
    const run = sleepy.start({ stalls: { afterMs: 100 }, onFault: (fault) => faults.push(fault) })
    try {
      const fault = await eventually(() => {
        const found = faults.find(({ code }) => code === 'LOOP_BLOCKED')
        if (found === undefined) throw new Error('no stall was told of')
        return found
      })
      expect(fault.details).to.include({ stage: 'sleepy/sleeper' })
    } finally {
      const summary = await run.stop()
      expect(summary.faults['LOOP_BLOCKED']).to.be.at.least(1)
      expect(summary.problems).to.deep.equal([])
    }
  })
})
