import type * as Arrow from 'apache-arrow'
import type { Clock } from '../clock/clock'
import { Fault } from '../model/fault'
import { fileFault } from '../model/fileFault'
import { END_OF_STREAM, findStream, MessageEncoder, type FoundStream, type Rows } from './arrow/messages'
import { StreamFile } from './arrow/streamFile'
import { BatchOffsets } from './tables/batchOffsets'
import { addCells } from './tables/cellColumns'
import { highestNumber, numbered } from './files/numberedFiles'
import { loadPart } from './optionalPart'
import { resolveOut, sinkCounters, type BatchKey, type Sink, type SinkContext } from './sink'
import { aboveZero } from './sinkOptions'
import { reachedAtOpening, runNotes } from './tables/earlierRuns'
import { fieldOf, type Cell, type Column, type ColumnTypes } from './tables/table'
import { decodeColumns, encodeColumns, TableChoice, type ChosenTable } from './tables/tableChoice'
import { nextTurn } from './turn'

export interface ArrowOptions {
  /** Field name to type. Default: the columns of the event's kind, or those of the first batch. */
  readonly columns?: ColumnTypes
  /** Finishes a file and begins the next one, `trades.000001.arrows` and so on, at a size or a multiple of a time since 1970. */
  readonly rotate?: { readonly bytes?: number; readonly everyMs?: number }
  /** Goes on after what the file holds. Default: a file that is there when the run begins is replaced. */
  readonly append?: boolean
  /** Waits for the disk at each batch: survives a power cut, at milliseconds a batch. */
  readonly durable?: boolean
  readonly name?: string
}

/**
 * Appends values to a file in Arrow's IPC stream format: columns that pandas, Polars and DuckDB's users map into memory as
 * they are.
 *
 * Types     text and JSON Utf8, numbers Float64, whole numbers Int64, times Timestamp of microseconds in UTC, levels
 *           lists of `[price, size]` lists of Float64. Absent values, `null` and NaN are null
 * Visible   each batch, when it is acknowledged, as whole messages of at most 4,096 rows. A process that was killed may leave
 *           half a message at the end: readers that take a stream message by message have everything before it, and
 *           whoever opens the file to go on cuts it off. The end of the stream is marked when the file is closed
 * Delivery  effectively once: each message holds the name of the run and how far it has come. A file is replaced by the next
 *           run, or continued with `append`; then it remembers the last 100 runs with a name, and one that is repeated goes on
 *           where it stood, whatever ran in between
 * Order     as received, also across rotated files
 * Speed     columns are built on this thread, in slices between which the loop goes on
 * Holds     one batch as cells and as bytes
 * Errors    `SINK_REJECTED { path }` when the file cannot be written, or was changed by another; `VALUE_INVALID { index }` for
 *           a value that does not fit the columns or is of another kind of event; `OPTION_INVALID` on opening for a path
 *           outside the output folder, a file to be continued whose columns are others, or without the package apache-arrow
 *
 * @param path  inside the output folder; folders are created. By custom it ends in `.arrows`
 */
export function arrow<T>(path: string, options: ArrowOptions = {}): Sink<T> {
  return new ArrowSink<T>(path, options)
}

/** Rows of a message, and so of a slice of work. */
const MESSAGE_ROWS = 4_096
/** Books are wide: a message of them ends earlier. */
const MESSAGE_LEVELS = 16_384

const NOTE = {
  format: 'millrace.format',
  kind: 'millrace.kind',
  columns: 'millrace.columns',
} as const

const FORMAT = 'millrace-arrow/1'

/** Openings of this process so far: what tells runs without a name apart. */
let openings = 0

class ArrowSink<T> implements Sink<T> {
  readonly name: string
  readonly delivery = 'effectivelyOnce'
  readonly counters = sinkCounters()
  private readonly tables: TableChoice
  private readonly offsets = new BatchOffsets()
  private readonly rotateBytes: number
  private readonly rotateEveryUs: number
  private apache: typeof Arrow | undefined
  private file: StreamFile | undefined
  private encoder: MessageEncoder | undefined
  private clock: Clock | undefined
  private run = ''
  private isNamedRun = false
  /** Of the file that is continued, as it was found: they know of earlier runs. */
  private notesBefore: ReadonlyMap<string, string> = new Map()
  private reached = 0
  private period: number | undefined

