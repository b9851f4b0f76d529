/**
 * Several recordings as one stream, in the order in which their records happened.
 *
 * Order  by time; at the same time by the order of the files, then of the lines. Within a file the order of its lines is
 *        the true one: where `t` goes back, the record counts as of the latest time before it
 * Cost   a heap of the files, and runs: as long as the first file stays first its records are taken without looking at
 *        the heap, so that many files cost little more than one
 */
import { realpath } from 'node:fs/promises'
import { Fault } from '../../model/fault'
import { compareTimes, type SessionRecord } from '../record'
import { DONE, Turns, type RecordBatches } from './recordBatches'
import {
  readRecording,
  type ReadingCounters,
  type ReadingProgress,
  type ReadOptions,
  type RecordingReader,
} from './recordingReader'
import { restFileOf } from './restFile'

export interface ReplayRecordsOptions {
  /** Is told of broken lines and of cut files; a file that is no recording is an error of the iteration instead. */
  readonly onFault: (fault: Fault) => void
  /** Speaks of every record as of this exchange, whatever the files say. */
  readonly exchange?: string | undefined
  /** Begins with the first records of this time or later, microseconds since 1970, as `ReadOptions` says. */
  readonly fromUs?: number | undefined
  /** Ends before the first records of this time or later. */
  readonly toUs?: number | undefined
  /** Says of each record where it stands. Default false. */
  readonly lineage?: boolean | undefined
  /** Is told how far the reading of a file is that has no index, when one must be made to begin at `fromUs`. */
  readonly onProgress?: ReadOptions['onProgress']
  /** `auto`, the default: the REST files that belong to the sessions. Or these and no others. */
  readonly restFiles?: 'auto' | readonly string[] | undefined
}

export interface ReplayedRecords extends RecordBatches {
  /** The files that are read, sessions first, each with its header and counters. `next` opens them otherwise. */
  open(): Promise<readonly RecordingReader[]>
  /** The same once they are opened; none before. */
  readonly readers: readonly RecordingReader[]
  /** Of all files together. */
  readonly counters: Readonly<ReadingCounters>
  /** Of all files together, by what each of them weighs. */
  readonly progress: ReadingProgress
}

/**
 * The records of recordings and of the REST files that belong to them, each file once. Where there are several sessions
 * their connections get numbers that differ: those of session i of n become i, i + n, i + 2n ...
 *
 * @throws  from `open` and `next`: `RECORDING_INVALID` for a file that is no recording, `OPTION_INVALID` for no file
 */
export function replayRecords(files: readonly string[], options: ReplayRecordsOptions): ReplayedRecords {
  return new Replay(files, options)
}

/** Merges batches of records by time. Closes its sources when it ends, fails or is left. */
export function mergeRecordings(sources: readonly RecordBatches[]): RecordBatches {
  return new Merge(sources)
}

class Replay implements ReplayedRecords {
  private readonly turns = new Turns()
  private opening: Promise<readonly RecordingReader[]> | undefined
  readers: readonly RecordingReader[] = []
  private merged: RecordBatches | undefined
  private closed = false

  constructor(
    private readonly files: readonly string[],
    private readonly options: ReplayRecordsOptions,
  ) {}

  [Symbol.asyncIterator](): this {
    return this
  }

  get counters(): ReadingCounters {
    const total: ReadingCounters = { lines: 0, records: 0, unreadable: 0, ignored: 0, lost: 0, bytes: 0 }
    for (const { counters } of this.readers) {
      for (const key of Object.keys(total) as (keyof ReadingCounters)[]) total[key] += counters[key]
    }
    return total
  }

  get progress(): ReadingProgress {
    let read = 0
    let bytes = 0
    for (const { progress } of this.readers) {
      read += progress.share * progress.bytes
      bytes += progress.bytes
    }
    return { share: bytes > 0 ? Math.min(1, read / bytes) : 0, bytes }
  }

  open(): Promise<readonly RecordingReader[]> {
    this.opening ??= this.openAll()
    return this.opening
  }

