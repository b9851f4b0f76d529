/**
 * What a run takes of the machine that it runs on: time, chance, turns of the event loop, threads.
 *
 * Nothing of a run reaches the machine past its host, so that a simulation that gives its own decides all of it.
 */
import { totalmem } from 'node:os'
import { performance } from 'node:perf_hooks'
import { getHeapStatistics } from 'node:v8'
import { liveRandom } from '../clock/backoff'
import type { Clock } from '../clock/clock'
import { liveClock } from '../clock/liveClock'
import { DelayWindow, observeLoop } from '../metrics/loopBeat'
import { loopDelay, type LoopDelaySummary } from '../metrics/loopDelay'
import { processFamilies, type ProcessFamiliesReader } from '../metrics/processFamilies'
import { spawnWorker } from '../workers/spawn'
import type { SpawnWorker } from '../workers/currentSpawn'

export interface Host {
  /** The machine's time: waits, retries, deadlines, and the stream's time while it is quiet. */
  readonly clock: Clock
  /** Jitter: numbers from 0 (included) to 1 (excluded). */
  readonly random: () => number
  /** Microseconds, and fractions of them, of a clock that goes on steadily, for measuring what takes little. Default `clock`. */
  readonly steadyUs?: () => number
  /** The environment of the process. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Runs a function in a later turn of the event loop. */
  readonly defer: (callback: () => void) => void
  readonly spawn: SpawnWorker
  /** Begins to sample the process once a second, for whoever reads metrics. */
  readonly sample?: () => ProcessFamiliesReader
  /** Begins to watch what the run costs the process. */
  readonly watch: () => ProcessWatch
  /** Begins to watch the delays of the event loop, for whoever looks again and again. Undefined: there is no loop to watch. */
  readonly watchLoop?: () => LoopWatch
  /** Of what the process may take, the share that it has, in percent. Undefined: nobody knows. */
  readonly memoryPercent?: () => number
}

export interface LoopWatch {
  /** The delays since the last look. */
  read(): LoopDelaySummary
  stop(): void
}

export interface ProcessWatch {
  /** The processor since the beginning; the loop's delays since then, or since `read` was called last. */
  read(): ProcessCost
  /** The same so far, for whoever looks on the way. */
  look(): ProcessCost
  stop(): void
}

export interface ProcessCost {
  readonly cpuPercent: number
  readonly rssBytes: number
  readonly loopDelayMs: LoopDelaySummary
}

const SAMPLE_MS = 1_000

/** What the process may take, bytes. The system reads files to say it, and says the same each time: it is asked once. */
function mayTakeBytes(): number {
  if (allowedBytes === undefined) {
    // Without a limit it is 0, or more than any machine has.
    const constrained = process.constrainedMemory()
    const total = totalmem()
    allowedBytes = constrained > 0 && constrained < total ? constrained : total
  }
  return allowedBytes
}

let allowedBytes: number | undefined

/** The machine itself. */
export const liveHost: Host = {
  clock: liveClock,
  random: liveRandom,
  steadyUs: () => performance.now() * 1_000,
  env: process.env,
  defer: setImmediate,
  spawn: spawnWorker,
  watchLoop() {
    const delays = new DelayWindow()
    const stop = observeLoop((delayMs) => delays.add(delayMs))
    return { read: () => delays.read(), stop }
  },
  memoryPercent() {
    const { used_heap_size: heap, heap_size_limit: heapMax } = getHeapStatistics()
    return Math.round(Math.max(heap / heapMax, process.memoryUsage.rss() / mayTakeBytes()) * 1_000) / 10
  },
  sample: () => processFamilies({ everyMs: SAMPLE_MS }),
  watch() {
    const loop = loopDelay()
    const startedMs = performance.now()
    const started = process.cpuUsage()
    const costWith = (loopDelayMs: LoopDelaySummary): ProcessCost => {
      const { user, system } = process.cpuUsage(started)
      const seconds = (performance.now() - startedMs) / 1_000
      return {
        cpuPercent: Math.round(((user + system) / 1e6 / seconds) * 1_000) / 10,
        rssBytes: process.memoryUsage.rss(),
        loopDelayMs,
      }
    }
    return {
      read: () => costWith(loop.read()),
      look: () => costWith(loop.look()),
      stop: () => loop.stop(),
    }
  },
}
