/**
 * Files of compressed frames.
 *
 * Each frame (a gzip member, a zstd or lz4 frame) stands by itself, so that a file that was cut anywhere is good up to its
 * last whole frame, and one more may follow at any time. Every tool of the format reads such a file as one.
 *
 * Docs  gzip RFC 1952, zstd RFC 8878, lz4 https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md (read 2026-11-28)
 *
 * A gzip member does not say where it ends, short of inflating it. Ours say it in their header, in an extra field of our own
 * (`MR`: the length of the member), so that the end of a large file is found by hopping. All frames end in a checksum, but
 * those of zstd on Node below 22.15, whose package makes none.
 */
import { promisify } from 'node:util'
import type { FileHandle } from 'node:fs/promises'
import type * as zlib from 'node:zlib'
import type { FrameCompressOptions } from 'lz4-napi'
import { Fault } from '../../model/fault'
import { loadPart } from '../optionalPart'
import { nextTurn } from '../turn'

export type Compression = 'gzip' | 'zstd' | 'lz4'

export interface Codec {
  /** Bytes that a frame is made of, at most: large enough for a good ratio, small enough for the thread it is made on. */
  readonly frameBytes: number
  compress(bytes: Buffer): Promise<Buffer>
  /** @throws whatever the format's library throws for a frame that is broken */
  decompress(frame: Buffer): Promise<Buffer>
  /** Where the frame ends that begins at `at`: `cut` when the file ends before it, `foreign` when it is none of ours. */
  frameEnd(file: FileBytes, at: number): Promise<number | 'cut' | 'foreign'>
}

const ENDINGS: Readonly<Record<string, Compression>> = { '.gz': 'gzip', '.zst': 'zstd', '.lz4': 'lz4' }

/** What a file's name says of its compression, and the ending that says it. */
export function endingOf(file: string): { readonly ending: string; readonly compression: Compression } | undefined {
  for (const [ending, compression] of Object.entries(ENDINGS)) {
    if (file.endsWith(ending)) return { ending, compression }
  }
  return undefined
}

/**
 * The codec that is asked for, or that the file's name promises.
 *
 * @throws `OPTION_INVALID` for a format that is none, that contradicts the name, or whose package is not installed
 */
export async function codecOf(sink: string, file: string, asked: Compression | undefined): Promise<Codec | undefined> {
  const named = endingOf(file)
  if (asked !== undefined && named !== undefined && asked !== named.compression) {
    throw new Fault(
      'OPTION_INVALID',
      `The sink ${sink} has compress = ${asked}, but its path ends in ${named.ending}: give it another ending, or leave the option out.`,
      { sink, option: 'compress' },
    )
  }
  switch (asked ?? named?.compression) {
    case undefined:
      return undefined
    case 'gzip':
      return gzipCodec()
    case 'zstd':
      return await zstdCodec(sink)
    case 'lz4':
      return await lz4Codec(sink)
    default:
      throw new Fault(
        'OPTION_INVALID',
        `The sink ${sink} has compress = ${String(asked)}: it should be gzip, zstd or lz4.`,
        { sink, option: 'compress' },
      )
  }
}

/**
 * The length up to which a file consists of whole frames. The last is decompressed: after a power cut its length may be
 * there without its bytes.
 *
 * @throws `SINK_REJECTED` when something else stands in the file, which is not to be cut off
 */
export async function wholeFrames(
  sink: string,
  path: string,
  file: FileHandle,
  size: number,
  codec: Codec,
): Promise<number> {
  const bytes = new FileBytes(file, size)
  const ends = [0]
  while (ends.at(-1)! < size) {
    const at = ends.at(-1)!
    const end = await codec.frameEnd(bytes, at)
    if (end === 'cut') break
    if (end === 'foreign') {
      if (await bytes.isZeroFrom(at)) break
      throw new Fault(
        'SINK_REJECTED',
        `The sink ${sink} cannot go on with ${path}: from byte ${at} on it holds what this sink has not written. Move the file away, or choose another path.`,
        { sink, path, at },
      )
    }
    ends.push(end)
  }
  while (ends.length > 1) {
    const frame = await bytes.at(ends.at(-2)!, ends.at(-1)! - ends.at(-2)!)
    try {
      await codec.decompress(frame)
      break
    } catch {
      ends.pop()
    }
  }
  return ends.at(-1)!
}

/** What the first frame of a file holds. */
export async function firstFrame(file: FileHandle, size: number, codec: Codec): Promise<Buffer> {
  const bytes = new FileBytes(file, size)
  const end = await codec.frameEnd(bytes, 0)
  return typeof end === 'number' ? await codec.decompress(await bytes.at(0, end)) : Buffer.alloc(0)
}

