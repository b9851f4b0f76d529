/**
 * Holds a replay to the golden summary of its recordings.
 */
import { expect } from 'chai'
import type { Replayed } from './decoding'
import { readGolden } from './shared'

export function expectGolden(replayed: Replayed, set: string): void {
  const { totals, books, book_integrity: integrity } = readGolden(set)
  const counted = (kind: string): number => replayed.counts.get(kind) ?? 0
  expect({
    trades: counted('trade'),
    history: counted('history'),
    tickers: counted('ticker'),
    candles: counted('candle'),
    snapshots: counted('snapshot'),
    deltas: counted('delta'),
    stale: replayed.stale,
    gaps: replayed.gaps,
    crossed: replayed.crossed,
  }).to.deep.equal({
    trades: totals.trades ?? 0,
    history: totals.trades_history ?? 0,
    tickers: totals.tickers ?? 0,
    candles: totals.candles ?? 0,
    snapshots: totals.book_snapshots ?? 0,
    deltas: totals.book_updates ?? 0,
    stale: integrity['dropped_stale'] ?? 0,
    gaps: 0,
    crossed: integrity['crossed_states'] ?? 0,
  })
  for (const [symbol, golden] of Object.entries(books)) {
    const book = replayed.books.get(symbol)!
    expect(book.bids.texts(10), `${symbol} bids`).to.deep.equal(golden.bids)
    expect(book.asks.texts(10), `${symbol} asks`).to.deep.equal(golden.asks)
    expect([book.bids.length, book.asks.length], `${symbol} levels`).to.deep.equal(golden.levels)
  }
}
