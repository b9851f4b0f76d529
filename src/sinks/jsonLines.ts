import { compileEncoder, encodeValue, type JsonSchema } from './encode'
import { encodeBatch } from './encodeBatch'
import { FileAppender, type AppendOptions } from './fileAppender'
import { sinkCounters, type Sink } from './sink'

export interface JsonLinesOptions<T> extends AppendOptions {
  /** Value to JSON text without line breaks. Market events: `encodeEvent`. Default: {@link encodeValue}. */
  readonly encode?: (value: T) => string
  /** A JSON schema to compile an encoder from, in place of `encode`: only its fields are written. */
  readonly schema?: JsonSchema
  readonly name?: string
  readonly digest?: boolean
}

/**
 * Appends values to a file, one JSON document per line.
 *
 * Delivery  at least once: a batch that fails is offered again whole, after what it left behind was cut off
 * Order     as received, also across rotated files (`bars.000001.jsonl`, ..., then `bars.jsonl`; see `FileAppender`)
 * Errors    `SINK_REJECTED { path }` when the file cannot be opened or written; `VALUE_INVALID` for a value without a
 *           text; `OPTION_INVALID` on opening for a path outside the output folder or a schema that is none
 *
 * @param path  inside the output folder; folders are created
 */
export function jsonLines<T>(path: string, options: JsonLinesOptions<T> = {}): Sink<T> {
  const name = options.name ?? `jsonLines(${path})`
  const counters = sinkCounters()
  const file = new FileAppender(name, path, options, counters)
  if (options.digest === true) file.digest.enable()
  let encode = options.encode

  return {
    name,
    counters,
    async open(context) {
      encode ??= options.schema === undefined ? (value: T) => encodeValue(value) : compileEncoder(options.schema)
      await file.open(context)
    },
    async write(batch) {
      const text = encode ?? encodeValue
      const lines = encodeBatch(name, batch, text)
      await file.append(batch, options.encode === undefined ? lines : lines.map(oneLine))
    },
    close: () => file.close(),
    enableDigest: () => file.digest.enable(),
    digest: () => file.digest.value(),
  }
}

/** For encoders of others. A line break in a JSON text can only be white space between tokens: within strings it is escaped. */
export function oneLine(text: string): string {
  return text.includes('\n') || text.includes('\r') ? text.replace(/[\r\n]+/g, ' ') : text
}
