/**
 * Downloadable CSV files of tardis.dev: decoded already, the same columns for every exchange. Each becomes a recording of
 * the venue `normalised:<exchange>`, one frame an event, which a replay reads as it reads the exchange itself.
 *
 * Truth   https://docs.tardis.dev/downloadable-csv-files/data-types (read 2026-11-28)
 * Kinds   trades, incremental_book_L2, book_snapshot_N, quotes, book_ticker, derivative_ticker, liquidations; told by the
 *         columns, except that trades and liquidations have the same ones
 * Time    microseconds: `local_timestamp` when it was received; `timestamp` is the exchange's, or the same where it gave
 *         none
 * Book    rows of one message follow each other with one `local_timestamp`. A snapshot after a change begins the book
 *         anew; changes before the first snapshot of a book are not of it
 * Left    the end of a connection (a snapshot follows it), sequence numbers, and `predicted_funding_rate`, which is kept
 *         in the frame and has no event
 */
import path from 'node:path'
import { normalisedVenue } from '../../../exchanges/normalised'
import { Fault } from '../../../model/fault'
import type { SessionRecord } from '../../record'
import {
  LeftOut,
  timeOfNanoseconds,
  type ForeignFile,
  type ForeignFormat,
  type LineDecoder,
  type RecordTimeParts,
} from './foreignFormat'
import { tardisExchange } from './tardisExchanges'

export const tardisCsv: ForeignFormat = {
  name: 'tardis-csv',
  title: "tardis.dev's CSV files",
  needsExchange: false,
  recognises: (start) => /^exchange,symbol,timestamp,local_timestamp,/.test(start),
  decoder: (file) => new Decoder(file),
}

/** What a kind of file makes of a row; a sentence's end where it cannot be read. */
type RowDecoder = (row: Row, out: SessionRecord[]) => string | undefined

/** The cells of a line by their column. */
type Row = (column: string) => string

/** Books whose state is remembered: files hold one instrument, or the instruments of one exchange. */
const BOOKS_MAX = 65_536
const LEVELS_MAX = 1_000
/** No exchange's book is deeper. */
const MESSAGE_LEVELS_MAX = 1_000_000

class Decoder implements LineDecoder {
  readonly leftOut = new LeftOut()
  private columns: ReadonlyMap<string, number> | undefined
  private decode: RowDecoder | undefined
  private depth = 0
  /** The message whose rows are being gathered. */
  private message: Message | undefined
  /** Of each book: whether the last change of it was a part of a snapshot. */
  private readonly books = new Map<string, boolean>()
  /** Which of tardis.dev's exchanges each of ours is, so that two markets are not taken for one. */
  private readonly exchanges = new Map<string, string>()

  constructor(private readonly file: ForeignFile) {
    const { dataType } = file
    if (dataType !== undefined && !DATA_TYPES.includes(dataType)) {
      throw new Fault(
        'OPTION_INVALID',
        `The data type ${JSON.stringify(dataType)} is none of ${DATA_TYPES.join(', ')}.`,
        { dataType },
      )
    }
  }

  line(text: string, out: SessionRecord[]): string | undefined {
    if (text === '') return undefined
    const cells = cellsOf(text)
    if (cells === undefined) return 'has a quote that does not end'
    if (this.columns === undefined) {
      this.begin(cells)
      return undefined
    }
    const { columns } = this
    if (cells.length !== columns.size) return `has ${cells.length} cells, and the file has ${columns.size} columns`
    return this.decode!((column) => cells[columns.get(column) ?? -1] ?? '', out)
  }

  end(out: SessionRecord[]): void {
    this.flush(out)
  }

  private begin(cells: readonly string[]): void {
    this.columns = new Map(cells.map((cell, index) => [cell, index]))
    for (const column of ['exchange', 'symbol', 'timestamp', 'local_timestamp']) {
      if (!this.columns.has(column))
        throw this.refusal(`has no column ${column} in its first line, as all of tardis.dev's have`)
    }
    this.decode = this.rowDecoder(this.columns)
  }

