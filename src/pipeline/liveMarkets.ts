/**
 * The live market of a run, wherever its exchanges live: on the loop, on a worker, or some here and some there.
 *
 * An exchange is in one place: all sources that wish for it share its connections, so that an instrument is received once and
 * a recording holds everything once. Exchanges that one source wishes for together share a thread.
 */
import type { Sessions } from '../feed/sessions'
import type { BookName, ExchangeAddress } from '../feed/liveFeed'
import type { SessionRecord } from '../feed/record'
import { LiveMarket } from './liveMarket'
import type { ConnectionView, Market, MarketOutput, MarketTraffic } from './market'
import { MarketOnWorker } from './marketOnWorker'
import type { Wish } from './wish'

export interface LiveMarketsOptions {
  readonly wishes: readonly Wish[]
  readonly addresses: ReadonlyMap<string, ExchangeAddress> | undefined
  /** Whether frames are wanted: the run is recorded, or a source of it asks for them. */
  readonly keepsFrames: boolean
  /** False to count nothing for each channel and symbol. Default true. */
  readonly countsStreams?: boolean | undefined
}

export function liveMarketOf({ wishes, addresses, keepsFrames, countsStreams }: LiveMarketsOptions): Market {
  const groups = groupsOnWorkers(wishes)
  if (groups.length === 0) return new LiveMarket({ wishes, addresses, countsStreams })
  const onWorkers = groups.map(
    (exchanges) =>
      new MarketOnWorker({
        wishes: narrowed(wishes, (each) => exchanges.has(each)),
        ...{ addresses, keepsFrames, countsStreams },
      }),
  )
  const rest = narrowed(wishes, (each) => !groups.some((exchanges) => exchanges.has(each)))
  const markets: Market[] =
    rest.length === 0 ? onWorkers : [new LiveMarket({ wishes: rest, addresses, countsStreams }), ...onWorkers]
  return markets.length === 1 ? markets[0]! : new Markets(markets)
}

/** The exchanges that live on workers, by thread. */
export function groupsOnWorkers(wishes: readonly Wish[]): ReadonlySet<string>[] {
  let groups: Set<string>[] = []
  for (const { placement, exchanges } of wishes) {
    if (placement !== 'worker') continue
    const joined = new Set(exchanges)
    groups = groups.filter((group) => {
      if (!exchanges.some((exchange) => group.has(exchange))) return true
      for (const exchange of group) joined.add(exchange)
      return false
    })
    // Two groups may have come together only by what was joined; wishes are few.
    groups.push(joined)
  }
  return groups
}

function narrowed(wishes: readonly Wish[], isHere: (exchange: string) => boolean): Wish[] {
  return wishes.flatMap((wish) => {
    const exchanges = wish.exchanges.filter(isHere)
    return exchanges.length === 0 ? [] : [{ ...wish, exchanges }]
  })
}

/** Several as one: what they tell comes in the order in which it happened here; connections keep numbers of their own. */
class Markets implements Market {
  readonly byInstrument = true

  constructor(private readonly markets: readonly Market[]) {}

  /** Those of the first: what counts frames of exchanges looks there. */
  get sessions(): Sessions {
    return this.markets[0]!.sessions
  }

  get ready(): Promise<void> {
    return Promise.all(this.markets.map(({ ready }) => ready)).then(() => undefined)
  }

  async start(output: MarketOutput): Promise<void> {
    let open = this.markets.length
    const starts = this.markets.map((market, index) => {
      const numbered = (record: SessionRecord): SessionRecord =>
        record.connection < 0 ? record : { ...record, connection: record.connection * this.markets.length + index }
      return market.start({
        record: (record) => output.record(numbered(record)),
        events: (record, events) => output.events(record, events),
        fault: (fault) => output.fault(fault),
        ...(output.exhausted !== undefined && { exhausted: (exchange, fault) => output.exhausted!(exchange, fault) }),
        ended: () => {
          if (--open === 0) output.ended()
        },
      })
    })
    await Promise.all(starts)
  }

  async stop(withinMs?: number): Promise<void> {
    await Promise.all(this.markets.map((market) => market.stop(withinMs)))
  }

  refresh(books: Iterable<BookName> | 'all'): void {
    const wanted = books === 'all' ? books : [...books]
    for (const market of this.markets) market.refresh(wanted)
  }

  restart(exchange: string): boolean {
    return this.markets.map((market) => market.restart(exchange)).includes(true)
  }

  pause(): void {
    for (const market of this.markets) market.pause()
  }

  resume(): void {
    for (const market of this.markets) market.resume()
  }

  connections(): readonly ConnectionView[] {
    return this.markets.flatMap((market) => market.connections())
  }

  /** An exchange is in one of them. */
  traffic(): MarketTraffic {
    const all = this.markets.flatMap((market) => market.traffic?.() ?? [])
    const joined = <V>(of: (traffic: MarketTraffic) => ReadonlyMap<string, V>): Map<string, V> =>
      new Map(all.flatMap((traffic) => [...of(traffic)]))
    return {
      exchanges: joined(({ exchanges }) => exchanges),
      streams: all.flatMap(({ streams }) => streams),
      rest: joined(({ rest }) => rest),
      readings: joined(({ readings }) => readings),
    }
  }
}
