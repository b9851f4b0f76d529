/**
 * The bytes of a file, block by block, unpacked where it is gzip (told by its first bytes, whatever its name).
 *
 * Several gzip members in a row are one file, as `cat a.gz b.gz` and recorders that were restarted make them. A file that
 * ends inside a member, or is damaged, gives every byte before that place and then says so: what could be read is never
 * lost to an error behind it. That is why the unpacker is driven by hand here: as a stream it throws its buffered output
 * away when it fails.
 */
import { open, stat, type FileHandle } from 'node:fs/promises'
import { constants, createGunzip, type Gunzip } from 'node:zlib'
import { Fault, messageOf } from '../../model/fault'
import { errnoOf } from '../../model/fileFault'

export interface FileBlocks {
  /** The next blocks, or how the file ended. Not to be called again before it has settled, nor after the end. */
  next(): Promise<readonly Buffer[] | FileEnd>
  /** Bytes of the file that the blocks so far came from. */
  readonly position: number
  close(): Promise<void>
}

/** `cut` ends too early; `damaged` cannot be unpacked or read from here on, for the given reason. */
export type FileEnd =
  { readonly end: 'complete' } | { readonly end: 'cut' } | { readonly end: 'damaged'; readonly reason: string }

/** @throws `RECORDING_INVALID` when there is no such file, or it cannot be opened */
export async function openBlocks(path: string): Promise<FileBlocks> {
  const handle = await openFile(path)
  try {
    const first = await read(handle)
    return isGzip(first) ? new GzipBlocks(handle, first) : new PlainBlocks(handle, first)
  } catch (cause) {
    await handle.close().catch(() => undefined)
    throw refusal(path, cause)
  }
}

/** Bytes of the file that one step takes. Unpacked they are ten times as many, and a thousand times at the very most. */
const STEP_BYTES = 64 * 1_024

class PlainBlocks implements FileBlocks {
  position = 0

  constructor(
    private readonly handle: FileHandle,
    private ahead: Buffer | undefined,
  ) {}

  async next(): Promise<readonly Buffer[] | FileEnd> {
    try {
      const block = this.ahead ?? (await read(this.handle))
      this.ahead = undefined
      this.position += block.length
      return block.length === 0 ? { end: 'complete' } : [block]
    } catch (cause) {
      return { end: 'damaged', reason: messageOf(cause) }
    }
  }

  close(): Promise<void> {
    return this.handle.close()
  }
}

class GzipBlocks implements FileBlocks {
  private unpacker = new Unpacker()
  /** Bytes of the file that were given to the unpacker. */
  position = 0
  /** Bytes that it gave back. */
  private unpackedBytes = 0
  private end: FileEnd | undefined

  constructor(
    private readonly handle: FileHandle,
    private ahead: Buffer | undefined,
  ) {}

  async next(): Promise<readonly Buffer[] | FileEnd> {
    while (this.end === undefined) {
      let blocks: readonly Buffer[]
      try {
        const packed = this.ahead ?? (await read(this.handle))
        this.ahead = undefined
        blocks = await this.unpacker.step(packed)
        const { failure } = this.unpacker
        if (failure !== undefined) {
          this.end = endOf(failure)
          if (this.end.end === 'damaged') blocks = [...blocks, ...(await this.salvage(packed.length, blocks))]
        } else if (this.unpacker.ended) this.end = { end: 'complete' }
        this.position += packed.length
      } catch (cause) {
        this.end = { end: 'damaged', reason: messageOf(cause) }
        break
      }
      for (const { length } of blocks) this.unpackedBytes += length
      if (blocks.length > 0) return blocks
    }
    return this.end
  }

  close(): Promise<void> {
    this.unpacker.close()
    return this.handle.close()
  }

