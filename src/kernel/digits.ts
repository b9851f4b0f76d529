/**
 * Checksums over a book's best levels, from the digits of the wire: a level's price and size are whole numbers of their last
 * decimal, so their digits are there without a text having been kept.
 *
 * From one checksum to the next few levels change. The CRC of a text that is joined from others is known from theirs: what is
 * behind another text adds to it what it is by itself, after as many zero bytes have gone over what was before. So of each level the
 * CRC of its text is kept, and no text is written but of a level that has changed.
 */
import { nextBelow, priceOf } from './books'
import {
  BOOK_ASKS,
  BOOK_BIDS,
  BOOK_CRCS,
  CRC,
  CRCS_COUNT,
  CRCS_HEAD_BYTES,
  CRCS_JOINED,
  CRCS_SET_BYTES,
  CRCS_SIDE_BYTES,
  CRCS_TURN,
  CRC_DECIMALS,
  CRC_ENTRY_BYTES,
  CRC_LENGTH,
  CRC_SIZE,
  CRC_TICK,
  CRC_VALUE,
  DECIMALS_MASK,
  PLACE_BYTES,
  PLACE_DECIMALS,
  POWERS,
  POWERS_MAX,
  QUADS,
  SCRATCH,
  SIDE_BASE,
  SIDE_BEST,
  SIDE_IS_CHANGED,
  SIDE_LADDER,
  SIDE_LADDER_BITS,
  SIDE_REST_COUNT,
  SIDE_REST_DECIMALS,
  SIDE_REST_SIZES,
  SIDE_REST_TICKS,
  ZEROS,
  ZEROS_BYTES,
} from './layout'
import {
  copy32,
  load32,
  load8,
  loadF64,
  nearestWhole,
  peek32,
  poke32,
  store32,
  store8,
  storeF64,
  toF64,
  toI32,
  unsigned,
  wholePart,
} from './memory'

const COLON: i32 = 58

/** The largest number whose digits are printed here: fifteen. */
const DIGITS_MAX: f64 = 999999999999999.0
/** Decimals of a text as it was sent: with more a small number needs more characters than its digits, and than have a place. */
const PLACES_MAX: i32 = 14

/** A CRC begins with all bits set; this is what a colon makes that of. */
const ALL_BITS: i32 = -1
const BEFORE_COLON: i32 = -258633757

/**
 * Kraken: the best asks, then the best bids; of each level price and size without point and leading zeros.
 *
 * @param levels  at most OKX_LEVELS
 * @returns CRC32 as unsigned 32 bits; -1 when a number has more digits than are printed here, or the book has no table of CRCs
 */
export function krakenChecksum(book: i32, levels: i32): f64 {
  // Most changes are of one side.
  const areOtherAsks = load32(book + BOOK_ASKS + SIDE_IS_CHANGED) !== 0
  const asks = gather(book, true, levels, false)
  const bids = gather(book, false, levels, false)
  if (asks < 0 || bids < 0) return -1.0
  const joinedAsks = entriesOf(book, true) + CRCS_JOINED
  if (areOtherAsks) store32(joinedAsks, joinedAll(ALL_BITS, gathered(book, true), asks))
  return unsigned(~joinedAll(load32(joinedAsks), gathered(book, false), bids))
}

/**
 * OKX: bids and asks in turn, of each price and size as sent, all joined by colons; a side that is shorter is left out.
 *
 * @param levels  at most OKX_LEVELS
 * @returns CRC32 as unsigned 32 bits; -1 when a number has more digits than are printed here, or the book has no table of CRCs
 */
export function okxChecksum(book: i32, levels: i32): f64 {
  const bids = gather(book, false, levels, true)
  const asks = gather(book, true, levels, true)
  if (asks < 0 || bids < 0) return -1.0
  if (bids + asks === 0) return 0.0
  // Each text begins with a colon: the first one's is taken back.
  let crc = BEFORE_COLON
  let bid = gathered(book, false)
  let ask = gathered(book, true)
  const most = bids > asks ? bids : asks
  for (let index: i32 = 0; index < most; index++) {
    if (index < bids) crc = joined(crc, bid)
    if (index < asks) crc = joined(crc, ask)
    bid += CRC_ENTRY_BYTES
    ask += CRC_ENTRY_BYTES
  }
  return unsigned(~crc)
}

/** The CRC of a text with that of an entry behind it. */
// inline
function joined(crc: i32, entry: i32): i32 {
  const zeros = ZEROS + load32(entry + CRC_LENGTH) * ZEROS_BYTES
  return (
    load32(entry + CRC_VALUE) ^
    load32(zeros + ((crc & 255) << 2)) ^
    load32(zeros + 1024 + (((crc >>> 8) & 255) << 2)) ^
    load32(zeros + 2048 + (((crc >>> 16) & 255) << 2)) ^
    load32(zeros + 3072 + ((crc >>> 24) << 2))
  )
}

/** The same with those of so many entries. */
function joinedAll(before: i32, first: i32, count: i32): i32 {
  let crc = before
  const end = first + count * CRC_ENTRY_BYTES
  for (let entry = first; entry < end; entry += CRC_ENTRY_BYTES) crc = joined(crc, entry)
  return crc
}

/** A book's entries of a side. */
function entriesOf(book: i32, asks: boolean): i32 {
  return load32(book + BOOK_CRCS) + (asks ? CRCS_SIDE_BYTES : 0)
}

/** The set of them that was gathered last. */
function gathered(book: i32, asks: boolean): i32 {
  const own = entriesOf(book, asks)
  return own + CRCS_HEAD_BYTES + (load32(own + CRCS_TURN) !== 0 ? CRCS_SET_BYTES : 0)
}

