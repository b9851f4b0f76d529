/**
 * Rows as lines of QuestDB's line protocol.
 *
 * Docs    https://questdb.com/docs/ingestion/ilp/advanced-settings/ and .../ilp/overview/ (read 2026-11-28)
 * Line    `table,symbol=value,... column=value,... nanoseconds\n`. Text of columns stands between quotes, whole numbers end with
 *         `i`, times with `t` (microseconds), truth is `t` or `f`
 * Binary  version 2 adds doubles (`==`, 16, eight bytes) and arrays (`==`, 14, 10, dimensions, lengths, values), little-endian
 * Quirk   there is no NULL: what is not there is left out
 */
import { Fault } from '../../model/fault'
import type { FieldType } from '../eventFields'
import { fieldOf, type Cell, type Column, type TableRows } from './table'

/** How the columns of a table are sent, as the table has them. */
export interface LineLayout {
  readonly table: string
  readonly rows: TableRows
  /** Text columns that are symbols. */
  readonly symbols: ReadonlySet<string>
  /** The field whose time is the row's own; the server's clock where it has none. */
  readonly timestamp: string | undefined
  /** Version 2 of the protocol is spoken. */
  readonly isBinary: boolean
  /** Levels are sent as an array of prices and one of sizes; otherwise as JSON text. */
  readonly hasArrays: boolean
}

/** Writes values of one table as lines. */
export class LineWriter {
  private readonly beginning: string
  private readonly symbols: readonly Prefixed[]
  private readonly fields: readonly Prefixed[]
  private readonly timestamp: Column | undefined

  constructor(
    private readonly sink: string,
    private readonly layout: LineLayout,
  ) {
    const { columns } = layout.rows.table
    this.beginning = escaped(layout.table)
    this.timestamp = columns.find(({ name }) => name === layout.timestamp)
    const sent = columns.filter((column) => column !== this.timestamp)
    this.symbols = prefixed(sent.filter(({ name }) => layout.symbols.has(name)))
    this.fields = prefixed(sent.filter(({ name }) => !layout.symbols.has(name)))
  }

  /** @throws `VALUE_INVALID` with `index` for a value that does not fit its table */
  write(value: unknown, index: number, out: LineBuffer): void {
    const { rows } = this.layout
    rows.checkFields(value, index)
    out.text(this.beginning)
    let isEmpty = true
    for (const { column, prefix } of this.symbols) {
      const cell = rows.cell(column, fieldOf(value, column.name), index)
      if (cell === null) continue
      out.text(`,${prefix}${escaped(cell as string)}`)
      isEmpty = false
    }
    let separator = ' '
    for (const { column, prefix } of this.fields) {
      const cell = rows.cell(column, fieldOf(value, column.name), index)
      if (cell === null || this.isUnsendable(column.type, cell)) continue
      out.text(separator + prefix)
      this.field(column.type, cell, out)
      separator = ','
      isEmpty = false
    }
    if (isEmpty) throw this.refused(index, 'none of its fields has a value')
    out.text(this.time(value, index))
  }

  private field(type: FieldType, cell: Cell, out: LineBuffer): void {
    switch (type) {
      case 'number':
        if (this.layout.isBinary) out.double(cell as number)
        else out.text(String(cell))
        return
      case 'integer':
        out.text(`${String(cell)}i`)
        return
      case 'timeUs':
        out.text(`${String(cell)}t`)
        return
      case 'boolean':
        out.text(cell === true ? 't' : 'f')
        return
      case 'text':
      case 'json':
        out.text(quotedText(cell as string))
        return
      case 'levels':
        if (this.layout.hasArrays) out.levels(cell as readonly (readonly [number, number])[])
        else out.text(quotedText(JSON.stringify(cell)))
        return
    }
  }

  /** An array without values has no form. */
  private isUnsendable(type: FieldType, cell: Cell): boolean {
    return type === 'levels' && this.layout.hasArrays && (cell as readonly unknown[]).length === 0
  }

  private time(value: unknown, index: number): string {
    if (this.timestamp === undefined) return '\n'
    const timeUs = this.layout.rows.cell(this.timestamp, fieldOf(value, this.timestamp.name), index)
    if (timeUs === null) return '\n'
    if ((timeUs as number) < 0) throw this.refused(index, `its ${this.timestamp.name} is before 1970`)
    return timeUs === 0 ? ' 0\n' : ` ${String(timeUs)}000\n`
  }

  private refused(index: number, what: string): Fault {
    return new Fault('VALUE_INVALID', `The sink ${this.sink} cannot write a value: ${what}. The value is left out.`, {
      sink: this.sink,
      index,
    })
  }
}

interface Prefixed {
  readonly column: Column
  readonly prefix: string
}

function prefixed(columns: readonly Column[]): Prefixed[] {
  return columns.map((column) => ({ column, prefix: `${escaped(column.name)}=` }))
}

/** Names and symbols: what would end them is escaped. */
function escaped(text: string): string {
  return /[ ,=\n\r\\]/.test(text) ? text.replace(/[ ,=\n\r\\]/g, '\\$&') : text
}

function quotedText(text: string): string {
  return `"${/["\n\r\\]/.test(text) ? text.replace(/["\n\r\\]/g, '\\$&') : text}"`
}

/** Lines that are being written: text, with binary values in between. */
export class LineBuffer {
  private pending = ''
  private buffer = Buffer.allocUnsafeSlow(INITIAL_BYTES)
  private length = 0

  /** About what is here, in bytes. */
  get size(): number {
    return this.length + this.pending.length
  }

  text(text: string): void {
    this.pending += text
  }

  double(value: number): void {
    this.bytes(10)
    this.buffer[this.length++] = EQUALS
    this.buffer[this.length++] = DOUBLE_ENTITY
    this.length = this.buffer.writeDoubleLE(value, this.length)
  }

  /** Two rows: prices, and sizes. */
  levels(levels: readonly (readonly [number, number])[]): void {
    this.bytes(12 + levels.length * 16)
    for (const byte of [EQUALS, ARRAY_ENTITY, DOUBLE_TYPE, 2]) this.buffer[this.length++] = byte
    this.length = this.buffer.writeInt32LE(2, this.length)
    this.length = this.buffer.writeInt32LE(levels.length, this.length)
    for (const [price] of levels) this.length = this.buffer.writeDoubleLE(price, this.length)
    for (const [, size] of levels) this.length = this.buffer.writeDoubleLE(size, this.length)
  }

  /** What is here, and nothing is afterwards. */
  take(): Buffer {
    this.bytes(0)
    const taken = this.buffer.subarray(0, this.length)
    this.buffer = Buffer.allocUnsafeSlow(INITIAL_BYTES)
    this.length = 0
    return taken
  }

  /** Makes room for bytes behind the text. */
  private bytes(count: number): void {
    const needed = this.length + this.pending.length * UTF8_BYTES_MAX + count
    if (needed > this.buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.buffer.length * 2, needed))
      this.buffer.copy(larger, 0, 0, this.length)
      this.buffer = larger
    }
    this.length += this.buffer.write(this.pending, this.length)
    this.pending = ''
  }
}

const INITIAL_BYTES = 70_000
/** Of one unit of a string. */
const UTF8_BYTES_MAX = 3
const EQUALS = 61
const DOUBLE_ENTITY = 16
const ARRAY_ENTITY = 14
const DOUBLE_TYPE = 10
