import { compileEncoder, encodeAny, type JsonSchema } from './encode'
import { FileAppender, type AppendOptions } from './files/fileAppender'
import { sinkCounters, type Sink } from './sink'
// Loaded with the sink, not with the first trade.
import './tradeText'

export interface JsonLinesOptions<T> extends AppendOptions<T> {
  /** Value to JSON text. Default: market events as `encodeEvent` writes them, everything else as any JSON. */
  readonly encode?: (value: T) => string
  /** A JSON schema to compile an encoder from, in place of `encode`: only its fields are written. */
  readonly schema?: JsonSchema
  readonly name?: string
  readonly digest?: boolean
}

/**
 * Appends values to a file, or to several, one JSON document per line.
 *
 * Delivery  at least once: a batch that fails goes on where it stood, after what it left behind was cut off; a run that is
 *           repeated, with `append`, writes its values again. What a killed process had acknowledged is there, whole
 * Order     as received within a file, also across rotated ones (`bars.000001.jsonl`, ..., then `bars.jsonl`)
 * Names     by a template, such as `out/{exchange}/{symbol}/{date}.jsonl`: fields of the values, `{date}` and `{hour}`
 * Errors    `SINK_REJECTED { path }` when a file cannot be opened or written; `VALUE_INVALID` for a value without a
 *           text, or that can name no file; `OPTION_INVALID` on opening for a path outside the output folder, a template
 *           with unknown fields, or a schema that is none
 *
 * See `FileAppender` for names, rotation, compression and what is durable when.
 *
 * @param path  inside the output folder; folders are created; compressed when it ends in `.gz`, `.zst` or `.lz4`
 */
export function jsonLines<T>(path: string, options: JsonLinesOptions<T> = {}): Sink<T> {
  const name = options.name ?? `jsonLines(${path})`
  const counters = sinkCounters()
  const { encode: given } = options
  let encode: (value: T) => string = given === undefined ? encodeAny : (value) => oneLine(given(value))
  const rows = { encode: (value: T) => encode(value), header: () => '' }
  const files = new FileAppender<T>(name, path, options, counters, 'lines', () => rows, fieldsOf(options.schema))
  if (options.digest === true) files.digest.enable()
  let isCompiled = options.encode !== undefined || options.schema === undefined

  return {
    name,
    counters,
    delivery: 'atLeastOnce',
    async open(context) {
      if (!isCompiled) encode = compileEncoder(options.schema!)
      isCompiled = true
      await files.open(context)
    },
    write: (batch) => files.write(batch),
    close: () => files.close(),
    enableDigest: () => files.digest.enable(),
    digest: () => files.digest.value(),
  }
}

/** For encoders of others. A line break in a JSON text can only be white space between tokens: within strings it is escaped. */
export function oneLine(text: string): string {
  return text.includes('\n') || text.includes('\r') ? text.replace(/[\r\n]+/g, ' ') : text
}

function fieldsOf(schema: JsonSchema | undefined): string[] {
  const properties = schema?.['properties']
  return typeof properties === 'object' && properties !== null ? Object.keys(properties) : []
}
