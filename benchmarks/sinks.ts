/**
 * Rows into files of text.
 *
 * Why      a pipeline's last step is a file, and a sink that cannot keep up holds back the sockets
 * Input    a million trades in batches of 512, each offered when the one before it is safe; a new file for each repetition
 * Variants of `sinks`, `sinks.csv`, their gzip files, and `sinks.report`, which is one list of all rows that takes the place of
 *          the report before it
 *          `plain`            the platform's own best: `JSON.stringify` of a literal of one shape (for CSV: written out by
 *                             hand, no field quoted), 512 rows a chunk, a `WriteStream`, waiting for `drain`; nothing is acknowledged
 *          `stringifyStream`  `JSON.stringify` and a `WriteStream`, row by row: as one would write it
 *          `jsonLines`, `csv`, `jsonReport`   our sinks, through their queue, acknowledged
 * Measures `time` ns a row, until the file is closed; `cpu` ns a row of all threads; `size` bytes a row; `loopDelay` milliseconds by which the loop was late
 * Baseline `plain`. The aim is a ratio above 0.77: no more than 1.3 times its time
 */
import { once } from 'node:events'
import { createWriteStream, mkdirSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import path from 'node:path'
import { createGzip } from 'node:zlib'
import { of } from 'rxjs'
import type { Trade } from '../src/model/events'
import { csv } from '../src/sinks/csv'
import { drain } from '../src/sinks/drain'
import { jsonLines } from '../src/sinks/jsonLines'
import { jsonReport } from '../src/sinks/jsonReport'
import { plainJson } from './kit/plainJson'
import { BATCHES, batchesOf, CLOSE_WITHIN_MS, perRowInFile, ROW_MEASURES, sinkIntoFile } from './kit/tradeRows'
import { measure, type Sample } from './kit/variants'

type Encode = (trade: Trade) => string

const compiledCsv: Encode = (trade) =>
  `${trade.kind},${trade.exchange},${trade.symbol},${trade.instrument},${trade.exchangeTimeUs},${trade.receiveTimeUs},${trade.id},${trade.side},${trade.price},${trade.size},${trade.history}`

/** Chunks of 512 rows into a stream of the file, packed on the way when asked. */
function streamed(encode: Encode, end: string, packed = false): Promise<Sample> {
  return perRowInFile(async (folder, rows) => {
    mkdirSync(folder)
    const file = path.join(folder, 'trades')
    const disk = createWriteStream(file)
    const into = packed ? createGzip() : disk
    if (into !== disk) into.pipe(disk)
    for (const batch of batchesOf(rows)) {
      let text = ''
      for (const trade of batch) text += encode(trade) + end
      if (!into.write(text)) await once(into, 'drain')
    }
    into.end()
    await once(disk, 'close')
    return file
  })
}

/** A report in pieces of 512 rows, laid out as ours is, into a stream of a new file, which is flushed and renamed. */
function plainReport(): Promise<Sample> {
  return perRowInFile(async (folder, rows) => {
    mkdirSync(folder)
    const file = path.join(folder, 'report.json')
    const temporary = `${file}.tmp`
    const stream = createWriteStream(temporary, { flush: true })
    const [begin, end] = ['{\n  "rows": [', '\n  ]\n}']
    let between = begin
    for (const batch of batchesOf(rows)) {
      const piece = JSON.stringify({ rows: batch }, null, 2).slice(begin.length, -end.length)
      if (!stream.write(between + piece)) await once(stream, 'drain')
      between = ','
    }
    stream.end(`${end}\n`)
    await once(stream, 'close')
    await rename(temporary, file)
    return file
  })
}

function ourReport(): Promise<Sample> {
  const all = BATCHES.flat()
  return perRowInFile(async (folder, rows) => {
    const { written } = await drain(of({ rows: all.slice(0, rows) }), jsonReport('report.json', { everyMs: 0 }), {
      ...{ capacity: 1, batchMax: 1, onFull: 'block', outDir: folder, closeWithinMs: CLOSE_WITHIN_MS },
      onFault: (fault) => {
        throw fault
      },
    })
    if (written !== 1) throw new Error(`${written} reports were written.`)
    return path.join(folder, 'report.json')
  })
}

function stringifyStream(): Promise<Sample> {
  return perRowInFile(async (folder, rows) => {
    mkdirSync(folder)
    const file = path.join(folder, 'trades.jsonl')
    const stream = createWriteStream(file)
    for (const batch of batchesOf(rows)) {
      for (const trade of batch) {
        if (!stream.write(`${JSON.stringify(trade)}\n`)) await once(stream, 'drain')
      }
    }
    stream.end()
    await once(stream, 'close')
    return file
  })
}

const lines = (file: string) => () => sinkIntoFile(file, (name) => jsonLines<Trade>(name))
const csvRows = (file: string) => () => sinkIntoFile(file, (name) => csv<Trade>(name))

void measure(__filename, [
  {
    name: 'sinks',
    measures: ROW_MEASURES,
    baseline: 'plain',
    variants: [
      { name: 'plain', run: () => streamed(plainJson, '\n') },
      { name: 'stringifyStream', run: stringifyStream },
      { name: 'jsonLines', run: lines('trades.jsonl') },
    ],
  },
  {
    name: 'sinks.gzip',
    measures: ROW_MEASURES,
    baseline: 'plain',
    again: false,
    variants: [
      { name: 'plain', run: () => streamed(plainJson, '\n', true) },
      { name: 'jsonLines', run: lines('trades.jsonl.gz') },
    ],
  },
  {
    name: 'sinks.csv',
    measures: ROW_MEASURES,
    baseline: 'plain',
    again: false,
    variants: [
      { name: 'plain', run: () => streamed(compiledCsv, '\r\n') },
      { name: 'csv', run: csvRows('trades.csv') },
    ],
  },
  {
    name: 'sinks.csvGzip',
    measures: ROW_MEASURES,
    baseline: 'plain',
    again: false,
    variants: [
      { name: 'plain', run: () => streamed(compiledCsv, '\r\n', true) },
      { name: 'csv', run: csvRows('trades.csv.gz') },
    ],
  },
  {
    name: 'sinks.report',
    measures: ROW_MEASURES,
    baseline: 'plain',
    again: false,
    variants: [
      { name: 'plain', run: plainReport },
      { name: 'jsonReport', run: ourReport },
    ],
  },
])
