/**
 * What a run tells OpenTelemetry: to an API of our own that writes down what it is told, and to the real one with its SDK.
 */
import { expect } from 'chai'
import { VirtualClock } from '../../../src/clock/virtualClock'
import { FrameTracer, type FrameTracerOptions } from '../../../src/metrics/exporters/frameTracer'
import { openTelemetryMetrics } from '../../../src/metrics/exporters/openTelemetryMetrics'
import type {
  Attributes,
  Context,
  ObservableCallback,
  ObservableInstrument,
  OpenTelemetryApi,
  Span,
  SpanTime,
} from '../../../src/metrics/exporters/openTelemetryApi'
import type { MetricFamily } from '../../../src/metrics/metric'
import { openTelemetrySdk, type OpenTelemetrySdk } from '../../kit/openTelemetrySdk'

const FRAME = { timeUs: 1_000_000_000_000_500, exchange: 'okx', connection: 2 }
const EVENTS = [{ receiveTimeUs: FRAME.timeUs, exchangeTimeUs: FRAME.timeUs - 300, symbol: 'BTC-USDT' }]

describe('FrameTracer', () => {
  let api: WrittenDown
  let clock: VirtualClock

  beforeEach(() => {
    api = new WrittenDown()
    clock = new VirtualClock(FRAME.timeUs)
  })

  const tracerOf = (options: Partial<FrameTracerOptions> = {}): FrameTracer =>
    new FrameTracer({ api, clock, oneIn: 1, inFlightMax: 4, withinMs: 1_000, ...options })

  it('follows a frame from the exchange to the sink, each part from when it began to when it ended', () => {
    const tracer = tracerOf()
    clock.advance(0.1)
    tracer.decoded(FRAME, EVENTS)
    clock.advance(0.1)
    tracer.stage('p/outer', EVENTS, () => {
      clock.advance(0.1)
      tracer.stage('p/inner', EVENTS[0], () => clock.advance(0.2))
      tracer.came('file', EVENTS)
    })
    clock.advance(5)
    tracer.written('file', EVENTS)
    clock.advance(1_000)
    expect(api.told()).to.deep.equal([
      'frame -300 to 5500',
      '  receive -300 to 0',
      '  decode 0 to 100',
      '  stage p/outer 200 to 500',
      '    stage p/inner 300 to 500',
      '  sink file 500 to 5500',
    ])
    expect(api.spans[0]!.attributes).to.deep.equal({
      'millrace.exchange': 'okx',
      'millrace.connection': 2,
      'millrace.events': 1,
      'millrace.receive_time_us': FRAME.timeUs,
      'millrace.symbol': 'BTC-USDT',
    })
    expect(clock.pending).to.equal(0)
  })

  it('says of a sink that has not written in time that it has not', () => {
    const tracer = tracerOf()
    tracer.decoded(FRAME, EVENTS)
    tracer.came('slow', EVENTS)
    clock.advance(1_000)
    expect(api.told()).to.deep.equal([
      'frame -300 to 1000000',
      '  receive -300 to 0',
      '  decode 0 to 0',
      '  sink slow 0 to 1000000',
    ])
    expect(api.spans.at(-1)!.attributes).to.include({ 'millrace.unwritten': true })
    tracer.written('slow', EVENTS)
    tracer.close()
    expect(api.spans.every(({ ends }) => ends === 1)).to.equal(true)
  })

  it('does not follow what bears no stamp, or that of another frame', () => {
    const tracer = tracerOf()
    tracer.decoded(FRAME, EVENTS)
    for (const value of [undefined, null, 7, 'x', {}, [], [null], [{ receiveTimeUs: 5 }], { receiveTimeUs: 'x' }]) {
      let worked = false
      tracer.stage('p/a', value, () => (worked = true))
      expect(worked).to.equal(true)
      tracer.came('file', value)
      tracer.written('file', [value])
    }
    expect(api.spans.map(({ name }) => name)).to.deep.equal(['frame', 'receive', 'decode'])
    tracer.close()
  })

  it('follows one frame in so many, spread over them whatever their beat', () => {
    for (const beatUs of [1, 7, 64, 1_000]) {
      api = new WrittenDown()
      const tracer = tracerOf({ oneIn: 100, inFlightMax: 10_000 })
      for (let index = 0; index < 50_000; index++) {
        tracer.decoded({ ...FRAME, timeUs: FRAME.timeUs + index * beatUs }, [])
      }
      expect(api.spans.filter(({ name }) => name === 'frame').length, `${beatUs}`).to.be.within(350, 650)
      tracer.close()
    }
  })

  it('follows so many at once, and so many spans of each', () => {
    const tracer = tracerOf()
    for (let index = 0; index < 10; index++) tracer.decoded({ ...FRAME, timeUs: FRAME.timeUs + index }, [])
    expect(api.spans.filter(({ name }) => name === 'frame').length).to.equal(4)
    let worked = 0
    for (let index = 0; index < 1_000; index++) tracer.stage('p/a', EVENTS, () => worked++)
    expect(worked).to.equal(1_000)
    expect(api.spans.length).to.be.lessThan(4 * 128)
    clock.advance(1_000)
    tracer.decoded({ ...FRAME, timeUs: FRAME.timeUs + 50 }, [])
    expect(api.spans.filter(({ name }) => name === 'frame').length).to.equal(5)
    tracer.close()
  })

  it('ends the span of a stage that throws, and hands on what it threw', () => {
    const tracer = tracerOf()
    tracer.decoded(FRAME, EVENTS)
    const broken = (): void => {
      throw new Error('no')
    }
    expect(() => tracer.stage('p/a', EVENTS, broken)).to.throw('no')
    tracer.stage('p/b', EVENTS, () => undefined)
    expect(api.told().slice(-2)).to.deep.equal(['  stage p/a 0 to 0', '  stage p/b 0 to 0'])
    tracer.close()
  })
})

