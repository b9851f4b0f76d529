import { liveRandom } from '../clock/backoff'
import type { Clock } from '../clock/clock'
import { liveClock } from '../clock/liveClock'
import { exchangeById } from '../exchanges/exchanges'
import { LiveFeed, type BookName, type ExchangeAddress } from '../feed/liveFeed'
import type { Environment } from '../feed/proxy'
import type { Sessions } from '../feed/sessions'
import type { FeedWish } from '../feed/subscriptionPlan'
import type { SessionRecord } from '../feed/record'
import type { Transport } from '../feed/transport'
import type { MarketEvent } from '../model/events'
import type { Fault } from '../model/fault'
import type { ConnectionView, Market, MarketOutput, MarketTraffic } from './market'
import type { Wish } from './wish'

export interface LiveMarketOptions {
  readonly wishes: readonly Wish[]
  /** Hosts by exchange in the place of the exchanges' own. */
  readonly addresses: ReadonlyMap<string, ExchangeAddress> | undefined
  /** The machine's time: deadlines, retries, receive stamps. Default the live clock. */
  readonly clock?: Clock | undefined
  /** Jitter: numbers from 0 (included) to 1 (excluded). Default differs from process to process. */
  readonly random?: (() => number) | undefined
  /** How exchanges are reached. Default over the network. */
  readonly transport?: Transport | undefined
  /** Where proxies are named. Default the environment of the process. */
  readonly env?: Environment | undefined
  /** False to count nothing for each channel and symbol. Default true. */
  readonly countsStreams?: boolean | undefined
}

/** The exchanges themselves, or whatever speaks as they do at the given addresses. */
export class LiveMarket implements Market {
  readonly byInstrument = true
  private readonly feed: LiveFeed
  private readonly wishes: readonly Wish[]
  private output: MarketOutput | undefined
  private hasEnded = false

  constructor({
    wishes,
    addresses,
    clock = liveClock,
    random = liveRandom,
    transport,
    env = process.env,
    countsStreams,
  }: LiveMarketOptions) {
    this.wishes = wishes
    this.feed = new LiveFeed({
      wishes: wishes.flatMap(perExchange),
      protocolOf: exchangeById,
      addresses,
      clock,
      random,
      transport,
      env,
      countsStreams,
      onRecord: (record: SessionRecord) => this.output?.record(record),
      onEvents: (events: readonly MarketEvent[], record: SessionRecord) => this.output?.events(record, events),
      onFault: (fault: Fault) => this.output?.fault(fault),
      onTerminal: (fault: Fault, exchange: string | undefined) => this.judge(fault, exchange),
    })
  }

  get sessions(): Sessions {
    return this.feed.sessions
  }

  start(output: MarketOutput): Promise<void> {
    this.output = output
    return this.feed.start()
  }

  get ready(): Promise<void> {
    return this.feed.ready
  }

  stop(withinMs?: number): Promise<void> {
    return this.feed.stop(withinMs)
  }

  refresh(books: Iterable<BookName> | 'all'): void {
    this.feed.refresh(books)
  }

  restart(exchange: string): boolean {
    return this.feed.restart(exchange)
  }

  pause(): void {
    this.feed.pause()
  }

  resume(): void {
    this.feed.resume()
  }

  /**
   * Data that was wished for will not come any more. What follows is the supervisor's to decide. Without one, an exchange
   * that is gone ends the run, loudly, unless nothing of it is required and others are at work.
   */
  private judge(fault: Fault, exchange: string | undefined): void {
    const { output } = this
    if (exchange !== undefined && output?.exhausted !== undefined) {
      output.exhausted(exchange, fault)
      return
    }
    const required =
      exchange === undefined || this.wishes.some((wish) => wish.required !== false && wish.exchanges.includes(exchange))
    const othersWork = this.feed.status().some(({ state }) => state !== 'failed' && state !== 'stopped')
    if ((!required && othersWork) || this.hasEnded) return
    this.hasEnded = true
    output?.ended()
  }

  connections(): readonly ConnectionView[] {
    return this.feed.status()
  }

  traffic(): MarketTraffic {
    const { counts, streams } = this.feed.sessions
    return { exchanges: counts, streams: streams.list, rest: this.feed.restCounts(), readings: NONE }
  }
}

const NONE: MarketTraffic['readings'] = new Map()

/** A wish names instruments for all its exchanges: each gives what it trades. */
function perExchange({ exchanges, ...wish }: Wish): FeedWish[] {
  return exchanges.map((exchange) => ({ ...wish, exchange, wherever: exchanges.length > 1 }))
}
