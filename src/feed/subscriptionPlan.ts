/**
 * From wishes to connections: which topics, on which endpoint of which exchange, spread over how many connections.
 *
 * Duplicates of several wishes are merged. One instrument has one book: two book streams of a symbol on one connection
 * would break each other's chain, so the deepest wish is taken for all. Every problem of every wish is found before
 * anything connects.
 */
import type { ChannelName, ExchangeProtocol, Poll, Topic, TopicOptions } from '../exchanges/protocol'
import { CHANNELS } from '../exchanges/protocol'
import { Fault, messageOf } from '../model/fault'
import type { Instrument, InstrumentTable } from '../model/instrument'
import { didYouMean, noSuch } from '../model/nearest'
import type { StaleOptions } from './stalePolicy'

/** What is wanted of one exchange. */
export interface FeedWish {
  readonly exchange: string
  /** Unified names (`BTC-USDT`) or the exchange's own symbols. */
  readonly instruments: readonly string[]
  readonly channels: readonly ChannelName[]
  /** Book levels a side; the exchange's nearest offer is taken. Undefined: its default. */
  readonly depth?: number | undefined
  /** Milliseconds between two frames of a book that are often enough. Undefined: the exchange's default. */
  readonly bookEveryMs?: number | undefined
  /** Complete tops in the place of changes, where the exchange offers both. Default false. */
  readonly bookTops?: boolean | undefined
  /** Candle interval; default a minute. */
  readonly intervalMs?: number | undefined
  /**
   * True when the same is wished of several exchanges and meant wherever it is traded: what this exchange has not got is
   * left out, as long as the wishes together find each instrument and each channel somewhere.
   */
  readonly wherever?: boolean | undefined
  /** False for what a feed may be ready without. Default true. */
  readonly required?: boolean | undefined
  /** When a stream that falls silent is stale, and what is done about it. */
  readonly stale?: StaleOptions | undefined
}

/** What one exchange brings to a plan. */
export interface PlannedExchange {
  readonly protocol: ExchangeProtocol
  readonly instruments: InstrumentTable
}

/** One subscription; several symbols share it where the exchange has one topic for all. */
export interface PlannedTopic {
  readonly topic: Topic
  readonly symbols: readonly string[]
  /** Those of the symbols that the feed is not ready without. */
  readonly required: readonly string[]
  /** How the book was asked for, for its REST snapshot. */
  readonly options: TopicOptions
}

export interface PlannedPoll {
  readonly poll: Poll
  readonly symbol: string
  readonly path: string
}

/** One connection. */
export interface PlannedLink {
  readonly protocol: ExchangeProtocol
  readonly endpoint: string
  readonly topics: readonly PlannedTopic[]
  readonly polls: readonly PlannedPoll[]
}

const INTERVAL_MS = 60_000
/** What a wish without a depth counts for beside one with a depth. */
const DEPTH_DEFAULT = 100
/** And one without a pace beside one with a pace. */
const BOOK_EVERY_MS_DEFAULT = 100

/**
 * The connections that meet the wishes.
 *
 * @param exchangeOf  the exchange of a wish
 * @param moreToCome  true while exchanges are still to be heard from that nobody requires: what they may have is no problem yet
 * @throws `Fault` OPTION_INVALID with a sentence for each problem
 */
export function planLinks(
  wishes: readonly FeedWish[],
  exchangeOf: (id: string) => PlannedExchange,
  moreToCome = false,
): PlannedLink[] {
  const problems = new Problems(moreToCome)
  const exchanges = new Map<string, Wanted>()
  for (const wish of wishes) {
    const { protocol, instruments } = exchangeOf(wish.exchange)
    let wanted = exchanges.get(protocol.id)
    if (wanted === undefined)
      exchanges.set(protocol.id, (wanted = { protocol, topics: new Map(), books: new Map(), polls: new Map() }))
    want(wanted, wish, instruments, problems)
  }
  problems.throwIfAny()
  return [...exchanges.values()].flatMap(spread)
}

/** What can be said against wishes before anything is known of instruments, as sentences. */
export function problemsOf(wishes: readonly FeedWish[]): string[] {
  if (wishes.length === 0) return ['Nothing is wished for: name an exchange, an instrument and a channel.']
  return [...new Set(wishes.flatMap((wish) => problemsOfWish(wish, ` of ${wish.exchange.slice(0, NAME_MAX)}`)))]
}

