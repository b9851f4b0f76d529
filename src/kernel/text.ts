/**
 * Views of books, and levels, as JSON text: the very characters that `JSON.stringify` gives, written from the numbers.
 *
 * A double that is the nearest to a decimal of at most fifteen digits is printed shortest by that decimal without the zeros
 * at its end. So it is enough to find at how many places after the point a number is whole; nearly all are at eight.
 *
 * Of a book's levels few have changed since its last text. Each level whose text was ever wanted has a slot, which goes with it
 * wherever it lies: a text that is of the size of now is copied. Changing a level touches no slot, so books that nobody prints
 * pay nothing.
 */
import { priceOf } from './books'
import { writeDigits } from './digits'
import {
  ASKS,
  BIDS,
  BOOK_ASKS,
  BOOK_BIDS,
  BOOK_SLOTS,
  BOOK_SLOTS_LACKED,
  BOOK_SLOT_CAPACITY,
  BOOK_SLOT_NEXT,
  DECIMALS_MASK,
  HEADER_EXCHANGE_TIME,
  HEADER_RECEIVE_TIME,
  HEADER_SEQ,
  PLACE_BYTES,
  PLACE_DECIMALS,
  PLACE_SLOT,
  POWERS,
  POWERS_MAX,
  PRICES,
  REST_SLOT_SHIFT,
  SIDE_BASE,
  SIDE_BEST,
  SIDE_LADDER,
  SIDE_LADDER_BITS,
  SIDE_REST_COUNT,
  SIDE_REST_DECIMALS,
  SIDE_REST_SIZES,
  SIDE_REST_TICKS,
  SIZES,
  SLOT_BYTES,
  SLOT_CHARS_MAX,
  SLOT_LENGTH,
  SLOT_PRICE_LENGTH,
  TEXT_IS_KEPT,
  WINDOW,
  WORD_ASKS,
  WORD_BIDS,
  WORD_END,
  WORD_EXCHANGE_TIME,
  WORD_RECEIVE_TIME,
  WORD_SEQ,
} from './layout'
import {
  copy8,
  leadingZeros,
  load32,
  load8,
  loadF64,
  nearestWhole,
  poke32,
  putEight,
  putFraction,
  putWhole,
  store32,
  store8,
  toF64,
  toI32,
  wholePart,
} from './memory'

const COMMA: i32 = 44
const MINUS: i32 = 45
const POINT: i32 = 46
const ZERO: i32 = 48
const OPEN: i32 = 91
const SMALL_E: i32 = 101
const CLOSE_OBJECT: i32 = 125
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
/** Places after the point that they have at least. */
const SMALL_PLACES_MIN: i32 = 7
/** Beyond it not every whole number is a double. */
const WHOLE_NUMBER_MAX: f64 = 9007199254740991.0

/**
 * Writes a view of a book as it is now: what it is of, when, the best levels of both sides, its number.
 *
 * @param name  where the text of what it is of stands, up to the first comma that follows it; eight bytes behind it may be read
 * @param bids  at most as many as there are, likewise `asks`
 * @param header  where a log has what it says beside its levels
 * @returns where it ends; 0 when a number is not one that is printed here. At most 200 characters beside the name, and 48 a level
 */
export function viewText(start: i32, book: i32, name: i32, nameLength: i32, bids: i32, asks: i32, header: i32): i32 {
  const exchangeTimeUs = loadF64(header + HEADER_EXCHANGE_TIME)
  const seq = loadF64(header + HEADER_SEQ)
  for (let done: i32 = 0; done < nameLength; done += 8) copy8(start + done, name + done)
  let at = start + nameLength
  if (exchangeTimeUs === exchangeTimeUs) at = wholeNumber(word(at, WORD_EXCHANGE_TIME), exchangeTimeUs)
  if (at !== 0) at = wholeNumber(word(at, WORD_RECEIVE_TIME), loadF64(header + HEADER_RECEIVE_TIME))
  if (at !== 0) at = sideText(word(at, WORD_BIDS), book, book + BOOK_BIDS, bids)
  if (at !== 0) at = sideText(word(at, WORD_ASKS), book, book + BOOK_ASKS, asks)
  if (at === 0) return 0
  if (seq !== seq) return word(at, WORD_END)
  at = wholeNumber(word(at, WORD_SEQ), seq)
  if (at === 0) return 0
  store8(at, CLOSE_OBJECT)
  return at + 1
}