/** Reads a file here and there, with a window. */
export class FileBytes {
  private readonly window = Buffer.allocUnsafe(WINDOW_BYTES)
  private start = 0
  private length = 0

  constructor(
    private readonly file: FileHandle,
    readonly size: number,
  ) {}

  /** Up to `count` bytes: fewer where the file ends. */
  async at(position: number, count: number): Promise<Buffer> {
    const wanted = Math.max(0, Math.min(count, this.size - position))
    if (wanted > this.window.length) return await this.read(Buffer.allocUnsafe(wanted), position)
    if (position < this.start || position + wanted > this.start + this.length) {
      this.start = position
      this.length = (await this.read(this.window, position)).length
    }
    const from = position - this.start
    return this.window.subarray(from, Math.min(this.length, from + wanted))
  }

  async isZeroFrom(position: number): Promise<boolean> {
    for (let at = position; at < this.size;) {
      const bytes = await this.at(at, WINDOW_BYTES)
      if (bytes.length === 0 || bytes.some((byte) => byte !== 0)) return false
      at += bytes.length
    }
    return true
  }

  private async read(into: Buffer, position: number): Promise<Buffer> {
    let done = 0
    const wanted = Math.min(into.length, this.size - position)
    while (done < wanted) {
      const { bytesRead } = await this.file.read(into, done, wanted - done, position + done)
      if (bytesRead === 0) break
      done += bytesRead
    }
    return into.subarray(0, done)
  }
}

const WINDOW_BYTES = 16_384
const FRAME_BYTES = 262_144
/** For what is compressed on the event loop, zstd on Node below 22.15: under a millisecond. */
const SLICE_BYTES = 131_072

/** Compression is loaded with the first file that wants it. */
function loadZlib(): typeof zlib {
  return process.getBuiltinModule('node:zlib')
}

function gzipCodec(): Codec {
  const { gzip, gunzip } = loadZlib()
  const inflate = promisify<Buffer, Buffer>(gunzip)
  const deflate = promisify<Buffer, Buffer>(gzip)
  return {
    frameBytes: FRAME_BYTES,
    compress: async (bytes) => withLength(await deflate(bytes)),
    decompress: inflate,
    async frameEnd(file, at) {
      const header = await file.at(at, GZIP_HEADER_BYTES)
      if (!isOursSoFar(header)) return 'foreign'
      if (header.length < GZIP_HEADER_BYTES) return 'cut'
      const end = at + header.readUInt32LE(16)
      if (end < at + GZIP_HEADER_BYTES) return 'foreign'
      return end <= file.size ? end : 'cut'
    },
  }
}

/** Ten bytes of header, and two, four and four of the extra field. */
const GZIP_HEADER_BYTES = 20
const GZIP_PLAIN_HEADER_BYTES = 10
const GZIP_FLAGS_AT = 3
const GZIP_HAS_EXTRA = 4
/** Magic and method; length of the extra field, its name, and the length of what it holds. */
const GZIP_OURS: readonly (readonly [at: number, byte: number])[] = [
  [0, 0x1f],
  [1, 0x8b],
  [2, 8],
  [GZIP_FLAGS_AT, GZIP_HAS_EXTRA],
  [10, 8],
  [11, 0],
  [12, 0x4d],
  [13, 0x52],
  [14, 4],
  [15, 0],
]

function withLength(member: Buffer): Buffer {
  const ours = Buffer.allocUnsafe(member.length + GZIP_HEADER_BYTES - GZIP_PLAIN_HEADER_BYTES)
  member.copy(ours, 0, 0, GZIP_PLAIN_HEADER_BYTES)
  for (const [at, byte] of GZIP_OURS) ours[at] = byte
  ours.writeUInt32LE(ours.length, 16)
  member.copy(ours, GZIP_HEADER_BYTES, GZIP_PLAIN_HEADER_BYTES)
  return ours
}

function isOursSoFar(header: Buffer): boolean {
  return GZIP_OURS.every(([at, byte]) => at >= header.length || header[at] === byte)
}

type ZstdCall = (
  bytes: Buffer,
  options: { readonly params?: Readonly<Record<number, number>> },
  done: (error: Error | null, result: Buffer) => void,
) => void

/** What the types of Node 20 do not know of yet. */
interface WithZstd {
  readonly zstdCompress?: ZstdCall
  readonly zstdDecompress?: ZstdCall
  readonly constants: { readonly ZSTD_c_checksumFlag?: number }
}

