/**
 * A recording's file as text, block by block. A block is a gzip member; a file that is not compressed is one block.
 *
 * Everything before a cut is given, and of a damaged file every block that is not damaged. A block is given only after its
 * checksum was found right, because a flipped bit may unpack to another price as well as to nonsense. Only of a block that
 * is longer than `HOLD_BYTES` (files of others are often one member from beginning to end) the text goes out before it is
 * known to be whole.
 *
 * Memory  `HOLD_BYTES` of text and what the next 16 KiB of the file unpack to
 * Loop    reading and unpacking happen on other threads; the checksum costs 0.1 ms for 256 KiB
 */
import { createHash, type Hash } from 'node:crypto'
import { open, stat, type FileHandle } from 'node:fs/promises'
import { constants, crc32, createInflateRaw, type InflateRaw } from 'node:zlib'
import { Fault, messageOf } from '../../model/fault'
import { errnoOf } from '../../model/fileFault'
import { gzipHeaderLength } from './gzipHeader'

export interface FileBlocks {
  /** The next parts, or how the file ended. Not to be called again before it has settled, nor after the end. */
  next(): Promise<readonly BlockPart[] | FileEnd>
  /** How far the file was read, in bytes. */
  readonly position: number
  close(): Promise<void>
}

export type BlockPart =
  /** Text of a block, which comes in order. */
  | { readonly part: 'text'; readonly number: number; readonly bytes: Buffer }
  /** All of a block was given, and it is whole. */
  | WholePart
  /** This block, or several that stand together, cannot be had; what follows it does. */
  | BrokenPart

export interface WholePart {
  readonly part: 'whole'
  readonly number: number
  /** In the file. */
  readonly offset: number
  readonly length: number
  /** Where it was asked for. */
  readonly sha256: string | undefined
}

export interface BrokenPart {
  readonly part: 'broken'
  readonly number: number
  readonly offset: number
  readonly length: number
  readonly reason: string
  /** The text that it unpacks to, as far as it does; not to be believed. */
  readonly suspect: readonly Buffer[]
  /** True when text of it was given already. */
  readonly given: boolean
}

/** `cut` ends within a block; `damaged` cannot be unpacked or read from here on, for the given reason. */
export type FileEnd =
  | { readonly end: 'complete' }
  | { readonly end: 'cut' }
  | {
      readonly end: 'damaged'
      readonly reason: string
      readonly number: number
      readonly offset: number
      readonly suspect: readonly Buffer[]
    }

export interface OpenBlocksOptions {
  /** Where the first block to read begins, and its number. Default: the first of the file. */
  readonly from?: { readonly offset: number; readonly number: number } | undefined
  /** Says of each whole block what its bytes hash to. */
  readonly hash?: boolean | undefined
}

/** @throws `RECORDING_INVALID` when there is no such file, or it cannot be opened */
export async function openBlocks(path: string, options: OpenBlocksOptions = {}): Promise<FileBlocks> {
  const handle = await openFile(path)
  try {
    const start = await read(handle, 0, 2)
    const { from = { offset: 0, number: 0 }, hash = false } = options
    return isGzip(start) ? new GzipBlocks(handle, from, hash) : new PlainBlocks(handle, from.offset)
  } catch (cause) {
    await handle.close().catch(() => undefined)
    throw refusal(path, cause)
  }
}

/** Whether a file is gzip, and how many bytes it has. */
export async function statBlocks(path: string): Promise<{ readonly gzip: boolean; readonly bytes: number }> {
  const handle = await openFile(path)
  try {
    const { size } = await handle.stat()
    return { gzip: isGzip(await read(handle, 0, 2)), bytes: size }
  } catch (cause) {
    throw refusal(path, cause)
  } finally {
    await handle.close().catch(() => undefined)
  }
}

/** Bytes of the file that are read at once, and of text that are unpacked at once. */
const STEP_BYTES = 64 * 1_024
/** Compressed bytes that are unpacked in one step: to ten times as many, and a thousand times at the very most. */
const FEED_BYTES = 16 * 1_024
/** Of text that waits for its checksum: four blocks as they are written here. */
export const HOLD_BYTES = 1_024 * 1_024
/** Compressed bytes by which a place is known to begin a block or not. */
const TRIAL_BYTES = 4 * 1_024
const TRAILER_BYTES = 8

class PlainBlocks implements FileBlocks {
  constructor(
    private readonly handle: FileHandle,
    public position: number,
  ) {}

