/**
 * Cuts the bytes of a client's socket into WebSocket messages, in bulk: all of a chunk in one loop.
 *
 * Truth   RFC 6455, section 5
 * Why     exchanges send whole, unmasked, uncompressed frames of a few hundred bytes, and for these a receiver that is a
 *         stream of its own costs more than decoding them. They are cut here, and nothing else is: whatever differs goes on,
 *         as the bytes it came in, to the receiver of `ws`. It is *lent* control frames and the fragments of messages, and is
 *         *left* everything from a close frame, or from the first byte that breaks a rule. It sees a stream of frames that
 *         lacks only those cut before, so that pongs, close codes and refusals are its own
 * Memory  a message is a slice of the chunk, or, where it is spread over chunks, of memory that is used again: either holds
 *         until the callback returns. What waits is one frame, no larger than a message may be, and its memory grows with what
 *         has come of it, not with what its header promises
 * UTF-8   of texts is checked once, and for all frames in a row together, with spaces in the place of their headers: texts and
 *         spaces are valid together exactly where each text is. Checking each frame costs five times as much
 */
import { isUtf8 } from 'node:buffer'

export interface FrameTaker {
  /** A message. False to get no more of this chunk. */
  frame(bytes: Uint8Array, isText: boolean): boolean
  /**
   * Bytes of what is not cut, in order, in as many pieces as they came in.
   *
   * @param ends  a fragmented message ends with them
   * @returns     `hold` to get no more of this chunk; `left` where the other side has refused them
   */
  lend(bytes: Uint8Array, ends: boolean): 'more' | 'hold' | 'left'
  /** This, and whatever comes later, is not for the cutter. */
  leave(bytes: Uint8Array): void
}

/** Frames that are found and checked together. */
const RUN_MAX = 1_024
/** Memory for what is spread over chunks, at first and at most: a larger message has its own, as long as it takes. */
const CARRY_BYTES_MIN = 4 * 1024
const CARRY_BYTES_MAX = 64 * 1024

const WHOLE_TEXT = 0x81
const WHOLE_BINARY = 0x82
const SPACE = 0x20

/** What a frame is, as far as the bytes of its header tell. */
type Kind = 'unknown' | 'whole' | 'lent' | 'left'

export class FrameCutter {
  private isLeft = false
  private isHeld = false
  /** Bytes still to come of a frame that is lent; and whether a message ends with it. */
  private lending = 0
  private ends = false
  /** A fragmented message has begun and not ended. Its length is for the other side to judge. */
  private isFragmented = false

  /** The beginning of a frame that is spread over chunks; and how long it is in all, 0 until its header is whole. */
  private carry = new Uint8Array(0)
  private carried = 0
  private frameBytes = 0

  /** Of the frame that was judged last. */
  private headerBytes = 0
  private payloadBytes = 0

  /** Of a run of frames: where the header, the payload and what follows begin. */
  private readonly heads = new Int32Array(RUN_MAX)
  private readonly starts = new Int32Array(RUN_MAX)
  private readonly stops = new Int32Array(RUN_MAX)

  /** @param payloadBytesMax  of one message, above 0 */
  constructor(
    private readonly payloadBytesMax: number,
    private readonly taker: FrameTaker,
  ) {}

  /**
   * Takes the bytes that came next, and may write into them.
   *
   * @returns how many were taken: all of them, unless the taker asked to hold. The others are to be given again
   */
  cut(chunk: Uint8Array): number {
    const { length } = chunk
    this.isHeld = false
    let at = 0
    while (at < length && !this.held) {
      if (this.isLeft) {
        this.taker.leave(chunk.subarray(at))
        return length
      }
      if (this.lending > 0) at = this.lend(chunk, at)
      else if (this.carried > 0) at = this.carryOn(chunk, at)
      else at = this.run(chunk, at)
    }
    return at
  }

  // A getter, because it changes in calls.
  private get held(): boolean {
    return this.isHeld
  }

