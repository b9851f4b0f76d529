/**
 * Puts text into a JSON string: a backslash before every quote and backslash, and every other byte as it is. Eight bytes are
 * looked at and copied at once.
 */
import { copy8, load8, plainBytes, store8 } from './memory'

const BACKSLASH: i32 = 92
const SPACE: i32 = 32

/**
 * Up to eight bytes behind the end of either may be read, and behind what was written be changed.
 *
 * @param to    where there is room for twice the bytes, and eight
 * @returns     where the written text ends; -1 when a control character is in it, which needs another escape
 */
export function quote(to: i32, from: i32, end: i32): i32 {
  while (from < end) {
    copy8(to, from)
    const count = plainBytes(from)
    from += count
    to += count
    if (count === 8) continue
    if (from >= end) break
    const byte = load8(from++)
    if (byte < SPACE) return -1
    store8(to, BACKSLASH)
    store8(to + 1, byte)
    to += 2
  }
  // The last eight bytes reach behind the end.
  return to - (from > end ? from - end : 0)
}
