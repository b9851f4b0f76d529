/**
 * Checksums over a book's best levels, from the digits of the wire: a level's price and size are whole numbers of their last
 * decimal, so their digits are there without a text having been kept.
 */
import { best } from './books'
import {
  ASKS,
  BIDS,
  BOOK_TEXTS,
  CRC,
  DECIMALS,
  MARK_BITS,
  POWERS,
  POWERS_MAX,
  PRICES,
  QUADS,
  SCRATCH,
  SIZES,
  TEXTS_ASKS,
  TEXTS_AT,
  TEXTS_BIDS,
  TEXTS_HEAD_BYTES,
  TEXTS_MARKS,
  TEXTS_SET_BYTES,
  TEXTS_SIDE_BYTES,
  TEXTS_TURN,
  TEXT_AT,
  TEXT_BYTES,
  TEXT_DECIMALS,
  TEXT_LENGTH,
  TEXT_PRICE,
  TEXT_SIZE,
} from './layout'
import {
  copy8,
  wholePart,
  load32,
  load8,
  loadF64,
  peek32,
  poke32,
  nearestWhole,
  smallWhole,
  store32,
  store8,
  storeF64,
  toF64,
  toI32,
  unsigned,
} from './memory'

const COLON: i32 = 58

/** The largest number whose digits are printed here: fifteen. */
const DIGITS_MAX: f64 = 999999999999999.0
/** Decimals of a text as it was sent: with more a small number needs more characters than its digits, and than are kept. */
const PLACES_MAX: i32 = 14

/**
 * Kraken: the best asks, then the best bids; of each level price and size without point and leading zeros.
 *
 * @returns CRC32 as unsigned 32 bits; -1 when a number has more digits than are printed here
 */
export function krakenChecksum(book: i32, levels: i32): f64 {
  const texts = load32(book + BOOK_TEXTS)
  let at = beginText(texts)
  let count: i32 = 0
  let asksWritten: i32 = 0
  for (let asks: i32 = 1; asks >= 0; asks--) {
    count = best(book, asks, 0, levels)
    for (let index: i32 = 0; index < count; index++) {
      at = writeLevel(at, asks, index, false)
      if (at === 0) return forgotten(texts)
    }
    if (asks !== 0) asksWritten = count
  }
  return endText(texts, at, count, asksWritten)
}

/**
 * OKX: bids and asks in turn, of each price and size as sent, all joined by colons; a side that is shorter is left out.
 *
 * @returns CRC32 as unsigned 32 bits; -1 when a number has more digits than are printed here
 */
export function okxChecksum(book: i32, levels: i32): f64 {
  const texts = load32(book + BOOK_TEXTS)
  const bids = best(book, 0, 0, levels)
  const asks = best(book, 1, 0, levels)
  const start = beginText(texts)
  let at = start
  const most = bids > asks ? bids : asks
  for (let index: i32 = 0; index < most; index++) {
    for (let side: i32 = 0; side < 2; side++) {
      if (index >= (side === 0 ? bids : asks)) continue
      if (at !== start) {
        store8(at, COLON)
        at++
      }
      at = writeLevel(at, side, index, true)
      if (at === 0) return forgotten(texts)
    }
  }
  return endText(texts, at, bids, asks)
}

// ── Texts of levels ─────────────────────────────────────────────────────────────────────────────────────────────────
// From one checksum to the next few levels change, so the text of the last is kept, with the levels that it is of: where a
// level is as it was its text is copied, and as far as all of the text is the checksum is known too. There are two sets in
// turn, since what is kept is read while it is written.

/** The set that is read and the one that is written; 0: there are none. */
let kept: i32 = 0
let fresh: i32 = 0
/** Where the text begins that is written, and how much of it is as it was. */
let textStart: i32 = 0
let same: i32 = 0
/** Of each side how many levels are kept, and which of them comes next. */
let keptBids: i32 = 0
let keptAsks: i32 = 0
let nextBid: i32 = 0
let nextAsk: i32 = 0

/**
 * @param texts  where the book keeps them; 0: nowhere
 * @returns where to write
 */
