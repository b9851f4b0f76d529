/** S1: each message is awaited before the next is looked at. */
import { feed, jsonLines, pipeline, type Batch, type Trade } from 'millrace'
import { concatMap } from 'rxjs'

const enrich = async (trades: Batch<Trade>): Promise<readonly object[]> => {
  const looked = [...trades].map(({ symbol, price }) => ({ symbol, price }))
  await new Promise((resolve) => setTimeout(resolve, 900)) // CULPRIT
  return looked
}

export default pipeline('awaits', ({ source, sink }) => {
  const trades = source(
    'trades',
    feed({ exchanges: ['kraken'], instruments: ['BTC-USD', 'ETH-USD'], channels: ['trades'] }),
    { capacity: 10_000, onFull: 'dropOldest' },
  )
  const enriched = trades.through(
    'enriched',
    concatMap((batch) => enrich(batch as Batch<Trade>)),
  )
  sink(enriched, jsonLines('enriched.jsonl'), { capacity: 1_000, onFull: 'block' })
})
