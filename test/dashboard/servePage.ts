/** A run with its dashboard on its own server, on the loopback. */
import { liveClock } from '../../src/clock/liveClock'
import { dashboardRoutes } from '../../src/dashboard/dashboardRoutes'
import type { WatchedRun } from '../../src/dashboard/watchedRun'
import type { Routes } from '../../src/dashboard/route'
import type { ServedRun } from '../../src/dashboard/servedRun'
import { serveRun, type RunServer } from '../../src/dashboard/server'
import type { RunHandle } from '../../src/pipeline/pipeline'
import type { RunStatus } from '../../src/pipeline/runSummary'

export interface ServePageOptions {
  /** Those of a server before this one, for a run that went on. */
  readonly routes?: Routes
  /** 0 takes a free one. */
  readonly port?: number
  readonly token?: string
}

/**
 * @param run  a run of the pipeline, or one whose every word belongs to the test
 * @throws     what the server is asked to tell of: no page makes it fail
 */
export function servePage(
  run: ServedRun & (WatchedRun | RunHandle),
  options: ServePageOptions = {},
): Promise<RunServer> {
  const watched = 'glance' in run ? run : watchedRun(run)
  const { routes = dashboardRoutes(watched, liveClock), port = 0, token } = options
  const onFault = (fault: Error): void => {
    throw fault
  }
  return serveRun({ run, host: '127.0.0.1', port, token, routes, clock: liveClock, onFault })
}

function watchedRun(run: RunHandle): WatchedRun {
  const status = (): RunStatus => run.status()
  return { status, glance: () => ({ ...status(), graph: run.graph(), health: run.health() }) }
}
