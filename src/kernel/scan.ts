/**
 * Reads the bytes of a frame by a program: no JSON, no strings, no objects.
 *
 * A program is the shape of one kind of frame, compiled from an exchange's description (`shape.ts`): literals that must
 * stand there byte by byte, and fields between them. A scan accepts a frame only if every byte of it is accounted for;
 * anything else (another order of keys, a space, an escape, an exponent, a number of more digits than a double keeps) is missed, and
 * the frame goes to the plain decoder, which decides. So a scan may be strict but must never be wrong: what it reads are the
 * events that the plain decoder would have written.
 *
 * Programs form a chain: one that misses hands the frame to the next. Behind the frame lie zeros, which end every loop.
 * Numbers become the nearest double as an integer of at most 2^52 divided by a power of ten.
 */
import { BETWEEN_TICKS, placeAt, placeOf } from './books'
import { take } from './desk'
import {
  ASKS,
  ASK_COUNT,
  BIDS,
  BID_COUNT,
  BOOK_ASKS,
  BOOK_BIDS,
  BOOK_PER_PRICE,
  DECIMALS,
  DESK_BOOK,
  ENTRY_BYTES,
  ENTRY_DEPTH,
  ENTRY_DESK,
  ENTRY_KEY,
  ENTRY_KEY_LENGTH,
  ENTRY_SALT,
  ENTRY_SLOT,
  ENTRY_SYMBOL,
  ENTRY_SYMBOL_LENGTH,
  LEVELS_MAX,
  LISTS,
  LISTS_MAX,
  LIST_COUNT,
  MISSED,
  OP_BOOK_END,
  OP_CHOICE,
  OP_DECIMAL,
  OP_INTEGER,
  OP_KEY,
  OP_LEVELS,
  OP_LITERAL,
  OP_PAIRS,
  OP_ROW_END,
  OP_ROWS,
  OP_SKIP_NUMBER,
  OP_SKIP_TEXT,
  OP_SYMBOL,
  OP_TEXT,
  OP_TIME_MS,
  OP_TIME_RFC3339,
  OP_TIME_SECONDS,
  PLACES,
  POWERS,
  POWERS_MAX,
  PRICES,
  PROGRAM,
  READ,
  REGISTERS,
  REGISTER_COUNT,
  ROW_BYTES,
  ROW_REGISTERS,
  ROWS,
  ROW_COUNT,
  ROWS_MAX,
  R_FIELDS,
  SIZES,
  SLOT,
  TABLE_HEAD_BYTES,
  TEXTS,
  T_KEY,
  UNKNOWN_KEY,
} from './layout'
import {
  areSame8,
  bytesUntil,
  digitsAt,
  digitsOf,
  load32,
  load8,
  loadF64,
  peek32,
  store32,
  storeF64,
  times,
  toF64,
} from './memory'

/** Where readers of integers and times leave what they read: the last register, which no field has. */
const VALUE: i32 = REGISTERS + (REGISTER_COUNT - 1) * 8

/** Where the last decimal ended (0: there was none), and how many decimals it had. */
let cursor: i32 = 0
let places: i32 = 0
/** Of the last decimals of a second. */
let micros: i32 = 0
/** How many levels the last list had, with those before it; of either side; and whether the places of all of them were found. */
let rowsRead: i32 = 0
let bidsRead: i32 = 0
let asksRead: i32 = 0
let placesFound = false

const QUOTE: i32 = 34
const COMMA: i32 = 44
const MINUS: i32 = 45
const POINT: i32 = 46
const ZERO: i32 = 48
const OPEN: i32 = 91
const BACKSLASH: i32 = 92
const CLOSE: i32 = 93

/** Characters of a key; longer ones are not in any table. */
const KEY_MAX: i32 = 96
/** Characters of a text that is skipped, and of one that is kept, which is not empty either. */
const TEXT_MAX: i32 = 256
const KEPT_TEXT_MAX: i32 = 128
/** 2^52: whole numbers up to here, divided by a power of ten, print back as they were sent. */
const DIGITS_MAX: f64 = 4503599627370496.0

