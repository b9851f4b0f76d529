/**
 * Each channel of each symbol as a view shows it: what has come, how fast, and how long ago.
 *
 * Rates are worked out by whoever looks, over what has come since the look before; all who look share the same, so that
 * nobody cuts another's short.
 */
import type { ChannelName } from '../exchanges/protocol'
import type { StreamCounts } from '../feed/streams'
import type { Labels } from '../metrics/registry'

export interface StreamRow {
  readonly exchange: string
  readonly channel: ChannelName
  /** As the exchange spells it; `(further symbols)` for those beyond 10,000 streams, which are counted together. */
  readonly symbol: string
  /** Its usual name, where the exchange's list of instruments has it. */
  readonly instrument: string | undefined
  readonly frames: number
  readonly bytes: number
  readonly events: number
  /** Over the last second or more. */
  readonly eventsPerSecond: number
  /** Since the last frame; undefined before the first. On a replay in the time of the recording. */
  readonly ageMs: number | undefined
  /** Times that a live book was lost, and was live again; and why. */
  readonly gaps: number
  readonly resyncs: number
  readonly checksumFailures: number
  readonly crossed: number
  readonly labels: Labels
}

/** Shorter than this, what has come says little of how fast it comes. */
const RATE_US_MIN = 1_000_000

interface Pace {
  readonly labels: Labels
  events: number
  perSecond: number
}

export class StreamRows {
  private readonly paces = new Map<Readonly<StreamCounts>, Pace>()
  private sinceUs: number | undefined

  /**
   * @param streams  they may grow in number from look to look, and in what they count
   * @param nowUs    in the time of their stamps; undefined before there is any
   */
  look(streams: readonly Readonly<StreamCounts>[], nowUs: number | undefined): StreamRow[] {
    if (nowUs === undefined) return []
    const tookUs = nowUs - (this.sinceUs ?? nowUs)
    const isDue = tookUs >= RATE_US_MIN
    if (isDue || this.sinceUs === undefined) this.sinceUs = nowUs
    return streams.map((stream) => {
      const pace = this.paceOf(stream)
      if (isDue) {
        pace.perSecond = Math.round(((stream.events - pace.events) / tookUs) * 1e7) / 10
        pace.events = stream.events
      }
      const { exchange, channel, symbol, instrument, frames, bytes, events, lastFrameUs } = stream
      const { gaps, resyncs, checksumFailures, crossed } = stream
      return {
        exchange,
        channel,
        symbol,
        instrument,
        frames,
        bytes,
        events,
        eventsPerSecond: pace.perSecond,
        ageMs: Number.isNaN(lastFrameUs) ? undefined : Math.max(0, Math.round((nowUs - lastFrameUs) / 1_000)),
        gaps,
        resyncs,
        checksumFailures,
        crossed,
        labels: pace.labels,
      }
    })
  }

  private paceOf(stream: Readonly<StreamCounts>): Pace {
    const known = this.paces.get(stream)
    if (known !== undefined) return known
    const { exchange, channel, symbol } = stream
    const pace: Pace = { labels: { exchange, channel, symbol }, events: 0, perSecond: 0 }
    this.paces.set(stream, pace)
    return pace
  }
}
