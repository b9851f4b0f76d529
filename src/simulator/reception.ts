/**
 * What is the same however a simulated exchange is reached, over loopback or within a simulation: who is connected, who
 * is refused, what REST answers, and the counters of it all.
 */
import type { Clock } from '../clock/clock'
import { Connection, type Socket, type Wire } from './connection'
import type { Outlet } from './outlet'
import type { RestAnswer, SimulatedExchange } from './simulatedExchange'

/** Open connections; more are answered 503. */
const CONNECTIONS_MAX = 1_000

/** An answer with what its headers say beyond the type of the body. */
export interface HttpAnswer extends RestAnswer {
  readonly retryAfter: string | undefined
}

export class Reception {
  private connectionIds = 0
  private refusals = 0
  private limits = 0

  constructor(
    private readonly exchange: SimulatedExchange,
    private readonly outlet: Outlet,
    private readonly clock: Clock,
  ) {}

  /** The next WebSocket handshake is answered 503. */
  refuseNext(): void {
    this.refusals++
  }

  /** The next REST request is answered 429. */
  limitNext(): void {
    this.limits++
  }

  /** Forgets the refusals that have not happened yet. */
  forgive(): void {
    this.refusals = 0
    this.limits = 0
  }

  /** The status by which a handshake at this address is refused; undefined when it is welcome. */
  refusal(url: URL | undefined): 404 | 503 | undefined {
    const { exchange, outlet } = this
    if (this.refusals > 0) {
      this.refusals--
      outlet.stats.refusedConnections++
      return 503
    }
    if (url === undefined || !exchange.serves(url.pathname)) return 404
    return outlet.connections.size >= CONNECTIONS_MAX ? 503 : undefined
  }

  /** A handshake is done. The exchange may send at once. */
  opened(wire: Wire, socket: Socket, url: URL): Connection {
    const { exchange, outlet, clock } = this
    const connection = new Connection(++this.connectionIds, clock.nowUs(), wire, socket)
    outlet.connections.add(connection)
    outlet.stats.opened++
    outlet.stats.connections = outlet.connections.size
    exchange.opened(connection, url.pathname, url.searchParams)
    return connection
  }

  received(connection: Connection, text: string): void {
    this.outlet.stats.received++
    connection.lastReceivedUs = this.clock.nowUs()
    this.exchange.received(connection, text)
  }

  pinged(connection: Connection): void {
    this.exchange.controlled(connection)
  }

  ponged(connection: Connection): void {
    connection.pongedAtUs = this.clock.nowUs()
    this.exchange.controlled(connection)
  }

  closed(connection: Connection): void {
    const { exchange, outlet, clock } = this
    const nowUs = clock.nowUs()
    outlet.connections.delete(connection)
    outlet.stats.connections = outlet.connections.size
    for (const topic of [...connection.topics]) topic.remove(connection, nowUs)
    exchange.closed(connection)
  }

  /** Answers a request; `url` is undefined for a target that is no address. */
  answer(method: string | undefined, url: URL | undefined): HttpAnswer {
    const { stats } = this.outlet
    stats.requests++
    const answer = this.judge(method, url)
    if (answer.status !== 200) stats.requestsRefused++
    return answer
  }

  private judge(method: string | undefined, url: URL | undefined): HttpAnswer {
    if (this.limits > 0) {
      this.limits--
      this.outlet.stats.rateLimited++
      return { status: 429, body: '{"code":-1003,"msg":"Too many requests."}', retryAfter: '1' }
    }
    if (method !== 'GET') return { status: 405, body: '{"msg":"Only GET is served."}', retryAfter: undefined }
    const answer = url === undefined ? undefined : this.exchange.answer(url.pathname, url.searchParams)
    return { ...(answer ?? { status: 404, body: '{"msg":"No such path."}' }), retryAfter: undefined }
  }
}