const TIME_US_MIN: f64 = 946684800000000.0
const TIME_US_MAX: f64 = 4102444800000000.0

/**
 * Tries the programs of a chain on the frame between two addresses.
 *
 * @param chain  the first program; each begins with the address of the next (0: none) and its number
 * @param table  the keys that are known
 * @param receiveTimeUs  of the frame, for the book whose delta it is
 * @returns how it ended; what was read is in the registers, texts, columns and rows, unless a book has taken it
 */
export function scan(chain: i32, start: i32, end: i32, table: i32, receiveTimeUs: f64): i32 {
  let program = chain
  while (program !== 0) {
    const result = run(program + 8, start, end, table, receiveTimeUs)
    if (result !== MISSED) {
      store32(PROGRAM, load32(program + 4))
      return result
    }
    program = load32(program)
  }
  return MISSED
}

function run(first: i32, start: i32, end: i32, table: i32, receiveTimeUs: f64): i32 {
  let pc = first
  let p = start
  let entry: i32 = 0
  let isUnknown = false
  /** The book that will take the frame, where that is known before its levels are read; and whether all their places are. */
  let book: i32 = 0
  let found: i32 = 1
  let keyAt: i32 = 0
  let keyLength: i32 = 0
  let bids: i32 = 0
  let asks: i32 = 0
  let rows: i32 = 0
  let lists: i32 = 0
  let rowProgram: i32 = 0

  while (true) {
    switch (load32(pc)) {
      case OP_LITERAL: {
        const length = load32(pc + 4)
        if (!matches(pc + 8, length, p)) return MISSED
        p += length
        pc += 8 + ((length + 3) & -4)
        break
      }
      case OP_KEY: {
        const stop = load32(pc + 4)
        const salt = load32(pc + 8)
        const from = p
        let more = bytesUntil(p, stop)
        while (more === 8) {
          p += 8
          if (p - from > KEY_MAX) return MISSED
          more = bytesUntil(p, stop)
        }
        p += more
        const hash = hashOf(from, p - from, salt)
        // Rows that each name their key must all name the same.
        if (keyAt !== 0 && !isSame(keyAt, keyLength, from, p - from)) return MISSED
        keyAt = from
        keyLength = p - from
        store32(TEXTS + T_KEY * 8, keyAt)
        store32(TEXTS + T_KEY * 8 + 4, keyLength)
        entry = lookup(table, salt, hash, from, p - from)
        if (entry === 0) isUnknown = true
        else if (load32(entry + ENTRY_DESK) !== 0) book = load32(load32(entry + ENTRY_DESK) + DESK_BOOK)
        pc += 12
        break
      }
      case OP_SYMBOL: {
        const length = entry === 0 ? 0 : load32(entry + ENTRY_SYMBOL_LENGTH)
        if (entry !== 0 && matches(load32(entry + ENTRY_SYMBOL), length, p) && load8(p + length) === QUOTE) p += length
        else {
          // Another symbol than the key's: what was known of the key is not so.
          isUnknown = true
          p = endOfText(p)
          if (p === 0) return MISSED
        }
        pc += 4
        break
      }
      case OP_INTEGER: {
        p = readInteger(p, load32(pc + 8) !== 0)
        if (p === 0) return MISSED
        storeF64(REGISTERS + load32(pc + 4) * 8, loadF64(VALUE))
        pc += 12
        break
      }
      case OP_TIME_MS: {
        p = readInteger(p, false)
        if (p === 0) return MISSED
        const timeUs = loadF64(VALUE) * 1000.0
        if (timeUs < TIME_US_MIN || timeUs > TIME_US_MAX) return MISSED
        storeF64(REGISTERS + load32(pc + 4) * 8, timeUs)
        pc += 8
        break
      }
      case OP_TIME_RFC3339: {
        p = readRfc3339(p)
        if (p === 0) return MISSED
        storeF64(REGISTERS + load32(pc + 4) * 8, loadF64(VALUE))
        pc += 8
        break
      }
      case OP_TIME_SECONDS: {
        p = readSeconds(p)
        if (p === 0) return MISSED
        storeF64(REGISTERS + load32(pc + 4) * 8, loadF64(VALUE))
        pc += 8
        break
      }
      case OP_DECIMAL: {
        // 1: a bare number, which is JSON's own and has no zeros in front; 2: one that is above zero.
        const kind = load32(pc + 8)
        if ((kind & 1) !== 0 && load8(p) === ZERO && isDigit(load8(p + 1))) return MISSED
        const register = REGISTERS + load32(pc + 4) * 8
        const value = readDecimal(p)
        p = cursor
        if (p === 0 || (value === 0.0 && (kind & 2) !== 0)) return MISSED
        storeF64(register, value)
        storeF64(register + 8, toF64(places))
        pc += 12
        break
      }
      case OP_LEVELS: {
        if (lists === LISTS_MAX) return MISSED
        store32(LISTS + lists * 8, p + 1)
        p = readLevels(pc + 4, p, bids, asks, book)
        if (p === 0) return MISSED
        store32(LISTS + lists * 8 + 4, p - 1)
        lists++
        if (!placesFound) found = 0
        bids = bidsRead
        asks = asksRead
        pc += load32(pc + 20)
        break
      }
      case OP_PAIRS: {
        const isAsk = load32(pc + 4) !== 0
        if (lists === LISTS_MAX) return MISSED
        store32(LISTS + lists * 8, p + 1)
        p = readPairs(p, isAsk ? ASKS : BIDS, isAsk ? asks : bids, book, isAsk ? BOOK_ASKS : BOOK_BIDS)
        if (p === 0) return MISSED
        if (!placesFound) found = 0
        store32(LISTS + lists * 8 + 4, p - 1)
        lists++
        if (isAsk) asks = rowsRead
        else bids = rowsRead
        pc += 8
        break
      }
      case OP_CHOICE: {
        const count = load32(pc + 8)
        const next = pc + load32(pc + 12)
        let choice = pc + 16
        let found = false
        for (let index: i32 = 0; index < count; index++) {
          const length = load32(choice + 4)
          if (matches(choice + 8, length, p)) {
            storeF64(REGISTERS + load32(pc + 4) * 8, toF64(load32(choice)))
            p += length
            found = true
            break
          }
          choice += 8 + ((length + 3) & -4)
        }
        if (!found) return MISSED
        pc = next
        break
      }
      case OP_TEXT: {
        const from = p
        p = endOfText(p)
        if (p === 0 || p === from || p - from > KEPT_TEXT_MAX) return MISSED
        const text = TEXTS + load32(pc + 4) * 8
        store32(text, from)
        store32(text + 4, p - from)
        pc += 8
        break
      }
      case OP_SKIP_TEXT: {
        p = endOfText(p)
        if (p === 0) return MISSED
        pc += 4
        break
      }
      case OP_SKIP_NUMBER: {
        p = endOfNumber(p)
        if (p === 0) return MISSED
        pc += 4
        break
      }
      case OP_ROWS: {
        if (load8(p) !== OPEN) return MISSED
        p++
        rowProgram = pc + 4
        pc += 4
        break
      }
      case OP_ROW_END: {
        if (rows >= ROWS_MAX) return MISSED
        keepRow(ROWS + rows * ROW_BYTES)
        rows++
        const c = load8(p)
        p++
        if (c === COMMA) pc = rowProgram
        else if (c === CLOSE) pc += 4
        else return MISSED
        break
      }
      default: {
        // OP_END, OP_BOOK_END
        if (p !== end) return MISSED
        store32(BID_COUNT, bids)
        store32(ASK_COUNT, asks)
        store32(ROW_COUNT, rows)
        store32(LIST_COUNT, lists)
        if (isUnknown) return UNKNOWN_KEY
        store32(SLOT, entry === 0 ? -1 : load32(entry + ENTRY_SLOT))
        if (load32(pc) !== OP_BOOK_END || entry === 0 || load32(entry + ENTRY_DESK) === 0) return READ
        return take(
          load32(entry + ENTRY_DESK),
          load32(entry + ENTRY_DEPTH),
          pc + 4,
          bids,
          asks,
          book === 0 ? 0 : found,
          receiveTimeUs,
        )
      }
    }
  }
}

