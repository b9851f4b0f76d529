import { createRequire } from 'node:module'
import { promisify } from 'node:util'
import { liveRandom } from '../clock/backoff'
import { LONGEST_WAIT_MS, type Clock } from '../clock/clock'
import { liveClock } from '../clock/liveClock'
import { retryAfterMs } from '../clock/retryAfter'
import { Fault, messageOf } from '../model/fault'
import { BatchProgress, BYTES_PER_UNIT_MAX } from './wires/batchProgress'
import { ByteDigest } from './files/byteDigest'
import { compileEncoder, encodeValue, type JsonSchema } from './encode'
import { encodeBatch } from './files/encodeBatch'
import type * as httpPost from './wires/httpPost'
import type { HttpPost, PostAnswer } from './wires/httpPost'
import { SIGNATURE_HEADER, signatureOf } from './wires/httpSignature'
import { oneLine } from './jsonLines'
import { sinkCounters, type BatchKey, type Sink, type SinkContext } from './sink'

/** What speaks to a network is loaded when a sink is opened: what `import 'millrace'` loads is little. */
const load = createRequire(__filename)

export interface HttpOptions<T> {
  /** Value to JSON text. Market events: `encodeEvent`. Default: `encodeValue`. */
  readonly encode?: (value: T) => string
  /** A JSON schema to compile an encoder from, in place of `encode`: only its fields are sent. */
  readonly schema?: JsonSchema
  /** A body is one JSON array, or one JSON document per line. Default `array`. */
  readonly format?: 'array' | 'lines'
  /** Sent with each request. Their values appear in no fault. */
  readonly headers?: Readonly<Record<string, string>>
  /** Signs each body: see {@link signatureOf}. */
  readonly secret?: string
  /** The name of an environment variable that holds the secret. */
  readonly secretEnv?: string
  /** Packs bodies. Default false: not every receiver unpacks. */
  readonly gzip?: boolean
  /** Bytes of a body before it is packed; larger batches are sent in parts. Default 1 MiB. */
  readonly bodyBytesMax?: number
  /**
   * Looks for the value that a receiver means when it answers 400 or 422, by sending halves, so that only that one becomes a
   * dead letter. Default false: most often it means the request and not a value (a field that was renamed, a wrong
   * path), and then every value would be sent alone to a receiver that takes none; and a receiver that has taken a part of
   * a batch before it refused the rest would get that part again.
   */
  readonly bisect?: boolean
  /** Default 5,000. */
  readonly connectWithinMs?: number
  /** From the connection to the status of the answer, sending included. Default 15,000. */
  readonly answerWithinMs?: number
  /** For the rest of the answer. Default 5,000. */
  readonly bodyWithinMs?: number
  /** Of an answer no more is read. Default 65,536. */
  readonly answerBytesMax?: number
  /** `Retry-After` is heeded up to this. Default 300,000. */
  readonly retryAfterMaxMs?: number
  /** Certificates of authorities (PEM) that are trusted in place of the well-known ones. */
  readonly ca?: string | Buffer
  readonly name?: string
  readonly digest?: boolean
  /** The time of waits for the receiver. Default: the machine's. */
  readonly clock?: Clock
  /** Makes the name of a run that has none. */
  readonly random?: () => number
}

/**
 * Posts values to an address, in batches: a webhook.
 *
 * Delivery  at least once, effectively once with a receiver that honours `Idempotency-Key: run:sink:from-to` (each part
 *           percent-encoded; the values are those after the `from`th up to the `to`th of the edge, one position each). A batch
 *           whose acknowledgement was lost comes again under the same key. A run that is repeated under its name counts
 *           alike but may cut its batches elsewhere: a receiver that remembers the highest `to` of each `run:sink` leaves out the
 *           first values of a batch up to it. Acknowledged is what was answered with a status from 200 to 299
 * Order     as received: one request at a time
 * Errors    `SINK_REJECTED { status, retryAfterMs }` for no answer, 408, 425, 429 and 5xx, which are tried again;
 *           `SINK_REJECTED { status, final }` for any other status: these values are dead letters. After 413 the batch is
 *           sent in parts. `VALUE_INVALID` for a value without a text or one that is too large by itself;
 *           `OPTION_INVALID` for an address or option that is none
 *
 * A batch of several parts that is given up may stand at the receiver in its first parts. Redirects are not followed.
 * Proxies are those of the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`). The digest is over the texts of the values, a line
 * each, whatever batches they were sent in.
 *
 * @param url  http or https; a user and password in it are sent as basic authorization. Only its origin is ever shown
 */
