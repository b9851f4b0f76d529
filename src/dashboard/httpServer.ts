/**
 * An HTTP server that nobody can hurt the run with.
 *
 * Questions  GET and HEAD, of paths in a table; bounded in headers, length and number (`RequestBudget`); judged by `gate.ts`
 * Guests     so many connections. One more is let in the place of one that asks nothing, the one that has done so longest;
 *            where all are being answered, it is told 503 and cut off. Each has a deadline to ask, and a deadline to take
 *            its answer, whatever trickles meanwhile: half-open sockets and slow readers are cut off by a look around
 * Sockets    so many WebSockets, which are pinged; one that does not answer, lets too much wait for it or talks too much is
 *            cut off
 *
 * Nothing of what is asked is logged: a token may be in it.
 */
import { createServer, STATUS_CODES, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocketServer, type WebSocket } from 'ws'
import { within, type Clock, type Timer } from '../clock/clock'
import { errorOf } from '../model/fault'
import { HEADERS_MAX, isRefusal, judge, type Asked, type GateRules, type Refusal } from './gate'
import type { HttpRoute, SocketRoute } from './route'
import { RequestBudget } from './requestBudget'

export interface HttpServerOptions {
  readonly clock: Clock
  readonly routes: readonly HttpRoute[]
  readonly socket: SocketRoute | undefined
  readonly limits?: Partial<ServerLimits>
  /** A route threw, or the server did. */
  readonly onFailed: (where: string, thrown: unknown) => void
}

export interface ServerLimits {
  readonly connections: number
  /** WebSockets among them. */
  readonly sockets: number
  readonly requestsPerSecond: number
  /** Requests that may come at once after a while of quiet. */
  readonly burst: number
  /** From a connection to its first question. */
  readonly askWithinMs: number
  /** From one answer to the next question. */
  readonly idleMs: number
  /** From a question to the end of its answer. */
  readonly answerWithinMs: number
  /** How long an end may wait for answers that are under way. */
  readonly closeWithinMs: number
}

export const LIMITS: ServerLimits = {
  connections: 64,
  sockets: 16,
  // At some 90 us of processor time each, 2 % of the loop's.
  requestsPerSecond: 250,
  burst: 250,
  askWithinMs: 5_000,
  idleMs: 30_000,
  answerWithinMs: 10_000,
  closeWithinMs: 1_000,
}

/** One connection. */
interface Guest {
  /** Since when it is what it is, microseconds. */
  sinceUs: number
  /** Questions without the end of their answer. */
  open: number
  /** Whether it was answered before. */
  known: boolean
}

/** A WebSocket and what it owes. */
interface Listener {
  readonly websocket: WebSocket
  /** When the last ping was sent, microseconds. */
  pingedUs: number
  answered: boolean
  /** Messages since the last look. */
  messages: number
}

export class HttpServer {
  private readonly limits: ServerLimits
  private readonly routes: ReadonlyMap<string, HttpRoute>
  private readonly guests = new Map<Socket, Guest>()
  private readonly listeners = new Map<Socket, Listener>()
  private readonly budget: RequestBudget
  private readonly server: Server
  private readonly websockets: WebSocketServer
  private rules: GateRules | undefined
  private round: Timer | undefined
  private closing: Promise<void> | undefined

