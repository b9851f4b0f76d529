/**
 * Follows some frames from the socket to the sinks, as traces of OpenTelemetry: one span for the frame, and in it one for its
 * way from the exchange, its decoding, each stage that worked on what was made of it, and each sink until that was safe.
 *
 * A value is followed by the receive stamp that it carries, as the latency of a run is: what an operator makes of a frame and
 * gives `receiveTimeUs` is followed on, and what it gives none is not. What a stage does in line belongs to the stage that
 * called it.
 *
 * Cost   nothing where nobody follows. Else for each frame a scramble of its stamp; for each value, while frames are followed,
 *        a look at its stamp; and spans for one frame in `oneIn`, of which so many are under way, each with so many spans
 * End    a frame's span ends with the last of those in it, `withinMs` after its receipt; a sink that has not written what
 *        came of it by then says so in its span (`millrace.unwritten`)
 */
import type { Clock, Timer } from '../../clock/clock'
import type { Attributes, Context, OpenTelemetryApi, Span, SpanTime, Tracer } from './openTelemetryApi'

export interface FrameTracerOptions {
  readonly api: OpenTelemetryApi
  /** From which receive stamps are taken; of waits too. */
  readonly clock: Clock
  /** One frame in so many is followed. */
  readonly oneIn: number
  /** Frames under way at once; beyond, none is begun. */
  readonly inFlightMax: number
  /** How long a frame is followed, milliseconds. */
  readonly withinMs: number
}

/** A frame that became events. */
export interface DecodedFrame {
  /** The receive stamp. */
  readonly timeUs: number
  readonly exchange: string
  readonly connection: number
}

interface Followed {
  readonly receiveUs: number
  readonly frame: Span
  readonly context: Context
  /** Spans that were begun in it. */
  spans: number
  /** Of those that have ended. */
  lastUs: number
  /** Sinks that have not written yet what came to them. */
  readonly sinks: Map<string, Span>
}

/** Of one frame. */
const SPANS_MAX = 128

/** Of a batch, values at whose stamps is looked: of one frame all bear the same. */
const VALUES_LOOKED_AT = 64

export class FrameTracer {
  private readonly tracer: Tracer
  private readonly followed = new Map<number, Followed>()
  /** Within which what begins now belongs, and whose. */
  private inside: { readonly followed: Followed; readonly context: Context } | undefined
  private timer: Timer | undefined

  constructor(private readonly options: FrameTracerOptions) {
    this.tracer = options.api.trace.getTracer('millrace')
  }

  /** A frame has become events, of which the first says the exchange's time. Called for every frame. */
  decoded(
    frame: DecodedFrame,
    events: readonly { readonly exchangeTimeUs?: number | undefined; readonly symbol?: string }[],
  ): void {
    const { oneIn, inFlightMax, clock, withinMs, api } = this.options
    const { timeUs: receiveUs, exchange, connection } = frame
    if (scrambled(receiveUs) % oneIn !== 0 || this.followed.size >= inFlightMax || this.followed.has(receiveUs)) return
    const decodedUs = Math.max(receiveUs, clock.nowUs())
    const exchangeUs = events[0]?.exchangeTimeUs
    const beganUs = Math.min(exchangeUs ?? receiveUs, receiveUs)
    const attributes: Attributes = {
      'millrace.exchange': exchange,
      'millrace.connection': connection,
      'millrace.events': events.length,
      'millrace.receive_time_us': receiveUs,
      ...(events[0]?.symbol === undefined ? {} : { 'millrace.symbol': events[0].symbol }),
    }
    const span = this.tracer.startSpan(
      'frame',
      { startTime: timeOf(beganUs), attributes, root: true },
      api.ROOT_CONTEXT,
    )
    const context = api.trace.setSpan(api.ROOT_CONTEXT, span)
    const followed: Followed = { receiveUs, frame: span, context, spans: 2, lastUs: decodedUs, sinks: new Map() }
    // Where the exchange's clock is ahead of ours, or it says nothing, there is no way to be shown.
    if (beganUs < receiveUs) this.begin(followed, 'receive', beganUs, {}).end(timeOf(receiveUs))
    this.begin(followed, 'decode', receiveUs, {}).end(timeOf(decodedUs))
    this.followed.set(receiveUs, followed)
    this.timer ??= clock.after(withinMs, () => this.look())
  }

