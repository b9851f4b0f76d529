/**
 * JSON from outside, read with suspicion.
 *
 * A frame may be large, nested without end, or carry numbers whose digits count (Kraken's checksums are made of the
 * digits as sent, trailing zeros included, which a double forgets). So: a size limit, a depth limit, and on request
 * every number as the text it was sent as. Keys such as `__proto__` stay plain own properties: nothing here or behind
 * it assigns wire keys into other objects; whatever is keyed by wire text is a `Map`.
 */
import { Fault } from '../fault'

export interface WireJsonOptions {
  /** True where digits count: every JSON number arrives as its text. A function where that depends on the frame. */
  readonly numbersAsText: boolean | ((text: string) => boolean)
}

/** Frames above this many characters are refused; the largest documented snapshots are about 2 million. */
export const FRAME_CHARS_MAX = 64 * 1024 * 1024

/** Deeper nesting than this is refused; no documented frame exceeds 8. */
export const FRAME_DEPTH_MAX = 64

/** Texts below this length cannot nest deeply enough to matter and skip the check. */
const DEPTH_CHECKED_FROM_CHARS = 4_096

/**
 * Parses one frame.
 *
 * @throws `Fault` FRAME_TOO_LARGE { chars | depth } and FRAME_UNREADABLE { reason }
 */
export function parseWireJson(text: string, { numbersAsText }: WireJsonOptions): unknown {
  if (text.length > FRAME_CHARS_MAX) {
    throw new Fault(
      'FRAME_TOO_LARGE',
      `The frame has ${text.length} characters; at most ${FRAME_CHARS_MAX} are read.`,
      {
        chars: text.length,
      },
    )
  }
  if (text.length > DEPTH_CHECKED_FROM_CHARS) checkDepth(text)
  try {
    const areTexts = typeof numbersAsText === 'function' ? numbersAsText(text) : numbersAsText
    return JSON.parse(areTexts ? quoteNumbers(text) : text) as unknown
  } catch (cause) {
    throw new Fault('FRAME_UNREADABLE', `The frame is not JSON: ${(cause as Error).message}.`, {
      start: text.slice(0, 80),
      chars: text.length,
    })
  }
}

function checkDepth(text: string): void {
  let depth = 0
  let inString = false
  for (let index = 0; index < text.length; index++) {
    const char = text.charCodeAt(index)
    if (inString) {
      if (char === 0x5c) index++
      else if (char === 0x22) inString = false
    } else if (char === 0x22) inString = true
    else if (char === 0x5b || char === 0x7b) {
      if (++depth > FRAME_DEPTH_MAX) {
        throw new Fault('FRAME_TOO_LARGE', `The frame nests deeper than ${FRAME_DEPTH_MAX} levels.`, { depth })
      }
    } else if (char === 0x5d || char === 0x7d) depth--
  }
}

/**
 * Strings are matched whole so that digits inside them stay as they are. One that does not end is matched to the end of the
 * text: searching for another beginning inside it would take the square of its length. Numbers are JSON's own, and none
 * that stands for a key: what is not JSON must not become it by being quoted.
 */
const STRING_OR_NUMBER = /"[^"\\]*(?:\\.[^"\\]*)*"?|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?!\s*:)/gs

function quoteNumbers(text: string): string {
  return text.replace(STRING_OR_NUMBER, (token) => (token.charCodeAt(0) === 0x22 ? token : `"${token}"`))
}
