/**
 * What RxJS has nobody to tell of: a subscriber that threw, somewhere inside an operator of the user's own.
 *
 * RxJS throws such errors on a timer, which ends the process. While a run is under way they are the run's: a fault, a
 * sentence in its summary, and the rest of the pipeline goes on. What RxJS was told before is told again when the last run
 * has ended.
 */
import { config } from 'rxjs'

/** Told of what nobody handled. */
type Listener = (thrown: unknown) => void

const listeners: Listener[] = []
let before: typeof config.onUnhandledError = null

/** Listens until the returned function is called. With several runs in one process the latest is told. */
export function hearUnhandled(listener: Listener): () => void {
  if (listeners.length === 0) {
    before = config.onUnhandledError
    config.onUnhandledError = (thrown: unknown) => listeners.at(-1)?.(thrown)
  }
  listeners.push(listener)
  return () => {
    const at = listeners.indexOf(listener)
    if (at >= 0) listeners.splice(at, 1)
    if (listeners.length === 0) config.onUnhandledError = before
  }
}
