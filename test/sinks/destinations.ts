/**
 * Every destination that keeps what it was given, as the proofs need it that use processes of their own: how its sink is
 * made, and how its rows are read back by somebody else.
 *
 * A process is told the name of a destination and its place, and makes the sink itself.
 */
import { DuckDBInstance } from '@duckdb/node-api'
import { existsSync } from 'node:fs'
import { appendFile, mkdir, open, readFile, readdir, type FileHandle } from 'node:fs/promises'
import path from 'node:path'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { liveClock } from '../../src/clock/liveClock'
import type { WritableFile } from '../../src/feed/recording/lineFile'
import { readRecording } from '../../src/feed/recording/recordingReader'
import { openRecording, type RecordingWriter } from '../../src/feed/recording/recordingWriter'
import type { Fault } from '../../src/model/fault'
import { arrow } from '../../src/sinks/arrow'
import { Client } from 'pg'
import { gunzipSync } from 'node:zlib'
import { decompressFrame } from 'lz4-napi'
import { csv } from '../../src/sinks/csv'
import { duckdb } from '../../src/sinks/duckdb'
import { htmlReport } from '../../src/sinks/htmlReport'
import { http } from '../../src/sinks/http'
import { jsonLines } from '../../src/sinks/jsonLines'
import { jsonReport } from '../../src/sinks/jsonReport'
import { parquet } from '../../src/sinks/parquet'
import { postgres } from '../../src/sinks/postgres'
import { questdb } from '../../src/sinks/questdb'
import { sinkCounters, type Delivery, type Sink } from '../../src/sinks/sink'
import { arrowRows, query, sqlText } from './columns'
import type { Row } from './conformance'
import { numberedRow } from './numberedRow'

/** Where rows go: a folder that nobody else uses, and the address of a server where there is one. */
export interface Place {
  readonly outDir: string
  readonly url?: string
}

export interface Destination {
  readonly delivery: Delivery
  /** The most rows of a batch, where many would take long. */
  readonly batchMax?: number
  /** Makes the sink; nothing is opened yet. */
  sink(place: Place): Sink<Row>
  /**
   * The rows there, in order. Rejects when anything is not whole.
   *
   * @param torn  the writer was killed: what it had begun and not acknowledged may stand at the end of a file of lines, where
   *              whoever reads lines does not see it and the next writer cuts it off
   */
  read(place: Place, torn: boolean): Promise<Row[]>
}

