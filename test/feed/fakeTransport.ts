/**
 * A network of one's own, on a virtual clock: what it does is one function per test, and everything happens a millisecond
 * after it was asked for.
 */
import type { Clock } from '../../src/clock/clock'
import type { ConnectionEvents, ConnectionOptions } from '../../src/feed/connection'
import type { RestAnswer } from '../../src/feed/rest'
import type { FeedConnection, RestAsker, Transport } from '../../src/feed/transport'
import { INSTRUMENTS, type FakeRequest } from './fakeExchange'

export interface FakeNetwork {
  /** False to refuse the connection. Default: opens. */
  readonly opens?: (line: FakeLine) => boolean
  /** Default: acknowledges by id. */
  readonly requested?: (line: FakeLine, request: FakeRequest) => void
  /** An object or text is the body; undefined for the default, which knows the instruments only; `silence` for no answer. */
  readonly rest?: (url: string) => object | string | RestAnswer | undefined
  /** True when nobody answers goodbyes: each ends at its own deadline. */
  readonly rude?: boolean
  /** True when pings are not answered. */
  readonly deaf?: boolean
}

const WAY_MS = 1

export class FakeTransport implements Transport {
  /** Every attempt to connect. */
  readonly lines: FakeLine[] = []
  readonly restUrls: string[] = []

  constructor(
    private readonly clock: Clock,
    readonly network: FakeNetwork = {},
  ) {}

  connect(options: ConnectionOptions, events: ConnectionEvents): FeedConnection {
    const line = new FakeLine(this.clock, this.network, options, events)
    this.lines.push(line)
    return line
  }

  rest(): RestAsker {
    return {
      get: (url, answered) => {
        this.restUrls.push(url)
        const timer = this.clock.after(WAY_MS, () => {
          const body = this.network.rest?.(url) ?? (url.endsWith('/instruments') ? INSTRUMENTS : undefined)
          if (body === 'silence') return
          if (body === undefined) answered({ outcome: 'refused', reason: 'status 404' })
          else if (typeof body === 'object' && 'outcome' in body) answered(body as RestAnswer)
          else answered({ outcome: 'answered', body: typeof body === 'string' ? body : JSON.stringify(body) })
        })
        return () => timer.cancel()
      },
      close: () => undefined,
    }
  }

  /** The connection that was made last. */
  get line(): FakeLine {
    const last = this.lines.at(-1)
    if (last === undefined) throw new Error('nobody has connected yet')
    return last
  }
}

export class FakeLine implements FeedConnection {
  readonly requests: FakeRequest[] = []
  isOpen = false
  cuts = 0
  pauses = 0
  private ended = false
  private finish: (() => void) | undefined

  constructor(
    private readonly clock: Clock,
    private readonly network: FakeNetwork,
    readonly options: ConnectionOptions,
    private readonly events: ConnectionEvents,
  ) {
    clock.after(WAY_MS, () => {
      if (this.ended) return
      if (network.opens?.(this) === false) {
        this.end('unopened')
        return
      }
      this.isOpen = true
      events.opened()
    })
  }

  /** A frame of the exchange. */
  say(frame: object | string): void {
    this.clock.after(WAY_MS, () => {
      const text = typeof frame === 'string' ? frame : JSON.stringify(frame)
      if (!this.ended) this.events.received(Buffer.from(text), true)
    })
  }

  /** The exchange ends it. */
  end(how: 'unopened' | 'closed' = 'closed'): void {
    if (this.ended) return
    this.ended = true
    this.events.ended({ how, code: how === 'closed' ? 1_006 : 0, reason: 'the test said so', waitMs: undefined })
  }

  send(text: string): boolean {
    if (!this.isOpen || this.ended) return false
    const request = JSON.parse(text) as FakeRequest
    this.requests.push(request)
    if (this.network.requested !== undefined) this.network.requested(this, request)
    else if (request.op !== 'ping') this.say({ ack: { id: request.id } })
    return true
  }

  ping(): void {
    this.clock.after(WAY_MS, () => {
      if (!this.ended && this.network.deaf !== true) this.events.signed()
    })
  }

  pause(): void {
    this.pauses++
  }

  resume(): void {
    return
  }

  cut(): void {
    this.ended = true
    this.cuts++
    this.finish?.()
  }

  close(): Promise<void> {
    this.ended = true
    return new Promise((resolve) => {
      const deadline = this.clock.after(this.network.rude === true ? this.options.closeMs : WAY_MS, resolve)
      this.finish = () => {
        deadline.cancel()
        resolve()
      }
    })
  }
}
