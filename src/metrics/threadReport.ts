/**
 * What a worker thread says of itself: its processor time, its heap, the sockets that it holds.
 *
 * Node 20 tells the thread that started it how busy a worker's loop is, and nothing of its memory. So each of millrace's
 * workers writes a row into shared memory, as often as somebody wants it, and costs those who read it no message. While
 * nobody samples it looks once a second whether somebody does.
 */
import { performance } from 'node:perf_hooks'
import { getHeapStatistics } from 'node:v8'
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads'
import { SharedFigures } from './sharedFigures'
import { socketGauges } from './socketGauges'

/** Under this name a worker finds its memory in what Node calls environment data. */
const KEY = 'millrace.threadReport'

const NUMBERS = 8
/** Between two looks while nobody wants anything, and at least between two rows. */
const IDLE_MS = 1_000
const EVERY_MS_MIN = 200

export interface ThreadReport {
  /** Milliseconds since 1970. */
  readonly writtenAtMs: number
  /** Since the thread began; undefined where the system does not tell it. */
  readonly cpuTimeMs: number | undefined
  readonly heapUsedBytes: number
  readonly heapTotalBytes: number
  readonly externalBytes: number
  readonly sockets: number
  readonly unsentBytes: number
  readonly unreadBytes: number
}

/** Memory for one worker's rows. */
export function reportMemory(): SharedFigures {
  return SharedFigures.ofSize(NUMBERS)
}

/** Starts a worker that will find the memory. What it is started with is handed over before this returns. */
export function startWith<T>(figures: SharedFigures, start: () => T): T {
  setEnvironmentData(KEY, figures.memory)
  try {
    return start()
  } finally {
    setEnvironmentData(KEY, undefined)
  }
}

/**
 * Begins to report, in the worker; where it was started without memory it does nothing.
 *
 * @param cpuTimeUs  of this thread, where the system tells it
 */
export function reportThread(cpuTimeUs: () => number | undefined): void {
  const memory = getEnvironmentData(KEY)
  if (!(memory instanceof SharedArrayBuffer)) return
  // Not for threads that this one starts.
  setEnvironmentData(KEY, undefined)
  const figures = new SharedFigures(memory)
  const report = (): void => {
    const { wantedMs } = figures
    if (wantedMs > 0) figures.write(row(cpuTimeUs()))
    setTimeout(report, wantedMs > 0 ? Math.max(EVERY_MS_MIN, Math.min(wantedMs, IDLE_MS)) : IDLE_MS).unref()
  }
  report()
}

function row(cpuUs: number | undefined): readonly number[] {
  const { used_heap_size, total_heap_size, external_memory } = getHeapStatistics()
  const { count, unsentBytes, unreadBytes } = socketGauges.look()
  return [
    performance.timeOrigin + performance.now(),
    cpuUs === undefined ? NaN : cpuUs / 1_000,
    used_heap_size,
    total_heap_size,
    external_memory,
    count,
    unsentBytes,
    unreadBytes,
  ]
}

const read = new Float64Array(NUMBERS)

/** What it wrote last; undefined when it has written nothing. */
export function latestReport(figures: SharedFigures): ThreadReport | undefined {
  if (!figures.read(read)) return undefined
  return {
    writtenAtMs: read[0]!,
    cpuTimeMs: Number.isNaN(read[1]!) ? undefined : read[1]!,
    heapUsedBytes: read[2]!,
    heapTotalBytes: read[3]!,
    externalBytes: read[4]!,
    sockets: read[5]!,
    unsentBytes: read[6]!,
    unreadBytes: read[7]!,
  }
}