  /** As many whole frames as there are, and then whatever is none. */
  private run(chunk: Uint8Array, from: number): number {
    const { heads, starts, stops, payloadBytesMax } = this
    const { length } = chunk
    let at = from
    let frames = 0
    let texts = 0
    if (!this.isFragmented) {
      while (frames < RUN_MAX && at + 2 <= length) {
        const first = chunk[at]!
        if (first !== WHOLE_TEXT && first !== WHOLE_BINARY) break
        let start = at + 2
        let size = chunk[at + 1]!
        if (size > 125) {
          if (size !== 126 || at + 4 > length) break
          size = (chunk[at + 2]! << 8) | chunk[at + 3]!
          start = at + 4
        }
        const stop = start + size
        if (stop > length || size > payloadBytesMax) break
        heads[frames] = at
        starts[frames] = start
        stops[frames] = stop
        if (first === WHOLE_TEXT) texts++
        frames++
        at = stop
      }
    }
    return frames === 0 ? this.odd(chunk, at) : this.deliver(chunk, frames, texts)
  }

  private deliver(chunk: Uint8Array, frames: number, texts: number): number {
    const { heads, starts, stops, taker } = this
    const { buffer, byteOffset } = chunk
    const together = texts === frames && frames > 1 && this.areUtf8(chunk, frames)
    for (let frame = 0; frame < frames; frame++) {
      const start = starts[frame]!
      const stop = stops[frame]!
      const isText = together || chunk[heads[frame]!] === WHOLE_TEXT
      const bytes = new Uint8Array(buffer, byteOffset + start, stop - start)
      if (isText && !together && !isUtf8(bytes)) return this.leaveFrom(chunk, heads[frame]!)
      if (taker.frame(bytes, isText)) continue
      this.isHeld = true
      if (together) this.restoreHeads(chunk, frame + 1, frames)
      return stop
    }
    return stops[frames - 1]!
  }

  /** Whether all texts of a run are valid. If so, there are spaces in the place of their headers; if not, the headers. */
  private areUtf8(chunk: Uint8Array, frames: number): boolean {
    const { heads, starts, stops } = this
    for (let frame = 0; frame < frames; frame++) {
      for (let at = heads[frame]!; at < starts[frame]!; at++) chunk[at] = SPACE
    }
    if (isUtf8(chunk.subarray(heads[0], stops[frames - 1]))) return true
    this.restoreHeads(chunk, 0, frames)
    return false
  }

  /** Writes the headers of texts, from one of a run on, where there are spaces. */
  private restoreHeads(chunk: Uint8Array, from: number, frames: number): void {
    for (let frame = from; frame < frames; frame++) {
      const at = this.heads[frame]!
      const start = this.starts[frame]!
      const size = this.stops[frame]! - start
      chunk[at] = WHOLE_TEXT
      if (start - at === 2) chunk[at + 1] = size
      else {
        chunk[at + 1] = 126
        chunk[at + 2] = size >> 8
        chunk[at + 3] = size & 0xff
      }
    }
  }

  /** A frame that is not in a row with others: not all there, large, lent or left. */
  private odd(chunk: Uint8Array, at: number): number {
    switch (this.judge(chunk, at, chunk.length)) {
      case 'left':
        return this.leaveFrom(chunk, at)
      case 'lent':
        this.beginLending(chunk[at]!)
        return at
      case 'whole': {
        const start = at + this.headerBytes
        const stop = start + this.payloadBytes
        if (stop > chunk.length) break
        const isText = chunk[at] === WHOLE_TEXT
        const bytes = new Uint8Array(chunk.buffer, chunk.byteOffset + start, this.payloadBytes)
        if (isText && !isUtf8(bytes)) return this.leaveFrom(chunk, at)
        this.isHeld = !this.taker.frame(bytes, isText)
        return stop
      }
      case 'unknown':
    }
    // One byte begins it; the others follow it in `carryOn`.
    this.makeRoom(1)
    this.carry[0] = chunk[at]!
    this.carried = 1
    this.frameBytes = 0
    return at + 1
  }

  /** Goes on with a frame that began in an earlier chunk. */
  private carryOn(chunk: Uint8Array, from: number): number {
    let at = from
    while (this.frameBytes === 0 && at < chunk.length) {
      this.makeRoom(this.carried + 1)
      this.carry[this.carried++] = chunk[at++]!
      const kind = this.judge(this.carry, 0, this.carried)
      if (kind === 'left') return this.leaveFrom(this.joined(chunk, at), 0, chunk.length)
      if (kind === 'lent') {
        // The other side may keep what it is lent: it gets a copy.
        const header = Buffer.from(this.carry.subarray(0, this.carried))
        this.carried = 0
        this.beginLending(header[0]!)
        this.lend(header, 0)
        return at
      }
      if (kind === 'whole') this.frameBytes = this.headerBytes + this.payloadBytes
    }
    if (this.frameBytes === 0) return at
    const stop = Math.min(chunk.length, at + this.frameBytes - this.carried)
    const carried = this.carried + stop - at
    this.makeRoom(carried)
    this.carry.set(chunk.subarray(at, stop), this.carried)
    this.carried = carried
    return carried < this.frameBytes ? stop : this.deliverCarried(chunk, stop)
  }

