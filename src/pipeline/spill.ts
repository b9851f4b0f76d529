/**
 * What does not fit into an edge waits on disk: `onFull: { spill: name, bytesMax }`.
 *
 * A spill stands before an edge that blocks and is the pressure of it. While the edge takes values they go straight
 * through. From when it asks for a pause they are written down, in order, and when it goes on they are read back and offered
 * until it pauses again, or nothing is left; then values go straight through again. So the source goes on while the edge is
 * full, until `bytesMax` bytes wait: then it is the source that is paused, as with `block`.
 *
 * Values are gathered in segments. A segment that is full is written to a file of its own, in one piece, and its file is
 * deleted when it has been read, so that the disk is given back as the line moves on. The first segment stays in memory, and
 * so does the last until it is full: a short pause touches no disk. What is in memory is bounded like what is on disk.
 *
 * A disk that fails is a fault, once, and from then on this is an edge that blocks: the source is paused while anything
 * waits. What was not yet written is still in memory; what could not be read back is dropped as `failed`. In every case
 * what is dropped here is told to the edge, which leaves a receipt in its place.
 *
 * Nothing outlives the run: the folder is deleted at the end, and what a killed process left there is not read again.
 */
import { mkdir, open, rm, rmdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { crc32 } from 'node:zlib'
import { OVERRUN_MAX } from '../actors/edge'
import { copyOf, drop, emptyLedger, pass, receive, weightOf, type DropReason, type Ledger } from '../actors/ledger'
import type { Pressure } from '../actors/pressure'
import { Missing, type ReceiptCounts, type Receipts } from '../actors/receipts'
import { Fault, messageOf } from '../model/fault'
import { errnoOf, fileProblem } from '../model/fileFault'
import { resolveOut } from '../sinks/sink'
import { decodeValue, encodeValue } from './valueCodec'

/** The edge behind, which blocks and has the spill for its pressure. */
export interface SpillTarget<T> {
  readonly offer: (timeUs: number | undefined, value: T) => void
  /** Takes what is missing before the next value that is offered. */
  readonly skipped: (account: Receipts<T>) => void
}

export interface SpillOptions<T> {
  /** What the edge is called in a sentence: `The edge to spreads/best`. */
  readonly name: string
  /** Bytes that may wait, on disk and in memory together. */
  readonly bytesMax: number
  readonly files: SpillFiles
  readonly to: SpillTarget<T>
  /** Holds back the source itself. */
  readonly pressure: Pressure | undefined
  readonly onFault: (fault: Fault) => void
  /** What a value counts in the ledger; as the edge behind counts. Default {@link weightOf}. */
  readonly weigh?: (value: T) => number
  readonly receipts?: Receipts<T> | undefined
  /** Values that are kept of what was on its way when the source was paused. */
  readonly overrunMax?: number
  /** Bytes of a file. Default 1 MiB, or less where `bytesMax` is small. */
  readonly segmentBytes?: number
  /** Bytes that may wait for the disk before the source is paused. Default eight segments. */
  readonly memoryMax?: number
}

/** The files of one spill, by their names. */
export interface SpillFiles {
  /** Writes a file that was not there. */
  write(name: string, text: string): Promise<void>
  /** The whole of a file that has so many bytes; rejects when it has not. */
  read(name: string, bytes: number): Promise<string>
  remove(name: string): Promise<void>
  /** Deletes whatever is left. */
  removeAll(): Promise<void>
  /** Where a file is, for a sentence. */
  locationOf(name: string): string
}

/** Runs of dropped values that may be told within what waits; beyond, a run goes on until one of them has been told. */
const GAPS_MAX = 1_000

const SEGMENT_BYTES = 1024 * 1024

export class Spill<T> implements Pressure {
  readonly ledger: Ledger = emptyLedger()
  /** Most bytes that have waited at once. */
  highWaterBytes = 0
  private readonly missing: Missing<T>
  private readonly segmentBytes: number
  private readonly memoryMax: number
  private readonly weigh: (value: T) => number
  /** What waits, in order. Only the last may still grow. */
  private segments: Segment<T>[] = []
  private numbered = 0
  /** Bytes that wait, wherever they are. */
  private waitingBytes = 0
  /** Bytes in memory of what waits. */
  private memoryBytes = 0
  /** Bytes in files, also of those that are still to be deleted. */
  private diskBytes = 0
  private gapCount = 0
  /** The edge behind has asked for a pause. */
  private paused = false
  /** The source has been asked for a pause. */
  private holding = false
  /** Because as much waits as may; otherwise because the disk is slower than the source. */
  private heldForBytes = false
  private overrunValues = 0
  private overrunBytes = 0
  private pumping = false
  private writing = false
  private loading = false
  /** The disk has failed. */
  private broken = false
  private closed: Promise<void> | undefined
  private readonly work = new Set<Promise<void>>()
  private waiters: (() => void)[] = []

  constructor(private readonly options: SpillOptions<T>) {
    this.missing = new Missing(options.receipts)
    this.segmentBytes = options.segmentBytes ?? Math.min(SEGMENT_BYTES, Math.ceil(options.bytesMax / 8))
    this.memoryMax = options.memoryMax ?? 8 * this.segmentBytes
    this.weigh = options.weigh ?? weightOf
  }

  /** Runs of values that were dropped here. */
  get receipts(): Readonly<ReceiptCounts> {
    return this.missing.counts
  }

  /** Bytes that wait, on disk and in memory. */
  get bytes(): number {
    return this.waitingBytes
  }

  /** Takes a value that happened at `timeUs` (undefined: outside the stream's time). */
  offer(timeUs: number | undefined, value: T): void {
    const weight = this.weigh(value)
    receive(this.ledger, weight)
    if (this.closed !== undefined) drop(this.ledger, 'closed', weight)
    else if (this.paused || this.segments.length > 0) this.store(timeUs, value, weight)
    else this.passOn(timeUs, value, weight)
  }

  /** What was dropped before it came here: it is told behind what waits. */
  skipped(account: Receipts<T>): void {
    if (this.closed !== undefined) return
    this.missing.toBehind(account)
    if (!this.paused && this.segments.length === 0) this.tell(this.missing.takeBehind())
  }

  /** The edge behind is full. */
  pause(): void {
    this.paused = true
    if (this.broken) this.holdBack()
  }

  /** The edge behind has room again. */
  resume(): void {
    this.paused = false
    this.pump()
  }

  /** Resolves when nothing waits any more, and no file is left of it; or when it is closed. */
  settled(): Promise<void> {
    if (this.isSettled) return Promise.resolve()
    return new Promise((resolve) => this.waiters.push(resolve))
  }

  /**
   * Drops what waits, takes no more, lets the source go on, and deletes its files. To be called before the edge behind is
   * closed: that one lets its source go on, and it would be given what waits.
   */
  close(reason: DropReason = 'stopped'): Promise<void> {
    return (this.closed ??= this.end(reason))
  }

  private get isSettled(): boolean {
    return this.closed !== undefined || (this.segments.length === 0 && this.work.size === 0)
  }

  private async end(reason: DropReason): Promise<void> {
    // Not before `closed` is set: whoever is let go on may offer at once.
    await Promise.resolve()
    drop(this.ledger, reason, this.ledger.inFlight)
    this.segments = []
    this.waitingBytes = 0
    this.memoryBytes = 0
    this.missing.clear()
    this.letGo()
    this.settle()
    await Promise.all(this.work)
    try {
      await this.options.files.removeAll()
    } catch (cause) {
      this.fileFailed('delete', '', cause)
    }
  }

  private passOn(timeUs: number | undefined, value: T, weight: number): void {
    this.tell(this.missing.takeBehind())
    pass(this.ledger, weight)
    this.options.to.offer(timeUs, value)
  }

  private tell(account: Receipts<T> | undefined): void {
    if (account !== undefined) this.options.to.skipped(account)
  }

  private store(timeUs: number | undefined, value: T, weight: number): void {
    let text: string
    try {
      text = encodeValue(value)
    } catch (thrown) {
      this.turnAway(timeUs, value, weight, 'unencodable')
      this.report(
        thrown instanceof Fault ? thrown : new Fault('VALUE_INVALID', messageOf(thrown), {}, { cause: thrown }),
      )
      return
    }
    const line = `${timeUs ?? ''} ${weight} ${text}`
    const bytes = Buffer.byteLength(line) + 1
    if (!this.mayKeep(weight, bytes)) {
      this.turnAway(timeUs, value, weight, 'overrun')
      return
    }
    let segment = this.segments.at(-1)
    if (segment === undefined || segment.sealed) {
      segment = new Segment<T>(++this.numbered, this.options.receipts?.another?.())
      this.segments.push(segment)
    }
    const gap = this.missing.takeBehind()
    if (gap !== undefined) {
      segment.gaps.set(segment.count, gap)
      this.gapCount++
    }
    segment.add({ timeUs, value, weight, line, bytes })
    this.waitingBytes += bytes
    this.memoryBytes += bytes
    if (this.waitingBytes > this.highWaterBytes) this.highWaterBytes = this.waitingBytes
    if (segment.bytes >= this.segmentBytes) {
      segment.sealed = true
      this.write()
    }
    if (this.isFull) this.holdBack()
  }

  /** What was on its way when the source was paused is kept, but not without end. */
  private mayKeep(weight: number, bytes: number): boolean {
    if (this.missing.hasBehind && this.gapCount >= GAPS_MAX) return false
    if (!this.holding) return true
    if (
      this.overrunValues + weight > (this.options.overrunMax ?? OVERRUN_MAX) ||
      this.overrunBytes + bytes > this.memoryMax
    )
      return false
    this.overrunValues += weight
    this.overrunBytes += bytes
    return true
  }

  private turnAway(timeUs: number | undefined, value: T, weight: number, reason: DropReason): void {
    drop(this.ledger, reason, weight)
    this.missing.addBehind(value, reason, timeUs)
  }

  private get isFull(): boolean {
    return this.broken || this.waitingBytes >= this.options.bytesMax || this.memoryBytes >= this.memoryMax
  }

  private get isRelaxed(): boolean {
    if (this.broken) return !this.paused && this.segments.length === 0
    const { bytesMax } = this.options
    const fits = this.heldForBytes ? this.waitingBytes <= bytesMax / 2 : this.waitingBytes < bytesMax
    return fits && this.memoryBytes <= this.memoryMax / 2
  }

  private holdBack(): void {
    if (this.waitingBytes >= this.options.bytesMax) this.heldForBytes = true
    if (this.holding || this.closed !== undefined) return
    this.holding = true
    this.overrunValues = 0
    this.overrunBytes = 0
    this.options.pressure?.pause()
  }

  private letGo(): void {
    if (!this.holding) return
    this.holding = false
    this.heldForBytes = false
    this.options.pressure?.resume()
  }

  /** Offers what waits until the edge is full, nothing is left, or a file is to be read. */
  private pump(): void {
    if (this.pumping) return
    this.pumping = true
    while (!this.paused && this.closed === undefined) {
      const [segment] = this.segments
      if (segment === undefined) break
      if (segment.lines === undefined) {
        this.load(segment)
        break
      }
      this.offerNext(segment)
    }
    this.pumping = false
    if (this.segments.length === 0) this.tell(this.missing.takeBehind())
    if (this.holding && this.isRelaxed) this.letGo()
    this.settle()
  }

  private offerNext(segment: Segment<T>): void {
    const { options, ledger } = this
    const gap = segment.gaps.get(segment.next)
    if (gap !== undefined) this.gapCount--
    const { timeUs, weight, bytes, take } = segment.shift()
    this.waitingBytes -= bytes
    this.memoryBytes -= bytes
    this.tell(gap)
    // Before the value is offered: what comes while it is may go straight through, behind it.
    if (segment.next === segment.count) this.segments.shift()
    let value: T
    try {
      value = take()
    } catch (thrown) {
      drop(ledger, 'failed', weight)
      this.report(
        thrown instanceof Fault ? thrown : new Fault('VALUE_INVALID', messageOf(thrown), {}, { cause: thrown }),
      )
      return
    }
    pass(ledger, weight)
    options.to.offer(timeUs, value)
  }

  /** Writes the next segment that is whole, if there is one: not the first, which is read next. */
  private write(): void {
    if (this.writing || this.broken || this.closed !== undefined) return
    const segment = this.segments.find(({ sealed, file, next }, index) => index > 0 && sealed && !file && next === 0)
    if (segment === undefined || this.diskBytes + segment.bytes > this.options.bytesMax) return
    this.writing = true
    this.diskBytes += segment.bytes
    this.run(async () => {
      const text = segment.text()
      try {
        await this.options.files.write(this.fileOf(segment), text)
      } catch (cause) {
        this.diskBytes -= segment.bytes
        await this.options.files.remove(this.fileOf(segment)).catch(() => undefined)
        this.fail('write', segment, cause)
        return
      } finally {
        this.writing = false
      }
      // Its turn came while it was being written: then it has gone on in memory.
      if (segment.next > 0 || this.segments[0] === segment || !this.segments.includes(segment)) {
        segment.file = true
        await this.remove(segment)
      } else {
        segment.leaveMemory(crc32(text))
        this.memoryBytes -= segment.bytes
        if (this.holding && this.isRelaxed) this.letGo()
      }
      this.write()
    })
  }

  private load(segment: Segment<T>): void {
    if (this.loading) return
    this.loading = true
    this.run(async () => {
      try {
        const text = await this.options.files.read(this.fileOf(segment), segment.bytes)
        if (crc32(text) !== segment.checksum) throw new Error('it was changed by somebody else')
        if (this.closed === undefined) {
          segment.comeBack(text)
          this.memoryBytes += segment.bytes
        }
      } catch (cause) {
        if (this.closed === undefined) this.lose(segment, cause)
      }
      this.loading = false
      this.pump()
      await this.remove(segment)
      this.write()
    })
  }

  /** A segment that cannot be read back: all that is in it is missing. */
  private lose(segment: Segment<T>, cause: unknown): void {
    this.segments = this.segments.filter((each) => each !== segment)
    this.waitingBytes -= segment.bytes
    drop(this.ledger, 'failed', segment.weight)
    this.missing.countRun(segment.weight)
    this.gapCount -= segment.gaps.size
    const { account } = segment
    for (const gap of segment.gaps.values()) account?.absorb?.(gap)
    this.tell(account)
    this.fail('read', segment, cause)
  }

  private async remove(segment: Segment<T>): Promise<void> {
    try {
      await this.options.files.remove(this.fileOf(segment))
    } catch (cause) {
      if (errnoOf(cause) !== 'ENOENT') this.fail('delete', segment, cause)
    }
    this.diskBytes -= segment.bytes
  }

  private fail(what: 'write' | 'read' | 'delete', segment: Segment<T>, cause: unknown): void {
    if (this.closed !== undefined) return
    this.fileFailed(what, this.fileOf(segment), cause)
    this.broken = true
    if (this.segments.length > 0 || this.paused) this.holdBack()
  }

  private fileFailed(what: 'write' | 'read' | 'delete', file: string, cause: unknown): void {
    const location = this.options.files.locationOf(file)
    this.report(
      new Fault(
        what === 'read' ? 'RECORD_UNREADABLE' : 'SINK_REJECTED',
        `${this.options.name} cannot ${what} ${location}, where values wait that did not fit: ${fileProblem(cause)} From now on its source is paused instead.`,
        { path: location, errno: errnoOf(cause) },
        { cause },
      ),
    )
  }

  private report(fault: Fault): void {
    try {
      this.options.onFault(fault)
    } catch {
      // Whoever listens to faults must not stop the line.
    }
  }

  private run(task: () => Promise<void>): void {
    const running = task().finally(() => {
      this.work.delete(running)
      this.settle()
    })
    this.work.add(running)
  }

  private settle(): void {
    if (!this.isSettled) return
    const { waiters } = this
    this.waiters = []
    for (const waiter of waiters) waiter()
  }

  private fileOf({ number }: Segment<T>): string {
    return `${String(number).padStart(6, '0')}.jsonl`
  }
}

/** The account of a spill and the edge behind it as that of one edge. */
export function combinedLedger(spill: Readonly<Ledger>, edge: Readonly<Ledger>): Ledger {
  const sum = copyOf(edge)
  sum.in = spill.in
  sum.inFlight += spill.inFlight
  for (const [reason, values] of Object.entries(spill.dropped) as [DropReason, number][]) {
    sum.dropped[reason] = (sum.dropped[reason] ?? 0) + values
  }
  return sum
}

interface Stored<T> {
  readonly timeUs: number | undefined
  readonly value: T
  readonly weight: number
  readonly line: string
  readonly bytes: number
}

/** Values that are written and read as one file. */
class Segment<T> {
  /** In memory, the lines from the first to the last; undefined on disk. */
  lines: (string | undefined)[] | undefined = []
  /** The values themselves, as long as they have never left memory. */
  private values: (T | undefined)[] | undefined = []
  /** Which line is next to be offered. */
  next = 0
  count = 0
  weight = 0
  bytes = 0
  /** It takes no more. */
  sealed = false
  /** It is in a file. */
  file = false
  checksum = 0
  /** What is missing before a line, by its index. */
  readonly gaps = new Map<number, Receipts<T>>()

  /** @param account  of all that is in it, for when it cannot be read back */
  constructor(
    readonly number: number,
    readonly account: Receipts<T> | undefined,
  ) {}

  add({ value, weight, line, bytes }: Stored<T>): void {
    this.lines!.push(line)
    this.values!.push(value)
    this.count++
    this.weight += weight
    this.bytes += bytes
    this.account?.add(value, 'failed')
  }

  /** The next line; its value is read when it is taken. */
  shift(): {
    readonly timeUs: number | undefined
    readonly weight: number
    readonly bytes: number
    readonly take: () => T
  } {
    const { next, values } = this
    const line = this.lines![next]!
    const value = values?.[next]
    this.lines![next] = undefined
    if (values !== undefined) values[next] = undefined
    this.next++
    const first = line.indexOf(' ')
    const second = line.indexOf(' ', first + 1)
    return {
      timeUs: first === 0 ? undefined : Number(line.slice(0, first)),
      weight: Number(line.slice(first + 1, second)),
      bytes: Buffer.byteLength(line) + 1,
      take: () => (values === undefined ? (decodeValue(line.slice(second + 1)) as T) : (value as T)),
    }
  }

  text(): string {
    return `${this.lines!.join('\n')}\n`
  }

  leaveMemory(checksum: number): void {
    this.checksum = checksum
    this.file = true
    this.lines = undefined
    this.values = undefined
  }

  comeBack(text: string): void {
    this.lines = text.split('\n')
    this.lines.pop()
    this.values = undefined
  }
}

/**
 * Files in a folder of their own below the output folder: `spill/<pipeline>-<edge>-<pid>/<name>.000001.jsonl`.
 *
 * The folder is made with the first file. One that is there already, of another run in this process or in another machine's
 * of the same number, is left alone: then ours has a number more.
 *
 * @param name  of the policy
 * @throws `OPTION_INVALID` for an output folder that cannot be meant
 */
export function spillFiles(options: {
  readonly outDir: string
  readonly pipeline: string
  readonly edge: string
  readonly name: string
  readonly pid: number
}): SpillFiles {
  const wanted = resolveOut(`spill/${wordOf(options.pipeline)}-${wordOf(options.edge)}-${options.pid}`, options.outDir)
  let folder: Promise<string> | undefined
  let made: string | undefined
  const locationOf = (file: string): string =>
    file === '' ? (made ?? wanted) : path.join(made ?? wanted, `${wordOf(options.name)}.${file}`)

  async function makeFolder(): Promise<string> {
    await mkdir(path.dirname(wanted), { recursive: true })
    for (let number = 1; ; number++) {
      const candidate = number === 1 ? wanted : `${wanted}-${number}`
      try {
        await mkdir(candidate, { mode: 0o700 })
        return (made = candidate)
      } catch (cause) {
        if (errnoOf(cause) !== 'EEXIST' || number >= FOLDERS_MAX) throw cause
      }
    }
  }

  return {
    locationOf,
    async write(file, text) {
      await (folder ??= makeFolder())
      await writeFile(locationOf(file), text, { flag: 'wx', mode: 0o600 })
    },
    async read(file, bytes) {
      const handle = await open(locationOf(file), 'r')
      try {
        const { size } = await handle.stat()
        if (size !== bytes) throw new Error(`it has ${size} bytes, and ${bytes} were written`)
        return await handle.readFile('utf8')
      } finally {
        await handle.close()
      }
    },
    async remove(file) {
      if (made !== undefined) await rm(locationOf(file))
    },
    async removeAll() {
      await folder?.catch(() => undefined)
      if (made === undefined) return
      await rm(made, { recursive: true, force: true })
      // Other edges may have theirs beside it.
      await rmdir(path.dirname(made)).catch(() => undefined)
    },
  }
}

/** Folders of one name that may be there. */
const FOLDERS_MAX = 1_000

/** A name as a part of a file's. */
function wordOf(name: string): string {
  return name.replace(/[^A-Za-z0-9_.-]+/g, '_').slice(0, 64)
}
