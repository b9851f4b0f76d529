/**
 * Stands between an exchange's book frames and everything that believes them, one guard per instrument and connection.
 *
 * It joins the snapshot to the deltas by the exchange's sequencing rule, checks that each delta extends the one before,
 * verifies checksums where the exchange sends them, and lets through only changes that can be vouched for. When one
 * cannot, it says so once (a `gap` notice, in order with the data, and a fault), then stays silent until a snapshot
 * makes it `live` again. So whatever is behind it sees a book that is right, or none.
 *
 * A snapshot of a book that is live begins it again for a stage that has lost its own, without a gap for the others. One
 * of the stream replaces the book. A REST answer that is newer than the stream does too; with an older one go the deltas
 * after it, of which the latest are kept, so that what is behind has the same book after the batch as before. What comes
 * out depends on the changes that came in and nothing else: a replay of a recording gives the same.
 */
import { PackedDelta } from '../model/codec/packedDelta'
import type { BookChange, Level, LevelDigits, NoticeCode } from '../model/events'
import { Fault } from '../model/fault'
import type { ChecksumRule } from './checksum'
import { Desk } from './desk'
import { Level2Book } from './level2Book'
import type { ChainNumbers, SequencingRule, Verdict } from './sequencing'

export interface GuardOptions {
  /** As faults name it. */
  readonly exchange: string
  readonly sequencing: SequencingRule
  readonly checksum: ChecksumRule | undefined
  /** True where a crossed book is the only sign of a loss. */
  readonly crossingMeansLoss: boolean
  /** Deltas that may wait for a REST snapshot. */
  readonly bufferMax: number
  /** True where the guard's own book is what is read: then no change needs to be an event. Default false. */
  readonly keepsBook?: boolean
}

/** The numbers of a delta that a scan has read; NaN is what was not sent. One object is used again and again. */
export interface ScannedNumbers {
  readonly seq: number
  readonly prevSeq: number
  readonly firstSeq: number
  readonly checksum: number
}

/** What the guard lets through and says. */
export interface GuardOutput {
  event(change: BookChange): void
  notice(code: NoticeCode, details: Readonly<Record<string, unknown>>): void
  /** The book has emptied itself and needs a snapshot. */
  fault(fault: Fault): void
}

/** Counters of all guards of a connection together; plain fields, read by samplers and the audit. */
export interface GuardCounts {
  snapshots: number
  deltas: number
  sequenceChecked: number
  gaps: number
  /** Deltas dropped because the book already contained them. */
  stale: number
  checksumsChecked: number
  checksumsFailed: number
  /** Deltas that waited for a REST snapshot. */
  buffered: number
  /** Deltas dropped because there was no book for them. */
  unanchored: number
  resyncs: number
}

export function guardCounts(): GuardCounts {
  return {
    snapshots: 0,
    deltas: 0,
    sequenceChecked: 0,
    gaps: 0,
    stale: 0,
    checksumsChecked: 0,
    checksumsFailed: 0,
    buffered: 0,
    unanchored: 0,
    resyncs: 0,
  }
}

/** Deltas of a live book that are kept to go with an older REST answer: those of about ten seconds. */
const RECENT_MAX = 128
/** The numbers that they are, some 10,000 levels; powers of two. */
const RECENT_NUMBERS_MAX = 32_768
const RECENT_NUMBERS_MIN = 256
const HEADER = 9
const NUMBERS_OF_LEVEL = 3

export class BookGuard {
  private live = false
  /** True between the snapshot and the first delta after it. */
  private joining = false
  /** True from a gap until the snapshot that repairs it. */
  private repairing = false
  private misjoined = false
  /** NaN where the exchange sends none: numbers that are always doubles are changed in place. */
  private seq = NaN
  private prevSeq = NaN
  private waiting: BookChange[] = []
  /** The snapshot of a live book whose first delta has not come, where REST answers may come late. */
  private base: BookChange | undefined
  /** The latest deltas since then. */
  private readonly recent: Recent | undefined
  /** Where the live book stood when a snapshot of the stream replaced it, until the first delta after that. */
  private replaced: { seq: number; prevSeq: number } | undefined
  /** Kept only where verification needs the levels, or somebody reads them here. */
  readonly book: Level2Book | undefined
  /** Takes the deltas that need no guard, where the book is read here. */
  readonly desk: Desk | undefined

