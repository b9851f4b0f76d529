/** S4 in another form: the retry awaits its pause, and every message behind it waits too. */
import { feed, jsonLines, pipeline, type Batch, type Trade } from 'millrace'
import { concatMap } from 'rxjs'
import { setTimeout as sleep } from 'node:timers/promises'

async function published(batch: Batch<Trade>): Promise<{ published: number }> {
  for (let attempt = 1; ; attempt++) {
    try {
      if (attempt < 3) throw new Error('no answer')
      return { published: batch.length }
    } catch {
      await sleep(250 * attempt) // CULPRIT
    }
  }
}

export default pipeline('patience', ({ source, sink }) => {
  const trades = source('trades', feed({ exchanges: ['kraken'], instruments: ['BTC-USD'], channels: ['trades'] }), {
    capacity: 50_000,
    onFull: 'dropOldest',
  })
  const out = trades.through(
    'publishing',
    concatMap((batch) => published(batch as Batch<Trade>)),
  )
  sink(out, jsonLines('published.jsonl'), { capacity: 50_000, onFull: 'dropOldest' })
})
