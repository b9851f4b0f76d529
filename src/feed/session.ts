/**
 * From what happens on a connection to market events: the same code for live, simulated and recorded traffic.
 *
 * A session belongs to one connection. It parses each frame, asks the exchange's description where it belongs, decodes it
 * into events, and passes book changes through the instrument's guard. What has to go back to the exchange (an answer to a
 * heartbeat, a new snapshot) goes to `SessionControl`, which a replay leaves out.
 */
import { BookGuard, guardCounts, type GuardCounts } from '../book/bookGuard'
import type { ChannelName, ExchangeProtocol, Route } from '../exchanges/protocol'
import { EventWriter } from '../model/codec/eventWriter'
import { parseWireJson } from '../model/codec/wireJson'
import type { BookChange, MarketEvent } from '../model/events'
import { Fault, messageOf, type FaultCode } from '../model/fault'
import type { InstrumentTable } from '../model/instrument'
import type { InRecord } from './record'
import { KeptBook, type TouchedBooks } from './bookKeeper'
import { writeBookState } from './recording/bookState'
import { BETWEEN, DOUBTED, MISSED, READ, TAKEN } from '../kernel/layout'
import type { DeltaPacking } from './deltaPacking'
import { Scanner, type ReadShape, type Slot } from './scanner'
import { STALE_RULE, Staleness, type Silence, type StaleRule } from './staleness'
import { channelOf, countFault, type StreamCounts, type Streams } from './streams'

/** What a session asks of the connection it belongs to. */
export interface SessionControl {
  /** A subscription was acknowledged. */
  acknowledged(id: number | undefined, keys: readonly string[]): void
  refused(id: number | undefined, keys: readonly string[], reason: string): void
  /** Something arrived for this channel and symbol. */
  heard(channel: ChannelName, symbol: string | undefined, timeUs: number): void
  /** Who is told in the place of `heard`, for the life of the connection: of streams whose frames come often. */
  listener?(channel: ChannelName, symbol: string | undefined): (timeUs: number) => void
  answer(text: string): void
  /** The exchange will drop the connection. */
  reconnect(fault: Fault): void
  /** The book of this symbol needs a snapshot. */
  resync(symbol: string, fault: Fault): void
  /** A stream has fallen silent; called again, at growing distances, while it stays so. */
  stale(channel: ChannelName, symbol: string): void
  fault(fault: Fault): void
}

/** Counters of one or several sessions; plain fields, read by samplers and the audit. */
export interface SessionCounts {
  frames: number
  bytes: number
  /** Frames that were read by their shape; all others took the plain road. */
  scanned: number
  /** Frames that were not what the protocol documents. */
  unreadable: number
  /** Control frames and documented frames of no use here. */
  ignored: number
  trades: number
  tradesHistory: number
  tickers: number
  candles: number
  derivatives: number
  liquidations: number
  inexactNumbers: number
  faults: Map<FaultCode, number>
  /** Why frames were ignored, and how many. */
  ignoredReasons: Map<string, number>
  readonly guard: GuardCounts
}

export function sessionCounts(): SessionCounts {
  return {
    frames: 0,
    bytes: 0,
    scanned: 0,
    unreadable: 0,
    ignored: 0,
    trades: 0,
    tradesHistory: 0,
    tickers: 0,
    candles: 0,
    derivatives: 0,
    liquidations: 0,
    inexactNumbers: 0,
    faults: new Map(),
    ignoredReasons: new Map(),
    guard: guardCounts(),
  }
}

/** What of them are plain numbers. */
export type SessionNumbers = Omit<SessionCounts, 'faults' | 'ignoredReasons' | 'guard'>

