/**
 * What a pipeline chooses about streams that fall silent: when they count as stale, and what is done about it.
 */
import { STALE_RULE, type StaleRule } from './staleness'

/**
 * notice     a `stale` notice travels in order with the data, and a fault is told; nothing else
 * resync     the stream is left and subscribed to anew as well
 * reconnect  its connection is renewed as well, with everything that it carries
 */
export type StaleAction = 'notice' | 'resync' | 'reconnect'

export interface StaleOptions extends Partial<StaleRule> {
  /** Default `notice`. */
  readonly action?: StaleAction
}

export interface StalePolicy {
  readonly rule: StaleRule
  readonly action: StaleAction
}

/** From the mildest. */
const ACTIONS: readonly StaleAction[] = ['notice', 'resync', 'reconnect']

/** One policy for an exchange that several wishes share: each gets at least what it asked for. */
export function stalePolicyOf(wishes: readonly { readonly stale?: StaleOptions | undefined }[]): StalePolicy {
  const chosen = wishes.flatMap(({ stale }) => (stale === undefined ? [] : [stale]))
  const least = (limit: keyof StaleRule): number => {
    const named = chosen.flatMap((options) => options[limit] ?? [])
    return named.length === 0 ? STALE_RULE[limit] : Math.min(...named)
  }
  const worst = Math.max(0, ...chosen.map(({ action = 'notice' }) => ACTIONS.indexOf(action)))
  const minMs = least('minMs')
  return {
    rule: { afterIntervals: least('afterIntervals'), minMs, maxMs: Math.max(minMs, least('maxMs')) },
    action: ACTIONS[worst]!,
  }
}

/** What is wrong with the options, as sentences. */
export function problemsOfStale(stale: unknown): string[] {
  if (stale === undefined) return []
  if (typeof stale !== 'object' || stale === null) {
    return ['stale is { action, afterIntervals, minMs, maxMs }: what is done about streams that fall silent, and when.']
  }
  const problems: string[] = []
  const { action, afterIntervals, minMs = STALE_RULE.minMs, maxMs = STALE_RULE.maxMs } = stale as StaleOptions
  if (action !== undefined && !ACTIONS.includes(action)) {
    problems.push(`stale.action is ${JSON.stringify(action)}; give one of ${ACTIONS.join(', ')}.`)
  }
  if (afterIntervals !== undefined && !(afterIntervals >= 1 && afterIntervals < Infinity)) {
    problems.push(
      `stale.afterIntervals is ${String(afterIntervals)}; give how many of its own intervals a stream may be silent, 1 or more.`,
    )
  }
  if (!(minMs >= 0 && minMs < Infinity)) {
    problems.push(`stale.minMs is ${String(minMs)}; give milliseconds, 0 or more.`)
  }
  if (!(maxMs >= minMs)) {
    problems.push(`stale.maxMs is ${String(maxMs)}; give milliseconds, no fewer than minMs (${String(minMs)}).`)
  }
  return problems
}