function beginText(texts: i32): i32 {
  same = 0
  nextBid = 0
  nextAsk = 0
  keptBids = 0
  keptAsks = 0
  kept = 0
  fresh = 0
  textStart = SCRATCH
  if (texts !== 0) {
    const first = texts + TEXTS_HEAD_BYTES
    const isSecond = load32(texts + TEXTS_TURN) !== 0
    kept = isSecond ? first + TEXTS_SET_BYTES : first
    fresh = isSecond ? first : first + TEXTS_SET_BYTES
    keptBids = load32(texts + TEXTS_BIDS)
    keptAsks = load32(texts + TEXTS_ASKS)
    textStart = fresh + TEXTS_AT
  }
  return textStart
}

/** The checksum of what has been written, which is what is kept from now on. */
function endText(texts: i32, end: i32, bids: i32, asks: i32): f64 {
  if (texts !== 0) {
    store32(texts + TEXTS_TURN, load32(texts + TEXTS_TURN) ^ 1)
    store32(texts + TEXTS_BIDS, bids)
    store32(texts + TEXTS_ASKS, asks)
  }
  return unsigned(crc32(textStart, end))
}

/** The checksum cannot be computed, and nothing is kept. */
function forgotten(texts: i32): f64 {
  if (texts !== 0) {
    store32(texts + TEXTS_BIDS, 0)
    store32(texts + TEXTS_ASKS, 0)
  }
  return -1.0
}

/** Writes the text of a level of the columns; returns where it ends, 0 when it has too many digits. */
function writeLevel(at: i32, asks: i32, index: i32, asSent: boolean): i32 {
  const level = (asks !== 0 ? ASKS : BIDS) + index * 8
  if (fresh === 0) return printLevel(at, level, asSent)
  const price = loadF64(level + PRICES)
  const side = asks !== 0 ? TEXTS_SIDE_BYTES : 0
  const count = asks !== 0 ? keptAsks : keptBids
  let next = asks !== 0 ? nextAsk : nextBid
  let known: i32 = 0
  while (next < count) {
    const other = kept + side + next * TEXT_BYTES
    const otherPrice = loadF64(other + TEXT_PRICE)
    // What is kept lies in the same order, the best first.
    if (asks !== 0 ? otherPrice > price : otherPrice < price) break
    next++
    if (otherPrice === price) {
      if (
        loadF64(other + TEXT_SIZE) === loadF64(level + SIZES) &&
        loadF64(other + TEXT_DECIMALS) === loadF64(level + DECIMALS)
      ) {
        known = other
      }
      break
    }
  }
  if (asks !== 0) nextAsk = next
  else nextBid = next
  const own = fresh + side + index * TEXT_BYTES
  storeF64(own + TEXT_PRICE, price)
  storeF64(own + TEXT_SIZE, loadF64(level + SIZES))
  storeF64(own + TEXT_DECIMALS, loadF64(level + DECIMALS))
  store32(own + TEXT_AT, at - textStart)
  let end: i32 = 0
  if (known !== 0) {
    const from = load32(known + TEXT_AT)
    const length = load32(known + TEXT_LENGTH)
    for (let done: i32 = 0; done < length; done += 8) copy8(at + done, kept + TEXTS_AT + from + done)
    end = at + length
    // Before it stands at most a colon.
    if (from === at - textStart && from - same < 2) same = from + length
  } else {
    end = printLevel(at, level, asSent)
    if (end === 0) return 0
  }
  store32(own + TEXT_LENGTH, end - at)
  return end
}

/** Price and size of a level: as they were sent, with a colon between them, or their digits alone. */
function printLevel(start: i32, level: i32, asSent: boolean): i32 {
  const places = smallWhole(loadF64(level + DECIMALS))
  const most = asSent ? PLACES_MAX : POWERS_MAX
  if (places >> 7 > most || (places & 127) > most) return 0
  const price = nearestWhole(loadF64(level + PRICES) * loadF64(POWERS + (places >> 7) * 8))
  const size = nearestWhole(loadF64(level + SIZES) * loadF64(POWERS + (places & 127) * 8))
  if (price > DIGITS_MAX || size > DIGITS_MAX) return 0
  if (!asSent) return writeDigits(writeDigits(start, price, 1), size, 1)
  const middle = writeDecimal(start, price, places >> 7)
  store8(middle, COLON)
  return writeDecimal(middle + 1, size, places & 127)
}

