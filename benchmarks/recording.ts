/**
 * What recording costs while it happens.
 *
 * Why      a recorder runs beside every live run, for weeks: it may take 3 % of a core at 20,000 frames/s
 * Input    frames of 80 to 400 bytes in the shapes of Binance, 20,000 a second when they are due
 * Threads  on the loop a frame is written into a chunk as its line, and a block is hashed; compressing and writing are on
 *          others
 * Variants `alone`     the floor: text that is there already is compressed, or written to a file, in blocks, and nothing else
 *          `recorder`  frames are recorded
 * Measures `loop`  what the loop's thread takes more of a core than when every frame is read once (its CRC) and forgotten,
 *                  which each process does in between; %
 *          `cpu`   the same of all threads of the process together
 *          `size`  bytes a frame in the file
 * Baseline `alone`: the ratio of `cpu` says how near to the floor the recorder is
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { crc32, gzip } from 'node:zlib'
import { liveClock } from '../src/clock/liveClock'
import type { SessionRecord } from '../src/feed/record'
import { recordLine } from '../src/feed/recording/recordLine'
import { openRecording } from '../src/feed/recording/recordingWriter'
import { marketFrames } from './kit/dayRecording'
import { paced, type Paced } from './kit/paced'
import { isQuick } from './kit/report'
import { measure, type Sample } from './kit/variants'

const PER_SECOND = 20_000
/** Whether a round's frames are taken. */
const ORDER = isQuick() ? [false, true] : [false, true, true, false, false, true, true, false]
const FOR_MS = isQuick() ? 300 : 1_000
const WARM_UP_MS = isQuick() ? 200 : 400
const DISTINCT = 2_000
/** What the recorder compresses, and writes, at once by default. */
const BLOCK_BYTES = 256 * 1_024
const CHUNK_BYTES = 128 * 1_024

/** Something that frames are given to. */
interface Taker {
  take(record: SessionRecord): void
  /** @returns bytes that came out */
  end(): Promise<number>
}

/** Frames in turn read, and read and taken: what is more the second time is the taker's. */
async function cost(open: (file: string) => Taker | Promise<Taker>, name: string): Promise<Sample> {
  const folder = mkdtempSync(path.join(tmpdir(), 'millrace-bench-'))
  try {
    const taker = await open(path.join(folder, name))
    const frames = distinctFrames()
    const startUs = liveClock.nowUs()
    let seen = 0
    let sent = 0
    let taken = 0
    const round = (isTaken: boolean): Promise<Paced> =>
      paced({ perSecond: PER_SECOND, forMs: FOR_MS, warmUpMs: WARM_UP_MS }, () => {
        const data = frames[sent % DISTINCT]!
        seen = crc32(data, seen)
        const record = recordOf(data, startUs, sent++)
        if (!isTaken) return
        taken += 1
        taker.take(record)
      })
    await round(true) // what is compiled for the first time
    await round(false)
    // In an order in which neither has more of what a process does less and less of.
    const [having, without]: [Paced[], Paced[]] = [[], []]
    for (const isTaken of ORDER) (isTaken ? having : without).push(await round(isTaken))
    if (seen === 0) throw new Error('No frame was read.')
    const [more, less] = [shares(having), shares(without)]
    return { loop: more.loop - less.loop, cpu: more.cpu - less.cpu, size: (await taker.end()) / taken }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function recorder(file: string): Promise<Taker> {
  const writer = await openRecording(
    file,
    { venues: ['binance'] },
    {
      clock: liveClock,
      onFault: ({ message }) => {
        throw new Error(message)
      },
    },
  )
  return {
    take: (record) => writer.write(record),
    async end() {
      const { complete, bytes } = await writer.close()
      if (!complete) throw new Error(`${file} is not complete.`)
      return bytes
    },
  }
}

/** Compresses the text of a second again and again, in blocks, on the threads of zlib. */
function compressing(): Taker {
  let bytes = 0
  const pack = (block: Buffer): Promise<void> =>
    new Promise((resolve, reject) => {
      gzip(block, { level: 1, chunkSize: 64 * 1_024 }, (error, packed) => {
        if (error !== null) return reject(error)
        bytes += packed.length
        resolve()
      })
    })
  return inBlocks(BLOCK_BYTES, pack, () => bytes)
}

/** Writes the text of a second again and again, in chunks. */
async function writing(file: string): Promise<Taker> {
  const handle = await open(file, 'w')
  let position = 0
  const write = async (chunk: Buffer): Promise<void> => {
    position += (await handle.write(chunk, 0, chunk.length, position)).bytesWritten
  }
  return inBlocks(CHUNK_BYTES, write, async () => {
    await handle.close()
    return position
  })
}

/** Hands pieces of text on when so many frames have come as they have lines. */
function inBlocks(size: number, handle: (piece: Buffer) => Promise<void>, end: () => number | Promise<number>): Taker {
  const text = textOfASecond()
  const bytesAFrame = text.length / PER_SECOND
  let [due, at] = [0, 0]
  let handling = Promise.resolve()
  const next = (bytes: number): void => {
    if (at + bytes > text.length) at = 0
    const piece = text.subarray(at, (at += bytes))
    handling = handling.then(() => handle(piece))
  }
  return {
    take() {
      due += bytesAFrame
      if (due < size) return
      due -= size
      next(size)
    },
    async end() {
      next(Math.round(due))
      await handling
      return end()
    },
  }
}

function textOfASecond(): Buffer {
  const frames = distinctFrames()
  const startUs = liveClock.nowUs()
  const line = (_: unknown, index: number): string =>
    recordLine(recordOf(frames[index % DISTINCT]!, startUs, index), undefined)
  return Buffer.from(Array.from({ length: PER_SECOND }, line).join(''))
}

function distinctFrames(): readonly Buffer[] {
  const next = marketFrames(3)
  return Array.from({ length: DISTINCT }, () => Buffer.from(next()))
}

function recordOf(data: Buffer, startUs: number, index: number): SessionRecord {
  const timeUs = startUs + index * (1e6 / PER_SECOND)
  return { timeUs, ns: 0, connection: 0, exchange: 'binance', dir: 'in', data, isText: true }
}

/** What rounds took of a core on average, as if all that was due had been handled: a machine that is busy hands over fewer. */
function shares(rounds: readonly Paced[]): { readonly loop: number; readonly cpu: number } {
  const mean = (of: (round: Paced) => number): number => {
    return rounds.reduce((sum, round) => sum + of(round) / round.share, 0) / rounds.length
  }
  if (rounds.some(({ share }) => share < 0.5)) throw new Error('Half of the frames were not handled.')
  return { loop: mean(({ loopPercent }) => loopPercent), cpu: mean(({ cpuPercent }) => cpuPercent) }
}

const measures = { loop: '% of a core', cpu: '% of a core', size: 'bytes/frame' }

void measure(__filename, [
  {
    name: 'recording.gzip',
    measures,
    baseline: 'alone',
    variants: [
      { name: 'alone', run: () => cost(compressing, '') },
      { name: 'recorder', run: () => cost(recorder, 'a.ndjson.gz') },
    ],
  },
  {
    name: 'recording.plain',
    measures,
    baseline: 'alone',
    variants: [
      { name: 'alone', run: () => cost(writing, 'a.ndjson') },
      { name: 'recorder', run: () => cost(recorder, 'a.ndjson') },
    ],
  },
])
