/**
 * One POST after the other to one address, over one kept connection: a status, or a sentence about why there is none.
 *
 * Redirects are not followed and TLS is verified. Connecting, answering and the answer's body have a deadline each, and of
 * the body no more is read than is needed for a sentence.
 */
import { Agent as HttpAgent, request as requestHttp, type ClientRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import { isIP, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import type { Clock, Timer } from '../../clock/clock'
import { proxyFor, tunnelTo, type Environment } from '../../feed/proxy'

export interface PostOptions {
  /** The machine's time. */
  readonly clock: Clock
  readonly env: Environment
  readonly connectWithinMs: number
  readonly answerWithinMs: number
  readonly bodyWithinMs: number
  readonly answerBytesMax: number
  /** Certificates of authorities that are trusted in place of the well-known ones. */
  readonly ca?: string | Buffer | undefined
}

export interface PostAnswer {
  readonly status: number
  /** The beginning of the body, as much as is kept. */
  readonly body: string
  readonly retryAfter: string | undefined
  readonly location: string | undefined
}

export class HttpPost {
  private readonly agent: HttpAgent | HttpsAgent
  private readonly secure: boolean

  /** @throws `OPTION_INVALID` when the proxy that the environment names is none */
  constructor(
    private readonly url: URL,
    private readonly options: PostOptions,
  ) {
    this.secure = url.protocol === 'https:'
    const pool = { keepAlive: true, maxSockets: 1, maxFreeSockets: 1 }
    this.agent = this.secure
      ? new HttpsAgent({ ...pool, rejectUnauthorized: true, ...(options.ca && { ca: options.ca }) })
      : new HttpAgent(pool)
    const proxy = proxyFor(url.href, options.env)
    if (proxy === undefined) return
    const { host, port } = targetOf(url)
    const tunnel = tunnelTo(`http://${host.includes(':') ? `[${host}]` : host}:${port}`, proxy, options.connectWithinMs)
    const connect = (asked: unknown, connected: (error: Error | null, socket: Duplex) => void): undefined =>
      tunnel(asked, (error, socket) => {
        connected(error, error === null && this.secure ? this.spokenTls(socket, host) : socket)
      })
    Object.assign(this.agent, { createConnection: connect })
  }

  /** Rejects with an error whose message fits into a sentence. */
  async post(headers: Readonly<Record<string, string>>, body: Buffer): Promise<PostAnswer> {
    try {
      return await this.once(headers, body)
    } catch (error) {
      // The other side may close a connection that has been idle just when a request is on its way to it.
      if (error instanceof StaleConnection) return this.once(headers, body)
      throw error
    }
  }

  /** Ends the kept connection. */
  close(): void {
    this.agent.destroy()
  }

  private once(headers: Readonly<Record<string, string>>, body: Buffer): Promise<PostAnswer> {
    const { connectWithinMs, answerWithinMs } = this.options
    return new Promise((resolve, reject) => {
      const request = (this.secure ? requestHttps : requestHttp)(this.url, {
        agent: this.agent,
        method: 'POST',
        headers: { ...headers, 'content-length': body.length },
      })
      let deadline: Timer | undefined
      let finished = false
      const finish = (outcome: PostAnswer | Error): void => {
        if (finished) return
        finished = true
        deadline?.cancel()
        if (outcome instanceof Error) {
          request.destroy()
          reject(outcome)
        } else resolve(outcome)
      }
      const wait = (ms: number, what: string): void => {
        deadline?.cancel()
        deadline = this.options.clock.after(ms, () => finish(new Error(`${what} within ${ms} ms`)))
      }

      wait(connectWithinMs, 'no connection')
      request.on('socket', (socket: Socket) => {
        whenReady(request, socket, () => {
          if (!finished) wait(answerWithinMs, 'no answer')
        })
      })
      request.on('response', (response) => {
        deadline?.cancel()
        this.collect(request, response, finish)
      })
      request.on('error', (error: NodeJS.ErrnoException) => {
        const broke = error.code === 'ECONNRESET' || error.code === 'EPIPE'
        finish(request.reusedSocket && broke ? new StaleConnection(error.message, { cause: error }) : error)
      })
      request.on('close', () => finish(new Error('the connection was closed without an answer')))
      request.end(body)
    })
  }

  /** The status has been said: however the body ends, it counts. */
  private collect(request: ClientRequest, response: IncomingMessage, finish: (answer: PostAnswer) => void): void {
    const { clock, bodyWithinMs, answerBytesMax } = this.options
    const pieces: Buffer[] = []
    let bytes = 0
    const done = (): void => {
      deadline.cancel()
      finish({
        status: response.statusCode ?? 0,
        body: Buffer.concat(pieces).toString('utf8'),
        retryAfter: response.headers['retry-after'],
        location: response.headers.location,
      })
    }
    const cutShort = (): void => {
      done()
      request.destroy()
    }
    const deadline = clock.after(bodyWithinMs, cutShort)
    response.on('data', (piece: Buffer) => {
      bytes += piece.length
      pieces.push(piece.subarray(0, Math.max(0, piece.length - Math.max(0, bytes - answerBytesMax))))
      if (bytes > answerBytesMax) cutShort()
    })
    response.on('error', done)
    response.on('end', done)
    response.on('close', done)
  }

  private spokenTls(socket: Duplex, host: string): Duplex {
    const { ca } = this.options
    // Verified: `rejectUnauthorized` is spelled out because a default must not decide it.
    return connectTls({
      socket,
      rejectUnauthorized: true,
      host,
      ...(isIP(host) === 0 && { servername: host }),
      ...(ca && { ca }),
    })
  }
}

class StaleConnection extends Error {}

/** Calls back when the connection stands, TLS included. */
function whenReady(request: ClientRequest, socket: Socket, ready: () => void): void {
  if (request.reusedSocket) ready()
  else if ('encrypted' in socket) socket.once('secureConnect', ready)
  else if (socket.connecting) socket.once('connect', ready)
  else ready()
}

function targetOf({ hostname, port, protocol }: URL): { readonly host: string; readonly port: number } {
  return {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port),
  }
}
