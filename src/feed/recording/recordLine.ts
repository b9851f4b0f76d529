/**
 * One line of a recording (`millrace-recording/1`): from a record to its text and back.
 *
 * Truth  ../shared/fixtures/recorded/README.md, and for recordings with several connections two keys more: `c`, the
 *        connection's number (0 where there is none; -1 on REST lines), and `venue`, the exchange of the line and of
 *        what follows on its connection. `dir` has two words more: `close` (`code`, `reason`) and `gap` (`lost`: lines
 *        that the recorder had no room for; of all connections where it has no `c`).
 */
import { isUtf8 } from 'node:buffer'
import { textOf, type InRecord, type RecordTime, type RestRole, type SessionRecord } from '../record'
import { LineBytes } from './lineBytes'
import { redactUrl } from './redactUrl'

/**
 * Writes a record as a line, its end included.
 *
 * @param venue  the exchange to name, or undefined where earlier lines or the header name it
 * @returns      true when what was received is written as bytes, because it is no text
 */
export function writeLine(out: LineBytes, record: SessionRecord, venue: string | undefined): boolean {
  // Of a thousand lines all but a few.
  if (
    record.dir === 'in' &&
    venue === undefined &&
    isText(record) &&
    out.frame(record, record.connection, record.data)
  ) {
    return false
  }
  out.ascii('{"t":"')
  writeTime(out, record)
  out.ascii(HEADS[record.dir])
  if (venue !== undefined) {
    out.ascii(',"venue":')
    out.text(JSON.stringify(venue))
  }
  const without = record.dir === 'rest' || record.dir === 'gap' ? -1 : 0
  if (record.connection !== without) out.ascii(`,"c":${record.connection}`)
  let binary = false
  switch (record.dir) {
    case 'in': {
      const { data } = record
      if (typeof data !== 'string' && isText(record) && isUtf8(data) && writeQuoted(out, data)) break
      const text = textOf(record)
      binary = text === undefined
      if (text === undefined) out.ascii(`,"b64":"${base64(record.data as Uint8Array)}"`)
      else writeText(out, ',"raw":', text)
      break
    }
    case 'out':
      writeText(out, ',"raw":', record.data)
      break
    case 'open':
      writeText(out, ',"url":', redactUrl(record.url))
      break
    case 'close':
      out.ascii(`,"code":${record.code}`)
      writeText(out, ',"reason":', record.reason)
      break
    case 'gap':
      if (record.lost !== undefined) out.ascii(`,"lost":${record.lost}`)
      writeText(out, ',"reason":', record.reason)
      break
    case 'rest':
      writeText(out, ',"method":', record.method)
      writeText(out, ',"url":', redactUrl(record.url))
      out.ascii(`,"role":"${record.role}"`)
      writeText(out, ',"body":', record.body)
  }
  out.ascii('}\n')
  return binary
}

/** That it says so of itself: bytes may be no UTF-8 all the same. */
function isText({ isText: isSaid, data }: InRecord): boolean {
  return isSaid === true || typeof data === 'string'
}

/** As {@link writeLine}, as text. */
export function recordLine(record: SessionRecord, venue: string | undefined): string {
  const out = new LineBytes(1_024)
  writeLine(out, record, venue)
  return out.bytes.toString('utf8')
}

const HEADS = {
  in: '","dir":"in"',
  out: '","dir":"out"',
  open: '","dir":"open"',
  close: '","dir":"close"',
  gap: '","dir":"gap"',
  rest: '","dir":"rest"',
} as const satisfies Record<SessionRecord['dir'], string>

/** False, and nothing is written, for text with control characters. */
function writeQuoted(out: LineBytes, text: Uint8Array): boolean {
  const start = out.length
  out.ascii(',"raw":"')
  if (out.quoted(text)) {
    out.ascii('"')
    return true
  }
  out.cut(start)
  return false
}

function writeText(out: LineBytes, key: string, value: string): void {
  out.ascii(key)
  out.text(JSON.stringify(value))
}

/** Times of our days have 16 digits of microseconds: then no text is made of them. */
function writeTime(out: LineBytes, time: RecordTime): void {
  const { timeUs, ns } = time
  if (timeUs < 1e15) {
    out.ascii(timeText(time))
    return
  }
  const high = Math.floor(timeUs / 1e9)
  out.digits(high, 7)
  out.digits(timeUs - high * 1e9, 9)
  out.digits(ns, 3)
}

