import type { RawData, WebSocket } from 'ws'
import type { Clock } from '../clock/clock'
import { MESSAGE_BYTES_MAX, parseClientMessage } from './clientMessage'
import type { BookPart, ClientMessage } from './liveFormat'

/** A page that has not said for so long that it saw its last tick is gone, or as good as gone. */
const SEEN_WITHIN_MS = 30_000
/** Messages of a page between two ticks. */
const MESSAGES_MAX = 32

const POLICY_VIOLATION = 1008
const TOO_BIG = 1009
const TRY_AGAIN = 1013

/** What a page is told from. */
export interface Told {
  /** Of the tick of the moment. */
  readonly tick: number
  readonly atMs: number
  readonly faultsTotal: number
  textSince(tick: number, faultsSeen: number): string
  /** Of an instrument, as it is now; undefined where there is none of this name. */
  book(exchange: string, name: string): BookOfTick | undefined
}

/** A book, as one tick tells of it. */
export interface BookOfTick {
  /** Changes with the book. Not its view: one that is kept keeps alive all that comes after it. */
  readonly version: number | string | undefined
  readonly part: () => BookPart
}

/**
 * A page that is connected. All that is held of it: what it watches, the tick that it was sent last, and whether it has said
 * that it saw it. While it has not, nothing is sent to it, however many ticks pass: it then gets what has changed since.
 */
export class LiveClient {
  /** Messages that were none. */
  refused = 0
  private watched: { readonly exchange: string; readonly name: string } | undefined
  private toldOfBook: BookOfTick['version']
  private paused = false
  private sentTick = 0
  private sentAtUs = 0
  private faultsSeen = 0
  private isUnderWay = false
  private messages = 0

  constructor(
    private readonly socket: WebSocket,
    private readonly clock: Clock,
    hello: string,
    private readonly gone: (client: LiveClient) => void,
  ) {
    socket.on('message', (data, isBinary) => this.take(data, isBinary))
    socket.on('close', () => gone(this))
    // Whatever goes wrong on a socket, its close follows.
    socket.on('error', () => socket.terminate())
    socket.send(hello)
  }

  /** Sends what has changed, if the page is ready for it. */
  tick(told: Told): void {
    this.messages = 0
    if (this.isUnderWay) {
      if (this.clock.nowUs() - this.sentAtUs > SEEN_WITHIN_MS * 1_000) this.end(TRY_AGAIN)
      return
    }
    if (this.paused) return
    const text = told.textSince(this.sentTick, this.faultsSeen) + this.bookText(told)
    if (text === '' && this.sentTick > 0) return
    this.isUnderWay = true
    this.sentAtUs = this.clock.nowUs()
    this.sentTick = told.tick
    this.faultsSeen = told.faultsTotal
    this.socket.send(`{"type":"tick","tick":${told.tick},"atMs":${told.atMs}${text}}`)
  }

  private bookText(told: Told): string {
    if (this.watched === undefined) return ''
    const book = told.book(this.watched.exchange, this.watched.name)
    if (book === undefined || book.version === this.toldOfBook) return ''
    this.toldOfBook = book.version
    return `,"book":${JSON.stringify(book.part())}`
  }

  private take(data: RawData, isBinary: boolean): void {
    if (++this.messages > MESSAGES_MAX) {
      this.end(POLICY_VIOLATION)
      return
    }
    const bytes = data as Buffer
    if (bytes.length > MESSAGE_BYTES_MAX) {
      this.end(TOO_BIG)
      return
    }
    const message = isBinary ? undefined : parseClientMessage(bytes.toString('utf8'))
    if (message === undefined) this.refused++
    else this.heed(message)
  }

  private heed(message: ClientMessage): void {
    if ('seen' in message) {
      if (message.seen === this.sentTick) this.isUnderWay = false
    } else if ('paused' in message) this.paused = message.paused
    else {
      this.watched = message.watch ?? undefined
      this.toldOfBook = undefined
    }
  }

  /** One that does not take its leave is cut off: it has nothing that anybody waits for. */
  private end(code: number): void {
    this.gone(this)
    this.socket.close(code)
    this.clock.after(LEAVE_WITHIN_MS, () => this.socket.terminate())
  }
}

const LEAVE_WITHIN_MS = 1_000
