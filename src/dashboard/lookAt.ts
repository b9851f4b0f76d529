import type { RunningGraph } from '../pipeline/graph'
import type { RunHandle } from '../pipeline/pipeline'
import type { RunHealth } from '../pipeline/runHealth'
import type { RunStatus } from '../pipeline/runSummary'

/** What the dashboard asks of a run. */
export type WatchedRun = Pick<RunHandle, 'status' | 'graph' | 'health'>

/** A run at one moment. */
export interface Look {
  readonly status: RunStatus
  readonly graph: RunningGraph
  readonly health: RunHealth
}

export function lookAt(run: WatchedRun): Look {
  return { status: run.status(), graph: run.graph(), health: run.health() }
}