export const DESTINATIONS = {
  jsonLines: {
    delivery: 'atLeastOnce',
    sink: () => jsonLines<Row>('rows.jsonl', { append: true }),
    read: async (place, torn) => jsonRows(await text(place, 'rows.jsonl'), torn),
  },
  'jsonLines, rotated': {
    delivery: 'atLeastOnce',
    sink: () => jsonLines<Row>('rows.jsonl', { append: true, rotate: { bytes: 30_000 } }),
    read: async (place, torn) => {
      const finished = (await names(place)).filter((name) => /^rows\.\d+\.jsonl$/.test(name)).sort()
      const rows = await Promise.all(finished.map(async (name) => jsonRows(await text(place, name), false)))
      return [...rows.flat(), ...jsonRows(await text(place, 'rows.jsonl'), torn)]
    },
  },
  csv: {
    delivery: 'atLeastOnce',
    sink: () => csv<Row>('rows.csv', { append: true, columns: ['n', 'text'] }),
    read: async (place, torn) => csvRows(await text(place, 'rows.csv'), torn),
  },
  'jsonLines, gzip': {
    delivery: 'atLeastOnce',
    sink: () => jsonLines<Row>('rows.jsonl.gz', { append: true, rotate: { bytes: 30_000 } }),
    read: async (place, torn) => {
      const files = (await names(place)).filter((name) => name.endsWith('.jsonl.gz')).sort(growingLast)
      const rows = await Promise.all(
        files.map(async (name) => jsonRows(await gzipText(place, name, torn && name === 'rows.jsonl.gz'), false)),
      )
      return rows.flat()
    },
  },
  'jsonLines, lz4': {
    delivery: 'atLeastOnce',
    sink: () => jsonLines<Row>('rows.jsonl.lz4', { append: true }),
    read: async (place, torn) => jsonRows(await lz4Text(place, 'rows.jsonl.lz4', torn), false),
  },
  'jsonLines, many files': {
    delivery: 'atLeastOnce',
    sink: () =>
      jsonLines<Row>('{date}.jsonl', { append: true, openFilesMax: 2, timeUs: ({ n }) => (n % 4) * 86_400_000_000 }),
    read: async (place, torn) => {
      const rows = await Promise.all((await names(place)).map(async (name) => jsonRows(await text(place, name), torn)))
      return withoutUnfinished(
        rows.flat().sort((a, b) => a.n - b.n),
        torn,
      )
    },
  },
  jsonReport: {
    delivery: 'latest',
    sink: () => jsonReport<Row>('row.json', { everyMs: 0 }),
    read: async (place) => {
      const report = await text(place, 'row.json')
      return report === '' ? [] : [JSON.parse(report) as Row]
    },
  },
  htmlReport: {
    delivery: 'latest',
    sink: () => htmlReport('page.html', { everyMs: 0 }),
    read: async (place) => pageRows(await text(place, 'page.html')),
  },
  recording: {
    delivery: 'atLeastOnce',
    batchMax: 20,
    sink: recordingOf,
    read: async ({ outDir }, torn) => {
      const files = (await names({ outDir })).filter((name) => /^rows\.\d+\.ndjson\.gz$/.test(name)).sort()
      const recorded = await Promise.all(files.map((name) => recordedRows(path.join(outDir, name))))
      if (!torn && recorded.at(-1)?.ended !== true) throw new Error('The last recording was not finished.')
      return recorded.flatMap(({ rows }) => rows)
    },
  },
  duckdb: {
    delivery: 'effectivelyOnce',
    sink: () => duckdb<Row>('rows.duckdb'),
    read: ({ outDir }) => duckDbRows(path.join(outDir, 'rows.duckdb')),
  },
  parquet: {
    delivery: 'effectivelyOnce',
    // Small row groups, so that files are merged, copied and rotated within a few batches.
    sink: () => parquet<Row>('rows.parquet', { rowGroupRows: 4_096, rotate: { bytes: 60_000 } }),
    read: async ({ outDir }) => {
      const files = (await names({ outDir })).filter((name) => /^rows(\.\d+)?\.parquet$/.test(name)).sort()
      const rows: Row[] = []
      for (const name of files) rows.push(...(await parquetRows(path.join(outDir, name))))
      return rows
    },
  },
  arrow: {
    delivery: 'effectivelyOnce',
    sink: () => arrow<Row>('rows.arrows', { rotate: { bytes: 300_000 } }),
    read: async ({ outDir }) => {
      const files = (await names({ outDir })).filter((name) => name.endsWith('.arrows')).sort()
      const rows = await Promise.all(files.map(async (name) => arrowRows(await readFile(path.join(outDir, name)))))
      return rows.flat() as unknown as Row[]
    },
  },
  'parquet, partitioned': {
    delivery: 'effectivelyOnce',
    sink: () => bucketed(parquet<Row>('rows', { partition: ['bucket'], partitionsOpen: 2 })),
    read: async ({ outDir }, torn) => {
      const files = (await readdir(outDir, { recursive: true }).catch(() => [])).filter((name) =>
        name.endsWith('.parquet'),
      )
      if (files.length === 0) return []
      const rows = await parquetRows(path.join(outDir, 'rows/**/*.parquet'), 'ORDER BY n')
      // A batch goes to one folder after the other: what was not acknowledged may be in some and not in others.
      const gap = rows.findIndex(({ n }, at) => n > at)
      return torn && gap >= 0 ? rows.slice(0, gap) : rows
    },
  },
} as const satisfies Readonly<Record<string, Destination>>

