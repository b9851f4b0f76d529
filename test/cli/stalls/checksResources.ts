/** S5: resources are checked by a program that is waited for, and by files of the kernel's read at once. */
import { feed, jsonLines, pipeline, type Batch, type MarketEvent } from 'millrace'
import { execSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { filter, map } from 'rxjs'

let seen = 0

function load(): number {
  const [minute] = readFileSync('/proc/loadavg', 'utf8').split(' ') // CULPRIT load
  return Number(minute)
}

export default pipeline('checks', ({ source, sink }) => {
  const market = source(
    'market',
    feed({ exchanges: ['kraken'], instruments: ['BTC-USD'], channels: ['book', 'trades'] }),
    { capacity: 50_000, onFull: 'dropOldest' },
  )
  const checked = market.through(
    'checked',
    filter((batch: Batch<MarketEvent>) => batch.length > 0 && load() < 1e6),
  )
  const listed = checked.through(
    'listed',
    map((batch) => {
      if (seen++ % 50 > 0) return { events: batch.length, processes: 0 }
      const text = execSync('ps -e -o pid= || ls /proc').toString() // CULPRIT ps
      return { events: batch.length, processes: text.split('\n').length }
    }),
  )
  sink(listed, jsonLines('checked.jsonl'), { capacity: 50_000, onFull: 'dropOldest' })
})