export function http<T>(url: string, options: HttpOptions<T> = {}): Sink<T> {
  const target = parsedUrl(url)
  const name = options.name ?? `http(${target.origin})`
  const limits = limitsOf(name, options)
  const headers = headersOf(name, target, options)
  const { format = 'array', gzip = false, bisect = false, clock = liveClock, random = liveRandom } = options
  const counters = sinkCounters()
  const digest = new ByteDigest()
  if (options.digest === true) digest.enable()
  let encode = options.encode
  let post: HttpPost | undefined
  let secret: string | undefined
  let mask: (text: string) => string = (text) => text
  let run = ''
  let progress: BatchProgress<T> | undefined
  /** Values that were offered without a key. */
  let counted = 0
  /** What a body may have, by the last 413. */
  let bytesMax = limits.bodyBytesMax

  return {
    name,
    counters,
    delivery: 'atLeastOnce',
    open: (context) =>
      new Promise((resolve) => {
        begin(context)
        resolve()
      }),
    async write(batch, key) {
      if (batch.length === 0) return
      if (post === undefined) throw new Fault('SINK_REJECTED', `The sink ${name} is not open.`, { sink: name })
      progress = BatchProgress.of(batch, key ?? keyOf(batch), progress)
      await deliver(post, progress, textsOf(progress))
      counters.written += batch.length
      counters.bytes += progress.bytes
      progress.end()
    },
    close() {
      post?.close()
      post = undefined
      return Promise.resolve()
    },
    enableDigest: () => digest.enable(),
    digest: () => digest.value(),
  }

  function begin(context: SinkContext): void {
    encode ??= options.schema === undefined ? (value: T) => encodeValue(value) : compileEncoder(options.schema)
    secret = secretOf(name, options, context)
    mask = maskOf(target, headers, secret)
    if (context.resume !== true || run === '') {
      run = context.run ?? randomName(random)
      progress = undefined
      counted = 0
      counters.written = 0
      counters.bytes = 0
      digest.restart()
    }
    bytesMax = limits.bodyBytesMax
    post?.close()
    const { HttpPost } = load('./wires/httpPost') as typeof httpPost
    post = new HttpPost(cleaned(target), { ...limits, clock, env: context.env ?? {}, ca: options.ca })
  }

  /** The same for a batch that is offered again. */
  function keyOf(batch: readonly T[]): BatchKey {
    if (progress?.continues(batch) === true) return progress.key
    const from = counted
    counted += batch.length
    return { run: undefined, from, to: counted }
  }

  function textsOf(progress: BatchProgress<T>): string[] {
    try {
      const texts = encodeBatch(name, progress.batch, encode ?? encodeValue)
      const bytesMax = limits.bodyBytesMax - FRAME_BYTES
      const isTooLarge = (text: string): boolean =>
        text.length * BYTES_PER_UNIT_MAX > bytesMax && Buffer.byteLength(text) > bytesMax
      const index = texts.findIndex(isTooLarge)
      if (index < 0) return format === 'lines' ? texts.map(oneLine) : texts
      throw new Fault(
        'VALUE_INVALID',
        `The sink ${name} cannot send a value of ${Buffer.byteLength(texts[index]!)} bytes: its bodies have at most ${limits.bodyBytesMax}. The value is left out.`,
        { sink: name, index },
      )
    } catch (fault) {
      if (fault instanceof Fault) progress.refuse(fault.details['index'])
      throw fault
    }
  }

  /** Sends what is left of a batch, in as few parts as may be. */
  async function deliver(post: HttpPost, progress: BatchProgress<T>, texts: readonly string[]): Promise<void> {
    while (!progress.isDone) {
      const end = progress.endWithin(texts, bytesMax - FRAME_BYTES)
      const part = texts.slice(progress.done, end)
      const body = Buffer.from(format === 'lines' ? part.map((text) => `${text}\n`).join('') : `[${part.join(',')}]`)
      const sent = gzip ? await gzipped(body) : body
      const answer = await answered(post, progress.label(run, name, end, body), sent)
      if (answer.status >= 200 && answer.status < 300) {
        progress.pass(end, sent.length)
        if (digest.enabled) digest.update(part.map((text) => `${text}\n`).join(''))
        continue
      }
      const isTooLarge = answer.status === 413
      if (!isTooLarge && !(bisect && (answer.status === 400 || answer.status === 422))) throw refusal(answer)
      if (part.length === 1) {
        progress.refuse(progress.done)
        throw refusal(answer, progress.done)
      }
      if (isTooLarge) bytesMax = Math.max(FRAME_BYTES + 1, Math.floor(body.length / 2))
      else progress.suspect(end)
    }
  }

  async function answered(post: HttpPost, label: string, body: Buffer): Promise<PostAnswer> {
    const { signature, ...rest } = {
      signature: secret === undefined ? undefined : signatureOf(secret, body, clock.nowUs()),
      'idempotency-key': label,
      ...(gzip && { 'content-encoding': 'gzip' }),
    }
    const all = { ...headers, ...rest, ...(signature !== undefined && { [SIGNATURE_HEADER]: signature }) }
    try {
      return await post.post(all, body)
    } catch (cause) {
      throw new Fault(
        'SINK_REJECTED',
        `The sink ${name} had no answer: ${mask(messageOf(cause))}. Check that its destination is up.`,
        { sink: name, origin: target.origin },
        { cause: new Error(mask(messageOf(cause))) },
      )
    }
  }

  function refusal({ status, body, retryAfter, location }: PostAnswer, index?: number): Fault {
    const words = wordsOf(mask(body))
    const said = `The sink ${name} was answered ${status}${words === '' ? '' : ` (${words})`}`
    const details = { sink: name, origin: target.origin, status }
    if (index !== undefined) {
      return new Fault('VALUE_INVALID', `${said} to a single value, which is left out.`, { ...details, index })
    }
    if (status >= 500 || MOMENTARY.includes(status)) {
      const askedMs = retryAfterMs(retryAfter, clock.nowUs())
      const waitMs = askedMs === undefined ? undefined : Math.min(askedMs, limits.retryAfterMaxMs)
      return new Fault('SINK_REJECTED', `${said}. It may take the batch another time.`, {
        ...details,
        ...(waitMs !== undefined && { retryAfterMs: waitMs }),
      })
    }
    const where = location === undefined ? undefined : originOf(location, target)
    const advice =
      status >= 300 && status < 400
        ? `Redirects are not followed${where === undefined ? '' : ` (it leads to ${where})`}: give the address that it leads to`
        : 'Asking again does not change that: check the address, its credentials and what it takes'
    return new Fault('SINK_REJECTED', `${said}. ${advice}.`, { ...details, final: true })
  }
}