export interface SessionOptions {
  readonly protocol: ExchangeProtocol
  readonly endpoint: string
  readonly instruments: InstrumentTable
  readonly counts: SessionCounts
  /** Where it is counted what comes of each channel and symbol; nowhere when it is left out. */
  readonly streams?: Streams | undefined
  readonly control?: SessionControl | undefined
  /** Told of every fault when there is no control, as on replay. */
  readonly onFault?: ((fault: Fault) => void) | undefined
  /** False to let book changes through as they are decoded, unchecked and unjoined: for looking at frames. Default true. */
  readonly guarded?: boolean
  /** False where only a part of the exchange's instruments may be known, so that others are no fault. Default true. */
  readonly wholeList?: boolean
  /** Deltas of one instrument that may wait for its REST snapshot. */
  readonly bufferMax?: number
  /** Told of the books of the connection's guards, where nothing else is wanted; then no data becomes an event. */
  readonly books?: TouchedBooks | undefined
  /** Packs the levels of deltas that are scanned, while that is wanted. */
  readonly packing?: DeltaPacking | undefined
  /** False to decode every frame plainly: the scanner must give the same. Default true. */
  readonly scanning?: boolean
  /** Instruments of one connection; frames that name more are faults. */
  readonly symbolsMax?: number
  /** When a stream counts as stale. Default {@link STALE_RULE}. */
  readonly stale?: StaleRule | undefined
}

/** Reasons and symbols come from outside: tables keyed by them have a limit. */
const REASONS_MAX = 64
const SYMBOLS_MAX = 20_000
const BUFFER_MAX = 20_000
const NO_EVENTS: readonly MarketEvent[] = []

export class Session {
  readonly writer: EventWriter
  /** Why the last frame gave no event; undefined when it was data. */
  reason: string | undefined
  private readonly guards = new Map<string, BookGuard>()
  /** What is told of each guard's book, where somebody keeps them. */
  private readonly kept = new Map<BookGuard, KeptBook>()
  private readonly protocol: ExchangeProtocol
  private readonly counts: SessionCounts
  private readonly streams: Streams | undefined
  private readonly control: SessionControl | undefined
  private readonly staleness: Staleness
  /** Reads the frames that come most often; undefined where the exchange describes none. */
  private readonly scanner: Scanner | undefined
  /** The instruments that were known when the scanner learned its keys. */
  private instrumentsKnown = 0
  /** Of what is being decoded on the plain road. */
  private frameBytes = 0

  constructor(private readonly options: SessionOptions) {
    this.protocol = options.protocol
    this.counts = options.counts
    this.streams = options.streams
    this.control = options.control
    const { channels } = this.protocol
    this.staleness = new Staleness(options.stale ?? STALE_RULE, (channel) => channels[channel]?.idleMsMax)
    const market = this.protocol.endpoints[options.endpoint]?.market ?? this.protocol.markets[0]!
    this.writer = new EventWriter(this.protocol.id, market, (symbol) => options.instruments.symbol(market, symbol))
    if (this.protocol.shapes.length > 0 && options.scanning !== false) {
      this.scanner = new Scanner(this.protocol, this.writer)
    }
  }

  /** The connection was established. */
  open(timeUs: number, url: string): MarketEvent[] {
    this.writer.receiveTimeUs = timeUs
    this.writer.notice('connected', '', { url })
    return this.writer.take()
  }

  /** The connection ended: every book it kept is void, and says so. */
  close(timeUs: number, reason: string): MarketEvent[] {
    this.writer.receiveTimeUs = timeUs
    this.staleness.end(timeUs)
    for (const silence of this.staleness.takeEnded()) this.tellSilence(silence, true)
    this.writer.notice('disconnected', '', { reason })
    for (const [symbol, guard] of this.guards) {
      if (guard.state === 'live') this.writer.notice('disconnected', symbol, { reason })
      guard.reset()
    }
    this.writer.memory.clear()
    this.releaseScanner()
    return this.writer.take()
  }

  /** Frames are missing here. A notice without a symbol says so of all that the connection carries. */
  gap(timeUs: number, lost: number | undefined, reason: string): MarketEvent[] {
    this.writer.receiveTimeUs = timeUs
    this.writer.notice('gap', '', { reason, ...(lost !== undefined && { lost }) })
    for (const guard of this.guards.values()) guard.interrupted(reason)
    this.staleness.forgive(timeUs)
    return this.writer.take()
  }

  /** The connection is of no interest any more: its books and its scanner go, and nobody is told. */
  release(): void {
    for (const guard of this.guards.values()) guard.reset()
    this.releaseScanner()
  }

  /** The scanner first: it knows the desks. */
  private releaseScanner(): void {
    this.scanner?.release()
    for (const guard of this.guards.values()) guard.desk?.release()
  }

  /** One frame. Never throws: what is wrong with it becomes a fault and a count. */
  receive({ data, timeUs }: Pick<InRecord, 'data' | 'timeUs'>): readonly MarketEvent[] {
    return this.receiveFrame(data, timeUs)
  }

