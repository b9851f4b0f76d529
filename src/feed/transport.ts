/**
 * The seam between a feed and the network: WebSockets to exchanges and GET requests.
 *
 * Whatever a feed exchanges with the world goes through one of these, so that a simulation that gives its own decides what
 * arrives, when, and in which order. What every transport keeps to:
 *
 * Later   nothing is told inside the call that asks for it: neither `events` inside `connect`, `send` or `pause`, nor an
 *         answer inside `get`
 * Once    a connection ends once: by `ended`, or by whoever cuts or closes it, and after that it says nothing
 * Waits   deadlines of opening, closing and answers are the transport's, on the clock that it is given
 */
import type { ConnectionEvents, ConnectionOptions } from './connection'
import type { RestAnswer, RestOptions } from './rest'

export interface Transport {
  /** @throws `Fault` OPTION_INVALID for an address or a proxy that cannot be used */
  connect(options: ConnectionOptions, events: ConnectionEvents): FeedConnection
  rest(options: RestOptions): RestAsker
}

/** One connection, from the attempt to its end. */
export interface FeedConnection {
  /** False when the exchange has stopped reading, or the connection is not open. */
  send(text: string): boolean
  ping(): void
  /** Stops reading; some frames that have been read already may still come. */
  pause(): void
  resume(): void
  /** Cuts the line, without `ended`: whoever cuts knows. Cuts a goodbye short too: its promise resolves. */
  cut(): void
  /** Says goodbye and resolves when the exchange has too, or after the deadline. Nothing is received any more; no `ended`. */
  close(code: number, reason: string): Promise<void>
}

/** Asks one exchange over REST. */
export interface RestAsker {
  /** Never rejects and never throws; calls back once, unless the returned function cancels it before. */
  get(url: string, answered: (answer: RestAnswer) => void): () => void
  /** Ends kept connections. */
  close(): void
}
