/**
 * Who may ask the server of a run, and how a question has to look.
 *
 * Host    a name that nobody else can make point here: a number, a name of the loopback, or a name that the server was
 *         given. Any other may be made to point here by whoever owns it (DNS rebinding)
 * Origin  our own, where there is one; and of what a browser says about its pages, nothing that another page began but a
 *         link that a person followed
 * Token   where one is needed, in whichever way whoever asks can give it: a header, a cookie, the address
 */
import { isIP } from 'node:net'
import { isLoopback, isSame } from '../sinks/wires/websocketGate'

export interface GateRules {
  /** Names by which the server may be asked, in small letters, beside numbers and those of the loopback. */
  readonly names: ReadonlySet<string>
  readonly token: string | undefined
  /** The cookie that stands for the token, and what it holds then. */
  readonly cookie: { readonly name: string; readonly value: string }
}

/** The head of a request, as Node gives it. */
export interface RequestHead {
  readonly method?: string | undefined
  readonly url?: string | undefined
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly rawHeaders: readonly string[]
}

export interface Refusal {
  readonly status: 400 | 401 | 403 | 405 | 413 | 414 | 421 | 431
  /** For whoever asked; it repeats nothing that came from there. */
  readonly sentence: string
}

/** A question that may be answered. */
export interface Asked {
  /** Compared to the letter: nothing in it is decoded or made simpler. */
  readonly path: string
  /** Whether the token stood in the address, from where it should go. */
  readonly tokenInAddress: boolean
}

export function judge(request: RequestHead, rules: GateRules): Asked | Refusal {
  const { method, url = '', headers, rawHeaders } = request
  if (rawHeaders.length / 2 >= HEADERS_MAX) return refused(431, `At most ${HEADERS_MAX} headers are read.`)
  if (url.length > URL_LENGTH_MAX) return refused(414, `An address may have ${URL_LENGTH_MAX} characters.`)
  if (method !== 'GET' && method !== 'HEAD') return refused(405, 'Only GET and HEAD are understood.')
  if (!url.startsWith('/')) return refused(400, 'An address begins with a slash.')
  if (hasBody(headers)) return refused(413, 'A question has no body.')
  const host = hostOf(headers['host'], rawHeaders)
  if (host === undefined) return refused(400, 'A request names one host.')
  if (!isOurs(host.hostname, rules.names)) {
    return refused(421, 'Nothing is served under this name here. Ask by number, or start the run with --serve-as NAME.')
  }
  if (!isOwnPage(headers, host)) return refused(403, 'Pages of another origin may not ask.')
  const end = url.indexOf('?')
  const path = end < 0 ? url : url.slice(0, end)
  const inAddress = end < 0 ? undefined : (new URLSearchParams(url.slice(end + 1)).get('token') ?? undefined)
  if (rules.token === undefined) return { path, tokenInAddress: false }
  if (isTokenIn(headers, rules)) return { path, tokenInAddress: inAddress !== undefined }
  if (inAddress !== undefined && isSame(inAddress, rules.token)) return { path, tokenInAddress: true }
  return refused(401, 'The token is missing or wrong: Authorization: Bearer TOKEN, or the address with its ?token=.')
}

export function isRefusal(judged: Asked | Refusal): judged is Refusal {
  return 'status' in judged
}

/** One more than may come, so that too many are seen. */
export const HEADERS_MAX = 64
const URL_LENGTH_MAX = 2_048

function refused(status: Refusal['status'], sentence: string): Refusal {
  return { status, sentence }
}

function hasBody(headers: RequestHead['headers']): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
}

/** Undefined when it is none, or several. */
function hostOf(header: unknown, rawHeaders: readonly string[]): URL | undefined {
  if (typeof header !== 'string' || !/^(?:[\w.-]+|\[[\da-fA-F:.]+\])(?::\d{1,5})?$/.test(header)) return undefined
  let hosts = 0
  for (let index = 0; index < rawHeaders.length; index += 2) if (rawHeaders[index]!.toLowerCase() === 'host') hosts++
  return hosts === 1 ? (URL.parse(`http://${header}`) ?? undefined) : undefined
}

function isOurs(hostname: string, names: ReadonlySet<string>): boolean {
  const bare = hostname.replace(/^\[|\]$/g, '')
  return isIP(bare) !== 0 || isLoopback(bare) || names.has(bare)
}

/**
 * Browsers say where a question comes from: programs that are none say nothing. A scheme in front of us (https, by a proxy)
 * makes no other origin.
 */
function isOwnPage(headers: RequestHead['headers'], host: URL): boolean {
  const { origin } = headers
  if (origin !== undefined) {
    const page = typeof origin === 'string' && /^https?:\/\//.test(origin) ? URL.parse(origin) : null
    if (page === null || page.hostname !== host.hostname || page.port !== host.port) return false
  }
  const site = headers['sec-fetch-site']
  if (site === undefined || site === 'same-origin' || site === 'none') return true
  return headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document'
}

function isTokenIn(headers: RequestHead['headers'], { token, cookie }: GateRules): boolean {
  const { authorization } = headers
  const [, bearer] = typeof authorization === 'string' ? (/^Bearer +(\S+)$/i.exec(authorization) ?? []) : []
  if (bearer !== undefined) return isSame(bearer, token!)
  const cookies = typeof headers['cookie'] === 'string' ? headers['cookie'].split(';') : []
  const ours = cookies.find((each) => each.trimStart().startsWith(`${cookie.name}=`))
  return (
    ours !== undefined &&
    isSame(
      ours
        .trimStart()
        .slice(cookie.name.length + 1)
        .trimEnd(),
      cookie.value,
    )
  )
}