  /** As `receive`, without a record. */
  receiveFrame(data: string | Uint8Array, timeUs: number): readonly MarketEvent[] {
    const { writer, counts } = this
    writer.receiveTimeUs = timeUs
    this.reason = undefined
    counts.frames++
    counts.bytes += data.length
    const result = this.scan(data, timeUs)
    if (result === TAKEN) {
      // Most frames are of this kind, so nothing is done here that could be done elsewhere.
      const slot = this.scanner!.slot!
      const { shape, book } = slot
      counts.scanned++
      if (this.streams !== undefined) this.count(slot, data.length, timeUs)
      if (this.control !== undefined) this.tell(this.control, slot, timeUs)
      this.heardOf(slot, timeUs)
      book!.guard.taken(shape.isNumbered, shape.checksum !== 0 && this.isChecked(shape))
      book!.taken()
      return this.staleness.isDue(timeUs) ? this.withSilences(NO_EVENTS, timeUs) : NO_EVENTS
    }
    if (result === MISSED) this.decodeFrame(data, timeUs)
    else {
      const slot = this.scanner!.slot!
      counts.scanned++
      if (this.streams !== undefined) this.count(slot, data.length, timeUs)
      if (this.control !== undefined) this.tell(this.control, slot, timeUs)
      this.heardOf(slot, timeUs)
      const isKept = this.options.books !== undefined && this.keep(slot, result, timeUs)
      const { packing } = this.options
      if (!isKept && packing?.wanted === true && slot.shape.frame.event === 'delta') {
        const numbers = this.scanner!.numbersOf(slot)
        this.guardOf(slot.symbol)?.receive(packing.packed(this.protocol.id, slot, numbers, timeUs))
      } else if (!isKept) {
        this.scanner!.write(slot)
        this.accept(false)
      }
    }
    const events = writer.events.length === 0 ? NO_EVENTS : writer.take()
    return this.staleness.isDue(timeUs) ? this.withSilences(events, timeUs) : events
  }

  private tell(control: SessionControl, slot: Slot, timeUs: number): void {
    slot.listener ??= listenerOf(control, slot.shape.frame.channel, slot.routed)
    slot.listener(timeUs)
  }

  /** A frame of a key has come. */
  private heardOf(slot: Slot, timeUs: number): void {
    slot.cadence ??= this.staleness.stream(slot.shape.frame.channel, slot.symbol, timeUs)
    if (slot.cadence !== undefined) this.staleness.heard(slot.cadence, timeUs)
  }

  /** The streams that a decoded frame is of; one without events is of the stream that it was routed to, if that is known. */
  private heardIn(events: readonly MarketEvent[], channel: ChannelName, symbol: string | undefined): void {
    const { staleness } = this
    const timeUs = this.writer.receiveTimeUs
    if (events.length === 0 && symbol !== undefined) {
      const stream = staleness.known(channel, symbol)
      if (stream !== undefined) staleness.heard(stream, timeUs)
      return
    }
    let last: string | undefined
    for (const event of events) {
      if (event.symbol === last || event.symbol === '' || event.kind === 'notice') continue
      last = event.symbol
      const stream = staleness.stream(channel, last, timeUs)
      if (stream !== undefined) staleness.heard(stream, timeUs)
    }
  }

  /** The events of a frame between what they show of silences: those that it ends before it, those that it finds behind it. */
  private withSilences(events: readonly MarketEvent[], timeUs: number): readonly MarketEvent[] {
    const { staleness, writer } = this
    for (const silence of staleness.takeEnded()) this.tellSilence(silence, true)
    const ended = writer.take()
    if (timeUs >= staleness.sweepUs) {
      for (const silence of staleness.sweep(timeUs)) {
        if (silence.times === 0) {
          this.tellSilence(silence, false)
          this.fault(staleFault(this.protocol, silence))
        }
        this.control?.stale(silence.stream.channel, silence.stream.symbol)
      }
    }
    const found = writer.take()
    return ended.length + found.length === 0 ? events : [...ended, ...events, ...found]
  }

