/**
 * One file that grows by whole records.
 *
 * The length up to which the file is good is remembered, records are written from there, and what a failed write has left
 * behind is cut off before the next. After each write the path is looked up: an open handle writes happily into a file
 * that was deleted or moved, and nobody would read it there.
 */
import { constants } from 'node:fs'
import { mkdir, open, realpath, rename, stat, type FileHandle } from 'node:fs/promises'
import path from 'node:path'
import type { Clock } from '../../clock/clock'
import { Fault } from '../../model/fault'
import { errnoOf, fileFault } from '../../model/fileFault'
import type { ByteDigest } from './byteDigest'
import { endingOf, firstFrame, wholeFrames, type Codec } from './compression'
import { lineBlocks, partEnd } from './lineBlocks'
import { highestNumber, numbered } from './numberedFiles'
import type { SinkCounters } from '../sink'

/** What all files of a sink have in common. */
export interface FileRules {
  readonly sink: string
  readonly counters: SinkCounters
  readonly clock: Clock
  readonly maxBytes: number
  readonly everyUs: number
  readonly durable: boolean
  readonly codec: Codec | undefined
  /** `rows` may hold line breaks between quotes, and end in CRLF. */
  readonly records: 'lines' | 'rows'
  /** Takes the text as it stood before it was compressed. */
  readonly digest: ByteDigest | undefined
  /** The folder that no symbolic link may lead out of; undefined where the path was given, not made. */
  readonly within: string | undefined
}

/** Records for one file, and how many of them stand there. */
export interface FileWork {
  readonly records: readonly string[]
  done: number
}

export class GrowingFile {
  private file: FileHandle | undefined
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
  /** The next record has no room in it. */
  private isFull = false
  private readonly lineEnd: string

  /** @param header  asked for when the first record of a file is written; empty where there is none */
  constructor(
    private readonly rules: FileRules,
    readonly location: string,
    private readonly header: () => string,
  ) {
    this.lineEnd = rules.records === 'rows' ? '\r\n' : '\n'
  }

  get isOpen(): boolean {
    return this.file !== undefined
  }

  /**
   * Opens the file if it is not open: the first time as it is told, later where it stood.
   *
   * @throws `OPTION_INVALID` when a symbolic link leads out of the output folder
   */
  async open(continued: boolean): Promise<void> {
    await this.guarded(() => this.ready(continued))
  }

  /**
   * Appends what is left of `work`. All of it is at the path when this resolves; when it rejects, `done` says how much is, and
   * the same work offered again goes on behind it.
   */
  async append(work: FileWork): Promise<void> {
    await this.guarded(async () => {
      await this.ready(true)
      await this.rotateByTime()
      while (work.done < work.records.length) {
        if (this.rules.codec === undefined) await this.putRecords(work)
        else await this.putFrames(work, this.rules.codec)
        if (work.done < work.records.length && this.isFull) await this.rotate()
      }
    })
  }

  /** The first bytes of text of a file that is continued, at most `limit`; empty for a new file. */
  async beginning(limit: number): Promise<string> {
    return await this.guarded(async () => {
      const file = await this.ready(true)
      if (this.rules.codec !== undefined) {
        return (await firstFrame(file, this.length, this.rules.codec)).toString('utf8', 0, limit)
      }
      const buffer = Buffer.alloc(Math.min(limit, this.length))
      const { bytesRead } = await file.read(buffer, 0, buffer.length, 0)
      return buffer.toString('utf8', 0, bytesRead)
    })
  }

  /** Flushes to the disk and lets go of the file, which may be opened again. */
  async close(): Promise<void> {
    const file = this.file
    if (file === undefined) return
    await this.guarded(async () => {
      await file.sync()
      this.file = undefined
      await file.close()
    })
  }

  /** Lets go of the file for another one: what was written is with the operating system. */
  async release(): Promise<void> {
    const file = this.file
    this.file = undefined
    await file?.close()
  }

