/** A stage that does not hand back: the loop stands still for good. */
import { feed, memory, pipeline } from 'millrace'
import { map } from 'rxjs'

let batches = 0

export default pipeline('stuck', ({ source, sink }) => {
  const trades = source('trades', feed({ exchanges: ['kraken'], instruments: ['BTC-USD'], channels: ['trades'] }), {
    capacity: 1_000,
    onFull: 'dropOldest',
  })
  const turned = trades.through(
    'turned',
    map((trade) => {
      batches++
      while (batches > 300) batches++ // CULPRIT
      return trade
    }),
  )
  sink(turned, memory({ capacity: 10 }), { capacity: 100, onFull: 'dropOldest', name: 'out' })
})
