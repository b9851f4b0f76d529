/** What an edge did not hand on. */
import { droppedOf } from '../../actors/ledger'
import type { RunStatus } from '../../pipeline/runSummary'

type Edge = RunStatus['edges'][number]

/** Reasons for which values are left out by intent: a newer one has taken their place. */
const BY_INTENT: ReadonlySet<string> = new Set(['keepLatest', 'conflated'])

/** What it did not hand on, and no newer value stands for. */
export function lossesOf({ dropped }: Edge): [reason: string, count: number][] {
  return Object.entries(dropped).filter(([reason, count]) => count > 0 && !BY_INTENT.has(reason))
}

/** Values in whose place there are newer ones. */
export function supersededOf(edge: Edge): number {
  return droppedOf(edge) - lossesOf(edge).reduce((sum, [, count]) => sum + count, 0)
}
