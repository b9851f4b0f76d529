/**
 * Values to JSON text, truthfully.
 *
 * Three ways: {@link encodeEvent} for market events (the contract's fields and no others, those of `EVENT_FIELDS`),
 * {@link compileEncoder} for values with a JSON schema (compiled by fast-json-stringify), {@link encodeValue} for anything
 * else; {@link encodeAny} chooses between the first and the last.
 *
 * fast-json-stringify by itself lies about absence: a `null` number becomes 0, a null string "", a null array [], a
 * fraction under `integer` is cut, NaN throws, an `undefined` in an untyped array gives text that is not JSON. So schemas
 * are widened before they are compiled: everything is nullable, integers are numbers, untyped arrays are written by
 * `JSON.stringify`; and a value with a NaN in it goes through a second compilation in which numbers are untyped, which
 * writes `null` there, as `JSON.stringify` does. Fields that are not in the schema are left out: that is what it is for.
 */
import { createRequire } from 'node:module'
import type buildEncoder from 'fast-json-stringify'
import { EVENT_KINDS, type MarketEvent } from '../model/events'
import { Fault, messageOf } from '../model/fault'
import { ENGINE_FIELDS, EVENT_FIELDS, eventKindOf, type FieldType } from './eventFields'
import type * as trades from './tradeText'

const load = createRequire(__filename)
let textOfTrade: typeof trades.tradeText | undefined

/** A JSON schema as plain data. It comes from a pipeline's code, never from outside: it is compiled to code. */
export type JsonSchema = Readonly<Record<string, unknown>>

/**
 * JSON text of one event: the fields of `EVENT_FIELDS` that the exchange gave, in that order. A number that is none is null,
 * as null is; a value of another type than its field's is written as what it is.
 */
export function encodeEvent(event: MarketEvent): string {
  if (event.kind === 'trade') {
    // An import of millrace costs what it loads: this is left to who writes trades.
    textOfTrade ??= (load('./tradeText') as typeof trades).tradeText
    const text = textOfTrade(event)
    if (text !== undefined) return text
  }
  const written = writtenOf(event)
  if (event.kind === 'notice') return encodeValue(written)
  try {
    return JSON.stringify(written)
  } catch {
    return encodeValue(written)
  }
}

/** What is written of an event. Of kinds that come by the thousand a literal: of one known shape, it costs `JSON.stringify` the least. */
function writtenOf(event: MarketEvent): object {
  const { exchange, symbol, instrument, exchangeTimeUs, receiveTimeUs, lineage } = event
  switch (event.kind) {
    case 'trade': {
      const { kind, id, side, price, size } = event
      // Of live trades, which are nearly all, it is not said that they are no history.
      const history = event.history ? true : undefined
      return {
        kind,
        exchange,
        symbol,
        instrument,
        exchangeTimeUs,
        receiveTimeUs,
        id,
        side,
        price,
        size,
        history,
        lineage,
      } satisfies Written<'trade'>
    }
    case 'snapshot':
    case 'delta': {
      const { kind, bids, asks, seq, prevSeq } = event
      return {
        kind,
        exchange,
        symbol,
        instrument,
        exchangeTimeUs,
        receiveTimeUs,
        bids,
        asks,
        seq,
        prevSeq,
        lineage,
      } satisfies Written<'snapshot' | 'delta'>
    }
    case 'ticker': {
      const { kind, bidPrice, bidSize, askPrice, askSize, lastPrice } = event
      return {
        kind,
        exchange,
        symbol,
        instrument,
        exchangeTimeUs,
        receiveTimeUs,
        bidPrice,
        bidSize,
        askPrice,
        askSize,
        lastPrice,
        lineage,
      } satisfies Written<'ticker'>
    }
    default: {
      const written: Record<string, unknown> = {}
      for (const field of Object.keys(EVENT_FIELDS[event.kind])) written[field] = event[field as keyof typeof event]
      written['lineage'] = lineage
      return written
    }
  }
}

