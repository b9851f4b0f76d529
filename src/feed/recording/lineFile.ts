/**
 * A file of lines that is written behind the back of whoever appends to it: appending never waits.
 *
 * Lines are gathered into chunks; each chunk is compressed off the loop, flushed so far that it can be read back, and
 * written; only then the next one. So a process that is killed loses what was appended in the last `flushEveryMs` or
 * `flushBytes`, whichever is less (a machine that loses its power may lose more: nothing is forced to the disk).
 *
 * Chunks make blocks: gzip members of whole lines, each of which can be unpacked, checked and found without the others.
 * A block is ended by the chunk with which it has `blockBytes` of text or, where lines come slowly, by its age, so that a
 * day is some ten thousand blocks, compressed as well as a whole file would be. What a block holds goes into the index
 * beside the file.
 *
 * Holds   at most `queueBytesMax` of text. When it is full, lines are lost, counted, and stood for by one `gap` line as
 *         soon as half of it is free again: in one run rather than every other line
 * Errors  a failing disk is one fault an outage and is tried again from the byte where it failed, with backoff, until
 *         the budget is spent; then the file is given up and everything after is counted as lost
 *
 * The header stands in a gzip member of its own, stored and not compressed, so that the totals can be written into it
 * at the end without touching the rest.
 */
import { constants, createGzip, gzipSync, type Gzip, type ZlibReset } from 'node:zlib'
import { backoffDelayMs, RetryBudget, type Backoff, type Budget } from '../../clock/backoff'
import { sleep, type Clock, type Timer } from '../../clock/clock'
import { Fault, messageOf } from '../../model/fault'
import { fileProblem } from '../../model/fileFault'
import type { RecordTime, SessionRecord } from '../record'
import { BlockSum } from './blockSum'
import type { IndexFile } from './indexFile'
import { LineBytes } from './lineBytes'
import { headerLine, type NewHeader } from './recordingHeader'
import { isStateLine, timeText, writeGapLine, writeLine } from './recordLine'

/** What of a file is used; `node:fs/promises` gives it. */
export interface WritableFile {
  write(bytes: Uint8Array, offset: number, length: number, position: number): Promise<{ readonly bytesWritten: number }>
  close(): Promise<void>
}

export interface LineFileOptions {
  readonly clock: Clock
  readonly onFault: (fault: Fault) => void
  /** Opens the file for writing, empty. */
  readonly openFile: (path: string) => Promise<WritableFile>
  readonly gzip: boolean
  /** Of gzip, 1 to 9. */
  readonly level: number
  readonly queueBytesMax: number
  readonly flushEveryMs: number
  readonly flushBytes: number
  readonly blockBytes: number
  readonly blockEveryMs: number
  readonly closeWithinMs: number
  readonly retry: Backoff & Budget
  /** Where blocks are noted; of files without blocks nobody makes one. */
  readonly indexOf: (path: string) => IndexFile | undefined
}

export interface LineFileCounters {
  /** Lines that were taken, those for gaps included. */
  lines: number
  lost: number
  /** In the file. */
  bytes: number
  retries: number
}

export class LineFile {
  readonly counters: LineFileCounters = { lines: 0, lost: 0, bytes: 0, retries: 0 }

  /** Lines that are not in a chunk yet. */
  private pending: LineBytes
  private totals = new BlockSum()
  /** Memory of chunks that were written. */
  private readonly spare: LineBytes[] = []
  private timer: Timer | undefined
  /** The first is being written. */
  private readonly chunks: Chunk[] = []
  private chunkBytes = 0
  private writing: Promise<void> | undefined

  /** Lines lost since the last one that was taken. */
  private gap = 0
  private gapTime: RecordTime = { timeUs: 0, ns: 0 }

  private readonly counts: Record<LineKind, number> = {
    open: 0,
    out: 0,
    in: 0,
    'in-binary': 0,
    close: 0,
    rest: 0,
    gap: 0,
  }
  private firstT: string | undefined
  private lastUs = 0
  private lastNs = 0

  private file: WritableFile | undefined
  private position = 0
  private headerBytes = 0
  private gzip: (Gzip & ZlibReset) | undefined
  private readonly packed: Buffer[] = []
  private readonly index: IndexFile | undefined
  /** What was written of the block that is not ended; undefined between blocks. */
  private block: BlockSum | undefined
  private blockSinceUs = 0

  private readonly budget: RetryBudget
  private outage = false
  private nap: AbortController | undefined
  private closing: Promise<boolean> | undefined
  private state: 'open' | 'closing' | 'given up' = 'open'
  private readonly whenGivenUp: Promise<false>
  private resolveGivenUp: (() => void) | undefined

