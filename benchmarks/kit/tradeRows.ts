/**
 * The rows that benchmarks of sinks write, and how writing them is measured: trades, in batches of 512 as a feed gives them.
 *
 * A writer warms up with fewer rows and then writes all of them to a new place. Its time counts until everything is there and
 * closed. The event loop is looked at every millisecond meanwhile, so that a sink that is fast because it blocks is seen.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout } from 'node:timers/promises'
import { Observable } from 'rxjs'
import type { Pressure } from '../../src/actors/pressure'
import { loopDelay } from '../../src/metrics/loopDelay'
import type { Trade } from '../../src/model/events'
import { drain, type DrainOptions } from '../../src/sinks/drain'
import type { Sink } from '../../src/sinks/sink'
import { seeded } from './random'
import { isQuick } from './report'
import type { Sample } from './variants'

export const ROWS = isQuick() ? 20_000 : 1_000_000
export const WARM_UP_ROWS = isQuick() ? 5_000 : 100_000
export const BATCH = 512
export const CLOSE_WITHIN_MS = 60_000
const RESOLUTION_MS = 1

/** What is measured of each writer, and in which unit. */
export const ROW_MEASURES = {
  time: 'ns/row',
  cpu: 'ns/row',
  size: 'bytes/row',
  'loopDelay.p99': 'ms',
  'loopDelay.max': 'ms',
} as const

/** Trades as an exchange makes them: no two alike, the price a walk in steps of a cent. Made before anything is measured. */
export const BATCHES: readonly (readonly Trade[])[] = (() => {
  const random = seeded(7)
  let timeUs = 1_722_988_800_000_000
  let cents = 6_100_000
  return Array.from({ length: Math.ceil(ROWS / BATCH) }, (_, batch) =>
    Array.from({ length: BATCH }, (_, at): Trade => {
      timeUs += Math.floor(random() * 2_000)
      cents += Math.floor(random() * 21) - 10
      return {
        kind: 'trade',
        exchange: 'binance',
        symbol: 'BTCUSDT',
        instrument: 'BTC-USDT',
        exchangeTimeUs: timeUs,
        receiveTimeUs: timeUs + 2_000 + Math.floor(random() * 300),
        id: String(3_700_000_000 + batch * BATCH + at),
        side: random() < 0.5 ? 'buy' : 'sell',
        price: cents / 100,
        size: Math.ceil(random() ** 4 * 1e6) / 1e5,
        priceDecimals: 2,
        sizeDecimals: 5,
        history: false,
      }
    }),
  )
})()

/** So many rows, in batches; the last one may be shorter. */
export function* batchesOf(rows: number, rowsABatch = BATCH): Generator<readonly Trade[], void> {
  const parts = rowsABatch / BATCH
  for (let sent = 0, at = 0; sent < rows; sent += rowsABatch, at += parts) {
    const batch = Array.from({ length: parts }, (_, part) => BATCHES[(at + part) % BATCHES.length]!).flat()
    yield batch.length <= rows - sent ? batch : batch.slice(0, rows - sent)
  }
}

/**
 * What a row costs.
 *
 * @param write  writes so many rows to a place that is new each time, and resolves with how many bytes are there
 */
export async function perRow(write: (rows: number, place: 'warm' | 'measured') => Promise<number>): Promise<Sample> {
  await write(WARM_UP_ROWS, 'warm')
  const delay = loopDelay(RESOLUTION_MS)
  delay.read()
  await setTimeout(10 * RESOLUTION_MS) // the first look has nothing to compare with
  const before = process.cpuUsage()
  const startedMs = performance.now()
  const bytes = await write(ROWS, 'measured')
  const ms = performance.now() - startedMs
  const { user, system } = process.cpuUsage(before)
  await setTimeout(10 * RESOLUTION_MS) // a loop that has not turned until now has not been looked at
  const { p99, max } = delay.read()
  delay.stop()
  if (bytes < ROWS) throw new Error(`There are ${bytes} bytes, which cannot be ${ROWS} rows.`)
  return {
    time: (ms * 1e6) / ROWS,
    cpu: ((user + system) * 1e3) / ROWS,
    size: bytes / ROWS,
    'loopDelay.p99': p99,
    'loopDelay.max': max,
  }
}

/** The same for files, each in a folder of its own. `write` resolves with the file. */
export async function perRowInFile(write: (folder: string, rows: number) => Promise<string>): Promise<Sample> {
  const folder = mkdtempSync(path.join(tmpdir(), 'millrace-bench-'))
  try {
    return await perRow(async (rows, place) => statSync(await write(path.join(folder, place), rows)).size)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A sink of ours that writes a file, through its queue and acknowledged. */
export function sinkIntoFile(
  file: string,
  sinkOf: (file: string) => Sink<Trade>,
  edge: Partial<DrainOptions<Trade>> = {},
): Promise<Sample> {
  return perRowInFile(async (folder, rows) => {
    await throughDrain(sinkOf(file), rows, { outDir: folder, ...edge })
    return path.join(folder, file)
  })
}

/**
 * Writes so many rows into a sink: pushed until the sink's queue is full, and again when it is half empty.
 *
 * @throws  the first fault, and when not all rows are written
 */
export async function throughDrain(sink: Sink<Trade>, rows: number, edge: Partial<DrainOptions<Trade>>): Promise<void> {
  const batchMax = edge.batchMax ?? BATCH
  const feed = heldBack(rows)
  let problem: string | undefined
  const { ledger } = await drain(feed.batches, sink, {
    capacity: Math.max(64 * BATCH, 2 * batchMax),
    batchMax,
    onFull: 'block',
    pressure: feed.pressure,
    closeWithinMs: CLOSE_WITHIN_MS,
    onFault: ({ message }) => (problem ??= message),
    ...edge,
  })
  problem ??= ledger.out === rows ? undefined : `${sink.name} wrote ${ledger.out} of ${rows} rows.`
  if (problem !== undefined) throw new Error(problem)
}

function heldBack(rows: number): { batches: Observable<readonly Trade[]>; pressure: Pressure } {
  let held = false
  let goOn = (): void => undefined
  return {
    batches: new Observable((out) => {
      const batches = batchesOf(rows)
      goOn = () => {
        while (!held) {
          const { value, done } = batches.next()
          if (done === true) return out.complete()
          out.next(value)
        }
      }
      goOn()
    }),
    pressure: {
      pause: () => (held = true),
      resume: () => {
        held = false
        // Not from within the queue that has just made room.
        setImmediate(() => goOn())
      },
    },
  }
}
