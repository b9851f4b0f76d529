/**
 * Folders of a partitioned data set, as Hive names them: `exchange=binance/symbol=BTCUSDT/date=2026-11-28`.
 *
 * Readers take the values from the names, so the columns are not in the files. What a file name cannot hold is
 * percent-encoded, as DuckDB, Polars, Arrow and Spark read it; no value leads out of the folder, whatever it is.
 */
import { Fault } from '../../model/fault'
import type { Cell, Column, Table } from '../tables/table'

/** Where a row goes, and which of its cells are in the file. */
export interface Partitioning {
  /** The columns of the files. */
  readonly columns: readonly Column[]
  /** Their places among the table's. */
  readonly kept: readonly number[]
  /** @returns the folder, relative to the data set's; the reason when it has no name */
  folder(cells: readonly Cell[]): { readonly path: string } | { readonly problem: string }
}

const PARTITION_NAMES_MAX = 8
/** What file systems take, in bytes. */
const NAME_BYTES_MAX = 255
/** How Hive says that there is no value. */
const NO_VALUE = '__HIVE_DEFAULT_PARTITION__'
/** Not a column: the UTC day of the row's first time. */
const DATE = 'date'
const DAY_US = 86_400_000_000
/** The days that JavaScript's dates know, in microseconds. */
const DATE_US_MAX = 8.64e18

/** @throws `OPTION_INVALID` for names that are no columns of the table */
export function partitioning(sink: string, table: Table, names: readonly string[]): Partitioning {
  const { columns } = table
  const isDate = (name: string): boolean => name === DATE && !columns.some((column) => column.name === DATE)
  const parts = names.map((name) => {
    const at = columns.findIndex((column) => column.name === name)
    if (isDate(name)) return { name, of: dateOf(columns) }
    const type = columns[at]?.type
    if (type === undefined || type === 'levels' || type === 'json') {
      throw new Fault(
        'OPTION_INVALID',
        `The sink ${sink} cannot be partitioned by ${JSON.stringify(name)}: name columns that hold a text, a number, a time or a boolean, or "date". Its columns are ${columns.map((column) => column.name).join(', ')}.`,
        { sink, option: 'partition' },
      )
    }
    return { name, of: (cells: readonly Cell[]): Cell => cells[at] ?? null }
  })
  const kept = [...columns.keys()].filter((at) => !names.includes(columns[at]!.name))
  if (kept.length === 0) {
    throw new Fault(
      'OPTION_INVALID',
      `The sink ${sink} is partitioned by all of its columns: leave one for the files.`,
      {
        sink,
        option: 'partition',
      },
    )
  }
  return {
    columns: kept.map((at) => columns[at]!),
    kept,
    folder(cells) {
      const folders = parts.map(({ name, of }) => `${escaped(name)}=${valueText(of(cells))}`)
      const long = folders.findIndex((folder) => Buffer.byteLength(folder) > NAME_BYTES_MAX)
      if (long < 0) return { path: folders.join('/') }
      return {
        problem: `its ${names[long]} is too long for the name of a folder (${Buffer.byteLength(folders[long]!)} bytes, at most ${NAME_BYTES_MAX})`,
      }
    },
  }
}

/** @throws `OPTION_INVALID` */
export function checkPartition(sink: string, names: readonly string[]): void {
  const fits = names.length >= 1 && names.length <= PARTITION_NAMES_MAX && new Set(names).size === names.length
  if (fits) return
  throw new Fault(
    'OPTION_INVALID',
    `The sink ${sink} has partition = [${names.join(', ')}]: name 1 to ${PARTITION_NAMES_MAX} columns, each once.`,
    { sink, option: 'partition' },
  )
}

function dateOf(columns: readonly Column[]): (cells: readonly Cell[]) => Cell {
  const times = [...columns.keys()].filter((at) => columns[at]!.type === 'timeUs')
  let lastDay = NaN
  let lastText = ''
  return (cells) => {
    const time = times.map((at) => cells[at]).find((cell) => typeof cell === 'number')
    if (time === undefined || Math.abs(time) > DATE_US_MAX) return null
    const day = Math.floor(time / DAY_US)
    if (day !== lastDay) {
      lastDay = day
      lastText = new Date(day * (DAY_US / 1_000)).toISOString().split('T')[0]!
    }
    return lastText
  }
}

function valueText(cell: Cell): string {
  return cell === null ? NO_VALUE : escaped(String(cell))
}

/** Encoded is all but letters, digits and `-_.~`; a text that is not well-formed has its broken characters replaced. */
function escaped(text: string): string {
  return encodeURIComponent(Buffer.from(text).toString()).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}
