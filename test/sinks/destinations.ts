/**
 * Every destination that keeps what it was given, as the proofs need it that use processes of their own: how its sink is
 * made, and how its rows are read back by somebody else.
 *
 * A process is told the name of a destination and its place, and makes the sink itself.
 */
import { DuckDBInstance } from '@duckdb/node-api'
import { existsSync } from 'node:fs'
import { appendFile, mkdir, readFile, readdir } from 'node:fs/promises'
import path from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { Client } from 'pg'
import { gunzipSync } from 'node:zlib'
import { decompressFrame } from 'lz4-napi'
import { csv } from '../../src/sinks/csv'
import { duckdb } from '../../src/sinks/duckdb'
import { http } from '../../src/sinks/http'
import { jsonLines } from '../../src/sinks/jsonLines'
import { jsonReport } from '../../src/sinks/jsonReport'
import { postgres } from '../../src/sinks/postgres'
import { sinkCounters, type Delivery, type Sink } from '../../src/sinks/sink'
import type { Row } from './conformance'

/** Where rows go: a folder that nobody else uses, and the address of a server where there is one. */
export interface Place {
  readonly outDir: string
  readonly url?: string
}

export interface Destination {
  readonly delivery: Delivery
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
  duckdb: {
    delivery: 'effectivelyOnce',
    sink: () => duckdb<Row>('rows.duckdb'),
    read: ({ outDir }) => duckDbRows(path.join(outDir, 'rows.duckdb')),
  },
} as const satisfies Readonly<Record<string, Destination>>

/** Destinations that need a server, whose address is the place's. */
export const SERVED = {
  http: {
    // With a receiver that honours the keys, which is what it takes.
    delivery: 'effectivelyOnce',
    sink: ({ url }: Place) => http<Row>(url!, { name: 'hook', gzip: true }),
    read: async ({ url }: Place) => (await (await fetch(url!)).json()) as Row[],
  },
  postgres: {
    delivery: 'effectivelyOnce',
    sink: ({ url }: Place) => postgres<Row>({ connection: url! }),
    read: ({ url }: Place) => postgresRows(url!),
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

export type DestinationName = keyof typeof DESTINATIONS | keyof typeof SERVED | keyof typeof UNTRUE

export function destinationOf(name: DestinationName): Destination {
  return { ...DESTINATIONS, ...SERVED, ...UNTRUE }[name]
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
