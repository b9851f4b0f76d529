import { Fault } from '../../model/fault'
import type { SessionRecord } from '../record'
import { readRecording } from './recordingReader'

export interface FrameAtOptions {
  /** Is told of what is wrong with the recording or its index on the way; none of it ends the call. */
  readonly onFault?: ((fault: Fault) => void) | undefined
}

/**
 * The record that a line of a recording is, as received, with its lineage: what an event's lineage leads back to.
 *
 * Only the block of the line is read, and of a recording of several exchanges what says whose connection it is. A file that
 * has no index yet is read once for it.
 *
 * @param line  counts from 1, which is the header
 * @throws      `RECORDING_INVALID` when the file is not a recording that can be read; `OPTION_INVALID` when the line is
 *              none of it, or holds no record
 */
export async function frameAt(file: string, line: number, options: FrameAtOptions = {}): Promise<SessionRecord> {
  if (!(Number.isSafeInteger(line) && line > 1)) {
    throw new Fault('OPTION_INVALID', `Line ${line} of the recording ${file} is no record; give a number above 1.`, {
      path: file,
      line,
    })
  }
  const reader = readRecording(file, { onFault: options.onFault ?? (() => undefined), fromLine: line, lineage: true })
  for await (const batch of reader) {
    for (const record of batch) {
      if (record.dir === 'gap' || record.lineage === undefined || record.lineage.line < line) continue
      if (record.lineage.line > line) break
      return record
    }
    if (batch.some(({ lineage }) => lineage !== undefined && lineage.line >= line)) break
  }
  throw new Fault('OPTION_INVALID', `Line ${line} of the recording ${file} holds no record.`, { path: file, line })
}