  constructor(
    private readonly sinkPath: string,
    private readonly options: ArrowOptions,
  ) {
    this.name = options.name ?? `arrow(${sinkPath})`
    this.tables = new TableChoice(this.name, options.columns, false)
    this.rotateBytes = aboveZero(this.name, 'rotate.bytes', options.rotate?.bytes)
    this.rotateEveryUs = aboveZero(this.name, 'rotate.everyMs', options.rotate?.everyMs) * 1_000
  }

  async open({ outDir, clock, resume, run }: SinkContext): Promise<void> {
    await this.file?.release()
    if (resume !== true) {
      this.beginAnew(run ?? `${process.pid}.${clock.nowUs()}.${++openings}`)
      this.isNamedRun = run !== undefined
    }
    const location = resolveOut(this.sinkPath, outDir)
    this.clock = clock
    this.apache ??= await loadPart('apache-arrow', () => import('apache-arrow'), `The sink ${this.name}`)
    this.file ??= new StreamFile(this.name, location, this.options.durable === true)
    await this.guarded(() => this.continueOrReplace(resume === true))
  }

  async write(batch: readonly T[], key?: BatchKey): Promise<void> {
    if (batch.length === 0) return
    const { from, to } = key ?? { from: this.reached, to: this.reached + batch.length }
    const offsets = this.offsets.of(batch, { run: this.run, from, to })
    const slices = await this.slicesOf(batch)
    await this.guarded(async () => {
      if (this.file!.isAstray) await this.continueOrReplace(true)
      await this.rotateIfDue()
      await this.putMessages(slices, offsets, { from, to })
    })
    this.reached = Math.max(this.reached, to)
    this.counters.written += batch.length
  }

  position(): number {
    return this.reached
  }

  async close(): Promise<void> {
    const { file } = this
    if (file === undefined) return
    await this.guarded(async () => {
      if (file.length === 0 && this.tables.first !== undefined)
        await this.putMessages([], undefined, { from: 0, to: 0 })
      // A file without even a schema is no stream.
      await file.end(file.length === 0 ? new Uint8Array() : END_OF_STREAM)
    })
    this.file = undefined
  }

  private beginAnew(run: string): void {
    this.run = run
    this.reached = 0
    this.period = undefined
    this.tables.clear()
    this.file = undefined
    this.encoder = undefined
    this.notesBefore = new Map()
    this.counters.written = 0
    this.counters.bytes = 0
  }

  private async continueOrReplace(resume: boolean): Promise<void> {
    const file = this.file!
    await file.forget()
    const found = await findStream(this.apache!, await file.ready())
    const notes = found.length > 0 ? found.lastNotes : await this.latestNotes()
    const isContinued = resume || this.options.append === true
    const ours = { sink: this.name, run: this.run }
    const there = reachedAtOpening(notes, ours, { mayGoOn: resume || this.isNamedRun, isContinued })
    const isOurs = there !== undefined
    if (isOurs) this.reached = there
    this.notesBefore = isOurs || isContinued ? notes : new Map()
    if (isOurs || isContinued) await this.continueStream(found)
    else await file.cut(0)
  }

  private async continueStream(found: FoundStream): Promise<void> {
    const file = this.file!
    if (found.length > 0) {
      const { notes } = found
      const columns = notes.get(NOTE.format) === FORMAT ? notes.get(NOTE.columns) : undefined
      if (columns === undefined) {
        await file.release()
        throw new Fault(
          'OPTION_INVALID',
          `The sink ${this.name} cannot continue ${file.path}: another program wrote it. Give it another path, or leave out append.`,
          { sink: this.name, path: file.path },
        )
      }
      this.tables.continue(file.path, notes.get(NOTE.kind) ?? '', decodeColumns(columns))
    }
    await file.cut(found.length)
  }

