/**
 * The SDK of OpenTelemetry, where it is installed.
 */
import { createRequire } from 'node:module'
import type { OpenTelemetryApi, SpanTime } from '../../src/metrics/exporters/openTelemetryApi'

/** What is used of the SDK's packages, which may be absent. */
export interface OpenTelemetrySdk {
  readonly api: RegisteringApi
  readonly traces: {
    readonly InMemorySpanExporter: new () => { getFinishedSpans(): readonly FinishedSpan[] }
    readonly SimpleSpanProcessor: new (exporter: object) => object
    readonly BasicTracerProvider: new (options: { spanProcessors: object[] }) => OpenTelemetryApi['trace']
  }
  readonly metrics: {
    readonly MetricReader: abstract new () => {
      collect(): Promise<{
        readonly errors: readonly unknown[]
        readonly resourceMetrics: { readonly scopeMetrics: readonly { readonly metrics: readonly CollectedMetric[] }[] }
      }>
    }
    readonly MeterProvider: new (options: {
      readers: object[]
    }) => OpenTelemetryApi['metrics'] & { shutdown(): Promise<void> }
  }
}

/** The API, to which an SDK is made known. */
interface RegisteringApi extends OpenTelemetryApi {
  readonly trace: OpenTelemetryApi['trace'] & { setGlobalTracerProvider(provider: object): boolean; disable(): void }
  readonly metrics: OpenTelemetryApi['metrics'] & { setGlobalMeterProvider(provider: object): boolean; disable(): void }
}

export interface FinishedSpan {
  readonly name: string
  readonly startTime: SpanTime
  readonly endTime: SpanTime
  readonly parentSpanContext?: { readonly spanId: string }
  spanContext(): { readonly traceId: string; readonly spanId: string }
}

export interface CollectedMetric {
  readonly descriptor: { readonly name: string; readonly unit: string }
  readonly dataPoints: readonly { readonly value: unknown; readonly attributes: object }[]
}

/** Or why there is none. */
export function openTelemetrySdk(): OpenTelemetrySdk | string {
  const load = createRequire(__filename)
  try {
    return {
      api: load('@opentelemetry/api') as RegisteringApi,
      traces: load('@opentelemetry/sdk-trace-base') as OpenTelemetrySdk['traces'],
      metrics: load('@opentelemetry/sdk-metrics') as OpenTelemetrySdk['metrics'],
    }
  } catch {
    return 'the packages @opentelemetry/api, sdk-trace-base and sdk-metrics are not installed'
  }
}
