/**
 * JSON text in pieces: the text of `encodeValue(value, indent)`, of which only `pieceChars` or so exist at a time.
 *
 * `JSON.stringify` of a report of 50 MB holds the event loop for a third of a second. Here large lists and objects are
 * walked, what is small is written by `JSON.stringify` as before, and whoever takes the pieces may wait between them.
 */
import { encodeValue, plain } from '../encode'

export function* jsonPieces(value: unknown, options: { indent: number; pieceChars: number }): Iterable<string> {
  const { indent, pieceChars } = options
  const form: Form = { step: ' '.repeat(indent), runMax: Math.min(SMALL, pieceChars >> 7) }
  let piece = ''
  for (const text of walk(asJson('', value), '', form, [])) {
    piece += text
    if (piece.length >= pieceChars) {
      yield piece
      piece = ''
    }
  }
  if (piece !== '') yield piece
}

/** Values with at most this many fields and elements, in all, are written at once. */
const SMALL = 256
const DEPTH_MAX = 200

interface Form {
  readonly step: string
  /** Fields and elements of a list that are written at once: a small part of a piece. */
  readonly runMax: number
}

function* walk(raw: unknown, margin: string, form: Form, path: unknown[]): Iterable<string> {
  const { step } = form
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
    for (let at = 0; at < value.length;) {
      if (!first) yield ','
      first = false
      const end = runEnd(value, at, form.runMax)
      if (end > at) {
        yield runText(value.slice(at, end), path.length, step)
        at = end
      } else {
        yield lineEnd + inner
        yield* walk(asJson(String(at), value[at]), inner, form, path)
        at++
      }
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
      yield* walk(content, inner, form, path)
    }
    yield `${first ? '' : lineEnd + margin}}`
  }
  path.pop()
}

/** Up to where the elements from one on are so flat and few that `JSON.stringify` writes them as they are meant. */
function runEnd(list: readonly unknown[], from: number, weightMax: number): number {
  let left = weightMax
  for (let at = from; at < list.length; at++) {
    left -= weightOf(list[at])
    if (left < 0) return at
  }
  return list.length
}

/** Fields and characters of a value that has nothing but fields with one of the words of JSON; infinity for others. */
function weightOf(value: unknown): number {
  if (typeof value === 'bigint') return Infinity
  if (typeof value === 'string') return 1 + (value.length >> 5)
  if (typeof value !== 'object' || value === null) return 1
  const prototype: unknown = Object.getPrototypeOf(value)
  if ((prototype !== Object.prototype && prototype !== null) || 'toJSON' in value || 'toJSONText' in value)
    return Infinity
  let weight = 1
  for (const name in value) {
    const field = (value as Record<string, unknown>)[name]
    if (typeof field === 'bigint' || (typeof field === 'object' && field !== null)) return Infinity
    weight += typeof field === 'string' ? 1 + (field.length >> 5) : 1
  }
  return weight
}

/** The elements of a list that lies so many lists and objects deep, each on a line of its own, with commas between them. */
function runText(elements: readonly unknown[], depth: number, step: string): string {
  // In as many lists they get their margin from JSON.stringify, which costs nothing; what begins and ends those is cut off.
  let nested: unknown = elements
  for (let level = 1; level < depth; level++) nested = [nested]
  const lines = step === '' ? 0 : depth - 1 + (step.length * depth * (depth - 1)) / 2
  return JSON.stringify(nested, null, step).slice(depth + lines, -(depth + lines + (step === '' ? 0 : 1)))
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
