import { threadId } from 'node:worker_threads'
import { exposeEntry } from '../../../src/workers/entry'

/** A value of a key; it kills the thread as often as its `deaths`, in shared memory, say. */
export interface Addend {
  readonly key: string
  readonly value: number
  readonly act?: 'throw' | 'die'
  readonly deaths?: Int32Array
}

/** The sum of a key so far: right only when nothing was forgotten and nothing was added twice. */
export interface Total {
  readonly key: string
  readonly total: number
  readonly threadId: number
}

let totals = new Map<string, number>()

exposeEntry({
  run(addends: readonly Addend[]): Total[] {
    return addends.map(({ key, value, act, deaths }) => {
      if (act === 'die' && Atomics.sub(deaths!, 0, 1) > 0) process.exit(1)
      const total = (totals.get(key) ?? 0) + value
      totals.set(key, total)
      if (act === 'throw') throw new Error('thrown after it was added')
      return { key, total, threadId }
    })
  },
  save: () => totals,
  restore(saved: Map<string, number>) {
    totals = saved
  },
})
