/**
 * Serves a run as its options say, its dashboard among it. Loaded when a run is to be served.
 */
import type { Clock } from '../clock/clock'
import { Fault } from '../model/fault'
import type { ServeOptions } from '../pipeline/serveOptions'
import { dashboardRoutes } from './dashboardRoutes'
import type { WatchedRun } from './watchedRun'
import type { ServedRun } from './servedRun'
import { LOOPBACK, parseServeAddress } from './serveAddress'
import { serveRun, type RunServer } from './server'

export type { RunServer } from './server'

export interface ServeContext {
  readonly clock: Clock
  /** The environment of the process. */
  readonly env: Readonly<Record<string, string | undefined>>
  readonly onFault: (fault: Fault) => void
}

/**
 * @param serve  `8080`, `'0.0.0.0:8080'`, or options
 * @throws `OPTION_INVALID` when the address is none, or cannot be had
 */
export async function serve(
  run: ServedRun & WatchedRun,
  serve: number | string | ServeOptions,
  { clock, env, onFault }: ServeContext,
): Promise<RunServer> {
  const options: ServeOptions = typeof serve === 'object' ? serve : parseServeAddress(String(serve))
  const { port, host = LOOPBACK, names = [], onServing = saidOnStandardError } = options
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new Fault('OPTION_INVALID', `A run is served on a port from 0 to 65535, not on ${port}.`, { option: 'serve' })
  }
  const token = options.token ?? (env['MILLRACE_TOKEN'] || undefined)
  const routes = dashboardRoutes(run, clock)
  const server = await serveRun({ run, host, port, token, names, routes, clock, onFault })
  onServing(server.url)
  return server
}

function saidOnStandardError(url: string): void {
  process.stderr.write(`Serving the run on ${url}\n`)
}
