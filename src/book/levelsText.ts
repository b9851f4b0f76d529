/**
 * Levels to JSON text, in the kernel: what `JSON.stringify` gives of the same numbers, to the character.
 *
 * A number that the kernel does not print (more than fifteen digits, or none that is above zero) has its piece of the list
 * printed by JavaScript.
 */
import { kernel, type Kernel } from '../kernel/kernel'
import { BIDS, PRICES, SIZES } from '../kernel/layout'

/** Two numbers of at most twenty characters, brackets and commas, and room to move digits in. */
export const LEVEL_CHARS = 48
/** Levels that are printed in one piece. */
const PIECE_LEVELS = 1_024
const ROOM_BYTES_MIN = 65_536

let room = 0
let roomBytes = 0

/** Where texts are written, one at a time: as large as the largest was, rounded up to a power of two. */
export function textRoom(memory: Kernel, bytes: number): number {
  if (bytes > roomBytes) {
    if (room !== 0) memory.release(room, roomBytes)
    roomBytes = Math.max(ROOM_BYTES_MIN, 2 ** Math.ceil(Math.log2(bytes)))
    room = memory.allocate(roomBytes)
  }
  return room
}

/** The text of the first levels of two columns, `[[price,size],…]`. */
export function columnsText(prices: Float64Array, sizes: Float64Array, total: number): string {
  const memory = kernel()
  let text = '['
  for (let done = 0; done < total; done += PIECE_LEVELS) {
    const end = Math.min(total, done + PIECE_LEVELS)
    if (done > 0) text += ','
    text += pieceText(memory, prices.subarray(done, end), sizes.subarray(done, end))
  }
  return text + ']'
}

function pieceText(memory: Kernel, prices: Float64Array, sizes: Float64Array): string {
  const at = textRoom(memory, prices.length * LEVEL_CHARS)
  memory.doubles.set(prices, (BIDS + PRICES) >> 3)
  memory.doubles.set(sizes, (BIDS + SIZES) >> 3)
  const end = memory.code.levelsText(at, 0, prices.length)
  if (end > 0) return memory.bytes.toString('latin1', at, end)
  return JSON.stringify(Array.from(prices, (price, index) => [price, sizes[index]])).slice(1, -1)
}
