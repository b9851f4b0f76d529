/**
 * Cost of the road from a frame's text to verified books, for each exchange.
 *
 * Why      every frame pays it, and books are what pipelines are made of
 * Input    recorded sessions of `../shared/fixtures/recorded`, in order, with their REST snapshots; already in memory
 * Baseline `JSON.parse` of the same frames and nothing else: the floor that most tools stand on
 * Measures wall time per frame in µs. Both variants run in turn, round by round, after a warm-up; reported are the medians
 *          and the smallest and largest ratio of a round, so that a machine whose speed drifts shows
 *
 * One JSON line per exchange. Run it compiled: `npm run bench`.
 */
import { existsSync } from 'node:fs'
import { cpus } from 'node:os'
import path from 'node:path'
import { performance } from 'node:perf_hooks'
import { exchangeById } from '../src/exchanges/exchanges'
import { replayRecords } from '../src/feed/recording/mergeRecordings'
import { Sessions } from '../src/feed/sessions'
import type { SessionRecord } from '../src/feed/record'
import { Level2Book } from '../src/book/level2Book'
import { isQuick, median, rounded } from './kit/report'

const RECORDED = path.resolve(__dirname, '../../../shared/fixtures/recorded')

const SESSIONS: readonly (readonly [exchange: string, file: string])[] = [
  ['binance', 'binance.ethusdt-20240808.ndjson.gz'],
  ['binance-futures', 'binance-futures.btcusdt-20240808.first60.ndjson.gz'],
  ['bybit', 'bybit.xrpusdt-ob500-20241201.first60.ndjson.gz'],
  ['kraken', 'kraken.ws50.first60.ndjson.gz'],
  ['okx', 'okx.ws1.first60.ndjson.gz'],
  ['coinbase', 'coinbase.ws28.first60.ndjson.gz'],
]

/** Rounds of each variant that count, after two that do not. */
const ROUNDS = isQuick() ? 3 : 7
const WARM_UP = 2
/** Small sessions are repeated within a round until it has at least so many frames. */
const FRAMES_A_ROUND = 20_000

async function main(): Promise<void> {
  if (!existsSync(RECORDED)) {
    console.error(`There are no recordings at ${RECORDED}: nothing is measured.`)
    process.exitCode = 1
    return
  }
  for (const [exchange, file] of SESSIONS) {
    const records = await load(path.join(RECORDED, file))
    const frames = records.flatMap((record) =>
      record.dir === 'in' && typeof record.data === 'string' ? [record.data] : [],
    )
    const repeats = Math.ceil(FRAMES_A_ROUND / frames.length)
    const ours: number[] = []
    const floor: number[] = []
    for (let round = -WARM_UP; round < ROUNDS; round++) {
      const oursUs = timed(() => {
        for (let repeat = 0; repeat < repeats; repeat++) toBooks(records)
      })
      const floorUs = timed(() => {
        for (let repeat = 0; repeat < repeats; repeat++) for (const frame of frames) sum += parsed(frame)
      })
      if (round < 0) continue
      ours.push(oursUs / (frames.length * repeats))
      floor.push(floorUs / (frames.length * repeats))
    }
    const ratios = ours.map((value, index) => floor[index]! / value)
    console.log(
      JSON.stringify({
        format: 'millrace-bench/1',
        benchmark: `framesToBooks.${exchange}`,
        unit: 'µs/frame',
        value: rounded(median(ours)),
        min: rounded(Math.min(...ours)),
        max: rounded(Math.max(...ours)),
        baseline: rounded(median(floor)),
        ratio: rounded(median(ratios)),
        ratioMin: rounded(Math.min(...ratios)),
        ratioMax: rounded(Math.max(...ratios)),
        frames: frames.length * repeats,
        machine: { cpu: cpus()[0]?.model, cores: cpus().length, node: process.version },
      }),
    )
  }
}

async function load(file: string): Promise<SessionRecord[]> {
  const records: SessionRecord[] = []
  for await (const batch of replayRecords([file], { onFault: () => undefined })) records.push(...batch)
  return records
}

/** Decoding, sequencing, checksums and books: what a feed and `toBooks` do, without the observable between them. */
function toBooks(records: readonly SessionRecord[]): void {
  const sessions = new Sessions({ protocolOf: exchangeById })
  const books = new Map<string, Level2Book>()
  for (const record of records) {
    for (const event of sessions.apply(record)) {
      if (event.kind !== 'snapshot' && event.kind !== 'delta') continue
      let book = books.get(event.symbol)
      if (book === undefined) books.set(event.symbol, (book = new Level2Book()))
      if (event.kind === 'snapshot') book.snapshot(event)
      else book.delta(event)
      sum += book.bids.length
    }
  }
}

/** Whatever is measured ends here, so that it cannot be left out. */
let sum = 0

function parsed(frame: string): number {
  const message: unknown = JSON.parse(frame)
  return typeof message === 'object' ? 1 : 0
}

function timed(work: () => void): number {
  const startedMs = performance.now()
  work()
  return (performance.now() - startedMs) * 1_000
}

void main().then(() => {
  // Something was measured: every book had prices.
  if (!(sum > 0)) process.exitCode = 1
})
