/**
 * What the exchanges' own books have looked like, so that every view of them can be judged.
 *
 * The best levels after each change are remembered, as the numbers that a client reads. A client sees some of these states,
 * never another one: whoever misses a change, or applies one twice, shows a book that there never was.
 */
import type { BookView } from '../../book/bookView'
import type { Level } from '../../model/events'
import { truthOf } from '../../simulator/levels'
import type { MarketBook } from '../../simulator/market'
import type { RunningSimulator } from '../../simulator/simulator'

/** Levels a side that are remembered: a wrong book is soon wrong at the top, where most changes are. */
const REMEMBERED = 3
/** States of one book that are remembered; the oldest are forgotten. */
const STATES_MAX = 100_000

export class BookTruths {
  private readonly states = new Map<string, Set<string>>()

  /** A book is in a new state. */
  readonly changed = ({ listing, bids, asks }: MarketBook): void => {
    const key = bookKey(listing.exchange, listing.name)
    let states = this.states.get(key)
    if (states === undefined) this.states.set(key, (states = new Set()))
    const truth = truthOf(listing, bids, asks, REMEMBERED)
    states.add(stateOf(truth.bids.map(numbers), truth.asks.map(numbers)))
    if (states.size <= STATES_MAX) return
    const [oldest] = states
    states.delete(oldest!)
  }

  /** Why there never was such a book; undefined when there was. */
  problemOf(view: BookView): string | undefined {
    const key = bookKey(view.exchange, view.instrument ?? view.symbol)
    const states = this.states.get(key)
    if (states === undefined) return `a view of ${key}, which the exchange does not list`
    const state = stateOf(view.bids(REMEMBERED), view.asks(REMEMBERED))
    return states.has(state) ? undefined : `a view of ${key} shows ${state}, which the exchange’s book never was`
  }
}

/** How a view differs from the simulator's book of now; undefined when it does not, as deep as `depth`. */
export function difference(
  simulator: RunningSimulator,
  { exchange, symbol, market }: { readonly exchange: string; readonly symbol: string; readonly market: string },
  view: BookView,
  depth: number,
): string | undefined {
  const truth = simulator.book(exchange, symbol, market)
  for (const side of ['bids', 'asks'] as const) {
    const theirs = truth[side].slice(0, depth).map(numbers)
    const ours = view[side](depth)
    const at = theirs.findIndex(([price, size], index) => ours[index]?.[0] !== price || ours[index][1] !== size)
    if (at < 0 && ours.length === theirs.length) continue
    const shown = (level: Level | undefined): string => (level === undefined ? 'nothing' : `${level[1]} at ${level[0]}`)
    const index = at < 0 ? theirs.length : at
    return `level ${index} of its ${side} is ${shown(ours[index])}; the exchange has ${shown(theirs[index])}`
  }
  return undefined
}

export function bookKey(exchange: string, instrument: string): string {
  return `${exchange} ${instrument}`
}

function numbers([price, size]: readonly [string, string]): Level {
  return [Number(price), Number(size)]
}

function stateOf(bids: readonly Level[], asks: readonly Level[]): string {
  return `${bids.map(levelText).join(' ')} | ${asks.map(levelText).join(' ')}`
}

function levelText([price, size]: Level): string {
  return `${size}@${price}`
}
