/**
 * Where in a recording what is: the blocks of the file, so that a time or a line is found without reading all before it.
 *
 * Hash  SHA-256 of a block's bytes as they stand in the file, which `dd` and `sha256sum` can check too. The checksum in a
 *       gzip member tells a flipped bit; this one also tells another block in its place. It costs a tenth of a percent of
 *       a core while 20,000 frames/s are recorded
 */
import { createHash } from 'node:crypto'
import { open, readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { Fault, messageOf } from '../../model/fault'
import { errnoOf, fileProblem } from '../../model/fileFault'
import { openBlocks, statBlocks } from './fileBlocks'
import { blockLine, brokenLine, endLine, indexHeaderLine, parseIndex, type IndexContent } from './indexLines'
import { parseHeader, type RecordingHeader } from './recordingHeader'
import { isNoRecord, recordOf, type LineContext } from './recordLine'
import { TextSum } from './textSum'
import { WholeLines } from './wholeLines'

/**
 * One block: a gzip member, or of a file that is not compressed the lines that begin in one window of 256 KiB.
 *
 * What this version writes has the header in block 0, alone, and 256 KiB of text, or up to a MiB where it came fast, in
 * each of the others. Files of others may be one block from beginning to end: they can be read and verified, and sought
 * only from the start. Members that end within a line are one block with those that follow, up to the one that ends with
 * a line.
 */
export interface RecordingBlock {
  /** Counts from 0, in the order of the file: of gzip members, or of windows. */
  readonly number: number
  /** In the file, in bytes. */
  readonly offset: number
  readonly length: number
  /** Unpacked, in bytes. */
  readonly textBytes: number
  /** The number of its first line in the file; the header is line 1. */
  readonly firstLine: number
  readonly lines: number
  /** The time of its first line, as it stands there (nanoseconds since 1970); undefined in a block without records. */
  readonly firstT: string | undefined
  /** The latest time in it. */
  readonly lastT: string | undefined
  /** Lines that are missing in it, by the word of its recorder. */
  readonly lost: number
  /** How many of its lines are known to later ones: openings and closings of connections, lists of instruments. */
  readonly state: number
  /** Of its bytes as they stand in the file, in hexadecimal digits. */
  readonly sha256: string
}

export interface BrokenBlock {
  readonly number: number
  readonly offset: number
  readonly length: number
  /** Of the first line that is lost with it. */
  readonly firstLine: number
  /** How many lines are lost with it; undefined where no index tells. */
  readonly lines: number | undefined
  /** The end of a sentence: "cannot be unpacked (...)", "is not what was written". */
  readonly reason: string
}

export interface RecordingIndex {
  readonly path: string
  readonly header: RecordingHeader
  readonly blocks: readonly RecordingBlock[]
  /** Blocks that could not be unpacked when the index was made. */
  readonly broken: readonly BrokenBlock[]
  /** Of the file, its header included. */
  readonly lines: number
  /** Of the file that blocks account for. */
  readonly bytes: number
  /** True when the recorder finished the file, nothing of it is broken, and it ends where its last block ends. */
  readonly complete: boolean
  /** `read`: from the sidecar. `extended`: the file had grown since. `built`: the whole file was read for it. */
  readonly origin: 'read' | 'extended' | 'built'
  /**
   * The position in `blocks` of the first block that may hold a record of this time or later; `blocks.length` when
   * none does. Where times go back, a record counts as of the latest time before it.
   */
  find(timeUs: number): number
  /** The position of the first block that has this line or later ones. */
  findLine(line: number): number
  /** The block that has this line (the header is line 1); undefined when none has. */
  blockOfLine(line: number): RecordingBlock | undefined
}

export interface OpenIndexOptions {
  /** Is told of what is wrong with a sidecar or the file; none of it ends the call. */
  readonly onFault?: ((fault: Fault) => void) | undefined
  /** Is told how far the reading of a file without an index has come. */
  readonly onProgress?: ((done: { readonly bytes: number; readonly of: number }) => void) | undefined
  readonly signal?: AbortSignal | undefined
  /**
   * Writes an index that had to be made beside the recording, for the next time. Default: beside what millrace recorded,
   * and where there is one already; files of others are left alone in their folder. Where this user may not write, none is
   * written, and nothing is said.
   */
  readonly save?: boolean | undefined
}

export interface RecordingVerification {
  readonly path: string
  /** Blocks and lines that are whole; the header is one. */
  readonly blocks: number
  readonly lines: number
  readonly bytes: number
  readonly broken: readonly BrokenBlock[]
  /** Lines that are not what the format says. */
  readonly unreadable: number
  /** Lines that its recorder lost, by its own word. */
  readonly lost: number
  /** What the sidecar is worth: `differs` when it is of other bytes than the file has. */
  readonly index: 'fits' | 'missing' | 'incomplete' | 'broken' | 'differs'
  /** Where the file ends in the middle of a block. */
  readonly cut: boolean
  /** False while it is being recorded, and for ever when its recorder was killed. */
  readonly ended: boolean
  /** True when every byte is what was written, and the recorder came to its end. */
  readonly sound: boolean
}

/**
 * The index of a recording: from its sidecar (`x.ndjson.gz.index`), as far as that fits the file; what it lacks is read
 * from the file.
 *
 * @throws `RECORDING_INVALID` when the file is not a recording that can be read; the signal's reason when it is aborted
 */
export async function openIndex(file: string, options: OpenIndexOptions = {}): Promise<RecordingIndex> {
  const { bytes, gzip } = await statBlocks(file)
  const sidecar = await readSidecar(file)
  const known = typeof sidecar === 'string' ? undefined : await fitting(file, bytes, sidecar)
  if (sidecar === 'broken' || (typeof sidecar !== 'string' && known === undefined)) {
    const message = `The index ${indexPathOf(file)} is not of this recording: it is made anew from the recording.`
    options.onFault?.(new Fault('RECORD_UNREADABLE', message, { path: indexPathOf(file) }))
  }
  const { header, text } = await headerOf(file, known)
  const start = known === undefined ? START : behind(known)
  const blocks = known === undefined ? [] : [...known.blocks]
  const broken = known === undefined ? [] : [...known.broken]
  let origin: RecordingIndex['origin'] = 'read'
  if (start.offset < bytes) {
    origin = known === undefined ? 'built' : 'extended'
    const scanned = gzip
      ? scanMembers(file, bytes, start, header, options)
      : scanWindows(file, bytes, start, header, options)
    for await (const block of scanned) {
      if ('reason' in block) broken.push(block)
      else blocks.push(block)
    }
  }
  const index = new BlockIndex(file, header, blocks, broken, bytes, origin)
  const { save: wanted = header.isOurs || sidecar !== 'missing' } = options
  // A recording that is not ended may still be written, and its index with it.
  if (wanted && (origin === 'built' || (origin === 'extended' && header.ended))) await save(index, text, options)
  return index
}

/**
 * Reads the whole file and compares it with its own checksums and with the sidecar, which it leaves as it is.
 *
 * @throws `RECORDING_INVALID` when the file is not a recording that can be read; the signal's reason when it is aborted
 */
export async function verifyRecording(
  file: string,
  options: Pick<OpenIndexOptions, 'onFault' | 'onProgress' | 'signal'> = {},
): Promise<RecordingVerification> {
  const { bytes, gzip } = await statBlocks(file)
  const sidecar = await readSidecar(file)
  const content = typeof sidecar === 'string' ? undefined : sidecar
  const { header } = await headerOf(file, content)
  const lines = new LineCheck(header)
  const found: RecordingBlock[] = []
  const broken: BrokenBlock[] = []
  const scanned = gzip
    ? scanMembers(file, bytes, START, header, options, lines)
    : scanWindows(file, bytes, START, header, options, lines)
  for await (const block of scanned) {
    if ('reason' in block) broken.push(withIndexed(block, content))
    else found.push(block)
  }
  const end = found.at(-1)
  const lastBroken = broken.at(-1)
  const accounted = Math.max(endOf(end), endOf(lastBroken))
  const swapped = content === undefined ? [] : notAsIndexed(found, content)
  const fitsNone = swapped.length > 0 && swapped.length >= found.filter(({ number }) => number > 0).length
  if (!fitsNone) broken.push(...swapped)
  const index =
    content === undefined
      ? (sidecar as 'missing' | 'broken')
      : fitsNone
        ? 'differs'
        : content.ended !== undefined && content.whole && content.ended.bytes === bytes
          ? 'fits'
          : 'incomplete'
  const cut = accounted < bytes
  const whole = found.length - (fitsNone ? 0 : swapped.length)
  const isSound = broken.length === 0 && lines.unreadable === 0 && !cut && header.ended && index !== 'differs'
  return {
    path: file,
    blocks: whole,
    lines: found.reduce((sum, block) => sum + block.lines, 0),
    bytes,
    broken: broken.sort((a, b) => a.offset - b.offset),
    unreadable: lines.unreadable,
    lost: lines.lost,
    index,
    cut,
    ended: header.ended,
    sound: isSound,
  }
}

/**
 * The text of one block, which was unpacked and checked: whole lines, each with its line end.
 *
 * @throws `RECORD_UNREADABLE` when its bytes are not what was written, or unpack to more than 512 MiB
 */
export async function readBlock(file: string, block: RecordingBlock): Promise<Buffer> {
  const refuse = (what: string, cause?: unknown): never => {
    const message = `Block ${block.number} of the recording ${file} (bytes ${block.offset} to ${endOf(block) - 1}, from line ${block.firstLine} on) ${what}.`
    throw new Fault('RECORD_UNREADABLE', message, { path: file, block: block.number, offset: block.offset }, { cause })
  }
  if (Math.max(block.length, block.textBytes) > READ_BYTES_MAX)
    refuse('is too long to be read in one piece; read the recording line by line')
  const bytes = await bytesOf(file, block.offset, block.length)
  if (bytes.length < block.length || sha256Of(bytes) !== block.sha256) refuse('is not what was written')
  if (bytes[0] !== 0x1f) return bytes
  try {
    return await unpack(bytes, { maxOutputLength: block.textBytes + 1 })
  } catch (cause) {
    return refuse(`cannot be unpacked (${messageOf(cause)})`, cause)
  }
}

/** Where the sidecar of a recording is. */
export function indexPathOf(file: string): string {
  return `${file}.index`
}

/** In a file that is not compressed: the number of the block that a line is in which begins at this byte. */
export function windowOf(offset: number): number {
  return Math.floor(offset / WINDOW_BYTES)
}

const WINDOW_BYTES = 256 * 1_024
const READ_BYTES_MAX = 512 * 1_024 * 1_024
/** A line that is longer is counted, and not looked at. */
const LINE_BYTES_MAX = 64 * 1_024 * 1_024
const unpack = promisify(gunzip)

/** Where a scan begins. */
interface Start {
  readonly offset: number
  readonly number: number
  readonly line: number
}

const START: Start = { offset: 0, number: 0, line: 1 }

class BlockIndex implements RecordingIndex {
  readonly lines: number
  readonly bytes: number
  readonly complete: boolean
  /** The latest time up to the end of each block, microseconds; it never falls. */
  private readonly latestUs: Float64Array

  constructor(
    readonly path: string,
    readonly header: RecordingHeader,
    readonly blocks: readonly RecordingBlock[],
    readonly broken: readonly BrokenBlock[],
    fileBytes: number,
    readonly origin: RecordingIndex['origin'],
  ) {
    const last = blocks.at(-1)
    this.lines = last === undefined ? 0 : last.firstLine + last.lines - 1
    this.bytes = Math.max(endOf(last), endOf(broken.at(-1)))
    this.complete = header.ended && broken.length === 0 && this.bytes === fileBytes
    this.latestUs = new Float64Array(blocks.length)
    let latest = -1
    for (const [at, { lastT }] of blocks.entries()) {
      latest = Math.max(latest, lastT === undefined ? -1 : microsecondsOf(lastT))
      this.latestUs[at] = latest
    }
  }

  find(timeUs: number): number {
    return firstWhere(this.blocks.length, (at) => this.latestUs[at]! >= timeUs)
  }

  findLine(line: number): number {
    return firstWhere(this.blocks.length, (at) => lastLineOf(this.blocks[at]!) >= line)
  }

  blockOfLine(line: number): RecordingBlock | undefined {
    const block = this.blocks[this.findLine(line)]
    return block !== undefined && block.firstLine <= line ? block : undefined
  }
}

function firstWhere(length: number, holds: (at: number) => boolean): number {
  let from = 0
  let to = length
  while (from < to) {
    const middle = (from + to) >> 1
    if (holds(middle)) to = middle
    else from = middle + 1
  }
  return from
}

/** Whole microseconds of a time in nanoseconds. */
function microsecondsOf(t: string): number {
  return t.length > 3 ? Number(t.slice(0, -3)) : 0
}

function lastLineOf({ firstLine, lines }: RecordingBlock): number {
  return firstLine + lines - 1
}

function endOf(block: { readonly offset: number; readonly length: number } | undefined): number {
  return block === undefined ? 0 : block.offset + block.length
}

async function readSidecar(file: string): Promise<IndexContent | 'missing' | 'broken'> {
  let text: string
  try {
    text = await readFile(indexPathOf(file), 'utf8')
  } catch {
    return 'missing'
  }
  return parseIndex(text) ?? 'broken'
}

/** What of a sidecar is of this file: a recording may have been cut, or replaced, since. */
async function fitting(file: string, bytes: number, content: IndexContent): Promise<IndexContent | undefined> {
  const blocks = content.blocks.filter((block) => endOf(block) <= bytes)
  const broken = content.broken.filter((block) => endOf(block) <= bytes)
  // What the last block hashes to cannot be right by chance.
  const last = blocks.at(-1)
  if (last === undefined) return undefined
  if ((await sha256OfRange(file, last.offset, last.length)) !== last.sha256) return undefined
  const [first] = blocks
  // A recorder rewrites the first block when the recording ends, and may not have come to noting that.
  if (content.ended === undefined && first?.number === 0 && first.length <= WINDOW_BYTES) {
    blocks[0] = { ...first, sha256: await sha256OfRange(file, 0, first.length) }
  }
  return { ...content, blocks, broken }
}

function behind({ blocks, broken }: IndexContent): Start {
  const last = blocks.at(-1)!
  const lastBroken = broken.at(-1)
  const offset = Math.max(endOf(last), endOf(lastBroken))
  return {
    offset,
    number: Math.max(last.number, lastBroken?.number ?? 0) + 1,
    line: Math.max(lastLineOf(last), (lastBroken?.firstLine ?? 0) + (lastBroken?.lines ?? 0) - 1) + 1,
  }
}

interface HeaderText {
  readonly header: RecordingHeader
  readonly text: string
}

function parsedHeader(text: string, file: string): HeaderText {
  return { header: parseHeader(text, file), text }
}

/** From the file, or from its sidecar where the file's first block is damaged. */
async function headerOf(file: string, content: IndexContent | undefined): Promise<HeaderText> {
  const blocks = await openBlocks(file)
  try {
    const pieces: Buffer[] = []
    for (let bytes = 0; bytes <= HEADER_BYTES_MAX;) {
      const parts = await blocks.next()
      if ('end' in parts || parts[0]?.part === 'broken') break
      for (const part of parts) {
        if (part.part !== 'text') continue
        const end = part.bytes.indexOf(NEWLINE)
        pieces.push(end < 0 ? part.bytes : part.bytes.subarray(0, end))
        bytes += part.bytes.length
        if (end >= 0) return parsedHeader(Buffer.concat(pieces).toString('utf8'), file)
      }
    }
    return parsedHeader(content?.header ?? Buffer.concat(pieces).toString('utf8'), file)
  } finally {
    await blocks.close().catch(() => undefined) // it was read only
  }
}

const HEADER_BYTES_MAX = 4 * 1_024 * 1_024
const NEWLINE = 10

type Scanned = AsyncGenerator<RecordingBlock | BrokenBlock, void, undefined>

/** The blocks of a gzip file, from a place on that begins one. What a block of its own cannot be is left out. */
async function* scanMembers(
  file: string,
  bytes: number,
  start: Start,
  header: RecordingHeader,
  { onProgress, signal }: OpenIndexOptions,
  check?: LineCheck,
): Scanned {
  const blocks = await openBlocks(file, { from: start, hash: true })
  let sum = new TextSum(header)
  let begun: { number: number; offset: number; members: number } | undefined
  let line = start.line
  let offset = start.offset
  try {
    for (;;) {
      signal?.throwIfAborted()
      const parts = await blocks.next()
      if ('end' in parts) {
        if (parts.end === 'damaged') {
          const reason = `cannot be unpacked (${parts.reason})`
          yield {
            number: parts.number,
            offset: parts.offset,
            length: bytes - parts.offset,
            firstLine: line,
            lines: undefined,
            reason,
          }
        } else if (parts.end === 'complete' && begun !== undefined) {
          // Its last line only lacks its end.
          yield await blockFrom(file, begun, offset - begun.offset, undefined, line, sum)
        }
        return
      }
      for (const part of parts) {
        if (part.part === 'text') {
          sum.push(part.bytes)
          check?.push(part.bytes)
        } else if (part.part === 'broken') {
          check?.skip()
          sum = new TextSum(header)
          const { number, reason } = part
          const from = begun?.offset ?? part.offset
          offset = endOf(part)
          yield {
            number: begun?.number ?? number,
            offset: from,
            length: offset - from,
            firstLine: line,
            lines: undefined,
            reason: `cannot be unpacked (${reason})`,
          }
          begun = undefined
        } else {
          begun ??= { number: part.number, offset: part.offset, members: 0 }
          begun.members += 1
          offset = endOf(part)
          if (!sum.isWhole) continue
          const sha256 = begun.members === 1 ? part.sha256 : undefined
          const block = await blockFrom(file, begun, offset - begun.offset, sha256, line, sum)
          line += block.lines
          yield block
          begun = undefined
          sum = new TextSum(header)
        }
      }
      onProgress?.({ bytes: offset, of: bytes })
      await turn()
    }
  } finally {
    await blocks.close().catch(() => undefined) // it was read only
  }
}

async function blockFrom(
  file: string,
  { number, offset }: { readonly number: number; readonly offset: number },
  length: number,
  sha256: string | undefined,
  firstLine: number,
  sum: TextSum,
): Promise<RecordingBlock> {
  const hash = sha256 ?? (await sha256OfRange(file, offset, length))
  return { number, offset, length, firstLine, sha256: hash, ...sum.totals() }
}

/** The blocks of a file that is not compressed. */
async function* scanWindows(
  file: string,
  bytes: number,
  start: Start,
  header: RecordingHeader,
  { onProgress, signal }: OpenIndexOptions,
  check?: LineCheck,
): Scanned {
  let { offset, line } = start
  while (offset < bytes) {
    signal?.throwIfAborted()
    const number = windowOf(offset)
    const length = await windowLength(file, offset, bytes)
    if (length === 0) return // the last line was cut
    const sum = new TextSum(header)
    for (let at = 0; at < length; at += WINDOW_BYTES) {
      const piece = await bytesOf(file, offset + at, Math.min(WINDOW_BYTES, length - at))
      sum.push(piece)
      check?.push(piece)
      await turn()
    }
    const block = await blockFrom(file, { number, offset }, length, undefined, line, sum)
    offset += length
    line += block.lines
    yield block
    onProgress?.({ bytes: offset, of: bytes })
  }
}

/** Bytes of the lines that begin in the window of `offset`, from there on; 0 when none of them has its end in the file. */
async function windowLength(file: string, offset: number, bytes: number): Promise<number> {
  const windowEnd = (windowOf(offset) + 1) * WINDOW_BYTES
  // The last line that begins in the window ends at the first line end at or behind its last byte.
  for (let at = windowEnd - 1; at < bytes; at += WINDOW_BYTES) {
    const end = (await bytesOf(file, at, WINDOW_BYTES)).indexOf(NEWLINE)
    if (end >= 0) return at + end + 1 - offset
  }
  const rest = await bytesOf(file, offset, Math.min(bytes, windowEnd) - offset)
  return rest.lastIndexOf(NEWLINE) + 1
}

async function bytesOf(file: string, offset: number, length: number): Promise<Buffer> {
  const handle = await open(file, 'r')
  try {
    const buffer = Buffer.allocUnsafeSlow(length)
    let filled = 0
    while (filled < length) {
      const { bytesRead } = await handle.read(buffer, filled, length - filled, offset + filled)
      if (bytesRead === 0) break
      filled += bytesRead
    }
    return buffer.subarray(0, filled)
  } finally {
    await handle.close()
  }
}

function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

async function sha256OfRange(file: string, offset: number, length: number): Promise<string> {
  const hash = createHash('sha256')
  for (let at = 0; at < length; at += WINDOW_BYTES) {
    hash.update(await bytesOf(file, offset + at, Math.min(WINDOW_BYTES, length - at)))
  }
  return hash.digest('hex')
}

/** Whether the lines are what the format says. */
class LineCheck implements LineContext {
  unreadable = 0
  lost = 0
  private readonly lines = new WholeLines(LINE_BYTES_MAX)
  private isFirst = true

  constructor(private readonly header: RecordingHeader) {}

  push(bytes: Buffer): void {
    for (const { text } of this.lines.push(bytes)) {
      if (text === undefined) {
        this.unreadable += 1
        continue
      }
      for (let at = 0; at < text.length;) {
        const end = text.indexOf('\n', at)
        this.line(text.slice(at, end))
        at = end + 1
      }
    }
  }

  /** What follows does not continue the line that was begun. */
  skip(): void {
    this.lines.rest()
    this.isFirst = false
  }

  /** Of a recording of several exchanges, any may be meant: which one is a question of what was read before. */
  exchangeOf(_connection: number, named: string | undefined): string {
    return named ?? this.header.venue
  }

  connectionOf(connection: number): number {
    return connection
  }

  private line(text: string): void {
    const { isFirst } = this
    this.isFirst = false
    if (isFirst || text.trim() === '') return
    const result = recordOf(text, this)
    if (!isNoRecord(result)) return
    if (result.kind === 'broken') this.unreadable += 1
    else if (result.kind === 'gap') this.lost += result.lost ?? 0
  }
}

/** Blocks that are whole, and are not those that were written there. The first is rewritten when a recording ends. */
function notAsIndexed(found: readonly RecordingBlock[], content: IndexContent): BrokenBlock[] {
  const indexed = new Map(content.blocks.map((block) => [block.offset, block]))
  const swapped: BrokenBlock[] = []
  for (const { number, offset, length, firstLine, lines, sha256 } of found) {
    const written = indexed.get(offset)
    if (offset === 0 || (written === undefined && offset >= endOf(content.blocks.at(-1)))) continue
    if (written?.sha256 === sha256) continue
    swapped.push({ number, offset, length, firstLine, lines, reason: 'is not what the index says was written' })
  }
  return swapped
}

/** The index tells how many lines were in a block that cannot be had. */
function withIndexed(block: BrokenBlock, content: IndexContent | undefined): BrokenBlock {
  const end = endOf(block)
  const inside = content?.blocks.filter((one) => one.offset >= block.offset && endOf(one) <= end) ?? []
  const [first] = inside
  if (first === undefined || first.offset !== block.offset || endOf(inside.at(-1)) !== end) return block
  return { ...block, firstLine: first.firstLine, lines: inside.reduce((sum, one) => sum + one.lines, 0) }
}

async function save(index: BlockIndex, header: string, options: OpenIndexOptions): Promise<void> {
  const file = indexPathOf(index.path)
  const temporary = `${file}.${process.pid}.tmp`
  const lines = [indexHeaderLine(path.basename(index.path), header)]
  const inOrder = [...index.blocks, ...index.broken].sort((a, b) => a.offset - b.offset)
  for (const block of inOrder) lines.push('reason' in block ? brokenLine(block) : blockLine(block))
  if (index.complete) lines.push(endLine(index.blocks.length, index.lines, index.bytes))
  try {
    await writeFile(temporary, lines.join(''))
    await rename(temporary, file)
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined)
    // A folder that is for reading only is no trouble: the index is made, and not kept.
    if (FORBIDDEN.has(errnoOf(cause) ?? '')) return
    const message = `The index ${file} cannot be kept: ${fileProblem(cause)} It is made again the next time.`
    options.onFault?.(new Fault('SINK_REJECTED', message, { path: file }, { cause }))
  }
}

/** Of a folder or a disk that may be read only. */
const FORBIDDEN: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EROFS'])