  async next(): Promise<readonly BlockPart[] | FileEnd> {
    try {
      const bytes = await read(this.handle, this.position, STEP_BYTES)
      this.position += bytes.length
      return bytes.length === 0 ? { end: 'complete' } : [{ part: 'text', number: 0, bytes }]
    } catch (cause) {
      return { end: 'damaged', reason: messageOf(cause), number: 0, offset: this.position, suspect: [] }
    }
  }

  close(): Promise<void> {
    return this.handle.close()
  }
}

class GzipBlocks implements FileBlocks {
  /** Bytes of the file that were read and not used, and where the first of them stands. */
  private ahead: Buffer = Buffer.alloc(0)
  position: number
  private number: number
  private member: Member | undefined
  private end: FileEnd | undefined

  constructor(
    private readonly handle: FileHandle,
    from: { readonly offset: number; readonly number: number },
    private readonly hashed: boolean,
  ) {
    this.position = from.offset
    this.number = from.number
  }

  async next(): Promise<readonly BlockPart[] | FileEnd> {
    const parts: BlockPart[] = []
    try {
      while (this.end === undefined && parts.length === 0) {
        if (this.member === undefined) await this.begin(parts)
        else await this.step(this.member, parts)
      }
    } catch (cause) {
      this.end = this.damaged(messageOf(cause))
    }
    return parts.length > 0 ? parts : this.end!
  }

  close(): Promise<void> {
    this.member?.close()
    return this.handle.close()
  }

  /** Reads the head of the next member. */
  private async begin(parts: BlockPart[]): Promise<void> {
    let head = gzipHeaderLength(this.ahead)
    while (head === 'short') {
      if (!(await this.readAhead())) {
        this.end = this.ahead.length === 0 ? { end: 'complete' } : { end: 'cut' }
        return
      }
      head = gzipHeaderLength(this.ahead)
    }
    this.member = new Member(this.position, this.hashed)
    if (head === 'none') await this.breakOff(this.member, 'incorrect header check', parts)
    else this.member.used(this.take(head))
  }

  private async step(member: Member, parts: BlockPart[]): Promise<void> {
    if (this.ahead.length === 0) await this.readAhead()
    const packed = this.ahead.subarray(0, FEED_BYTES)
    await member.inflate(packed)
    if (member.failure !== undefined) return this.breakOff(member, member.failure, parts)
    member.used(this.take(member.ended ? member.consumed(packed) : packed.length))
    if (member.ended) return this.finish(member, parts)
    if (packed.length === 0) return this.cut(member, parts)
    if (member.released || member.heldBytes > HOLD_BYTES) this.release(member, parts)
  }

  /** All is unpacked: the checksum tells whether it is right. */
  private async finish(member: Member, parts: BlockPart[]): Promise<void> {
    while (this.ahead.length < TRAILER_BYTES) if (!(await this.readAhead())) return this.cut(member, parts)
    const trailer = this.take(TRAILER_BYTES)
    member.used(trailer)
    const problem = member.problemWith(trailer)
    if (problem !== undefined) return this.breakOff(member, problem, parts)
    this.release(member, parts)
    const { offset, length, sha256 } = member
    parts.push({ part: 'whole', number: this.number, offset, length, sha256: sha256() })
    this.leave(member)
    this.number += 1
  }

  /** The file has ended within the member, unless what was taken for it is in truth others behind a damaged one. */
  private async cut(member: Member, parts: BlockPart[]): Promise<void> {
    const next = await this.findMember(member.offset + 1)
    if (next !== undefined) {
      this.skipTo(next, member, 'it has no end', parts)
      return
    }
    this.release(member, parts)
    this.leave(member)
    this.end = { end: 'cut' }
  }

  private async breakOff(member: Member, reason: string, parts: BlockPart[]): Promise<void> {
    const next = await this.findMember(member.offset + 1)
    if (next !== undefined) {
      this.skipTo(next, member, reason, parts)
      return
    }
    this.leave(member)
    this.end = this.damaged(reason, member)
  }

  private skipTo(next: number, member: Member, reason: string, parts: BlockPart[]): void {
    const { offset, held, released } = member
    parts.push({
      part: 'broken',
      number: this.number,
      offset,
      length: next - offset,
      reason,
      suspect: held,
      given: released,
    })
    this.leave(member)
    this.number += 1
    this.position = next
    this.ahead = Buffer.alloc(0)
  }

  private damaged(reason: string, member?: Member): FileEnd {
    const { number, position } = this
    return { end: 'damaged', reason, number, offset: member?.offset ?? position, suspect: member?.held ?? [] }
  }

