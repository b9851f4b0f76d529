/**
 * JSON text in pieces: the text of `encodeValue(value, indent)`, of which only `pieceChars` or so exist at a time.
 *
 * `JSON.stringify` of a report of 50 MB holds the event loop for a third of a second. Here large lists and objects are
 * walked, what is small is written by `JSON.stringify` as before, and whoever takes the pieces may wait between them.
 */
import { encodeValue, plain } from '../encode'

export function* jsonPieces(value: unknown, options: { indent: number; pieceChars: number }): Iterable<string> {
  let piece = ''
  for (const text of walk(asJson('', value), '', ' '.repeat(options.indent), [])) {
    piece += text
    if (piece.length >= options.pieceChars) {
      yield piece
      piece = ''
    }
  }
  if (piece !== '') yield piece
}

/** Values with at most this many fields and elements, in all, are written at once. */
const SMALL = 256
const DEPTH_MAX = 200

function* walk(raw: unknown, margin: string, step: string, path: unknown[]): Iterable<string> {
  const value = plain('', raw)
  if (isSmall(value)) {
    const text = encodeValue(value, step.length)
    yield margin === '' ? text : text.replaceAll('\n', `\n${margin}`)
    return
  }
  if (path.includes(value)) throw new TypeError('a value contains itself')
  if (path.length >= DEPTH_MAX) throw new TypeError(`a value is nested deeper than ${DEPTH_MAX}`)
  path.push(value)
  const inner = margin + step
  const lineEnd = step === '' ? '' : '\n'
  let first = true
  if (Array.isArray(value)) {
    yield '['
    for (let at = 0; at < value.length; at++) {
      yield `${first ? '' : ','}${lineEnd}${inner}`
      first = false
      yield* walk(asJson(String(at), value[at]), inner, step, path)
    }
    yield `${first ? '' : lineEnd + margin}]`
  } else {
    yield '{'
    const record = value as Record<string, unknown>
    for (const field of Object.keys(record)) {
      const content = asJson(field, record[field])
      if (content === undefined || typeof content === 'function' || typeof content === 'symbol') continue
      yield `${first ? '' : ','}${lineEnd}${inner}${JSON.stringify(field)}:${step === '' ? '' : ' '}`
      first = false
      yield* walk(content, inner, step, path)
    }
    yield `${first ? '' : lineEnd + margin}}`
  }
  path.pop()
}

/** `toJSON` is asked first, as `JSON.stringify` does. */
function asJson(key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('toJSON' in value)) return value
  return typeof value.toJSON === 'function' ? (value.toJSON as (key: string) => unknown)(key) : value
}

/** Counts up to SMALL and no further. */
function isSmall(value: unknown): boolean {
  let left = SMALL
  const count = (one: unknown): boolean => {
    if (--left < 0) return false
    if (typeof one === 'string') left -= one.length >> 5
    if (typeof one !== 'object' || one === null) return true
    if (one instanceof Map || one instanceof Set) return (left -= one.size) >= 0 && [...one.values()].every(count)
    if (ArrayBuffer.isView(one)) return (left -= one.byteLength) >= 0
    if (Array.isArray(one)) return one.length <= left && one.every(count)
    for (const field in one) if (!count((one as Record<string, unknown>)[field])) return false
    return true
  }
  return count(value)
}
