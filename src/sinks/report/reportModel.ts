/**
 * What a report knows of a run: everything that came, in bounded memory.
 *
 * It takes any value and looks for the fields that it can draw; what it cannot draw it counts, and keeps the latest of. It
 * never throws for what a value holds. Times are the stream's: receive stamps, in microseconds since 1970.
 */
import { LatencyHistogram } from '../../metrics/histogram'
import type { Candle, Derivative, Lineage, Liquidation, Notice, Ticker, Trade } from '../../model/events'
import type { BarValues } from './barSeries'
import type { DepthView } from '../../page/heatMap'
import { InstrumentTrack } from './instrumentTrack'
import { Series } from '../../page/series'

export interface ReportModelOptions {
  /** Instruments on exchanges that are drawn at most; the values of others are counted. */
  readonly instrumentsMax: number
}

/** One line of what happened: a gap, a liquidation. */
export interface Happening {
  readonly timeUs: number
  readonly what: string
  readonly exchange: string
  readonly name: string
  readonly text: string
  /** Where it stands in which recording, where it says so. */
  readonly lineage: Lineage | undefined
}

/** The latest value of a kind that is not drawn. */
export interface LatestValue {
  readonly what: string
  readonly timeUs: number | undefined
  readonly fields: Readonly<Record<string, string | number | boolean | null>>
  readonly count: number
}

/** Exchanges whose latencies are told apart, kinds of values, rows of latest values, and lines of what happened, at most. */
const EXCHANGES_MAX = 16
const KINDS_MAX = 64
const LATEST_MAX = 100
const HAPPENINGS_MAX = 200
/** Names of instruments that are not drawn, which are told apart to be counted. */
const FURTHER_MAX = 10_000
const FIELDS_MAX = 24
/** Text from outside is cut to so many characters. */
export const TEXT_MAX = 200
const POINTS = 1_000

export class ReportModel {
  values = 0
  readonly instruments = new Map<string, InstrumentTrack>()
  /** Of values by their kind. */
  readonly kinds = new Map<string, number>()
  /** From an exchange's own time of an event to its receive stamp. */
  readonly exchangeToReceive = new Map<string, LatencyHistogram>()
  /** Events that an exchange dates later than they were received: two clocks that disagree. */
  fromTheFuture = 0
  /** Oldest first. */
  readonly notices: Happening[] = []
  readonly liquidations: Happening[] = []
  noticeCount = 0
  liquidationCount = 0
  readonly latest = new Map<string, LatestValue>()
  /** Values that threw when they were read. */
  unreadable = 0
  /** Values that are neither drawn nor among the latest. */
  unkept = 0
  /** Values of instruments beyond those that are drawn. */
  furtherValues = 0
  readonly cpuPercent = new Series(POINTS)
  readonly rssBytes = new Series(POINTS)
  readonly loopDelayMsP99 = new Series(POINTS)
  firstUs: number | undefined
  lastUs: number | undefined
  private readonly further = new Set<string>()

  constructor(private readonly options: ReportModelOptions) {}

  /** Instruments that are not drawn, up to a number beyond which they are not told apart. */
  get furtherInstruments(): number {
    return this.further.size
  }

  take(value: unknown): void {
    this.values++
    try {
      this.read(value)
    } catch {
      this.unreadable++
    }
  }

  private read(value: unknown): void {
    const row = isRecord(value) ? value : { value }
    const kind = kindOf(row)
    this.count(kind)
    const timeUs = timeOf(row)
    // A bar may close later than anything has come.
    if (timeUs !== undefined && kind !== 'bar') {
      this.firstUs = Math.min(this.firstUs ?? timeUs, timeUs)
      this.lastUs = Math.max(this.lastUs ?? timeUs, timeUs)
    }
    if (!this.draw(kind, row, timeUs)) this.keepLatest(kind, row, timeUs)
  }

  /** False for what has no place in a chart. */
  private draw(kind: string, row: Fields, timeUs: number | undefined): boolean {
    if (kind === 'process') {
      this.takeProcess(row, timeUs)
      return true
    }
    if (timeUs === undefined || typeof row['exchange'] !== 'string') return false
    if (kind === 'notice') {
      this.takeNotice(row as unknown as Notice, timeUs)
      return true
    }
    if (!DRAWN.has(kind)) return false
    if (!this.isSecondhand(kind)) this.measure(row)
    const track = this.trackOf(row)
    if (track === undefined) return true
    track.values++
    drawInto(track, kind, row, timeUs)
    if (kind === 'liquidation') this.takeLiquidation(row as unknown as Liquidation, track, timeUs)
    return true
  }

  /** What is made of events says nothing new of when they came, where the events themselves come too. */
  private isSecondhand(kind: string): boolean {
    if (kind === 'view' || kind === 'summary') return this.kinds.has('delta') || this.kinds.has('snapshot')
    return kind === 'bar' || kind === 'quote'
  }

