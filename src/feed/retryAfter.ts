/**
 * How long a refused client shall wait, in the words of HTTP.
 *
 * Docs  RFC 9110, section 10.2.3: seconds, or a date
 */

/** Nobody waits longer than this, whatever a header says; timers of Node end at 25 days. */
const WAIT_MS_MAX = 7 * 24 * 60 * 60_000

/** Milliseconds; undefined when the header is absent or says nothing. */
export function retryAfterMs(header: string | undefined, nowUs: number): number | undefined {
  const text = header?.trim() ?? ''
  if (/^\d{1,9}$/.test(text)) return Math.min(WAIT_MS_MAX, Number(text) * 1_000)
  const atMs = /[A-Za-z]/.test(text) ? Date.parse(text) : NaN
  return Number.isNaN(atMs) ? undefined : Math.min(WAIT_MS_MAX, Math.max(0, atMs - nowUs / 1_000))
}

/** The statuses by which exchanges say "too many": 418 is Binance's word for a ban after ignored 429s. */
export function isRateLimited(status: number): boolean {
  return status === 429 || status === 418
}

/** What is waited where the exchange says "too many" and not for how long: its limits are counted by the minute. */
export const RATE_LIMITED_MS = 60_000
