import { expect } from 'chai'
import { VirtualClock } from '../../src/clock/virtualClock'
import { runWithClock } from '../../src/clock/currentClock'
import { CATALOGUE } from '../../src/metrics/catalogue'
import { runWithMetrics } from '../../src/metrics/currentMetrics'
import { LatencyHistogram } from '../../src/metrics/histogram'
import type { MetricFamily } from '../../src/metrics/metric'
import { runMetrics, type MetricRow, type RunMetricsOptions } from '../../src/metrics/runMetrics'
import { UserMetrics } from '../../src/metrics/userMetrics'

const FIRST_US = 1_760_000_000_000_000

describe('runMetrics', () => {
  it('emits what the run counts as one batch of rows each interval, on multiples of it', () => {
    const { batches, clock, families } = subscribed({ everyMs: 1_000 })
    clock.advance(999)
    expect(batches).to.deep.equal([])
    families.push(family('run.records', 5), family('sink.written', 2, { sink: 'bars' }))
    clock.advance(1)
    families[0] = family('run.records', 9)
    clock.advance(1_000)
    expect(batches).to.deep.equal([
      [
        { timeUs: FIRST_US + 1_000_000, name: 'run.records', labels: {}, value: 5, unit: 'records' },
        { timeUs: FIRST_US + 1_000_000, name: 'sink.written', labels: { sink: 'bars' }, value: 2, unit: 'values' },
      ],
      [
        { timeUs: FIRST_US + 2_000_000, name: 'run.records', labels: {}, value: 9, unit: 'records' },
        { timeUs: FIRST_US + 2_000_000, name: 'sink.written', labels: { sink: 'bars' }, value: 2, unit: 'values' },
      ],
    ])
  })

  it('emits nothing while there is nothing to tell', () => {
    const { batches, clock } = subscribed({ everyMs: 10 })
    clock.advance(100)
    expect(batches).to.deep.equal([])
  })

  it('tells a histogram in rows of numbers', () => {
    const latencies = new LatencyHistogram()
    for (const us of [10, 20, 3_000]) latencies.record(us)
    const { batches, clock, families } = subscribed({ everyMs: 10 })
    const name = 'latency.receive_to_sink'
    const sample = { labels: {}, value: 3, distribution: latencies.distribution() }
    families.push({ name, ...CATALOGUE[name], samples: [sample] })
    clock.advance(10)
    expect(batches[0]!.map(({ name, value, unit }) => `${name} ${value} ${unit}`)).to.deep.equal([
      'latency.receive_to_sink.count 3 values',
      'latency.receive_to_sink.sum 3030 us',
      'latency.receive_to_sink.p50 20 us',
      'latency.receive_to_sink.p99 3000 us',
      'latency.receive_to_sink.max 3000 us',
    ])
  })

  it('tells only what is asked for, by name or group', () => {
    const { batches, clock, families } = subscribed({ everyMs: 10, only: ['edge', 'run.events'] })
    families.push(
      ...[family('run.records', 1), family('run.events', 2), family('edge.sent', 3, { from: 'a', to: 'b' })],
      ...[family('edge.depth', 4, { from: 'a', to: 'b' }), family('feed.up', 5)],
    )
    clock.advance(10)
    expect(batches[0]!.map(({ name }) => name)).to.deep.equal(['run.events', 'edge.sent', 'edge.depth'])
  })

  it('holds nothing when it is left', () => {
    const { subscription, batches, clock, families } = subscribed({ everyMs: 10 })
    families.push(family('run.records', 1))
    subscription.unsubscribe()
    clock.advance(100)
    expect(batches).to.deep.equal([])
  })

  it('says that there is nothing to read where it is no source of a pipeline', () => {
    const errors: string[] = []
    runMetrics({ everyMs: 10 }).subscribe({ error: ({ message }: Error) => errors.push(message) })
    expect(errors).to.deep.equal(['runMetrics is a source of a pipeline: outside of a run there is nothing to read.'])
  })

  it('refuses options that cannot be used', () => {
    for (const everyMs of [0, -1, NaN, Infinity]) {
      expect(() => runMetrics({ everyMs })).to.throw(`runMetrics has everyMs = ${everyMs}`)
    }
    for (const only of ['edge', [7]]) {
      expect(() => runMetrics({ everyMs: 1, only: only as unknown as string[] })).to.throw('`only` that is no list of names')
    }
  })

  it('cannot be paused, and says so', () => {
    expect(runMetrics({ everyMs: 1_000 })).to.have.property('cannotPause', true)
  })
})

function subscribed(options: RunMetricsOptions) {
  const clock = new VirtualClock(FIRST_US)
  const families: MetricFamily[] = []
  const batches: (readonly MetricRow[])[] = []
  const inForce = { metrics: new UserMetrics(), owner: '', refused: () => undefined, read: () => [...families] }
  const subscription = runWithMetrics(inForce, () =>
    runWithClock({ clock: new VirtualClock(0), waits: clock }, () =>
      runMetrics(options).subscribe((batch) => batches.push(batch)),
    ),
  )
  return { clock, families, batches, subscription }
}

function family(name: keyof typeof CATALOGUE, value: number, labels: Record<string, string> = {}): MetricFamily {
  return { name, ...CATALOGUE[name], samples: [{ labels, value }] }
}