  constructor(
    readonly path: string,
    private readonly header: NewHeader,
    private readonly options: LineFileOptions,
  ) {
    this.budget = new RetryBudget(options.retry)
    this.pending = new LineBytes(this.chunkRoom)
    this.index = options.gzip ? options.indexOf(path) : undefined
    this.whenGivenUp = new Promise((resolve) => (this.resolveGivenUp = () => resolve(false)))
  }

  /** Text that waits for the disk, in bytes. */
  get waiting(): number {
    return this.chunkBytes + this.pending.length
  }

  /** Creates the file with its header; where it is not called, the first chunk does so. Rejects when it cannot be. */
  async create(): Promise<void> {
    this.file = await this.options.openFile(this.path)
    const header = this.headerOf(undefined)
    while (this.position < header.length) await this.writeSome(header, this.position)
    this.headerBytes = header.length
    this.counters.bytes = this.position
    this.index?.begin(header)
  }

  /**
   * Takes a record as a line.
   *
   * @param venue  the exchange to name in it
   * @returns      false when it was lost
   * @throws       what writing the record as a line throws; then it is as if it had not been offered
   */
  append(record: SessionRecord, venue: string | undefined): boolean {
    if (this.state !== 'open') {
      this.counters.lost += 1
      return false
    }
    const { pending } = this
    const start = pending.length
    let binary: boolean
    try {
      binary = writeLine(pending, record, venue)
    } catch (cause) {
      pending.cut(start)
      throw cause
    }
    const { queueBytesMax } = this.options
    const length = pending.length - start
    const held = this.chunkBytes + start
    if (this.gap > 0 && held <= queueBytesMax / 2 && length <= queueBytesMax / 2) this.endGap(start)
    if (this.gap > 0 || held + length > queueBytesMax) {
      pending.cut(start)
      this.lose(record)
      return false
    }
    this.took(record, binary ? 'in-binary' : record.dir, isStateLine(record, venue), 0)
    return true
  }

  /** Writes what is left, the totals and the end. Resolves with true when all of it is in the file; never rejects. */
  close(): Promise<boolean> {
    this.closing ??= this.closeWithin()
    return this.closing
  }

  /** Counts the line at the end of what is pending. */
  private took(time: RecordTime, kind: LineKind, isState: boolean, lost: number): void {
    this.counters.lines += 1
    this.counts[kind] += 1
    this.firstT ??= timeText(time)
    this.lastUs = time.timeUs
    this.lastNs = time.ns
    this.totals.line(time.timeUs, time.ns, isState, lost)
    if (this.pending.length >= this.options.flushBytes) this.seal()
    else this.timer ??= this.options.clock.after(this.options.flushEveryMs, () => this.seal())
  }

  private lose({ timeUs, ns }: RecordTime): void {
    this.counters.lost += 1
    this.gap += 1
    this.gapTime = { timeUs, ns }
    if (this.gap > 1) return
    this.report(
      new Fault(
        'EDGE_FULL',
        `The recording ${this.path} is losing lines: the disk is slower than they come, and ${this.options.queueBytesMax} bytes of them wait. It notes how many are missing; record fewer channels, or on a faster disk.`,
        { path: this.path, queueBytesMax: this.options.queueBytesMax },
      ),
    )
  }

  /** Notes what was lost, before the line that begins at `start` of what is pending. */
  private endGap(start = this.pending.length): void {
    const { gap, gapTime } = this
    const line = Buffer.from(this.pending.bytes.subarray(start))
    this.gap = 0
    this.pending.cut(start)
    writeGapLine(this.pending, gapTime, gap)
    this.took(gapTime, 'gap', false, gap)
    this.pending.raw(line)
  }

  private seal(): void {
    this.timer?.cancel()
    this.timer = undefined
    const { pending, totals } = this
    if (totals.lines === 0) return
    this.chunks.push({ memory: pending, totals })
    this.chunkBytes += pending.length
    this.pending = this.spare.pop() ?? new LineBytes(this.chunkRoom)
    this.totals = new BlockSum()
    this.writing ??= this.writeChunks()
  }

  /** Never rejects. */
  private async writeChunks(): Promise<void> {
    try {
      for (let chunk = this.chunks[0]; chunk !== undefined; chunk = this.chunks[0]) {
        const { memory, totals } = chunk
        const written = this.options.gzip
          ? await this.writePacked(memory.bytes, totals)
          : await this.write(memory.bytes)
        if (!written) return
        this.chunks.shift()
        this.chunkBytes -= memory.length
        if (this.spare.length < SPARE_MAX && memory.room <= 2 * this.chunkRoom) {
          memory.cut(0)
          this.spare.push(memory)
        }
      }
    } catch (cause) {
      this.giveUp('SINK_REJECTED', `cannot go on: ${messageOf(cause)}`, cause)
    } finally {
      this.writing = undefined
    }
  }

