/**
 * Files that grow by whole records: what `jsonLines` and `csv` share.
 *
 * Names: one file, or as many as the values ask for, by a template (`out/{exchange}/{symbol}/{date}.jsonl`; see
 * `FileTemplate` for how hostile values are written). `{date}` and `{hour}` are UTC, of the value's own time where it has
 * one, else of the stream. Within a file order is as received.
 *
 * Rotation: the growing file is always `bars.jsonl`. A finished one is renamed `bars.000001.jsonl`, `bars.000002.jsonl`
 * and so on, above the highest number in the folder: a finished file is never replaced. By size, a record that would make
 * the file larger than `bytes` begins the next one (a record larger than that has a file to itself), whatever the batches,
 * so that a replay cuts where the run did; where files are compressed, it is a frame that does. By time, the first batch
 * after a multiple of `everyMs` since 1970 begins the next one; a silent stream rotates nothing.
 *
 * Retries: a batch that fails on the way is remembered, and which of its records stand in which file: offered again, it
 * goes on with the rest, and nothing is doubled.
 *
 * Durability: a batch is with the operating system when it is acknowledged and survives the death of this process; it is
 * on the disk (fsync) when the file is rotated or closed with the sink, or after each batch with `durable`. A file whose
 * handle was needed for another (`openFilesMax`) is left to the operating system.
 */
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import type { Clock } from '../../clock/clock'
import { errorOf, Fault, messageOf } from '../../model/fault'
import { fileFault } from '../../model/fileFault'
import { ByteDigest } from './byteDigest'
import { codecOf, type Compression } from './compression'
import { fieldOf, FileTemplate, HOUR_US, isTemplate, plainPath, type FileName } from './fileName'
import { GrowingFile, type FileRules, type FileWork } from './growingFile'
import { resolveOut, type SinkContext, type SinkCounters } from '../sink'
import { aboveZero, wholeAboveZero } from '../sinkOptions'
import { nextTurn } from '../turn'

export interface AppendOptions<T = unknown> {
  /** Goes on after what the file holds. Default: a file that is there when the run begins is replaced. */
  readonly append?: boolean
  readonly rotate?: { readonly bytes?: number; readonly everyMs?: number }
  /** Waits for the disk after each batch: survives a power cut, at milliseconds a batch. */
  readonly durable?: boolean
  /**
   * Writes compressed frames. Default: what the path's ending says (`.gz`, `.zst`, `.lz4`), else none. What is acknowledged is
   * in a whole frame, so a batch is a frame, or several of up to 256 KiB of text. Small batches, or batches for many files,
   * make small frames of poor ratio: give the edge a `batchMax` and `flushMs` with which a file's share of a batch is 64 KiB.
   */
  readonly compress?: Compression
  /** Fields of the values that may stand in the braces of the path, beside those of market events. */
  readonly nameFields?: readonly string[]
  /** The time of a value, for `{date}` and `{hour}`: microseconds since 1970. Default: its `exchangeTimeUs`, `openTimeUs`, `eventTimeUs`, `timeUs` or `receiveTimeUs`, else the stream's. */
  readonly timeUs?: (value: T) => number | undefined
  /** Of a template's files, how many are open at once. Default 128. */
  readonly openFilesMax?: number
  /** Of a template's files, how many are known at once. Default 100,000; those of past dates and hours are forgotten first. */
  readonly filesMax?: number
  /** What happens to a value whose file would be one too many: it is left out as unwritable, or the sink stops. Default `refuse`. */
  readonly onFilesMax?: 'refuse' | 'stop'
}

/** How the values of one file are written. */
export interface FileRows<T> {
  /** A value's record, without its line end. */
  encode(value: T): string
  /** The first record of each file; empty where there is none. */
  header(): string
  /** The beginning of a file that is continued. Gives back why that cannot be, as the middle of a sentence. */
  goOn?(text: string): string | undefined
}

