import { kernel } from '../../kernel/kernel'

/**
 * Memory that lines are written to, one after another, as they will stand in the file. It grows for a line that is longer
 * than what is left of it.
 */
export class LineBytes {
  length = 0
  private memory: Buffer

  /** @param room  bytes to begin with */
  constructor(room: number) {
    this.memory = Buffer.allocUnsafeSlow(room)
  }

  /** What was written; the same memory, until more is. */
  get bytes(): Buffer {
    return this.memory.subarray(0, this.length)
  }

  get room(): number {
    return this.memory.length
  }

  /** Takes back what was written behind a place. */
  cut(length: number): void {
    this.length = length
  }

  raw(bytes: Uint8Array): void {
    this.makeRoom(bytes.length)
    this.memory.set(bytes, this.length)
    this.length += bytes.length
  }

  /** Text whose characters are all below 128. */
  ascii(text: string): void {
    this.makeRoom(text.length)
    if (text.length <= SHORT) {
      const { memory } = this
      let at = this.length
      for (let i = 0; i < text.length; i += 1) memory[at++] = text.charCodeAt(i)
      this.length = at
    } else this.length += this.memory.write(text, this.length, 'latin1')
  }

  text(text: string): void {
    this.makeRoom(text.length * UTF8_BYTES_MAX)
    this.length += this.memory.write(text, this.length, 'utf8')
  }

  /**
   * UTF-8 text as the inside of a JSON string.
   *
   * @returns false, and nothing is written, when a control character is in it
   */
  quoted(text: Uint8Array): boolean {
    const start = this.length
    const { code } = kernel()
    const from = room()
    const to = from + PIECE_BYTES + SLACK
    for (let at = 0; at < text.length; at += PIECE_BYTES) {
      const { bytes } = kernel()
      const piece = text.length <= PIECE_BYTES ? text : text.subarray(at, at + PIECE_BYTES)
      bytes.set(piece, from)
      const end = code.quote(to, from, from + piece.length)
      if (end < 0) {
        this.length = start
        return false
      }
      this.raw(bytes.subarray(to, end))
    }
    return true
  }

  /** A whole number below 2^31, with zeros before it where it has fewer digits. */
  digits(value: number, count: number): void {
    this.makeRoom(count)
    const { memory } = this
    let left = value | 0
    for (let at = this.length + count - 1; at >= this.length; at -= 1) {
      const rest = (left / 10) | 0
      memory[at] = ZERO + left - rest * 10
      left = rest
    }
    this.length += count
  }

  private makeRoom(bytes: number): void {
    const needed = this.length + bytes
    if (needed <= this.memory.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.memory.length * 2))
    this.memory.copy(grown, 0, 0, this.length)
    this.memory = grown
  }
}

/** Text that the kernel quotes at once; a character may be cut between two pieces. */
const PIECE_BYTES = 32 * 1_024
const SLACK = 16
let kernelRoom: number | undefined

/** In the kernel's memory: for a piece, and behind it for what it becomes. */
function room(): number {
  return (kernelRoom ??= kernel().allocate(3 * PIECE_BYTES + 2 * SLACK))
}

/** Characters up to which a loop is faster than a call. */
const SHORT = 24
/** Of one UTF-16 unit. */
const UTF8_BYTES_MAX = 3
const ZERO = 48
