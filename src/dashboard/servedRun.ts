/**
 * What a server asks of a run.
 */
import type { MetricFamily } from '../metrics/metric'
import type { RunHandle } from '../pipeline/pipeline'

export interface ServedRun extends Pick<RunHandle, 'ready' | 'status' | 'health'> {
  metrics(): readonly MetricFamily[]
}
