import { Fault } from '../model/fault'
import { encodeValue } from './encode'
import { encodeBatch } from './encodeBatch'
import { FileAppender, type AppendOptions } from './fileAppender'
import { sinkCounters, type Sink } from './sink'

export interface CsvOptions extends AppendOptions {
  /** The fields to write, in this order; others are left out. Default: the fields of the first value. */
  readonly columns?: readonly string[]
  /** Puts a `'` before text that a spreadsheet would run as a formula. For files that people open, not for machines. */
  readonly defuse?: boolean
  readonly name?: string
  readonly digest?: boolean
}

/**
 * Appends values to a file as rows of comma-separated values (RFC 4180), with a header row in every file.
 *
 * Cells     numbers as JavaScript prints them, NaN and infinities as nothing; `undefined` and `null` as nothing, the empty
 *           text as `""`; dates in ISO 8601; lists and objects as JSON. Rows end with CRLF
 * Columns   those given, else those of the file that is continued, else the fields of the first value
 * Delivery  at least once: a batch that fails is offered again whole, after what it left behind was cut off
 * Order     as received, also across rotated files
 * Errors    `SINK_REJECTED { path }` when the file cannot be opened or written; `OPTION_INVALID` on opening for a path
 *           outside the output folder, or a file to be continued whose columns are others
 *
 * @param path  inside the output folder; folders are created
 */
export function csv<T>(path: string, options: CsvOptions = {}): Sink<T> {
  const name = options.name ?? `csv(${path})`
  const counters = sinkCounters()
  const defuse = options.defuse === true
  let columns = options.columns
  const file = new FileAppender(name, path, options, counters, { header: () => row(columns ?? [], defuse) })
  if (options.digest === true) file.digest.enable()

  return {
    name,
    counters,
    async open(context) {
      await file.open(context)
      if (context.resume !== true) columns = options.columns
      const found = await headerOf(file)
      if (found === undefined) return
      const wanted = columns?.map((column) => (defuse ? defused(column) : column))
      if (
        wanted !== undefined &&
        (wanted.length !== found.length || wanted.some((column, at) => column !== found[at]))
      ) {
        await file.close()
        throw new Fault(
          'OPTION_INVALID',
          `The sink ${name} cannot continue ${file.location}: its columns are ${found.join(', ')}, not ${wanted.join(', ')}. Give it another path, or leave out append.`,
          { sink: name, path: file.location },
        )
      }
      columns ??= defuse ? found.map(undefused) : found
    },
    async write(batch) {
      if (batch.length === 0) return
      const fields = (columns ??= fieldsOf(batch[0]))
      const rows = encodeBatch(name, batch, (value) =>
        row(
          fields.map((field) => cellOf(value, field)),
          defuse,
        ),
      )
      await file.append(batch, rows)
    },
    close: () => file.close(),
    enableDigest: () => file.digest.enable(),
    digest: () => file.digest.value(),
  }
}

const HEADER_BYTES_MAX = 65_536

async function headerOf(file: FileAppender): Promise<string[] | undefined> {
  const text = await file.beginning(HEADER_BYTES_MAX)
  return text === '' ? undefined : firstRow(text)
}

/** The cells of the first row of a CSV text. */
function firstRow(text: string): string[] {
  const cells: string[] = []
  let cell = ''
  let quoted = false
  for (let at = text.startsWith('\uFEFF') ? 1 : 0; at < text.length; at++) {
    const char = text[at]!
    if (quoted) {
      if (char !== '"') cell += char
      else if (text[at + 1] === '"') cell += text[++at]!
      else quoted = false
    } else if (char === '"') quoted = true
    else if (char === '\n' || char === '\r') break
    else if (char === ',') {
      cells.push(cell)
      cell = ''
    } else cell += char
  }
  cells.push(cell)
  return cells
}

function fieldsOf(value: unknown): string[] {
  const fields = typeof value === 'object' && value !== null ? Object.keys(value) : []
  return fields.length > 0 ? fields : ['value']
}

function cellOf(value: unknown, field: string): unknown {
  if (typeof value === 'object' && value !== null) return (value as Record<string, unknown>)[field]
  return field === 'value' ? value : undefined
}

function row(cells: readonly unknown[], defuse: boolean): string {
  const text = cells.map((cell) => cellText(cell, defuse)).join(',')
  // A single empty cell would be an empty line, which readers skip.
  return text === '' ? '""' : text
}

function cellText(cell: unknown, defuse: boolean): string {
  switch (typeof cell) {
    case 'number':
      return Number.isFinite(cell) ? String(cell) : ''
    case 'boolean':
    case 'bigint':
      return String(cell)
    case 'string':
      return quoted(defuse ? defused(cell) : cell)
    case 'object':
      if (cell === null) return ''
      if (cell instanceof Date) return Number.isNaN(cell.getTime()) ? '' : cell.toISOString()
      return quoted(encodeValue(cell))
    case 'undefined':
    case 'function':
    case 'symbol':
      return ''
  }
}

function quoted(text: string): string {
  return text === '' || /[",\r\n]|^[\s\uFEFF]|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

function defused(text: string): string {
  return /^[\s\uFEFF]*[=+\-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20]/.test(text) ? `'${text}` : text
}

function undefused(text: string): string {
  return text.startsWith("'") && defused(text.slice(1)) === text ? text.slice(1) : text
}
