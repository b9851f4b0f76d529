/**
 * One reader of a WebSocket server: what waits for it, what it asked for, and whether it is still there.
 *
 * The kernel and the socket hold no more than so many bytes on its way; everything else waits here, where there is a bound
 * and a policy. What it says is bounded too, in bytes, in number and in meaning. Nothing that it does throws.
 */
import type { RawData, WebSocket } from 'ws'
import type { Clock, Timer } from '../../clock/clock'
import type { ClientLook, Departure } from './clientLook'
import { ClientQueue, type ClientQueueOptions, type Outgoing } from './clientQueue'

export interface ClientOptions extends ClientQueueOptions {
  readonly clock: Clock
  readonly pingMs: number
  readonly pongWithinMs: number
  readonly closeWithinMs: number
  /** Messages, pings and pongs that a client may send between two of our pings. */
  readonly messagesMax: number
  /** Keys that a client may ask for; 0 where values have none. */
  readonly keysMax: number
}

export interface ClientSurroundings {
  readonly id: number
  readonly address: string
  /** Holds back what is sent, so that many small messages leave in one piece. */
  readonly wire: { cork(): void; uncork(): void }
  /** The latest values of the keys that are wanted. */
  readonly latest: (wants: (key: string | undefined) => boolean) => Outgoing[]
  readonly onGone: (departure: Departure) => void
}

export class WebsocketClient {
  private readonly queue: ClientQueue
  private readonly connectedUs: number
  private keys: ReadonlySet<string> | undefined
  private sent = 0
  private heard = 0
  private pings = 0
  /** What the pong that is waited for must say. A client that does not read cannot know it. */
  private awaited: string | undefined
  private beat: Timer
  private deadline: Timer | undefined
  private ending = false
  private holdsBack = false
  private departure: Departure = 'left'
  private hasGone = false

  constructor(
    private readonly socket: WebSocket,
    private readonly options: ClientOptions,
    private readonly surroundings: ClientSurroundings,
    keys: ReadonlySet<string> | undefined,
  ) {
    this.queue = new ClientQueue(options)
    this.connectedUs = options.clock.nowUs()
    this.keys = keys
    socket.on('message', (data, isBinary) => this.receive(data, isBinary))
    socket.on('ping', (data) => this.answerPing(data))
    socket.on('pong', (data) => this.receivePong(data))
    socket.on('error', () => {
      if (!this.ending) this.departure = 'malformed'
    })
    socket.on('close', () => this.gone())
    this.beat = options.clock.after(options.pingMs, () => this.ping())
    const latest = surroundings.latest((key) => this.wants(key))
    if (latest.length > 0) this.say({ snapshot: latest.length }, latest)
  }

  /** Takes values to be sent, those that are wanted. Never waits. */
  offer(values: readonly Outgoing[]): void {
    this.inOnePiece(() => {
      for (const value of values) if (!this.ending && this.wants(value.key)) this.enqueue(value)
    })
  }

  /** Sends what waits, says goodbye, and waits for the client to do so, within the deadline of closing. */
  finish(): void {
    if (this.ending) return
    this.ending = true
    this.departure = 'closed'
    this.beat.cancel()
    this.deadline = this.options.clock.after(this.options.closeWithinMs, () => this.socket.terminate())
    this.pump()
  }

  look(): ClientLook {
    const { id, address } = this.surroundings
    return {
      id,
      address,
      connectedUs: this.connectedUs,
      sent: this.sent,
      dropped: this.queue.dropped,
      conflated: this.queue.conflated,
      waiting: this.queue.size,
      waitingBytes: this.queue.bytes,
      bufferedBytes: this.socket.bufferedAmount,
      subscribed: this.keys === undefined ? undefined : [...this.keys],
    }
  }

  private wants(key: string | undefined): boolean {
    return this.keys === undefined || (key !== undefined && this.keys.has(key))
  }

  private enqueue(next: Outgoing): void {
    if (this.queue.add(next)) this.pump()
    else this.dismiss('slow', 1013, 'too slow')
  }

  /** Words of our own keep their place among the values. */
  private say(word: Readonly<Record<string, unknown>>, then: readonly Outgoing[] = []): void {
    this.enqueue({ data: Buffer.from(JSON.stringify(word)), key: undefined, isWord: true })
    for (const value of then) if (!this.ending) this.enqueue(value)
  }

  private pump(): void {
    const { socket, queue } = this
    this.inOnePiece(() => {
      while (socket.readyState === OPEN && this.hasRoom()) {
        const next = queue.take()
        if (next === undefined) {
          if (this.ending) socket.close(1001, 'the stream has ended')
          return
        }
        const missing = queue.takeMissing()
        if (missing > 0) socket.send(`{"dropped":${missing}}`)
        socket.send(next.data, AS_TEXT, this.hasSent)
        if (next.isWord !== true) this.sent++
      }
    })
  }

