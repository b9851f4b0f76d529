/**
 * From recordings of any format that is read into one of any format that is written (`millrace-recording-convert/1`).
 *
 * Order   several files become one by time, with stable ties (`mergeRecordings.ts`)
 * Faults  a line that cannot be read is told and left out, and what stands before the place where a file is damaged is
 *         converted; what a format has no room for is counted by reason
 * Output  whole or not at all (`outputPlace.ts`)
 */
import { stat } from 'node:fs/promises'
import type { Clock } from '../../clock/clock'
import { Fault } from '../../model/fault'
import { compareTimes, type SessionRecord } from '../record'
import { connectionKey } from './foreign/cryptofeed'
import { foreignFormat, formatOf, type FormatName } from './foreign/foreignFormats'
import type { ForeignFormatName } from './foreign/foreignFormat'
import { foreignOutput, WRITABLE_FOREIGN_FORMATS } from './foreign/foreignOutput'
import { readForeign, type ForeignReader } from './foreign/foreignReader'
import { mergeRecordings, replayRecords, type ReplayedRecords } from './mergeRecordings'
import { NORMALISED_PROTOCOL } from '../../exchanges/normalised'
import type { RecordBatches } from './recordBatches'
import { recordingOutput, type RecordOutput } from './recordOutput'
import type { RecordingHeader } from './recordingHeader'
import type { ReadingCounters } from './recordingReader'
import type { RecordingWriterHeader } from './recordingWriter'

export interface ConvertOptions {
  readonly files: readonly string[]
  readonly out: string
  /** Default `millrace`. `tardis-csv` is read only. */
  readonly to?: FormatName | undefined
  /** The format of the files; default: each tells by how it begins. */
  readonly from?: FormatName | undefined
  /** The exchange, where files do not say it or are to be taken as of another. */
  readonly exchange?: string | undefined
  /** The address that was connected to, where files do not say it. */
  readonly url?: string | undefined
  /** `trades` or `liquidations`, of CSV files whose names do not say it. */
  readonly dataType?: string | undefined
  /** Replaces what is there. Default false. */
  readonly replace?: boolean | undefined
  readonly clock: Clock
  readonly onFault: (fault: Fault) => void
  /** Is told how many lines were read, and which share of the whole that is, from 0 to 1; undefined where nobody knows. */
  readonly onProgress?: ((lines: number, share: number | undefined) => void) | undefined
  /** Ends the work; nothing is written then. */
  readonly signal?: AbortSignal | undefined
}

export interface ConvertReport {
  readonly format: 'millrace-recording-convert/1'
  readonly to: FormatName
  readonly exchanges: readonly string[]
  readonly inputs: readonly ConvertedInput[]
  readonly outputs: readonly { readonly path: string; readonly bytes: number }[]
  /** That were written. */
  readonly records: number
  /** Nanoseconds since 1970, as digits; null when there is no record. */
  readonly firstT: string | null
  readonly lastT: string | null
  /** What was read and is not in the output, by reason. */
  readonly leftOut: Readonly<Record<string, number>>
}

export interface ConvertedInput {
  readonly path: string
  readonly format: FormatName
  readonly lines: number
  readonly records: number
  /** Lines that could not be read. */
  readonly unreadable: number
  /** Lines that are missing by the word of the recorder. */
  readonly lost: number
  /** True when the file ends in the middle, or is damaged there. */
  readonly cut: boolean
}

/**
 * @throws `OPTION_INVALID` and `RECORDING_INVALID` before anything is written; `SINK_REJECTED` when the output cannot be
 *         written; the signal's reason when it is aborted
 */
export async function convertRecordings(options: ConvertOptions): Promise<ConvertReport> {
  const { files, out, to = 'millrace', clock, replace, signal } = options
  if (files.length === 0) throw new Fault('OPTION_INVALID', 'No file is given: name at least one.')
  const source = await openSource(options)
  let output: RecordOutput | undefined
  try {
    const header = await source.header()
    const outputOptions = { clock, inputs: [...files, ...source.inputs().map(({ path }) => path)], replace }
    if (to === 'millrace') output = await recordingOutput(out, header, outputOptions)
    else if (to === 'tardis-csv') throw new Fault('OPTION_INVALID', TARDIS_CSV)
    else output = await foreignOutput(out, to, header.venues, outputOptions)
    const span = await pour(source.records, output, options, source)
    if (span.firstT === null) {
      throw new Fault('RECORDING_INVALID', `There is no record in ${named(files)} that can be read.`, { files })
    }
    const { files: outputs, records, leftOut } = await output.finish()
    const all = new Map(source.leftOut())
    for (const [reason, count] of leftOut) all.set(reason, (all.get(reason) ?? 0) + count)
    return {
      format: 'millrace-recording-convert/1',
      to,
      exchanges: header.venues,
      inputs: source.inputs(),
      outputs,
      records,
      ...span,
      leftOut: Object.fromEntries(all),
    }
  } catch (error) {
    await output?.abandon()
    throw signal?.aborted === true ? signal.reason : error
  } finally {
    await source.records.return()
  }
}

