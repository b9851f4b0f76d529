/**
 * Reads a recording as batches of records: the same values that a live connection gives.
 *
 * Truth   ../shared/fixtures/recorded/README.md
 * Memory  a few blocks of the file, whatever its size, and one line
 * Order   that of the lines, which is the true one also where `t` repeats or goes back
 * Loop    after every slice of text (16 KiB, some 50 frames) the event loop gets its turn; a single line of megabytes
 *         is parsed in one piece all the same
 * Faults  a line that cannot be read is reported with its number and skipped; a file that ends in the middle is read up
 *         to there and reported. Only a file that is no recording at all is an error of the iteration.
 */
import { setImmediate as turn } from 'node:timers/promises'
import type { CounterSpecs } from '../../metrics/counters'
import { Fault, messageOf } from '../../model/fault'
import type { SessionRecord } from '../record'
import { ConnectionVenues } from './connectionVenues'
import { openBlocks, type FileBlocks, type FileEnd } from './fileBlocks'
import { DONE, Turns, type RecordBatches } from './recordBatches'
import { invalid, parseHeader, SEVERAL, type RecordingHeader } from './recordingHeader'
import { isNoRecord, recordOf, type LineContext } from './recordLine'
import { WholeLines, type Lines } from './wholeLines'

export interface RecordingReader extends RecordBatches {
  readonly path: string
  readonly counters: Readonly<ReadingCounters>
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
  /** The number under which a connection of this file is known to the reader's user; default its own. */
  readonly renumber?: ((connection: number) => number) | undefined
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

export const READING_COUNTERS = {
  lines: { unit: 'lines', meaning: 'lines of recordings after the header' },
  records: { unit: 'records', meaning: 'records that were read from recordings' },
  unreadable: { unit: 'lines', meaning: 'lines of recordings that are broken and were skipped' },
  ignored: { unit: 'lines', meaning: 'lines of recordings of a kind that this version does not know' },
  lost: { unit: 'lines', meaning: 'lines that are missing because the recorder had no room for them' },
  bytes: { unit: 'bytes', meaning: 'text of recordings that was read, unpacked' },
} as const satisfies CounterSpecs<ReadingCounters>

/** @throws `OPTION_INVALID` for a limit that is none */
export function readRecording(path: string, options: ReadOptions): RecordingReader {
  const { lineBytesMax = LINE_BYTES_MAX } = options
  if (!(Number.isSafeInteger(lineBytesMax) && lineBytesMax > 0)) {
    throw new Fault('OPTION_INVALID', `lineBytesMax is ${lineBytesMax}; give a whole number of bytes above 0.`, {
      option: 'lineBytesMax',
      value: lineBytesMax,
    })
  }
  return new Reader(path, options, lineBytesMax)
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

class Reader implements RecordingReader, LineContext {
  readonly counters: ReadingCounters = { lines: 0, records: 0, unreadable: 0, ignored: 0, lost: 0, bytes: 0 }

  /** Calls of `next`, `header` and `return` wait for each other. */
  private readonly turns = new Turns()
  private closed = false

  private blocks: FileBlocks | undefined
  private waiting: Buffer[] = []
  /** The next blocks, unpacked on another thread while these are parsed. */
  private ahead: Promise<readonly Buffer[] | FileEnd> | undefined
  private end: FileEnd | undefined

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
  /** True when the header says that its recorder has not finished the file. */
  private unfinished = false

  constructor(
    readonly path: string,
    private readonly options: ReadOptions,
    private readonly lineBytesMax: number,
  ) {
    this.wholeLines = new WholeLines(lineBytesMax)
  }

  [Symbol.asyncIterator](): this {
    return this
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

  private async advance(): Promise<IteratorResult<readonly SessionRecord[], undefined>> {
    if (this.closed) return DONE
    await this.open()
    try {
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
        this.unreadable(lines.problem)
      }
      return true
    }
    const block = this.closed ? undefined : await this.nextBlock()
    if (block !== undefined) {
      this.counters.bytes += block.length
      this.lines = this.wholeLines.push(block)
      return true
    }
    if (this.end !== undefined) this.finish(this.end, batch)
    this.end = undefined
    return false
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
      if (!isBlank(line)) this.parseLine(line, batch)
    }
  }

  private parseLine(line: string, batch: SessionRecord[]): void {
    this.counters.lines += 1
    if (line.length > this.lineBytesMax) {
      this.unreadable(`is longer than ${this.lineBytesMax} bytes`)
      return
    }
    const result = recordOf(line, this)
    if (!isNoRecord(result)) {
      this.counters.records += 1
      batch.push(result)
      return
    }
    switch (result.kind) {
      case 'broken':
        this.unreadable(result.problem)
        return
      case 'ignored':
        this.counters.ignored += 1
        return
      case 'gap':
        this.counters.lost += result.lost
        this.report(
          'RECORD_UNREADABLE',
          `${result.lost} lines are missing from the recording ${this.path} before line ${this.lineNumber}: its recorder could not write as fast as they came. Books that they belong to must be resynchronised.`,
          { lost: result.lost },
        )
        return
      case 'header':
        this.joined(line)
    }
  }

  /** Two recordings joined into one file: the second's header holds from here on. */
  private joined(line: string): void {
    try {
      const header = parseHeader(line, this.path)
      this.counters.lines -= 1
      this.begin(header)
    } catch (error) {
      this.unreadable(`is a header that cannot be read (${messageOf(error)})`)
    }
  }

  private unreadable(problem: string): void {
    this.counters.unreadable += 1
    this.report('RECORD_UNREADABLE', `Line ${this.lineNumber} of the recording ${this.path} ${problem}: it is skipped.`)
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
    const line = this.lineNumber
    const place = cutLine ? `in the middle of line ${line}` : `after line ${line}`
    if (end.end === 'damaged') {
      this.report(
        'RECORDING_CUT',
        `The recording ${this.path} is damaged ${place} (${end.reason}): everything before it was read, and nothing behind it can be.`,
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
    this.blocks = await openBlocks(this.path)
    this.ahead = this.blocks.next()
    const parts: Buffer[] = []
    let bytes = 0
    for (;;) {
      const block = await this.nextBlock()
      if (block === undefined) {
        if (bytes > 0 && this.end?.end === 'complete') break // a header alone, which only lacks its line end
        throw invalid(this.path, this.unopenable(bytes))
      }
      const lineEnd = block.indexOf(NEWLINE)
      const part = lineEnd < 0 ? block : block.subarray(0, lineEnd)
      parts.push(part)
      bytes += part.length
      if (bytes > HEADER_BYTES_MAX)
        throw invalid(this.path, 'does not start with a header line; give a file that `millrace record` wrote')
      this.counters.bytes += part.length
      if (lineEnd < 0) continue
      this.waiting.unshift(block.subarray(lineEnd + 1))
      break
    }
    const header = parseHeader(Buffer.concat(parts).toString('utf8'), this.path)
    this.begin(header)
    return header
  }

  private unopenable(bytes: number): string {
    if (this.end?.end === 'damaged')
      return `cannot be read (${this.end.reason}); fetch it again from where it came from`
    if (this.end?.end === 'complete' && bytes === 0) return 'is empty; record it again'
    return 'ends within its first line, so nothing of it can be read; fetch it again from where it came from'
  }

  private begin(header: RecordingHeader): void {
    this.venues = new ConnectionVenues(header.venue)
    this.unfinished = !header.ended
    this.promised =
      this.promised === undefined || header.frames === undefined ? undefined : this.promised + header.frames
  }

  /** The next bytes of the file; undefined at its end, which is then known. */
  private async nextBlock(): Promise<Buffer | undefined> {
    while (this.waiting.length === 0) {
      if (this.ahead === undefined) return undefined
      const blocks = await this.ahead
      if ('end' in blocks) {
        this.ahead = undefined
        this.end = blocks
        return undefined
      }
      this.waiting = [...blocks]
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
