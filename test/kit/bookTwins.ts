/**
 * The judge of books that are kept where frames are decoded: every record goes through sessions that scan and keep their books,
 * and through the plain road, sessions that decode every frame and `toBooks` behind them. Both must give the same views, say the
 * same beside them, and count the same. A third book, of two maps, is held beside them, so that what both share is judged too.
 */
import { isDeepStrictEqual } from 'node:util'
import { Subject, type Subscription } from 'rxjs'
import type { BookView } from '../../src/book/bookView'
import type { GuardCounts } from '../../src/book/bookGuard'
import type { ExchangeProtocol } from '../../src/exchanges/protocol'
import { BookKeeper, type KeptBook } from '../../src/feed/bookKeeper'
import type { SessionRecord } from '../../src/feed/record'
import type { Session, SessionCounts } from '../../src/feed/session'
import { Sessions } from '../../src/feed/sessions'
import type { Batch, BookChange, Level, MarketEvent } from '../../src/model/events'
import { toBooks } from '../../src/operators/toBooks'
import { Random } from '../../src/simulator/random'
import { printable } from './printable'
import { tellingControl } from './twins'

export interface BookTwinOptions {
  /** Levels a side that views show; all without it. */
  readonly depth?: number | undefined
  /** What is asked of the connection is compared too. */
  readonly controlled?: boolean
  /** Instruments that are in no list are faults. */
  readonly wholeList?: boolean
  /** Chooses which views are read late, and when. */
  readonly seed?: number
}

/** Views that are kept to be read again. */
const KEPT_MAX = 50
/** Of so many views one is compared with all its levels. */
const ALL_EVERY = 12
const TOP = 10

export class BookTwins {
  private readonly scanning: Twin
  private readonly plain: Twin
  private readonly keeper: CountingKeeper
  /** The plain road of each connection: books of several are not one. */
  private readonly roads = new Map<number, PlainRoad>()
  private readonly kept: Kept[] = []
  private readonly random: Random
  private readonly depth: number
  private records = 0
  /** Views that were compared, and reads of views that were not the last any more. */
  views = 0
  lateReads = 0

  constructor(
    private readonly protocol: ExchangeProtocol,
    { depth = Infinity, controlled = false, wholeList = false, seed = 1 }: BookTwinOptions = {},
  ) {
    this.depth = depth
    this.keeper = new CountingKeeper(depth)
    this.scanning = new Twin(protocol, controlled, wholeList, this.keeper)
    this.plain = new Twin(protocol, controlled, wholeList, undefined)
    this.random = new Random(seed, 'late reads')
  }

  get counts(): SessionCounts {
    return this.scanning.sessions.countsOf(this.protocol.id)
  }

  /** Deltas that the kernel took by itself. */
  get taken(): number {
    return this.keeper.count
  }

  /** The session of a connection that decodes plainly. */
  session(connection: number): Session | undefined {
    return this.plain.sessions.session(connection)
  }

  /** Takes a record down both roads; throws when they part. */
  apply(record: SessionRecord): readonly BookView[] {
    const { scanning, plain } = this
    scanning.told = []
    plain.told = []
    const ownEvents = scanning.sessions.apply(record)
    const own = [...(this.keeper.take() ?? [])]
    const events = plain.sessions.apply(record)
    const road = this.roadOf(Math.max(0, record.connection))
    const expected = road.views(events)
    this.records++
    this.compareViews(record, own, expected, road)
    const [notices, expectedNotices] = [ownEvents.filter(isNotice), events.filter(isNotice)]
    if (!isDeepStrictEqual(notices, expectedNotices)) throw difference('Notices', record, notices, expectedNotices)
    if (!isDeepStrictEqual(scanning.told, plain.told)) throw difference('Words', record, scanning.told, plain.told)
    const reason = scanning.sessions.session(record.connection)?.reason
    const expectedReason = plain.sessions.session(record.connection)?.reason
    if (reason !== expectedReason) throw difference('Reasons', record, reason, expectedReason)
    this.compareCounts(record)
    if (this.kept.length > 0 && this.random.below(4) === 0) this.readLate(this.random.below(this.kept.length), record)
    return own
  }

  /** Ends the sessions; the views that are kept must stay as they were. */
  end(): void {
    const last = { dir: 'out', exchange: this.protocol.id, connection: 0, timeUs: 0, ns: 0, data: 'the end' } as const
    for (let index = 0; index < this.kept.length; index++) this.readLate(index, last)
    this.scanning.sessions.release()
    this.plain.sessions.release()
    for (const road of this.roads.values()) road.end()
    for (let index = 0; index < this.kept.length; index++) this.readLate(index, last)
    this.compareTables(last)
  }

