import { createRequire } from 'node:module'
import { Observable } from 'rxjs'
import { booksOf, type BookSource } from '../book/bookSource'
import { exchangeById } from '../exchanges/exchanges'
import type { Batch, MarketEvent } from '../model/events'
import type * as bookKeeper from './bookKeeper'
import type { BookKeeper } from './bookKeeper'
import type * as sessionsOf from './sessions'

const load = createRequire(__filename)
let decoding: (typeof sessionsOf & typeof bookKeeper) | undefined

/** What decodes frames and keeps their books: loaded with the first of them. */
function loaded(): typeof sessionsOf & typeof bookKeeper {
  return (decoding ??= {
    ...(load('./sessions') as typeof sessionsOf),
    ...(load('./bookKeeper') as typeof bookKeeper),
  })
}

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
    const { Sessions } = loaded()
    const sessions = new Sessions({ protocolOf: () => protocol, ...(books !== undefined && { books }) })
    const base = { ns: 0, connection: 0, exchange: protocol.id }
    const timeUs = 0
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
    receiveAll(frames, timesOf(options.receiveTimesUs), sessions, out)
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
      const books = new (loaded().BookKeeper)(depth)
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

function receiveAll(
  frames: Iterable<Uint8Array>,
  timeOf: () => number,
  sessions: sessionsOf.Sessions,
  out: FrameObserver,
): void {
  let timeUs = 0
  const receive = (data: Uint8Array): void => {
    const given = timeOf()
    timeUs = Number.isNaN(given) ? timeUs + 1 : given
    out.events(sessions.receive(0, data, timeUs))
  }
  if (Array.isArray(frames)) {
    const list = frames as readonly Uint8Array[]
    for (let index = 0; index < list.length && !out.closed(); index++) receive(list[index]!)
    return
  }
  for (const data of frames) {
    if (out.closed()) return
    receive(data)
  }
}

/** One time after the other; NaN when there are no more: an absent number would cost an object each. */
function timesOf(times: Iterable<number> = []): () => number {
  if (Array.isArray(times) || times instanceof Float64Array) {
    const list = times as ArrayLike<number>
    let at = 0
    return () => (at < list.length ? list[at++]! : NaN)
  }
  const iterator = times[Symbol.iterator]()
  return () => {
    const next = iterator.next()
    return next.done === true ? NaN : next.value
  }
}

interface FrameObserver {
  closed(): boolean
  /** Called after each frame, also when it held none. */
  events(events: readonly MarketEvent[]): void
}
