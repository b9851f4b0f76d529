/**
 * Deep equality that says what differs and where, for values as streams carry them: lists, records, Maps, Sets, typed
 * arrays, errors.
 *
 * NaN equals NaN, 0 does not equal -0, and a field that is `undefined` does not equal a field that is missing: on the road
 * `undefined` is a word of its own. Objects of different classes differ, whatever their fields; errors are compared by
 * class, message, code and details, not by their stacks. What shows nothing to compare (a function, a promise, an object
 * whose state is private) is equal to itself only.
 */
import { inspect } from 'node:util'
import { Fault } from '../model/fault'
import { AssertionError } from './assertionError'

/** Differences that one message names. */
const NAMED_MAX = 10

/** Fails with the differences and their places when the two are not deeply equal. */
export function expectEqual(actual: unknown, expected: unknown, what = 'What came'): void {
  const found = differences(actual, expected)
  if (found.length === 0) return
  throw new AssertionError(`${what} is not what was expected:\n${list(found)}`, { actual, expected })
}

export function isEqual(actual: unknown, expected: unknown): boolean {
  return differences(actual, expected).length === 0
}

/** The differences, a line each with its place; empty when the two are equal. At most `atMost`, the first first. */
export function differences(actual: unknown, expected: unknown, atMost = NAMED_MAX + 1): string[] {
  const found: string[] = []
  compare(actual, expected, '', { found, atMost, under: new Map() })
  return found
}

/** Lines of differences as they stand in a message. */
export function list(found: readonly string[]): string {
  const named = found.slice(0, NAMED_MAX).map((line) => `  ${line}`)
  if (found.length > NAMED_MAX) named.push('  and more')
  return named.join('\n')
}

/** A value in a message: whole when it is small, its beginning when it is large. */
export function show(value: unknown): string {
  if (value instanceof Error)
    return `[${value instanceof Fault ? `Fault ${value.code}` : value.name}: ${value.message}]`
  return inspect(value, {
    depth: 4,
    maxArrayLength: 20,
    maxStringLength: 200,
    breakLength: 120,
    compact: 3,
    sorted: false,
    customInspect: false,
  })
}

interface Comparison {
  readonly found: string[]
  readonly atMost: number
  /** The pairs that are being compared further up: two circles of one shape are equal. */
  readonly under: Map<object, Set<object>>
}

function compare(actual: unknown, expected: unknown, path: string, comparison: Comparison): void {
  if (comparison.found.length >= comparison.atMost || Object.is(actual, expected)) return
  if (!isObject(actual) || !isObject(expected)) {
    differ(path, show(actual), show(expected), comparison)
    return
  }
  const [one, other] = [classOf(actual), classOf(expected)]
  if (one.prototype !== other.prototype) {
    differ(path, `${one.name} ${show(actual)}`, `${other.name} ${show(expected)}`, comparison)
    return
  }
  const met = comparison.under.get(actual) ?? new Set<object>()
  if (met.has(expected)) return
  met.add(expected)
  comparison.under.set(actual, met)
  compareAlike(actual, expected, path, comparison)
  met.delete(expected)
}

/** Compares two objects of one class. */
function compareAlike(actual: object, expected: object, path: string, comparison: Comparison): void {
  if (Array.isArray(actual)) {
    compareLists(actual, expected as unknown[], path, comparison)
  } else if (ArrayBuffer.isView(actual)) {
    compareLists(numbersOf(actual), numbersOf(expected as ArrayBufferView), path, comparison)
  } else if (actual instanceof ArrayBuffer || actual instanceof SharedArrayBuffer) {
    compareLists([...new Uint8Array(actual)], [...new Uint8Array(expected as ArrayBuffer)], path, comparison)
  } else if (actual instanceof Map) {
    compareMaps(actual, expected as Map<unknown, unknown>, path, comparison)
  } else if (actual instanceof Set) {
    compareSets(actual, expected as Set<unknown>, path, comparison)
  } else if (actual instanceof Date) {
    compare(actual.getTime(), (expected as Date).getTime(), `${path}.getTime()`, comparison)
  } else if (actual instanceof RegExp) {
    if (show(actual) !== show(expected)) differ(path, show(actual), show(expected), comparison)
  } else if (actual instanceof Error) {
    compareFields(errorFields(actual), errorFields(expected as Error), path, comparison)
  } else if (isBoxed(actual)) {
    compare(actual.valueOf(), expected.valueOf(), path, comparison)
  } else if (isOpaque(actual) && isOpaque(expected)) {
    differ(path, `${show(actual)}, which shows nothing to compare`, show(expected), comparison)
  } else {
    compareFields(actual, expected, path, comparison)
  }
}

