/**
 * Which streams of a connection have fallen silent, by their own cadence.
 *
 * A stream is what comes for one channel and symbol. Each arrival adds the time since the one before to a histogram of gaps:
 * to the bin of its length, by its length. So the histogram says of which gaps the stream's time is made, and a burst of a
 * thousand frames, which takes no time, says nothing about the pauses between bursts.
 *
 * Rule      interval = the greater of the 90th percentile of that (in nine tenths of its time, the gap was no longer) and
 *           half of the longest gap that is remembered. A stream is stale when it has been silent for `afterIntervals` of
 *           these, at least `minMs`, at most `maxMs`; in a channel of which its exchange documents how long it may be silent
 *           (`idleMsMax`), no longer than that
 * Young     a stream must have come {@link ARRIVALS_MIN} times. While it is known for less than 24 of its intervals it has
 *           so much longer; and known for a minute, it may be silent for a minute, for ten minutes six seconds
 * Health    only frames of the same connection can show a silence: heartbeats, or other streams. One sweep a second finds who
 *           is suspect, the next one decides; so what waited in the network while everything stood still can come first. Of a
 *           connection that is silent as a whole nothing is said here: that is `FEED_STALE`
 * Bound     a frozen stream is told at the second sweep after its time is over: at the first frame that comes 1 s or more
 *           after the first frame that comes 1 s or more after it, so within 2 s where the connection has a frame each
 *           second; where its interval has just become shorter, by up to 1/32 of the time for which it is known later
 * False     with Poisson arrivals of mean T the interval is 4 to 6 T, and a pause of eight of them comes once in e^31
 *           arrivals or fewer; with gaps of a Weibull distribution of shape 0.5, which is as bursty as trades are, once in
 *           some millions. Tails that no past bounds are told of now and then: log-normal gaps of sigma 1.5 once in six days
 *           of a stream. One that slows down over hours is followed (twentyfold between day and night); one whose pace falls
 *           so at once is told of, which is what it is for
 * Memory    gaps count half after an hour (or 256 arrivals, if that is later), so a longest gap is forgotten after some hours
 * Time      that of the records alone: a replay finds the same at the same frames. No timer
 * Cost      an arrival is a comparison and, 60 times a second at most, an addition to the histogram; a sweep is a comparison a
 *           stream. About 400 bytes a stream
 */
import type { ChannelName } from '../exchanges/protocol'

/** When a stream is stale. */
export interface StaleRule {
  /** Intervals of its own for which a stream may be silent. Default 8. */
  readonly afterIntervals: number
  /** No silence shorter than this is one. Milliseconds, default 5,000. */
  readonly minMs: number
  /** And any that is longer. Milliseconds, default a day. */
  readonly maxMs: number
}

export const STALE_RULE: StaleRule = { afterIntervals: 8, minMs: 5_000, maxMs: 86_400_000 }

/** Arrivals before which nothing is known of a cadence. */
export const ARRIVALS_MIN = 16

/** What has been known for so long may be silent for as long; for n times that, an n-th of it. */
const YOUNG_MS = 60_000
/** And what has been known for fewer intervals than this, for so much longer. */
const INTERVALS_KNOWN = 24
const SWEEP_US = 1_000_000
/** Arrivals closer than this are one: most frames of a fast stream cost a comparison, and a silence may be told as so much longer. */
const FINEST_MS = 16
/** Bins of half an octave: the last begins at 1.5 * 2^30 ms, 18 days. */
const BINS = 62
const MEMORY_MS = 3_600_000
const MEMORY_ARRIVALS = 256
/** What is left of a gap's weight when it is forgotten as the longest. */
const FORGOTTEN = 1 / 64
/** Looks at a stream while the time for which it is known grows e-fold. */
const LOOKS = 32
/** Streams of one connection that are watched; further ones are not. */
const STREAMS_MAX = 20_000

/** One silence, or the end of one. */
export interface Silence {
  readonly stream: StreamCadence
  readonly silentMs: number
  /** What was usual, and how long would have been endured. */
  readonly intervalMs: number
  readonly limitMs: number
  /** How often this silence has been told before: 0 the first time. */
  readonly times: number
}