describe('openTelemetryMetrics', () => {
  let api: WrittenDown
  let clock: VirtualClock
  let families: MetricFamily[]
  let reads: number
  let failures: unknown[]
  const run = {
    metrics: () => {
      reads++
      return families
    },
  }

  beforeEach(() => {
    api = new WrittenDown()
    clock = new VirtualClock()
    families = FAMILIES
    reads = 0
    failures = []
  })

  const observed = (): ReturnType<typeof openTelemetryMetrics> =>
    openTelemetryMetrics({ run, meter: api.metrics.getMeter(), clock, onFailed: (thrown) => failures.push(thrown) })

  it('observes what a run counts in the units of semantic conventions, reading it once a collection', () => {
    observed()
    clock.advance(1_000)
    reads = 0
    expect(api.collect()).to.deep.equal([
      'gauge millrace.metrics {metrics}: 3 {}',
      'counter millrace.edge.received {values}: 3 {"from":"a"}',
      'gauge millrace.process.rss By: 7 {}',
      'counter millrace.stage.latency.count 1: 3 {}',
      'counter millrace.stage.latency.sum s: 0.5 {}',
      'counter millrace.stage.latency.bucket 1: 2 {"le":"0.001"}',
      'counter millrace.stage.latency.bucket 1: 3 {"le":"+Inf"}',
    ])
    expect(reads).to.equal(1)
  })

  it('takes up what comes later, and reads again at the next collection', () => {
    observed()
    families = [...FAMILIES, { ...FAMILIES[0]!, name: 'user.orders', unit: 'orders' }]
    clock.advance(1_000)
    api.collect()
    clock.advance(1_000)
    expect(api.collect()).to.include('counter millrace.user.orders {orders}: 3 {"from":"a"}')
  })

  it('tells the last state once more after the end, and holds on to nothing then', () => {
    const bridge = observed()
    families = [{ ...FAMILIES[0]!, samples: [{ labels: {}, value: 9 }] }]
    bridge.end()
    families = []
    expect(api.collect()).to.include('counter millrace.edge.received {values}: 9 {}')
    clock.advance(1_000)
    expect(api.collect()).to.deep.equal([])
    expect(api.instruments.every(({ callbacks }) => callbacks.size === 0)).to.equal(true)
  })

  it('tells once of a run that cannot be read', () => {
    observed()
    families = undefined as unknown as MetricFamily[]
    for (let round = 0; round < 3; round++) {
      clock.advance(1_000)
      api.collect()
    }
    expect(failures).to.have.length(1)
  })
})

