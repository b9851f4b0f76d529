import type { Clock, Timer } from '../clock/clock'

/**
 * Calls `callback` at the next multiple of `everyMs` since 1970, with that time. Live timers may fire up to a millisecond
 * early; then it sleeps for what remains, so that no multiple is met twice.
 */
export function atNextTick(clock: Clock, everyMs: number, callback: (tickUs: number) => void): Timer {
  const tickUs = tickBefore(clock, everyMs) + everyUsOf(everyMs)
  let timer: Timer
  const sleep = (): void => {
    timer = clock.after((tickUs - clock.nowUs()) / 1_000, () => {
      if (clock.nowUs() < tickUs) sleep()
      else callback(tickUs)
    })
  }
  sleep()
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
