/**
 * One WebSocket from the attempt to its end: opened within a deadline, ended exactly once, with the reason in words.
 *
 * The only file that opens WebSockets. It knows neither exchanges nor retries: whoever holds it decides what follows.
 * TLS is verified, nothing is compressed, redirects are not followed, frames have a size limit. Everything but the plain
 * frames, which are cut in bulk, is the library's: handshake, sending, pings, closing, refusals.
 */
import WebSocket, { type RawData } from 'ws'
import type { Duplex } from 'node:stream'
import type { Clock, Timer } from '../clock/clock'
import { retryAfterMs } from '../clock/retryAfter'
import { socketGauges } from '../metrics/socketGauges'
import { messageOf } from '../model/fault'
import { receiveInBulk } from './bulkReceiver'
import { proxyFor, tunnelTo, type Environment } from './proxy'
import { isRateLimited, RATE_LIMITED_MS } from './retryAfter'
import type { FeedConnection } from './transport'

export interface ConnectionOptions {
  readonly url: string
  readonly clock: Clock
  readonly env: Environment
  readonly connectMs: number
  readonly closeMs: number
  readonly maxPayloadBytes: number
}

export interface ConnectionEvents {
  opened(): void
  /**
   * A frame, inside the socket's own callback.
   *
   * @param bytes  a slice of the socket's memory, which holds until this returns
   * @param isText that it is a text frame: valid UTF-8
   */
  received(bytes: Uint8Array, isText: boolean): void
  /** A ping or pong. */
  signed(): void
  ended(end: ConnectionEnd): void
}

export interface ConnectionEnd {
  /**
   * unopened  the connection was never established
   * limited   nor was it, because the exchange asks to wait
   * closed    it was closed, by the exchange or by the network
   * tooLarge  a frame was larger than `maxPayloadBytes`
   */
  readonly how: 'unopened' | 'limited' | 'closed' | 'tooLarge'
  readonly code: number
  readonly reason: string
  /** With `limited`, and with `unopened` where the answer carried it. */
  readonly waitMs: number | undefined
}

/** Bytes that may wait in the socket for an exchange that does not read. */
const UNSENT_BYTES_MAX = 1024 * 1024
/** RFC 6455: the connection ended without a close frame. */
const ABNORMAL = 1_006

export class Connection implements FeedConnection {
  private readonly socket: WebSocket
  private readonly deadline: Timer
  private ended = false
  private opened = false
  private tooLarge = false
  private problem: string | undefined

  /** @throws `Fault` OPTION_INVALID for a proxy variable that is no address */
  constructor(
    private readonly options: ConnectionOptions,
    private readonly events: ConnectionEvents,
  ) {
    const { url, clock, env, connectMs, maxPayloadBytes } = options
    const proxy = proxyFor(url, env)
    this.socket = new WebSocket(url, {
      perMessageDeflate: false,
      maxPayload: maxPayloadBytes,
      // Several messages in one turn: one turn for each would cost more than the message.
      allowSynchronousEvents: true,
      // A second line behind the deadline below, which follows the clock.
      handshakeTimeout: connectMs,
      followRedirects: false,
      rejectUnauthorized: true,
      ...(proxy && { createConnection: tunnelTo(url, proxy, connectMs) as never }),
    })
    this.deadline = clock.after(connectMs, () => {
      this.end({ how: 'unopened', code: 0, reason: `no connection within ${connectMs} ms`, waitMs: undefined })
      this.socket.terminate()
    })
    this.listen()
  }

  /** False when the exchange has stopped reading, or the connection is not open. */
  send(text: string): boolean {
    if (this.ended || this.socket.readyState !== WebSocket.OPEN) return false
    if (this.socket.bufferedAmount > UNSENT_BYTES_MAX) return false
    this.socket.send(text)
    return true
  }

  ping(): void {
    if (!this.ended && this.socket.readyState === WebSocket.OPEN) this.socket.ping()
  }

  /** Stops reading; some frames that have been read already still come. */
  pause(): void {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.pause()
  }

  resume(): void {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.resume()
  }

  /** Cuts the line, without `ended`: whoever cuts knows. */
  cut(): void {
    this.finish()
    this.socket.terminate()
  }

  /** Says goodbye and resolves when the exchange has too, or after the deadline. Nothing is received any more; no `ended`. */
  close(code: number, reason: string): Promise<void> {
    this.finish()
    if (this.socket.readyState === WebSocket.CLOSED) return Promise.resolve()
    return new Promise((resolve) => {
      const deadline = this.options.clock.after(this.options.closeMs, () => {
        this.socket.terminate()
        resolve()
      })
      this.socket.once('close', () => {
        deadline.cancel()
        resolve()
      })
      if (this.socket.readyState === WebSocket.OPEN) {
        this.socket.resume()
        this.socket.close(code, reason)
      } else this.socket.terminate()
    })
  }

  private listen(): void {
    const { socket, events, options } = this
    const received = (bytes: Uint8Array, isText: boolean): void => {
      if (!this.ended) events.received(bytes, isText)
    }
    let line: Duplex | undefined
    socket.on('upgrade', (response) => {
      line = response.socket
    })
    socket.on('open', () => {
      if (this.ended) return
      this.opened = true
      this.deadline.cancel()
      if (line !== undefined) receiveInBulk(socket, line, options.maxPayloadBytes, received)
      const forget = socketGauges.note({
        unsentBytes: () => socket.bufferedAmount,
        unreadBytes: () => line?.readableLength ?? 0,
      })
      socket.on('close', forget)
      events.opened()
    })
    socket.on('message', (data: RawData, isBinary: boolean) => {
      received(bytesOf(data), !isBinary)
    })
    socket.on('ping', () => {
      if (!this.ended) events.signed()
    })
    socket.on('pong', () => {
      if (!this.ended) events.signed()
    })
    socket.on('unexpected-response', (_request, response) => {
      const status = response.statusCode ?? 0
      const waitMs = retryAfterMs(response.headers['retry-after'], options.clock.nowUs())
      const limited = isRateLimited(status)
      const reason = `the exchange answered ${status}${response.statusMessage ? ` ${response.statusMessage}` : ''}`
      this.end({
        how: limited ? 'limited' : 'unopened',
        code: status,
        reason,
        waitMs: limited ? (waitMs ?? RATE_LIMITED_MS) : waitMs,
      })
      response.destroy()
      socket.terminate()
    })
    socket.on('error', (error) => {
      // `close` follows. An error after the end (of a connection that was cut) says nothing new.
      this.tooLarge ||= (error as NodeJS.ErrnoException).code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH'
      this.problem ??= messageOf(error)
    })
    socket.on('close', (code, reason) => {
      const said = reason.toString()
      if (!this.opened) {
        this.end({
          how: 'unopened',
          code: 0,
          reason: this.problem ?? 'the connection ended at once',
          waitMs: undefined,
        })
        return
      }
      const words = this.problem ?? (said !== '' ? said : code === ABNORMAL ? 'the line broke' : 'no reason was given')
      this.end({ how: this.tooLarge ? 'tooLarge' : 'closed', code, reason: words, waitMs: undefined })
    })
  }

  private end(end: ConnectionEnd): void {
    if (this.ended) return
    this.finish()
    this.events.ended(end)
  }

  private finish(): void {
    this.ended = true
    this.deadline.cancel()
  }
}

function bytesOf(data: RawData): Buffer {
  if (Buffer.isBuffer(data)) return data
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data)
}