/** Of the set that was gathered before: the next entry, and where it ends. */
let known: i32 = 0
let knownEnd: i32 = 0

/**
 * Gathers the entries of the best levels of a side: those of levels that are as they were are copied from the set before.
 *
 * @returns how many there are; -1 when the text of one cannot be printed, or the book has no table of CRCs
 */
function gather(book: i32, asks: boolean, levels: i32, asSent: boolean): i32 {
  if (load32(book + BOOK_CRCS) === 0) return -1
  const own = entriesOf(book, asks)
  const side = book + (asks ? BOOK_ASKS : BOOK_BIDS)
  if (load32(side + SIDE_IS_CHANGED) === 0) return load32(own + CRCS_COUNT)
  const turn = load32(own + CRCS_TURN)
  known = gathered(book, asks)
  knownEnd = known + load32(own + CRCS_COUNT) * CRC_ENTRY_BYTES
  const start = own + CRCS_HEAD_BYTES + (turn !== 0 ? 0 : CRCS_SET_BYTES)
  const end = fillSet(start, start + levels * CRC_ENTRY_BYTES, book, side, asSent)
  const count = end === 0 ? 0 : ((end - start) / CRC_ENTRY_BYTES) | 0
  store32(own + CRCS_TURN, turn ^ 1)
  store32(own + CRCS_COUNT, count)
  // What cannot be printed is tried again.
  if (end !== 0) store32(side + SIDE_IS_CHANGED, 0)
  return end === 0 ? -1 : count
}

/** Writes the entries of a side's best levels; returns where they end, 0 when the text of one cannot be printed. */
function fillSet(start: i32, stop: i32, book: i32, side: i32, asSent: boolean): i32 {
  const ladder = load32(side + SIDE_LADDER)
  const bits = load32(side + SIDE_LADDER_BITS)
  const base = loadF64(side + SIDE_BASE)
  let entry = start
  let place = load32(side + SIDE_BEST)
  while (place >= 0 && entry < stop) {
    const at = ladder + place * PLACE_BYTES
    const decimals = load32(at + PLACE_DECIMALS) & DECIMALS_MASK
    if (!put(entry, book, side, base + toF64(place), loadF64(at), decimals, asSent)) return 0
    entry += CRC_ENTRY_BYTES
    place = nextBelow(bits, place)
  }
  const ticks = load32(side + SIDE_REST_TICKS)
  const sizes = load32(side + SIDE_REST_SIZES)
  const words = load32(side + SIDE_REST_DECIMALS)
  for (let index = load32(side + SIDE_REST_COUNT) - 1; index >= 0 && entry < stop; index--) {
    const decimals = load32(words + index * 4) & DECIMALS_MASK
    if (!put(entry, book, side, loadF64(ticks + index * 8), loadF64(sizes + index * 8), decimals, asSent)) return 0
    entry += CRC_ENTRY_BYTES
  }
  return entry
}

/** Writes the entry of a level; false when its text cannot be printed. */
// inline
function put(entry: i32, book: i32, side: i32, tick: f64, size: f64, decimals: i32, asSent: boolean): boolean {
  // Levels that were better than this one are gone.
  while (known < knownEnd && loadF64(known + CRC_TICK) > tick) known += CRC_ENTRY_BYTES
  if (
    known < knownEnd &&
    loadF64(known + CRC_TICK) === tick &&
    loadF64(known + CRC_SIZE) === size &&
    load32(known + CRC_DECIMALS) === decimals
  ) {
    copy32(entry, known)
    known += CRC_ENTRY_BYTES
    return true
  }
  return putAnew(entry, book, side, tick, size, decimals, asSent)
}

function putAnew(entry: i32, book: i32, side: i32, tick: f64, size: f64, decimals: i32, asSent: boolean): boolean {
  const end = printLevel(SCRATCH, priceOf(book, side, tick), size, decimals, asSent)
  if (end === 0) return false
  storeF64(entry + CRC_TICK, tick)
  storeF64(entry + CRC_SIZE, size)
  store32(entry + CRC_DECIMALS, decimals)
  store32(entry + CRC_VALUE, crcOf(SCRATCH, end))
  store32(entry + CRC_LENGTH, end - SCRATCH)
  return true
}

/** Writes price and size of a level, as they were sent with a colon before each, or their digits alone; returns where they end, 0 when they have too many digits. */
function printLevel(start: i32, price: f64, size: f64, decimals: i32, asSent: boolean): i32 {
  const most = asSent ? PLACES_MAX : POWERS_MAX
  const pricePlaces = decimals >> 7
  const sizePlaces = decimals & 127
  if (pricePlaces > most || sizePlaces > most) return 0
  const priceDigits = nearestWhole(price * loadF64(POWERS + pricePlaces * 8))
  const sizeDigits = nearestWhole(size * loadF64(POWERS + sizePlaces * 8))
  if (priceDigits > DIGITS_MAX || sizeDigits > DIGITS_MAX) return 0
  if (!asSent) return writeDigits(writeDigits(start, priceDigits, 1), sizeDigits, 1)
  store8(start, COLON)
  const middle = writeDecimal(start + 1, priceDigits, pricePlaces)
  store8(middle, COLON)
  return writeDecimal(middle + 1, sizeDigits, sizePlaces)
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

/** What bytes add to a CRC (IEEE): that of them alone, begun with no bit set. Eight at a time. */
function crcOf(from: i32, to: i32): i32 {
  let crc: i32 = 0
  let at = from
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
  }
  while (at < to) {
    crc = load32(CRC + (((crc ^ load8(at)) & 255) << 2)) ^ (crc >>> 8)
    at++
  }
  return crc
}