/** Writes the line that stands for lines that were lost, of whatever connection. */
export function writeGapLine(out: LineBytes, time: RecordTime, lost: number): void {
  out.ascii('{"t":"')
  writeTime(out, time)
  out.ascii(`","dir":"gap","lost":${lost}}\n`)
}

/** True of what a reader that starts behind it must know all the same; the index counts such lines. */
export function isStateLine(record: SessionRecord, venue: string | undefined): boolean {
  const { dir } = record
  if (dir === 'rest') return record.role === 'instruments'
  return dir === 'open' || dir === 'close' || venue !== undefined
}

/** Of the text of a line; without it, {@link isStateLine} is false of what the line says. */
export const MAY_BE_STATE = /"dir": ?"(?:open|close)"|"role": ?"instruments"|"venue": ?"/

/** When a frame was sent or received, of a line as it is written here that names no exchange; undefined of all others. */
export function frameTime(line: string): RecordTime | undefined {
  if (!line.startsWith('{"t":"') || !(line.startsWith(IN, 25) || line.startsWith(OUT, 25))) return undefined
  const timeUs = Number(line.slice(6, 22))
  const ns = Number(line.slice(22, 25))
  return Number.isInteger(timeUs) && Number.isInteger(ns) ? { timeUs, ns } : undefined
}

const IN = '","dir":"in","raw":'
const OUT = '","dir":"out","raw":'

/** A record's time as the format writes it: nanoseconds since 1970. */
export function timeText({ timeUs, ns }: { readonly timeUs: number; readonly ns: number }): string {
  if (timeUs === 0) return String(ns)
  return `${timeUs}${ns < 10 ? '00' : ns < 100 ? '0' : ''}${ns}`
}

/** The keys of a line, before any of them is trusted. */
export interface WireLine {
  readonly t?: unknown
  readonly dir?: unknown
  readonly c?: unknown
  readonly venue?: unknown
  readonly raw?: unknown
  readonly b64?: unknown
  readonly url?: unknown
  readonly code?: unknown
  readonly reason?: unknown
  readonly method?: unknown
  readonly role?: unknown
  readonly body?: unknown
  readonly lost?: unknown
  /** Only on a header, which stands inside a file where two recordings were joined. */
  readonly format?: unknown
}

/** Why a line gives no record. */
export type NoRecord =
  /** It is not what the format says; `problem` is the end of a sentence. */
  | { readonly kind: 'broken'; readonly problem: string }
  /** It is of a kind that this version does not know. */
  | { readonly kind: 'ignored' }
  /** Lines are missing here: of one connection, or of all. */
  | (RecordTime & {
      readonly kind: 'gap'
      readonly lost: number | undefined
      readonly connection: number | undefined
      readonly reason: string | undefined
    })
  /** Another recording starts here. */
  | { readonly kind: 'header' }

/** What a line's record takes from its file. */
export interface LineContext {
  /** The exchange of a connection's line; undefined where nothing says it. `named` is the line's own word. */
  exchangeOf(connection: number, named: string | undefined, dir: string): string | undefined
  /** The number that the connection has for the reader's user. */
  connectionOf(connection: number): number
}

