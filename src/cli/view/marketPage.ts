/**
 * The market: instruments by name, their exchanges below each other, each with the state of its book, how old its last event
 * is, best prices, spread, and what was missing.
 */
import type { InstrumentRow } from '../../pipeline/monitor'
import { ageText, priceText, rateText } from '../quantities'
import { fitting, row, titles, type Cell, type Column, type Format, type Line } from './line'
import { isStale, type MarketMoment, type Moment } from './readings'

/** Rows that are made when they are asked for: of thousands, those in the window. */
export interface Listing {
  readonly titles: Line
  readonly count: number
  lines(from: number, to: number): Line[]
}

export interface RowFilter {
  /** Part of the name or the exchange, whatever its case; all rows match an empty one. */
  readonly text: string
  /** Only books that are not live, or stale. */
  readonly troubled: boolean
}

/** Windows of fewer columns show less of long names, to show more of the rest. */
const NARROW = 60

interface MarketColumn extends Column {
  readonly key: 'name' | 'exchange' | 'book' | 'age' | 'rate' | 'bid' | 'ask' | 'spread' | 'gaps' | 'resyncs' | 'levels'
  /** Narrow windows do without those of the highest ranks. */
  readonly rank: number
}

function columnsFor({ nameWidth, exchangeWidth }: MarketMoment, width: number): readonly MarketColumn[] {
  const between = (text: number, least: number, most: number): number => Math.min(most, Math.max(least, text))
  const isNarrow = width < NARROW
  const columns: MarketColumn[] = [
    { key: 'name', title: 'instrument', width: between(nameWidth, 10, isNarrow ? 13 : 24), left: true, rank: 0 },
    { key: 'exchange', title: 'exchange', width: between(exchangeWidth, 8, isNarrow ? 8 : 16), left: true, rank: 1 },
    { key: 'book', title: 'book', width: isNarrow ? 4 : 7, left: true, rank: 2 },
    { key: 'age', title: 'age', width: 5, rank: 3 },
    { key: 'rate', title: 'events/s', width: 8, rank: 8 },
    { key: 'bid', title: 'bid', width: 10, rank: 4 },
    { key: 'ask', title: 'ask', width: 10, rank: 5 },
    { key: 'spread', title: 'bp', width: 7, rank: 6 },
    { key: 'gaps', title: 'gaps', width: 5, rank: 7 },
    { key: 'resyncs', title: 'resyncs', width: 7, rank: 9 },
    { key: 'levels', title: 'levels', width: 11, rank: 10 },
  ]
  return fitting(columns, width)
}

export function marketListing(moment: Moment, filter: RowFilter, width: number): Listing {
  const { market } = moment
  const columns = columnsFor(market, width)
  const order = filtered(market, filter)
  return {
    titles: titles(columns),
    count: order.length,
    lines: (from, to) =>
      order.slice(from, to).map((index, at) => {
        const before = at === 0 ? undefined : market.rows[order[from + at - 1]!]
        const shown = market.rows[index]!
        const cells = cellsOf(shown, market.rates[index]!, moment.nowUs, bestOf(market, order, from + at))
        return row(
          columns,
          columns.map(({ key }) => (key === 'name' && before?.name === shown.name ? '' : cells[key])),
        )
      }),
  }
}

function filtered({ rows, order }: MarketMoment, { text, troubled }: RowFilter): readonly number[] {
  if (text === '' && !troubled) return order
  const sought = text.toLowerCase()
  return order.filter((index) => {
    const shown = rows[index]!
    const { name, exchange, state } = shown
    if (troubled && (state === 'live' || state === 'waiting') && !isStale(shown)) return false
    return sought === '' || `${name} ${exchange}`.toLowerCase().includes(sought)
  })
}

/** The best prices of an instrument that several exchanges have, among their rows, which stand together. */
interface Best {
  readonly bid: number
  readonly ask: number
}

function bestOf({ rows }: MarketMoment, order: readonly number[], at: number): Best | undefined {
  const { name } = rows[order[at]!]!
  let first = at
  while (first > 0 && rows[order[first - 1]!]!.name === name) first--
  let end = at + 1
  while (end < order.length && rows[order[end]!]!.name === name) end++
  if (end - first < 2) return undefined
  let bid = -Infinity
  let ask = Infinity
  for (let index = first; index < end; index++) {
    const { state, bidPrice = -Infinity, askPrice = Infinity } = rows[order[index]!]!
    if (state !== 'live') continue
    bid = Math.max(bid, bidPrice)
    ask = Math.min(ask, askPrice)
  }
  return { bid, ask }
}

const STATE_FORMATS: Readonly<Record<InstrumentRow['state'], Format>> = {
  live: 'green',
  waiting: 'dim',
  gap: 'red',
  down: 'red',
}

function cellsOf(
  shown: InstrumentRow,
  perSecond: number,
  nowUs: number,
  best: Best | undefined,
): Readonly<Record<MarketColumn['key'], Cell>> {
  const { state, bidPrice, askPrice, levels, lastUs } = shown
  // The prices of a book that cannot vouch for itself are not shown: they are no prices.
  const live = state === 'live'
  const price = (value: number | undefined, top: number | undefined): Cell =>
    !live || value === undefined ? '-' : value === top ? [priceText(value), 'bold'] : priceText(value)
  const bothSides = live && bidPrice !== undefined && askPrice !== undefined
  return {
    name: shown.name,
    exchange: shown.exchange,
    book: [state, STATE_FORMATS[state]],
    age: lastUs === 0 ? '-' : [ageText(nowUs - lastUs), isStale(shown) ? 'yellow' : undefined],
    rate: rateText(perSecond),
    bid: price(bidPrice, best?.bid),
    ask: price(askPrice, best?.ask),
    spread: bothSides ? (((askPrice - bidPrice) / (askPrice + bidPrice)) * 2e4).toFixed(2) : '-',
    gaps: [String(shown.gaps), shown.gaps > 0 ? 'yellow' : undefined],
    resyncs: String(shown.resyncs),
    levels: live && levels !== undefined ? `${levels[0]}/${levels[1]}` : '-',
  }
}
