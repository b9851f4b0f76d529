/**
 * Levels to JSON text, in the kernel: what `JSON.stringify` gives of the same numbers, to the character.
 *
 * A number that the kernel does not print (more than fifteen digits, or below 0.000001) has its piece of the list printed by
 * JavaScript.
 */
import { kernel, type Kernel } from '../kernel/kernel'
import { ASKS, BIDS, PRICES, SIZES, SLOT_BYTES, TEXT_SLOTS } from '../kernel/layout'

/** Levels that are printed in one piece. */
export const TEXT_LEVELS = 1_024
/** Two numbers of at most seventeen characters, brackets and commas, and room to move digits in. */
const LEVEL_CHARS = 48
const PIECE_BYTES = TEXT_LEVELS * LEVEL_CHARS

/**
 * The text of a list of `total` levels.
 *
 * @param put  puts the levels from a place on into the kernel's columns, at most {@link TEXT_LEVELS}; returns how many
 */
export function listText(asks: boolean, total: number, put: (from: number) => number): string {
  const memory = kernel()
  if (total <= TEXT_LEVELS) return total === 0 ? '[]' : `[${pieceText(memory, asks, put(0))}]`
  let text = '['
  for (let done = 0; done < total;) {
    const count = put(done)
    if (done > 0) text += ','
    text += pieceText(memory, asks, count)
    done += count
  }
  return text + ']'
}

/** The same of levels that lie in columns of their own. */
export function columnsText(prices: Float64Array, sizes: Float64Array, total: number): string {
  return listText(false, total, (from) => putColumns(false, prices, sizes, from, Math.min(total, from + TEXT_LEVELS)))
}

/** Puts levels into the kernel's columns; returns how many. */
export function putColumns(asks: boolean, prices: Float64Array, sizes: Float64Array, from: number, to: number): number {
  const { doubles } = kernel()
  const column = asks ? ASKS : BIDS
  doubles.set(prices.subarray(from, to), (column + PRICES) >> 3)
  doubles.set(sizes.subarray(from, to), (column + SIZES) >> 3)
  return to - from
}

/** What stands between the levels of both sides. */
const BETWEEN_SIDES = Buffer.from('],"asks":[')

/**
 * The text of both sides, `"bids":[…],"asks":[…]`, when neither has more than {@link TEXT_LEVELS}.
 *
 * @param put  puts the levels of a side into the kernel's columns; returns how many
 */
export function sidesText(put: (asks: boolean) => number): string {
  const memory = kernel()
  takeRoom(memory)
  const bids = put(false)
  let end = bids === 0 ? room : memory.code.levelsText(room, 0, bids, known)
  if (end > 0) {
    memory.bytes.set(BETWEEN_SIDES, end)
    end += BETWEEN_SIDES.length
    const asks = put(true)
    end = asks === 0 ? end : memory.code.levelsText(end, 1, asks, known)
  }
  if (end > 0) return `"bids":[${memory.bytes.toString('latin1', room, end)}]`
  return `"bids":${listText(false, put(false), () => put(false))},"asks":${listText(true, put(true), () => put(true))}`
}

/** Two of these words are no number: a level that none is equal to. */
const EMPTY = -1

/** Where texts are written, and where those of levels are kept: half a megabyte, from the first text on. */
let room = 0
let known = 0

function takeRoom(memory: Kernel): void {
  if (room !== 0) return
  room = memory.allocate(2 * PIECE_BYTES)
  known = memory.allocate(TEXT_SLOTS * SLOT_BYTES)
  memory.words.fill(EMPTY, known >> 2, (known + TEXT_SLOTS * SLOT_BYTES) >> 2)
}

function pieceText(memory: Kernel, asks: boolean, count: number): string {
  takeRoom(memory)
  const end = memory.code.levelsText(room, asks ? 1 : 0, count, known)
  if (end > 0) return memory.bytes.toString('latin1', room, end)
  const column = (asks ? ASKS : BIDS) >> 3
  const { doubles } = memory
  const levels = Array.from({ length: count }, (_, index) => [
    doubles[column + (PRICES >> 3) + index],
    doubles[column + (SIZES >> 3) + index],
  ])
  return JSON.stringify(levels).slice(1, -1)
}
