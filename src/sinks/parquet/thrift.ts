/**
 * Thrift's compact protocol, as far as the footer of a Parquet file needs it: any struct is read into fields, some are changed,
 * and it is written again with all others as they were, known or not.
 *
 * Source  https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md (read 2026-11-28)
 */

/** Field id to value, in the order in which they are written: that of the ids. */
export type Struct = Map<number, Value>

export type Value =
  | { readonly type: typeof BOOLEAN; readonly value: boolean }
  | { readonly type: typeof I8 | typeof I16 | typeof I32 | typeof I64; readonly value: bigint }
  | { readonly type: typeof DOUBLE; readonly value: Uint8Array }
  | { readonly type: typeof BINARY; readonly value: Uint8Array }
  | { readonly type: typeof LIST | typeof SET; readonly value: List }
  | { readonly type: typeof STRUCT; readonly value: Struct }

export interface List {
  /** As it is on the wire. */
  readonly of: number
  readonly items: readonly Value[]
}

export const BOOLEAN = 1
const FALSE = 2
export const I8 = 3
export const I16 = 4
export const I32 = 5
export const I64 = 6
export const DOUBLE = 7
export const BINARY = 8
export const LIST = 9
export const SET = 10
export const STRUCT = 12

/** Deeper than any footer; a broken one could recurse for ever. */
const DEPTH_MAX = 16

/** @throws `RangeError` when the bytes are no struct */
export function readStruct(bytes: Uint8Array): Struct {
  return new Reader(bytes).struct(0)
}

export function writeStruct(struct: Struct): Buffer {
  const writer = new Writer()
  writer.struct(struct)
  return writer.bytes()
}

/** The struct up to the field `upTo`, without its end: what is written in pieces. Fields from `after` on continue it. */
export function writeFields(struct: Struct, after: number): Buffer {
  const writer = new Writer()
  writer.fields(struct, after)
  return writer.bytes()
}

/** The head of a list field that follows the field `after`; its elements follow. */
export function writeListHead(id: number, after: number, of: number, count: number): Buffer {
  const writer = new Writer()
  writer.fieldHead(id, after, LIST)
  writer.listHead(of, count)
  return writer.bytes()
}

export const STRUCT_END = 0

class Reader {
  private at = 0

  constructor(private readonly data: Uint8Array) {}

  struct(depth: number): Struct {
    if (depth > DEPTH_MAX) throw new RangeError('it is nested too deep')
    const fields: Struct = new Map()
    for (let id = 0; ;) {
      const head = this.byte()
      if (head === STRUCT_END) return fields
      const type = head & 0x0f
      id = head >> 4 === 0 ? Number(this.zigzag()) : id + (head >> 4)
      fields.set(id, type === FALSE ? { type: BOOLEAN, value: false } : this.value(type, depth, true))
    }
  }

  private value(type: number, depth: number, isField: boolean): Value {
    switch (type) {
      case BOOLEAN:
      case FALSE:
        return { type: BOOLEAN, value: isField ? type === BOOLEAN : this.byte() === BOOLEAN }
      case I8:
        return { type, value: BigInt(this.byte()) }
      case I16:
      case I32:
      case I64:
        return { type, value: this.zigzag() }
      case DOUBLE:
        return { type, value: this.take(8) }
      case BINARY:
        return { type, value: this.take(this.length()) }
      case LIST:
      case SET:
        return { type, value: this.list(depth) }
      case STRUCT:
        return { type, value: this.struct(depth + 1) }
      default:
        throw new RangeError(`it has a field of the unknown type ${type}`)
    }
  }

  private list(depth: number): List {
    const head = this.byte()
    const of = head & 0x0f
    const count = head >> 4 === 15 ? this.length() : head >> 4
    const items: Value[] = []
    for (let at = 0; at < count; at++) items.push(this.value(of, depth, false))
    return { of, items }
  }

  private byte(): number {
    const byte = this.data[this.at++]
    if (byte === undefined) throw new RangeError('it ends in the middle')
    return byte
  }

  private take(length: number): Uint8Array {
    const end = this.at + length
    if (end > this.data.length) throw new RangeError('it ends in the middle')
    const taken = this.data.slice(this.at, end)
    this.at = end
    return taken
  }

  /** What is left bounds it: no length can make the reader wait for more than there is. */
  private length(): number {
    const length = Number(this.varint())
    if (length > this.data.length - this.at) throw new RangeError('it ends in the middle')
    return length
  }

  private zigzag(): bigint {
    const raw = this.varint()
    return (raw >> 1n) ^ -(raw & 1n)
  }

  private varint(): bigint {
    let result = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.byte()
      result |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return result
    }
    throw new RangeError('it has a number of more than 64 bits')
  }
}

class Writer {
  private data = Buffer.alloc(1_024)
  private length = 0

  bytes(): Buffer {
    return this.data.subarray(0, this.length)
  }

  struct(fields: Struct): void {
    this.fields(fields, 0)
    this.byte(STRUCT_END)
  }

  fields(fields: Struct, after: number): void {
    let last = after
    for (const [id, value] of fields) {
      const type = value.type === BOOLEAN && !value.value ? FALSE : value.type
      this.fieldHead(id, last, type)
      if (value.type !== BOOLEAN) this.value(value)
      last = id
    }
  }

  fieldHead(id: number, after: number, type: number): void {
    const step = id - after
    if (step > 0 && step <= 15) {
      this.byte((step << 4) | type)
    } else {
      this.byte(type)
      this.zigzag(BigInt(id))
    }
  }

  listHead(of: number, count: number): void {
    if (count < 15) {
      this.byte((count << 4) | of)
    } else {
      this.byte(0xf0 | of)
      this.varint(BigInt(count))
    }
  }

  private value(value: Value): void {
    switch (value.type) {
      case BOOLEAN:
        return this.byte(value.value ? BOOLEAN : FALSE)
      case I8:
        return this.byte(Number(value.value) & 0xff)
      case I16:
      case I32:
      case I64:
        return this.zigzag(value.value)
      case DOUBLE:
        return this.raw(value.value)
      case BINARY:
        this.varint(BigInt(value.value.length))
        return this.raw(value.value)
      case LIST:
      case SET:
        this.listHead(value.value.of, value.value.items.length)
        for (const item of value.value.items) this.value(item)
        return
      case STRUCT:
        return this.struct(value.value)
    }
  }

  private zigzag(value: bigint): void {
    this.varint(BigInt.asUintN(64, (value << 1n) ^ (value >> 63n)))
  }

  private varint(value: bigint): void {
    let rest = value
    while (rest > 0x7fn) {
      this.byte(Number(rest & 0x7fn) | 0x80)
      rest >>= 7n
    }
    this.byte(Number(rest))
  }

  private byte(byte: number): void {
    this.room(1)
    this.data[this.length++] = byte
  }

  private raw(bytes: Uint8Array): void {
    this.room(bytes.length)
    this.data.set(bytes, this.length)
    this.length += bytes.length
  }

  private room(more: number): void {
    if (this.length + more <= this.data.length) return
    const larger = Buffer.alloc(Math.max(this.data.length * 2, this.length + more))
    this.data.copy(larger, 0, 0, this.length)
    this.data = larger
  }
}
