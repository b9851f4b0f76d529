/**
 * A book as it stood when a recording was cut (`millrace-book-state/1`): the body of a `rest` line of the role `book-state`.
 *
 * An exchange says a book once and then only its changes, so what is cut out of a recording begins without it. These lines
 * say it: millrace's own word for what the lines before had made of the book, with the digits of the wire, to which the
 * changes that follow are joined and checked as ever. Nothing is put into the exchange's mouth.
 */
import type { Level2Book } from '../../book/level2Book'
import type { EventWriter } from '../../model/codec/eventWriter'
import { invalid, list, optionalInteger, record, text } from '../../model/codec/wire'

export const BOOK_STATE_FORMAT = 'millrace-book-state/1'

/** What is known of a book beside its levels. */
export interface BookStateNumbers {
  readonly symbol: string
  readonly seq: number | undefined
  readonly depth: number | undefined
  readonly exchangeTimeUs: number | undefined
}

/** JSON text of a book as it is. */
export function bookStateText(numbers: BookStateNumbers, { bids, asks }: Level2Book): string {
  const { symbol, seq, depth, exchangeTimeUs } = numbers
  return JSON.stringify({
    format: BOOK_STATE_FORMAT,
    symbol,
    exchangeTimeUs,
    seq,
    depth,
    bids: bids.texts(bids.length),
    asks: asks.texts(asks.length),
  })
}

/**
 * Writes a book's state as the snapshot that it is.
 *
 * @throws `VALUE_INVALID` when it is none
 */
export function writeBookState(body: string, writer: EventWriter): void {
  const state = record(parsed(body), 'body')
  if (state['format'] !== BOOK_STATE_FORMAT) throw invalid('format', state['format'], BOOK_STATE_FORMAT)
  const seq = optionalInteger(state['seq'], 'seq')
  const depth = optionalInteger(state['depth'], 'depth')
  writer.book(
    'snapshot',
    text(state['symbol'], 'symbol'),
    optionalInteger(state['exchangeTimeUs'], 'exchangeTimeUs'),
    writer.levelsOf(list(state['bids'], 'bids'), 'bids'),
    writer.levelsOf(list(state['asks'], 'asks'), 'asks'),
    { ...(seq === undefined ? {} : { seq }), ...(depth === undefined ? {} : { depth }) },
  )
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    throw invalid('body', body.slice(0, 60), 'JSON')
  }
}
