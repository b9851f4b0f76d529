/**
 * Somewhere that records are written to in a work that can wait: unlike a recorder it never loses a line, and its output
 * comes to be at the end, whole, or not at all.
 */
import { stat } from 'node:fs/promises'
import path from 'node:path'
import { sleep, type Clock } from '../../clock/clock'
import { Fault } from '../../model/fault'
import { compareTimes, type GapRecord, type SessionRecord } from '../record'
import { outputPlace, type OutputPlace } from './outputPlace'
import { readHeader } from './recordingReader'
import { openRecording, type RecordingWriter, type RecordingWriterHeader } from './recordingWriter'
import { isRestPath, restPathOf, sessionName } from './restFile'

export interface RecordOutput {
  /** Resolves when more can be taken. @throws `SINK_REJECTED` when it cannot be written */
  write(records: readonly SessionRecord[]): Promise<void>
  /** Ends the files and puts them in their place. @throws `SINK_REJECTED`; then nothing is there */
  finish(): Promise<OutputSummary>
  /** Deletes what was written. Does nothing after `finish`; never rejects. */
  abandon(): Promise<void>
}

export interface OutputSummary {
  /** In their final places. */
  readonly files: readonly { readonly path: string; readonly bytes: number }[]
  /** That were written. */
  readonly records: number
  /** What the format has no room for: counts by reason, each the end of a sentence. */
  readonly leftOut: ReadonlyMap<string, number>
}

export interface RecordOutputOptions {
  readonly clock: Clock
  /** What is read, and so must not be written. */
  readonly inputs: readonly string[]
  /** Replaces what is there. Default false. */
  readonly replace?: boolean | undefined
}

/**
 * A recording of our own, with its REST answers beside it.
 *
 * @throws `OPTION_INVALID` when it cannot be written there
 */
export async function recordingOutput(
  out: string,
  header: RecordingWriterHeader,
  options: RecordOutputOptions,
): Promise<RecordOutput> {
  const { inputs, replace, clock } = options
  if (isRestPath(out)) {
    throw new Fault(
      'OPTION_INVALID',
      `The output ${out} ends in .rest, as the names of REST answers do; choose another name.`,
      { path: out },
    )
  }
  const rest = restPathOf(out)
  await refuseForeignRest(out, rest)
  const companions = [rest, ...SIDECARS.flatMap((ending) => [out + ending, rest + ending])]
  const place = await outputPlace(out, { kind: 'file', inputs, companions, replace })
  try {
    return await MillraceOutput.open(place, out, header, clock)
  } catch (error) {
    await place.abandon()
    throw error
  }
}

/** What may lie beside a recording and be of it. */
const SIDECARS: readonly string[] = ['.index']

/** Bytes that may wait for the disk before whoever writes has to. */
const WAITING_MAX = 8 * 1_024 * 1_024
/** Between two looks at how much waits, in milliseconds. */
const LOOK_EVERY_MS = 2

class MillraceOutput implements RecordOutput {
  private records = 0
  /** The record before this, where that was a gap. */
  private gap: GapRecord | undefined

  private constructor(
    private readonly place: OutputPlace,
    private readonly out: string,
    private readonly clock: Clock,
    private readonly writer: RecordingWriter,
    private readonly faults: Fault[],
  ) {}

  static async open(
    place: OutputPlace,
    out: string,
    header: RecordingWriterHeader,
    clock: Clock,
  ): Promise<MillraceOutput> {
    const faults: Fault[] = []
    const writer = await openRecording(place.path, header, {
      clock,
      onFault: (fault) => faults.push(fault),
      // Somebody waits for the end: a disk that stays full is said soon.
      retry: { minMs: 50, maxMs: 1_000, atMost: 3, withinMs: 60_000 },
      closeWithinMs: 600_000,
      flushBytes: 256 * 1_024,
      level: 6,
    })
    return new MillraceOutput(place, out, clock, writer, faults)
  }

  async write(records: readonly SessionRecord[]): Promise<void> {
    for (const record of records) this.writer.write(this.once(record))
    this.records += records.length
    while (this.writer.waiting > WAITING_MAX) await sleep(this.clock, LOOK_EVERY_MS)
    if (this.writer.counters.lost > 0) throw this.failure()
  }

  async finish(): Promise<OutputSummary> {
    const summary = await this.writer.close()
    if (!summary.complete || summary.lost > 0) {
      await this.place.abandon()
      throw this.failure()
    }
    await this.place.commit()
    const files: { path: string; bytes: number }[] = []
    for (const file of [this.out, ...(summary.restPath === undefined ? [] : [restPathOf(this.out)])]) {
      files.push({ path: file, bytes: (await stat(file)).size })
    }
    return { files, records: this.records, leftOut: new Map() }
  }

  async abandon(): Promise<void> {
    await this.writer.close()
    await this.place.abandon()
  }

  /** Lines that were lost stand in the gap of each connection of their file; written down, they are to be counted once. */
  private once(record: SessionRecord): SessionRecord {
    const { gap } = this
    this.gap = record.dir === 'gap' ? record : undefined
    if (record.dir !== 'gap' || gap === undefined || !isSameGap(record, gap)) return record
    return { ...record, lost: record.lost === undefined ? undefined : 0 }
  }

  private failure(): Fault {
    const cause = this.faults.at(-1)
    return new Fault(
      'SINK_REJECTED',
      `The output ${this.out} was not written: ${cause?.message ?? 'some of its lines were lost.'}`,
      { path: this.out },
      { cause },
    )
  }
}

/** Whether a gap and the one before it are one, of two connections. */
export function isSameGap(a: GapRecord, b: GapRecord): boolean {
  const isCounted = a.lost === b.lost || a.lost === 0
  return compareTimes(a, b) === 0 && isCounted && a.reason === b.reason && a.connection !== b.connection
}

/** A REST file that lies where ours would is replaced only if it was of the recording that is replaced. */
async function refuseForeignRest(out: string, rest: string): Promise<void> {
  let sessions: readonly string[] | undefined
  try {
    sessions = (await readHeader(rest)).forSessions
  } catch {
    return // none there, or none that speaks for other sessions
  }
  if (sessions?.includes(sessionName(out)) === true) return
  throw new Fault(
    'OPTION_INVALID',
    `The output ${out} would take over ${path.basename(rest)} beside it, which has REST answers of other sessions; choose another name.`,
    { path: out, restPath: rest },
  )
}