export class FileAppender<T> {
  readonly digest = new ByteDigest()
  private readonly maxBytes: number
  private readonly everyUs: number
  private readonly openFilesMax: number
  private readonly filesMax: number
  private outDir = ''
  private clock: Clock | undefined
  private rules: FileRules | undefined
  private template: FileTemplate | undefined
  /** By the path that their name makes; the empty one where there is no template. */
  private readonly files = new Map<string, OneFile<T>>()
  /** From the hour and the fields of a value to its file. */
  private readonly shortcuts = new Map<number, Shortcut<T>>()
  private shortcutCount = 0
  /** The one used last is the last. */
  private readonly periods = new Map<string, Period<T>>()
  /** Files that may have a handle, the one used last is the last. */
  private readonly opened = new Set<OneFile<T>>()
  private readonly busy = new Set<OneFile<T>>()
  /** Up to this period files may have been forgotten: one of them is continued, not begun. */
  private forgottenTo: string | undefined
  private plan: Plan<T> | undefined
  private batches = 0
  private digestedLast: string | undefined

  constructor(
    private readonly sink: string,
    private readonly sinkPath: string,
    private readonly options: AppendOptions<T>,
    private readonly counters: SinkCounters,
    private readonly records: 'lines' | 'rows',
    private readonly rowsOf: () => FileRows<T>,
    /** More fields that may stand in braces. */
    private readonly fields: readonly string[] = [],
  ) {
    this.maxBytes = aboveZero(sink, 'rotate.bytes', options.rotate?.bytes)
    this.everyUs = aboveZero(sink, 'rotate.everyMs', options.rotate?.everyMs) * 1_000
    this.openFilesMax = wholeAboveZero(sink, 'openFilesMax', options.openFilesMax ?? 128)
    this.filesMax = wholeAboveZero(sink, 'filesMax', options.filesMax ?? 100_000)
  }

  async open({ outDir, clock, resume }: SinkContext): Promise<void> {
    const { sink, sinkPath, options } = this
    this.template = isTemplate(sinkPath)
      ? new FileTemplate(sink, sinkPath, [...(options.nameFields ?? []), ...this.fields])
      : undefined
    const example = this.template?.example ?? plainPath(sinkPath)
    const location = resolveOut(example, outDir)
    const codec = await codecOf(sink, example, options.compress)
    const rules: FileRules = {
      sink,
      counters: this.counters,
      clock,
      codec,
      maxBytes: this.maxBytes,
      everyUs: this.everyUs,
      durable: options.durable === true,
      records: this.records,
      digest: this.template === undefined ? this.digest : undefined,
      within: this.template === undefined ? undefined : path.resolve(outDir),
    }
    if (resume !== true) await this.beginAnew()
    this.outDir = outDir
    this.clock = clock
    this.rules = rules
    for (const file of this.files.values()) file.refused = undefined
    if (this.template === undefined) await this.ready(this.files.get('') ?? this.known('', location, NO_PERIOD))
    else await this.makeFolder(path.resolve(outDir))
  }

  /** All values are in their files when this resolves; when it rejects, the same batch offered again goes on with what is not. */
  async write(batch: readonly T[]): Promise<void> {
    if (batch.length === 0) return
    if (this.plan?.batch !== batch) {
      this.plan = undefined
      this.plan = await this.planned(batch)
    }
    await this.carryOut(this.plan)
    if (this.template !== undefined && this.digest.enabled) this.digestPlan(this.plan)
    this.plan = undefined
  }

  /** Flushes all files that are open and lets go of them. */
  async close(): Promise<void> {
    let failure: Error | undefined
    for (const file of this.opened) {
      try {
        await file.growing.close()
        this.opened.delete(file)
      } catch (cause) {
        failure ??= errorOf(cause)
      }
    }
    if (failure !== undefined) throw failure
  }

  /** The files are opened when their first values come: what is wrong with the folder is told before. */
  private async makeFolder(folder: string): Promise<void> {
    try {
      await mkdir(folder, { recursive: true })
    } catch (cause) {
      throw fileFault(this.sink, folder, cause)
    }
  }

