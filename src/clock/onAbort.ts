/**
 * Calls back when a signal is aborted, for any number of waits on the same signal.
 *
 * A signal has one listener here however many wait: Node warns of a leak when a signal has more than ten, and a thousand
 * retries that one signal stops are no leak.
 *
 * @param callback  must not throw; not called for a signal that was aborted before
 * @returns         forgets the callback; may be called twice, and after the abort
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  let waiting = waitingFor.get(signal)
  if (waiting === undefined) waitingFor.set(signal, (waiting = new Waiting(signal)))
  return waiting.add(callback)
}

const waitingFor = new WeakMap<AbortSignal, Waiting>()

class Waiting {
  private readonly callbacks = new Set<{ readonly call: () => void }>()

  constructor(private readonly signal: AbortSignal) {}

  add(callback: () => void): () => void {
    const entry = { call: callback } // the same function may wait twice
    if (this.callbacks.size === 0) this.signal.addEventListener('abort', this.aborted)
    this.callbacks.add(entry)
    return () => {
      if (this.callbacks.delete(entry) && this.callbacks.size === 0) {
        this.signal.removeEventListener('abort', this.aborted)
      }
    }
  }

  private readonly aborted = (): void => {
    this.signal.removeEventListener('abort', this.aborted)
    const entries = [...this.callbacks]
    for (const entry of entries) if (this.callbacks.delete(entry)) entry.call() // unless one before it took it back
  }
}