/** True when the bytes at `p` are those of the literal. A literal is padded to whole words. */
function matches(literal: i32, length: i32, p: i32): boolean {
  let at: i32 = 0
  while (at + 8 <= length) {
    if (!areSame8(p + at, literal + at)) return false
    at += 8
  }
  if (at + 4 <= length) {
    if (peek32(p + at) !== load32(literal + at)) return false
    at += 4
  }
  const rest = length - at
  return rest === 0 || ((peek32(p + at) ^ load32(literal + at)) & ((1 << (rest << 3)) - 1)) === 0
}

function isSame(a: i32, aLength: i32, b: i32, bLength: i32): boolean {
  if (aLength !== bLength) return false
  for (let at: i32 = 0; at < aLength; at++) {
    if (load8(a + at) !== load8(b + at)) return false
  }
  return true
}

/** The bits of a literal's first word. */
// inline
function maskOf(length: i32): i32 {
  return length >= 4 ? -1 : (1 << (length << 3)) - 1
}

/** The entry of a key; 0 when there is none. */
// inline
function lookup(table: i32, salt: i32, hash: i32, from: i32, length: i32): i32 {
  const mask = load32(table)
  let place = hash & mask
  while (true) {
    const entry = table + TABLE_HEAD_BYTES + place * ENTRY_BYTES
    const known = load32(entry + ENTRY_KEY_LENGTH)
    if (known === 0) return 0
    if (known === length && load32(entry + ENTRY_SALT) === salt && matches(load32(entry + ENTRY_KEY), length, from)) {
      return entry
    }
    place = (place + 1) & mask
  }
}

