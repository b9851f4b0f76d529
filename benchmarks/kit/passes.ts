import { performance } from 'node:perf_hooks'
import { isQuick } from './report'

const WARM_UP_MS = isQuick() ? 80 : 600
const MEASURED_MS = isQuick() ? 80 : 1_000

/** What one item costs, in nanoseconds. */
export interface Cost {
  /** By the clock. */
  readonly time: number
  /** Of processors, all threads of the process, collector and compiler included: others on the machine do not count. */
  readonly cpu: number
}

/**
 * The cost of each of the items that a pass handles: passes until it is warm, then passes until it can be told. For work
 * that can be done again from its beginning.
 *
 * @param pass  handles everything once
 */
export function costPerItem(items: number, pass: () => void): Cost {
  repeated(items, pass, WARM_UP_MS)
  return repeated(items, pass, MEASURED_MS)
}

/** As {@link costPerItem}, for passes that end later. */
export async function costPerItemAsync(items: number, pass: () => Promise<void>): Promise<Cost> {
  await repeatedAsync(items, pass, WARM_UP_MS)
  return repeatedAsync(items, pass, MEASURED_MS)
}

function repeated(items: number, pass: () => void, forMs: number): Cost {
  const meter = new Meter(items, forMs)
  do pass()
  while (!meter.isOver())
  return meter.cost()
}

async function repeatedAsync(items: number, pass: () => Promise<void>, forMs: number): Promise<Cost> {
  const meter = new Meter(items, forMs)
  do await pass()
  while (!meter.isOver())
  return meter.cost()
}

class Meter {
  private passes = 0
  private ms = 0
  private readonly cpu = process.cpuUsage()
  private readonly startedMs = performance.now()

  constructor(
    private readonly items: number,
    private readonly forMs: number,
  ) {}

  /** Counts a pass. */
  isOver(): boolean {
    this.passes++
    this.ms = performance.now() - this.startedMs
    return this.ms >= this.forMs
  }

  cost(): Cost {
    const { user, system } = process.cpuUsage(this.cpu)
    const handled = this.passes * this.items
    return { time: (this.ms * 1e6) / handled, cpu: ((user + system) * 1e3) / handled }
  }
}
