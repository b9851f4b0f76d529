import { Observable } from 'rxjs'
import { Fault } from '../../../src/model/fault'
import { exposeSource } from '../../../src/workers/exposeSource'

/** What a test asks the source to do. */
export interface Counting {
  /** Rows that it gives, so many in each turn of its loop; then it ends as `end` says. */
  readonly rows: number
  readonly aTurn: number
  readonly end: 'complete' | 'fail' | 'die' | 'stay'
  /** Values that are no rows, instead of the last one. */
  readonly odd?: boolean
  /**
   * In shared memory: how often it was opened, how often left, how many rows it has given, how often it was paused, whether
   * it may die (from the test), and whether it is paused.
   */
  readonly seen: Int32Array
}

export interface Counted {
  readonly id: number
  readonly column: Float64Array
}

exposeSource(({ rows, aTurn, end, odd, seen }: Counting) => {
  let isPaused = false
  let go: () => void = () => undefined
  const dieWhenTold = (): void => {
    if (Atomics.load(seen, 4) === 1) process.exit(1)
    setTimeout(dieWhenTold, 1)
  }
  const source = new Observable<Counted>((out) => {
    Atomics.add(seen, 0, 1)
    let id = 0
    go = () => {
      for (let count = 0; count < aTurn && id < rows && !isPaused && !out.closed; count++) {
        const isOdd = odd === true && id === rows - 1
        out.next({ id, column: isOdd ? (new Date() as never) : Float64Array.of(id, id / 2) })
        id++
        Atomics.store(seen, 2, id)
      }
      if (out.closed || isPaused) return
      if (id < rows) setImmediate(go)
      else if (end === 'complete') out.complete()
      else if (end === 'fail') out.error(new Fault('FEED_STALE', 'Nothing came.', { id }))
      else if (end === 'die' && Atomics.load(seen, 0) === 1) dieWhenTold()
      else if (end === 'die') out.complete()
    }
    setImmediate(go)
    return () => void Atomics.add(seen, 1, 1)
  })
  return {
    source,
    keyOf: ({ id }) => id % 10,
    pressure: {
      pause: () => {
        isPaused = true
        Atomics.add(seen, 3, 1)
        Atomics.store(seen, 5, 1)
        Atomics.notify(seen, 5)
      },
      resume: () => {
        isPaused = false
        Atomics.store(seen, 5, 0)
        setImmediate(go)
      },
    },
  }
})
