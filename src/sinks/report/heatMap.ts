/**
 * The depth of a book over time, in bounded memory: a grid of time by price, whose cells hold the mean size that stood
 * there.
 *
 * The book is looked at once per column, not at each change. Prices are absolute, so that an order that stays is a
 * straight line however the mid moves. When time or price outgrows the grid its columns, or its rows, become twice as
 * wide.
 */

/** What is read of a view of a book. */
export interface DepthView {
  readonly receiveTimeUs: number
  copySide(side: 'bids' | 'asks', prices: Float64Array, sizes: Float64Array, n: number): number
}

/** Columns from left to right; those in which nothing was seen are left out. */
export interface HeatColumns {
  /** When each column begins, in milliseconds since `originUs`. */
  readonly t: readonly number[]
  readonly widthMs: number
  /** The lower edge of row 0, and the height of a row, in quote units. */
  readonly lowestPrice: number
  readonly rowPrice: number
  readonly rows: number
  /** The size that the darkest shade stands for; each shade less is a constant factor less. */
  readonly sizeMax: number
  /** Of each column the first row that is not empty, and the shades from there on: a character of {@link SHADES} a row. */
  readonly from: readonly number[]
  readonly shades: readonly string[]
}

/** Shades from none to the darkest. The alphabet is safe in any text. */
export const SHADES = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
/** From the faintest shade to the darkest: sizes further down are shown as the faintest. */
export const SHADE_RANGE = 1_000

const COLUMNS = 240
const ROWS = 192
/** Rows that the first look at a book is spread over. */
const FIRST_ROWS = 96
/** Levels of a side that are looked at, and how far from the mid at most. */
const LEVELS = 200
const REACH = 0.01
const FIRST_WIDTH_US = 100_000

/** What one look reads; shared, for nobody keeps it. */
const bids = { prices: new Float64Array(LEVELS), sizes: new Float64Array(LEVELS), length: 0 }
const asks = { prices: new Float64Array(LEVELS), sizes: new Float64Array(LEVELS), length: 0 }

export class HeatMap {
  private widthUs = FIRST_WIDTH_US
  /** The number of the first column: its time by the width of a column. */
  private firstColumn = NaN
  private lastColumn = NaN
  /** Height of a row; NaN until a book with two sides was seen. */
  private rowPrice = NaN
  private firstRow = 0
  private lowRow = Infinity
  private highRow = -Infinity
  private readonly sums = new Float32Array(COLUMNS * ROWS)
  private readonly looks = new Uint32Array(COLUMNS)
  private nextUs = -Infinity

  /** Looks at a book, if its column has not been looked at yet. */
  see(view: DepthView): void {
    const { receiveTimeUs: timeUs } = view
    if (!(timeUs >= this.nextUs) || timeUs === Infinity) return
    bids.length = view.copySide('bids', bids.prices, bids.sizes, LEVELS)
    asks.length = view.copySide('asks', asks.prices, asks.sizes, LEVELS)
    if (bids.length === 0 || asks.length === 0) return
    const mid = (bids.prices[0]! + asks.prices[0]!) / 2
    if (!(mid > 0) || mid === Infinity) return
    if (Number.isNaN(this.rowPrice)) {
      this.scale(mid, Math.max(mid - bids.prices[bids.length - 1]!, asks.prices[asks.length - 1]! - mid))
    }
    const column = this.columnOf(timeUs)
    this.nextUs = (Math.floor(timeUs / this.widthUs) + 1) * this.widthUs
    this.looks[column]! += 1
    this.addSide(column, bids, mid)
    this.addSide(column, asks, mid)
  }

  /** Undefined while no book with two sides was seen. */
  columns(originUs: number): HeatColumns | undefined {
    if (!(this.highRow >= this.lowRow)) return undefined
    const { lowRow, rowPrice, widthUs } = this
    const rows = this.highRow - lowRow + 1
    const sizeMax = this.largest()
    const t: number[] = []
    const from: number[] = []
    const shades: string[] = []
    for (let column = 0; column <= this.lastColumn - this.firstColumn; column++) {
      if (this.looks[column] === 0) continue
      const text = this.shadesOf(column, rows, sizeMax)
      const begin = /^A*/.exec(text)![0].length
      t.push(Math.round(((this.firstColumn + column) * widthUs - originUs) / 1_000))
      from.push(begin)
      shades.push(text.slice(begin).replace(/A+$/, ''))
    }
    const lowestPrice = Number((lowRow * rowPrice).toPrecision(12))
    return { t, widthMs: widthUs / 1_000, lowestPrice, rowPrice, rows, sizeMax, from, shades }
  }

  private scale(mid: number, furthest: number): void {
    const reach = Math.min(furthest, mid * REACH)
    this.rowPrice = niceStep((2 * reach) / FIRST_ROWS) || niceStep((2 * mid * REACH) / FIRST_ROWS)
  }

