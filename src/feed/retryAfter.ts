/**
 * The words of exchanges for "too many requests". How long to stay away, HTTP says.
 */
/** The statuses by which exchanges say "too many": 418 is Binance's word for a ban after ignored 429s. */
export function isRateLimited(status: number): boolean {
  return status === 429 || status === 418
}

/** What is waited where the exchange says "too many" and not for how long: its limits are counted by the minute. */
export const RATE_LIMITED_MS = 60_000
