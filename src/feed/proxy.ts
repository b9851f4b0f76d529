/**
 * HTTP proxies: which one an address goes through, and the tunnel.
 *
 * The usual environment variables decide, as curl reads them: `HTTPS_PROXY` for wss and https, `HTTP_PROXY` for ws and
 * http, `ALL_PROXY` for both, `NO_PROXY` for exceptions; lower case wins over upper case. The loopback is never proxied.
 * The environment is an argument: whoever starts a feed reads it.
 *
 * Everything goes through CONNECT, plain http too, so that one tunnel serves sockets and REST. TLS is spoken with the
 * exchange through the tunnel and verified there; a proxy sees addresses and sizes only.
 */
import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { Fault } from '../model/fault'

export type Environment = Readonly<Record<string, string | undefined>>

export interface Proxy {
  readonly secure: boolean
  readonly host: string
  readonly port: number
  /** `Basic ...`, from the user and password of its address. */
  readonly authorization: string | undefined
}

/**
 * The proxy for an address; undefined where it is reached directly.
 *
 * @throws `Fault` OPTION_INVALID when the variable that applies is not the address of an HTTP proxy
 */
export function proxyFor(url: string, env: Environment): Proxy | undefined {
  const target = URL.parse(url)
  if (target === null) return undefined
  const secure = target.protocol === 'wss:' || target.protocol === 'https:'
  const host = bareHost(target.hostname)
  if (isLoopback(host)) return undefined
  const port = target.port === '' ? (secure ? 443 : 80) : Number(target.port)
  if (isExcepted(host, port, valueOf(env, 'NO_PROXY')?.value ?? '')) return undefined
  const found = valueOf(env, secure ? 'HTTPS_PROXY' : 'HTTP_PROXY') ?? valueOf(env, 'ALL_PROXY')
  return found === undefined ? undefined : parseProxy(found.value, found.name)
}

/** What `http.request` (and `ws`) take as `createConnection` to reach the host of `url` through a proxy. */
export function tunnelTo(
  url: string,
  proxy: Proxy,
  deadlineMs: number,
): (options: unknown, connected: Connected) => undefined {
  const { hostname, port, protocol } = new URL(url)
  const secure = protocol === 'wss:' || protocol === 'https:'
  const target = { host: bareHost(hostname), port: port === '' ? (secure ? 443 : 80) : Number(port) }
  return (_options, connected) => {
    openTunnel(proxy, target, deadlineMs, (error, socket) => {
      if (socket === undefined) {
        connected(error ?? new Error('the proxy gave no connection'), undefined as unknown as Duplex)
        return
      }
      const servername = isIP(target.host) === 0 ? { servername: target.host } : {}
      // Verified: `rejectUnauthorized` is spelled out because a default must not decide it.
      connected(
        null,
        secure ? connectTls({ socket, rejectUnauthorized: true, host: target.host, ...servername }) : socket,
      )
    })
  }
}

type Connected = (error: Error | null, socket: Duplex) => void

function openTunnel(
  proxy: Proxy,
  { host, port }: { readonly host: string; readonly port: number },
  deadlineMs: number,
  done: (error: Error | undefined, socket: Duplex | undefined) => void,
): void {
  const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`
  const where = `the proxy ${proxy.host}:${proxy.port}`
  const open = proxy.secure ? requestHttps : requestHttp
  const request = open({
    host: proxy.host,
    port: proxy.port,
    method: 'CONNECT',
    path: authority,
    headers: { host: authority, ...(proxy.authorization && { 'proxy-authorization': proxy.authorization }) },
    agent: false,
    timeout: deadlineMs,
  })
  let finished = false
  const finish = (error: Error | undefined, socket?: Duplex): void => {
    if (finished) return
    finished = true
    if (error !== undefined) request.destroy()
    done(error, socket)
  }
  request.on('connect', (response, socket, head) => {
    if (response.statusCode !== 200) {
      socket.destroy()
      finish(new Error(`${where} answered ${response.statusCode ?? 'nothing'} to CONNECT ${authority}`))
      return
    }
    if (head.length > 0) socket.unshift(head)
    finish(undefined, socket)
  })
  request.on('response', (response) => {
    response.resume()
    finish(new Error(`${where} answered ${response.statusCode ?? 'nothing'} to CONNECT ${authority}`))
  })
  request.on('timeout', () => {
    finish(new Error(`${where} did not answer CONNECT ${authority} within ${deadlineMs} ms`))
  })
  request.on('error', (error) => {
    finish(new Error(`${where} cannot be reached: ${error.message}`, { cause: error }))
  })
  request.end()
}

function parseProxy(value: string, name: string): Proxy {
  const url = URL.parse(value.includes('://') ? value : `http://${value}`)
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.hostname === '') {
    // The value may carry a password, so it is not repeated.
    throw new Fault(
      'OPTION_INVALID',
      `The environment variable ${name} is not the address of an HTTP proxy: write http://host:port, or unset it.`,
      { variable: name },
    )
  }
  const secure = url.protocol === 'https:'
  const user = `${decoded(url.username)}:${decoded(url.password)}`
  return {
    secure,
    host: bareHost(url.hostname),
    port: url.port === '' ? (secure ? 443 : 80) : Number(url.port),
    authorization: user === ':' ? undefined : `Basic ${Buffer.from(user).toString('base64')}`,
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function valueOf(env: Environment, name: string): { readonly name: string; readonly value: string } | undefined {
  for (const spelling of [name.toLowerCase(), name]) {
    const value = env[spelling]?.trim()
    if (value !== undefined && value !== '') return { name: spelling, value }
  }
  return undefined
}

/** `host`, `.domain` and `domain` (with what is under it), `host:port`, and `*` for all. */
function isExcepted(host: string, port: number, exceptions: string): boolean {
  for (const entry of exceptions.toLowerCase().split(/[\s,]+/)) {
    if (entry === '*') return true
    const [, name = entry, onlyPort] = /^(\[?[^\]]*\]?):(\d+)$/.exec(isIP(entry) === 6 ? '' : entry) ?? []
    if (onlyPort !== undefined && Number(onlyPort) !== port) continue
    const domain = bareHost(name).replace(/^\*?\./, '')
    if (domain !== '' && (host === domain || host.endsWith(`.${domain}`))) return true
  }
  return false
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost') || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host)
}

function bareHost(hostname: string): string {
  return hostname.toLowerCase().replace(/^\[|\]$/g, '')
}
