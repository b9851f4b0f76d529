/** Sums by key for `hopKills`, by a thread that ends itself after so many milliseconds, in the middle of whatever it does. */
import { workerData } from 'node:worker_threads'
import { exposeEntry } from '../../src/workers/entry'

export interface Addend {
  readonly key: number
  readonly value: number
}

export interface Mortal {
  readonly livesMs: number
}

let totals = new Float64Array(1_000)

exposeEntry({
  /** One column in, key and value in turn; the totals out. */
  run(addends: Float64Array): Float64Array {
    const sums = new Float64Array(addends.length / 2)
    for (let at = 0; at < sums.length; at++) sums[at] = totals[addends[2 * at]!]! += addends[2 * at + 1]!
    return sums
  },
  save: () => totals,
  restore(saved: Float64Array<ArrayBuffer>) {
    totals = saved
  },
})

setTimeout(() => process.exit(1), (workerData as Mortal).livesMs)