/** Copies one of the texts between fields: its length, then its characters. */
// inline
export function word(at: i32, from: i32): i32 {
  copy8(at, from + 8)
  copy8(at + 8, from + 16)
  copy8(at + 16, from + 24)
  return at + load32(from)
}

/** A number without a fraction; 0 when it is another one, or there is nothing to write it to. */
function wholeNumber(at: i32, value: f64): i32 {
  if (!(value >= 0.0 && value <= WHOLE_NUMBER_MAX && wholePart(value) === value)) return 0
  if (value < EIGHT_PLACES) return putWhole(at, toI32(value))
  const high = toI32(value / EIGHT_PLACES)
  return putEight(putWhole(at, high), toI32(value - toF64(high) * EIGHT_PLACES))
}

/** The best levels of a side, `[price,size],[price,size]`; 0 when a number is none that is printed here. */
function sideText(start: i32, book: i32, side: i32, count: i32): i32 {
  if (count === 0) return start
  const ladder = load32(side + SIDE_LADDER)
  const bits = load32(side + SIDE_LADDER_BITS)
  const base = loadF64(side + SIDE_BASE)
  const slots = load32(book + BOOK_SLOTS)
  let left = count
  let at = start
  store8(at, OPEN)
  at++
  // A word of the bits at a time, from the best down: each level takes its bit away.
  let row = load32(side + SIDE_BEST) >> 5
  let set = row < 0 ? 0 : load32(bits + (row << 2))
  while (left > 0) {
    while (set === 0 && row > 0) {
      row--
      set = load32(bits + (row << 2))
    }
    if (set === 0) break
    const bit = 31 - leadingZeros(set)
    set ^= 1 << bit
    const place = (row << 5) + bit
    const level = ladder + place * PLACE_BYTES
    const decimals = load32(level + PLACE_DECIMALS)
    if ((decimals & TEXT_IS_KEPT) !== 0) at = copyLevel(at, slots + load32(level + PLACE_SLOT) * SLOT_BYTES)
    else {
      at = newLevel(at, book, side, base + toF64(place), loadF64(level), load32(level + PLACE_SLOT))
      if (at === 0) return 0
      store32(level + PLACE_SLOT, lastSlot)
      store32(level + PLACE_DECIMALS, decimals | lastKept)
    }
    poke32(at, BETWEEN)
    at += 3
    left--
  }
  if (left > 0) {
    const ticks = load32(side + SIDE_REST_TICKS)
    const sizes = load32(side + SIDE_REST_SIZES)
    const words = load32(side + SIDE_REST_DECIMALS)
    let index = load32(side + SIDE_REST_COUNT) - 1
    while (index >= 0 && left > 0) {
      const kept = load32(words + index * 4)
      if ((kept & TEXT_IS_KEPT) !== 0) at = copyLevel(at, slots + (kept >>> REST_SLOT_SHIFT) * SLOT_BYTES)
      else {
        at = newLevel(at, book, side, loadF64(ticks + index * 8), loadF64(sizes + index * 8), kept >>> REST_SLOT_SHIFT)
        if (at === 0) return 0
        store32(words + index * 4, (kept & DECIMALS_MASK) | lastKept | (lastSlot << REST_SLOT_SHIFT))
      }
      poke32(at, BETWEEN)
      at += 3
      left--
      index--
    }
  }
  // After the last the list of levels ends: without the comma and what opens another.
  return at - 2
}

// inline
function copyLevel(at: i32, slot: i32): i32 {
  copy8(at, slot)
  copy8(at + 8, slot + 8)
  copy8(at + 16, slot + 16)
  copy8(at + 24, slot + 24)
  return at + load8(slot + SLOT_LENGTH)
}

/** The slot of the level that was printed last, and TEXT_IS_KEPT if it has the text; 0 otherwise. */
let lastSlot: i32 = 0
let lastKept: i32 = 0

