import { expect } from 'chai'
import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { type Subscription } from 'rxjs'
import { VirtualClock } from '../../src/clock/virtualClock'
import { Sampler, processMetrics, type ProcessSample } from '../../src/metrics/processMetrics'
import { acquireUsageProbe, type Usage, type UsageProbe } from '../../src/metrics/processUsage'
import { until } from '../sinks/support'

class FakeProbe implements UsageProbe {
  asked: ((usage: Usage | undefined) => void)[] = []
  misses = 0
  released = 0

  ask(answered: (usage: Usage | undefined) => void): void {
    this.asked.push(answered)
  }

  answer(usage: Usage | undefined): void {
    this.asked.shift()!(usage)
  }

  missed(): void {
    this.misses++
  }

  release(): void {
    this.released++
  }
}

describe('the sampler of the process', () => {
  let clock: VirtualClock
  let probe: FakeProbe
  let stopped: number
  let samples: Omit<ProcessSample, 'workers'>[]
  let leave: () => void
  const start = (): void => {
    leave = new Sampler(
      clock,
      1_000,
      () => probe,
      () => stopped++,
    ).add((sample) => samples.push(sample))
  }

  beforeEach(() => {
    clock = new VirtualClock(1_700_000_000_000_000)
    probe = new FakeProbe()
    stopped = 0
    samples = []
    start()
  })
  afterEach(() => leave())

  it('gives CPU between two samples and memory of the moment', () => {
    probe.answer({ cpuTimeMs: 1_000, readAtMs: 50_000, rssBytes: 1 })
    clock.advance(1_000)
    expect(samples).to.deep.equal([])
    probe.answer({ cpuTimeMs: 1_250, readAtMs: 51_000, rssBytes: 77 })
    expect(samples[0]).to.include({ timeUs: 1_700_000_001_000_000, cpuPercent: 25, rssBytes: 77 })
    clock.advance(1_000)
    probe.answer({ cpuTimeMs: 3_250, readAtMs: 52_000, rssBytes: 78 })
    expect(samples[1]).to.include({ cpuPercent: 200, rssBytes: 78 })
  })

  it('has all of a sample but CPU and memory when the question hangs, and is on time with the next', () => {
    probe.answer({ cpuTimeMs: 0, readAtMs: 0, rssBytes: 1 })
    clock.advance(1_000)
    clock.advance(499)
    expect(samples.length).to.equal(0)
    clock.advance(1)
    expect(samples.length).to.equal(1)
    expect(samples[0]).to.include({ cpuPercent: undefined, rssBytes: undefined })
    expect(samples[0]!.heapUsedBytes).to.be.above(1_000_000)
    expect(samples[0]!.loopUtilization).to.be.within(0, 1)
    expect(probe.misses).to.equal(1)
    // A late answer is no sample.
    probe.answer({ cpuTimeMs: 100, readAtMs: 1_600, rssBytes: 2 })
    expect(samples.length).to.equal(1)
    clock.advance(500)
    probe.answer({ cpuTimeMs: 500, readAtMs: 2_000, rssBytes: 3 })
    expect(samples[1]).to.include({ timeUs: 1_700_000_002_000_000, cpuPercent: 25 })
  })

  it('has no CPU in a sample whose question failed', () => {
    clock.advance(1_000)
    probe.answer(undefined)
    probe.answer(undefined)
    expect(samples[0]).to.include({ cpuPercent: undefined, rssBytes: undefined })
  })

  it('gives no percentage of no time', () => {
    probe.answer({ cpuTimeMs: 0, readAtMs: 5, rssBytes: 1 })
    clock.advance(1_000)
    probe.answer({ cpuTimeMs: 10, readAtMs: 5, rssBytes: 1 })
    expect(samples[0]!.cpuPercent).to.equal(undefined)
  })

  it('leaves nothing behind when the last listener has gone', () => {
    clock.advance(1_000)
    leave()
    leave()
    expect(clock.pending).to.equal(0)
    expect(probe.released).to.equal(1)
    expect(stopped).to.equal(1)
    for (const answered of probe.asked) answered({ cpuTimeMs: 1, readAtMs: 1, rssBytes: 1 })
    expect(samples).to.deep.equal([])
  })

  it('counts garbage collections', async () => {
    const kept: unknown[] = []
    await until(() => {
      for (let n = 0; n < 20_000; n++) kept[n % 100] = { n, list: [n] }
      clock.advance(1_000)
      while (probe.asked.length > 0) probe.answer(undefined)
      return samples.some(({ gc }) => gc.count > 0)
    })
    const { gc } = samples.find((sample) => sample.gc.count > 0)!
    expect(gc.pauseMs).to.be.above(0)
    expect(gc.pauseMsMax).to.be.at.most(gc.pauseMs)
  })
})

