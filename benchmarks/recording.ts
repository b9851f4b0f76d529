/**
 * What recording costs while it happens, and what a day of it is good for afterwards.
 *
 * Why      a recorder runs beside every live run, for weeks: it may take 3 % of a core at 20,000 frames/s; and whoever looks
 *          for a minute of yesterday does not want to wait for the day
 * Input    frames of 80 to 400 bytes in the shapes of Binance, 20,000 a second when they are due; a day of 9 million of them,
 *          2 GB of text, which is made first and taken away at the end
 * Variants `without`  every frame is read once (its CRC) and forgotten
 *          `gzip`     and recorded, as by default
 *          `plain`    and recorded without compression
 * Measures `cpu`   of one core, all threads together, %; what a variant has more than `without` is the recorder
 *          `loop`  of the time, what the calls of `write` take of the event loop, %
 *          `size`  bytes a frame in the file
 *          `day.index`  s until a file without an index has one
 *          `day.seek`   ms until the first record from a random time on is there, index read anew each time: ten of them
 *          `day.replay` ns a record, as fast as they can be read, and how far memory rises after the first tenth, MB
 * Baseline `without`
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { performance } from 'node:perf_hooks'
import { crc32 } from 'node:zlib'
import { liveClock } from '../src/clock/liveClock'
import { indexPathOf, openIndex } from '../src/feed/recording/recordingIndex'
import { readRecording } from '../src/feed/recording/recordingReader'
import { openRecording, type RecordingWriter } from '../src/feed/recording/recordingWriter'
import { DAY_START_US, DAY_US, marketFrames, writeDay } from './kit/dayRecording'
import { paced } from './kit/paced'
import { seeded } from './kit/random'
import { isQuick, ofRounds, report, rowOf } from './kit/report'
import { measure, type Sample } from './kit/variants'

const PER_SECOND = 20_000
const FOR_MS = isQuick() ? 500 : 6_000
const WARM_UP_MS = isQuick() ? 200 : 2_000
const DISTINCT = 2_000
const DAY_FRAMES = isQuick() ? 100_000 : 9_000_000
const SEEKS = 10
const MEMORY_EVERY = DAY_FRAMES / 100

async function write(name: string | undefined): Promise<Sample> {
  const folder = mkdtempSync(path.join(tmpdir(), 'millrace-bench-'))
  try {
    const writer = name === undefined ? undefined : await recorder(path.join(folder, name))
    const next = marketFrames(3)
    const frames = Array.from({ length: DISTINCT }, () => Buffer.from(next()))
    let seen = 0
    let loopMs = 0
    const startUs = liveClock.nowUs()
    const { cpuPercent, share, handled } = await paced(
      { perSecond: PER_SECOND, forMs: FOR_MS, warmUpMs: WARM_UP_MS },
      (index) => {
        const data = frames[index % DISTINCT]!
        seen = crc32(data, seen)
        if (writer === undefined) return
        const beganMs = performance.now()
        writer.write({
          ...{ timeUs: startUs + index * (1e6 / PER_SECOND), ns: 0, connection: 0, exchange: 'binance' },
          ...{ dir: 'in', data, isText: true },
        })
        loopMs += performance.now() - beganMs
      },
    )
    if (seen === 0 || share < 0.5) throw new Error(`Only ${Math.round(share * 100)} % of the frames were handled.`)
    const summary = await writer?.close()
    if (summary !== undefined && !summary.complete) throw new Error(`${summary.path} is not complete.`)
    const all = handled * ((FOR_MS + WARM_UP_MS) / FOR_MS)
    return {
      // A machine that is busy with others hands over fewer.
      cpu: cpuPercent / share,
      loop: ((loopMs / (FOR_MS + WARM_UP_MS)) * 100) / share,
      size: summary === undefined ? 0 : summary.bytes / all,
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function recorder(file: string): Promise<RecordingWriter> {
  return openRecording(
    file,
    { venues: ['binance'] },
    {
      clock: liveClock,
      onFault: ({ message }) => {
        throw new Error(message)
      },
    },
  )
}

async function day(): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'millrace-bench-'))
  const file = path.join(folder, 'day.ndjson.gz')
  const fail = ({ message }: Error): never => {
    throw new Error(message)
  }
  try {
    const bytes = await writeDay(file, DAY_FRAMES)
    report(rowOf('recording.day.size', 'MB', ofRounds([bytes / 1e6])))

    const random = seeded(17)
    const seeks: number[] = []
    for (let i = 0; i < SEEKS; i++) {
      const fromUs = DAY_START_US + Math.floor(random() * DAY_US)
      const beganMs = performance.now()
      const reader = readRecording(file, { onFault: fail, fromUs })
      const { value } = await reader.next()
      seeks.push(performance.now() - beganMs)
      await reader.return()
      const first = value?.find(({ dir }) => dir === 'in')
      if (first === undefined || first.timeUs < fromUs || first.timeUs > fromUs + (2 * DAY_US) / DAY_FRAMES) {
        throw new Error(`Seeking to ${fromUs} has led to ${first?.timeUs}.`)
      }
    }
    report(rowOf('recording.day.seek', 'ms', ofRounds(seeks)))

    rmSync(indexPathOf(file))
    const indexBeganMs = performance.now()
    await openIndex(file)
    report(rowOf('recording.day.index', 's', ofRounds([(performance.now() - indexBeganMs) / 1_000])))

    await replayed(file, fail)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function replayed(file: string, fail: (fault: Error) => never): Promise<void> {
  const memory: number[] = []
  const beganMs = performance.now()
  let records = 0
  for await (const batch of readRecording(file, { onFault: fail })) {
    records += batch.length
    if (records >= (memory.length + 1) * MEMORY_EVERY) memory.push(process.memoryUsage.rss() / 1e6)
  }
  if (records !== DAY_FRAMES + 1) throw new Error(`${records} records were read of ${DAY_FRAMES + 1}.`)
  const ns = ((performance.now() - beganMs) * 1e6) / records
  report(rowOf('recording.day.replay', 'ns/record', ofRounds([ns])))
  const settled = memory.slice(memory.length / 10)
  const rises = settled.map((mb) => Math.max(0, mb - settled[0]!))
  report(rowOf('recording.day.replay.memory', 'MB', ofRounds(rises)))
}

async function main(): Promise<void> {
  await measure(__filename, [
    {
      name: 'recording.write',
      measures: { cpu: '% of a core', loop: '% of the loop', size: 'bytes/frame' },
      baseline: 'without',
      variants: [
        { name: 'without', run: () => write(undefined) },
        { name: 'gzip', run: () => write('a.ndjson.gz') },
        { name: 'plain', run: () => write('a.ndjson') },
      ],
    },
  ])
  if (!process.argv.includes('--variant')) await day()
}

void main()
