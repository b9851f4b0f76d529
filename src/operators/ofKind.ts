import { Observable, type OperatorFunction } from 'rxjs'
import { EVENT_KINDS, type Batch, type MarketEvent } from '../model/events'
import { Fault } from '../model/fault'
import { didYouMean } from '../model/nearest'
import { subscribeWhileOpen } from './subscribeWhileOpen'

/** The events of one kind; of several, when `K` is a union of kinds. */
export type EventOfKind<K extends MarketEvent['kind']> = OfKind<MarketEvent, K>

type OfKind<E extends MarketEvent, K> = E extends MarketEvent
  ? [Extract<E['kind'], K>] extends [never]
    ? never
    : E
  : never

/**
 * Passes the events of the kinds asked for, and narrows the type to them.
 *
 *     events.pipe(ofKind('trade', 'liquidation'))   // Observable<Batch<Trade | Liquidation>>
 *
 * Emits      what is left of each batch, in its order; nothing for a batch that has none of the kinds
 * Completes  with the source
 * Errors     with the source; adds none of its own
 * Holds      nothing
 *
 * A batch of nothing else is passed on as it is, without a copy.
 */
export function ofKind<K extends MarketEvent['kind']>(
  ...kinds: readonly [K, ...K[]]
): OperatorFunction<Batch<MarketEvent>, Batch<EventOfKind<K>>> {
  check(kinds)
  const wanted = new Set<string>(kinds)

  const operator: OperatorFunction<Batch<MarketEvent>, Batch<EventOfKind<K>>> = (source) =>
    new Observable((out) => {
      subscribeWhileOpen(source, out, {
        next: (batch) => {
          const kept: EventOfKind<K>[] = []
          for (const event of batch) if (wanted.has(event.kind)) kept.push(event as EventOfKind<K>)
          if (kept.length === 0) return
          out.next(kept.length === batch.length ? (batch as Batch<EventOfKind<K>>) : kept)
        },
        error: (error) => out.error(error),
        complete: () => out.complete(),
      })
    })
  // Whoever reads this may look at the levels of book changes only where there are such changes.
  const hasChanges = wanted.has('snapshot') || wanted.has('delta')
  return Object.assign(operator, { levels: hasChanges ? 'passed' : 'unread' } as const)
}

function check(kinds: readonly string[]): void {
  const all = EVENT_KINDS.join(', ')
  if (kinds.length === 0) {
    throw new Fault('OPTION_INVALID', `ofKind: no kind is named; give one or more of ${all}.`, { operator: 'ofKind' })
  }
  for (const kind of kinds) {
    if ((EVENT_KINDS as readonly string[]).includes(kind)) continue
    const hint = didYouMean(kind, EVENT_KINDS)
    throw new Fault('OPTION_INVALID', `ofKind: '${kind}' is not a kind of event; the kinds are ${all}.${hint}`, {
      kind,
    })
  }
}
