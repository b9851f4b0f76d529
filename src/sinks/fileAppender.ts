/**
 * A file that grows by whole records: what `jsonLines` and `csv` share.
 *
 * Whole records only: the length up to which the file is good is remembered, every batch is written from there, and what
 * a failed write has left behind is cut off before the next. After each batch the path is looked up: an open handle
 * writes happily into a file that was deleted or moved, and nobody would read it there.
 *
 * Rotation: the growing file is always `bars.jsonl`. A finished one is renamed `bars.000001.jsonl`, `bars.000002.jsonl`
 * and so on, above the highest number in the folder: a finished file is never replaced. By size, a record that would make
 * the file larger than `bytes` begins the next one (a record larger than that has a file to itself), whatever the batches,
 * so that a replay cuts where the run did. By time, the first batch after a multiple of `everyMs` since 1970 begins the
 * next one; a silent stream rotates nothing.
 *
 * Durability: a batch is with the operating system when it is acknowledged and survives the death of this process; it is
 * on the disk (fsync) when the file is rotated or closed, or after each batch with `durable`.
 */
import { open, mkdir, readdir, rename, stat, type FileHandle } from 'node:fs/promises'
import path from 'node:path'
import type { Clock } from '../clock/clock'
import { Fault } from '../model/fault'
import { errnoOf, fileFault } from '../model/fileFault'
import { ByteDigest } from './byteDigest'
import { resolveOut, type SinkContext, type SinkCounters } from './sink'

export interface AppendOptions {
  /** Goes on after what the file holds. Default: a file that is there when the run begins is replaced. */
  readonly append?: boolean
  readonly rotate?: { readonly bytes?: number; readonly everyMs?: number }
  /** Waits for the disk after each batch: survives a power cut, at milliseconds a batch. */
  readonly durable?: boolean
}

export class FileAppender {
  readonly digest = new ByteDigest()
  private readonly maxBytes: number
  private readonly everyUs: number
  private readonly lineEnd: string
  private file: FileHandle | undefined
  private resolved: string | undefined
  private clock: Clock | undefined
  /** True once this run has its file: from then on it is continued, never replaced. */
  private begun = false
  /** Which file is ours, so that another one of the same name is not cut to our length. */
  private identity: string | undefined
  /** The file is good up to here. */
  private length = 0
  /** Bytes of the header, if this file has one. */
  private headed = 0
  private period: number | undefined
  private lastNumber: number | undefined
  /** The batch of which some records are in finished files already, and how many. */
  private begunBatch: readonly unknown[] | undefined
  private begunRecords = 0

  /** @param csv  records may hold line breaks between quotes; `header` is asked for when a file's first record is written */
  constructor(
    private readonly sink: string,
    private readonly sinkPath: string,
    private readonly options: AppendOptions,
    private readonly counters: SinkCounters,
    private readonly csv?: { readonly header: () => string },
  ) {
    this.lineEnd = csv === undefined ? '\n' : '\r\n'
    this.maxBytes = positive(sink, 'rotate.bytes', options.rotate?.bytes)
    this.everyUs = positive(sink, 'rotate.everyMs', options.rotate?.everyMs) * 1_000
  }

  /** Where the file is; known once it was opened. */
  get location(): string {
    return this.resolved ?? this.sinkPath
  }

  /** True when the file has nothing but, at most, its header. */
  get empty(): boolean {
    return this.length <= this.headed
  }

  async open({ outDir, clock, resume }: SinkContext): Promise<void> {
    if (resume !== true) this.beginAnew()
    this.resolved = resolveOut(this.sinkPath, outDir)
    this.clock = clock
    await this.guarded(() => this.ready())
  }

  /**
   * Appends the records of a batch, each followed by a line end. All are at the path when this resolves; when it rejects, those
   * in files that were finished on the way are, and the same batch offered again goes on behind them.
   */
  async append(batch: readonly unknown[], records: readonly string[]): Promise<void> {
    if (records.length === 0) return
    let at = batch === this.begunBatch ? this.begunRecords : 0
    await this.guarded(async () => {
      await this.ready()
      await this.rotateByTime()
      while (at < records.length) {
        const head = this.length === 0 && this.csv !== undefined ? this.csv.header() + this.lineEnd : ''
        const fits = this.fitting(records, at, Buffer.byteLength(head))
        if (fits > at) {
          const chunk = at === 0 && fits === records.length ? records : records.slice(at, fits)
          await this.put(head + chunk.join(this.lineEnd) + this.lineEnd, Buffer.byteLength(head))
          this.counters.written += fits - at
          at = fits
        }
        if (at < records.length) {
          this.begunBatch = batch
          this.begunRecords = at
          await this.rotate()
        }
      }
    })
    this.begunBatch = undefined
  }

  /** The index up to which records, from `at` on, may stand in this file. */
  private fitting(records: readonly string[], at: number, headBytes: number): number {
    if (this.maxBytes === Infinity) return records.length
    let bytes = this.length + headBytes
    for (let fits = at; fits < records.length; fits++) {
      bytes += Buffer.byteLength(records[fits]!) + this.lineEnd.length
      const alone = this.empty && fits === at
      if (bytes > this.maxBytes && !alone) return fits
    }
    return records.length
  }

  /** The first bytes of a file that is continued, at most `limit`; empty for a new file. */
  async beginning(limit: number): Promise<string> {
    return await this.guarded(async () => {
      const file = await this.ready()
      const buffer = Buffer.alloc(Math.min(limit, this.length))
      const { bytesRead } = await file.read(buffer, 0, buffer.length, 0)
      return buffer.toString('utf8', 0, bytesRead)
    })
  }

  async close(): Promise<void> {
    const file = this.file
    if (file === undefined) return
    await this.guarded(async () => {
      await file.sync()
      this.file = undefined
      await file.close()
    })
  }

