/**
 * Values as the words of a ring: columns are copied as they are, without structured clone and without an allocation on the
 * side that writes.
 *
 * A value has a form here when it is a number, boolean, text, null, undefined or typed array, or a plain array or object of
 * such: what batches of columns are made of. Anything else (dates, maps, instances of classes, shared memory, what is deep or
 * goes round in a circle) has none, and goes as a message instead. What comes back is the receiver's own: it shares no memory
 * with the ring. What a value holds twice comes back as two; a `Buffer` as the `Uint8Array` that it is.
 *
 * Layout  one word of two integers, what it is and how long, then its content, in whole words: a number one word; a text its
 *         UTF-16 units; a typed array its bytes; `NUMBERS`, an array of nothing but numbers, its doubles; arrays their
 *         values; objects their names and values in turn
 */
import { Fault } from '../model/fault'

/** The memory that is written to or read from: a ring's, or any other. */
export interface Words {
  readonly words: Float64Array
  readonly bytes: Uint8Array
  readonly ints: Int32Array
}

/** Values within values at most. Deeper ones have no form here. */
const DEPTH_MAX = 8
/** Longer texts are for messages: copying them unit by unit would cost more than cloning them. */
const TEXT_MAX = 1_024

const UNDEFINED = 0
const NULL = 1
const FALSE = 2
const TRUE = 3
const NUMBER = 4
const TEXT = 5
const NUMBERS = 6
const ARRAY = 7
const OBJECT = 8
/** And on from here, in the order of {@link COLUMNS}. */
const COLUMN = 16

const COLUMNS = [
  Float64Array,
  Float32Array,
  Int32Array,
  Uint32Array,
  Int16Array,
  Uint16Array,
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  BigInt64Array,
  BigUint64Array,
] as const

const COLUMN_TYPES: ReadonlyMap<unknown, number> = new Map(
  COLUMNS.map((type, index): [unknown, number] => [type.prototype, COLUMN + index]),
)
const BYTES = COLUMN + COLUMNS.indexOf(Uint8Array)

/**
 * The words that a value takes; -1 when it has no form here, or takes more than `max`.
 *
 * Cost  one look at each value within; the content of columns, and of arrays of numbers, is not copied for it
 */
export function wordsOf(value: unknown, max: number, depth = 0): number {
  switch (typeof value) {
    case 'number':
      return 2
    case 'undefined':
    case 'boolean':
      return 1
    case 'string':
      return value.length > TEXT_MAX ? -1 : 1 + ((value.length + 3) >> 2)
    case 'object':
      break
    default:
      return -1
  }
  if (value === null) return 1
  if (ArrayBuffer.isView(value)) {
    if (!(value.buffer instanceof ArrayBuffer) || columnType(value) === undefined) return -1
    return 1 + Math.ceil(value.byteLength / 8)
  }
  if (depth === DEPTH_MAX) return -1
  if (isList(value)) {
    if (value.length >= max) return -1
    if (isNumbers(value)) return 1 + value.length
    let sum = 1
    for (let index = 0; index < value.length; index++) {
      const words = wordsOf(value[index], max - sum, depth + 1)
      if (words < 0 || (sum += words) > max) return -1
    }
    return sum
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) return -1
  const fields = value as Readonly<Record<string, unknown>>
  let sum = 1
  for (const name of Object.keys(fields)) {
    if (name === '__proto__' || name.length > TEXT_MAX) return -1
    const words = wordsOf(fields[name], max - sum, depth + 1)
    if (words < 0 || (sum += words + 1 + ((name.length + 3) >> 2)) > max) return -1
  }
  return sum
}

