import { createRequire } from 'node:module'
import { LONGEST_WAIT_MS, type Clock } from '../clock/clock'
import { liveClock } from '../clock/liveClock'
import { Fault, messageOf } from '../model/fault'
import { ByteDigest } from './files/byteDigest'
import type { ClientPolicy, Outgoing } from './wires/clientQueue'
import { connectionCounts, type ConnectionCounts } from './wires/connectionCounts'
import { compileEncoder, encodeValue, type JsonSchema } from './encode'
import { encodeBatch } from './files/encodeBatch'
import { LatestByKey } from './wires/latestByKey'
import { sinkCounters, type Sink } from './sink'
import { nextTurn } from './turn'
import type * as websocketAudience from './wires/websocketAudience'
import type { ClientLook } from './wires/clientLook'

/** Servers are loaded when one is opened: what `import 'millrace'` loads is little. */
const load = createRequire(__filename)

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
  const latest = new LatestByKey(settings.snapshotKeys, settings.bytesMax / 2)
  const counts = connectionCounts()
  let audience: websocketAudience.Audience | undefined
  let encode = options.encode
  let port = options.port
  let begun = false

  return {
    name,
    counters,
    delivery: 'atMostOnce',
    get url() {
      const listening = audience?.port
      return listening === undefined
        ? undefined
        : `ws://${host.includes(':') ? `[${host}]` : host}:${listening}${settings.path}`
    },
    clients: () => audience?.look() ?? [],
    connections: () => structuredClone(counts),
    async open(context) {
      encode ??= options.schema === undefined ? (value: T) => encodeValue(value) : compileEncoder(options.schema)
      if (context.resume !== true || !begun) {
        begun = true
        port = options.port
        latest.clear()
        digest.restart()
        counters.written = 0
        counters.bytes = 0
      }
      const { Audience } = load('./wires/websocketAudience') as typeof websocketAudience
      audience ??= new Audience(settings, latest, counts)
      await audience.close()
      port = await audience.open(port, context)
    },
    async write(batch) {
      if (audience?.port === undefined) {
        throw new Fault('SINK_REJECTED', `The sink ${name} is not open.`, { sink: name })
      }
      const outgoing = encoded(batch)
      let begin = 0
      while (begin < outgoing.length) {
        if (begin > 0) await nextTurn() // sockets get rid of what they were given
        begin = audience.offer(outgoing, begin)
      }
      for (const { data } of outgoing) {
        counters.bytes += data.length
        if (!digest.enabled) continue
        digest.update(data)
        digest.update('\n')
      }
      counters.written += batch.length
      // Nothing was waited for: of a queue that is never empty, batch after batch would be sent without anyone else's turn.
      await nextTurn()
    },
    close: () => audience?.close() ?? Promise.resolve(),
    enableDigest: () => digest.enable(),
    digest: () => digest.value(),
  }

  function encoded(batch: readonly T[]): Outgoing[] {
    return encodeBatch(name, batch, encode ?? encodeValue).map((text, index) => {
      const data = Buffer.from(text)
      if (data.length > settings.bytesMax) {
        throw unsendable(index, `it has ${data.length} bytes, and at most ${settings.bytesMax} may wait for a client`)
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

function settingsOf<T>(
  name: string,
  host: string,
  options: WebsocketServerOptions<T>,
): websocketAudience.AudienceSettings & { readonly snapshotKeys: number } {
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
    token: options.token,
    tokenEnv: options.tokenEnv,
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