  private rowDecoder(columns: ReadonlyMap<string, number>): RowDecoder {
    const has = (...names: readonly string[]): boolean => names.every((name) => columns.has(name))
    if (has('is_snapshot', 'side', 'price', 'amount')) return (row, out) => this.bookRow(row, out)
    if (has('asks[0].price', 'bids[0].price')) {
      while (this.depth < LEVELS_MAX && has(`asks[${this.depth}].price`)) this.depth += 1
      return (row, out) => this.snapshotRow(row, out)
    }
    if (has('ask_amount', 'ask_price', 'bid_price', 'bid_amount')) return (row, out) => this.quoteRow(row, out)
    if (has('funding_rate', 'mark_price')) return (row, out) => this.derivativeRow(row, out)
    if (has('id', 'side', 'price', 'amount')) {
      const type = this.file.dataType ?? typeOfName(this.file.path)
      if (type === undefined) {
        throw this.refusal(
          'has the columns of trades and of liquidations, and says in its name neither; give the data type, trades or liquidations',
        )
      }
      return (row, out) => this.tradeRow(type === 'liquidations' ? 'liquidation' : 'trade', row, out)
    }
    throw this.refusal(
      'has columns of no kind that is read here: trades, incremental_book_L2, book_snapshot_N, quotes, book_ticker, derivative_ticker, liquidations',
    )
  }

  private tradeRow(kind: 'trade' | 'liquidation', row: Row, out: SessionRecord[]): string | undefined {
    const side = row('side')
    return this.push(row, out, {
      kind,
      id: kind === 'trade' ? given(row('id')) : undefined,
      side: side === 'buy' || side === 'sell' ? side : undefined,
      price: row('price'),
      size: row('amount'),
    })
  }

  private quoteRow(row: Row, out: SessionRecord[]): string | undefined {
    return this.push(row, out, {
      kind: 'ticker',
      bidPrice: given(row('bid_price')),
      bidSize: given(row('bid_amount')),
      askPrice: given(row('ask_price')),
      askSize: given(row('ask_amount')),
    })
  }

  private derivativeRow(row: Row, out: SessionRecord[]): string | undefined {
    const funding = given(row('funding_timestamp'))
    if (funding !== undefined && !/^\d{1,16}$/.test(funding)) return 'has a funding_timestamp that is none'
    const problem = this.push(row, out, {
      kind: 'derivative',
      markPrice: given(row('mark_price')),
      indexPrice: given(row('index_price')),
      fundingRate: given(row('funding_rate')),
      nextFundingTimeUs: funding === undefined ? undefined : Number(funding),
      openInterest: given(row('open_interest')),
      predictedFundingRate: given(row('predicted_funding_rate')),
    })
    const lastPrice = given(row('last_price'))
    return problem ?? (lastPrice === undefined ? undefined : this.push(row, out, { kind: 'ticker', lastPrice }))
  }

  private snapshotRow(row: Row, out: SessionRecord[]): string | undefined {
    const side = (name: string): [string, string][] => {
      const levels: [string, string][] = []
      for (let at = 0; at < this.depth; at += 1) {
        const price = row(`${name}[${at}].price`)
        if (price !== '') levels.push([price, row(`${name}[${at}].amount`)])
      }
      return levels
    }
    return this.push(row, out, { kind: 'snapshot', bids: side('bids'), asks: side('asks'), depth: this.depth })
  }

  private bookRow(row: Row, out: SessionRecord[]): string | undefined {
    const side = row('side')
    const isSnapshot = row('is_snapshot')
    if (side !== 'bid' && side !== 'ask') return 'has a side that is neither bid nor ask'
    if (isSnapshot !== 'true' && isSnapshot !== 'false') return 'has an is_snapshot that is neither true nor false'
    const key = `${row('local_timestamp')},${row('timestamp')},${isSnapshot},${row('exchange')},${row('symbol')}`
    if (this.message?.key !== key) {
      this.flush(out)
      const head = this.headOf(row)
      if (typeof head === 'string') return head
      const kind = this.kindOf(`${head.venue} ${head.symbol}`, isSnapshot === 'true')
      this.message = { key, head, kind, bids: [], asks: [] }
    }
    const { bids, asks } = this.message
    if (bids.length + asks.length >= MESSAGE_LEVELS_MAX)
      return `makes a message of more than ${MESSAGE_LEVELS_MAX} levels`
    ;(side === 'bid' ? bids : asks).push([row('price'), row('amount')])
    if (this.message.kind === undefined) this.leftOut.add('rows of a book before its first snapshot')
    return undefined
  }

  /** What a message is to its book; undefined where there is no book yet. */
  private kindOf(book: string, isSnapshot: boolean): 'snapshot' | 'delta' | undefined {
    const wasSnapshot = this.books.get(book)
    if (!isSnapshot && wasSnapshot === undefined) return undefined
    if (wasSnapshot === undefined && this.books.size >= BOOKS_MAX)
      throw this.refusal(`is of more than ${BOOKS_MAX} books`)
    this.books.set(book, isSnapshot)
    return isSnapshot && wasSnapshot !== true ? 'snapshot' : 'delta'
  }