/** A whole number of its last decimal, as exchanges write it. */
function writeDecimal(start: i32, digits: f64, places: i32): i32 {
  const end = writeDigits(start, digits, places + 1)
  if (places === 0) return end
  // The last digits move by one, to make place for the point.
  for (let at = end; at > end - places; at--) store8(at, load8(at - 1))
  store8(end - places, 46)
  return end + 1
}

/** The digits of a whole number, with zeros in front until there are so many; returns where they end. */
export function writeDigits(start: i32, value: f64, atLeast: i32): i32 {
  const high = toI32(wholePart(value / 100000000.0))
  const low = toI32(value - toF64(high) * 100000000.0)
  const a = (high / 10000) | 0
  const b = high - a * 10000
  const c = (low / 10000) | 0
  const d = low - c * 10000
  let count = digitsOf(d)
  if (a !== 0) count = 12 + digitsOf(a)
  else if (b !== 0) count = 8 + digitsOf(b)
  else if (c !== 0) count = 4 + digitsOf(c)
  let at = start
  for (let missing = atLeast - count; missing > 0; missing--) {
    store8(at, 48)
    at++
  }
  const last = load32(QUADS + d * 4)
  if (count <= 4) return writeFrom(at, 4 - count, last, 0, 0, 0) - 12
  const third = load32(QUADS + c * 4)
  if (count <= 8) return writeFrom(at, 8 - count, third, last, 0, 0) - 8
  const second = load32(QUADS + b * 4)
  if (count <= 12) return writeFrom(at, 12 - count, second, third, last, 0) - 4
  return writeFrom(at, 16 - count, load32(QUADS + a * 4), second, third, last)
}

/** Writes sixteen characters without the first few; returns where they end. */
function writeFrom(at: i32, skip: i32, a: i32, b: i32, c: i32, d: i32): i32 {
  if (skip === 0) {
    poke32(at, a)
    poke32(at + 4, b)
    poke32(at + 8, c)
    poke32(at + 12, d)
  } else {
    const down = skip << 3
    const up = 32 - down
    poke32(at, (a >>> down) | (b << up))
    poke32(at + 4, (b >>> down) | (c << up))
    poke32(at + 8, (c >>> down) | (d << up))
    poke32(at + 12, d >>> down)
  }
  return at + 16 - skip
}

function digitsOf(quad: i32): i32 {
  return quad >= 1000 ? 4 : quad >= 100 ? 3 : quad >= 10 ? 2 : 1
}

/** CRC32 (IEEE) of the bytes between two addresses, eight at a time, from the last mark before which they are as they were. */
function crc32(from: i32, to: i32): i32 {
  let crc: i32 = -1
  let at = from
  if (fresh !== 0) {
    const marks = same >> MARK_BITS
    for (let mark: i32 = 1; mark <= marks; mark++) {
      store32(fresh + TEXTS_MARKS + mark * 4, load32(kept + TEXTS_MARKS + mark * 4))
    }
    if (marks > 0) crc = load32(kept + TEXTS_MARKS + marks * 4)
    at += marks << MARK_BITS
  }
  while (at + 8 <= to) {
    const a = crc ^ peek32(at)
    const b = peek32(at + 4)
    crc =
      load32(CRC + 7168 + ((a & 255) << 2)) ^
      load32(CRC + 6144 + (((a >>> 8) & 255) << 2)) ^
      load32(CRC + 5120 + (((a >>> 16) & 255) << 2)) ^
      load32(CRC + 4096 + ((a >>> 24) << 2)) ^
      load32(CRC + 3072 + ((b & 255) << 2)) ^
      load32(CRC + 2048 + (((b >>> 8) & 255) << 2)) ^
      load32(CRC + 1024 + (((b >>> 16) & 255) << 2)) ^
      load32(CRC + ((b >>> 24) << 2))
    at += 8
    if (fresh !== 0 && ((at - from) & ((1 << MARK_BITS) - 1)) === 0) {
      store32(fresh + TEXTS_MARKS + ((at - from) >> MARK_BITS) * 4, crc)
    }
  }
  while (at < to) {
    crc = load32(CRC + (((crc ^ load8(at)) & 255) << 2)) ^ (crc >>> 8)
    at++
  }
  return ~crc
}
