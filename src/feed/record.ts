/**
 * What happens on a connection, as values: the one form in which live traffic, simulated traffic and recordings reach the
 * decoders. A recording is these values written down (`millrace-recording/1`); replaying is reading them back. So live
 * and replay are the same code from here on.
 *
 * Memory a received frame is a slice of the socket's memory and holds only until whoever was handed the record returns. Who
 *        keeps a record keeps what {@link kept} makes of it: otherwise a frame of 100 bytes holds on to a chunk of 64 KiB, and
 *        may read differently later
 * Time   `timeUs` integer microseconds since 1970 and `ns`, 0 to 999, what is left of it. Within one process no two
 *        records have the same time, so sorting several recordings by time gives back the order in which they happened.
 */
import { isUtf8 } from 'node:buffer'
import type { Lineage } from '../model/events'

export type SessionRecord = OpenRecord | OutRecord | InRecord | CloseRecord | RestRecord | GapRecord

interface RecordBase {
  readonly timeUs: number
  readonly ns: number
  /** Names the connection within the run or recording; 0 in files with a single one. */
  readonly connection: number
  readonly exchange: string
  /** Of records that were read from a recording, where it was asked for. */
  readonly lineage?: Lineage
}

/** The connection was established. */
export interface OpenRecord extends RecordBase {
  readonly dir: 'open'
  readonly url: string
}

/** A text frame was sent. */
export interface OutRecord extends RecordBase {
  readonly dir: 'out'
  readonly data: string
}

/** A frame was received: bytes from a socket, and text where it was kept or recorded as text. */
export interface InRecord extends RecordBase {
  readonly dir: 'in'
  readonly data: string | Uint8Array
  /** True of bytes that came as a text frame, in UTF-8; without it, bytes came as a binary frame. */
  readonly isText?: boolean
}

/** The connection ended. */
export interface CloseRecord extends RecordBase {
  readonly dir: 'close'
  readonly code: number
  readonly reason: string
}

/**
 * `book-state` was asked of nobody: it is what a book was, as millrace had made it of the lines before a cut
 * (`recording/bookState.ts`).
 */
export type RestRole = 'instruments' | 'book-snapshot' | 'poll' | 'book-state'

/** A REST answer became known. `connection` is -1 where the recording does not say which connection asked. */
export interface RestRecord extends RecordBase {
  readonly dir: 'rest'
  readonly method: string
  readonly url: string
  readonly role: RestRole
  readonly body: string
}

/**
 * What happened on the connection between the record before this and the one after it is not wholly known. It is a record
 * of its own so that nobody joins the two by accident.
 */
export interface GapRecord extends RecordBase {
  readonly dir: 'gap'
  /** Lines that are missing, of whatever connection of the file; undefined where nobody knows. */
  readonly lost: number | undefined
  /** What became of them: the end of a sentence. */
  readonly reason: string
}

/**
 * The record to keep: with memory of its own, a text frame as text. What has neither frame nor bytes is itself.
 *
 * A text frame that is no UTF-8 stays bytes. RFC 6455 forbids it and the sockets end a connection that sends one, so only
 * other transports can hand one over.
 */
export function kept(record: SessionRecord): SessionRecord {
  if (record.dir !== 'in' || typeof record.data === 'string') return record
  const { timeUs, ns, connection, exchange, dir, data } = record
  const text = textOf(record)
  if (text !== undefined) return { timeUs, ns, connection, exchange, dir, data: text }
  // Not `slice`: of a Buffer that is another view of the same memory.
  return { ...record, data: new Uint8Array(data) }
}

/** The text of a frame; undefined of a binary one, and of one that is no UTF-8. */
export function textOf({ data, isText }: Pick<InRecord, 'data' | 'isText'>): string | undefined {
  if (typeof data === 'string') return data
  if (isText !== true || !isUtf8(data)) return undefined
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('utf8')
}

/** When something happened, of a record or of whatever stands for one. */
export type RecordTime = Pick<RecordBase, 'timeUs' | 'ns'>

/** Negative when `a` happened before `b`. */
export function compareTimes(a: RecordTime, b: RecordTime): number {
  return a.timeUs - b.timeUs || a.ns - b.ns
}