  private async ready(continued: boolean): Promise<FileHandle> {
    if (this.file !== undefined) return this.file
    const where = await this.where()
    const file = await this.openAt(where, !this.begun && !continued)
    try {
      const found = await file.stat()
      const identity = `${found.dev}:${found.ino}`
      this.length =
        identity === this.identity && found.size >= this.length ? this.length : await this.wholeLength(file, found.size)
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

  /** Where the file really is, its folders made. */
  private async where(): Promise<string> {
    const { within } = this.rules
    const folder = path.dirname(this.location)
    if (within === undefined) {
      await mkdir(folder, { recursive: true })
      return this.location
    }
    await mkdir(within, { recursive: true })
    const root = await realpath(within)
    // Looked at before folders are made: they would be made where the link leads.
    await this.checkLinks(root, folder)
    await mkdir(folder, { recursive: true })
    const real = path.join(await realpath(folder), path.basename(this.location))
    return (await this.checkLinks(root, real)) ?? real
  }

  /** @returns the place that exists of `target`, when the whole of it does */
  private async checkLinks(root: string, target: string): Promise<string | undefined> {
    for (let at = target; ; at = path.dirname(at)) {
      let real: string
      try {
        real = await realpath(at)
      } catch (cause) {
        if (errnoOf(cause) !== 'ENOENT' || path.dirname(at) === at) throw cause
        continue
      }
      const relative = path.relative(root, real)
      if (relative !== '..' && !relative.startsWith(`..${path.sep}`) && !path.isAbsolute(relative)) {
        return at === target ? real : undefined
      }
      throw new Fault(
        'OPTION_INVALID',
        `The sink ${this.rules.sink} cannot write ${this.location}: a symbolic link leads out of the output folder, to ${real}. Take it away, or choose another path.`,
        { sink: this.rules.sink, path: this.location },
      )
    }
  }

  private async openAt(where: string, replace: boolean): Promise<FileHandle> {
    // Not through a link that somebody puts there now, or that leads to nothing yet.
    const noLinks = this.rules.within === undefined ? 0 : ((constants.O_NOFOLLOW as number | undefined) ?? 0)
    const { O_RDWR, O_CREAT, O_TRUNC, O_EXCL } = constants
    if (replace) return await open(where, O_RDWR | O_CREAT | O_TRUNC | noLinks, FILE_MODE)
    try {
      return await open(where, O_RDWR | noLinks)
    } catch (cause) {
      if (errnoOf(cause) !== 'ENOENT') throw cause
      return await open(where, O_RDWR | O_CREAT | O_EXCL | noLinks, FILE_MODE)
    }
  }

  private async wholeLength(file: FileHandle, size: number): Promise<number> {
    const { codec, records, sink } = this.rules
    if (codec !== undefined) return await wholeFrames(sink, this.location, file, size, codec)
    return await (records === 'lines' ? wholeLines : wholeRows)(file, size)
  }

  private async putRecords(work: FileWork): Promise<void> {
    const head = this.length === 0 ? this.headerText() : ''
    const headBytes = Buffer.byteLength(head)
    const fits = this.fitting(work, headBytes)
    if (fits === work.done) return
    const { lineEnd } = this
    await this.put(plainPieces(lineBlocks(work.records, work.done, fits, { lineEnd, header: head })), headBytes)
    this.rules.counters.written += fits - work.done
    work.done = fits
  }

  private headerText(): string {
    const header = this.header()
    return header === '' ? '' : header + this.lineEnd
  }

  /** The index up to which the records that are left may stand in this file, a slice of them at a time. */
  private fitting({ records, done }: FileWork, headBytes: number): number {
    const { maxBytes } = this.rules
    this.isFull = false
    if (maxBytes === Infinity) return records.length
    const end = Math.min(records.length, done + FITTED_AT_ONCE)
    let bytes = this.length + headBytes
    for (let fits = done; fits < end; fits++) {
      bytes += Buffer.byteLength(records[fits]!) + this.lineEnd.length
      const alone = this.isEmpty && fits === done
      if (bytes <= maxBytes || alone) continue
      this.isFull = true
      return fits
    }
    return end
  }

  /** True when the file has nothing but, at most, its header. */
  private get isEmpty(): boolean {
    return this.length <= this.headed
  }

  /** Makes a few frames at once, each on a thread of its own, and writes those that the file has room for. */
  private async putFrames(work: FileWork, codec: Codec): Promise<void> {
    const head = this.length === 0 ? this.headerText() : ''
    const headFrame = head === '' ? undefined : await frameOf(codec, head, 0)
    const making: Promise<Frame>[] = []
    for (let at = work.done; at < work.records.length && making.length < FRAMES_AT_ONCE;) {
      const next = partEnd(work.records, at, work.records.length, codec.frameBytes, this.lineEnd)
      making.push(frameOf(codec, work.records.slice(at, next).join(this.lineEnd) + this.lineEnd, next - at))
      at = next
    }
    const frames = await Promise.all(making)
    const headBytes = headFrame?.bytes.length ?? 0
    let bytes = this.length + headBytes
    let fits = 0
    for (const frame of frames) {
      bytes += frame.bytes.length
      if (bytes > this.rules.maxBytes && !(this.isEmpty && fits === 0)) break
      fits++
    }
    this.isFull = fits < frames.length
    if (fits === 0) return
    const kept = frames.slice(0, fits)
    await this.put(headFrame === undefined ? kept : [headFrame, ...kept], headBytes)
    const count = kept.reduce((sum, { records }) => sum + records, 0)
    this.rules.counters.written += count
    work.done += count
  }

  /** Writes at the good length, checks that it stands at the path, and only then moves the good length on. */
  private async put(pieces: Iterable<Piece>, headerBytes: number): Promise<void> {
    const file = await this.ready(true)
    const { digest, counters, durable, sink } = this.rules
    const digested = digest?.fork()
    let end = this.length
    for (const { bytes, text } of pieces) {
      for (let done = 0; done < bytes.length;) {
        done += (await file.write(bytes, done, bytes.length - done, end + done)).bytesWritten
      }
      digested?.update(text)
      end += bytes.length
    }
    if (durable) await file.datasync()
    const found = await stat(this.location)
    if (`${found.dev}:${found.ino}` !== this.identity) {
      throw new Fault(
        'SINK_REJECTED',
        `The sink ${sink} cannot write ${this.location}: the file was moved or replaced while it was being written. It is begun again there.`,
        { sink, path: this.location },
      )
    }
    if (headerBytes > 0) this.headed = headerBytes
    counters.bytes += end - this.length
    this.length = end
    if (digested !== undefined) digest?.replaceBy(digested)
    this.period ??= this.periodNow()
  }

  private periodNow(): number {
    return Math.floor(this.rules.clock.nowUs() / this.rules.everyUs)
  }

  private async rotateByTime(): Promise<void> {
    if (this.rules.everyUs === Infinity) return
    if (this.period !== undefined && this.period !== this.periodNow() && !this.isEmpty) await this.rotate()
  }

  private async rotate(): Promise<void> {
    const file = await this.ready(true)
    await file.sync()
    const packing = endingOf(this.location)?.ending
    const number = (this.lastNumber ?? (await highestNumber(this.location, packing))) + 1
    await rename(this.location, numbered(this.location, number, packing))
    this.lastNumber = number
    this.file = undefined
    this.identity = undefined
    this.length = 0
    this.headed = 0
    this.period = undefined
    await file.close()
    await this.ready(true)
  }

  /** After any failure the handle is let go: the next attempt opens the path anew and cuts off what is not whole. */
  private async guarded<R>(action: () => Promise<R>): Promise<R> {
    try {
      return await action()
    } catch (cause) {
      const file = this.file
      this.file = undefined
      await file?.close().catch(() => undefined)
      throw fileFault(this.rules.sink, this.location, cause)
    }
  }
}

/** Bytes to be written, and the text that they stand for. */
interface Piece {
  readonly bytes: Buffer
  readonly text: Buffer
}

interface Frame extends Piece {
  readonly records: number
}

function* plainPieces(blocks: Iterable<Buffer>): Iterable<Piece> {
  for (const bytes of blocks) yield { bytes, text: bytes }
}

async function frameOf(codec: Codec, text: string, records: number): Promise<Frame> {
  const plain = Buffer.from(text)
  return { bytes: await codec.compress(plain), text: plain, records }
}

const FILE_MODE = 0o666
/** Records whose room is looked for before others have their turn: about a millisecond. */
const FITTED_AT_ONCE = 4_096
/** One less than there are threads by default: what else the process reads and writes finds one. */
const FRAMES_AT_ONCE = 3

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
