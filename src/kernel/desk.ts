/**
 * Takes a delta that was scanned into its book: what a guard would do with one that simply goes on (`book/bookGuard.ts`), without
 * anybody outside looking at it.
 *
 * A book has a desk while it is live and there is nothing odd about it. The desk takes a delta whose numbers extend the book,
 * changes the levels, verifies what the exchange lets be verified, and writes a view into the log. Whatever is not so plain is
 * left as it was, for the guard.
 */
import { cut, logEnd, update } from './books'
import { krakenChecksum, okxChecksum } from './digits'
import {
  BETWEEN,
  BOOK_ASKS,
  BOOK_BIDS,
  BOOK_LOG_AT,
  BOOK_LOG_STOP,
  CHAIN_LINK,
  CHAIN_NONE,
  CHAIN_RANGE,
  DESK_BOOK,
  DESK_PREV_SEQ,
  DESK_RECEIVED,
  DESK_SEQ,
  DOUBTED,
  KRAKEN_LEVELS,
  LOG_HEADER_BYTES,
  LOG_RECORD_BYTES,
  OKX_LEVELS,
  READ,
  REGISTERS,
  SIDE_BEST_PRICE,
  SIDE_LADDER_COUNT,
  SIDE_REST_COUNT,
  TAKEN,
  VERIFY_KRAKEN,
  VERIFY_NONE,
  VERIFY_OKX,
} from './layout'
import { load32, loadF64, NOT_A_NUMBER, store32, storeF64 } from './memory'

/**
 * @param depth  levels a side that the book keeps; 0: all
 * @param rule   words of the program: how deltas chain, how the book is verified, and the registers (0: none) of `seq`,
 *               `prevSeq`, `firstSeq`, the exchange's time and the checksum
 * @param bids   levels in the columns
 * @param found  1 when their places stand there too
 * @returns READ when nothing was changed; TAKEN, DOUBTED, BETWEEN
 */
export function take(desk: i32, depth: i32, rule: i32, bids: i32, asks: i32, found: i32, receiveTimeUs: f64): i32 {
  const book = load32(desk + DESK_BOOK)
  if (book === 0) return READ
  const log = load32(book + BOOK_LOG_AT)
  if (log === 0) return READ
  const chain = load32(rule)
  const known = loadF64(desk + DESK_SEQ)
  const seq = registerAt(rule + 8)
  const firstSeq = registerAt(rule + 16)
  // A range that ends before it begins is not a range; NaN is neither.
  if (seq < firstSeq) return READ
  let prevSeq = registerAt(rule + 12)
  if (chain === CHAIN_RANGE) {
    if (firstSeq !== known + 1.0) return READ
  } else if (chain === CHAIN_LINK) {
    if (prevSeq !== known) return READ
  } else if (chain !== CHAIN_NONE) {
    prevSeq = seq - 1.0
    if (prevSeq !== known || seq <= 1.0) return READ
  }
  // With a depth, as many levels as come may have to go; of a book that is deeper already it would be more.
  if (depth !== 0 && (levelsIn(book + BOOK_BIDS) > depth || levelsIn(book + BOOK_ASKS) > depth)) return READ
  const room = LOG_HEADER_BYTES + (depth === 0 ? 0 : (bids + asks) * LOG_RECORD_BYTES)
  let end = update(book, bids, asks, log, load32(book + BOOK_LOG_STOP) - room, found)
  if (end === -1) return READ
  // Deltas without a number leave the book's as it is.
  if (seq === seq) storeF64(desk + DESK_SEQ, seq)
  storeF64(desk + DESK_PREV_SEQ, prevSeq)
  if (end === -2) {
    store32(book + BOOK_LOG_AT, logEnd())
    return BETWEEN
  }
  if (depth !== 0) {
    cut(book, 0, depth, end)
    cut(book, 1, depth, logEnd())
    end = logEnd()
  }
  store32(book + BOOK_LOG_AT, end)
  const verified = load32(rule + 4)
  if (verified !== VERIFY_NONE && !isVerified(book, verified, registerAt(rule + 24))) return DOUBTED
  // Frames may be given times that do not rise; a book's does.
  const received = loadF64(desk + DESK_RECEIVED)
  const timeUs = receiveTimeUs < received ? received : receiveTimeUs
  storeF64(desk + DESK_RECEIVED, timeUs)
  storeF64(end, NOT_A_NUMBER)
  storeF64(end + 8, timeUs)
  storeF64(end + 16, registerAt(rule + 20))
  storeF64(end + 24, NOT_A_NUMBER)
  storeF64(end + 32, seq)
  storeF64(end + 40, 0.0)
  store32(book + BOOK_LOG_AT, end + LOG_HEADER_BYTES)
  return TAKEN
}

// inline
function levelsIn(side: i32): i32 {
  return load32(side + SIDE_LADDER_COUNT) + load32(side + SIDE_REST_COUNT)
}

/** What a register holds; NaN where the frame has no such field. */
// inline
function registerAt(rule: i32): f64 {
  const register = load32(rule)
  return register === 0 ? NOT_A_NUMBER : loadF64(REGISTERS + register * 8)
}

/** False when the book is not the exchange's, or that has to be found out in another way. */
function isVerified(book: i32, how: i32, sent: f64): boolean {
  if (how === VERIFY_KRAKEN) return sent !== sent || krakenChecksum(book, KRAKEN_LEVELS) === sent
  if (how === VERIFY_OKX) {
    if (sent !== sent || sent === 0.0) return true
    const ours = okxChecksum(book, OKX_LEVELS)
    if (ours < 0.0) return false
    // The exchange sends 32 bits with a sign.
    return (ours > 2147483647.0 ? ours - 4294967296.0 : ours) === sent
  }
  return !(loadF64(book + BOOK_BIDS + SIDE_BEST_PRICE) >= loadF64(book + BOOK_ASKS + SIDE_BEST_PRICE))
}
