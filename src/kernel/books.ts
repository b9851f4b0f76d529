/**
 * The level-2 books of the kernel: what an update of a level costs is what the engine costs.
 *
 * A side is a ladder and a rest. The ladder gives each of the ticks near the touch a place of its own: finding a level is an
 * index, and a bitmap finds the next best. What lies below it (worse) is a sorted list, the best last. Nothing ever lies
 * above the ladder: it moves when the touch leaves it. Levels are counted in ticks towards the touch, asks as negative
 * numbers, so that both sides run the same lines. A price is a whole number of ticks divided by a power of ten, which gives
 * back the very double that was read.
 *
 * Each change of a level can be written into a log, as the price and what was there before: read backwards it gives the book
 * as it was (`bookLog.ts`).
 */
import {
  ASKS,
  ASKS_DONE,
  BIDS,
  BIDS_DONE,
  BOOK_ASKS,
  BOOK_BIDS,
  BOOK_PER_PRICE,
  BOOK_POWER,
  BOOK_UNIT,
  DECIMALS,
  DECIMALS_MASK,
  DEPTHS,
  LADDER_BYTES,
  LOG_AFTER,
  LOG_BEFORE,
  LOG_RECORD_BYTES,
  PLACE_BYTES,
  PLACE_DECIMALS,
  PLACE_SLOT,
  PRICES,
  REST_SLOT_SHIFT,
  REST_WORD_MASK,
  SIDE_BASE,
  SIDE_BEST,
  SIDE_BEST_PRICE,
  SIDE_BEST_SIZE,
  SIDE_IS_CHANGED,
  SIDE_LADDER,
  SIDE_LADDER_BITS,
  SIDE_LADDER_COUNT,
  SIDE_REST_CAPACITY,
  SIDE_REST_COUNT,
  SIDE_REST_DECIMALS,
  SIDE_REST_SIZES,
  SIDE_REST_TICKS,
  SIDE_SIGN,
  PLACES,
  SIZES,
  TICKS_MAX,
  WINDOW,
  WINDOW_BELOW,
} from './layout'
import {
  fill,
  isZero,
  leadingZeros,
  load32,
  loadF64,
  magnitude,
  move,
  NOT_A_NUMBER,
  nearestWhole,
  smallWhole,
  store32,
  storeF64,
  toF64,
  toI32,
} from './memory'

/** A tick that is this share of itself off a whole number is rounding; more is a price between ticks. */
const TICK_TOLERANCE: f64 = 4.440892098500626e-16

/** Places of levels that are not in the ladder: better than all of it, or worse. */
const ABOVE: i32 = WINDOW
const BELOW: i32 = WINDOW + 1
/** Of a price that is no whole number of ticks. */
export const BETWEEN_TICKS: i32 = -1

/** Where the last call left off writing the log. */
let logAt: i32 = 0

/** What was seen of places that were looked at early: it must be used for something. */
let seen: i32 = 0

/** The place of a price: see `placeAt`. */
// inline
export function placeOf(book: i32, side: i32, price: f64): i32 {
  return placeAt(side, price * loadF64(book + BOOK_PER_PRICE))
}

/**
 * Finds the place of a level, and has it on its way from memory before anything depends on what is there: most levels are where
 * nobody has been for a while.
 *
 * @param exact  the price in ticks
 * @returns the place in the ladder, ABOVE, BELOW, or BETWEEN_TICKS
 */
// inline
export function placeAt(side: i32, exact: f64): i32 {
  const whole = nearestWhole(exact)
  if (magnitude(exact - whole) > whole * TICK_TOLERANCE) return BETWEEN_TICKS
  const offset = toF64(load32(side + SIDE_SIGN)) * whole - loadF64(side + SIDE_BASE)
  if (offset < 0.0) return whole > TICKS_MAX ? BETWEEN_TICKS : BELOW
  if (offset >= toF64(WINDOW)) return whole > TICKS_MAX ? BETWEEN_TICKS : ABOVE
  const place = smallWhole(offset)
  seen = seen ^ load32(load32(side + SIDE_LADDER) + place * PLACE_BYTES)
  return place
}

