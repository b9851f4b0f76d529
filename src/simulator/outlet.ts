/**
 * Where one simulated exchange's market frames leave: topics with their subscribers, the faults that are to befall them,
 * and the counters of both.
 */
import { textFrame, type Connection } from './connection'
import type { MarketBook } from './market'
import type { Random } from './random'

/** Counters of one exchange. */
export interface ExchangeStats {
  /** Connections opened, and those that are open. */
  opened: number
  connections: number
  /** Market frames, each counted once however many are subscribed; and frames and bytes sent to clients. */
  published: number
  sent: number
  sentBytes: number
  /** REST requests answered, and those answered with an error. */
  requests: number
  requestsRefused: number
  /** Client messages, and those answered with an error. */
  received: number
  refused: number
  /** Connections closed for breaking the exchange's limits, and for not taking what was sent. */
  offenders: number
  slowClients: number
  /** Faults that happened. */
  droppedConnections: number
  skippedDeltas: number
  wrongChecksums: number
  silences: number
  frozenSymbols: number
  garbageFrames: number
  refusedConnections: number
  rateLimited: number
  /** Faults that were asked for and cannot happen on this exchange. */
  notApplicable: number
}

export function noStats(): ExchangeStats {
  return {
    opened: 0,
    connections: 0,
    published: 0,
    sent: 0,
    sentBytes: 0,
    requests: 0,
    requestsRefused: 0,
    received: 0,
    refused: 0,
    offenders: 0,
    slowClients: 0,
    droppedConnections: 0,
    skippedDeltas: 0,
    wrongChecksums: 0,
    silences: 0,
    frozenSymbols: 0,
    garbageFrames: 0,
    refusedConnections: 0,
    rateLimited: 0,
    notApplicable: 0,
  }
}

/** Bytes a client may leave untaken before it is disconnected. */
const WAITING_BYTES_MAX = 64 * 1024 * 1024

/** Faults that may wait for a frame that they can befall; more are not applicable. */
const ARMED_MAX = 100

/** One thing that clients subscribe to, in one spelling of its frames. */
export class Topic {
  readonly subscribers: Connection[] = []

  /** @param books  what it tells of: while somebody is subscribed, they move */
  constructor(
    readonly key: string,
    readonly books: readonly MarketBook[],
  ) {}

  get watched(): boolean {
    return this.subscribers.length > 0
  }

  /** False when the connection is subscribed already. */
  add(connection: Connection): boolean {
    if (connection.topics.has(this)) return false
    connection.topics.add(this)
    this.subscribers.push(connection)
    for (const book of this.books) book.watchers++
    return true
  }

  /** False when the connection was not subscribed. */
  remove(connection: Connection, nowUs: number): boolean {
    if (!connection.topics.delete(this)) return false
    this.subscribers.splice(this.subscribers.indexOf(connection), 1)
    for (const book of this.books) {
      book.watchers--
      book.lingersUntilUs = nowUs + LINGER_US
    }
    return true
  }
}

/** How long a book goes on after its last subscriber left: longer than clients take to come back. */
const LINGER_US = 60_000_000

/** A fault that waits for the next frame that it can befall. */
interface ArmedFault {
  readonly kind: 'skip' | 'checksum'
  readonly symbol: string | undefined
}

export class Outlet {
  readonly stats = noStats()
  readonly connections = new Set<Connection>()
  nowUs = 0
  private armed: ArmedFault[] = []
  private readonly gathering: Connection[] = []

  constructor(private readonly random: Random) {}

  arm(fault: ArmedFault): void {
    if (this.armed.length >= ARMED_MAX) this.stats.notApplicable++
    else this.armed.push(fault)
  }

  /** Forgets the faults that have not happened yet. */
  disarm(): void {
    this.armed = []
  }

  /**
   * Sends one frame to all subscribers; nothing of instruments that stand still.
   *
   * @param isLifeSign  of the connection more than of the market: sent all the same
   */
  publish(topic: Topic, text: string, isLifeSign = false): void {
    if (!isLifeSign && this.isFrozen(topic)) return
    this.send(topic.subscribers, text, undefined)
  }

  /**
   * Sends a change of a book to all subscribers, unless a fault befalls it.
   *
   * @param visible  whether a client can tell that this change is missing
   * @param wrong    the same frame with a wrong checksum; undefined where it has none
   */
  publishDelta(topic: Topic, text: string, visible = true, wrong?: () => string): void {
    if (this.armed.length > 0 && visible && topic.watched) {
      const index = this.armed.findIndex(
        ({ kind, symbol }) =>
          (kind === 'skip' || wrong !== undefined) &&
          (symbol === undefined || symbol === topic.books[0]?.listing.symbol),
      )
      if (index >= 0) {
        const [fault] = this.armed.splice(index, 1)
        const victim = topic.subscribers[this.random.below(topic.subscribers.length)]!
        if (fault!.kind === 'skip') this.stats.skippedDeltas++
        else {
          this.stats.wrongChecksums++
          this.send([victim], wrong!(), undefined)
        }
        this.send(topic.subscribers, text, victim)
        return
      }
    }
    this.send(topic.subscribers, text, undefined)
  }

  /** Changes of books are not held here: there are none while a book stands still. */
  private isFrozen({ books }: Topic): boolean {
    return books.length > 0 && books.every(({ frozenUntilUs }) => frozenUntilUs > this.nowUs)
  }

  /** Lets go what was gathered since the last call. */
  flush(): void {
    for (const connection of this.gathering) connection.uncork()
    this.gathering.length = 0
  }

  private send(subscribers: readonly Connection[], text: string, except: Connection | undefined): void {
    this.stats.published++
    const frame = textFrame(text)
    for (let index = subscribers.length - 1; index >= 0; index--) {
      const connection = subscribers[index]!
      if (connection === except) continue
      if (connection.cork()) this.gathering.push(connection)
      if (!connection.write(frame, this.nowUs)) continue
      this.stats.sent++
      this.stats.sentBytes += frame.length
      if (connection.waitingBytes <= WAITING_BYTES_MAX) continue
      this.stats.slowClients++
      connection.terminate()
    }
  }
}
