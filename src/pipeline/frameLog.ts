/**
 * The latest frames of a run, so that the raw bytes behind a value that a stage failed on can still be had.
 *
 * A ring of what was received, bounded in records and in bytes; the oldest make room for the newest. A value is traced to
 * its frames by its exchange and its receive time, which no two records of a process share.
 *
 * Bytes of a frame hold only while it is being handed over, so they are copied: into blocks that are used again, which costs
 * a fifth of an array for each.
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
  private readonly ring: (Entry | undefined)[]
  /** Where the next record goes. */
  private head = 0
  private count = 0
  private bytes = 0
  private readonly blocks = new Blocks()
  private readonly urls = new Map<number, string>()

  constructor(private readonly limits: FrameLogLimits = LIMITS) {
    this.ring = new Array<undefined>(limits.records).fill(undefined)
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
        return
    }
  }

  /** What was received of an exchange at a time, in the order in which it came; nothing when it has made room. */
  find({ exchange, receiveTimeUs }: { readonly exchange: string; readonly receiveTimeUs: number }): LoggedFrame[] {
    const found: LoggedFrame[] = []
    const { ring, head, count } = this
    for (let age = count; age > 0; age--) {
      const entry = ring[(head - age + ring.length) % ring.length]!
      if (entry.timeUs !== receiveTimeUs || entry.exchange !== exchange) continue
      const record = entry instanceof CopiedFrame ? entry.record() : entry
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
    ring[this.head] = data === undefined ? record : this.copyOf(record as InRecord, data)
    this.head = this.head + 1 === ring.length ? 0 : this.head + 1
    this.count++
    this.bytes += size
  }

  private copyOf({ timeUs, ns, connection, exchange, isText }: InRecord, data: Uint8Array): CopiedFrame {
    const block = this.blocks.withRoomFor(data.byteLength)
    const start = block.used
    block.bytes.set(data, start)
    block.used += data.byteLength
    block.frames++
    return new CopiedFrame(timeUs, ns, connection, exchange, isText === true, block, start, block.used)
  }

  private forgetOldest(): void {
    const { ring } = this
    const at = (this.head - this.count + ring.length) % ring.length
    const entry = ring[at]!
    ring[at] = undefined
    this.count--
    if (entry instanceof CopiedFrame) {
      this.bytes -= entry.end - entry.start
      this.blocks.forget(entry.block)
    } else this.bytes -= bytesOf(entry.dir === 'rest' ? entry.body : (entry.data as string))
  }
}

type Entry = LoggedFrame['record'] | CopiedFrame

class CopiedFrame {
  constructor(
    readonly timeUs: number,
    private readonly ns: number,
    private readonly connection: number,
    readonly exchange: string,
    private readonly isText: boolean,
    readonly block: Block,
    readonly start: number,
    readonly end: number,
  ) {}

  /** With bytes of its own: those of the block are written over when the frame is forgotten. */
  record(): InRecord {
    const { timeUs, ns, connection, exchange, isText, block, start, end } = this
    const data = block.bytes.slice(start, end)
    return { timeUs, ns, connection, exchange, dir: 'in', data, ...(isText && { isText }) }
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
