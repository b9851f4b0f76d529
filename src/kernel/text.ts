/**
 * Levels as JSON text: the very characters that `JSON.stringify` gives, written from the numbers.
 *
 * A double that is the nearest to a decimal of at most fifteen digits is printed shortest by that decimal without the zeros
 * at its end. So it is enough to find at how many places after the point a number is whole; nearly all are at eight.
 */
import { writeDigits } from './digits'
import {
  ASKS,
  BIDS,
  POWERS,
  PRICES,
  SIZES,
  SLOT_BYTES,
  SLOT_CHARS_MAX,
  SLOT_LENGTH,
  SLOT_PRICE,
  SLOT_SIZE,
  SLOT_TEXT,
  TEXT_SLOT_BITS,
} from './layout'
import {
  copy8,
  load32,
  load8,
  loadF64,
  nearestWhole,
  poke32,
  putFraction,
  putWhole,
  store32,
  store8,
  storeF64,
  times,
  toF64,
  toI32,
} from './memory'

const COMMA: i32 = 44
const POINT: i32 = 46
const ZERO: i32 = 48
const OPEN: i32 = 91
/** The four characters `],[` and one that is written over. */
const BETWEEN: i32 = 0x005b2c5d

/** The largest number whose digits are printed here: fifteen. */
const DIGITS_MAX: f64 = 999999999999999.0
/** Below it a number with eight places has no more digits than that. */
const WHOLE_MAX: f64 = 10000000.0
const EIGHT_PLACES: f64 = 100000000.0
/** Places after the point that are tried. */
const PLACES_MAX: i32 = 15
/** Smaller numbers are printed with an exponent. */
const SMALLEST: f64 = 0.000001

/**
 * Writes the first levels of a side's columns as `[price,size],[price,size]`, at most 48 characters each.
 *
 * @param known  where texts of levels are kept (TEXT_SLOTS of them), which are copied when a level comes again: of a book's
 *               levels few have changed since its last text
 * @returns where they end; 0 when a number is not one of at most fifteen digits, at least 0.000001
 */
export function levelsText(start: i32, asks: i32, count: i32, known: i32): i32 {
  const column = asks !== 0 ? ASKS : BIDS
  store8(start, OPEN)
  let at = start + 1
  for (let index: i32 = 0; index < count; index++) {
    const level = column + PRICES + index * 8
    const price = loadF64(level)
    const size = loadF64(level - PRICES + SIZES)
    const slot = known + slotOf(level) * SLOT_BYTES
    if (loadF64(slot + SLOT_PRICE) === price && loadF64(slot + SLOT_SIZE) === size) {
      copy8(at, slot + SLOT_TEXT)
      copy8(at + 8, slot + SLOT_TEXT + 8)
      copy8(at + 16, slot + SLOT_TEXT + 16)
      copy8(at + 24, slot + SLOT_TEXT + 24)
      at += load32(slot + SLOT_LENGTH)
    } else {
      at = newLevel(at, price, size, slot)
      if (at === 0) return 0
    }
    poke32(at, BETWEEN)
    at += 3
  }
  // After the last the list of levels ends: without the comma and what opens another.
  return at - 2
}

/** A number below TEXT_SLOTS that a price always has. */
// inline
function slotOf(price: i32): i32 {
  return times(load32(price) ^ times(load32(price + 4), 0x2c1b3c6d), 0x297a2d39) >>> (32 - TEXT_SLOT_BITS)
}

function newLevel(start: i32, price: f64, size: f64, slot: i32): i32 {
  const comma = number(start, price)
  if (comma === 0) return 0
  store8(comma, COMMA)
  const end = number(comma + 1, size)
  if (end !== 0 && end - start <= SLOT_CHARS_MAX) {
    storeF64(slot + SLOT_PRICE, price)
    storeF64(slot + SLOT_SIZE, size)
    store32(slot + SLOT_LENGTH, end - start)
    for (let done: i32 = 0; done < SLOT_CHARS_MAX; done += 8) copy8(slot + SLOT_TEXT + done, start + done)
  }
  return end
}

// inline
function number(at: i32, value: f64): i32 {
  if (value >= SMALLEST && value < WHOLE_MAX) {
    const whole = nearestWhole(value * EIGHT_PLACES)
    if (whole / EIGHT_PLACES === value) {
      const left = toI32(value)
      return putFraction(putWhole(at, left), toI32(whole - toF64(left) * EIGHT_PLACES))
    }
  }
  return rareNumber(at, value)
}

function rareNumber(start: i32, value: f64): i32 {
  if (value < SMALLEST) {
    if (value !== 0.0) return 0
    store8(start, ZERO)
    return start + 1
  }
  let places: i32 = value < WHOLE_MAX ? 9 : 0
  let whole = nearestWhole(value * loadF64(POWERS + places * 8))
  while (whole / loadF64(POWERS + places * 8) !== value) {
    if (places === PLACES_MAX) return 0
    places++
    whole = nearestWhole(value * loadF64(POWERS + places * 8))
  }
  if (whole > DIGITS_MAX) return 0
  const end = writeDigits(start, whole, places + 1)
  if (places === 0) return end
  // The last digits move by one, to make place for the point.
  const point = end - places
  if (places > 8) copy8(point + 9, point + 8)
  copy8(point + 1, point)
  store8(point, POINT)
  let last = end
  while (load8(last) === ZERO) last--
  return last === point ? last : last + 1
}