/**
 * Finds the places of a side's levels.
 *
 * @returns the first whose price lies between ticks, or `to`; the places of those before it stand in their column
 */
function find(book: i32, asks: i32, from: i32, to: i32): i32 {
  const side = book + (asks !== 0 ? BOOK_ASKS : BOOK_BIDS)
  const column = asks !== 0 ? ASKS : BIDS
  let index = from
  for (; index < to; index++) {
    const place = placeOf(book, side, loadF64(column + PRICES + index * 8))
    if (place === BETWEEN_TICKS) break
    store32(column + PLACES + index * 8, place)
  }
  return index
}

/**
 * Changes levels of one side by its columns, in order, from the first; size 0 removes. Each side's rest has room for all of its
 * levels and as many more as there are changes.
 *
 * @param side   0 bids, 1 asks
 * @param log    where to write what was replaced; 0: nowhere. `logEnd` tells where that ended
 * @returns how many were changed; fewer than there are when the next price lies between ticks: the book needs finer ones
 */
export function change(book: i32, asks: i32, from: i32, to: i32, log: i32): i32 {
  const found = find(book, asks, from, to)
  logAt = put(book, asks, from, found, log)
  return found - from
}

/** Changes levels whose places have been found; gives where the log ends. */
function put(book: i32, asks: i32, from: i32, to: i32, log: i32): i32 {
  const side = book + (asks !== 0 ? BOOK_ASKS : BOOK_BIDS)
  const column = asks !== 0 ? ASKS : BIDS
  const ladder = load32(side + SIDE_LADDER)
  const bits = load32(side + SIDE_LADDER_BITS)
  const sign = toF64(load32(side + SIDE_SIGN))
  const perPrice = loadF64(book + BOOK_PER_PRICE)
  let best = load32(side + SIDE_BEST)
  let held = load32(side + SIDE_LADDER_COUNT)
  let end = log

  for (let index = from; index < to; index++) {
    const level = column + index * 8
    const isRemoval = isZero(level + SIZES)
    let place = load32(level + PLACES)
    if (place >= WINDOW) {
      if (place === ABOVE) {
        if (isRemoval) continue // nothing lies above the ladder
        store32(side + SIDE_BEST, best)
        store32(side + SIDE_LADDER_COUNT, held)
        moveLadder(side, sign * nearestWhole(loadF64(level + PRICES) * perPrice))
        best = load32(side + SIDE_BEST)
        held = load32(side + SIDE_LADDER_COUNT)
        find(book, asks, index, to)
        place = load32(level + PLACES)
      } else {
        const tick = sign * nearestWhole(loadF64(level + PRICES) * perPrice)
        const before = changeRest(side, tick, loadF64(level + SIZES), loadF64(level + DECIMALS))
        if (end !== 0 && (before !== 0.0 || !isRemoval)) {
          storeF64(end, sign * loadF64(level + PRICES))
          storeF64(end + LOG_BEFORE, before)
          storeF64(end + LOG_AFTER, loadF64(level + SIZES))
          end += LOG_RECORD_BYTES
        }
        continue
      }
    }
    const at = ladder + place * PLACE_BYTES
    const isNew = isZero(at)
    if (isNew && isRemoval) continue
    if (end !== 0) {
      storeF64(end, sign * loadF64(level + PRICES))
      storeF64(end + LOG_BEFORE, loadF64(at))
      storeF64(end + LOG_AFTER, loadF64(level + SIZES))
      end += LOG_RECORD_BYTES
    }
    storeF64(at, loadF64(level + SIZES))
    if (isRemoval) {
      const word = bits + ((place >> 5) << 2)
      store32(word, load32(word) & ~(1 << (place & 31)))
      held--
      if (place === best) best = bestBelow(bits, place)
      continue
    }
    store32(at + PLACE_DECIMALS, smallWhole(loadF64(level + DECIMALS)) & DECIMALS_MASK)
    if (isNew) {
      const word = bits + ((place >> 5) << 2)
      store32(word, load32(word) | (1 << (place & 31)))
      held++
      if (place > best) best = place
    }
  }

  store32(side + SIDE_BEST, best)
  store32(side + SIDE_LADDER_COUNT, held)
  store32(side + SIDE_IS_CHANGED, 1)
  // A ladder whose upper half has emptied follows the touch down, while there is something below to be had.
  if (load32(side + SIDE_REST_COUNT) > 0 && best < (WINDOW - WINDOW_BELOW) >> 1) {
    moveLadder(side, best >= 0 ? loadF64(side + SIDE_BASE) + toF64(best) : bestOfRest(side))
  }
  publish(book, side)
  return end
}

