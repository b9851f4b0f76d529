/**
 * Reads a file of another recorder as batches of records, the same that one of our own gives.
 *
 * Memory  a few blocks of the file, whatever its size, and one line
 * Order   that of the lines
 * Loop    after every slice of text the event loop gets its turn
 * Gaps    a gap record stands in the place of a line that cannot be read, and of a block that is damaged
 * Faults  such a line is reported with its number, such a block with its bytes; a file that ends in the middle is read up to
 *         there and reported. Only a file that cannot be opened is an error of the iteration
 */
import { setImmediate as turn } from 'node:timers/promises'
import { Fault } from '../../../model/fault'
import type { SessionRecord } from '../../record'
import { openBlocks, type BlockPart, type FileBlocks, type FileEnd } from '../fileBlocks'
import { DONE, Turns, type RecordBatches } from '../recordBatches'
import type { ReadingCounters } from '../recordingReader'
import { WholeLines, type Lines } from '../wholeLines'
import type { LineDecoder } from './foreignFormat'

export interface ForeignReader extends RecordBatches {
  readonly path: string
  readonly counters: Readonly<ReadingCounters>
  /** What was left out on purpose so far, by reason. */
  readonly leftOut: ReadonlyMap<string, number>
  /** Bytes of the file that were read so far. */
  readonly position: number
  /**
   * Reads ahead to the first record; undefined when there is none. `next` gives it all the same.
   *
   * @throws `RECORDING_INVALID` when there is no such file
   */
  first(): Promise<SessionRecord | undefined>
}

export interface ForeignReaderOptions {
  readonly onFault: (fault: Fault) => void
  /** Bytes of the longest line that is read; a longer one is reported and skipped. Default 64 MiB. */
  readonly lineBytesMax?: number | undefined
}

export function readForeign(path: string, decoder: LineDecoder, options: ForeignReaderOptions): ForeignReader {
  return new Reader(path, decoder, options)
}

const LINE_BYTES_MAX = 64 * 1_024 * 1_024
/** Characters that are decoded before the event loop gets its turn: a tenth of a millisecond. */
const SLICE_CHARS = 16 * 1_024

class Reader implements ForeignReader {
  readonly counters: ReadingCounters = { lines: 0, records: 0, unreadable: 0, ignored: 0, lost: 0, bytes: 0 }

  private readonly turns = new Turns()
  private readonly wholeLines: WholeLines
  private blocks: FileBlocks | undefined
  private ahead: Promise<readonly BlockPart[] | FileEnd> | undefined
  private waiting: BlockPart[] = []
  private lines: Lines[] = []
  private text = ''
  private at = 0
  private firstBatch: readonly SessionRecord[] | undefined
  /** What a gap is of. */
  private lastRecord: SessionRecord | undefined
  private ended = false
  /** Of a file that is closed. */
  private endPosition = 0

  constructor(
    readonly path: string,
    private readonly decoder: LineDecoder,
    private readonly options: ForeignReaderOptions,
  ) {
    this.wholeLines = new WholeLines(options.lineBytesMax ?? LINE_BYTES_MAX)
  }

  get leftOut(): ReadonlyMap<string, number> {
    return this.decoder.leftOut
  }