  constructor(
    readonly symbol: string,
    private readonly options: GuardOptions,
    private readonly counts: GuardCounts,
    private readonly output: GuardOutput,
  ) {
    const keepsBook = options.keepsBook === true
    if (keepsBook) this.desk = new Desk()
    if (keepsBook || options.checksum !== undefined || options.crossingMeansLoss) this.book = new Level2Book()
    // A book that is read here needs nobody's help to begin again.
    if (!keepsBook && options.sequencing.snapshot === 'rest') this.recent = new Recent()
  }

  get state(): 'live' | 'awaitingSnapshot' {
    return this.live ? 'live' : 'awaitingSnapshot'
  }

  /** True when a REST snapshot came that did not join the deltas that waited for it, and none since that did. */
  get unjoined(): boolean {
    return this.misjoined
  }

  receive(change: BookChange): void {
    this.closeDesk()
    if (change.kind === 'snapshot') this.receiveSnapshot(change)
    else if (this.live) this.receiveDelta(change)
    else if (this.options.sequencing.snapshot === 'rest') this.keep(change)
    else this.counts.unanchored++
  }

  /**
   * A REST answer. While the book is live it goes out too, made as new as the book is, unless it is too old for that, or the book
   * is read here: then it says nothing new to anybody.
   */
  answer(snapshot: BookChange): void {
    this.closeDesk()
    const { seq } = this
    const older = this.live && snapshot.seq !== undefined && snapshot.seq <= seq
    if (!older) this.receive(snapshot)
    else if (this.recent === undefined) this.counts.stale++
    else this.beginAgain(snapshot, this.recent)
  }

  /**
   * A delta whose levels a scan has left in the kernel's columns, for a guard that keeps its book.
   *
   * @returns false when the delta must come as an event, because the book is not live or its chain does not simply go on;
   *          nothing was changed then
   */
  scanned(numbers: ScannedNumbers, bids: number, asks: number, depth: number | undefined): boolean {
    this.closeDesk()
    const { book } = this
    if (book === undefined || !this.live || this.verdictOn(numbers) !== 'apply') return false
    this.advance(numbers)
    book.scanned(bids, asks, depth)
    if (this.verify(numbers.checksum)) this.openDesk()
    return true
  }

  /**
   * As `scanned`, a snapshot of the stream.
   *
   * @returns false when it must come as an event; nothing was changed then
   */
  scannedSnapshot(numbers: ScannedNumbers, bids: number, asks: number, depth: number | undefined): boolean {
    const { book, options } = this
    if (book === undefined || options.keepsBook !== true || options.sequencing.snapshot !== 'stream') return false
    this.closeDesk()
    const replaced = this.standing
    if (!book.scannedSnapshot(bids, asks, depth)) return false
    if (this.verify(numbers.checksum)) this.begin(numbers.seq, replaced)
    return true
  }

  /** The desk has taken a delta: all that is left to do is to count it. */
  taken(isNumbered: boolean, isChecked: boolean): void {
    const { counts } = this
    counts.deltas++
    if (isNumbered) counts.sequenceChecked++
    if (isChecked) counts.checksumsChecked++
  }

  /** The desk has taken a delta and has a doubt about the book. */
  doubted(isNumbered: boolean, checksum: number): void {
    this.closeDesk()
    this.taken(isNumbered, false)
    if (this.verify(checksum)) this.openDesk()
  }

