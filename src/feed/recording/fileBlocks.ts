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

export interface FileBlocks {
  /** The next blocks, or how the file ended. Not to be called again before it has settled, nor after the end. */
  next(): Promise<readonly Buffer[] | FileEnd>
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
  constructor(
    private readonly handle: FileHandle,
    private ahead: Buffer | undefined,
  ) {}

  async next(): Promise<readonly Buffer[] | FileEnd> {
    try {
      const block = this.ahead ?? (await read(this.handle))
      this.ahead = undefined
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
  private readonly gunzip: Gunzip = createGunzip({ chunkSize: 4 * STEP_BYTES })
  private unpacked: Buffer[] = []
  private failure: Error | undefined
  private ended = false
  private wake: (() => void) | undefined

  constructor(
    private readonly handle: FileHandle,
    private ahead: Buffer | undefined,
  ) {
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

  async next(): Promise<readonly Buffer[] | FileEnd> {
    while (this.unpacked.length === 0) {
      if (this.failure !== undefined) return endOf(this.failure)
      if (this.ended) return { end: 'complete' }
      try {
        const packed = this.ahead ?? (await read(this.handle))
        this.ahead = undefined
        await this.step(packed)
      } catch (cause) {
        this.failure ??= cause instanceof Error ? cause : new Error(messageOf(cause))
      }
    }
    const blocks = this.unpacked
    this.unpacked = []
    return blocks
  }

  close(): Promise<void> {
    this.gunzip.destroy()
    return this.handle.close()
  }

  /** Resolves when all that `packed` holds has been unpacked; nothing packed means the end of the file. */
  private step(packed: Buffer): Promise<void> {
    return new Promise((resolve) => {
      this.wake = resolve
      if (packed.length === 0) this.gunzip.end()
      else this.gunzip.write(packed, () => resolve())
    })
  }
}

function endOf(failure: Error): FileEnd {
  const cut = 'errno' in failure && failure.errno === constants.Z_BUF_ERROR
  return cut ? { end: 'cut' } : { end: 'damaged', reason: failure.message }
}

function isGzip(bytes: Buffer): boolean {
  return bytes[0] === 0x1f && (bytes[1] === 0x8b || bytes.length === 1)
}

/** Reads on from where the last read ended; an empty buffer at the end of the file. */
async function read(handle: FileHandle): Promise<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(STEP_BYTES)
  const { bytesRead } = await handle.read(buffer, 0, STEP_BYTES, null)
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
  const errno = cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : undefined
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
