/**
 * What a reader that begins in the middle of a recording must know from before: which connections are open, because their
 * address may say what market their frames are of, and which instruments there are.
 */
import type { SessionRecord } from '../record'

export class InForce {
  private readonly kept = new Map<string, SessionRecord>()

  /** Takes a record from before; what is never in force is ignored. */
  take(record: SessionRecord): void {
    if (record.dir === 'open') this.keep(`open ${record.connection}`, record)
    else if (record.dir === 'close') this.kept.delete(`open ${record.connection}`)
    else if (record.dir === 'rest' && record.role === 'instruments') {
      this.keep(`instruments ${record.exchange} ${record.url}`, record)
    }
  }

  /**
   * In the order in which they happened.
   *
   * @param timeUs  the time that they are given: nobody should wait for what has passed since they happened
   */
  records(timeUs: number): SessionRecord[] {
    return [...this.kept.values()].map((record) => ({ ...record, timeUs, ns: 0 }))
  }

  private keep(key: string, record: SessionRecord): void {
    this.kept.delete(key)
    if (this.kept.size >= KEPT_MAX) {
      const [oldest] = this.kept.keys()
      this.kept.delete(oldest!)
    }
    this.kept.set(key, record)
  }
}

/** The oldest makes room. */
const KEPT_MAX = 65_536
