/**
 * Reads the frames of one connection by their shapes, without parsing them.
 *
 * A scan needs to know its key: the part of a frame that names the subscription. The first frame with a key goes through the
 * plain decoder; when what that makes of it is what the scan has read, the key is learned, with all that no field says (symbol,
 * instrument, depth). So a scan can only ever repeat what the plain decoder has said of the same key.
 *
 * What the plain decoder says may change: which of two book streams of an instrument counts, how deep its book is. Whenever a
 * frame of a book takes the plain road, and is not one that only has to be learned, the book's key is forgotten and learned
 * anew.
 */
import { isDeepStrictEqual } from 'node:util'
import type { ScannedNumbers } from '../book/bookGuard'
import type { BookShape, ChannelName, ExchangeProtocol, FrameShape } from '../exchanges/protocol'
import { kernel, type Kernel } from '../kernel/kernel'
import {
  ASKS,
  ASK_COUNT,
  BIDS,
  BID_COUNT,
  CHAIN_LINK,
  CHAIN_NONE,
  CHAIN_RANGE,
  CHAIN_STEP,
  DECIMALS,
  ENTRY_BYTES,
  ENTRY_DESK,
  ENTRY_KEY_LENGTH,
  ENTRY_SLOT,
  FRAME,
  LISTS,
  LIST_COUNT,
  MISSED,
  PRICES,
  PROGRAM,
  READ,
  REGISTERS,
  ROW_BYTES,
  ROW_REGISTERS,
  SCRATCH,
  ROWS,
  ROW_COUNT,
  R_FIELDS,
  SIZES,
  SLOT,
  TABLE_HEAD_BYTES,
  TEXTS,
  T_KEY,
  UNKNOWN_KEY,
  VERIFY_NONE,
  VERIFY_UNCROSSED,
} from '../kernel/layout'
import { compile, type BookRule, type Program, type Shape } from '../kernel/shape'
import type { EventWriter } from '../model/codec/eventWriter'
import type { BookChange, Level, LevelDigits, MarketEvent } from '../model/events'
import type { KeptBook } from './bookKeeper'
import type { StreamCadence } from './staleness'
import type { StreamCounts } from './streams'

/** What is known of a key. */
export interface Slot {
  readonly id: string
  /** Its book, once a session that keeps books has looked. */
  book: KeptBook | undefined
  /** Where its frames are counted, once the first was. */
  stream: StreamCounts | undefined
  /** Who is told that a frame of it has come, once one was. */
  listener: ((timeUs: number) => void) | undefined
  /** Its cadence, once its session has looked. */
  cadence: StreamCadence | undefined
  readonly shape: ReadShape
  /** The symbol by which the plain decoder routes frames with this key. */
  readonly routed: string | undefined
  readonly symbol: string
  readonly instrument: string | undefined
  readonly depth: number | undefined
}

/** A shape, compiled, with the places of its fields. */
export interface ReadShape {
  readonly frame: FrameShape
  /** Its place among the exchange's shapes. */
  readonly number: number
  /** True where each `seq` is one more than the last. */
  readonly stepsOfOne: boolean
  /** True where a delta has the number that chains it to the one before. */
  readonly isNumbered: boolean
  readonly exchangeTimeUs: Place
  readonly seq: Place
  readonly prevSeq: Place
  readonly firstSeq: Place
  readonly checksum: Place
  readonly price: Place
  readonly size: Place
  readonly side: Place
  readonly id: Place
  /** Text that the id is, or 0. */
  readonly idText: number
  readonly bidPrice: Place
  readonly bidSize: Place
  readonly askPrice: Place
  readonly askSize: Place
  readonly lastPrice: Place
}

/** Index of a field's register in the kernel's doubles; 0 where the shape has no such field. */
export type Place = number

/** Keys of one connection that are known, and that are known to be of no use. */
const KEYS_MAX = 20_000
const USELESS_MAX = 1_000
/** A key that was of no use is considered again after so many frames: the one that it was judged by may have been odd. */
const USELESS_FRAMES = 100
const ENTRIES_MIN = 64
/** Bytes from which a frame is shown to the plain decoder without its levels. */
const BARE_FROM = 1_024
/** Length of the key of an entry that has been forgotten. */
const FORGOTTEN = -1

