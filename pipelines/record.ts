/**
 * Recording as a pipeline: frames as they come, both directions and the REST answers, into a `millrace-recording/1` file.
 *
 * What is written here can be audited (`millrace audit`), decoded and replayed. Beside it the same market is counted, so
 * that one sees what is being recorded.
 */
import { consoleSink, countEvents, feed, frames, pipeline, recording } from 'millrace'
import { map } from 'rxjs'

const MARKET = {
  exchanges: ['binance', 'kraken'],
  instruments: ['BTC-USDT', 'ETH-USDT'],
  channels: ['book', 'trades'],
  depth: 100,
} as const

export default pipeline('record', ({ source, sink }) => {
  const wire = source('wire', frames(MARKET), { capacity: 100_000, onFull: 'fail' })
  sink(wire, recording('out/session.ndjson.gz'), { capacity: 100_000, onFull: 'fail', name: 'recording' })

  const counts = source('market', feed(MARKET), { capacity: 50_000, onFull: 'block' })
    .through('counts', countEvents({ everyMs: 5_000 }))
    .through(
      'lines',
      map((rows) =>
        rows
          .filter((row) => row.symbol !== '')
          .map(
            (row) =>
              `${row.exchange} ${row.instrument ?? row.symbol}: ${row.events} events, ${row.perSecond.toFixed(0)}/s`,
          ),
      ),
    )
  sink(counts, consoleSink({ format: (line: string) => line }), { capacity: 100, onFull: 'dropOldest' })
})
