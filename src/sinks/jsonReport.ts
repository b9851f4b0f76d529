import { compileEncoder, type JsonSchema } from './encode'
import { jsonPieces } from './files/jsonPieces'
import { cutText } from './files/replaceFile'
import { ReplacedFile } from './files/replacedFile'
import type { Sink } from './sink'

export interface JsonReportOptions<T> {
  /** The file is rewritten at most this often; default 1,000. The last value is written at closing, however soon. */
  readonly everyMs?: number
  /** A JSON schema to compile an encoder from: compact text with only its fields. Default: any JSON, indented by two. */
  readonly schema?: JsonSchema
  /** Value to text, in place of both. */
  readonly encode?: (value: T) => string
  readonly name?: string
  readonly digest?: boolean
}

/**
 * Keeps a file that holds the latest value as JSON: a report that is replaced as a whole.
 *
 * A reader sees the old version or the new one, never a half: the text is written to `<path>.tmp` in the same folder,
 * flushed to the disk and renamed over the old one. Killed in between, the old report is whole, and the next run clears
 * the rest away. Large values are encoded and written in pieces, between which the event loop is free; with a schema, or an
 * encoder of one's own, only the writing is, so those are for reports of up to a few megabytes.
 *
 * Delivery  the latest value, whole; earlier ones are superseded. A value is acknowledged when it is due later, too: killed
 *           before, the file holds the one before it
 * Order     as received
 * Errors    `SINK_REJECTED { path }` when the file cannot be written: on the write that was due, on closing, or, when a
 *           rewriting on the timer failed, on the next write; `VALUE_INVALID` for a value without a text;
 *           `OPTION_INVALID` on opening for a path outside the output folder or a schema that is none
 *
 * @param sinkPath  inside the output folder; folders are created
 */
export function jsonReport<T>(sinkPath: string, options: JsonReportOptions<T> = {}): Sink<T> {
  const name = options.name ?? `jsonReport(${sinkPath})`
  let { encode } = options
  const file = new ReplacedFile<T>({
    name,
    sinkPath,
    everyMs: options.everyMs ?? 1_000,
    first: 'atOnce',
    pieces: (value) => pieces(value, encode),
    digest: options.digest === true,
  })
  return {
    name,
    counters: file.counters,
    delivery: 'latest',
    async open(context) {
      if (options.schema !== undefined) encode ??= compileEncoder(options.schema)
      await file.open(context)
    },
    async write(batch) {
      if (batch.length > 0) await file.put(batch[batch.length - 1]!, batch.length - 1)
    },
    close: () => file.close(),
    enableDigest: () => file.digest.enable(),
    digest: () => file.digest.value(),
  }
}

const PIECE_CHARS = 65_536

function* pieces<T>(value: T, encode: ((value: T) => string) | undefined): Iterable<string> {
  if (encode === undefined) yield* jsonPieces(value, { indent: 2, pieceChars: PIECE_CHARS })
  else yield* cutText(encode(value), PIECE_CHARS)
  yield '\n'
}
