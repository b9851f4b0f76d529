import { Fault } from '../../model/fault'
import type { BatchKey } from '../sink'

/**
 * Which values of its run each value of a batch is, also after `drain` has left out those that the sink refused.
 *
 * A sink whose batch goes to several files needs to know it: after a crash some of these hold their rows already.
 */
export class BatchOffsets {
  private key: BatchKey | undefined
  private offsets: readonly number[] = []

  /** For each value of the batch the number of values before it in the run; undefined for values that are not counted. */
  of(batch: readonly unknown[], key: BatchKey): readonly number[] | undefined {
    if (this.isSame(key) && this.offsets.length === batch.length) return this.offsets
    this.key = key
    this.offsets = batch.length === key.to - key.from ? batch.map((_, at) => key.from + at) : []
    return this.offsets.length === batch.length ? this.offsets : undefined
  }

  /** A value of the latest batch that a fault names will not be offered again. */
  noteRefusal(fault: unknown): void {
    if (!(fault instanceof Fault) || fault.code !== 'VALUE_INVALID') return
    const { index } = fault.details
    this.offsets = this.offsets.filter((_, at) => at !== index)
  }

  private isSame({ from, to, run }: BatchKey): boolean {
    const { key } = this
    return key !== undefined && key.from === from && key.to === to && key.run === run
  }
}
