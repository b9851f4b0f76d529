/**
 * Any value of a stream as one line of text, and back: how values wait on disk, and how a quarantined one is kept.
 *
 * The line is JSON. What JSON has no word for is an object with the single key `$`:
 *
 *     {"$":"u"}  undefined    {"$":"n"}  NaN    {"$":"+"}  {"$":"-"}  the infinities    {"$":"0"}  minus zero
 *     {"$":["i","12"]}            bigint
 *     {"$":["d",1700000000000]}   Date; null for one that is none
 *     {"$":["m",[[key,value]]]}   Map       {"$":["s",[value]]}   Set
 *     {"$":["b","Uint8Array","AAE="]}   typed arrays, Buffer, DataView and ArrayBuffer, in this machine's byte order
 *     {"$":["v",head,bids,asks]}  BookView, with all the levels that it shows; one more `0` if it shows but the best prices
 *     {"$":["o",[[key,value]]]}   an object with a key `$`; {"$":["z",[[key,value]]]} one without a prototype
 *
 * Fields keep their order, and those that are undefined stay: what comes back has the shape of what went. What a value holds
 * twice comes back as two. Read it as hostile all the same: sizes and depths are bounded, and no key reaches a prototype.
 */
import { BookView, type BookViewHead } from '../book/bookView'
import { Level2Book } from '../book/level2Book'
import { PackedDelta } from '../model/codec/packedDelta'
import type { Level } from '../model/events'
import { Fault, messageOf } from '../model/fault'

/** Characters of one line at most. */
export const VALUE_CHARS_MAX = 64 * 1024 * 1024

/** Values within values at most. */
export const VALUE_DEPTH_MAX = 100

/** @throws `VALUE_INVALID` { path } for what has no form: functions, symbols, instances of unknown classes, circles */
export function encodeValue(value: unknown): string {
  const text = new Encoder().text(value, 0)
  if (text.length > VALUE_CHARS_MAX) throw tooLarge()
  return text
}

/** @throws `VALUE_INVALID` for a text that no value encodes to */
export function decodeValue(text: string): unknown {
  if (text.length > VALUE_CHARS_MAX) {
    throw unreadable(`it has ${text.length} characters, and ${VALUE_CHARS_MAX} is the most`)
  }
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (cause) {
    throw unreadable(messageOf(cause), cause)
  }
  return revive(parsed, 0)
}

class Encoder {
  /** Characters so far, or fewer: what is held many times must not be written out to the end before it is refused. */
  private chars = 0
  /** Where it is, for a refusal. */
  private readonly path: (string | number)[] = []

  text(value: unknown, depth: number): string {
    switch (typeof value) {
      case 'string':
        this.take(value.length)
        return JSON.stringify(value)
      case 'number':
        return numberText(value)
      case 'boolean':
        return value ? 'true' : 'false'
      case 'undefined':
        return '{"$":"u"}'
      case 'bigint':
        return `{"$":["i","${value}"]}`
      case 'object':
        if (value === null) return 'null'
        if (depth >= VALUE_DEPTH_MAX) {
          throw this.refusal(`is more than ${VALUE_DEPTH_MAX} values deep, or goes round in a circle`)
        }
        return this.objectText(value, depth + 1)
      default:
        throw this.refusal(`is a ${typeof value}`)
    }
  }

  private take(chars: number): void {
    this.chars += chars
    if (this.chars > VALUE_CHARS_MAX) throw tooLarge()
  }

