import type { RunningGraph } from '../pipeline/graph'
import type { RunStatus } from '../pipeline/runSummary'
import type { HealthPart } from './liveFormat'

/** What the dashboard reads of a run. */
export interface WatchedRun {
  readonly done: Promise<unknown>
  status(): RunStatus
  graph(): RunningGraph
  health?(): HealthPart
}

/** A run at one moment. */
export interface Look {
  readonly status: RunStatus
  readonly graph: RunningGraph
  /** Undefined of a run that does not judge itself. */
  readonly health: HealthPart | undefined
}

export function lookAt(run: WatchedRun): Look {
  return { status: run.status(), graph: run.graph(), health: run.health?.() }
}
