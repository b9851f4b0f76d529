/** The last minute of a measure, a value a second, and its picture in one line. */

const SECONDS = 60

export class History {
  /** Oldest first. */
  private readonly values: number[] = []
  private second = -1

  /** Of one second the highest value counts. */
  add(atMs: number, value: number): void {
    const second = Math.floor(atMs / 1_000)
    if (second === this.second) {
      this.values[this.values.length - 1] = Math.max(value, this.values.at(-1)!)
      return
    }
    this.second = second
    this.values.push(value)
    if (this.values.length > SECONDS) this.values.shift()
  }

  /** The last seconds, oldest first. */
  last(seconds: number): readonly number[] {
    return this.values.slice(-seconds)
  }
}

const BARS = '▁▂▃▄▅▆▇█'

/** A bar for each value, the highest of them as high as a line; `top` is the least that is drawn as high. */
export function sparkline(values: readonly number[], top = 0): string {
  const highest = Math.max(top, ...values)
  if (!(highest > 0)) return BARS[0]!.repeat(values.length)
  return values
    .map((value) => BARS[Math.min(BARS.length - 1, Math.floor((Math.max(0, value) / highest) * BARS.length))]!)
    .join('')
}

/** How much of a whole, as a bar of so many columns. */
export function bar(share: number, columns: number): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * columns)
  return '█'.repeat(full) + '░'.repeat(columns - full)
}
