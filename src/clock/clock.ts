/**
 * Time as an argument.
 *
 * No stage, operator or sink reads the raw clock: it is given one of these. The live clock follows the machine, the
 * stream clock follows the receive stamps of frames (so that a live run and the replay of its recording see the same
 * time at the same frame), the virtual clock is moved by tests.
 */
export interface Clock {
  /** Microseconds since 1970, an integer; never goes backwards. */
  nowUs(): number
  /**
   * Calls `callback` once, `delayMs` milliseconds from now (0 or more; at least one turn later).
   * The returned timer can be cancelled, also after it has fired.
   */
  after(delayMs: number, callback: () => void): Timer
}

export interface Timer {
  cancel(): void
}

/** Calls `callback` every `everyMs` milliseconds, on multiples of it since 1970, until cancelled. Ticks that were missed are skipped. */
export function every(clock: Clock, everyMs: number, callback: (nowUs: number) => void): Timer {
  const everyUs = Math.max(1, Math.round(everyMs * 1_000))
  let timer: Timer
  let cancelled = false
  const arm = (dueUs: number): void => {
    timer = clock.after((dueUs - clock.nowUs()) / 1_000, () => {
      // Timers of the machine may fire up to a millisecond early: what is not due yet sleeps again, or it would tick twice.
      const nowUs = clock.nowUs()
      if (nowUs < dueUs) {
        arm(dueUs)
        return
      }
      callback(dueUs)
      if (!cancelled) arm(nextUs(Math.max(nowUs, dueUs)))
    })
  }
  const nextUs = (afterUs: number): number => (Math.floor(afterUs / everyUs) + 1) * everyUs
  arm(nextUs(clock.nowUs()))
  return {
    cancel: () => {
      cancelled = true
      timer.cancel()
    },
  }
}

/** Resolves after `delayMs`, or rejects with the signal's reason as soon as it is aborted. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason as Error)
      return
    }
    const abort = (): void => {
      timer.cancel()
      reject(signal!.reason as Error)
    }
    const timer = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', abort)
      resolve()
    })
    signal?.addEventListener('abort', abort, { once: true })
  })
}
