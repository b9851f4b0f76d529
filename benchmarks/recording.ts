/**
 * What recording costs while it happens.
 *
 * Why      a recorder runs beside every live run, for weeks: it may take 3 % of a core at 20,000 frames/s
 * Input    frames of 80 to 400 bytes in the shapes of Binance, 20,000 a second when they are due
 * Threads  on the loop a frame is quoted into a chunk, and a block is hashed (0.1 ms); compressing and writing are on others
 * Variants `without`  every frame is read once (its CRC) and forgotten
 *          `gzip`     and recorded, as by default
 *          `plain`    and recorded without compression
 * Measures `cpu`   of one core, all threads together, %; what a variant has more than `without` is the recorder
 *          `size`  bytes a frame in the file
 * Baseline `without`
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { crc32 } from 'node:zlib'
import { liveClock } from '../src/clock/liveClock'
import { openRecording, type RecordingWriter } from '../src/feed/recording/recordingWriter'
import { marketFrames } from './kit/dayRecording'
import { paced } from './kit/paced'
import { isQuick } from './kit/report'
import { measure, type Sample } from './kit/variants'

const PER_SECOND = 20_000
const FOR_MS = isQuick() ? 500 : 6_000
const WARM_UP_MS = isQuick() ? 200 : 2_000
const DISTINCT = 2_000

async function write(name: string | undefined): Promise<Sample> {
  const folder = mkdtempSync(path.join(tmpdir(), 'millrace-bench-'))
  try {
    const writer = name === undefined ? undefined : await recorder(path.join(folder, name))
    const next = marketFrames(3)
    const frames = Array.from({ length: DISTINCT }, () => Buffer.from(next()))
    let seen = 0
    const startUs = liveClock.nowUs()
    const { cpuPercent, share, handled } = await paced(
      { perSecond: PER_SECOND, forMs: FOR_MS, warmUpMs: WARM_UP_MS },
      (index) => {
        const data = frames[index % DISTINCT]!
        seen = crc32(data, seen)
        if (writer === undefined) return
        const timeUs = startUs + index * (1e6 / PER_SECOND)
        writer.write({ timeUs, ns: 0, connection: 0, exchange: 'binance', dir: 'in', data, isText: true })
      },
    )
    if (seen === 0 || share < 0.5) throw new Error(`Only ${Math.round(share * 100)} % of the frames were handled.`)
    const summary = await writer?.close()
    if (summary !== undefined && !summary.complete) throw new Error(`${summary.path} is not complete.`)
    const all = handled * ((FOR_MS + WARM_UP_MS) / FOR_MS)
    return {
      // A machine that is busy with others hands over fewer.
      cpu: cpuPercent / share,
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

void measure(__filename, [
  {
    name: 'recording.write',
    measures: { cpu: '% of a core', size: 'bytes/frame' },
    baseline: 'without',
    variants: [
      { name: 'without', run: () => write(undefined) },
      { name: 'gzip', run: () => write('a.ndjson.gz') },
      { name: 'plain', run: () => write('a.ndjson') },
    ],
  },
])
