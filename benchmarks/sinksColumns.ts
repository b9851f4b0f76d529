/**
 * Rows into files of columns.
 *
 * Why      what a quant opens in DuckDB, Polars or pandas; these files are cheap to read because they are dear to write
 * Input    a million trades, a new file for each repetition. Ours gets batches of as many rows as are written at once, each of
 *          which can be read when it is acknowledged: up to 122,880, a row group, and 4,096, a message
 * Variants of `sinks.parquet`, `sinks.arrow`
 *          `plain`              the library's own best: `ParquetWriter` of hyparquet-writer with columns of a row group
 *                               (122,880 rows) each, `RecordBatchStreamWriter` of apache-arrow with batches of 4,096 rows, whose texts are laid out by hand.
 *                               Nothing can be read until the file is closed
 *          `parquet`, `arrow`   our sinks, through their queue, acknowledged
 * Measures `time` ns a row, until the file is closed; `cpu` ns a row of all threads; `size` bytes a row; `loopDelay`
 *          milliseconds by which the loop was late
 * Baseline `plain`. The aim is a ratio above 0.77: no more than 1.3 times its time
 */
import type { Schema } from 'apache-arrow'
import { once } from 'node:events'
import { createWriteStream, mkdirSync } from 'node:fs'
import path from 'node:path'
import type { Trade } from '../src/model/events'
import { arrow } from '../src/sinks/arrow'
import { EVENT_FIELDS, type FieldType } from '../src/sinks/eventFields'
import { parquet } from '../src/sinks/parquet'
import { batchesOf, perRowInFile, ROW_MEASURES, sinkIntoFile } from './kit/tradeRows'
import { measure, type Sample } from './kit/variants'

const FIELDS = Object.entries<FieldType>(EVENT_FIELDS.trade)
const ROW_GROUP_ROWS = 122_880
const MESSAGE_ROWS = 4_096
const EDGE = { batchMax: ROW_GROUP_ROWS, flushMs: 50 }

type Field = keyof Trade

function timesOf(batch: readonly Trade[], field: Field): BigInt64Array<ArrayBuffer> {
  const times = new BigInt64Array(batch.length)
  for (let at = 0; at < times.length; at++) times[at] = BigInt(batch[at]![field] as number)
  return times
}

function hyparquet(): Promise<Sample> {
  return perRowInFile(async (folder, rows) => {
    const { fileWriter, ParquetWriter, schemaFromColumnData } = await import('hyparquet-writer')
    mkdirSync(folder)
    const file = path.join(folder, 'trades.parquet')
    const types = { text: 'STRING', number: 'DOUBLE', timeUs: 'INT64', boolean: 'BOOLEAN' } as const
    const columnsOf = (batch: readonly Trade[]) =>
      FIELDS.map(([name, type]) => ({
        name,
        type: types[type as keyof typeof types],
        data: type === 'timeUs' ? timesOf(batch, name as Field) : batch.map((trade) => trade[name as Field]),
      }))
    let writer: InstanceType<typeof ParquetWriter> | undefined
    for (const batch of batchesOf(rows, ROW_GROUP_ROWS)) {
      const columnData = columnsOf(batch)
      writer ??= new ParquetWriter({ writer: fileWriter(file), schema: schemaFromColumnData({ columnData }) })
      await writer.write({ columnData, rowGroupSize: ROW_GROUP_ROWS })
    }
    await writer!.finish()
    return file
  })
}

function apacheArrow(): Promise<Sample> {
  return perRowInFile(async (folder, rows) => {
    const arrowLib = await import('apache-arrow')
    const { Bool, makeData, makeVector, RecordBatch, RecordBatchStreamWriter, Table, Utf8, vectorFromArray } = arrowLib
    mkdirSync(folder)
    const file = path.join(folder, 'trades.arrows')
    const encoder = new TextEncoder()
    const vectorOf = {
      // All at once: its own builder encodes each text by itself, in ten times the time. Every character is one byte here.
      text: (batch: readonly Trade[], field: Field) => {
        const valueOffsets = new Int32Array(batch.length + 1)
        let text = ''
        for (let at = 0; at < batch.length; at++) {
          text += batch[at]![field] as string
          valueOffsets[at + 1] = text.length
        }
        const data = encoder.encode(text)
        return makeVector(makeData({ type: new Utf8(), length: batch.length, nullCount: 0, valueOffsets, data }))
      },
      number: (batch: readonly Trade[], field: Field) => {
        const data = new Float64Array(batch.length)
        for (let at = 0; at < data.length; at++) data[at] = batch[at]![field] as number
        return makeVector(data)
      },
      timeUs: (batch: readonly Trade[], field: Field) => {
        const data = timesOf(batch, field)
        const type = new arrowLib.TimestampMicrosecond('UTC')
        return makeVector(makeData({ type, length: data.length, data }))
      },
      boolean: (batch: readonly Trade[], field: Field) =>
        vectorFromArray(
          batch.map((trade) => trade[field]),
          new Bool(),
        ),
    }
    const writer = new RecordBatchStreamWriter()
    let schema: Schema | undefined
    const disk = createWriteStream(file)
    writer.toNodeStream().pipe(disk)
    for (const batch of batchesOf(rows, MESSAGE_ROWS)) {
      const columns = FIELDS.map(([name, type]) => [
        name,
        vectorOf[type as keyof typeof vectorOf](batch, name as Field),
      ])
      const [made] = new Table(Object.fromEntries(columns)).batches
      schema ??= made!.schema
      writer.write(new RecordBatch(schema, made!.data))
      if (disk.writableNeedDrain) await once(disk, 'drain')
    }
    writer.finish()
    await once(disk, 'close')
    return file
  })
}

void measure(__filename, [
  {
    name: 'sinks.parquet',
    measures: ROW_MEASURES,
    baseline: 'plain',
    again: false,
    variants: [
      { name: 'plain', run: hyparquet },
      { name: 'parquet', run: () => sinkIntoFile('trades.parquet', (file) => parquet<Trade>(file), EDGE) },
    ],
  },
  {
    name: 'sinks.arrow',
    measures: ROW_MEASURES,
    baseline: 'plain',
    again: false,
    variants: [
      { name: 'plain', run: apacheArrow },
      {
        name: 'arrow',
        run: () => sinkIntoFile('trades.arrows', (file) => arrow<Trade>(file), { ...EDGE, batchMax: MESSAGE_ROWS }),
      },
    ],
  },
])
