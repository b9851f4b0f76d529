import { liveRandom } from '../clock/backoff'
import { liveClock } from '../clock/liveClock'
import { exchangeById } from '../exchanges/exchanges'
import { LiveFeed, type ExchangeAddress } from '../feed/liveFeed'
import type { Sessions } from '../feed/sessions'
import type { FeedWish } from '../feed/subscriptionPlan'
import type { SessionRecord } from '../feed/record'
import type { MarketEvent } from '../model/events'
import type { Fault } from '../model/fault'
import type { ConnectionView, Market, MarketOutput } from './market'
import type { Wish } from './wish'

export interface LiveMarketOptions {
  readonly wishes: readonly Wish[]
  /** Hosts by exchange in the place of the exchanges' own. */
  readonly addresses: ReadonlyMap<string, ExchangeAddress> | undefined
}

/** The exchanges themselves, or whatever speaks as they do at the given addresses. */
export class LiveMarket implements Market {
  readonly byInstrument = true
  private readonly feed: LiveFeed
  private output: MarketOutput | undefined

  constructor({ wishes, addresses }: LiveMarketOptions) {
    this.feed = new LiveFeed({
      wishes: wishes.flatMap(perExchange),
      protocolOf: exchangeById,
      addresses,
      clock: liveClock,
      random: liveRandom,
      env: process.env,
      onRecord: (record: SessionRecord) => this.output?.record(record),
      onEvents: (events: MarketEvent[], record: SessionRecord) => this.output?.events(record, events),
      onFault: (fault: Fault) => this.output?.fault(fault),
      onTerminal: (fault: Fault) => this.judge(fault),
    })
  }

  get sessions(): Sessions {
    return this.feed.sessions
  }

  start(output: MarketOutput): Promise<void> {
    this.output = output
    return this.feed.start()
  }

  stop(): Promise<void> {
    return this.feed.stop()
  }

  pause(): void {
    this.feed.pause()
  }

  resume(): void {
    this.feed.resume()
  }

  /**
   * Data that was wished for will not come any more. An exchange that is gone ends the run, loudly; one that refused what
   * was asked of it leaves the run to the others, while there are any.
   */
  private judge(fault: Fault): void {
    const goOn =
      fault.code === 'SUBSCRIBE_REFUSED' &&
      this.feed.status().some(({ state }) => state !== 'failed' && state !== 'stopped')
    if (!goOn) this.output?.ended()
  }

  connections(): readonly ConnectionView[] {
    return this.feed.status()
  }
}

/** A wish names instruments for all its exchanges: each gives what it trades. */
function perExchange({ exchanges, instruments, channels, depth, intervalMs }: Wish): FeedWish[] {
  return exchanges.map((exchange) => ({
    exchange,
    instruments,
    channels,
    depth,
    intervalMs,
    wherever: exchanges.length > 1,
  }))
}