/**
 * Changes both sides by their columns: what almost every delta needs, in one call.
 *
 * @param log   where to write what was replaced, until `stop`; 0: nowhere
 * @param found 1 when the places of all levels stand in their columns
 * @returns where the log ends then, 0 without one; -1 when a list or the log has no room, and nothing was changed; -2 when a
 *          price lies between ticks: BIDS_DONE and ASKS_DONE say how far it got
 */
export function update(book: i32, bids: i32, asks: i32, log: i32, stop: i32, found: i32): i32 {
  if (!hasRoom(book + BOOK_BIDS, bids) || !hasRoom(book + BOOK_ASKS, asks)) return -1
  if (log !== 0 && log + (bids + asks) * LOG_RECORD_BYTES > stop) return -1
  const bidsFound = found !== 0 ? bids : find(book, 0, 0, bids)
  const asksFound = found !== 0 ? asks : bidsFound < bids ? 0 : find(book, 1, 0, asks)
  store32(BIDS_DONE, bidsFound)
  store32(ASKS_DONE, asksFound)
  logAt = log
  if (bids > 0) logAt = put(book, 0, 0, bidsFound, log)
  if (asks > 0 && bidsFound === bids) logAt = put(book, 1, 0, asksFound, logAt)
  return bidsFound < bids || asksFound < asks ? -2 : logAt
}

/** A list must have room for its ladder, should that move, and for what comes. */
function hasRoom(side: i32, more: i32): boolean {
  return load32(side + SIDE_LADDER_COUNT) + load32(side + SIDE_REST_COUNT) + more <= load32(side + SIDE_REST_CAPACITY)
}

/** Where the log of the last change, update or cut ended. */
export function logEnd(): i32 {
  return logAt
}

/** The best place at or below one; -1 when the ladder is empty there. */
function bestBelow(bits: i32, place: i32): i32 {
  let at = place >> 5
  while (at >= 0) {
    const word = load32(bits + (at << 2))
    if (word !== 0) return (at << 5) + 31 - leadingZeros(word)
    at--
  }
  return -1
}

function bestOfRest(side: i32): f64 {
  return loadF64(load32(side + SIDE_REST_TICKS) + (load32(side + SIDE_REST_COUNT) - 1) * 8)
}

/** Writes the best price and size where readers look for them. */
function publish(book: i32, side: i32): void {
  const best = load32(side + SIDE_BEST)
  if (best < 0) {
    storeF64(side + SIDE_BEST_PRICE, NOT_A_NUMBER)
    storeF64(side + SIDE_BEST_SIZE, NOT_A_NUMBER)
    return
  }
  storeF64(side + SIDE_BEST_PRICE, priceOf(book, side, loadF64(side + SIDE_BASE) + toF64(best)))
  storeF64(side + SIDE_BEST_SIZE, loadF64(load32(side + SIDE_LADDER) + best * PLACE_BYTES))
}

