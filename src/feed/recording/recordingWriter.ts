/**
 * Writes what happens on connections down as a recording (`millrace-recording/1`), while it happens.
 *
 * Files     session lines in the file that was asked for, REST answers in its sibling (`x.rest.ndjson.gz`), which is
 *           created by the first of them; beside each that is compressed its index (`x.ndjson.gz.index`). What was there
 *           before is replaced
 * Loop      a line is written once, in the memory of the kernel, and no string is made of it; compressing and writing happen
 *           on other threads, to which text goes four times a second, or a MiB at a time: each way there and back costs
 *           the loop as much as some hundred lines
 * Secrets   values of query parameters that are named like secrets are left out of addresses; headers are not recorded
 * Errors    `write` never throws and never waits. Lost lines, a failing disk and a missed deadline are faults, and the
 *           summary says what is missing
 */
import { mkdir, open, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { backoffProblem, liveRandom, type Budget } from '../../clock/backoff'
import { LONGEST_WAIT_MS, type Clock } from '../../clock/clock'
import { Fault, messageOf } from '../../model/fault'
import { fileProblem } from '../../model/fileFault'
import type { SessionRecord } from '../record'
import { ConnectionVenues } from './connectionVenues'
import { IndexFile } from './indexFile'
import { LineFile, type LineFileCounters, type LineFileOptions, type WritableFile } from './lineFile'
import { SEVERAL, type NewHeader } from './recordingHeader'
import { indexPathOf } from './recordingIndex'
import { readHeader } from './recordingReader'
import { isRestPath, restPathOf, sessionName } from './restFile'

export interface RecordingWriter {
  readonly path: string
  readonly counters: Readonly<RecordingCounters>
  /** Text that waits for the disk, of the fuller of the two files, in bytes: for who can wait before it is too much. */
  readonly waiting: number
  /** Takes a record. Never throws, never waits; what it refers to may change afterwards. */
  write(record: SessionRecord): void
  /** Writes what is left and ends the files, within a deadline. May be called twice; never rejects. */
  close(): Promise<RecordingSummary>
}

export interface RecordingWriterHeader {
  /** The ids of the exchanges; at least one. */
  readonly venues: readonly string[]
  readonly protocol?: string | undefined
  readonly source?: string | undefined
  /** Where there is one connection: its address. */
  readonly url?: string | undefined
  /** What is asked for: channel name to instruments. */
  readonly subscribed?: Readonly<Record<string, readonly string[]>> | undefined
  /** How it was made from other recordings. */
  readonly made?: Readonly<Record<string, unknown>> | undefined
  /** Default: now. */
  readonly startedUs?: number | undefined
}

export interface RecordingWriterOptions {
  readonly clock: Clock
  readonly onFault: (fault: Fault) => void
  /** Text that may wait for the disk, for each of the two files, in bytes. Default 64 MiB. */
  readonly queueBytesMax?: number | undefined
  /** The most that a killed process loses: this time, or these bytes of text if they come sooner. Default 250 ms, 1 MiB. */
  readonly flushEveryMs?: number | undefined
  readonly flushBytes?: number | undefined
  /**
   * A block ends with the flush by which it has this many bytes of text, or, where lines come slowly, this age. Default
   * 256 KiB, 10 s: so where more than 256 KiB come between two flushes, each flush is a block.
   */
  readonly blockBytes?: number | undefined
  readonly blockEveryMs?: number | undefined
  /** Of gzip, 1 to 9. Default 1: a third larger than 6, and a third of its time. */
  readonly level?: number | undefined
  /** How long closing may take. Default 5 s. */
  readonly closeWithinMs?: number | undefined
  /** How a failing disk is tried again. Default: every 0.1 to 10 s for an hour. */
  readonly retry?: (Budget & { readonly minMs: number; readonly maxMs: number }) | undefined
  /** The jitter of these attempts. */
  readonly random?: (() => number) | undefined
  /** Opens a file for writing, empty; tests give files that fail. */
  readonly openFile?: ((path: string) => Promise<WritableFile>) | undefined
  /** As `openFile`, of the indexes. */
  readonly openIndexFile?: ((path: string) => Promise<WritableFile>) | undefined
}

/** Of the session and its REST file together. */
export interface RecordingCounters {
  lines: number
  lost: number
  bytes: number
  retries: number
}

export interface RecordingSummary {
  readonly path: string
  /** Undefined when no REST answer was recorded. */
  readonly restPath: string | undefined
  readonly lines: number
  readonly restLines: number
  readonly lost: number
  readonly bytes: number
  /** False when a file could not be finished: then it ends at what was written. */
  readonly complete: boolean
}

/**
 * Creates a recording.
 *
 * @param file  written as gzip when its name ends in `.gz`; its folder is created where there is none
 * @throws      `OPTION_INVALID` when the file cannot be created, or an option is not usable
 */
export async function openRecording(
  file: string,
  header: RecordingWriterHeader,
  options: RecordingWriterOptions,
): Promise<RecordingWriter> {
  const fileOptions = checked(file, header, options)
  await makeRoom(file)
  const started = { ...header, startedUs: header.startedUs ?? options.clock.nowUs() }
  const session = new LineFile(file, { ...started, kind: 'session' }, fileOptions)
  try {
    await session.create()
  } catch (cause) {
    throw notCreated(file, cause)
  }
  return new Writer(session, started, fileOptions)
}

class Writer implements RecordingWriter {
  readonly path: string
  private readonly venues: ConnectionVenues
  private readonly several: boolean
  private rest: LineFile | undefined
  private closing: Promise<RecordingSummary> | undefined
  /** Records that could not be written as lines. */
  private refused = 0

  constructor(
    private readonly session: LineFile,
    private readonly header: RecordingWriterHeader & { readonly startedUs: number },
    private readonly options: LineFileOptions,
  ) {
    this.path = session.path
    this.several = header.venues.length !== 1
    this.venues = new ConnectionVenues(this.several ? SEVERAL : header.venues[0]!)
  }

  get counters(): RecordingCounters {
    const { session, rest } = this
    const total = (field: keyof LineFileCounters): number => session.counters[field] + (rest?.counters[field] ?? 0)
    return {
      lines: total('lines'),
      lost: total('lost') + this.refused,
      bytes: total('bytes'),
      retries: total('retries'),
    }
  }

  get waiting(): number {
    return Math.max(this.session.waiting, this.rest?.waiting ?? 0)
  }

  write(record: SessionRecord): void {
    try {
      if (record.dir === 'rest') this.writeRest(record)
      else this.writeSession(record)
    } catch (cause) {
      this.refuse(cause)
    }
  }

  close(): Promise<RecordingSummary> {
    this.closing ??= this.finish()
    return this.closing
  }

  private writeSession(record: Exclude<SessionRecord, { dir: 'rest' }>): void {
    const { dir, connection, exchange } = record
    const known = this.venues.of(connection) === exchange && !(this.several && dir === 'open')
    const taken = this.session.append(record, known ? undefined : exchange)
    if (dir === 'close') this.venues.forget(connection)
    else if (taken && !known) this.venues.learn(connection, exchange)
  }

  private writeRest(record: Extract<SessionRecord, { dir: 'rest' }>): void {
    if (this.rest === undefined) {
      const header: NewHeader = {
        ...this.header,
        kind: 'rest',
        url: undefined,
        subscribed: undefined,
        forSessions: [sessionName(this.path)],
      }
      this.rest = new LineFile(restPathOf(this.path), header, this.options)
    }
    const venue = this.venues.ofHeader() === record.exchange ? undefined : record.exchange
    this.rest.append(record, venue)
  }

  private refuse(cause: unknown): void {
    this.refused += 1
    const what = `A record could not be written to the recording ${this.path}: ${messageOf(cause)}. It is missing there.`
    try {
      this.options.onFault(new Fault('VALUE_INVALID', what, { path: this.path }, { cause }))
    } catch {
      // As everywhere in the recorder: a listener must not be able to stop the connection that feeds it.
    }
  }

  private async finish(): Promise<RecordingSummary> {
    const { session, rest } = this
    const ended = await Promise.all([session.close(), rest?.close() ?? true])
    return {
      path: this.path,
      restPath: rest?.path,
      lines: session.counters.lines,
      restLines: rest?.counters.lines ?? 0,
      lost: this.counters.lost,
      bytes: this.counters.bytes,
      complete: ended.every((complete) => complete),
    }
  }
}

function checked(file: string, header: RecordingWriterHeader, options: RecordingWriterOptions): LineFileOptions {
  const {
    clock,
    onFault,
    queueBytesMax = 64 * 1_024 * 1_024,
    flushEveryMs = 250,
    flushBytes = 1_024 * 1_024,
    blockBytes = 256 * 1_024,
    blockEveryMs = 10_000,
    level = 1,
    closeWithinMs = 5_000,
    retry = { minMs: 100, maxMs: 10_000, atMost: 1_000, withinMs: 3_600_000 },
    random = liveRandom,
    openFile = openEmpty,
    openIndexFile = openEmpty,
  } = options
  const refuse = (what: string): never => {
    throw new Fault('OPTION_INVALID', `The recording ${file}: ${what}.`, { path: file })
  }
  if (header.venues.length === 0) refuse('venues is empty; name at least one exchange')
  if (isRestPath(file)) refuse('names that end in .rest are for the REST answers of a session; choose another name')
  if (!(Number.isSafeInteger(queueBytesMax) && queueBytesMax > 0))
    refuse(`queueBytesMax is ${queueBytesMax}; give a number of bytes above 0`)
  if (!(Number.isSafeInteger(flushBytes) && flushBytes > 0))
    refuse(`flushBytes is ${flushBytes}; give a number of bytes above 0`)
  if (!isWait(flushEveryMs)) refuse(`flushEveryMs is ${flushEveryMs}; give milliseconds above 0`)
  if (!(Number.isSafeInteger(blockBytes) && blockBytes > 0))
    refuse(`blockBytes is ${blockBytes}; give a number of bytes above 0`)
  if (!isWait(blockEveryMs)) refuse(`blockEveryMs is ${blockEveryMs}; give milliseconds above 0`)
  if (!isWait(closeWithinMs)) refuse(`closeWithinMs is ${closeWithinMs}; give milliseconds above 0`)
  if (!(Number.isInteger(level) && level >= 1 && level <= 9)) refuse(`level is ${level}; give 1 to 9`)
  const problem = backoffProblem(retry)
  if (problem !== undefined) refuse(problem)
  return {
    clock,
    onFault,
    openFile,
    gzip: /\.gz$/i.test(file),
    level,
    queueBytesMax,
    flushEveryMs,
    flushBytes,
    blockBytes,
    blockEveryMs,
    closeWithinMs,
    retry: { ...retry, random },
    indexOf: (name) => new IndexFile(name, { openFile: openIndexFile, onFault }),
  }
}

function openEmpty(name: string): Promise<WritableFile> {
  return open(name, 'w')
}

function isWait(ms: number): boolean {
  return ms > 0 && ms <= LONGEST_WAIT_MS
}

/** Makes the folder, and takes away the REST file of the recording that is replaced: its answers would be taken for ours. */
async function makeRoom(file: string): Promise<void> {
  const restFile = restPathOf(file)
  try {
    await mkdir(path.dirname(file), { recursive: true })
    if (!(await exists(restFile))) return
  } catch (cause) {
    throw notCreated(file, cause)
  }
  if (!(await belongsTo(restFile, sessionName(file)))) {
    throw new Fault(
      'OPTION_INVALID',
      `The recording ${file} would take over ${restFile}, which has REST answers of other sessions; choose another name.`,
      { path: file, restPath: restFile },
    )
  }
  try {
    await rm(restFile)
    await rm(indexPathOf(restFile), { force: true })
  } catch (cause) {
    throw notCreated(file, cause)
  }
}

async function exists(file: string): Promise<boolean> {
  try {
    await stat(file)
    return true
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return false
    throw cause
  }
}

async function belongsTo(restFile: string, session: string): Promise<boolean> {
  try {
    return (await readHeader(restFile)).forSessions?.includes(session) ?? false
  } catch {
    return false
  }
}

function notCreated(file: string, cause: unknown): Fault {
  return new Fault(
    'OPTION_INVALID',
    `The recording ${file} cannot be created: ${fileProblem(cause)}`,
    { path: file },
    { cause },
  )
}
