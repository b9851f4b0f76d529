/**
 * One line of a recording (`millrace-recording/1`): from a record to its text and back.
 *
 * Truth  ../shared/fixtures/recorded/README.md, and for recordings with several connections two keys more: `c`, the
 *        connection's number (0 where there is none; -1 on REST lines), and `venue`, the exchange of the line and of
 *        what follows on its connection. `dir` has two words more: `close` (`code`, `reason`) and `gap` (`lost`: lines
 *        that the recorder had no room for).
 */
import { textOf, type RestRole, type SessionRecord } from '../record'
import { redactUrl } from './redactUrl'

/**
 * Writes a record as a line, its end included.
 *
 * @param venue  the exchange to name, or undefined where earlier lines or the header name it
 */
export function recordLine(record: SessionRecord, venue: string | undefined): string {
  const head = `{"t":"${timeText(record)}","dir":"${record.dir}"`
  const named = venue === undefined ? head : `${head},"venue":${JSON.stringify(venue)}`
  const without = record.dir === 'rest' ? -1 : 0
  const numbered = record.connection === without ? named : `${named},"c":${record.connection}`
  switch (record.dir) {
    case 'in': {
      const text = textOf(record)
      return text === undefined
        ? `${numbered},"b64":"${base64(record.data as Uint8Array)}"}\n`
        : `${numbered},"raw":${JSON.stringify(text)}}\n`
    }
    case 'out':
      return `${numbered},"raw":${JSON.stringify(record.data)}}\n`
    case 'open':
      return `${numbered},"url":${JSON.stringify(redactUrl(record.url))}}\n`
    case 'close':
      return `${numbered},"code":${record.code},"reason":${JSON.stringify(record.reason)}}\n`
    case 'rest': {
      const { method, url, role, body } = record
      return `${numbered},"method":${JSON.stringify(method)},"url":${JSON.stringify(redactUrl(url))},"role":"${role}","body":${JSON.stringify(body)}}\n`
    }
  }
}

/** The line that stands for lines that were lost. */
export function gapLine(t: string, lost: number): string {
  return `{"t":"${t}","dir":"gap","lost":${lost}}\n`
}

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
  /** The recorder lost lines here. */
  | { readonly kind: 'gap'; readonly lost: number }
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
    case 'gap':
      if (!Number.isSafeInteger(wire.lost) || (wire.lost as number) < 0) return broken('has no number of "lost" lines')
      return { kind: 'gap', lost: wire.lost as number }
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
