/**
 * Writes the index of a recording while that is being recorded. A block is noted once all of it was handed to the file
 * system, so that an index never promises what is not there; some blocks at once, because whoever opens an index reads
 * what it lacks from the recording.
 *
 * Errors  an index can be made again from its recording, so nothing about it ever stops one: what fails is one fault, and
 *         the index ends there
 */
import { createHash } from 'node:crypto'
import path from 'node:path'
import { gunzipSync } from 'node:zlib'
import { Fault } from '../../model/fault'
import { fileProblem } from '../../model/fileFault'
import type { BlockTotals } from './blockSum'
import { blockLine, endLine, indexHeaderLine } from './indexLines'
import type { WritableFile } from './lineFile'
import { indexPathOf, type RecordingBlock } from './recordingIndex'

export interface IndexFileOptions {
  /** Opens the file for writing, empty. */
  readonly openFile: (path: string) => Promise<WritableFile>
  readonly onFault: (fault: Fault) => void
}

export class IndexFile {
  private readonly path: string
  /** Lines that are not written yet. */
  private pending = ''
  private pendingBlocks = 0
  private writing: Promise<void> | undefined
  private file: WritableFile | undefined
  private position = 0
  private failed = false

  /** Of the next block. */
  private number = 0
  private line = 1
  private offset = 0

  constructor(
    private readonly recording: string,
    private readonly options: IndexFileOptions,
  ) {
    this.path = indexPathOf(recording)
  }

  /** @param header  the first block, as it stands in the file */
  begin(header: Buffer): void {
    this.number = 1
    this.line = 2
    this.offset = header.length
    const text = gunzipSync(header).toString('utf8')
    this.pending = indexHeaderLine(path.basename(this.recording), text) + blockLine(headerBlock(header))
    this.position = 0
    this.write()
  }

  /** @param end  where in the file the block ends */
  add(totals: BlockTotals, end: number): void {
    const { number, line, offset } = this
    this.number += 1
    this.line += totals.lines
    this.offset = end
    if (this.failed) return
    this.pending += blockLine({ ...totals, number, offset, length: end - offset, firstLine: line })
    this.pendingBlocks += 1
    if (this.pendingBlocks >= BLOCKS_AT_ONCE) this.write()
  }

  /**
   * Notes that the recording has come to its end.
   *
   * @param header  the first block, as it stands there now
   * @param bytes   of the recording
   */
  async end(header: Buffer, bytes: number): Promise<void> {
    this.pending += blockLine(headerBlock(header)) + endLine(this.number, this.line - 1, bytes)
    while (this.pending !== '' && !this.failed) {
      this.write()
      await this.writing
    }
    await this.file?.close().catch(() => undefined) // all of it was taken
    this.file = undefined
  }

  /** The recording was given up: the index stays as far as it is. */
  leave(): void {
    this.failed = true
    void this.file?.close().catch(() => undefined)
  }

  private write(): void {
    this.writing ??= this.writePending().finally(() => (this.writing = undefined))
  }

  /** Never rejects. */
  private async writePending(): Promise<void> {
    try {
      while (this.pending !== '' && !this.failed) {
        this.file ??= await this.options.openFile(this.path)
        const bytes = Buffer.from(this.pending, 'utf8')
        this.pending = ''
        this.pendingBlocks = 0
        for (let at = 0; at < bytes.length;) {
          const { bytesWritten } = await this.file.write(bytes, at, bytes.length - at, this.position)
          if (bytesWritten === 0) throw new Error('no byte of it was taken')
          at += bytesWritten
          this.position += bytesWritten
        }
      }
    } catch (cause) {
      this.pending = ''
      this.fail(cause)
    }
  }

  private fail(cause: unknown): void {
    if (this.failed) return
    this.failed = true
    const message = `The index ${this.path} cannot be written: ${fileProblem(cause)} The recording goes on without; an index is made when it is needed.`
    try {
      this.options.onFault(new Fault('SINK_REJECTED', message, { path: this.path }, { cause }))
    } catch {
      // As everywhere in the recorder: a listener must not be able to stop the connection that feeds it.
    }
  }
}

/** Of at least 256 KiB of text, or ten seconds, each. */
const BLOCKS_AT_ONCE = 8

function headerBlock(bytes: Buffer): RecordingBlock {
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  return {
    number: 0,
    offset: 0,
    length: bytes.length,
    textBytes: gunzipSync(bytes).length,
    firstLine: 1,
    lines: 1,
    firstT: undefined,
    lastT: undefined,
    lost: 0,
    state: 0,
    sha256,
  }
}