  private tellSilence({ stream, silentMs, intervalMs, limitMs }: Silence, ended: boolean): void {
    const { channel, symbol } = stream
    if (!ended && this.streams !== undefined) this.streams.of(this.protocol.id, channel, symbol).stale = 1
    const details = { channel, silentMs, intervalMs, limitMs: Number.isFinite(limitMs) ? limitMs : undefined }
    this.writer.notice('stale', symbol, ended ? { ...details, ended } : details)
  }

  /** A frame that was scanned, or of which all but the levels was decoded. */
  private count(slot: Slot, bytes: number, timeUs: number): void {
    const { channel, event } = slot.shape.frame
    const stream = (slot.stream ??= this.streams!.of(this.protocol.id, channel, slot.symbol, slot.instrument))
    stream.frames++
    stream.bytes += bytes
    stream.events += event === 'trade' ? Math.max(1, this.scanner!.rows) : 1
    stream.lastFrameUs = timeUs
    stream.stale = 0
  }

  /** What was decoded on the plain road. A frame may be of several streams, and counts for each. */
  private countDecoded(streams: Streams, channel: ChannelName, symbol: string | undefined, bytes: number): void {
    const { id } = this.protocol
    const { events, receiveTimeUs } = this.writer
    const counted: StreamCounts[] = []
    const streamOf = (of: ChannelName, name: string, instrument?: string): StreamCounts => {
      const stream = streams.of(id, of, name, instrument)
      if (counted.includes(stream)) return stream
      counted.push(stream)
      stream.frames++
      stream.lastFrameUs = receiveTimeUs
      stream.stale = 0
      return stream
    }
    let last: MarketEvent | undefined
    let stream: StreamCounts | undefined
    for (const event of events) {
      // Most frames are of one stream.
      if (stream === undefined || event.symbol !== last!.symbol || event.kind !== last!.kind) {
        stream = streamOf(channelOf(event) ?? channel, event.symbol, event.instrument)
      }
      stream.events++
      last = event
    }
    if (events.length === 0 && symbol !== undefined) streamOf(channel, symbol)
    if (counted.length === 1) counted[0]!.bytes += bytes
  }

  /** A scanned frame where only books are wanted; false when it must become events all the same. */
  private keep(slot: Slot, result: number, timeUs: number): boolean {
    const { counts } = this
    const scanner = this.scanner!
    switch (slot.shape.frame.event) {
      case 'delta': {
        const kept = slot.book ?? this.seated(slot)
        if (kept === undefined) return false
        const { guard } = kept
        const { isNumbered } = slot.shape
        const delta = scanner.numbersOf(slot)
        if (result === DOUBTED) guard.doubted(isNumbered, delta.checksum)
        else if (result === BETWEEN) guard.between(isNumbered, delta.checksum, delta.bids, delta.asks, slot.depth)
        else if (!guard.scanned(delta, delta.bids, delta.asks, slot.depth)) return false
        kept.scanned('delta', delta, timeUs)
        return true
      }
      case 'snapshot': {
        const kept = (slot.book ??= this.keptBookOf(slot.symbol))
        if (kept === undefined) return false
        const numbers = scanner.numbersOf(slot)
        if (!kept.guard.scannedSnapshot(numbers, numbers.bids, numbers.asks, slot.depth)) return false
        kept.scanned('snapshot', numbers, timeUs)
        return true
      }
      case 'trade':
        counts.trades += Math.max(1, scanner.rows)
        return true
      case 'ticker':
        counts.tickers++
        return true
    }
  }

  /** The book of a key whose deltas come, once its desk takes them. */
  private seated(slot: Slot): KeptBook | undefined {
    const kept = this.keptBookOf(slot.symbol)
    if (kept !== undefined) this.scanner!.seat(slot, kept)
    return kept
  }

  private keptBookOf(symbol: string): KeptBook | undefined {
    const guard = this.guardOf(symbol)
    return guard === undefined ? undefined : this.kept.get(guard)
  }

  /** True when the frame that was read has a checksum by which its book was verified. */
  private isChecked({ checksum }: ReadShape): boolean {
    return this.protocol.book.checksum?.isNone(this.scanner!.numberAt(checksum)) === false
  }

  /** How the scanner has read a frame. */
  private scan(data: string | Uint8Array, timeUs: number): number {
    const { scanner } = this
    if (scanner === undefined) return MISSED
    if (this.instrumentsKnown !== this.options.instruments.size) {
      this.instrumentsKnown = this.options.instruments.size
      scanner.forget()
    }
    return scanner.scan(data, timeUs)
  }

