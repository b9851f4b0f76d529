/**
 * Where in a recording what is: the blocks of the file, so that a time or a line is found without reading all before it.
 */
import type { Fault } from '../../model/fault'
import type { RecordingHeader } from './recordingHeader'

/**
 * One block: a gzip member, or of a file that is not compressed the lines that begin in one window of 256 KiB.
 *
 * What this version writes has the header in block 0, alone, and about 256 KiB of text in each of the others. Files of
 * others may be one block from beginning to end: they can be read and verified, and sought only from the start.
 */
export interface RecordingBlock {
  /** Counts from 0, in the order of the file. */
  readonly number: number
  /** In the file, in bytes. */
  readonly offset: number
  readonly length: number
  /** Unpacked, in bytes. */
  readonly textBytes: number
  /** The number of its first line in the file; the header is line 1. */
  readonly firstLine: number
  readonly lines: number
  /** The time of its first line, as it stands there (nanoseconds since 1970); undefined in a block without records. */
  readonly firstT: string | undefined
  /** The latest time in it. */
  readonly lastT: string | undefined
  /** Lines that are missing in it, by the word of its recorder. */
  readonly lost: number
  /** How many of its lines are known to later ones: openings and closings of connections, lists of instruments. */
  readonly state: number
  /** Of its bytes as they stand in the file, in hexadecimal digits. */
  readonly sha256: string
}

export interface BrokenBlock {
  readonly number: number
  readonly offset: number
  readonly length: number
  /** Of the first line that is lost with it. */
  readonly firstLine: number
  /** How many lines are lost with it; undefined where no index tells. */
  readonly lines: number | undefined
  /** The end of a sentence: "cannot be unpacked (...)", "is not what was written". */
  readonly reason: string
}

export interface RecordingIndex {
  readonly path: string
  readonly header: RecordingHeader
  readonly blocks: readonly RecordingBlock[]
  /** Blocks that could not be unpacked when the index was made. */
  readonly broken: readonly BrokenBlock[]
  /** Of the file, its header included. */
  readonly lines: number
  /** Of the file that blocks account for. */
  readonly bytes: number
  /** True when the recorder finished the file, nothing of it is broken, and it ends where its last block ends. */
  readonly complete: boolean
  /** `read`: from the sidecar. `extended`: the file had grown since. `built`: the whole file was read for it. */
  readonly origin: 'read' | 'extended' | 'built'
  /**
   * The position in `blocks` of the first block that may hold a record of this time or later; `blocks.length` when
   * none does. Where times go back, a record counts as of the latest time before it.
   */
  find(timeUs: number): number
  /** The block that has this line (the header is line 1); undefined when none has. */
  blockOfLine(line: number): RecordingBlock | undefined
}

export interface OpenIndexOptions {
  /** Is told of what is wrong with a sidecar or the file; none of it ends the call. */
  readonly onFault?: ((fault: Fault) => void) | undefined
  /** Is told how far the reading of a file without an index has come. */
  readonly onProgress?: ((done: { readonly bytes: number; readonly of: number }) => void) | undefined
  readonly signal?: AbortSignal | undefined
  /** Writes an index that had to be made beside the recording, for the next time. Default true. */
  readonly save?: boolean | undefined
}

/**
 * The index of a recording: from its sidecar (`x.ndjson.gz.index`), as far as that fits the file; what it lacks is read
 * from the file.
 *
 * @throws `RECORDING_INVALID` when the file is not a recording that can be read; the signal's reason when it is aborted
 */
export declare function openIndex(path: string, options?: OpenIndexOptions): Promise<RecordingIndex>

export interface RecordingVerification {
  readonly path: string
  /** Blocks and lines that are whole; the header is one. */
  readonly blocks: number
  readonly lines: number
  readonly bytes: number
  readonly broken: readonly BrokenBlock[]
  /** Lines that are not what the format says. */
  readonly unreadable: number
  /** Lines that its recorder lost, by its own word. */
  readonly lost: number
  /** What the sidecar is worth: `differs` when it is of other bytes than the file has. */
  readonly index: 'fits' | 'missing' | 'incomplete' | 'broken' | 'differs'
  /** Where the file ends in the middle of a block: whole lines of that were still counted. */
  readonly cut: boolean
  /** False while it is being recorded, and for ever when its recorder was killed. */
  readonly ended: boolean
  /** True when every byte is what was written, and the recorder came to its end. */
  readonly sound: boolean
}

/**
 * Reads the whole file and compares it with its own checksums and with the sidecar, which it leaves as it is.
 *
 * @throws `RECORDING_INVALID` when the file is not a recording that can be read; the signal's reason when it is aborted
 */
export declare function verifyRecording(
  path: string,
  options?: Pick<OpenIndexOptions, 'onFault' | 'onProgress' | 'signal'>,
): Promise<RecordingVerification>

/**
 * The text of one block, which was unpacked and checked: whole lines, each with its line end.
 *
 * @throws `RECORD_UNREADABLE` when its bytes are not what was written
 */
export declare function readBlock(path: string, block: RecordingBlock): Promise<Buffer>

/** Where the sidecar of a recording is. */
export function indexPathOf(path: string): string {
  return `${path}.index`
}

export const RECORDING_INDEX_FORMAT = 'millrace-recording-index/1'
