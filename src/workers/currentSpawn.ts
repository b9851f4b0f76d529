/**
 * How worker threads are started where a pipeline is being wired: as threads, or as a simulation pretends to.
 *
 * Asked at subscription, like the clock (`src/clock/currentClock.ts`); wiring is synchronous.
 */
import { spawnWorker } from './spawn'

export type SpawnWorker = typeof spawnWorker

let current: SpawnWorker = spawnWorker

/** What starts the workers of the run that is being wired; real threads outside of one. */
export function currentSpawn(): SpawnWorker {
  return current
}

export function runWithSpawn<T>(spawn: SpawnWorker, wire: () => T): T {
  const outer = current
  current = spawn
  try {
    return wire()
  } finally {
    current = outer
  }
}
