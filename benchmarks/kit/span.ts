/**
 * Frames on their way through a variant: some warm up, the rest count, until all are through or the time is over.
 *
 * Every variant pulls from one of these, so that all pay the same for being measured: an index, and a look at the clock
 * every 256 frames. The result of `next` is one object for all frames, so that nothing is allocated by it.
 */
import { performance } from 'node:perf_hooks'
import type { Cost } from './passes'

export interface SpanOptions {
  /** Warming up ends after so many frames, or so much time. */
  readonly warmUpFrames: number
  readonly warmUpMs: number
  readonly msMax: number
}

const LOOK_EVERY = 256

export class Span<T> implements IterableIterator<T, undefined> {
  /** Frames handed out, those that warmed up included. */
  handedOut = 0
  private readonly result: { done: boolean; value: T | undefined } = { done: false, value: undefined }
  private warmedUpAt = -1
  private startedMs = 0
  private endedMs = 0
  private cpuBefore = process.cpuUsage()
  private cpu = process.cpuUsage()
  private readonly createdMs = performance.now()

  constructor(
    private readonly items: readonly T[],
    private readonly options: SpanOptions,
    /** Called when what follows counts. */
    private readonly onStart?: () => void,
  ) {}

  [Symbol.iterator](): this {
    return this
  }

  next(): IteratorResult<T, undefined> {
    const at = this.handedOut
    if (at % LOOK_EVERY === 0 || at === this.items.length) this.look(at)
    const { result } = this
    if (result.done) return result as IteratorResult<T, undefined>
    result.value = this.items[at]
    this.handedOut = at + 1
    return result as IteratorResult<T, undefined>
  }

  /** Frames that count; 0 while others still warm up. */
  get counted(): number {
    return this.warmedUpAt < 0 ? 0 : this.handedOut - this.warmedUpAt
  }

  /** Lets no more frames through. */
  stop(): void {
    this.finish(performance.now())
  }

  /** What a frame cost until the last of them was taken. */
  get cost(): Cost {
    return this.costOf(this.endedMs, this.cpu)
  }

  /** What a frame has cost by now, for work that ends after the last frame was taken: files that are still written. */
  costByNow(): Cost {
    return this.costOf(performance.now(), process.cpuUsage(this.cpuBefore))
  }

  private costOf(endedMs: number, { user, system }: NodeJS.CpuUsage): Cost {
    if (!this.result.done || this.counted <= 0) throw new Error('Not all frames were taken, so nothing was measured.')
    return { time: ((endedMs - this.startedMs) * 1e6) / this.counted, cpu: ((user + system) * 1e3) / this.counted }
  }

  private look(at: number): void {
    const nowMs = performance.now()
    const { warmUpFrames, warmUpMs, msMax } = this.options
    if (this.warmedUpAt < 0) {
      if (at === 0 || (at < warmUpFrames && nowMs - this.createdMs < warmUpMs && at < this.items.length)) return
      this.warmedUpAt = at
      this.onStart?.()
      this.cpuBefore = process.cpuUsage()
      this.startedMs = performance.now()
    }
    if (at < this.items.length && (this.startedMs === 0 || nowMs - this.startedMs < msMax)) return
    this.finish(nowMs)
  }

  private finish(nowMs: number): void {
    this.endedMs = nowMs
    this.cpu = process.cpuUsage(this.cpuBefore)
    this.result.done = true
    this.result.value = undefined
  }
}
