import { expect } from 'chai'
import { CATALOGUE } from '../../src/metrics/catalogue'
import { LatencyHistogram } from '../../src/metrics/histogram'
import type { MetricSample } from '../../src/metrics/metric'
import { MetricRegistry, type Fields } from '../../src/metrics/registry'
import { UserMetrics } from '../../src/metrics/userMetrics'
import type { Fault } from '../../src/model/fault'

interface Counted {
  written: number
  bytes: number
}

const FIELDS: Fields<Counted> = { written: 'sink.written', bytes: 'sink.bytes' }

describe('The registry of metrics', () => {
  it('reads plain fields as they stand at each reading, with kind, unit and meaning', () => {
    const { registry } = made()
    const counted = { written: 0, bytes: 0 }
    registry.register((reading) => reading.tellFields(FIELDS, { sink: 'bars' }, counted))
    const before = registry.read()
    counted.written += 3
    counted.bytes += 200
    expect(registry.read()).to.deep.equal([
      { name: 'sink.written', ...CATALOGUE['sink.written'], samples: [{ labels: { sink: 'bars' }, value: 3 }] },
      { name: 'sink.bytes', ...CATALOGUE['sink.bytes'], samples: [{ labels: { sink: 'bars' }, value: 200 }] },
    ])
    expect(before[0]!.samples[0]!.value, 'and a reading is not changed by what comes after it').to.equal(0)
  })

  it('puts together what several tell of one metric, in the order of the catalogue', () => {
    const { registry } = made()
    registry.register((reading) => reading.tell('sink.written', { sink: 'a' }, 1))
    registry.register((reading) => {
      reading.tell('edge.depth', { from: 'a', to: 'b' }, 2)
      reading.tell('sink.written', { sink: 'b' }, 3)
    })
    const read = registry.read().map(({ name, samples }) => [name, samples.map(({ value }) => value)])
    expect(read).to.deep.equal([
      ['edge.depth', [2]],
      ['sink.written', [1, 3]],
    ])
  })

  it('says nothing of what nobody knows', () => {
    const { registry } = made()
    registry.register((reading) => reading.tell('feed.last_frame_age', {}, undefined))
    expect(registry.read()).to.deep.equal([])
  })

  it('tells histograms with how they are spread', () => {
    const { registry } = made()
    const latencies = new LatencyHistogram()
    for (const us of [10, 20, 3_000]) latencies.record(us)
    registry.register((reading) => reading.tellLatency('latency.receive_to_sink', {}, latencies))
    const [family] = registry.read()
    const [{ value, distribution }] = family!.samples as [Required<MetricSample>]
    expect(value).to.equal(3)
    expect(distribution.sum).to.equal(3_030)
    expect(distribution.buckets.filter(({ upTo }) => [16, 32, 4_096, Infinity].includes(upTo))).to.deep.equal([
      { upTo: 16, count: 1 },
      { upTo: 32, count: 2 },
      { upTo: 4_096, count: 3 },
      { upTo: Infinity, count: 3 },
    ])
    expect(distribution.percentiles).to.deep.equal({ p50: 20, p99: 3_000, max: 3_000 })
  })

  it('forgets who was taken out, once', () => {
    const { registry } = made()
    const leave = registry.register((reading) => reading.tell('run.records', {}, 1))
    registry.register((reading) => reading.tell('run.events', {}, 2))
    leave()
    leave()
    expect(registry.read().map(({ name }) => name)).to.deep.equal(['run.events'])
  })

  it('reads the others when one throws, and says so once', () => {
    const { registry, faults } = made()
    registry.register((reading) => {
      reading.tell('run.records', {}, 1)
      throw new Error('no more')
    })
    registry.register((reading) => reading.tell('run.events', {}, 2))
    for (let time = 0; time < 3; time++) {
      expect(registry.read().map(({ name }) => name)).to.deep.equal(['run.records', 'run.events'])
    }
    expect(faults.map(({ message }) => message)).to.deep.equal([
      'A part of the metrics cannot be told: no more. The others are.',
    ])
  })

  it('takes no more than its capacity, so that a leak is seen', () => {
    const faults: Fault[] = []
    const registry = new MetricRegistry(new UserMetrics(), (fault) => faults.push(fault), 2)
    registry.register(() => undefined)
    const leave = registry.register(() => undefined)
    expect(() => registry.register(() => undefined)).to.throw('The registry of metrics is full: 2 tell already.')
    leave()
    registry.register(() => undefined)
  })
})

function made() {
  const faults: Fault[] = []
  return { registry: new MetricRegistry(new UserMetrics(), (fault) => faults.push(fault)), faults }
}
