/**
 * CPU time and memory of this process, as a thread of its own hears it from pidusage and writes it into shared memory.
 *
 * The thread is started in a turn of its own, because starting one blocks the loop for a millisecond or two, and never
 * keeps the process alive. One that dies, or falls silent for long, is replaced a limited number of times in a row: after
 * that there are no figures, and whoever samples carries on without them.
 */
import { createRequire } from 'node:module'
import path from 'node:path'
import { performance } from 'node:perf_hooks'
import { Worker } from 'node:worker_threads'
import { LONGEST_WAIT_MS } from '../clock/clock'
import { SharedFigures } from './sharedFigures'
import { USAGE_NUMBERS } from './usageRow'

export interface Usage {
  /** Since the start of the process, user and system. */
  readonly cpuTimeMs: number
  /** When it was read, milliseconds since 1970. */
  readonly readAtMs: number
  readonly rssBytes: number
}

export interface UsageProbe {
  /**
   * The latest that is known: the same until there is a newer one. Never waits.
   *
   * @param nowMs  by the machine's `performance.now`
   */
  latest(nowMs: number): Usage | undefined
  /** Read here and now, for some 10 µs, for the beginning of a window. */
  soFar(): Usage
  /** How often it is to be read from now on. */
  every(everyMs: number): void
  stop(): void
}

const STARTS_IN_A_ROW_MAX = 5
/** A thread that has written is taken for hung after so many intervals without a row, and not before so long. */
const SILENT_INTERVALS = 3
const SILENT_MS_MIN = 10_000
const REHEARSALS = 20
/** One that has not written yet may be loading on a busy machine. */
const LOADING_MS_MAX = 60_000

/** @param start  starts the thread, which is to write into the memory; tests give another */
export function usageProbe(start: (memory: SharedArrayBuffer) => Worker = startThread): UsageProbe {
  return new UsageThread(start)
}

class UsageThread implements UsageProbe {
  private figures = SharedFigures.ofSize(USAGE_NUMBERS)
  private readonly row = new Float64Array(USAGE_NUMBERS)
  private worker: Worker | undefined
  private starting: NodeJS.Immediate | undefined
  private everyMs = LONGEST_WAIT_MS
  private usage: Usage | undefined
  /** Of the latest row of the thread that runs; 0 before its first. */
  private readAtMs = 0
  /** Until when a row is awaited; then somebody else is to write. */
  private patientUntilMs = 0
  private startsInARow = 0
  private stopped = false

  constructor(private readonly begin: (memory: SharedArrayBuffer) => Worker) {
    // As a sample is: what runs for the first time is compiled, and that is better done now.
    const { cpuTimeMs, readAtMs, rssBytes } = this.soFar()
    for (let left = REHEARSALS; left > 0; left--) {
      this.figures.write([cpuTimeMs, readAtMs - left, rssBytes])
      this.latest(0) // what is new
      this.latest(0) // the same again
    }
    this.forget()
  }

  latest(nowMs: number): Usage | undefined {
    const { row } = this
    if (this.figures.read(row) && row[1] !== this.readAtMs) this.take(row[0]!, row[1]!, row[2]!, nowMs)
    else if (nowMs > this.patientUntilMs) this.replace()
    return this.usage
  }

  soFar(): Usage {
    const { user, system } = process.cpuUsage()
    return {
      cpuTimeMs: (user + system) / 1_000,
      readAtMs: performance.timeOrigin + performance.now(),
      rssBytes: process.memoryUsage.rss(),
    }
  }

  every(everyMs: number): void {
    this.everyMs = everyMs
    this.figures.wantedMs = everyMs
    if (this.worker === undefined) this.startLater()
    else this.worker.postMessage(null)
  }

  stop(): void {
    this.stopped = true
    clearImmediate(this.starting)
    this.end()
  }

  private take(cpuTimeMs: number, readAtMs: number, rssBytes: number, nowMs: number): void {
    this.readAtMs = readAtMs
    this.patientUntilMs = nowMs + Math.max(SILENT_MS_MIN, SILENT_INTERVALS * this.everyMs)
    // NaN of a question that failed.
    this.usage = cpuTimeMs >= 0 && rssBytes >= 0 ? { cpuTimeMs, readAtMs, rssBytes } : undefined
    if (this.usage !== undefined) this.startsInARow = 0
  }

  private replace(): void {
    if (this.worker !== undefined) this.end()
    this.startLater()
  }

  private startLater(): void {
    if (this.starting !== undefined || this.stopped || this.startsInARow >= STARTS_IN_A_ROW_MAX) return
    this.starting = setImmediate(() => {
      this.starting = undefined
      this.start()
    })
  }

  private start(): void {
    this.startsInARow++
    this.forget()
    this.figures.wantedMs = this.everyMs
    let worker: Worker
    try {
      worker = this.begin(this.figures.memory)
    } catch {
      // Too many threads, or no memory for one: the next look tries again.
      return
    }
    this.worker = worker
    this.patientUntilMs = performance.now() + LOADING_MS_MAX
    const gone = (): void => {
      if (this.worker === worker) this.end()
    }
    // Without a listener its error would be an uncaught exception of this thread.
    worker.on('error', gone)
    worker.on('exit', gone)
    worker.unref()
  }

  /** The next thread gets memory of its own: one that is being ended may still write. */
  private forget(): void {
    this.figures = SharedFigures.ofSize(USAGE_NUMBERS)
    this.readAtMs = 0
    this.usage = undefined
    this.patientUntilMs = 0
  }

  private end(): void {
    const { worker } = this
    this.worker = undefined
    this.forget()
    void worker?.terminate()
  }
}

/** The entry lies beside this file, as TypeScript in development and as JavaScript when built. */
function startThread(memory: SharedArrayBuffer): Worker {
  const extension = path.extname(__filename)
  const entry = path.join(__dirname, `pidusageEntry${extension}`)
  const options = { name: 'millrace-pidusage', execArgv: [] }
  if (extension !== '.ts') {
    return new Worker(entry, { ...options, workerData: { memory }, resourceLimits: { maxOldGenerationSizeMb: 32 } })
  }
  const register = createRequire(__filename).resolve('ts-node/register/transpile-only')
  const bootstrap =
    "const { register, entry } = require('node:worker_threads').workerData; require(register); require(entry)"
  return new Worker(bootstrap, { ...options, eval: true, workerData: { register, entry, memory } })
}
