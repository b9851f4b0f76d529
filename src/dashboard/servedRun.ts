/**
 * What a server asks of a run.
 */
import type { HealthLevel } from '../metrics/health'
import type { MetricFamily } from '../metrics/metric'
import type { RunHandle } from '../pipeline/pipeline'

export interface ServedRun extends Pick<RunHandle, 'ready' | 'status'> {
  metrics(): readonly MetricFamily[]
  health(): ServedHealth
}

export interface ServedHealth {
  readonly level: HealthLevel
  /** In sentences; empty when all is well. */
  readonly reasons: readonly string[]
  readonly checks: readonly object[]
}
