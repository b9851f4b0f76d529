/**
 * A message that a stage failed on, as it is kept (`millrace-quarantine/1`): one JSON object a line.
 *
 *     format, pipeline, stage   the stage's path: `trade-bars/bars-1s`
 *     at, streamTimeUs          when, by the machine and by the stream
 *     fault, directive          what was thrown, and what was done about it
 *     input                     what of the value is known by name
 *     frames                    what was received of it: the text or bytes as they came
 *     value, or unencodable     the value itself (`src/pipeline/valueCodec.ts`), or why it has no text
 *
 * What is read back comes from outside: every field is checked, and nothing is taken from an object's prototype.
 */
import { redactUrl } from '../feed/recording/redactUrl'
import { textOf, type RestRole, type SessionRecord } from '../feed/record'
import { encodeValue as jsonOf } from '../sinks/encode'
import { messageOf, REPAIRS, type FaultCode } from '../model/fault'
import type { LoggedFrame } from './frameLog'
import { identityOf, type InputIdentity } from './identity'
import type { StageFailure } from './stageRunner'
import { encodeValue } from './valueCodec'

export const QUARANTINE_FORMAT = 'millrace-quarantine/1'

export interface QuarantinedMessage {
  readonly format: typeof QUARANTINE_FORMAT
  readonly pipeline: string
  readonly stage: string
  readonly at: string
  readonly streamTimeUs: number
  readonly fault: QuarantinedFault
  readonly directive: string
  readonly input: InputIdentity
  readonly frames: readonly QuarantinedFrame[]
  /** The JSON of the value, as the value codec wrote it. */
  readonly value?: unknown
  /** Why there is no value, as a sentence. */
  readonly unencodable?: string
}

export interface QuarantinedFault {
  readonly code: FaultCode
  readonly message: string
  readonly details: unknown
  /** Of what was thrown, with the line of the pipeline it came from. */
  readonly stack?: string
}

/** What was received: a frame, or a REST answer, which has a role. */
export interface QuarantinedFrame {
  readonly exchange: string
  readonly connection: number
  readonly timeUs: number
  readonly ns: number
  readonly dir: 'in' | 'rest'
  readonly url?: string
  readonly method?: string
  readonly role?: RestRole
  /** As it came; of a binary frame there are `base64` bytes instead. */
  readonly text?: string
  readonly base64?: string
}

/** Characters of a message, of a stack and of details that are kept. */
const TEXT_MAX = 16_384

/** Writes a message as a line, without its end. Never throws: a value without a text says so in its place. */
export function quarantineLine(
  { path, fault, poison, directive }: StageFailure,
  where: { readonly pipeline: string; readonly atUs: number; readonly streamTimeUs: number },
  frames: readonly LoggedFrame[],
): string {
  const cause: unknown = fault.cause
  const stack = cause instanceof Error ? cause.stack : fault.stack
  const head: Omit<QuarantinedMessage, 'value'> = {
    format: QUARANTINE_FORMAT,
    pipeline: where.pipeline,
    stage: path,
    at: isoOf(where.atUs),
    streamTimeUs: where.streamTimeUs,
    fault: {
      code: fault.code,
      message: cut(fault.message),
      details: detailsOf(fault.details),
      ...(stack === undefined ? {} : { stack: cut(stack) }),
    },
    directive,
    input: identityOf(poison?.value),
    frames: frames.map(frameOf),
  }
  let value: string
  try {
    value = encodeValue(poison?.value)
  } catch (thrown) {
    return JSON.stringify({ ...head, unencodable: cut(messageOf(thrown)) })
  }
  return `${JSON.stringify(head).slice(0, -1)},"value":${value}}`
}

