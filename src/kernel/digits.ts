/**
 * Checksums over a book's best levels, from the digits of the wire: a level's price and size are whole numbers of their last
 * decimal, so their digits are there without a text having been kept.
 */
import { best } from './books'
import { ASKS, BIDS, CRC, DECIMALS, POWERS, PRICES, QUADS, SCRATCH, SIZES } from './layout'
import {
  wholePart,
  load32,
  load8,
  loadF64,
  peek32,
  poke32,
  nearestWhole,
  store8,
  toF64,
  toI32,
  unsigned,
} from './memory'

/** The largest number whose digits are printed here: fifteen. */
const DIGITS_MAX: f64 = 999999999999999.0

/**
 * Kraken: the best asks, then the best bids; of each level price and size without point and leading zeros.
 *
 * @returns CRC32 as unsigned 32 bits; -1 when a number has more digits than are printed here
 */
export function krakenChecksum(book: i32, levels: i32): f64 {
  let at = SCRATCH
  for (let asks: i32 = 1; asks >= 0; asks--) {
    const column = asks !== 0 ? ASKS : BIDS
    const count = best(book, asks, 0, levels)
    for (let index: i32 = 0; index < count; index++) {
      const places = toI32(loadF64(column + DECIMALS + index * 8))
      if (places >> 7 > 22 || (places & 127) > 22) return -1.0
      const price = nearestWhole(loadF64(column + PRICES + index * 8) * loadF64(POWERS + (places >> 7) * 8))
      const size = nearestWhole(loadF64(column + SIZES + index * 8) * loadF64(POWERS + (places & 127) * 8))
      if (price > DIGITS_MAX || size > DIGITS_MAX) return -1.0
      at = writeDigits(at, price, 1)
      at = writeDigits(at, size, 1)
    }
  }
  return unsigned(crc32(SCRATCH, at))
}

/**
 * OKX: bids and asks in turn, of each price and size as sent, all joined by colons; a side that is shorter is left out.
 *
 * @returns CRC32 as unsigned 32 bits; -1 when a number has more digits than are printed here
 */
export function okxChecksum(book: i32, levels: i32): f64 {
  const bids = best(book, 0, 0, levels)
  const asks = best(book, 1, 0, levels)
  let at = SCRATCH
  const most = bids > asks ? bids : asks
  for (let index: i32 = 0; index < most; index++) {
    for (let side: i32 = 0; side < 2; side++) {
      if (index >= (side === 0 ? bids : asks)) continue
      const column = side === 0 ? BIDS : ASKS
      const places = toI32(loadF64(column + DECIMALS + index * 8))
      if (at !== SCRATCH) {
        store8(at, 58)
        at++
      }
      at = writeDecimal(at, loadF64(column + PRICES + index * 8), places >> 7)
      if (at === 0) return -1.0
      store8(at, 58)
      at = writeDecimal(at + 1, loadF64(column + SIZES + index * 8), places & 127)
      if (at === 0) return -1.0
    }
  }
  return unsigned(crc32(SCRATCH, at))
}

/** A number with so many decimals, as exchanges write it; 0 when it has too many digits. */
function writeDecimal(start: i32, value: f64, places: i32): i32 {
  if (places > 22) return 0
  const digits = nearestWhole(value * loadF64(POWERS + places * 8))
  if (digits > DIGITS_MAX) return 0
  const end = writeDigits(start, digits, places + 1)
  if (places === 0) return end
  // The last digits move by one, to make place for the point.
  for (let at = end; at > end - places; at--) store8(at, load8(at - 1))
  store8(end - places, 46)
  return end + 1
}

/** The digits of a whole number, with zeros in front until there are so many; returns where they end. */
function writeDigits(start: i32, value: f64, atLeast: i32): i32 {
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

/** CRC32 (IEEE) of the bytes between two addresses, eight at a time. */
function crc32(from: i32, to: i32): i32 {
  let crc: i32 = -1
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
  return ~crc
}
