/**
 * Names of files, made of what stands in the values: `out/{exchange}/{symbol}/{date}.jsonl`.
 *
 * A field's value may be anything that an exchange ever calls an instrument, or an attacker would: it is written so that
 * it cannot leave its folder, means the same file on every file system, and no two values mean one file.
 *
 *     letters, digits, - and _, ideographs   as they are
 *     everything else                        the bytes of its UTF-8, as %2F; half of a surrogate pair as %uD800
 *     BTC and btc                            are one name on many a file system. Instruments and symbols are expected in
 *                                            upper case, all else in lower case; a name that is written otherwise ends in
 *                                            ~ and the letters that are, a bit each: tBTCUSD~8
 *     nothing, the empty text                ~none, ~empty
 *     names that are devices on Windows      their first letter as %43
 *     more than 200 bytes                    cut into folders, each ending in ~
 *     - or _ that divides two fields         is written %2D or %5F where it stands in the first
 *
 * Numbers are named by their digits. A list or an object names no file.
 */
import { Fault } from '../../model/fault'
import { EVENT_FIELDS, type FieldType } from '../eventFields'

/** The path of a value's file, as a template makes it, and the part of it that time makes. */
export interface FileName {
  readonly path: string
  /** `2024-08-07`, `2024-08-07 13`, or nothing: files of one period are left together. */
  readonly period: string
}

type Part = { readonly literal: string } | FieldPart

interface FieldPart {
  readonly field: string
  /** Letters are expected in upper case. */
  readonly upper: boolean
  /** A character that divides this field from the next. */
  readonly divider: string
  /** What the values seen so far are called. */
  readonly known: Map<unknown, string>
}

/** What may stand in braces of any template; `date` and `hour` beside it. */
export const EVENT_NAME_FIELDS: readonly string[] = [
  ...new Set(
    Object.values(EVENT_FIELDS).flatMap((fields) =>
      Object.entries<FieldType>(fields).flatMap(([name, type]) => (type === 'text' ? [name] : [])),
    ),
  ),
]

const UPPER_CASE_FIELDS: ReadonlySet<string> = new Set(['symbol', 'instrument'])
const TIME_FIELDS: ReadonlySet<string> = new Set(['date', 'hour'])
const COMPONENT_BYTES_MAX = 200
const LITERAL_BYTES_MAX = 100
const PATH_BYTES_MAX = 2_000
const KNOWN_MAX = 10_000

/** True when the files' names depend on the values. `{{` and `}}` stand for braces themselves. */
export function isTemplate(path: string): boolean {
  return /[{}]/.test(path.replaceAll('{{', '').replaceAll('}}', ''))
}

/** The path without a template, its doubled braces made single. */
export function plainPath(path: string): string {
  return path.replaceAll('{{', '{').replaceAll('}}', '}')
}

export class FileTemplate {
  /** Fields of the value that the names depend on. */
  readonly fields: readonly string[]
  /** The path with a harmless value in each place, to be checked. */
  readonly example: string
  private readonly components: readonly (readonly Part[])[]
  private readonly hasDate: boolean
  private readonly hasHour: boolean
  /** The names depend on the time. */
  readonly tellsTime: boolean
  private hourNumber = NaN
  private date = ''
  private hour = ''

  /**
   * @param fields  what may stand in braces beside the fields of market events and time
   * @throws `OPTION_INVALID` for another field, a brace without its partner, and names that could not be told apart
   */
  constructor(
    private readonly sink: string,
    private readonly template: string,
    fields: readonly string[] = [],
  ) {
    const allowed = [...new Set([...TIME_FIELDS, ...EVENT_NAME_FIELDS, ...fields])]
    this.components = this.parse(allowed)
    const named = this.components.flat().flatMap((part) => ('field' in part ? [part.field] : []))
    this.fields = [...new Set(named.filter((field) => !TIME_FIELDS.has(field)))]
    this.hasDate = named.includes('date')
    this.hasHour = named.includes('hour')
    this.tellsTime = this.hasDate || this.hasHour
    this.example = this.components
      .map((parts) => parts.map((part) => ('field' in part ? 'x' : part.literal)).join(''))
      .join('/')
  }

