/**
 * The thread that asks pidusage, so that the loop that carries data need not: a call costs its loop 245 µs, and the first
 * one starts another program and blocks its loop for 14 to 147 ms.
 *
 * It reads by itself, somewhat before each multiple of the interval, and writes what this process has used so far into
 * shared memory: nobody waits for it. The percentages are made by whoever reads, from two rows: pidusage's own percentage is
 * since its last call, whoever made that.
 */
import { parentPort, workerData } from 'node:worker_threads'
import pidusage from 'pidusage'
import { SharedFigures } from './sharedFigures'
import { leadMs, type UsageRow } from './usageRow'

// What it would complain about on standard error (no /proc, no getconf) shows as missing values.
process.env['PIDUSAGE_SILENT'] = 'true'

const figures = new SharedFigures((workerData as { readonly memory: SharedArrayBuffer }).memory)
let timer: NodeJS.Timeout | undefined
let asking = false

/** A question without an answer is not asked again beside itself: whoever reads sees the row grow old. */
function read(): void {
  if (asking) return
  asking = true
  pidusage(process.pid).then(
    ({ ctime, memory }) => write([ctime, nowMs(), memory]),
    () => write([NaN, nowMs(), NaN]),
  )
}

function write(row: UsageRow): void {
  asking = false
  figures.write(row)
}

function arm(): void {
  const everyMs = figures.wantedMs
  const lead = leadMs(everyMs)
  const now = nowMs()
  // A timer may fire a little early; then the next multiple is the one that was just served.
  const next = Math.ceil((now + lead + 1) / everyMs) * everyMs - lead
  timer = setTimeout(() => {
    read()
    arm()
  }, next - now)
}

function nowMs(): number {
  return performance.timeOrigin + performance.now()
}

/** The interval is another, or somebody has just begun. */
parentPort?.on('message', () => {
  clearTimeout(timer)
  read()
  arm()
})
read()
arm()
