import { createRequire } from 'node:module'
import { resolveOut, sinkCounters, type Sink } from '../sinks/sink'
import { liveClock } from '../clock/liveClock'
import type { SessionRecord } from '../feed/record'
import type * as recordings from '../feed/recording/recordingWriter'
import type { RecordingWriter } from '../feed/recording/recordingWriter'
import { Fault } from '../model/fault'

/** What writes recordings is loaded with the first of them. */
const load = createRequire(__filename)

export interface RecordingOptions {
  readonly name?: string
}

/**
 * Writes what `frames(...)` gives as a recording (`millrace-recording/1`), REST answers into the `.rest` file beside it.
 *
 * Delivery  at least once of what was flushed, four times a second: what was acknowledged after the last flush is lost
 *           with a killed process, a quarter of a second at most
 * Order     as received
 * Errors    `OPTION_INVALID` for a path outside the output folder; `SINK_REJECTED` when lines were lost to the disk
 *
 * @param path  inside the output folder; gzip when it ends in `.gz`
 */
export function recording(path: string, options: RecordingOptions = {}): Sink<SessionRecord> {
  const counters = sinkCounters()
  let writer: RecordingWriter | undefined
  let file = ''
  let fault: Fault | undefined
  return {
    name: options.name ?? 'recording',
    counters,
    delivery: 'atLeastOnce',
    async open({ outDir, resume }) {
      file = resolveOut(path, outDir)
      if (resume !== true) {
        counters.written = 0
        counters.bytes = 0
      }
      await writer?.close()
      writer = undefined
      fault = undefined
    },
    async write(batch) {
      // The header names the exchanges, which the first record tells.
      writer ??= await (load('../feed/recording/recordingWriter') as typeof recordings).openRecording(
        file,
        { venues: [...new Set(batch.map((record) => record.exchange))] },
        { clock: liveClock, onFault: (told) => (fault = told) },
      )
      for (const record of batch) writer.write(record)
      counters.written += batch.length
      counters.bytes = writer.counters.bytes
      if (fault !== undefined) {
        const told = fault
        fault = undefined
        throw new Fault('SINK_REJECTED', told.message, { path: file, ...told.details }, { cause: told })
      }
    },
    async close() {
      const closing = writer
      writer = undefined
      if (closing === undefined) return
      const { lost, complete } = await closing.close()
      counters.bytes = closing.counters.bytes
      if (lost > 0 || !complete) {
        throw new Fault('SINK_REJECTED', `The recording ${file} lacks ${lost} lines that the disk did not take.`, {
          path: file,
          lost,
        })
      }
    },
  }
}