/** The cadence of one stream. */
export class StreamCadence {
  isStale = false
  /** When it is to be looked at next. */
  dueUs = 0
  suspectedUs = -1
  /** How often its present silence was told. */
  times = 0
  lastUs: number
  private readonly firstUs: number
  /** By length of gap: the milliseconds that such gaps have taken. */
  private readonly weights = new Float32Array(BINS)
  /** Of what is remembered. */
  private totalMs = 0
  private recent = 0
  private arrivals = 1

  constructor(
    readonly channel: ChannelName,
    readonly symbol: string,
    timeUs: number,
    /** The exchange's own bound of its silence, milliseconds; Infinity where it gives none. */
    readonly idleMsMax: number,
  ) {
    this.firstUs = timeUs
    this.lastUs = timeUs
  }

  /** An arrival: adds its gap to what is usual. */
  heard(timeUs: number): void {
    const gapMs = (timeUs - this.lastUs) / 1_000
    this.arrivals++
    if (gapMs < FINEST_MS) return // it takes no time, and moves none: the next gap is longer by it
    this.lastUs = timeUs
    this.weights[binOf(gapMs)]! += gapMs
    this.totalMs += gapMs
    if (++this.recent >= MEMORY_ARRIVALS && this.totalMs >= MEMORY_MS) this.forgetHalf()
  }

  /** What was not heard may have been missed. */
  forgive(timeUs: number): void {
    this.lastUs = Math.max(this.lastUs, timeUs)
  }

  /** For how long it has come, microseconds. */
  get knownUs(): number {
    return this.lastUs - this.firstUs
  }

  /** What is usual, milliseconds; 0 when nothing is known. */
  get intervalMs(): number {
    let beyondMs = 0
    let longestMs = 0
    for (let bin = BINS - 1; bin >= 0; bin--) {
      const weight = this.weights[bin]!
      if (weight === 0) continue
      if (longestMs === 0 && weight >= LOWER_MS[bin]! * FORGOTTEN) longestMs = upperMs(bin)
      beyondMs += weight
      if (beyondMs > this.totalMs / 10) return Math.max(upperMs(bin), longestMs / 2)
    }
    return longestMs / 2
  }

  /** For how long it may be silent, milliseconds; Infinity while that is not known. */
  limitMs({ afterIntervals, minMs, maxMs }: StaleRule): number {
    const knownMs = this.knownUs / 1_000
    if (this.arrivals < ARRIVALS_MIN || knownMs <= 0) return this.idleMsMax
    const { intervalMs } = this
    const scarce = Math.max(1, (INTERVALS_KNOWN * intervalMs) / knownMs)
    const own = Math.min(maxMs, Math.max(minMs, afterIntervals * intervalMs * scarce))
    return Math.min(this.idleMsMax, Math.max(own, (YOUNG_MS * YOUNG_MS) / knownMs))
  }

  private forgetHalf(): void {
    for (let bin = 0; bin < BINS; bin++) this.weights[bin]! /= 2
    this.totalMs /= 2
    this.recent /= 2
    this.dueUs = 0
  }
}

/** The streams of one connection. */
export class Staleness {
  /** When the next sweep is due: whoever has a frame compares. */
  sweepUs = -Infinity
  private readonly streams: StreamCadence[] = []
  private readonly byChannel = new Map<ChannelName, Map<string, StreamCadence>>()
  private readonly endings: Silence[] = []

  constructor(
    private readonly rule: StaleRule,
    /** The exchange's own bound for a channel. */
    private readonly idleMsMaxOf: (channel: ChannelName) => number | undefined,
  ) {}

  /** The stream of a name, from its first arrival on; undefined when there are too many. */
  stream(channel: ChannelName, symbol: string, timeUs: number): StreamCadence | undefined {
    let ofChannel = this.byChannel.get(channel)
    if (ofChannel === undefined) this.byChannel.set(channel, (ofChannel = new Map<string, StreamCadence>()))
    let stream = ofChannel.get(symbol)
    if (stream === undefined) {
      if (this.streams.length >= STREAMS_MAX) return undefined
      stream = new StreamCadence(channel, symbol, timeUs, this.idleMsMaxOf(channel) ?? Infinity)
      ofChannel.set(symbol, stream)
      this.streams.push(stream)
    }
    return stream
  }