  /** When the growing file has nothing yet, the run stands where its finished files end. */
  private async latestNotes(): Promise<ReadonlyMap<string, string>> {
    const { path } = this.file!
    const number = await highestNumber(path)
    if (number === 0) return new Map()
    const finished = new StreamFile(this.name, numbered(path, number), false)
    try {
      return (await findStream(this.apache!, await finished.ready())).lastNotes
    } finally {
      await finished.release()
    }
  }

  /** Looks at all values before any is written: one that does not fit is refused first. */
  private async slicesOf(batch: readonly T[]): Promise<Rows[]> {
    const slices: Rows[] = []
    try {
      for (let from = 0; from < batch.length;) {
        if (from > 0) await nextTurn()
        const { rows } = this.tables.of(batch, from)
        const to = this.sliceEnd(batch, from)
        const cells: Cell[][] = rows.table.columns.map(() => [])
        addCells(rows, batch, from, to, cells)
        this.encoder ??= this.newEncoder()
        // At once: cells kept until all have been looked at take many times the room.
        slices.push(this.encoder.rows(cells))
        from = to
      }
    } catch (fault) {
      this.offsets.noteRefusal(fault)
      throw fault
    }
    return slices
  }

  private sliceEnd(batch: readonly T[], from: number): number {
    const end = Math.min(batch.length, from + MESSAGE_ROWS)
    let levels = 0
    let lists: readonly Column[] = []
    let known: ChosenTable | undefined
    for (let at = from; at < end; at++) {
      const chosen = this.tables.of(batch, at)
      if (chosen !== known) lists = chosen.rows.table.columns.filter(({ type }) => type === 'levels')
      known = chosen
      for (const { name } of lists) {
        const book = fieldOf(batch[at], name)
        if (Array.isArray(book)) levels += book.length
      }
      if (levels > MESSAGE_LEVELS) return at + 1
    }
    return end
  }

  private async putMessages(
    slices: readonly Rows[],
    offsets: readonly number[] | undefined,
    { from, to }: { readonly from: number; readonly to: number },
  ): Promise<void> {
    const file = this.file!
    await file.ready()
    const encoder = (this.encoder ??= this.newEncoder())
    const pieces = file.length === 0 ? [encoder.schemaBytes] : []
    let rows = 0
    for (const [at, slice] of slices.entries()) {
      await nextTurn()
      rows += slice.length
      // A message that is there without those behind it says how far it goes itself.
      const reached = at === slices.length - 1 ? to : (offsets?.[rows] ?? from)
      pieces.push(
        encoder.message(
          slice,
          new Map(runNotes({ sink: this.name, run: this.run, to: reached }, this.isNamedRun, this.notesBefore)),
        ),
      )
    }
    const before = file.length
    await file.put(pieces)
    this.counters.bytes += file.length - before
    this.period ??= this.periodNow()
  }

  private newEncoder(): MessageEncoder {
    const { kind, rows } = this.tables.first!
    const { columns } = rows.table
    const notes = new Map([
      [NOTE.format, FORMAT],
      [NOTE.kind, kind],
      [NOTE.columns, encodeColumns(columns)],
    ])
    return new MessageEncoder(this.apache!, columns, notes)
  }

  private async rotateIfDue(): Promise<void> {
    const file = this.file!
    if (file.length === 0) return
    const isLate = this.period !== undefined && this.period !== this.periodNow()
    if (!isLate && file.length < this.rotateBytes) return
    await file.end(END_OF_STREAM)
    await file.rotate()
    this.period = undefined
  }

  private periodNow(): number {
    return Math.floor(this.clock!.nowUs() / this.rotateEveryUs)
  }

  private async guarded<R>(action: () => Promise<R>): Promise<R> {
    try {
      return await action()
    } catch (cause) {
      await this.file?.release()
      throw fileFault(this.name, this.file?.path ?? this.sinkPath, cause)
    }
  }
}