  next(): Promise<IteratorResult<readonly SessionRecord[], undefined>> {
    return this.turns.take(async () => {
      if (this.closed) return DONE
      await this.open()
      this.merged ??= mergeRecordings(this.readers)
      return this.merged.next()
    })
  }

  async return(): Promise<IteratorResult<readonly SessionRecord[], undefined>> {
    this.closed = true
    await this.opening?.catch(() => undefined)
    await this.merged?.return()
    for (const reader of this.readers) await reader.return()
    return DONE
  }

  private async openAll(): Promise<readonly RecordingReader[]> {
    const members = await this.membersOf(await distinct(this.files))
    this.readers = members.map(({ reader }) => reader)
    try {
      for (const reader of this.readers) await reader.header()
    } catch (error) {
      for (const reader of this.readers) await reader.return()
      throw error
    }
    return this.readers
  }

  /** The readers of all files: sessions in the order given, then REST files. */
  private async membersOf(files: readonly string[]): Promise<Member[]> {
    if (files.length === 0) throw new Fault('OPTION_INVALID', 'No recording is given: name at least one file.')
    const given = files.map((file) => this.member(file))
    const sessions: Member[] = []
    const rests: Member[] = []
    try {
      for (const member of given) {
        const { kind } = await member.reader.header()
        ;(kind === 'rest' ? rests : sessions).push(member)
      }
      const { restFiles = 'auto' } = this.options
      if (restFiles !== 'auto') for (const file of restFiles) await this.addOnce(rests, file)
      for (const [index, session] of sessions.entries()) {
        session.number = index
        const file = await restFileOf(session.reader.path)
        if (file === undefined) continue
        const rest = restFiles === 'auto' ? await this.addOnce(rests, file) : await find(rests, file)
        rest?.sessions.add(index)
      }
    } catch (error) {
      for (const { reader } of [...given, ...rests]) await reader.return()
      throw error
    }
    const stride = Math.max(1, sessions.length)
    for (const rest of rests) {
      const [only] = rest.sessions
      rest.number = rest.sessions.size === 1 ? only : stride === 1 ? 0 : undefined
    }
    for (const member of [...sessions, ...rests]) member.stride = stride
    return [...sessions, ...rests]
  }

  private async addOnce(rests: Member[], file: string): Promise<Member> {
    const present = await find(rests, file)
    if (present !== undefined) return present
    const added = this.member(file)
    rests.push(added)
    return added
  }

  private member(file: string): Member {
    const { onFault, exchange, fromUs, toUs, lineage, onProgress } = this.options
    const renumber = (connection: number): number => renumbered(member, connection)
    const member: Member = {
      reader: readRecording(file, { onFault, exchange, fromUs, toUs, lineage, onProgress, renumber }),
      sessions: new Set(),
      number: undefined,
      stride: 1,
    }
    return member
  }
}

interface Member {
  readonly reader: RecordingReader
  /** Of a REST file: the sessions that it belongs to. */
  readonly sessions: Set<number>
  /** Of the session, or of the only one that a REST file belongs to. */
  number: number | undefined
  stride: number
}

/** A REST file of several sessions cannot say which of them a connection is of. */
function renumbered({ number, stride }: Member, connection: number): number {
  return connection < 0 || number === undefined ? -1 : connection * stride + number
}

async function find(members: readonly Member[], file: string): Promise<Member | undefined> {
  const sought = await realPathOf(file)
  for (const member of members) if ((await realPathOf(member.reader.path)) === sought) return member
  return undefined
}

/** Each file once, whatever path it was given by. */
async function distinct(files: readonly string[]): Promise<readonly string[]> {
  const seen = new Map<string, string>()
  for (const file of files) {
    const real = await realPathOf(file)
    if (!seen.has(real)) seen.set(real, file)
  }
  return [...seen.values()]
}

async function realPathOf(file: string): Promise<string> {
  return realpath(file).catch(() => file) // opening it says what is wrong
}

/** Records of a merged batch at most. */
const BATCH_MAX = 512

class Merge implements RecordBatches {
  private readonly turns = new Turns()
  /** A binary heap: no cursor comes before its parent. */
  private heap: Cursor[] | undefined
  private closed = false

