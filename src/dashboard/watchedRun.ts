import type { Glance } from '../pipeline/runSummary'
import type { RunHandle } from '../pipeline/pipeline'

/** What the dashboard asks of a run. */
export interface WatchedRun extends Pick<RunHandle, 'status'> {
  /** As it is at one moment: asked several times a second. */
  glance(): Glance
}
