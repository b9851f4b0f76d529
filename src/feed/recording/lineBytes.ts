import { isUtf8 } from 'node:buffer'
import { kernel } from '../../kernel/kernel'
import { LINE_BYTES } from '../../kernel/layout'
import type { RecordTime } from '../record'

/**
 * Memory that lines are written to, one after another, as they will stand in the file. It grows for a line that is longer
 * than what is left of it.
 *
 * Lines of frames are made in the memory of the kernel, which takes one call, and stay there until a page of them is
 * full: copied one by one they would cost as much again as making them.
 */
export class LineBytes {
  private memory: Buffer
  /** In `memory`; what is behind it is on the page. */
  private settled = 0
  private end = 0

  /** @param room  bytes to begin with */
  constructor(room: number) {
    this.memory = Buffer.allocUnsafeSlow(room)
  }

  get length(): number {
    return this.end
  }

  /** What was written; the same memory, until more is. */
  get bytes(): Buffer {
    this.settle()
    if (page.writer === this) page.writer = undefined
    return this.memory.subarray(0, this.end)
  }

  get room(): number {
    return this.memory.length
  }

  /** Takes back what was written behind a place. */
  cut(length: number): void {
    this.end = length
    this.settled = Math.min(this.settled, length)
  }

  raw(bytes: Uint8Array): void {
    this.makeRoom(bytes.length)
    this.memory.set(bytes, this.end)
    this.wrote(bytes.length)
  }

  /** Text whose characters are all below 128. */
  ascii(text: string): void {
    this.makeRoom(text.length)
    if (text.length > SHORT) this.memory.write(text, this.end, 'latin1')
    else {
      const { memory } = this
      let at = this.end
      for (let i = 0; i < text.length; i += 1) memory[at++] = text.charCodeAt(i)
    }
    this.wrote(text.length)
  }

  text(text: string): void {
    this.makeRoom(text.length * UTF8_BYTES_MAX)
    this.wrote(this.memory.write(text, this.end, 'utf8'))
  }

  /**
   * The line of a frame that was received as text.
   *
   * @param time  sixteen digits of microseconds, as our days have them
   * @returns     false, and nothing is written, where that takes more than one call of the kernel: text with control
   *              characters, or long, or no UTF-8; and characters beyond ASCII in a string
   */
  frame(time: RecordTime, connection: number, text: string | Uint8Array): boolean {
    const { timeUs } = time
    const bytesMax = 2 * text.length + LINE_BYTES
    if (bytesMax > PAGE_BYTES || !(timeUs >= 1e15 && timeUs <= Number.MAX_SAFE_INTEGER)) return false
    if (!(connection >= 0 && connection <= CONNECTION_MAX)) return false
    if (page.writer !== this) this.open()
    if (this.end - this.settled + bytesMax > PAGE_BYTES) this.settle()
    const { bytes, code } = kernel()
    const at = pageAt()
    const from = at + PAGE_BYTES
    const to = at + this.end - this.settled
    // A string that has so many bytes, and all below 128, is ASCII; of others it is not sure that they are UTF-8.
    if (typeof text !== 'string') bytes.set(text, from)
    else if (bytes.write(text, from, text.length, 'utf8') < text.length) return false
    const end = code.frameLine(to, from, from + text.length, timeUs, time.ns, connection)
    if (end === 0 || (end < 0 && (typeof text === 'string' || !isUtf8(text)))) return false
    this.end += Math.abs(end) - to
    return true
  }

  /**
   * UTF-8 text as the inside of a JSON string.
   *
   * @returns false, and nothing is written, when a control character is in it
   */
  quoted(text: Uint8Array): boolean {
    this.open()
    this.settle()
    const start = this.end
    const { code } = kernel()
    const to = pageAt()
    const from = to + PAGE_BYTES
    for (let at = 0; at < text.length; at += PIECE_BYTES) {
      const { bytes } = kernel()
      const piece = text.length <= PIECE_BYTES ? text : text.subarray(at, at + PIECE_BYTES)
      bytes.set(piece, from)
      const end = Math.abs(code.quote(to, from, from + piece.length))
      if (end === 0) {
        this.cut(start)
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
    for (let at = this.end + count - 1; at >= this.end; at -= 1) {
      const rest = (left / 10) | 0
      memory[at] = ZERO + left - rest * 10
      left = rest
    }
    this.wrote(count)
  }

  /** Takes the page from whoever has it. */
  private open(): void {
    if (page.writer !== this) page.writer?.settle()
    page.writer = this
  }

  /** Takes what is on the page into memory of its own. */
  private settle(): void {
    if (this.settled === this.end) return
    const from = pageAt()
    const { settled, end } = this
    this.reserve(end - settled)
    this.memory.set(kernel().bytes.subarray(from, from + end - settled), settled)
    this.settled = end
  }

  private wrote(bytes: number): void {
    this.end += bytes
    this.settled = this.end
  }

  private makeRoom(bytes: number): void {
    this.settle()
    this.reserve(bytes)
  }

  /** Room for bytes behind what is settled. */
  private reserve(bytes: number): void {
    const needed = this.settled + bytes
    if (needed <= this.memory.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.memory.length * 2))
    this.memory.copy(grown, 0, 0, this.settled)
    this.memory = grown
  }
}

/** Lines that wait to be copied, or what a piece of text becomes. */
const PAGE_BYTES = 64 * 1_024
/** Text that the kernel quotes at once; a character may be cut between two pieces. */
const PIECE_BYTES = PAGE_BYTES / 2 - 64
/** Read and changed behind the text. */
const SLACK = 32
/** Where it is in the kernel's memory, with room for a text behind it, and whose lines are on it. */
const page: { at?: number; writer?: LineBytes | undefined } = {}

function pageAt(): number {
  return (page.at ??= kernel().allocate(PAGE_BYTES + PAGE_BYTES / 2 + SLACK))
}

/** Connections with more digits than the kernel writes are numbered by nobody. */
const CONNECTION_MAX = 99_999_999
/** Characters up to which a loop is faster than a call. */
const SHORT = 24
/** Of one UTF-16 unit. */
const UTF8_BYTES_MAX = 3
const ZERO = 48
