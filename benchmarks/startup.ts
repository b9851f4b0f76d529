/**
 * What `import 'millrace'` costs before anything is done with it.
 *
 * Why      a notebook cell, a script and a command wait for it; the target is under 100 ms
 * Input    fresh processes, which load the compiled package and nothing else
 * Variants `rxjs`      RxJS alone, which everyone who composes streams has loaded anyway
 *          `millrace`  the whole public API
 *          `described` the same, and a pipeline is described: what a script pays before anything flows
 *          `operators` `millrace/operators` alone
 * Measures `ms`   from before the first `require` to after the last, in a process that has just started
 *          `cpu`  the same by what all threads of the process took of processors, ms
 *          `rss`  what resident memory grew by, MB
 *          `files` modules that were loaded
 * Baseline `rxjs`
 */
import path from 'node:path'
import { performance } from 'node:perf_hooks'
import type * as millrace from '../src/index'
import { measure, type Sample } from './kit/variants'

const SOURCES = path.resolve(__dirname, '../src')

const MAIN = path.join(SOURCES, 'main.js')

function load(file: string, use?: (loaded: typeof millrace) => void): Sample {
  const rss = process.memoryUsage.rss()
  const filesBefore = Object.keys(require.cache).length
  const cpu = process.cpuUsage()
  const startedMs = performance.now()
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- it is the loading that is measured
  const loaded = require(file) as typeof millrace
  use?.(loaded)
  const ms = performance.now() - startedMs
  const { user, system } = process.cpuUsage(cpu)
  return {
    ms,
    cpu: (user + system) / 1e3,
    rss: Math.max(0, process.memoryUsage.rss() - rss) / 1e6,
    files: Object.keys(require.cache).length - filesBefore,
  }
}

function describe({ bars, feed, jsonLines, ofKind, pipeline, toBooks }: typeof millrace): void {
  const edge = { capacity: 1_000, onFull: 'block' } as const
  const described = pipeline('described', ({ source, sink }) => {
    const market = source(
      'market',
      feed({ exchanges: ['binance', 'kraken'], instruments: ['BTC-USDT'], channels: ['book', 'trades'] }),
      edge,
    )
    const trades = market.through('trades', ofKind('trade'), edge)
    sink(trades.through('bars', bars.time({ everyMs: 1_000 }), edge), jsonLines('bars.jsonl'), edge)
    sink(market.through('books', toBooks(), edge), jsonLines('books.jsonl'), edge)
  })
  described.graph()
}

void measure(__filename, [
  {
    name: 'startup',
    measures: { ms: 'ms', cpu: 'ms', rss: 'MB', files: 'modules' },
    baseline: 'rxjs',
    variants: [
      { name: 'rxjs', run: () => load('rxjs') },
      { name: 'millrace', run: () => load(MAIN) },
      { name: 'described', run: () => load(MAIN, describe) },
      { name: 'operators', run: () => load(path.join(SOURCES, 'operators', 'main.js')) },
    ],
  },
])
