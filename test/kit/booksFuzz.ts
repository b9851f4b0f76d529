/**
 * Streams of books with a little harm in them, through sessions that keep their books and down the plain road: the same
 * comparison for the suite (a few thousand frames) and for `benchmarks/scannerFuzz.ts --books` (as many as one has patience for).
 *
 * Every other round plays a recording from its beginning, the others invented markets. Books are to live: few frames are
 * harmed, dropped, doubled or swapped, and one that has fallen silent soon gets its snapshot.
 */
import { exchangeById } from '../../src/exchanges/exchanges'
import type { ExchangeProtocol } from '../../src/exchanges/protocol'
import type { SessionRecord } from '../../src/feed/record'
import { Random } from '../../src/simulator/random'
import { BookTwins } from './bookTwins'
import { dialectOf, Market } from './bookStream'
import { FrameMutator } from './frameMutator'
import { RECORDINGS, recordsOf } from './recordings'
import { samplesOf, type Samples } from './scannerFuzz'
import { hasShared } from './shared'

export interface BooksReport {
  exchange: string
  rounds: number
  frames: number
  /** Frames that were harmed, dropped, doubled or swapped. */
  disturbed: number
  scanned: number
  /** Deltas that the kernel took by itself. */
  taken: number
  views: number
  lateReads: number
  /** Books that were lost and found again. */
  resyncs: number
  checksumsFailed: number
  unreadable: number
  reconnects: number
}

/** What rounds play, read once. */
export interface Plays {
  readonly samples: Samples
  readonly recordings: readonly (readonly SessionRecord[])[]
}

export function playsOf(exchange: string): Plays {
  const protocol = exchangeById(exchange)
  const recordings = hasShared()
    ? RECORDINGS.filter(([id]) => id === exchange).map(([, session, rest]) => recordsOf(protocol, session, rest))
    : []
  return { samples: samplesOf(exchange), recordings }
}

/**
 * @param count  frames, at least; the last round is played to its end
 * @throws when the two roads part, with the round and the record
 */
export function fuzzBooks(exchange: string, count: number, seed: number, plays = playsOf(exchange)): BooksReport {
  const protocol = exchangeById(exchange)
  const report: BooksReport = {
    exchange,
    rounds: 0,
    frames: 0,
    disturbed: 0,
    scanned: 0,
    taken: 0,
    views: 0,
    lateReads: 0,
    resyncs: 0,
    checksumsFailed: 0,
    unreadable: 0,
    reconnects: 0,
  }
  while (report.frames < count) {
    const roundSeed = seed * 100_000 + report.rounds
    try {
      new Round(protocol, plays, roundSeed, report).play(Math.max(300, count - report.frames))
    } catch (thrown) {
      throw new Error(`Round ${report.rounds} of seed ${seed} on ${exchange}: ${String(thrown)}`, { cause: thrown })
    }
    report.rounds++
  }
  return report
}

/** Of all frames, how many are disturbed, from round to round. */
const SHARES = [0.01, 0.005, 0.03, 0.02, 0]

/** What comes on one connection. */
interface Play {
  /** Begins again, after a new connection. */
  begin(): void
  /** The next record; undefined when there is no more. */
  next(): SessionRecord | undefined
  /** True when it would be better to begin again. */
  readonly isDead: boolean
}

class Round {
  private readonly random: Random
  private readonly mutator: FrameMutator
  private readonly twins: BookTwins
  private readonly share: number
  private readonly mayFall: boolean
  private readonly isBytes: boolean
  private timeUs = 1_790_000_000_000_000

  constructor(
    private readonly protocol: ExchangeProtocol,
    private readonly plays: Plays,
    seed: number,
    private readonly report: BooksReport,
  ) {
    this.random = new Random(seed, 'books')
    const { random } = this
    this.mutator = new FrameMutator(seed, plays.samples.frames)
    this.share = SHARES[report.rounds % SHARES.length]!
    this.mayFall = random.chance(0.3)
    this.isBytes = random.chance(0.7)
    const depth = [undefined, undefined, 1, 10, 40][random.below(5)]
    this.twins = new BookTwins(protocol, {
      ...{ depth, seed },
      controlled: random.chance(0.5),
      wholeList: random.chance(0.1),
    })
  }

  play(framesMax: number): void {
    const { random, twins, report, plays } = this
    const connections = [1, 1, 2, 3][random.below(4)]!
    const isRecorded = plays.recordings.length > 0 && report.rounds % 2 === 1
    const frames = Math.min(framesMax, 300 + Math.floor(random.exponential(1_500)))
    if (isRecorded || random.chance(0.5)) for (const record of plays.samples.instruments) twins.apply(record)
    const all = Array.from({ length: connections }, (_, connection): Play => {
      return isRecorded ? this.recorded(connection) : this.invented(connection)
    })
    for (const play of all) play.begin()
    const held: (SessionRecord | undefined)[] = []
    const target = report.frames + frames
    while (report.frames < target) {
      const connection = random.below(connections)
      const play = all[connection]!
      const record = play.next()
      if (record === undefined || play.isDead || random.below(2_000) === 0) {
        held[connection] = undefined
        report.reconnects++
        twins.apply({ ...this.base(connection), dir: 'close', code: 1006, reason: 'a new one' })
        play.begin()
        continue
      }
      this.receive(this.stamped(record, connection), held)
    }
    if (random.chance(0.5)) {
      for (let connection = 0; connection < connections; connection++) {
        twins.apply({ ...this.base(connection), dir: 'close', code: 1006, reason: 'the end' })
      }
    }
    twins.end()
    report.scanned += twins.counts.scanned
    report.taken += twins.taken
    report.views += twins.views
    report.lateReads += twins.lateReads
    report.resyncs += twins.counts.guard.resyncs
    report.checksumsFailed += twins.counts.guard.checksumsFailed
    report.unreadable += twins.counts.unreadable
  }

