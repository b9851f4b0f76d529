/**
 * The kernel: scanning frames, keeping books and computing checksums in one block of memory, in WebAssembly or, with the same
 * lines, in TypeScript.
 *
 * There is one kernel in a thread; its memory is shared by everything that uses it. What is allocated is given back by whoever
 * allocated it.
 */
import * as portable from './main'
import {
  CRC,
  CRCS_BYTES,
  FRAME,
  FRAME_BYTES_MAX,
  FRAME_SLACK,
  HEAP,
  LEVEL_CHARS_MAX,
  POWERS,
  POWERS_MAX,
  QUADS,
  WORD_ASKS,
  WORD_BIDS,
  WORD_CONNECTION,
  WORD_END,
  WORD_EXCHANGE_TIME,
  WORD_LINE,
  WORD_RAW,
  WORD_RECEIVED,
  WORD_RECEIVE_TIME,
  WORD_SEQ,
  ZEROS,
  ZEROS_BYTES,
} from './layout'
import { attach } from './memory'
import { KERNEL_BASE64 } from './wasm'

/** What both kernels export. Addresses and counts are whole numbers. */
export interface KernelCode {
  hashOf(from: number, length: number, salt: number): number
  frameLine(to: number, from: number, end: number, timeUs: number, ns: number, connection: number): number
  quote(to: number, from: number, end: number): number
  scan(chain: number, start: number, end: number, table: number, receiveTimeUs: number): number
  change(book: number, asks: number, from: number, to: number, log: number): number
  update(book: number, bids: number, asks: number, log: number, stop: number, found: number): number
  cut(book: number, asks: number, depth: number, log: number): void
  logEnd(): number
  reset(book: number, asks: number, tick: number): void
  best(book: number, asks: number, skip: number, atMost: number): number
  sizeOf(book: number, asks: number, levels: number): number
  krakenChecksum(book: number, levels: number): number
  okxChecksum(book: number, levels: number): number
  levelsText(at: number, asks: number, levels: number): number
  viewText(
    at: number,
    book: number,
    name: number,
    nameLength: number,
    bids: number,
    asks: number,
    header: number,
  ): number
  forgetTexts(book: number): void
}

/** What stands between the fields of a view, and of a line of a recording, by its place; at most 24 characters each. */
const WORD_TEXTS = {
  [WORD_EXCHANGE_TIME]: ',"exchangeTimeUs":',
  [WORD_RECEIVE_TIME]: ',"receiveTimeUs":',
  [WORD_BIDS]: ',"bids":[',
  [WORD_ASKS]: '],"asks":[',
  [WORD_SEQ]: '],"seq":',
  [WORD_END]: ']}',
  [WORD_LINE]: '{"t":"',
  [WORD_RECEIVED]: '","dir":"in"',
  [WORD_CONNECTION]: ',"c":',
  [WORD_RAW]: ',"raw":"',
}

const PAGE_BYTES = 65_536
/** Memory grows by at least so much: growing costs a copy in TypeScript, and new views in both. */
const GROWTH_BYTES = 4 * 1024 * 1024

export class Kernel {
  readonly code: KernelCode
  /** Views of the memory. They are replaced when it grows: do not keep them. */
  bytes: Buffer
  words: Int32Array
  doubles: Float64Array
  private readonly grow: (pages: number) => ArrayBuffer
  private end = HEAP
  private readonly free = new Map<number, number[]>()

