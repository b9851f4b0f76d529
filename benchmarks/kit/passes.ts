import { performance } from 'node:perf_hooks'
import { isQuick } from './report'

const WARM_UP_MS = isQuick() ? 80 : 600
const MEASURED_MS = isQuick() ? 80 : 1_000

/**
 * Nanoseconds for each of the items that a pass handles: passes until it is warm, then passes until it can be told. For work
 * that can be done again from its beginning.
 *
 * @param pass  handles everything once
 */
export function nsPerItem(items: number, pass: () => void): number {
  repeated(pass, WARM_UP_MS)
  const { passes, ms } = repeated(pass, MEASURED_MS)
  return (ms * 1e6) / (passes * items)
}

/** As {@link nsPerItem}, for passes that end later. */
export async function nsPerItemAsync(items: number, pass: () => Promise<void>): Promise<number> {
  await repeatedAsync(pass, WARM_UP_MS)
  const { passes, ms } = await repeatedAsync(pass, MEASURED_MS)
  return (ms * 1e6) / (passes * items)
}

function repeated(pass: () => void, forMs: number): { passes: number; ms: number } {
  const startedMs = performance.now()
  for (let passes = 1; ; passes++) {
    pass()
    const ms = performance.now() - startedMs
    if (ms >= forMs) return { passes, ms }
  }
}

async function repeatedAsync(pass: () => Promise<void>, forMs: number): Promise<{ passes: number; ms: number }> {
  const startedMs = performance.now()
  for (let passes = 1; ; passes++) {
    await pass()
    const ms = performance.now() - startedMs
    if (ms >= forMs) return { passes, ms }
  }
}
