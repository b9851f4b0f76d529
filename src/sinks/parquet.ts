import { createHash } from 'node:crypto'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import type { Clock } from '../clock/clock'
import { Fault } from '../model/fault'
import { errnoOf, fileFault } from '../model/fileFault'
import { BatchOffsets } from './tables/batchOffsets'
import { addCells } from './tables/cellColumns'
import { Encoder, type Columns, type Compression } from './parquet/encoder'
import { PartFile, type PartOptions } from './parquet/partFile'
import { checkPartition, partitioning, type Partitioning } from './parquet/partitions'
import { claimRunNumber } from './parquet/runNumber'
import { removeStrays } from './parquet/strays'
import { resolveOut, sinkCounters, type BatchKey, type Sink, type SinkContext } from './sink'
import { aboveZero, unusableOption, wholeAboveZero } from './sinkOptions'
import { reachedAtOpening, reachedIn, runNotes } from './tables/earlierRuns'
import type { Cell, Column, ColumnTypes } from './tables/table'
import { decodeColumns, encodeColumns, sameColumns, TableChoice, type ChosenTable } from './tables/tableChoice'
import { nextTurn } from './turn'

export interface ParquetOptions {
  /** Field name to type. Default: the columns of the event's kind, or those of the first batch. */
  readonly columns?: ColumnTypes
  /**
   * Columns that name folders below the path, in this order: `['exchange', 'symbol', 'date']`. `date`, where it is no column,
   * is the UTC day of the row's first time.
   */
  readonly partition?: readonly string[]
  readonly compression?: Compression
  /** Rows of a full row group. Default 122,880. */
  readonly rowGroupRows?: number
  /** Finishes a file and begins the next one, `trades.000001.parquet` and so on, at a size or a multiple of a time since 1970. */
  readonly rotate?: { readonly bytes?: number; readonly everyMs?: number }
  /** Goes on after what the file holds. Default: a file that is there when the run begins is replaced. */
  readonly append?: boolean
  /** Partitions whose files are held ready, at most; the one that was not written for longest is finished. Default 64. */
  readonly partitionsOpen?: number
  /** Waits for the disk at each batch: survives a power cut, at milliseconds a batch. */
  readonly durable?: boolean
  readonly name?: string
}

/**
 * Writes values to a Parquet file, or to partitioned folders of them, for DuckDB, Polars, pandas and Spark.
 *
 * Types     text UTF8 (in a dictionary where it repeats), numbers DOUBLE, whole numbers INT64, times TIMESTAMP of
 *           microseconds in UTC, levels lists of `[price, size]` lists of DOUBLE, anything else JSON. Absent values,
 *           `null` and NaN are null
 * Visible   each batch, when it is acknowledged. The file at the path is whole at every moment, and survives the death of this
 *           process at any; small row groups are merged into full ones on the way (see `TwinFile`, `PartFile`)
 * Folders   `exchange=binance/symbol=BTCUSDT/date=2026-11-28/part-0.parquet`; values are percent-encoded, and none leaves
 *           the folder. A batch goes to each of its folders in turn
 * Runs      a single file is replaced by the next run, or continued with `append`. Folders are never replaced: each run adds
 *           files of its own beside those of earlier ones, which it does not touch. Runs without a name count up, `part-0`,
 *           `part-1`; a run with a name has it in a digest, `part-3f9a1c0b77de2a41`, and finds its files again when it is
 *           repeated, whatever ran in between. A sink of another name is another writer
 * Delivery  effectively once: rows, the name of the run and how far it has come are replaced in one step; a repetition of a run
 *           under its name leaves out what is there, per folder where there are folders. A run without a name that is repeated
 *           is another run: its rows are there again. A file that is continued remembers its last 100 with a name
 * Order     as received, per file
 * Speed     each batch is a commit of some milliseconds, for each of its folders: let batches grow (`batchMax`, `flushMs` of
 *           the edge). Encoding is on a thread of DuckDB's; the loop is held for slices of at most 2,048 rows
 * Holds     one batch as cells, and in DuckDB up to a row group (at most 32 MB of it encoded) and the batch, 1 GB at most; per
 *           open partition its footer. On disk: see `TwinFile`; finished files have no waste
 * Errors    `SINK_REJECTED { path }` when a file cannot be written, or was changed by another; `VALUE_INVALID { index }` for
 *           a value that does not fit the columns or is of another kind of event; `OPTION_INVALID` on opening for a path
 *           outside the output folder, a file to be continued whose columns are others, or without the package @duckdb/node-api
 *
 * @param path  the file, or the folder of a partitioned data set; inside the output folder; folders are created
 */
