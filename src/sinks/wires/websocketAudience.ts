/**
 * The server of the sink `websocketServer` and those who listen to it. Loaded when such a sink is opened.
 */
import { createServer, STATUS_CODES, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocketServer, type WebSocket } from 'ws'
import type { Timer } from '../../clock/clock'
import { socketGauges } from '../../metrics/socketGauges'
import { Fault, messageOf } from '../../model/fault'
import type { Outgoing } from './clientQueue'
import type { ConnectionCounts } from './connectionCounts'
import type { LatestByKey } from './latestByKey'
import type { SinkContext } from '../sink'
import type { ClientLook } from './clientLook'
import { keysIn, WebsocketClient, type ClientOptions } from './websocketClient'
import { isLoopback, refusalOf, targetOf, type GateRules } from './websocketGate'

export interface AudienceSettings extends ClientOptions, Omit<GateRules, 'token'> {
  /** The sink's. */
  readonly name: string
  readonly clientsMax: number
  readonly messageBytesMax: number
  readonly handshakeWithinMs: number
  readonly token?: string | undefined
  readonly tokenEnv?: string | undefined
}

export class Audience {
  private readonly members = new Set<WebsocketClient>()
  /** Connections that have not become clients. */
  private readonly strangers = new Map<Duplex, Timer>()
  private server: Server | undefined
  private closing: Promise<void> | undefined

  constructor(
    private readonly settings: AudienceSettings,
    private readonly latest: LatestByKey,
    private readonly counts: ConnectionCounts,
  ) {}

  get port(): number | undefined {
    return (this.server?.address() as AddressInfo | null | undefined)?.port
  }

  look(): ClientLook[] {
    return [...this.members].map((client) => client.look())
  }

  /** Hands out values from `begin` on, as many as one turn of the event loop may take; says where it stopped. */
  offer(values: readonly Outgoing[], begin: number): number {
    const { capacity } = this.settings
    const atOnce = Math.min(SENDS_PER_TURN / Math.max(1, this.members.size), capacity / 2)
    const end = Math.min(values.length, begin + Math.max(1, Math.floor(atOnce)))
    const offered = values.slice(begin, end)
    for (const value of offered) this.latest.set(value)
    for (const client of this.members) client.offer(offered)
    return end
  }

