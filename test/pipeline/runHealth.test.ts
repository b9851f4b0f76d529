import { expect } from 'chai'
import { VirtualClock } from '../../src/clock/virtualClock'
import type { ConnectionView } from '../../src/pipeline/market'
import { describePipeline, type PipelineBuilder } from '../../src/pipeline/description'
import { liveHost, type Host } from '../../src/pipeline/host'
import { Run } from '../../src/pipeline/run'
import { feed } from '../../src/pipeline/sources'
import { memory } from '../../src/sinks/memory'
import { sinkCounters, type Sink } from '../../src/sinks/sink'
import { NO_COST } from '../../src/testing/noCost'
import { trade } from '../kit/marketEvents'
import { turns } from '../sinks/support'
import { FakeMarket, FIRST_US } from './fakeMarket'

const roomy = { capacity: 10, onFull: 'block', flushMs: 0 } as const
const WISH = { exchanges: ['kraken'], instruments: ['BTC-USD'], channel: 'trades' } as const

describe('The health of a run', () => {
  const ends: (() => Promise<unknown>)[] = []
  afterEach(async () => {
    for (const end of ends.splice(0)) await end()
  })

  it('is well when nothing is wrong, and is not watched before somebody asks', async () => {
    const { run, market, clock } = begun(listening)
    market.send([trade()])
    await turns()
    const timers = clock.pending
    expect(run.health()).to.include({ level: 'healthy', timeUs: clock.nowUs() })
    expect(run.health().reasons).to.deep.equal([])
    expect(clock.pending).to.equal(timers + 1)
  })

  it('says which exchange is not connected, and for how long through all its attempts', async () => {
    const { run, market, clock } = begun(listening)
    market.send([trade()])
    await turns()
    run.health()
    const levels: string[] = []
    for (let attempt = 0; attempt < 35; attempt++) {
      const state = attempt % 2 === 0 ? 'waiting' : 'connecting'
      market.views = [view({ state, sinceUs: clock.nowUs(), trouble: 'refused.' })]
      clock.advance(2_000)
      const { level } = run.health()
      if (level !== levels.at(-1)) levels.push(level)
    }
    expect(levels).to.deep.equal(['healthy', 'degraded', 'unhealthy'])
    expect(run.health().reasons).to.deep.equal([
      'kraken (fake) has not been connected for 70 s. The last trouble: refused.',
    ])
    market.views = [view({ state: 'open', sinceUs: clock.nowUs() })]
    clock.advance(4_000)
    expect(run.health().level, 'not at once').to.equal('unhealthy')
    clock.advance(3_000)
    expect(run.health().level).to.equal('healthy')
  })

  it('is unhealthy when a required exchange is given up, and degraded when it is one that nobody requires', async () => {
    for (const required of [true, false]) {
      const { run, market, clock } = begun(({ source, sink }) =>
        sink(source('trades', feed(WISH), { ...roomy, required }), memory({ capacity: 10 }), roomy),
      )
      market.send([trade()])
      market.views = [view({ state: 'failed', trouble: 'no answer' })]
      await turns()
      run.health()
      clock.advance(1_000)
      expect(run.health().level).to.equal(required ? 'unhealthy' : 'degraded')
      expect(run.health().reasons).to.deep.equal(['kraken (fake) is given up: no answer.'])
    }
  })

  it('is degraded by a loop that is blocked for seconds, not by one delay, and returns late', async () => {
    const { run, market, clock, machine } = begun(listening)
    market.send([trade()])
    await turns()
    run.health()
    const levelAfter = (loopDelayMs: number, seconds: number): string => {
      machine.loopDelayMs = loopDelayMs
      clock.advance(seconds * 1_000)
      return run.health().level
    }
    expect(levelAfter(500, 2)).to.equal('healthy')
    expect(levelAfter(0, 1)).to.equal('healthy')
    expect(levelAfter(500, 5)).to.equal('degraded')
    expect(run.health().reasons.join()).to.contain('500 ms (99th percentile)')
    expect(levelAfter(60, 30), 'within the hysteresis').to.equal('degraded')
    expect(levelAfter(10, 9), 'not for long enough').to.equal('degraded')
    expect(levelAfter(10, 2)).to.equal('healthy')
    expect(levelAfter(1_500, 5)).to.equal('unhealthy')
  })

  it('tells of memory, edges that are full and sinks that refuse', async () => {
    const sink = refusing()
    const { run, market, clock, machine } = begun(({ source, sink: into }) =>
      into(source('trades', feed(WISH), roomy), sink, { ...roomy, retry: { attempts: 1_000 } }),
    )
    run.health()
    for (let sent = 0; sent < 11; sent++) market.send([trade()])
    await turns()
    machine.memoryPercent = 95
    for (let second = 0; second < 8; second++) {
      clock.advance(1_000)
      await turns()
    }
    const { level, reasons } = run.health()
    expect(level).to.equal('unhealthy')
    expect(reasons.join(' ')).to.contain('The edge from trades to refusing is 100 % full')
    expect(reasons.join(' ')).to.contain('95 % of the memory')
    expect(reasons.join(' ')).to.match(/Batches of refusing had to be offered again \d+ times within a minute/)
    sink.refuses = false
    machine.memoryPercent = 10
    for (let second = 0; second < 130; second++) {
      clock.advance(1_000)
      await turns(2)
    }
    expect(run.health().reasons).to.deep.equal([])
    expect(run.health().level).to.equal('healthy')
  })

  it('says that something required has not come', async () => {
    const market = new ViewedMarket()
    market.ready = new Promise(() => undefined)
    const { run, clock } = begun(listening, market)
    market.send([trade()])
    await turns()
    run.health()
    clock.advance(31_000)
    expect(run.health().level).to.equal('degraded')
    expect(run.health().reasons.join()).to.contain('Not all that is required has come yet, 31 s after the start')
  })

  it('stands as it was when the run is over', async () => {
    const { run, clock } = begun(listening)
    run.health()
    await run.stop()
    const timers = clock.pending
    expect(run.health().level).to.equal('healthy')
    expect(clock.pending).to.equal(timers)
  })

  function begun(build: (builder: PipelineBuilder) => void, market = new ViewedMarket()) {
    const clock = new VirtualClock(FIRST_US + 1_000_000)
    const machine = { loopDelayMs: 0, memoryPercent: 0 }
    const cost = () => ({ cpuPercent: 0, rssBytes: 0, loopDelayMs: { p50: 0, p99: machine.loopDelayMs, max: 0 } })
    const host: Host = {
      ...liveHost,
      clock,
      watch: () => ({ ...NO_COST, read: cost }),
      memoryPercent: () => machine.memoryPercent,
    }
    const run = new Run({
      description: describePipeline('test', build),
      mode: 'live',
      market: () => market,
      recorder: undefined,
      host,
      outDir: 'out',
      digest: false,
      stopWithinMs: 5_000,
      onFault: () => undefined,
    })
    run.done.catch(() => undefined)
    ends.push(async () => {
      const ended = run.kill()
      await turns()
      clock.advance(10_000)
      await ended
    })
    return { run, market, clock, machine }
  }
})

/** A market whose connections a test describes. */
class ViewedMarket extends FakeMarket {
  views: readonly ConnectionView[] = [view({})]

  override connections(): readonly ConnectionView[] {
    return this.views
  }
}

function view(given: Partial<ConnectionView>): ConnectionView {
  return { exchange: 'kraken', url: 'fake', state: 'open', sinceUs: FIRST_US, attempts: 1, ...given }
}

function listening({ source, sink }: PipelineBuilder): void {
  sink(source('trades', feed(WISH), roomy), memory({ capacity: 10 }), roomy)
}

function refusing(): Sink<unknown> & { refuses: boolean } {
  return {
    name: 'refusing',
    counters: sinkCounters(),
    refuses: true,
    open: () => Promise.resolve(),
    write() {
      return this.refuses ? Promise.reject(new Error('busy')) : Promise.resolve()
    },
    close: () => Promise.resolve(),
  }
}