  /** The desk has begun with a delta whose levels lie in the kernel's columns, and came to one between the book's ticks. */
  between(isNumbered: boolean, checksum: number, bids: number, asks: number, depth: number | undefined): void {
    this.closeDesk()
    this.taken(isNumbered, false)
    this.book!.scannedRest(bids, asks, depth)
    if (this.verify(checksum)) this.openDesk()
  }

  /** A frame of this book was lost or could not be read: the book cannot vouch for itself any more. */
  lose(fault: Fault): void {
    this.closeDesk()
    if (this.live || this.waiting.length > 0) this.fail(fault)
  }

  /** The connection ended: the book with it. */
  reset(): void {
    this.closeDesk()
    this.empty()
    this.waiting = []
    this.repairing = false
    this.misjoined = false
  }

  /** Lets the kernel take what simply goes on. */
  private openDesk(): void {
    const address = this.book?.address ?? 0
    if (this.desk !== undefined && this.live && !this.joining && address !== 0) {
      this.desk.open(address, this.seq, this.prevSeq)
    }
  }

  private closeDesk(): void {
    const { desk } = this
    if (desk === undefined || !desk.isOpen) return
    this.seq = desk.seq
    this.prevSeq = desk.prevSeq
    desk.close()
  }

  private receiveSnapshot(snapshot: BookChange): void {
    const { sequencing } = this.options
    if (sequencing.snapshot === 'rest') {
      // An answer that was overtaken by the stream would set the book back.
      if (this.live && snapshot.seq !== undefined && snapshot.seq <= this.seq) {
        this.counts.stale++
        return
      }
      // The first delta that is not stale must join; when it does not, this snapshot is of another time: ask again.
      const first = this.waiting.find((delta) => sequencing.join(delta, snapshot.seq) !== 'stale')
      if (first !== undefined && sequencing.join(first, snapshot.seq) === 'gap') {
        this.misjoined = true
        const message = `The REST snapshot of ${this.name} (${snapshot.seq}) does not join the stream, which continues ${first.prevSeq ?? first.firstSeq}.`
        this.output.fault(new Fault('SNAPSHOT_FAILED', message, { symbol: this.symbol, seq: snapshot.seq }))
        return
      }
    }
    this.misjoined = false
    const replaced = this.standing
    this.book?.snapshot(snapshot)
    // Whether a book was lost, and a gap is to be told, is a matter of what was there before this snapshot.
    if (!this.verify(snapshot.checksum)) return
    this.begin(snapshot.seq ?? NaN, replaced)
    if (this.recent !== undefined) {
      this.base = snapshot
      this.recent.clear()
    }
    this.output.event(snapshot)
    const waiting = this.waiting
    this.waiting = []
    for (const delta of waiting) this.receive(delta)
  }

  /** Where a live book stands that a snapshot of the stream is about to replace. */
  private get standing(): { seq: number; prevSeq: number } | undefined {
    const { live, seq, prevSeq } = this
    return live && this.options.sequencing.snapshot === 'stream' ? { seq, prevSeq } : undefined
  }

  /** The book is a snapshot, and live. */
  private begin(seq: number, replaced: { seq: number; prevSeq: number } | undefined): void {
    this.misjoined = false
    this.live = true
    this.joining = true
    this.seq = seq
    this.prevSeq = NaN
    this.replaced = replaced
    this.counts.snapshots++
    if (!this.repairing) return
    this.repairing = false
    this.counts.resyncs++
    this.output.notice('resynced', { seq: said(seq) })
  }

  private receiveDelta(delta: BookChange): void {
    const { sequencing } = this.options
    const verdict = this.verdictOn(delta)
    if (verdict === 'stale' || (verdict === 'gap' && this.isReplaced(delta))) {
      this.counts.stale++
      return
    }
    if (verdict === 'gap') {
      if (this.isChained && sequencing.numbered(delta)) this.counts.sequenceChecked++
      this.fail(this.gap('a delta does not extend the book', said(this.seq), delta.prevSeq ?? delta.firstSeq), [delta])
      return
    }
    this.advance(delta)
    this.recent?.add(delta)
    this.book?.delta(delta)
    if (this.verify(delta.checksum)) this.output.event(delta)
  }