  /** The plain road: JSON, route, decoder. */
  private decodeFrame(data: string | Uint8Array, timeUs: number): void {
    this.frameBytes = data.length
    const bare = this.scanner?.bare
    if (bare !== undefined && this.decodeBare(bare, timeUs)) return
    const text = typeof data === 'string' ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString()
    let route: Route
    try {
      const message = this.protocol.plainTexts.includes(text) ? text : parseWireJson(text, this.protocol)
      route = this.protocol.route(message, this.writer)
    } catch (thrown) {
      this.unreadable(thrown, undefined, undefined)
      return
    }
    this.follow(route, timeUs)
  }

  /**
   * A frame of a book whose levels the scanner has read: the decoder says of the rest what it means. False when it has to see
   * the whole frame.
   */
  private decodeBare(text: string, timeUs: number): boolean {
    const { protocol, writer } = this
    // Routing a frame may change what is remembered of the connection, so it is done once: the first look is a trial.
    const trial = writer.trial()
    let route: Route
    try {
      route = protocol.route(parseWireJson(text, protocol), trial)
      if (route.to !== 'channel' || route.channel !== 'book') return false
      protocol.channels.book?.decode(route.wire, trial)
    } catch (thrown) {
      if (!(thrown instanceof Fault)) throw thrown
      return false
    }
    // Keys of instruments that are in no list are not learned: each of their frames is a fault.
    if (!this.listsAll && trial.events.some(isUnlisted)) return false
    const scanner = this.scanner!
    scanner.routed('book', route.symbol)
    const slot = route.symbol === undefined ? undefined : scanner.learnBare(trial.events, route.symbol)
    if (slot === undefined) return false
    for (const [key, value] of trial.memory) writer.memory.set(key, value)
    this.control?.heard('book', route.symbol, timeUs)
    if (this.options.books !== undefined && this.keep(slot, READ, timeUs)) {
      if (this.streams !== undefined) this.count(slot, this.frameBytes, timeUs)
      this.heardOf(slot, timeUs)
      return true
    }
    this.decode('book', route.symbol, () => scanner.write(slot), 'frame')
    return true
  }

  /** A REST snapshot of a book. */
  snapshot(symbol: string, body: string, timeUs: number): MarketEvent[] {
    const { writer } = this
    writer.receiveTimeUs = timeUs
    const rest = this.protocol.book.snapshot
    if (rest === undefined) return []
    // An answer that cannot be read is no lost change: a book that is live stays so.
    const atStake = this.bookState(symbol) === 'live' ? undefined : symbol
    this.frameBytes = body.length
    this.decode('book', atStake, () => rest.decode(parseWireJson(body, this.protocol), symbol, writer), 'snapshot')
    return writer.take()
  }

  /** A book as it was before a cut of its recording. */
  restored(body: string, timeUs: number): MarketEvent[] {
    const { writer } = this
    writer.receiveTimeUs = timeUs
    this.frameBytes = body.length
    this.decode('book', undefined, () => writeBookState(body, writer), 'poll')
    return writer.take()
  }

  /** The answer to a poll. */
  polled(url: string, body: string, timeUs: number): MarketEvent[] {
    const { writer } = this
    writer.receiveTimeUs = timeUs
    this.frameBytes = body.length
    for (const poll of this.protocol.polls) {
      const symbol = poll.symbolOf(url)
      if (symbol === undefined) continue
      this.decode(
        poll.channel,
        undefined,
        () => poll.decode(parseWireJson(body, this.protocol), symbol, writer),
        'poll',
      )
      break
    }
    return writer.take()
  }

  /** Gives up the book of a symbol, as if a delta had been lost. */
  lose(symbol: string, fault: Fault, timeUs: number): MarketEvent[] {
    this.writer.receiveTimeUs = timeUs
    this.guards.get(symbol)?.lose(fault)
    return this.writer.take()
  }

  bookState(symbol: string): 'live' | 'awaitingSnapshot' | undefined {
    return this.guards.get(symbol)?.state
  }

  /** Books whose guard waits in vain for a snapshot that joins. */
  get unjoined(): number {
    let count = 0
    for (const guard of this.guards.values()) if (guard.unjoined) count++
    return count
  }

