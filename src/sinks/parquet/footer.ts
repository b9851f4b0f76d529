/**
 * The footer of a Parquet file: which columns it has, where its row groups lie, and what was noted about them.
 *
 * Row groups are position independent but for some offsets in the footer. So a file grows by putting the row groups that an
 * encoder made behind those it has, and by a new footer that names all of them: nothing is encoded twice for it.
 *
 * Source  https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift (read 2026-11-28)
 */
import type { FileHandle } from 'node:fs/promises'
import {
  BINARY,
  I64,
  LIST,
  STRUCT,
  STRUCT_END,
  readStruct,
  writeFields,
  writeListHead,
  writeStruct,
  type Struct,
  type Value,
} from './thrift'

export interface RowGroup {
  readonly rows: number
  /** Its bytes in the file. */
  readonly start: number
  readonly end: number
  /** Its description as the footer holds it, with the offsets that it has in that file. */
  readonly description: Uint8Array
}

export interface Footer {
  readonly version: Value | undefined
  readonly schema: Value
  readonly groups: readonly RowGroup[]
  readonly notes: ReadonlyMap<string, string>
  /** Everything behind the notes: who made it, how columns are ordered. */
  readonly rest: Struct
}

export const MAGIC = Buffer.from('PAR1')

/** Of `FileMetaData`. */
const VERSION = 1
const SCHEMA = 2
const NUM_ROWS = 3
const ROW_GROUPS = 4
const NOTES = 5

/** Of `RowGroup`. */
const COLUMNS = 1
const GROUP_ROWS = 3
const GROUP_OFFSET = 5
const GROUP_ORDINAL = 7

/** Of `ColumnChunk`. */
const CHUNK_OFFSET = 2
const CHUNK_META = 3
const CHUNK_OFFSETS = [CHUNK_OFFSET, 4, 6]

/** Of `ColumnMetaData`: data, index and dictionary pages, Bloom filter. */
const META_COMPRESSED = 7
const META_DATA_PAGE = 9
const META_DICTIONARY_PAGE = 11
const META_OFFSETS = [META_DATA_PAGE, 10, META_DICTIONARY_PAGE, 14]

/** Larger than any that this writes: 4 MB name some ten thousand row groups. */
const FOOTER_BYTES_MAX = 256 * 1024 * 1024
const TAIL_BYTES = 8

/** The footer of a whole Parquet file; undefined where there is none. Rejects only when the file cannot be read. */
export async function readFooter(file: FileHandle): Promise<Footer | undefined> {
  const { size } = await file.stat()
  if (size < MAGIC.length + TAIL_BYTES) return undefined
  const tail = await bytesOf(file, size - TAIL_BYTES, TAIL_BYTES)
  const length = tail.readUInt32LE(0)
  if (!tail.subarray(4).equals(MAGIC) || length > Math.min(FOOTER_BYTES_MAX, size - TAIL_BYTES)) return undefined
  try {
    return footerOf(readStruct(await bytesOf(file, size - TAIL_BYTES - length, length)))
  } catch (cause) {
    if (cause instanceof RangeError) return undefined
    throw cause
  }
}

async function bytesOf(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length)
  let done = 0
  while (done < length) {
    const { bytesRead } = await file.read(buffer, done, length - done, position + done)
    if (bytesRead === 0) break
    done += bytesRead
  }
  return buffer.subarray(0, done)
}

/** The bytes of a footer with its length and the closing mark. */
export function writeFooter({ version, schema, groups, notes, rest }: Footer): Buffer {
  const rows = groups.reduce((sum, group) => sum + group.rows, 0)
  const head: Struct = new Map()
  if (version !== undefined) head.set(VERSION, version)
  head.set(SCHEMA, schema)
  head.set(NUM_ROWS, { type: I64, value: BigInt(rows) })
  const body = Buffer.concat([
    writeFields(head, 0),
    writeListHead(ROW_GROUPS, NUM_ROWS, STRUCT, groups.length),
    ...groups.map(({ description }) => description),
    writeFields(new Map([[NOTES, notesValue(notes)], ...rest]), ROW_GROUPS),
    Buffer.of(STRUCT_END),
  ])
  const tail = Buffer.alloc(TAIL_BYTES)
  tail.writeUInt32LE(body.length, 0)
  MAGIC.copy(tail, 4)
  return Buffer.concat([body, tail])
}

