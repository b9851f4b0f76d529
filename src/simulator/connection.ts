/**
 * One client's connection to a simulated exchange.
 *
 * Answers go through the WebSocket library. Market frames are framed once per topic and the same bytes are written to the
 * socket of every subscriber: at tens of thousands of frames a second, framing and a system call for each would be
 * the largest cost. Both write to the same socket at once, so their order holds (there is no compression that could delay one).
 */
import type { Topic } from './outlet'

/** What a connection needs of its WebSocket. */
export interface Wire {
  readonly readyState: number
  send(text: string): void
  ping(): void
  close(code: number, reason: string): void
  terminate(): void
}

/** What a connection needs of the socket below: bytes that are framed already go past the library. */
export interface Socket {
  /** Bytes that were written and have not left. */
  readonly writableLength: number
  write(frame: Buffer): unknown
  cork(): void
  uncork(): void
}

const OPEN = 1

export class Connection {
  readonly topics = new Set<Topic>()
  lastSentUs: number
  lastReceivedUs: number
  pingedAtUs: number
  pongedAtUs: number
  /** Until when nothing is sent on it, by a fault. */
  silentUntilUs = 0
  private corked = false

  constructor(
    readonly id: number,
    readonly openedAtUs: number,
    private readonly wire: Wire,
    private readonly socket: Socket,
  ) {
    this.lastSentUs = openedAtUs
    this.lastReceivedUs = openedAtUs
    this.pingedAtUs = openedAtUs
    this.pongedAtUs = openedAtUs
  }

  get open(): boolean {
    return this.wire.readyState === OPEN
  }

  /** Bytes that the client has not taken yet. */
  get waitingBytes(): number {
    return this.socket.writableLength
  }

  /** Sends an answer or a sign of life. */
  send(text: string, nowUs: number): void {
    if (!this.open || nowUs < this.silentUntilUs) return
    this.lastSentUs = nowUs
    this.wire.send(text)
  }

  /** Writes a market frame; false when it did not go out. */
  write(frame: Buffer, nowUs: number): boolean {
    if (!this.open || nowUs < this.silentUntilUs) return false
    this.lastSentUs = nowUs
    this.socket.write(frame)
    return true
  }

  ping(nowUs: number): void {
    if (!this.open || nowUs < this.silentUntilUs) return
    this.pingedAtUs = nowUs
    this.wire.ping()
  }

  /** Gathers what is written until {@link uncork}, so that it leaves in one system call. True when it was not gathering yet. */
  cork(): boolean {
    if (this.corked) return false
    this.corked = true
    this.socket.cork()
    return true
  }

  uncork(): void {
    this.corked = false
    this.socket.uncork()
  }

  close(code: number, reason: string): void {
    this.wire.close(code, reason)
  }

  terminate(): void {
    this.wire.terminate()
  }
}

/** A text as one unmasked, unfragmented WebSocket frame (RFC 6455, section 5.2). */
export function textFrame(text: string): Buffer {
  const length = Buffer.byteLength(text)
  const header = length < 126 ? 2 : length < 65_536 ? 4 : 10
  const frame = Buffer.allocUnsafe(header + length)
  frame[0] = 0x81
  if (header === 2) frame[1] = length
  else if (header === 4) {
    frame[1] = 126
    frame.writeUInt16BE(length, 2)
  } else {
    frame[1] = 127
    frame.writeUInt32BE(0, 2)
    frame.writeUInt32BE(length, 6)
  }
  frame.write(text, header)
  return frame
}
