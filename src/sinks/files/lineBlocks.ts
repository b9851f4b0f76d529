/**
 * Records to bytes, in memory that is used again.
 *
 * The text of a whole batch, and its bytes, are so large that for each batch the system would be asked for both and given them
 * back, which costs six times what writing them does. So records are put together in parts, short enough for strings that come
 * and go, in a block that the next batch finds again.
 */

/** What is given to a file at once. */
const BLOCK_BYTES = 262_144
/** Of a part, unless one record alone is longer. */
const PART_CHARS = 16_384
/** Of a character. */
const BYTES_MAX = 3
/** As many as files are written at once. */
const BLOCKS_KEPT = 8

const kept: Buffer[] = []

/**
 * The bytes of records from one to another (excluded), each with a line end behind it, after those of a header.
 *
 * Each block that is given out is good until the next one is asked for.
 */
export function* lineBlocks(
  records: readonly string[],
  from: number,
  to: number,
  { lineEnd, header }: { readonly lineEnd: string; readonly header: string },
): Iterable<Buffer> {
  const block = kept.pop() ?? Buffer.allocUnsafeSlow(BLOCK_BYTES)
  try {
    let filled = 0
    let text = header
    for (let at = from; at < to || text !== '';) {
      if (text === '') {
        const next = partEnd(records, at, to, PART_CHARS, lineEnd)
        const part = records.slice(at, next)
        part.push('') // so that the last one has its line end too, without making the text anew
        text = part.join(lineEnd)
        at = next
      }
      if (filled > 0 && text.length * BYTES_MAX > block.length - filled) {
        yield block.subarray(0, filled)
        filled = 0
      }
      if (text.length * BYTES_MAX > block.length) yield Buffer.from(text)
      else filled += block.write(text, filled)
      text = ''
    }
    if (filled > 0) yield block.subarray(0, filled)
  } finally {
    if (kept.length < BLOCKS_KEPT) kept.push(block)
  }
}

/** The index up to which records, each with its line end, have no more characters than that, unless the first alone has. */
export function partEnd(
  records: readonly string[],
  from: number,
  to: number,
  charsMax: number,
  lineEnd: string,
): number {
  let chars = 0
  for (let at = from; at < to; at++) {
    chars += records[at]!.length + lineEnd.length
    if (chars > charsMax && at > from) return at
  }
  return to
}
