/**
 * The shape of a frame, written as the frame itself with names where its fields are, and compiled into the program by which
 * the kernel scans it (`scan.ts`).
 *
 *     shape`{"stream":"${key}","data":{"e":"depthUpdate","E":${timeMs('exchangeTimeUs')},"s":"${symbol}", ...`
 *
 * A shape says what an exchange sends, not what it might: a frame of any other form goes through the plain decoder.
 */
import * as op from './layout'

/** A field of a shape: how its bytes are read, and under which name its value is found. */
export type Field =
  | { readonly is: 'key'; readonly until: string }
  | { readonly is: 'symbol' }
  | { readonly is: 'integer'; readonly name: string; readonly mayBeNegative: boolean }
  | { readonly is: 'timeMs' | 'timeRfc3339' | 'timeSeconds'; readonly name: string }
  | { readonly is: 'decimal'; readonly name: string; readonly bare: boolean; readonly positive: boolean }
  | { readonly is: 'levels'; readonly levels: Levels }
  | { readonly is: 'choice'; readonly name: string; readonly choices: readonly string[] }
  | { readonly is: 'text'; readonly name: string }
  | { readonly is: 'skipText' | 'skipNumber' }
  | { readonly is: 'rows'; readonly row: Shape }

/** How a list of levels is written. */
export interface Levels {
  readonly side: 'bids' | 'asks' | 'either'
  /** What stands before a price; of each side where a level names its own. */
  readonly head: string | { readonly bids: string; readonly asks: string }
  readonly middle: string
  /** What stands after a size; `'texts'` any number of texts in quotes, `'time'` a time in seconds and then any texts. */
  readonly foot: string
  readonly tail?: 'texts' | 'time'
  /** The field that the latest time of the levels goes to. */
  readonly timeName?: string
  /** True where price and size are JSON numbers. */
  readonly bare?: boolean
}

export interface Shape {
  readonly literals: readonly string[]
  readonly fields: readonly Field[]
}

export function shape(literals: TemplateStringsArray, ...fields: Field[]): Shape {
  return { literals: [...literals], fields }
}

/** What tells the subscription: whatever the decoder makes of a key once, it makes of it again. */
export const key: Field = { is: 'key', until: '"' }
/** A key that goes on to another character. */
export const keyUntil = (until: string): Field => ({ is: 'key', until })
/** The symbol that belongs to the key. */
export const symbol: Field = { is: 'symbol' }
export const integer = (name: string): Field => ({ is: 'integer', name, mayBeNegative: false })
export const signedInteger = (name: string): Field => ({ is: 'integer', name, mayBeNegative: true })
/** Milliseconds on the wire, microseconds in the field. */
export const timeMs = (name: string): Field => ({ is: 'timeMs', name })
export const timeRfc3339 = (name: string): Field => ({ is: 'timeRfc3339', name })
export const timeSeconds = (name: string): Field => ({ is: 'timeSeconds', name })
export const decimal = (name: string): Field => ({ is: 'decimal', name, bare: false, positive: false })
/** A JSON number. */
export const bareDecimal = (name: string): Field => ({ is: 'decimal', name, bare: true, positive: false })
/** Prices and sizes of trades, which are above zero. */
export const amount = (name: string): Field => ({ is: 'decimal', name, bare: false, positive: true })
export const bareAmount = (name: string): Field => ({ is: 'decimal', name, bare: true, positive: true })
export const levels = (of: Levels): Field => ({ is: 'levels', levels: of })
/** One of several texts; the field holds the index of the one that stands there. */
export const choice = (name: string, ...choices: readonly string[]): Field => ({ is: 'choice', name, choices })
export const text = (name: string): Field => ({ is: 'text', name })
export const skipText: Field = { is: 'skipText' }
export const skipNumber: Field = { is: 'skipNumber' }
/** A list of objects of one shape. */
export const rows = (row: Shape): Field => ({ is: 'rows', row })

/** `[["price","size"], ...]` */
export const pairs = (side: 'bids' | 'asks'): Field => levels({ side, head: '["', middle: '","', foot: '"]' })

/** A compiled shape. */
export interface Program {
  /** As the kernel reads it, without the two words that chain it. */
  readonly words: readonly number[]
  /** Registers by field name. */
  readonly registers: ReadonlyMap<string, number>
  /** Texts by field name. */
  readonly texts: ReadonlyMap<string, number>
}

/** Registers that a row keeps, and texts. */
const REGISTERS_MAX = op.ROW_REGISTERS
const TEXTS_MAX = 3

