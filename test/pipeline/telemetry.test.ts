/**
 * A run that tells OpenTelemetry of itself.
 */
import { expect } from 'chai'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { feed, memory, pipeline, toBooks, type Fault } from '../../src/index'
import { eventually } from '../kit/eventually'
import { openTelemetrySdk, type FinishedSpan, type OpenTelemetrySdk } from '../kit/openTelemetrySdk'

const FOLLOWED = pipeline('followed', ({ source, sink }) => {
  const wish = { exchanges: ['okx'], instruments: ['BTC-USDT'], channel: 'book' } as const
  const books = source('market', feed(wish), { capacity: 1_000, onFull: 'block' }).through('books', toBooks())
  sink(books, memory({ capacity: 10 }), { capacity: 1_000, onFull: 'dropOldest', name: 'views' })
})

describe('A run with openTelemetry', () => {
  const sdk = openTelemetrySdk()
  let out: string

  beforeEach(async () => {
    out = await mkdtemp(path.join(tmpdir(), 'millrace-telemetry-'))
  })

  afterEach(() => rm(out, { recursive: true, force: true }))

  it('says which option is none, or which package is missing, and does not begin', async () => {
    const failure = await FOLLOWED.run({ out, openTelemetry: { traces: { oneIn: 0 } } }).catch(
      (thrown: unknown) => thrown,
    )
    expect((failure as Fault).message).to.equal(
      'openTelemetry has traces.oneIn = 0: it should be a whole number from 1 to 1000000000.',
    )
    if (typeof sdk !== 'string') return
    const missing = await FOLLOWED.run({ out, openTelemetry: true }).catch((thrown: unknown) => thrown)
    expect((missing as Fault).message).to.match(
      /needs the package @opentelemetry\/api.*npm install @opentelemetry\/api@/,
    )
  })

  describe('and its SDK', () => {
    before(function () {
      if (typeof sdk !== 'string') return
      this.currentTest!.title += ` (${sdk})`
      this.skip()
    })

    afterEach(() => {
      const { api } = sdk as OpenTelemetrySdk
      api.trace.disable()
      api.metrics.disable()
    })

    it('gives traces from the exchange to the sink, and everything that it counts', async () => {
      const { api, traces, metrics } = sdk as OpenTelemetrySdk
      const exporter = new traces.InMemorySpanExporter()
      api.trace.setGlobalTracerProvider(
        new traces.BasicTracerProvider({ spanProcessors: [new traces.SimpleSpanProcessor(exporter)] }),
      )
      class Reader extends metrics.MetricReader {
        protected onShutdown = (): Promise<void> => Promise.resolve()
        protected onForceFlush = (): Promise<void> => Promise.resolve()
      }
      const reader = new Reader()
      const provider = new metrics.MeterProvider({ readers: [reader] })
      api.metrics.setGlobalMeterProvider(provider)

      const run = FOLLOWED.start({ out, openTelemetry: { traces: { oneIn: 5, withinMs: 500 } } })
      await run.ready
      const trace = await eventually(() => {
        const spans = exporter.getFinishedSpans()
        const written = spans.find(({ name }) => name === 'sink views')
        const all = spans.filter((span) => traceOf(span) === (written === undefined ? '' : traceOf(written)))
        expect(all.map(({ name }) => name)).to.include('frame')
        return all
      })
      const names = trace.map(({ name }) => name)
      expect(names).to.include.members(['decode', 'stage followed/books', 'sink views', 'frame'])
      const frame = trace.find(({ name }) => name === 'frame')!
      for (const span of trace) {
        expect(nsOf(span.startTime) >= nsOf(frame.startTime), span.name).to.equal(true)
        expect(nsOf(span.endTime) <= nsOf(frame.endTime), span.name).to.equal(true)
      }
      const received = await eventually(async () => {
        const { resourceMetrics, errors } = await reader.collect()
        expect(errors).to.deep.equal([])
        const found = resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics)
        const points = found.find(({ descriptor }) => descriptor.name === 'millrace.edge.received')?.dataPoints
        expect(points).to.not.equal(undefined)
        return points!
      })
      expect(received.map(({ attributes }) => attributes)).to.deep.include({ from: 'exchanges', to: 'market' })
      await run.stop()
      const traced = exporter.getFinishedSpans()
      for (const each of new Set(traced.map(traceOf))) {
        expect(traced.filter((span) => traceOf(span) === each && span.name === 'frame').length, each).to.equal(1)
      }
      await provider.shutdown()
    })
  })
})

function traceOf(span: FinishedSpan): string {
  return span.spanContext().traceId
}

function nsOf([seconds, nanoseconds]: [number, number]): bigint {
  return BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds)
}