  /** Adds a chunk to the block, and ends that when it is long or old enough. */
  private async writePacked(bytes: Buffer, totals: BlockSum): Promise<boolean> {
    const { clock, blockBytes, blockEveryMs } = this.options
    this.gzip ??= this.startGzip()
    if (this.block === undefined) {
      this.block = new BlockSum()
      this.blockSinceUs = clock.nowUs()
    }
    const { block } = this
    block.add(totals, bytes.length)
    const packed = await this.pack(this.gzip, bytes)
    const isWhole = block.textBytes >= blockBytes || clock.nowUs() - this.blockSinceUs >= blockEveryMs * 1_000
    return isWhole ? this.endBlock(packed) : this.writeBlockPart(packed)
  }

  private async writeBlockPart(packed: readonly Buffer[]): Promise<boolean> {
    const bytes = packed.length === 1 ? packed[0]! : Buffer.concat(packed)
    if (!(await this.write(bytes))) return false
    this.block?.packed(bytes)
    return true
  }

  /** Compresses, and flushes so far that a reader gets every line of the chunk. */
  private pack(gzip: Gzip, bytes: Buffer): Promise<readonly Buffer[]> {
    return new Promise((resolve, reject) => {
      gzip.write(bytes, (error) => (error ? reject(error) : resolve(this.packed.splice(0))))
    })
  }

  /**
   * Ends the gzip member, and notes the block.
   *
   * @param last  of it, not written yet
   */
  private async endBlock(last: readonly Buffer[] = []): Promise<boolean> {
    const { gzip, block } = this
    if (gzip === undefined || block === undefined) return true
    const packed = await new Promise<readonly Buffer[]>((resolve, reject) => {
      gzip.once('error', reject)
      gzip.flush(constants.Z_FINISH, () => {
        gzip.off('error', reject)
        resolve(this.packed.splice(0))
      })
    })
    if (!(await this.writeBlockPart([...last, ...packed]))) return false
    gzip.reset()
    this.block = undefined
    this.index?.add(block.totals(), this.position)
    return true
  }

  private startGzip(): Gzip & ZlibReset {
    const gzip = createGzip({
      level: this.options.level,
      memLevel: 9,
      flush: constants.Z_SYNC_FLUSH,
      chunkSize: PACKED_ROOM,
    })
    gzip.on('data', (bytes: Buffer) => this.packed.push(bytes))
    gzip.on('error', () => undefined) // whoever waits for the write is told
    return gzip as Gzip & ZlibReset
  }

  /** Writes all of it, trying again where it fails; false when the file was given up. */
  private async write(bytes: Buffer): Promise<boolean> {
    if (this.headerBytes === 0 && !(await this.persist(() => this.recreate()))) return false
    let offset = 0
    while (offset < bytes.length) {
      const written = await this.persist(async () => {
        offset += await this.writeSome(bytes, offset)
      })
      if (!written) return false
    }
    this.counters.bytes = this.position
    return true
  }

  private async recreate(): Promise<void> {
    await this.file?.close().catch(() => undefined) // of an attempt that failed before the header was whole
    this.file = undefined
    this.position = 0
    await this.create()
  }

  private async writeSome(bytes: Buffer, offset: number): Promise<number> {
    const { bytesWritten } = await this.file!.write(bytes, offset, bytes.length - offset, this.position)
    if (bytesWritten === 0) throw new Error('no byte of it was taken')
    this.position += bytesWritten
    return bytesWritten
  }

  /** Does a step again until it succeeds; false when the file was given up. */
  private async persist(step: () => Promise<void>): Promise<boolean> {
    while (!this.isGivenUp()) {
      try {
        await step()
        if (this.outage) this.budget.succeeded()
        this.outage = false
        return true
      } catch (cause) {
        if (!(await this.mayRetry(cause))) return false
      }
    }
    return false
  }

