/**
 * S6: a report of 50 MB written beside a feed.
 *
 * Why      the monitor that millrace was made from wrote its reports with synchronous JSON and file calls: for as long as
 *          that took, no message was handled
 * Input    5,000 messages a second, each when it is due; parsing them is all the other work there is. Once in the run a report
 *          of 300,000 rows is written
 * Variants `synchronous`  `JSON.stringify` and `writeFileSync`: what was
 *          `jsonReport`   our sink: what is
 *          `none`         no report
 * Measures `loopDelay` milliseconds by which the loop was late, looked at every millisecond: one standstill is one look, however
 *          long, so of what happens once it is `max` that tells; `latency` from when a message was due until it was
 *          handled, ms: there everyone counts who had to wait
 * Baseline `synchronous`, what was. The aim is that the p99 of `jsonReport` cannot be told from that of `none`
 *          Six repetitions of each, interleaved: medians, with the least and the most
 */
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { of } from 'rxjs'
import { drain } from '../src/sinks/drain'
import { jsonReport } from '../src/sinks/jsonReport'
import { depthStream } from './kit/depthStream'
import { paced } from './kit/paced'
import { isQuick } from './kit/report'
import { measure, type Sample } from './kit/variants'

const PACE = { perSecond: 5_000, forMs: isQuick() ? 800 : 5_000, warmUpMs: isQuick() ? 200 : 1_500 }
const ROWS = isQuick() ? 30_000 : 300_000
const BYTES_A_ROW_MIN = 150
const FRAMES = 5_000
/** Where in the counted part of the run the report is written. */
const REPORT_AT = Math.floor((PACE.perSecond * (PACE.warmUpMs + PACE.forMs * 0.2)) / 1_000)
const CLOSE_WITHIN_MS = 60_000

type Report = Readonly<{ rows: readonly object[] }>

let sink = 0

async function run(write: (report: Report, folder: string) => Promise<unknown> | undefined): Promise<Sample> {
  const folder = mkdtempSync(path.join(tmpdir(), 'millrace-bench-'))
  const report: Report = {
    rows: Array.from({ length: ROWS }, (_, index) => ({
      exchange: 'binance',
      instrument: `C${index % 5_000}-USDT`,
      receiveTimeUs: 1_722_988_800_000_000 + index,
      bidPrice: 61_000.01 + index / 100,
      bidSize: 0.4567,
      askPrice: 61_000.02 + index / 100,
      askSize: 1.2345,
      spreadBps: 0.0016,
    })),
  }
  const { frames } = depthStream({ frames: FRAMES })
  let written: Promise<unknown> | undefined
  try {
    const { loopDelayMs, latencyUs } = await paced(PACE, (index) => {
      sink += (JSON.parse(frames[index % frames.length]!.toString()) as { data: { u: number } }).data.u
      if (index === REPORT_AT) written = write(report, folder)
    })
    await written
    if (sink === 0) throw new Error('Nothing was read.')
    return {
      'loopDelay.p99': loopDelayMs.p99,
      'loopDelay.max': loopDelayMs.max,
      'latency.p99': latencyUs.p99 / 1_000,
      'latency.max': latencyUs.max / 1_000,
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function requireWhole(file: string): void {
  if (statSync(file).size < ROWS * BYTES_A_ROW_MIN) throw new Error(`${file} is not the whole report.`)
}

const synchronous = (): Promise<Sample> =>
  run((report, folder) => {
    const file = path.join(folder, 'report.json')
    writeFileSync(file, JSON.stringify(report))
    requireWhole(file)
    return undefined
  })

const ours = (): Promise<Sample> =>
  run(async (report, folder) => {
    await drain(of(report), jsonReport<Report>('report.json'), {
      capacity: 1,
      batchMax: 1,
      onFull: 'keepLatest',
      outDir: folder,
      closeWithinMs: CLOSE_WITHIN_MS,
    })
    requireWhole(path.join(folder, 'report.json'))
  })

void measure(__filename, [
  {
    name: 'S6',
    measures: { 'loopDelay.p99': 'ms', 'loopDelay.max': 'ms', 'latency.p99': 'ms', 'latency.max': 'ms' },
    baseline: 'synchronous',
    variants: [
      { name: 'synchronous', run: synchronous },
      { name: 'jsonReport', run: ours },
      { name: 'none', run: () => run(() => undefined) },
    ],
  },
])