  private async beginAnew(): Promise<void> {
    for (const file of this.opened) await file.growing.release().catch(() => undefined)
    this.opened.clear()
    this.busy.clear()
    this.files.clear()
    this.periods.clear()
    this.forgetShortcuts()
    this.forgottenTo = undefined
    this.plan = undefined
    this.digestedLast = undefined
    this.digest.restart()
    this.counters.written = 0
    this.counters.bytes = 0
  }

  /** Which records go where. Nothing is written before every value has its file and its text. */
  private async planned(batch: readonly T[]): Promise<Plan<T>> {
    this.batches++
    const targets = this.template === undefined ? undefined : await this.targetsOf(batch, this.template)
    const works = new Map<OneFile<T>, PlannedWork>()
    const only = targets === undefined ? this.files.get('')! : undefined
    let last: OneFile<T> | undefined
    let work: PlannedWork = { records: [], done: 0 }
    let chars = 0
    for (let index = 0; index < batch.length; index++) {
      const file = only ?? targets![index]!
      if (file !== last) {
        last = file
        work = works.get(file) ?? { records: [], done: 0 }
        works.set(file, work)
      }
      const record = this.encoded(file, batch[index]!, index)
      work.records.push(record)
      chars += record.length
      if (chars > SLICE_CHARS) {
        chars = 0
        await nextTurn()
      }
    }
    return { batch, targets, works }
  }

  private encoded(file: OneFile<T>, value: T, index: number): string {
    try {
      return file.rows.encode(value)
    } catch (cause) {
      if (cause instanceof Fault && cause.code !== 'VALUE_INVALID') throw cause
      throw this.unwritable(index, messageOf(cause), cause)
    }
  }

  private async targetsOf(batch: readonly T[], template: FileTemplate): Promise<OneFile<T>[]> {
    const targets: OneFile<T>[] = []
    const fresh = new Map<OneFile<T>, number>()
    for (let index = 0; index < batch.length; index++) {
      const file = this.fileOf(batch[index]!, index, template)
      if (file.refused !== undefined) throw this.unwritable(index, file.refused)
      if (!file.isReady && !fresh.has(file)) fresh.set(file, index)
      targets.push(file)
      if ((index + 1) % SLICE_VALUES === 0) await nextTurn()
    }
    for (const [file, index] of fresh) {
      await this.makeRoom()
      this.use(file)
      try {
        await this.ready(file)
      } catch (cause) {
        file.refused = refusalOf(cause)
        if (file.refused === undefined) throw cause
        throw this.unwritable(index, file.refused, cause)
      }
    }
    return targets
  }

  private fileOf(value: T, index: number, template: FileTemplate): OneFile<T> {
    const timeUs = template.tellsTime ? this.timeOf(value) : 0
    let found = this.shortcuts.get(template.tellsTime ? Math.floor(timeUs / HOUR_US) : 0)
    for (const field of template.fields) found = found?.next?.get(fieldOf(value, field))
    if (found?.file !== undefined) {
      this.usePeriod(found.file.period, found.file.periodName)
      return found.file
    }
    const file = this.namedFile(value, index, timeUs, template)
    this.remember(value, timeUs, template, file)
    return file
  }

  /** So that a name is made once, not for each value. */
  private remember(value: T, timeUs: number, template: FileTemplate, file: OneFile<T>): void {
    if (this.shortcutCount++ >= SHORTCUTS_MAX) this.forgetShortcuts()
    const hour = template.tellsTime ? Math.floor(timeUs / HOUR_US) : 0
    let at = this.shortcuts.get(hour)
    if (at === undefined) this.shortcuts.set(hour, (at = {}))
    for (const field of template.fields) {
      const key = fieldOf(value, field)
      const next: Map<unknown, Shortcut<T>> = (at.next ??= new Map())
      at = next.get(key)
      if (at === undefined) next.set(key, (at = {}))
    }
    at.file = file
  }

