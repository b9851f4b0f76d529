/**
 * What happens on a connection, as values: the one form in which live traffic, simulated traffic and recordings reach the
 * decoders. A recording is these values written down (`millrace-recording/1`); replaying is reading them back. So live
 * and replay are the same code from here on.
 *
 * Time   `timeUs` integer microseconds since 1970 and `ns`, 0 to 999, what is left of it. Within one process no two
 *        records have the same time, so sorting several recordings by time gives back the order in which they happened.
 */
export type SessionRecord = OpenRecord | OutRecord | InRecord | CloseRecord | RestRecord

interface RecordBase {
  readonly timeUs: number
  readonly ns: number
  /** Names the connection within the run or recording; 0 in files with a single one. */
  readonly connection: number
  readonly exchange: string
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

/** A frame was received; binary frames stay bytes. */
export interface InRecord extends RecordBase {
  readonly dir: 'in'
  readonly data: string | Uint8Array
}

/** The connection ended. */
export interface CloseRecord extends RecordBase {
  readonly dir: 'close'
  readonly code: number
  readonly reason: string
}

export type RestRole = 'instruments' | 'book-snapshot' | 'poll'

/** A REST answer became known. `connection` is -1 where the recording does not say which connection asked. */
export interface RestRecord extends RecordBase {
  readonly dir: 'rest'
  readonly method: string
  readonly url: string
  readonly role: RestRole
  readonly body: string
}

/** When something happened, of a record or of whatever stands for one. */
export type RecordTime = Pick<RecordBase, 'timeUs' | 'ns'>

/** Negative when `a` happened before `b`. */
export function compareTimes(a: RecordTime, b: RecordTime): number {
  return a.timeUs - b.timeUs || a.ns - b.ns
}
