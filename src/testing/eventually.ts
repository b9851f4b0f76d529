/**
 * Waiting at a real socket, file or thread. Inside the engine time is virtual and nothing needs this; here, at the rim of a
 * test, the machine's own clock decides.
 */
import { sleep } from '../clock/clock'
import { liveClock } from '../clock/liveClock'

export interface EventuallyOptions {
  /** Default 5,000. */
  readonly withinMs?: number
  /** The pause between two tries. Default 5. */
  readonly everyMs?: number
}

/**
 * Asks again and again until `check` no longer throws, and fails with its last error when that takes longer than
 * `withinMs`. The last try begins after that time: a machine that stood still meanwhile is asked once more.
 */
export async function eventually<T>(
  check: () => T | Promise<T>,
  { withinMs = 5_000, everyMs = 5 }: EventuallyOptions = {},
): Promise<T> {
  const deadlineUs = liveClock.nowUs() + withinMs * 1_000
  for (;;) {
    const isLast = liveClock.nowUs() >= deadlineUs
    try {
      return await check()
    } catch (error) {
      if (isLast) throw error
    }
    await sleep(liveClock, everyMs)
  }
}
