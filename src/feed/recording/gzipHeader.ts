/**
 * How many bytes the header at the beginning of a gzip member takes (RFC 1952, section 2.3): `none` when there is no such
 * header, `short` when more bytes are needed to tell.
 */
export function gzipHeaderLength(bytes: Buffer): number | 'none' | 'short' {
  if (bytes.length > 0 && bytes[0] !== 0x1f) return 'none'
  if (bytes.length > 1 && bytes[1] !== 0x8b) return 'none'
  if (bytes.length > 2 && bytes[2] !== DEFLATE) return 'none'
  const flags = bytes[3] ?? 0
  if ((flags & RESERVED) !== 0) return 'none'
  if (bytes.length < FIXED_BYTES) return 'short'
  let at = FIXED_BYTES
  if ((flags & EXTRA) !== 0) {
    if (bytes.length < at + 2) return 'short'
    at += 2 + bytes.readUInt16LE(at)
  }
  for (const text of [NAME, COMMENT]) {
    if ((flags & text) === 0) continue
    const end = bytes.indexOf(0, at)
    if (end < 0) return bytes.length > TEXTS_BYTES_MAX ? 'none' : 'short'
    at = end + 1
  }
  if ((flags & CHECK) !== 0) at += 2
  return bytes.length < at ? 'short' : at
}

const DEFLATE = 8
const FIXED_BYTES = 10
const CHECK = 2
const EXTRA = 4
const NAME = 8
const COMMENT = 16
const RESERVED = 0xe0
/** Names and comments that are longer are none: a broken flag must not make a reader search the whole file. */
const TEXTS_BYTES_MAX = 128 * 1_024
