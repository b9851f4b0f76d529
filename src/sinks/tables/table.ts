/**
 * What a stream's values look like as a table: what Parquet, Arrow and the databases share.
 *
 * Columns are declared, or those of the event's kind, or inferred from the first batch. Inferring is honest: a field of
 * which no value is known yet has no column, and a value that brings a new field later is refused, not cut.
 */
import type { MarketEvent } from '../../model/events'
import { Fault } from '../../model/fault'
import { encodeValue } from '../encode'
import { EVENT_FIELDS, eventKindOf, type FieldType } from '../eventFields'

export interface Column {
  readonly name: string
  readonly type: FieldType
}

/** Columns as options give them: field name to type, in the order of the table. */
export type ColumnTypes = Readonly<Record<string, FieldType>>

export interface Table {
  readonly columns: readonly Column[]
  /** Fields without a column are left out, because someone said so; otherwise they are refused. */
  readonly leavesOut: boolean
}

export const FIELD_TYPES = [
  'text',
  'number',
  'integer',
  'timeUs',
  'boolean',
  'levels',
  'json',
] as const satisfies readonly FieldType[]

/** The columns that were asked for, or undefined where the first batch decides. */
export function declaredTable(sink: string, columns: ColumnTypes | undefined): Table | undefined {
  if (columns === undefined) return undefined
  const entries = Object.entries(columns)
  if (entries.length === 0) {
    throw new Fault('OPTION_INVALID', `The sink ${sink} has no columns: name at least one, or leave the option out.`, {
      option: 'columns',
    })
  }
  for (const [name, type] of entries) {
    if (!(FIELD_TYPES as readonly string[]).includes(type) || !isColumnName(name)) {
      throw new Fault(
        'OPTION_INVALID',
        `The sink ${sink} has the column ${JSON.stringify(name)} of type ${JSON.stringify(type)}: names are 1 to ${NAME_CHARS_MAX} characters without control characters, types ${FIELD_TYPES.join(', ')}.`,
        { option: 'columns', column: name.slice(0, NAME_CHARS_MAX) },
      )
    }
  }
  return { columns: entries.map(([name, type]) => ({ name, type })), leavesOut: true }
}

/** The table of a kind of event. `kind` itself has a column: a file or database may hold several. */
export function eventTable(kind: MarketEvent['kind']): Table {
  const fields = Object.entries<FieldType>(EVENT_FIELDS[kind])
  return { columns: fields.map(([name, type]) => ({ name, type })), leavesOut: true }
}

/** Which table a value belongs to: for market events by kind, so that each has its own columns; undefined for others. */
export function tableNameOf(value: unknown): string | undefined {
  const kind = eventKindOf(value)
  return kind === undefined ? undefined : EVENT_TABLES[kind]
}

const EVENT_TABLES: Readonly<Record<MarketEvent['kind'], string>> = {
  trade: 'trades',
  snapshot: 'book_changes',
  delta: 'book_changes',
  ticker: 'tickers',
  candle: 'candles',
  derivative: 'derivatives',
  liquidation: 'liquidations',
  notice: 'notices',
}

/**
 * The table that a batch asks for: that of its event's kind, else of all fields that its values have.
 *
 * Numbers are `number`, whole or not, since the next may be a fraction; those named `...TimeUs` are times; bigints
 * are `integer`; lists and objects `json`; a value that is no object is a table of one column, `value`.
 */
export function tableOf(batch: readonly unknown[]): Table {
  const kind = eventKindOf(batch[0])
  if (kind !== undefined) return eventTable(kind)
  const types = new Map<string, FieldType>()
  for (const value of batch) {
    for (const [name, field] of fieldsOf(value)) {
      const type = typeOf(name, field)
      if (type === undefined) continue
      const known = types.get(name)
      types.set(name, known === undefined || known === type ? type : 'json')
    }
  }
  return { columns: [...types].map(([name, type]) => ({ name, type })), leavesOut: false }
}

/** A column's value in one of these: text, a finite number, a boolean, levels; null where there is none. */
export type Cell = string | number | boolean | readonly (readonly [number, number])[] | null