/** The double nearest to so many ticks. */
export function priceOf(book: i32, side: i32, tick: f64): f64 {
  return (tick * toF64(load32(side + SIDE_SIGN)) * loadF64(book + BOOK_UNIT)) / loadF64(book + BOOK_POWER)
}

/** Of a level that is removed. */
function record(price: f64, size: f64): void {
  storeF64(logAt, price)
  storeF64(logAt + LOG_BEFORE, size)
  storeF64(logAt + LOG_AFTER, 0.0)
  logAt += LOG_RECORD_BYTES
}

/** Place of the first level of the rest that is not below a tick. */
function placeInRest(ticks: i32, count: i32, tick: f64): i32 {
  let low: i32 = 0
  let high = count
  while (low < high) {
    const middle = (low + high) >> 1
    if (loadF64(ticks + middle * 8) < tick) low = middle + 1
    else high = middle
  }
  return low
}

/** Changes a level below the ladder; gives the size that was there, 0 when there was none. */
function changeRest(side: i32, tick: f64, size: f64, places: f64): f64 {
  const ticks = load32(side + SIDE_REST_TICKS)
  const sizes = load32(side + SIDE_REST_SIZES)
  const decimals = load32(side + SIDE_REST_DECIMALS)
  const count = load32(side + SIDE_REST_COUNT)
  const place = placeInRest(ticks, count, tick)
  const was = place < count && loadF64(ticks + place * 8) === tick
  const before = was ? loadF64(sizes + place * 8) : 0.0
  if (size === 0.0) {
    if (!was) return 0.0
    const behind = count - place - 1
    move(ticks + place * 8, ticks + place * 8 + 8, behind * 8)
    move(sizes + place * 8, sizes + place * 8 + 8, behind * 8)
    move(decimals + place * 4, decimals + place * 4 + 4, behind * 4)
    store32(side + SIDE_REST_COUNT, count - 1)
    return before
  }
  if (!was) {
    const behind = count - place
    move(ticks + place * 8 + 8, ticks + place * 8, behind * 8)
    move(sizes + place * 8 + 8, sizes + place * 8, behind * 8)
    move(decimals + place * 4 + 4, decimals + place * 4, behind * 4)
    storeF64(ticks + place * 8, tick)
    store32(decimals + place * 4, 0)
    store32(side + SIDE_REST_COUNT, count + 1)
  }
  storeF64(sizes + place * 8, size)
  const word = decimals + place * 4
  store32(word, (load32(word) & ~REST_WORD_MASK) | (toI32(places) & DECIMALS_MASK))
  return before
}

/**
 * Puts the ladder where a tick is three quarters up: levels that are then below it go to the rest, those of the rest that are
 * then in it come back. The rest has room for all of the ladder.
 */
function moveLadder(side: i32, tick: f64): void {
  const ladder = load32(side + SIDE_LADDER)
  const bits = load32(side + SIDE_LADDER_BITS)
  const ticks = load32(side + SIDE_REST_TICKS)
  const restSizes = load32(side + SIDE_REST_SIZES)
  const restDecimals = load32(side + SIDE_REST_DECIMALS)
  const base = loadF64(side + SIDE_BASE)
  // The whole ladder into the rest, worst first: all of it lies above what is there.
  let count = load32(side + SIDE_REST_COUNT)
  for (let word: i32 = 0; word < WINDOW >> 5; word++) {
    const set = load32(bits + (word << 2))
    if (set === 0) continue
    for (let bit: i32 = 0; bit < 32; bit++) {
      if ((set & (1 << bit)) === 0) continue
      const place = (word << 5) + bit
      storeF64(ticks + count * 8, base + toF64(place))
      storeF64(restSizes + count * 8, loadF64(ladder + place * PLACE_BYTES))
      const slot = load32(ladder + place * PLACE_BYTES + PLACE_SLOT)
      store32(
        restDecimals + count * 4,
        load32(ladder + place * PLACE_BYTES + PLACE_DECIMALS) | (slot << REST_SLOT_SHIFT),
      )
      count++
    }
  }
  fill(ladder, 0, LADDER_BYTES)
  // Then the upper part of the rest back.
  const newBase = tick - toF64(WINDOW_BELOW)
  const from = placeInRest(ticks, count, newBase)
  let best: i32 = -1
  for (let index = from; index < count; index++) {
    best = toI32(loadF64(ticks + index * 8) - newBase)
    storeF64(ladder + best * PLACE_BYTES, loadF64(restSizes + index * 8))
    const kept = load32(restDecimals + index * 4)
    store32(ladder + best * PLACE_BYTES + PLACE_DECIMALS, kept & REST_WORD_MASK)
    store32(ladder + best * PLACE_BYTES + PLACE_SLOT, kept >>> REST_SLOT_SHIFT)
    const word = bits + ((best >> 5) << 2)
    store32(word, load32(word) | (1 << (best & 31)))
  }
  storeF64(side + SIDE_BASE, newBase)
  store32(side + SIDE_BEST, best)
  store32(side + SIDE_LADDER_COUNT, count - from)
  store32(side + SIDE_REST_COUNT, from)
}