export function parquet<T>(path: string, options: ParquetOptions = {}): Sink<T> {
  return new ParquetSink<T>(path, options)
}

const DEFAULT_ROW_GROUP_ROWS = 122_880
const DEFAULT_PARTITIONS_OPEN = 64
/** Rows that are looked at in one go. */
const SLICE_ROWS = 1_024

/** In the notes of a file: how far which run has come in it. */
const FORMAT = 'millrace-parquet/1'
const NOTE = {
  format: 'millrace.format',
  columns: 'millrace.columns',
  kind: 'millrace.kind',
} as const

/** Beside partitions: from where on a run may have to be offered again, and which files may be ahead of that. */
interface Position {
  readonly format: typeof POSITION_FORMAT
  readonly sink: string
  readonly run: string
  readonly from: number
  readonly files: readonly string[]
}

const POSITION_FORMAT = 'millrace-position/1'

/** How values of one kind become rows of files. */
interface Plan {
  readonly table: ChosenTable
  readonly partitions: Partitioning | undefined
  /** Of the files. */
  readonly columns: readonly Column[]
}

/** The rows of a batch that go to one file. */
interface Share {
  readonly file: string
  readonly plan: Plan
  readonly cells: Cell[][]
  /** For each row the number of values before it; empty where values are not counted. */
  readonly offsets: number[]
}

/** Openings of this process so far: what tells runs without a name apart. */
let openings = 0

class ParquetSink<T> implements Sink<T> {
  readonly name: string
  readonly delivery = 'effectivelyOnce'
  readonly counters = sinkCounters()
  private readonly part: PartOptions
  private readonly partitionsOpen: number
  private readonly tables: TableChoice
  private readonly plans = new Map<ChosenTable, Plan>()
  /** Most recently written last. */
  private readonly files = new Map<string, { readonly part: PartFile; readonly columns: readonly Column[] }>()
  private readonly offsets = new BatchOffsets()
  private encoder: Encoder | undefined
  private resolved: string | undefined
  private clock: Clock | undefined
  private run = ''
  private isNamedRun = false
  /** Of this run's files in the folders. */
  private partName = ''
  /** Of the file that is continued, as it was found: they know of earlier runs. */
  private notesBefore: ReadonlyMap<string, string> = new Map()
  private reached = 0

  constructor(
    private readonly sinkPath: string,
    private readonly options: ParquetOptions,
  ) {
    this.name = options.name ?? `parquet(${sinkPath})`
    const { name } = this
    const { compression = 'zstd', rowGroupRows = DEFAULT_ROW_GROUP_ROWS, durable = false, rotate } = options
    if (!['zstd', 'snappy', 'none'].includes(compression)) {
      throw unusableOption(name, 'compression', compression, 'zstd, snappy or none')
    }
    this.part = {
      compression,
      rowGroupRows: wholeAboveZero(name, 'rowGroupRows', rowGroupRows),
      durable,
      rotateBytes: aboveZero(name, 'rotate.bytes', rotate?.bytes),
      rotateEveryUs: aboveZero(name, 'rotate.everyMs', rotate?.everyMs) * 1_000,
    }
    this.partitionsOpen = wholeAboveZero(name, 'partitionsOpen', options.partitionsOpen ?? DEFAULT_PARTITIONS_OPEN)
    this.tables = new TableChoice(name, options.columns, options.partition?.includes('kind') === true)
    if (options.partition !== undefined) checkPartition(name, options.partition)
  }

  async open({ outDir, clock, resume, run }: SinkContext): Promise<void> {
    if (resume !== true) {
      this.beginAnew(run ?? `${process.pid}.${clock.nowUs()}.${++openings}`)
      this.isNamedRun = run !== undefined
      if (run !== undefined) this.partName = partNamed(this.idOfRun)
    }
    this.resolved = resolveOut(this.sinkPath, outDir)
    this.clock = clock
    this.encoder ??= await Encoder.open(this.name)
    await this.guarded(this.location, async () => {
      if (this.options.partition === undefined) await this.openFile(resume === true)
      else await this.openFolder()
    })
  }

