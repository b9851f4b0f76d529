/**
 * Sockets as badly behaved clients have them: whatever is to be sent, and whatever came.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export class RawSocket {
  /** What came, as text. */
  said = ''
  closed = false

  private constructor(readonly socket: Socket) {
    socket.on('data', (data: Buffer) => (this.said += data.toString('latin1')))
    socket.on('error', () => undefined)
    socket.on('close', () => (this.closed = true))
  }

  static async open(port: number, host = '127.0.0.1'): Promise<RawSocket> {
    const socket = connect(port, host)
    const raw = new RawSocket(socket)
    await once(socket, 'connect')
    return raw
  }

  /** A socket that reads nothing of what is sent to it. */
  static async deaf(port: number): Promise<RawSocket> {
    const raw = await RawSocket.open(port)
    raw.socket.pause()
    return raw
  }

  send(text: string): void {
    if (!this.socket.destroyed) this.socket.write(text)
  }

  close(): void {
    this.socket.destroy()
  }
}

/** Sends a text on a new connection; what came until the other side ended it. */
export async function ask(port: number, text: string): Promise<string> {
  const raw = await RawSocket.open(port)
  raw.send(text)
  if (!raw.closed) await once(raw.socket, 'close')
  return raw.said
}

/** The number in the first line of an answer. */
export function statusOf(answer: string): number {
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? NaN)
}
