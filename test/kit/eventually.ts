import { eventually as ofThePublicKit, type EventuallyOptions } from '../../src/testing/eventually'

/** Longer than any machine that is slow and busy takes: whoever waits for an event gets it, or the event never comes. */
const WITHIN_MS = 60_000

/** The public kit's, with more patience. */
export function eventually<T>(check: () => T | Promise<T>, options: EventuallyOptions = {}): Promise<T> {
  return ofThePublicKit(check, { withinMs: WITHIN_MS, ...options })
}