/** @param of  whose wish it is, as it stands in a sentence with a space before it; empty where there is only one */
export function problemsOfWish(
  { instruments, channels, depth, bookEveryMs, intervalMs }: Omit<FeedWish, 'exchange' | 'wherever'>,
  of = '',
): string[] {
  const problems: string[] = []
  if (instruments.length === 0) problems.push(`Name at least one instrument${of}, such as BTC-USDT.`)
  if (channels.length === 0) problems.push(`Name at least one channel${of}: ${CHANNELS.join(', ')}.`)
  for (const channel of channels) {
    if (!CHANNELS.includes(channel)) problems.push(noSuch('channel', channel, CHANNELS))
  }
  if (depth !== undefined && !(Number.isSafeInteger(depth) && depth >= 1)) {
    problems.push(`A depth${of} is a whole number of levels, 1 or more; it is ${depth}.`)
  }
  if (bookEveryMs !== undefined && !(Number.isSafeInteger(bookEveryMs) && bookEveryMs >= 0)) {
    problems.push(`A pace of books${of} is a whole number of milliseconds, 0 or more; it is ${bookEveryMs}.`)
  }
  if (intervalMs !== undefined && !(Number.isSafeInteger(intervalMs) && intervalMs >= 1)) {
    problems.push(`A candle interval${of} is a whole number of milliseconds, 1 or more; it is ${intervalMs}.`)
  }
  return problems
}

interface Wanted {
  readonly protocol: ExchangeProtocol
  /** By endpoint and key, in the order of the wishes. */
  readonly topics: Map<string, { topic: Topic; symbols: Set<string>; required: Set<string>; options: TopicOptions }>
  /** Which of them are the book of an instrument, by its market and symbol. */
  readonly books: Map<string, WantedBook>
  readonly polls: Map<string, { planned: PlannedPoll; channel: ChannelName; instrument: Instrument }>
}

interface WantedBook {
  readonly keys: readonly string[]
  readonly options: TopicOptions
  readonly required: boolean
}

/** Problems in the order in which they were met; those of `wherever` wishes stand only when no wish found the thing. */
class Problems {
  private readonly sentences = new Set<string>()
  private readonly unlessFound = new Map<string, string[]>()
  private readonly found = new Set<string>()

  constructor(private readonly moreToCome: boolean) {}

  add(sentence: string): void {
    this.sentences.add(sentence)
  }

  missing(thing: string, sentence: string, { wherever, required }: FeedWish): void {
    if (wherever !== true) this.add(sentence)
    else if (required !== false || !this.moreToCome)
      this.unlessFound.set(thing, [...(this.unlessFound.get(thing) ?? []), sentence])
  }

  see(thing: string): void {
    this.found.add(thing)
  }

  throwIfAny(): void {
    const absent = [...this.unlessFound].filter(([thing]) => !this.found.has(thing)).flatMap(([, said]) => said)
    const problems = [...new Set([...this.sentences, ...absent])]
    if (problems.length > 0) throw new Fault('OPTION_INVALID', problems.join(' '), { problems })
  }
}

function want(wanted: Wanted, wish: FeedWish, table: InstrumentTable, problems: Problems): void {
  const { protocol } = wanted
  for (const name of wish.instruments) {
    const instrument = table.find(name)
    if (instrument === undefined) {
      const sentence = `${protocol.title} has no instrument ${quoted(name)}.${didYouMean(name, table.names())}`
      problems.missing(`instrument ${name}`, sentence, wish)
      continue
    }
    problems.see(`instrument ${name}`)
    for (const channel of new Set(wish.channels)) {
      if (wantChannel(wanted, wish, instrument, channel, problems)) problems.see(`channel ${channel}`)
      else {
        const offered = offeredBy(protocol, instrument)
        problems.missing(
          `channel ${channel}`,
          `${protocol.title} has no channel ${channel} for ${instrument.name}; it has ${offered.join(', ')}.`,
          wish,
        )
      }
    }
  }
}

