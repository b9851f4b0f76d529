/** The workers that millrace has started in this thread and that run. */
import type { SharedFigures } from './sharedFigures'

/** How busy a loop was: since it began, milliseconds. */
export interface LoopUtilization {
  readonly idle: number
  readonly active: number
  readonly utilization: number
}

export interface LoopGauge {
  eventLoopUtilization(since?: LoopUtilization): LoopUtilization
}

export interface KnownWorker {
  /** The file of its entry, and where several run of it, which of them: `market.js`, `market.js 2`. */
  readonly name: string
  readonly performance: LoopGauge
  /** What it says of itself. */
  readonly figures: SharedFigures
}

const workers = new Set<KnownWorker>()
let wantedMs = 0

/** Notes a worker that has started; the returned function takes it out again. A name becomes free when its worker has gone. */
export function noteWorker(file: string, performance: LoopGauge, figures: SharedFigures): () => void {
  const names = new Set([...workers].map(({ name }) => name))
  let name = file
  for (let nth = 2; names.has(name); nth++) name = `${file} ${nth}`
  const worker: KnownWorker = { name, performance, figures }
  workers.add(worker)
  figures.wantedMs = wantedMs
  return () => void workers.delete(worker)
}

export function knownWorkers(): ReadonlySet<KnownWorker> {
  return workers
}

/** How often all of them, and those to come, are to say how they are; 0 for not at all. */
export function askWorkers(everyMs: number): void {
  wantedMs = everyMs
  for (const { figures } of workers) figures.wantedMs = everyMs
}