  private verdictOn(delta: ChainNumbers): Verdict {
    const { sequencing } = this.options
    return this.joining ? sequencing.join(delta, this.seq) : sequencing.next(delta, this.seq, this.prevSeq)
  }

  /** The join to a REST snapshot is judged by ranges; what chains delta to delta is what "checked" counts. */
  private get isChained(): boolean {
    return this.options.sequencing.snapshot === 'stream' || !this.joining
  }

  /** A delta extends the book. */
  private advance(delta: ChainNumbers): void {
    if (this.isChained && this.options.sequencing.numbered(delta)) this.counts.sequenceChecked++
    this.joining = false
    this.base = undefined
    this.replaced = undefined
    // Deltas without a number leave the book's as it is.
    if (delta.seq !== undefined && !Number.isNaN(delta.seq)) this.seq = delta.seq
    this.prevSeq = delta.prevSeq ?? NaN
    this.counts.deltas++
  }

  /** True for a late delta of the book that the last snapshot has replaced, if that snapshot contains it. */
  private isReplaced(delta: BookChange): boolean {
    const { replaced, seq } = this
    if (replaced === undefined || delta.seq === undefined || !(delta.seq <= seq)) return false
    if (!this.options.sequencing.numbered(delta)) return false
    if (this.options.sequencing.next(delta, replaced.seq, replaced.prevSeq) === 'gap') return false
    this.replaced = { seq: delta.seq, prevSeq: delta.prevSeq ?? NaN }
    return true
  }

  /** Lets an answer out that is not newer than the live book, together with what makes it the same book. */
  private beginAgain(snapshot: BookChange, recent: Recent): void {
    const changes = this.since(snapshot, recent)
    if (changes === undefined) {
      this.counts.stale++
      return
    }
    this.counts.snapshots++
    for (const change of changes) {
      if (change.kind === 'snapshot') this.book?.snapshot(change)
      else this.book?.delta(change)
      if (!this.verify(change.checksum)) return
      this.output.event(change)
    }
  }

  /** A snapshot, and the deltas after it, that give the book as it is; undefined when the answer is too old. */
  private since(snapshot: BookChange, recent: Recent): BookChange[] | undefined {
    if (snapshot.seq === this.seq) return [snapshot]
    // Before the first delta the book is the snapshot that it began with.
    if (this.base !== undefined) return [this.base]
    const { sequencing } = this.options
    const after = recent.deltas(snapshot).filter((delta) => sequencing.join(delta, snapshot.seq) !== 'stale')
    const [first] = after
    return first !== undefined && sequencing.join(first, snapshot.seq) === 'apply' ? [snapshot, ...after] : undefined
  }

  /** False when the change left a book that is not the exchange's. */
  private verify(sent: number | undefined): boolean {
    const { checksum, crossingMeansLoss } = this.options
    const book = this.book
    if (book === undefined) return true
    if (checksum !== undefined && sent !== undefined && !Number.isNaN(sent) && !checksum.isNone(sent)) {
      this.counts.checksumsChecked++
      const ours = checksum.compute(book)
      if (ours !== sent) {
        this.counts.checksumsFailed++
        this.fail(
          new Fault('BOOK_CHECKSUM', `The book of ${this.name} has checksum ${ours}; the exchange says ${sent}.`, {
            symbol: this.symbol,
            ours,
            theirs: sent,
          }),
        )
        return false
      }
    }
    if (crossingMeansLoss && book.crossed) {
      const details = { symbol: this.symbol, bidPrice: book.bids.bestPrice, askPrice: book.asks.bestPrice }
      this.fail(new Fault('BOOK_CROSSED', `The book of ${this.name} is crossed: a delta was lost.`, details))
      return false
    }
    return true
  }

