import { expect } from 'chai'
import { VirtualClock } from '../../src/clock/virtualClock'
import { GC_KINDS, type GcSummary } from '../../src/metrics/gcPauses'
import type { MetricFamily } from '../../src/metrics/metric'
import { PROCESS_METRICS, ProcessFamilies, processFamilies } from '../../src/metrics/processFamilies'
import type { ProcessSample, WorkerSample } from '../../src/metrics/processSample'

const none = { count: 0, pauseMs: 0, pauseMsMax: 0 }

function gcOf(scavenges: number, pauseMs: number): GcSummary {
  const scavenge = { count: scavenges, pauseMs, pauseMsMax: pauseMs }
  return { ...scavenge, byKind: { scavenge, markSweep: none, incremental: none, weakCallbacks: none } }
}

function worker(name: string, loopUtilization: number): WorkerSample {
  return {
    name,
    loopUtilization,
    cpuPercent: 12,
    heapUsedBytes: 13,
    heapTotalBytes: 14,
    externalBytes: undefined,
  }
}

const SAMPLE: ProcessSample = {
  timeUs: 1,
  cpuPercent: 25,
  cpuTimeMs: 1_000,
  rssBytes: 2,
  heapUsedBytes: 3,
  heapTotalBytes: 4,
  externalBytes: 5,
  arrayBuffersBytes: 6,
  activeResources: { Timeout: 2, TCPSocketWrap: 7 },
  sockets: { count: 3, unsentBytes: 8, unreadBytes: 9 },
  loopUtilization: 0.5,
  loopDelayMs: { p50: 1, p90: 2, p99: 3, max: 4 },
  gc: gcOf(2, 1.5),
  workers: [worker('market.js', 0.25)],
}

describe('the metrics of the process', () => {
  const valuesOf = (families: readonly MetricFamily[], name: string) =>
    families.find((family) => family.name === name)?.samples.map(({ labels, value }) => ({ ...labels, value }))

  it('are none before the first sample', () => {
    expect(new ProcessFamilies().read()).to.deep.equal([])
  })

  it('have what they are, their unit and one line of meaning, in one place', () => {
    const families = new ProcessFamilies()
    families.take(SAMPLE)
    for (const { name, kind, unit, meaning } of families.read()) {
      expect(name).to.match(/^(process|loop|gc|worker)\.[a-z][a-z0-9_]*$/)
      expect(PROCESS_METRICS[name as keyof typeof PROCESS_METRICS]).to.deep.equal({ kind, unit, meaning })
      expect(meaning).to.match(/^\S[^\n]*\S$/)
    }
    const silent = Object.keys(PROCESS_METRICS).filter(
      (name) => !families.read().some((family) => family.name === name),
    )
    // This one the sample does not tell.
    expect(silent).to.deep.equal(['worker.external'])
  })

  it('are gauges of the latest sample and counters of all', () => {
    const families = new ProcessFamilies()
    families.take(SAMPLE)
    families.take({ ...SAMPLE, cpuPercent: undefined, cpuTimeMs: undefined, rssBytes: undefined, gc: gcOf(1, 0.25) })
    const read = families.read()
    expect(valuesOf(read, 'process.cpu')).to.equal(undefined)
    expect(valuesOf(read, 'process.cpu_time')).to.deep.equal([{ value: 1_000 }])
    expect(valuesOf(read, 'process.active')).to.deep.equal([
      { type: 'TCPSocketWrap', value: 7 },
      { type: 'Timeout', value: 2 },
    ])
    expect(valuesOf(read, 'process.unsent')).to.deep.equal([{ value: 8 }])
    expect(valuesOf(read, 'loop.delay_p90')).to.deep.equal([{ value: 2 }])
    expect(valuesOf(read, 'gc.collections')).to.deep.equal(
      GC_KINDS.map((kind) => ({ kind, value: kind === 'scavenge' ? 3 : 0 })),
    )
    expect(valuesOf(read, 'gc.pause')![0]).to.deep.equal({ kind: 'scavenge', value: 1.75 })
    expect(valuesOf(read, 'gc.pause_max')![0]).to.deep.equal({ kind: 'scavenge', value: 0.25 })
    expect(valuesOf(read, 'worker.utilization')).to.deep.equal([{ worker: 'market.js', value: 0.25 }])
  })

  it('have one value for a name that two workers were given', () => {
    const families = new ProcessFamilies()
    families.take({ ...SAMPLE, workers: [worker('a', 0.1), worker('b', 0.2), worker('a', 0.3)] })
    expect(valuesOf(families.read(), 'worker.utilization')).to.deep.equal([
      { worker: 'b', value: 0.2 },
      { worker: 'a', value: 0.1 },
    ])
  })

  it('are kept up by a sampler until it is stopped', () => {
    const clock = new VirtualClock()
    const reader = processFamilies({ everyMs: 1_000, clock })
    expect(reader.read()).to.deep.equal([])
    clock.advance(1_000)
    expect(valuesOf(reader.read(), 'process.heap_used')![0]!.value).to.be.above(1_000_000)
    reader.stop()
    expect(clock.pending).to.equal(0)
  })
})