  private roadOf(connection: number): PlainRoad {
    let road = this.roads.get(connection)
    if (road === undefined) this.roads.set(connection, (road = new PlainRoad(this.depth)))
    return road
  }

  private compareViews(
    record: SessionRecord,
    own: readonly BookView[],
    expected: readonly BookView[],
    road: PlainRoad,
  ): void {
    if (own.length !== expected.length) {
      throw difference('Numbers of views', record, own.map(briefly), expected.map(briefly))
    }
    for (let index = 0; index < own.length; index++) {
      const [view, other] = [own[index]!, expected[index]!]
      // Now and then a view is read for the first time when it is old.
      const isReadNow = this.random.below(5) > 0
      const top = toldBy(other)
      if (isReadNow) compare('Views', record, toldBy(view), top)
      const all = this.views++ % ALL_EVERY === 0 ? allOf(other) : undefined
      if (all !== undefined) {
        if (isReadNow) compare('All levels', record, allOf(view), all)
        const model = road.modelOf(other.symbol)
        if (model !== undefined) compare('Levels and those of maps', record, all, model.all(this.depth))
      }
      this.keep({ view, other, top, all }, record)
    }
  }

  private keep(kept: Kept, record: SessionRecord): void {
    if (this.kept.length < KEPT_MAX) {
      this.kept.push(kept)
      return
    }
    // Some stay for long: they see many epochs of their book's log, and its end.
    const index = this.random.below(KEPT_MAX)
    if (this.random.below(8) === 0) this.readLate(index, record)
    this.kept[index] = kept
  }

  private readLate(index: number, record: SessionRecord): void {
    const { view, other, top, all } = this.kept[index]!
    this.lateReads++
    // In whichever order a reader asks.
    if (all !== undefined && this.random.below(2) === 0) compare('All levels, read late,', record, allOf(view), all)
    compare('Views, read late,', record, toldBy(view), top)
    if (all !== undefined) compare('All levels, read late,', record, allOf(view), all)
    compare('Plain views, read late,', record, toldBy(other), top)
  }

  private compareCounts(record: SessionRecord): void {
    const ours = this.counts
    const theirs = this.plain.sessions.countsOf(this.protocol.id)
    for (const name of COUNTS) {
      if (ours[name] !== theirs[name]) throw difference(`Counts of ${name}`, record, ours, theirs)
    }
    for (const name of Object.keys(ours.guard) as (keyof GuardCounts)[]) {
      if (ours.guard[name] !== theirs.guard[name]) {
        throw difference(`Counts of ${name}`, record, ours.guard, theirs.guard)
      }
    }
    if (this.records % 64 === 0) this.compareTables(record)
  }

  private compareTables(record: SessionRecord): void {
    const ours = this.counts
    const theirs = this.plain.sessions.countsOf(this.protocol.id)
    for (const name of ['faults', 'ignoredReasons'] as const) {
      if (!isDeepStrictEqual(ours[name], theirs[name])) {
        throw difference(`Counts of ${name}`, record, ours[name], theirs[name])
      }
    }
  }
}

const COUNTS = [
  'frames',
  'bytes',
  'unreadable',
  'ignored',
  'trades',
  'tradesHistory',
  'tickers',
  'candles',
  'derivatives',
  'liquidations',
  'inexactNumbers',
] as const satisfies readonly (keyof SessionCounts)[]

/** A view of both roads, and what it said when it was new. */
interface Kept {
  readonly view: BookView
  readonly other: BookView
  readonly top: readonly unknown[]
  readonly all: readonly number[] | undefined
}

class CountingKeeper extends BookKeeper {
  count = 0

  override taken(book: KeptBook): void {
    this.count++
    super.taken(book)
  }
}

class Twin {
  readonly sessions: Sessions
  /** What the last record caused beside its events and views. */
  told: unknown[] = []

  constructor(protocol: ExchangeProtocol, controlled: boolean, wholeList: boolean, books: BookKeeper | undefined) {
    const tell = (...what: unknown[]): void => void this.told.push(what)
    const control = tellingControl(tell)
    this.sessions = new Sessions({
      protocolOf: () => protocol,
      scanning: books !== undefined,
      wholeList,
      onFault: ({ code, message }) => tell('fault', code, message),
      ...(books !== undefined && { books }),
      ...(controlled && { controlOf: () => control }),
    })
  }
}