  get symbols(): IterableIterator<string> {
    return this.guards.keys()
  }

  private follow(route: Route, timeUs: number): void {
    const { control } = this
    switch (route.to) {
      case 'channel': {
        const channel = this.protocol.channels[route.channel]
        if (channel === undefined) {
          this.ignore(`channel ${route.channel} is not described`)
          return
        }
        control?.heard(route.channel, route.symbol, timeUs)
        this.scanner?.routed(route.channel, route.symbol)
        this.decode(route.channel, route.symbol, () => channel.decode(route.wire, this.writer), 'frame')
        return
      }
      case 'ack':
        this.aside('acknowledgement')
        this.scanner?.forget()
        control?.acknowledged(route.id, route.keys)
        return
      case 'heartbeat':
        this.aside('heartbeat')
        return
      case 'answer':
        this.aside('heartbeat that asks for an answer')
        control?.answer(route.text)
        return
      case 'refused':
        this.aside(`refusal: ${route.reason}`)
        this.scanner?.forget()
        control?.refused(route.id, route.keys, route.reason)
        return
      case 'reconnect':
        this.aside(`announced disconnection: ${route.reason}`)
        control?.reconnect(
          new Fault('EXCHANGE_RESTART', `${this.protocol.title} will drop the connection: ${route.reason}.`),
        )
        return
      case 'ignored':
        this.ignore(route.reason)
        this.scanner?.learn([], undefined)
        return
      case 'unknown':
        this.unreadable(
          new Fault(
            'FRAME_UNREADABLE',
            `${this.protocol.title} sent a frame that its protocol does not document: ${route.reason}.`,
          ),
          undefined,
          undefined,
        )
        return
    }
  }

  /**
   * Decodes into the batch; on failure the frame's events are taken back and its book, if it had one, is given up.
   *
   * @param from  a REST snapshot may have been overtaken by the stream; only frames teach the scanner
   */
  private decode(
    channel: ChannelName,
    symbol: string | undefined,
    decode: () => void,
    from: 'frame' | 'snapshot' | 'poll',
  ): void {
    const { writer, counts } = this
    const inexactBefore = writer.counts.inexactNumbers
    try {
      decode()
    } catch (thrown) {
      writer.events = []
      this.unreadable(thrown, channel, symbol)
      return
    }
    counts.inexactNumbers += writer.counts.inexactNumbers - inexactBefore
    if (writer.events.length === 0) this.reason = 'data without events'
    writer.events = this.listed(writer.events)
    if (this.streams !== undefined) this.countDecoded(this.streams, channel, symbol, this.frameBytes)
    if (from === 'frame') {
      this.heardIn(writer.events, channel, symbol)
      this.scanner?.learn(writer.events, symbol)
    }
    this.accept(from === 'snapshot')
  }

  /** Counts the events of the batch, and lets its book changes through their guards. */
  private accept(answered: boolean): void {
    const { writer, counts } = this
    const { events } = writer
    for (const event of events) {
      switch (event.kind) {
        case 'trade':
          if (event.history) counts.tradesHistory++
          else counts.trades++
          break
        case 'ticker':
          counts.tickers++
          break
        case 'candle':
          counts.candles++
          break
        case 'derivative':
          counts.derivatives++
          break
        case 'liquidation':
          counts.liquidations++
          break
        case 'snapshot':
        case 'delta':
        case 'notice':
          break
      }
    }
    if (this.options.guarded === false || !events.some(isBookChange)) return
    writer.events = []
    for (const event of events) {
      if (!isBookChange(event)) writer.events.push(event)
      else if (answered) this.guardOf(event.symbol)?.answer(event)
      else this.guardOf(event.symbol)?.receive(event)
    }
  }

  /** Events of instruments that the exchange lists: nobody can have asked for others. All of them where its list is not known. */
  private listed(events: MarketEvent[]): MarketEvent[] {
    if (this.listsAll) return events
    const unlisted = events.find(isUnlisted)
    if (unlisted === undefined) return events
    const { symbol } = unlisted
    const fault = new Fault(
      'SYMBOL_UNKNOWN',
      `${this.protocol.title} sent data of ${JSON.stringify(symbol)}, which is not in its list of instruments: they are left out.`,
      { symbol },
    )
    this.fault(fault)
    const listed = events.filter((event) => !isUnlisted(event))
    if (listed.length === 0) this.reason = `${fault.code}: ${fault.message}`
    return listed
  }

