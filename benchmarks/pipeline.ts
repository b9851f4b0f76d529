/**
 * Whole pipelines: from a frame's bytes to rows in a file.
 *
 * Why      nobody runs a decoder alone; what a quant gets is what is left after operators and a sink
 * Input    `frames` and `latency`: Binance's combined depth stream (`kit/depthStream.ts`), 50 symbols, 1,000 levels. `flagship`:
 *          three simulated exchanges with two instruments each, over WebSockets on loopback, in the same process
 * Variants of `frames`: `jsonParse`, the floor; `millrace`: `fromFrames`, `toBooks`, `summarizeBooks`, the last row of each
 *          instrument in every 100 ms of the stream's time, `map`, `drain` into JSON lines; `teamPipeline`: the same as teams
 *          write it. Of `latency`: parsing alone, and the road through four operators into a sink. Of `flagship`: how many
 *          frames a second are asked of the simulator
 * Measures `frames` ns a frame until the file is closed, by the clock (`time`) and of processors (`cpu`). `latency` from when a frame was due (not from when it was looked at)
 *          until its row was offered to the sink, ms, at 5,000 frames a second. `flagship` from the receive stamp until the
 *          quote is safe in its file, ms, and what the process took of a core for an event, µs; the simulator's own work is in it
 * Baseline `jsonParse`, `parsing`, and the lowest rate
 */
