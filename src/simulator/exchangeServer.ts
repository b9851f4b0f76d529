/**
 * One loopback server of a simulated exchange: its WebSocket and its REST on the same port.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocketServer, type RawData, type WebSocket } from 'ws'
import type { Clock } from '../clock/clock'
import { Fault, messageOf } from '../model/fault'
import { Connection } from './connection'
import type { Outlet } from './outlet'
import type { RestAnswer, SimulatedExchange } from './simulatedExchange'

/** Bytes of one client message; more closes the connection (1009). */
const MESSAGE_BYTES_MAX = 256 * 1024
/** Open connections; more are answered 503. */
const CONNECTIONS_MAX = 1_000

export interface ExchangeServer {
  readonly port: number
  /** The next WebSocket handshake is answered 503. */
  refuseNext(): void
  /** The next REST request is answered 429. */
  limitNext(): void
  stop(): Promise<void>
}

export async function startExchangeServer(
  exchange: SimulatedExchange,
  outlet: Outlet,
  clock: Clock,
  port: number,
): Promise<ExchangeServer> {
  const { stats } = outlet
  const sockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: MESSAGE_BYTES_MAX,
  })
  const server = createServer((request, response) => {
    serveRest(request, response)
  })
  let connectionIds = 0
  let refusals = 0
  let limits = 0

  function serveRest(request: IncomingMessage, response: ServerResponse): void {
    stats.requests++
    const url = parse(request.url)
    let answer: RestAnswer | undefined
    const headers: Record<string, string> = { 'content-type': 'application/json' }
    if (limits > 0) {
      limits--
      stats.rateLimited++
      headers['retry-after'] = '1'
      answer = { status: 429, body: '{"code":-1003,"msg":"Too many requests."}' }
    } else if (request.method !== 'GET') {
      answer = { status: 405, body: '{"msg":"Only GET is served."}' }
    } else if (url !== undefined) answer = exchange.answer(url.pathname, url.searchParams)
    answer ??= { status: 404, body: '{"msg":"No such path."}' }
    if (answer.status !== 200) stats.requestsRefused++
    request.resume()
    response.writeHead(answer.status, headers).end(answer.body)
  }

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy())
    const url = parse(request.url)
    if (refusals > 0) {
      refusals--
      stats.refusedConnections++
      refuse(socket, '503 Service Unavailable')
    } else if (url === undefined || !exchange.serves(url.pathname)) refuse(socket, '404 Not Found')
    else if (outlet.connections.size >= CONNECTIONS_MAX) refuse(socket, '503 Service Unavailable')
    else sockets.handleUpgrade(request, socket, head, (websocket) => open(websocket, socket, url))
  })

  function open(websocket: WebSocket, socket: Duplex, url: URL): void {
    const connection = new Connection(++connectionIds, clock.nowUs(), websocket, socket)
    outlet.connections.add(connection)
    stats.opened++
    stats.connections = outlet.connections.size
    websocket.on('message', (data: RawData) => {
      stats.received++
      connection.lastReceivedUs = clock.nowUs()
      exchange.received(connection, textOf(data))
    })
    websocket.on('ping', () => exchange.controlled(connection))
    websocket.on('pong', () => {
      connection.pongedAtUs = clock.nowUs()
      exchange.controlled(connection)
    })
    websocket.on('error', () => websocket.terminate())
    websocket.on('close', () => {
      const nowUs = clock.nowUs()
      outlet.connections.delete(connection)
      stats.connections = outlet.connections.size
      for (const topic of [...connection.topics]) topic.remove(connection, nowUs)
      exchange.closed(connection)
    })
    exchange.opened(connection, url.pathname, url.searchParams)
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      reject(
        new Fault(
          'OPTION_INVALID',
          `The simulated ${exchange.id} cannot listen on 127.0.0.1:${port}: ${messageOf(error)}. Choose another --port, or 0 for any free one.`,
          { option: 'port', value: port, exchange: exchange.id },
          { cause: error },
        ),
      )
    })
    server.listen(port, '127.0.0.1', resolve)
  })

  return {
    port: (server.address() as AddressInfo).port,
    refuseNext: () => {
      refusals++
    },
    limitNext: () => {
      limits++
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve()
        })
        // The close frame is handed to the kernel at once; nothing waits for the client's.
        for (const connection of outlet.connections) {
          connection.close(1001, 'the simulator stops')
          connection.terminate()
        }
        server.closeAllConnections()
      }),
  }
}

function parse(target: string | undefined): URL | undefined {
  try {
    return new URL(`http://simulator${target ?? '/'}`)
  } catch {
    return undefined
  }
}

function refuse(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}

function textOf(data: RawData): string {
  if (Buffer.isBuffer(data)) return data.toString()
  return (Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data)).toString()
}
