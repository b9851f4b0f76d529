/**
 * The latest frames of a run, so that the raw bytes behind a value that a stage failed on can still be had.
 *
 * A ring of what was received, bounded in records and in bytes; the oldest make room for the newest. A value is traced to
 * its frames by its exchange and its receive time, which no two records of a process share.
 *
 * Bytes of a frame hold only while it is being handed over, so they are copied: into blocks that are used again, which costs
 * a fifth of an array for each. What is said of them lies in columns: an object for each frame, kept for thousands of frames,
 * is what costs a collector most.
 */
import type { InRecord, SessionRecord } from '../feed/record'

/** What was received, with the address of its connection where that is known. */
export interface LoggedFrame {
  readonly record: Extract<SessionRecord, { dir: 'in' | 'rest' }>
  readonly url: string | undefined
}

export interface FrameLogLimits {
  readonly records: number
  readonly bytes: number
}

const LIMITS: FrameLogLimits = { records: 8_192, bytes: 32 * 1024 * 1024 }

/** Connections whose addresses are remembered. */
const CONNECTIONS_MAX = 4_096

export class FrameLog {
  /** What was received as text; undefined in the place of copied bytes. */
  private readonly ring: (LoggedFrame['record'] | undefined)[]
  private readonly copied: CopiedFrames
  /** Where the next record goes. */
  private head = 0
  private count = 0
  private bytes = 0
  private readonly blocks = new Blocks()
  private readonly urls = new Map<number, string>()

  constructor(private readonly limits: FrameLogLimits = LIMITS) {
    this.ring = new Array<undefined>(limits.records).fill(undefined)
    this.copied = new CopiedFrames(limits.records)
  }

  /** Records that are kept. */
  get size(): number {
    return this.count
  }

  /** Takes a record of the run. On the hot path: a copy of a frame's bytes, a store, and an addition. */
  saw(record: SessionRecord): void {
    switch (record.dir) {
      case 'in':
        if (typeof record.data === 'string') this.keep(record, bytesOf(record.data), undefined)
        else this.keep(record, record.data.byteLength, record.data)
        return
      case 'rest':
        // A list of instruments is megabytes, and no event is made of it.
        if (record.role !== 'instruments') this.keep(record, bytesOf(record.body), undefined)
        return
      case 'open':
        if (this.urls.size < CONNECTIONS_MAX) this.urls.set(record.connection, record.url)
        return
      case 'close':
        this.urls.delete(record.connection)
        return
      case 'out':
      case 'gap':
        return
    }
  }

  /** What was received of an exchange at a time, in the order in which it came; nothing when it has made room. */
  find({ exchange, receiveTimeUs }: { readonly exchange: string; readonly receiveTimeUs: number }): LoggedFrame[] {
    const found: LoggedFrame[] = []
    const { ring, copied, head, count } = this
    for (let age = count; age > 0; age--) {
      const place = (head - age + ring.length) % ring.length
      const { timeUs, exchange: its } = ring[place] ?? copied.nameOf(place)
      if (timeUs !== receiveTimeUs || its !== exchange) continue
      const record = ring[place] ?? copied.record(place)
      found.push({ record, url: record.dir === 'rest' ? record.url : this.urls.get(record.connection) })
    }
    return found
  }

  private keep(record: LoggedFrame['record'], size: number, data: Uint8Array | undefined): void {
    const { ring, limits } = this
    if (size > limits.bytes) return
    if (this.count === ring.length) this.forgetOldest()
    // Room first: a block that the oldest leave is the one to use again.
    while (this.bytes + size > limits.bytes) this.forgetOldest()
    if (data === undefined) ring[this.head] = record
    else this.copy(record as InRecord, data)
    this.head = this.head + 1 === ring.length ? 0 : this.head + 1
    this.count++
    this.bytes += size
  }

