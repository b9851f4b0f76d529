import { Observable } from 'rxjs'
import { booksOf, type BookSource } from '../book/bookSource'
import { exchangeById } from '../exchanges/exchanges'
import type { Batch, MarketEvent } from '../model/events'
import { BookKeeper } from './bookKeeper'
import { Sessions } from './sessions'

export interface FromFramesOptions {
  /** The receive time of each frame, integer microseconds since 1970; 0 and rising by one without it. */
  readonly receiveTimesUs?: Iterable<number>
  /** Text of the exchange's REST instruments answer. */
  readonly instruments?: string
  /** Texts of REST book snapshots known before the first frame, for exchanges that need them. */
  readonly snapshots?: readonly { readonly symbol: string; readonly body: string }[]
  /** The address that was connected to, where an exchange's markets speak alike (`wss://stream.bybit.com/v5/public/spot`). */
  readonly url?: string
}

/**
 * Received frames of one connection, as batches of market events: synchronously on subscription, the road of a live feed
 * without the socket.
 *
 * Emits      one batch per frame that holds events
 * Completes  after the last frame
 * Errors     with OPTION_INVALID for an unknown exchange; a bad frame is counted and skipped
 * Holds      what the protocol needs between frames
 */
export function fromFrames(
  exchange: string,
  frames: Iterable<Uint8Array>,
  options: FromFramesOptions = {},
): Observable<Batch<MarketEvent>> {
  const protocol = exchangeById(exchange)
  const run = (out: FrameObserver, books?: BookKeeper): void => {
    // Some exchanges answer in several parts, and one text holds one of them.
    const sessions = new Sessions({ protocolOf: () => protocol, ...(books !== undefined && { books }) })
    const base = { ns: 0, connection: 0, exchange: protocol.id }
    const times = options.receiveTimesUs?.[Symbol.iterator]()
    let timeUs = 0
    const rest = { ...base, dir: 'rest', method: 'GET', timeUs } as const
    if (options.instruments !== undefined) {
      sessions.apply({ ...rest, url: '', role: 'instruments', body: options.instruments })
    }
    sessions.apply({ ...base, dir: 'open', timeUs, url: options.url ?? '' })
    for (const { symbol, body } of options.snapshots ?? []) {
      const path = protocol.book.snapshot?.path(symbol, { depth: undefined, intervalMs: 60_000 })
      if (path !== undefined) {
        out.events(sessions.apply({ ...rest, url: protocol.hosts.rest + path, role: 'book-snapshot', body }))
      }
    }
    for (const data of frames) {
      if (out.closed()) break
      const next = times?.next()
      timeUs = next === undefined || next.done === true ? timeUs + 1 : next.value
      out.events(sessions.receive(0, data, timeUs))
    }
    sessions.release()
  }

  const source = new Observable<Batch<MarketEvent>>((out) => {
    run({
      closed: () => out.closed,
      events: (events) => {
        if (events.length > 0) out.next(events)
      },
    })
    out.complete()
  })
  const bookSource: BookSource = {
    [booksOf](depth, out) {
      const books = new BookKeeper(depth)
      run(
        {
          closed: () => out.closed,
          events: () => {
            const views = books.take()
            if (views !== undefined) out.next(views)
          },
        },
        books,
      )
      out.complete()
      return undefined
    },
  }
  return Object.assign(source, bookSource)
}

interface FrameObserver {
  closed(): boolean
  /** Called after each frame, also when it held none. */
  events(events: readonly MarketEvent[]): void
}
