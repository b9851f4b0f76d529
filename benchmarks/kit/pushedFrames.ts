import { Subject } from 'rxjs'
import type { BookView } from '../../src/book/bookView'
import { exchangeById } from '../../src/exchanges/exchanges'
import { BookKeeper } from '../../src/feed/bookKeeper'
import { Sessions } from '../../src/feed/sessions'
import type { Batch, MarketEvent } from '../../src/model/events'
import type { DepthStream } from './depthStream'

/**
 * The road of `fromFrames` for frames that come one at a time: what a live feed does behind its socket. As events, or, with
 * `keepsBooks`, as the views that `toBooks` gives directly behind a feed.
 */
export class PushedFrames {
  readonly events = new Subject<Batch<MarketEvent>>()
  readonly views = new Subject<Batch<BookView>>()
  private readonly sessions: Sessions
  private readonly keeper: BookKeeper | undefined

  constructor(
    private readonly stream: DepthStream,
    { keepsBooks = false } = {},
  ) {
    const protocol = exchangeById('binance')
    this.keeper = keepsBooks ? new BookKeeper(Infinity) : undefined
    this.sessions = new Sessions({
      protocolOf: () => protocol,
      ...(this.keeper !== undefined && { books: this.keeper }),
    })
  }

  /** Gives the snapshots to whoever has subscribed by now. */
  begin(): void {
    const base = { ns: 0, connection: 0, exchange: 'binance', timeUs: 0 }
    const rest = { ...base, dir: 'rest', method: 'GET' } as const
    this.sessions.apply({ ...rest, url: '', role: 'instruments', body: this.stream.instruments })
    this.sessions.apply({ ...base, dir: 'open', url: '' })
    for (const { symbol, body } of this.stream.snapshots) {
      const url = `https://api.binance.com/api/v3/depth?symbol=${symbol}&limit=1000`
      this.emit(this.sessions.apply({ ...rest, url, role: 'book-snapshot', body }))
    }
  }

  push(data: Uint8Array, timeUs: number): void {
    this.emit(this.sessions.receive(0, data, timeUs))
  }

  private emit(events: readonly MarketEvent[]): void {
    const views = this.keeper?.take()
    if (views !== undefined) this.views.next(views)
    else if (events.length > 0) this.events.next(events)
  }
}