  /** Resolves with the port. */
  async open(port: number, context: SinkContext): Promise<number> {
    const { name, host, clientsMax, messageBytesMax } = this.settings
    const token = tokenOf(this.settings, context)
    const sockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: messageBytesMax,
      maxFragments: FRAGMENTS_MAX,
      maxBufferedChunks: CHUNKS_MAX,
      autoPong: false,
    })
    const server = createServer({ maxHeaderSize: HEADER_BYTES_MAX })
    server.maxConnections = clientsMax + STRANGERS_MAX
    server.on('connection', (socket: Socket) => this.meet(socket))
    server.on('drop', () => this.counts.refused.full++)
    server.on('request', (request, response) => {
      this.counts.refused.invalid++
      request.resume()
      response.writeHead(426, { connection: 'close', upgrade: 'websocket' }).end('A WebSocket is served here.\n')
    })
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      this.refuse(socket, error.code === 'HPE_HEADER_OVERFLOW' ? 431 : 400, 'invalid')
    })
    sockets.on('wsClientError', (_error, socket) => this.refuse(socket, 400, 'invalid'))
    server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
      socket.on('error', () => socket.destroy())
      const refusal = refusalOf(request, { ...this.settings, token })
      if (refusal !== undefined) this.refuse(socket, refusal.status, refusal.why)
      else if (this.server !== server || this.members.size >= clientsMax) this.refuse(socket, 503, 'full')
      else {
        const keys = keysOf(request, this.settings.keysMax)
        if (typeof keys === 'string') this.refuse(socket, 400, 'invalid')
        else sockets.handleUpgrade(request, socket, head, (websocket) => this.welcome(websocket, socket, keys))
      }
    })
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause) => reject(unheard(name, host, port, cause)))
      server.listen(port, host, resolve)
    })
    server.removeAllListeners('error')
    server.on('error', (cause) => context.onFault?.(unheard(name, host, port, cause)))
    this.server = server
    return (server.address() as AddressInfo).port
  }

  close(): Promise<void> {
    const { server } = this
    if (server !== undefined) {
      this.server = undefined
      this.closing = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const client of this.members) client.finish()
      for (const stranger of this.strangers.keys()) stranger.destroy()
    }
    return this.closing ?? Promise.resolve()
  }

  /** Until it has shaken hands a connection is a stranger, who is not waited for long. */
  private meet(socket: Socket): void {
    const { clock, handshakeWithinMs } = this.settings
    const timer = clock.after(handshakeWithinMs, () => {
      this.counts.refused.late++
      socket.destroy()
    })
    this.strangers.set(socket, timer)
    socket.once('close', () => this.know(socket))
  }

  private know(socket: Duplex): void {
    this.strangers.get(socket)?.cancel()
    this.strangers.delete(socket)
  }

  /** The deadline of its handshake goes on, should it not take its leave. */
  private refuse(socket: Duplex, status: number, why: keyof ConnectionCounts['refused']): void {
    this.counts.refused[why]++
    if (!socket.writable) {
      socket.destroy()
      return
    }
    const challenge = status === 401 ? 'WWW-Authenticate: Bearer\r\n' : ''
    const words = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${challenge}Connection: close\r\nContent-Length: 0\r\n\r\n`
    socket.end(words, () => socket.destroy())
  }

  private welcome(websocket: WebSocket, socket: Socket, keys: ReadonlySet<string> | undefined): void {
    this.know(socket)
    const { remoteAddress = '?', remotePort = 0 } = socket
    const forget = socketGauges.note({
      unsentBytes: () => websocket.bufferedAmount,
      unreadBytes: () => socket.readableLength,
    })
    const client = new WebsocketClient(
      websocket,
      this.settings,
      {
        id: ++this.counts.accepted,
        address: `${remoteAddress.includes(':') ? `[${remoteAddress}]` : remoteAddress}:${remotePort}`,
        wire: socket,
        latest: (wants) => this.latest.of(wants),
        onGone: (departure) => {
          forget()
          this.counts.gone[departure]++
          this.members.delete(client)
        },
      },
      keys,
    )
    this.members.add(client)
  }
}

/** What is handed to sockets between two turns of the event loop: some 20 ms. */
const SENDS_PER_TURN = 2_048
const HEADER_BYTES_MAX = 8_192
/** Connections beyond the clients: those that shake hands, and those that are told that there is no room. */
const STRANGERS_MAX = 64
/** Of one message, and of what has come of it. */
const FRAGMENTS_MAX = 64
const CHUNKS_MAX = 1_024

function tokenOf({ name, host, token, tokenEnv }: AudienceSettings, { env }: SinkContext): string | undefined {
  const found = token ?? (tokenEnv === undefined ? undefined : env?.[tokenEnv])
  if (found !== undefined && found !== '') return found
  if (token === undefined && tokenEnv === undefined && isLoopback(host)) return undefined
  const why =
    token !== undefined
      ? 'has an empty token'
      : tokenEnv !== undefined
        ? `takes its token from the environment variable ${tokenEnv}, which is not set`
        : `listens on ${host}, where others can reach it, and has no token: give one (token, tokenEnv), or listen on 127.0.0.1`
  throw new Fault('OPTION_INVALID', `The sink ${name} ${why}.`, {
    sink: name,
    option: tokenEnv === undefined ? 'token' : 'tokenEnv',
  })
}

/** What a client subscribes to by the address that it asks for. A sentence when that is not understood. */
function keysOf({ url }: IncomingMessage, keysMax: number): ReadonlySet<string> | undefined | string {
  const asked = targetOf(url)?.searchParams.get('subscribe') ?? '*'
  if (asked === '*') return undefined
  const found = keysIn(asked.split(','), keysMax)
  return typeof found === 'string' ? found : found.keys
}

function unheard(name: string, host: string, port: number, cause: unknown): Fault {
  return new Fault(
    'SINK_REJECTED',
    `The sink ${name} cannot listen on ${host}:${port}: ${messageOf(cause)}. Free the port, or choose another.`,
    { sink: name, host, port },
    { cause },
  )
}
