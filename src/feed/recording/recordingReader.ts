/**
 * Reads a recording as batches of records: the same values that a live connection gives.
 *
 * Truth   ../shared/fixtures/recorded/README.md
 * Memory  a few blocks of the file, whatever its size, and one line
 * Order   that of the lines, which is the true one also where `t` repeats or goes back
 * Loop    after every slice of text (16 KiB, some 50 frames) the event loop gets its turn; a single line of megabytes
 *         is parsed in one piece all the same
 * Gaps    where lines are missing, because the recorder lost them, a line cannot be read or a block is damaged, a gap
 *         record stands in their place for each connection that was known by then
 * Faults  a line that cannot be read is reported with its number and skipped; so is a damaged block, with its place; a
 *         file that ends in the middle is read up to there and reported. Only a file that is no recording at all is an
 *         error of the iteration.
 * Seeking from a time: the file's index says where to begin. What is still in force then is given first, with the time
 *         one microsecond before: the openings of connections that are open, and the lists of instruments. Nothing else
 *         from before is given, so a book is silent until its next snapshot.
 */
import { readFile } from 'node:fs/promises'
import { setImmediate as turn } from 'node:timers/promises'
import { Fault, messageOf } from '../../model/fault'
import type { Lineage } from '../../model/events'
import type { GapRecord, SessionRecord } from '../record'
import { ConnectionVenues } from './connectionVenues'
import { openBlocks, statBlocks, type BlockPart, type BrokenPart, type FileBlocks, type FileEnd } from './fileBlocks'
import { parseIndex, type IndexContent } from './indexLines'
import { InForce } from './inForce'
import { DONE, Turns, type RecordBatches } from './recordBatches'
import { invalid, parseHeader, SEVERAL, type RecordingHeader } from './recordingHeader'
import { indexPathOf, openIndex, readBlock, windowOf, type RecordingBlock } from './recordingIndex'
import { frameTime, isNoRecord, MAY_BE_STATE, recordOf, type LineContext } from './recordLine'
import { WholeLines, type Lines } from './wholeLines'

export interface RecordingReader extends RecordBatches {
  readonly path: string
  readonly counters: Readonly<ReadingCounters>
  /** How far it is. */
  readonly progress: ReadingProgress
  /**
   * Opens the file and reads its first line; may be called again.
   *
   * @throws `RECORDING_INVALID` when the file is not a recording that can be read
   */
  header(): Promise<RecordingHeader>
}

export interface ReadOptions {
  /** Is told of broken lines and of lines that the recorder lost (`RECORD_UNREADABLE`), and of a cut file (`RECORDING_CUT`). */
  readonly onFault: (fault: Fault) => void
  /** Speaks of every record as of this exchange, whatever the file says. */
  readonly exchange?: string | undefined
  /** Bytes of the longest line that is read; a longer one is reported and skipped. Default 64 MiB. */
  readonly lineBytesMax?: number | undefined
  /**
   * Begins with the first record of this time or later, microseconds since 1970. Where times go back in a file, a record
   * counts as of the latest time before it.
   */
  readonly fromUs?: number | undefined
  /** Begins with this line, counting from 1, in the same way. */
  readonly fromLine?: number | undefined
  /** Ends before the first record of this time or later. */
  readonly toUs?: number | undefined
  /** Says of each record where it stands. Default false. */
  readonly lineage?: boolean | undefined
  /** Is told how far the reading of a file is that has no index, when one must be made to begin at `fromUs`. */
  readonly onProgress?: ((done: { readonly bytes: number; readonly of: number }) => void) | undefined
  /** The number under which a connection of this file is known to the reader's user; default its own. */
  readonly renumber?: ((connection: number) => number) | undefined
}

/** How far the reading of a file is, for people: by its lines where the file says how many there are, else by its bytes. */
export interface ReadingProgress {
  /** Of what is to be read, from 0 to 1. */
  readonly share: number
  /** Bytes of the file that are to be read, the measure of what it weighs among others; 0 before it is opened. */
  readonly bytes: number
}

export interface ReadingCounters {
  /** Without the header and blank lines. */
  lines: number
  records: number
  unreadable: number
  ignored: number
  /** As the recorder says itself. */
  lost: number
  /** Of text, unpacked. */
  bytes: number
}