  async write(batch: readonly T[], key?: BatchKey): Promise<void> {
    if (batch.length === 0) return
    const { from, to } = key ?? { from: this.reached, to: this.reached + batch.length }
    const offsets = this.offsets.of(batch, { run: this.run, from, to })
    const shares = await this.sharesOf(batch, offsets)
    await this.notePosition(from, shares)
    for (const share of shares) {
      await this.guarded(share.file, () => this.writeShare(share, to))
    }
    this.reached = Math.max(this.reached, to)
  }

  position(): number {
    return this.reached
  }

  async close(): Promise<void> {
    await this.writeEmptyFile()
    for (const [file, { part, columns }] of this.files) {
      await this.guarded(file, async () => {
        await this.counted(part, () => part.finish(columns))
        this.files.delete(file)
      })
    }
    if (this.encoder !== undefined && this.reached > 0) await this.notePosition(this.reached, [])
    this.encoder?.close()
    this.encoder = undefined
  }

  private get location(): string {
    return this.resolved ?? this.sinkPath
  }

  private beginAnew(run: string): void {
    this.run = run
    this.reached = 0
    this.tables.clear()
    this.plans.clear()
    this.files.clear()
    this.notesBefore = new Map()
    this.partName = ''
    this.counters.written = 0
    this.counters.bytes = 0
  }

  /** One file: it knows itself how far the run has come. */
  private async openFile(resume: boolean): Promise<void> {
    let part = await this.partFile(this.location)
    const notes = await part.latestNotes()
    const isContinued = resume || this.options.append === true
    const ours = { sink: this.name, run: this.run }
    const there = reachedAtOpening(notes, ours, { mayGoOn: resume || this.isNamedRun, isContinued })
    const isOurs = there !== undefined
    if (isOurs) {
      this.reached = there
    } else if (!isContinued && part.exists) {
      await rm(this.location)
      part = await this.partFile(this.location)
    }
    if (isOurs || isContinued) this.notesBefore = notes
    if (part.exists || isOurs) this.continueTable(notes)
    const { first } = this.tables
    this.files.set(this.location, { part, columns: first === undefined ? [] : this.planOf(first).columns })
  }

  /** The columns of a file that is continued are known. */
  private continueTable(notes: ReadonlyMap<string, string>): void {
    const columns = columnsOf(notes)
    if (columns === undefined) {
      throw new Fault(
        'OPTION_INVALID',
        `The sink ${this.name} cannot continue ${this.location}: another program wrote it. Give it another path, or leave out append.`,
        { sink: this.name, path: this.location },
      )
    }
    this.tables.continue(this.location, notes.get(NOTE.kind) ?? '', columns)
  }

  /** Many files: what stands beside them tells from where on they may have to be written again, each looked at for itself. */
  private async openFolder(): Promise<void> {
    await mkdir(this.location, { recursive: true })
    if (this.partName === '') {
      const number = await claimRunNumber(this.location)
      this.run = `${number}.${this.run}`
      this.partName = partNamed(number)
    }
    const position = await this.readPosition()
    if (position === undefined) return
    this.reached = Math.max(this.reached, position.from)
    for (const file of position.files.slice(0, this.partitionsOpen)) {
      // What a killed process left beside it goes, wherever the run now leads.
      const found = path.join(this.location, file)
      if (found.startsWith(this.location + path.sep)) await this.fileAt(found)
    }
  }

  /** Where columns are declared, a run without a value leaves a table without rows. */
  private async writeEmptyFile(): Promise<void> {
    const { first } = this.tables
    const part = this.files.get(this.location)?.part
    if (part === undefined || part.exists || first === undefined || this.reached > 0) return
    const plan = this.planOf(first)
    const none = plan.columns.map(() => [])
    await this.guarded(this.location, () => this.put(part, plan, none, 0))
  }