/** All fields of a kind, and where it came from. */
type Written<K extends MarketEvent['kind']> = Record<keyof (typeof EVENT_FIELDS)[K] | 'lineage', unknown>

/**
 * JSON text of any value: market events as {@link encodeEvent} writes them, with the fields that a stage has added behind;
 * everything else as {@link encodeValue} does.
 */
export function encodeAny(value: unknown): string {
  const kind = eventKindOf(value)
  if (kind === undefined) return encodeValue(value)
  const shape = EVENT_SHAPES[kind]
  let at = 0
  for (const field in value as object) {
    if (field !== shape[at]) return encodeExtended(kind, value as Record<string, unknown>)
    at++
  }
  return at === shape.length
    ? encodeEvent(value as MarketEvent)
    : encodeExtended(kind, value as Record<string, unknown>)
}

/** In another order than the engine's own, with fields of others, or no event after all: it lacks some. */
function encodeExtended(kind: MarketEvent['kind'], value: Readonly<Record<string, unknown>>): string {
  const fields = EVENT_FIELDS[kind]
  for (const field in fields) if (!Object.hasOwn(value, field)) return encodeValue(value)
  let text = encodeEvent(value as unknown as MarketEvent).slice(0, -1)
  for (const [field, added] of Object.entries(value)) {
    if (field in fields || ENGINE_FIELDS[kind].includes(field) || added === undefined) continue
    text += `,${JSON.stringify(field)}:${encodeValue(added)}`
  }
  return `${text}}`
}

/** What an event's fields are in the order in which the engine builds it. */
const EVENT_SHAPES = Object.fromEntries(
  EVENT_KINDS.map((kind) => {
    const fields = [...Object.keys(EVENT_FIELDS[kind]), ...ENGINE_FIELDS[kind]]
    return [kind, kind === 'trade' ? [...fields.filter((field) => field !== 'history'), 'history'] : fields]
  }),
) as unknown as Readonly<Record<MarketEvent['kind'], readonly string[]>>

/** The JSON schema of one kind of event, for whoever wants to extend it. */
export function eventSchema(kind: MarketEvent['kind']): JsonSchema {
  const fields = Object.entries<FieldType>(EVENT_FIELDS[kind])
  const properties = Object.fromEntries(fields.map(([field, type]) => [field, JSON_TYPES[type]]))
  return { type: 'object', properties }
}

const JSON_TYPES: Readonly<Record<FieldType, JsonSchema>> = {
  text: { type: 'string' },
  number: { type: 'number' },
  integer: { type: 'number' },
  timeUs: { type: 'number' },
  boolean: { type: 'boolean' },
  levels: {},
  json: {},
}

/**
 * Compiles a JSON schema to an encoder.
 *
 * @throws `OPTION_INVALID` when it is not a schema that can be compiled; the encoder throws when a value does not fit
 */
export function compileEncoder(schema: JsonSchema): (value: unknown) => string {
  const fast = compile(schema, 'numbers')
  let careful: ((value: unknown) => string) | undefined
  return (value) => {
    try {
      return fast(value)
    } catch {
      careful ??= compile(schema, 'anything')
      return careful(value)
    }
  }
}

function compile(schema: JsonSchema, numbersAs: 'numbers' | 'anything'): (value: unknown) => string {
  try {
    // Loading the compiler takes 80 ms, which a run without schemas need not pay.
    loaded ??= load('fast-json-stringify') as typeof buildEncoder
    return loaded(widen(schema, numbersAs) as Parameters<typeof buildEncoder>[0])
  } catch (cause) {
    throw new Fault(
      'OPTION_INVALID',
      `The schema of a sink cannot be compiled: ${messageOf(cause)}. It should be a JSON schema (draft 7).`,
      {},
      { cause },
    )
  }
}

let loaded: typeof buildEncoder | undefined

