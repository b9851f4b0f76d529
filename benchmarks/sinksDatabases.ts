/**
 * Rows into databases.
 *
 * Why      where a desk asks its questions; and the dearest place to be held back by
 * Input    a million trades into a new table. Ours gets batches of up to 8,192 rows, each of which is a transaction with how far the
 *          run has come; PostgreSQL runs on the same machine, without waiting for its disk
 *          QuestDB is its protocol alone, in batches of 512: a process that answers as one would and keeps nothing
 * Variants of `sinks.duckdb`, `sinks.postgres`, `sinks.questdb`
 *          `plain`               the library's own best: the appender of @duckdb/node-api with columns of 2,048 rows; one `COPY`
 *                                of text for all rows by pg-copy-streams, 512 rows a chunk;
 *                                the `Sender` of @questdb/nodejs-client over HTTP
 *          `duckdb`, `postgres`, `questdb`  our sinks, through their queue, acknowledged
 * Measures `time` ns a row, until everything is committed and closed; `cpu` ns a row of this process (DuckDB is in it,
 *          PostgreSQL is not); `size` bytes a row at the destination; `loopDelay` milliseconds by which the loop was late
 * Baseline `plain`. The aim is a ratio above 0.77: no more than 1.3 times its time
 */
import { once } from 'node:events'
import { existsSync, mkdirSync } from 'node:fs'
import path from 'node:path'
import { Client } from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import type { Trade } from '../src/model/events'
import { duckdb } from '../src/sinks/duckdb'
import { EVENT_FIELDS, type FieldType } from '../src/sinks/eventFields'
import { postgres } from '../src/sinks/postgres'
import { questdb } from '../src/sinks/questdb'
import { POSTGRES_FOLDER, PostgresServer } from '../test/kit/postgresServer'
import { OtherSide } from './kit/otherSide'
import { batchesOf, perRow, perRowInFile, ROW_MEASURES, sinkIntoFile, throughDrain } from './kit/tradeRows'
import { measure, type Sample } from './kit/variants'

const FIELDS = Object.entries<FieldType>(EVENT_FIELDS.trade) as [keyof Trade, FieldType][]
const EDGE = { batchMax: 8_192, flushMs: 50 }
/** What DuckDB takes at a time. */
const CHUNK_ROWS = 2_048

function duckdbAppender(): Promise<Sample> {
  return perRowInFile(async (folder, rows) => {
    const { BOOLEAN, DOUBLE, DuckDBDataChunk, DuckDBInstance, DuckDBTimestampTZValue, TIMESTAMPTZ, VARCHAR } =
      await import('@duckdb/node-api')
    const types = { text: VARCHAR, number: DOUBLE, timeUs: TIMESTAMPTZ, boolean: BOOLEAN } as const
    mkdirSync(folder)
    const file = path.join(folder, 'trades.duckdb')
    const instance = await DuckDBInstance.create(file)
    const connection = await instance.connect()
    const typeOf = (type: FieldType) => types[type as keyof typeof types]
    const columns = FIELDS.map(([name, type]) => `"${name}" ${typeOf(type).toString()}`)
    await connection.run(`CREATE TABLE trades (${columns.join(', ')})`)
    const appender = await connection.createAppender('trades')
    for (const batch of batchesOf(rows, CHUNK_ROWS)) {
      const chunk = DuckDBDataChunk.create(
        FIELDS.map(([, type]) => typeOf(type)),
        batch.length,
      )
      for (const [at, [name, type]] of FIELDS.entries()) {
        const values =
          type === 'timeUs'
            ? batch.map((trade) => new DuckDBTimestampTZValue(BigInt(trade[name as 'receiveTimeUs'])))
            : batch.map((trade) => trade[name] as string | number | boolean)
        chunk.setColumnValues(at, values)
      }
      appender.appendDataChunk(chunk)
    }
    appender.closeSync()
    connection.closeSync()
    instance.closeSync()
    return file
  })
}

const SQL_TYPES: Partial<Record<FieldType, string>> = {
  text: 'text',
  number: 'double precision',
  timeUs: 'timestamptz',
  boolean: 'boolean',
}

let second = NaN
let secondText = ''

/** Microseconds as PostgreSQL reads them in text; most are of the second of those before them. */
function timeText(timeUs = 0): string {
  const of = Math.floor(timeUs / 1_000_000)
  if (of !== second) {
    second = of
    secondText = new Date(of * 1_000).toISOString().slice(0, 19)
  }
  return `${secondText}.${String(timeUs % 1_000_000).padStart(6, '0')}Z`
}

