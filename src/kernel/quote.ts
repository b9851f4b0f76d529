/**
 * Puts text into a JSON string, and into the lines of a recording: a backslash before every quote and backslash, and every
 * other byte as it is. What exchanges send has a quote in every seven bytes, so that is what the time goes to.
 */
import { WORD_CONNECTION, WORD_LINE, WORD_RAW, WORD_RECEIVED } from './layout'
import {
  copy32,
  escapesIn32,
  highBitsIn32,
  load8,
  poke32,
  putEight,
  putWhole,
  store8,
  times,
  toF64,
  toI32,
  trailingZeros,
} from './memory'
import { word } from './text'

const QUOTE: i32 = 34
const BACKSLASH: i32 = 92
const CLOSE_OBJECT: i32 = 125
const NEWLINE: i32 = 10
const ZERO: i32 = 48
const SPACE: i32 = 32
const EIGHT_DIGITS: f64 = 100000000.0

/**
 * Up to 32 bytes behind the end may be read, and behind what was written be changed.
 *
 * @param to    where there is room for twice the bytes, and 32
 * @returns     where the written text ends, as a negative number when some of it is beyond ASCII: whether that is UTF-8
 *              nobody has looked; 0 when a control character is in it, which needs another escape
 */
export function quote(to: i32, from: i32, end: i32): i32 {
  let high: i32 = 0
  while (from < end) {
    const count = end - from < 32 ? end - from : 32
    const mask = count === 32 ? -1 : (1 << count) - 1
    // First where all of them are: each is then found without waiting for the one before it.
    let escapes = escapesIn32(from) & mask
    high |= highBitsIn32(from) & mask
    let done: i32 = 0
    while (escapes !== 0) {
      const at = trailingZeros(escapes)
      const byte = load8(from + at)
      if (byte < SPACE) return 0
      copy32(to, from + done)
      to += at - done
      store8(to, BACKSLASH)
      store8(to + 1, byte)
      to += 2
      done = at + 1
      escapes &= escapes - 1
    }
    copy32(to, from + done)
    to += count - done
    from += count
  }
  return high === 0 ? to : -to
}

/**
 * Writes the line of a frame that was received as text, its end included (`recordLine.ts` has its words).
 *
 * @param to          where there is room for twice the bytes, and for `LINE_BYTES` more
 * @param timeUs      sixteen digits
 * @param ns          0 to 999
 * @param connection  below 10^8
 * @returns           as {@link quote}
 */
export function frameLine(to: i32, from: i32, end: i32, timeUs: f64, ns: i32, connection: i32): i32 {
  const high = toI32(timeUs / EIGHT_DIGITS)
  let at = putEight(word(to, WORD_LINE), high)
  at = putEight(at, toI32(timeUs - toF64(high) * EIGHT_DIGITS))
  const tens = toI32(toF64(ns) / 10.0)
  const hundreds = toI32(toF64(ns) / 100.0)
  store8(at, ZERO + hundreds)
  store8(at + 1, ZERO + tens - times(hundreds, 10))
  store8(at + 2, ZERO + ns - times(tens, 10))
  at = word(at + 3, WORD_RECEIVED)
  if (connection !== 0) at = putWhole(word(at, WORD_CONNECTION), connection)
  const quoted = quote(word(at, WORD_RAW), from, end)
  if (quoted === 0) return 0
  at = quoted < 0 ? -quoted : quoted
  poke32(at, QUOTE | (CLOSE_OBJECT << 8) | (NEWLINE << 16))
  return quoted < 0 ? -(at + 3) : at + 3
}
