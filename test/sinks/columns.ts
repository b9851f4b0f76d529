/** Readers that know nothing of the writers: DuckDB and hyparquet. */
import { DuckDBInstance } from '@duckdb/node-api'
import { RecordBatchReader, type RecordBatch } from 'apache-arrow'
import type { MarketEvent } from '../../src/model/events'

/** The rows of a query, as JavaScript has them: whole numbers and times as bigint. */
export async function query(sql: string): Promise<Record<string, unknown>[]> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  try {
    const connection = await instance.connect()
    const reader = await connection.runAndReadAll(sql)
    const rows = reader.getRowObjects().map((each) => plain(each) as Record<string, unknown>)
    connection.closeSync()
    return rows
  } finally {
    instance.closeSync()
  }
}

function plain(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if ('items' in value && Array.isArray(value.items)) return value.items.map(plain)
  if ('micros' in value) return value.micros
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, plain(field)]))
}

/** The rows of an Arrow stream as JavaScript has them: whole numbers and times as bigint. Half a message at the end is no row. */
export function arrowRows(bytes: Uint8Array): Record<string, unknown>[] {
  if (bytes.length === 0) return []
  const rows: Record<string, unknown>[] = []
  const batches = RecordBatchReader.from(bytes)[Symbol.iterator]() as Iterator<RecordBatch>
  for (;;) {
    let next: IteratorResult<RecordBatch>
    try {
      next = batches.next()
    } catch {
      return rows
    }
    if (next.done === true) return rows
    rows.push(...batchRows(next.value))
  }
}

function batchRows(batch: RecordBatch): Record<string, unknown>[] {
  const columns = batch.schema.fields.map(({ name }) => [name, batch.getChild(name)!] as const)
  return Array.from({ length: batch.numRows }, (_, at) =>
    Object.fromEntries(columns.map(([name, column]) => [name, plainArrow(name, column, at)])),
  )
}

/** `get` of a time is in milliseconds, with a fraction: the whole number beneath is taken. */
function plainArrow(name: string, column: NonNullable<ReturnType<RecordBatch['getChild']>>, at: number): unknown {
  if (name.endsWith('TimeUs') && column.isValid(at)) return (column.toArray() as BigInt64Array)[at]
  const cell: unknown = column.get(at)
  return isIterable(cell) ? [...cell].map((level) => [...(level as Iterable<number>)]) : cell
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.iterator in value
}

export const sqlText = (text: string): string => `'${text.replaceAll("'", "''")}'`

/** One or more of every kind, with what is hard to keep: absent and empty, the largest whole number, times before 1970. */
export function hardEvents(): MarketEvent[] {
  const base = {
    exchange: 'kraken',
    symbol: 'XBT/ÜSD 漢字 🚀',
    exchangeTimeUs: -1,
    receiveTimeUs: 1_700_000_000_000_001,
  }
  return [
    { ...base, kind: 'trade', id: 'a"\n\u0000b', side: 'buy', price: 0.1, size: 5e-324, history: true },
    { ...base, kind: 'trade', price: 1e308, size: 0 },
    { ...base, kind: 'trade', id: '', side: 'sell', price: -12.5, size: NaN },
    { ...base, kind: 'snapshot', bids: [], asks: [], seq: Number.MAX_SAFE_INTEGER },
    {
      ...base,
      kind: 'delta',
      bids: [
        [1.5, 2],
        [1.25, 0],
      ],
      asks: [],
      seq: 2,
      prevSeq: -Number.MAX_SAFE_INTEGER,
    },
    { ...base, kind: 'ticker', bidPrice: 1, lastPrice: 2.5 },
    {
      ...base,
      kind: 'candle',
      openTimeUs: -62_135_596_800_000_000 / 10,
      intervalUs: 60_000_000,
      open: 1,
      high: 2,
      low: 0.5,
      close: 1.5,
      volume: 10,
      closed: false,
    },
    { ...base, kind: 'derivative', markPrice: 1, fundingRate: -0.0001, nextFundingTimeUs: 1_700_000_000_000_000 },
    { ...base, kind: 'liquidation', side: 'sell', price: 3, size: 4 },
    { ...base, kind: 'notice', code: 'gap', details: { from: 1, text: 'ü', none: null, list: [1, 2] } },
  ] as MarketEvent[]
}
