import type { Lineage, MarketEvent } from '../model/events'

/** Events that have just been made, and were handed to nobody yet, are told what of. */
export function trace(events: readonly MarketEvent[], lineage: Lineage | undefined): void {
  if (lineage === undefined) return
  for (const event of events) (event as { lineage?: Lineage }).lineage = lineage
}
