import { createServer, STATUS_CODES, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocketServer, type WebSocket } from 'ws'
import { LONGEST_WAIT_MS, type Clock, type Timer } from '../clock/clock'
import { liveClock } from '../clock/liveClock'
import { Fault, messageOf } from '../model/fault'
import { ByteDigest } from './byteDigest'
import type { ClientPolicy, Outgoing } from './clientQueue'
import { compileEncoder, encodeValue, type JsonSchema } from './encode'
import { encodeBatch } from './encodeBatch'
import { LatestByKey } from './latestByKey'
import { sinkCounters, type Sink, type SinkContext } from './sink'
import { keysIn, WebsocketClient, type ClientLook, type Departure } from './websocketClient'
import { isLoopback, refusalOf, targetOf, type Refusal } from './websocketGate'

export interface WebsocketServerOptions<T> {
  /** 0 takes a free one, and keeps it when the run resumes. */
  readonly port: number
  /** Default `127.0.0.1`. Where others can reach it, a token is needed. */
  readonly host?: string
  /** Default `/`. */
  readonly path?: string
  /** Values that may wait for each client; more than a batch has, or a batch alone makes a client slow. */
  readonly capacity: number
  /** What becomes of a client that reads more slowly than values come. `conflate` needs `key`. */
  readonly onFull: ClientPolicy
  /** Bytes that may wait for each client. Default 4 MiB. */
  readonly clientBytesMax?: number
  /** Default 64. Others are answered 503. */
  readonly clientsMax?: number
  /** A field, or what makes a key of a value: by it clients subscribe, queues conflate and the latest values are kept. */
  readonly key?: string | ((value: T) => unknown)
  /** So many keys have their latest value kept, for clients that come later. At most `capacity`. Default 0. */
  readonly snapshotKeys?: number
  /** Keys that a client may subscribe to. Default 256. */
  readonly subscriptionsMax?: number
  /** Value to JSON text. Market events: `encodeEvent`. Default: `encodeValue`. */
  readonly encode?: (value: T) => string
  /** A JSON schema to compile an encoder from, in place of `encode`: only its fields are sent. */
  readonly schema?: JsonSchema
  /** What a client must show, as `Authorization: Bearer ...` or `?token=...`. */
  readonly token?: string
  /** The name of an environment variable that holds the token. */
  readonly tokenEnv?: string
  /** Origins of pages that may connect, besides those that this host itself shows: `['https://desk.example']`. */
  readonly origins?: readonly string[]
  /** Bytes of one message of a client. Default 16 KiB. */
  readonly messageBytesMax?: number
  /** Messages, pings and pongs of a client between two of our pings. Default 100. */
  readonly messagesMax?: number
  /** Default 15,000. */
  readonly pingMs?: number
  /** A client that has not answered a ping by then is cut off. Default 10,000. */
  readonly pongWithinMs?: number
  /** From a connection to its handshake. Default 5,000. */
  readonly handshakeWithinMs?: number
  /** How long closing may wait for clients to take what waits for them. Default 2,000. */
  readonly closeWithinMs?: number
  readonly name?: string
  readonly digest?: boolean
  /** The time of waits for clients. Default: the machine's. */
  readonly clock?: Clock
}

export interface WebsocketServerSink<T> extends Sink<T> {
  /** Where it listens, while it is open: `ws://127.0.0.1:8080/`. */
  readonly url: string | undefined
  /** Those who are connected. */
  clients(): ClientLook[]
  connections(): Readonly<ConnectionCounts>
}

/** Since the sink was opened first. */
export interface ConnectionCounts {
  readonly accepted: number
  /** Sockets that came to nothing: `full` by `clientsMax`, `late` with their handshake, `invalid` for not asking for a WebSocket. */
  readonly refused: Readonly<Record<Refusal['why'] | 'full' | 'late' | 'invalid', number>>
  readonly gone: Readonly<Record<Departure, number>>
}

/**
 * Serves values to whoever connects by WebSocket: to each reader one JSON text per value.
 *
 * Delivery  at most once to each client: acknowledged is what was handed to those who were connected, or kept for them in a
 *           bounded queue. Nobody slows the pipeline: a client that reads too slowly loses values by `onFull`, and is told
 *           `{"dropped":n}` in the place of n values that are missing, or is disconnected (1013)
 * Order     as received; with `conflate`, the latest value of a key stands in the place of the first that waited
 * Errors    `SINK_REJECTED` when the port cannot be had; `VALUE_INVALID` for a value without a text or key, or larger than
 *           `clientBytesMax`, before anything of its batch is sent; `OPTION_INVALID` for options that are none, and for a
 *           host that others can reach without a token
 *
 * A client may send `{"subscribe":["BTC-USDT"]}`, or `{"subscribe":"*"}` for everything, and is answered
 * `{"subscribed":["BTC-USDT"],"snapshot":n}`: from then on it gets values of these keys only, beginning with the latest of
 * the n keys that are new to it and kept (`snapshotKeys`). Or it says so in the address: `?subscribe=BTC-USDT,ETH-USDT`. A client that
 * subscribes to nothing gets everything, after `{"snapshot":n}` when there is one. What is not understood is answered
 * `{"error":"..."}`.
 *
 * Closing sends what waits, says 1001 and frees the port within `closeWithinMs`. The connection is not encrypted: outside of
 * the machine, put it behind a proxy that speaks TLS. The digest is over the texts of the values, a line each.
 */