  constructor(private readonly options: HttpServerOptions) {
    this.limits = { ...LIMITS, ...options.limits }
    this.routes = new Map(options.routes.map((route) => [route.path, route]))
    this.budget = new RequestBudget(options.clock, this.limits.requestsPerSecond, this.limits.burst)
    this.server = createServer({
      maxHeaderSize: HEADER_BYTES_MAX,
      keepAliveTimeout: 0,
      headersTimeout: 0,
      requestTimeout: 0,
    })
    this.server.maxHeadersCount = HEADERS_MAX
    this.server.maxConnections = 2 * this.limits.connections
    this.websockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: MESSAGE_BYTES_MAX,
    })
    this.listen()
  }

  /**
   * Listens; resolves with where.
   *
   * @param rulesAt  who may ask, once the port is known
   */
  async open(host: string, port: number, rulesAt: (address: AddressInfo) => GateRules): Promise<AddressInfo> {
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', reject)
      this.server.listen({ host, port, backlog: this.limits.connections }, () => resolve())
    })
    this.server.removeAllListeners('error')
    this.server.on('error', (cause) => this.options.onFailed('the server', cause))
    const address = this.server.address() as AddressInfo
    this.rules = rulesAt(address)
    return address
  }

  /** Connections, WebSockets among them. */
  get connections(): number {
    return this.guests.size
  }

  /** Lets those be answered who have asked, within a deadline, and frees the port. May be called twice. */
  close(): Promise<void> {
    this.closing ??= this.end()
    return this.closing
  }

  private async end(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()))
    for (const { websocket } of this.listeners.values()) websocket.close(1001, 'The run has ended.')
    for (const [socket, guest] of this.guests) if (guest.open === 0 && !this.listeners.has(socket)) socket.destroy()
    await within(this.options.clock, this.limits.closeWithinMs, closed)
    for (const socket of this.guests.keys()) socket.destroy()
    this.round?.cancel()
    this.budget.close()
    await closed
  }

  private listen(): void {
    const { server } = this
    server.on('connection', (socket: Socket) => this.meet(socket))
    server.on('request', (request, response) => this.asked(request, response))
    server.on('checkContinue', (request, response) => this.asked(request, response))
    server.on('checkExpectation', (request, response) => this.asked(request, response))
    server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) =>
      this.upgrade(request, socket, head),
    )
    server.on('connect', (_, socket: Socket) => cutOff(socket, 405))
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      cutOff(socket, error.code === 'HPE_HEADER_OVERFLOW' ? 431 : 400)
    })
    this.websockets.on('wsClientError', (_error, socket) => cutOff(socket, 400))
  }

  private meet(socket: Socket): void {
    const { clock } = this.options
    socket.on('error', () => socket.destroy())
    if (this.guests.size >= this.limits.connections && !this.makeRoom()) {
      cutOff(socket, 503)
      return
    }
    this.guests.set(socket, { sinceUs: clock.nowUs(), open: 0, known: false })
    socket.once('close', () => {
      this.guests.delete(socket)
      this.listeners.delete(socket)
    })
    this.round ??= clock.after(LOOK_MS, () => this.look())
  }

  /** Cuts off whoever has asked nothing for longest; false when everyone is being answered. */
  private makeRoom(): boolean {
    for (const [socket, guest] of this.guests) {
      if (guest.open > 0 || this.listeners.has(socket)) continue
      this.guests.delete(socket)
      socket.destroy()
      return true
    }
    return false
  }

  /** The look around: who has had time enough is cut off. */
  private look(): void {
    const { clock } = this.options
    const nowUs = clock.nowUs()
    for (const [socket, guest] of this.guests) {
      const listener = this.listeners.get(socket)
      const late = listener === undefined ? this.isLate(guest, nowUs) : this.isBad(listener, socket, nowUs)
      if (late) socket.destroy()
    }
    this.round = this.guests.size === 0 ? undefined : clock.after(LOOK_MS, () => this.look())
  }

  private isLate({ sinceUs, open, known }: Guest, nowUs: number): boolean {
    const { askWithinMs, idleMs, answerWithinMs } = this.limits
    const ms = open > 0 ? answerWithinMs : known ? idleMs : askWithinMs
    return nowUs - sinceUs >= ms * 1_000
  }

  private isBad(listener: Listener, socket: Socket, nowUs: number): boolean {
    const { messages, websocket } = listener
    listener.messages = 0
    if (messages > MESSAGES_MAX || socket.writableLength > WAITING_BYTES_MAX) return true
    const pingedMs = (nowUs - listener.pingedUs) / 1_000
    if (!listener.answered) return pingedMs >= PONG_WITHIN_MS
    if (pingedMs >= PING_MS) {
      listener.answered = false
      listener.pingedUs = nowUs
      websocket.ping()
    }
    return false
  }

  private asked(request: IncomingMessage, response: ServerResponse): void {
    const guest = this.guests.get(request.socket)
    if (guest === undefined || guest.open >= PIPELINED_MAX) {
      request.socket.destroy()
      return
    }
    if (guest.open++ === 0) guest.sinceUs = this.options.clock.nowUs()
    response.once('close', () => this.answered(request.socket, guest))
    this.budget.when(() => {
      if (response.destroyed) return false
      this.answer(request, response)
      return true
    })
  }

  /** Who was answered last stands last, so that the one who has asked nothing for longest is the first to be found. */
  private answered(socket: Socket, guest: Guest): void {
    guest.known = true
    if (--guest.open > 0) return
    guest.sinceUs = this.options.clock.nowUs()
    if (!this.guests.delete(socket) || socket.destroyed) return
    this.guests.set(socket, guest)
    if (this.closing !== undefined) socket.destroySoon()
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    for (const [name, value] of SECURITY_HEADERS) response.setHeader(name, value)
    const judged = judge(request, this.rules!)
    if (isRefusal(judged)) refuse(response, judged)
    else {
      const route = this.routes.get(judged.path)
      if (route === undefined) {
        const isSocket = judged.path === this.options.socket?.path
        refuse(response, isSocket ? { status: 426, sentence: 'A WebSocket is served here.' } : this.unknown())
      } else if (judged.tokenInAddress && isBrowser(request)) this.takeTokenOutOf(response, judged)
      else this.give(route, request, response)
    }
  }

  private give(route: HttpRoute, request: IncomingMessage, response: ServerResponse): void {
    try {
      route.get(request, response)
    } catch (thrown) {
      this.options.onFailed(route.path, thrown)
      if (response.headersSent) response.destroy()
      else refuse(response, { status: 500, sentence: 'This could not be answered: see the faults of the run.' })
    }
  }

  /**
   * A token in an address is seen over shoulders and kept in histories: the browser keeps a cookie in its place. It comes
   * along when a person follows a link from elsewhere, which is all that is let in from there.
   */
  private takeTokenOutOf(response: ServerResponse, { path }: Asked): void {
    const { name, value } = this.rules!.cookie
    response.writeHead(303, {
      location: path,
      'set-cookie': `${name}=${value}; Path=/; HttpOnly; SameSite=Lax`,
      'content-length': 0,
    })
    response.end()
  }

  private unknown(): { status: 404; sentence: string } {
    return {
      status: 404,
      sentence: `Nothing is served under this path. There are ${[...this.routes.keys()].sort().join(', ')}.`,
    }
  }

  private upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const { socket: route, clock } = this.options
    const guest = this.guests.get(socket)
    const judged = judge(request, this.rules!)
    if (guest === undefined || guest.open > 0) cutOff(socket, 400)
    else if (isRefusal(judged)) cutOff(socket, judged.status)
    else if (judged.path !== route?.path) cutOff(socket, 404)
    else if (this.closing !== undefined || this.listeners.size >= this.limits.sockets || !this.budget.take()) {
      cutOff(socket, 503)
    } else {
      this.websockets.handleUpgrade(request, socket, head, (websocket) => {
        const listener: Listener = { websocket, pingedUs: clock.nowUs(), answered: true, messages: 0 }
        this.listeners.set(socket, listener)
        const counted = (): void => {
          listener.messages++
        }
        websocket.on('error', () => websocket.terminate())
        websocket.on('message', counted)
        websocket.on('ping', counted)
        websocket.on('pong', () => {
          counted()
          listener.answered = true
        })
        try {
          route.connected(websocket, request)
        } catch (thrown) {
          this.options.onFailed(route.path, errorOf(thrown))
          websocket.close(1011)
        }
      })
    }
  }
}

