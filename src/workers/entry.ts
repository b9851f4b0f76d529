import { createRequire } from 'node:module'
import { isMainThread } from 'node:worker_threads'
import type * as ThreadsWorker from 'threads/worker'
import { reportThread } from '../metrics/threadReport'
import { Fault } from '../model/fault'
import { thrownToData, type Answer } from './crossing'
import { LINK_FUNCTION, serveLink, type LinkEnds } from './link'
import { threadTimeUs } from './threadTime'
import { Transferred } from './transferred'

export { Transferred, transferred } from './transferred'

/** A function that a worker offers. What it returns or resolves to goes back as a structured clone. */
type Offered = (...args: never[]) => unknown

/**
 * Makes a module the entry of a worker thread: what it offers to {@link spawnWorker} and {@link onWorker}. Called once,
 * at the end of loading.
 *
 *     exposeEntry((books: Book[]) => books.map(sort))          // for onWorker: gets a batch, returns its results
 *     exposeEntry({ run, save, restore })                      // the same with state, for `rebuild` of onWorker
 *     exposeEntry({ open, write, close })                      // several functions, called by name
 *
 * What a function throws reaches the caller as a `Fault`: with its code and details where it was one, else as
 * `STAGE_FAILED`. What is thrown outside of a call (from a timer, by a promise that nobody awaits) ends the worker, and
 * whoever spawned it hears of that at once.
 */
export function exposeEntry(offered: Offered | Readonly<Record<string, Offered>>): void {
  if (isMainThread) {
    throw new Fault(
      'OPTION_INVALID',
      'A worker entry was loaded in the main thread: start it with spawnWorker or onWorker.',
    )
  }
  const { expose, Transfer } = loadThreadsWorker()
  const functions = typeof offered === 'function' ? { run: offered } : offered

  const { run } = functions
  const link = ([ends]: [LinkEnds]): Answer => {
    serveLink(ends, run!)
    return { value: undefined }
  }
  expose({
    ...Object.fromEntries(
      Object.entries(functions).map(([name, offer]) => [
        name,
        (args: never[]): Promise<unknown> => answer(offer, args),
      ]),
    ),
    ...(run === undefined ? {} : { [LINK_FUNCTION]: link }),
  })
  reportThread(threadTimeUs)

  async function answer(run: Offered, args: never[]): Promise<unknown> {
    try {
      const result = await run(...args)
      if (!(result instanceof Transferred)) return { value: result } satisfies Answer
      return Transfer({ value: result.value as unknown } satisfies Answer, [...result.buffers])
    } catch (thrown) {
      return { thrown: thrownToData(thrown) } satisfies Answer
    }
  }
}

/**
 * `threads/worker` catches whatever nobody caught, tells of it a quarter of a second later (of a promise that was
 * rejected with something other than an error, never) and lets the worker go on in an unknown state. Without its
 * handlers Node ends the thread at once and says why.
 */
function loadThreadsWorker(): typeof ThreadsWorker {
  const uncaught = process.listeners('uncaughtException')
  const unhandled = process.listeners('unhandledRejection')
  const threadsWorker = createRequire(__filename)('threads/worker') as typeof ThreadsWorker
  for (const listener of process.listeners('uncaughtException')) {
    if (!uncaught.includes(listener)) process.off('uncaughtException', listener)
  }
  for (const listener of process.listeners('unhandledRejection')) {
    if (!unhandled.includes(listener)) process.off('unhandledRejection', listener)
  }
  return threadsWorker
}
