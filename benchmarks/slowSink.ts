/**
 * A sink that is far too slow behind the simulator at full speed: what an edge's policy is worth.
 *
 * Why      a pipeline that runs for weeks meets a database that is slow for an hour; memory must not pay for it, and what
 *          is lost must be what the policy says
 * Input    50,000 market frames a second asked of three simulated exchanges in the same process, which wait for clients
 *          that do not read (a real exchange would disconnect them); a sink that takes 20 ms for each batch of 256 rows
 * Measures resident memory in the course of the run (medians of the first and the last quarter, MB), how often and how
 *          long the sockets were paused, rows written, and whether anything is missing:
 *          `block`     every value that came in has been written, no book had a gap
 *          `conflate`  of every key the sink has the latest state, and the ledger says what was merged
 *
 *     node .bench/benchmarks/slowSink.js [--seconds N] [--policy block|conflate]
 */
import { parseArgs } from 'node:util'
import { tap } from 'rxjs'
import { feed, pipeline, startSimulator, summarizeBooks, toBooks, type BookSummary, type Sink } from '../src'
import { balances } from '../src/actors/ledger'
import { progressLine } from '../src/cli/progressLine'
import { sinkCounters } from '../src/sinks/sink'
import { median } from './kit/report'

const { values } = parseArgs({ options: { seconds: { type: 'string' }, policy: { type: 'string' } } })
const seconds = Number(values.seconds ?? 60)
const policies =
  values.policy === undefined ? (['block', 'conflate'] as const) : [values.policy as 'block' | 'conflate']

const EXCHANGES = ['binance', 'kraken', 'bybit']
const INSTRUMENTS = ['BTC-USDT', 'ETH-USDT', 'SOL-USDT']
const WRITE_MS = 20
const BATCH_MAX = 256

async function measure(policy: 'block' | 'conflate'): Promise<object> {
  const simulated = await startSimulator({
    exchanges: EXCHANGES,
    instruments: INSTRUMENTS,
    messagesPerSecond: 50_000,
    depth: 100,
    slowClients: 'wait',
  })
  const upstream = new Map<string, BookSummary>()
  const slow = slowSink()
  const running = pipeline(`slow-sink-${policy}`, ({ source, sink }) => {
    const market = source('market', feed({ exchanges: EXCHANGES, instruments: INSTRUMENTS, channel: 'book' }), {
      capacity: 10_000,
      onFull: 'block',
    })
    const summaries = market
      .through('books', toBooks({ depth: 20 }))
      .through('summaries', summarizeBooks({ levels: 5 }))
      .through(
        'seen',
        tap((batch) => {
          for (const row of batch) upstream.set(keyOf(row), row)
        }),
      )
    const onFull = policy === 'block' ? policy : ({ conflate: keyOf } as const)
    sink(summaries, slow, { capacity: 5_000, onFull, batchMax: BATCH_MAX, flushMs: 0 })
  }).start({ live: true, addresses: simulated.addresses, stopWithinMs: 60_000 })
  await running.ready

  const progress = progressLine({ unit: 'rows' })
  const rssMb: number[] = []
  for (let second = 0; second < seconds; second++) {
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    rssMb.push(process.memoryUsage.rss() / 1e6)
    const { held, sinks } = running.status()
    const [{ written } = { written: 0 }] = sinks
    const note = `${policy}: ${rssMb.at(-1)!.toFixed(0)} MB, held back ${held.times} times for ${held.seconds.toFixed(1)} s`
    progress.update({ done: written, share: (second + 1) / seconds, note })
  }
  progress.end()
  await simulated.freeze()
  await untilStill(() => running.status().events)
  await running.flush()
  const behind = [...upstream].filter(([key, row]) => slow.latest.get(key) !== row).map(([key]) => key)
  const summary = await running.stop()
  const { slowClients, droppedConnections, sent } = simulated.stats
  await simulated.stop()
  const last = summary.edges.at(-1)!
  const dropped = summary.edges.flatMap((edge) =>
    Object.entries(edge.dropped).map(([why, n]) => `${edge.to} ${why} ${n}`),
  )
  const quarter = Math.max(1, Math.floor(rssMb.length / 4))
  return {
    benchmark: `slowSink.${policy}`,
    seconds,
    framesSent: sent,
    rowsIn: last.in,
    rowsWritten: summary.sinks[0]!.written,
    rssMbFirstQuarter: Math.round(median(rssMb.slice(0, quarter))),
    rssMbLastQuarter: Math.round(median(rssMb.slice(-quarter))),
    rssMbMax: Math.round(Math.max(...rssMb)),
    held: summary.held,
    dropped,
    keysBehind: behind.length,
    keys: upstream.size,
    gaps: summary.books.gaps,
    slowClients,
    droppedConnections,
    balanced: summary.edges.every(balances),
    problems: summary.problems,
    node: process.version,
  }
}

/** Takes its time for each batch, and remembers the latest row of each key. */
function slowSink(): Sink<BookSummary> & { readonly latest: Map<string, BookSummary> } {
  const counters = sinkCounters()
  const latest = new Map<string, BookSummary>()
  return {
    name: 'slow',
    counters,
    latest,
    open: () => Promise.resolve(),
    async write(batch) {
      await new Promise((resolve) => setTimeout(resolve, WRITE_MS))
      for (const row of batch) latest.set(keyOf(row), row)
      counters.written += batch.length
    },
    close: () => Promise.resolve(),
  }
}

/** Resolves when a number has stood still for half a second. */
async function untilStill(count: () => number): Promise<void> {
  for (let before = -1, same = 0; same < 5;) {
    await new Promise((resolve) => setTimeout(resolve, 100))
    same = count() === before ? same + 1 : 0
    before = count()
  }
}

function keyOf(row: BookSummary): string {
  return `${row.exchange} ${row.instrument ?? row.symbol}`
}

async function main(): Promise<void> {
  for (const policy of policies) console.log(JSON.stringify(await measure(policy)))
}

void main()
