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
} from '../../src/index'
import { startSimulator } from '../../src/simulator/startSimulator'

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
  const { symbols, messagesPerSecond, faults, outDir } = options
  const bases = Array.from(
    { length: symbols / EXCHANGES.length },
    (_, at) => KNOWN[at] ?? `C${String(at).padStart(3, '0')}`,
  )
  const instruments = bases.map((base) => `${base}-USDT`)
  const simulator = await startSimulator({
    exchanges: EXCHANGES,
    instruments,
    messagesPerSecond,
    depth: 100,
    ...(faults === undefined ? {} : { faults }),
  })
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
  const run = many.start({ live: true, addresses: simulator.addresses, out: outDir })
  return {
    run,
    async stop() {
      await run.kill()
      await simulator.stop()
    },
  }
}
