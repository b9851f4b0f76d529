/** What the thread with pidusage writes: NaN for what it could not have. */
export type UsageRow = readonly [cpuTimeMs: number, readAtMs: number, rssBytes: number]

export const USAGE_NUMBERS = 3

/** So long before a multiple of the interval it reads, so that a sample at the multiple finds the row there. */
export function leadMs(everyMs: number): number {
  return Math.min(everyMs / 4, 250)
}
