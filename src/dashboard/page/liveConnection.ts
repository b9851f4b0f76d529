/**
 * The page's connection with the run. It is opened again as often as it is lost, at growing distances; a page that nobody
 * looks at asks for nothing.
 */
import { LIVE_FORMAT, type ClientMessage, type HelloMessage, type LiveMessage, type TickMessage } from '../liveFormat'

const RETRY_MS_MIN = 250
const RETRY_MS_MAX = 5_000
/** A server says something at least so often while it is well; ticks come several times a second. */
const SILENT_MS_MAX = 20_000

export interface LiveListener {
  hello(message: HelloMessage): void
  /** The tick is to be answered by `seen`, once it is shown. */
  tick(message: TickMessage): void
  /** The connection stands, or it does not. */
  connected(isConnected: boolean): void
}

export class LiveConnection {
  private socket: WebSocket | undefined
  private retryMs = RETRY_MS_MIN
  private retry: ReturnType<typeof setTimeout> | undefined
  private watchdog: ReturnType<typeof setTimeout> | undefined
  private watched: ClientMessage | undefined
  private paused = false

  constructor(private readonly listener: LiveListener) {
    document.addEventListener('visibilitychange', () => this.sayPaused())
    addEventListener('online', () => this.openNow())
    this.open()
  }

  seen(tick: number): void {
    this.say({ seen: tick })
  }

  watch(exchange: string, name: string): void {
    this.watched = { watch: { exchange, name } }
    this.say(this.watched)
  }

  /** Nothing comes until it goes on. */
  pause(paused: boolean): void {
    this.paused = paused
    this.sayPaused()
  }

  private open(): void {
    this.retry = undefined
    const socket = new WebSocket(liveAddress())
    this.socket = socket
    socket.addEventListener('message', ({ data }) => {
      if (this.socket === socket) this.take(data as string)
    })
    socket.addEventListener('close', () => {
      if (this.socket === socket) this.lost()
    })
    this.expectWord()
  }

  private openNow(): void {
    if (this.retry === undefined) return
    clearTimeout(this.retry)
    this.open()
  }

  private lost(): void {
    clearTimeout(this.watchdog)
    this.socket = undefined
    this.listener.connected(false)
    this.retry = setTimeout(() => this.open(), this.retryMs * (0.5 + Math.random() / 2))
    this.retryMs = Math.min(RETRY_MS_MAX, this.retryMs * 2)
  }

  private take(text: string): void {
    this.expectWord()
    const message = JSON.parse(text) as LiveMessage
    if (message.type === 'tick') {
      this.listener.tick(message)
      return
    }
    if ((message.format as string) !== LIVE_FORMAT) {
      // Another release of the server: its own page understands it.
      location.reload()
      return
    }
    this.retryMs = RETRY_MS_MIN
    this.listener.connected(true)
    this.listener.hello(message)
    if (this.watched !== undefined) this.say(this.watched)
    if (this.isPaused) this.sayPaused()
  }

  /** A connection over which nothing comes any more may have no other end. */
  private expectWord(): void {
    clearTimeout(this.watchdog)
    if (this.isPaused) return
    this.watchdog = setTimeout(() => {
      const { socket } = this
      this.socket = undefined
      socket?.close()
      this.lost()
    }, SILENT_MS_MAX)
  }

  private get isPaused(): boolean {
    return this.paused || document.hidden
  }

  private sayPaused(): void {
    this.say({ paused: this.isPaused })
    this.expectWord()
  }

  private say(message: ClientMessage): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message))
  }
}

/** Beside the page. Where a token is needed, the cookie that stands for it comes along. */
function liveAddress(): string {
  const address = new URL('live', location.href)
  address.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:'
  address.search = ''
  address.hash = ''
  return address.href
}
