/**
 * One loopback server of a simulated exchange: its WebSocket and its REST on the same port.
 */
import { createServer, STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocketServer, type RawData, type WebSocket } from 'ws'
import type { Clock } from '../clock/clock'
import { Fault, messageOf } from '../model/fault'
import type { Outlet } from './outlet'
import { Reception } from './reception'
import type { SimulatedExchange } from './simulatedExchange'

/** Bytes of one client message; more closes the connection (1009). */
const MESSAGE_BYTES_MAX = 256 * 1024

/** Bytes that left this process are the kernel's; until then they are waited for no longer than this. */
const DRAIN_MS = 2_000
/** Turns of the event loop that draining may take where the clock stands still. */
const DRAIN_TURNS = 20_000

export interface ExchangeServer {
  /** Without a path. */
  readonly address: { readonly ws: string; readonly rest: string }
  /** The next WebSocket handshake is answered 503. */
  refuseNext(): void
  /** The next REST request is answered 429. */
  limitNext(): void
  /** Forgets the refusals that have not happened yet. */
  forgive(): void
  /** Resolves when all that was sent has left this process, or after two seconds. */
  drained(): Promise<void>
  stop(): Promise<void>
}

/** How a simulated exchange is reached: by loopback servers, or by what a simulation has in their place. */
export type ServeExchange = (
  exchange: SimulatedExchange,
  outlet: Outlet,
  clock: Clock,
  port: number,
) => Promise<ExchangeServer>

export async function startExchangeServer(
  exchange: SimulatedExchange,
  outlet: Outlet,
  clock: Clock,
  port: number,
): Promise<ExchangeServer> {
  const reception = new Reception(exchange, outlet, clock)
  const sockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: MESSAGE_BYTES_MAX,
  })
  const server = createServer((request, response) => {
    serveRest(request, response)
  })

  function serveRest(request: IncomingMessage, response: ServerResponse): void {
    const { status, body, retryAfter } = reception.answer(request.method, parse(request.url))
    const headers: Record<string, string> = { 'content-type': 'application/json' }
    if (retryAfter !== undefined) headers['retry-after'] = retryAfter
    request.resume()
    response.writeHead(status, headers).end(body)
  }

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy())
    const url = parse(request.url)
    const refusal = reception.refusal(url)
    if (refusal !== undefined) refuse(socket, refusal)
    else sockets.handleUpgrade(request, socket, head, (websocket) => open(websocket, socket, url!))
  })

  function open(websocket: WebSocket, socket: Duplex, url: URL): void {
    const connection = reception.opened(websocket, socket, url)
    websocket.on('message', (data: RawData) => reception.received(connection, textOf(data)))
    websocket.on('ping', () => reception.pinged(connection))
    websocket.on('pong', () => reception.ponged(connection))
    websocket.on('error', () => websocket.terminate())
    websocket.on('close', () => reception.closed(connection))
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

  const { port: listening } = server.address() as AddressInfo
  return {
    address: { ws: `ws://127.0.0.1:${listening}`, rest: `http://127.0.0.1:${listening}` },
    refuseNext: () => reception.refuseNext(),
    limitNext: () => reception.limitNext(),
    forgive: () => reception.forgive(),
    async drained() {
      const deadlineUs = clock.nowUs() + DRAIN_MS * 1_000
      for (let turn = 0; turn < DRAIN_TURNS && clock.nowUs() < deadlineUs; turn++) {
        await new Promise((resolve) => setImmediate(resolve))
        if (![...outlet.connections].some(({ open, waitingBytes }) => open && waitingBytes > 0)) return
      }
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

function refuse(socket: Duplex, status: number): void {
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}

function textOf(data: RawData): string {
  if (Buffer.isBuffer(data)) return data.toString()
  return (Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data)).toString()
}
