/**
 * One GET: text with a deadline and a size limit, or a sentence about why not. `restQueue.ts` decides when and how often.
 *
 * Redirects are not followed, TLS is verified, gzip is accepted; an answer that is not UTF-8 is refused.
 */
import { Agent as HttpAgent, request as requestHttp, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import { gunzip } from 'node:zlib'
import type { Clock } from '../clock/clock'
import { retryAfterMs } from '../clock/retryAfter'
import { messageOf } from '../model/fault'
import { proxyFor, tunnelTo, type Environment } from './proxy'
import { isRateLimited, RATE_LIMITED_MS } from './retryAfter'
import type { RestAsker } from './transport'

export interface RestOptions {
  readonly clock: Clock
  readonly env: Environment
  readonly deadlineMs: number
  /** Bytes of an answer, unpacked. */
  readonly bodyBytesMax: number
  readonly connectionsMax: number
}

export type RestAnswer =
  | { readonly outcome: 'answered'; readonly body: string }
  /** The exchange asks to wait. */
  | { readonly outcome: 'limited'; readonly reason: string; readonly waitMs: number }
  /** It may work another time. */
  | { readonly outcome: 'failed'; readonly reason: string }
  /** Asking the same again cannot help. */
  | { readonly outcome: 'refused'; readonly reason: string }

/** Characters of an error's body that are repeated in its fault. */
const WORDS_MAX = 300

export class RestClient implements RestAsker {
  private readonly http: HttpAgent
  private readonly https: HttpsAgent

  constructor(private readonly options: RestOptions) {
    const pool = { keepAlive: true, maxSockets: options.connectionsMax, maxFreeSockets: options.connectionsMax }
    this.http = new HttpAgent(pool)
    this.https = new HttpsAgent({ ...pool, rejectUnauthorized: true })
  }

  /** Never rejects and never throws; calls back once, unless the returned function cancels it before. */
  get(url: string, answered: (answer: RestAnswer) => void): () => void {
    const { clock, env, deadlineMs, bodyBytesMax } = this.options
    const target = URL.parse(url)
    let finished = false
    const finish = (answer: RestAnswer): void => {
      if (finished) return
      finished = true
      deadline.cancel()
      request?.destroy()
      answered(answer)
    }
    const deadline = clock.after(deadlineMs, () => {
      finish({ outcome: 'failed', reason: `no complete answer within ${deadlineMs} ms` })
    })
    let request: ReturnType<typeof requestHttp> | undefined
    try {
      if (target === null || (target.protocol !== 'https:' && target.protocol !== 'http:')) {
        throw new Error('only http and https addresses can be asked')
      }
      const secure = target.protocol === 'https:'
      const proxy = proxyFor(url, env)
      const way = proxy
        ? { createConnection: tunnelTo(url, proxy, deadlineMs) as never, defaultPort: secure ? 443 : 80 }
        : { agent: secure ? this.https : this.http }
      request = (secure ? requestHttps : requestHttp)(target, {
        ...way,
        method: 'GET',
        headers: { accept: 'application/json', 'accept-encoding': 'gzip', 'user-agent': 'millrace' },
      })
    } catch (thrown) {
      // Told later, like every other answer, so that askers need not expect it inside their call.
      queueMicrotask(() => finish({ outcome: 'refused', reason: messageOf(thrown) }))
      return () => {
        finished = true
        deadline.cancel()
      }
    }
    request.on('error', (error) => {
      finish({ outcome: 'failed', reason: error.message })
    })
    request.on('response', (response) => {
      collect(response, bodyBytesMax, (problem, body) => {
        finish(judge(response, problem, body, clock.nowUs()))
      })
    })
    request.end()
    return () => {
      finished = true
      deadline.cancel()
      request.destroy()
    }
  }

  /** Ends kept connections. */
  close(): void {
    this.http.destroy()
    this.https.destroy()
  }
}

function judge(
  response: IncomingMessage,
  problem: string | undefined,
  body: string | undefined,
  nowUs: number,
): RestAnswer {
  const status = response.statusCode ?? 0
  if (status === 200 && body !== undefined) return { outcome: 'answered', body }
  const words = body?.trim().slice(0, WORDS_MAX)
  const said = words === undefined || words === '' ? '' : `: ${words}`
  if (isRateLimited(status)) {
    const waitMs = retryAfterMs(response.headers['retry-after'], nowUs) ?? RATE_LIMITED_MS
    return { outcome: 'limited', reason: `status ${status}${said}`, waitMs }
  }
  if (status === 200) return { outcome: 'failed', reason: problem ?? 'an answer without a body' }
  // 408 and 425 are of the moment, and so is whatever the server admits is its own fault.
  const ofTheMoment = status >= 500 || status === 408 || status === 425
  return { outcome: ofTheMoment ? 'failed' : 'refused', reason: `status ${status}${said}` }
}

/** Collects the body within the limit, unpacks it and reads it as text. */
function collect(
  response: IncomingMessage,
  bytesMax: number,
  done: (problem: string | undefined, body: string | undefined) => void,
): void {
  const pieces: Buffer[] = []
  let bytes = 0
  response.on('data', (piece: Buffer) => {
    bytes += piece.length
    if (bytes <= bytesMax) pieces.push(piece)
    else done(`an answer of more than ${bytesMax} bytes`, undefined)
  })
  response.on('error', (error) => {
    done(error.message, undefined)
  })
  response.on('aborted', () => {
    done('the answer broke off', undefined)
  })
  response.on('end', () => {
    const packed = Buffer.concat(pieces)
    const encoding = response.headers['content-encoding']?.toLowerCase() ?? 'identity'
    if (encoding === 'identity') {
      read(packed)
      return
    }
    if (encoding !== 'gzip' && encoding !== 'x-gzip') {
      done(`an answer packed as ${encoding.slice(0, 40)}, which was not asked for`, undefined)
      return
    }
    gunzip(packed, { maxOutputLength: bytesMax }, (error, unpacked) => {
      if (error === null) read(unpacked)
      else done(`an answer that cannot be unpacked: ${error.message}`, undefined)
    })
  })

  function read(body: Buffer): void {
    let text: string
    try {
      text = new TextDecoder('utf-8', { fatal: true }).decode(body)
    } catch {
      done('an answer that is not UTF-8', undefined)
      return
    }
    done(undefined, text)
  }
}