import { createWriteStream, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { once } from 'node:events'
import { performance } from 'node:perf_hooks'
import { bufferCount, filter, from, groupBy, map, mergeMap, scan, Subject } from 'rxjs'
import {
  consolidate,
  drain,
  feed,
  fromFrames,
  jsonLines,
  ofKind,
  pipeline,
  summarizeBooks,
  toBooks,
  windows,
  type BookSummary,
  type ConsolidatedQuote,
  type Sink,
} from '../src'
import { liveClock } from '../src/clock/liveClock'
import { LatencyHistogram } from '../src/metrics/histogram'
import { sinkCounters } from '../src/sinks/sink'
import { depthStream, type DepthStream } from './kit/depthStream'
import { apply, sideOf, sorted, type WireLevel } from './kit/mapBook'
import { paced } from './kit/paced'
import { PushedFrames } from './kit/pushedFrames'
import { isQuick } from './kit/report'
import { Span } from './kit/span'
import { measure, type Sample } from './kit/variants'

const FRAMES = isQuick()
  ? { frames: 6_000, warmUpFrames: 2_000, warmUpMs: 500, msMax: 500 }
  : { frames: 200_000, warmUpFrames: 60_000, warmUpMs: 2_000, msMax: 4_000 }
const PACE = { perSecond: 5_000, forMs: isQuick() ? 400 : 4_000, warmUpMs: isQuick() ? 200 : 1_500 }
const FLAGSHIP = {
  warmUpMs: isQuick() ? 200 : 1_000,
  seconds: isQuick() ? 0.8 : 4,
  rates: isQuick() ? [500, 2_000] : [1_000, 5_000, 10_000],
}
const SAMPLE_MS = 100
const CAPACITY = 100_000
const CLOSE_WITHIN_MS = 60_000

/** Whatever is read ends here, so that it cannot be left out. */
let sink = 0

function requireRead(): void {
  if (sink === 0) throw new Error('Nothing was read.')
}

// ── Frames to a file ────────────────────────────────────────────────────────────────────────────────────────────────

function floor(): Sample {
  const span = new Span(depthStream(FRAMES).frames, FRAMES)
  for (const frame of span) sink += (JSON.parse(frame.toString()) as Wire).data.b.length
  requireRead()
  return { ...span.cost }
}

interface Wire {
  readonly data: {
    readonly e: string
    readonly E: number
    readonly s: string
    readonly b: WireLevel[]
    readonly a: WireLevel[]
  }
}
/** The last summary of each instrument in every 100 ms of the stream's time. */
const lastOf100ms = windows.tumbling<BookSummary, BookSummary | undefined>({
  everyMs: SAMPLE_MS,
  outOfOrderMs: 0,
  idleMs: 5_000,
  order: 'arrival',
  aggregate: { start: () => undefined, add: (_, row) => row },
})

function ours(): Promise<Sample> {
  return measured(async (stream, frames, folder) => {
    let problem: string | undefined
    const rows = fromFrames('binance', frames, stream).pipe(
      toBooks(),
      summarizeBooks({ levels: 5 }),
      lastOf100ms,
      map((windowed) => Array.from(windowed, ({ closeTimeUs, value }) => ({ closeTimeUs, ...value }))),
    )
    await drain(rows, jsonLines('rows.jsonl'), {
      capacity: CAPACITY,
      batchMax: 512,
      onFull: 'fail',
      outDir: folder,
      closeWithinMs: CLOSE_WITHIN_MS,
      onFault: ({ message }) => (problem ??= message),
    })
    if (problem !== undefined) throw new Error(problem)
  })
}

function teamPipeline(): Promise<Sample> {
  return measured(async (stream, frames, folder) => {
    const books = new Map(
      stream.snapshots.map(({ symbol, body }) => {
        const { bids, asks } = JSON.parse(body) as { bids: WireLevel[]; asks: WireLevel[] }
        return [symbol, { bids: sideOf(bids), asks: sideOf(asks) }]
      }),
    )
    const output = createWriteStream(path.join(folder, 'rows.jsonl'))
    from(frames)
      .pipe(
        map((frame) => JSON.parse(frame.toString()) as Wire),
        filter(({ data }) => data.e === 'depthUpdate'),
        map(({ data }) => {
          const book = books.get(data.s)!
          apply(book.bids, data.b)
          apply(book.asks, data.a)
          return {
            symbol: data.s,
            timeMs: data.E,
            bids: sorted(book.bids, -1).slice(0, 5),
            asks: sorted(book.asks, 1).slice(0, 5),
          }
        }),
        map(({ symbol, timeMs, bids, asks }) => {
          const mid = (bids[0]!.price + asks[0]!.price) / 2
          const bidDepth = bids.reduce((sum, { size }) => sum + size, 0)
          const askDepth = asks.reduce((sum, { size }) => sum + size, 0)
          return { symbol, timeMs, mid, spread: asks[0]!.price - bids[0]!.price, bidDepth, askDepth }
        }),
        groupBy(({ symbol }) => symbol),
        mergeMap((rows) =>
          rows.pipe(
            scan(
              (state, row) => {
                const tick = Math.floor(row.timeMs / SAMPLE_MS)
                return { tick, row, emitted: tick === state.tick ? undefined : state.row }
              },
              { tick: -1, row: undefined, emitted: undefined } as {
                tick: number
                row?: object | undefined
                emitted?: object | undefined
              },
            ),
            filter(({ emitted }) => emitted !== undefined),
            map(({ emitted }) => emitted),
          ),
        ),
        bufferCount(64),
      )
      .subscribe((rows) => output.write(rows.map((row) => `${JSON.stringify(row)}\n`).join('')))
    output.end()
    await once(output, 'close')
  })
}

/**
 * What a frame costs until its rows are in a file that is closed. It is done once before, with what warms up: rows are written
 * when the frames are through, and what writes them would be cold. Setting up books is not counted.
 */
async function measured(
  run: (stream: DepthStream, frames: Iterable<Buffer>, folder: string) => Promise<void>,
): Promise<Sample> {
  const stream = depthStream(FRAMES)
  const { warmUpFrames, warmUpMs } = FRAMES
  const atOnce = { warmUpFrames: 1, warmUpMs: 0 }
  const warmUp = new Span(stream.frames.slice(0, warmUpFrames), { ...atOnce, msMax: warmUpMs })
  await inFolder((folder) => run(stream, warmUp, folder))
  const span = new Span(stream.frames, { ...FRAMES, ...atOnce })
  return inFolder(async (folder) => {
    await run(stream, span, folder)
    return { ...span.costByNow() }
  })
}

/** In a folder of its own, which is gone afterwards; what was run must have left rows there. */
async function inFolder<R>(run: (folder: string) => Promise<R>): Promise<R> {
  const folder = mkdtempSync(path.join(tmpdir(), 'millrace-bench-'))
  try {
    const result = await run(folder)
    if (statSync(path.join(folder, 'rows.jsonl')).size === 0) throw new Error('No row was written.')
    return result
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

// ── Latency ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const PACED_FRAMES = (PACE.perSecond * (PACE.forMs + PACE.warmUpMs)) / 1_000 + PACE.perSecond

async function parsing(): Promise<Sample> {
  const { frames } = depthStream({ frames: PACED_FRAMES })
  const { latencyUs } = await paced(PACE, (index) => {
    sink += (JSON.parse(frames[index]!.toString()) as Wire).data.b.length
  })
  return latencies(latencyUs)
}

async function toSink(): Promise<Sample> {
  const stream = depthStream({ frames: PACED_FRAMES })
  const road = new PushedFrames(stream)
  const latency = new LatencyHistogram()
  const countsFrom = (PACE.warmUpMs * PACE.perSecond) / 1_000
  let current = { index: -1, dueMs: 0 }
  const rows = new Subject<readonly { readonly index: number; readonly dueMs: number }[]>()
  road.events
    .pipe(
      toBooks(),
      summarizeBooks({ levels: 5 }),
      map((summaries) => Array.from(summaries).filter(({ spread }) => spread !== undefined)),
      map((summaries) => summaries.map(() => current)),
    )
    .subscribe(rows)
  const counters = sinkCounters()
  const timed: Sink<{ readonly index: number; readonly dueMs: number }> = {
    name: 'timed',
    counters,
    open: () => Promise.resolve(),
    write: (batch) => {
      const nowMs = performance.now()
      for (const { index, dueMs } of batch) if (index >= countsFrom) latency.record((nowMs - dueMs) * 1_000)
      counters.written += batch.length
      return Promise.resolve()
    },
    close: () => Promise.resolve(),
  }
  const drained = drain(rows, timed, {
    capacity: CAPACITY,
    batchMax: 512,
    onFull: 'fail',
    closeWithinMs: CLOSE_WITHIN_MS,
  })
  road.begin()
  await paced(PACE, (index, dueMs) => {
    current = { index, dueMs }
    road.push(stream.frames[index]!, stream.receiveTimesUs[index]!)
  })
  rows.complete()
  await drained
  return latencies(latency.summary())
}

function latencies({ count, p50, p99, max }: { count: number; p50: number; p99: number; max: number }): Sample {
  if (count === 0) throw new Error('Nothing was measured.')
  return { p50: p50 / 1_000, p99: p99 / 1_000, max: max / 1_000 }
}

// ── The flagship ────────────────────────────────────────────────────────────────────────────────────────────────────

async function flagship(messagesPerSecond: number): Promise<Sample> {
  const out = mkdtempSync(path.join(tmpdir(), 'millrace-bench-'))
  try {
    const latency = new LatencyHistogram()
    let counts = false
    const file = jsonLines<ConsolidatedQuote>('quotes.jsonl')
    const timed: Sink<ConsolidatedQuote> = {
      ...file,
      write: async (batch) => {
        await file.write(batch)
        const nowUs = liveClock.nowUs()
        if (counts) for (const { receiveTimeUs } of batch) latency.record(nowUs - receiveTimeUs)
      },
    }
    const running = pipeline('flagship', ({ source, merge, sink: into }) => {
      const market = source(
        'market',
        feed({
          exchanges: ['binance', 'kraken', 'bybit'],
          instruments: ['BTC-USDT', 'ETH-USDT'],
          channels: ['book', 'trades'],
          depth: 100,
        }),
        { capacity: 50_000, onFull: 'block' },
      )
      const notices = market.through('notices', ofKind('notice'))
      const summaries = market
        .through('books', toBooks({ depth: 100 }))
        .through('summaries', summarizeBooks({ levels: 10 }))
      const quotes = merge('tops', notices, summaries).through('quotes', consolidate({ expireMs: 5_000 }))
      into(quotes, timed, { capacity: 50_000, onFull: 'block' })
    }).start({ simulate: true, messagesPerSecond, out })
    await running.ready
    await new Promise((resolve) => setTimeout(resolve, FLAGSHIP.warmUpMs))
    counts = true
    const eventsBefore = running.status().events
    const cpu = process.cpuUsage()
    await new Promise((resolve) => setTimeout(resolve, FLAGSHIP.seconds * 1_000))
    const { user, system } = process.cpuUsage(cpu)
    const events = running.status().events - eventsBefore
    counts = false
    const { problems } = await running.stop()
    if (problems.length > 0) throw new Error(problems.join(' '))
    if (events === 0) throw new Error('No event came through.')
    return { ...latencies(latency.summary()), cpu: (user + system) / events }
  } finally {
    rmSync(out, { recursive: true, force: true })
  }
}

void measure(__filename, [
  {
    name: 'pipeline.frames',
    measures: { time: 'ns/frame', cpu: 'ns/frame' },
    baseline: 'jsonParse',
    variants: [
      { name: 'jsonParse', run: floor },
      { name: 'millrace', run: ours },
      { name: 'teamPipeline', run: teamPipeline },
    ],
  },
  {
    name: 'pipeline.latency',
    measures: { p50: 'ms', p99: 'ms', max: 'ms' },
    baseline: 'parsing',
    variants: [
      { name: 'parsing', run: parsing },
      { name: 'toSink', run: toSink },
    ],
  },
  {
    name: 'pipeline.flagship',
    measures: { p50: 'ms', p99: 'ms', max: 'ms', cpu: 'µs/event' },
    baseline: `at${FLAGSHIP.rates[0]!}`,
    variants: FLAGSHIP.rates.map((rate) => ({ name: `at${rate}`, run: () => flagship(rate) })),
  },
])
