/**
 * Which table the values of a sink go to, where one file or folder has one: the declared one, that of the kind of its events,
 * or that of its first batch. A file says which one it has, so that it can be continued.
 */
import { Fault } from '../../model/fault'
import { declaredTable, tableNameOf, tableOf, TableRows, type Column, type ColumnTypes, type Table } from './table'

export interface ChosenTable {
  /** What its events belong to (`trades`); empty for other values, and where columns are declared. */
  readonly kind: string
  readonly rows: TableRows
}

export class TableChoice {
  private readonly declared: Table | undefined
  private readonly chosen = new Map<string, ChosenTable>()

  /**
   * @param manyKinds  each kind of event may have a table of its own; otherwise the first value decides for all
   * @throws `OPTION_INVALID` for columns that are none
   */
  constructor(
    private readonly sink: string,
    columns: ColumnTypes | undefined,
    private readonly manyKinds: boolean,
  ) {
    this.declared = declaredTable(sink, columns)
    this.clear()
  }

  /** Forgets what was chosen: another run begins. */
  clear(): void {
    this.chosen.clear()
    if (this.declared !== undefined) this.choose('', this.declared)
  }

  /** The table that was chosen first, if any was: with declared columns, at once. */
  get first(): ChosenTable | undefined {
    return this.chosen.values().next().value
  }

  /** @throws `VALUE_INVALID` with `index` for a value that belongs to another table, or has no field that tells a type */
  of(batch: readonly unknown[], index: number): ChosenTable {
    const value = batch[index]
    const kind = this.declared === undefined ? (tableNameOf(value) ?? '') : ''
    const chosen = this.chosen.get(kind)
    if (chosen !== undefined) return chosen
    if (this.chosen.size > 0 && !this.manyKinds) throw this.stranger(kind, index)
    const table = tableOf(kind === '' ? batch.slice(index).filter(isOfNoKind) : [value])
    if (table.columns.length > 0) return this.choose(kind, table)
    throw new Fault(
      'VALUE_INVALID',
      `The sink ${this.sink} cannot write a value: none of its fields has a value that would tell its type; declare the columns of the sink. It is left out.`,
      { sink: this.sink, index },
    )
  }

  /**
   * Takes over the columns of a file that is continued.
   *
   * @throws `OPTION_INVALID` with the difference when others are declared
   */
  continue(file: string, kind: string, columns: readonly Column[]): void {
    const wanted = this.declared?.columns ?? this.chosen.get(kind)?.rows.table.columns
    if (wanted !== undefined && !sameColumns(wanted, columns)) {
      throw new Fault(
        'OPTION_INVALID',
        `The sink ${this.sink} cannot continue ${file}: its columns are ${columnsText(columns)}, not ${columnsText(wanted)}. Give it another path, or leave out append.`,
        { sink: this.sink, path: file },
      )
    }
    if (this.first === undefined) this.choose(kind, { columns, leavesOut: kind !== '' })
  }

  private choose(kind: string, table: Table): ChosenTable {
    const chosen = { kind, rows: new TableRows(this.sink, table) }
    this.chosen.set(kind, chosen)
    return chosen
  }

  private stranger(kind: string, index: number): Fault {
    const known = this.first!.kind
    return new Fault(
      'VALUE_INVALID',
      `The sink ${this.sink} cannot write a value: it belongs to ${kind === '' ? 'no kind of event' : kind}, where the file holds ${known === '' ? 'other values' : known}. It is left out; give each kind a sink of its own.`,
      { sink: this.sink, index },
    )
  }
}

/** `price number, size number` */
export function columnsText(columns: readonly Column[]): string {
  return columns.map(({ name, type }) => `${name} ${type}`).join(', ')
}

export function sameColumns(some: readonly Column[], others: readonly Column[]): boolean {
  return encodeColumns(some) === encodeColumns(others)
}

/** Columns as a note in a file. */
export function encodeColumns(columns: readonly Column[]): string {
  return JSON.stringify(columns.map(({ name, type }) => [name, type]))
}

export function decodeColumns(note: string): Column[] {
  return (JSON.parse(note) as [string, Column['type']][]).map(([name, type]) => ({ name, type }))
}

function isOfNoKind(value: unknown): boolean {
  return tableNameOf(value) === undefined
}
