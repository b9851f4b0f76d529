/**
 * Bars of an instrument, in bounded memory: when there are as many as may be kept, two become one, over twice the time.
 */

export interface BarValues {
  readonly openTimeUs: number
  readonly open: number
  readonly high: number
  readonly low: number
  readonly close: number
  readonly volume: number
}

/** Bars, oldest first: columns of equal length. */
export interface BarColumns {
  /** When each bar opened, in milliseconds since `originUs`. */
  readonly t: readonly number[]
  /** How long a bar is by now. */
  readonly widthMs: number
  readonly open: readonly number[]
  readonly high: readonly number[]
  readonly low: readonly number[]
  readonly close: readonly number[]
  readonly volume: readonly number[]
}

interface KeptBar {
  openTimeUs: number
  open: number
  high: number
  low: number
  close: number
  volume: number
}

export class BarSeries {
  private bars: KeptBar[] = []
  /** The latest bar as it was told of: it may be told of again, with more in it. */
  private pending: BarValues | undefined

  /**
   * @param intervalUs  of a bar, above 0
   * @param capacity    bars at most, beside the latest
   */
  constructor(
    private intervalUs: number,
    private readonly capacity: number,
  ) {}

  /** Takes a bar. The next with the same opening takes its place: it is the same bar, further on. */
  put(bar: BarValues): void {
    if (!isBar(bar)) return
    if (this.pending !== undefined && this.pending.openTimeUs !== bar.openTimeUs) this.keep(this.pending)
    this.pending = bar
  }

  /** Adds a trade to the bar of its time. */
  trade(timeUs: number, price: number, size: number): void {
    const bar = { openTimeUs: timeUs, open: price, high: price, low: price, close: price, volume: size }
    if (isBar(bar)) this.keep(bar)
  }

  columns(originUs: number): BarColumns {
    const bars = this.withPending()
    return {
      t: bars.map((bar) => Math.round((bar.openTimeUs - originUs) / 1_000)),
      widthMs: this.intervalUs / 1_000,
      open: bars.map((bar) => bar.open),
      high: bars.map((bar) => bar.high),
      low: bars.map((bar) => bar.low),
      close: bars.map((bar) => bar.close),
      volume: bars.map((bar) => bar.volume),
    }
  }

  /** With the bar that may still be told of again, which therefore is not kept yet. */
  private withPending(): readonly KeptBar[] {
    const { bars, pending } = this
    if (pending === undefined) return bars
    const last = bars.at(-1)
    const openTimeUs = this.opening(pending.openTimeUs)
    if (last === undefined || openTimeUs > last.openTimeUs) return [...bars, { ...pending, openTimeUs }]
    const joined = { ...last }
    join(joined, pending)
    return [...bars.slice(0, -1), joined]
  }

  private keep(bar: BarValues): void {
    while (!this.joinsLast(bar) && this.bars.length === this.capacity) this.widen()
    if (this.joinsLast(bar)) join(this.bars.at(-1)!, bar)
    else this.bars.push({ ...bar, openTimeUs: this.opening(bar.openTimeUs) })
  }

  /** A bar from before the last one counts as of its time. */
  private joinsLast({ openTimeUs }: BarValues): boolean {
    const last = this.bars.at(-1)
    return last !== undefined && this.opening(openTimeUs) <= last.openTimeUs
  }

  private opening(timeUs: number): number {
    return Math.floor(timeUs / this.intervalUs) * this.intervalUs
  }

  private widen(): void {
    this.intervalUs *= 2
    const wide: KeptBar[] = []
    for (const bar of this.bars) {
      bar.openTimeUs = this.opening(bar.openTimeUs)
      const last = wide.at(-1)
      if (last?.openTimeUs === bar.openTimeUs) join(last, bar)
      else wide.push(bar)
    }
    this.bars = wide
  }
}

function join(bar: KeptBar, next: BarValues): void {
  bar.high = Math.max(bar.high, next.high)
  bar.low = Math.min(bar.low, next.low)
  bar.close = next.close
  bar.volume += next.volume
}

function isBar(bar: BarValues): boolean {
  return [bar.openTimeUs, bar.open, bar.high, bar.low, bar.close, bar.volume].every(Number.isFinite)
}
