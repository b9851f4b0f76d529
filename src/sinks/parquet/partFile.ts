/**
 * One growing Parquet file at its path, with the finished ones before it: what is merged when, and when the next one begins.
 *
 * Each batch is a row group of its own at first, so that it is there when it is acknowledged; readers would pay for thousands of
 * small ones. So eight of a size are merged into one of the next, and all that are open into one of `rowGroupRows` when there
 * are as many: a row is encoded as often as its row group has digits in base eight, and no more.
 */
import { mkdir, open, rename } from 'node:fs/promises'
import path from 'node:path'
import { highestNumber, numbered } from '../files/numberedFiles'
import type { Column } from '../tables/table'
import type { Columns, Encoder, EncodeOptions } from './encoder'
import { readFooter, type RowGroup } from './footer'
import { isFull, TwinFile, unlessFull } from './twinFile'

export interface PartOptions extends Omit<EncodeOptions, 'before'> {
  readonly durable: boolean
  /** A file that has reached it is finished, and the next one begins. */
  readonly rotateBytes: number
  readonly rotateEveryUs: number
}

/** Groups of a size that are merged into one of the next. */
const FAN_IN = 8
/** More, encoded, are not merged: they would have to be held in memory. */
const MERGE_BYTES_MAX = 32 * 1024 * 1024

export class PartFile {
  private period: number | undefined
  private finishedBytes = 0

  private constructor(
    private readonly growing: TwinFile,
    private readonly encoder: Encoder,
    private readonly options: PartOptions,
  ) {}

  static async open(sink: string, file: string, encoder: Encoder, options: PartOptions): Promise<PartFile> {
    await mkdir(path.dirname(file), { recursive: true })
    return new PartFile(await TwinFile.open(sink, file, options.durable), encoder, options)
  }

  get path(): string {
    return this.growing.path
  }

  /** Of the row groups in the growing file and in those it has finished since it was opened, encoded; merging makes them fewer. */
  get writtenBytes(): number {
    return this.finishedBytes + this.growing.livingBytes
  }

  /** Of the growing file; empty when there is none. */
  get notes(): ReadonlyMap<string, string> {
    return this.growing.notes
  }

  get exists(): boolean {
    return this.growing.exists
  }

  /**
   * The rows and the notes are at the path, both or neither.
   *
   * @param nowUs  the time of the stream, which decides about rotation
   */
  async append(
    columns: readonly Column[],
    cells: Columns,
    notes: ReadonlyMap<string, string>,
    nowUs: number,
  ): Promise<void> {
    const period = Math.floor(nowUs / this.options.rotateEveryUs)
    const isFull = this.growing.livingBytes >= this.options.rotateBytes
    if (this.exists && (isFull || (this.period !== undefined && this.period !== period))) {
      await this.finish(columns)
      await this.rotate()
    }
    this.period ??= period
    const { groups } = this.growing
    await this.encode(columns, cells, mergedFrom(groups, cells[0]?.length ?? 0, this.options.rowGroupRows), notes)
  }

  /** Merges what is open and leaves behind what is dead, as far as the disk has room, and waits for it. */
  async finish(columns: readonly Column[]): Promise<void> {
    const { groups, notes } = this.growing
    const from = openFrom(groups, this.options.rowGroupRows)
    if (groups.length - from > 1) await unlessFull(() => this.encode(columns, [], from, notes))
    await this.growing.finish()
  }

  /** Gives a file that is finished its number. */
  async rotate(): Promise<void> {
    const { path: file, livingBytes } = this.growing
    await rename(file, numbered(file, (await highestNumber(file)) + 1))
    this.period = undefined
    this.finishedBytes += livingBytes
    await this.growing.leave()
  }

  /** The notes of the latest file, growing or finished. */
  async latestNotes(): Promise<ReadonlyMap<string, string>> {
    if (this.exists) return this.notes
    const number = await highestNumber(this.path)
    return number === 0 ? new Map() : await notesOf(numbered(this.path, number))
  }

  private async encode(
    columns: readonly Column[],
    cells: Columns,
    keep: number,
    notes: ReadonlyMap<string, string>,
  ): Promise<void> {
    const { groups, rowsPath } = this.growing
    const fromRow = groups.slice(0, keep).reduce((sum, { rows }) => sum + rows, 0)
    const before = keep < groups.length ? { path: this.path, fromRow } : undefined
    await this.growing.checkIdentity()
    try {
      await this.encoder.encode(rowsPath, columns, cells, { ...this.options, before })
      await this.growing.commit(keep, notes)
    } catch (cause) {
      // The next attempt has more room, and may be the one that succeeds.
      if (isFull(cause)) await this.growing.makeRoom()
      throw cause
    }
  }
}

/** How many row groups stay as they are when `rows` more come; the others are merged with these. */
export function mergedFrom(groups: readonly RowGroup[], rows: number, rowGroupRows: number): number {
  const first = openFrom(groups, rowGroupRows)
  if (rowsOf(groups.slice(first)) + rows >= rowGroupRows) return first
  let keep = groups.length
  let merged = rows
  for (;;) {
    const size = sizeOf(merged)
    let from = keep
    while (from > first && sizeOf(groups[from - 1]!.rows) <= size) from--
    if (keep - from < FAN_IN - 1) return keep
    merged += rowsOf(groups.slice(from, keep))
    keep = from
  }
}

/** The first of the row groups at the end that may still be merged. */
function openFrom(groups: readonly RowGroup[], rowGroupRows: number): number {
  let from = groups.length
  let bytes = 0
  while (from > 0) {
    const { rows, start, end } = groups[from - 1]!
    bytes += end - start
    if (rows >= rowGroupRows || bytes > MERGE_BYTES_MAX) break
    from--
  }
  return from
}

function rowsOf(groups: readonly RowGroup[]): number {
  return groups.reduce((sum, { rows }) => sum + rows, 0)
}

/** 0 for 1 to 7 rows, 1 for 8 to 63, and so on. */
function sizeOf(rows: number): number {
  return rows < FAN_IN ? 0 : Math.floor(Math.log2(rows) / Math.log2(FAN_IN))
}

async function notesOf(file: string): Promise<ReadonlyMap<string, string>> {
  const handle = await open(file, 'r')
  try {
    return (await readFooter(handle))?.notes ?? new Map<string, string>()
  } finally {
    await handle.close()
  }
}