  private forgetShortcuts(): void {
    this.shortcuts.clear()
    this.shortcutCount = 0
  }

  private namedFile(value: T, index: number, timeUs: number, template: FileTemplate): OneFile<T> {
    let name: FileName
    try {
      name = template.nameOf(value, timeUs)
    } catch (cause) {
      throw this.unwritable(index, messageOf(cause), cause)
    }
    const known = this.files.get(name.path)
    if (known !== undefined) {
      this.usePeriod(known.period, name.period)
      return known
    }
    if (this.files.size >= this.filesMax && !this.forgetPeriod()) this.refuseFile(index, name.path)
    return this.known(name.path, resolveOut(name.path, this.outDir), name.period)
  }

  private known(name: string, location: string, periodName: string): OneFile<T> {
    const period = this.periods.get(periodName) ?? { files: new Set(), batch: -1 }
    const rows = this.rowsOf()
    const growing = new GrowingFile(this.rules!, location, () => rows.header())
    const file: OneFile<T> = { name, period, periodName, growing, rows, isReady: false, refused: undefined }
    period.files.add(file)
    this.usePeriod(period, periodName)
    this.files.set(name, file)
    return file
  }

  private usePeriod(period: Period<T>, name: string): void {
    if (period.batch === this.batches) return
    period.batch = this.batches
    this.periods.delete(name)
    this.periods.set(name, period)
  }

  /** Forgets the files of the period that was used longest ago, unless this batch has values of it. */
  private forgetPeriod(): boolean {
    for (const [name, period] of this.periods) {
      if (period.batch === this.batches) return false
      this.periods.delete(name)
      for (const file of period.files) this.files.delete(file.name)
      this.forgetShortcuts()
      if (this.forgottenTo === undefined || name > this.forgottenTo) this.forgottenTo = name
      return true
    }
    return false
  }

  private refuseFile(index: number, name: string): never {
    const problem = `its file ${name} would be one more than filesMax = ${this.filesMax} allows`
    if (this.options.onFilesMax !== 'stop') throw this.unwritable(index, problem)
    throw new Fault(
      'OPTION_INVALID',
      `The sink ${this.sink} stops at a value: ${problem}. Allow more, or name fewer fields in its path.`,
      { sink: this.sink, option: 'filesMax' },
    )
  }

  /** Opens a file for the first time in this run, as the options say. */
  private async ready(file: OneFile<T>): Promise<void> {
    const isForgotten = this.forgottenTo !== undefined && file.periodName <= this.forgottenTo
    await file.growing.open(this.options.append === true || isForgotten)
    this.opened.add(file)
    const text = file.rows.goOn === undefined ? '' : await file.growing.beginning(HEADER_BYTES_MAX)
    const problem = text === '' ? undefined : file.rows.goOn?.(text)
    if (problem !== undefined) {
      await file.growing.release()
      this.opened.delete(file)
      throw new Fault(
        'OPTION_INVALID',
        `The sink ${this.sink} cannot continue ${file.growing.location}: ${problem}. Give it another path, or leave out append.`,
        { sink: this.sink, path: file.growing.location },
      )
    }
    file.isReady = true
  }

  /** A few files at a time. One that fails holds back none of the others. */
  private async carryOut({ works }: Plan<T>): Promise<void> {
    const left = works.entries()
    const failures: Error[] = []
    const lane = async (): Promise<void> => {
      for (const [file, work] of left) {
        if (work.done >= work.records.length) continue
        this.busy.add(file)
        try {
          if (!this.opened.has(file)) await this.makeRoom()
          this.use(file)
          await file.growing.append(work)
        } catch (cause) {
          failures.push(errorOf(cause))
        } finally {
          this.busy.delete(file)
        }
      }
    }
    const lanes = Math.min(FILES_AT_ONCE, this.openFilesMax, works.size)
    await Promise.all(Array.from({ length: lanes }, lane))
    if (failures[0] !== undefined) throw failures[0]
  }