/** @throws `OPTION_INVALID` for a limit or a time that is none */
export function readRecording(path: string, options: ReadOptions): RecordingReader {
  const { lineBytesMax = LINE_BYTES_MAX } = options
  if (!(Number.isSafeInteger(lineBytesMax) && lineBytesMax > 0)) {
    throw new Fault('OPTION_INVALID', `lineBytesMax is ${lineBytesMax}; give a whole number of bytes above 0.`, {
      option: 'lineBytesMax',
      value: lineBytesMax,
    })
  }
  checkTimes(options)
  return new Reader(path, options, lineBytesMax)
}

function checkTimes({ fromUs, toUs }: ReadOptions): void {
  for (const [option, value] of Object.entries({ fromUs, toUs })) {
    if (value === undefined || (Number.isSafeInteger(value) && value >= 0)) continue
    const message = `${option} is ${value}; give whole microseconds since 1970.`
    throw new Fault('OPTION_INVALID', message, { option, value })
  }
  if (fromUs !== undefined && toUs !== undefined && toUs <= fromUs) {
    throw new Fault('OPTION_INVALID', 'toUs is not after fromUs: nothing is between them.', { fromUs, toUs })
  }
}

/** @throws `RECORDING_INVALID` when the file is not a recording that can be read */
export async function readHeader(path: string): Promise<RecordingHeader> {
  const reader = readRecording(path, { onFault: () => undefined })
  try {
    return await reader.header()
  } finally {
    await reader.return()
  }
}

const LINE_BYTES_MAX = 64 * 1_024 * 1_024
/** A first line longer than this is no header: a file that is something else is not searched for a line end. */
const HEADER_BYTES_MAX = 4 * 1_024 * 1_024
/**
 * Characters that are parsed before the event loop gets its turn: a tenth of a millisecond. Small, because of many files
 * that are merged each holds the records of a slice.
 */
const SLICE_CHARS = 16 * 1_024
const NEWLINE = 10
/** Connections of which a gap is told; the oldest are forgotten. */
const CONNECTIONS_MAX = 65_536
const NO_TIME = -1

class Reader implements RecordingReader, LineContext {
  readonly counters: ReadingCounters = { lines: 0, records: 0, unreadable: 0, ignored: 0, lost: 0, bytes: 0 }

  /** Calls of `next`, `header` and `return` wait for each other. */
  private readonly turns = new Turns()
  private closed = false

  private blocks: FileBlocks | undefined
  private waiting: BlockPart[] = []
  /** The next parts, unpacked on another thread while these are parsed. */
  private ahead: Promise<readonly BlockPart[] | FileEnd> | undefined
  private end: FileEnd | undefined
  private isPlain = false
  /** Of the text that is being parsed. */
  private block = 0
  /** By how much the file's numbers of blocks are too low, because several broken ones were taken for one. */
  private blockShift = 0
  /** Of the next line, in the file; kept for files that are not compressed, where lineage is wanted. */
  private byteAt = 0
  private sidecar: Promise<IndexContent | undefined> | undefined

  /** Of the file, and where the reading of it began. */
  private fileBytes = 0
  private beginAt = 0
  /** The time that was met first. */
  private beganUs = NO_TIME

  /** The latest time so far; the one that counts. */
  private timeUs = NO_TIME
  private timeNs = 0
  /** What is in force, as long as no record of `fromUs` has come. */
  private before: InForce | undefined
  /** Exchanges of the connections that records came of. */
  private readonly seen = new Map<number, string>()
  private lastSeen: number | undefined

  private readonly wholeLines: WholeLines
  private lines: Lines[] = []
  /** Text of whole lines, and how far it is parsed. */
  private text = ''
  private at = 0
  /** Slices that were parsed, and those after which the event loop had its turn. */
  private slices = 0
  private turned = 0
  /** Of the line that was parsed last, counting from 1. */
  private lineNumber = 1

