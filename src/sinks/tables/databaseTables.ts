/**
 * Which rows of a batch go to which table of a database, and whether a table that is there is the one that is meant.
 *
 * Market events have a table per kind; other values one table, inferred from the first batch or declared. A table that
 * is there is never altered: where its columns are others, the sink says which and stops.
 */
import { Fault } from '../../model/fault'
import type { FieldType } from '../eventFields'
import { declaredTable, tableNameOf, TableRows, tableOf, type Column, type ColumnTypes, type Table } from './table'

export interface TableOptions {
  /** One table for all values. Default: market events by kind (`trades`, `book_changes`, `tickers`, ...), others `rows`. */
  readonly table?: string
  /** Field name to type, in the table's order; other fields are left out. Default: those of the event's kind, else of the first batch. */
  readonly columns?: ColumnTypes
}

/** The values of a batch that go to one table, in their order. */
export interface Part {
  readonly table: string
  readonly values: readonly unknown[]
  /** Where they stand in the batch; undefined when they are the whole batch. */
  readonly indexes: readonly number[] | undefined
}

/** A column as a database describes it. */
export interface FoundColumn {
  readonly name: string
  readonly type: string
}

/** What names of tables and columns a database keeps as they are. */
export interface NameRules {
  readonly bytesMax: number
  /** Characters beside control characters that it does not take, even between quotes. */
  readonly without?: string
}

/** How a database spells the types of fields. */
export type SqlTypes = Readonly<Record<FieldType, string>>

/** The table of values that are no market events. */
export const DEFAULT_TABLE = 'rows'

/** The tables of one sink, from the options to the layouts that were agreed with the database. */
export class DatabaseTables {
  private readonly agreed = new Map<string, TableRows>()
  private readonly declared: Table | undefined
  /** Not the options as a whole: those of a server hold its password. */
  private readonly table: string | undefined

  /**
   * @param names  what names the database keeps as they are
   * @throws `OPTION_INVALID` for names or columns that are none
   */
  constructor(
    private readonly sink: string,
    options: TableOptions,
    private readonly names: NameRules,
  ) {
    this.declared = declaredTable(sink, options.columns)
    this.table = options.table
    if (options.table !== undefined) this.checkName(options.table)
    const twins = this.declared === undefined ? undefined : twinsOf(this.declared.columns)
    if (twins !== undefined) throw this.unusable('columns', twins)
  }

  /** Where each value of a batch goes, in the order in which the tables are met. */
  split(batch: readonly unknown[]): Part[] {
    const { table } = this
    if (table !== undefined) {
      if (this.declared === undefined) this.checkOneKind(table, batch)
      return [{ table, values: batch, indexes: undefined }]
    }
    const parts = new Map<string, { values: unknown[]; indexes: number[] }>()
    for (let index = 0; index < batch.length; index++) {
      const name = tableNameOf(batch[index]) ?? DEFAULT_TABLE
      let part = parts.get(name)
      if (part === undefined) parts.set(name, (part = { values: [], indexes: [] }))
      part.values.push(batch[index])
      part.indexes.push(index)
    }
    return [...parts].map(([name, part]) =>
      part.values.length === batch.length
        ? { table: name, values: batch, indexes: undefined }
        : { table: name, ...part },
    )
  }

  /** The layout that the database has agreed to. */
  rowsOf(table: string): TableRows | undefined {
    return this.agreed.get(table)
  }

  /** Nothing is known of the database any more: it may have been changed, or be another. */
  forget(): void {
    this.agreed.clear()
  }

  /** The columns that a part asks for. */
  wanted({ values, indexes }: Part): Table {
    if (this.declared !== undefined) return this.declared
    const table = tableOf(values)
    if (table.leavesOut) return table
    const fault = this.problemOf(table, values, indexes)
    if (fault !== undefined) throw fault
    return table
  }

  /**
   * Takes a table for agreed: one that was just made as wanted, or one that was found and is as wanted.
   *
   * A table whose columns were inferred may have more than this batch has fields: an earlier batch had them.
   *
   * @throws `OPTION_INVALID` with the difference
   */
  agree(name: string, wanted: Table, types: SqlTypes, found?: readonly FoundColumn[]): TableRows {
    const table = found === undefined ? wanted : this.adopted(name, wanted, types, found)
    const rows = new TableRows(this.sink, table)
    this.agreed.set(name, rows)
    return rows
  }