  private beginAnew(): void {
    this.begun = false
    this.identity = undefined
    this.length = 0
    this.headed = 0
    this.period = undefined
    this.lastNumber = undefined
    this.begunBatch = undefined
    this.digest.restart()
    this.counters.written = 0
    this.counters.bytes = 0
  }

  /** Opens the file if it is not open: the first time as the options say, later where it stood. */
  private async ready(): Promise<FileHandle> {
    if (this.file !== undefined) return this.file
    await mkdir(path.dirname(this.location), { recursive: true })
    const file = await this.openFile(!this.begun && this.options.append !== true)
    try {
      const found = await file.stat()
      const identity = `${found.dev}:${found.ino}`
      this.length =
        identity === this.identity && found.size >= this.length
          ? this.length
          : await (this.csv === undefined ? wholeLines : wholeRows)(file, found.size)
      if (found.size > this.length) await file.truncate(this.length)
      if (identity !== this.identity) this.headed = 0
      this.identity = identity
    } catch (cause) {
      await file.close().catch(() => undefined)
      throw cause
    }
    this.begun = true
    this.file = file
    return file
  }

  private async openFile(replace: boolean): Promise<FileHandle> {
    if (replace) return await open(this.location, 'w+')
    try {
      return await open(this.location, 'r+')
    } catch (cause) {
      if (errnoOf(cause) !== 'ENOENT') throw cause
      return await open(this.location, 'wx+')
    }
  }

  /** Writes at the good length, checks that it stands at the path, and only then moves the good length on. */
  private async put(text: string, headerBytes: number): Promise<void> {
    const file = await this.ready()
    const bytes = Buffer.from(text)
    let done = 0
    while (done < bytes.length) {
      const { bytesWritten } = await file.write(bytes, done, bytes.length - done, this.length + done)
      done += bytesWritten
    }
    if (this.options.durable === true) await file.datasync()
    const found = await stat(this.location)
    if (`${found.dev}:${found.ino}` !== this.identity) {
      throw new Fault(
        'SINK_REJECTED',
        `The sink ${this.sink} cannot write ${this.location}: the file was moved or replaced while it was being written. It is begun again there.`,
        { sink: this.sink, path: this.location },
      )
    }
    if (headerBytes > 0) this.headed = headerBytes
    this.length += bytes.length
    this.counters.bytes += bytes.length
    this.digest.update(bytes)
    this.period ??= this.periodNow()
  }

  private periodNow(): number {
    return Math.floor((this.clock?.nowUs() ?? 0) / this.everyUs)
  }

  private async rotateByTime(): Promise<void> {
    if (this.everyUs === Infinity) return
    if (this.period !== undefined && this.period !== this.periodNow() && !this.empty) await this.rotate()
  }

  private async rotate(): Promise<void> {
    const file = await this.ready()
    await file.sync()
    const number = (this.lastNumber ?? (await highestNumber(this.location))) + 1
    await rename(this.location, numbered(this.location, number))
    this.lastNumber = number
    this.file = undefined
    this.identity = undefined
    this.length = 0
    this.headed = 0
    this.period = undefined
    await file.close()
    await this.ready()
  }

  /** After any failure the handle is let go: the next attempt opens the path anew and cuts off what is not whole. */
  private async guarded<R>(action: () => Promise<R>): Promise<R> {
    try {
      return await action()
    } catch (cause) {
      const file = this.file
      this.file = undefined
      await file?.close().catch(() => undefined)
      throw fileFault(this.sink, this.location, cause)
    }
  }
}

function positive(sink: string, option: string, value: number | undefined): number {
  if (value === undefined) return Infinity
  if (value > 0) return value
  throw new Fault('OPTION_INVALID', `The sink ${sink} has ${option} = ${value}: it should be a number above 0.`, {
    option,
  })
}

/** `bars.jsonl`, 7 → `bars.000007.jsonl` */
function numbered(file: string, number: number): string {
  const { dir, name, ext } = path.parse(file)
  return path.join(dir, `${name}.${String(number).padStart(6, '0')}${ext}`)
}

async function highestNumber(file: string): Promise<number> {
  const { dir, name, ext } = path.parse(file)
  let highest = 0
  for (const entry of await readdir(dir)) {
    if (!entry.startsWith(`${name}.`) || !entry.endsWith(ext)) continue
    const digits = entry.slice(name.length + 1, entry.length - ext.length)
    if (/^\d{1,15}$/.test(digits)) highest = Math.max(highest, Number(digits))
  }
  return highest
}

/** The length up to the last line end: a process that died in the middle of a line has left the rest. */
async function wholeLines(file: FileHandle, size: number): Promise<number> {
  const buffer = Buffer.alloc(SCAN_BYTES)
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - buffer.length)
    const { bytesRead } = await file.read(buffer, 0, end - start, start)
    const lineEnd = buffer.subarray(0, bytesRead).lastIndexOf(LINE_FEED)
    if (lineEnd >= 0) return start + lineEnd + 1
    end = start
  }
  return 0
}

/** The same where line breaks may stand between quotes, which can only be told from the beginning. */
async function wholeRows(file: FileHandle, size: number): Promise<number> {
  const buffer = Buffer.alloc(SCAN_BYTES)
  let whole = 0
  let quoted = false
  for (let start = 0; start < size;) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, size - start), start)
    if (bytesRead === 0) break
    for (let at = 0; at < bytesRead; at++) {
      if (buffer[at] === QUOTE) quoted = !quoted
      else if (buffer[at] === LINE_FEED && !quoted) whole = start + at + 1
    }
    start += bytesRead
  }
  return whole
}

const SCAN_BYTES = 65_536
const LINE_FEED = 10
const QUOTE = 34
