/**
 * What an edge does when a value comes and as many as its capacity wait already: one list of words for every edge.
 */
import { Fault } from '../model/fault'

/**
 * block       the source is asked to pause, and to go on at half; what was on its way is kept, within a bound
 * dropOldest  the values that have waited longest go
 * dropNewest  the value that comes goes
 * keepLatest  everything that waits goes: only the newest matters
 * fail        the edge fails with EDGE_FULL: for values none of which may be lost
 * conflate    of the values with the same key only the latest state waits, in the place of the first, so that a key that
 *             changes often is not late for it; when there are more keys than capacity, the one that has waited longest goes.
 *             A text names the field that is the key
 */
export type OnFull<T = unknown> =
  | 'block'
  | 'dropOldest'
  | 'dropNewest'
  | 'keepLatest'
  | 'fail'
  | { readonly conflate: string | ((value: T) => unknown) }

/** The policies that are a word. */
export const POLICIES = ['block', 'dropOldest', 'dropNewest', 'keepLatest', 'fail'] as const satisfies readonly OnFull[]

/** Required wherever values may wait: there is no default for what may be lost. */
export interface EdgeOptions<T = unknown> {
  /** Values that may wait, 1 or more. */
  readonly capacity: number
  readonly onFull: OnFull<T>
}

/** A policy as one word, for pictures and summaries. */
export function policyName<T>(onFull: OnFull<T>): string {
  return typeof onFull === 'object' ? 'conflate' : onFull
}

/** The key by which a value is conflated; what has no fields is its own key. May throw what a function of the policy throws. */
export function conflateKey<T>(conflate: string | ((value: T) => unknown), value: T): unknown {
  if (typeof conflate === 'function') return conflate(value)
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[conflate] : value
}

/**
 * The fault of an edge that is full and may not drop.
 *
 * @param edge     what it is called in a sentence: `The edge to the sink bars`
 * @param waiting  values that wait
 * @param paused   true when its source was asked to pause
 */
export function edgeFull<T>(
  edge: string,
  { capacity, onFull }: EdgeOptions<T>,
  waiting: number,
  paused: boolean,
): Fault {
  const why = paused
    ? 'its source did not stop when it was paused'
    : onFull === 'block'
      ? 'its source cannot be paused'
      : 'none may be dropped'
  return new Fault(
    'EDGE_FULL',
    `${edge} is full: ${waiting} ${waiting === 1 ? 'value waits' : 'values wait'}, and ${why}. Raise its capacity, make what reads it faster, or choose with onFull what may be dropped.`,
    { edge, capacity, onFull: policyName(onFull) },
  )
}