/** `toBooks` behind the events of one connection. */
class PlainRoad {
  private readonly events = new Subject<Batch<MarketEvent>>()
  private readonly subscription: Subscription
  private readonly models = new Map<string, MapBook>()
  private seen: BookView[] = []

  constructor(depth: number) {
    const operator = depth === Infinity ? toBooks() : toBooks({ depth })
    this.subscription = this.events.pipe(operator).subscribe((views) => this.seen.push(...views))
  }

  views(events: readonly MarketEvent[]): readonly BookView[] {
    this.seen = []
    if (events.length > 0) this.events.next(events)
    for (const event of events) {
      if (event.kind !== 'snapshot' && event.kind !== 'delta') continue
      let model = this.models.get(event.symbol)
      if (model === undefined) this.models.set(event.symbol, (model = new MapBook()))
      model.apply(event)
    }
    return this.seen
  }

  /** Undefined while the book holds numbers that are not told apart as doubles. */
  modelOf(symbol: string): MapBook | undefined {
    const model = this.models.get(symbol)
    return model?.isExact === true ? model : undefined
  }

  end(): void {
    this.subscription.unsubscribe()
  }
}

/** The plainest book there is. */
class MapBook {
  isExact = true
  private readonly sides = [new Map<number, number>(), new Map<number, number>()] as const

  apply({ kind, bids, asks, bidDigits, askDigits, depth }: BookChange): void {
    const isExact = bidDigits.texts === undefined && askDigits.texts === undefined
    if (kind === 'snapshot') {
      for (const side of this.sides) side.clear()
      this.isExact = isExact
    } else if (!isExact) this.isExact = false
    for (const [index, levels] of [bids, asks].entries()) {
      const side = this.sides[index]!
      for (const [price, size] of levels) {
        if (size === 0) side.delete(price)
        else side.set(price, size)
      }
      if (depth !== undefined && side.size > depth) {
        for (const [price] of this.sorted(index).slice(depth)) side.delete(price)
      }
    }
  }

  all(depth: number): number[] {
    return [this.sorted(0), this.sorted(1)].flatMap((levels) => flat(levels.slice(0, depth)))
  }

  private sorted(index: number): Level[] {
    const sign = index === 0 ? -1 : 1
    return [...this.sides[index]!].sort(([a], [b]) => (a - b) * sign)
  }
}

function isNotice(event: MarketEvent): boolean {
  return event.kind === 'notice'
}

/** What a view says, and its best levels. */
function toldBy(view: BookView): unknown[] {
  const [bid, ask] = [view.bestBid(), view.bestAsk()]
  const levels = [...flat(view.bids(TOP)), -1, ...flat(view.asks(TOP))]
  const names = [view.exchange, view.symbol, view.instrument, view.exchangeTimeUs, view.receiveTimeUs, view.seq]
  return [...names, view.crossed, view.mid, bid?.price, bid?.size, ask?.price, ask?.size, ...levels]
}

function allOf(view: BookView): number[] {
  const [bids, asks] = [view.bids(), view.asks()]
  const [bidCount, askCount] = view.levels()
  if (bidCount !== bids.length || askCount !== asks.length) throw new Error('A view counts its levels wrongly.')
  return [...flat(bids), ...flat(asks)]
}

function briefly({ symbol, seq, receiveTimeUs }: BookView): unknown {
  return { symbol, seq, receiveTimeUs }
}

function flat(levels: readonly Level[]): number[] {
  const numbers: number[] = []
  for (const [price, size] of levels) numbers.push(price, size)
  return numbers
}

function compare(what: string, record: SessionRecord, ours: readonly unknown[], theirs: readonly unknown[]): void {
  let at = 0
  while (at < theirs.length && Object.is(ours[at], theirs[at])) at++
  if (at === theirs.length && ours.length === theirs.length) return
  const near = (list: readonly unknown[]): unknown[] => [
    at,
    list.length,
    ...list.slice(0, 12),
    ...list.slice(at, at + 8),
  ]
  throw difference(what, record, near(ours), near(theirs))
}

function difference(what: string, record: SessionRecord, ours: unknown, theirs: unknown): Error {
  const frame = record.dir === 'in' ? Buffer.from(record.data as Uint8Array).toString('latin1') : JSON.stringify(record)
  return new Error(`${what} differ at ${frame.slice(0, 1_000)}\nkept  ${printable(ours)}\nplain ${printable(theirs)}`)
}