  get position(): number {
    return this.blocks?.position ?? this.endPosition
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  first(): Promise<SessionRecord | undefined> {
    return this.turns.take(async () => {
      this.firstBatch ??= await this.batch()
      return this.firstBatch?.[0]
    })
  }

  next(): Promise<IteratorResult<readonly SessionRecord[], undefined>> {
    return this.turns.take(async () => {
      const ready = this.firstBatch
      this.firstBatch = undefined
      const value = ready ?? (await this.batch())
      return value === undefined ? DONE : { done: false, value }
    })
  }

  return(): Promise<IteratorResult<readonly SessionRecord[], undefined>> {
    return this.turns.take(async () => {
      await this.release()
      return DONE
    })
  }

  /** The next records; undefined at the end. */
  private async batch(): Promise<readonly SessionRecord[] | undefined> {
    try {
      while (!this.ended) {
        const out: SessionRecord[] = []
        if (this.at < this.text.length) {
          this.decodeSlice(out)
          await turn()
        } else if (!(await this.advance(out))) await this.release()
        if (out.length > 0) return out
      }
      return undefined
    } catch (error) {
      await this.release()
      throw error
    }
  }

  private decodeSlice(out: SessionRecord[]): void {
    const { text } = this
    const sliceEnd = Math.min(this.at + SLICE_CHARS, text.length)
    while (this.at < sliceEnd) {
      const lineEnd = text.indexOf('\n', this.at)
      const end = text.charCodeAt(lineEnd - 1) === 13 && lineEnd > this.at ? lineEnd - 1 : lineEnd
      const line = text.slice(this.at, end)
      this.at = lineEnd + 1
      this.decodeLine(line, out)
    }
  }

  private decodeLine(line: string, out: SessionRecord[]): void {
    this.counters.lines += 1
    const before = out.length
    const problem = this.decoder.line(line, out)
    this.counters.records += out.length - before
    if (out.length > before) this.lastRecord = out.at(-1)
    if (problem !== undefined) this.unreadable(problem, out)
  }

  /** Gets more text; false at the end of the file, whose last records are then in `out`. */
  private async advance(out: SessionRecord[]): Promise<boolean> {
    const lines = this.lines.shift()
    if (lines !== undefined) {
      this.text = lines.text ?? ''
      this.at = 0
      if (lines.text === undefined) {
        this.counters.lines += 1
        this.unreadable(lines.problem, out)
      }
      return true
    }
    const part = this.waiting.shift()
    if (part !== undefined) {
      if (part.part === 'text') {
        this.counters.bytes += part.bytes.length
        this.lines = this.wholeLines.push(part.bytes)
      } else if (part.part === 'broken') this.skip(part.offset, part.length, part.reason, out)
      return true
    }
    if (this.blocks === undefined) {
      this.blocks = await openBlocks(this.path)
      this.ahead = this.blocks.next()
    }
    const parts = await this.ahead!
    if (!('end' in parts)) {
      this.waiting = [...parts]
      this.ahead = this.blocks.next()
      return true
    }
    this.ahead = undefined
    this.finish(parts, out)
    return false
  }

  private finish(end: FileEnd, out: SessionRecord[]): void {
    const rest = this.wholeLines.rest()
    // Of a file that was cut, the last line was too: what is left of it may look whole and not be.
    const whole = end.end === 'complete'
    if (rest.trim() !== '' && whole) this.decodeLine(rest, out)
    const before = out.length
    this.decoder.end(out)
    this.counters.records += out.length - before
    if (whole) return
    const how = end.end === 'cut' ? 'ends in the middle' : `is damaged (${end.reason})`
    this.report(
      'RECORDING_CUT',
      `The file ${this.path} ${how} after line ${this.counters.lines}: everything before that was read.`,
    )
  }

  private unreadable(problem: string, out: SessionRecord[]): void {
    this.counters.unreadable += 1
    const { path, counters } = this
    this.report('RECORD_UNREADABLE', `Line ${counters.lines} of the file ${path} ${problem}: it is skipped.`)
    this.gap(1, 'a line could not be read', out)
  }

  /** A block cannot be had; what follows it can. */
  private skip(offset: number, length: number, reason: string, out: SessionRecord[]): void {
    this.wholeLines.rest() // of a line that goes on in the block
    this.report(
      'RECORDING_CUT',
      `The file ${this.path} is damaged from byte ${offset} to ${offset + length} (${reason}), after line ${this.counters.lines}: what follows was read.`,
    )
    this.gap(undefined, 'a block of the file is damaged', out)
  }

  /** Says in the place of what is missing that it is, so that nobody joins what stands around it. */
  private gap(lost: number | undefined, reason: string, out: SessionRecord[]): void {
    const last = this.lastRecord
    if (last === undefined || last.connection < 0) return
    const { timeUs, ns, connection, exchange } = last
    out.push({ timeUs, ns, connection, exchange, dir: 'gap', lost, reason })
  }

  private report(code: 'RECORD_UNREADABLE' | 'RECORDING_CUT', message: string): void {
    this.options.onFault(new Fault(code, message, { path: this.path, line: this.counters.lines }))
  }

  private async release(): Promise<void> {
    this.ended = true
    await this.ahead // never rejects
    this.ahead = undefined
    this.waiting = []
    this.lines = []
    this.text = ''
    this.at = 0
    const { blocks } = this
    this.endPosition = this.position
    this.blocks = undefined
    await blocks?.close().catch(() => undefined) // it was read only: nothing can be lost by closing it
  }
}