/** Around the values of a body: brackets, or a line's end. */
const FRAME_BYTES = 2
/** Statuses below 500 that are of the moment. */
const MOMENTARY: readonly number[] = [408, 425, 429]
/** Of a refusal's body so much is repeated. */
const WORDS_MAX = 200
/** Shorter words are too common to be masked. */
const SECRET_LENGTH_MIN = 4
/** Of words within a path or a header, which need not be secrets. */
const LONG_LENGTH_MIN = 8
/** Their values are no secrets. */
const PLAIN_HEADERS: readonly string[] = ['content-type', 'user-agent']
/** What only the sink itself can say. */
const OWN_HEADERS = [
  'content-length',
  'content-encoding',
  'transfer-encoding',
  'connection',
  'host',
  'expect',
  'upgrade',
  'idempotency-key',
  SIGNATURE_HEADER.toLowerCase(),
]

function gzipped(body: Buffer): Promise<Buffer> {
  return promisify<Buffer, Buffer>(process.getBuiltinModule('node:zlib').gzip)(body)
}

function parsedUrl(url: string): URL {
  const parsed = URL.parse(url)
  if (parsed !== null && (parsed.protocol === 'http:' || parsed.protocol === 'https:')) return parsed
  // Not repeated: it may hold a password.
  throw new Fault('OPTION_INVALID', 'The address of the sink http is none: write http://... or https://...', {
    option: 'url',
  })
}

function cleaned(url: URL): URL {
  const clean = new URL(url)
  clean.username = ''
  clean.password = ''
  clean.hash = ''
  return clean
}

function limitsOf<T>(
  name: string,
  options: HttpOptions<T>,
): Required<
  Pick<
    HttpOptions<T>,
    'bodyBytesMax' | 'connectWithinMs' | 'answerWithinMs' | 'bodyWithinMs' | 'answerBytesMax' | 'retryAfterMaxMs'
  >
