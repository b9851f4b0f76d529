/**
 * Best levels in the place of a book's changes: of whoever wishes for a few levels, only those are asked to cross a thread.
 *
 * A book of so many levels, as if the exchange had sent no more: first a snapshot of the best levels, then after each record
 * by which one of them has changed a delta from those to these. All other events stay as they are. The same records give the
 * same events wherever this is done: on a worker live, on the loop in a replay.
 */
import { Subject } from 'rxjs'
import type { BookView } from '../book/bookView'
import type { SessionRecord } from '../feed/record'
import { decimalsOf } from '../model/decimal'
import type { Batch, BookChange, Level, LevelDigits, MarketEvent } from '../model/events'
import { toBooks } from '../operators/toBooks'
import type { Market, MarketOutput } from './market'
import type { Wish } from './wish'

/** By exchange the levels a side that are enough for everyone who wishes for its books; without those that are wished for whole. */
export function levelsOf(wishes: readonly Wish[]): ReadonlyMap<string, number> {
  const enough = new Map<string, number>()
  for (const { exchanges, channels, levels = Infinity } of wishes) {
    if (!channels.includes('book')) continue
    for (const exchange of exchanges) enough.set(exchange, Math.max(levels, enough.get(exchange) ?? 0))
  }
  return new Map([...enough].filter(([, levels]) => levels < Infinity))
}

/** Tells `output` of tops in the place of changes, of the exchanges that are named. */
export function toppedOutput(levels: ReadonlyMap<string, number>, output: MarketOutput): MarketOutput {
  if (levels.size === 0) return output
  const tops = new Map([...levels].map(([exchange, most]): [string, Tops] => [exchange, new Tops(most)]))
  return {
    record: (record: SessionRecord) => output.record(record),
    events(record, events) {
      const topped = tops.get(record.exchange)?.take(events) ?? events
      if (topped.length > 0) output.events(record, topped)
    },
    fault: (fault) => output.fault(fault),
    ...(output.exhausted !== undefined && { exhausted: (exchange, fault) => output.exhausted!(exchange, fault) }),
    ended: () => output.ended(),
  }
}

/** The same market, with tops in the place of changes. */
export function toppedMarket(market: Market, wishes: readonly Wish[]): Market {
  const levels = levelsOf(wishes)
  if (levels.size === 0) return market
  return new Proxy(market, {
    get(of, name) {
      if (name === 'start') return (output: MarketOutput) => of.start(toppedOutput(levels, output))
      const value: unknown = Reflect.get(of, name, of)
      return typeof value === 'function' ? (value.bind(of) as unknown) : value
    },
  })
}

/** The books of one exchange, and what was last said of each. */
class Tops {
  private readonly changes = new Subject<Batch<MarketEvent>>()
  private readonly said = new Map<string, BookChange>()
  private views: readonly BookView[] = []

  constructor(private readonly most: number) {
    this.changes.pipe(toBooks({ depth: most })).subscribe((views) => (this.views = [...views]))
  }

  /** The events that take the place of those of a record. */
  take(events: readonly MarketEvent[]): MarketEvent[] {
    this.views = []
    this.changes.next(events)
    const others = events.filter(({ kind }) => kind !== 'snapshot' && kind !== 'delta')
    for (const event of others) if (event.kind === 'notice') this.forget(event.instrument ?? event.symbol)
    const news = this.views.flatMap((view) => this.newsOf(topOf(view, this.most)))
    return [...others, ...news]
  }

  /** What was said of a book that is in doubt does not count. */
  private forget(name: string): void {
    if (name === '') this.said.clear()
    else this.said.delete(name)
  }

  /** The top itself where nothing was said of its book, else what has changed since; nothing where nothing has. */
  private newsOf(top: BookChange): BookChange[] {
    const name = top.instrument ?? top.symbol
    const before = this.said.get(name)
    if (before === undefined) {
      this.said.set(name, top)
      return [top]
    }
    const bids = changes(before.bids, top.bids, true)
    const asks = changes(before.asks, top.asks, false)
    if (bids.length + asks.length === 0) return []
    this.said.set(name, top)
    const [bidDigits, askDigits] = [digitsOf(bids), digitsOf(asks)]
    return [{ ...top, kind: 'delta', bids, asks, prevSeq: before.seq, bidDigits, askDigits }]
  }
}

/** What makes of the levels `before` those of `now`, both best first: size 0 for those that are gone. */
function changes(before: readonly Level[], now: readonly Level[], isBid: boolean): Level[] {
  const made: Level[] = []
  let old = 0
  for (const level of now) {
    const [price, size] = level
    for (; old < before.length && isBetter(before[old]![0], price, isBid); old++) made.push([before[old]![0], 0])
    if (old < before.length && before[old]![0] === price) {
      if (before[old++]![1] !== size) made.push(level)
    } else made.push(level)
  }
  for (; old < before.length; old++) made.push([before[old]![0], 0])
  return made
}

function isBetter(price: number, than: number, isBid: boolean): boolean {
  return isBid ? price > than : price < than
}

function topOf(view: BookView, levels: number): BookChange {
  const [bids, asks] = [view.bids(levels), view.asks(levels)]
  return {
    kind: 'snapshot',
    exchange: view.exchange,
    symbol: view.symbol,
    instrument: view.instrument,
    exchangeTimeUs: view.exchangeTimeUs,
    receiveTimeUs: view.receiveTimeUs,
    bids,
    asks,
    seq: view.seq,
    prevSeq: undefined,
    firstSeq: undefined,
    checksum: undefined,
    depth: levels,
    bidDigits: digitsOf(bids),
    askDigits: digitsOf(asks),
  }
}

/** Of the shortest text of each number: the wire's own may have had zeros at its end. */
function digitsOf(levels: readonly Level[]): LevelDigits {
  return {
    decimals: levels.map(([price, size]) => decimalsIn(price) * 128 + decimalsIn(size)),
    texts: undefined,
  }
}

function decimalsIn(value: number): number {
  const text = String(value)
  const exponent = text.indexOf('e-')
  if (exponent < 0) return decimalsOf(text)
  return Number(text.slice(exponent + 2)) + decimalsOf(text.slice(0, exponent))
}
