/**
 * A real server on loopback that takes what the sink `http` posts, and does with it what a test says.
 */
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { gunzipSync } from 'node:zlib'

export interface Received {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  /** As it came. */
  readonly raw: Buffer
  readonly values: unknown[]
  /** Which connection it came by, from 1. */
  readonly connection: number
}

/** A status with more, or what is done with the answer. */
export type Reply =
  | number
  | { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string }
  | ((response: ServerResponse, socket: Socket) => void)

export class HttpReceiver {
  /** Every request, taken or not. */
  readonly requests: Received[] = []
  /** The requests that were answered with a 200. */
  readonly taken: Received[] = []
  reply: (request: Received, number: number) => Reply = () => 200
  connections = 0
  private readonly numbers = new WeakMap<Socket, number>()
  private readonly sockets = new Set<Socket>()

  private constructor(
    private readonly server: Server,
    private readonly scheme: string,
  ) {}

  static async start(secure = false): Promise<HttpReceiver> {
    const server = secure ? createSecureServer(SELF_SIGNED) : createServer()
    const receiver = new HttpReceiver(server, secure ? 'https' : 'http')
    server.on('request', (request, response) => receiver.receive(request, response))
    server.on(secure ? 'secureConnection' : 'connection', (socket: Socket) => {
      receiver.numbers.set(socket, ++receiver.connections)
      receiver.sockets.add(socket)
      socket.on('error', () => undefined)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return receiver
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port
  }

  get url(): string {
    return `${this.scheme}://127.0.0.1:${this.port}/`
  }

  get values(): unknown[] {
    return this.taken.flatMap(({ values }) => values)
  }

  get keys(): string[] {
    return this.requests.map(({ headers }) => String(headers['idempotency-key']))
  }

  reset(): void {
    this.requests.length = 0
    this.taken.length = 0
    this.connections = 0
    this.reply = () => 200
  }

  stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    return new Promise((resolve) => this.server.close(() => resolve()))
  }

  private receive(request: IncomingMessage, response: ServerResponse): void {
    const pieces: Buffer[] = []
    request.on('error', () => undefined)
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('end', () => {
      const raw = Buffer.concat(pieces)
      const received: Received = {
        method: request.method ?? '',
        path: request.url ?? '',
        headers: request.headers,
        raw,
        values: valuesOf(request.headers, raw),
        connection: this.numbers.get(request.socket) ?? 0,
      }
      this.requests.push(received)
      this.answer(received, response, request.socket)
    })
  }

  private answer(received: Received, response: ServerResponse, socket: Socket): void {
    const reply = this.reply(received, this.requests.length)
    if (typeof reply === 'function') {
      reply(response, socket)
      return
    }
    const { status, headers = {}, body = '' } = typeof reply === 'number' ? { status: reply } : reply
    if (status === 200) this.taken.push(received)
    response.writeHead(status, headers).end(body)
  }
}

function valuesOf(headers: IncomingHttpHeaders, raw: Buffer): unknown[] {
  if (raw.length === 0) return []
  const text = (headers['content-encoding'] === 'gzip' ? gunzipSync(raw) : raw).toString()
  if (headers['content-type'] !== 'application/x-ndjson') return JSON.parse(text) as unknown[]
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as unknown)
}

/** For 127.0.0.1 and `receiver.invalid`, valid until 2120. It protects nothing. */
export const SELF_SIGNED = {
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgzcFtpz9Lr1Hc5ct5
nWNC6rAwp15SpZCmfAaI22RYAOOhRANCAAQsTDeXV+9tz5Dk9VnCnIIww4MjVx8J
0IaM2MiuOitQ0Toove3KXcmaoH2ehNT3rcc54phW5DmGvO1oENqNvXn9
-----END PRIVATE KEY-----`,
  cert: `-----BEGIN CERTIFICATE-----
MIIBfDCCASKgAwIBAgIBATAKBggqhkjOPQQDAjAbMRkwFwYDVQQDDBByZWNlaXZl
ci5pbnZhbGlkMCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjAbMRkw
FwYDVQQDDBByZWNlaXZlci5pbnZhbGlkMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcD
QgAELEw3l1fvbc+Q5PVZwpyCMMODI1cfCdCGjNjIrjorUNE6KL3tyl3JmqB9noTU
963HOeKYVuQ5hrztaBDajb15/aNVMFMwDwYDVR0TAQH/BAUwAwEB/zAhBgNVHREE
GjAYghByZWNlaXZlci5pbnZhbGlkhwR/AAABMB0GA1UdDgQWBBRHNLHxCpKZoQ/P
vQy9sVnwnaiSWjAKBggqhkjOPQQDAgNIADBFAiEAmml+hvlAMdMWbEMTDK2S5HRn
Etjo/PzWSJi9c3Xh6p8CIFTySJi4rxyVuRXxCTJBhzoH/AT8NicYWWSMfrJIT4UV
-----END CERTIFICATE-----`,
}