/** The same row group `by` bytes further on. */
export function moved(group: RowGroup, by: number): RowGroup {
  if (by === 0) return group
  const struct = readStruct(group.description)
  moveGroup(struct, BigInt(by))
  return { rows: group.rows, start: group.start + by, end: group.end + by, description: writeStruct(struct) }
}

/** Whether two files have the same columns, so that a row group of one may stand in the other. */
export function sameColumns(one: Footer, other: Footer): boolean {
  const text = ({ schema }: Footer): Buffer => writeStruct(new Map([[SCHEMA, schema]]))
  return text(one).equals(text(other))
}

function footerOf(struct: Struct): Footer {
  const schema = struct.get(SCHEMA)
  const groups = struct.get(ROW_GROUPS)
  if (schema?.type !== LIST || groups?.type !== LIST) throw new RangeError('it is not a Parquet footer')
  return {
    version: struct.get(VERSION),
    schema,
    groups: groups.value.items.map((item) => groupOf(structOf(item))),
    notes: notesOf(struct.get(NOTES)),
    rest: new Map([...struct].filter(([id]) => id > NOTES)),
  }
}

function groupOf(struct: Struct): RowGroup {
  let start = Infinity
  let end = 0
  for (const chunk of columnsOf(struct)) {
    const meta = structOf(chunk.get(CHUNK_META))
    const first = wholeOf(meta.get(META_DATA_PAGE))
    const dictionary = meta.has(META_DICTIONARY_PAGE) ? wholeOf(meta.get(META_DICTIONARY_PAGE)) : 0
    const from = dictionary > 0 && dictionary < first ? dictionary : first
    start = Math.min(start, from)
    end = Math.max(end, from + wholeOf(meta.get(META_COMPRESSED)))
  }
  // Its place in the file is another when others stand before it, and may be left out.
  struct.delete(GROUP_ORDINAL)
  return { rows: wholeOf(struct.get(GROUP_ROWS)), start, end, description: writeStruct(struct) }
}

function moveGroup(struct: Struct, by: bigint): void {
  shift(struct, [GROUP_OFFSET], by)
  for (const chunk of columnsOf(struct)) {
    shift(chunk, CHUNK_OFFSETS, by)
    shift(structOf(chunk.get(CHUNK_META)), META_OFFSETS, by)
  }
}

function shift(struct: Struct, ids: readonly number[], by: bigint): void {
  for (const id of ids) {
    const field = struct.get(id)
    // Nothing lies at 0 but the opening mark: writers put it where there is no such page.
    if (field?.type === I64 && field.value > 0n) struct.set(id, { type: I64, value: field.value + by })
  }
}

function columnsOf(group: Struct): Struct[] {
  const columns = group.get(COLUMNS)
  if (columns?.type !== LIST) throw new RangeError('it has a row group without columns')
  return columns.value.items.map(structOf)
}

function structOf(value: Value | undefined): Struct {
  if (value?.type !== STRUCT) throw new RangeError('it is not a Parquet footer')
  return value.value
}

function wholeOf(value: Value | undefined): number {
  if (value?.type !== I64) throw new RangeError('it is not a Parquet footer')
  return Number(value.value)
}

function notesOf(value: Value | undefined): Map<string, string> {
  const notes = new Map<string, string>()
  if (value?.type !== LIST) return notes
  for (const item of value.value.items) {
    const note = structOf(item)
    const key = note.get(1)
    const text = note.get(2)
    if (key?.type !== BINARY) continue
    notes.set(textOf(key.value), text?.type === BINARY ? textOf(text.value) : '')
  }
  return notes
}

function notesValue(notes: ReadonlyMap<string, string>): Value {
  const items = [...notes].map(([key, text]): Value => {
    const note: Struct = new Map([
      [1, { type: BINARY, value: Buffer.from(key) }],
      [2, { type: BINARY, value: Buffer.from(text) }],
    ])
    return { type: STRUCT, value: note }
  })
  return { type: LIST, value: { of: STRUCT, items } }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8')
}