const TARDIS_CSV = `The format tardis-csv is read and not written; there are millrace, ${WRITABLE_FOREIGN_FORMATS.join(', ')}.`

/** True when everything that was to be read could be. */
export function isWhole({ inputs }: ConvertReport): boolean {
  return inputs.every(({ unreadable, cut }) => unreadable === 0 && !cut)
}

interface Source {
  readonly records: RecordBatches
  header(): Promise<RecordingWriterHeader>
  /** Lines read so far, and which share of all that is. */
  lines(): number
  share(): number | undefined
  inputs(): readonly ConvertedInput[]
  leftOut(): ReadonlyMap<string, number>
}

/** Writes all records; gives the times of the first and the last. */
async function pour(
  records: RecordBatches,
  output: RecordOutput,
  { onProgress, signal }: ConvertOptions,
  source: Source,
): Promise<Pick<ConvertReport, 'firstT' | 'lastT'>> {
  let first: SessionRecord | undefined
  let last: SessionRecord | undefined
  for await (const batch of records) {
    signal?.throwIfAborted()
    first ??= batch[0]
    for (const record of batch) if (last === undefined || compareTimes(last, record) < 0) last = record
    await output.write(batch)
    onProgress?.(source.lines(), source.share())
  }
  return { firstT: first === undefined ? null : digits(first), lastT: last === undefined ? null : digits(last) }
}

function digits({ timeUs, ns }: SessionRecord): string {
  return `${timeUs}${String(ns).padStart(3, '0')}`
}

async function openSource(options: ConvertOptions): Promise<Source> {
  const { files, from } = options
  const formats: (FormatName | undefined)[] = []
  for (const file of files) {
    const found = await formatOf(file).catch((error: unknown) => {
      if (from !== undefined && error instanceof Fault && !('errno' in error.details)) return from
      throw error
    })
    // An empty file is what tardis.dev gives for a day without data.
    formats.push(found === undefined ? undefined : (from ?? found))
  }
  const foreign = files.flatMap((path, index): ForeignInput[] => {
    const format = formats[index]
    return format === undefined || format === 'millrace' ? [] : [{ path, format }]
  })
  const own = files.filter((_, index) => formats[index] === 'millrace')
  if (own.length > 0 && foreign.length > 0) {
    throw new Fault(
      'OPTION_INVALID',
      `${own[0]} is a recording of millrace and ${foreign[0]!.path} is not; convert the others first, and merge the recordings.`,
      { own: own[0], foreign: foreign[0]!.path },
    )
  }
  if (own.length + foreign.length === 0) {
    throw new Fault('RECORDING_INVALID', `There is nothing in ${files.join(', ')}: no record to convert.`, { files })
  }
  return own.length > 0 ? new OwnSource(own, options) : new ForeignSource(foreign, options)
}

interface ForeignInput {
  readonly path: string
  readonly format: ForeignFormatName
}

class OwnSource implements Source {
  readonly records: ReplayedRecords
  private readonly cut = new Set<string>()
  /** Lines that the headers promise; NaN where one of them does not say. */

  constructor(
    private readonly files: readonly string[],
    private readonly options: ConvertOptions,
  ) {
    this.records = replayRecords(files, {
      exchange: options.exchange,
      onFault: (fault) => {
        const { path, block } = fault.details
        if (fault.code === 'RECORDING_CUT' || block !== undefined) this.cut.add(String(path))
        options.onFault(fault)
      },
    })
  }

  async header(): Promise<RecordingWriterHeader> {
    const headers: RecordingHeader[] = []
    for (const reader of await this.records.open()) headers.push(await reader.header())
    return mergedHeader(headers, this.files, this.options.exchange)
  }

  lines(): number {
    return this.records.counters.lines
  }

  share(): number | undefined {
    return this.records.progress.share
  }

  inputs(): readonly ConvertedInput[] {
    return this.records.readers.map(({ path, counters }) => inputOf(path, 'millrace', counters, this.cut.has(path)))
  }

  leftOut(): ReadonlyMap<string, number> {
    const { ignored } = this.records.counters
    return new Map(ignored === 0 ? [] : [['lines of a kind that this version does not know', ignored]])
  }
}

class ForeignSource implements Source {
  readonly records: RecordBatches
  private readonly readers: readonly ForeignReader[]
  private readonly cut = new Set<string>()
  /** Of all files. */
  private bytes = 0

  constructor(
    private readonly files: readonly ForeignInput[],
    { exchange, url, dataType, onFault }: ConvertOptions,
  ) {
    const connections = new Map<string, number>()
    this.readers = files.map(({ path, format }) => {
      const key = format === 'cryptofeed' ? connectionKey(path) : path
      const connection = connections.get(key) ?? connections.size
      connections.set(key, connection)
      const decoder = foreignFormat(format).decoder({ path, exchange, url, dataType, connection })
      return readForeign(path, decoder, {
        onFault: (fault) => {
          if (fault.code === 'RECORDING_CUT') this.cut.add(path)
          onFault(fault)
        },
      })
    })
    this.records = mergeRecordings(this.readers)
  }