/**
 * Drops the worst levels of a side until `depth` are left. `logEnd` tells where the log ended.
 *
 * @param asks  0 bids, 1 asks
 */
export function cut(book: i32, asks: i32, depth: i32, log: i32): void {
  logAt = log
  const side = book + (asks !== 0 ? BOOK_ASKS : BOOK_BIDS)
  const sign = toF64(load32(side + SIDE_SIGN))
  const rest = load32(side + SIDE_REST_COUNT)
  let surplus = rest + load32(side + SIDE_LADDER_COUNT) - depth
  if (surplus <= 0) return
  store32(side + SIDE_IS_CHANGED, 1)
  const ofRest = surplus < rest ? surplus : rest
  if (ofRest > 0) {
    const ticks = load32(side + SIDE_REST_TICKS)
    const sizes = load32(side + SIDE_REST_SIZES)
    const decimals = load32(side + SIDE_REST_DECIMALS)
    if (logAt !== 0) {
      for (let index: i32 = 0; index < ofRest; index++) {
        record(sign * priceOf(book, side, loadF64(ticks + index * 8)), loadF64(sizes + index * 8))
      }
    }
    const left = rest - ofRest
    move(ticks, ticks + ofRest * 8, left * 8)
    move(sizes, sizes + ofRest * 8, left * 8)
    move(decimals, decimals + ofRest * 4, left * 4)
    store32(side + SIDE_REST_COUNT, left)
    surplus -= ofRest
  }
  if (surplus > 0) {
    const bits = load32(side + SIDE_LADDER_BITS)
    const ladder = load32(side + SIDE_LADDER)
    const base = loadF64(side + SIDE_BASE)
    let place: i32 = 0
    let held = load32(side + SIDE_LADDER_COUNT)
    while (surplus > 0) {
      const word = bits + ((place >> 5) << 2)
      if ((load32(word) & (1 << (place & 31))) !== 0) {
        const at = ladder + place * PLACE_BYTES
        if (logAt !== 0) record(sign * priceOf(book, side, base + toF64(place)), loadF64(at))
        storeF64(at, 0.0)
        store32(word, load32(word) & ~(1 << (place & 31)))
        surplus--
        held--
      }
      place++
    }
    store32(side + SIDE_LADDER_COUNT, held)
    if (held === 0) store32(side + SIDE_BEST, -1)
    publish(book, side)
  }
}

