import { Fault } from '../model/fault'
import { bookDepth, type BookDepth, type BookSides, type SideDepth } from './bookDepth'
import { transferred, type Transferred } from './transferred'

/**
 * Many depths in one buffer, and back: how they cross a thread. One buffer is handed over instead of copied, and packing
 * is nothing but copies of whole columns. On the way there a book's columns cross as they are.
 *
 * Layout, all doubles: number of records, columns of each record, the length of every column in order, then the columns
 * themselves. What is unpacked are views of that buffer: they stay together, and keep it as long as one is kept.
 */
export function packColumns(records: readonly (readonly Float64Array[])[]): Float64Array<ArrayBuffer> {
  const width = records[0]?.length ?? 0
  let total = 2 + records.length * width
  for (const columns of records) {
    if (columns.length !== width) throw invalid(`a record has ${columns.length} columns and the first has ${width}`)
    for (const column of columns) total += column.length
  }
  const packed = new Float64Array(total)
  packed[0] = records.length
  packed[1] = width
  let length = 2
  let at = 2 + records.length * width
  for (const columns of records) {
    for (const column of columns) {
      packed[length++] = column.length
      packed.set(column, at)
      at += column.length
    }
  }
  return packed
}

/** How many records are said to be in it. */
export function countOf([count = 0]: Float64Array): number {
  return count
}

export function unpackColumns(packed: Float64Array): Float64Array[][] {
  const [count = -1, width = -1] = packed
  const lengths = 2 + count * width
  if (!isCount(count) || !isCount(width) || !(lengths <= packed.length) || (width === 0 && count > 0)) {
    throw invalid(`its header tells of ${count} records of ${width} columns`)
  }
  const records: Float64Array[][] = []
  let at = lengths
  for (let record = 0; record < count; record++) {
    const columns: Float64Array[] = []
    for (let column = 0; column < width; column++) {
      const length = packed[2 + record * width + column]!
      if (!isCount(length) || at + length > packed.length)
        throw invalid(`column ${column} of record ${record} is too long`)
      columns.push(packed.subarray(at, at + length))
      at += length
    }
    records.push(columns)
  }
  if (at !== packed.length) throw invalid(`${packed.length - at} numbers are left over`)
  return records
}

/** The columns of a book as they are sent, and its bucket size; 0 for none. */
export type BookMessage = readonly [
  bidPrices: Float64Array,
  bidSizes: Float64Array,
  askPrices: Float64Array,
  askSizes: Float64Array,
  bucketSize: number,
]

/** The book's own columns: what sends them copies them. */
export function columnsOf({ bidPrices, bidSizes, askPrices, askSizes, bucketSize }: BookSides): BookMessage {
  if (bidPrices.length !== bidSizes.length || askPrices.length !== askSizes.length) {
    throw invalid('a book has more prices than sizes, or the other way round')
  }
  return [bidPrices, bidSizes, askPrices, askSizes, bucketSize ?? 0]
}

/**
 * The work of the entry `sortBook`: the depths of books in one buffer. What is small goes back as a copy, which costs the
 * thread that waits for it less than taking a buffer over.
 */
export function sortedColumns(books: readonly BookMessage[]): Float64Array | Transferred<Float64Array<ArrayBuffer>> {
  const depths = books.map(([bidPrices, bidSizes, askPrices, askSizes, bucketSize]) =>
    bookDepth({ bidPrices, bidSizes, askPrices, askSizes, bucketSize: bucketSize === 0 ? undefined : bucketSize }),
  )
  const packed = packDepths(depths)
  return packed.byteLength <= COPIED_BYTES_MAX ? packed : transferred(packed, [packed.buffer])
}

const COPIED_BYTES_MAX = 32_768

export function packDepths(depths: readonly BookDepth[]): Float64Array<ArrayBuffer> {
  return packColumns(
    depths.map(({ bids, asks, ignored }) => [...sideColumns(bids), ...sideColumns(asks), Float64Array.of(ignored)]),
  )
}

export function unpackDepths(packed: Float64Array): BookDepth[] {
  return unpackColumns(packed).map((columns) => {
    if (columns.length !== 2 * SIDE_COLUMNS.length + 1) throw invalid(`a depth has ${columns.length} columns`)
    return {
      bids: sideFrom(columns, 0),
      asks: sideFrom(columns, SIDE_COLUMNS.length),
      ignored: columns[2 * SIDE_COLUMNS.length]![0] ?? 0,
    }
  })
}

const SIDE_COLUMNS = [
  'prices',
  'sizes',
  'cumulativeSizes',
  'cumulativeNotional',
  'bucketPrices',
  'bucketSizes',
  'bucketNotional',
] as const satisfies readonly (keyof SideDepth)[]

function sideColumns(side: SideDepth): Float64Array[] {
  return SIDE_COLUMNS.map((name) => side[name])
}

function sideFrom(columns: readonly Float64Array[], from: number): SideDepth {
  return {
    prices: columns[from]!,
    sizes: columns[from + 1]!,
    cumulativeSizes: columns[from + 2]!,
    cumulativeNotional: columns[from + 3]!,
    bucketPrices: columns[from + 4]!,
    bucketSizes: columns[from + 5]!,
    bucketNotional: columns[from + 6]!,
  }
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}

function invalid(problem: string): Fault {
  return new Fault('VALUE_INVALID', `Packed columns cannot be used: ${problem}.`, {})
}