  /** True where an instrument that is in no list may be traded all the same. */
  private get listsAll(): boolean {
    return this.options.instruments.size === 0 || this.options.wholeList === false
  }

  private guardOf(symbol: string): BookGuard | undefined {
    const known = this.guards.get(symbol)
    if (known !== undefined) return known
    if (this.guards.size >= (this.options.symbolsMax ?? SYMBOLS_MAX)) {
      this.fault(
        new Fault(
          'SYMBOL_UNKNOWN',
          `More than ${this.guards.size} instruments on one connection: ${symbol} is left out.`,
          { symbol },
        ),
      )
      return undefined
    }
    const { book } = this.protocol
    const { writer, control } = this
    const stream = this.streams?.of(this.protocol.id, 'book', symbol, writer.instrument(symbol)?.name)
    const guard = new BookGuard(
      symbol,
      {
        exchange: this.protocol.id,
        sequencing: book.sequencing,
        checksum: book.checksum,
        crossingMeansLoss: book.crossingMeansLoss,
        bufferMax: this.options.bufferMax ?? BUFFER_MAX,
        keepsBook: this.options.books !== undefined,
      },
      this.counts.guard,
      {
        event: (change) => {
          if (this.options.books === undefined) writer.events.push(change)
          else this.kept.get(guard)!.changed(change)
        },
        notice: (code, details) => {
          if (stream !== undefined && code === 'gap') stream.gaps++
          else if (stream !== undefined && code === 'resynced') stream.resyncs++
          writer.notice(code, symbol, details)
        },
        fault: (fault) => {
          if (stream !== undefined) countFault(stream, fault.code)
          this.fault(fault)
          control?.resync(symbol, fault)
        },
      },
    )
    this.guards.set(symbol, guard)
    const { books } = this.options
    if (books !== undefined) {
      this.kept.set(guard, new KeptBook(this.protocol.id, symbol, writer.instrument(symbol)?.name, guard, books))
    }
    return guard
  }

  /** A frame that is no data and is meant so. */
  private aside(reason: string): void {
    this.counts.ignored++
    this.reason = reason
  }

  private ignore(reason: string): void {
    this.aside(reason)
    const { ignoredReasons } = this.counts
    if (ignoredReasons.has(reason) || ignoredReasons.size < REASONS_MAX) {
      ignoredReasons.set(reason, (ignoredReasons.get(reason) ?? 0) + 1)
    }
  }

  private unreadable(thrown: unknown, channel: ChannelName | undefined, symbol: string | undefined): void {
    this.counts.unreadable++
    const fault =
      thrown instanceof Fault
        ? thrown
        : new Fault('FRAME_UNREADABLE', `A frame could not be read: ${messageOf(thrown)}.`, {}, { cause: thrown })
    this.reason = `${fault.code}: ${fault.message}`
    this.fault(fault)
    // What could not be read was a change of this book: it can no longer vouch for itself.
    if (channel === 'book' && symbol !== undefined) this.guards.get(symbol)?.lose(fault)
  }

  private fault(fault: Fault): void {
    const { faults } = this.counts
    faults.set(fault.code, (faults.get(fault.code) ?? 0) + 1)
    if (this.control !== undefined) this.control.fault(fault)
    else this.options.onFault?.(fault)
  }
}

function listenerOf(
  control: SessionControl,
  channel: ChannelName,
  symbol: string | undefined,
): (timeUs: number) => void {
  return control.listener?.(channel, symbol) ?? ((timeUs) => control.heard(channel, symbol, timeUs))
}

function staleFault({ id, title }: ExchangeProtocol, { stream, silentMs, intervalMs }: Silence): Fault {
  const { channel, symbol } = stream
  const message = `${title} has sent nothing of ${channel} of ${symbol} for ${silentMs} ms on a lively connection, where ${intervalMs} ms are usual.`
  return new Fault('STREAM_STALE', message, { exchange: id, channel, symbol, silentMs, intervalMs })
}

function isUnlisted(event: MarketEvent): boolean {
  return event.instrument === undefined && event.symbol !== ''
}

function isBookChange(event: MarketEvent): event is BookChange {
  return event.kind === 'snapshot' || event.kind === 'delta'
}
