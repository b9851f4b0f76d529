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
    const cells = into[place]!
    for (let at = from; at < to; at++) cells.push(rows.cell(column, fieldOf(values[at], column.name), at))
  }
}

function addRow(cells: readonly Cell[], into: Cell[][]): void {
  for (let place = 0; place < cells.length; place++) into[place]!.push(cells[place]!)
}