describe('processMetrics', () => {
  it('samples this process through pidusage', async () => {
    const samples: ProcessSample[] = []
    const subscription = processMetrics({ everyMs: 1_000 }).subscribe((sample) => samples.push(sample))
    try {
      await until(() => samples.some(({ cpuPercent }) => cpuPercent !== undefined), 'a sample with CPU')
      const sample = samples.find(({ cpuPercent }) => cpuPercent !== undefined)!
      const rss = process.memoryUsage.rss()
      expect(sample.rssBytes).to.be.within(rss / 2, rss * 2)
      expect(sample.cpuPercent).to.be.within(0, 100 * 64)
      expect(sample.workers).to.deep.equal([])
      expect(sample.heapTotalBytes).to.be.at.least(sample.heapUsedBytes)
    } finally {
      subscription.unsubscribe()
    }
  })

  it('has one timer for all who ask for the same interval', () => {
    const clock = new VirtualClock()
    const metrics = processMetrics({ everyMs: 1_000, clock })
    const subscriptions: Subscription[] = [metrics.subscribe(), metrics.subscribe()]
    subscriptions.push(processMetrics({ everyMs: 1_000, clock }).subscribe())
    expect(clock.pending).to.equal(1)
    subscriptions.push(processMetrics({ everyMs: 500, clock }).subscribe())
    expect(clock.pending).to.equal(2)
    for (const subscription of subscriptions) subscription.unsubscribe()
    expect(clock.pending).to.equal(0)
  })

  it('shows how busy the named workers were since the sample before', () => {
    const clock = new VirtualClock()
    let active = 100
    const worker = {
      name: 'books',
      performance: { eventLoopUtilization: () => ({ idle: 900 + active, active, utilization: 0 }) },
    }
    const gone = {
      name: 'gone',
      performance: {
        eventLoopUtilization: (): never => {
          throw new Error('no such thread')
        },
      },
    }
    const samples: ProcessSample[] = []
    const subscription = processMetrics({ everyMs: 1_000, clock, workers: () => [worker, gone] }).subscribe((sample) =>
      samples.push(sample),
    )
    clock.advance(1_500)
    active += 50
    clock.advance(1_000)
    subscription.unsubscribe()
    expect(samples.map(({ workers }) => workers)).to.deep.equal([
      [
        { name: 'books', loopUtilization: 100 / 1_100 },
        { name: 'gone', loopUtilization: undefined },
      ],
      [
        { name: 'books', loopUtilization: 0.5 },
        { name: 'gone', loopUtilization: undefined },
      ],
    ])
  })

  it('refuses an interval that is none', () => {
    for (const everyMs of [0, -1, NaN, Infinity]) expect(() => processMetrics({ everyMs })).to.throw('everyMs')
  })

  it('shares one thread, and keeps no process alive', () => {
    const module = path.resolve(__dirname, '../../src/metrics/processUsage')
    const script = `
      const { acquireUsageProbe } = require(${JSON.stringify(module)})
      const probes = [acquireUsageProbe(), acquireUsageProbe()]
      probes[0].ask((usage) => { console.log(usage.rssBytes > 0); clearTimeout(deadline) })
      const deadline = setTimeout(() => {}, 110000)
    `
    const register = require.resolve('ts-node/register/transpile-only')
    const { status, stdout, stderr } = spawnSync(process.execPath, ['-r', register, '-e', script], {
      encoding: 'utf8',
      timeout: 120_000,
      cwd: path.resolve(__dirname, '../..'),
    })
    expect(stderr).to.equal('')
    expect(stdout).to.equal('true\n')
    expect(status).to.equal(0)
  })

  it('asks nothing after it was released', async () => {
    const probe = acquireUsageProbe()
    probe.release()
    probe.release()
    let answered = false
    probe.ask(() => (answered = true))
    probe.missed()
    await until(() => true)
    expect(answered).to.equal(false)
  })
})
