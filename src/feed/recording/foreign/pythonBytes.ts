/**
 * Bytes as Python prints them (`b'\x1f\x8b\x08…'`): how a recorder written in it puts binary frames into text lines.
 *
 * Truth  https://docs.python.org/3/reference/lexical_analysis.html#string-and-bytes-literals (read 2026-11-28)
 */

/** True for what looks like one. */
export function isBytesLiteral(text: string): boolean {
  return text.length >= 3 && text.startsWith('b') && (text[1] === "'" || text[1] === '"') && text.endsWith(text[1])
}

/** The bytes of a literal; undefined when it is none. */
export function bytesOfLiteral(text: string): Buffer | undefined {
  if (!isBytesLiteral(text)) return undefined
  const quote = text.charCodeAt(1)
  const end = text.length - 1
  const bytes = Buffer.allocUnsafeSlow(end)
  let length = 0
  for (let at = 2; at < end; at += 1) {
    const code = text.charCodeAt(at)
    if (code > 126 || code < 32 || code === quote) return undefined
    if (code !== BACKSLASH) {
      bytes[length++] = code
      continue
    }
    at += 1
    if (at >= end) return undefined
    const escaped = text[at]!
    if (escaped === 'x') {
      const hex = text.slice(at + 1, at + 3)
      if (at + 2 >= end || !/^[\da-fA-F]{2}$/.test(hex)) return undefined
      bytes[length++] = parseInt(hex, 16)
      at += 2
      continue
    }
    const octal = /^[0-7]{1,3}/.exec(text.slice(at, Math.min(at + 3, end)))?.[0]
    if (octal !== undefined) {
      bytes[length++] = parseInt(octal, 8) & 255
      at += octal.length - 1
      continue
    }
    const byte = ESCAPES.get(escaped)
    if (byte !== undefined) bytes[length++] = byte
    else {
      // Python leaves an escape that it does not know as it is.
      bytes[length++] = BACKSLASH
      bytes[length++] = text.charCodeAt(at)
    }
  }
  return bytes.subarray(0, length)
}

/** Bytes as Python's `repr` writes them. */
export function literalOfBytes(bytes: Uint8Array): string {
  const quote = bytes.includes(SINGLE) && !bytes.includes(DOUBLE) ? DOUBLE : SINGLE
  let text = ''
  for (const byte of bytes) text += byte === quote ? `\\${String.fromCharCode(byte)}` : PRINTED[byte]!
  const mark = String.fromCharCode(quote)
  return `b${mark}${text}${mark}`
}

const BACKSLASH = 92
const SINGLE = 39
const DOUBLE = 34

const ESCAPES: ReadonlyMap<string, number> = new Map([
  ['n', 10],
  ['r', 13],
  ['t', 9],
  ['\\', BACKSLASH],
  ["'", SINGLE],
  ['"', DOUBLE],
  ['a', 7],
  ['b', 8],
  ['f', 12],
  ['v', 11],
])

const PRINTED: readonly string[] = Array.from({ length: 256 }, (_, byte) => {
  if (byte === 10) return '\\n'
  if (byte === 13) return '\\r'
  if (byte === 9) return '\\t'
  if (byte === BACKSLASH) return '\\\\'
  return byte >= 32 && byte < 127 ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`
})
