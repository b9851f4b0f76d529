/**
 * A Parquet file that grows by row groups and is whole at every moment, for whoever reads it and whatever becomes of this process.
 *
 * A Parquet file ends with its footer, so it cannot be appended to in place: between the first new byte and the last it would
 * have none. Therefore two files take turns. What is new is appended to the one that is out of sight, which is then renamed to
 * the path; the one that stood there takes its place out of sight, and before the next turn is given what it has missed. A
 * rename is one step: a reader finds the file of before or of after, and so does a process that was killed in between.
 *
 * Neither file is ever changed where it has been visible, only lengthened: a reader that has opened it may take its time.
 * So row groups that were merged into a larger one, and footers of before, stay behind as dead bytes. When these are more than
 * the living and more than `DEAD_BYTES_MIN`, and when the file is closed, the living alone are copied to a new file.
 *
 * Cost  each row group is written twice (once where links are not to be had: then the file is copied at each commit); while it
 *       grows the file and its twin hold at most twice their living bytes each, and `DEAD_BYTES_MIN`
 */
import { link, open, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import path from 'node:path'
import { Fault } from '../../model/fault'
import { errnoOf } from '../../model/fileFault'
import { MAGIC, moved, readFooter, sameColumns, writeFooter, type Footer, type RowGroup } from './footer'

const DEAD_BYTES_MIN = 1024 * 1024
/** As much is copied at a time. */
const PIECE_BYTES = 1024 * 1024

export class TwinFile {
  private footer: Footer | undefined
  /** Of the visible file, its footer included. */
  private length = 0
  /** Which file is ours. */
  private identity: string | undefined
  /** The file out of sight: a prefix of the visible one, `length` long, and perhaps an attempt that failed. */
  private twin: { readonly path: string; readonly length: number } | undefined

  private constructor(
    private readonly sink: string,
    readonly path: string,
    private readonly durable: boolean,
  ) {}

  /** The file that is at the path, if it is a whole Parquet file, or none yet. What a killed process left beside it goes. */
  static async open(sink: string, file: string, durable: boolean): Promise<TwinFile> {
    const growing = new TwinFile(sink, file, durable)
    await growing.makeRoom()
    await growing.adopt()
    return growing
  }

  get exists(): boolean {
    return this.footer !== undefined
  }

  get groups(): readonly RowGroup[] {
    return this.footer?.groups ?? []
  }

  get notes(): ReadonlyMap<string, string> {
    return this.footer?.notes ?? new Map()
  }

  /** Of its row groups, encoded. */
  get livingBytes(): number {
    return bytesOf(this.groups)
  }

  /** Where an encoder may put the rows for the next commit: out of sight, on the same disk. */
  get rowsPath(): string {
    return this.aside('rows')
  }

  /**
   * The file's first `keep` row groups, then those of the Parquet file at `rowsPath`, and these notes, are at the path when
   * this resolves. When it rejects, the file is as it was.
   */
  async commit(keep: number, notes: ReadonlyMap<string, string>): Promise<void> {
    const rows = await open(this.rowsPath, 'r')
    try {
      const added = await readFooter(rows)
      if (added === undefined) throw new Error('the encoder has left no whole file')
      await this.replace(this.groups.slice(0, keep), { file: rows, footer: added }, notes)
    } finally {
      await rows.close()
      await rm(this.rowsPath, { force: true })
    }
  }

  /** Leaves the dead bytes behind, if the disk has room to copy the living, and waits for the disk. */
  async finish(): Promise<void> {
    await this.makeRoom()
    const { footer } = this
    if (footer === undefined) return
    const isTight = this.length === MAGIC.length + this.livingBytes + writeFooter(footer).length
    const isCopied = !isTight && (await unlessFull(() => this.replace(footer.groups, undefined, footer.notes, true)))
    if (!isCopied) await this.sync()
    await this.makeRoom()
  }

  /** Gives back what the file does not need to be whole: its twin. The next commit makes another one. */
  async makeRoom(): Promise<void> {
    this.twin = undefined
    for (const aside of [...this.twinPaths, this.rowsPath]) await rm(aside, { force: true })
  }

  /** The file was given another name: the next commit begins a new one. */
  async leave(): Promise<void> {
    await this.adopt()
  }

  /** Takes what is at the path for ours, as when it is opened. */
  private async adopt(): Promise<void> {
    this.footer = undefined
    this.identity = undefined
    this.length = 0
    this.twin = undefined
    let file: FileHandle
    try {
      file = await open(this.path, 'r')
    } catch (cause) {
      if (errnoOf(cause) === 'ENOENT') return
      throw cause
    }
    try {
      const found = await file.stat()
      this.footer = await readFooter(file)
      this.length = found.size
      this.identity = identityOf(found)
    } finally {
      await file.close()
    }
  }

  private async replace(
    kept: readonly RowGroup[],
    added: { readonly file: FileHandle; readonly footer: Footer } | undefined,
    notes: ReadonlyMap<string, string>,
    anew = false,
  ): Promise<void> {
    await this.checkIdentity()
    const model = this.footer ?? added?.footer
    if (model === undefined) return
    if (added !== undefined && !sameColumns(model, added.footer)) {
      throw new Fault(
        'SINK_REJECTED',
        `The sink ${this.sink} cannot go on with ${this.path}: its columns are others now. Move the file away, or choose another path.`,
        { sink: this.sink, path: this.path },
      )
    }
    const isTurn = !anew && this.twin !== undefined && this.deadBytes(kept) <= Math.max(DEAD_BYTES_MIN, bytesOf(kept))
    const next = (isTurn ? await this.lengthenTwin(kept) : undefined) ?? (await this.copyLiving(kept))
    let length = next.length
    const groups = [...next.groups]
    try {
      if (added !== undefined) {
        const { start, end } = rangeOf(added.footer.groups)
        await copy(added.file, start, end, next.file, length)
        groups.push(...added.footer.groups.map((group) => moved(group, length - start)))
        length += end - start
      }
      const footer: Footer = { ...model, groups, notes }
      const bytes = writeFooter(footer)
      await writeAll(next.file, bytes, length)
      length += bytes.length
      await next.file.truncate(length)
      if (this.durable || anew) await next.file.datasync()
      const identity = identityOf(await next.file.stat())
      await next.file.close()
      await this.swap(next.path, next.isTwin)
      this.footer = footer
      this.length = length
      this.identity = identity
      if (this.durable || anew) await syncFolder(path.dirname(this.path))
    } catch (cause) {
      await next.file.close().catch(() => undefined)
      if (!next.isTwin) await rm(next.path, { force: true }).catch(() => undefined)
      throw cause
    }
  }

  private deadBytes(kept: readonly RowGroup[]): number {
    return this.length - bytesOf(kept)
  }

  /** The twin with all that the visible file has. */
  private async lengthenTwin(kept: readonly RowGroup[]): Promise<Next | undefined> {
    const { twin, length } = this
    if (twin === undefined) return undefined
    let file: FileHandle
    try {
      file = await open(twin.path, 'r+')
    } catch (cause) {
      this.twin = undefined
      if (errnoOf(cause) === 'ENOENT') return undefined
      throw cause
    }
    try {
      if (twin.length < length) await this.copyVisible(twin.length, length, file, twin.length)
      return { file, path: twin.path, length, groups: kept, isTwin: true }
    } catch (cause) {
      await file.close().catch(() => undefined)
      throw cause
    }
  }

  /** A new file of the living row groups alone. */
  private async copyLiving(kept: readonly RowGroup[]): Promise<Next> {
    const path = this.twinPaths.find((each) => each !== this.twin?.path)!
    // What an attempt has left there may be another name of the visible file: it is not to be written into.
    await rm(path, { force: true })
    const file = await open(path, 'wx+')
    try {
      await writeAll(file, MAGIC, 0)
      let length = MAGIC.length
      const groups: RowGroup[] = []
      for (const group of kept) {
        await this.copyVisible(group.start, group.end, file, length)
        groups.push(moved(group, length - group.start))
        length += group.end - group.start
      }
      return { file, path, length, groups, isTwin: false }
    } catch (cause) {
      await file.close().catch(() => undefined)
      await rm(path, { force: true }).catch(() => undefined)
      throw cause
    }
  }

  private async copyVisible(start: number, end: number, to: FileHandle, position: number): Promise<void> {
    const from = await open(this.path, 'r')
    try {
      await copy(from, start, end, to, position)
    } finally {
      await from.close()
    }
  }

  /**
   * The rename is the moment at which rows and notes are there; nothing that may fail comes after it. The file of before keeps
   * another name, if it is a prefix of the new one.
   */
  private async swap(next: string, isTwin: boolean): Promise<void> {
    const before = this.twinPaths.find((each) => each !== next)!
    const isPrefix = this.identity !== undefined && isTwin
    const keepsTwin = isPrefix && (await linked(this.path, before))
    const { length } = this
    await rename(next, this.path)
    if (!isTwin) await rm(before, { force: true }).catch(() => undefined)
    this.twin = keepsTwin ? { path: before, length } : await this.firstTwin(before)
  }

  /** After a new file was begun the twin is begun as well: empty, it has missed everything. */
  private async firstTwin(path: string): Promise<{ path: string; length: number } | undefined> {
    try {
      await (await open(path, 'wx')).close()
      return { path, length: 0 }
    } catch {
      return undefined
    }
  }

  /** @throws `SINK_REJECTED` when what is at the path is not what was left there; from then on it is taken for ours */
  async checkIdentity(): Promise<void> {
    const found = await stat(this.path).catch((cause: unknown) => {
      if (errnoOf(cause) !== 'ENOENT') throw cause
      return undefined
    })
    if (found === undefined ? this.identity === undefined : this.isOurs(found)) return
    await this.adopt()
    throw new Fault(
      'SINK_REJECTED',
      `The sink ${this.sink} cannot write ${this.path}: the file was moved, replaced or changed by another while it was growing. Only one sink may write a file; it goes on with what is there now.`,
      { sink: this.sink, path: this.path },
    )
  }

  private isOurs(found: { dev: number; ino: number; size: number }): boolean {
    return identityOf(found) === this.identity && found.size === this.length
  }

  private async sync(): Promise<void> {
    const file = await open(this.path, 'r+')
    try {
      await file.sync()
    } finally {
      await file.close()
    }
  }

  private get twinPaths(): readonly [string, string] {
    return [this.aside('a'), this.aside('b')]
  }

  private aside(ending: string): string {
    return path.join(path.dirname(this.path), `.${path.basename(this.path)}.${ending}`)
  }
}

/** A file that is to be the next visible one. */
interface Next {
  readonly file: FileHandle
  readonly path: string
  /** It is good up to here. */
  readonly length: number
  readonly groups: readonly RowGroup[]
  readonly isTwin: boolean
}

function bytesOf(groups: readonly RowGroup[]): number {
  return groups.reduce((sum, { start, end }) => sum + end - start, 0)
}

/** The bytes of all row groups of a file that an encoder wrote: one after another. */
function rangeOf(groups: readonly RowGroup[]): { start: number; end: number } {
  return { start: groups[0]?.start ?? 0, end: groups.at(-1)?.end ?? 0 }
}

function identityOf({ dev, ino }: { dev: number; ino: number }): string {
  return `${dev}:${ino}`
}

/** The name of a file is safe when its folder is. Not all systems can wait for one. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** False when the disk was too full for it. */
export async function unlessFull(action: () => Promise<void>): Promise<boolean> {
  try {
    await action()
    return true
  } catch (cause) {
    if (isFull(cause)) return false
    throw cause
  }
}

export function isFull(cause: unknown): boolean {
  return ['ENOSPC', 'EDQUOT'].includes(errnoOf(cause) ?? '')
}

/** A second name for a file; false where the file system has none to give. */
async function linked(existing: string, name: string): Promise<boolean> {
  try {
    await rm(name, { force: true })
    await link(existing, name)
    return true
  } catch (cause) {
    if (LINKLESS.has(errnoOf(cause) ?? '')) return false
    throw cause
  }
}

const LINKLESS: ReadonlySet<string> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EXDEV'])

async function copy(from: FileHandle, start: number, end: number, to: FileHandle, position: number): Promise<void> {
  const buffer = Buffer.allocUnsafe(Math.min(PIECE_BYTES, Math.max(0, end - start)))
  for (let at = start; at < end;) {
    const { bytesRead } = await from.read(buffer, 0, Math.min(buffer.length, end - at), at)
    if (bytesRead === 0) throw new Error('a file has become shorter while it was read')
    await writeAll(to, buffer.subarray(0, bytesRead), position + at - start)
    at += bytesRead
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0
  while (done < bytes.length) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done)
    done += bytesWritten
  }
}