  private copy(record: InRecord, data: Uint8Array): void {
    const block = this.blocks.withRoomFor(data.byteLength)
    block.bytes.set(data, block.used)
    this.copied.set(this.head, record, block, block.used, data.byteLength)
    block.used += data.byteLength
    block.frames++
  }

  private forgetOldest(): void {
    const { ring, copied } = this
    const at = (this.head - this.count + ring.length) % ring.length
    const entry = ring[at]
    ring[at] = undefined
    this.count--
    if (entry === undefined) {
      this.bytes -= copied.sizeOf(at)
      this.blocks.forget(copied.forget(at))
    } else this.bytes -= bytesOf(entry.dir === 'rest' ? entry.body : (entry.data as string))
  }
}

/** Frames whose bytes lie in blocks, by their places in the ring. */
class CopiedFrames {
  private readonly timesUs: Float64Array
  private readonly ns: Uint16Array
  private readonly connections: Float64Array
  private readonly texts: Uint8Array
  private readonly starts: Uint32Array
  private readonly sizes: Uint32Array
  private readonly exchanges: string[] = []
  private readonly blocks: (Block | undefined)[] = []

  constructor(length: number) {
    this.timesUs = new Float64Array(length)
    this.ns = new Uint16Array(length)
    this.connections = new Float64Array(length)
    this.texts = new Uint8Array(length)
    this.starts = new Uint32Array(length)
    this.sizes = new Uint32Array(length)
  }

  set(place: number, record: InRecord, block: Block, start: number, size: number): void {
    this.timesUs[place] = record.timeUs
    this.ns[place] = record.ns
    this.connections[place] = record.connection
    this.texts[place] = record.isText === true ? 1 : 0
    this.starts[place] = start
    this.sizes[place] = size
    this.exchanges[place] = record.exchange
    this.blocks[place] = block
  }

  nameOf(place: number): { readonly timeUs: number; readonly exchange: string } {
    return { timeUs: this.timesUs[place]!, exchange: this.exchanges[place]! }
  }

  sizeOf(place: number): number {
    return this.sizes[place]!
  }

  /** With bytes of its own: those of the block are written over when the frame is forgotten. */
  record(place: number): InRecord {
    const { timeUs, exchange } = this.nameOf(place)
    const start = this.starts[place]!
    const data = this.blocks[place]!.bytes.slice(start, start + this.sizes[place]!)
    const isText = this.texts[place] === 1
    const [ns, connection] = [this.ns[place]!, this.connections[place]!]
    return { timeUs, ns, connection, exchange, dir: 'in', data, ...(isText && { isText }) }
  }

  /** @returns the block that its bytes were in */
  forget(place: number): Block {
    const block = this.blocks[place]!
    this.blocks[place] = undefined
    return block
  }
}

interface Block {
  readonly bytes: Uint8Array
  used: number
  /** Frames in it that are still kept. */
  frames: number
}

const BLOCK_BYTES = 256 * 1024
/** What is larger has a block of its own, so that no more than a quarter of any block stays empty. */
const SHARED_BYTES_MAX = BLOCK_BYTES / 4

/** Frames are forgotten in the order in which they came, so blocks become empty in that order too. */
class Blocks {
  private current = blockOf(0)
  /** An empty one, to be used again. */
  private spare: Block | undefined

  withRoomFor(size: number): Block {
    if (size > SHARED_BYTES_MAX) return blockOf(size)
    if (this.current.used + size <= this.current.bytes.length) return this.current
    this.current = this.spare ?? blockOf(BLOCK_BYTES)
    this.spare = undefined
    return this.current
  }

  forget(block: Block): void {
    block.frames--
    if (block.frames > 0 || block.bytes.length !== BLOCK_BYTES) return
    block.used = 0
    if (block !== this.current) this.spare = block
  }
}

function blockOf(size: number): Block {
  return { bytes: new Uint8Array(size), used: 0, frames: 0 }
}

/** Of a text as much as it can take in memory. */
function bytesOf(text: string): number {
  return text.length * 2
}
