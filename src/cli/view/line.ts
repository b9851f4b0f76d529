/**
 * Lines of a picture as pieces with a format, so that cutting one to the window never counts or cuts what sets colours.
 * What is drawn goes through here, and nothing that is drawn can move the cursor.
 */
import { printable } from '../printable'
import { cell, cut, widthOf } from './cells'

/** On and off, as terminals know them. Whether colours are wanted is asked of the stream that is drawn on. */
const FORMATS = {
  bold: [1, 22],
  dim: [2, 22],
  inverse: [7, 27],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
} as const

export type Format = keyof typeof FORMATS
export type Piece = string | readonly [text: string, format: Format | undefined]
export type Line = readonly Piece[]
export type Style = (format: Format, text: string) => string

export const coloured: Style = (format, text) => `\x1b[${FORMATS[format][0]}m${text}\x1b[${FORMATS[format][1]}m`
export const plain: Style = (_, text) => text

/** A line as it is written: cut to the window, of which the last column stays empty. */
export function drawn(line: Line, columns: number, style: Style): string {
  let left = columns - 1
  let text = ''
  for (const piece of line) {
    if (left <= 0) break
    const [said, format] = typeof piece === 'string' ? [piece, undefined] : piece
    const shown = cut(printable(said), left)
    left -= widthOf(shown)
    text += format === undefined || shown === '' ? shown : style(format, shown)
  }
  return text
}

/** Things one after another with two spaces between, on as many lines as they need; what needs more than `linesMax` is left out. */
export function flowed(things: readonly Line[], columns: number, linesMax: number): Line[] {
  const lines: Piece[][] = []
  let room = 0
  for (const thing of things) {
    const width = thing.reduce(
      (sum, piece) => sum + widthOf(printable(typeof piece === 'string' ? piece : piece[0])),
      0,
    )
    const line = lines.at(-1)
    if (line !== undefined && width + 2 <= room) {
      line.push('  ', ...thing)
      room -= width + 2
      continue
    }
    if (lines.length === linesMax) break
    lines.push([...thing])
    room = columns - 1 - width
  }
  return lines
}

/** A sentence on several lines, broken between words; of words longer than a line the end is left out. */
export function wrapped(sentence: string, columns: number): string[] {
  const lines: string[] = []
  for (const word of printable(sentence).split(' ')) {
    const line = lines.at(-1)
    if (line !== undefined && widthOf(line) + 1 + widthOf(word) <= columns) lines[lines.length - 1] = `${line} ${word}`
    else lines.push(cut(word, columns))
  }
  return lines
}

/** A column of a table. */
export interface Column {
  readonly title: string
  readonly width: number
  readonly left?: true
}

export type Cell = string | readonly [text: string, format: Format | undefined]

/** A row of a table: cells as wide as their columns, with a space between. */
export function row(columns: readonly Column[], cells: readonly Cell[]): Line {
  return columns.flatMap(({ width, left }, index): Piece[] => {
    const given = cells[index] ?? ''
    const [text, format] = typeof given === 'string' ? [given, undefined] : given
    const filled = cell(printable(text), width, left === true ? 'left' : 'right')
    return index === 0 ? [[filled, format]] : [' ', [filled, format]]
  })
}

export function titles(columns: readonly Column[]): Line {
  return row(
    columns,
    columns.map(({ title }): Cell => [title, 'dim']),
  )
}

/** The columns that fit, in their order in the table: the most important ones first asked, one that does not fit left out. */
export function fitting<C extends Column & { readonly rank: number }>(columns: readonly C[], width: number): C[] {
  let room = width - 1
  const kept = new Set<C>()
  for (const column of [...columns].sort((a, b) => a.rank - b.rank)) {
    const needed = column.width + (kept.size === 0 ? 0 : 1)
    if (needed > room && kept.size > 0) continue
    kept.add(column)
    room -= needed
  }
  return columns.filter((column) => kept.has(column))
}