/** Prints a level, of whose text the price may be in its slot (0: it has none yet), and keeps it there. */
function newLevel(start: i32, book: i32, side: i32, tick: f64, size: f64, number: i32): i32 {
  lastSlot = number !== 0 ? number : takeSlot(book)
  lastKept = 0
  if (lastSlot === 0) return printLevel(start, priceOf(book, side, tick), size)
  const slot = load32(book + BOOK_SLOTS) + lastSlot * SLOT_BYTES
  let at = start
  if (load8(slot + SLOT_PRICE_LENGTH) !== 0) {
    copy8(at, slot)
    copy8(at + 8, slot + 8)
    copy8(at + 16, slot + 16)
    at += load8(slot + SLOT_PRICE_LENGTH)
  } else {
    at = printNumber(at, priceOf(book, side, tick))
    if (at === 0) return 0
    store8(at, COMMA)
    at++
  }
  const end = printNumber(at, size)
  if (end === 0 || end - start > SLOT_CHARS_MAX) return end
  copy8(slot, start)
  copy8(slot + 8, start + 8)
  copy8(slot + 16, start + 16)
  copy8(slot + 24, start + 24)
  store8(slot + SLOT_PRICE_LENGTH, at - start)
  store8(slot + SLOT_LENGTH, end - start)
  lastKept = TEXT_IS_KEPT
  return end
}

/** The number of a slot that was never used; 0 when there is none. */
function takeSlot(book: i32): i32 {
  const next = load32(book + BOOK_SLOT_NEXT)
  if (next >= load32(book + BOOK_SLOT_CAPACITY)) {
    store32(book + BOOK_SLOTS_LACKED, load32(book + BOOK_SLOTS_LACKED) + 1)
    return 0
  }
  store32(book + BOOK_SLOT_NEXT, next + 1)
  store8(load32(book + BOOK_SLOTS) + next * SLOT_BYTES + SLOT_PRICE_LENGTH, 0)
  return next
}

function printLevel(start: i32, price: f64, size: f64): i32 {
  const comma = printNumber(start, price)
  if (comma === 0) return 0
  store8(comma, COMMA)
  return printNumber(comma + 1, size)
}

/** Takes all slots of a book back; its levels have none then. */
export function forgetTexts(book: i32): void {
  forgetSide(book + BOOK_BIDS)
  forgetSide(book + BOOK_ASKS)
  store32(book + BOOK_SLOT_NEXT, 1)
}

function forgetSide(side: i32): void {
  const ladder = load32(side + SIDE_LADDER)
  for (let place: i32 = 0; place < WINDOW; place++) {
    const level = ladder + place * PLACE_BYTES
    store32(level + PLACE_SLOT, 0)
    store32(level + PLACE_DECIMALS, load32(level + PLACE_DECIMALS) & DECIMALS_MASK)
  }
  const words = load32(side + SIDE_REST_DECIMALS)
  const count = load32(side + SIDE_REST_COUNT)
  for (let index: i32 = 0; index < count; index++) {
    store32(words + index * 4, load32(words + index * 4) & DECIMALS_MASK)
  }
}

/**
 * Writes the first levels of a side's columns as `[price,size],[price,size]`, at most 48 characters each.
 *
 * @returns where they end; 0 when a number is none that is printed here
 */
export function levelsText(start: i32, asks: i32, count: i32): i32 {
  const column = asks !== 0 ? ASKS : BIDS
  let at = start
  store8(at, OPEN)
  at++
  for (let index: i32 = 0; index < count; index++) {
    const level = column + index * 8
    at = printLevel(at, loadF64(level + PRICES), loadF64(level + SIZES))
    if (at === 0) return 0
    poke32(at, BETWEEN)
    at += 3
  }
  return at - 2
}

// inline
function printNumber(at: i32, value: f64): i32 {
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
  if (value < SMALLEST) return smallNumber(start, value)
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

/** Of a millionth at most: its digits, with a point after the first, and an exponent. */
function smallNumber(start: i32, value: f64): i32 {
  if (value === 0.0) {
    store8(start, ZERO)
    return start + 1
  }
  if (!(value > 0.0)) return 0
  let places: i32 = SMALL_PLACES_MIN
  let whole = nearestWhole(value * loadF64(POWERS + places * 8))
  while (whole / loadF64(POWERS + places * 8) !== value) {
    if (places === POWERS_MAX) return 0
    places++
    whole = nearestWhole(value * loadF64(POWERS + places * 8))
  }
  if (whole > DIGITS_MAX) return 0
  let end = writeDigits(start, whole, 1)
  const exponent = places - (end - start) + 1
  if (end - start > 1) {
    if (end - start > 9) copy8(start + 10, start + 9)
    copy8(start + 2, start + 1)
    store8(start + 1, POINT)
    end++
  }
  store8(end, SMALL_E)
  store8(end + 1, MINUS)
  return writeDigits(end + 2, toF64(exponent), 1)
}