  private async mayRetry(cause: unknown): Promise<boolean> {
    const { clock, retry } = this.options
    if (this.isGivenUp()) return false
    if (!this.outage) {
      this.outage = true
      this.report(
        new Fault(
          'SINK_REJECTED',
          `The recording ${this.path} cannot be written: ${fileProblem(cause)} It is tried again.`,
          {
            path: this.path,
          },
          { cause },
        ),
      )
    }
    const nowUs = clock.nowUs()
    const attempt = this.budget.failed(nowUs)
    const delayMs = backoffDelayMs(attempt, retry)
    if (!this.budget.take(nowUs, delayMs)) {
      this.giveUp(
        'RETRIES_EXHAUSTED',
        `was given up after ${this.counters.retries} more attempts: ${fileProblem(cause)}`,
        cause,
      )
      return false
    }
    this.counters.retries += 1
    this.nap = new AbortController()
    // Closing has a deadline, so it does not sleep through it.
    const napMs = this.state === 'closing' ? Math.min(delayMs, this.options.closeWithinMs / 20) : delayMs
    await sleep(clock, napMs, this.nap.signal).catch(() => undefined)
    return !this.isGivenUp()
  }

  private async closeWithin(): Promise<boolean> {
    if (this.state === 'given up') return false
    const { clock, closeWithinMs } = this.options
    if (this.gap > 0) this.endGap()
    this.seal()
    this.state = 'closing'
    this.nap?.abort()
    const deadline = clock.after(closeWithinMs, () =>
      this.giveUp(
        'DEADLINE_EXCEEDED',
        `could not be finished within ${closeWithinMs} ms: what was written so far can be read`,
      ),
    )
    const ended = await Promise.race([this.finish(), this.whenGivenUp])
    deadline.cancel()
    return ended
  }

  /** Never rejects. */
  private async finish(): Promise<boolean> {
    try {
      await this.writing
      if (this.isGivenUp()) return false
      if (!(await this.endBlock())) return false
      if (this.headerBytes > 0) {
        const header = this.headerOf({
          frames: this.counters.lines,
          counts: new Map(Object.entries(this.counts).filter(([, count]) => count > 0)),
          firstT: this.firstT,
          lastT: this.firstT === undefined ? undefined : timeText({ timeUs: this.lastUs, ns: this.lastNs }),
        })
        if (header.length === this.headerBytes) {
          const { position } = this
          this.position = 0
          while (this.position < header.length) await this.writeSome(header, this.position)
          await this.index?.end(header, position)
        } else this.index?.leave()
      }
      await this.file?.close()
      return true
    } catch (cause) {
      this.giveUp('SINK_REJECTED', `could not be finished: ${fileProblem(cause)} What was written can be read.`, cause)
      return false
    }
  }

  private headerOf(totals: Parameters<typeof headerLine>[1]): Buffer {
    const line = Buffer.from(headerLine(this.header, totals), 'utf8')
    return this.options.gzip ? gzipSync(line, { level: 0 }) : line
  }

  private giveUp(
    code: 'RETRIES_EXHAUSTED' | 'DEADLINE_EXCEEDED' | 'SINK_REJECTED',
    what: string,
    cause?: unknown,
  ): void {
    if (this.isGivenUp()) return
    this.state = 'given up'
    let unwritten = this.totals.lines
    for (const { totals } of this.chunks) unwritten += totals.lines
    this.counters.lost += unwritten
    this.timer?.cancel()
    this.totals = new BlockSum()
    this.pending.cut(0)
    this.chunks.length = 0
    this.chunkBytes = 0
    this.report(new Fault(code, `The recording ${this.path} ${what}`, { path: this.path, unwritten }, { cause }))
    this.nap?.abort()
    this.gzip?.destroy()
    this.index?.leave()
    void this.file?.close().catch(() => undefined) // an operation that hangs keeps it open; nobody waits for that
    this.resolveGivenUp?.()
  }

  private get chunkRoom(): number {
    return Math.min(this.options.flushBytes, CHUNK_ROOM_MAX) + LINE_ROOM
  }

  /** Asked after a wait, when the state may be another. */
  private isGivenUp(): boolean {
    return this.state === 'given up'
  }

  private report(fault: Fault): void {
    try {
      this.options.onFault(fault)
    } catch {
      // Whoever listens for faults must not be able to stop the recording, or the connection that feeds it.
    }
  }
}

interface Chunk {
  readonly memory: LineBytes
  readonly totals: BlockSum
}

/** Under which lines are counted in the header. */
type LineKind = SessionRecord['dir'] | 'in-binary'

/** Chunks' memory that is kept for the next ones. */
const SPARE_MAX = 2
/** For what comes of a chunk of 1 MiB: each time that it does not suffice is another way to the other thread and back. */
const PACKED_ROOM = 256 * 1_024
/** A chunk is longer than `flushBytes` by its last line. */
const LINE_ROOM = 16 * 1_024
const CHUNK_ROOM_MAX = 1_024 * 1_024
