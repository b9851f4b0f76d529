import type { SessionRecord } from '../record'

/** Batches of records, in order. To be iterated once; `return()` closes the files, also while `next()` is pending. */
export interface RecordBatches extends AsyncIterator<readonly SessionRecord[], undefined> {
  return(): Promise<IteratorResult<readonly SessionRecord[], undefined>>
  [Symbol.asyncIterator](): RecordBatches
}

/** What `next` of finished batches gives. */
export const DONE: IteratorResult<readonly SessionRecord[], undefined> = { done: true, value: undefined }

/** Lets calls wait for each other, so that an iterator whose `next` is called twice at once keeps its order. */
export class Turns {
  private last: Promise<unknown> = Promise.resolve()

  take<T>(work: () => Promise<T>): Promise<T> {
    const result = this.last.then(work)
    this.last = result.catch(() => undefined)
    return result
  }
}
