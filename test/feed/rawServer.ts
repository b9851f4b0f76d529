/** A server that shakes hands and then sends exactly the bytes it is told to, and remembers what it was sent. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'

export interface RawServer {
  readonly url: string
  stop(): Promise<void>
}

export interface RawClient {
  readonly socket: Socket
  /** Frames of the client since the handshake, as `opcode payload`. */
  frames(): string[]
  /** Writes each piece in a turn of its own, so that they arrive as they are, or nearly so. */
  write(pieces: readonly Uint8Array[]): Promise<void>
}

/**
 * @param head       bytes that come in one packet with the answer to the handshake
 * @param connected  is called after the handshake
 */
export async function startRawServer(
  connected: (client: RawClient, path: string) => void,
  head: (path: string) => Uint8Array = () => new Uint8Array(0),
): Promise<RawServer> {
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (socket) => {
    let received = Buffer.alloc(0)
    let shaken = false
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      const end = received.indexOf('\r\n\r\n')
      if (shaken || end < 0) return
      shaken = true
      const request = received.subarray(0, end).toString()
      received = received.subarray(end + 4)
      const key = /sec-websocket-key: (\S+)/i.exec(request)![1]!
      const path = /^GET (\S+)/.exec(request)![1]!
      const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
      const answer = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`
      socket.write(Buffer.concat([Buffer.from(answer), head(path)]))
      connected({ socket, frames: () => framesIn(received), write: (pieces) => writeIn(socket, pieces) }, path)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resolve())
      }),
  }
}

async function writeIn(socket: Socket, pieces: readonly Uint8Array[]): Promise<void> {
  for (const piece of pieces) {
    if (socket.destroyed || !socket.writable) return
    socket.write(piece)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Small masked frames, as `ws` sends them. */
function framesIn(bytes: Buffer): string[] {
  const frames: string[] = []
  for (let at = 0; at + 6 <= bytes.length;) {
    const size = bytes[at + 1]! & 0x7f
    const mask = bytes.subarray(at + 2, at + 6)
    const payload = bytes.subarray(at + 6, at + 6 + size).map((byte, index) => byte ^ mask[index % 4]!)
    frames.push(`${bytes[at]! & 0x0f} ${Buffer.from(payload).toString('hex')}`)
    at += 6 + size
  }
  return frames
}