  private deliverCarried(chunk: Uint8Array, stop: number): number {
    const { carry, carried, taker } = this
    const isText = carry[0] === WHOLE_TEXT
    const bytes = new Uint8Array(carry.buffer, this.headerBytes, this.payloadBytes)
    if (isText && !isUtf8(bytes)) return this.leaveFrom(this.joined(chunk, stop), 0, chunk.length)
    this.carried = 0
    this.frameBytes = 0
    if (carried > CARRY_BYTES_MAX) this.carry = new Uint8Array(0)
    this.isHeld = !taker.frame(bytes, isText)
    return stop
  }

  /** Judges a frame by its header, as far as it is there. The rules are of RFC 6455, in the reading of ws. */
  private judge(bytes: Uint8Array, at: number, end: number): Kind {
    if (end - at < 2) return 'unknown'
    const first = bytes[at]!
    const second = bytes[at + 1]!
    const opcode = first & 0x0f
    const isFinal = first >= 0x80
    // Reserved bits, and a mask, which is for clients only.
    if ((first & 0x70) !== 0 || second >= 0x80) return 'left'
    if (opcode > 0x02) {
      const isSign = opcode === 0x09 || opcode === 0x0a
      if (!isSign || !isFinal || second > 125) return 'left'
      this.headerBytes = 2
      this.payloadBytes = second
      return 'lent'
    }
    if ((opcode === 0) !== this.isFragmented) return 'left'
    let headerBytes = 2
    let payloadBytes = second
    if (second === 126) {
      headerBytes = 4
      if (end - at < headerBytes) return 'unknown'
      payloadBytes = (bytes[at + 2]! << 8) | bytes[at + 3]!
    } else if (second === 127) {
      headerBytes = 10
      if (end - at < headerBytes) return 'unknown'
      payloadBytes = 0
      for (let digit = 2; digit < headerBytes; digit++) payloadBytes = payloadBytes * 256 + bytes[at + digit]!
    }
    if (payloadBytes > this.payloadBytesMax) return 'left'
    this.headerBytes = headerBytes
    this.payloadBytes = payloadBytes
    return isFinal && opcode !== 0 ? 'whole' : 'lent'
  }

  /** The frame that was judged last is lent. */
  private beginLending(first: number): void {
    const opcode = first & 0x0f
    this.lending = this.headerBytes + this.payloadBytes
    this.ends = false
    if (opcode > 0x02) return
    this.ends = first >= 0x80
    this.isFragmented = !this.ends
  }

  private lend(bytes: Uint8Array, at: number): number {
    const stop = Math.min(bytes.length, at + this.lending)
    this.lending -= stop - at
    const answer = this.taker.lend(bytes.subarray(at, stop), this.ends && this.lending === 0)
    if (answer === 'left') this.isLeft = true
    if (answer === 'hold') this.isHeld = true
    return stop
  }

  /** @returns `taken`, which is the whole chunk */
  private leaveFrom(bytes: Uint8Array, at: number, taken = bytes.length): number {
    this.isLeft = true
    this.carry = new Uint8Array(0)
    this.carried = 0
    this.taker.leave(bytes.subarray(at))
    return taken
  }

  /** What was carried, and what of the chunk follows it. */
  private joined(chunk: Uint8Array, from: number): Buffer {
    return Buffer.concat([this.carry.subarray(0, this.carried), chunk.subarray(from)])
  }

  private makeRoom(size: number): void {
    const { carry } = this
    if (size <= carry.length) return
    // Twice as much each time: a message in many chunks is not copied for each.
    this.carry = new Uint8Array(Math.max(size, carry.length * 2, CARRY_BYTES_MIN))
    this.carry.set(carry.subarray(0, this.carried))
  }
}
