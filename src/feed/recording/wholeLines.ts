/**
 * Cuts blocks of bytes into whole lines of text.
 *
 * A block is decoded in one piece, because a call per line costs more than the decoding. Only a block that is not UTF-8
 * is looked at line by line: replacing its broken bytes silently, as decoders do, would change what an exchange said.
 */
import { isAscii, isUtf8 } from 'node:buffer'

/** Whole lines, one after another, each with its line end; or one line that cannot be given. */
export type Lines = { readonly text: string } | { readonly text: undefined; readonly problem: string }

export class WholeLines {
  private carry: Buffer[] = []
  private carryBytes = 0
  /** True inside a line that is too long: the rest of it is thrown away. */
  private skipping = false

  /** @param lineBytesMax  a line that grows longer is given up, so that it cannot fill the memory */
  constructor(private readonly lineBytesMax: number) {}

  push(block: Buffer): Lines[] {
    const out: Lines[] = []
    let from = 0
    if (this.skipping) {
      const end = block.indexOf(NEWLINE)
      if (end < 0) return out
      this.skipping = false
      from = end + 1
    }
    const last = block.lastIndexOf(NEWLINE)
    if (last >= from) {
      this.carry.push(block.subarray(from, last + 1))
      decode(this.take(), out)
      from = last + 1
    }
    if (from === block.length) return out
    // Copied: a short rest would otherwise keep its whole block in memory.
    this.carry.push(Buffer.from(block.subarray(from)))
    this.carryBytes += block.length - from
    if (this.carryBytes > this.lineBytesMax) {
      this.take()
      this.skipping = true
      out.push({ text: undefined, problem: `is longer than ${this.lineBytesMax} bytes` })
    }
    return out
  }

  /** What follows the last line end: nothing, or a line that was cut; also one that only lacks its end. */
  rest(): string {
    return this.take().toString('utf8')
  }

  private take(): Buffer {
    const { carry } = this
    this.carry = []
    this.carryBytes = 0
    return carry.length === 1 ? carry[0]! : Buffer.concat(carry)
  }
}

const NEWLINE = 10

function decode(bytes: Buffer, out: Lines[]): void {
  if (isAscii(bytes)) {
    out.push({ text: bytes.toString('latin1') })
    return
  }
  if (isUtf8(bytes)) {
    out.push({ text: bytes.toString('utf8') })
    return
  }
  let good = 0
  for (let at = 0; at < bytes.length;) {
    const next = bytes.indexOf(NEWLINE, at) + 1
    if (!isUtf8(bytes.subarray(at, next))) {
      if (at > good) out.push({ text: bytes.toString('utf8', good, at) })
      out.push({ text: undefined, problem: 'is not UTF-8 text' })
      good = next
    }
    at = next
  }
  if (good < bytes.length) out.push({ text: bytes.toString('utf8', good) })
}
