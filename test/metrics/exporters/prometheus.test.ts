/**
 * What Prometheus reads: names and units by its conventions, and no text that it would refuse, whatever comes in.
 */
import { expect } from 'chai'
import * as fc from 'fast-check'
import type { MetricFamily } from '../../../src/metrics/metric'
import { formatFor, prometheusPieces, prometheusText } from '../../../src/metrics/exporters/prometheus'
import { hostileFamilies, hostileFamily } from '../../kit/hostileFamilies'
import { PROMTOOL_MISSING, promtoolCheck } from '../../kit/prometheus'

describe('prometheusText', () => {
  it('puts group, name and unit together, and says that a counter only grows', () => {
    expect(linesOf(counter('edge.received', 'values', 3, { from: 'books', to: 'best' }))).to.deep.equal([
      '# HELP millrace_edge_received_values_total Meaning.',
      '# TYPE millrace_edge_received_values_total counter',
      'millrace_edge_received_values_total{from="books",to="best"} 3',
    ])
  })

  for (const [name, unit, kind, expected] of [
    ['feed.frames', 'frames', 'counter', 'millrace_feed_frames_total 4000'],
    ['feed.bytes', 'bytes', 'counter', 'millrace_feed_bytes_total 4000'],
    ['stage.busy', 'us', 'counter', 'millrace_stage_busy_seconds_total 0.004'],
    ['stream.age', 'ms', 'gauge', 'millrace_stream_age_seconds 4'],
    ['gc.pause', 'ns', 'gauge', 'millrace_gc_pause_seconds 0.000004'],
    ['process.cpu', 'percent', 'gauge', 'millrace_process_cpu_ratio 40'],
    ['loop.utilization', 'ratio', 'gauge', 'millrace_loop_utilization_ratio 4000'],
    ['stream.rate', 'frames/s', 'gauge', 'millrace_stream_rate_frames_per_second 4000'],
    ['process.rss', 'bytes', 'gauge', 'millrace_process_rss_bytes 4000'],
    ['edge.highWater', 'values', 'gauge', 'millrace_edge_high_water 4000'],
    ['feed.reconnects', 'connections', 'counter', 'millrace_feed_reconnects_total 4000'],
    ['sink.failed', 'batches', 'counter', 'millrace_sink_failed_batches_total 4000'],
    ['exchange.checksumsChecked', 'checksums', 'counter', 'millrace_exchange_checksums_checked_total 4000'],
    ['user.orders_total', 'orders', 'counter', 'millrace_user_orders_total 4000'],
    ['user.count', '1', 'gauge', 'millrace_user_count_value 4000'],
    ['user.index', '1', 'gauge', 'millrace_user_index 4000'],
  ] as const) {
    it(`calls ${name}, a ${kind} in ${unit}, ${expected.split(' ')[0]}`, () => {
      expect(linesOf({ ...one(name, unit, 4_000), kind }).at(-1)).to.equal(expected)
    })
  }

  it('gives a histogram its buckets in the base unit, the last of them without a bound, sum and count', () => {
    const family: MetricFamily = {
      ...one('stage.latency', 'us', 10, { stage: 'best' }),
      kind: 'histogram',
      samples: [
        {
          labels: { stage: 'best' },
          value: 10,
          distribution: {
            sum: 2_500_000,
            buckets: [
              { upTo: 100, count: 4 },
              { upTo: 1_000_000, count: 9 },
              { upTo: Infinity, count: 10 },
            ],
          },
        },
      ],
    }
    expect(linesOf(family).slice(1)).to.deep.equal([
      '# TYPE millrace_stage_latency_seconds histogram',
      'millrace_stage_latency_seconds_bucket{stage="best",le="0.0001"} 4',
      'millrace_stage_latency_seconds_bucket{stage="best",le="1.0"} 9',
      'millrace_stage_latency_seconds_bucket{stage="best",le="+Inf"} 10',
      'millrace_stage_latency_seconds_sum{stage="best"} 2.5',
      'millrace_stage_latency_seconds_count{stage="best"} 10',
    ])
  })

  it('escapes what stands in labels and in the meaning', () => {
    const family = { ...counter('a.b', 'values', 1, { symbol: 'A"\\\nB\0\ud800' }), meaning: 'One\\\ntwo.' }
    expect(linesOf(family)).to.deep.equal([
      '# HELP millrace_a_b_values_total One\\\\\\ntwo.',
      '# TYPE millrace_a_b_values_total counter',
      'millrace_a_b_values_total{symbol="A\\"\\\\\\nB\ufffd\ufffd"} 1',
    ])
  })

  it('tells two metrics apart that would have one name, and joins those that are one', () => {
    const text = prometheusText([
      counter('a.b', 'values', 1, { from: 'x' }),
      counter('a_b', 'values', 2),
      counter('a.b', 'values', 3, { from: 'y' }),
      counter('a.b', 'values', 4, { from: 'x' }),
    ])
    expect(text.split('\n').filter((line) => !line.startsWith('# HELP'))).to.deep.equal([
      '# TYPE millrace_a_b_values_total counter',
      'millrace_a_b_values_total{from="x"} 1',
      'millrace_a_b_values_total{from="y"} 3',
      '# TYPE millrace_a_b_values_2_total counter',
      'millrace_a_b_values_2_total 2',
      '',
    ])
  })

  it('keeps labels of its own away from those that the format owns', () => {
    const family = {
      ...counter('a.b', 'values', 1, { le: '1', __name__: 'x', '9x': 'y', 'a.b': 'p', a_b: 'q', '': 'r' }),
    }
    expect(linesOf(family).at(-1)).to.equal(
      'millrace_a_b_values_total{label_le="1",name="x",label_9x="y",a_b="p",a_b_2="q",unnamed="r"} 1',
    )
  })

  it('takes no label for another whose name ends alike, nor for what stands in a value', () => {
    const family = counter('a.b', 'values', 1, { last_exchange: 'exchange=', exchange: 'okx' })
    expect(linesOf(family).at(-1)).to.equal('millrace_a_b_values_total{last_exchange="exchange=",exchange="okx"} 1')
  })

  it('writes numbers that are none as Prometheus spells them', () => {
    const values = [NaN, Infinity, -Infinity, 1e-7, 1e21]
    expect(
      values.map(
        (value) =>
          linesOf(one('a.b', '1', value))
            .at(-1)!
            .split(' ')[1],
      ),
    ).to.deep.equal(['NaN', '+Inf', '-Inf', '1e-7', '1e+21'])
  })

  it('speaks OpenMetrics: the family without _total, its unit, and an end', () => {
    expect(prometheusText([counter('stage.busy', 'us', 5e5)], 'openMetrics').split('\n')).to.deep.equal([
      '# HELP millrace_stage_busy_seconds Meaning.',
      '# TYPE millrace_stage_busy_seconds counter',
      '# UNIT millrace_stage_busy_seconds seconds',
      'millrace_stage_busy_seconds_total 0.5',
      '# EOF',
      '',
    ])
  })

  it('names metrics by those beside them, whatever was read before', () => {
    const [some, others] = [
      [one('stage.rate', 'frames/s', 1), one('stage.rate', 's', 2)],
      [one('stage.rate', 'frames/s', 1), one('stage_rate', 'frames/s', 3)],
    ]
    const texts = [some, others].map((families) => prometheusText(families))
    expect(texts[0]).not.to.equal(texts[1])
    expect([some, others].map((families) => prometheusText(families))).to.deep.equal(texts)
    expect(texts[1]).to.contain('_2 3')
  })

  it('comes in pieces when there are thousands of series, which are the same text', () => {
    const labels = Array.from({ length: 10_000 }, (_, index) => ({ symbol: `S${index}` }))
    const family = { ...one('stream.rate', 'frames/s', 1), samples: labels.map((each) => ({ labels: each, value: 1 })) }
    const pieces = [...prometheusPieces([family])]
    expect(pieces.length).to.be.within(35, 45)
    expect(pieces.join('')).to.equal(prometheusText([family]))
  })

  it('gives no text with a line that is neither comment nor sample, nor two series alike, whatever comes in', () => {
    fc.assert(
      fc.property(
        fc.array(hostileFamily, { maxLength: 6 }),
        fc.constantFrom('text' as const, 'openMetrics' as const),
        (families, format) => {
          const text = prometheusText(families, format)
          const lines = text.split('\n')
          expect(lines.pop()).to.equal('')
          const series = lines.filter((line) => !line.startsWith('#'))
          for (const line of series) expect(line).to.match(SAMPLE)
          expect(new Set(series.map((line) => line.slice(0, line.lastIndexOf(' ')))).size).to.equal(series.length)
          const types = lines.filter((line) => line.startsWith('# TYPE '))
          expect(new Set(types.map((line) => line.split(' ')[2])).size).to.equal(types.length)
        },
      ),
      { seed: 5, numRuns: 500 },
    )
  })

  it('gives texts that promtool accepts, of names and labels that nobody should give', async function () {
    if (PROMTOOL_MISSING !== undefined) {
      this.test!.title += ` (${PROMTOOL_MISSING})`
      this.skip()
    }
    const families = hostileFamilies(400)
    // What promtool says about style is a user's affair where the names are the user's; that it can be read is ours.
    expect(await promtoolCheck('a b c\n')).to.match(/error while linting/)
    expect(await promtoolCheck(prometheusText(families))).to.not.match(/error while linting/)
  })
})

