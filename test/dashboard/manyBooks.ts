/** A pipeline that keeps as many books as a test asks for, over a simulator of its own: the simulator lists what it is told to. */
import { map, mergeAll } from 'rxjs'
import {
  bars,
  feed,
  memory,
  ofKind,
  pipeline,
  summarizeBook,
  toBooks,
  type BookView,
  type RunHandle,
  type RunOptions,
} from '../../src/index'
import { startSimulator } from '../../src/simulator/startSimulator'
import type { SimulatorOptions } from '../../src/simulator/simulator'

const EXCHANGES = ['binance', 'bybit', 'kraken', 'okx', 'coinbase']
const KNOWN = ['BTC', 'ETH', 'SOL', 'XRP', 'DOGE']

export interface ManyBooksOptions {
  /** Instruments on exchanges, a multiple of five. */
  readonly symbols: number
  readonly messagesPerSecond: number
  /** As `millrace simulate --faults`. */
  readonly faults?: string
  readonly outDir: string
}

export interface ManyBooks {
  readonly run: RunHandle
  stop(): Promise<void>
}

export async function startManyBooks(options: ManyBooksOptions): Promise<ManyBooks> {
  const simulator = await startSimulator(exchangesOf(options))
  const run = runManyBooks(options, simulator.addresses)
  return {
    run,
    async stop() {
      await run.kill()
      await simulator.stop()
    },
  }
}

/** What the simulator is to be, where it has a process of its own. */
export function exchangesOf({ symbols, messagesPerSecond, faults }: ManyBooksOptions): SimulatorOptions {
  return {
    exchanges: EXCHANGES,
    instruments: instrumentsOf(symbols),
    messagesPerSecond,
    depth: 100,
    ...(faults === undefined ? {} : { faults }),
  }
}

/** The run alone, on exchanges that are there. */
export function runManyBooks(
  { symbols, outDir }: ManyBooksOptions,
  addresses: NonNullable<RunOptions['addresses']>,
): RunHandle {
  const instruments = instrumentsOf(symbols)
  const many = pipeline('many-books', ({ source, sink }) => {
    const market = source('market', feed({ exchanges: EXCHANGES, instruments, channels: ['book', 'trades'] }), {
      capacity: 50_000,
      onFull: 'block',
    })
    const books = market.through('books', toBooks({ depth: 100 }))
    const summaries = books.through('views', mergeAll()).through(
      'summaries',
      map((view: BookView) => [summarizeBook(view, { levels: 5 })]),
    )
    const bars1s = market.through('trades', ofKind('trade')).through('bars-1s', bars.time({ everyMs: 1_000 }))
    sink(summaries, memory({ capacity: 1_000, onFull: 'dropOldest' }), {
      capacity: 1_000,
      onFull: 'dropOldest',
      name: 'summaries-sink',
    })
    sink(bars1s, memory({ capacity: 1_000, onFull: 'dropOldest' }), {
      capacity: 10_000,
      onFull: 'dropOldest',
      name: 'bars-sink',
    })
  })
  return many.start({ live: true, addresses, out: outDir })
}

function instrumentsOf(symbols: number): string[] {
  const bases = Array.from(
    { length: symbols / EXCHANGES.length },
    (_, at) => KNOWN[at] ?? `C${String(at).padStart(3, '0')}`,
  )
  return bases.map((base) => `${base}-USDT`)
}