  /**
   * @param timeUs  of the value, or of the stream
   * @throws a sentence about the value, when it can name no file
   */
  nameOf(value: unknown, timeUs: number): FileName {
    this.tell(timeUs)
    const path = this.components.map((parts) => this.component(parts, value)).join('/')
    const bytes = Buffer.byteLength(path)
    if (bytes > PATH_BYTES_MAX) {
      throw new RangeError(`the name of its file would have ${bytes} bytes, where ${PATH_BYTES_MAX} are the most`)
    }
    const period = this.hasHour ? `${this.date} ${this.hour}` : this.hasDate ? this.date : ''
    return { path, period }
  }

  private component(parts: readonly Part[], value: unknown): string {
    let text = ''
    for (const part of parts) text += 'field' in part ? this.textOf(part, value) : part.literal
    return wholesome(text)
  }

  private textOf(part: FieldPart, value: unknown): string {
    if (part.field === 'date') return this.date
    if (part.field === 'hour') return this.hour
    const field = fieldOf(value, part.field)
    let text = part.known.get(field)
    if (text === undefined) {
      text = nameText(field, part)
      if (part.known.size >= KNOWN_MAX) part.known.clear()
      part.known.set(field, text)
    }
    return text
  }

  private tell(timeUs: number): void {
    const hourNumber = Math.floor(timeUs / HOUR_US)
    if (hourNumber === this.hourNumber) return
    this.hourNumber = hourNumber
    const iso = new Date(hourNumber * HOUR_MS).toISOString()
    this.date = iso.slice(0, 10)
    this.hour = iso.slice(11, 13)
  }

  private parse(allowed: readonly string[]): Part[][] {
    const components: Part[][] = [[]]
    for (const [token, field] of this.template.matchAll(/\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+/g)) {
      if (field !== undefined) {
        if (!allowed.includes(field)) {
          throw this.invalid(
            `there is no ${JSON.stringify(field)} to be put in its place. What may stand there: ${allowed.join(', ')}; name other fields of the values in nameFields`,
          )
        }
        components.at(-1)!.push({ field, upper: UPPER_CASE_FIELDS.has(field), divider: '', known: new Map() })
      } else if (token === '{' || token === '}') {
        throw this.invalid(`a brace has no partner. Write {{ or }} for a brace itself`)
      } else {
        const [first, ...rest] = (token === '{{' ? '{' : token === '}}' ? '}' : token).split('/')
        addLiteral(components.at(-1)!, first!)
        for (const literal of rest) {
          components.push([])
          addLiteral(components.at(-1)!, literal)
        }
      }
    }
    return components.map((parts) => this.divided(parts))
  }

  /** Has each field know what divides it from the next one, so that the two cannot be taken for other two. */
  private divided(parts: Part[]): Part[] {
    if (!parts.some((part) => 'field' in part)) return parts
    const literals = parts.map((part) => ('field' in part ? '' : part.literal)).join('')
    if (/[%~]/.test(literals) || Buffer.byteLength(literals) > LITERAL_BYTES_MAX) {
      throw this.invalid(
        `beside a field there may be neither % nor ~, which mark what was escaped, nor more than ${LITERAL_BYTES_MAX} bytes`,
      )
    }
    return parts.map((part, at) => {
      if (!('field' in part) || TIME_FIELDS.has(part.field) || !parts.slice(at + 1).some(isVariable)) return part
      const next = parts[at + 1]!
      const divider = 'field' in next ? '' : next.literal.charAt(0)
      if (divider === '' || /[\p{L}\p{N}]/u.test(divider)) {
        throw this.invalid(
          `{${part.field}} must be divided from the field behind it by a character that is no letter or digit`,
        )
      }
      return { ...part, divider }
    })
  }

