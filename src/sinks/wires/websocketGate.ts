/**
 * Who may connect to a server of ours: nobody whose page a browser shows from elsewhere, and where strangers can reach the
 * port, nobody without the token.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { isIP } from 'node:net'

export interface GateRules {
  /** Where the server listens. */
  readonly host: string
  readonly path: string
  /** Origins of pages that may connect besides those of the same host: `https://desk.example`. */
  readonly origins: readonly string[]
  readonly token: string | undefined
}

/** The head of a request, as Node gives it. */
export interface RequestHead {
  readonly url?: string | undefined
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

export interface Refusal {
  readonly status: 400 | 401 | 403 | 404
  readonly why: 'path' | 'origin' | 'token'
}

/** Undefined when it may come in. */
export function refusalOf({ url, headers }: RequestHead, rules: GateRules): Refusal | undefined {
  const target = targetOf(url)
  if (target === null) return { status: 400, why: 'path' }
  if (target.pathname !== rules.path) return { status: 404, why: 'path' }
  const { origin } = headers
  if (origin !== undefined && (typeof origin !== 'string' || !isAllowed(origin, headers['host'], rules))) {
    return { status: 403, why: 'origin' }
  }
  if (rules.token !== undefined && !isSame(tokenOf(target, headers['authorization']), rules.token)) {
    return { status: 401, why: 'token' }
  }
  return undefined
}

/** What a request asks for: a path, never another server's address. */
export function targetOf(url: string | undefined): URL | null {
  return url?.startsWith('/') === true ? URL.parse(`ws://server${url}`) : null
}

export function isLoopback(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[|\]$/g, '')
  return name === 'localhost' || name.endsWith('.localhost') || name === '::1' || /^127(?:\.\d{1,3}){3}$/.test(name)
}

/**
 * A page of the same host may connect, by an address that only this host can have: a number, a name of the loopback, or the
 * name that the server was given. Any other name may be made to point here by whoever owns it (DNS rebinding).
 */
function isAllowed(origin: string, host: unknown, rules: GateRules): boolean {
  if (rules.origins.includes(origin)) return true
  const page = URL.parse(origin)?.hostname
  const here = typeof host === 'string' ? URL.parse(`ws://${host}`)?.hostname : undefined
  if (page === undefined || page === '' || page !== here) return false
  const bare = page.replace(/^\[|\]$/g, '')
  return isIP(bare) !== 0 || isLoopback(bare) || bare === rules.host.toLowerCase()
}

function tokenOf(target: URL, authorization: unknown): string {
  const [, bearer] = typeof authorization === 'string' ? (/^Bearer +(\S+)$/i.exec(authorization) ?? []) : []
  return bearer ?? target.searchParams.get('token') ?? ''
}

/** In a time that says nothing about where two differ, nor about their lengths. */
export function isSame(given: string, expected: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(expected))
}