  constructor(private readonly sources: readonly RecordBatches[]) {}

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<readonly SessionRecord[], undefined>> {
    return this.turns.take(async () => {
      if (this.closed) return DONE
      try {
        this.heap ??= await this.start()
        const batch = await this.take(this.heap)
        if (batch !== undefined) return { done: false, value: batch }
      } catch (error) {
        await this.release()
        throw error
      }
      await this.release()
      return DONE
    })
  }

  async return(): Promise<IteratorResult<readonly SessionRecord[], undefined>> {
    this.closed = true
    return this.turns.take(async () => {
      await this.release()
      return DONE
    })
  }

  private async start(): Promise<Cursor[]> {
    const heap: Cursor[] = []
    for (const [order, source] of this.sources.entries()) {
      const cursor: Cursor = { source, order, batch: [], index: 0, timeUs: 0, ns: 0 }
      if (await refill(cursor)) heap.push(cursor)
    }
    for (let at = (heap.length >> 1) - 1; at >= 0; at -= 1) sink(heap, at)
    return heap
  }

  private async take(heap: Cursor[]): Promise<readonly SessionRecord[] | undefined> {
    const out: SessionRecord[] = []
    for (;;) {
      const first = heap[0]
      if (first === undefined) return out.length > 0 ? out : undefined
      if (first.index === first.batch.length) {
        // What comes next in this file is not known, so nothing of another may go before it.
        if (out.length > 0) return out
        if (!(await refill(first))) {
          const last = heap.pop()!
          if (heap.length > 0) heap[0] = last
        }
        sink(heap, 0)
        continue
      }
      if (heap.length === 1 && out.length === 0) {
        const { batch, index } = first
        skipTo(first, batch.length)
        return index === 0 ? batch : batch.slice(index)
      }
      const left = heap[1]
      const right = heap[2]
      const second = left !== undefined && right !== undefined && isBefore(right, left) ? right : left
      do {
        out.push(first.batch[first.index]!)
        skipTo(first, first.index + 1)
      } while (
        first.index < first.batch.length &&
        out.length < BATCH_MAX &&
        (second === undefined || isBefore(first, second))
      )
      sink(heap, 0)
      if (out.length >= BATCH_MAX) return out
    }
  }

  private async release(): Promise<void> {
    this.closed = true
    this.heap = []
    for (const source of this.sources) await source.return()
  }
}

interface Cursor {
  readonly source: RecordBatches
  readonly order: number
  batch: readonly SessionRecord[]
  index: number
  /** Of the record at `index`, or of the latest before it; after the last one: what the next cannot be before. */
  timeUs: number
  ns: number
}

/** Gets the next records; false at the end of the source. */
async function refill(cursor: Cursor): Promise<boolean> {
  do {
    const { done, value } = await cursor.source.next()
    if (done === true) return false
    cursor.batch = value
  } while (cursor.batch.length === 0)
  skipTo(cursor, 0)
  return true
}

function skipTo(cursor: Cursor, index: number): void {
  cursor.index = index
  const record = cursor.batch[index]
  if (record === undefined) return
  const { timeUs, ns } = record
  if (timeUs < cursor.timeUs || (timeUs === cursor.timeUs && ns < cursor.ns)) return
  cursor.timeUs = timeUs
  cursor.ns = ns
}

function isBefore(a: Cursor, b: Cursor): boolean {
  const apart = compareTimes(a, b)
  return apart === 0 ? a.order < b.order : apart < 0
}

/** Moves a cursor down to its place. */
function sink(heap: Cursor[], from: number): void {
  const cursor = heap[from]
  if (cursor === undefined) return
  let at = from
  for (;;) {
    let child = 2 * at + 1
    const left = heap[child]
    if (left === undefined) break
    const right = heap[child + 1]
    if (right !== undefined && isBefore(right, left)) child += 1
    const smaller = heap[child]!
    if (!isBefore(smaller, cursor)) break
    heap[at] = smaller
    at = child
  }
  heap[at] = cursor
}