  /** A record as it comes, or harmed, dropped, doubled, or after the one that should follow it. */
  private receive(record: SessionRecord, held: (SessionRecord | undefined)[]): void {
    const { random, mutator, report } = this
    const { connection } = record
    const before = held[connection]
    held[connection] = undefined
    if (record.dir === 'in' && random.chance(this.share)) {
      report.disturbed++
      switch (random.below(6)) {
        case 0:
          report.frames++ // dropped
          break
        case 1:
          this.apply(record)
          this.apply(record)
          break
        case 2:
          held[connection] = record
          break
        case 3:
          this.apply({ ...record, data: mutator.harmed(mutator.pick(this.plays.samples.frames)) })
          this.apply(record)
          break
        default:
          this.apply({ ...record, data: mutator.harmed(String(record.data)) })
      }
    } else this.apply(record)
    if (before !== undefined) this.apply(before)
  }

  private apply(record: SessionRecord): void {
    if (record.dir === 'in') this.report.frames++
    this.twins.apply(record)
  }

  private stamped(record: SessionRecord, connection: number): SessionRecord {
    const { random } = this
    this.timeUs += random.below(3)
    const timeUs = this.mayFall && random.chance(0.3) ? this.timeUs - random.below(20) : this.timeUs
    const stamped = { ...record, connection, timeUs }
    if (stamped.dir !== 'in') return stamped
    const { data } = stamped
    const isOther = random.below(50) === 0
    if (this.isBytes !== isOther) return { ...stamped, data: typeof data === 'string' ? Buffer.from(data) : data }
    return { ...stamped, data: typeof data === 'string' ? data : Buffer.from(data).toString() }
  }

  private base(connection: number) {
    return { exchange: this.protocol.id, connection, timeUs: this.timeUs++, ns: 0 }
  }

  private recorded(connection: number): Play {
    const { random, plays, twins } = this
    // Most often the longest: the short ones have few changes of books.
    const recordings = plays.recordings.toSorted((a, b) => b.length - a.length)
    const recording = recordings[random.below(3) === 0 ? random.below(recordings.length) : 0]!
    const records = recording.filter(({ dir }) => dir === 'in' || dir === 'rest').filter(isNoInstruments)
    const url = recording.find((record) => record.dir === 'open')?.url ?? ''
    const patience = 20 + random.below(200)
    let at = 0
    let silent = 0
    return {
      begin: () => {
        at = 0
        silent = 0
        twins.apply({ ...this.base(connection), dir: 'open', url })
      },
      next: () => {
        const session = twins.session(connection)
        const isLive =
          session !== undefined && [...session.symbols].some((symbol) => session.bookState(symbol) === 'live')
        silent = isLive ? 0 : silent + 1
        return records[at++]
      },
      get isDead() {
        return at > 100 && silent > patience
      },
    }
  }

  private invented(connection: number): Play {
    const { random, twins, protocol, plays, mutator } = this
    const markets: Market[] = []
    for (let index = 1 + random.below(3); index > 0; index--) {
      const { symbol, dialect } = dialectOf(protocol.id, random)
      if (!markets.some((market) => market.symbol === symbol)) markets.push(new Market(symbol, dialect, random))
    }
    const frame = (data: string): SessionRecord => ({ ...this.base(connection), dir: 'in', data })
    const foreign = 0.01 * random.below(3)
    let waiting: SessionRecord[] = []
    return {
      begin: () => {
        twins.apply({ ...this.base(connection), dir: 'open', url: '' })
        waiting = markets.flatMap(({ dialect }) => dialect.opening.map(frame))
      },
      next: () => {
        const first = waiting.shift()
        if (first !== undefined) return first
        if (random.chance(foreign)) return frame(mutator.pick(plays.samples.frames))
        const market = markets[random.below(markets.length)]!
        const { symbol, dialect } = market
        const isLive = twins.session(connection)?.bookState(symbol) === 'live'
        const isDue = isLive ? !dialect.isRest && random.below(400) === 0 : random.below(8) === 0
        if (!isDue) return frame(market.delta())
        if (!dialect.isRest) return frame(market.snapshot())
        const path = protocol.book.snapshot!.path(symbol, { depth: undefined, intervalMs: 60_000 })
        const [url, body] = [protocol.hosts.rest + path, market.snapshot()]
        return { ...this.base(connection), dir: 'rest', method: 'GET', url, role: 'book-snapshot', body }
      },
      isDead: false,
    }
  }
}

function isNoInstruments(record: SessionRecord): boolean {
  return record.dir !== 'rest' || record.role !== 'instruments'
}