  private async writeShare({ file, plan, cells, offsets }: Share, to: number): Promise<void> {
    const part = await this.fileAt(file, plan.columns)
    // A process may have been killed between giving a file its number and beginning the next one.
    const notes = await part.latestNotes()
    const there = reachedIn(notes, this.name, this.run) ?? 0
    const first = offsets.length === 0 ? 0 : firstAbove(offsets, there)
    const left = first === 0 ? cells : cells.map((column) => column.slice(first))
    const rows = left[0]?.length ?? 0
    if (rows === 0) return
    const isFirst = !part.exists
    await this.put(part, plan, left, to)
    this.counters.written += rows
    if (isFirst && this.options.partition !== undefined) await removeStrays(file)
  }

  private async put(part: PartFile, plan: Plan, cells: Columns, to: number): Promise<void> {
    const notes = new Map<string, string>([
      [NOTE.format, FORMAT],
      ...runNotes({ sink: this.name, run: this.run, to }, this.isNamedRun, part.exists ? part.notes : this.notesBefore),
      [NOTE.kind, plan.table.kind],
      [NOTE.columns, encodeColumns(plan.columns)],
    ])
    await this.counted(part, () => part.append(plan.columns, cells, notes, this.clock!.nowUs()))
  }

  /** A file that is open, or is opened; the one that was not written for longest makes room for it. */
  private async fileAt(file: string, columns?: readonly Column[]): Promise<PartFile> {
    const found = this.files.get(file)
    if (found !== undefined) {
      this.files.delete(file)
      this.files.set(file, { part: found.part, columns: columns ?? found.columns })
      return found.part
    }
    while (this.files.size >= this.partitionsOpen) {
      const [oldest, { part, columns }] = this.files.entries().next().value!
      await this.counted(part, () => part.finish(columns))
      this.files.delete(oldest)
    }
    const part = await this.partFile(file)
    const has = part.exists ? columnsOf(part.notes) : columns
    const known = has ?? columns ?? []
    if (part.exists && columns !== undefined && (has === undefined || !sameColumns(has, columns))) {
      // Files of a data set may differ in their columns; one file may not.
      await part.rotate()
    }
    this.files.set(file, { part, columns: columns ?? known })
    return part
  }

  private async partFile(file: string): Promise<PartFile> {
    return await PartFile.open(this.name, file, this.encoder!, this.part)
  }

  private async counted(part: PartFile, action: () => Promise<unknown>): Promise<void> {
    const before = part.writtenBytes
    try {
      await action()
    } finally {
      this.counters.bytes += part.writtenBytes - before
    }
  }

  /** Looks at all values before any is written: one that does not fit is refused first. */
  private async sharesOf(batch: readonly T[], offsets: readonly number[] | undefined): Promise<Share[]> {
    const shares = new Map<string, Share>()
    try {
      for (let from = 0; from < batch.length; from += SLICE_ROWS) {
        if (from > 0) await nextTurn()
        const to = Math.min(batch.length, from + SLICE_ROWS)
        if (this.options.partition === undefined) this.shareSlice(batch, from, to, offsets, shares)
        else for (let at = from; at < to; at++) this.shareRow(batch, at, offsets?.[at], shares)
      }
    } catch (fault) {
      this.offsets.noteRefusal(fault)
      throw fault
    }
    return [...shares.values()]
  }

  /** All to one file. */
  private shareSlice(
    batch: readonly T[],
    from: number,
    to: number,
    offsets: readonly number[] | undefined,
    shares: Map<string, Share>,
  ): void {
    let plan = this.planOf(this.tables.of(batch, from))
    for (let at = from + 1; at < to; at++) plan = this.planOf(this.tables.of(batch, at))
    const share = shareOf(shares, this.location, plan)
    addCells(plan.table.rows, batch, from, to, share.cells)
    if (offsets !== undefined) share.offsets.push(...offsets.slice(from, to))
  }

  /** Each to the file of its folder. */
  private shareRow(batch: readonly T[], at: number, offset: number | undefined, shares: Map<string, Share>): void {
    const plan = this.planOf(this.tables.of(batch, at))
    const cells = plan.table.rows.cells(batch[at], at)
    const share = shareOf(shares, this.fileOf(plan, cells, at), plan)
    const { kept } = plan.partitions!
    for (let column = 0; column < kept.length; column++) share.cells[column]!.push(cells[kept[column]!]!)
    if (offset !== undefined) share.offsets.push(offset)
  }