/** Reads a line. Returns a sentence about what is wrong with it where it is not one of the format. */
export function readQuarantineLine(line: string): QuarantinedMessage | string {
  let read: unknown
  try {
    read = JSON.parse(line)
  } catch {
    return 'is not JSON'
  }
  if (!isObject(read)) return 'is not a JSON object'
  const format = own(read, 'format')
  if (format !== QUARANTINE_FORMAT) {
    return typeof format === 'string' ? `is of the format ${JSON.stringify(cut(format, 60))}` : 'has no "format"'
  }
  for (const name of ['pipeline', 'stage', 'at', 'directive'] as const) {
    if (typeof own(read, name) !== 'string') return `has no text "${name}"`
  }
  if (!Number.isFinite(own(read, 'streamTimeUs'))) return 'has no number "streamTimeUs"'
  const fault = own(read, 'fault')
  if (!isObject(fault) || typeof own(fault, 'message') !== 'string' || !isFaultCode(own(fault, 'code'))) {
    return 'has no "fault" with a code and a message'
  }
  const input = own(read, 'input')
  if (!isObject(input)) return 'has no "input"'
  const frames = own(read, 'frames')
  if (!Array.isArray(frames) || !frames.every(isFrame)) return 'has "frames" that are none'
  const unencodable = own(read, 'unencodable')
  if (unencodable !== undefined && typeof unencodable !== 'string') return 'has an "unencodable" that is no text'
  if (unencodable === undefined && !Object.hasOwn(read, 'value')) return 'has neither "value" nor "unencodable"'
  return { ...(read as unknown as QuarantinedMessage), input: inputOf(input) }
}

/** The record that a kept frame was. */
export function recordOfFrame(frame: QuarantinedFrame): SessionRecord {
  const { exchange, connection, timeUs, ns, text, base64, url = '', method = 'GET', role = 'book-snapshot' } = frame
  const base = { exchange, connection, timeUs, ns }
  if (frame.dir === 'rest') return { ...base, dir: 'rest', method, url, role, body: text ?? '' }
  return { ...base, dir: 'in', data: text ?? Buffer.from(base64 ?? '', 'base64') }
}

function frameOf({ record, url }: LoggedFrame): QuarantinedFrame {
  const { exchange, connection, timeUs, ns, dir } = record
  const head = { exchange, connection, timeUs, ns, dir, ...(url === undefined ? {} : { url: redactUrl(url) }) }
  if (record.dir === 'rest') return { ...head, method: record.method, role: record.role, text: record.body }
  const text = textOf(record)
  if (text !== undefined) return { ...head, text }
  const bytes = record.data as Uint8Array
  return { ...head, base64: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64') }
}

/** Details of a fault come from whoever threw it, and may be anything. */
function detailsOf(details: unknown): unknown {
  try {
    const text = jsonOf(details)
    return text.length > TEXT_MAX ? { cut: cut(text) } : (JSON.parse(text) as unknown)
  } catch {
    return {}
  }
}

/** What of an identity is what it should be. */
function inputOf(read: Record<string, unknown>): InputIdentity {
  const { values } = read
  const known = identityOf(read)
  return { ...known, values: Number.isSafeInteger(values) ? (values as number) : known.values }
}

const ROLES: readonly unknown[] = ['instruments', 'book-snapshot', 'poll', 'book-state'] satisfies RestRole[]

function isFrame(frame: unknown): frame is QuarantinedFrame {
  if (!isObject(frame)) return false
  const { exchange, connection, timeUs, ns, dir } = frame
  if (typeof exchange !== 'string' || (dir !== 'in' && dir !== 'rest')) return false
  if (![connection, timeUs, ns].every((number) => Number.isSafeInteger(number))) return false
  const text = own(frame, 'text')
  const base64 = own(frame, 'base64')
  if (typeof text !== 'string' && typeof base64 !== 'string') return false
  if (dir === 'rest' && !ROLES.includes(own(frame, 'role'))) return false
  return ['url', 'method'].every((name) => ['string', 'undefined'].includes(typeof own(frame, name)))
}

function isFaultCode(code: unknown): code is FaultCode {
  return typeof code === 'string' && Object.hasOwn(REPAIRS, code)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function own(value: Record<string, unknown>, name: string): unknown {
  return Object.hasOwn(value, name) ? value[name] : undefined
}

function cut(text: string, max = TEXT_MAX): string {
  return text.length > max ? `${text.slice(0, max)}…` : text
}

function isoOf(timeUs: number): string {
  const date = new Date(timeUs / 1_000)
  return Number.isNaN(date.getTime()) ? String(timeUs) : date.toISOString()
}
