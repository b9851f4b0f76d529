import { harmless } from '../../page/numbers'
import type { ReportTable, ReportText } from './sections'

/** A report in Markdown with tables (GitHub's), in pieces. Texts from outside are shown as they are: nothing in them is markup. */
export function* markdownText({ title, verdict, figures, sections }: ReportText): Iterable<string> {
  yield `# ${escapeMarkdown(title)}\n\n`
  for (const { text, good } of verdict)
    yield `* ${good === false ? '**' : ''}${escapeMarkdown(text)}${good === false ? '**' : ''}\n`
  yield '\n'
  yield* tableOf({
    head: ['', ''],
    numeric: [],
    rows: figures.map(({ label, value }) => [label, value]),
  })
  for (const section of sections) {
    yield `## ${escapeMarkdown(section.title)}\n\n`
    for (const sentence of section.sentences) yield `${escapeMarkdown(sentence)}\n\n`
    for (const table of section.tables) if (table.rows.length > 0) yield* tableOf(table)
  }
}

function* tableOf({ title, head, numeric, rows }: ReportTable): Iterable<string> {
  if (title !== undefined) yield `### ${escapeMarkdown(title)}\n\n`
  yield row(head)
  yield row(
    head.map((column) => (numeric.includes(column) ? '---:' : '---')),
    String,
  )
  for (const cells of rows) yield row(cells)
  yield '\n'
}

function row(cells: readonly string[], textOf: (cell: string) => string = escapeMarkdown): string {
  return `| ${cells.map(textOf).join(' | ')} |\n`
}

/** A text in which nothing is markup, in a sentence or in the cell of a table. */
export function escapeMarkdown(text: string): string {
  return (
    harmless(text)
      .replace(/[\\`*[\]<>|~&#!]/g, '\\$&')
      .replace(/(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu, '\\_')
      .replace(/^[-+=]/, '\\$&')
      // The point of a list's number; a backslash before a digit would be shown.
      .replace(/^(\d+)([.)])(?=\s|$)/, '$1\\$2')
  )
}