/**
 * A key with escapes would end elsewhere than its text, one of other scripts would be read wrongly, and in braces an object
 * could hide.
 */
const PLAIN_TEXT = /^[ !#-[\]-z"]+$/

const REGISTER = REGISTERS >> 3

/** An exchange's shapes in the kernel; compiled once, for all connections. */
interface CompiledShapes {
  readonly shapes: readonly ReadShape[]
  /** Address of the first program. */
  readonly chain: number
}

const compiled = new WeakMap<ExchangeProtocol, CompiledShapes>()

/** Kernel memory of one scanner, given back when it is released or collected. */
interface Held {
  blocks: { at: number; bytes: number }[]
}

const collected = new FinalizationRegistry<Held>((held) => giveBack(held))

export class Scanner {
  private readonly kernel: Kernel = kernel()
  private readonly shapes: readonly ReadShape[]
  private readonly chain: number
  private readonly slots: (Slot | undefined)[] = []
  /** Slots by key, with the number of the shape before it. */
  private readonly keys = new Map<string, number>()
  /** The key of a book, by the symbol that it is routed by: one at a time, in one or several shapes. */
  private readonly bookKeys = new Map<string, BookKey>()
  /** Keys that are of no use, with the frames that they have had since. */
  private readonly useless = new Map<string, number>()
  private readonly held: Held = { blocks: [] }
  private table = 0
  private entries = 0
  /** Entries that have been taken since the table was built, those of forgotten keys included. */
  private taken = 0
  /** What the last frame would be, were its key known. */
  private candidate: Candidate | undefined
  private readonly delta = new ScannedDelta()

  constructor(
    protocol: ExchangeProtocol,
    private readonly writer: EventWriter,
  ) {
    const { shapes, chain } = shapesOf(protocol)
    this.shapes = shapes
    this.chain = chain
    this.forget()
    collected.register(this, this.held)
  }

  /**
   * READ when the frame was read: `slot` says what is known of its key. TAKEN, DOUBTED or BETWEEN when it was a delta that a
   * desk has taken too. MISSED when the plain decoder must see it.
   */
  scan(data: string | Uint8Array, receiveTimeUs: number): number {
    const { kernel } = this
    this.candidate = undefined
    if (this.table === 0) this.forget()
    const length = kernel.putFrame(data)
    if (length < 0) return MISSED
    const result = kernel.code.scan(this.chain, FRAME, FRAME + length, this.table, receiveTimeUs)
    if (result >= READ && result !== UNKNOWN_KEY) {
      const { slot } = this
      return slot !== undefined && (result > UNKNOWN_KEY || isUsable(kernel, slot.shape)) ? result : MISSED
    }
    if (result === UNKNOWN_KEY) this.consider(length)
    return MISSED
  }

  /** What is known of the key of the last frame that was read. Asked again rather than kept: a pointer costs more to write than to find. */
  get slot(): Slot | undefined {
    return this.slots[this.kernel.words[SLOT >> 2]!]
  }

  /** Lets the desk of a key's book take its deltas. */
  seat(slot: Slot, book: KeptBook): void {
    const index = this.keys.get(slot.id)
    slot.book = book
    if (index !== undefined) {
      this.kernel.words[(this.placeOf(slot.id, index) + ENTRY_DESK) >> 2] = book.guard.desk!.address
    }
  }

  /** What a field of the frame that was read holds. */
  numberAt(place: Place): number {
    return this.kernel.doubles[place]!
  }

  /** The numbers of the delta that was read; NaN for what its exchange does not send. */
  numbersOf({ shape }: Slot): ScannedDelta {
    const { doubles, words } = this.kernel
    const numbers = this.delta
    const seq = doubles[shape.seq]!
    numbers.bids = words[BID_COUNT >> 2]!
    numbers.asks = words[ASK_COUNT >> 2]!
    numbers.exchangeTimeUs = shape.exchangeTimeUs === 0 ? NaN : doubles[shape.exchangeTimeUs]!
    numbers.seq = shape.seq === 0 ? NaN : seq
    numbers.prevSeq = shape.stepsOfOne ? seq - 1 : shape.prevSeq === 0 ? NaN : doubles[shape.prevSeq]!
    numbers.firstSeq = shape.firstSeq === 0 ? NaN : doubles[shape.firstSeq]!
    numbers.checksum = shape.checksum === 0 ? NaN : doubles[shape.checksum]!
    return numbers
  }

  /** Trades of the frame that was read. */
  get rows(): number {
    return this.kernel.words[ROW_COUNT >> 2]!
  }

  /** Writes the events of the frame that was read; of a book change without its levels if these are left where they are. */
  write(slot: Slot, withLevels = true): void {
    const { kernel, writer } = this
    const { doubles, words } = kernel
    const { shape } = slot
    switch (shape.frame.event) {
      case 'delta':
      case 'snapshot': {
        const seq = numberAt(doubles, shape.seq)
        writer.scannedChange(
          shape.frame.event,
          slot,
          numberAt(doubles, shape.exchangeTimeUs),
          withLevels ? this.side(false) : NO_LEVELS,
          withLevels ? this.side(true) : NO_LEVELS,
          {
            seq,
            prevSeq: shape.stepsOfOne && seq !== undefined ? seq - 1 : numberAt(doubles, shape.prevSeq),
            firstSeq: numberAt(doubles, shape.firstSeq),
            checksum: numberAt(doubles, shape.checksum),
          },
        )
        return
      }
      case 'trade': {
        const rows = words[ROW_COUNT >> 2]!
        if (rows === 0) this.writeTrade(slot, 0, TEXTS)
        for (let row = 0; row < rows; row++) {
          const at = ROWS + row * ROW_BYTES
          this.writeTrade(slot, (at >> 3) - (REGISTER + R_FIELDS), at + ROW_REGISTERS * 8)
        }
        return
      }
      case 'ticker': {
        const { zeroIsNone } = shape.frame
        const read = (place: Place): number | undefined => {
          const number = numberAt(doubles, place)
          return zeroIsNone && number === 0 ? undefined : number
        }
        writer.scannedTicker(slot, numberAt(doubles, shape.exchangeTimeUs), {
          bidPrice: read(shape.bidPrice),
          bidSize: read(shape.bidSize),
          askPrice: read(shape.askPrice),
          askSize: read(shape.askSize),
          lastPrice: read(shape.lastPrice),
        })
      }
    }
  }

  /**
   * The frame that was just missed without its levels, where they are most of it: for the plain decoder, which has only to say
   * what the frame's key means. `learnBare` is told what that is.
   */
  get bare(): string | undefined {
    return this.candidate?.bare
  }

  /**
   * As `learn`, of the bare frame, whose levels still lie where the scan has left them.
   *
   * @returns what is known of the key now, so that the frame is one that was read; undefined when it is not what was scanned
   */
  learnBare(events: readonly MarketEvent[], routed: string): Slot | undefined {
    const { candidate } = this
    const [event] = events
    const bare = candidate?.nameless[0]
    if (candidate === undefined || event === undefined || bare === undefined || !isChange(event)) return undefined
    const slot = slotFor(keyIn(candidate.shape, candidate.keyText), candidate.shape, event, routed)
    if (slot === undefined || this.keys.size >= KEYS_MAX) return undefined
    // Where levels carry the time, the bare frame has none.
    const exchangeTimeUs = event.exchangeTimeUs ?? bare.exchangeTimeUs
    if (!areSame(candidate.own(slot), [{ ...event, exchangeTimeUs }])) return undefined
    this.candidate = undefined
    this.admit(slot, candidate)
    return slot
  }

  /** A frame that was missed has been routed: what is remembered of its book may change. */
  routed(channel: ChannelName, symbol: string | undefined): void {
    if (channel !== 'book') return
    if (symbol === undefined) {
      this.forget()
      return
    }
    const known = this.bookKeys.get(symbol)
    // The same key in another shape is no other stream.
    if (known === undefined || known.text === this.candidate?.keyText) return
    this.bookKeys.delete(symbol)
    for (const id of known.ids) this.forgetKey(id)
  }

  /**
   * What the plain decoder has made of the frame that was just missed: its key is learned when both say the same.
   *
   * @param routed  the symbol that the frame was routed by
   */
  learn(events: readonly MarketEvent[], routed: string | undefined): void {
    const { candidate } = this
    this.candidate = undefined
    if (candidate === undefined) return
    const { shape, keyText } = candidate
    const id = keyIn(shape, keyText)
    const [first] = events
    const slot = first === undefined ? undefined : slotFor(id, shape, first, routed)
    // A book that is routed by no name could not be forgotten.
    const isNameless = shape.frame.channel === 'book' && routed === undefined
    const own = slot === undefined ? [] : candidate.bare === undefined ? candidate.own(slot) : this.ownOf(slot)
    if (slot === undefined || isNameless || this.keys.size >= KEYS_MAX || !areSame(own, events)) {
      if (this.useless.size >= USELESS_MAX) this.useless.clear()
      this.useless.set(id, 0)
      return
    }
    this.admit(slot, candidate)
  }

  /** What is known of a key is used from now on. */
  private admit(slot: Slot, { shape, keyText }: Candidate): void {
    const { id, routed } = slot
    if (shape.frame.channel === 'book' && routed !== undefined) {
      const known = this.bookKeys.get(routed)
      if (known === undefined) this.bookKeys.set(routed, { text: keyText, ids: [id] })
      else if (!known.ids.includes(id)) known.ids.push(id)
    }
    this.useless.delete(id)
    this.keys.set(id, this.slots.length)
    this.slots.push(slot)
    if ((this.taken + 1) * 2 > this.entries) this.build()
    else this.enter(id, this.slots.length - 1, slot)
  }

  /** The events of the frame that was just scanned. */
  private ownOf(slot: Slot, withLevels = true): MarketEvent[] {
    const { events } = this.writer
    this.writer.events = []
    this.write(slot, withLevels)
    const own = this.writer.events
    this.writer.events = events
    return own
  }

  /** Forgets all keys: what they mean may have changed. */
  forget(): void {
    this.clear()
    // An empty table stays as it is: acknowledgements come in dozens.
    if (this.taken > 0 || this.table === 0) this.build()
  }

  /** Forgets all keys and gives their memory back. */
  release(): void {
    this.clear()
    giveBack(this.held)
    this.table = 0
  }

  private clear(): void {
    this.candidate = undefined
    this.keys.clear()
    this.bookKeys.clear()
    this.useless.clear()
    this.slots.length = 0
  }

  /** The levels of a side that the scan has left in its columns. */
  private side(asks: boolean): { levels: Level[]; digits: LevelDigits } {
    const { doubles, words } = this.kernel
    const count = words[(asks ? ASK_COUNT : BID_COUNT) >> 2]!
    const column = (asks ? ASKS : BIDS) >> 3
    const levels: Level[] = []
    const decimals: number[] = []
    for (let index = 0; index < count; index++) {
      levels.push([doubles[column + (PRICES >> 3) + index]!, doubles[column + (SIZES >> 3) + index]!])
      decimals.push(doubles[column + (DECIMALS >> 3) + index]!)
    }
    return { levels, digits: { decimals, texts: undefined } }
  }

  private writeTrade({ shape, symbol, instrument }: Slot, offset: number, texts: number): void {
    const { doubles } = this.kernel
    const at = (place: Place): number => doubles[place + offset]!
    this.writer.scannedTrade(symbol, instrument, shape.exchangeTimeUs === 0 ? undefined : at(shape.exchangeTimeUs), {
      id: shape.idText > 0 ? this.textAt(texts + shape.idText * 8) : shape.id === 0 ? undefined : String(at(shape.id)),
      side: at(shape.side) === 0 ? 'buy' : 'sell',
      price: at(shape.price),
      size: at(shape.size),
      priceDecimals: at(shape.price + 1),
      sizeDecimals: at(shape.size + 1),
    })
  }

  private textAt(at: number): string {
    const { words, bytes } = this.kernel
    const from = words[at >> 2]!
    return bytes.toString('latin1', from, from + words[(at >> 2) + 1]!)
  }

  /** A frame with an unknown key: its events are kept, for comparison with what the plain decoder says. */
  private consider(length: number): void {
    const { kernel } = this
    const shape = this.shapes[kernel.words[PROGRAM >> 2]!]!
    const keyText = this.textAt(TEXTS + T_KEY * 8)
    if (!PLAIN_TEXT.test(keyText)) return
    const id = keyIn(shape, keyText)
    if (this.keys.has(id)) {
      // A key that names another symbol than before: whichever comes next is learned.
      this.forgetKey(id)
      return
    }
    const useless = this.useless.get(id)
    if (useless !== undefined && useless < USELESS_FRAMES) {
      this.useless.set(id, useless + 1)
      return
    }
    if (!isUsable(kernel, shape)) return
    const isBare = shape.frame.channel === 'book' && length >= BARE_FROM
    // Texts may be overwritten: the events are written now, and the names put in when they are known.
    const nameless = this.ownOf({ ...NOBODY, shape }, !isBare)
    this.candidate = {
      shape,
      keyText,
      nameless,
      bare: isBare ? this.bareFrame(length) : undefined,
      own: ({ symbol, instrument, depth }) =>
        nameless.map((event) =>
          'depth' in event ? { ...event, symbol, instrument, depth } : { ...event, symbol, instrument },
        ),
    }
  }

  /** The frame with its lists of levels emptied. It is plain text: its shape, its key and its numbers are. */
  private bareFrame(length: number): string {
    const { bytes, words } = this.kernel
    let text = ''
    let from = FRAME
    for (let list = 0; list < words[LIST_COUNT >> 2]!; list++) {
      const at = (LISTS >> 2) + list * 2
      text += bytes.toString('latin1', from, words[at])
      from = words[at + 1]!
    }
    return text + bytes.toString('latin1', from, FRAME + length)
  }

  private forgetKey(id: string): void {
    const index = this.keys.get(id)
    if (index === undefined) return
    this.slots[index] = undefined
    this.keys.delete(id)
    // Its place in the table stays taken, since others may lie behind it.
    this.kernel.words[(this.placeOf(id, index) + ENTRY_KEY_LENGTH) >> 2] = FORGOTTEN
  }

  /** The table of keys, anew and with room for as many again. */
  private build(): void {
    giveBack(this.held)
    this.entries = ENTRIES_MIN
    this.taken = 0
    while (this.entries < this.keys.size * 4) this.entries *= 2
    this.table = this.take(TABLE_HEAD_BYTES + this.entries * ENTRY_BYTES)
    const { words } = this.kernel
    words.fill(0, this.table >> 2, (this.table + TABLE_HEAD_BYTES + this.entries * ENTRY_BYTES) >> 2)
    words[this.table >> 2] = this.entries - 1
    // Numbers are given anew, so that slots that were forgotten leave no holes.
    const known = [...this.keys].map(([id, index]) => [id, this.slots[index]!] as const)
    this.slots.length = 0
    for (const [id, slot] of known) {
      this.keys.set(id, this.slots.length)
      this.slots.push(slot)
      this.enter(id, this.slots.length - 1, slot)
    }
  }

  private enter(id: string, index: number, { book, shape, symbol, depth }: Slot): void {
    const key = keyBytes(id)
    const keyAt = this.put(key)
    const symbolBytes = Buffer.from(symbol, 'utf8')
    const symbolAt = this.put(symbolBytes)
    const desk = book?.guard.desk?.address ?? 0
    const entry = [keyAt, key.length, index, symbolAt, symbolBytes.length, shape.number, desk, depth ?? 0]
    this.kernel.words.set(entry, this.placeOf(id, undefined) >> 2)
    this.taken++
  }

  /** Address of the entry of a key that has this index, or of the free one where a new key belongs. */
  private placeOf(id: string, index: number | undefined): number {
    const { words } = this.kernel
    const key = keyBytes(id)
    const keyAt = SCRATCH
    this.kernel.bytes.fill(0, keyAt, keyAt + 128)
    this.kernel.bytes.set(key, keyAt)
    const mask = this.entries - 1
    let place = this.kernel.code.hashOf(keyAt, key.length, Number.parseInt(id, 10)) & mask
    for (; ; place = (place + 1) & mask) {
      const entry = this.table + TABLE_HEAD_BYTES + place * ENTRY_BYTES
      const length = words[(entry + ENTRY_KEY_LENGTH) >> 2]!
      if (length === 0 || (length !== FORGOTTEN && words[(entry + ENTRY_SLOT) >> 2] === index)) return entry
    }
  }

  /** Bytes in the kernel, padded with zeros to whole words. */
  private put(bytes: Uint8Array): number {
    const at = this.take(bytes.length + 8)
    this.kernel.bytes.fill(0, at, at + bytes.length + 8)
    this.kernel.bytes.set(bytes, at)
    return at
  }

  private take(bytes: number): number {
    const at = this.kernel.allocate(bytes)
    this.held.blocks.push({ at, bytes })
    return at
  }
}

interface BookKey {
  readonly text: string
  readonly ids: string[]
}

interface Candidate {
  readonly shape: ReadShape
  readonly keyText: string
  /** The events as the scan read them, without what belongs to the key. */
  readonly nameless: readonly MarketEvent[]
  readonly bare: string | undefined
  /** The same, of an instrument. */
  readonly own: (slot: Slot) => MarketEvent[]
}

/** The numbers of the delta that was read last: one object, whose fields are always doubles. */
export class ScannedDelta implements ScannedNumbers {
  bids = 0
  asks = 0
  exchangeTimeUs = NaN
  seq = NaN
  prevSeq = NaN
  firstSeq = NaN
  checksum = NaN
}

function giveBack(held: Held): void {
  const memory = kernel()
  for (const { at, bytes } of held.blocks) memory.release(at, bytes)
  held.blocks = []
}

const NOBODY = {
  id: '',
  book: undefined,
  stream: undefined,
  listener: undefined,
  cadence: undefined,
  routed: undefined,
  symbol: '',
  instrument: undefined,
  depth: undefined,
}
const NO_LEVELS: { levels: Level[]; digits: LevelDigits } = { levels: [], digits: { decimals: [], texts: undefined } }

/** As `isDeepStrictEqual`, for events, whose kinds need not be found out: the first frame of each key is compared. */
function areSame(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false
    for (let index = 0; index < a.length; index++) if (!areSame(a[index], b[index])) return false
    return true
  }
  if (Object.getPrototypeOf(a) !== Object.prototype || Object.getPrototypeOf(b) !== Object.prototype) {
    return isDeepStrictEqual(a, b)
  }
  const keys = Object.keys(a)
  if (keys.length !== Object.keys(b).length) return false
  for (const key of keys) {
    if (!Object.hasOwn(b, key) || !areSame(a[key as keyof typeof a], b[key as keyof typeof b])) return false
  }
  return true
}