/** How the deltas of a shape are taken into their book: one of `CHAIN_` and one of `VERIFY_`. */
export interface BookRule {
  readonly chain: number
  readonly verify: number
}

/**
 * @param salt  keeps the keys of this shape apart from those of others
 * @param book  of a shape whose frames are deltas
 */
export function compile(shape: Shape, salt: number, book?: BookRule): Program {
  const words: number[] = []
  const registers = new Map<string, number>()
  const texts = new Map<string, number>()

  const registerOf = (name: string, width = 1): number => {
    const register = op.R_FIELDS + [...registers.keys()].length
    registers.set(name, register)
    for (let more = 1; more < width; more++) registers.set(`${name}.${more}`, register + more)
    if (registers.size > REGISTERS_MAX) throw new RangeError(`A shape has at most ${REGISTERS_MAX} fields.`)
    return register
  }
  const literal = (text: string): number[] => {
    const bytes = Buffer.from(text, 'latin1')
    const packed = new Int32Array((bytes.length + 3) >> 2)
    for (let at = 0; at < bytes.length; at++) packed[at >> 2]! |= bytes[at]! << ((at & 3) * 8)
    return [bytes.length, ...packed]
  }

  const put = ({ literals, fields }: Shape): void => {
    for (let index = 0; index < literals.length; index++) {
      if (literals[index] !== '') words.push(op.OP_LITERAL, ...literal(literals[index]!))
      const field = fields[index]
      if (field !== undefined) putField(field)
    }
  }
  const putField = (field: Field): void => {
    switch (field.is) {
      case 'key':
        words.push(op.OP_KEY, field.until.charCodeAt(0), salt)
        return
      case 'symbol':
        words.push(op.OP_SYMBOL)
        return
      case 'integer':
        words.push(op.OP_INTEGER, registerOf(field.name), field.mayBeNegative ? 1 : 0)
        return
      case 'timeMs':
        words.push(op.OP_TIME_MS, registerOf(field.name))
        return
      case 'timeRfc3339':
        words.push(op.OP_TIME_RFC3339, registerOf(field.name))
        return
      case 'timeSeconds':
        words.push(op.OP_TIME_SECONDS, registerOf(field.name))
        return
      case 'decimal':
        words.push(op.OP_DECIMAL, registerOf(field.name, 2), (field.bare ? 1 : 0) + (field.positive ? 2 : 0))
        return
      case 'choice': {
        const choices = field.choices.flatMap((text, index) => [index, ...literal(text)])
        words.push(op.OP_CHOICE, registerOf(field.name), field.choices.length, 16 + choices.length * 4, ...choices)
        return
      }
      case 'text':
        texts.set(field.name, texts.size + 1)
        if (texts.size > TEXTS_MAX) throw new RangeError(`A shape keeps at most ${TEXTS_MAX} texts.`)
        words.push(op.OP_TEXT, texts.size)
        return
      case 'skipText':
        words.push(op.OP_SKIP_TEXT)
        return
      case 'skipNumber':
        words.push(op.OP_SKIP_NUMBER)
        return
      case 'rows':
        words.push(op.OP_ROWS)
        put(field.row)
        words.push(op.OP_ROW_END)
        return
      case 'levels':
        putLevels(field.levels)
    }
  }
  const putLevels = ({ side, head, middle, foot, tail, timeName, bare }: Levels): void => {
    if (
      side !== 'either' &&
      head === '["' &&
      middle === '","' &&
      foot === '"]' &&
      tail === undefined &&
      bare !== true
    ) {
      words.push(op.OP_PAIRS, side === 'bids' ? 0 : 1)
      return
    }
    const heads = typeof head === 'string' ? { bids: head, asks: head } : head
    const literals = [...literal(heads.bids), ...literal(heads.asks), ...literal(middle), ...literal(foot)]
    const earlier = timeName === undefined ? undefined : registers.get(timeName)
    const time = timeName === undefined ? 0 : (earlier ?? registerOf(timeName))
    words.push(
      op.OP_LEVELS,
      side === 'bids' ? 0 : side === 'asks' ? 1 : 2,
      tail === undefined ? 0 : tail === 'texts' ? 1 : earlier === undefined ? 2 : 3,
      time,
      bare === true ? 1 : 0,
      24 + literals.length * 4,
      ...literals,
    )
  }
  put(shape)
  if (book === undefined) words.push(op.OP_END)
  else {
    const fields = ['seq', 'prevSeq', 'firstSeq', 'exchangeTimeUs', 'checksum']
    words.push(op.OP_BOOK_END, book.chain, book.verify, ...fields.map((name) => registers.get(name) ?? 0))
  }
  return { words, registers, texts }
}
