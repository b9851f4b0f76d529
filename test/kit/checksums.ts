/**
 * Recomputes the checksums of a recorded session from books kept in the plainest way.
 */
import { expect } from 'chai'
import { Level2Book } from '../../src/book/level2Book'
import type { ExchangeProtocol } from '../../src/exchanges/protocol'
import { decodeFrame, writerFor } from './decoding'
import { readRecording } from './shared'

/** Fails at the first checksum that is not ours; returns how many were compared. */
export function verifyChecksums(exchange: ExchangeProtocol, session: string): number {
  const rule = exchange.book.checksum!
  const writer = writerFor(exchange)
  const books = new Map<string, Level2Book>()
  let checked = 0
  for (const { dir, raw } of readRecording(session).lines) {
    if (dir !== 'in') continue
    for (const event of decodeFrame(exchange, raw!, writer).events) {
      if (event.kind !== 'snapshot' && event.kind !== 'delta') continue
      let book = books.get(event.symbol)
      if (book === undefined) books.set(event.symbol, (book = new Level2Book()))
      if (event.kind === 'snapshot') book.snapshot(event)
      else book.delta(event)
      if (event.checksum === undefined || rule.isNone(event.checksum)) continue
      expect(rule.compute(book), `${event.symbol}, checksum ${checked}`).to.equal(event.checksum)
      checked++
    }
  }
  return checked
}
