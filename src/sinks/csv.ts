import { numberText } from '../model/numberText'
import { compileRow } from './files/compileRows'
import { encodeValue } from './encode'
import { EVENT_FIELDS, ENGINE_FIELDS, eventKindOf } from './eventFields'
import { FileAppender, type AppendOptions, type FileRows } from './files/fileAppender'
import { sinkCounters, type Sink } from './sink'

export interface CsvOptions<T = unknown> extends AppendOptions<T> {
  /** The fields to write, in this order; others are left out. Default: the fields of the first value of the file. */
  readonly columns?: readonly string[]
  /** Puts a `'` before text that a spreadsheet would run as a formula. For files that people open, not for machines. */
  readonly defuse?: boolean
  readonly name?: string
  readonly digest?: boolean
}

/**
 * Appends values to a file, or to several, as rows of comma-separated values (RFC 4180), with a header row in every file.
 *
 * Cells     numbers as JavaScript prints them, NaN and infinities as nothing; `undefined` and `null` as nothing, the empty
 *           text as `""`; dates in ISO 8601; lists and objects as JSON. Rows end with CRLF. The text is UTF-8, which has no
 *           form for half of a surrogate pair: it is written as U+FFFD
 * Columns   those given, else those of the file that is continued, else the fields of the first value; of a market event
 *           those that `encodeEvent` writes, and what a stage has added
 * Delivery  at least once: a batch that fails goes on where it stood, after what it left behind was cut off; a run that is
 *           repeated, with `append`, writes its values again. What a killed process had acknowledged is there, whole
 * Order     as received within a file, also across rotated ones
 * Names     by a template, such as `out/trades-{instrument}-{date}.csv`: fields of the values, `{date}` and `{hour}`
 * Errors    `SINK_REJECTED { path }` when a file cannot be opened or written; `VALUE_INVALID` for a value that can name no
 *           file, or whose file has other columns; `OPTION_INVALID` on opening for a path outside the output folder, a
 *           template with unknown fields, or the one file to be continued whose columns are others
 *
 * See `FileAppender` for names, rotation, compression and what is durable when.
 *
 * @param path  inside the output folder; folders are created; compressed when it ends in `.gz`, `.zst` or `.lz4`
 */
export function csv<T>(path: string, options: CsvOptions<T> = {}): Sink<T> {
  const name = options.name ?? `csv(${path})`
  const counters = sinkCounters()
  const defuse = options.defuse === true
  const rowsOf = (): FileRows<T> => new CsvRows<T>(options.columns, defuse)
  const files = new FileAppender<T>(name, path, options, counters, 'rows', rowsOf, options.columns)
  if (options.digest === true) files.digest.enable()

  return {
    name,
    counters,
    delivery: 'atLeastOnce',
    open: (context) => files.open(context),
    write: (batch) => files.write(batch),
    close: () => files.close(),
    enableDigest: () => files.digest.enable(),
    digest: () => files.digest.value(),
  }
}

/** The rows of one file. */
class CsvRows<T> implements FileRows<T> {
  private readonly cell: (cell: unknown) => string
  private row: ((value: unknown) => string) | undefined

  constructor(
    private columns: readonly string[] | undefined,
    private readonly defuse: boolean,
  ) {
    this.cell = defuse ? defusedCell : cellText
  }

  encode(value: T): string {
    const columns = (this.columns ??= fieldsOf(value))
    const row = (this.row ??= rowOf(columns, this.cell))
    const text = row(typeof value === 'object' && value !== null ? value : { value })
    // A single empty cell would be an empty line, which readers skip.
    return text === '' ? '""' : text
  }

  header(): string {
    const text = (this.columns ?? []).map(this.cell).join(',')
    return text === '' ? '""' : text
  }

  goOn(text: string): string | undefined {
    const found = firstRow(text)
    const wanted = this.columns?.map((column) => (this.defuse ? defused(column) : column))
    if (wanted !== undefined && (wanted.length !== found.length || wanted.some((column, at) => column !== found[at]))) {
      return `its columns are ${found.join(', ')}, not ${wanted.join(', ')}`
    }
    this.columns ??= this.defuse ? found.map(undefused) : found
    return undefined
  }
}

/** Files of the same columns share their code. */
function rowOf(columns: readonly string[], cell: (cell: unknown) => string): (value: unknown) => string {
  const key = JSON.stringify([columns, cell === cellText])
  const known = compiled.get(key)
  if (known !== undefined) return known
  if (compiled.size >= COMPILED_MAX) compiled.clear()
  const row = compileRow(columns, cell)
  compiled.set(key, row)
  return row
}

const compiled = new Map<string, (value: unknown) => string>()
const COMPILED_MAX = 64

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
  const kind = eventKindOf(value)
  const fields = typeof value === 'object' && value !== null ? Object.keys(value) : []
  if (kind !== undefined && Object.keys(EVENT_FIELDS[kind]).every((field) => fields.includes(field))) {
    const written = Object.keys(EVENT_FIELDS[kind])
    const known = new Set([...written, ...ENGINE_FIELDS[kind]])
    return [...written, ...fields.filter((field) => !known.has(field))]
  }
  return fields.length > 0 ? fields : ['value']
}

function cellText(cell: unknown): string {
  switch (typeof cell) {
    case 'number':
      return Number.isFinite(cell) ? numberText(cell) : ''
    case 'string':
      return quoted(cell)
    case 'boolean':
    case 'bigint':
      return String(cell)
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

function defusedCell(cell: unknown): string {
  return cellText(typeof cell === 'string' ? defused(cell) : cell)
}

function quoted(text: string): string {
  // Nearly all text has nothing that would have to be looked at twice.
  if (text !== '' && !UNUSUAL.test(text)) return text
  return text === '' || /[",\r\n]|^[\s\uFEFF]|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

const UNUSUAL = /[\u0000-\u0020",\u007f-\uffff]/

function defused(text: string): string {
  return /^[\s\uFEFF]*[=+\-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20]/.test(text) ? `'${text}` : text
}

function undefused(text: string): string {
  return text.startsWith("'") && defused(text.slice(1)) === text ? text.slice(1) : text
}