  /**
   * An unpacker that fails keeps what it had unpacked of that step to itself. So the file is unpacked again up to the
   * failed step, and that in smaller steps, until only the byte is left that is the first to be wrong.
   *
   * @param length  of the failed step
   * @param given   what the failed step gave all the same
   */
  private async salvage(length: number, given: readonly Buffer[]): Promise<readonly Buffer[]> {
    let known = this.unpackedBytes
    for (const block of given) known += block.length
    const found: Buffer[] = []
    let from = this.position
    let to = from + length
    for (const stepBytes of [1_024, 1]) {
      this.unpacker.close()
      this.unpacker = new Unpacker()
      let skip = known
      for (let at = 0; at < to && this.unpacker.failure === undefined;) {
        const stepEnd = at < from ? Math.min(from, at + STEP_BYTES) : Math.min(to, at + stepBytes)
        const packed = await read(this.handle, at, stepEnd - at)
        if (packed.length === 0) break
        for (const block of await this.unpacker.step(packed)) {
          const skipped = Math.min(skip, block.length)
          skip -= skipped
          if (skipped === block.length) continue
          found.push(block.subarray(skipped))
          known += block.length - skipped
        }
        if (this.unpacker.hasFailed()) {
          from = at
          to = stepEnd
        }
        at += packed.length
      }
    }
    return found
  }
}

/** zlib, a step at a time. */
class Unpacker {
  failure: Error | undefined
  ended = false

  private readonly gunzip: Gunzip = createGunzip({ chunkSize: STEP_BYTES })
  private unpacked: Buffer[] = []
  private wake: (() => void) | undefined

  constructor() {
    this.gunzip.on('data', (block: Buffer) => this.unpacked.push(block))
    this.gunzip.on('error', (error: Error) => {
      this.failure = error
      this.wake?.()
    })
    this.gunzip.on('end', () => {
      this.ended = true
      this.wake?.()
    })
  }

  /** What `packed` unpacks to; nothing packed means the end of the file. Never rejects: see `failure`. */
  async step(packed: Buffer): Promise<readonly Buffer[]> {
    if (this.failure === undefined && !this.ended) {
      await new Promise<void>((resolve) => {
        this.wake = resolve
        if (packed.length === 0) this.gunzip.end()
        else this.gunzip.write(packed, () => resolve())
      })
    }
    const blocks = this.unpacked
    this.unpacked = []
    return blocks
  }

  hasFailed(): boolean {
    return this.failure !== undefined
  }

  close(): void {
    this.gunzip.destroy()
  }
}

function endOf(failure: Error): FileEnd {
  const cut = 'errno' in failure && failure.errno === constants.Z_BUF_ERROR
  return cut ? { end: 'cut' } : { end: 'damaged', reason: failure.message }
}

function isGzip(bytes: Buffer): boolean {
  return bytes[0] === 0x1f && (bytes[1] === 0x8b || bytes.length === 1)
}

/** Reads at a position, or on from where the last such read ended; an empty buffer at the end of the file. */
async function read(handle: FileHandle, position: number | null = null, length = STEP_BYTES): Promise<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(length)
  const { bytesRead } = await handle.read(buffer, 0, length, position)
  return buffer.subarray(0, bytesRead)
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    // Asked first: opening a pipe that nobody writes to would wait for ever.
    if (!(await stat(path)).isFile()) throw refusal(path, undefined, 'is not a file; give the path of a recording')
    return await open(path, 'r')
  } catch (cause) {
    throw refusal(path, cause)
  }
}

function refusal(path: string, cause: unknown, what?: string): Fault {
  if (cause instanceof Fault) return cause
  const errno = errnoOf(cause)
  const reason = what ?? REASONS.get(errno ?? '') ?? `cannot be opened: ${messageOf(cause)}`
  return new Fault('RECORDING_INVALID', `The recording ${path} ${reason}.`, { path, errno }, { cause })
}

const REASONS: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'does not exist; give the path of a recording'],
  ['ENOTDIR', 'does not exist, because a part of its path is not a folder; give the path of a recording'],
  ['EACCES', 'may not be read by this user; change its permissions'],
  ['EPERM', 'may not be read by this user; change its permissions'],
  ['EISDIR', 'is a folder; give the path of a recording in it'],
  ['EMFILE', 'cannot be opened, because this process has too many open files; raise its limit (ulimit -n)'],
  ['ENAMETOOLONG', 'has a name that is too long for the file system; give the path of a recording'],
])