function widen(schema: unknown, numbersAs: 'numbers' | 'anything'): unknown {
  if (!isRecord(schema)) return schema
  const wide: Record<string, unknown> = {}
  for (const [keyword, value] of Object.entries(schema)) {
    if (SCHEMAS_BY_NAME.has(keyword) && isRecord(value)) {
      wide[keyword] = Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, widen(inner, numbersAs)]))
    } else if (LISTS_OF_SCHEMAS.has(keyword) && Array.isArray(value)) {
      // A choice is made by type, so there numbers stay numbers.
      wide[keyword] = value.map((inner) => widen(inner, 'numbers'))
    } else if (SCHEMAS.has(keyword)) {
      wide[keyword] = Array.isArray(value) ? value.map((inner) => widen(inner, numbersAs)) : widen(value, numbersAs)
    } else {
      wide[keyword] = value
    }
  }
  const { type } = schema
  if (Array.isArray(type)) {
    const types = new Set(type.map((one: unknown) => (one === 'integer' ? 'number' : one)))
    if (numbersAs === 'anything' && types.has('number')) return {}
    wide['type'] = [...types.add('null')]
  } else if (typeof type === 'string') {
    if (type === 'number' || type === 'integer') {
      if (numbersAs === 'anything') return {}
      wide['type'] = 'number'
    }
    if (type === 'array') {
      const items = wide['items']
      if (items === undefined || items === true || (isRecord(items) && Object.keys(items).length === 0)) return {}
    }
    wide['nullable'] = true
  }
  return wide
}

const SCHEMAS_BY_NAME = new Set(['properties', 'patternProperties', 'definitions', '$defs'])
const LISTS_OF_SCHEMAS = new Set(['anyOf', 'oneOf', 'allOf'])
const SCHEMAS = new Set(['items', 'additionalProperties', 'if', 'then', 'else', 'not'])

/**
 * JSON text of any value, without a schema. What JSON has no word for is written in the nearest that it has: NaN and
 * infinities as `null`, bigints as strings of their digits, maps with text keys as objects, other maps, sets and typed
 * arrays as arrays, errors with their message. What has no text at all (`undefined`, a function) is `null`.
 *
 * @throws TypeError for a value that contains itself
 */
export function encodeValue(value: unknown, indent = 0): string {
  if (indent === 0 && hasText(value)) return value.toJSONText()
  // A replacer function doubles the cost: flat values, which is nearly all of them, do without.
  const text: unknown = isFlat(value) ? JSON.stringify(value, null, indent) : JSON.stringify(value, plain, indent)
  return typeof text === 'string' ? text : 'null'
}

/** Values that know their own text, such as views of books, know a faster way to it. */
function hasText(value: unknown): value is { toJSONText(): string } {
  return typeof value === 'object' && value !== null && 'toJSONText' in value && typeof value.toJSONText === 'function'
}

function isFlat(value: unknown): boolean {
  if (typeof value === 'bigint') return false
  if (typeof value !== 'object' || value === null) return true
  if (needsRewriting(value)) return false
  for (const key in value) {
    const field = (value as Record<string, unknown>)[key]
    if (typeof field === 'bigint' || (typeof field === 'object' && field !== null)) return false
  }
  return true
}

/** One value in the words of JSON; `JSON.stringify` goes into what is returned. */
export function plain(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (typeof value !== 'object' || value === null || !needsRewriting(value)) return value
  if (value instanceof Map) {
    const entries = [...(value as ReadonlyMap<unknown, unknown>)]
    return entries.every(([key]) => typeof key === 'string') ? Object.fromEntries(entries) : entries
  }
  if (value instanceof Set) return [...(value as ReadonlySet<unknown>)]
  if (value instanceof Error) return Object.assign({ name: value.name, message: value.message }, value)
  return [...(value as unknown as Iterable<unknown>)]
}

function needsRewriting(value: object): boolean {
  return (
    value instanceof Map ||
    value instanceof Set ||
    value instanceof Error ||
    (ArrayBuffer.isView(value) && Symbol.iterator in value)
  )
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
