/** S2: both sides of a book are sorted at each of its updates. */
import { feed, jsonLines, pipeline, type Batch, type MarketEvent } from 'millrace'
import { map } from 'rxjs'

class Book {
  private readonly bids = new Map<number, number>()
  private readonly asks = new Map<number, number>()

  apply(event: MarketEvent): void {
    if (event.kind !== 'snapshot' && event.kind !== 'delta') return
    for (const [price, size] of event.bids) this.set(this.bids, price, size)
    for (const [price, size] of event.asks) this.set(this.asks, price, size)
  }

  best(): { bid: number | undefined; ask: number | undefined } {
    const bids = [...this.bids].sort((a, b) => b[0] - a[0]) // CULPRIT
    const asks = [...this.asks].sort((a, b) => a[0] - b[0])
    return { bid: bids[0]?.[0], ask: asks[0]?.[0] }
  }

  private set(side: Map<number, number>, price: number, size: number): void {
    if (size === 0) side.delete(price)
    else side.set(price, size)
  }
}

export default pipeline('sorts', ({ source, sink }) => {
  const books = new Map<string, Book>()
  const tops = source(
    'market',
    feed({ exchanges: ['binance'], instruments: ['BTC-USDT', 'ETH-USDT'], channels: ['book'], depth: 1_000 }),
    { capacity: 50_000, onFull: 'block' },
  ).through(
    'tops',
    map((batch: Batch<MarketEvent>) =>
      [...batch].map((event) => {
        const book = books.get(event.symbol) ?? new Book()
        books.set(event.symbol, book)
        book.apply(event)
        return { symbol: event.symbol, ...book.best() }
      }),
    ),
  )
  sink(tops, jsonLines('tops.jsonl'), { capacity: 50_000, onFull: 'dropOldest' })
})
