/**
 * Every way the engine can fail, and the smallest repair that makes the stream truthful again.
 *
 * The table is the documentation, the metric labels and the supervisor's policy. Codes are stable and of low
 * cardinality; whatever varies goes into a fault's `details`.
 */

/** What the supervisor does about a fault, from the smallest repair to the largest. */
export type Repair = 'skip' | 'resync' | 'reconnect' | 'restart' | 'stop'

export const REPAIRS = {
  FRAME_UNREADABLE: 'skip', // a frame is not JSON, or not what the protocol documents
  FRAME_TOO_LARGE: 'skip', // a frame is larger or nested deeper than any the protocol documents
  VALUE_INVALID: 'skip', // a price, size, id or time in a frame is not one: NaN, negative, empty, absurd
  SYMBOL_UNKNOWN: 'skip', // a frame names an instrument that nobody asked for
  RECORD_UNREADABLE: 'skip', // a line of a recording is broken
  RECORDING_CUT: 'skip', // a recording ends in the middle: what is complete has been read
  LOOP_BLOCKED: 'skip', // the event loop stood still: whatever came meanwhile is late
  REQUEST_FAILED: 'skip', // a REST request was not answered, and is asked again within its budget
  SERVE_FAILED: 'skip', // the server of a run could not answer a request, or stopped listening
  BOOK_GAP: 'resync', // a delta does not extend the state we hold
  BOOK_CHECKSUM: 'resync', // our book's checksum is not the exchange's
  BOOK_CROSSED: 'resync', // best bid at or above best ask where the exchange promises neither numbers nor checksums
  BOOK_BUFFER_FULL: 'resync', // too many deltas waited for a snapshot
  STREAM_STALE: 'resync', // one subscription has fallen silent on a lively connection
  SNAPSHOT_FAILED: 'resync', // the REST answer for a book did not come, or was refused
  FEED_STALE: 'reconnect', // no frame for longer than the protocol allows
  FEED_CLOSED: 'reconnect', // the exchange closed the connection, or the network did
  FEED_REFUSED: 'reconnect', // the connection could not be opened
  FEED_RATE_LIMITED: 'reconnect', // 429 or 418: wait as long as the exchange says
  EXCHANGE_RESTART: 'reconnect', // the exchange announced that it will drop its connections
  RUN_UNWELL: 'skip', // the run is not well, or is again: what its pipeline declares for that is done, or undone
  STAGE_FAILED: 'restart', // a stage threw
  WORKER_DIED: 'restart', // a worker thread exited, crashed or ran out of memory
  SINK_REJECTED: 'restart', // the destination refused a batch
  EDGE_FULL: 'restart', // an edge that may not drop is full
  SUBSCRIBE_REFUSED: 'stop', // the exchange refused a subscription: asking again cannot help
  RETRIES_EXHAUSTED: 'stop', // the retry budget is spent
  RECORDING_INVALID: 'stop', // the file is not a recording we can read
  PIPELINE_INVALID: 'stop', // the description of a pipeline has problems
  OPTION_INVALID: 'stop', // an option of a call or command is not usable
  DEADLINE_EXCEEDED: 'stop', // a wait took longer than its deadline
} as const satisfies Record<string, Repair>

export type FaultCode = keyof typeof REPAIRS

/** A fault as plain data: how it crosses threads, files and processes. */
export interface FaultData {
  readonly code: FaultCode
  readonly message: string
  readonly details: Readonly<Record<string, unknown>>
}

/**
 * The one error class the engine throws.
 *
 * `code` is stable: metric label, log key, supervisor's key. `details` must survive structured clone, because faults
 * cross threads and processes as plain objects. `message` is a sentence for a person: what, where and what to do.
 */
export class Fault extends Error {
  override readonly name = 'Fault'

  constructor(
    readonly code: FaultCode,
    message: string,
    readonly details: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options)
  }

  get repair(): Repair {
    return REPAIRS[this.code]
  }

  toData(): FaultData {
    return { code: this.code, message: this.message, details: this.details }
  }

  static fromData({ code, message, details }: FaultData): Fault {
    return new Fault(code, message, details)
  }
}

/** The message of whatever was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}

/** Whatever was thrown as an error. */
export function errorOf(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(messageOf(thrown), { cause: thrown })
}

/** A message with one full stop, for a sentence that follows. */
export function asSentence(message: string): string {
  return message.replace(/[.\s]*$/, '.')
}
