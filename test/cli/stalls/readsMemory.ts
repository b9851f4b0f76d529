/** S3: memory is asked for with each message. */
import { feed, jsonLines, pipeline, type Batch, type MarketEvent } from 'millrace'
import { map } from 'rxjs'

interface Watched {
  readonly symbol: string
  readonly heapUsed: number
}

export default pipeline('memory', ({ source, sink }) => {
  const watched = source(
    'market',
    feed({ exchanges: ['kraken'], instruments: ['BTC-USD'], channels: ['book', 'trades'] }),
    { capacity: 50_000, onFull: 'block' },
  ).through(
    'watched',
    map((batch: Batch<MarketEvent>) =>
      [...batch].map((event): Watched => {
        const { heapUsed } = process.memoryUsage() // CULPRIT
        return { symbol: event.symbol, heapUsed }
      }),
    ),
  )
  sink(watched, jsonLines('watched.jsonl'), { capacity: 50_000, onFull: 'dropOldest' })
})
