/**
 * Text files of a folder that grow side by side, plain or gzip: whoever appends waits while the disk is slower.
 *
 * Holds  at most so many files open, and some text of each; a file that was closed in between goes on where it ended, as
 *        another gzip member
 */
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { mkdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Writable } from 'node:stream'
import { createGzip } from 'node:zlib'
import { Fault } from '../../../model/fault'
import { fileProblem } from '../../../model/fileFault'

export class TextFiles {
  private readonly open = new Map<string, OpenFile>()
  private readonly names = new Set<string>()

  /** @param folder  created with the first file */
  constructor(private readonly folder: string) {}

  /**
   * @param name  of the file, without a folder; gzip where it ends in `.gz`
   * @throws `SINK_REJECTED`
   */
  async append(name: string, text: string): Promise<void> {
    const file = this.open.get(name) ?? (await this.begin(name))
    file.text += text
    if (file.text.length >= TEXT_CHARS_MAX) await file.flush()
  }

  /** True once something was written to a file of this name. */
  has(name: string): boolean {
    return this.names.has(name)
  }

  /** Ends all files. @throws `SINK_REJECTED` */
  async close(): Promise<void> {
    for (const file of this.open.values()) await file.end()
    this.open.clear()
  }

  /** Lets go of all files, whatever becomes of them. Never rejects. */
  async abandon(): Promise<void> {
    for (const file of this.open.values()) await file.abandon()
    this.open.clear()
  }

  /** Names and sizes. */
  async written(): Promise<readonly { readonly name: string; readonly bytes: number }[]> {
    const files: { name: string; bytes: number }[] = []
    for (const name of [...this.names].sort())
      files.push({ name, bytes: (await stat(path.join(this.folder, name))).size })
    return files
  }

  private async begin(name: string): Promise<OpenFile> {
    if (this.names.size === 0) await mkdir(this.folder, { recursive: true })
    if (this.open.size >= FILES_MAX) {
      const [oldest, file] = this.open.entries().next().value!
      this.open.delete(oldest)
      await file.end()
    }
    if (!this.names.has(name) && this.names.size >= NAMES_MAX) {
      throw new Fault(
        'SINK_REJECTED',
        `More than ${NAMES_MAX} files would be written to ${this.folder}; divide the input.`,
        {
          path: this.folder,
        },
      )
    }
    this.names.add(name)
    const file = new OpenFile(path.join(this.folder, name))
    this.open.set(name, file)
    return file
  }
}

/** Files that are open at once; processes may have some thousand. */
const FILES_MAX = 128
const NAMES_MAX = 100_000
/** Characters that are gathered before they are written. */
const TEXT_CHARS_MAX = 64 * 1_024

class OpenFile {
  text = ''
  private readonly input: Writable
  private readonly done: Promise<void>
  private failure: Fault | undefined

  constructor(private readonly file: string) {
    const output = createWriteStream(file, { flags: 'a' })
    if (file.endsWith('.gz')) {
      const gzip = createGzip()
      this.input = gzip
      this.done = pipeline(gzip, output)
    } else {
      this.input = output
      this.done = once(output, 'close').then(() => undefined)
    }
    this.done.catch((cause: unknown) => this.fail(cause))
    output.on('error', (cause) => this.fail(cause))
  }

  async flush(): Promise<void> {
    const { text } = this
    this.text = ''
    if (this.failure === undefined && !this.input.write(text)) {
      // A stream that has failed never drains: then the end of its pipe is what comes.
      await Promise.race([once(this.input, 'drain').catch(() => undefined), this.done.catch(() => undefined)])
    }
    if (this.failure !== undefined) throw this.failure
  }

  async end(): Promise<void> {
    await this.flush()
    this.input.end()
    await this.done.catch(() => undefined)
    if (this.failure !== undefined) throw this.failure
  }

  async abandon(): Promise<void> {
    this.input.destroy()
    await this.done.catch(() => undefined)
  }

  private fail(cause: unknown): void {
    this.failure ??= new Fault(
      'SINK_REJECTED',
      `The file ${this.file} cannot be written: ${fileProblem(cause)}`,
      { path: this.file },
      { cause },
    )
  }
}