  private trackOf(row: Fields): InstrumentTrack | undefined {
    const exchange = shortText(row['exchange'])
    const name = shortText(row['instrument'] ?? row['symbol'])
    const key = `${exchange} ${name}`
    const known = this.instruments.get(key)
    if (known !== undefined) return known
    if (this.instruments.size >= this.options.instrumentsMax) {
      this.furtherValues++
      if (this.further.size < FURTHER_MAX) this.further.add(key)
      return undefined
    }
    const track = new InstrumentTrack(exchange, name)
    this.instruments.set(key, track)
    return track
  }

  private measure({ exchange, exchangeTimeUs, receiveTimeUs, history }: Fields): void {
    if (history === true || !isNumber(exchangeTimeUs) || !isNumber(receiveTimeUs)) return
    const name = shortText(exchange)
    let histogram = this.exchangeToReceive.get(name)
    if (histogram === undefined) {
      if (this.exchangeToReceive.size >= EXCHANGES_MAX) return
      this.exchangeToReceive.set(name, (histogram = new LatencyHistogram()))
    }
    if (receiveTimeUs < exchangeTimeUs) this.fromTheFuture++
    histogram.record(receiveTimeUs - exchangeTimeUs)
  }

  private takeNotice(notice: Notice, timeUs: number): void {
    this.noticeCount++
    const named = notice.symbol !== ''
    const track = named ? this.trackOf(notice as unknown as Fields) : undefined
    if (track !== undefined) hearNotice(track, notice.code, timeUs)
    const what = shortText(notice.code)
    const name = named ? shortText(notice.instrument ?? notice.symbol) : ''
    const text = detailsText(notice.details)
    const lineage = lineageOf(notice.lineage)
    remember(this.notices, { timeUs, what, exchange: shortText(notice.exchange), name, text, lineage })
  }

  private takeLiquidation({ side, price, size, lineage }: Liquidation, track: InstrumentTrack, timeUs: number): void {
    this.liquidationCount++
    const text = `${side === undefined ? '' : `${shortText(side)} `}${shortText(size)} at ${shortText(price)}`
    remember(this.liquidations, {
      ...{ timeUs, what: 'liquidation', exchange: track.exchange, name: track.name, text },
      lineage: lineageOf(lineage),
    })
  }

  private takeProcess(row: Fields, timeUs: number | undefined): void {
    if (timeUs === undefined) return
    const add = (series: Series, value: unknown): void => {
      if (isNumber(value)) series.add(timeUs, value)
    }
    add(this.cpuPercent, row['cpuPercent'])
    add(this.rssBytes, row['rssBytes'])
    const delay = row['loopDelayMs']
    if (isRecord(delay)) add(this.loopDelayMsP99, delay['p99'])
  }

  private count(kind: string): void {
    const known = this.kinds.get(kind)
    if (known !== undefined || this.kinds.size < KINDS_MAX) this.kinds.set(kind, (known ?? 0) + 1)
    else this.kinds.set(OTHER, (this.kinds.get(OTHER) ?? 0) + 1)
  }

  private keepLatest(kind: string, row: Fields, timeUs: number | undefined): void {
    if (CHANGES.has(kind)) return
    const who = [row['exchange'], row['instrument'] ?? row['symbol']].filter((part) => typeof part === 'string')
    const what = [kind, ...who.map(shortText)].join(' ')
    const known = this.latest.get(what)
    if (known === undefined && this.latest.size >= LATEST_MAX) {
      this.unkept++
      return
    }
    this.latest.set(what, { what, timeUs, fields: fieldsOf(row), count: (known?.count ?? 0) + 1 })
  }
}

type Fields = Readonly<Record<string, unknown>>

const OTHER = 'other'

/** Changes of books are counted: what they come to is in the views. */
const CHANGES: ReadonlySet<string> = new Set(['snapshot', 'delta'])

const DRAWN: ReadonlySet<string> = new Set([
  ...['trade', 'ticker', 'candle', 'derivative', 'liquidation', 'snapshot', 'delta'],
  ...['view', 'summary', 'quote', 'bar'],
])

/** A view of a book, as far as a report reads it. */
interface TopView extends DepthView {
  bestBid(): { readonly price: number } | undefined
  bestAsk(): { readonly price: number } | undefined
}

function drawInto(track: InstrumentTrack, kind: string, row: Fields, timeUs: number): void {
  switch (kind) {
    case 'trade': {
      const { price, size, history, lineage } = row as unknown as Trade
      if (!history && isNumber(price) && isNumber(size)) track.trade(timeUs, price, size, lineageOf(lineage))
      return
    }
    case 'snapshot':
      track.state = 'live'
      return
    case 'view':
      drawView(track, row as unknown as TopView)
      return
    case 'ticker':
      // Beside the book a ticker tells nothing new, and late.
      if (track.state === 'none') drawTop(track, row, timeUs)
      return
    case 'summary':
      track.state = 'live'
      drawTop(track, row, timeUs)
      return
    case 'quote':
      drawTop(track, row, timeUs)
      if (isNumber(row['dislocationBps'])) track.dislocationBps.add(timeUs, row['dislocationBps'])
      return
    case 'bar':
    case 'candle':
      drawBar(track, kind, row)
      return
    case 'derivative':
      for (const [field, name] of DERIVATIVE_FIELDS) {
        const value = (row as unknown as Derivative)[field]
        if (isNumber(value)) track.derivative.set(name, value)
      }
  }
}

