/**
 * The lines of an index (`millrace-recording-index/1`), the file `x.ndjson.gz.index` beside a recording: one JSON object
 * a line, appended as the recording grows.
 *
 *     {"format":"millrace-recording-index/1","recording":"x.ndjson.gz","header":"{...}"}    the recording's first line
 *     {"block":1,"offset":600,"bytes":41022,"text":262190,"line":2,"lines":871,"first":"1722...","last":"1722...",
 *      "lost":12,"state":1,"sha256":"..."}
 *     {"block":7,"offset":9100,"bytes":33,"line":871,"broken":"cannot be unpacked (...)"}
 *     {"end":true,"blocks":8,"lines":900,"bytes":9133}
 *
 * A sidecar, not a footer: it may be lost, cut or of another file without harm to the recording, it is there while the
 * recording grows, and whoever reads the recording with other tools finds nothing in it that is no line. `lost` and
 * `state` are left out where they are 0. A later line of a block replaces an earlier one; a line without its end, as
 * where a process was killed, counts as absent, and so does everything behind a line that cannot be read.
 */
import type { BrokenBlock, RecordingBlock } from './recordingIndex'

const RECORDING_INDEX_FORMAT = 'millrace-recording-index/1'

export interface IndexContent {
  readonly recording: string
  /** The first line of the recording. */
  readonly header: string
  readonly blocks: RecordingBlock[]
  readonly broken: BrokenBlock[]
  /** What its last line says, where it has come to its end. */
  readonly ended: { readonly blocks: number; readonly lines: number; readonly bytes: number } | undefined
  /** False when lines were left out that could not be read. */
  readonly whole: boolean
}

export function indexHeaderLine(recording: string, header: string): string {
  return `${JSON.stringify({ format: RECORDING_INDEX_FORMAT, recording, header: header.trimEnd() })}\n`
}

export function blockLine(block: RecordingBlock): string {
  const { number, offset, length, textBytes, firstLine, lines, firstT, lastT, lost, state, sha256 } = block
  const line = {
    block: number,
    offset,
    bytes: length,
    text: textBytes,
    line: firstLine,
    lines,
    first: firstT,
    last: lastT,
    lost: lost === 0 ? undefined : lost,
    state: state === 0 ? undefined : state,
    sha256,
  }
  return `${JSON.stringify(line)}\n`
}

export function brokenLine({ number, offset, length, firstLine, lines, reason }: BrokenBlock): string {
  return `${JSON.stringify({ block: number, offset, bytes: length, line: firstLine, lines, broken: reason })}\n`
}

export function endLine(blocks: number, lines: number, bytes: number): string {
  return `${JSON.stringify({ end: true, blocks, lines, bytes })}\n`
}

/** What an index says, as far as it can be read; undefined when it is none. */
export function parseIndex(text: string): IndexContent | undefined {
  const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n')
  lines.pop()
  const first = parsed(lines[0] ?? '')
  if (first?.['format'] !== RECORDING_INDEX_FORMAT) return undefined
  const { recording, header } = first
  if (typeof recording !== 'string' || typeof header !== 'string') return undefined
  const blocks: RecordingBlock[] = []
  const broken: BrokenBlock[] = []
  let ended: IndexContent['ended']
  let whole = text.endsWith('\n')
  for (const line of lines.slice(1)) {
    const wire = parsed(line)
    const block = wire === undefined ? undefined : blockOf(wire)
    const end = wire === undefined ? undefined : endOf(wire)
    const isNext = block !== undefined && follows(block, blocks, broken)
    if (!isNext && end === undefined) {
      whole = false
      break
    }
    ended = end
    if (block === undefined) continue
    if ('reason' in block) broken.push(block)
    else if (blocks[0]?.number === block.number) blocks[0] = block
    else blocks.push(block)
  }
  return { recording, header, blocks, broken, ended, whole }
}

/** Blocks stand one behind the other; only the first is noted twice, because a recorder rewrites its header. */
function follows(
  block: RecordingBlock | BrokenBlock,
  blocks: readonly RecordingBlock[],
  broken: readonly BrokenBlock[],
): boolean {
  const [first] = blocks
  if (first !== undefined && block.number === 0) return first.number === 0 && first.length === block.length
  const before = [blocks.at(-1), broken.at(-1)].filter((one) => one !== undefined)
  return before.every((one) => block.number > one.number && block.offset >= one.offset + one.length)
}

type Wire = Readonly<Record<string, unknown>>

function parsed(line: string): Wire | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Wire) : undefined
  } catch {
    return undefined
  }
}

function blockOf(wire: Wire): RecordingBlock | BrokenBlock | undefined {
  const { block, offset, bytes, text, line, lines, first, last, lost = 0, state = 0, sha256, broken } = wire
  if (!isCount(block) || !isCount(offset) || !isCount(bytes) || !isCount(line)) return undefined
  const place = { number: block, offset, length: bytes, firstLine: line }
  if (typeof broken === 'string') {
    return lines === undefined || isCount(lines) ? { ...place, lines, reason: broken } : undefined
  }
  if (!isCount(text) || !isCount(lines) || !isCount(lost) || !isCount(state)) return undefined
  if (!isTime(first) || !isTime(last) || typeof sha256 !== 'string') return undefined
  return { ...place, textBytes: text, lines, firstT: first, lastT: last, lost, state, sha256 }
}

function endOf({ end, blocks, lines, bytes }: Wire): IndexContent['ended'] {
  return end === true && isCount(blocks) && isCount(lines) && isCount(bytes) ? { blocks, lines, bytes } : undefined
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isTime(value: unknown): value is string | undefined {
  return value === undefined || (typeof value === 'string' && /^\d{1,19}$/.test(value))
}