  /**
   * What came before and what comes next may not follow each other. Numbers and checksums will tell; a book that has
   * neither is in doubt from here on.
   *
   * @param lost  what is known of it: a part of a sentence
   */
  interrupted(lost: string): void {
    const { sequencing, checksum } = this.options
    if (!this.live || sequencing.name !== 'none' || checksum !== undefined) return
    this.closeDesk()
    const message = `In the book of ${this.name} deltas may be missing (${lost}), and the exchange sends nothing by which to tell.`
    this.fail(new Fault('BOOK_GAP', message, { symbol: this.symbol }))
  }

  /** A delta before its REST snapshot waits, within limits. */
  private keep(delta: BookChange): void {
    if (this.waiting.length >= this.options.bufferMax) {
      const message = `${this.waiting.length} deltas of ${this.name} waited for a snapshot that did not come.`
      this.fail(new Fault('BOOK_BUFFER_FULL', message, { symbol: this.symbol, deltas: this.waiting.length }), [delta])
      return
    }
    this.counts.buffered++
    this.waiting.push(delta)
  }

  /** Empties the book and says so; `keep` are deltas that the next snapshot may still join. */
  private fail(fault: Fault, keep: readonly BookChange[] = []): void {
    const wasLive = this.live
    this.empty()
    this.waiting = this.options.sequencing.snapshot === 'rest' ? [...keep] : []
    if (wasLive) {
      if (fault.code === 'BOOK_GAP') this.counts.gaps++
      this.repairing = true
      this.output.notice('gap', { code: fault.code, ...fault.details })
    }
    this.output.fault(fault)
  }

  private empty(): void {
    this.live = false
    this.joining = false
    this.seq = NaN
    this.prevSeq = NaN
    this.base = undefined
    this.replaced = undefined
    this.recent?.clear()
    this.book?.clear()
  }

  private get name(): string {
    return `${this.symbol} on ${this.options.exchange}`
  }

  private gap(what: string, have: number | undefined, got: number | undefined): Fault {
    const message = `In the book of ${this.name} ${what}: it stands at ${have ?? 'no number'}, the delta continues ${got ?? 'none'}.`
    return new Fault('BOOK_GAP', message, { symbol: this.symbol, have, got })
  }
}

/** NaN is what was not said. */
function said(number: number): number | undefined {
  return Number.isNaN(number) ? undefined : number
}

/**
 * The latest deltas of one book, written down as numbers in a ring: objects that are kept for seconds cost the collector
 * several times what writing them down does. Deltas lie in it as their length, the fields of `add`, and their levels.
 */
class Recent {
  private ring = new Float64Array(RECENT_NUMBERS_MIN)
  /** Where the oldest delta begins, and where the next will; both wrap around. */
  private from = 0
  private to = 0
  private used = 0
  /** The ordinal of the oldest delta, and how many there are. */
  private oldest = 0
  private length = 0
  /** The whole texts of levels, where a delta has some, by its ordinal. */
  private readonly texts = new Map<number, Pick<BookChange, 'bidDigits' | 'askDigits'>>()

  add(delta: BookChange): void {
    if (delta instanceof PackedDelta) {
      const bids = delta.count(false)
      if (!this.begin(delta, bids, delta.count(true))) return
      this.putColumns(delta.numbers, delta.columnsAt(false), bids)
      this.putColumns(delta.numbers, delta.columnsAt(true), delta.count(true))
      return
    }
    const { bids, asks, bidDigits, askDigits } = delta
    if (!this.begin(delta, bids.length, asks.length)) return
    if (bidDigits.texts !== undefined || askDigits.texts !== undefined) {
      this.texts.set(this.oldest + this.length - 1, { bidDigits, askDigits })
    }
    this.putSide(bids, bidDigits)
    this.putSide(asks, askDigits)
  }

