/**
 * The depth of a book over time, in bounded memory: a grid of time by price, whose cells hold the mean size that stood
 * there.
 *
 * The book is looked at once per column, not at each change; where it did not change it is as it was, until it falls
 * silent. Prices are absolute, so that an order that stays is a
 * straight line however the mid moves. When time or price outgrows the grid its columns, or its rows, become twice as
 * wide.
 */

/** What is read of a view of a book. */
export interface DepthView {
  readonly receiveTimeUs: number
  copySide(side: 'bids' | 'asks', prices: Float64Array, sizes: Float64Array, n: number): number
}

/** Columns from left to right; those in which the book did not change are left out. */
export interface HeatColumns {
  /** When each column begins, in milliseconds since `originUs`. */
  readonly t: readonly number[]
  /** For how many columns the book was as in this one. */
  readonly spans: readonly number[]
  readonly widthMs: number
  /** The lower edge of row 0, and the height of a row, in quote units. */
  readonly lowestPrice: number
  readonly rowPrice: number
  readonly rows: number
  /** The sizes that the faintest and the darkest shade stand for, with what is beyond; from shade to shade is a constant factor. */
  readonly sizeMin: number
  readonly sizeMax: number
  /** Of each column the first row that is not empty, and the shades from there on: a character of {@link SHADES} a row. */
  readonly from: readonly number[]
  readonly shades: readonly string[]
}

/** Shades from none to the darkest. The alphabet is safe in any text. */
export const SHADES = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
/** Shares of the cells below which all are as faint, and above which all are as dark: a few whales would leave the rest pale. */
const FAINTEST = 0.05
const DARKEST = 0.998
/** Of so many cells, taken evenly, the shares are worked out. */
const CELLS_RANKED = 8_192

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
  /** 1 where a column ends with a book of which nothing is known. */
  private readonly silent = new Uint8Array(COLUMNS)
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
    this.silent[column] = 0
    this.addSide(column, bids, mid)
    this.addSide(column, asks, mid)
  }

  /** The book has fallen silent: what stood in it is not known any more. */
  silence(timeUs: number): void {
    if (Number.isNaN(this.firstColumn) || !Number.isFinite(timeUs)) return
    this.silent[this.columnOf(timeUs)] = 1
    this.nextUs = timeUs
  }

  /**
   * Undefined while no book with two sides was seen.
   *
   * @param endUs  until when the book is shown as it was seen last
   */
  columns(originUs: number, endUs: number): HeatColumns | undefined {
    if (!(this.highRow >= this.lowRow)) return undefined
    if (Number.isFinite(endUs)) this.columnOf(endUs)
    const { lowRow, rowPrice, widthUs } = this
    const rows = this.highRow - lowRow + 1
    const [sizeMin, sizeMax] = this.range()
    const t: number[] = []
    const spans: number[] = []
    const from: number[] = []
    const shades: string[] = []
    const end = this.lastColumn - this.firstColumn + 1
    for (let column = 0; column < end; column++) {
      if (this.looks[column] === 0) continue
      let until = column + 1
      while (until < end && this.looks[until] === 0 && this.silent[until - 1] === 0) until++
      spans.push(until - column)
      const text = this.shadesOf(column, rows, sizeMin, sizeMax)
      const begin = /^A*/.exec(text)![0].length
      t.push(Math.round(((this.firstColumn + column) * widthUs - originUs) / 1_000))
      from.push(begin)
      shades.push(text.slice(begin).replace(/A+$/, ''))
    }
    const lowestPrice = Number((lowRow * rowPrice).toPrecision(12))
    return { t, spans, widthMs: widthUs / 1_000, lowestPrice, rowPrice, rows, sizeMin, sizeMax, from, shades }
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
      if (to === column) continue
      if (this.looks[column]! > 0 || this.silent[column] === 1) this.silent[to] = this.silent[column]!
      this.silent[column] = 0
      if (this.looks[column] === 0) continue
      this.looks[to]! += this.looks[column]!
      this.looks[column] = 0
      for (let row = 0; row < ROWS; row++) {
        this.sums[to * ROWS + row]! += this.sums[column * ROWS + row]!
        this.sums[column * ROWS + row] = 0
      }
    }
  }

  /** The sizes that shades are spread over. */
  private range(): [sizeMin: number, sizeMax: number] {
    const filled = this.sums.reduce((count, sum) => (sum > 0 ? count + 1 : count), 0)
    const stride = Math.ceil(filled / CELLS_RANKED)
    const ranked = new Float32Array(Math.ceil(filled / Math.max(1, stride)))
    let seen = 0
    let cells = 0
    this.sums.forEach((sum, at) => {
      if (sum > 0 && seen++ % stride === 0) ranked[cells++] = sum / this.looks[Math.floor(at / ROWS)]!
    })
    if (cells === 0) return [1, 1]
    const sizes = ranked.subarray(0, cells).sort()
    return [sizes[Math.floor(cells * FAINTEST)]!, sizes[Math.min(cells - 1, Math.floor(cells * DARKEST))]!]
  }

  private shadesOf(column: number, rows: number, sizeMin: number, sizeMax: number): string {
    const looks = this.looks[column]!
    const begin = column * ROWS + this.lowRow - this.firstRow
    const spread = Math.log(sizeMax / sizeMin)
    let text = ''
    for (let row = 0; row < rows; row++) {
      const size = this.sums[begin + row]! / looks
      text += SHADES[size > 0 ? shadeOf(spread > 0 ? Math.log(size / sizeMin) / spread : 1) : 0]!
    }
    return text
  }
}

/** @param place  between the faintest shade and the darkest, 0 to 1 */
function shadeOf(place: number): number {
  const darkest = SHADES.length - 1
  return Math.max(1, Math.min(darkest, Math.round(1 + place * (darkest - 1))))
}

/** The next of 1, 2, 5, 10 ... that is not smaller; 0 for what is not above it. */
function niceStep(step: number): number {
  if (!(step > 0) || step === Infinity) return 0
  const power = 10 ** Math.floor(Math.log10(step))
  const nice = [1, 2, 5, 10].find((factor) => factor * power >= step * (1 - 1e-9)) ?? 10
  return Number((nice * power).toPrecision(3))
}
