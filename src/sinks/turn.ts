import { setImmediate } from 'node:timers/promises'

/** Lets the loop do what else it has to do, between two slices of long work. */
export function nextTurn(): Promise<void> {
  return setImmediate()
}