const DERIVATIVE_FIELDS = [
  ['markPrice', 'mark'],
  ['indexPrice', 'index'],
  ['fundingRate', 'funding'],
  ['openInterest', 'open interest'],
] as const

function drawTop(track: InstrumentTrack, row: Fields, timeUs: number): void {
  const { bidPrice, askPrice } = row as unknown as Ticker
  if (isNumber(bidPrice) && isNumber(askPrice)) track.top(timeUs, bidPrice, askPrice)
}

function drawView(track: InstrumentTrack, view: TopView): void {
  if (typeof view.bestBid !== 'function' || typeof view.bestAsk !== 'function') return
  const bid = view.bestBid()
  const ask = view.bestAsk()
  if (bid !== undefined && ask !== undefined) track.top(view.receiveTimeUs, bid.price, ask.price)
  if (typeof view.copySide === 'function') track.book(view)
}

function drawBar(track: InstrumentTrack, kind: 'bar' | 'candle', row: Fields): void {
  const { openTimeUs, open, high, low, close, intervalUs } = row as unknown as Candle
  if (!isNumber(intervalUs) || intervalUs <= 0) return
  const of = kind === 'candle' ? 'candles of the exchange' : `bars of ${shortText(row['field'] ?? 'trades')}`
  const volume = isNumber(row['volume']) ? row['volume'] : 0
  const bar: BarValues = { openTimeUs, open, high, low, close, volume }
  track.bar(`${of}, ${intervalText(intervalUs)}`, intervalUs, bar)
}

/** The states of a book as its notices tell them. */
function hearNotice(track: InstrumentTrack, code: string, timeUs: number): void {
  if (code === 'gap') track.gaps++
  if (code === 'resynced') track.resyncs++
  if (code === 'gap' || code === 'dropped') track.silence('gap', timeUs)
  else if (code === 'resynced') track.state = 'live'
  else if (code === 'disconnected') track.silence('down', timeUs)
}

function remember(happenings: Happening[], happening: Happening): void {
  happenings.push(happening)
  if (happenings.length > HAPPENINGS_MAX) happenings.shift()
}

function kindOf(row: Fields): string {
  const { kind } = row
  if (typeof kind === 'string' && kind !== '') return shortText(kind)
  return 'loopDelayMs' in row && 'rssBytes' in row ? 'process' : 'value'
}

function timeOf(row: Fields): number | undefined {
  const { receiveTimeUs, timeUs, closeTimeUs } = row
  return [receiveTimeUs, timeUs, closeTimeUs].find(isNumber)
}

/** The fields of a value that fit into a table; of the others their form. */
function fieldsOf(row: Fields): LatestValue['fields'] {
  const fields: [string, string | number | boolean | null][] = []
  for (const [field, value] of Object.entries(row).slice(0, FIELDS_MAX)) {
    if (value === undefined || typeof value === 'function') continue
    const place = field === 'lineage' ? lineageOf(value) : undefined
    if (place !== undefined) fields.push([field, placeText(place)])
    else fields.push([shortText(field), typeof value === 'boolean' || isNumber(value) ? value : formOf(value)])
  }
  return Object.fromEntries(fields)
}

function formOf(value: unknown): string | null {
  if (value === null) return null
  if (Array.isArray(value)) return `${value.length} elements`
  return typeof value === 'object' ? '{ … }' : shortText(value)
}

function detailsText(details: unknown): string {
  if (!isRecord(details)) return ''
  const parts = Object.entries(fieldsOf(details)).map(([name, value]) => `${name} ${value}`)
  return shortText(parts.join(', '))
}

/** @param us  above 0 */
export function intervalText(us: number): string {
  const units: [string, number][] = [
    ['d', 86_400e6],
    ['h', 3_600e6],
    ['min', 60e6],
    ['s', 1e6],
    ['ms', 1e3],
  ]
  const [unit, length] = units.find(([, each]) => us >= each) ?? ['µs', 1]
  return `${Number((us / length).toPrecision(3))} ${unit}`
}

/** Values come from anywhere, and may call anything a lineage. */
function lineageOf(value: unknown): Lineage | undefined {
  if (value === undefined || !isRecord(value)) return undefined
  const { file, block, line } = value
  return typeof file === 'string' && isNumber(block) && isNumber(line) ? { file, block, line } : undefined
}

/** Where something stands, as a person would look it up. */
export function placeText({ file, block, line }: Lineage): string {
  return shortText(`line ${line}, block ${block} of ${file}`)
}

/** Any value as a text of bounded length. */
export function shortText(value: unknown): string {
  const text = typeof value === 'string' ? value : typeof value === 'object' && value !== null ? '{ … }' : String(value)
  return text.length <= TEXT_MAX ? text : `${text.slice(0, TEXT_MAX - 1)}…`
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value)
}

function isRecord(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null
}