  private adopted(name: string, wanted: Table, types: SqlTypes, found: readonly FoundColumn[]): Table {
    const foundTypes = new Map(found.map((column) => [column.name, column.type]))
    const wantedNames = new Set(wanted.columns.map((column) => column.name))
    const missing = wanted.columns.filter((column) => !foundTypes.has(column.name))
    const others = wanted.columns.filter((column) => !isType(foundTypes.get(column.name), types[column.type]))
    const extra = found.filter((column) => !wantedNames.has(column.name))
    const known = extra.map((column) => columnOf(column, types))
    const areExtraKept = !wanted.leavesOut && known.every((column) => column !== undefined)
    const differences = [
      ...missing.map((column) => `it has no column ${shown(column.name)} (${types[column.type]})`),
      ...others
        .filter((column) => foundTypes.has(column.name))
        .map(
          (column) => `its column ${shown(column.name)} is ${foundTypes.get(column.name)!}, not ${types[column.type]}`,
        ),
      ...(areExtraKept ? [] : extra.map((column) => `it has a column ${shown(column.name)} (${column.type}) too many`)),
    ]
    if (differences.length > 0) {
      throw new Fault(
        'OPTION_INVALID',
        `The sink ${this.sink} cannot write into the table ${shown(name)} that is there: ${differences.join('; ')}. It is left as it is: alter or rename it, choose another table, or declare the columns of the sink.`,
        {
          sink: this.sink,
          table: name,
          missing: missing.map((column) => column.name),
          extra: areExtraKept ? [] : extra.map((column) => column.name),
          otherType: others.filter((column) => foundTypes.has(column.name)).map((column) => column.name),
        },
      )
    }
    if (wanted.leavesOut) return wanted
    return { columns: [...wanted.columns, ...known.filter((column) => column !== undefined)], leavesOut: false }
  }

  private checkName(table: string): void {
    if (isName(table, this.names)) return
    throw this.unusable('table', `the table ${shown(table)}: a name is ${rulesInWords(this.names)}`)
  }

  private unusable(option: string, what: string): Fault {
    return new Fault('OPTION_INVALID', `The sink ${this.sink} cannot have ${what}.`, { sink: this.sink, option })
  }

  /** Fields of values become columns: their names may be anything. */
  private problemOf(
    { columns }: Table,
    values: readonly unknown[],
    indexes: readonly number[] | undefined,
  ): Fault | undefined {
    const refused = (at: number, what: string): Fault =>
      new Fault('VALUE_INVALID', `The sink ${this.sink} cannot write a value: ${what}. The value is left out.`, {
        sink: this.sink,
        index: indexes?.[at] ?? at,
      })
    if (columns.length === 0) return refused(0, 'it has no field that could be a column')
    const holder = (name: string): number => values.findIndex((value) => Object.hasOwn(value as object, name))
    for (const { name } of columns) {
      if (isName(name, this.names)) continue
      return refused(
        holder(name),
        `its field ${shown(name)} cannot be a column, whose name is ${rulesInWords(this.names)}`,
      )
    }
    const twins = twinsOf(columns)
    return twins === undefined ? undefined : refused(holder(twinNameOf(columns)), `its table would have ${twins}`)
  }

  /** A ticker in a table of trades would lose most of itself without a word. */
  private checkOneKind(table: string, batch: readonly unknown[]): void {
    const known = this.kindTables.get(table)
    for (let index = 0; index < batch.length; index++) {
      const kindTable = tableNameOf(batch[index]) ?? DEFAULT_TABLE
      const first = known ?? this.kindTables.get(table)
      if (first === undefined) this.kindTables.set(table, kindTable)
      else if (first !== kindTable) {
        throw new Fault(
          'VALUE_INVALID',
          `The sink ${this.sink} cannot write a value: it belongs to ${kindTable}, and the table ${shown(table)} has the columns of ${first}. Leave out the option table, or declare the columns. The value is left out.`,
          { sink: this.sink, index },
        )
      }
    }
  }

  private readonly kindTables = new Map<string, string>()
}

export function isName(name: string, { bytesMax, without = '' }: NameRules): boolean {
  if (name === '' || Buffer.byteLength(name) > bytesMax || /[\u0000-\u001f\u007f]/.test(name)) return false
  return !Array.from(without).some((char) => name.includes(char))
}

export function rulesInWords({ bytesMax, without }: NameRules): string {
  const others = without === undefined ? '' : ` and ${Array.from(without).join(' ')}`
  return `1 to ${bytesMax} bytes without control characters${others}`
}

/** A name between double quotes, as SQL has it. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** A name of others in a sentence: short, and visible whatever it is made of. */
export function shown(name: string): string {
  const text = JSON.stringify(name)
  return text.length <= SHOWN_MAX ? text : `${text.slice(0, SHOWN_MAX)}…"`
}

const SHOWN_MAX = 80

/** A type is one of the spellings that a database has for it. */
function isType(found: string | undefined, wanted: string): boolean {
  return found?.toLowerCase() === wanted.toLowerCase()
}

function columnOf({ name, type }: FoundColumn, types: SqlTypes): Column | undefined {
  const known = Object.entries(types).find(([, sqlType]) => isType(type, sqlType))
  return known === undefined ? undefined : { name, type: known[0] as FieldType }
}

/** Two columns whose names a database takes for one. */
function twinsOf(columns: readonly Column[]): string | undefined {
  const name = twinNameOf(columns)
  if (name === '') return undefined
  const twins = columns.filter((column) => column.name.toLowerCase() === name.toLowerCase())
  return `the columns ${twins.map((column) => shown(column.name)).join(' and ')}, which differ in case alone`
}

function twinNameOf(columns: readonly Column[]): string {
  const seen = new Set<string>()
  for (const { name } of columns) {
    if (seen.has(name.toLowerCase())) return name
    seen.add(name.toLowerCase())
  }
  return ''
}
