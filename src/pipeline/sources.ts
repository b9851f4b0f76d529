/**
 * The sources of market data that a pipeline, a script or a notebook names: `feed`, `replay`, `simulator`.
 *
 * Each is an observable of batches of market events. In a pipeline a `feed` is a wish that the run meets from wherever it
 * was told to (live, simulated, recorded); subscribed to on its own it connects to the exchanges itself.
 */
import { Observable, type Subscriber } from 'rxjs'
import { booksOf, type BookObserver, type BookSource } from '../book/bookSource'
import { BookStep } from '../book/bookStep'
import type { BookView } from '../book/bookView'
import { liveClock } from '../clock/liveClock'
import { EXCHANGES } from '../exchanges/exchanges'
import { kept, type SessionRecord } from '../feed/record'
import { parseSpeed } from '../feed/recording/pace'
import { problemsOfStale } from '../feed/stalePolicy'
import type { Batch, MarketEvent } from '../model/events'
import { Fault } from '../model/fault'
import type { SimulatorOptions } from '../simulator/simulator'
import { startSimulator } from '../simulator/startSimulator'
import type { Market, MarketOutput } from './market'
import { liveMarket, liveMarkets, replayMarket } from './openMarket'
import { meets, wishOf, type FeedOptions, type Wish } from './wish'

/**
 * A source of market events that says what it wishes, so that a run can meet the wish its own way.
 *
 * `toBooks` directly behind it, outside of a pipeline, is given the books of the sessions, without events between.
 */
export class MarketSource extends Observable<Batch<MarketEvent>> implements BookSource {
  constructor(
    readonly wish: Wish,
    private readonly open: () => Promise<OpenMarket> | OpenMarket,
  ) {
    super((out) => {
      let wants: ((event: MarketEvent) => boolean) | undefined
      return subscribeTo(open, out, (market) => ({
        record: () => undefined,
        events: (_, events) => {
          wants ??= meets(wish, market.byInstrument)
          const wanted = events.filter(wants)
          if (wanted.length > 0) out.next(wanted)
        },
      }))
    })
  }

  [booksOf](depth: number, out: BookObserver): () => void {
    return subscribeTo(this.open, out, (market) => {
      market.sessions.keepBooks()
      let wants: ((event: MarketEvent) => boolean) | undefined
      return {
        record: () => undefined,
        events: (_, events) => {
          wants ??= meets(this.wish, market.byInstrument)
          const views: BookView[] = []
          for (const event of events) {
            if (event instanceof BookStep && wants(event)) views.push(event.view.upTo(depth))
          }
          if (views.length > 0) out.next(views)
        },
      }
    })
  }
}

/** A source of what happens on the connections themselves: frames of both directions, REST answers, openings and ends. */
export class FrameSource extends Observable<Batch<SessionRecord>> {
  constructor(
    readonly wish: Wish,
    open: () => Promise<OpenMarket> | OpenMarket,
  ) {
    super((out) =>
      subscribeTo(open, out, () => ({
        record: (record) => out.next([kept(record)]),
        events: () => undefined,
      })),
    )
  }
}

/** Opens a market for one subscriber, and closes it with the subscription. */
function subscribeTo(
  open: () => Promise<OpenMarket> | OpenMarket,
  out: Pick<Subscriber<never>, 'complete' | 'error'>,
  tapOf: (market: Market) => Pick<MarketOutput, 'record' | 'events'>,
): () => void {
  let opened: OpenMarket | undefined
  const subscription = { left: false }
  const close = (market: OpenMarket): void => {
    void market.market
      .stop()
      .then(() => market.after?.())
      .catch(() => undefined)
  }
  void (async () => {
    try {
      opened = await open()
      if (subscription.left) {
        close(opened)
        return
      }
      let terminal: Fault | undefined
      await opened.market.start({
        ...tapOf(opened.market),
        fault: (fault) => {
          if (fault.repair === 'stop') terminal = fault
        },
        ended: () => (terminal === undefined ? out.complete() : out.error(terminal)),
      })
    } catch (thrown) {
      out.error(thrown)
    }
  })()
  return () => {
    subscription.left = true
    if (opened !== undefined) close(opened)
  }
}

/** An open market, and what has to be closed after it. */
export interface OpenMarket {
  readonly market: Market
  readonly after?: () => Promise<void>
}

export interface AddressedFeedOptions extends FeedOptions {
  /** Hosts by exchange in the place of the exchange's own: a testnet, a simulator. */
  readonly addresses?: ReadonlyMap<string, { readonly ws: string; readonly rest: string }>
}

/**
 * Live frames of one or several exchanges, decoded: batches of market events, one per frame, in order.
 *
 * Book changes are let through only when they can be vouched for; notices travel in order with the data. The connections
 * live as long as the subscription: share it with a Subject, not with `share()`, when several read it.
 *
 * @throws `Fault` OPTION_INVALID for unknown exchanges or channels, with the nearest names
 */
