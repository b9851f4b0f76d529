/**
 * What an edge does when a value comes and as many as its capacity wait already: one list of words for every edge.
 */
import { Fault } from '../model/fault'
import type { DropReason } from './ledger'

/**
 * block       the source is asked to pause, and to go on at half; what was on its way is kept, within a bound
 * dropOldest  the values that have waited longest go
 * dropNewest  the value that comes goes
 * keepLatest  everything that waits goes: only the newest matters
 * fail        the edge fails with EDGE_FULL: for values none of which may be lost
 * conflate    of the values with the same key only the latest state waits, in the place of the first, so that a key that
 *             changes often is not late for it; when there are more keys than capacity, the one that has waited longest goes.
 *             A text names the field that is the key. `merge` makes one row of two with the same key; without it the newer
 *             one replaces the older. Market events merge by their meaning in a pipeline
 * sample      from when the edge is full until at most half of its capacity waits, the last of every n values that come is
 *             kept, and the others go; where there is no room for it, the value that has waited longest goes too. In a
 *             mailbox a batch is one value: its events belong together
 * spill       what does not fit waits on disk, in order, in files of that name, within `bytesMax`; beyond, as `block`
 */
export type OnFull<T = unknown> =
  | 'block'
  | 'dropOldest'
  | 'dropNewest'
  | 'keepLatest'
  | 'fail'
  | Conflation<T>
  | { readonly sample: number }
  | SpillPolicy

export interface Conflation<T = unknown> {
  readonly conflate: string | ((value: T) => unknown)
  /** Makes one row of two; a row of the stream's own kind. */
  readonly merge?: (older: T, newer: T) => unknown
}

export interface SpillPolicy {
  /** What its files are called: letters, digits, `-`, `_` and `.`. */
  readonly spill: string
  readonly bytesMax: number
}

/** The policies that are a word. */
export const POLICIES = ['block', 'dropOldest', 'dropNewest', 'keepLatest', 'fail'] as const satisfies readonly OnFull[]

/** Required wherever values may wait: there is no default for what may be lost. */
export interface EdgeOptions<T = unknown> {
  /** Values that may wait, 1 or more. */
  readonly capacity: number
  readonly onFull: OnFull<T>
  /**
   * Makes a row of the stream's own kind that tells what was skipped; it travels in the place of what is missing. Market
   * events need none: of them a `dropped` notice tells.
   */
  readonly receipt?: (skipped: Skipped) => unknown
}

/** One run of dropped values. */
export interface Skipped {
  readonly values: number
  readonly reason: DropReason
  /** When the first and the last were received (`receiveTimeUs`); undefined where the values do not say. */
  readonly fromUs: number | undefined
  readonly toUs: number | undefined
  /** Their numbers (`seq`), likewise. */
  readonly fromSeq: number | undefined
  readonly toSeq: number | undefined
}

/** A policy as one word, for pictures and summaries. */
export function policyName<T>(onFull: OnFull<T>): string {
  if (typeof onFull !== 'object') return onFull
  if ('sample' in onFull) return 'sample'
  return 'spill' in onFull ? 'spill' : 'conflate'
}

/** The conflation of a policy that conflates. */
export function conflationOf<T>(onFull: OnFull<T>): Conflation<T> | undefined {
  return typeof onFull === 'object' && 'conflate' in onFull ? onFull : undefined
}

/** Of how many values one is kept, under a policy that samples. */
export function sampleOf<T>(onFull: OnFull<T>): number | undefined {
  return typeof onFull === 'object' && 'sample' in onFull ? onFull.sample : undefined
}

/** The policy's disk, if it has one. To the edge itself it blocks: what spills stands before it. */
export function spillOf<T>(onFull: OnFull<T>): SpillPolicy | undefined {
  return typeof onFull === 'object' && 'spill' in onFull ? onFull : undefined
}

/** True for policies that ask the source to pause. */
export function blocks<T>(onFull: OnFull<T>): boolean {
  return onFull === 'block' || spillOf(onFull) !== undefined
}

/** True for policies that give whole values up as a matter of course: what needs every one cannot stand behind them. */
export function givesUpValues<T>(onFull: OnFull<T>): boolean {
  return onFull === 'dropOldest' || onFull === 'dropNewest' || onFull === 'keepLatest' || sampleOf(onFull) !== undefined
}

/** What is wrong with a policy that plain JavaScript may have given, as a sentence; undefined when nothing is. */
export function problemOfPolicy(onFull: unknown): string | undefined {
  if ((POLICIES as readonly unknown[]).includes(onFull)) return undefined
  const own = (name: string): unknown =>
    typeof onFull === 'object' && onFull !== null && Object.hasOwn(onFull, name)
      ? (onFull as Record<string, unknown>)[name]
      : undefined
  const [conflate, merge, sample, spill] = [own('conflate'), own('merge'), own('sample'), own('spill')]
  if ([conflate, sample, spill].filter((each) => each !== undefined).length > 1) {
    return 'onFull is one policy: conflate, sample or spill, not two of them.'
  }
  if (typeof conflate === 'string' || typeof conflate === 'function') {
    if (merge === undefined || typeof merge === 'function') return undefined
    return `merge is a function of two rows, the older and the newer; it is ${shown(merge)}.`
  }
  if (sample !== undefined) {
    if (Number.isSafeInteger(sample) && (sample as number) >= 2) return undefined
    return `sample is a whole number of values of which one is kept, 2 or more; it is ${shown(sample)}.`
  }
  if (spill !== undefined) {
    if (typeof spill !== 'string' || !/^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}$/.test(spill)) {
      return `spill is what the files are called, up to 64 letters, digits, "-", "_" and "."; it is ${shown(spill)}.`
    }
    const bytesMax = own('bytesMax')
    if (Number.isSafeInteger(bytesMax) && (bytesMax as number) >= 1) return undefined
    return `spill needs bytesMax, a whole number of bytes on disk, 1 or more; it is ${shown(bytesMax)}.`
  }
  return `onFull is one of ${POLICIES.join(', ')} or { conflate: key }, { sample: n }, { spill: name, bytesMax: n }; it is ${shown(onFull)}.`
}

/** Whatever was given, for a sentence. */
function shown(value: unknown): string {
  if (value === undefined) return 'missing'
  if (typeof value === 'number' || typeof value === 'bigint') return String(value)
  if (typeof value === 'function') return 'a function'
  try {
    const text = JSON.stringify(value) as string | undefined
    return text === undefined ? typeof value : text.length > 80 ? `${text.slice(0, 80)}...` : text
  } catch {
    return typeof value
  }
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
    : blocks(onFull)
      ? 'its source cannot be paused'
      : 'none may be dropped'
  return new Fault(
    'EDGE_FULL',
    `${edge} is full: ${waiting} ${waiting === 1 ? 'value waits' : 'values wait'}, and ${why}. Raise its capacity, make what reads it faster, or choose with onFull what may be dropped.`,
    { edge, capacity, onFull: policyName(onFull) },
  )
}