export function websocketServer<T>(options: WebsocketServerOptions<T>): WebsocketServerSink<T> {
  const host = options.host ?? '127.0.0.1'
  const name = options.name ?? `websocketServer(${host}:${options.port})`
  const settings = settingsOf(name, host, options)
  const counters = sinkCounters()
  const digest = new ByteDigest()
  if (options.digest === true) digest.enable()
  const keyOf = keyed(options.key)
  const latest = new LatestByKey(settings.snapshotKeys, settings.clientBytesMax / 2)
  const audience = new Audience(settings, latest)
  let encode = options.encode
  let port = options.port
  let begun = false

  return {
    name,
    counters,
    delivery: 'atMostOnce',
    get url() {
      return audience.port === undefined
        ? undefined
        : `ws://${host.includes(':') ? `[${host}]` : host}:${audience.port}${settings.path}`
    },
    clients: () => audience.look(),
    connections: () => audience.counts,
    async open(context) {
      encode ??= options.schema === undefined ? (value: T) => encodeValue(value) : compileEncoder(options.schema)
      const token = tokenOf(name, host, options, context)
      if (context.resume !== true || !begun) {
        begun = true
        port = options.port
        latest.clear()
        digest.restart()
        counters.written = 0
        counters.bytes = 0
      }
      await audience.close()
      port = await audience.open(port, token, context)
    },
    async write(batch) {
      if (audience.port === undefined) {
        throw new Fault('SINK_REJECTED', `The sink ${name} is not open.`, { sink: name })
      }
      const outgoing = encoded(batch)
      let begin = 0
      while (begin < outgoing.length) {
        if (begin > 0) await new Promise((resolve) => setImmediate(resolve)) // sockets get rid of what they were given
        begin = audience.offer(outgoing, begin)
      }
      for (const { data } of outgoing) {
        counters.bytes += data.length
        if (!digest.enabled) continue
        digest.update(data)
        digest.update('\n')
      }
      counters.written += batch.length
    },
    close: () => audience.close(),
    enableDigest: () => digest.enable(),
    digest: () => digest.value(),
  }

  function encoded(batch: readonly T[]): Outgoing[] {
    return encodeBatch(name, batch, encode ?? encodeValue).map((text, index) => {
      const data = Buffer.from(text)
      if (data.length > settings.clientBytesMax) {
        throw unsendable(
          index,
          `it has ${data.length} bytes, and at most ${settings.clientBytesMax} may wait for a client`,
        )
      }
      try {
        return { data, key: keyOf(batch[index]!) }
      } catch (cause) {
        throw unsendable(index, `its key cannot be told: ${messageOf(cause)}`)
      }
    })
  }

  function unsendable(index: number, why: string): Fault {
    return new Fault('VALUE_INVALID', `The sink ${name} cannot send a value: ${why}. The value is left out.`, {
      sink: name,
      index,
    })
  }
}

/** The server and those who listen to it. */
class Audience {
  private readonly members = new Set<WebsocketClient>()
  private readonly refused: Record<keyof ConnectionCounts['refused'], number> = {
    path: 0,
    origin: 0,
    token: 0,
    full: 0,
    late: 0,
    invalid: 0,
  }
  private readonly gone: Record<Departure, number> = { left: 0, slow: 0, silent: 0, loud: 0, malformed: 0, closed: 0 }
  /** Connections that have not become clients. */
  private readonly strangers = new Map<Duplex, Timer>()
  private accepted = 0
  private server: Server | undefined
  private closing: Promise<void> | undefined

  constructor(
    private readonly settings: Settings,
    private readonly latest: LatestByKey,
  ) {}

  get port(): number | undefined {
    return (this.server?.address() as AddressInfo | null | undefined)?.port
  }

  get counts(): ConnectionCounts {
    return { accepted: this.accepted, refused: { ...this.refused }, gone: { ...this.gone } }
  }

  look(): ClientLook[] {
    return [...this.members].map((client) => client.look())
  }

  /** Hands out values from `begin` on, as many as one turn of the event loop may take; says where it stopped. */
  offer(values: readonly Outgoing[], begin: number): number {
    const { capacity } = this.settings
    const atOnce = Math.min(SENDS_PER_TURN / Math.max(1, this.members.size), capacity / 2)
    const end = Math.min(values.length, begin + Math.max(1, Math.floor(atOnce)))
    for (let index = begin; index < end; index++) {
      const value = values[index]!
      this.latest.set(value)
      for (const client of this.members) client.offer(value)
    }
    return end
  }

