/**
 * What a pipeline wishes to receive from the exchanges, as plain data: the description behind `feed(...)`.
 *
 * The same wish is met by live exchanges, by the simulator and by recordings; which of them is decided when the pipeline
 * runs, not where it is written.
 */
import { CHANNELS, type ChannelName } from '../exchanges/protocol'
import type { MarketEvent } from '../model/events'
import { Fault } from '../model/fault'
import { nearest } from '../model/nearest'

export interface FeedOptions {
  /** Ids as in `millrace exchanges`. */
  readonly exchanges: readonly string[]
  /** Unified names (`BTC-USDT`, `BTC-USDT-PERP`) or an exchange's own symbols. An exchange that does not trade one is left out of it. */
  readonly instruments: readonly string[]
  readonly channel?: ChannelName
  readonly channels?: readonly ChannelName[]
  /** Book levels a side that are wanted; the exchange's nearest offer is taken. */
  readonly depth?: number
  /** Candle interval; default a minute. */
  readonly intervalMs?: number
}

export interface Wish {
  readonly exchanges: readonly string[]
  readonly instruments: readonly string[]
  readonly channels: readonly ChannelName[]
  readonly depth: number | undefined
  readonly intervalMs: number
}

/** @throws `Fault` OPTION_INVALID with all problems in one sentence each */
export function wishOf(options: FeedOptions, exchangeIds: readonly string[]): Wish {
  const problems: string[] = []
  const channels = options.channels ?? (options.channel === undefined ? [] : [options.channel])
  if (channels.length === 0) problems.push(`Name at least one channel: ${CHANNELS.join(', ')}.`)
  for (const channel of channels) {
    if (!CHANNELS.includes(channel)) problems.push(unknown('channel', channel, CHANNELS))
  }
  if (options.exchanges.length === 0) problems.push('Name at least one exchange.')
  for (const exchange of options.exchanges) {
    if (!exchangeIds.includes(exchange)) problems.push(unknown('exchange', exchange, exchangeIds))
  }
  if (options.instruments.length === 0) problems.push('Name at least one instrument, such as BTC-USDT.')
  if (options.depth !== undefined && !(Number.isInteger(options.depth) && options.depth >= 1)) {
    problems.push(`A depth is a whole number of levels, 1 or more; it is ${options.depth}.`)
  }
  if (problems.length > 0) throw new Fault('OPTION_INVALID', problems.join(' '), { problems })
  return {
    exchanges: [...new Set(options.exchanges)],
    instruments: [...new Set(options.instruments)],
    channels: [...new Set(channels)],
    depth: options.depth,
    intervalMs: options.intervalMs ?? 60_000,
  }
}

function unknown(what: string, word: string, known: readonly string[]): string {
  const near = nearest(word, known)
  const hint = near.length > 0 ? ` Did you mean ${near.join(' or ')}?` : ` Known: ${known.join(', ')}.`
  return `There is no ${what} ${JSON.stringify(word)}.${hint}`
}

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