  private release(member: Member, parts: BlockPart[]): void {
    for (const bytes of member.release()) parts.push({ part: 'text', number: this.number, bytes })
  }

  private leave(member: Member): void {
    member.close()
    this.member = undefined
  }

  /** Where the next member begins, from a place on; undefined when none does. */
  private async findMember(from: number): Promise<number | undefined> {
    for (let at = from; ;) {
      const window = await read(this.handle, at, SEARCH_BYTES)
      for (let found = window.indexOf(MAGIC); found >= 0; found = window.indexOf(MAGIC, found + 1)) {
        if (await this.beginsMember(at + found)) return at + found
      }
      if (window.length < SEARCH_BYTES) return undefined
      at += window.length - MAGIC.length + 1
    }
  }

  /** Three bytes may stand anywhere; what they begin must unpack to text. */
  private async beginsMember(offset: number): Promise<boolean> {
    const packed = await read(this.handle, offset, TRIAL_BYTES)
    const head = gzipHeaderLength(packed)
    if (typeof head !== 'number') return false
    const trial = new Member(offset, false)
    await trial.inflate(packed.subarray(head))
    trial.close()
    return trial.failure === undefined && (trial.held[0]?.[0] ?? 0) >= SPACE
  }

  private take(length: number): Buffer {
    const taken = this.ahead.subarray(0, length)
    this.ahead = this.ahead.subarray(length)
    this.position += length
    return taken
  }

  private async readAhead(): Promise<boolean> {
    const more = await read(this.handle, this.position + this.ahead.length, STEP_BYTES)
    if (more.length === 0) return false
    this.ahead = this.ahead.length === 0 ? more : Buffer.concat([this.ahead, more])
    return true
  }
}

const MAGIC = Buffer.from([0x1f, 0x8b, 8])
const SEARCH_BYTES = 256 * 1_024
const SPACE = 32

/** One gzip member that is being unpacked. */
class Member {
  failure: string | undefined
  ended = false
  /** Of the file. */
  length = 0
  /** Text that waits for the checksum. */
  held: Buffer[] = []
  heldBytes = 0
  /** True once text was given before it was checked. */
  released = false

  private readonly inflater: InflateRaw = createInflateRaw({ chunkSize: STEP_BYTES })
  private readonly hash: Hash | undefined
  private given = 0
  private crc = 0
  private textBytes = 0
  private wake: (() => void) | undefined

  constructor(
    readonly offset: number,
    hashed: boolean,
  ) {
    if (hashed) this.hash = createHash('sha256')
    this.inflater.on('data', (bytes: Buffer) => this.unpacked(bytes))
    this.inflater.on('error', (error: Error) => {
      const isCut = 'errno' in error && error.errno === constants.Z_BUF_ERROR
      if (!isCut) this.failure = error.message
      this.wake?.()
    })
    this.inflater.on('end', () => {
      this.ended = true
      this.wake?.()
    })
  }

  /** Unpacks more; nothing means that the file has ended. Never rejects: see `failure` and `ended`. */
  async inflate(packed: Buffer): Promise<void> {
    this.given += packed.length
    await new Promise<void>((resolve) => {
      this.wake = resolve
      if (packed.length === 0) this.inflater.end()
      else this.inflater.write(packed, () => resolve())
    })
  }

  /** How many of the bytes that were given last belong to the member. */
  consumed(packed: Buffer): number {
    return packed.length - (this.given - this.inflater.bytesWritten)
  }

  used(bytes: Buffer): void {
    this.length += bytes.length
    this.hash?.update(bytes)
  }

  problemWith(trailer: Buffer): string | undefined {
    if (trailer.readUInt32LE(0) !== this.crc) return 'incorrect data check'
    return trailer.readUInt32LE(4) === this.textBytes % 2 ** 32 ? undefined : 'incorrect length check'
  }

  release(): readonly Buffer[] {
    const { held } = this
    this.held = []
    this.heldBytes = 0
    this.released = true
    return held
  }

  readonly sha256 = (): string | undefined => this.hash?.digest('hex')

  close(): void {
    this.inflater.destroy()
  }

  private unpacked(bytes: Buffer): void {
    this.held.push(bytes)
    this.heldBytes += bytes.length
    this.textBytes += bytes.length
    this.crc = crc32(bytes, this.crc)
  }
}

function isGzip(bytes: Buffer): boolean {
  return bytes[0] === 0x1f && (bytes[1] === 0x8b || bytes.length === 1)
}

/** An empty buffer at the end of the file. */
async function read(handle: FileHandle, position: number, length: number): Promise<Buffer> {
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
