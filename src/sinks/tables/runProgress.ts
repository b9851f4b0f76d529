import type { BatchKey, SinkCounters } from '../sink'

/** What the destination remembers of a run: one row, changed in the same transaction as the batch. */
export interface ProgressRow {
  /** Values of the run that stand there. */
  readonly position: number
  /** Batches that were written in all: tells whether one whose acknowledgement was lost has arrived. */
  readonly batches: number
}

/** The table in which sinks of databases keep their progress. */
export const PROGRESS_TABLE = 'millrace_progress'

/**
 * How far an effectively-once sink has come, and the one batch of which it does not know.
 *
 * A commit that was sent and not answered may have happened. It is remembered until the destination has been asked again:
 * then it is either taken for written, or offered anew.
 */
export class RunProgress {
  private row: ProgressRow = { position: 0, batches: 0 }
  private asked: { readonly batch: readonly unknown[]; readonly row: ProgressRow } | undefined
  private arrived: readonly unknown[] | undefined

  constructor(private readonly counters: SinkCounters) {}

  get position(): number {
    return this.row.position
  }

  get batches(): number {
    return this.row.batches
  }

  /** For another run. */
  beginAnew(): void {
    this.row = { position: 0, batches: 0 }
    this.asked = undefined
    this.arrived = undefined
  }

  /** What the destination says, after it was opened or came back. */
  found(row: ProgressRow): void {
    const { asked } = this
    this.row = row
    this.asked = undefined
    if (asked === undefined || row.batches !== asked.row.batches) return
    this.arrived = asked.batch
    this.counters.written += asked.batch.length
  }

  /** Whether this very batch has arrived although its acknowledgement was lost. Asked once. */
  hasArrived(batch: readonly unknown[]): boolean {
    const { arrived } = this
    this.arrived = undefined
    return arrived === batch
  }

  /** The row as it is to be after the batch. */
  after(batch: readonly unknown[], key: BatchKey | undefined): ProgressRow {
    const { position, batches } = this.row
    // Receipts are no values of the edge: their key spans nothing, and may lie before what is there.
    const to = key === undefined ? position + batch.length : key.to
    return { position: Math.max(position, to), batches: batches + 1 }
  }

  /** From now until the answer, nobody knows. */
  committing(batch: readonly unknown[], row: ProgressRow): void {
    this.asked = { batch, row }
  }

  committed(): void {
    const { asked } = this
    if (asked === undefined) return
    this.row = asked.row
    this.asked = undefined
    this.counters.written += asked.batch.length
  }
}