describe('The real OpenTelemetry', () => {
  const sdk = openTelemetrySdk()

  before(function () {
    if (typeof sdk !== 'string') return
    this.currentTest!.title += ` (${sdk})`
    this.skip()
  })

  it('has the spans of a frame in one trace', () => {
    const { api, traces } = sdk as OpenTelemetrySdk
    const exporter = new traces.InMemorySpanExporter()
    const provider = new traces.BasicTracerProvider({ spanProcessors: [new traces.SimpleSpanProcessor(exporter)] })
    const clock = new VirtualClock(FRAME.timeUs)
    const ours = { ...api, trace: { ...bound(api.trace), getTracer: (name: string) => provider.getTracer(name) } }
    const tracer = new FrameTracer({ api: ours, clock, oneIn: 1, inFlightMax: 4, withinMs: 1_000 })
    tracer.decoded(FRAME, EVENTS)
    tracer.stage('p/a', EVENTS, () => {
      clock.advance(1)
      tracer.came('file', EVENTS)
    })
    tracer.written('file', EVENTS)
    tracer.close()
    const spans = exporter.getFinishedSpans()
    expect(spans.map(({ name }) => name).sort()).to.deep.equal(['decode', 'frame', 'receive', 'sink file', 'stage p/a'])
    expect(new Set(spans.map((span) => span.spanContext().traceId)).size).to.equal(1)
    const frame = spans.find(({ name }) => name === 'frame')!
    expect(frame.startTime).to.deep.equal([1_000_000_000, 200_000])
    expect(frame.endTime).to.deep.equal([1_000_000_000, 1_500_000])
    for (const span of spans) {
      if (span !== frame) expect(span.parentSpanContext!.spanId).to.equal(frame.spanContext().spanId)
    }
  })

  it('collects the metrics', async () => {
    const { metrics } = sdk as OpenTelemetrySdk
    class Reader extends metrics.MetricReader {
      protected onShutdown = (): Promise<void> => Promise.resolve()
      protected onForceFlush = (): Promise<void> => Promise.resolve()
    }
    const reader = new Reader()
    const provider = new metrics.MeterProvider({ readers: [reader] })
    const clock = new VirtualClock()
    openTelemetryMetrics({
      run: { metrics: () => FAMILIES },
      meter: provider.getMeter('millrace'),
      clock,
      onFailed: (thrown) => expect.fail(String(thrown)),
    })
    const { resourceMetrics, errors } = await reader.collect()
    expect(errors).to.deep.equal([])
    const [scope] = resourceMetrics.scopeMetrics
    const points = scope!.metrics.flatMap(({ descriptor, dataPoints }) =>
      dataPoints.map(({ value, attributes }) => [descriptor.name, descriptor.unit, value, attributes]),
    )
    expect(points).to.deep.equal([
      ['millrace.metrics', '{metrics}', 3, {}],
      ['millrace.edge.received', '{values}', 3, { from: 'a' }],
      ['millrace.process.rss', 'By', 7, {}],
      ['millrace.stage.latency.count', '1', 3, {}],
      ['millrace.stage.latency.sum', 's', 0.5, {}],
      ['millrace.stage.latency.bucket', '1', 2, { le: '0.001' }],
      ['millrace.stage.latency.bucket', '1', 3, { le: '+Inf' }],
    ])
    await provider.shutdown()
  })
})