/** A key's name begins with the number of its shape. */
function keyIn({ number }: ReadShape, keyText: string): string {
  return `${number} ${keyText}`
}

function keyBytes(id: string): Buffer {
  return Buffer.from(id.slice(id.indexOf(' ') + 1), 'latin1')
}

/** What a plain event says of its key; undefined when it is of another kind than the shape's. */
function slotFor(id: string, shape: ReadShape, event: MarketEvent, routed: string | undefined): Slot | undefined {
  if (event.kind !== shape.frame.event) return undefined
  const { symbol, instrument } = event
  return {
    id,
    book: undefined,
    stream: undefined,
    listener: undefined,
    cadence: undefined,
    shape,
    routed,
    symbol,
    instrument,
    depth: isChange(event) ? event.depth : undefined,
  }
}

function isChange(event: MarketEvent): event is BookChange {
  return event.kind === 'delta' || event.kind === 'snapshot'
}

/** What a description demands beyond its shape. */
function isUsable({ doubles, words }: Kernel, { frame, seq, firstSeq, idText, price }: ReadShape): boolean {
  switch (frame.event) {
    case 'delta':
      // A range that ends before it begins; a numbering that begins anew, which is a snapshot.
      if (firstSeq !== 0 && doubles[seq]! < doubles[firstSeq]!) return false
      return frame.stepsOfOne !== true || doubles[seq]! > 1
    case 'snapshot':
      // A level without a size is none, and what that means is the decoder's to say.
      return hasSizes(doubles, BIDS, words[BID_COUNT >> 2]!) && hasSizes(doubles, ASKS, words[ASK_COUNT >> 2]!)
    case 'trade':
      return idText >= 0 && price !== 0
    case 'ticker':
      return true
  }
}