function compareLists(
  actual: readonly unknown[],
  expected: readonly unknown[],
  path: string,
  comparison: Comparison,
): void {
  const length = Math.max(actual.length, expected.length)
  for (let index = 0; index < length && comparison.found.length < comparison.atMost; index++) {
    const at = `${path}[${index}]`
    if (index >= actual.length || !(index in actual)) differ(at, 'nothing', show(expected[index]), comparison)
    else if (index >= expected.length || !(index in expected)) differ(at, show(actual[index]), 'nothing', comparison)
    else compare(actual[index], expected[index], at, comparison)
  }
}

function compareMaps(
  actual: ReadonlyMap<unknown, unknown>,
  expected: ReadonlyMap<unknown, unknown>,
  path: string,
  comparison: Comparison,
): void {
  const left = [...expected.keys()].filter((key) => !actual.has(key))
  for (const [key, value] of actual) {
    const at = `${path}.get(${show(key)})`
    if (expected.has(key)) {
      compare(value, expected.get(key), at, comparison)
      continue
    }
    // A key that is an object is met again by what it holds.
    const twin = isObject(key) ? left.findIndex((other) => isEqual(key, other)) : -1
    if (twin < 0) differ(at, show(value), 'nothing', comparison)
    else compare(value, expected.get(left.splice(twin, 1)[0]), at, comparison)
  }
  for (const key of left) differ(`${path}.get(${show(key)})`, 'nothing', show(expected.get(key)), comparison)
}

function compareSets(
  actual: ReadonlySet<unknown>,
  expected: ReadonlySet<unknown>,
  path: string,
  comparison: Comparison,
): void {
  const left = [...expected].filter((member) => !actual.has(member))
  for (const member of actual) {
    if (expected.has(member)) continue
    const twin = isObject(member) ? left.findIndex((other) => isEqual(member, other)) : -1
    if (twin < 0) differ(`${path}.has(${show(member)})`, 'true', 'false', comparison)
    else left.splice(twin, 1)
  }
  for (const member of left) differ(`${path}.has(${show(member)})`, 'false', 'true', comparison)
}

function compareFields(actual: object, expected: object, path: string, comparison: Comparison): void {
  for (const key of new Set([...keysOf(actual), ...keysOf(expected)])) {
    const at = typeof key === 'string' && /^[A-Za-z_$][\w$]*$/.test(key) ? `${path}.${key}` : `${path}[${show(key)}]`
    if (!has(actual, key)) differ(at, 'no such field', show(read(expected, key)), comparison)
    else if (!has(expected, key)) differ(at, show(read(actual, key)), 'no such field', comparison)
    else compare(read(actual, key), read(expected, key), at, comparison)
  }
}

function differ(path: string, actual: string, expected: string, { found, atMost }: Comparison): void {
  if (found.length >= atMost) return
  found.push(`${path === '' ? '' : `at ${path}: `}expected ${expected}, got ${actual}`)
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
}

/** Objects without a prototype, as `JSON.parse` never makes and codecs do, are plain records all the same. */
function classOf(value: object): { readonly prototype: object | null; readonly name: string } {
  const prototype = Object.getPrototypeOf(value) as object | null
  if (prototype === null || prototype === Object.prototype) return { prototype: null, name: 'the record' }
  const made = (prototype as { readonly constructor?: unknown }).constructor
  return { prototype, name: typeof made === 'function' && made.name !== '' ? `the ${made.name}` : 'the object' }
}

function numbersOf(view: ArrayBufferView): (number | bigint)[] {
  if (view instanceof DataView) return [...new Uint8Array(view.buffer, view.byteOffset, view.byteLength)]
  return [...(view as Uint8Array | BigInt64Array)]
}

/** What an error says, its own fields included; not where it was made. */
function errorFields(error: Error): object {
  const { name, message, cause } = error
  const own = Object.fromEntries(Object.entries(error))
  return { ...own, name, message, ...(cause === undefined ? {} : { cause }) }
}

function isBoxed(value: object): boolean {
  return value instanceof Number || value instanceof String || value instanceof Boolean
}

function isOpaque(value: object): boolean {
  if (typeof value === 'function') return true
  const prototype = Object.getPrototypeOf(value) as unknown
  return prototype !== null && prototype !== Object.prototype && keysOf(value).length === 0
}

function keysOf(value: object): (string | symbol)[] {
  return Reflect.ownKeys(value).filter((key) => Object.prototype.propertyIsEnumerable.call(value, key))
}

function has(value: object, key: string | symbol): boolean {
  return Object.prototype.propertyIsEnumerable.call(value, key)
}

function read(value: object, key: string | symbol): unknown {
  return (value as Record<string | symbol, unknown>)[key]
}
