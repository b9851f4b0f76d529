/**
 * The flagship: several exchanges and instruments watched at once.
 *
 * Books of six exchanges are kept and verified, summarised in order per instrument, compared across exchanges; trades become
 * one-second bars; liquidations and the process's own resources are streams beside them. It leaves under `out/`:
 *
 *     report.html           a page for people: prices, spreads, depth, bars, latencies, faults and the ledger of every edge
 *     market-monitor.json   the whole picture, rewritten every two seconds
 *     bars-1s.jsonl         trade bars per exchange and instrument
 *     quotes.csv            every change of a cross-exchange quote
 *     liquidations.jsonl    forced closes, where the exchange tells of them
 *     resources.jsonl       CPU, memory, event loop and garbage collection, once a second
 */
import {
  bars,
  collectLatest,
  consolidate,
  countEvents,
  csv,
  feed,
  htmlReport,
  jsonLines,
  jsonReport,
  mergeMapByKey,
  ofKind,
  pipeline,
  processMetrics,
  summarizeBook,
  toBooks,
  type Bar,
  type BookSummary,
  type BookView,
  type ConsolidatedQuote,
  type EventCounts,
  type Liquidation,
  type Trade,
} from 'millrace'
import { map, mergeAll, scan } from 'rxjs'

const EXCHANGES = ['binance', 'binance-futures', 'bybit', 'kraken', 'okx', 'coinbase']
const INSTRUMENTS = ['BTC-USDT', 'ETH-USDT', 'BTC-USDT-PERP', 'ETH-USDT-PERP']

const REPORT_EVERY_MS = 2_000
const PAGE_EVERY_MS = 5_000
/** The page's picture of depth is made of the books as they stand this often. */
const DEPTH_EVERY_MS = 250
/** Instruments on exchanges that the report's tables hold at most. */
const ROWS_MAX = 1_000

export default pipeline('market-monitor', ({ source, merge, sink }) => {
  const market = source(
    'market',
    feed({
      exchanges: EXCHANGES,
      instruments: INSTRUMENTS,
      channels: ['book', 'trades', 'liquidations', 'derivative'],
      depth: 100,
    }),
    { capacity: 50_000, onFull: 'block' },
  )
  // Before the books, so that what a notice puts in doubt leaves the quotes before a repaired book joins them again.
  const notices = market.through('notices', ofKind('notice'))
  const books = market.through('books', toBooks({ depth: 100 }))

  // Different instruments side by side, each strictly in its own order.
  const summaries = books.through('views', mergeAll()).through(
    'summaries',
    mergeMapByKey(
      (view: BookView) => `${view.exchange} ${view.instrument ?? view.symbol}`,
      (view: BookView) => [[summarizeBook(view, { levels: 10 })]],
      { concurrency: 64, perKey: 1 },
    ),
  )
  const quotes = merge('tops', notices, summaries).through('quotes', consolidate({ expireMs: 5_000 }))
  const trades = market.through('trades', ofKind('trade'))
  const bars1s = trades.through('bars-1s', bars.time({ everyMs: 1_000 }))
  const liquidations = market.through('liquidations', ofKind('liquidation'))

  const report = merge(
    'report-parts',
    summaries
      .through(
        'book-table',
        latest((summary) => `${summary.exchange} ${summary.instrument ?? summary.symbol}`),
      )
      .through(
        'as-books',
        map((books): Part => ({ books })),
      ),
    quotes
      .through(
        'quote-table',
        latest((quote) => quote.instrument),
      )
      .through(
        'as-quotes',
        map((quotes): Part => ({ quotes })),
      ),
    bars1s
      .through(
        'bar-table',
        latest((bar) => `${bar.exchange} ${bar.instrument ?? bar.symbol}`),
      )
      .through(
        'as-bars',
        map((bars): Part => ({ bars })),
      ),
    liquidations
      .through(
        'liquidation-table',
        latest((event) => `${event.exchange} ${event.instrument ?? event.symbol}`),
      )
      .through(
        'as-liquidations',
        map((liquidations): Part => ({ liquidations })),
      ),
    market.through('activity', countEvents({ everyMs: REPORT_EVERY_MS })).through(
      'as-activity',
      map((activity): Part => ({ activity })),
    ),
  ).through(
    'report',
    scan((whole: Report, part: Part): Report => ({ ...whole, ...part }), EMPTY),
  )

  sink(report, jsonReport('out/market-monitor.json', { everyMs: REPORT_EVERY_MS }), {
    capacity: 1,
    onFull: 'keepLatest',
    name: 'report-json',
  })
  sink(bars1s, jsonLines('out/bars-1s.jsonl'), { capacity: 10_000, onFull: 'block', name: 'bars-jsonl' })
  sink(quotes, csv('out/quotes.csv', { columns: QUOTE_COLUMNS, rotate: { bytes: 64e6 } }), {
    capacity: 50_000,
    onFull: 'block',
    name: 'quotes-csv',
    flushMs: 5,
  })
  sink(liquidations, jsonLines('out/liquidations.jsonl'), {
    capacity: 10_000,
    onFull: 'block',
    name: 'liquidations-jsonl',
    flushMs: 5,
  })

  const resources = source('resources', processMetrics({ everyMs: 1_000 }), { capacity: 16, onFull: 'dropOldest' })
  const depth = books.through(
    'depth',
    collectLatest({
      key: (view: BookView) => `${view.exchange} ${view.instrument ?? view.symbol}`,
      everyMs: DEPTH_EVERY_MS,
      capacity: ROWS_MAX,
    }),
  )
  const page = merge('page', notices, summaries, depth, trades, bars1s, quotes, liquidations, resources)
  sink(page, htmlReport('out/report.html', { everyMs: PAGE_EVERY_MS }), {
    capacity: 50_000,
    onFull: 'dropOldest',
    name: 'report-html',
  })
  sink(resources, jsonLines('out/resources.jsonl'), { capacity: 100, onFull: 'dropOldest', name: 'resources-jsonl' })
})

interface Report {
  readonly format: 'millrace-market-report/1'
  readonly books: readonly BookSummary[]
  readonly quotes: readonly ConsolidatedQuote[]
  readonly bars: readonly Bar[]
  readonly liquidations: readonly Liquidation[]
  readonly activity: readonly EventCounts[]
}

type Part = Partial<Report>

const EMPTY: Report = {
  format: 'millrace-market-report/1',
  books: [],
  quotes: [],
  bars: [],
  liquidations: [],
  activity: [],
}

const QUOTE_COLUMNS = [
  'receiveTimeUs',
  'instrument',
  'bidPrice',
  'bidSize',
  'bidExchange',
  'askPrice',
  'askSize',
  'askExchange',
  'spreadBps',
  'dislocationBps',
  'exchanges',
]

function latest<T extends BookSummary | ConsolidatedQuote | Bar | Liquidation | Trade>(key: (row: T) => string) {
  return collectLatest<T>({ key, everyMs: REPORT_EVERY_MS, capacity: ROWS_MAX })
}
