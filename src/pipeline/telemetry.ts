/**
 * Connects a run with OpenTelemetry.
 */
import { createRequire } from 'node:module'
import type { Clock } from '../clock/clock'
import { FrameTracer } from '../metrics/exporters/frameTracer'
import type { OpenTelemetryApi } from '../metrics/exporters/openTelemetryApi'
import { openTelemetryMetrics, type ObservedRun } from '../metrics/exporters/openTelemetryMetrics'
import { Fault, messageOf } from '../model/fault'
import { loadPart } from '../sinks/optionalPart'
import type { OpenTelemetryOptions, TraceOptions } from './openTelemetryOptions'

export interface Telemetry {
  /** Undefined when no frames are followed. */
  readonly tracer: FrameTracer | undefined
  /** The run has ended. */
  end(): void
}

export interface TelemetryContext {
  readonly run: ObservedRun
  readonly clock: Clock
  readonly onFault: (fault: Fault) => void
  /** Default: the package. */
  readonly api?: OpenTelemetryApi
}

/** @throws `OPTION_INVALID` when the package is not there, or an option is none */
export async function openTelemetry(
  options: true | OpenTelemetryOptions,
  context: TelemetryContext,
): Promise<Telemetry> {
  const { metrics = true, traces = true } = options === true ? {} : options
  const followed = traces === false ? undefined : traceOptionsOf(traces === true ? {} : traces)
  const { run, clock, onFault } = context
  const api = context.api ?? (await loaded())
  const bridge = metrics
    ? openTelemetryMetrics({
        run,
        meter: api.metrics.getMeter('millrace'),
        clock,
        onFailed: (cause) => {
          const message = `The metrics of the run cannot be given to OpenTelemetry: ${messageOf(cause)}. The run goes on; it is said once.`
          onFault(new Fault('SERVE_FAILED', message, { where: 'openTelemetry' }, { cause }))
        },
      })
    : undefined
  const tracer = followed === undefined ? undefined : new FrameTracer({ api, clock, ...followed })
  return {
    tracer,
    end() {
      tracer?.close()
      bridge?.end()
    },
  }
}

const PART = '@opentelemetry/api'

async function loaded(): Promise<OpenTelemetryApi> {
  const load = createRequire(__filename)
  return loadPart(PART, () => Promise.resolve().then(() => load(PART) as OpenTelemetryApi), 'The option openTelemetry')
}

function traceOptionsOf(traces: TraceOptions): Required<TraceOptions> {
  const whole = (option: keyof TraceOptions, byDefault: number, max: number): number => {
    const value = traces[option] ?? byDefault
    if (Number.isInteger(value) && value >= 1 && value <= max) return value
    const message = `openTelemetry has traces.${option} = ${value}: it should be a whole number from 1 to ${max}.`
    throw new Fault('OPTION_INVALID', message, { option: `openTelemetry.traces.${option}` })
  }
  return {
    oneIn: whole('oneIn', 1_000, 1e9),
    inFlightMax: whole('inFlightMax', 64, 10_000),
    withinMs: whole('withinMs', 5_000, 3_600_000),
  }
}