/** Of one question's head, its address included. */
const HEADER_BYTES_MAX = 8_192
/** Questions of one connection that may wait for their answers. */
const PIPELINED_MAX = 16
/** Of one message of a WebSocket. */
const MESSAGE_BYTES_MAX = 16_384
/** Of a WebSocket, between two looks around: messages, pings and pongs. */
const MESSAGES_MAX = 100
/** What may wait for a WebSocket; a route that looks at it before it sends stays far below. */
const WAITING_BYTES_MAX = 8_388_608
const PING_MS = 15_000
const PONG_WITHIN_MS = 10_000
const LOOK_MS = 250

/** A page may load what is served here and connect to it: nothing from elsewhere, and nothing written into it. */
const SECURITY_HEADERS: readonly (readonly [string, string])[] = [
  [
    'content-security-policy',
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  ],
  ['x-content-type-options', 'nosniff'],
  ['x-frame-options', 'DENY'],
  ['referrer-policy', 'no-referrer'],
  ['cross-origin-opener-policy', 'same-origin'],
  ['cross-origin-resource-policy', 'same-origin'],
  ['cache-control', 'no-store'],
]

/** Whether a person wants to see a page: programs that read take the answer where they asked for it. */
function isBrowser({ headers }: IncomingMessage): boolean {
  return headers.accept?.includes('text/html') === true
}

/** Says no, and ends the connection: who asks wrongly does not ask again on it. */
function refuse(response: ServerResponse, { status, sentence }: Pick<Refusal, 'sentence'> & { status: number }): void {
  const body = Buffer.from(`${sentence}\n`)
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': body.length,
    connection: 'close',
    ...(status === 401 ? { 'www-authenticate': 'Bearer' } : {}),
    ...(status === 405 ? { allow: 'GET, HEAD' } : {}),
    ...(status === 426 ? { upgrade: 'websocket' } : {}),
  })
  response.end(body)
}

/** Says no where there is no answer to say it with. */
function cutOff(socket: Duplex, status: number): void {
  socket.on('error', () => socket.destroy())
  if (!socket.writable) {
    socket.destroy()
    return
  }
  const challenge = status === 401 ? 'WWW-Authenticate: Bearer\r\n' : ''
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${challenge}Connection: close\r\nContent-Length: 0\r\n\r\n`,
    () => socket.destroy(),
  )
}
