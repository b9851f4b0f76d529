/**
 * What the server of a run can be given to answer, beside what it answers of itself (`/ping`, `/ready`, `/health`, `/metrics`).
 *
 * A route is asked only when the server has nothing against the request: the method is GET or HEAD, the Host is one of ours,
 * the Origin (where there is one) is our own, the token (where one is needed) is right, the path is the route's own to the
 * letter. The headers of security are set; a route adds the type and whatever it wants of caching. A page may load what this
 * server serves, and connect to it: nothing else, and nothing inline.
 *
 * A reader that is slow is the server's affair for answers, which have a deadline, and the route's for sockets: it must look
 * at `bufferedAmount` before it sends.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { WebSocket } from 'ws'

export interface HttpRoute {
  /** Begins with `/`, without a query; compared to the letter. */
  readonly path: string
  /** Answers, now or later; the body of an answer to HEAD is left out by itself. What it throws becomes a 500 and a fault. */
  get(request: IncomingMessage, response: ServerResponse): void
}

export interface SocketRoute {
  readonly path: string
  /** A client has connected. How many there are at once is bounded by the server, and so is what one may send. */
  connected(socket: WebSocket, request: IncomingMessage): void
}

/** All that something adds to a server. */
export interface Routes {
  readonly http: readonly HttpRoute[]
  readonly socket?: SocketRoute
  /** The server ends: whatever is held for the routes is let go. The server itself closes the sockets. */
  close?(): void
}
