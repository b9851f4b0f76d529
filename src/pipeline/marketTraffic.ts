/**
 * What has come of a market on a worker, as it crosses the thread: once a second, the streams of which something has come
 * since, each as a few numbers. Names are told once.
 *
 * A thread that takes the place of one that died counts from 0; here its counts go on where those of the last one ended.
 */
import { guardCounts } from '../book/bookGuard'
import type { ChannelName } from '../exchanges/protocol'
import { sessionCounts } from '../feed/session'
import { Streams, type StreamCounts } from '../feed/streams'
import type { ExchangeCounts, MarketTraffic, RestNumbers } from './market'

export interface TrafficRow {
  readonly row: 'traffic'
  /** For each stream its place and its counters, in the order of {@link COUNTERS}. */
  readonly numbers: Float64Array
  /** Exchange, channel, symbol and instrument (or nothing) of streams that are told of for the first time. */
  readonly names: readonly string[]
}

/** What exchanges have brought as wholes, as plain data. */
export interface ExchangesTold {
  readonly exchanges: readonly (readonly [exchange: string, counts: ExchangeCounts])[]
  readonly rest: readonly (readonly [exchange: string, counts: RestNumbers])[]
}

const COUNTERS = ['frames', 'bytes', 'events', 'gaps', 'resyncs', 'checksumFailures', 'crossed'] as const
/** The place, when the last frame was received, and the counters. */
const WIDTH = 2 + COUNTERS.length

/** On the thread. */
export class TrafficWriter {
  private names = 0
  private readonly told: { frames: number; gaps: number; resyncs: number }[] = []

  /** Undefined when nothing has come since the last. */
  row(streams: readonly Readonly<StreamCounts>[]): TrafficRow | undefined {
    const numbers: number[] = []
    const names: string[] = []
    for (const [place, stream] of streams.entries()) {
      const { frames, gaps, resyncs, lastFrameUs } = stream
      const before = this.told[place]
      if (before?.frames === frames && before.gaps === gaps && before.resyncs === resyncs) continue
      this.told[place] = { frames, gaps, resyncs }
      numbers.push(place, lastFrameUs, ...COUNTERS.map((counter) => stream[counter]))
      // The list only grows at its end.
      for (; this.names <= place; this.names++) {
        const { exchange, channel, symbol, instrument } = streams[this.names]!
        names.push(exchange, channel, symbol, instrument ?? '')
      }
    }
    return numbers.length === 0 ? undefined : { row: 'traffic', numbers: Float64Array.from(numbers), names }
  }
}

/** What a market's exchanges have brought, without what only a session needs. */
export function exchangesTold({ exchanges, rest }: MarketTraffic): ExchangesTold {
  return { exchanges: Array.from(exchanges, ([exchange, counts]) => [exchange, plain(counts)]), rest: [...rest] }
}

/** Where it is read: all that threads have told, one after another. */
export class TrafficReader {
  readonly streams = new Streams()
  /** Of this thread, by place, with what was counted before it began. */
  private places: { readonly stream: StreamCounts; readonly before: Readonly<StreamCounts> }[] = []
  private exchanges = new Map<string, ExchangeCounts>()
  private exchangesBefore = new Map<string, ExchangeCounts>()
  private rest = new Map<string, RestNumbers>()
  private restBefore = new Map<string, RestNumbers>()

  take({ numbers, names }: TrafficRow): void {
    for (let at = 0; at < names.length; at += 4) {
      const [exchange, channel, symbol, instrument] = names.slice(at, at + 4) as [string, ChannelName, string, string]
      const stream = this.streams.of(exchange, channel, symbol, instrument === '' ? undefined : instrument)
      this.places.push({ stream, before: { ...stream } })
    }
    for (let at = 0; at < numbers.length; at += WIDTH) {
      const { stream, before } = this.places[numbers[at]!]!
      stream.lastFrameUs = numbers[at + 1]!
      for (const [index, counter] of COUNTERS.entries()) stream[counter] = before[counter] + numbers[at + 2 + index]!
    }
  }

  takeExchanges({ exchanges, rest }: ExchangesTold): void {
    for (const [exchange, counts] of exchanges) {
      const before = this.exchangesBefore.get(exchange) ?? NO_COUNTS
      this.exchanges.set(exchange, {
        ...sumOf<Omit<ExchangeCounts, 'guard'>>(before, counts),
        guard: sumOf(before.guard, counts.guard),
      })
    }
    for (const [exchange, counts] of rest) {
      const sum = sumOf(this.restBefore.get(exchange) ?? NO_REST, counts)
      this.rest.set(exchange, { ...sum, waiting: counts.waiting })
    }
  }

  /** Another thread takes the place of the one that told until now. */
  restart(): void {
    this.places = []
    this.exchangesBefore = new Map(this.exchanges)
    this.restBefore = new Map(this.rest)
  }

  get traffic(): MarketTraffic {
    return { exchanges: this.exchanges, streams: this.streams.list, rest: this.rest, readings: new Map() }
  }
}

const NO_REST: RestNumbers = { requests: 0, answers: 0, retries: 0, rateLimited: 0, failures: 0, waiting: 0 }
const NO_COUNTS: ExchangeCounts = { ...plain(sessionCounts()), guard: guardCounts() }

/** The numbers of both, field by field. */
function sumOf<T extends object>(one: T, other: T): T {
  const sum = { ...one }
  for (const field of Object.keys(one) as (keyof T)[]) {
    const [a, b] = [one[field], other[field]]
    if (typeof a === 'number' && typeof b === 'number') sum[field] = (a + b) as T[keyof T]
  }
  return sum
}

function plain(counts: ExchangeCounts): ExchangeCounts {
  const numbers = Object.entries(counts).filter(([, value]) => typeof value === 'number')
  return { ...(Object.fromEntries(numbers) as unknown as ExchangeCounts), guard: { ...counts.guard } }
}
