/** S4: a call that fails is tried again after a sleep in which nothing else happens. */
import { feed, jsonLines, pipeline, type Batch, type Trade } from 'millrace'
import { map } from 'rxjs'

const pause = new Int32Array(new SharedArrayBuffer(4))
let calls = 0

function publish(batch: Batch<Trade>): number {
  for (let attempt = 1; ; attempt++) {
    try {
      if (calls++ % 3 !== 0) throw new Error('no answer')
      return batch.length
    } catch (error) {
      if (attempt === 5) throw error
      Atomics.wait(pause, 0, 0, 150) // CULPRIT
    }
  }
}

export default pipeline('retries', ({ source, sink, group }) => {
  const trades = source('trades', feed({ exchanges: ['kraken'], instruments: ['BTC-USD'], channels: ['trades'] }), {
    capacity: 50_000,
    onFull: 'dropOldest',
  })
  const published = group('out', {}, () =>
    trades.through(
      'published',
      map((batch) => ({ published: publish(batch as Batch<Trade>) })),
    ),
  )
  sink(published, jsonLines('published.jsonl'), { capacity: 50_000, onFull: 'dropOldest' })
})