/** Destinations that need a server, whose address is the place's. */
export const SERVED = {
  postgres: {
    delivery: 'effectivelyOnce',
    sink: ({ url }: Place) => postgres<Row>({ connection: url! }),
    read: ({ url }: Place) => postgresRows(url!),
  },
  http: {
    // With a receiver that honours the keys, which is what it takes.
    delivery: 'effectivelyOnce',
    sink: ({ url }: Place) => http<Row>(url!, { name: 'hook', gzip: true }),
    read: async ({ url }: Place) => (await (await fetch(url!)).json()) as Row[],
  },
  questdb: {
    delivery: 'atLeastOnce',
    sink: ({ url }: Place) => questdb<Row>({ url: url! }),
    read: async ({ url }: Place) => {
      const answer = await fetch(`${url!}/exec?query=${encodeURIComponent('SELECT * FROM "rows"')}`)
      const { dataset } = (await answer.json()) as { dataset?: [number, string][] }
      return (dataset ?? []).map(([n, text]) => ({ n, text }))
    },
  },
} as const satisfies Readonly<Record<string, Destination>>

/** Destinations that promise what they do not keep, each of which the proof must find out. */
export const UNTRUE = {
  'acknowledges before it has written': {
    delivery: 'atLeastOnce',
    sink: (): Sink<Row> => {
      const sink = jsonLines<Row>('rows.jsonl', { append: true })
      let writing = Promise.resolve()
      return {
        ...sink,
        async write(batch) {
          await writing
          writing = setImmediate().then(() => sink.write(batch))
        },
        async close() {
          await writing
          await sink.close()
        },
      }
    },
    read: DESTINATIONS.jsonLines.read,
  },
  'acknowledges before it has written when it goes on with a run': {
    delivery: 'effectivelyOnce',
    sink: ({ outDir }): Sink<Row> => {
      const sink = jsonLines<Row>('rows.jsonl', { append: true })
      let there = 0
      let writing = Promise.resolve()
      return {
        ...sink,
        async open(context) {
          await sink.open(context)
          there = jsonRows(await text({ outDir }, 'rows.jsonl'), false).length
        },
        position: () => there,
        async write(batch) {
          await writing
          writing = setImmediate().then(() => sink.write(batch))
          if (there === 0) await writing
        },
        async close() {
          await writing
          await sink.close()
        },
      }
    },
    read: DESTINATIONS.jsonLines.read,
  },
  'writes again what it says it writes once': {
    delivery: 'effectivelyOnce',
    sink: DESTINATIONS.jsonLines.sink,
    read: DESTINATIONS.jsonLines.read,
  },
  'goes on behind half a row': {
    delivery: 'atLeastOnce',
    sink: ({ outDir }): Sink<Row> => {
      const file = path.join(outDir, 'rows.jsonl')
      return {
        name: 'halves',
        counters: sinkCounters(),
        async open() {
          await mkdir(outDir, { recursive: true })
        },
        async write(batch) {
          for (const row of batch) {
            const line = `${JSON.stringify(row)}\n`
            await appendFile(file, line.slice(0, line.length / 2))
            await appendFile(file, line.slice(line.length / 2))
          }
        },
        close: () => Promise.resolve(),
      }
    },
    read: DESTINATIONS.jsonLines.read,
  },
} as const satisfies Readonly<Record<string, Destination>>

/** Destinations that keep their promises as late as others on a disk that has a lot to do. */
export const LATE = {
  'takes longer for its last batches than an edge allows it': {
    delivery: 'atLeastOnce',
    sink: (): Sink<Row> => {
      const sink = jsonLines<Row>('rows.jsonl', { append: true })
      let waiting: Promise<void> | undefined
      return {
        ...sink,
        async write(batch) {
          await (waiting ??= setTimeout(5_500))
          await sink.write(batch)
        },
      }
    },
    read: DESTINATIONS.jsonLines.read,
  },
} as const satisfies Readonly<Record<string, Destination>>

export type DestinationName = keyof typeof DESTINATIONS | keyof typeof SERVED | keyof typeof UNTRUE | keyof typeof LATE

export function destinationOf(name: DestinationName): Destination {
  return { ...DESTINATIONS, ...SERVED, ...UNTRUE, ...LATE }[name]
}