/** Of a key's beginning, its end and its length: what tells keys of one kind apart. */
export function hashOf(from: i32, length: i32, salt: i32): i32 {
  const last = from + length
  const first = peek32(from) & maskOf(length)
  const end = length >= 4 ? peek32(last - 4) : 0
  const before = length >= 8 ? peek32(last - 8) : 0
  // The primes are those of xxHash.
  const hash = times(first ^ times(end, 31), -1640531535) ^ times(before + length + salt, -2048144789)
  return hash ^ (hash >> 15)
}

function keepRow(row: i32): void {
  for (let index: i32 = 0; index < ROW_REGISTERS; index++) {
    storeF64(row + index * 8, loadF64(REGISTERS + (R_FIELDS + index) * 8))
  }
  for (let index: i32 = 0; index < 4; index++) {
    store32(row + ROW_REGISTERS * 8 + index * 8, load32(TEXTS + index * 8))
    store32(row + ROW_REGISTERS * 8 + index * 8 + 4, load32(TEXTS + index * 8 + 4))
  }
}

function isDigit(c: i32): boolean {
  return c >= 48 && c <= 57
}

/** Four digits at once. */
function isQuad(word: i32): boolean {
  // 0xF0F0F0F0 as a signed word.
  return (word & -252645136) === 0x30303030 && ((word + 0x06060606) & -252645136) === 0x30303030
}

function quad(word: i32): i32 {
  let x = (word - 0x30303030) | 0
  x = (times(x, 10) + (x >> 8)) | 0
  return times(x & 255, 100) + ((x >> 16) & 255)
}

/**
 * A decimal without sign and exponent, whose digits a double keeps: the double nearest to it. Where it ends, and how
 * many decimals it has, are in `cursor` and `places`.
 *
 * Digits are counted and multiplied eight at a time, without a branch that depends on how many there are: sizes are of all
 * lengths, and what a processor cannot foresee costs more than the digits.
 */
function readDecimal(start: i32): f64 {
  cursor = readNumber(start, VALUE)
  return cursor === 0 ? 0.0 : loadF64(VALUE)
}

/**
 * Levels in the form that most exchanges write, `[["1.5","20"],["1.4","7"]]`: as `OP_LEVELS`, with everything in its place.
 *
 * @param book  that will take them, 0 when that is not known; and which of its sides
 * @returns where they end, 0 when they are of another form; `rowsRead` levels are in the columns then, and if `placesFound`
 *          their places in the book
 */
