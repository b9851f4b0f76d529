/**
 * Rows in PostgreSQL's binary format for `COPY ... FROM STDIN WITH (FORMAT binary)`.
 *
 * Docs    https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.4 (read 2026-11-28)
 * Format  a header; per row the number of fields, then each field as its length (-1 for NULL) and its bytes, big-endian, in
 *         the type's own form; -1 for the end
 * Quirk   the server converts nothing: a column must have exactly the type that is sent, so tables are checked before
 *
 * Against the text format nothing has to be escaped, times need no calendar, and the server parses no digits.
 */
import type { Part, SqlTypes } from './databaseTables'
import type { FieldType } from '../eventFields'
import { fieldOf, type Cell, type TableRows } from './table'

/** As `format_type` spells them. */
export const POSTGRES_TYPES = {
  text: 'text',
  number: 'double precision',
  integer: 'bigint',
  timeUs: 'timestamp with time zone',
  boolean: 'boolean',
  levels: 'double precision[]',
  json: 'jsonb',
} as const satisfies SqlTypes

/**
 * A part of a batch as pieces of about `PIECE_BYTES`, made as they are asked for. A piece is not changed after it was given.
 *
 * @throws `VALUE_INVALID` with `index` for a value that does not fit its table
 */
export function* binaryRows(rows: TableRows, { values, indexes }: Part): Generator<Buffer> {
  const { columns } = rows.table
  const piece = new Piece()
  piece.bytes(HEADER)
  for (let at = 0; at < values.length; at++) {
    const value = values[at]
    const index = indexes?.[at] ?? at
    rows.checkFields(value, index)
    piece.int16(columns.length)
    for (const column of columns) {
      piece.field(column.type, rows.cell(column, fieldOf(value, column.name), index))
    }
    if (piece.length >= PIECE_BYTES) yield piece.take()
  }
  piece.int16(-1)
  yield piece.take()
}

/** About a millisecond of the loop. */
const PIECE_BYTES = 65_536

/** Signature, no flags, no extension. */
const HEADER = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1')

/** Microseconds from 1970 to 2000, where PostgreSQL's time begins. */
const EPOCH_2000_US = 946_684_800_000_000
const FLOAT8_OID = 701
const JSONB_VERSION = 1
const TWO_32 = 2 ** 32

/** Bytes that are being written, in a buffer that grows. */
class Piece {
  length = 0
  private buffer = Buffer.allocUnsafeSlow(PIECE_BYTES + 4_096)

  take(): Buffer {
    const taken = this.buffer.subarray(0, this.length)
    this.buffer = Buffer.allocUnsafeSlow(PIECE_BYTES + 4_096)
    this.length = 0
    return taken
  }

  bytes(bytes: Buffer): void {
    this.room(bytes.length)
    this.length += bytes.copy(this.buffer, this.length)
  }

  int16(value: number): void {
    this.room(2)
    this.length = this.buffer.writeInt16BE(value, this.length)
  }

  field(type: FieldType, cell: Cell): void {
    if (cell === null) return this.int32(-1)
    switch (type) {
      case 'text':
        return this.text(cell as string)
      case 'number':
        return this.double(cell as number)
      case 'integer':
        return this.int64(cell as number)
      case 'timeUs':
        return this.int64((cell as number) - EPOCH_2000_US)
      case 'boolean':
        return this.boolean(cell as boolean)
      case 'levels':
        return this.levels(cell as readonly (readonly [number, number])[])
      case 'json':
        return this.json(cell as string)
    }
  }

  private int32(value: number): void {
    this.room(4)
    this.length = this.buffer.writeInt32BE(value, this.length)
  }

  private double(value: number): void {
    this.room(12)
    this.buffer.writeInt32BE(8, this.length)
    this.length = this.buffer.writeDoubleBE(value, this.length + 4)
  }

  /** A whole number that a double holds exactly. */
  private int64(value: number): void {
    this.room(12)
    const high = Math.floor(value / TWO_32)
    this.buffer.writeInt32BE(8, this.length)
    this.buffer.writeInt32BE(high, this.length + 4)
    this.length = this.buffer.writeUInt32BE(value - high * TWO_32, this.length + 8)
  }

  private boolean(value: boolean): void {
    this.room(5)
    this.buffer.writeInt32BE(1, this.length)
    this.length = this.buffer.writeUInt8(value ? 1 : 0, this.length + 4)
  }

  private text(value: string): void {
    this.room(4 + value.length * UTF8_BYTES_MAX)
    const written = this.buffer.write(value, this.length + 4)
    this.buffer.writeInt32BE(written, this.length)
    this.length += 4 + written
  }

  private json(value: string): void {
    this.room(5 + value.length * UTF8_BYTES_MAX)
    const written = this.buffer.write(value, this.length + 5)
    this.buffer.writeInt32BE(written + 1, this.length)
    this.buffer.writeUInt8(JSONB_VERSION, this.length + 4)
    this.length += 5 + written
  }

  /** An array of two dimensions; none when it is empty. */
  private levels(levels: readonly (readonly [number, number])[]): void {
    const isEmpty = levels.length === 0
    const bytes = isEmpty ? 12 : 28 + levels.length * 24
    this.room(4 + bytes)
    this.int32(bytes)
    this.int32(isEmpty ? 0 : 2)
    this.int32(0) // holds no NULL
    this.int32(FLOAT8_OID)
    if (isEmpty) return
    for (const length of [levels.length, 2]) {
      this.int32(length)
      this.int32(1) // the index of the first
    }
    for (const [price, size] of levels) {
      this.double(price)
      this.double(size)
    }
  }

  private room(bytes: number): void {
    if (this.length + bytes <= this.buffer.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(this.buffer.length * 2, this.length + bytes))
    this.buffer.copy(larger, 0, 0, this.length)
    this.buffer = larger
  }
}

/** Of one unit of a string. */
const UTF8_BYTES_MAX = 3