  known(channel: ChannelName, symbol: string): StreamCadence | undefined {
    return this.byChannel.get(channel)?.get(symbol)
  }

  /** Something came for a stream. Called for every frame. */
  heard(stream: StreamCadence, timeUs: number): void {
    if (stream.isStale) this.ended(stream, timeUs)
    stream.heard(timeUs)
  }

  /** The connection is over, and with it all silences. */
  end(timeUs: number): void {
    for (const stream of this.streams) if (stream.isStale) this.ended(stream, timeUs)
  }

  /** Frames are missing, of whatever stream. */
  forgive(timeUs: number): void {
    for (const stream of this.streams) stream.forgive(timeUs)
  }

  /** Silences that have ended since this was last asked; most often none. */
  takeEnded(): readonly Silence[] {
    return this.endings.length === 0 ? NONE : this.endings.splice(0)
  }

  /** True when a silence has ended or a sweep is due. Asked for every frame. */
  isDue(nowUs: number): boolean {
    return nowUs >= this.sweepUs || this.endings.length > 0
  }

  /** To be called when `sweepUs` is reached: who has fallen silent, or is still silent after as long again as before. */
  sweep(nowUs: number): readonly Silence[] {
    this.sweepUs = nowUs + SWEEP_US
    let silences: Silence[] | undefined
    for (const stream of this.streams) {
      if (nowUs < stream.dueUs) continue
      const silence = this.judge(stream, nowUs)
      if (silence !== undefined) (silences ??= []).push(silence)
    }
    return silences ?? NONE
  }

  private judge(stream: StreamCadence, nowUs: number): Silence | undefined {
    const limitMs = stream.limitMs(this.rule)
    const endUs = stream.lastUs + limitMs * 1_000 * 2 ** stream.times
    if (nowUs < endUs) {
      // When its time is over; sooner where so little is known that the time may have become shorter by then.
      stream.dueUs = Math.min(endUs, nowUs + Math.max(SWEEP_US, stream.knownUs / LOOKS))
      return undefined
    }
    if (!stream.isStale && stream.suspectedUs <= stream.lastUs) {
      stream.suspectedUs = nowUs
      stream.dueUs = nowUs
      return undefined
    }
    stream.isStale = true
    const silence = silenceOf(stream, nowUs, limitMs)
    stream.times++
    stream.dueUs = stream.lastUs + limitMs * 1_000 * 2 ** stream.times
    return silence
  }

  private ended(stream: StreamCadence, timeUs: number): void {
    this.endings.push(silenceOf(stream, timeUs, stream.limitMs(this.rule)))
    stream.isStale = false
    stream.times = 0
    stream.dueUs = 0
  }
}

const NONE: readonly Silence[] = []

function silenceOf(stream: StreamCadence, nowUs: number, limitMs: number): Silence {
  const { intervalMs, lastUs, times } = stream
  return {
    stream,
    silentMs: Math.round((nowUs - lastUs) / 1_000),
    intervalMs: Math.round(intervalMs),
    limitMs: Math.round(limitMs),
    times,
  }
}

/** Half octaves: 1, 1.5, 2, 3, 4, 6, ... milliseconds. */
function binOf(gapMs: number): number {
  const ms = Math.min(gapMs, 0x7fff_ffff) | 0
  const octave = 31 - Math.clz32(ms)
  return octave === 0 ? 0 : 2 * octave + ((ms >> (octave - 1)) & 1)
}

/** Where each bin begins, and where the last one ends. */
const LOWER_MS = Float64Array.from({ length: BINS + 1 }, (_, bin) => 2 ** (bin >> 1) * (bin % 2 === 0 ? 1 : 1.5))

function upperMs(bin: number): number {
  return bin === 0 ? 2 : LOWER_MS[bin + 1]!
}