async function zstdCodec(sink: string): Promise<Codec> {
  const { zstdCompress, zstdDecompress, constants } = loadZlib() as WithZstd
  if (zstdCompress !== undefined && zstdDecompress !== undefined) {
    const compress = promisify(zstdCompress)
    const decompress = promisify(zstdDecompress)
    const flag = constants.ZSTD_c_checksumFlag
    const params = flag === undefined ? {} : { [flag]: 1 }
    return {
      frameBytes: FRAME_BYTES,
      compress: (bytes) => compress(bytes, { params }),
      decompress: (frame) => decompress(frame, {}),
      frameEnd: zstdFrameEnd,
    }
  }
  const part = await loadPart('@bokuweb/zstd-wasm', () => import('@bokuweb/zstd-wasm'), sink)
  // Once: beginning again takes the memory away from whoever is using it.
  await (zstdBegun ??= part.init())
  return {
    frameBytes: SLICE_BYTES,
    async compress(bytes) {
      await nextTurn()
      const frame = Buffer.from(part.compress(bytes, ZSTD_LEVEL))
      // What others do with the package must not get into a file.
      if (frame.length > 4 && beginsWith(frame, ZSTD_MAGIC)) return frame
      throw new Error('zstd has made no frame of a batch')
    },
    async decompress(frame) {
      await nextTurn()
      return Buffer.from(part.decompress(frame))
    },
    frameEnd: zstdFrameEnd,
  }
}

let zstdBegun: Promise<void> | undefined
const ZSTD_LEVEL = 3
const ZSTD_MAGIC = 0xfd2fb528
const ZSTD_HEADER_BYTES_MAX = 18

async function zstdFrameEnd(file: FileBytes, at: number): Promise<number | 'cut' | 'foreign'> {
  const header = await file.at(at, ZSTD_HEADER_BYTES_MAX)
  if (!beginsWith(header, ZSTD_MAGIC)) return 'foreign'
  if (header.length < 5) return 'cut'
  const descriptor = header[4]!
  const isSingle = (descriptor & 0x20) !== 0
  const contentBytes = [isSingle ? 1 : 0, 2, 4, 8][descriptor >> 6]!
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3]!
  let end = at + 5 + (isSingle ? 0 : 1) + dictionaryBytes + contentBytes
  for (;;) {
    const block = await file.at(end, 3)
    if (block.length < 3) return 'cut'
    const said = block.readUIntLE(0, 3)
    const type = (said >> 1) & 3
    if (type === 3) return 'foreign'
    end += 3 + (type === 1 ? 1 : said >> 3)
    if ((said & 1) === 1) break
  }
  if ((descriptor & 4) !== 0) end += 4
  return end <= file.size ? end : 'cut'
}

async function lz4Codec(sink: string): Promise<Codec> {
  const part = await loadPart('lz4-napi', () => import('lz4-napi'), sink)
  const options: FrameCompressOptions = { contentChecksum: true }
  return {
    frameBytes: FRAME_BYTES,
    compress: (bytes) => part.compressFrame(bytes, options),
    decompress: (frame) => part.decompressFrame(frame),
    frameEnd: lz4FrameEnd,
  }
}

const LZ4_MAGIC = 0x184d2204
const LZ4_UNCOMPRESSED = 0x80000000

async function lz4FrameEnd(file: FileBytes, at: number): Promise<number | 'cut' | 'foreign'> {
  const header = await file.at(at, 6)
  if (!beginsWith(header, LZ4_MAGIC)) return 'foreign'
  if (header.length < 6) return 'cut'
  const flags = header[4]!
  const blockChecksumBytes = (flags & 0x10) !== 0 ? 4 : 0
  let end = at + 6 + ((flags & 8) !== 0 ? 8 : 0) + ((flags & 1) !== 0 ? 4 : 0) + 1
  for (;;) {
    const block = await file.at(end, 4)
    if (block.length < 4) return 'cut'
    const said = block.readUInt32LE(0)
    end += 4
    if (said === 0) break
    end += (said >= LZ4_UNCOMPRESSED ? said - LZ4_UNCOMPRESSED : said) + blockChecksumBytes
  }
  if ((flags & 4) !== 0) end += 4
  return end <= file.size ? end : 'cut'
}

function beginsWith(header: Buffer, magic: number): boolean {
  for (let at = 0; at < Math.min(4, header.length); at++) {
    if (header[at] !== ((magic >>> (8 * at)) & 0xff)) return false
  }
  return true
}
