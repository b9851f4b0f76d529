import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import type { SessionRecord } from '../../../src/feed/record'
import type { RecordBatches } from '../../../src/feed/recording/recordBatches'
import { readRecording, type ReadOptions, type ReadingCounters } from '../../../src/feed/recording/recordingReader'
import type { Fault } from '../../../src/model/fault'

/** Gives each test of the suite a folder of its own, and takes it away again. */
export function temporaryFolder(): (name: string) => string {
  let folder = ''
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'millrace-recording-'))
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))
  return (name) => path.join(folder, name)
}

export const HEADER = { format: 'millrace-recording/1', venue: 'kraken' }

/** Writes a recording: values become lines, texts are taken as they are. */
export async function recordingOf(file: string, lines: readonly unknown[], header: object = HEADER): Promise<string> {
  const text = [header, ...lines]
    .map((line) => (typeof line === 'string' ? line : JSON.stringify(line)) + '\n')
    .join('')
  await writeFile(file, file.endsWith('.gz') ? gzipSync(text) : text)
  return file
}

/** The line of a received frame at so many nanoseconds. */
export function frame(t: number, raw = `frame at ${t}`): object {
  return { t: String(t), dir: 'in', raw }
}

export async function all(batches: RecordBatches): Promise<SessionRecord[]> {
  const records: SessionRecord[] = []
  for await (const batch of batches) records.push(...batch)
  return records
}

export interface WhatWasRead {
  readonly records: SessionRecord[]
  readonly faults: Fault[]
  readonly counters: ReadingCounters
}

export async function read(file: string, options: Partial<ReadOptions> = {}): Promise<WhatWasRead> {
  const faults: Fault[] = []
  const reader = readRecording(file, { onFault: (fault) => faults.push(fault), ...options })
  return { records: await all(reader), faults, counters: reader.counters }
}

/** The frames' texts, without the gaps between them. */
export function textsOf(records: readonly SessionRecord[]): string[] {
  const happened = records.filter(({ dir }) => dir !== 'gap')
  return happened.map((record) => (record.dir === 'in' || record.dir === 'out' ? String(record.data) : record.dir))
}

/** What a call rejects with. */
export async function rejectionOf(work: Promise<unknown>): Promise<Fault> {
  try {
    await work
  } catch (error) {
    return error as Fault
  }
  throw new Error('expected a rejection')
}
