/**
 * The health of a run: built-in checks (`vitals.ts`) and the pipeline's own, asked on a timer of the machine's clock.
 *
 * Nothing is watched before somebody wants to know, unless the pipeline declares health: then from the beginning. What is
 * said last stands, also after the run has ended.
 */
import type { Clock } from '../clock/clock'
import { HealthWatch, type HealthReport } from '../metrics/health'
import { builtInChecks, type Vitals } from './vitals'

/** How a run is, as a whole and check by check, with a sentence for each check that is not well. */
export type RunHealth = HealthReport

export interface HealthBoardOptions {
  /** The machine's. */
  readonly clock: Clock
  /** Reads how the run fares. */
  readonly look: () => Vitals
}

/** How often checks are asked where nothing else is said. */
export const HEALTH_EVERY_MS = 1_000

export class HealthBoard {
  private readonly watch: HealthWatch
  /** Read once a round, by the first check that asks. */
  private vitals: Vitals | undefined

  constructor({ clock, look }: HealthBoardOptions) {
    const checks = builtInChecks(() => (this.vitals ??= look()))
    this.watch = new HealthWatch({ everyMs: HEALTH_EVERY_MS, checks, clock }, () => {
      this.vitals = undefined
    })
    this.watch.ask()
  }

  get report(): RunHealth {
    return this.watch.report
  }

  stop(): void {
    this.watch.stop()
  }
}

/** Of a run whose sources are not open yet. */
export function notBegun(nowUs: number): RunHealth {
  return { timeUs: nowUs, level: 'degraded', reasons: ['The run has not begun yet.'], checks: [] }
}