/** Reads a line. Never throws. */
export function recordOf(text: string, context: LineContext): SessionRecord | NoRecord {
  let line: unknown
  try {
    line = JSON.parse(text)
  } catch {
    return broken('is not JSON')
  }
  if (typeof line !== 'object' || line === null || Array.isArray(line)) return broken('is not a JSON object')
  const wire: WireLine = line
  const { t, dir, c, venue } = wire
  if (typeof dir !== 'string') {
    return typeof wire.format === 'string' ? HEADER : broken('has no "dir"')
  }
  const hasTime = typeof t === 'string' && t.length > 0 && t.length <= 19 && isDigits(t)
  if (!hasTime) return broken('has no "t" of decimal nanoseconds')
  const timeUs = t.length > 3 ? Number(t.slice(0, -3)) : 0
  const ns = Number(t.length > 3 ? t.slice(-3) : t)
  if (timeUs > Number.MAX_SAFE_INTEGER) return broken('has a "t" beyond the year 2255')
  if (venue !== undefined && (typeof venue !== 'string' || venue === '')) return broken('has a "venue" that is no text')
  if (c !== undefined && !isConnection(c)) return broken('has a "c" that is no connection number')
  const own = c ?? (dir === 'rest' ? -1 : 0)

  switch (dir) {
    case 'in': {
      const data = dataOf(wire)
      if (data === undefined) return broken('has neither a "raw" text nor "b64" bytes')
      const exchange = context.exchangeOf(own, venue, dir)
      if (exchange === undefined) return broken(NO_EXCHANGE)
      return { timeUs, ns, connection: context.connectionOf(own), exchange, dir, data }
    }
    case 'out': {
      const data = wire.raw
      if (typeof data !== 'string') return broken('has no "raw" text')
      const exchange = context.exchangeOf(own, venue, dir)
      if (exchange === undefined) return broken(NO_EXCHANGE)
      return { timeUs, ns, connection: context.connectionOf(own), exchange, dir, data }
    }
    case 'open': {
      const { url } = wire
      if (typeof url !== 'string') return broken('has no "url"')
      const exchange = context.exchangeOf(own, venue, dir)
      if (exchange === undefined) return broken(NO_EXCHANGE)
      return { timeUs, ns, connection: context.connectionOf(own), exchange, dir, url }
    }
    case 'close': {
      const { code, reason } = wire
      if (!Number.isSafeInteger(code)) return broken('has no "code" of a closed connection')
      if (typeof reason !== 'string') return broken('has no "reason" text')
      const exchange = context.exchangeOf(own, venue, dir)
      if (exchange === undefined) return broken(NO_EXCHANGE)
      return { timeUs, ns, connection: context.connectionOf(own), exchange, dir, code: code as number, reason }
    }
    case 'rest': {
      const { method, url, role, body } = wire
      if (typeof url !== 'string') return broken('has no "url"')
      if (typeof body !== 'string') return broken('has no "body" text')
      if (typeof role !== 'string') return broken('has no "role"')
      if (typeof method !== 'string') return broken('has no "method"')
      if (!isRole(role)) return IGNORED
      const exchange = context.exchangeOf(own, venue, dir)
      if (exchange === undefined) return broken(NO_EXCHANGE)
      return { timeUs, ns, connection: context.connectionOf(own), exchange, dir, method, url, role, body }
    }
    case 'gap': {
      const { lost, reason } = wire
      if (lost !== undefined && !isCount(lost)) return broken('has no number of "lost" lines')
      return { kind: 'gap', timeUs, ns, lost, connection: c, reason: typeof reason === 'string' ? reason : undefined }
    }
    default:
      return IGNORED
  }
}

/** True for what {@link recordOf} gives for lines without a record. */
export function isNoRecord(result: SessionRecord | NoRecord): result is NoRecord {
  return 'kind' in result
}

const HEADER: NoRecord = { kind: 'header' }
const IGNORED: NoRecord = { kind: 'ignored' }
const NO_EXCHANGE = 'is of a connection whose exchange no earlier line names'
/** Numbers stay exact when several files' connections are renumbered into one row. */
const CONNECTION_MAX = 2 ** 31 - 1

function broken(problem: string): NoRecord {
  return { kind: 'broken', problem }
}

function isConnection(c: unknown): c is number {
  return Number.isInteger(c) && (c as number) >= 0 && (c as number) <= CONNECTION_MAX
}

function isCount(lost: unknown): lost is number {
  return Number.isSafeInteger(lost) && (lost as number) >= 0
}

function isRole(role: string): role is RestRole {
  return role === 'instruments' || role === 'book-snapshot' || role === 'poll' || role === 'book-state'
}

function isDigits(text: string): boolean {
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i)
    if (code < 48 || code > 57) return false
  }
  return true
}

function dataOf({ raw, b64 }: WireLine): string | Uint8Array | undefined {
  if (typeof raw === 'string') return raw
  if (typeof b64 !== 'string') return undefined
  const bytes = Buffer.from(b64, 'base64')
  // Node skips what is no base64; a shorter result tells.
  const padding = b64.endsWith('==') ? 2 : b64.endsWith('=') ? 1 : 0
  return b64.length % 4 === 0 && bytes.length === (b64.length / 4) * 3 - padding ? bytes : undefined
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}