  constructor(readonly language: 'wasm' | 'typescript') {
    let memory: ArrayBuffer
    if (language === 'wasm') {
      const bytes = Buffer.from(KERNEL_BASE64, 'base64')
      const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), {})
      const wasmMemory = exports['memory'] as WebAssembly.Memory
      this.code = exports as unknown as KernelCode
      this.grow = (pages) => {
        wasmMemory.grow(pages)
        return wasmMemory.buffer
      }
      memory = wasmMemory.buffer
    } else {
      this.code = portable
      memory = new ArrayBuffer(32 * PAGE_BYTES)
      attach(memory)
      this.grow = (pages) => {
        const larger = new ArrayBuffer(this.bytes.byteLength + pages * PAGE_BYTES)
        new Uint8Array(larger).set(this.bytes)
        attach(larger)
        return larger
      }
    }
    this.bytes = Buffer.from(memory)
    this.words = new Int32Array(memory)
    this.doubles = new Float64Array(memory)
    this.writeTables()
  }

  /** So many bytes, aligned to eight and of any content; give them back with `release`. */
  allocate(bytes: number): number {
    const size = (bytes + 7) & -8
    const reused = this.free.get(size)?.pop()
    if (reused !== undefined) return reused
    const at = this.end
    this.end += size
    if (this.end > this.bytes.byteLength) {
      const memory = this.grow(Math.ceil(Math.max(this.end - this.bytes.byteLength, GROWTH_BYTES) / PAGE_BYTES))
      this.bytes = Buffer.from(memory)
      this.words = new Int32Array(memory)
      this.doubles = new Float64Array(memory)
    }
    return at
  }

  /** Gives back what was allocated with the same number of bytes. */
  release(at: number, bytes: number): void {
    const size = (bytes + 7) & -8
    const list = this.free.get(size)
    if (list === undefined) this.free.set(size, [at])
    else list.push(at)
  }

  /**
   * Puts a frame where scans read it.
   *
   * @returns its length in bytes, -1 when it is too long for the kernel
   */
  putFrame(data: string | Uint8Array): number {
    if (typeof data === 'string') {
      // A character has at most three bytes.
      if (data.length * 3 > FRAME_BYTES_MAX) return -1
      return this.bytes.write(data, FRAME, 'utf8')
    }
    if (data.length > FRAME_BYTES_MAX) return -1
    this.bytes.set(data, FRAME)
    return data.length
  }

  /** A table for the CRCs of a book's levels; give it back with `release`. */
  allocateCrcs(): number {
    // Before they are written this is zero, and afterwards what no bytes make of 1.
    if (this.words[(ZEROS >> 2) + 1] === 0) this.writeZeros()
    const at = this.allocate(CRCS_BYTES)
    this.bytes.fill(0, at, at + CRCS_BYTES)
    return at
  }

  /** What zero bytes make of a CRC: a byte of it at a time, from what one fewer has made. */
  private writeZeros(): void {
    const { words } = this
    const crc = CRC >> 2
    for (let bits = 0; bits < 32; bits += 8) {
      const table = (ZEROS >> 2) + bits * 32
      for (let byte = 0; byte < 256; byte++) {
        let value = byte << bits
        for (let count = 0; count <= LEVEL_CHARS_MAX; count++) {
          words[table + count * (ZEROS_BYTES >> 2) + byte] = value
          value = words[crc + (value & 255)]! ^ (value >>> 8)
        }
      }
    }
  }

  private writeTables(): void {
    const { bytes, words, doubles } = this
    for (let power = 0; power <= POWERS_MAX; power++) doubles[(POWERS >> 3) + power] = 10 ** power
    for (let quad = 0; quad < 10_000; quad++) bytes.write(String(quad).padStart(4, '0'), QUADS + quad * 4, 'latin1')
    for (const [at, text] of Object.entries(WORD_TEXTS)) {
      words[Number(at) >> 2] = bytes.write(text, Number(at) + 8, 'latin1')
    }
    const crc = CRC >> 2
    for (let byte = 0; byte < 256; byte++) {
      let value = byte
      for (let bit = 0; bit < 8; bit++) value = (value & 1) !== 0 ? (value >>> 1) ^ 0xedb88320 : value >>> 1
      words[crc + byte] = value
    }
    for (let byte = 0; byte < 256; byte++) {
      for (let behind = 1; behind < 8; behind++) {
        const before = words[crc + (behind - 1) * 256 + byte]!
        words[crc + behind * 256 + byte] = words[crc + (before & 255)]! ^ (before >>> 8)
      }
    }
    bytes.fill(0, FRAME + FRAME_BYTES_MAX, FRAME + FRAME_BYTES_MAX + FRAME_SLACK)
  }
}

let current: Kernel | undefined

/** The kernel of this thread: WebAssembly where there is such a thing. */
export function kernel(): Kernel {
  return (current ??= new Kernel(typeof WebAssembly === 'undefined' ? 'typescript' : 'wasm'))
}
