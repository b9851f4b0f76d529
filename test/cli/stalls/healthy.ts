/** A pipeline that is well: books that keep themselves sorted, asynchronous work side by side, reports by sinks. */
import {
  bars,
  feed,
  health,
  jsonLines,
  jsonReport,
  mergeMapByKey,
  ofKind,
  pipeline,
  processMetrics,
  summarizeBook,
  toBooks,
  type BookView,
} from 'millrace'
import { bufferTime, filter, map, mergeAll } from 'rxjs'

export default pipeline('healthy', ({ source, sink }) => {
  const market = source(
    'market',
    feed({ exchanges: ['binance', 'kraken'], instruments: ['BTC-USDT', 'ETH-USDT'], channels: ['book', 'trades'] }),
    { capacity: 50_000, onFull: 'block' },
  )
  const views = market.through('books', toBooks({ depth: 50 })).through('views', mergeAll())
  const summaries = views.through(
    'summaries',
    mergeMapByKey(
      (view: BookView) => `${view.exchange} ${view.symbol}`,
      async (view: BookView) => {
        await new Promise((resolve) => setTimeout(resolve, 5))
        return summarizeBook(view, { levels: 5 })
      },
      { concurrency: 64, perKey: 1, capacity: 1_000, onFull: 'dropOldest', deadlineMs: 5_000 },
    ),
  )
  const trades = market.through('trades', ofKind('trade'))
  const perSecond = trades.through('per-second', (input) =>
    input.pipe(
      bufferTime(1_000),
      filter((batches) => batches.length > 0),
      map((batches) => ({ trades: batches.flat().length })),
    ),
  )
  sink(trades.through('bars', bars.time({ everyMs: 1_000 })), jsonLines('bars.jsonl'), {
    capacity: 1_000,
    onFull: 'block',
  })
  sink(perSecond, jsonLines('per-second.jsonl'), { capacity: 1_000, onFull: 'block' })
  sink(summaries, jsonReport('summaries.json', { everyMs: 500 }), { capacity: 1, onFull: 'keepLatest' })
  const resources = source('resources', processMetrics({ everyMs: 500 }), { capacity: 16, onFull: 'dropOldest' })
  const checks = source(
    'health',
    health({ everyMs: 500, checks: [{ name: 'clock', check: () => true, deadlineMs: 100 }] }),
    { capacity: 16, onFull: 'dropOldest' },
  )
  sink(resources, jsonLines('resources.jsonl'), { capacity: 100, onFull: 'dropOldest' })
  sink(checks, jsonLines('health.jsonl'), { capacity: 100, onFull: 'dropOldest' })
})