  /** The column of a time; those before the first count as the first. */
  private columnOf(timeUs: number): number {
    let column = Math.floor(timeUs / this.widthUs)
    if (Number.isNaN(this.firstColumn)) this.firstColumn = this.lastColumn = column
    while (column - this.firstColumn >= COLUMNS) {
      this.joinColumns()
      column = Math.floor(timeUs / this.widthUs)
    }
    column = Math.max(column, this.firstColumn)
    this.lastColumn = Math.max(this.lastColumn, column)
    return column - this.firstColumn
  }

  private addSide(column: number, { prices, sizes, length }: typeof bids, mid: number): void {
    const reach = mid * REACH
    for (let level = 0; level < length; level++) {
      const price = prices[level]!
      if (Math.abs(price - mid) > reach) return
      const row = this.rowOf(price)
      this.sums[column * ROWS + row]! += sizes[level]!
    }
  }

  /** The row of a price in the grid, which is moved or made coarser for it where it has to be. */
  private rowOf(price: number): number {
    // A price on the edge of a row must not fall below it for the last bit of a division.
    let row = Math.floor(price / this.rowPrice + 1e-6)
    while (Math.max(this.highRow, row) - Math.min(this.lowRow, row) >= ROWS) {
      this.joinRows()
      row = Math.floor(price / this.rowPrice + 1e-6)
    }
    if (this.lowRow === Infinity) this.firstRow = row - ROWS / 2
    this.lowRow = Math.min(this.lowRow, row)
    this.highRow = Math.max(this.highRow, row)
    if (this.lowRow < this.firstRow || this.highRow >= this.firstRow + ROWS) {
      this.moveRows(Math.floor((this.lowRow + this.highRow - ROWS) / 2) + 1)
    }
    return row - this.firstRow
  }

  private moveRows(firstRow: number): void {
    const by = this.firstRow - firstRow
    this.firstRow = firstRow
    for (let column = 0; column < COLUMNS; column++) {
      const cells = this.sums.subarray(column * ROWS, (column + 1) * ROWS)
      if (by > 0) {
        cells.copyWithin(by, 0, ROWS - by)
        cells.fill(0, 0, by)
      } else {
        cells.copyWithin(0, -by)
        cells.fill(0, ROWS + by)
      }
    }
  }

  private joinRows(): void {
    const { firstRow } = this
    const joined = new Float32Array(ROWS)
    this.rowPrice *= 2
    this.lowRow = Math.floor(this.lowRow / 2)
    this.highRow = Math.floor(this.highRow / 2)
    this.firstRow = Math.floor((this.lowRow + this.highRow - ROWS) / 2) + 1
    for (let column = 0; column < COLUMNS; column++) {
      const cells = this.sums.subarray(column * ROWS, (column + 1) * ROWS)
      joined.fill(0)
      cells.forEach((sum, at) => {
        if (sum !== 0) joined[Math.floor((firstRow + at) / 2) - this.firstRow]! += sum
      })
      cells.set(joined)
    }
  }

  private joinColumns(): void {
    const { firstColumn } = this
    this.widthUs *= 2
    this.firstColumn = Math.floor(firstColumn / 2)
    this.lastColumn = Math.floor(this.lastColumn / 2)
    for (let column = 0; column < COLUMNS; column++) {
      const to = Math.floor((firstColumn + column) / 2) - this.firstColumn
      if (to === column || this.looks[column] === 0) continue
      this.looks[to]! += this.looks[column]!
      this.looks[column] = 0
      for (let row = 0; row < ROWS; row++) {
        this.sums[to * ROWS + row]! += this.sums[column * ROWS + row]!
        this.sums[column * ROWS + row] = 0
      }
    }
  }

  private largest(): number {
    let largest = 0
    for (let column = 0; column < COLUMNS; column++) {
      const looks = this.looks[column]!
      if (looks === 0) continue
      for (let row = 0; row < ROWS; row++) largest = Math.max(largest, this.sums[column * ROWS + row]! / looks)
    }
    return largest
  }

  private shadesOf(column: number, rows: number, sizeMax: number): string {
    const looks = this.looks[column]!
    const begin = column * ROWS + this.lowRow - this.firstRow
    let text = ''
    for (let row = 0; row < rows; row++) text += SHADES[shadeOf(this.sums[begin + row]! / looks / sizeMax)]!
    return text
  }
}

/** @param share  of the largest size, 0 to 1 */
function shadeOf(share: number): number {
  if (!(share > 0)) return 0
  const darkest = SHADES.length - 1
  const scale = 1 + Math.log(share) / Math.log(SHADE_RANGE)
  return Math.max(1, Math.min(darkest, Math.round(1 + scale * (darkest - 1))))
}

/** The next of 1, 2, 5, 10 ... that is not smaller; 0 for what is not above it. */
function niceStep(step: number): number {
  if (!(step > 0) || step === Infinity) return 0
  const power = 10 ** Math.floor(Math.log10(step))
  const nice = [1, 2, 5, 10].find((factor) => factor * power >= step * (1 - 1e-9)) ?? 10
  return Number((nice * power).toPrecision(3))
}
