/**
 * How fast a recording is replayed: as fast as it is taken, as it happened, or n times so.
 *
 * Record time is tied to the clock once, at the first record; each record is due at its own distance from there. So
 * nothing drifts, and a consumer that was slow catches up. The output does not depend on the speed, except for the
 * boundaries of the batches: records that are due together travel together.
 */
import { sleep, type Clock } from '../../clock/clock'
import { Fault } from '../../model/fault'
import type { SessionRecord } from '../record'
import { DONE, Turns, type RecordBatches } from './recordBatches'

/** `max`, or how much faster than it happened: 1 is real time. */
export type Speed = 'max' | number

/**
 * Reads `max`, `real` or a multiple such as `10x` or `0.5x`.
 *
 * @throws `OPTION_INVALID`
 */
export function parseSpeed(text: string): Speed {
  if (text === 'max') return 'max'
  if (text === 'real') return 1
  const factor = /^\d{1,15}(?:\.\d{1,15})?x$/.test(text) ? Number(text.slice(0, -1)) : NaN
  if (factor >= FACTOR_MIN && factor <= FACTOR_MAX) return factor
  throw new Fault(
    'OPTION_INVALID',
    `The speed ${JSON.stringify(text.slice(0, 100))} is not one: give max, real, or a multiple from ${FACTOR_MIN}x to ${FACTOR_MAX}x such as 10x or 0.5x.`,
    { option: 'speed', value: text.slice(0, 100) },
  )
}

export interface PaceOptions {
  readonly speed: Speed
  readonly clock: Clock
  /** Ends the batches, also in the middle of a wait. */
  readonly signal?: AbortSignal | undefined
}

/** Delays batches, and divides them, so that record time goes on at `speed` times the clock's. */
export function pace(source: RecordBatches, options: PaceOptions): RecordBatches {
  return new Pacer(source, options)
}

const FACTOR_MIN = 0.001
const FACTOR_MAX = 1_000_000
/** Timers of Node fire at once when asked for more than 25 days. */
const NAP_MS_MAX = 86_400_000

class Pacer implements RecordBatches {
  private readonly turns = new Turns()
  private readonly left = new AbortController()
  private readonly signal: AbortSignal
  private batch: readonly SessionRecord[] = []
  private index = 0
  /** The latest record time so far: where `t` goes back, nothing waits. */
  private recordUs = 0
  private origin: { readonly recordUs: number; readonly clockUs: number } | undefined

  constructor(
    private readonly source: RecordBatches,
    private readonly options: PaceOptions,
  ) {
    const { signal } = options
    this.signal = signal === undefined ? this.left.signal : AbortSignal.any([signal, this.left.signal])
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<readonly SessionRecord[], undefined>> {
    return this.turns.take(async () => {
      const batch = await this.due()
      if (batch !== undefined) return { done: false, value: batch }
      await this.source.return()
      return DONE
    })
  }

  async return(): Promise<IteratorResult<readonly SessionRecord[], undefined>> {
    this.left.abort()
    return this.turns.take(() => this.source.return())
  }

  /** The next records whose time has come; undefined at the end. */
  private async due(): Promise<readonly SessionRecord[] | undefined> {
    if (this.index === this.batch.length) {
      if (this.signal.aborted) return undefined
      const { done, value } = await this.source.next()
      if (done === true) return undefined
      this.batch = value
      this.index = 0
    }
    const { clock, speed } = this.options
    const { batch, index } = this
    if (speed === 'max' || batch.length === 0) {
      this.index = batch.length
      return this.signal.aborted ? undefined : batch
    }
    await this.waitUntil(this.dueUs(batch[index]!, speed))
    if (this.signal.aborted) return undefined
    const nowUs = clock.nowUs()
    let end = index + 1
    while (end < batch.length && this.dueUs(batch[end]!, speed) <= nowUs) end += 1
    this.index = end
    return index === 0 && end === batch.length ? batch : batch.slice(index, end)
  }

  private dueUs({ timeUs }: SessionRecord, speed: number): number {
    this.recordUs = Math.max(this.recordUs, timeUs)
    this.origin ??= { recordUs: timeUs, clockUs: this.options.clock.nowUs() }
    return this.origin.clockUs + (this.recordUs - this.origin.recordUs) / speed
  }

  private async waitUntil(dueUs: number): Promise<void> {
    const { clock } = this.options
    while (!this.signal.aborted) {
      const leftUs = dueUs - clock.nowUs()
      if (leftUs <= 0) return
      // Rounded up: a timer that fires early would only have to be set again.
      const napMs = Math.min(NAP_MS_MAX, Math.ceil(leftUs / 1_000))
      await sleep(clock, napMs, this.signal).catch(() => undefined)
    }
  }
}