  /** Resolves with the port. */
  async open(port: number, token: string | undefined, context: SinkContext): Promise<number> {
    const { name, host, clientsMax, messageBytesMax } = this.settings
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
    server.on('drop', () => this.refused.full++)
    server.on('request', (request, response) => {
      this.refused.invalid++
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
      this.refused.late++
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
    this.refused[why]++
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
    const client = new WebsocketClient(
      websocket,
      this.settings,
      {
        id: ++this.accepted,
        address: `${remoteAddress.includes(':') ? `[${remoteAddress}]` : remoteAddress}:${remotePort}`,
        latest: (wants) => this.latest.of(wants),
        onGone: (departure) => {
          this.gone[departure]++
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

interface Settings {
  readonly name: string
  readonly host: string
  readonly path: string
  readonly origins: readonly string[]
  readonly clock: Clock
  readonly capacity: number
  readonly bytesMax: number
  readonly onFull: ClientPolicy
  readonly clientBytesMax: number
  readonly clientsMax: number
  readonly snapshotKeys: number
  readonly keysMax: number
  readonly messageBytesMax: number
  readonly messagesMax: number
  readonly pingMs: number
  readonly pongWithinMs: number
  readonly handshakeWithinMs: number
  readonly closeWithinMs: number
}

function settingsOf<T>(name: string, host: string, options: WebsocketServerOptions<T>): Settings {
  const invalid = (option: string, should: string): Fault =>
    new Fault('OPTION_INVALID', `The sink ${name} has ${option} = ${shown(options, option)}: it should be ${should}.`, {
      sink: name,
      option,
    })
  const whole = (
    option: keyof WebsocketServerOptions<T>,
    byDefault: number,
    min = 1,
    max = LONGEST_WAIT_MS,
  ): number => {
    const value = options[option] ?? byDefault
    if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value
    throw invalid(option, `a whole number from ${min} to ${max}`)
  }
  whole('port', NaN, 0, 65_535)
  const { onFull, key, path = '/', origins = [], clock = liveClock } = options
  if (!['dropOldest', 'conflate', 'disconnect'].includes(onFull)) {
    throw invalid('onFull', 'dropOldest, conflate or disconnect')
  }
  if (onFull === 'conflate' && key === undefined)
    throw invalid('key', 'given, because the queues of clients conflate by it')
  if (!path.startsWith('/') || URL.parse(path, 'ws://server')?.pathname !== path) {
    throw invalid('path', 'the path of an address, as /stream')
  }
  const strange = origins.find((origin) => URL.parse(origin)?.origin !== origin)
  if (strange !== undefined) throw invalid('origins', 'a list of origins, as https://desk.example')
  const capacity = whole('capacity', NaN)
  const snapshotKeys = whole('snapshotKeys', 0, 0, capacity)
  if (snapshotKeys > 0 && key === undefined) throw invalid('key', 'given, because values are kept by it')
  const clientBytesMax = whole('clientBytesMax', 4_194_304)
  return {
    name,
    host,
    path,
    origins,
    clock,
    capacity,
    bytesMax: clientBytesMax,
    onFull,
    clientBytesMax,
    clientsMax: whole('clientsMax', 64),
    snapshotKeys,
    keysMax: key === undefined ? 0 : whole('subscriptionsMax', 256),
    messageBytesMax: whole('messageBytesMax', 16_384),
    messagesMax: whole('messagesMax', 100),
    pingMs: whole('pingMs', 15_000),
    pongWithinMs: whole('pongWithinMs', 10_000),
    handshakeWithinMs: whole('handshakeWithinMs', 5_000),
    closeWithinMs: whole('closeWithinMs', 2_000),
  }
}

function shown(options: object, option: string): string {
  const value: unknown = (options as Record<string, unknown>)[option]
  return typeof value === 'function'
    ? 'a function'
    : ((JSON.stringify(value) as string | undefined) ?? 'missing').slice(0, 80)
}

function tokenOf<T>(
  name: string,
  host: string,
  { token, tokenEnv }: WebsocketServerOptions<T>,
  { env }: SinkContext,
): string | undefined {
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

function keyed<T>(key: WebsocketServerOptions<T>['key']): (value: T) => string | undefined {
  if (key === undefined) return () => undefined
  const read =
    typeof key === 'function'
      ? key
      : (value: T): unknown =>
          typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined
  return (value) => {
    const found = read(value)
    if (found === undefined || found === null) return undefined
    if (typeof found === 'string' || typeof found === 'number') return String(found)
    throw new TypeError(`it is a ${typeof found}, and should be a text or a number`)
  }
}

function unheard(name: string, host: string, port: number, cause: unknown): Fault {
  return new Fault(
    'SINK_REJECTED',
    `The sink ${name} cannot listen on ${host}:${port}: ${messageOf(cause)}. Free the port, or choose another.`,
    { sink: name, host, port },
    { cause },
  )
}
