/**
 * A market that does what a test tells it, in the place of exchanges and recordings.
 */
import type { BookName } from '../../src/feed/liveFeed'
import { exchangeById } from '../../src/exchanges/exchanges'
import type { SessionRecord } from '../../src/feed/record'
import { Sessions } from '../../src/feed/sessions'
import type { MarketEvent } from '../../src/model/events'
import type { Fault } from '../../src/model/fault'
import type { ConnectionView, Market, MarketOutput } from '../../src/pipeline/market'

/** When the first records of tests are received. */
export const FIRST_US = 1_760_000_000_000_000

export class FakeMarket implements Market {
  readonly sessions = new Sessions({ protocolOf: exchangeById })
  byInstrument = true
  /** What was asked of it, in order. */
  readonly asked: string[] = []
  onStart: () => Promise<void> = () => Promise.resolve()
  onStop: () => Promise<void> = () => Promise.resolve()
  ready: Promise<void> = Promise.resolve()
  /** What `restart` answers. */
  canRestart = true
  private output: MarketOutput | undefined
  private timeUs = FIRST_US

  start(output: MarketOutput): Promise<void> {
    this.asked.push('start')
    this.output = output
    return this.onStart()
  }

  stop(): Promise<void> {
    this.asked.push('stop')
    return this.onStop()
  }

  pause(): void {
    this.asked.push('pause')
  }

  resume(): void {
    this.asked.push('resume')
  }

  refresh(books: Iterable<BookName> | 'all'): void {
    this.asked.push(books === 'all' ? 'refresh all' : `refresh ${[...books].map(({ symbol }) => symbol).join(' ')}`)
  }

  restart(exchange: string): boolean {
    this.asked.push(`restart ${exchange}`)
    return this.canRestart
  }

  exhaust(exchange: string, fault: Fault): void {
    this.output!.fault(fault)
    this.output!.exhausted!(exchange, fault)
  }

  connections(): readonly ConnectionView[] {
    return [{ exchange: 'kraken', url: 'fake', state: 'open', sinceUs: FIRST_US, attempts: 1 }]
  }

  /**
   * A record with these events, received a millisecond after the last one unless a time is given. Its bytes are lent, as a
   * socket's are: who keeps them reads zeros.
   */
  send(events: readonly MarketEvent[], timeUs = this.timeUs + 1_000): void {
    const data = Buffer.from('frame')
    const record = this.record(timeUs, data)
    this.output!.record(record)
    if (events.length > 0) this.output!.events(record, events)
    data.fill(0)
  }

  close(timeUs = this.timeUs + 1_000): void {
    this.timeUs = timeUs
    this.output!.record({ ...OF_KRAKEN, timeUs, dir: 'close', code: 1_000, reason: '' })
  }

  fault(fault: Fault): void {
    this.output!.fault(fault)
  }

  end(): void {
    this.output!.ended()
  }

  private record(timeUs: number, data: Uint8Array): SessionRecord {
    this.timeUs = timeUs
    return { ...OF_KRAKEN, timeUs, dir: 'in', data, isText: true }
  }
}

const OF_KRAKEN = { exchange: 'kraken', connection: 0, ns: 0 }
