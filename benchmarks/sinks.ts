/**
 * Rows into files.
 *
 * Why      a pipeline's last step is a file, and a sink that cannot keep up holds back the sockets
 * Input    a million trades in batches of 512, each offered when the one before it is safe; a new file for each repetition
 * Variants `stringifyStream`  `JSON.stringify` and a `WriteStream`, waiting for `drain`: as one would write it
 *          `jsonLines`        our sink of JSON lines, through its queue, acknowledged
 *          `csv`              our sink of comma-separated values, the same way
 * Measures `time` ns a row, until the file is closed; `size` bytes a row
 * Baseline `stringifyStream`
 */
import { createWriteStream, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { performance } from 'node:perf_hooks'
import { Observable } from 'rxjs'
import type { Pressure } from '../src/actors/pressure'
import type { Trade } from '../src/model/events'
import { csv } from '../src/sinks/csv'
import { drain } from '../src/sinks/drain'
import { jsonLines } from '../src/sinks/jsonLines'
import type { Sink } from '../src/sinks/sink'
import { seeded } from './kit/random'
import { isQuick } from './kit/report'
import { measure, type Sample } from './kit/variants'

const ROWS = isQuick() ? 50_000 : 1_000_000
const WARM_UP_ROWS = isQuick() ? 20_000 : 100_000
const BATCH = 512
const CAPACITY = BATCH * 64
const CLOSE_WITHIN_MS = 60_000
/** Trades are made once, and written again and again. */
const DISTINCT = 10_000

function trades(): readonly Trade[] {
  const random = seeded(7)
  return Array.from({ length: DISTINCT }, (_, index): Trade => {
    const timeUs = 1_722_988_800_000_000 + index * 137
    return {
      kind: 'trade',
      exchange: 'binance',
      symbol: 'BTCUSDT',
      instrument: 'BTC-USDT',
      exchangeTimeUs: timeUs,
      receiveTimeUs: timeUs + 2_100,
      id: String(3_700_000_000 + index),
      side: random() < 0.5 ? 'buy' : 'sell',
      price: Math.round(6_000_000 + random() * 100_000) / 100,
      size: Math.round(random() * 1e6) / 1e5,
      priceDecimals: 2,
      sizeDecimals: 5,
      history: false,
    }
  })
}

async function inFolder(write: (folder: string, rows: number) => Promise<string>): Promise<Sample> {
  const folder = mkdtempSync(path.join(tmpdir(), 'millrace-bench-'))
  try {
    await write(path.join(folder, 'warm'), WARM_UP_ROWS)
    const startedMs = performance.now()
    const file = await write(path.join(folder, 'measured'), ROWS)
    const ms = performance.now() - startedMs
    const { size } = statSync(file)
    if (size < ROWS) throw new Error(`${file} holds ${size} bytes, which cannot be ${ROWS} rows.`)
    return { time: (ms * 1e6) / ROWS, size: size / ROWS }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Batches as a feed gives them: pushed until the sink's queue is full, and again when it is half empty. */
function throughDrain(sinkOf: (name: string) => Sink<Trade>, name: string): Promise<Sample> {
  const rows = trades()
  return inFolder(async (folder, count) => {
    const feed = heldBack(rows, count)
    const sink = sinkOf(name)
    let problem: string | undefined
    await drain(feed.batches, sink, {
      capacity: CAPACITY,
      batchMax: BATCH,
      onFull: 'block',
      pressure: feed.pressure,
      outDir: folder,
      closeWithinMs: CLOSE_WITHIN_MS,
      onFault: ({ message }) => (problem ??= message),
    })
    problem ??= sink.counters.written === count ? undefined : `${name} wrote ${sink.counters.written} of ${count} rows.`
    if (problem !== undefined) throw new Error(problem)
    return path.join(folder, name)
  })
}

function heldBack(
  rows: readonly Trade[],
  count: number,
): { batches: Observable<readonly Trade[]>; pressure: Pressure } {
  const batches = Array.from({ length: Math.floor(DISTINCT / BATCH) }, (_, index) =>
    rows.slice(index * BATCH, (index + 1) * BATCH),
  )
  let held = false
  let sent = 0
  let goOn = (): void => undefined
  return {
    batches: new Observable((out) => {
      goOn = () => {
        while (!held && sent < count) {
          const batch = batches[(sent / BATCH) % batches.length]!
          const portion = batch.slice(0, count - sent)
          sent += portion.length
          out.next(portion)
        }
        if (sent === count) out.complete()
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

function stringifyStream(): Promise<Sample> {
  const rows = trades()
  return inFolder(async (folder, count) => {
    mkdirSync(folder)
    const file = path.join(folder, 'trades.jsonl')
    const stream = createWriteStream(file)
    for (let sent = 0; sent < count; sent++) {
      if (!stream.write(`${JSON.stringify(rows[sent % rows.length])}\n`)) await once(stream, 'drain')
    }
    stream.end()
    await once(stream, 'close')
    return file
  })
}

void measure(__filename, [
  {
    name: 'sinks',
    measures: { time: 'ns/row', size: 'bytes/row' },
    baseline: 'stringifyStream',
    variants: [
      { name: 'stringifyStream', run: stringifyStream },
      { name: 'jsonLines', run: () => throughDrain((name) => jsonLines<Trade>(name), 'trades.jsonl') },
      { name: 'csv', run: () => throughDrain((name) => csv<Trade>(name), 'trades.csv') },
    ],
  },
])
