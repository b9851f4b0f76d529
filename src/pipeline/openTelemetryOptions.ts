/**
 * What a run tells OpenTelemetry, through the package @opentelemetry/api: who runs it brings the SDK and its exporters, and
 * registers them before the run begins.
 */
export interface OpenTelemetryOptions {
  /** Everything that the run counts, as instruments of the meter `millrace`. Default true. */
  readonly metrics?: boolean
  /** Some frames from the socket to the sinks, as traces of the tracer `millrace`. Default: as `{}`. */
  readonly traces?: boolean | TraceOptions
}

export interface TraceOptions {
  /** One frame in so many is followed. Default 1,000. */
  readonly oneIn?: number
  /** Frames that are followed at once. Default 64. */
  readonly inFlightMax?: number
  /** How long a frame is followed, milliseconds. Default 5,000. */
  readonly withinMs?: number
}