/** The row that a page shows as the latest, whose text it shortens. A page that is not whole has no data that could be read. */
function pageRows(page: string): Row[] {
  if (page === '') return []
  const [, data] = /id="data">(.*?)<\/script>/s.exec(page)!
  const [latest] = (JSON.parse(data!) as { latest: { fields: Row }[] }).latest
  if (latest === undefined || !page.trimEnd().endsWith('</html>')) throw new Error('The page is not whole.')
  const { n, text } = latest.fields
  const wanted = numberedRow(n)
  return [text.endsWith('…') && wanted.text.startsWith(text.slice(0, -1)) ? wanted : { n, text }]
}

/** A table has no order of its own: rows of transactions that were given up leave room in between. */
async function postgresRows(url: string): Promise<Row[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    const there = await client.query("SELECT to_regclass('rows') IS NOT NULL AS there")
    if (!(there.rows[0] as { there: boolean }).there) return []
    return (await client.query<Row>('SELECT n, text FROM rows ORDER BY n')).rows
  } finally {
    await client.end()
  }
}

/**
 * The writer of recordings, which is no sink: a row is a frame, and acknowledged when the file has it. Each life has a file of
 * its own, because a recording is not gone on with.
 */
function recordingOf({ outDir }: Place): Sink<Row> {
  const counters = sinkCounters()
  const record = { dir: 'in', ns: 0, connection: 0, exchange: 'kraken' } as const
  let writer: RecordingWriter | undefined
  let file: CountedFile | undefined
  let timeUs = 0
  return {
    name: 'recording',
    counters,
    async open({ onFault = () => undefined }) {
      const numbered = path.join(outDir, `rows.${String((await names({ outDir })).length).padStart(4, '0')}.ndjson.gz`)
      writer ??= await openRecording(
        numbered,
        { venues: ['kraken'] },
        {
          clock: liveClock,
          onFault,
          flushBytes: 1,
          retry: { minMs: 1, maxMs: 5, atMost: 1_000_000, withinMs: 1_000_000 },
          openFile: async (name) => (file = new CountedFile(await open(name, 'w'))),
        },
      )
    },
    async write(batch) {
      for (const row of batch) writer!.write({ ...record, timeUs: ++timeUs, data: JSON.stringify(row) })
      while (file!.pieces < timeUs) await setImmediate()
      counters.written += batch.length
    },
    async close() {
      await writer?.close()
      writer = undefined
    },
  }
}

/** Counts the pieces that were written whole behind the header: each frame is one, as none waits for others. */
class CountedFile implements WritableFile {
  pieces = 0

  constructor(private readonly file: FileHandle) {}

  async write(bytes: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesWritten: number }> {
    const written = await this.file.write(bytes, offset, length, position)
    if (position > 0 && written.bytesWritten === length) this.pieces++
    return written
  }

  close(): Promise<void> {
    return this.file.close()
  }
}

/** A file that was cut before its header was whole, holds no rows yet. */
async function recordedRows(file: string): Promise<{ readonly rows: Row[]; readonly ended: boolean }> {
  const rows: Row[] = []
  const faults: Fault[] = []
  const reader = readRecording(file, { onFault: (fault) => faults.push(fault) })
  const header = await reader.header().catch(() => undefined)
  if (header === undefined) return { rows, ended: false }
  for await (const batch of reader) {
    for (const record of batch) if (record.dir === 'in') rows.push(JSON.parse(String(record.data)) as Row)
  }
  const worse = faults.find(({ code }) => code !== 'RECORDING_CUT')
  if (worse !== undefined) throw worse
  return { rows, ended: header.ended && faults.length === 0 }
}