export function feed(options: AddressedFeedOptions): MarketSource {
  const wish = wishOf(options, [...EXCHANGES.keys()])
  return new MarketSource(wish, () => ({
    market: liveMarkets({ wishes: [wish], addresses: options.addresses, keepsFrames: false }),
  }))
}

/**
 * What happens on the connections that a feed would open, as it is written into recordings: for pipelines that record.
 *
 * @throws `Fault` OPTION_INVALID for unknown exchanges or channels, with the nearest names
 */
export function frames(options: AddressedFeedOptions): FrameSource {
  const wish = wishOf(options, [...EXCHANGES.keys()])
  return new FrameSource(wish, () => ({ market: liveMarket({ wishes: [wish], addresses: options.addresses }) }))
}

export interface ReplayOptions extends Partial<FeedOptions> {
  /** `max` (default), `real`, or a multiple such as `10x`. */
  readonly speed?: string
  /** The exchange whose protocol the recording speaks, where its header names another. */
  readonly exchange?: string
  /** Begins with the first records of this time or later, integer microseconds since 1970. */
  readonly fromUs?: number
  /** Ends before the first records of this time or later. */
  readonly toUs?: number
  /** Each event says of which line of which recording it was made (`event.lineage`). Default false. */
  readonly lineage?: boolean
}

/**
 * The same from recordings, with their REST files; everything in them unless instruments or channels are named.
 *
 * From a time (`fromUs`), each file is sought by its index; a file without one is read once for it, which takes some seconds
 * a gigabyte, and the index is kept beside it. The openings of connections that are open then come first, with the lists of
 * instruments that hold. Nothing of the data before is read, so a book that was built from a snapshot before `fromUs` is
 * silent until the recording brings its next one: it is never made of deltas alone.
 *
 * Gaps   where lines of a recording are missing or damaged, a `gap` notice without a symbol travels in their place; books
 *        whose exchange sends neither numbers nor checksums are emptied there, the others tell by these
 */
export function replay(files: string | readonly string[], options: ReplayOptions = {}): MarketSource {
  const problems = problemsOfStale(options.stale)
  if (problems.length > 0) throw new Fault('OPTION_INVALID', problems.join(' '), { problems })
  const wish: Wish = {
    exchanges: options.exchanges ?? [...EXCHANGES.keys()],
    instruments: options.instruments ?? [],
    channels: options.channels ?? (options.channel === undefined ? ALL : [options.channel]),
    depth: options.depth,
    intervalMs: options.intervalMs ?? 60_000,
    stale: options.stale,
  }
  return new MarketSource(wish, () => ({
    market: replayMarket({
      files: typeof files === 'string' ? [files] : files,
      exchange: options.exchange,
      speed: parseSpeed(options.speed ?? 'max'),
      ...{ fromUs: options.fromUs, toUs: options.toUs, lineage: options.lineage },
      wishes: [wish],
      clock: liveClock,
      ready: turnEvery(8),
    }),
  }))
}

const ALL = ['trades', 'book', 'ticker', 'candles', 'derivative', 'liquidations'] as const

export interface SimulatorSourceOptions extends FeedOptions {
  readonly seed?: number
  /** Market frames per second over everything subscribed, up to 50,000. */
  readonly messagesPerSecond?: number
  /** As `millrace simulate --faults`. */
  readonly faults?: string
}

/** The same exchanges on loopback, seeded: a simulator is started for the subscription, and stopped with it. */
export function simulator(options: SimulatorSourceOptions): MarketSource {
  const wish = wishOf(options, [...EXCHANGES.keys()])
  return new MarketSource(wish, async () => {
    const running = await startSimulator(simulatorOptionsOf([wish], options))
    return { market: liveMarket({ wishes: [wish], addresses: running.addresses }), after: () => running.stop() }
  })
}

/** The simulator that meets the wishes. */
export function simulatorOptionsOf(
  wishes: readonly Wish[],
  { seed, messagesPerSecond, faults }: { seed?: number; messagesPerSecond?: number; faults?: string },
): SimulatorOptions {
  return {
    exchanges: [...new Set(wishes.flatMap((wish) => wish.exchanges))],
    ...(seed === undefined ? {} : { seed }),
    ...(messagesPerSecond === undefined ? {} : { messagesPerSecond }),
    ...(faults === undefined ? {} : { faults }),
  }
}

/** Gives the event loop a turn whenever `ms` milliseconds of work have been done since the last. */
function turnEvery(ms: number): () => Promise<void> | undefined {
  let startedMs = performance.now()
  return () => {
    if (performance.now() - startedMs < ms) return undefined
    return new Promise((resolve) =>
      setImmediate(() => {
        startedMs = performance.now()
        resolve()
      }),
    )
  }
}
