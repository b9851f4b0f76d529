/**
 * The metrics of the run that is being described or wired: where `counter`, `gauge` and `histogram` define what they count,
 * and where `runMetrics` finds what there is to read. To be asked at subscription, which is synchronous.
 */
import { ambient } from '../clock/ambient'
import type { Fault } from '../model/fault'
import type { MetricFamily } from './metric'
import type { UserMetrics } from './userMetrics'

export interface MetricsInForce {
  readonly metrics: UserMetrics
  /** Who defines: the path of a stage; empty while a pipeline is described. */
  readonly owner: string
  /** A definition that cannot be. Throws, or makes a note of it so that all problems are told together. */
  readonly refused: (fault: Fault) => void
  /** Everything that the run counts, as it stands; undefined where no run is yet. */
  readonly read?: (() => readonly MetricFamily[]) | undefined
}

const inForce = ambient<MetricsInForce | undefined>(undefined)

/** Undefined where nothing is being described or wired. */
export const currentMetrics = inForce.current

export const runWithMetrics: <T>(metrics: MetricsInForce | undefined, wire: () => T) => T = inForce.runWith