const copyText = (trade: Trade): string =>
  `${trade.kind}\t${trade.exchange}\t${trade.symbol}\t${trade.instrument}\t${timeText(trade.exchangeTimeUs)}\t${timeText(trade.receiveTimeUs)}\t${trade.id}\t${trade.side}\t${trade.price}\t${trade.size}\t${trade.history ? 't' : 'f'}\n`

async function plainCopy(server: PostgresServer): Promise<Sample> {
  return inTable(server, async (rows) => {
    const client = new Client({ connectionString: server.url })
    await client.connect()
    const columns = FIELDS.map(([name, type]) => `"${name}" ${SQL_TYPES[type]}`)
    await client.query(`CREATE TABLE trades (${columns.join(', ')})`)
    const copy = client.query(copyFrom('COPY trades FROM STDIN'))
    for (const batch of batchesOf(rows)) {
      let text = ''
      for (const trade of batch) text += copyText(trade)
      if (!copy.write(text)) await once(copy, 'drain')
    }
    copy.end()
    await once(copy, 'finish')
    await client.end()
  })
}

function ourCopy(server: PostgresServer): Promise<Sample> {
  return inTable(server, (rows) => throughDrain(postgres<Trade>({ connection: server.url }), rows, EDGE))
}

/** Writes the table `trades`, and says how large it is; each time it is a new one. */
function inTable(server: PostgresServer, write: (rows: number) => Promise<void>): Promise<Sample> {
  return perRow(async (rows) => {
    await queried(server, 'DROP TABLE IF EXISTS trades')
    await write(rows)
    const size = `SELECT count(*)::integer AS rows, pg_total_relation_size('trades')::integer AS bytes FROM trades`
    const [found] = (await queried(server, size)) as { readonly rows: number; readonly bytes: number }[]
    if (found?.rows !== rows) throw new Error(`There are ${found?.rows} of ${rows} rows.`)
    return found.bytes
  })
}

async function queried(server: PostgresServer, sql: string): Promise<unknown[]> {
  const client = new Client({ connectionString: server.url })
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows
  } finally {
    await client.end()
  }
}

async function withServer(run: (server: PostgresServer) => Promise<Sample>): Promise<Sample> {
  const server = await PostgresServer.start()
  if (typeof server === 'string') throw new Error(server)
  try {
    return await run(server)
  } finally {
    await server.stop()
  }
}

async function plainLines(): Promise<Sample> {
  const { Sender } = await import('@questdb/nodejs-client')
  return intoQuestDb(async (port, rows) => {
    const sender = await Sender.fromConfig(`http::addr=127.0.0.1:${port};auto_flush=off;`)
    for (const batch of batchesOf(rows)) {
      for (const trade of batch) {
        await sender
          .table('trades')
          .symbol('kind', trade.kind)
          .symbol('exchange', trade.exchange)
          .symbol('symbol', trade.symbol)
          .symbol('instrument', trade.instrument)
          .symbol('side', trade.side!)
          .timestampColumn('exchangeTimeUs', trade.exchangeTimeUs!, 'us')
          .stringColumn('id', trade.id!)
          .floatColumn('price', trade.price)
          .floatColumn('size', trade.size)
          .booleanColumn('history', false)
          .at(trade.receiveTimeUs, 'us')
      }
      await sender.flush()
    }
    await sender.close()
  })
}

function ourLines(): Promise<Sample> {
  return intoQuestDb((port, rows) => throughDrain(questdb<Trade>({ url: `http://127.0.0.1:${port}` }), rows, {}))
}

async function intoQuestDb(write: (port: number, rows: number) => Promise<void>): Promise<Sample> {
  const server = await OtherSide.start('questdb')
  try {
    return await perRow(async (rows) => {
      const before = await server.had()
      await write(server.port, rows)
      return (await server.had()).bytes - before.bytes
    })
  } finally {
    await server.stop()
  }
}

void measure(__filename, [
  {
    name: 'sinks.questdb',
    measures: ROW_MEASURES,
    baseline: 'plain',
    again: false,
    variants: [
      { name: 'plain', run: plainLines },
      { name: 'questdb', run: ourLines },
    ],
  },
  {
    name: 'sinks.duckdb',
    measures: ROW_MEASURES,
    baseline: 'plain',
    again: false,
    variants: [
      { name: 'plain', run: duckdbAppender },
      { name: 'duckdb', run: () => sinkIntoFile('trades.duckdb', (file) => duckdb<Trade>(file), EDGE) },
    ],
  },
  {
    name: 'sinks.postgres',
    measures: ROW_MEASURES,
    baseline: 'plain',
    again: false,
    missing: () => (existsSync(POSTGRES_FOLDER) ? undefined : 'PostgreSQL is not installed'),
    variants: [
      { name: 'plain', run: () => withServer(plainCopy) },
      { name: 'postgres', run: () => withServer(ourCopy) },
    ],
  },
])
