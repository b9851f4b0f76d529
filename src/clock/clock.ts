/**
 * Time as an argument.
 *
 * No stage, operator or sink reads the raw clock: it is given one of these. The live clock follows the machine, the
 * stream clock follows the receive stamps of frames (so that a live run and the replay of its recording see the same
 * time at the same frame), the virtual clock is moved by tests.
 */
import { onAbort } from './onAbort'

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

/** Timers of Node that are asked to wait longer than this, almost 25 days, fire at once: the bound of options that are a wait. */
export const LONGEST_WAIT_MS = 2 ** 31 - 1

/** Calls `callback` every `everyMs` milliseconds, on multiples of it since 1970, until cancelled. Ticks that were missed are skipped. */
export function every(clock: Clock, everyMs: number, callback: (tickUs: number) => void): Timer {
  let timer: Timer
  let cancelled = false
  const arm = (): void => {
    timer = atNextTick(clock, everyMs, (tickUs) => {
      callback(tickUs)
      if (!cancelled) arm()
    })
  }
  arm()
  return {
    cancel: () => {
      cancelled = true
      timer.cancel()
    },
  }
}

/**
 * Calls `callback` at the next multiple of `everyMs` since 1970, with that time. Timers of the machine may fire up to a
 * millisecond early; then it sleeps for what remains, so that no multiple is met twice.
 */
export function atNextTick(clock: Clock, everyMs: number, callback: (tickUs: number) => void): Timer {
  const tickUs = tickBefore(clock, everyMs) + everyUsOf(everyMs)
  let timer: Timer
  const arm = (): void => {
    timer = clock.after((tickUs - clock.nowUs()) / 1_000, () => {
      if (clock.nowUs() < tickUs) arm()
      else callback(tickUs)
    })
  }
  arm()
  return { cancel: () => timer.cancel() }
}

/** The latest multiple of `everyMs` since 1970 that is not after now. */
export function tickBefore(clock: Clock, everyMs: number): number {
  const everyUs = everyUsOf(everyMs)
  return Math.floor(clock.nowUs() / everyUs) * everyUs
}

function everyUsOf(everyMs: number): number {
  return Math.max(1, Math.round(everyMs * 1_000))
}

/** Resolves after `delayMs`, or rejects with the signal's reason as soon as it is aborted. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason as Error)
      return
    }
    const timer = clock.after(delayMs, () => {
      forget?.()
      resolve()
    })
    const forget =
      signal === undefined
        ? undefined
        : onAbort(signal, () => {
            timer.cancel()
            reject(signal.reason as Error)
          })
  })
}

/** Waits for work, but no longer than so; what it rejects with comes through. */
export async function within(clock: Clock, ms: number, work: Promise<unknown>): Promise<void> {
  let timer: Timer | undefined
  const late = new Promise<void>((resolve) => {
    timer = clock.after(Math.max(0, ms), resolve)
  })
  try {
    await Promise.race([work, late])
  } finally {
    timer?.cancel()
  }
}
