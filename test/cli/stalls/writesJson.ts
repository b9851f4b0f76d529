/** S6: a report of everything so far is written with synchronous JSON and file calls. */
import { feed, jsonLines, pipeline, type Batch, type MarketEvent } from 'millrace'
import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { tap } from 'rxjs'

const FILE = path.join(tmpdir(), `millrace-report-${process.pid}.json`)
const rows = Array.from({ length: 60_000 }, (_, row) => ({ row, name: `row ${row}`, values: [row, row / 2, row / 3] }))
let batches = 0

export default pipeline('reports', ({ source, sink }) => {
  const market = source(
    'market',
    feed({ exchanges: ['kraken'], instruments: ['BTC-USD'], channels: ['book', 'trades'] }),
    { capacity: 50_000, onFull: 'dropOldest' },
  )
  const reported = market.through(
    'reported',
    tap((batch: Batch<MarketEvent>) => {
      if (batches++ % 100 !== 99) return
      writeFileSync(FILE, JSON.stringify({ batches, size: batch.length, rows }, null, 2)) // CULPRIT
    }),
  )
  sink(reported, jsonLines('events.jsonl'), { capacity: 50_000, onFull: 'dropOldest' })
})