  async header(): Promise<RecordingWriterHeader> {
    const venues = new Set<string>()
    let earliest: SessionRecord | undefined
    for (const reader of this.readers) {
      this.bytes += (await stat(reader.path)).size
      const first = await reader.first()
      if (first === undefined) continue
      venues.add(first.exchange)
      if (earliest === undefined || compareTimes(first, earliest) < 0) earliest = first
    }
    if (earliest === undefined) {
      const names = this.files.map(({ path }) => path).join(', ')
      throw new Fault('RECORDING_INVALID', `There is no record in ${names} that can be read.`, {})
    }
    const formats = new Set(this.files.map(({ format }) => foreignFormat(format).title))
    return {
      venues: [...venues],
      protocol: this.files.every(({ format }) => format === 'tardis-csv') ? NORMALISED_PROTOCOL : undefined,
      source: `converted from ${[...formats].join(', ')}: ${named(this.files.map(({ path }) => path))}`,
      startedUs: earliest.timeUs,
    }
  }

  lines(): number {
    return this.readers.reduce((sum, { counters }) => sum + counters.lines, 0)
  }

  share(): number | undefined {
    const read = this.readers.reduce((sum, { position }) => sum + position, 0)
    return this.bytes > 0 ? Math.min(1, read / this.bytes) : undefined
  }

  inputs(): readonly ConvertedInput[] {
    return this.readers.map(({ path, counters }, index) =>
      inputOf(path, this.files[index]!.format, counters, this.cut.has(path)),
    )
  }

  leftOut(): ReadonlyMap<string, number> {
    const all = new Map<string, number>()
    for (const { leftOut } of this.readers) {
      for (const [reason, count] of leftOut) all.set(reason, (all.get(reason) ?? 0) + count)
    }
    return all
  }
}

/** What is true of all of several recordings. */
export function mergedHeader(
  headers: readonly RecordingHeader[],
  files: readonly string[],
  exchange: string | undefined,
): RecordingWriterHeader {
  const sessions = headers.filter(({ kind }) => kind === 'session')
  const all = sessions.length > 0 ? sessions : headers
  const same = <T>(of: (header: RecordingHeader) => T): T | undefined => {
    const values = new Set(all.map(of))
    return values.size === 1 ? [...values][0] : undefined
  }
  const started = headers
    .map(({ recorded }) => Date.parse(recorded ?? '') * 1_000)
    .filter((timeUs) => Number.isSafeInteger(timeUs) && timeUs >= 0)
  const venues = exchange === undefined ? [...new Set(headers.flatMap((header) => header.venues))] : [exchange]
  return {
    // A header that lists none is of several exchanges, which its lines name.
    venues: venues.length > 0 ? venues : ['several'],
    protocol: same(({ protocol }) => protocol),
    url: all.length === 1 ? all[0]!.url : undefined,
    source: files.length === 1 ? (all[0]?.source ?? named(files)) : `merged from ${named(files)}`,
    made: madeOf(all, files),
    subscribed: merged(all.map(({ subscribed }) => subscribed)),
    startedUs: started.length > 0 ? started.reduce((a, b) => Math.min(a, b)) : 0,
  }
}

/** How those that were made from others were made. */
function madeOf(
  headers: readonly RecordingHeader[],
  files: readonly string[],
): Readonly<Record<string, unknown>> | undefined {
  if (headers.length === 1) return headers[0]!.made
  const parts = headers.flatMap(({ made }) => made ?? [])
  return parts.length === 0 ? undefined : { by: 'merge', of: named(files), parts }
}

/** The subscriptions of all; undefined where one of them does not say. */
function merged(
  each: readonly RecordingHeader['subscribed'][],
): Readonly<Record<string, readonly string[]>> | undefined {
  const all = new Map<string, Set<string>>()
  for (const subscribed of each) {
    if (subscribed === undefined) return undefined
    for (const [channel, names] of Object.entries(subscribed)) {
      const known = all.get(channel) ?? new Set<string>()
      for (const name of names) known.add(name)
      all.set(channel, known)
    }
  }
  return Object.fromEntries([...all].map(([channel, names]) => [channel, [...names]]))
}

/** Files that a header names. */
const NAMED_MAX = 8

/** The names of files, without their folders: a recording is handed on, and whose disk it came from is nobody's matter. */
export function named(files: readonly string[]): string {
  const names = files.map((file) => file.split(/[\\/]/).at(-1)!)
  const more = names.length - NAMED_MAX
  return more > 0 ? `${names.slice(0, NAMED_MAX).join(', ')} and ${more} more` : names.join(', ')
}

function inputOf(path: string, format: FormatName, counters: ReadingCounters, cut: boolean): ConvertedInput {
  const { lines, records, unreadable, lost } = counters
  return { path, format, lines, records, unreadable, lost, cut }
}