  private opening: Promise<RecordingHeader> | undefined
  /** The lines that the headers so far promise; undefined when one of them does not say. */
  private promised: number | undefined = 0
  private venues = new ConnectionVenues(SEVERAL)
  private sought = false
  /** True once `toUs` was reached. */
  private stopped = false
  /** True when the header says that its recorder has not finished the file. */
  private unfinished = false

  constructor(
    readonly path: string,
    private readonly options: ReadOptions,
    private readonly lineBytesMax: number,
  ) {
    this.wholeLines = new WholeLines(lineBytesMax)
    const { fromUs, fromLine } = options
    if (fromUs !== undefined || fromLine !== undefined) this.before = new InForce()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  get progress(): ReadingProgress {
    const bytes = this.fileBytes - this.beginAt
    return { share: Math.max(this.shareRead(bytes), this.shareOfTime()), bytes }
  }

  header(): Promise<RecordingHeader> {
    return this.turns.take(() => this.open())
  }

  next(): Promise<IteratorResult<readonly SessionRecord[], undefined>> {
    return this.turns.take(() => this.advance())
  }

  async return(): Promise<IteratorResult<readonly SessionRecord[], undefined>> {
    this.closed = true
    await this.turns.take(() => this.release())
    return DONE
  }

  exchangeOf(connection: number, named: string | undefined, dir: string): string | undefined {
    if (this.options.exchange !== undefined) return this.options.exchange
    if (dir === 'rest') return named ?? this.venues.ofHeader()
    const venue = named ?? this.venues.of(connection)
    if (dir === 'close') this.venues.forget(connection)
    else if (named !== undefined) this.venues.learn(connection, named)
    return venue
  }

  connectionOf(connection: number): number {
    return this.options.renumber?.(connection) ?? connection
  }

  private shareRead(bytes: number): number {
    if (this.closed) return 1
    if (this.promised !== undefined && this.promised > 0) return Math.min(1, this.counters.lines / this.promised)
    return bytes > 0 ? Math.min(1, Math.max(0, (this.blocks?.position ?? 0) - this.beginAt) / bytes) : 0
  }

  /** The end that was asked for may come long before that of the file. */
  private shareOfTime(): number {
    const { fromUs = this.beganUs } = this.options
    if (this.toUs === Infinity || this.timeUs < fromUs || fromUs === NO_TIME) return 0
    return Math.min(1, (this.timeUs - fromUs) / (this.toUs - fromUs))
  }

  private async advance(): Promise<IteratorResult<readonly SessionRecord[], undefined>> {
    if (this.closed) return DONE
    await this.open()
    try {
      if (!this.sought) await this.seek()
      for (let more = true; more;) {
        const batch: SessionRecord[] = []
        more = await this.fill(batch)
        if (this.slices !== this.turned) {
          this.turned = this.slices
          await turn()
        }
        if (batch.length > 0) return { done: false, value: batch }
      }
    } catch (error) {
      await this.release() // whoever was told of a fault threw
      throw error
    }
    await this.release()
    return DONE
  }

  /** Parses one slice of text into the batch; false at the end of the file. */
  private async fill(batch: SessionRecord[]): Promise<boolean> {
    if (this.at < this.text.length) {
      this.parseSlice(batch)
      return true
    }
    const lines = this.lines.shift()
    if (lines !== undefined) {
      this.text = lines.text ?? ''
      this.at = 0
      if (lines.text === undefined) {
        this.lineNumber += 1
        this.counters.lines += 1
        this.unreadable(lines.problem, batch)
      }
      return true
    }
    const part = this.closed ? undefined : await this.nextPart()
    if (part !== undefined) {
      if (part.part === 'text') this.push(part.number, part.bytes)
      else if (part.part === 'broken') await this.skipBroken(part, batch)
      return true
    }
    if (this.end !== undefined) this.finish(this.end, batch)
    this.end = undefined
    return false
  }

  private push(number: number, bytes: Buffer): void {
    this.block = number + this.blockShift
    this.counters.bytes += bytes.length
    this.lines = this.wholeLines.push(bytes)
  }

  private parseSlice(batch: SessionRecord[]): void {
    this.slices += 1
    const { text } = this
    const sliceEnd = Math.min(this.at + SLICE_CHARS, text.length)
    while (this.at < sliceEnd) {
      const lineEnd = text.indexOf('\n', this.at)
      const line = text.slice(this.at, lineEnd)
      this.at = lineEnd + 1
      this.lineNumber += 1
      if (this.isPlain && this.options.lineage === true) {
        this.block = windowOf(this.byteAt)
        this.byteAt += Buffer.byteLength(line) + 1
      }
      if (!isBlank(line)) this.parseLine(line, batch)
      if (this.timeUs >= this.toUs) {
        this.giveInForce(batch)
        return this.stop()
      }
    }
  }

  private parseLine(line: string, batch: SessionRecord[]): void {
    this.counters.lines += 1
    if (this.before !== undefined && this.isPassedOver(line)) return
    if (line.length > this.lineBytesMax) {
      this.unreadable(`is longer than ${this.lineBytesMax} bytes`, batch)
      return
    }
    const result = recordOf(line, this)
    if (!isNoRecord(result)) {
      this.give(result, batch)
      return
    }
    switch (result.kind) {
      case 'broken':
        this.unreadable(result.problem, batch)
        return
      case 'ignored':
        this.counters.ignored += 1
        return
      case 'gap': {
        const { lost = 0, connection, reason = 'its recorder could not write as fast as they came' } = result
        this.counters.lost += lost
        if (this.passes(result.timeUs, result.ns, batch)) {
          this.report(
            'RECORD_UNREADABLE',
            `${lost} lines are missing from the recording ${this.path} before line ${this.lineNumber}: ${reason}. Books that they belong to must be resynchronised.`,
            { lost },
          )
        }
        this.giveGaps(result.lost, reason, batch, connection === undefined ? undefined : this.connectionOf(connection))
        return
      }
      case 'header':
        this.joined(line, batch)
    }
  }

  /** True of a frame from before the time that is asked for, which need not be parsed. Most are; moves the time on. */
  private isPassedOver(line: string): boolean {
    const { fromUs } = this.options
    if (fromUs === undefined || this.venues.ofHeader() === undefined) return false
    const time = frameTime(line)
    if (time === undefined || time.timeUs >= fromUs) return false
    if (time.timeUs > this.timeUs) this.timeUs = time.timeUs
    return true
  }

  /** Passes a record on, unless its time is outside of what is asked for. */
  private give(record: SessionRecord, batch: SessionRecord[]): void {
    const { connection } = record
    if (connection !== this.lastSeen && connection >= 0) this.see(connection, record.exchange)
    if (record.dir === 'close') this.seen.delete(this.forgetLast(connection))
    const placed = this.options.lineage === true ? { ...record, lineage: this.place() } : record
    if (!this.passes(record.timeUs, record.ns, batch)) {
      this.before?.take(placed)
      return
    }
    this.counters.records += 1
    batch.push(placed)
  }

  private see(connection: number, exchange: string): void {
    if (this.seen.size >= CONNECTIONS_MAX && !this.seen.has(connection)) {
      const [oldest] = this.seen.keys()
      this.seen.delete(oldest!)
    }
    this.seen.set(connection, exchange)
    this.lastSeen = connection
  }

  private forgetLast(connection: number): number {
    this.lastSeen = undefined
    return connection
  }

  private place(): Lineage {
    return { file: this.path, block: this.block, line: this.lineNumber }
  }

  /** Moves the time on. True when what happened then is asked for; the first such gives what was in force until then. */
  private passes(timeUs: number, ns: number, batch: SessionRecord[]): boolean {
    if (this.beganUs === NO_TIME) this.beganUs = timeUs
    if (timeUs > this.timeUs || (timeUs === this.timeUs && ns > this.timeNs)) {
      this.timeUs = timeUs
      this.timeNs = ns
    }
    if (this.timeUs >= this.toUs) return false
    const { before } = this
    if (before === undefined) return true
    const { fromUs = NO_TIME, fromLine = 0 } = this.options
    if (this.timeUs < fromUs || this.lineNumber < fromLine) return false
    this.giveInForce(batch)
    return true
  }

  private giveInForce(batch: SessionRecord[]): void {
    const { before } = this
    const { fromUs = this.timeUs } = this.options
    this.before = undefined
    for (const record of before?.records(Math.max(0, fromUs - 1)) ?? []) {
      this.counters.records += 1
      batch.push(record)
    }
  }

  /** Lines are missing: of a connection, or of all that are known. */
  private giveGaps(lost: number | undefined, reason: string, batch: SessionRecord[], only?: number): void {
    if (this.before !== undefined || this.timeUs >= this.toUs) return
    const { timeNs: ns } = this
    const timeUs = Math.max(this.timeUs, 0)
    for (const [connection, exchange] of this.seen) {
      if (only !== undefined && only !== connection) continue
      const gap: GapRecord = { timeUs, ns, connection, exchange, dir: 'gap', lost, reason }
      batch.push(this.options.lineage === true ? { ...gap, lineage: this.place() } : gap)
    }
  }

  private get toUs(): number {
    return this.options.toUs ?? Infinity
  }

  /** All that was asked for has been given. */
  private stop(): void {
    this.text = ''
    this.at = 0
    this.lines = []
    this.waiting = []
    this.end = undefined
    this.stopped = true
  }

  /** Two recordings joined into one file: the second's header holds from here on. */
  private joined(line: string, batch: SessionRecord[]): void {
    try {
      const header = parseHeader(line, this.path)
      this.counters.lines -= 1
      this.begin(header)
    } catch (error) {
      this.unreadable(`is a header that cannot be read (${messageOf(error)})`, batch)
    }
  }

  private unreadable(problem: string, batch: SessionRecord[]): void {
    this.counters.unreadable += 1
    if (this.before === undefined) {
      const message = `Line ${this.lineNumber} of the recording ${this.path} ${problem}: it is skipped.`
      this.report('RECORD_UNREADABLE', message)
    }
    this.giveGaps(1, `line ${this.lineNumber} of it ${problem}`, batch)
  }

  /** A damaged block: what follows it is read. The index, where there is one, tells how many lines are lost with it. */
  private async skipBroken(
    { number, offset, length, reason, given }: BrokenPart,
    batch: SessionRecord[],
  ): Promise<void> {
    this.wholeLines.rest() // of a line that began before it
    const block = number + this.blockShift
    const next = (await this.readSidecar())?.blocks.find((one) => one.offset === offset + length)
    const lost = next === undefined ? undefined : Math.max(0, next.firstLine - 1 - this.lineNumber)
    const lines = lost === undefined ? 'an unknown number of lines' : `${lost} lines`
    const unchecked = given ? ' Text of it was given before that was known.' : ''
    this.report(
      'RECORD_UNREADABLE',
      `Block ${block} of the recording ${this.path} is damaged (${reason}): its bytes ${offset} to ${offset + length - 1}, ${lines} after line ${this.lineNumber}, are skipped.${unchecked} Books that they belong to must be resynchronised.`,
      { block, offset, bytes: length, lost },
    )
    this.counters.lost += lost ?? 0
    if (next !== undefined) {
      this.lineNumber = next.firstLine - 1
      this.blockShift = next.number - (number + 1)
    }
    this.promised = undefined
    this.giveGaps(lost, `block ${block} of it is damaged (${reason})`, batch)
  }

  private readSidecar(): Promise<IndexContent | undefined> {
    this.sidecar ??= readFile(indexPathOf(this.path), 'utf8').then(parseIndex, () => undefined)
    return this.sidecar
  }

  /** Goes to where `fromUs` is, past what is in force until then. */
  private async seek(): Promise<void> {
    this.sought = true
    if (this.before === undefined) return
    const { fromUs = NO_TIME, fromLine = 0, onFault, onProgress } = this.options
    const index = await openIndex(this.path, { onFault, onProgress })
    if (index.blocks.length === 0) return
    const at = Math.max(index.find(fromUs), index.findLine(fromLine))
    const target = index.blocks[at]
    // The first block may have records behind the header: it has been opened already.
    if (target?.number === this.block) return
    for (const block of index.blocks.slice(0, at)) {
      if (this.closed) return
      if (block.state > 0) await this.takeState(block)
    }
    await this.ahead
    await this.blocks?.close().catch(() => undefined) // it was read only
    const { number, offset, firstLine } = target ?? after(index.blocks)
    this.waiting = []
    this.lines = []
    this.text = ''
    this.at = 0
    this.wholeLines.rest()
    this.lineNumber = firstLine - 1
    this.byteAt = offset
    this.beginAt = offset
    this.blockShift = 0
    this.promised = undefined
    this.blocks = await openBlocks(this.path, { from: { offset, number } })
    this.ahead = this.blocks.next()
  }

  /** Reads a block from before the time that is asked for, for the sake of the lines in it that stay in force. */
  private async takeState(block: RecordingBlock): Promise<void> {
    let text: string
    try {
      text = (await readBlock(this.path, block)).toString('utf8')
    } catch (error) {
      this.options.onFault(error as Fault)
      return
    }
    this.block = block.number
    this.lineNumber = block.firstLine - 1
    for (let at = 0; at < text.length;) {
      const lineEnd = text.indexOf('\n', at)
      const line = text.slice(at, lineEnd)
      at = lineEnd + 1
      this.lineNumber += 1
      if (!MAY_BE_STATE.test(line)) continue
      const result = recordOf(line, this)
      if (isNoRecord(result)) continue
      if (result.connection >= 0) this.see(result.connection, result.exchange)
      if (result.dir === 'close') this.seen.delete(this.forgetLast(result.connection))
      this.before?.take(this.options.lineage === true ? { ...result, lineage: this.place() } : result)
    }
  }

  /** What is left when the bytes have ended: perhaps a last line, and a word about how they ended. */
  private finish(end: FileEnd, batch: SessionRecord[]): void {
    const rest = this.wholeLines.rest()
    let cutLine = false
    if (!isBlank(rest)) {
      this.lineNumber += 1
      cutLine = !isJson(rest)
      if (!cutLine) this.parseLine(rest, batch) // it only lacks its line end
    }
    this.giveInForce(batch) // also where no record of that time followed: lists of instruments are often the last answers
    const line = this.lineNumber
    const place = cutLine ? `in the middle of line ${line}` : `after line ${line}`
    if (end.end === 'damaged') {
      this.report(
        'RECORDING_CUT',
        `The recording ${this.path} is damaged ${place} (${end.reason}): everything before it was read, and nothing behind it can be.`,
        { block: end.number + this.blockShift, offset: end.offset },
      )
    } else if (end.end === 'cut' || cutLine) {
      this.report(
        'RECORDING_CUT',
        `The recording ${this.path} ends ${place}, as when its recorder is killed: everything before that was read.`,
      )
    } else if (this.unfinished) {
      this.report(
        'RECORDING_CUT',
        `The recording ${this.path} was not finished by its recorder, as when that is killed: all ${this.counters.lines} lines of it were read, and a few may be missing at the end.`,
      )
    } else if (this.promised !== undefined && this.counters.lines < this.promised) {
      this.report(
        'RECORDING_CUT',
        `The recording ${this.path} has ${this.counters.lines} of the ${this.promised} lines that its header promises: it was cut or edited. All of them were read.`,
        { promised: this.promised },
      )
    }
  }

  private report(
    code: 'RECORD_UNREADABLE' | 'RECORDING_CUT',
    message: string,
    details: Record<string, unknown> = {},
  ): void {
    this.options.onFault(new Fault(code, message, { path: this.path, line: this.lineNumber, ...details }))
  }

  private open(): Promise<RecordingHeader> {
    this.opening ??= this.readFirstLine().catch(async (error: unknown) => {
      await this.release()
      throw error
    })
    return this.opening
  }

  private async readFirstLine(): Promise<RecordingHeader> {
    if (this.closed) throw invalid(this.path, 'was closed before it was read; read it anew')
    const { gzip, bytes: fileBytes } = await statBlocks(this.path)
    this.isPlain = !gzip
    this.fileBytes = fileBytes
    this.blocks = await openBlocks(this.path)
    this.ahead = this.blocks.next()
    const parts: Buffer[] = []
    let bytes = 0
    for (;;) {
      const part = await this.nextPart()
      if (part === undefined) {
        if (bytes > 0 && this.end?.end === 'complete') break // a header alone, which only lacks its line end
        const saved = await this.savedHeader(this.end?.end === 'damaged' ? this.end : undefined)
        if (bytes > 0 || saved === undefined) throw invalid(this.path, this.unopenable(bytes))
        return saved
      }
      if (part.part === 'whole') continue
      if (part.part === 'broken') {
        const saved = bytes > 0 ? undefined : await this.savedHeader(part)
        if (saved === undefined) throw invalid(this.path, damagedAtStart(part.reason))
        await this.skipBroken(part, [])
        return saved
      }
      const { number } = part
      const lineEnd = part.bytes.indexOf(NEWLINE)
      const piece = lineEnd < 0 ? part.bytes : part.bytes.subarray(0, lineEnd)
      parts.push(piece)
      bytes += piece.length
      if (bytes > HEADER_BYTES_MAX)
        throw invalid(this.path, 'does not start with a header line; give a file that `millrace record` wrote')
      this.counters.bytes += piece.length
      if (lineEnd < 0) continue
      this.block = number
      this.waiting.unshift({ part: 'text', number, bytes: part.bytes.subarray(lineEnd + 1) })
      break
    }
    this.byteAt = bytes + 1
    const header = parseHeader(Buffer.concat(parts).toString('utf8'), this.path)
    this.begin(header)
    return header
  }

  /** The header of a file whose first block is damaged: from the index, or as it can still be read in what is left. */
  private async savedHeader(
    broken: { readonly suspect: readonly Buffer[] } | undefined,
  ): Promise<RecordingHeader | undefined> {
    if (broken === undefined) return undefined
    const suspect = Buffer.concat(broken.suspect).toString('utf8').split('\n', 1)[0]!
    const sidecar = await this.readSidecar()
    for (const text of [sidecar?.header, suspect]) {
      if (text === undefined) continue
      try {
        const said = parseHeader(text, this.path)
        // The index took the header down when the recording began.
        const header = { ...said, ended: said.ended || sidecar?.ended !== undefined }
        this.begin(header)
        return header
      } catch {
        // Then this one cannot be had, either.
      }
    }
    return undefined
  }

  private unopenable(bytes: number): string {
    if (this.end?.end === 'damaged') return damagedAtStart(this.end.reason)
    if (this.end?.end === 'complete' && bytes === 0) return 'is empty; record it again'
    return 'ends within its first line, so nothing of it can be read; fetch it again from where it came from'
  }

  private begin(header: RecordingHeader): void {
    this.venues = new ConnectionVenues(header.venue)
    this.unfinished = !header.ended
    this.promised =
      this.promised === undefined || header.frames === undefined ? undefined : this.promised + header.frames
  }

  /** The next part of the file; undefined at its end, which is then known. */
  private async nextPart(): Promise<BlockPart | undefined> {
    while (this.waiting.length === 0) {
      if (this.ahead === undefined || this.stopped) return undefined
      const parts = await this.ahead
      if ('end' in parts) {
        this.ahead = undefined
        this.end = parts
        return undefined
      }
      this.waiting = [...parts]
      this.ahead = this.blocks!.next()
    }
    return this.waiting.shift()
  }

  private async release(): Promise<void> {
    this.closed = true
    await this.ahead // never rejects
    this.ahead = undefined
    this.waiting = []
    this.lines = []
    this.text = ''
    const { blocks } = this
    this.blocks = undefined
    await blocks?.close().catch(() => undefined) // it was read only: nothing can be lost by closing it
  }
}

function damagedAtStart(reason: string): string {
  return `cannot be read (${reason}); fetch it again from where it came from`
}

/** Where a block behind all others would begin. */
function after(blocks: readonly RecordingBlock[]): Pick<RecordingBlock, 'number' | 'offset' | 'firstLine'> {
  const last = blocks.at(-1)
  if (last === undefined) return { number: 0, offset: 0, firstLine: 1 }
  return { number: last.number + 1, offset: last.offset + last.length, firstLine: last.firstLine + last.lines }
}

function isBlank(line: string): boolean {
  return line.length < 3 && line.trim() === ''
}

function isJson(line: string): boolean {
  try {
    JSON.parse(line)
    return true
  } catch {
    return false
  }
}