  private invalid(problem: string): Fault {
    return new Fault(
      'OPTION_INVALID',
      `The sink ${this.sink} has the path ${JSON.stringify(this.template)}: ${problem}.`,
      {
        sink: this.sink,
        path: this.template,
      },
    )
  }
}

const HOUR_MS = 3_600_000
export const HOUR_US = HOUR_MS * 1_000

function isVariable(part: Part): boolean {
  return 'field' in part && !TIME_FIELDS.has(part.field)
}

function addLiteral(parts: Part[], literal: string): void {
  if (literal === '') return
  const last = parts.at(-1)
  if (last !== undefined && 'literal' in last) parts[parts.length - 1] = { literal: last.literal + literal }
  else parts.push({ literal })
}

export function fieldOf(value: unknown, field: string): unknown {
  if (typeof value !== 'object' || value === null) return field === 'value' ? value : undefined
  return (value as Record<string, unknown>)[field]
}

function nameText(field: unknown, { field: name, upper, divider }: FieldPart): string {
  switch (typeof field) {
    case 'string':
      return field === '' ? '~empty' : escaped(field, upper, divider)
    case 'number':
    case 'bigint':
    case 'boolean':
      return escaped(String(field), upper, divider)
    case 'undefined':
      return '~none'
    default:
      if (field === null) return '~none'
      throw new TypeError(`its ${name} names its file, and should be a text or a number`)
  }
}

function escaped(text: string, upper: boolean, divider: string): string {
  let body = ''
  let nibbles = ''
  let nibble = 0
  let letters = 0
  for (let at = 0; at < text.length; at++) {
    const char = text[at]!
    const code = text.charCodeAt(at)
    const isUpper = code >= 0x41 && code <= 0x5a
    if (isUpper || (code >= 0x61 && code <= 0x7a)) {
      body += char
      if (isUpper !== upper) nibble |= 8 >> (letters & 3)
      if ((++letters & 3) === 0) {
        nibbles += nibble.toString(16)
        nibble = 0
      }
    } else if ((code >= 0x30 && code <= 0x39) || ((char === '-' || char === '_') && char !== divider)) {
      body += char
    } else if (code >= IDEOGRAPHS_FROM && code <= IDEOGRAPHS_TO) {
      body += char
    } else {
      const point = text.codePointAt(at)!
      if (point > 0xffff) at++
      body += isLoneSurrogate(point) ? `%u${point.toString(16).toUpperCase()}` : percent(String.fromCodePoint(point))
    }
  }
  const mark = (nibbles + nibble.toString(16)).replace(/0+$/, '')
  return mark === '' ? body : `${body}~${mark}`
}

/** The ideographs that have neither case nor a second spelling. */
const IDEOGRAPHS_FROM = 0x4e00
const IDEOGRAPHS_TO = 0x9fff

function isLoneSurrogate(point: number): boolean {
  return point >= 0xd800 && point <= 0xdfff
}

function percent(char: string): string {
  return [...Buffer.from(char)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('')
}

const DEVICE = /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/i

/** One name in a folder, or several where it is too long for one. */
function wholesome(component: string): string {
  if (DEVICE.test(component)) return percent(component[0]!) + component.slice(1)
  // No character has more than three bytes.
  if (component.length * 3 <= COMPONENT_BYTES_MAX) return component
  const bytes = Buffer.byteLength(component)
  if (bytes <= COMPONENT_BYTES_MAX) return component
  // Of about equal length, so that none is so short that it means something by itself.
  const pieceBytes = Math.ceil(bytes / Math.ceil(bytes / COMPONENT_BYTES_MAX)) + 2
  const pieces: string[] = ['']
  let length = 0
  for (const char of component) {
    const charBytes = Buffer.byteLength(char)
    if (length + charBytes > pieceBytes) {
      pieces.push('')
      length = 0
    }
    pieces.push(pieces.pop()! + char)
    length += charBytes
  }
  return pieces.join('~/')
}
