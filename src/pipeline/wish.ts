/**
 * What a pipeline wishes to receive from the exchanges, as plain data: the description behind `feed(...)`.
 *
 * The same wish is met by live exchanges, by the simulator and by recordings; which of them is decided when the pipeline
 * runs, not where it is written.
 */
import type { ChannelName } from '../exchanges/protocol'
import { problemsOfStale, type StaleOptions } from '../feed/stalePolicy'
import { problemsOfWish } from '../feed/subscriptionPlan'
import type { MarketEvent } from '../model/events'
import { Fault } from '../model/fault'
import { noSuch } from '../model/nearest'

export interface FeedOptions {
  /** Ids as in `millrace exchanges`. */
  readonly exchanges: readonly string[]
  /** Unified names (`BTC-USDT`, `BTC-USDT-PERP`) or an exchange's own symbols. An exchange that does not trade one is left out of it. */
  readonly instruments: readonly string[]
  readonly channel?: ChannelName
  readonly channels?: readonly ChannelName[]
  /** Book levels a side that are wanted; the exchange's nearest offer is taken. */
  readonly depth?: number
  /**
   * Milliseconds between two frames of a book that are often enough: the leanest wire that the exchange offers for it is taken,
   * where it offers several (Binance: 100 or 1000; its futures: 0, 100, 250, 500). Default the exchange's own, about 100. On
   * Bybit the pace is a matter of the depth: 1, 50, 200 and 1000 levels every 10, 20, 100 and 200 ms.
   */
  readonly bookEveryMs?: number
  /**
   * Complete tops of a book, as deep as `depth`, in the place of its changes, where the exchange offers both (Binance and its
   * futures: 5, 10 or 20 levels). There is nothing to join or to repair, and nothing is known below them. Default false.
   */
  readonly bookTops?: boolean
  /** Candle interval; default a minute. */
  readonly intervalMs?: number
  /**
   * Where the sockets, the decoding and the books of these exchanges live: on the event loop, the default, or on a worker
   * thread of their own, from which events cross. Sources that name the same exchange share a thread.
   */
  readonly placement?: 'loop' | 'worker'
  /**
   * Levels a side of a book that are enough, with `placement: 'worker'`: what crosses is a book of so many, as if the exchange
   * sent no more, and a change of it only when one of them has changed. Where another source of the run wishes for all of the exchange's books,
   * their changes cross as they are.
   */
  readonly levels?: number
  /**
   * What is done about a stream (one channel of one instrument) that has fallen silent for several of its own intervals while
   * its connection is lively, and when that is: see `src/feed/staleness.ts`. Default `{ action: 'notice' }`. Sources that share
   * an exchange share the strictest of what they choose.
   */
  readonly stale?: StaleOptions
}

export interface Wish {
  readonly exchanges: readonly string[]
  readonly instruments: readonly string[]
  readonly channels: readonly ChannelName[]
  readonly depth: number | undefined
  readonly bookEveryMs?: number | undefined
  readonly bookTops?: boolean | undefined
  readonly intervalMs: number
  readonly placement?: 'loop' | 'worker' | undefined
  readonly levels?: number | undefined
  readonly stale?: StaleOptions | undefined
  /** False for what a run may be ready without. Default true. */
  readonly required?: boolean | undefined
}

/** @throws `Fault` OPTION_INVALID with all problems in one sentence each */
export function wishOf(options: FeedOptions, exchangeIds: readonly string[]): Wish {
  // Plain JavaScript may leave out what the types require: that is a sentence, not a crash.
  const {
    exchanges = [],
    instruments = [],
    channel,
    depth,
    bookEveryMs,
    bookTops,
    intervalMs,
    placement,
    levels,
    stale,
  } = options as Partial<FeedOptions>
  const channels = options.channels ?? (channel === undefined ? [] : [channel])
  const problems = problemsOfWish({ instruments, channels, depth, bookEveryMs, intervalMs })
  if (exchanges.length === 0) problems.push('Name at least one exchange.')
  if (placement !== undefined && !PLACEMENTS.includes(placement)) {
    problems.push(`placement is ${JSON.stringify(placement)}; give one of ${PLACEMENTS.join(', ')}.`)
  }
  if (levels !== undefined && !(Number.isSafeInteger(levels) && levels > 0)) {
    problems.push(`levels is ${levels}; give a whole number of levels a side, 1 or more.`)
  }
  if (levels !== undefined && placement !== 'worker') problems.push("levels go with placement: 'worker'.")
  problems.push(...problemsOfStale(stale))
  for (const exchange of exchanges) {
    if (!exchangeIds.includes(exchange)) problems.push(noSuch('exchange', exchange, exchangeIds))
  }
  if (problems.length > 0) throw new Fault('OPTION_INVALID', problems.join(' '), { problems })
  return {
    exchanges: [...new Set(exchanges)],
    instruments: [...new Set(instruments)],
    channels: [...new Set(channels)],
    depth,
    ...(bookEveryMs !== undefined && { bookEveryMs }),
    ...(bookTops === true && { bookTops }),
    intervalMs: intervalMs ?? 60_000,
    ...(placement === 'worker' && { placement }),
    ...(levels !== undefined && { levels }),
    ...(stale !== undefined && { stale: { ...stale } }),
  }
}

const PLACEMENTS: readonly unknown[] = ['loop', 'worker']

const CHANNEL_OF: Readonly<Record<Exclude<MarketEvent['kind'], 'notice'>, ChannelName>> = {
  trade: 'trades',
  snapshot: 'book',
  delta: 'book',
  ticker: 'ticker',
  candle: 'candles',
  derivative: 'derivative',
  liquidation: 'liquidations',
}

/**
 * Which events of a market meet a wish. Notices about a wished exchange always do.
 *
 * @param byInstrument  false for a recording that holds other instruments than the wish names: then all of them are meant
 */
export function meets(wish: Wish, byInstrument: boolean): (event: MarketEvent) => boolean {
  const exchanges = new Set(wish.exchanges)
  const instruments = new Set(wish.instruments)
  const channels = new Set<ChannelName>(wish.channels)
  return (event) => {
    if (event.kind === 'notice') {
      return !byInstrument || (exchanges.has(event.exchange) && (event.symbol === '' || named(event)))
    }
    if (!channels.has(CHANNEL_OF[event.kind])) return false
    return !byInstrument || (exchanges.has(event.exchange) && named(event))
  }

  function named(event: MarketEvent): boolean {
    return instruments.has(event.instrument ?? event.symbol) || instruments.has(event.symbol)
  }
}
