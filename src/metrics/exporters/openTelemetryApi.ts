/**
 * What we use of the package @opentelemetry/api (1.9), in our own words: types of an optional package may not stand in ours,
 * for who has it not could not compile.
 */
export interface OpenTelemetryApi {
  readonly metrics: { getMeter(name: string): Meter }
  readonly trace: {
    getTracer(name: string): Tracer
    setSpan(context: Context, span: Span): Context
  }
  readonly ROOT_CONTEXT: Context
}

/** Never looked into. */
export type Context = object

/** Seconds and nanoseconds since 1970. */
export type SpanTime = [number, number]

export type Attributes = Readonly<Record<string, string | number | boolean>>

export interface Tracer {
  startSpan(
    name: string,
    options: { readonly startTime: SpanTime; readonly attributes: Attributes; readonly root?: boolean },
    context: Context,
  ): Span
}

export interface Span {
  setAttribute(name: string, value: string | number | boolean): unknown
  end(endTime: SpanTime): void
}

export interface Meter {
  createObservableCounter(name: string, options: InstrumentOptions): ObservableInstrument
  createObservableGauge(name: string, options: InstrumentOptions): ObservableInstrument
}

export interface InstrumentOptions {
  readonly description: string
  readonly unit: string
}

export interface ObservableInstrument {
  addCallback(callback: ObservableCallback): void
  removeCallback(callback: ObservableCallback): void
}

export type ObservableCallback = (result: { observe(value: number, attributes: Attributes): void }) => void
