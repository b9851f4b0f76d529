/**
 * A file of lines that is written behind the back of whoever appends to it: appending never waits and never throws.
 *
 * Lines are gathered into chunks; each chunk is compressed off the loop, flushed so far that it can be read back, and
 * written; only then the next one. So a process that is killed loses what was appended in the last `flushEveryMs` or
 * `flushBytes`, whichever is less (a machine that loses its power may lose more: nothing is forced to the disk).
 *
 * Holds   at most `queueBytesMax` of text. When it is full, lines are lost, counted, and stood for by one `gap` line as
 *         soon as half of it is free again: in one run rather than every other line
 * Errors  a failing disk is one fault an outage and is tried again from the byte where it failed, with backoff, until
 *         the budget is spent; then the file is given up and everything after is counted as lost
 *
 * The header stands in a gzip member of its own, stored and not compressed, so that the totals can be written into it
 * at the end without touching the rest.
 */
import { constants, createGzip, gzipSync, type Gzip } from 'node:zlib'
import { backoffDelayMs, RetryBudget, type Backoff, type Budget } from '../../clock/backoff'
import { sleep, type Clock, type Timer } from '../../clock/clock'
import { Fault, messageOf } from '../../model/fault'
import { fileProblem } from '../../model/fileFault'
import { headerLine, type NewHeader } from './recordingHeader'
import { gapLine } from './recordLine'

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
  readonly closeWithinMs: number
  readonly retry: Backoff & Budget
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
  private pending = ''
  private pendingLines = 0
  private timer: Timer | undefined
  /** The first is being written. */
  private readonly chunks: Chunk[] = []
  private chunkBytes = 0
  private writing: Promise<void> | undefined

  /** Lines lost since the last one that was taken. */
  private gap = 0
  private gapT = ''

  private readonly counts = new Map<string, number>()
  private firstT: string | undefined
  private lastT: string | undefined

  private file: WritableFile | undefined
  private position = 0
  private headerBytes = 0
  private gzip: Gzip | undefined
  private readonly packed: Buffer[] = []

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
  }

  /**
   * Takes a line.
   *
   * @param line  with its line end
   * @param kind  under which it is counted in the header
   * @param t     its time, as written
   * @returns     false when it was lost
   */
  append(line: string, kind: string, t: string): boolean {
    if (this.state !== 'open') {
      this.counters.lost += 1
      return false
    }
    const { queueBytesMax } = this.options
    const held = this.chunkBytes + this.pending.length
    if (this.gap > 0 && held <= queueBytesMax / 2 && line.length <= queueBytesMax / 2) this.endGap()
    if (this.gap > 0 || held + line.length > queueBytesMax) {
      this.lose(t)
      return false
    }
    this.take(line, kind, t)
    return true
  }

  /** Writes what is left, the totals and the end. Resolves with true when all of it is in the file; never rejects. */
  close(): Promise<boolean> {
    this.closing ??= this.closeWithin()
    return this.closing
  }

  private take(line: string, kind: string, t: string): void {
    this.counters.lines += 1
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1)
    this.firstT ??= t
    this.lastT = t
    this.pending += line
    this.pendingLines += 1
    if (this.pending.length >= this.options.flushBytes) this.seal()
    else this.timer ??= this.options.clock.after(this.options.flushEveryMs, () => this.seal())
  }

  private lose(t: string): void {
    this.counters.lost += 1
    this.gap += 1
    this.gapT = t
    if (this.gap > 1) return
    this.report(
      new Fault(
        'EDGE_FULL',
        `The recording ${this.path} is losing lines: the disk is slower than they come, and ${this.options.queueBytesMax} bytes of them wait. It notes how many are missing; record fewer channels, or on a faster disk.`,
        { path: this.path, queueBytesMax: this.options.queueBytesMax },
      ),
    )
  }

  private endGap(): void {
    const { gap, gapT } = this
    this.gap = 0
    this.take(gapLine(gapT, gap), 'gap', gapT)
  }

  private seal(): void {
    this.timer?.cancel()
    this.timer = undefined
    if (this.pendingLines === 0) return
    const bytes = Buffer.from(this.pending, 'utf8')
    this.chunks.push({ bytes, lines: this.pendingLines })
    this.chunkBytes += bytes.length
    this.pending = ''
    this.pendingLines = 0
    this.writing ??= this.writeChunks()
  }

  /** Never rejects. */
  private async writeChunks(): Promise<void> {
    try {
      for (let chunk = this.chunks[0]; chunk !== undefined; chunk = this.chunks[0]) {
        const packed = this.options.gzip ? await this.pack(chunk.bytes) : [chunk.bytes]
        for (const bytes of packed) {
          if (!(await this.write(bytes))) return
        }
        this.chunks.shift()
        this.chunkBytes -= chunk.bytes.length
      }
    } catch (cause) {
      this.giveUp('SINK_REJECTED', `cannot go on: ${messageOf(cause)}`, cause)
    } finally {
      this.writing = undefined
    }
  }

  /** Compresses, and flushes so far that a reader gets every line of the chunk. */
  private pack(bytes: Buffer): Promise<readonly Buffer[]> {
    const gzip = (this.gzip ??= this.startGzip())
    return new Promise((resolve, reject) => {
      gzip.write(bytes, (error) => (error ? reject(error) : resolve(this.packed.splice(0))))
    })
  }

  /** The end of the gzip member. */
  private packEnd(): Promise<readonly Buffer[]> {
    const { gzip } = this
    if (gzip === undefined) return Promise.resolve([])
    return new Promise((resolve, reject) => {
      gzip.once('end', () => resolve(this.packed.splice(0)))
      gzip.once('error', reject)
      gzip.end()
    })
  }

  private startGzip(): Gzip {
    const gzip = createGzip({ level: this.options.level, flush: constants.Z_SYNC_FLUSH, chunkSize: 64 * 1_024 })
    gzip.on('data', (bytes: Buffer) => this.packed.push(bytes))
    gzip.on('error', () => undefined) // whoever waits for the write is told
    return gzip
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
      for (const bytes of await this.packEnd()) {
        if (!(await this.write(bytes))) return false
      }
      if (this.headerBytes > 0) {
        const header = this.headerOf({
          frames: this.counters.lines,
          counts: this.counts,
          firstT: this.firstT,
          lastT: this.lastT,
        })
        if (header.length === this.headerBytes) {
          this.position = 0
          while (this.position < header.length) await this.writeSome(header, this.position)
        }
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
    let unwritten = this.pendingLines
    for (const { lines } of this.chunks) unwritten += lines
    this.counters.lost += unwritten
    this.timer?.cancel()
    this.pending = ''
    this.pendingLines = 0
    this.chunks.length = 0
    this.chunkBytes = 0
    this.report(new Fault(code, `The recording ${this.path} ${what}`, { path: this.path, unwritten }, { cause }))
    this.nap?.abort()
    this.gzip?.destroy()
    void this.file?.close().catch(() => undefined) // an operation that hangs keeps it open; nobody waits for that
    this.resolveGivenUp?.()
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
  readonly bytes: Buffer
  readonly lines: number
}
