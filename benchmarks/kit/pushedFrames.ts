import { Subject } from 'rxjs'
import { exchangeById } from '../../src/exchanges/exchanges'
import { Sessions } from '../../src/feed/sessions'
import type { Batch, MarketEvent } from '../../src/model/events'
import type { DepthStream } from './depthStream'

/** The road of `fromFrames` for frames that come one at a time: what a live feed does behind its socket. */
export class PushedFrames {
  readonly events = new Subject<Batch<MarketEvent>>()
  private readonly sessions: Sessions

  constructor(private readonly stream: DepthStream) {
    const protocol = exchangeById('binance')
    this.sessions = new Sessions({ protocolOf: () => protocol })
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
    this.emit(this.sessions.apply({ ns: 0, connection: 0, exchange: 'binance', dir: 'in', timeUs, data }))
  }

  private emit(events: readonly MarketEvent[]): void {
    if (events.length > 0) this.events.next(events)
  }
}
