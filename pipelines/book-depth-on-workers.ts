/**
 * Heavy book work on a worker thread: whole books are sorted, added up and put into price buckets there, and come back in
 * order. The event loop keeps its breath, which `out/loop.jsonl` shows beside the result.
 *
 * Books that wait for the worker are conflated: when it cannot keep up, each instrument's latest book is what it gets.
 */
import {
  feed,
  jsonLines,
  pipeline,
  processMetrics,
  sortBooks,
  toBooks,
  type BookSides,
  type BookView,
  type SortedBook,
} from 'millrace'
import { map, mergeAll } from 'rxjs'

const BUCKETS_PER_MID = 10_000
/** Levels a side of the deepest books. */
const LEVELS_MAX = 5_000

export default pipeline('book-depth-on-workers', ({ source, sink }) => {
  const market = source(
    'market',
    feed({ exchanges: ['binance', 'okx', 'coinbase'], instruments: ['BTC-USDT', 'ETH-USDT'], channel: 'book' }),
    { capacity: 50_000, onFull: 'block' },
  )
  const depths = market
    .through('books', toBooks())
    .through('views', mergeAll())
    .through('columns', map(columnsOf))
    .through(
      'sorted',
      sortBooks<BookColumns>({
        capacity: 1_000,
        onFull: { conflate: (book) => `${book.exchange} ${book.instrument}` },
        batchMax: 32,
        deadlineMs: 10_000,
        restart: { atMost: 5, withinMs: 60_000, backoffMs: [100, 5_000] },
      }),
    )
    .through('rows', map(rowOf))
  sink(depths, jsonLines('out/depth.jsonl', { rotate: { bytes: 64e6 } }), {
    capacity: 10_000,
    onFull: 'block',
    name: 'depth-jsonl',
  })

  const loop = source('loop', processMetrics({ everyMs: 1_000 }), { capacity: 16, onFull: 'dropOldest' })
  sink(loop, jsonLines('out/loop.jsonl'), { capacity: 100, onFull: 'dropOldest', name: 'loop-jsonl' })
})

interface BookColumns extends BookSides {
  readonly exchange: string
  readonly instrument: string
  readonly receiveTimeUs: number
}

/** Copies of both sides: what is handed to another thread is nobody else's. */
function columnsOf(view: BookView): BookColumns {
  const [bids, asks] = view.levels()
  const [bidPrices, bidSizes] = sideOf(view, 'bids', Math.min(bids, LEVELS_MAX))
  const [askPrices, askSizes] = sideOf(view, 'asks', Math.min(asks, LEVELS_MAX))
  return {
    exchange: view.exchange,
    instrument: view.instrument ?? view.symbol,
    receiveTimeUs: view.receiveTimeUs,
    bidPrices,
    bidSizes,
    askPrices,
    askSizes,
    bucketSize: view.mid > 0 ? view.mid / BUCKETS_PER_MID : undefined,
  }
}

function sideOf(view: BookView, side: 'bids' | 'asks', levels: number): [prices: Float64Array, sizes: Float64Array] {
  const prices = new Float64Array(levels)
  const sizes = new Float64Array(levels)
  view.copySide(side, prices, sizes, levels)
  return [prices, sizes]
}

/** Levels, total size and notional of each side, and the heaviest price bucket. */
function rowOf({ book, bids, asks }: SortedBook<BookColumns>) {
  return {
    exchange: book.exchange,
    instrument: book.instrument,
    receiveTimeUs: book.receiveTimeUs,
    bidLevels: bids.prices.length,
    bidSize: bids.cumulativeSizes.at(-1) ?? 0,
    bidNotional: bids.cumulativeNotional.at(-1) ?? 0,
    bidWall: heaviest(bids.bucketPrices, bids.bucketNotional),
    askLevels: asks.prices.length,
    askSize: asks.cumulativeSizes.at(-1) ?? 0,
    askNotional: asks.cumulativeNotional.at(-1) ?? 0,
    askWall: heaviest(asks.bucketPrices, asks.bucketNotional),
  }
}

function heaviest(prices: Float64Array, notional: Float64Array): { price: number; notional: number } | undefined {
  let at = -1
  for (let index = 0; index < notional.length; index++) if (at < 0 || notional[index]! > notional[at]!) at = index
  return at < 0 ? undefined : { price: prices[at]!, notional: notional[at]! }
}