  /** Whether more can be sent; when not, after what is held back has gone to the kernel, which takes it if the reader reads. */
  private hasRoom(): boolean {
    if (this.socket.bufferedAmount < BUFFERED_MAX) return true
    const { wire } = this.surroundings
    wire.uncork()
    wire.cork()
    return this.socket.bufferedAmount < BUFFERED_MAX
  }

  private inOnePiece(send: () => void): void {
    if (this.holdsBack) {
      send()
      return
    }
    const { wire } = this.surroundings
    this.holdsBack = true
    wire.cork()
    send()
    wire.uncork()
    this.holdsBack = false
  }

  private readonly hasSent = (error?: Error): void => {
    if (!error) this.pump()
  }

  private receive(data: RawData, isBinary: boolean): void {
    if (!this.isHeard()) return
    const asked = isBinary ? 'messages are text' : subscriptionIn(textOf(data), this.options.keysMax)
    if (typeof asked === 'string') {
      this.say({ error: asked })
      return
    }
    const before = this.keys
    this.keys = asked.keys
    this.queue.retain((key) => this.wants(key))
    const isNew = (key: string | undefined): boolean =>
      before !== undefined && this.wants(key) && (key === undefined || !before.has(key))
    const latest = this.surroundings.latest(isNew)
    this.say({ subscribed: this.keys === undefined ? '*' : [...this.keys], snapshot: latest.length }, latest)
  }

  private answerPing(data: Buffer): void {
    if (this.isHeard() && this.socket.bufferedAmount < BUFFERED_MAX) this.socket.pong(data)
  }

  private receivePong(data: Buffer): void {
    if (this.isHeard() && data.toString('latin1') === this.awaited) this.awaited = undefined
  }

  /** Counts what a client says, up to where it is too much. */
  private isHeard(): boolean {
    if (this.ending || this.hasGone) return false
    if (++this.heard <= this.options.messagesMax) return true
    this.dismiss('loud', 1008, 'too many messages')
    this.socket.terminate()
    return false
  }

  private ping(): void {
    const { clock, pongWithinMs, pingMs } = this.options
    this.heard = 0
    this.awaited = String(++this.pings)
    this.socket.ping(this.awaited)
    this.beat = clock.after(pongWithinMs, () => {
      if (this.awaited === undefined) {
        this.beat = clock.after(pingMs, () => this.ping())
        return
      }
      this.departure = 'silent'
      this.socket.terminate()
    })
  }

  private dismiss(departure: Departure, code: number, reason: string): void {
    if (this.ending) return
    this.ending = true
    this.departure = departure
    this.beat.cancel()
    this.queue.clear()
    this.deadline = this.options.clock.after(this.options.closeWithinMs, () => this.socket.terminate())
    this.socket.close(code, reason)
  }

  private gone(): void {
    if (this.hasGone) return
    this.hasGone = true
    this.ending = true
    this.beat.cancel()
    this.deadline?.cancel()
    this.queue.clear()
    this.surroundings.onGone(this.departure)
  }
}

/**
 * What a client asks for: `{"subscribe":["BTC-USDT"]}`, or `{"subscribe":"*"}` for everything. A sentence when it is
 * neither.
 */
export function subscriptionIn(
  text: string,
  keysMax: number,
): { readonly keys: ReadonlySet<string> | undefined } | string {
  let message: unknown
  try {
    message = JSON.parse(text)
  } catch {
    return 'messages are JSON'
  }
  if (typeof message !== 'object' || message === null || Object.keys(message).join() !== 'subscribe') return EXPECTED
  const { subscribe } = message as { readonly subscribe: unknown }
  return subscribe === '*' ? { keys: undefined } : keysIn(subscribe, keysMax)
}

/** Keys that are to be subscribed to, from whatever was given; a sentence when it is no list of keys. */
export function keysIn(list: unknown, keysMax: number): { readonly keys: ReadonlySet<string> } | string {
  if (keysMax === 0) return 'the values here have no keys'
  if (!Array.isArray(list)) return EXPECTED
  if (list.length > keysMax) return `at most ${keysMax} keys can be subscribed to`
  const isKey = (key: unknown): key is string =>
    typeof key === 'string' && key.length >= 1 && key.length <= KEY_LENGTH_MAX
  if (!list.every(isKey)) return `keys are texts of at most ${KEY_LENGTH_MAX} characters`
  return { keys: new Set(list) }
}

const EXPECTED = 'expected {"subscribe":["key"]} or {"subscribe":"*"}'
const KEY_LENGTH_MAX = 128
/** Bytes on their way to one client, beyond which everything waits in its queue. */
const BUFFERED_MAX = 64 * 1_024
/** `WebSocket.OPEN`. */
const OPEN = 1
const AS_TEXT = { binary: false } as const

function textOf(data: RawData): string {
  if (Buffer.isBuffer(data)) return data.toString()
  return (Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data)).toString()
}
