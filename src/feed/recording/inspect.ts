/**
 * What a recording holds, and what is wrong with it, each read from the file itself and not believed of its header.
 *
 * `millrace-recording-info/1`    venue, times, lines by direction, connections, blocks, gaps
 * `millrace-recording-verify/1`  every defect with its place: bytes that are not what was written, lines that are not what
 *                                the format says, times that go back, an end that is missing
 */
import { stat } from 'node:fs/promises'
import { Fault } from '../../model/fault'
import { errnoOf } from '../../model/fileFault'
import { compareTimes, type GapRecord, type RecordTime, type SessionRecord } from '../record'
import { isSameGap } from './recordOutput'
import { openBlocks } from './fileBlocks'
import { foreignFormat, formatOf } from './foreign/foreignFormats'
import { timeText } from './recordLine'
import { indexPathOf, openIndex, verifyRecording, type RecordingVerification } from './recordingIndex'
import { readRecording } from './recordingReader'
import { restFileOf } from './restFile'

export interface InspectOptions {
  readonly onFault: (fault: Fault) => void
  /** Is told how many lines were read, and which share of the whole that is, from 0 to 1. */
  readonly onProgress?: ((lines: number, share: number) => void) | undefined
  /** Of a check: is told how far its blocks are compared, which comes before its lines are read. */
  readonly onBlocks?: ((done: { readonly bytes: number; readonly of: number }) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/** Of a line, as headers count them: `in-binary` is a frame of bytes. */
export type LineKind = 'open' | 'out' | 'in' | 'in-binary' | 'close' | 'rest' | 'gap'

export interface RecordingInfo {
  readonly path: string
  readonly kind: 'session' | 'rest'
  readonly venue: string
  readonly venues: readonly string[]
  readonly protocol: string | null
  readonly url: string | null
  readonly source: string | null
  readonly recorded: string | null
  /** How it was made from others. */
  readonly made: Readonly<Record<string, unknown>> | null
  /** The earliest and the latest time, nanoseconds since 1970, as digits. */
  readonly firstT: string | null
  readonly lastT: string | null
  readonly durationUs: number
  readonly lines: Readonly<Record<LineKind, number>>
  /** Lines that could not be read, and lines of a kind that this version does not know. */
  readonly unreadable: number
  readonly ignored: number
  /** Connections that opened or of which something came. */
  readonly connections: number
  readonly blocks: number
  readonly brokenBlocks: number
  /** Where lines are missing, and how many are by the word of the recorder. */
  readonly gaps: { readonly count: number; readonly lost: number }
  /** On the disk, and unpacked. */
  readonly bytes: number
  readonly textBytes: number
  /** True when its recorder finished it and nothing of it is broken. */
  readonly complete: boolean
  /** `fits` the file, is of its beginning (`incomplete`), is none, or of no use (`broken`). */
  readonly index: 'fits' | 'incomplete' | 'missing' | 'broken'
  /** The file of REST answers that goes with it. */
  readonly restFile: string | null
}

/** @throws `RECORDING_INVALID` when the file is not a recording that can be read; the signal's reason when it is aborted */
export async function recordingInfo(path: string, options: InspectOptions): Promise<RecordingInfo> {
  const { onFault, onProgress, signal } = options
  await refuseForeign(path)
  const reader = readRecording(path, { onFault })
  const header = await reader.header()
  const tally = new Tally()
  for await (const batch of reader) {
    signal?.throwIfAborted()
    for (const record of batch) tally.take(record)
    onProgress?.(reader.counters.lines, reader.progress.share)
  }
  const had = await exists(indexPathOf(path))
  // Of a file that is one block, and that broken, nothing is known but its header.
  const index = await openIndex(path, { save: false, signal }).catch((error: unknown) => {
    if (error instanceof Fault && error.code === 'RECORDING_INVALID') return undefined
    throw error
  })
  const { first, last, lines } = tally
  return {
    path,
    kind: header.kind,
    venue: header.venue,
    venues: header.venues,
    protocol: header.protocol ?? null,
    url: header.url ?? null,
    source: header.source ?? null,
    recorded: header.recorded ?? null,
    made: header.made ?? null,
    firstT: first === undefined ? null : timeText(first),
    lastT: last === undefined ? null : timeText(last),
    durationUs: first === undefined || last === undefined ? 0 : last.timeUs - first.timeUs,
    lines,
    unreadable: reader.counters.unreadable,
    ignored: reader.counters.ignored,
    connections: tally.connections,
    blocks: index?.blocks.length ?? 0,
    brokenBlocks: index?.broken.length ?? 1,
    gaps: { count: tally.gaps, lost: reader.counters.lost },
    bytes: (await stat(path)).size,
    textBytes: reader.counters.bytes,
    complete: index?.complete === true && reader.counters.unreadable === 0,
    index: index?.origin === 'read' ? 'fits' : index?.origin === 'extended' ? 'incomplete' : had ? 'broken' : 'missing',
    restFile: (await restFileOf(path)) ?? null,
  }
}

class Tally {
  first: RecordTime | undefined
  last: RecordTime | undefined
  readonly lines: Record<LineKind, number> = { open: 0, out: 0, in: 0, 'in-binary': 0, close: 0, rest: 0, gap: 0 }
  /** Where lines are missing; of each connection a gap stands there. */
  gaps = 0
  private gap: GapRecord | undefined
  private readonly numbers = new Set<number>()
  private reopened = 0
  private readonly open = new Set<number>()

  get connections(): number {
    return this.numbers.size + this.reopened
  }

  take(record: SessionRecord): void {
    const { dir, connection } = record
    if (this.first === undefined || compareTimes(record, this.first) < 0) this.first = timeOf(record)
    if (this.last === undefined || compareTimes(record, this.last) > 0) this.last = timeOf(record)
    this.lines[dir === 'in' && typeof record.data !== 'string' ? 'in-binary' : dir] += 1
    if (record.dir === 'gap' && (this.gap === undefined || !isSameGap(record, this.gap))) this.gaps += 1
    this.gap = record.dir === 'gap' ? record : undefined
    if (connection < 0) return
    if (dir === 'open') {
      // A number that is used again is another connection.
      if (this.numbers.has(connection) && !this.open.has(connection)) this.reopened += 1
      this.open.add(connection)
    } else if (dir === 'close') this.open.delete(connection)
    if (this.numbers.size < CONNECTIONS_MAX) this.numbers.add(connection)
  }
}

/** Connections that are told apart; further ones are not counted. */
const CONNECTIONS_MAX = 1_000_000

function timeOf({ timeUs, ns }: RecordTime): RecordTime {
  return { timeUs, ns }
}

export interface Defect {
  /**
   * `block`  bytes that are not what was written
   * `line`   a line that is not what the format says
   * `time`   a time that is earlier than one before it
   * `end`    the end is missing: the file was cut, or its recorder was killed
   * `index`  the sidecar is of other bytes
   */
  readonly kind: 'block' | 'line' | 'time' | 'end' | 'index'
  /** Counting from 1, which is the header; the first line that is touched. */
  readonly line: number | null
  /** In the file, in bytes. */
  readonly offset: number | null
  readonly length: number | null
  /** A sentence. */
  readonly what: string
}

export interface RecordingCheck {
  readonly path: string
  /** True when there is no defect. */
  readonly sound: boolean
  /** That are whole. */
  readonly blocks: number
  readonly lines: number
  readonly bytes: number
  /** Lines that are missing by the word of the recorder: no defect of the file, and a gap in what it tells. */
  readonly lost: number
  readonly index: RecordingVerification['index']
  /** The first of them, in order of their kinds. */
  readonly defects: readonly Defect[]
  readonly defectsInAll: number
}

/** Defects that are listed; the others are counted. */
const DEFECTS_MAX = 1_000

/** @throws `RECORDING_INVALID` when the file is not a recording that can be read; the signal's reason when it is aborted */
export async function checkRecording(path: string, options: InspectOptions): Promise<RecordingCheck> {
  const { onProgress, onBlocks, signal } = options
  await refuseForeign(path)
  const defects = new Defects()
  let checked
  try {
    checked = await verifyRecording(path, { signal, onProgress: onBlocks })
  } catch (error) {
    const nothing = error instanceof Fault && error.code === 'RECORDING_INVALID' ? await unreadable(path) : undefined
    if (nothing === undefined) throw error
    return nothing
  }
  for (const { number, offset, length, firstLine, reason } of checked.broken) {
    const line = firstLine > 0 ? firstLine : null
    defects.add({
      kind: 'block',
      line,
      offset,
      length,
      what: `Block ${number} of ${path}, bytes ${offset} to ${offset + length - 1}, ${reason}.`,
    })
  }
  if (checked.index === 'differs' || checked.index === 'broken') {
    defects.add({
      kind: 'index',
      line: null,
      offset: null,
      length: null,
      what: `The index ${indexPathOf(path)} is not of this recording; delete it, and it is made anew.`,
    })
  }
  const reader = readRecording(path, {
    lineage: true,
    onFault: ({ code, message, details }) => {
      if (code === 'RECORDING_CUT') {
        defects.add({ kind: 'end', line: numberOf(details['line']), offset: null, length: null, what: message })
      } else if (details['lost'] === undefined && details['block'] === undefined) {
        defects.add({ kind: 'line', line: numberOf(details['line']), offset: null, length: null, what: message })
      }
    },
  })
  await reader.header()
  const latest = new Latest()
  for await (const batch of reader) {
    signal?.throwIfAborted()
    for (const record of batch) {
      const earlier = record.dir === 'gap' ? undefined : latest.backFrom(record)
      if (earlier === undefined) continue
      const line = record.lineage?.line ?? null
      const what = `Line ${line} of ${path} has the time ${timeText(record)}, which is before ${timeText(earlier)} of a line above it.`
      defects.add({ kind: 'time', line, offset: null, length: null, what })
    }
    onProgress?.(reader.counters.lines, reader.progress.share)
  }
  if (checked.cut && !defects.has('end')) {
    defects.add({
      kind: 'end',
      line: null,
      offset: null,
      length: null,
      what: `The recording ${path} ends in the middle of a block.`,
    })
  }
  const { blocks, lines, bytes, lost, index } = checked
  return {
    path,
    sound: defects.count === 0,
    blocks,
    lines,
    bytes,
    lost,
    index,
    defects: defects.listed(),
    defectsInAll: defects.count,
  }
}

/** What is said of a file whose beginning is damaged, so that not even its header is known; undefined of all others. */
async function unreadable(path: string): Promise<RecordingCheck | undefined> {
  const blocks = await openBlocks(path)
  let first
  try {
    first = await blocks.next()
  } finally {
    await blocks.close().catch(() => undefined) // it was read only
  }
  const broken =
    'end' in first ? (first.end === 'damaged' ? first : undefined) : first.find(({ part }) => part === 'broken')
  const hasText = !('end' in first) && first.some(({ part }) => part === 'text')
  if (broken === undefined || hasText || !('reason' in broken)) return undefined
  const { size } = await stat(path)
  const length = 'length' in broken ? broken.length : size - broken.offset
  const what = `Block ${broken.number} of ${path}, bytes ${broken.offset} to ${broken.offset + length - 1}, cannot be unpacked (${broken.reason}), and its header with it.`
  return {
    path,
    sound: false,
    blocks: 0,
    lines: 0,
    bytes: size,
    lost: 0,
    index: (await exists(indexPathOf(path))) ? 'incomplete' : 'missing',
    defects: [{ kind: 'block', line: 1, offset: broken.offset, length, what }],
    defectsInAll: 1,
  }
}

class Defects {
  count = 0
  private readonly byKind = new Map<Defect['kind'], Defect[]>()

  add(defect: Defect): void {
    this.count += 1
    const known = this.byKind.get(defect.kind) ?? []
    if (known.length < DEFECTS_MAX) known.push(defect)
    this.byKind.set(defect.kind, known)
  }

  has(kind: Defect['kind']): boolean {
    return this.byKind.has(kind)
  }

  listed(): readonly Defect[] {
    return KINDS.flatMap((kind) => this.byKind.get(kind) ?? []).slice(0, DEFECTS_MAX)
  }
}

const KINDS: readonly Defect['kind'][] = ['block', 'end', 'index', 'line', 'time']

/** The latest time of a file so far. */
class Latest {
  private time: RecordTime = { timeUs: -1, ns: 0 }

  /** The time that a record should not be before, where it is. */
  backFrom(record: RecordTime): RecordTime | undefined {
    if (compareTimes(record, this.time) < 0) return this.time
    this.time = timeOf(record)
    return undefined
  }
}

function numberOf(value: unknown): number | null {
  return typeof value === 'number' ? value : null
}

/** A file of another recorder has no blocks and no header: what it needs is a conversion. */
async function refuseForeign(path: string): Promise<void> {
  let format
  try {
    format = await formatOf(path)
  } catch {
    return // whoever reads it says why it cannot be
  }
  if (format === undefined || format === 'millrace') return
  throw new Fault(
    'RECORDING_INVALID',
    `The file ${path} is of ${foreignFormat(format).title}, not of millrace; convert it first: millrace recording convert ${path} --out recording.ndjson.gz`,
    { path, format },
  )
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return false
    throw cause
  }
}