/** The file is opened for writing, as whoever opens it next would: so the log of a writer that was killed is replayed. */
async function duckDbRows(file: string): Promise<Row[]> {
  if (!existsSync(file)) return []
  const instance = await DuckDBInstance.create(file)
  const connection = await instance.connect()
  try {
    const tables = await connection.runAndReadAll("SELECT 1 FROM duckdb_tables() WHERE table_name = 'rows'")
    if (tables.currentRowCount === 0) return []
    return (
      await connection.runAndReadAll('SELECT n, text FROM rows ORDER BY rowid')
    ).getRowObjectsJS() as unknown as Row[]
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

/** `rows.000001.jsonl.gz` before `rows.jsonl.gz` */
function growingLast(one: string, other: string): number {
  return other.length - one.length || (one < other ? -1 : 1)
}

/** The text of the whole members. A member begins with its magic number; one that is found by chance is no member. */
async function gzipText({ outDir }: Place, name: string, torn: boolean): Promise<string> {
  const bytes = await readFile(path.join(outDir, name))
  for (let end = bytes.length; end > 0; end = bytes.subarray(0, end).lastIndexOf(GZIP_MAGIC)) {
    try {
      return gunzipSync(bytes.subarray(0, end)).toString()
    } catch (cause) {
      if (!torn) throw cause
    }
  }
  return ''
}

const GZIP_MAGIC = Buffer.from('1f8b0804', 'hex')

async function lz4Text({ outDir }: Place, name: string, torn: boolean): Promise<string> {
  if (!(await names({ outDir })).includes(name)) return ''
  const bytes = await readFile(path.join(outDir, name))
  const texts: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    const next = bytes.indexOf(LZ4_MAGIC, at + 1)
    const end = next < 0 ? bytes.length : next
    try {
      texts.push(await decompressFrame(bytes.subarray(at, end)))
    } catch (cause) {
      if (!torn || next >= 0) throw cause
    }
    at = end
  }
  return Buffer.concat(texts).toString()
}

const LZ4_MAGIC = Buffer.from('04224d18', 'hex')

/**
 * A batch goes to one file after the other: what a killed writer had not acknowledged may be in some and not in others.
 *
 * @param torn  the last of them was killed too
 */
function withoutUnfinished(rows: readonly Row[], torn: boolean): Row[] {
  const lifeOf = ({ n }: Row): number => Math.floor(n / LIFE_ROWS)
  const last = torn ? Infinity : Math.max(...rows.map(lifeOf))
  let next = -1
  return rows.filter((row) => {
    if (row.n % LIFE_ROWS === 0) next = row.n
    if (lifeOf(row) === last) return true
    if (row.n !== next) return false
    next++
    return true
  })
}

/** A life begins at a multiple. */
const LIFE_ROWS = 1_000_000

/** The text of a file, and none where there is no file yet. */
async function text({ outDir }: Place, name: string): Promise<string> {
  return (await names({ outDir })).includes(name) ? await readFile(path.join(outDir, name), 'utf8') : ''
}

async function names({ outDir }: Place): Promise<string[]> {
  return await readdir(outDir).catch(() => [])
}

async function parquetRows(file: string, order = ''): Promise<Row[]> {
  const rows = await query(`SELECT n, text FROM read_parquet(${sqlText(file)}) ${order}`)
  return rows.map(({ n, text }) => ({ n: Number(n), text: String(text) }))
}

/** Rows go to one of three folders, by their numbers. */
function bucketed(sink: Sink<Row>): Sink<Row> {
  const write = sink.write.bind(sink)
  sink.write = (batch, key) =>
    write(
      batch.map((row) => ({ ...row, bucket: `b${row.n % 3}` })),
      key,
    )
  return sink
}

function jsonRows(lines: string, torn: boolean): Row[] {
  return wholeText(lines, '\n', torn)
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Row)
}

/** The rows have no line breaks within them, so that lines are enough here. */
function csvRows(lines: string, torn: boolean): Row[] {
  const [header, ...rows] = wholeText(lines, '\r\n', torn).split('\r\n').slice(0, -1)
  if (header === undefined) return []
  if (header !== 'n,text') throw new Error(`The file begins with ${header.slice(0, 100)}.`)
  return rows.map((line) => {
    const [, n, quoted] = /^(\d+),"((?:[^"]|"")*)"$/.exec(line) ?? []
    if (n === undefined || quoted === undefined) throw new Error(`There is a row ${line.slice(0, 100)}.`)
    return { n: Number(n), text: quoted.replaceAll('""', '"') }
  })
}

function wholeText(lines: string, lineEnd: string, torn: boolean): string {
  const whole = lines.slice(0, lines.lastIndexOf(lineEnd) + lineEnd.length)
  const left = lines.lastIndexOf(lineEnd) < 0 ? lines : lines.slice(whole.length)
  if (left !== '' && !torn) throw new Error(`The file ends in half a line: ${left.slice(0, 100)}.`)
  return left === lines ? '' : whole
}
