/**
 * What watching a run costs it.
 *
 * Why      a pipeline whose watching costs something is watched when it is too late: all of it has to be on, always
 * Input    20,000 market frames a second (books and trades of three simulated exchanges, two instruments each), from a process
 *          of its own over WebSockets on loopback, through books, summaries and quotes into a file
 * Variants `off`: stages are neither marked nor timed, no frame is followed, nothing is counted of each channel and symbol.
 *          `on`: all of that, and all that looks (`LOOKERS`): the metrics read once a second, twice over, as a stream into a
 *          file and by hand; the process sampled once a second; the state of the run read four times a second
 * Measures `loop` what the loop's thread took of a processor for a frame, µs, and `process` what all threads took;
 *          `delayP99` of the event loop, ms. Frames are the same in both: what is asked for is not the most that it can
 * Baseline `off`
 */
import { fork } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Subscription } from 'rxjs'
import {
  consolidate,
  feed,
  jsonLines,
  ofKind,
  pipeline,
  processMetrics,
  runMetrics,
  summarizeBooks,
  toBooks,
  type RunHandle,
} from '../src'
import { every } from '../src/clock/clock'
import { liveClock } from '../src/clock/liveClock'
import { loopDelay } from '../src/metrics/loopDelay'
import { loopTimeUs } from './kit/loopTime'
import { isQuick } from './kit/report'
import { measure, type Sample } from './kit/variants'

const EXCHANGES = ['binance', 'kraken', 'bybit']
const INSTRUMENTS = ['BTC-USDT', 'ETH-USDT']
const PER_SECOND = isQuick() ? 2_000 : 20_000
const WARM_UP_MS = isQuick() ? 500 : 4_000
const FOR_MS = isQuick() ? 1_000 : 12_000

/** Whatever looks at a run from outside while it is watched; each says how to stop. */
const LOOKERS: readonly ((run: RunHandle) => () => void)[] = [
  (run) => looking(1_000, () => run.metrics()),
  (run) => looking(250, () => run.status()),
  () => {
    const subscription: Subscription = processMetrics({ everyMs: 1_000 }).subscribe()
    return () => subscription.unsubscribe()
  },
]

function looking(everyMs: number, look: () => unknown): () => void {
  const timer = every(liveClock, everyMs, look)
  return () => timer.cancel()
}

async function running(isWatched: boolean): Promise<Sample> {
  const out = mkdtempSync(path.join(tmpdir(), 'millrace-bench-'))
  const simulator = fork(path.join(__dirname, 'entries', 'simulator.js'), [
    JSON.stringify({ exchanges: EXCHANGES, instruments: INSTRUMENTS, messagesPerSecond: PER_SECOND }),
  ])
  try {
    const addresses = await new Promise<[string, { ws: string; rest: string }][]>((resolve, reject) => {
      simulator.once('message', (told) => resolve(told as [string, { ws: string; rest: string }][]))
      simulator.once('exit', () => reject(new Error('The simulator ended.')))
    })
    const run = quotes(isWatched).start({ live: true, addresses: new Map(addresses), watching: isWatched, out })
    await run.ready
    const stops = isWatched ? LOOKERS.map((look) => look(run)) : []
    await passed(WARM_UP_MS)
    const delay = loopDelay()
    const framesBefore = run.status().records
    const cpuBefore = process.cpuUsage()
    const loopBefore = loopTimeUs()
    await passed(FOR_MS)
    const loopUs = loopTimeUs() - loopBefore
    const { user, system } = process.cpuUsage(cpuBefore)
    const frames = run.status().records - framesBefore
    const { p99 } = delay.read()
    delay.stop()
    for (const stop of stops) stop()
    const { problems } = await run.stop()
    if (problems.length > 0) throw new Error(problems.join(' '))
    if (frames < (PER_SECOND * FOR_MS) / 1_000 / 4) throw new Error(`Only ${frames} frames came.`)
    return { loop: loopUs / frames, process: (user + system) / frames, delayP99: p99 }
  } finally {
    simulator.kill()
    rmSync(out, { recursive: true, force: true })
  }
}

function quotes(isWatched: boolean) {
  return pipeline('watched', ({ source, merge, sink }) => {
    const market = source(
      'market',
      feed({ exchanges: EXCHANGES, instruments: INSTRUMENTS, channels: ['book', 'trades'], depth: 100 }),
      { capacity: 50_000, onFull: 'block' },
    )
    const notices = market.through('notices', ofKind('notice'))
    const summaries = market
      .through('books', toBooks({ depth: 100 }))
      .through('summaries', summarizeBooks({ levels: 10 }))
    const best = merge('tops', notices, summaries).through('quotes', consolidate({ expireMs: 5_000 }))
    sink(best, jsonLines('out/quotes.jsonl'), { capacity: 50_000, onFull: 'block', name: 'quotes-file' })
    const trades = market.through('trades', ofKind('trade'))
    sink(trades, jsonLines('out/trades.jsonl'), { capacity: 50_000, onFull: 'block', name: 'trades-file' })
    if (!isWatched) return
    const metrics = source('metrics', runMetrics({ everyMs: 1_000 }), { capacity: 10_000, onFull: 'dropOldest' })
    sink(metrics, jsonLines('out/metrics.jsonl'), { capacity: 50_000, onFull: 'dropOldest', name: 'metrics-file' })
  })
}

function passed(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

void measure(__filename, [
  {
    name: 'watching',
    measures: { loop: 'µs/frame', process: 'µs/frame', delayP99: 'ms' },
    baseline: 'off',
    variants: [
      { name: 'off', run: () => running(false) },
      { name: 'on', run: () => running(true) },
    ],
  },
])
