import { createHash, type Hash } from 'node:crypto'
import { timeText } from './recordLine'

/** What lines of a block come to. */
export interface BlockTotals {
  readonly lines: number
  readonly textBytes: number
  readonly firstT: string | undefined
  readonly lastT: string | undefined
  readonly lost: number
  readonly state: number
  /** Of the file. */
  readonly length: number
  readonly sha256: string
}

/** Adds up what becomes a block: lines first, then the bytes that they are in the file. */
export class BlockSum {
  lines = 0
  textBytes = 0
  private lost = 0
  private state = 0
  private length = 0
  private firstUs = -1
  private firstNs = 0
  /** The latest: times may go back. */
  private lastUs = -1
  private lastNs = 0
  private hash: Hash | undefined

  line(timeUs: number, ns: number, isState: boolean, lost: number): void {
    this.lines += 1
    this.lost += lost
    if (isState) this.state += 1
    this.time(timeUs, ns)
  }

  /** Takes over what a chunk of the block came to. */
  add(chunk: BlockSum, textBytes: number): void {
    this.textBytes += textBytes
    this.lines += chunk.lines
    this.lost += chunk.lost
    this.state += chunk.state
    if (chunk.firstUs < 0) return
    this.time(chunk.firstUs, chunk.firstNs)
    this.time(chunk.lastUs, chunk.lastNs)
  }

  packed(bytes: Uint8Array): void {
    this.length += bytes.length
    this.hash ??= createHash('sha256')
    this.hash.update(bytes)
  }

  /** To be asked once. */
  totals(): BlockTotals {
    const { lines, textBytes, lost, state, length } = this
    const known = this.firstUs >= 0
    return {
      lines,
      textBytes,
      firstT: known ? timeText({ timeUs: this.firstUs, ns: this.firstNs }) : undefined,
      lastT: known ? timeText({ timeUs: this.lastUs, ns: this.lastNs }) : undefined,
      lost,
      state,
      length,
      sha256: (this.hash ?? createHash('sha256')).digest('hex'),
    }
  }

  private time(timeUs: number, ns: number): void {
    if (this.firstUs < 0) {
      this.firstUs = timeUs
      this.firstNs = ns
    }
    if (timeUs < this.lastUs || (timeUs === this.lastUs && ns <= this.lastNs)) return
    this.lastUs = timeUs
    this.lastNs = ns
  }
}