/** Empties a side and puts its ladder around a tick. */
export function reset(book: i32, asks: i32, tick: f64): void {
  const side = book + (asks !== 0 ? BOOK_ASKS : BOOK_BIDS)
  // The bits lie behind the places.
  fill(load32(side + SIDE_LADDER), 0, LADDER_BYTES)
  store32(side + SIDE_SIGN, asks !== 0 ? -1 : 1)
  store32(side + SIDE_LADDER_COUNT, 0)
  store32(side + SIDE_REST_COUNT, 0)
  store32(side + SIDE_BEST, -1)
  store32(side + SIDE_IS_CHANGED, 1)
  storeF64(side + SIDE_BASE, tick - toF64(WINDOW_BELOW))
  publish(book, side)
}

/**
 * Writes the best levels of a side into its columns, best first: prices, sizes, decimals. The first `skip` are left out.
 *
 * @param atMost  at most LEVELS_MAX
 * @returns how many there were
 */
export function best(book: i32, asks: i32, skip: i32, atMost: i32): i32 {
  const side = book + (asks !== 0 ? BOOK_ASKS : BOOK_BIDS)
  const column = asks !== 0 ? ASKS : BIDS
  const ladder = load32(side + SIDE_LADDER)
  const bits = load32(side + SIDE_LADDER_BITS)
  const base = loadF64(side + SIDE_BASE)
  let count: i32 = 0
  let left = skip
  let place = load32(side + SIDE_BEST)
  while (place >= 0 && left > 0) {
    place = nextBelow(bits, place)
    left--
  }
  while (place >= 0 && count < atMost) {
    storeF64(column + PRICES + count * 8, priceOf(book, side, base + toF64(place)))
    storeF64(column + SIZES + count * 8, loadF64(ladder + place * PLACE_BYTES))
    storeF64(
      column + DECIMALS + count * 8,
      toF64(load32(ladder + place * PLACE_BYTES + PLACE_DECIMALS) & DECIMALS_MASK),
    )
    count++
    place = nextBelow(bits, place)
  }
  const ticks = load32(side + SIDE_REST_TICKS)
  const restSizes = load32(side + SIDE_REST_SIZES)
  const restDecimals = load32(side + SIDE_REST_DECIMALS)
  let index = load32(side + SIDE_REST_COUNT) - 1 - left
  while (index >= 0 && count < atMost) {
    storeF64(column + PRICES + count * 8, priceOf(book, side, loadF64(ticks + index * 8)))
    storeF64(column + SIZES + count * 8, loadF64(restSizes + index * 8))
    storeF64(column + DECIMALS + count * 8, toF64(load32(restDecimals + index * 4) & DECIMALS_MASK))
    count++
    index--
  }
  return count
}

/** Leaves the sums of the sizes of the best levels, of each side, in DEPTHS. */
export function depths(book: i32, levels: i32): void {
  storeF64(DEPTHS, sizeOf(book, 0, levels))
  storeF64(DEPTHS + 8, sizeOf(book, 1, levels))
}

/** Sum of the sizes of the best levels of a side. */
function sizeOf(book: i32, asks: i32, levels: i32): f64 {
  const side = book + (asks !== 0 ? BOOK_ASKS : BOOK_BIDS)
  const ladder = load32(side + SIDE_LADDER)
  const bits = load32(side + SIDE_LADDER_BITS)
  let sum: f64 = 0.0
  let left = levels
  let place = load32(side + SIDE_BEST)
  while (place >= 0 && left > 0) {
    sum += loadF64(ladder + place * PLACE_BYTES)
    place = nextBelow(bits, place)
    left--
  }
  const restSizes = load32(side + SIDE_REST_SIZES)
  for (let index = load32(side + SIDE_REST_COUNT) - 1; index >= 0 && left > 0; index--) {
    sum += loadF64(restSizes + index * 8)
    left--
  }
  return sum
}

/** The next best place under one; -1 when there is none. */
export function nextBelow(bits: i32, place: i32): i32 {
  const word = load32(bits + ((place >> 5) << 2)) & ((1 << (place & 31)) - 1)
  if (word !== 0) return (place & -32) + 31 - leadingZeros(word)
  return bestBelow(bits, (place & -32) - 1)
}