/** False when the exchange has no such channel for the instrument. */
function wantChannel(
  wanted: Wanted,
  wish: FeedWish,
  instrument: Instrument,
  channel: ChannelName,
  problems: Problems,
): boolean {
  const { protocol } = wanted
  const { depth, bookEveryMs, bookTops, intervalMs = INTERVAL_MS } = wish
  const asked: TopicOptions = { depth, bookEveryMs, bookTops, intervalMs }
  const earlier = channel === 'book' ? takeBook(wanted, instrument) : undefined
  const options = earlier === undefined ? asked : both(asked, earlier.options)
  let topics: readonly Topic[] | undefined
  try {
    topics = protocol.channels[channel]?.topics(instrument, options)
  } catch (thrown) {
    problems.add(messageOf(thrown))
    return true
  }
  const required = wish.required !== false || earlier?.required === true
  if (channel === 'book' && topics !== undefined)
    wanted.books.set(bookKey(instrument), { keys: topics.map(keyOf), options, required })
  for (const topic of topics ?? []) {
    const key = keyOf(topic)
    const known = wanted.topics.get(key)
    const symbols = known?.symbols ?? new Set<string>()
    const needed = known?.required ?? new Set<string>()
    symbols.add(topic.symbol)
    if (required) needed.add(topic.symbol)
    if (known === undefined) wanted.topics.set(key, { topic, symbols, required: needed, options })
  }
  let polled = false
  for (const poll of protocol.polls) {
    if (poll.channel !== channel) continue
    const path = poll.path(instrument)
    if (path === undefined) continue
    polled = true
    wanted.polls.set(path, { planned: { poll, symbol: instrument.symbol, path }, channel, instrument })
  }
  return polled || (topics !== undefined && topics.length > 0)
}

/** Takes back the book topics of an instrument that an earlier wish asked for, to ask for one that meets both. */
function takeBook({ topics, books }: Wanted, instrument: Instrument): WantedBook | undefined {
  const earlier = books.get(bookKey(instrument))
  for (const key of earlier?.keys ?? []) topics.delete(key)
  return earlier
}

function bookKey({ market, symbol }: Instrument): string {
  return `${market} ${symbol}`
}

function keyOf({ endpoint, key }: Topic): string {
  return `${endpoint} ${key}`
}

/** What two wishes for the same book are met by: the deeper, the more frequent, and the changes. */
function both(one: TopicOptions, other: TopicOptions): TopicOptions {
  return {
    ...one,
    depth: deeper(one.depth, other.depth),
    bookEveryMs: oftener(one.bookEveryMs, other.bookEveryMs),
    bookTops: one.bookTops === true && other.bookTops === true,
  }
}

function oftener(one: number | undefined, other: number | undefined): number | undefined {
  if (one === undefined && other === undefined) return undefined
  return Math.min(one ?? BOOK_EVERY_MS_DEFAULT, other ?? BOOK_EVERY_MS_DEFAULT)
}

function deeper(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined && other === undefined ? undefined : Math.max(one ?? DEPTH_DEFAULT, other ?? DEPTH_DEFAULT)
}

function offeredBy(protocol: ExchangeProtocol, instrument: Instrument): string[] {
  return CHANNELS.filter((channel) => {
    try {
      return protocol.channels[channel]?.topics(instrument, { depth: undefined, intervalMs: INTERVAL_MS }) !== undefined
    } catch {
      return true // it has the channel, in other intervals
    }
  })
}

/** Topics fill connections in the order of the wishes; each poll belongs to a connection that knows its instrument. */
function spread({ protocol, topics, polls }: Wanted): PlannedLink[] {
  const links: { endpoint: string; topics: PlannedTopic[]; polls: PlannedPoll[] }[] = []
  const filling = new Map<string, (typeof links)[number]>()
  for (const { topic, symbols, required, options } of topics.values()) {
    let link = filling.get(topic.endpoint)
    if (link === undefined || link.topics.length >= protocol.limits.topicsPerConnection) {
      link = { endpoint: topic.endpoint, topics: [], polls: [] }
      links.push(link)
      filling.set(topic.endpoint, link)
    }
    link.topics.push({ topic, symbols: [...symbols], required: [...required], options })
  }
  for (const { planned, channel, instrument } of polls.values()) {
    const subscribed = links.find((link) =>
      link.topics.some(({ topic, symbols }) => topic.channel === channel && symbols.includes(planned.symbol)),
    )
    const market = (endpoint: string): boolean => protocol.endpoints[endpoint]?.market === instrument.market
    let link = subscribed ?? links.find(({ endpoint }) => market(endpoint)) ?? links[0]
    if (link === undefined) {
      const [first] = Object.keys(protocol.endpoints)
      link = { endpoint: Object.keys(protocol.endpoints).find(market) ?? first!, topics: [], polls: [] }
      links.push(link)
    }
    link.polls.push(planned)
  }
  return links.map((link) => ({ protocol, ...link }))
}

const NAME_MAX = 64

function quoted(name: string): string {
  return JSON.stringify(name.slice(0, NAME_MAX))
}
