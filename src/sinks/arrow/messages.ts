/**
 * Rows as messages of Arrow's IPC stream format, built column by column into typed arrays.
 *
 * A message is whole or it is not: its head tells its length. So a stream that a killed process has left is read up to its
 * last whole message, and continued behind it.
 *
 * Source  https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format (read 2026-11-28)
 */
import type * as Arrow from 'apache-arrow'
import type { FileHandle } from 'node:fs/promises'
import type { FieldType } from '../eventFields'
import type { Cell, Column } from '../tables/table'

/** Begins every message. */
const CONTINUATION = 0xffffffff
const HEAD_BYTES = 8
/** More than any description of a message that a sink writes. */
const METADATA_BYTES_MAX = 64 * 1024 * 1024

/** Ends a stream; a reader takes the end of the file for one too. */
export const END_OF_STREAM = Buffer.from([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0])

/** What is known of a stream from its whole messages. */
export interface FoundStream {
  /** Up to the end of the last whole message; 0 when not even the schema is whole. */
  readonly length: number
  /** The bytes of the schema, to tell whether another one is the same. */
  readonly schema: Uint8Array
  /** Of the schema, and of the last message with rows. */
  readonly notes: ReadonlyMap<string, string>
  readonly lastNotes: ReadonlyMap<string, string>
}

/** Walks over the messages of a file without reading their bodies. */
export async function findStream(arrow: typeof Arrow, file: FileHandle): Promise<FoundStream> {
  const { size } = await file.stat()
  let length = 0
  let schema: Uint8Array = new Uint8Array()
  let notes: ReadonlyMap<string, string> = new Map()
  let lastNotes: ReadonlyMap<string, string> = new Map()
  for (;;) {
    const head = await bytesOf(file, length, HEAD_BYTES)
    if (head.length < HEAD_BYTES || head.readUInt32LE(0) !== CONTINUATION) break
    const metadataBytes = head.readUInt32LE(4)
    if (metadataBytes === 0 || metadataBytes > METADATA_BYTES_MAX || length + HEAD_BYTES + metadataBytes > size) break
    const metadata = await bytesOf(file, length + HEAD_BYTES, metadataBytes)
    let message: Arrow.Message
    try {
      message = arrow.Message.decode(metadata)
    } catch {
      break
    }
    const end = length + HEAD_BYTES + metadataBytes + message.bodyLength
    if (end > size) break
    if (length === 0) {
      if (!message.isSchema()) break
      schema = Buffer.concat([head, metadata])
      notes = message.header().metadata
    } else {
      lastNotes = message.metadata
    }
    length = end
  }
  return { length, schema, notes, lastNotes }
}

async function bytesOf(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length)
  const { bytesRead } = await file.read(buffer, 0, length, position)
  return buffer.subarray(0, bytesRead)
}

/** Rows of one message. */
export type Rows = Arrow.Data<Arrow.Struct>

const MESSAGES_OF_A_WRITER = 1_024

export class MessageEncoder {
  readonly schemaBytes: Uint8Array
  private readonly schema: Arrow.Schema
  private writer: Arrow.RecordBatchStreamWriter
  /** What the writer has written and nobody has taken yet. */
  private readonly pieces: Uint8Array[] = []
  private messages = 0

  constructor(
    private readonly arrow: typeof Arrow,
    private readonly columns: readonly Column[],
    notes: ReadonlyMap<string, string>,
  ) {
    const fields = columns.map(({ name, type }) => new arrow.Field(name, this.typeOf(type), true))
    this.schema = new arrow.Schema(fields, new Map(notes))
    this.writer = this.newWriter()
    this.schemaBytes = this.taken()
  }

  /** Rows as a message holds them; cells by column. */
  rows(cells: readonly (readonly Cell[])[]): Rows {
    return this.arrow.makeData({
      type: new this.arrow.Struct(this.schema.fields),
      length: cells[0]?.length ?? 0,
      nullCount: 0,
      children: this.columns.map(({ type }, at) => this.columnOf(type, cells[at]!)),
    })
  }

  /** The message of these rows. */
  message(data: Rows, notes: ReadonlyMap<string, string>): Uint8Array {
    const batch = new this.arrow.RecordBatch(this.schema, data, new Map(notes))
    // It remembers where each message lies, for files of another format.
    if (++this.messages % MESSAGES_OF_A_WRITER === 0) {
      this.writer = this.newWriter()
      this.pieces.length = 0
    }
    this.writer.write(batch)
    return this.taken()
  }

  /** A writer that has written the schema: to do so with every message would take longer than the message. */
  private newWriter(): Arrow.RecordBatchStreamWriter {
    const { AsyncByteQueue, RecordBatchStreamWriter } = this.arrow
    const sink = new AsyncByteQueue()
    sink.write = (piece) => void this.pieces.push(piece as Uint8Array)
    const writer = new RecordBatchStreamWriter({ autoDestroy: false })
    writer.reset(sink, this.schema)
    return writer
  }

  private taken(): Uint8Array {
    return Buffer.concat(this.pieces.splice(0))
  }

