import type { FieldType } from '../eventFields'
import { fieldOf, type Cell, type TableRows } from './table'

/**
 * Adds the cells of the values `from` to `to` to columns: one column after the other where only the fields that have columns
 * are looked at, which saves a list per row; else value by value.
 *
 * @throws `VALUE_INVALID` with `index`; then some columns are longer than others
 */
export function addCells(rows: TableRows, values: readonly unknown[], from: number, to: number, into: Cell[][]): void {
  const { columns, leavesOut } = rows.table
  if (!leavesOut) {
    for (let at = from; at < to; at++) addRow(rows.cells(values[at], at), into)
    return
  }
  for (let place = 0; place < columns.length; place++) {
    const column = columns[place]!
    const { name, type } = column
    const cells = into[place]!
    const fits = FITTING[type]
    for (let at = from; at < to; at++) {
      const field = fieldOf(values[at], name)
      // Almost every field is what its column is, and passes without a look at what else it might be.
      cells.push(fits(field) ? (field as Cell) : rows.cell(column, field, at))
    }
  }
}

function addRow(cells: readonly Cell[], into: Cell[][]): void {
  for (let place = 0; place < cells.length; place++) into[place]!.push(cells[place]!)
}

const isNever = (): boolean => false
const isWhole = (field: unknown): boolean => Number.isSafeInteger(field)

/** Where a field of this type is the column's cell as it is. */
const FITTING: Readonly<Record<FieldType, (field: unknown) => boolean>> = {
  text: (field) => typeof field === 'string',
  number: (field) => Number.isFinite(field),
  integer: isWhole,
  timeUs: isWhole,
  boolean: (field) => typeof field === 'boolean',
  levels: isNever,
  json: isNever,
}
