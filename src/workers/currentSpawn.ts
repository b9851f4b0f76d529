/**
 * How worker threads are started where a pipeline is being wired: as threads, or as a simulation pretends to.
 */
import { ambient } from '../clock/ambient'
import { spawnWorker } from './spawn'

export type SpawnWorker = typeof spawnWorker

const spawning = ambient<SpawnWorker>(spawnWorker)

/** What starts the workers of the run that is being wired; real threads outside of one. To be asked at subscription. */
export const currentSpawn = spawning.current

export const runWithSpawn = spawning.runWith