/** Makes values into rows of a table. */
export class TableRows {
  private readonly names: ReadonlySet<string>

  constructor(
    private readonly sink: string,
    readonly table: Table,
  ) {
    this.names = new Set(table.columns.map(({ name }) => name))
  }

  /**
   * @throws `VALUE_INVALID` with `index` when the value does not fit: another type than the column's, a field that has no
   *         column
   */
  cells(value: unknown, index: number): Cell[] {
    this.checkFields(value, index)
    return this.table.columns.map((column) => this.cell(column, fieldOf(value, column.name), index))
  }

  /** One cell of a value. */
  cell({ name, type }: Column, field: unknown, index: number): Cell {
    const cell = cellOf(type, field)
    if (cell === undefined) {
      throw this.unfit(index, `its ${name} is ${describe(field)}, where the column is ${type}`)
    }
    return cell
  }

  /** Every field of the value has a column, unless fields are left out by declaration. */
  checkFields(value: unknown, index: number): void {
    if (this.table.leavesOut) return
    for (const [name, field] of fieldsOf(value)) {
      if (this.names.has(name) || typeOf(name, field) === undefined) continue
      throw this.unfit(index, `its field ${JSON.stringify(name)} has no column; declare the columns of the sink`)
    }
  }

  private unfit(index: number, what: string): Fault {
    return new Fault('VALUE_INVALID', `The sink ${this.sink} cannot write a value: ${what}. The value is left out.`, {
      sink: this.sink,
      index,
    })
  }
}

/** The field as the column holds it; undefined when it does not fit. Absent, NaN and infinite are null. */
export function cellOf(type: FieldType, field: unknown): Cell | undefined {
  if (field === undefined || field === null) return null
  switch (type) {
    case 'text':
      return typeof field === 'string' ? field : undefined
    case 'number':
      if (typeof field === 'bigint') return Number(field)
      if (typeof field !== 'number') return undefined
      return Number.isFinite(field) ? field : null
    case 'integer':
    case 'timeUs':
      return wholeOf(field)
    case 'boolean':
      return typeof field === 'boolean' ? field : undefined
    case 'levels':
      return isLevels(field) ? field : undefined
    case 'json':
      return encodeValue(field)
  }
}

function wholeOf(field: unknown): number | null | undefined {
  if (field instanceof Date) return Number.isNaN(field.getTime()) ? null : field.getTime() * 1_000
  const number = typeof field === 'bigint' ? Number(field) : field
  if (typeof number !== 'number') return undefined
  if (Number.isNaN(number)) return null
  return Number.isSafeInteger(number) ? number : undefined
}

function isLevels(field: unknown): field is readonly (readonly [number, number])[] {
  return (
    Array.isArray(field) &&
    field.every(
      (level) => Array.isArray(level) && level.length === 2 && Number.isFinite(level[0]) && Number.isFinite(level[1]),
    )
  )
}

function typeOf(name: string, field: unknown): FieldType | undefined {
  switch (typeof field) {
    case 'number':
      return name.endsWith('TimeUs') || name === 'timeUs' ? 'timeUs' : 'number'
    case 'bigint':
      return 'integer'
    case 'string':
      return 'text'
    case 'boolean':
      return 'boolean'
    case 'object':
      if (field === null) return undefined
      return field instanceof Date ? 'timeUs' : 'json'
    default:
      return undefined
  }
}

export function fieldOf(value: unknown, name: string): unknown {
  if (isRecord(value)) return value[name]
  return name === 'value' ? value : undefined
}

function fieldsOf(value: unknown): [string, unknown][] {
  return isRecord(value) ? Object.entries(value) : [['value', value]]
}

function isColumnName(name: string): boolean {
  return name.length > 0 && name.length <= NAME_CHARS_MAX && !/[\u0000-\u001f]/.test(name)
}

/** The longest that PostgreSQL does not cut. */
const NAME_CHARS_MAX = 63

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
}

function describe(field: unknown): string {
  return typeof field === 'object' ? 'an object' : `${typeof field} ${encodeValue(field).slice(0, 40)}`
}