  /** Makes room for a delta and begins it; false where there can be none. Its levels are to be put next. */
  private begin(delta: BookChange, bids: number, asks: number): boolean {
    const needed = HEADER + NUMBERS_OF_LEVEL * (bids + asks)
    if (needed > RECENT_NUMBERS_MAX) {
      this.clear() // whatever is older cannot be joined to what follows
      return false
    }
    while (this.length === RECENT_MAX || this.used + needed > RECENT_NUMBERS_MAX) this.drop()
    if (this.used + needed > this.ring.length) this.grow(this.used + needed)
    this.put(needed)
    this.put(delta.exchangeTimeUs)
    this.put(delta.receiveTimeUs)
    this.put(delta.seq)
    this.put(delta.prevSeq)
    this.put(delta.firstSeq)
    this.put(delta.checksum)
    this.put(delta.depth)
    this.put(bids)
    this.used += needed
    this.length++
    return true
  }

  /** Oldest first; what does not change from delta to delta is taken from `like`. */
  deltas({ exchange, symbol, instrument }: BookChange): BookChange[] {
    let at = this.from
    const mask = this.ring.length - 1
    const take = (): number => {
      const value = this.ring[at]!
      at = (at + 1) & mask
      return value
    }
    const takeMaybe = (): number | undefined => {
      const value = take()
      return Number.isNaN(value) ? undefined : value
    }
    const takeSide = (count: number, texts: LevelDigits['texts']): { levels: Level[]; digits: LevelDigits } => {
      const levels: Level[] = []
      const decimals: number[] = []
      for (let index = 0; index < count; index++) {
        levels.push([take(), take()])
        decimals.push(take())
      }
      return { levels, digits: { decimals, texts } }
    }
    return Array.from({ length: this.length }, (_, index): BookChange => {
      const levels = (take() - HEADER) / NUMBERS_OF_LEVEL
      const texts = this.texts.get(this.oldest + index)
      const exchangeTimeUs = takeMaybe()
      const receiveTimeUs = take()
      const seq = takeMaybe()
      const prevSeq = takeMaybe()
      const firstSeq = takeMaybe()
      const checksum = takeMaybe()
      const depth = takeMaybe()
      const bidCount = take()
      const bids = takeSide(bidCount, texts?.bidDigits.texts)
      const asks = takeSide(levels - bidCount, texts?.askDigits.texts)
      return {
        kind: 'delta',
        exchange,
        symbol,
        instrument,
        exchangeTimeUs,
        receiveTimeUs,
        bids: bids.levels,
        asks: asks.levels,
        seq,
        prevSeq,
        firstSeq,
        checksum,
        depth,
        bidDigits: bids.digits,
        askDigits: asks.digits,
      }
    })
  }

  clear(): void {
    this.from = this.to = this.used = this.oldest = this.length = 0
    this.texts.clear()
  }

  private put(value: number | undefined): void {
    this.ring[this.to] = value ?? NaN
    this.to = (this.to + 1) & (this.ring.length - 1)
  }

  private putSide(levels: readonly Level[], { decimals }: LevelDigits): void {
    for (let index = 0; index < levels.length; index++) {
      const [price, size] = levels[index]!
      this.put(price)
      this.put(size)
      this.put(decimals[index])
    }
  }

  private putColumns(numbers: Float64Array, from: number, count: number): void {
    for (let index = from; index < from + count; index++) {
      this.put(numbers[index])
      this.put(numbers[index + count])
      this.put(numbers[index + 2 * count])
    }
  }

  private drop(): void {
    const size = this.ring[this.from]!
    this.from = (this.from + size) & (this.ring.length - 1)
    this.used -= size
    this.texts.delete(this.oldest)
    this.oldest++
    this.length--
  }

  private grow(needed: number): void {
    const { ring, from, used } = this
    let length = ring.length
    while (length < needed) length *= 2
    const grown = new Float64Array(length)
    for (let index = 0; index < used; index++) grown[index] = ring[(from + index) & (ring.length - 1)]!
    this.ring = grown
    this.from = 0
    this.to = used
  }
}