function readPairs(start: i32, column: i32, first: i32, book: i32, side: i32): i32 {
  let p = start + 1
  let row = first
  placesFound = book !== 0
  if (load8(start) !== OPEN) return 0
  if (load8(p) === CLOSE) {
    rowsRead = row
    return p + 1
  }
  // Prices of a list are of one length: while they are, the processor need not wait to know where the next number begins.
  let wholeLength: i32 = 0
  let count: i32 = 0
  // Ticks are counted from a price's digits, so that nothing waits for the division by which they become a price.
  let perUnit: f64 = 0.0
  let perUnitCount: i32 = -1
  while (true) {
    // ["
    if ((peek32(p) & 0xffff) !== 0x225b || row >= LEVELS_MAX) return 0
    p += 2
    const price = column + PRICES + row * 8
    if (digitsAt(p) !== wholeLength) wholeLength = digitsAt(p)
    if (digitsAt(p + wholeLength + 1) !== count) count = digitsAt(p + wholeLength + 1)
    const end = p + wholeLength + 1 + count
    let pricePlaces = count
    let place: i32 = 0
    if (wholeLength > 0 && wholeLength < 8 && count > 0 && load8(p + wholeLength) === POINT && load8(end) === QUOTE) {
      const whole = digitsOf(p, wholeLength)
      const fraction = digitsOf(p + wholeLength + 1, count)
      if ((whole | fraction) === 0) return 0
      const power = loadF64(POWERS + count * 8)
      const units = toF64(whole) * power + toF64(fraction)
      storeF64(price, units / power)
      p = end
      if (placesFound) {
        if (count !== perUnitCount) {
          perUnit = loadF64(book + BOOK_PER_PRICE) / power
          perUnitCount = count
        }
        place = placeAt(book + side, units * perUnit)
      }
    } else {
      p = readNumber(p, price)
      if (p === 0 || loadF64(price) === 0.0) return 0
      pricePlaces = places
      if (placesFound) place = placeOf(book, book + side, loadF64(price))
    }
    store32(price + PLACES, place)
    if (place === BETWEEN_TICKS) placesFound = false
    // ","
    if ((peek32(p) & 0xffffff) !== 0x222c22) return 0
    p = readNumber(p + 3, column + SIZES + row * 8)
    if (p === 0) return 0
    storeF64(column + DECIMALS + row * 8, toF64((pricePlaces << 7) + places))
    row++
    // "] and then , or ]
    const foot = peek32(p) & 0xffffff
    p += 3
    if (foot === 0x2c5d22) continue
    if (foot !== 0x5d5d22) return 0
    rowsRead = row
    return p
  }
}

/**
 * Levels in any form. Words: side (0 bids, 1 asks, 2 as each level says), what follows a size (0 the foot, 1 texts, 2 a time and
 * texts, 3 the same where earlier levels had times too), the register of the time, whether numbers are bare, a spare one, and
 * the literals: what stands before a price of either side, between price and size, and behind a size.
 *
 * @param book  that will take them, 0 when that is not known
 * @returns where they end, 0 when they are of another form; `bidsRead` and `asksRead` levels are in the columns then, and if
 *          `placesFound` their places in the book
 */