  private flush(out: SessionRecord[]): void {
    const { message } = this
    this.message = undefined
    if (message?.kind === undefined) return
    const { head, kind, bids, asks } = message
    out.push(recordOf(head, this.file.connection, { kind, bids, asks }))
  }

  private push(row: Row, out: SessionRecord[], fields: FrameFields): string | undefined {
    const head = this.headOf(row)
    if (typeof head === 'string') return head
    out.push(recordOf(head, this.file.connection, fields))
    return undefined
  }

  /** What all kinds have, or why it cannot be read. */
  private headOf(row: Row): Head | string {
    const theirs = row('exchange')
    if (!/^[a-z0-9][a-z0-9-]{0,63}$/.test(theirs)) return 'names no exchange'
    const symbol = row('symbol')
    if (symbol === '' || symbol.length > 128) return 'names no symbol'
    const local = row('local_timestamp')
    const time = timeOfNanoseconds(`${local}000`)
    if (!/^\d{1,16}$/.test(local) || time === undefined) return 'has a local_timestamp that is no time in microseconds'
    const exchangeTime = row('timestamp')
    if (exchangeTime !== '' && !/^\d{1,16}$/.test(exchangeTime))
      return 'has a timestamp that is no time in microseconds'
    return {
      time,
      symbol,
      venue: normalisedVenue(this.ours(theirs)),
      exchangeTimeUs: exchangeTime === '' || exchangeTime === local ? undefined : Number(exchangeTime),
    }
  }

  private ours(theirs: string): string {
    const { exchange } = tardisExchange(theirs)
    const first = this.exchanges.get(exchange)
    if (first === undefined && this.exchanges.size < BOOKS_MAX) this.exchanges.set(exchange, theirs)
    else if (first !== theirs) {
      throw this.refusal(
        `is of ${first} and of ${theirs}, two markets of ${exchange} that spell instruments alike; divide it`,
      )
    }
    return exchange
  }

  private refusal(what: string): Fault {
    return new Fault('RECORDING_INVALID', `The file ${this.file.path} ${what}.`, { path: this.file.path })
  }
}

export const DATA_TYPES: readonly string[] = ['trades', 'liquidations']

interface Head {
  readonly time: RecordTimeParts
  readonly venue: string
  readonly symbol: string
  readonly exchangeTimeUs: number | undefined
}

interface Message {
  readonly key: string
  readonly head: Head
  /** Undefined for changes of a book that has not begun. */
  readonly kind: 'snapshot' | 'delta' | undefined
  readonly bids: [string, string][]
  readonly asks: [string, string][]
}

/** Of a normalised frame, beside its instrument and time. */
interface FrameFields {
  readonly kind: string
  readonly [field: string]: unknown
}

function recordOf(head: Head, connection: number, { kind, ...fields }: FrameFields): SessionRecord {
  const { time, venue, symbol, exchangeTimeUs } = head
  const data = JSON.stringify({ kind, symbol, exchangeTimeUs, ...fields })
  return { ...time, connection, exchange: venue, dir: 'in', data }
}

/** An empty cell says nothing. */
function given(cell: string): string | undefined {
  return cell === '' ? undefined : cell
}

/** `binance_trades_2020-02-01_BTCUSDT.csv.gz`, or a folder of that name above it. */
function typeOfName(file: string): string | undefined {
  const name = path.basename(file)
  const above = path.resolve(file).split(path.sep)
  const named = DATA_TYPES.filter((type) => new RegExp(`(?:^|_)${type}(?:_|\\.|$)`).test(name))
  if (named.length > 0) return named.length === 1 ? named[0] : undefined
  const folders = DATA_TYPES.filter((type) => above.includes(type))
  return folders.length === 1 ? folders[0] : undefined
}

/** The cells of a line (RFC 4180); undefined where a quote does not end. */
function cellsOf(line: string): readonly string[] | undefined {
  if (!line.includes('"')) return line.split(',')
  const cells: string[] = []
  const cell = /(?:"((?:[^"]|"")*)"|([^",]*))(,|$)/y
  while (cell.lastIndex <= line.length) {
    const match = cell.exec(line)
    if (match === null) return undefined
    cells.push(match[1] === undefined ? match[2]! : match[1].replaceAll('""', '"'))
    if (match[3] === '') return cells
  }
  return undefined
}