  private fileOf(plan: Plan, cells: readonly Cell[], index: number): string {
    if (plan.partitions === undefined) return this.location
    const folder = plan.partitions.folder(cells)
    if ('path' in folder) return path.join(this.location, folder.path, this.partName)
    throw new Fault('VALUE_INVALID', `The sink ${this.name} cannot write a value: ${folder.problem}. It is left out.`, {
      sink: this.name,
      index,
    })
  }

  private planOf(table: ChosenTable): Plan {
    const known = this.plans.get(table)
    if (known !== undefined) return known
    const { columns } = table.rows.table
    this.checkNames(columns)
    const { partition } = this.options
    const partitions = partition === undefined ? undefined : partitioning(this.name, table.rows.table, partition)
    const plan: Plan = { table, partitions, columns: partitions?.columns ?? columns }
    this.plans.set(table, plan)
    return plan
  }

  /** To DuckDB, `a` and `A` are one name. */
  private checkNames(columns: readonly Column[]): void {
    const seen = new Set(RESERVED_NAMES)
    for (const { name } of columns) {
      const folded = name.toLowerCase()
      if (seen.has(folded)) {
        throw new Fault(
          'OPTION_INVALID',
          `The sink ${this.name} has a column ${JSON.stringify(name)}, which Parquet readers could not tell from another one. Declare columns whose names differ in more than their case.`,
          { sink: this.name, column: name },
        )
      }
      seen.add(folded)
    }
  }

  /** Says what may be ahead before it is: for a repetition of the run, which only one that has a name can be. */
  private async notePosition(from: number, shares: readonly Share[]): Promise<void> {
    if (this.options.partition === undefined || !this.isNamedRun) return
    const files = new Set([...this.files.keys(), ...shares.map(({ file }) => file)])
    const position: Position = {
      format: POSITION_FORMAT,
      sink: this.name,
      run: this.run,
      from,
      files: [...files].map((file) => path.relative(this.location, file)),
    }
    await this.guarded(this.positionPath, async () => {
      const aside = `${this.positionPath}.new`
      const file = await open(aside, 'w')
      try {
        await file.writeFile(JSON.stringify(position))
        if (this.part.durable) await file.datasync()
      } finally {
        await file.close()
      }
      await rename(aside, this.positionPath)
    })
  }

  private async readPosition(): Promise<Position | undefined> {
    try {
      const position = JSON.parse(await readFile(this.positionPath, 'utf8')) as Omit<Position, 'format'> & {
        readonly format: string
      }
      const isOurs = position.format === POSITION_FORMAT && position.run === this.run && position.sink === this.name
      return isOurs ? { ...position, format: POSITION_FORMAT } : undefined
    } catch (cause) {
      if (cause instanceof SyntaxError || errnoOf(cause) === 'ENOENT') return undefined
      throw cause
    }
  }

  /** Hidden from readers of the data set. Several sinks may write to it, and runs in turn. */
  private get positionPath(): string {
    return path.join(this.location, `.position-${this.idOfRun}.json`)
  }

  /** Of this sink in this run, as a part of a file's name. */
  private get idOfRun(): string {
    return createHash('sha256')
      .update(JSON.stringify([this.name, this.run]))
      .digest('hex')
      .slice(0, ID_CHARS)
  }

  private async guarded<R>(file: string, action: () => Promise<R>): Promise<R> {
    try {
      return await action()
    } catch (cause) {
      throw fileFault(this.name, file, cause)
    }
  }
}

const ID_CHARS = 16
/** What DuckDB calls the numbers of rows. */
const RESERVED_NAMES = ['file_row_number']

function partNamed(id: string | number): string {
  return `part-${id}.parquet`
}

function shareOf(shares: Map<string, Share>, file: string, plan: Plan): Share {
  let share = shares.get(file)
  if (share === undefined) {
    share = { file, plan, cells: plan.columns.map(() => []), offsets: [] }
    shares.set(file, share)
  }
  return share
}

/** The place of the first that is not among the first `there` values. */
function firstAbove(offsets: readonly number[], there: number): number {
  const at = offsets.findIndex((offset) => offset >= there)
  return at < 0 ? offsets.length : at
}

function columnsOf(notes: ReadonlyMap<string, string>): Column[] | undefined {
  const text = notes.get(NOTE.columns)
  if (notes.get(NOTE.format) !== FORMAT || text === undefined) return undefined
  return decodeColumns(text)
}
