/**
 * The server of a run: what it says of itself (`ownRoutes.ts`), and what is mounted beside it.
 *
 * Where   on the loopback unless told otherwise. Where others can reach it, whoever asks needs a token: the one that was
 *         given, or one that is made here and stands in the address that is returned, nowhere else
 * Cost    answers are shared, and bounded in number: see `httpServer.ts` for all the bounds
 * Errors  `OPTION_INVALID` when the address cannot be had; what fails later is a `SERVE_FAILED`, told once per path, and the
 *         run goes on
 */
import type { AddressInfo } from 'node:net'
import type { Clock } from '../clock/clock'
import { Fault, messageOf } from '../model/fault'
import { HttpServer, type ServerLimits } from './httpServer'
import { ownRoutes } from './ownRoutes'
import type { Routes } from './route'
import type { ServedRun } from './servedRun'
import { isPrivate, urlOf } from './serveAddress'
import { checkToken, cookieFor, newToken } from './token'

export interface ServeRunOptions {
  readonly run: ServedRun
  readonly host: string
  /** 0: any that is free. */
  readonly port: number
  /** Default: none on the loopback, and elsewhere one that is made. */
  readonly token?: string | undefined
  /** Names by which it may be asked, beside numbers, those of the loopback and `host`: those of a proxy in front of it. */
  readonly names?: readonly string[]
  /** Beside those of its own. */
  readonly routes?: Routes
  readonly clock: Clock
  readonly onFault: (fault: Fault) => void
  readonly limits?: Partial<ServerLimits>
}

export interface RunServer {
  /** For a person at this machine, with the token where there is one. */
  readonly url: string
  readonly port: number
  /** Ends in order, within a second; then the port is free. */
  close(): Promise<void>
}

export async function serveRun(options: ServeRunOptions): Promise<RunServer> {
  const { run, host, port, names = [], routes, clock, onFault } = options
  const token = tokenFor(options)
  const told = new Set<string>()
  const onFailed = (where: string, thrown: unknown): void => {
    if (told.has(where)) return
    told.add(where)
    const message = `Serving the run failed at ${where}: ${messageOf(thrown)}. The run goes on; it is said once.`
    onFault(new Fault('SERVE_FAILED', message, { where }, { cause: thrown }))
  }
  const server = new HttpServer({
    clock,
    routes: [...ownRoutes({ run, clock, onFailed }), ...(routes?.http ?? [])],
    socket: routes?.socket,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    onFailed,
  })
  let address: AddressInfo
  try {
    address = await server.open(host, port, (at) => ({
      names: new Set([host, ...names].map((name) => name.toLowerCase())),
      token,
      cookie: cookieFor(token, at.port),
    }))
  } catch (cause) {
    throw unserved(host, port, cause)
  }
  if (token === undefined && !isPrivate(address.address)) {
    await server.close()
    const message = `--serve ${host}: this name leads to ${address.address}, where others can reach it. Give a token (MILLRACE_TOKEN), or serve on 127.0.0.1.`
    throw new Fault('OPTION_INVALID', message, { option: 'serve', host })
  }
  return {
    url: urlOf({ host, port: address.port }, token),
    port: address.port,
    async close() {
      await server.close()
      routes?.close?.()
    },
  }
}

function tokenFor({ token, host }: ServeRunOptions): string | undefined {
  if (token !== undefined) return checkToken(token)
  return isPrivate(host) ? undefined : newToken()
}

function unserved(host: string, port: number, cause: unknown): Fault {
  const { code } = cause as NodeJS.ErrnoException
  const where = `${host.includes(':') ? `[${host}]` : host}:${port}`
  const why =
    code === 'EADDRINUSE'
      ? 'another program listens there. End it, choose another port, or let 0 take a free one'
      : code === 'EACCES'
        ? 'this user may not. Choose a port above 1023'
        : code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND' || code === 'EAI_AGAIN'
          ? 'this machine has no such address. Leave the host out for the loopback, or give 0.0.0.0 for all of them'
          : messageOf(cause)
  return new Fault(
    'OPTION_INVALID',
    `The run cannot be served on ${where}: ${why}.`,
    { option: 'serve', host, port },
    { cause },
  )
}
