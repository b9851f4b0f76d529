/**
 * Reading fields of wire messages: each reader returns the value or throws a `Fault` VALUE_INVALID that names the field.
 * Decoders are written with these, so that no `undefined`, `NaN` or foreign type gets past them.
 */
import { isDecimal } from '../decimal'
import { Fault } from '../fault'

export type WireRecord = Readonly<Record<string, unknown>>

export function invalid(field: string, value: unknown, expected: string): Fault {
  const shown = (JSON.stringify(value) as string | undefined)?.slice(0, 60) ?? 'missing'
  return new Fault('VALUE_INVALID', `Field ${field} is ${shown}; expected ${expected}.`, { field, value: shown })
}

export function isRecord(value: unknown): value is WireRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function record(value: unknown, field: string): WireRecord {
  if (!isRecord(value)) throw invalid(field, value, 'an object')
  return value
}

export function list(value: unknown, field: string): readonly unknown[] {
  if (!Array.isArray(value)) throw invalid(field, value, 'a list')
  return value as readonly unknown[]
}

/** A non-empty string of at most 128 characters. */
export function text(value: unknown, field: string): string {
  if (typeof value !== 'string' || value.length === 0 || value.length > 128) throw invalid(field, value, 'a text')
  return value
}

/** An id sent as text or number, as text. */
export function id(value: unknown, field: string): string {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value)
  return text(value, field)
}

/** A safe integer, sent as number or as digits. */
export function integer(value: unknown, field: string): number {
  const number = typeof value === 'string' && /^-?\d{1,17}$/.test(value) ? Number(value) : value
  if (typeof number !== 'number' || !Number.isSafeInteger(number)) throw invalid(field, value, 'an integer')
  return number
}

/** As {@link integer}, or undefined where the field is absent. */
export function optionalInteger(value: unknown, field: string): number | undefined {
  return value === undefined || value === null ? undefined : integer(value, field)
}

/** The text of a decimal that was sent as text or as a JSON number. */
export function decimalText(value: unknown, field: string): string {
  if (typeof value === 'number' && Number.isFinite(value)) return String(value)
  if (!isDecimal(value)) throw invalid(field, value, 'a decimal number')
  return value
}

/** A decimal of any sign. */
export function decimal(value: unknown, field: string): number {
  return Number(decimalText(value, field))
}

/** As {@link decimal}, or undefined where the exchange says nothing: absent, null or an empty text. */
export function optionalDecimal(value: unknown, field: string): number | undefined {
  return value === undefined || value === null || value === '' ? undefined : decimal(value, field)
}

/** Times outside 2000 to 2100 are no times. */
const TIME_US_MIN = 946_684_800_000_000
const TIME_US_MAX = 4_102_444_800_000_000

/** Microseconds from milliseconds, sent as number or digits. */
export function timeUsFromMs(value: unknown, field: string): number {
  const timeUs = integer(value, field) * 1_000
  if (timeUs < TIME_US_MIN || timeUs > TIME_US_MAX) throw invalid(field, value, 'a time in milliseconds since 1970')
  return timeUs
}

/** Microseconds from seconds with decimals, sent as text (`1618678157.908269`) or number. */
export function timeUsFromSeconds(value: unknown, field: string): number {
  const [whole = '', fraction = ''] = decimalText(value, field).split('.')
  const timeUs = Number(whole) * 1_000_000 + Number((fraction + '000000').slice(0, 6))
  if (!(timeUs >= TIME_US_MIN && timeUs <= TIME_US_MAX)) throw invalid(field, value, 'a time in seconds since 1970')
  return timeUs
}

const RFC_3339 = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(?:Z|\+00:00)$/

/**
 * Microseconds from RFC 3339 text with up to nine decimals, UTC. Times long past are passed on: an exchange that has none
 * writes the year 1, and its decoder knows what to make of it.
 */
export function timeUsFromRfc3339(value: unknown, field: string): number {
  const match = typeof value === 'string' ? RFC_3339.exec(value) : null
  const milliseconds = match === null ? NaN : Date.parse(`${match[1]}Z`)
  const timeUs = milliseconds * 1_000 + Number(((match?.[2] ?? '') + '000000').slice(0, 6))
  if (!(timeUs <= TIME_US_MAX)) throw invalid(field, value, 'an RFC 3339 time in UTC')
  return timeUs
}
