import { threadId } from 'node:worker_threads'
import { Fault } from '../../../src/model/fault'
import { exposeEntry } from '../../../src/workers/entry'

/** What a test asks the worker to do with a value. */
export interface Job {
  readonly id: number
  /** `dieOnce` dies the first time only: `seen`, in shared memory, outlives the thread. */
  readonly act?: 'throw' | 'throwFault' | 'die' | 'dieOnce' | 'spin' | 'text'
  readonly seen?: Int32Array
  /** Takes so long, milliseconds, without keeping the thread from other batches. */
  readonly waitMs?: number
}

export interface Done {
  readonly id: number
  readonly threadId: number
  /** How many values travelled with this one. */
  readonly together: number
}

exposeEntry(async (jobs: readonly Job[]): Promise<unknown> => {
  const results: Done[] = []
  for (const { id, act, seen, waitMs } of jobs) {
    if (waitMs !== undefined) await new Promise((resolve) => setTimeout(resolve, waitMs))
    if (act === 'throw') throw new TypeError(`no job ${id}`)
    if (act === 'throwFault') throw new Fault('BOOK_GAP', 'A gap.', { id })
    if (act === 'text') return 'not an array'
    if (act === 'die' || (act === 'dieOnce' && Atomics.add(seen!, 0, 1) === 0)) process.exit(1)
    if (act === 'spin') for (;;);
    results.push({ id, threadId, together: jobs.length })
  }
  return results
})
