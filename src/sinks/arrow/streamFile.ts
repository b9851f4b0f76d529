/**
 * A file that grows by whole messages.
 *
 * The length up to which it is good is remembered; a message is written from there, and what a failed write has left behind is
 * cut off before the next. After each write the path is looked up: an open handle writes happily into a file that was moved.
 */
import { mkdir, open, rename, stat, type FileHandle } from 'node:fs/promises'
import path from 'node:path'
import { Fault } from '../../model/fault'
import { errnoOf } from '../../model/fileFault'
import { highestNumber, numbered } from '../files/numberedFiles'

export class StreamFile {
  private file: FileHandle | undefined
  private identity: string | undefined
  private good = 0
  private astray = false

  constructor(
    private readonly sink: string,
    readonly path: string,
    private readonly durable: boolean,
  ) {}

  /** The file is good up to here. */
  get length(): number {
    return this.good
  }

  /** What is at the path is not what was left there, and has to be looked at anew. */
  get isAstray(): boolean {
    return this.astray
  }

  /** The open file; opened where it stood, when it is still ours. */
  async ready(): Promise<FileHandle> {
    if (this.file !== undefined) return this.file
    await mkdir(path.dirname(this.path), { recursive: true })
    const file = await openOrCreate(this.path)
    try {
      const found = await file.stat()
      const identity = `${found.dev}:${found.ino}`
      if (this.identity !== undefined && (identity !== this.identity || found.size < this.good)) throw this.replaced()
      this.identity = identity
      this.file = file
      return file
    } catch (cause) {
      await file.close().catch(() => undefined)
      throw cause
    }
  }

  /** Whatever is at the path is taken for ours when it is opened next. */
  async forget(): Promise<void> {
    await this.release()
    this.identity = undefined
    this.good = 0
    this.astray = false
  }

  /** Cuts off what is not whole. */
  async cut(length: number): Promise<void> {
    const file = await this.ready()
    if ((await file.stat()).size > length) await file.truncate(length)
    this.good = length
  }

  /** Writes at the good length, checks that it stands at the path, and only then moves the good length on. */
  async put(pieces: readonly Uint8Array[]): Promise<void> {
    const file = await this.ready()
    let at = this.good
    for (const piece of pieces) {
      for (let done = 0; done < piece.length;) {
        const { bytesWritten } = await file.write(piece, done, piece.length - done, at + done)
        done += bytesWritten
      }
      at += piece.length
    }
    if ((await file.stat()).size > at) await file.truncate(at)
    if (this.durable) await file.datasync()
    const found = await stat(this.path)
    if (`${found.dev}:${found.ino}` !== this.identity) throw this.replaced()
    this.good = at
  }

  /** Ends the stream behind what is good, where it stays the end only if nothing more comes, and waits for the disk. */
  async end(mark: Uint8Array): Promise<void> {
    const file = await this.ready()
    await file.truncate(this.good)
    await file.write(mark, 0, mark.length, this.good)
    await file.sync()
    this.file = undefined
    await file.close()
  }

  /** After a failure the handle is let go: the next attempt opens the path anew. */
  async release(): Promise<void> {
    const { file } = this
    this.file = undefined
    await file?.close().catch(() => undefined)
  }

  /** Gives the ended file its number; the next one begins. */
  async rotate(): Promise<void> {
    await rename(this.path, numbered(this.path, (await highestNumber(this.path)) + 1))
    await this.forget()
  }

  private replaced(): Fault {
    this.astray = true
    return new Fault(
      'SINK_REJECTED',
      `The sink ${this.sink} cannot write ${this.path}: the file was moved, replaced or cut by another while it was being written. It goes on with what is there now.`,
      { sink: this.sink, path: this.path },
    )
  }
}

async function openOrCreate(file: string): Promise<FileHandle> {
  try {
    return await open(file, 'r+')
  } catch (cause) {
    if (errnoOf(cause) !== 'ENOENT') throw cause
    return await open(file, 'wx+')
  }
}