const FAMILIES: MetricFamily[] = [
  {
    name: 'edge.received',
    kind: 'counter',
    unit: 'values',
    meaning: 'In.',
    samples: [{ labels: { from: 'a' }, value: 3 }],
  },
  { name: 'process.rss', kind: 'gauge', unit: 'bytes', meaning: 'Memory.', samples: [{ labels: {}, value: 7 }] },
  {
    name: 'stage.latency',
    kind: 'histogram',
    unit: 'us',
    meaning: 'Time.',
    samples: [
      {
        labels: {},
        value: 3,
        distribution: {
          sum: 500_000,
          buckets: [
            { upTo: 1_000, count: 2 },
            { upTo: Infinity, count: 3 },
          ],
        },
      },
    ],
  },
]

interface WrittenSpan extends Span {
  readonly name: string
  readonly parent: Context
  readonly startUs: number
  readonly attributes: Record<string, unknown>
  endUs: number | undefined
  ends: number
}

/** An API that writes down what it is told. */
class WrittenDown implements OpenTelemetryApi {
  readonly spans: WrittenSpan[] = []
  readonly instruments: { readonly what: string; readonly callbacks: Set<ObservableCallback> }[] = []
  readonly ROOT_CONTEXT = {}
  private readonly contexts = new Map<Context, WrittenSpan>()

  readonly trace = {
    getTracer: () => ({
      startSpan: (
        name: string,
        { startTime, attributes }: { startTime: SpanTime; attributes: Attributes },
        parent: Context,
      ) => {
        const span: WrittenSpan = {
          name,
          parent,
          startUs: usOf(startTime),
          attributes: { ...attributes },
          endUs: undefined,
          ends: 0,
          setAttribute: (key, value) => (span.attributes[key] = value),
          end: (time) => {
            span.endUs = usOf(time)
            span.ends++
          },
        }
        this.spans.push(span)
        return span
      },
    }),
    setSpan: (_: Context, span: Span): Context => {
      const context = {}
      this.contexts.set(context, span as WrittenSpan)
      return context
    },
  }

  readonly metrics = {
    getMeter: () => ({
      createObservableCounter: (name: string, { unit }: { unit: string }) => this.instrument(`counter ${name} ${unit}`),
      createObservableGauge: (name: string, { unit }: { unit: string }) => this.instrument(`gauge ${name} ${unit}`),
    }),
  }

  /** The spans, each below the one that it is in, in microseconds from the receipt. */
  told(): string[] {
    const depthOf = (span: WrittenSpan): number => {
      const outer = this.contexts.get(span.parent)
      return outer === undefined ? 0 : 1 + depthOf(outer)
    }
    return this.spans.map(
      (span) =>
        `${'  '.repeat(depthOf(span))}${span.name} ${span.startUs - FRAME.timeUs} to ${span.endUs === undefined ? '?' : span.endUs - FRAME.timeUs}`,
    )
  }

  collect(): string[] {
    const told: string[] = []
    for (const { what, callbacks } of [...this.instruments]) {
      const observe = (value: number, attributes: Attributes): void =>
        void told.push(`${what}: ${value} ${JSON.stringify(attributes)}`)
      for (const callback of callbacks) callback({ observe })
    }
    return told
  }

  private instrument(what: string): ObservableInstrument {
    const callbacks = new Set<ObservableCallback>()
    this.instruments.push({ what, callbacks })
    return {
      addCallback: (callback) => void callbacks.add(callback),
      removeCallback: (callback) => void callbacks.delete(callback),
    }
  }
}

function usOf([seconds, nanoseconds]: SpanTime): number {
  return seconds * 1e6 + nanoseconds / 1_000
}

function bound(trace: OpenTelemetryApi['trace']): Pick<OpenTelemetryApi['trace'], 'setSpan'> {
  return { setSpan: (context, span) => trace.setSpan(context, span) }
}
