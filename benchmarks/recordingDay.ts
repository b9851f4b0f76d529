/**
 * What a day of recording is good for afterwards.
 *
 * Why      whoever looks for a minute of yesterday does not want to wait for the day, and a machine that replays one does not
 *          have the memory for it
 * Input    24 hours of 6 million frames in the shapes of Binance, more than a gigabyte of text, made by the recorder first
 *          and taken away at the end
 * Measures `size`   MB of the file
 *          `seek`   ms until the first record from a random time on is there, index read anew each time: ten of them
 *          `index`  s until a file without an index has one
 *          `replay` ns a record, as fast as they can be read; `replay.memory` how far resident memory stands above what it was
 *                   after a tenth of the day, MB
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { performance } from 'node:perf_hooks'
import { indexPathOf, openIndex } from '../src/feed/recording/recordingIndex'
import { readRecording } from '../src/feed/recording/recordingReader'
import { DAY_START_US, DAY_US, writeDay } from './kit/dayRecording'
import { seeded } from './kit/random'
import { isQuick, ofRounds, report, rowOf } from './kit/report'

const DAY_FRAMES = isQuick() ? 100_000 : 6_000_000
const SEEKS = 10
const MEMORY_EVERY = DAY_FRAMES / 100

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

void day()