  private objectText(value: object, depth: number): string {
    this.take(8)
    if (Array.isArray(value)) return `[${this.listText(value, depth)}]`
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype === Object.prototype) return this.fieldsText(value as Record<string, unknown>, depth)
    if (prototype === null) return `{"$":["z",[${this.pairsText(Object.entries(value), value, depth)}]]}`
    if (value instanceof Map) return `{"$":["m",[${this.mapText(value, depth)}]]}`
    if (value instanceof Set) return `{"$":["s",[${this.listText([...(value as Set<unknown>)], depth)}]]}`
    if (value instanceof Date) return `{"$":["d",${Number.isNaN(value.getTime()) ? 'null' : value.getTime()}]}`
    if (value instanceof BookView) return this.viewText(value, depth)
    if (value instanceof PackedDelta) return this.objectText(value.plain(), depth)
    if (ArrayBuffer.isView(value)) return this.bytesText(value)
    if (value instanceof ArrayBuffer) return this.base64Text('ArrayBuffer', new Uint8Array(value))
    throw this.refusal(`is an instance of ${nameOf(value)}, which is not known here`)
  }

  private listText(values: readonly unknown[], depth: number): string {
    let text = ''
    for (let index = 0; index < values.length; index++) {
      if (index > 0) text += ','
      text += this.at(index, values[index], depth)
      this.take(1)
    }
    return text
  }

  private fieldsText(value: Record<string, unknown>, depth: number): string {
    this.refuseSymbols(value)
    if (Object.hasOwn(value, '$')) return `{"$":["o",[${this.pairsText(Object.entries(value), undefined, depth)}]]}`
    let text = '{'
    for (const key of Object.keys(value)) {
      if (text.length > 1) text += ','
      this.take(key.length + 3)
      text += `${JSON.stringify(key)}:${this.at(key, value[key], depth)}`
    }
    return `${text}}`
  }

  private pairsText(entries: readonly [string, unknown][], of: object | undefined, depth: number): string {
    if (of !== undefined) this.refuseSymbols(of)
    return entries.map(([key, value]) => `[${this.text(key, depth)},${this.at(key, value, depth)}]`).join(',')
  }

  private mapText(map: ReadonlyMap<unknown, unknown>, depth: number): string {
    const pairs: string[] = []
    for (const [key, value] of map) {
      const name = typeof key === 'string' || typeof key === 'number' ? key : '(a value)'
      pairs.push(`[${this.at('(a key)', key, depth)},${this.at(name, value, depth)}]`)
      this.take(4)
    }
    return pairs.join(',')
  }

  private viewText(view: BookView, depth: number): string {
    const { exchange, symbol, instrument, exchangeTimeUs, receiveTimeUs, seq } = view
    const head: BookViewHead = { exchange, symbol, instrument, exchangeTimeUs, receiveTimeUs, seq }
    const [bids, asks] = [view.bids(), view.asks()]
    const [bid, ask] = [view.bestBid(), view.bestAsk()]
    // A view of no depth shows no levels, and yet the best prices.
    const isFlat = bids.length + asks.length === 0 && (bid !== undefined || ask !== undefined)
    if (isFlat && bid !== undefined) bids.push([bid.price, bid.size])
    if (isFlat && ask !== undefined) asks.push([ask.price, ask.size])
    const sides = `[${this.listText(bids, depth)}],[${this.listText(asks, depth)}]`
    return `{"$":["v",${this.fieldsText({ ...head }, depth)},${sides}${isFlat ? ',0' : ''}]}`
  }

  private bytesText(view: ArrayBufferView): string {
    const name = Buffer.isBuffer(view) ? 'Buffer' : VIEWS.get(Object.getPrototypeOf(view) as object)
    if (name === undefined) throw this.refusal(`is an instance of ${nameOf(view)}, which is not known here`)
    return this.base64Text(name, new Uint8Array(view.buffer, view.byteOffset, view.byteLength))
  }

  private base64Text(name: string, bytes: Uint8Array): string {
    this.take(Math.ceil(bytes.byteLength / 3) * 4)
    const base64 = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
    return `{"$":["b","${name}","${base64}"]}`
  }

  /** The value of a field. */
  private at(key: string | number, value: unknown, depth: number): string {
    if (typeof value === 'number') return numberText(value)
    this.path.push(key)
    const text = this.text(value, depth)
    this.path.pop()
    return text
  }

  private refuseSymbols(value: object): void {
    if (Object.getOwnPropertySymbols(value).length > 0) throw this.refusal('has a field whose name is a symbol')
  }

  private refusal(what: string): Fault {
    const path = this.path.reduce<string>(
      (text, key) =>
        text + (typeof key === 'number' ? `[${key}]` : /^[\w$]+$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`),
      'value',
    )
    const shown = path.length > 200 ? `${path.slice(0, 200)}...` : path
    return new Fault(
      'VALUE_INVALID',
      `A value of the stream cannot be written as text: ${shown} ${what}. Give the edge plain data: objects, lists, numbers, texts, maps, sets, dates, bytes, books.`,
      { path: shown },
    )
  }
}

function numberText(value: number): string {
  if (Number.isFinite(value)) return Object.is(value, -0) ? '{"$":"0"}' : String(value)
  return Number.isNaN(value) ? '{"$":"n"}' : value > 0 ? '{"$":"+"}' : '{"$":"-"}'
}

function tooLarge(): Fault {
  return new Fault(
    'VALUE_INVALID',
    `A value of the stream is too large to be written as text: it has more than ${VALUE_CHARS_MAX} characters. Let it travel as several values.`,
    { charsMax: VALUE_CHARS_MAX },
  )
}

function nameOf(value: object): string {
  const { name } = (value.constructor as { name?: unknown } | undefined) ?? {}
  return typeof name === 'string' && name !== '' ? name.slice(0, 80) : 'a class without a name'
}

const ARRAYS = [
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
  DataView,
] as const

/** By prototype: a class derived from one of them is not known. */
const VIEWS: ReadonlyMap<object, string> = new Map(ARRAYS.map((type) => [type.prototype as object, type.name]))
const VIEW_TYPES: ReadonlyMap<unknown, (typeof ARRAYS)[number]> = new Map(ARRAYS.map((type) => [type.name, type]))

function revive(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (depth > VALUE_DEPTH_MAX) throw unreadable(`it is more than ${VALUE_DEPTH_MAX} values deep`)
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) value[index] = revive(value[index], depth + 1)
    return value
  }
  const fields = value as Record<string, unknown>
  const keys = Object.keys(fields)
  if (Object.hasOwn(fields, '$')) {
    if (keys.length > 1) throw unreadable('an object has "$" beside other keys')
    return reviveSpecial(fields['$'], depth + 1)
  }
  // Its own fields by their own names, "__proto__" too: JSON.parse has made them fields, so this changes those.
  for (const key of keys) {
    const field = fields[key]
    if (typeof field === 'object' && field !== null) fields[key] = revive(field, depth + 1)
  }
  return fields
}

function reviveSpecial(special: unknown, depth: number): unknown {
  switch (special) {
    case 'u':
      return undefined
    case 'n':
      return NaN
    case '+':
      return Infinity
    case '-':
      return -Infinity
    case '0':
      return -0
    default:
  }
  const [tag, first, second, third, fourth] = listOf(special)
  switch (tag) {
    case 'i':
      if (typeof first !== 'string' || !/^-?\d{1,100000}$/.test(first)) throw unreadable('a bigint is none')
      return BigInt(first)
    case 'd':
      if (first !== null && typeof first !== 'number') throw unreadable('a date is none')
      return new Date(first ?? NaN)
    case 'm':
      return new Map(pairsOf(first, depth))
    case 's':
      return new Set(listOf(first).map((each) => revive(each, depth)))
    case 'o':
      return Object.fromEntries(fieldsOf(first, depth))
    case 'z':
      return Object.assign(Object.create(null) as object, Object.fromEntries(fieldsOf(first, depth)))
    case 'b':
      return bytesOf(first, second)
    case 'v':
      return viewOf(revive(first, depth), second, third, fourth === 0 ? 0 : Infinity)
    default:
      throw unreadable(`a value is marked ${JSON.stringify(tag)}`)
  }
}

function listOf(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw unreadable('a list is none')
  return value as unknown[]
}

function pairsOf(value: unknown, depth: number): [unknown, unknown][] {
  return listOf(value).map((each) => {
    const pair = listOf(each)
    if (pair.length !== 2) throw unreadable('a key and its value are not two')
    return [revive(pair[0], depth), revive(pair[1], depth)]
  })
}

function fieldsOf(value: unknown, depth: number): [string, unknown][] {
  return pairsOf(value, depth).map(([key, field]) => {
    if (typeof key !== 'string') throw unreadable('the name of a field is no text')
    return [key, field]
  })
}

function bytesOf(name: unknown, base64: unknown): unknown {
  if (typeof base64 !== 'string' || !/^[A-Za-z0-9+/]*={0,2}$/.test(base64)) throw unreadable('bytes are not base64')
  const bytes = Buffer.from(base64, 'base64')
  if (name === 'Buffer') return bytes
  // A buffer of its own: small ones share theirs, at places where wider numbers cannot begin.
  const { buffer } = new Uint8Array(bytes)
  if (name === 'ArrayBuffer') return buffer
  const type = VIEW_TYPES.get(name)
  if (type === undefined) throw unreadable(`bytes are of no known kind: ${JSON.stringify(name)}`)
  try {
    return new (type as new (buffer: ArrayBuffer) => ArrayBufferView)(buffer)
  } catch (cause) {
    throw unreadable(messageOf(cause), cause)
  }
}

function viewOf(head: unknown, bids: unknown, asks: unknown, depthMax: number): BookView {
  if (!isHead(head)) throw unreadable('a book does not say whose it is')
  const book = new Level2Book()
  const [bidLevels, askLevels] = [levelsOf(bids), levelsOf(asks)]
  // A view shows no digits of the wire, so none are kept.
  const digits = { decimals: new Array<number>(Math.max(bidLevels.length, askLevels.length)).fill(0), texts: undefined }
  book.snapshot({ bids: bidLevels, asks: askLevels, bidDigits: digits, askDigits: digits, depth: undefined })
  const { exchange, symbol, instrument, exchangeTimeUs, receiveTimeUs, seq } = head
  return BookView.of({ exchange, symbol, instrument, exchangeTimeUs, receiveTimeUs, seq }, book, depthMax)
}

function isHead(value: unknown): value is BookViewHead {
  if (typeof value !== 'object' || value === null) return false
  const { exchange, symbol, instrument, exchangeTimeUs, receiveTimeUs, seq } = value as Record<string, unknown>
  return (
    typeof exchange === 'string' &&
    typeof symbol === 'string' &&
    (instrument === undefined || typeof instrument === 'string') &&
    (exchangeTimeUs === undefined || typeof exchangeTimeUs === 'number') &&
    typeof receiveTimeUs === 'number' &&
    (seq === undefined || typeof seq === 'number')
  )
}

function levelsOf(value: unknown): Level[] {
  return listOf(value).map((each) => {
    const [price, size, ...more] = listOf(each)
    if (typeof price !== 'number' || typeof size !== 'number' || more.length > 0) {
      throw unreadable('a level of a book is not a price and a size')
    }
    return [price, size]
  })
}

function unreadable(why: string, cause?: unknown): Fault {
  return new Fault(
    'VALUE_INVALID',
    `A value that was written as text cannot be read back: ${why}. The text was changed, or another version wrote it.`,
    {},
    cause === undefined ? undefined : { cause },
  )
}