  private typeOf(type: FieldType): Arrow.DataType {
    const { Bool, Field, Float64, Int64, List, TimestampMicrosecond, Utf8 } = this.arrow
    switch (type) {
      case 'text':
      case 'json':
        return new Utf8()
      case 'number':
        return new Float64()
      case 'integer':
        return new Int64()
      case 'timeUs':
        return new TimestampMicrosecond('UTC')
      case 'boolean':
        return new Bool()
      case 'levels': {
        const level = new List(new Field('item', new Float64(), false))
        return new List(new Field('item', level, false))
      }
    }
  }

  private columnOf(type: FieldType, cells: readonly Cell[]): Arrow.Data {
    const { nullBitmap, nullCount } = validityOf(cells)
    const shared = { length: cells.length, nullBitmap, nullCount }
    const { makeData } = this.arrow
    switch (type) {
      case 'text':
      case 'json': {
        const { bytes, offsets } = textsOf(cells as readonly (string | null)[])
        return makeData({ type: new this.arrow.Utf8(), ...shared, data: bytes, valueOffsets: offsets })
      }
      case 'number':
        return makeData({ type: new this.arrow.Float64(), ...shared, data: numbersOf(cells) })
      case 'integer':
        return makeData({ type: new this.arrow.Int64(), ...shared, data: wholesOf(cells) })
      case 'timeUs': {
        const timeType = new this.arrow.TimestampMicrosecond('UTC')
        return makeData({ type: timeType, ...shared, data: wholesOf(cells) })
      }
      case 'boolean':
        return makeData({ type: new this.arrow.Bool(), ...shared, data: bitsOf(cells, (cell) => cell === true) })
      case 'levels':
        return this.levelsOf(cells as readonly (Levels | null)[], shared)
    }
  }

  /** A list of lists of two numbers, all of them one after another. */
  private levelsOf(cells: readonly (Levels | null)[], shared: Validity & { readonly length: number }): Arrow.Data {
    const { Field, Float64, List, makeData } = this.arrow
    const offsets = new Int32Array(cells.length + 1)
    cells.forEach((levels, at) => (offsets[at + 1] = offsets[at]! + (levels?.length ?? 0)))
    const count = offsets[cells.length]!
    const numbers = new Float64Array(count * 2)
    let at = 0
    for (const levels of cells) {
      if (levels === null) continue
      for (const [price, size] of levels) {
        numbers[at++] = price
        numbers[at++] = size
      }
    }
    const child = makeData({ type: new Float64(), length: numbers.length, nullCount: 0, data: numbers })
    const levelType = new List(new Field('item', new Float64(), false))
    const levels = makeData({
      type: levelType,
      length: count,
      nullCount: 0,
      valueOffsets: Int32Array.from({ length: count + 1 }, (_, level) => level * 2),
      child,
    })
    const bookType = new List(new Field('item', levelType, false))
    return makeData({ type: bookType, ...shared, valueOffsets: offsets, child: levels })
  }
}

type Levels = readonly (readonly [number, number])[]

interface Validity {
  readonly nullCount: number
  /** A bit for each cell that has a value; none when all have. */
  readonly nullBitmap: Uint8Array | null
}

function validityOf(cells: readonly Cell[]): Validity {
  let nullCount = 0
  for (let at = 0; at < cells.length; at++) if (cells[at] === null) nullCount++
  return { nullCount, nullBitmap: nullCount === 0 ? null : bitsOf(cells, (cell) => cell !== null) }
}

function bitsOf(cells: readonly Cell[], isSet: (cell: Cell) => boolean): Uint8Array {
  const bits = new Uint8Array(Math.ceil(cells.length / 8))
  for (let at = 0; at < cells.length; at++) {
    if (isSet(cells[at]!)) bits[at >> 3]! |= 1 << (at & 7)
  }
  return bits
}

function textsOf(cells: readonly (string | null)[]): { bytes: Uint8Array; offsets: Int32Array } {
  const offsets = new Int32Array(cells.length + 1)
  // At most three bytes for each unit of UTF-16: one pass writes them all.
  const unitsMax = cells.reduce((sum, cell) => sum + (cell?.length ?? 0), 0)
  const bytes = Buffer.allocUnsafe(unitsMax * 3)
  let length = 0
  for (let at = 0; at < cells.length; at++) {
    const cell = cells[at]
    if (cell) length = writeText(bytes, cell, length)
    offsets[at + 1] = length
  }
  return { bytes: bytes.subarray(0, length), offsets }
}

/** Calling out to write a short text takes longer than writing it. */
const SHORT_CHARS = 24

/** @returns where the text ends */
function writeText(bytes: Buffer, text: string, start: number): number {
  if (text.length > SHORT_CHARS) return start + bytes.write(text, start)
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code > 0x7f) return start + bytes.write(text, start)
    bytes[start + at] = code
  }
  return start + text.length
}

// Not by `from` and a function: that takes four times as long.

function numbersOf(cells: readonly Cell[]): Float64Array {
  const numbers = new Float64Array(cells.length)
  for (let at = 0; at < numbers.length; at++) {
    const cell = cells[at]
    if (cell !== null) numbers[at] = cell as number
  }
  return numbers
}

function wholesOf(cells: readonly Cell[]): BigInt64Array {
  const wholes = new BigInt64Array(cells.length)
  for (let at = 0; at < wholes.length; at++) {
    const cell = cells[at]
    if (cell !== null) wholes[at] = BigInt(cell as number)
  }
  return wholes
}