  private use(file: OneFile<T>): void {
    this.opened.delete(file)
    this.opened.add(file)
  }

  /** Lets go of files that were not used for longest, until one more may be open. */
  private async makeRoom(): Promise<void> {
    for (const file of this.opened) {
      if (this.opened.size < this.openFilesMax) return
      if (this.busy.has(file)) continue
      this.opened.delete(file)
      try {
        await file.growing.release()
      } catch (cause) {
        throw fileFault(this.sink, file.growing.location, cause)
      }
    }
  }

  private timeOf(value: T): number {
    const { timeUs } = this.options
    const own = timeUs === undefined ? ownTimeUs(value) : timeUs(value)
    return own !== undefined && isPlausible(own) ? own : this.clock!.nowUs()
  }

  /** Records in the order received, each run of them after the name of its file: the same however they were batched. */
  private digestPlan({ targets, works }: Plan<T>): void {
    const next = new Map<OneFile<T>, number>()
    for (const file of targets ?? []) {
      const at = next.get(file) ?? 0
      next.set(file, at + 1)
      if (file.name !== this.digestedLast) this.digest.update(`${file.name}\n`)
      this.digestedLast = file.name
      this.digest.update(`${works.get(file)!.records[at]!}\n`)
    }
  }

  private unwritable(index: number, problem: string, cause?: unknown): Fault {
    return new Fault(
      'VALUE_INVALID',
      `The sink ${this.sink} cannot write a value: ${problem}. The value is left out.`,
      { sink: this.sink, index },
      { cause },
    )
  }
}

interface OneFile<T> {
  readonly name: string
  readonly period: Period<T>
  readonly periodName: string
  readonly growing: GrowingFile
  readonly rows: FileRows<T>
  isReady: boolean
  /** Why nothing can be written there. */
  refused: string | undefined
}

interface Shortcut<T> {
  file?: OneFile<T>
  next?: Map<unknown, Shortcut<T>>
}

interface Period<T> {
  readonly files: Set<OneFile<T>>
  /** The batch that used it last. */
  batch: number
}

interface PlannedWork extends FileWork {
  readonly records: string[]
}

/** What is to be written of a batch. */
interface Plan<T> {
  readonly batch: readonly T[]
  /** By value; undefined where there is one file. */
  readonly targets: readonly OneFile<T>[] | undefined
  readonly works: ReadonlyMap<OneFile<T>, PlannedWork>
}

const NO_PERIOD = ''
const HEADER_BYTES_MAX = 65_536
const SHORTCUTS_MAX = 10_000
const FILES_AT_ONCE = 4
/** After so much text or so many values others have their turn: about a millisecond. */
const SLICE_CHARS = 262_144
const SLICE_VALUES = 4_096

/** A file that is refused for what its name is, not for a disk that is down. */
function refusalOf(cause: unknown): string | undefined {
  if (!(cause instanceof Fault)) return undefined
  if (cause.code !== 'OPTION_INVALID' && !NAME_ERRORS.has(cause.details['errno'])) return undefined
  return cause.message.replace(/\.$/, '')
}

const NAME_ERRORS: ReadonlySet<unknown> = new Set(['ENAMETOOLONG', 'EISDIR', 'ELOOP'])

const TIME_FIELDS = ['exchangeTimeUs', 'openTimeUs', 'eventTimeUs', 'timeUs', 'receiveTimeUs'] as const

function ownTimeUs(value: unknown): number | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const times = value as Partial<Record<(typeof TIME_FIELDS)[number], unknown>>
  for (const field of TIME_FIELDS) {
    const timeUs = times[field]
    if (typeof timeUs === 'number' && isPlausible(timeUs)) return timeUs
  }
  return undefined
}

/** From 1970 to 9999: a date of ten characters. */
function isPlausible(timeUs: number): boolean {
  return timeUs >= 0 && timeUs < YEAR_10000_US
}

const YEAR_10000_US = 253_402_300_800_000_000
