/** Rows for tests of event time: named by letters, so that orders can be read, and shuffled within a bound. */
import fc from 'fast-check'

export interface Row {
  readonly exchange: string
  readonly symbol: string
  readonly instrument: string | undefined
  readonly exchangeTimeUs: number | undefined
  readonly receiveTimeUs: number
  readonly id: number
  readonly size: number
}

export function row(exchangeTimeUs: number | undefined, fields: Partial<Row> = {}): Row {
  return {
    exchange: 'a',
    symbol: 'X',
    instrument: undefined,
    exchangeTimeUs,
    receiveTimeUs: 0,
    id: 0,
    size: 1,
    ...fields,
  }
}

export const byId = (a: Row, b: Row): number => a.id - b.id

/** The order that a batch computation puts rows in. */
export const inTime = (a: Row, b: Row): number => a.exchangeTimeUs! - b.exchangeTimeUs! || a.id - b.id

export interface Arrivals {
  /** As they come: each at most the bound later than newer ones of its source. */
  readonly rows: readonly Row[]
  readonly batches: readonly (readonly Row[])[]
}

export interface ArrivalOptions {
  readonly spanUs: number
  readonly boundUs: number
  readonly exchanges?: readonly string[]
  readonly symbols?: readonly string[]
  /** Each source may be behind the others by up to so much. */
  readonly behindUs?: number
  readonly atMost?: number
}

/** Random rows, many of the same time, in a random order within the bound, in random batches. */
export function arrivals(options: ArrivalOptions): fc.Arbitrary<Arrivals> {
  const { spanUs, boundUs, exchanges = ['a'], symbols = ['X', 'Y'], behindUs = 0, atMost = 40 } = options
  const drawn = fc.array(
    fc.record({
      timeUs: fc.integer({ min: 0, max: spanUs }),
      delayUs: fc.integer({ min: 0, max: boundUs }),
      exchange: fc.constantFrom(...exchanges),
      symbol: fc.constantFrom(...symbols),
      size: fc.integer({ min: 0, max: 5 }),
    }),
    { maxLength: atMost },
  )
  const behind = fc.array(fc.integer({ min: 0, max: behindUs }), {
    minLength: exchanges.length,
    maxLength: exchanges.length,
  })
  const cuts = fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 8 })
  return fc.tuple(drawn, behind, cuts).map(([all, behindOf, sizes]) => {
    const rows = all
      .map(({ timeUs, delayUs, exchange, symbol, size }, id) => ({
        at: timeUs + delayUs + behindOf[exchanges.indexOf(exchange)]!,
        row: row(timeUs, { exchange, symbol, size, id }),
      }))
      .sort((a, b) => a.at - b.at)
      .map((each) => each.row)
    return { rows, batches: cut(rows, sizes) }
  })
}

function cut(rows: readonly Row[], sizes: readonly number[]): Row[][] {
  const batches: Row[][] = []
  for (let at = 0, turn = 0; at < rows.length; turn++) {
    const size = sizes[turn % sizes.length]!
    batches.push(rows.slice(at, at + size))
    at += size
  }
  return batches
}
