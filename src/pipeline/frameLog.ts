/**
 * The latest frames of a run, so that the raw bytes behind a value that a stage failed on can still be had.
 *
 * A ring of what was received, bounded in records and in bytes; the oldest make room for the newest. A value is traced to
 * its frames by its exchange and its receive time, which no two records of a process share.
 */
import type { SessionRecord } from '../feed/record'

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
  private readonly ring: (LoggedFrame['record'] | undefined)[]
  /** Where the next record goes. */
  private head = 0
  private kept = 0
  private bytes = 0
  private readonly urls = new Map<number, string>()

  constructor(private readonly limits: FrameLogLimits = LIMITS) {
    this.ring = new Array<undefined>(limits.records).fill(undefined)
  }

  /** Records that are kept. */
  get size(): number {
    return this.kept
  }

  /** Takes a record of the run. On the hot path: a store, and an addition. */
  saw(record: SessionRecord): void {
    switch (record.dir) {
      case 'in':
        this.keep(record, bytesOf(record.data))
        return
      case 'rest':
        // A list of instruments is megabytes, and no event is made of it.
        if (record.role !== 'instruments') this.keep(record, bytesOf(record.body))
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
    const { ring, head, kept } = this
    for (let age = kept; age > 0; age--) {
      const record = ring[(head - age + ring.length) % ring.length]!
      if (record.timeUs !== receiveTimeUs || record.exchange !== exchange) continue
      found.push({ record, url: record.dir === 'rest' ? record.url : this.urls.get(record.connection) })
    }
    return found
  }

  private keep(record: LoggedFrame['record'], bytes: number): void {
    const { ring, limits } = this
    if (bytes > limits.bytes) return
    if (this.kept === ring.length) this.forgetOldest()
    ring[this.head] = record
    this.head = this.head + 1 === ring.length ? 0 : this.head + 1
    this.kept++
    this.bytes += bytes
    while (this.bytes > limits.bytes) this.forgetOldest()
  }

  private forgetOldest(): void {
    const { ring } = this
    const at = (this.head - this.kept + ring.length) % ring.length
    const record = ring[at]!
    ring[at] = undefined
    this.kept--
    this.bytes -= bytesOf(record.dir === 'rest' ? record.body : record.data)
  }
}

/** Of a text as much as it can take in memory. */
function bytesOf(data: string | Uint8Array): number {
  return typeof data === 'string' ? data.length * 2 : data.byteLength
}