function hasSizes(doubles: Float64Array, column: number, count: number): boolean {
  const from = (column + SIZES) >> 3
  for (let index = from; index < from + count; index++) if (doubles[index] === 0) return false
  return true
}

function numberAt(doubles: Float64Array, place: Place): number | undefined {
  return place === 0 ? undefined : doubles[place]!
}

function shapesOf(protocol: ExchangeProtocol): CompiledShapes {
  const known = compiled.get(protocol)
  if (known !== undefined) return known
  const shapes: ReadShape[] = []
  let chain = 0
  // The last first, since each names the one after it.
  for (const [number, frame] of [...protocol.shapes.entries()].reverse()) {
    const rule = frame.event === 'delta' ? ruleOf(protocol, frame) : undefined
    const program = compile(frame.shape, number, rule)
    const memory = kernel()
    const at = memory.allocate((program.words.length + 2) * 4)
    memory.words.set([chain, number, ...program.words], at >> 2)
    chain = at
    shapes[number] = readShape(frame, number, program, rule)
  }
  const result = { shapes, chain }
  compiled.set(protocol, result)
  return result
}

/** How the kernel takes a shape's deltas into their books; undefined when it cannot, and their guard sees them all. */
function ruleOf({ book }: ExchangeProtocol, { shape, stepsOfOne }: BookShape): BookRule | undefined {
  const names = fieldNames(shape)
  const { chain } = book.sequencing
  if (chain === CHAIN_RANGE && !(names.has('firstSeq') && names.has('seq'))) return undefined
  if (book.checksum !== undefined && book.crossingMeansLoss) return undefined
  // What chains a delta is what the frame has; without it there is nothing to compare.
  const isChained =
    chain === CHAIN_RANGE ||
    (chain === CHAIN_LINK && names.has('prevSeq')) ||
    (chain === CHAIN_STEP && stepsOfOne === true && names.has('seq'))
  const verify = book.crossingMeansLoss ? VERIFY_UNCROSSED : (book.checksum?.verify ?? VERIFY_NONE)
  return { chain: isChained ? chain : CHAIN_NONE, verify }
}

function fieldNames({ fields }: Shape): ReadonlySet<string> {
  return new Set(fields.flatMap((field) => ('name' in field ? [field.name] : [])))
}

function readShape(
  frame: FrameShape,
  number: number,
  { registers, texts }: Program,
  rule: BookRule | undefined,
): ReadShape {
  const place = (name: string): Place => {
    const register = registers.get(name)
    return register === undefined ? 0 : REGISTER + register
  }
  return {
    frame,
    number,
    stepsOfOne: frame.channel === 'book' && frame.stepsOfOne === true,
    isNumbered: rule !== undefined && rule.chain !== CHAIN_NONE,
    exchangeTimeUs: place('exchangeTimeUs'),
    seq: place('seq'),
    prevSeq: place('prevSeq'),
    firstSeq: place('firstSeq'),
    checksum: place('checksum'),
    price: place('price'),
    size: place('size'),
    side: place('side'),
    id: place('id'),
    idText: texts.get('id') ?? 0,
    bidPrice: place('bidPrice'),
    bidSize: place('bidSize'),
    askPrice: place('askPrice'),
    askSize: place('askSize'),
    lastPrice: place('lastPrice'),
  }
}