describe('formatFor', () => {
  for (const [accept, format] of [
    [undefined, 'text'],
    ['', 'text'],
    ['*/*', 'text'],
    ['text/plain', 'text'],
    ['application/openmetrics-text', 'openMetrics'],
    ['application/openmetrics-text; version=2.0.0', 'text'],
    ['application/openmetrics-text;q=0', 'text'],
    [
      'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1',
      'openMetrics',
    ],
    ['text/plain;version=0.0.4,application/openmetrics-text;q=0.5', 'text'],
    [';;;,,,q=q=q', 'text'],
  ] as const) {
    it(`is ${format} for ${accept ?? 'none'}`, () => expect(formatFor(accept)).to.equal(format))
  }
})

const SAMPLE =
  /^[a-z][a-z0-9_]*(?:\{(?:[a-z][a-z0-9_]*="(?:[^"\\\n]|\\[\\"n])*",?)+\})? (?:NaN|[+-]Inf|-?[\d.]+(?:e[+-]?\d+)?)$/

function one(name: string, unit: string, value: number, labels: Record<string, string> = {}): MetricFamily {
  return { name, unit, kind: 'gauge', meaning: 'Meaning.', samples: [{ labels, value }] }
}

function counter(name: string, unit: string, value: number, labels: Record<string, string> = {}): MetricFamily {
  return { ...one(name, unit, value, labels), kind: 'counter' }
}

function linesOf(family: MetricFamily): string[] {
  return prometheusText([family]).trimEnd().split('\n')
}
