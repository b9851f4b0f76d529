import { expect } from 'chai'
import { VirtualClock } from '../../src/clock/virtualClock'
import { knownWorkers, noteWorker } from '../../src/metrics/knownWorkers'
import { ProcessSampler } from '../../src/metrics/processSampler'
import type { ProcessSample } from '../../src/metrics/processSample'
import type { Usage, UsageProbe } from '../../src/metrics/processUsage'
import { socketGauges } from '../../src/metrics/socketGauges'
import { reportMemory } from '../../src/metrics/threadReport'
import { until } from '../sinks/support'

class FakeProbe implements UsageProbe {
  usage: Usage | undefined
  everyMs: number[] = []
  stopped = 0

  latest(): Usage | undefined {
    return this.usage
  }

  soFar(): Usage {
    return { cpuTimeMs: 1_000, readAtMs: 50_000, rssBytes: 1 }
  }

  every(everyMs: number): void {
    this.everyMs.push(everyMs)
  }

  stop(): void {
    this.stopped++
  }
}

describe('the sampler of the process', () => {
  let clock: VirtualClock
  let probe: FakeProbe
  let probes: number
  let sampler: ProcessSampler
  let samples: ProcessSample[]
  let leaves: (() => void)[]
  const listen = (everyMs = 1_000, into = samples, on = clock): (() => void) => {
    const leave = sampler.listen(on, everyMs, { next: (sample) => into.push(sample) })
    leaves.push(leave)
    return leave
  }
  const worker = (idleMs: number, activeMs: number) => ({
    eventLoopUtilization: () => ({ idle: idleMs, active: activeMs, utilization: 0 }),
  })

  beforeEach(() => {
    clock = new VirtualClock(1_700_000_000_000_000)
    probe = new FakeProbe()
    probes = 0
    sampler = new ProcessSampler(() => {
      probes++
      return probe
    })
    samples = []
    leaves = []
  })
  afterEach(() => {
    for (const leave of leaves) leave()
    expect(clock.pending).to.equal(0)
  })

  it('gives CPU since the sample before, from the beginning on, and memory of the moment', () => {
    listen()
    probe.usage = { cpuTimeMs: 1_250, readAtMs: 51_000, rssBytes: 77 }
    clock.advance(1_000)
    expect(samples[0]).to.include({ timeUs: 1_700_000_001_000_000, cpuPercent: 25, cpuTimeMs: 1_250, rssBytes: 77 })
    probe.usage = { cpuTimeMs: 3_250, readAtMs: 52_000, rssBytes: 78 }
    clock.advance(1_000)
    expect(samples[1]).to.include({ cpuPercent: 200, rssBytes: 78 })
  })

  it('has all but CPU and memory of the process when nothing new was heard of those, on time', () => {
    listen()
    clock.advance(1_000)
    probe.usage = { cpuTimeMs: 1_100, readAtMs: 51_000, rssBytes: 3 }
    clock.advance(2_000)
    expect(samples.map(({ cpuPercent, cpuTimeMs, rssBytes }) => [cpuPercent, cpuTimeMs, rssBytes])).to.deep.equal([
      [undefined, undefined, undefined],
      [10, 1_100, 3],
      [undefined, undefined, undefined],
    ])
    for (const sample of samples) {
      expect(sample.heapUsedBytes).to.be.above(1_000_000)
      expect(sample.heapTotalBytes).to.be.at.least(sample.heapUsedBytes)
      expect(sample.externalBytes).to.be.at.least(sample.arrayBuffersBytes)
      expect(sample.arrayBuffersBytes).to.be.above(0)
      expect(sample.loopUtilization).to.be.within(0, 1)
      expect(Object.values(sample.activeResources).every((count) => count >= 1)).to.equal(true)
    }
  })

  it('takes the CPU of an interval that was missed into the next one', () => {
    listen()
    clock.advance(2_000)
    probe.usage = { cpuTimeMs: 1_500, readAtMs: 53_000, rssBytes: 3 }
    clock.advance(1_000)
    expect(samples[2]!.cpuPercent).to.be.closeTo(16.7, 0.001)
  })

  it('takes no row from before its beginning', () => {
    probe.usage = { cpuTimeMs: 900, readAtMs: 49_000, rssBytes: 3 }
    listen()
    clock.advance(1_000)
    expect(samples[0]).to.include({ cpuPercent: undefined, rssBytes: undefined })
  })

  it('is one for all: one probe, one timer for an interval, and the probe goes by the shortest', () => {
    const leave = listen(1_000)
    listen(1_000)
    expect(clock.pending).to.equal(1)
    const quick = listen(250)
    expect(clock.pending).to.equal(2)
    const other = new VirtualClock()
    const elsewhere = listen(5_000, samples, other)
    expect(other.pending).to.equal(1)
    expect(probes).to.equal(1)
    quick()
    quick()
    leave()
    elsewhere()
    expect(other.pending).to.equal(0)
    expect(probe.everyMs).to.deep.equal([1_000, 250, 250, 1_000, 1_000])
    expect(probe.stopped).to.equal(0)
    for (const each of leaves) each()
    expect(probe.stopped).to.equal(1)
    listen()
    expect(probes).to.equal(2)
  })

  it('gives each interval a window of its own', () => {
    const slow: ProcessSample[] = []
    listen(500)
    listen(1_000, slow)
    probe.usage = { cpuTimeMs: 1_100, readAtMs: 50_500, rssBytes: 1 }
    clock.advance(500)
    probe.usage = { cpuTimeMs: 1_400, readAtMs: 51_000, rssBytes: 1 }
    clock.advance(500)
    expect(samples.map(({ cpuPercent }) => cpuPercent)).to.deep.equal([20, 60])
    expect(slow.map(({ cpuPercent }) => cpuPercent)).to.deep.equal([40])
  })

  it('is not stopped by a listener that leaves, or joins, while a sample is given', () => {
    const late: ProcessSample[] = []
    const leave = sampler.listen(clock, 1_000, {
      next: () => {
        leave()
        listen(1_000, late)
      },
    })
    listen()
    clock.advance(1_000)
    expect([samples.length, late.length]).to.deep.equal([1, 0])
    clock.advance(1_000)
    expect([samples.length, late.length]).to.deep.equal([2, 1])
  })

  it('counts garbage collections by kind, for each window', async () => {
    listen()
    const kept: unknown[] = []
    await until(() => {
      for (let n = 0; n < 20_000; n++) kept[n % 100] = { n, list: [n] }
      clock.advance(1_000)
      return samples.some(({ gc }) => gc.count > 0)
    })
    const { gc } = samples.find((sample) => sample.gc.count > 0)!
    expect(gc.pauseMs).to.be.above(0)
    expect(gc.pauseMsMax).to.be.at.most(gc.pauseMs)
    expect(Object.values(gc.byKind).reduce((sum, { count }) => sum + count, 0)).to.equal(gc.count)
  })

  it('shows a loop that was held up', async () => {
    listen()
    const endMs = performance.now() + 120
    let turned = 0
    while (performance.now() < endMs) turned++
    expect(turned).to.be.above(0)
    await until(() => {
      clock.advance(1_000)
      return samples.some(({ loopDelayMs }) => loopDelayMs.max > 0)
    })
    const { p50, p90, p99, max } = samples.find(({ loopDelayMs }) => loopDelayMs.max > 0)!.loopDelayMs
    expect(max).to.be.above(80)
    expect([p50, p90, p99, max]).to.deep.equal([p50, p90, p99, max].toSorted((a, b) => a - b))
  })

  it('knows the workers that millrace has started, by names that are told apart', () => {
    const figures = [reportMemory(), reportMemory()]
    const forget = figures.map((each, index) => noteWorker('books.js', worker(900, 100 * (index + 1)), each))
    try {
      listen()
      expect(figures.map(({ wantedMs }) => wantedMs)).to.deep.equal([1_000, 1_000])
      const nowMs = performance.timeOrigin + performance.now()
      figures[0]!.write([nowMs - 1_000, 5, 10, 20, 30, 1, 2, 3])
      clock.advance(1_000)
      figures[0]!.write([nowMs, 505, 11, 21, 31, 2, 20, 30])
      clock.advance(1_000)
      const unsaid = {
        cpuPercent: undefined,
        heapUsedBytes: undefined,
        heapTotalBytes: undefined,
        externalBytes: undefined,
      }
      // Since a window began, which neither of these workers has done anything in.
      expect(samples[0]!.workers.map(({ loopUtilization }) => loopUtilization)).to.deep.equal([0, 0])
      expect(samples[1]!.workers).to.deep.equal([
        {
          name: 'books.js',
          loopUtilization: 0,
          cpuPercent: 50,
          heapUsedBytes: 11,
          heapTotalBytes: 21,
          externalBytes: 31,
        },
        { name: 'books.js 2', loopUtilization: 0, ...unsaid },
      ])
      expect(samples[1]!.sockets).to.deep.equal({ count: 2, unsentBytes: 20, unreadBytes: 30 })
      forget[0]!()
      const again = reportMemory()
      forget.push(noteWorker('books.js', worker(0, 0), again))
      expect([...knownWorkers()].map(({ name }) => name)).to.deep.equal(['books.js 2', 'books.js'])
      expect(again.wantedMs).to.equal(1_000)
      leaves[0]!()
      expect([figures[1]!.wantedMs, again.wantedMs]).to.deep.equal([0, 0])
    } finally {
      for (const each of forget) each()
    }
  })

  it('does not repeat what a worker has said long ago', () => {
    const figures = reportMemory()
    const forget = noteWorker('stuck.js', worker(1, 1), figures)
    try {
      figures.write([performance.timeOrigin + performance.now() - 60_000, 5, 10, 20, 30, 1, 2, 3])
      listen()
      clock.advance(1_000)
      expect(samples[0]!.workers[0]).to.include({ name: 'stuck.js', heapUsedBytes: undefined })
      expect(samples[0]!.sockets.unsentBytes).to.equal(0)
    } finally {
      forget()
    }
  })

  it('adds up what waits in sockets', () => {
    const forget = socketGauges.note({ unsentBytes: () => 7, unreadBytes: () => 9 })
    try {
      listen()
      clock.advance(1_000)
      expect(samples[0]!.sockets).to.deep.equal({ count: 1, unsentBytes: 7, unreadBytes: 9 })
    } finally {
      forget()
    }
  })

  it('keeps its figures for those who read them later', () => {
    listen()
    clock.advance(1_000)
    const first = structuredClone(samples[0])
    probe.usage = { cpuTimeMs: 2_000, readAtMs: 52_000, rssBytes: 5 }
    clock.advance(1_000)
    expect(samples[0]).to.deep.equal(first)
  })
})