function readLevels(words: i32, start: i32, bids: i32, asks: i32, book: i32): i32 {
  const side = load32(words)
  const tail = load32(words + 4)
  const time = load32(words + 8)
  const bare = load32(words + 12) !== 0
  const bidHead = words + 20
  const askHead = bidHead + 4 + ((load32(bidHead) + 3) & -4)
  const middle = askHead + 4 + ((load32(askHead) + 3) & -4)
  const foot = middle + 4 + ((load32(middle) + 3) & -4)
  // Of each literal the first word and what counts of it: most have no more.
  const headLength = load32(bidHead)
  const headWord = load32(bidHead + 4)
  const headMask = maskOf(headLength)
  const middleLength = load32(middle)
  const middleWord = load32(middle + 4)
  const middleMask = maskOf(middleLength)
  const footLength = load32(foot)
  const footWord = load32(foot + 4)
  const footMask = maskOf(footLength)
  let timeUs: f64 = tail === 3 ? loadF64(REGISTERS + time * 8) : 0.0
  let p = start + 1
  // As in `readPairs`.
  let wholeLength: i32 = 0
  let count: i32 = 0
  let perUnit: f64 = 0.0
  let perUnitCount: i32 = -1
  bidsRead = bids
  asksRead = asks
  placesFound = book !== 0
  if (load8(start) !== OPEN) return 0
  if (load8(p) === CLOSE) p++
  else {
    while (true) {
      let isAsk = side === 1
      if (side === 2) {
        isAsk = !matches(bidHead + 4, load32(bidHead), p)
        if (isAsk && !matches(askHead + 4, load32(askHead), p)) return 0
        p += load32(isAsk ? askHead : bidHead)
      } else {
        if (((peek32(p) ^ headWord) & headMask) !== 0) return 0
        if (headLength > 4 && !matches(bidHead + 4, headLength, p)) return 0
        p += headLength
      }
      const row = isAsk ? asksRead : bidsRead
      if (row >= LEVELS_MAX) return 0
      const level = (isAsk ? ASKS : BIDS) + row * 8
      if (bare && load8(p) === ZERO && isDigit(load8(p + 1))) return 0
      if (digitsAt(p) !== wholeLength) wholeLength = digitsAt(p)
      if (digitsAt(p + wholeLength + 1) !== count) count = digitsAt(p + wholeLength + 1)
      const end = p + wholeLength + 1 + count
      let pricePlaces = count
      let place: i32 = 0
      if (
        wholeLength > 0 &&
        wholeLength < 8 &&
        count > 0 &&
        load8(p + wholeLength) === POINT &&
        !(count === 8 && isDigit(load8(end)))
      ) {
        const whole = digitsOf(p, wholeLength)
        const fraction = digitsOf(p + wholeLength + 1, count)
        if ((whole | fraction) === 0) return 0
        const power = loadF64(POWERS + count * 8)
        const units = toF64(whole) * power + toF64(fraction)
        storeF64(level + PRICES, units / power)
        p = end
        if (placesFound) {
          if (count !== perUnitCount) {
            perUnit = loadF64(book + BOOK_PER_PRICE) / power
            perUnitCount = count
          }
          place = placeAt(book + (isAsk ? BOOK_ASKS : BOOK_BIDS), units * perUnit)
        }
      } else {
        p = readNumber(p, level + PRICES)
        if (p === 0 || loadF64(level + PRICES) === 0.0) return 0
        pricePlaces = places
        if (placesFound) place = placeOf(book, book + (isAsk ? BOOK_ASKS : BOOK_BIDS), loadF64(level + PRICES))
      }
      store32(level + PLACES, place)
      if (place === BETWEEN_TICKS) placesFound = false
      if (((peek32(p) ^ middleWord) & middleMask) !== 0) return 0
      if (middleLength > 4 && !matches(middle + 4, middleLength, p)) return 0
      p += middleLength
      if (bare && load8(p) === ZERO && isDigit(load8(p + 1))) return 0
      p = readNumber(p, level + SIZES)
      if (p === 0) return 0
      storeF64(level + DECIMALS, toF64((pricePlaces << 7) + places))
      if (isAsk) asksRead = row + 1
      else bidsRead = row + 1
      if (tail !== 0) {
        if (load8(p) !== QUOTE) return 0
        p++
        if (tail >= 2) {
          if (load8(p) !== COMMA || load8(p + 1) !== QUOTE) return 0
          p = readSeconds(p + 2)
          if (p === 0 || load8(p) !== QUOTE) return 0
          p++
          if (loadF64(VALUE) > timeUs) timeUs = loadF64(VALUE)
        }
        while (load8(p) === COMMA) {
          // `,"0"` is foreseen; other texts are mostly short numbers too.
          if (peek32(p) === 0x2230222c) {
            p += 4
            continue
          }
          if (load8(p + 1) !== QUOTE) return 0
          const length = digitsAt(p + 2)
          if (load8(p + 2 + length) === QUOTE) {
            p += length + 3
            continue
          }
          p = endOfText(p + 2)
          if (p === 0) return 0
          p++
        }
        if (load8(p) !== CLOSE) return 0
        p++
      } else {
        if (((peek32(p) ^ footWord) & footMask) !== 0) return 0
        if (footLength > 4 && !matches(foot + 4, footLength, p)) return 0
        p += footLength
      }
      const c = load8(p)
      p++
      if (c === CLOSE) break
      if (c !== COMMA) return 0
    }
  }
  if (time !== 0) {
    // Without a level there is no time.
    if (timeUs === 0.0) return 0
    storeF64(REGISTERS + time * 8, timeUs)
  }
  return p
}