/** Writes a value that has a form from word `at` on; returns the word after it. */
export function writeValue(to: Words, at: number, value: unknown): number {
  const { words, ints } = to
  switch (typeof value) {
    case 'number':
      head(ints, at, NUMBER, 1)
      words[at + 1] = value
      return at + 2
    case 'boolean':
      head(ints, at, value ? TRUE : FALSE, 0)
      return at + 1
    case 'string':
      return writeText(to, at, value)
    case 'object':
      break
    default:
      head(ints, at, UNDEFINED, 0)
      return at + 1
  }
  if (value === null) {
    head(ints, at, NULL, 0)
    return at + 1
  }
  if (ArrayBuffer.isView(value)) {
    head(ints, at, columnType(value)!, value.byteLength)
    if (value instanceof Float64Array) words.set(value, at + 1)
    else to.bytes.set(new Uint8Array(value.buffer, value.byteOffset, value.byteLength), 8 * (at + 1))
    return at + 1 + Math.ceil(value.byteLength / 8)
  }
  if (isList(value)) {
    if (isNumbers(value)) {
      head(ints, at, NUMBERS, value.length)
      for (let index = 0; index < value.length; index++) words[at + 1 + index] = value[index] as number
      return at + 1 + value.length
    }
    head(ints, at, ARRAY, value.length)
    let next = at + 1
    for (let index = 0; index < value.length; index++) next = writeValue(to, next, value[index])
    return next
  }
  const fields = value as Readonly<Record<string, unknown>>
  const names = Object.keys(fields)
  head(ints, at, OBJECT, names.length)
  let next = at + 1
  for (const name of names) next = writeValue(to, writeText(to, next, name), fields[name])
  return next
}

/**
 * Reads the value that was written from word `at` on.
 *
 * @throws `Fault` VALUE_INVALID for words that no value is written as
 */
export function readValue(from: Words, at: number): unknown {
  return new ValueReader(from, at).value()
}

class ValueReader {
  constructor(
    private readonly from: Words,
    private at: number,
  ) {}

  value(): unknown {
    const { words, ints } = this.from
    const type = ints[2 * this.at]!
    const length = ints[2 * this.at + 1]!
    this.at++
    switch (type) {
      case UNDEFINED:
        return undefined
      case NULL:
        return null
      case FALSE:
        return false
      case TRUE:
        return true
      case NUMBER:
        return words[this.at++]
      case TEXT:
        return this.text(length)
      case NUMBERS: {
        const numbers = new Array<number>(length)
        for (let index = 0; index < length; index++) numbers[index] = words[this.at + index]!
        this.at += length
        return numbers
      }
      case ARRAY: {
        const values: unknown[] = []
        for (let index = 0; index < length; index++) values.push(this.value())
        return values
      }
      case OBJECT: {
        const fields: Record<string, unknown> = {}
        for (let index = 0; index < length; index++) {
          const nameLength = ints[2 * this.at + 1]!
          this.at++
          const name = this.text(nameLength)
          fields[name] = this.value()
        }
        return fields
      }
      default:
        return this.column(type, length)
    }
  }

  private text(length: number): string {
    const from = 8 * this.at
    this.at += (length + 3) >> 2
    const units = new Uint16Array(this.from.bytes.buffer, this.from.bytes.byteOffset + from, length)
    return String.fromCharCode.apply(undefined, units as unknown as number[])
  }

  private column(type: number, length: number): unknown {
    const column = COLUMNS[type - COLUMN]
    if (column === undefined) {
      throw new Fault('VALUE_INVALID', `A ring holds a value of type ${type}, which there is not.`, { type })
    }
    const from = 8 * this.at
    this.at += Math.ceil(length / 8)
    const copy = new Uint8Array(length)
    copy.set(this.from.bytes.subarray(from, from + length))
    return column === Uint8Array ? copy : new column(copy.buffer)
  }
}

function writeText({ ints, bytes }: Words, at: number, text: string): number {
  head(ints, at, TEXT, text.length)
  let to = 8 * (at + 1)
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    bytes[to++] = unit & 0xff
    bytes[to++] = unit >> 8
  }
  return at + 1 + ((text.length + 3) >> 2)
}

function head(ints: Int32Array, at: number, type: number, length: number): void {
  ints[2 * at] = type
  ints[2 * at + 1] = length
}

function isList(value: object): value is readonly unknown[] {
  return Array.isArray(value)
}

function isNumbers(values: readonly unknown[]): boolean {
  if (values.length === 0) return false
  for (let index = 0; index < values.length; index++) if (typeof values[index] !== 'number') return false
  return true
}

/** Undefined for a view that is no column: a `DataView`, or an instance of somebody's own class. */
function columnType(view: ArrayBufferView): number | undefined {
  if (view instanceof Uint8Array && Buffer.isBuffer(view)) return BYTES
  return COLUMN_TYPES.get(Object.getPrototypeOf(view))
}