  /** Calls what a stage does with a value. */
  stage(path: string, value: unknown, work: () => void): void {
    const followed = this.find(value)
    if (followed === undefined || followed.spans >= SPANS_MAX) {
      work()
      return
    }
    const { clock, api } = this.options
    const outer = this.inside
    const context = outer?.followed === followed ? outer.context : followed.context
    const span = this.begin(followed, `stage ${path}`, clock.nowUs(), { 'millrace.stage': path }, context)
    this.inside = { followed, context: api.trace.setSpan(context, span) }
    try {
      work()
    } finally {
      this.inside = outer
      this.end(followed, span, clock.nowUs())
    }
  }

  /** A value comes to the edge of a sink. Of several values of a frame the first counts. */
  came(sink: string, value: unknown): void {
    const followed = this.find(value)
    if (followed === undefined || followed.spans >= SPANS_MAX || followed.sinks.has(sink)) return
    const nowUs = this.options.clock.nowUs()
    followed.sinks.set(sink, this.begin(followed, `sink ${sink}`, nowUs, { 'millrace.sink': sink }))
  }

  /** Values are safe at the destination of a sink. */
  written(sink: string, values: readonly unknown[]): void {
    if (this.followed.size === 0) return
    for (let index = 0; index < values.length; index++) {
      const followed = this.find(values[index])
      const span = followed?.sinks.get(sink)
      if (span === undefined) continue
      followed!.sinks.delete(sink)
      this.end(followed!, span, this.options.clock.nowUs())
    }
  }

  /** The run has ended: so do the spans. */
  close(): void {
    this.timer?.cancel()
    for (const followed of this.followed.values()) this.retire(followed)
    this.followed.clear()
  }

  private begin(
    followed: Followed,
    name: string,
    atUs: number,
    attributes: Attributes,
    context = followed.context,
  ): Span {
    followed.spans++
    return this.tracer.startSpan(name, { startTime: timeOf(atUs), attributes }, context)
  }

  private end(followed: Followed, span: Span, atUs: number): void {
    followed.lastUs = Math.max(followed.lastUs, atUs)
    span.end(timeOf(atUs))
  }

  private find(value: unknown): Followed | undefined {
    if (this.followed.size === 0) return undefined
    if (!Array.isArray(value)) return this.of(value)
    const many = Math.min(value.length, VALUES_LOOKED_AT)
    for (let index = 0; index < many; index++) {
      const followed = this.of(value[index])
      if (followed !== undefined) return followed
    }
    return undefined
  }

  private of(value: unknown): Followed | undefined {
    if (typeof value !== 'object' || value === null) return undefined
    const { receiveTimeUs } = value as { readonly receiveTimeUs?: unknown }
    return typeof receiveTimeUs === 'number' ? this.followed.get(receiveTimeUs) : undefined
  }

  /** Lets those go whose time is over: the oldest stand first. */
  private look(): void {
    const { clock, withinMs } = this.options
    const overUs = clock.nowUs() - withinMs * 1_000
    this.timer = undefined
    for (const followed of this.followed.values()) {
      const leftMs = (followed.receiveUs - overUs) / 1_000
      if (leftMs > 0) {
        this.timer = clock.after(leftMs, () => this.look())
        return
      }
      this.followed.delete(followed.receiveUs)
      this.retire(followed)
    }
  }

  private retire(followed: Followed): void {
    for (const span of followed.sinks.values()) {
      span.setAttribute('millrace.unwritten', true)
      this.end(followed, span, this.options.clock.nowUs())
    }
    followed.frame.end(timeOf(followed.lastUs))
  }
}

function timeOf(us: number): SpanTime {
  const seconds = Math.floor(us / 1e6)
  return [seconds, (us - seconds * 1e6) * 1_000]
}

/** Spreads what follows a beat over all numbers of 32 bits, from 0. */
function scrambled(timeUs: number): number {
  let bits = Math.imul(timeUs | 0, 0x9e3779b1)
  bits ^= bits >>> 15
  bits = Math.imul(bits, 0x85ebca6b)
  return (bits ^ (bits >>> 13)) >>> 0
}