/** As `readDecimal`, for loops: the double is stored, and where the number ends is given back, 0 when there is none. */
// inline
function readNumber(start: i32, to: i32): i32 {
  const length = digitsAt(start)
  if (length === 0 || length === 8) return readLongNumber(start, to)
  const whole = digitsOf(start, length)
  const point = start + length
  if (load8(point) !== POINT) {
    storeF64(to, toF64(whole))
    places = 0
    return point
  }
  const count = digitsAt(point + 1)
  if (count === 8) {
    // So many decimals are the most frequent, and foreseen.
    if (isDigit(load8(point + 9))) return readLongNumber(start, to)
    places = 8
    storeF64(to, (toF64(whole) * 100000000.0 + toF64(digitsOf(point + 1, 8))) / 100000000.0)
    return point + 9
  }
  if (count === 0) return 0
  places = count
  const power = loadF64(POWERS + count * 8)
  // At most seven digits and eight decimals: fifteen.
  storeF64(to, (toF64(whole) * power + toF64(digitsOf(point + 1, count))) / power)
  return point + 1 + count
}

function readLongNumber(start: i32, to: i32): i32 {
  storeF64(to, readLongDecimal(start))
  return cursor
}

/** As `readDecimal`, of any length that a double holds. */
function readLongDecimal(start: i32): f64 {
  let p = start
  let digits: f64 = 0.0
  let count: i32 = -1
  cursor = 0
  while (true) {
    const c = load8(p)
    if (isDigit(c)) {
      digits = digits * 10.0 + toF64(c - 48)
      if (digits > DIGITS_MAX) return readWhole(start)
      if (count >= 0) count++
    } else if (c === POINT && count < 0 && p > start) count = 0
    else break
    p++
    if (p - start > 40) return 0.0
  }
  if (p === start || count === 0) return 0.0
  if (count < 0) count = 0
  if (count > 22) return 0.0
  cursor = p
  places = count
  return digits / loadF64(POWERS + count * 8)
}

/** A whole number that is written with decimals, of however many zeros: `99999997.00000000`. */
function readWhole(start: i32): f64 {
  let p = start
  let whole: f64 = 0.0
  while (isDigit(load8(p))) {
    whole = whole * 10.0 + toF64(load8(p) - 48)
    if (whole > DIGITS_MAX) return 0.0
    p++
  }
  if (load8(p) !== POINT) return 0.0
  const point = p + 1
  p = point
  while (load8(p) === ZERO) p++
  if (p === point || p - point > POWERS_MAX || isDigit(load8(p))) return 0.0
  cursor = p
  places = p - point
  return whole
}

/** A JSON integer of at most fifteen digits; 0 when there is none. */
function readInteger(start: i32, mayBeNegative: boolean): i32 {
  let p = start
  let sign: f64 = 1.0
  if (mayBeNegative && load8(p) === MINUS) {
    sign = -1.0
    p++
  }
  if (load8(p) === ZERO && isDigit(load8(p + 1))) return 0
  const length = digitsAt(p)
  if (length === 0) return 0
  let value = toF64(digitsOf(p, length))
  if (length < 8) p += length
  else {
    const more = digitsAt(p + 8)
    if (more === 8) return 0
    if (more > 0) value = value * loadF64(POWERS + more * 8) + toF64(digitsOf(p + 8, more))
    p += 8 + more
  }
  // JSON has a negative zero, which is left to the plain decoder.
  if (value === 0.0 && sign < 0.0) return 0
  storeF64(VALUE, sign * value)
  return p
}