> {
  const limits = {
    bodyBytesMax: options.bodyBytesMax ?? 1_048_576,
    connectWithinMs: options.connectWithinMs ?? 5_000,
    answerWithinMs: options.answerWithinMs ?? 15_000,
    bodyWithinMs: options.bodyWithinMs ?? 5_000,
    answerBytesMax: options.answerBytesMax ?? 65_536,
    retryAfterMaxMs: options.retryAfterMaxMs ?? 300_000,
  }
  for (const [option, value] of Object.entries(limits)) {
    if (Number.isInteger(value) && value >= 1 && value <= LONGEST_WAIT_MS) continue
    throw new Fault(
      'OPTION_INVALID',
      `The sink ${name} has ${option} = ${value}: it should be a whole number from 1 to ${LONGEST_WAIT_MS}.`,
      { sink: name, option },
    )
  }
  if (options.format !== undefined && !['array', 'lines'].includes(options.format)) {
    throw new Fault('OPTION_INVALID', `The sink ${name} has a format that is neither array nor lines.`, {
      sink: name,
      option: 'format',
    })
  }
  return limits
}

function headersOf<T>(name: string, url: URL, options: HttpOptions<T>): Record<string, string> {
  const type = options.format === 'lines' ? 'application/x-ndjson' : 'application/json'
  const headers: Record<string, string> = { 'user-agent': 'millrace', 'content-type': type }
  if (url.username !== '' || url.password !== '') {
    const user = `${decoded(url.username)}:${decoded(url.password)}`
    headers['authorization'] = `Basic ${Buffer.from(user).toString('base64')}`
  }
  for (const [header, value] of Object.entries(options.headers ?? {})) {
    const problem = problemOfHeader(header, value)
    if (problem === undefined) {
      headers[header.toLowerCase()] = value
      continue
    }
    throw new Fault('OPTION_INVALID', `The sink ${name} has a header ${JSON.stringify(header)} that ${problem}.`, {
      sink: name,
      option: 'headers',
      header,
    })
  }
  return headers
}

/** Without its value, which may be a secret. */
function problemOfHeader(header: string, value: unknown): string | undefined {
  if (OWN_HEADERS.includes(header.toLowerCase())) return 'is made by the sink itself'
  const { validateHeaderName, validateHeaderValue } = process.getBuiltinModule('node:http')
  try {
    validateHeaderName(header)
  } catch {
    return 'has no valid name'
  }
  try {
    validateHeaderValue(header, value as string)
  } catch {
    return 'has no valid value'
  }
  return typeof value === 'string' ? undefined : 'has no text as its value'
}

function secretOf<T>(name: string, { secret, secretEnv }: HttpOptions<T>, { env }: SinkContext): string | undefined {
  const found = secret ?? (secretEnv === undefined ? undefined : env?.[secretEnv])
  if (found !== undefined && found !== '') return found
  if (secret === undefined && secretEnv === undefined) return undefined
  throw new Fault(
    'OPTION_INVALID',
    secretEnv === undefined
      ? `The sink ${name} has an empty secret.`
      : `The sink ${name} takes its secret from the environment variable ${secretEnv}, which is not set.`,
    { sink: name, option: secretEnv === undefined ? 'secret' : 'secretEnv' },
  )
}

/** Takes what nobody should read out of what a receiver says: some repeat the request that they refuse. */
function maskOf(
  url: URL,
  headers: Readonly<Record<string, string>>,
  secret: string | undefined,
): (t: string) => string {
  const own = Object.entries(headers).flatMap(([header, value]) => (PLAIN_HEADERS.includes(header) ? [] : [value]))
  const spoken = [
    ...own,
    ...url.searchParams.values(),
    ...url.search.slice(1).split(/[&=]/),
    url.username,
    url.password,
    decoded(url.password),
    ...(secret === undefined ? [] : [secret]),
  ].filter((word) => word.length >= SECRET_LENGTH_MIN)
  const longer = [...url.pathname.split('/'), ...own.flatMap((value) => value.split(/\s+/))].filter(
    (word) => word.length >= LONG_LENGTH_MIN,
  )
  const words = [...new Set([...spoken, ...longer])].sort((one, other) => other.length - one.length)
  return (text) => words.reduce((masked, word) => masked.replaceAll(word, '***'), text)
}

/** As one line of visible characters. */
function wordsOf(body: string): string {
  return body
    .slice(0, WORDS_MAX * 10)
    .replace(/[\p{C}\s]+/gu, ' ')
    .trim()
    .slice(0, WORDS_MAX)
}

function originOf(location: string, base: URL): string | undefined {
  const target = URL.parse(location, base.href)
  return target === null || target.origin === 'null' ? undefined : target.origin
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function randomName(random: () => number): string {
  return Array.from({ length: 4 }, () =>
    Math.floor(random() * 2 ** 32)
      .toString(16)
      .padStart(8, '0'),
  ).join('')
}
