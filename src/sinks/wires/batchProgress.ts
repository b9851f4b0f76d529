import type { BatchKey } from '../sink'

/**
 * How far a batch has come that is sent in parts: kept when a part fails, because the batch is offered again.
 *
 * A part never spans a value that was left out, so that it holds as many values as its label counts.
 */
export class BatchProgress<T> {
  /** Bytes of the parts that were taken. */
  bytes = 0
  private passed = 0
  /** The value that was refused by itself: the batch comes again without it. */
  private refused: number | undefined
  /** Up to here something is refused, but nobody said what. */
  private suspectEnd = 0
  private isOver = false

  private constructor(
    readonly batch: readonly T[],
    readonly key: BatchKey,
    /** Which batch it is of those that were offered. */
    private readonly serial: number,
    /** The position of each value in its edge. */
    private readonly places: readonly number[],
  ) {}

  /** Goes on with `last` when this is the same batch, or the same without the value that was refused. */
  static of<T>(batch: readonly T[], key: BatchKey, last: BatchProgress<T> | undefined): BatchProgress<T> {
    const serial = last === undefined ? 0 : last.serial + 1
    if (last === undefined || last.key.from !== key.from || last.key.to !== key.to || !last.continues(batch)) {
      const places = batch.map((_, index) => key.from + index)
      return new BatchProgress(batch, key, serial, places)
    }
    if (last.batch === batch) return last
    const places = last.places.filter((_, index) => index !== last.refused)
    const shortened = new BatchProgress(batch, key, last.serial, places)
    shortened.passed = last.passed
    shortened.bytes = last.bytes
    shortened.suspectEnd = Math.max(0, last.suspectEnd - 1)
    return shortened
  }

  continues(batch: readonly T[]): boolean {
    const { refused } = this
    if (this.isOver) return false
    if (batch === this.batch) return true
    if (refused === undefined || batch.length !== this.batch.length - 1) return false
    return batch.every((value, index) => Object.is(value, this.batch[index < refused ? index : index + 1]))
  }

  get done(): number {
    return this.passed
  }

  /** It is at the destination, and acknowledged. */
  end(): void {
    this.isOver = true
  }

  get isDone(): boolean {
    return this.passed >= this.batch.length
  }

  /** Where the next part ends: at least one value, no hole, no more bytes than so, half of what is suspect. */
  endWithin(texts: readonly string[], bytesMax: number): number {
    const start = this.passed
    const suspects = this.suspectEnd - start
    const atMost = suspects > 0 ? start + Math.ceil(suspects / 2) : texts.length
    // Counting bytes costs more than sending them: where even the longest of encodings fits, nobody does.
    const fits = texts.reduce((sum, text) => sum + text.length * BYTES_PER_UNIT_MAX + 1, 0) <= bytesMax
    let bytes = 0
    let end = start
    while (end < atMost) {
      bytes += fits ? 0 : Buffer.byteLength(texts[end]!) + 1
      if (end > start && (bytes > bytesMax || this.places[end] !== this.places[end - 1]! + 1)) break
      end++
    }
    return end
  }

  pass(end: number, bytes: number): void {
    this.passed = end
    this.bytes += bytes
  }

  /** A part that ends there was refused for one of its values. */
  suspect(end: number): void {
    this.suspectEnd = end
  }

  refuse(index: unknown): void {
    this.refused = typeof index === 'number' ? index : undefined
  }

  /** The idempotency key of the part that ends there. Receipts have no positions of their own: they are known by what they say. */
  label(run: string, sink: string, end: number, body: Uint8Array): string {
    const { from, to } = this.key
    const which =
      to > from ? `${this.places[this.passed]!}-${this.places[end - 1]! + 1}` : `${from}-${to}.${this.digest(body)}`
    return `${encodeURIComponent(run)}:${encodeURIComponent(sink)}:${which}`
  }

  private digest(body: Uint8Array): string {
    const hash = process.getBuiltinModule('node:crypto').createHash('sha256')
    return hash.update(`${this.serial}.${this.passed}.`).update(body).digest('hex').slice(0, 16)
  }
}

/** Of UTF-8, for a unit of a text. */
export const BYTES_PER_UNIT_MAX = 3