/** The decimals of a second, of which six count and nine may be there; 0 when they are none. Without a point there are none. */
function readMicros(start: i32): i32 {
  micros = 0
  if (load8(start) !== POINT) return start
  const from = start + 1
  const length = digitsAt(from)
  if (length === 6) {
    micros = digitsOf(from, 6)
    return from + 6
  }
  let p = from
  while (isDigit(load8(p))) {
    if (p - start <= 6) micros = times(micros, 10) + (load8(p) - 48)
    p++
    if (p - start > 10) return 0
  }
  let count = p - from
  if (count === 0) return 0
  while (count < 6) {
    micros = times(micros, 10)
    count++
  }
  return p
}

/** Seconds since 1970 with decimals, `1534614248.765567`; microseconds. */
function readSeconds(start: i32): i32 {
  // In this century they have nine or ten digits.
  const length = digitsAt(start)
  if (length === 0) return 0
  let whole = toF64(digitsOf(start, length))
  let p = start + length
  if (length === 8) {
    const more = digitsAt(p)
    if (more > 2) return 0
    if (more > 0) whole = whole * loadF64(POWERS + more * 8) + toF64(digitsOf(p, more))
    p += more
  }
  p = readMicros(p)
  if (p === 0) return 0
  const timeUs = whole * 1000000.0 + toF64(micros)
  if (timeUs < TIME_US_MIN || timeUs > TIME_US_MAX) return 0
  storeF64(VALUE, timeUs)
  return p
}

/** Two digits as a number, -1 when they are none. */
function pair(p: i32): i32 {
  const tens = load8(p) - 48
  const ones = load8(p + 1) - 48
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : -1
}

/** `2021-04-17T16:43:37.075687Z` of this century. */
function readRfc3339(start: i32): i32 {
  const word = peek32(start)
  if (!isQuad(word)) return 0
  const year = quad(word)
  const month = pair(start + 5)
  const day = pair(start + 8)
  const hour = pair(start + 11)
  const minute = pair(start + 14)
  const second = pair(start + 17)
  if (year < 2001 || year > 2099 || month < 1 || month > 12 || day < 1 || day > daysOf(month, year)) return 0
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59) return 0
  if (load8(start + 4) !== 45 || load8(start + 7) !== 45 || load8(start + 10) !== 84) return 0
  if (load8(start + 13) !== 58 || load8(start + 16) !== 58) return 0
  let p = start + 19
  p = readMicros(p)
  if (p === 0) return 0
  if (load8(p) !== 90) return 0
  p++
  // Days since 1970 of a year that begins in March.
  const shifted = month > 2 ? month - 3 : month + 9
  const years = (month > 2 ? year : year - 1) - 2000
  const days = years * 365 + ((years / 4) | 0) + (((153 * shifted + 2) / 5) | 0) + day - 1 + 11017
  const seconds = toF64(days) * 86400.0 + toF64(hour * 3600 + minute * 60 + second)
  storeF64(VALUE, seconds * 1000000.0 + toF64(micros))
  return p
}

function daysOf(month: i32, year: i32): i32 {
  if (month === 2) return (year & 3) === 0 ? 29 : 28
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
}

/** Where a text ends that has neither escapes nor letters of other scripts: at its quote. 0 for others. */
function endOfText(start: i32): i32 {
  let p = start
  let c = load8(p)
  while (c !== QUOTE) {
    if (c < 32 || c > 126 || c === BACKSLASH || p - start >= TEXT_MAX) return 0
    c = load8(++p)
  }
  return p
}

/** Where a JSON number without exponent ends; 0 when there is none. */
function endOfNumber(start: i32): i32 {
  let p = start
  if (load8(p) === MINUS) p++
  const from = p
  while (isDigit(load8(p))) p++
  if (p === from || (p - from > 1 && load8(from) === ZERO)) return 0
  if (load8(p) === POINT) {
    p++
    const point = p
    while (isDigit(load8(p))) p++
    if (p === point) return 0
  }
  return p - start > 40 ? 0 : p
}
