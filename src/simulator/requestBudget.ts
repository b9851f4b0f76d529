/** Counts a client's messages against its exchange's limit: at most `limit` in any window of `windowMs`. */
export class RequestBudget {
  private readonly times: number[] = []

  constructor(
    private readonly limit: number,
    private readonly windowMs: number,
  ) {}

  /** False when this one is too many. Holds `limit` times. */
  spend(nowUs: number): boolean {
    const from = nowUs - this.windowMs * 1_000
    while (this.times.length > 0 && this.times[0]! <= from) this.times.shift()
    if (this.times.length >= this.limit) return false
    this.times.push(nowUs)
    return true
  }
}
