/**
 * A running pipeline on a terminal: per instrument and exchange its state, rate, best prices, gaps; per edge what waits and
 * what was dropped; the process. On a screen of its own, drawn in one write and fitted to the window, so that nothing
 * flickers and a resize mends itself; the last picture stays. Without a terminal: one line a second.
 */
import { performance } from 'node:perf_hooks'
import { liveClock } from '../clock/liveClock'
import { loopDelay } from '../metrics/loopDelay'
import { stateOf } from '../pipeline/graph'
import type { InstrumentRow } from '../pipeline/monitor'
import type { RunStatus } from '../pipeline/runSummary'
import { printable } from './printable'

export interface TerminalView {
  /** A sentence that stays in the picture; without a terminal it is said as it is. */
  note(sentence: string): void
  /** Ends it and leaves the last picture standing. May be called twice. */
  stop(): void
}

/** What is compared with the picture before. */
interface Reading {
  readonly atMs: number
  readonly events: number
  readonly byRow: ReadonlyMap<string, number>
  readonly cpuUs: number
}

/** What happened between two pictures. */
interface Rates {
  readonly eventsPerSecond: number
  readonly perSecondOf: (key: string, row: InstrumentRow) => number
  readonly cpuPercent: number
  readonly rssMb: number
  readonly loopMsP99: number
}

/** Instruments in the last picture, which no window limits. */
const ROWS_SHOWN_MAX = 200
const PICTURE_EVERY_MS = 500
const LINE_EVERY_MS = 1_000

const OWN_SCREEN = '\x1b[?1049h\x1b[?25l'
const BACK_TO_THE_SHELL = '\x1b[?25h\x1b[?1049l'
const HOME = '\x1b[H'
const ERASE_LINE_END = '\x1b[K'
const ERASE_BELOW = '\x1b[J'

export function terminalView(status: () => RunStatus, stream: NodeJS.WriteStream): TerminalView {
  const drawn = canDraw(stream)
  const style = drawn && stream.hasColors() ? coloured : plain
  const delay = loopDelay()
  let before = read(status())
  let sentence = ''
  let last: readonly string[] | undefined
  let stopped = false

  const show = (final: boolean): void => {
    const now = status()
    const reading = read(now)
    const rates = ratesOf(before, reading, delay.read().p99)
    before = reading
    if (!drawn) {
      if (!final) stream.write(`${oneLine(now, rates)}\n`)
      return
    }
    const columns = stream.columns || 80
    // Closing the connections voids every book: what stays is the market as it was before.
    if (last === undefined || countStates(now).live > 0) {
      last = picture(now, rates, '', { columns, rows: undefined }, style)
    }
    if (final) {
      stream.write(`${BACK_TO_THE_SHELL}${last.join('\n')}\n`)
      return
    }
    const lines = picture(now, rates, sentence, { columns, rows: stream.rows || 24 }, style)
    stream.write(`${HOME}${lines.map((line) => line + ERASE_LINE_END).join('\r\n')}${ERASE_BELOW}`)
  }

  const interval = drawn ? PICTURE_EVERY_MS : LINE_EVERY_MS
  let timer = liveClock.after(interval, function again() {
    show(false)
    timer = liveClock.after(interval, again)
  })
  const redraw = (): void => show(false)
  const restore = (): void => void stream.write(BACK_TO_THE_SHELL)
  if (drawn) {
    stream.write(OWN_SCREEN + HOME + ERASE_BELOW)
    stream.on('resize', redraw)
    process.on('exit', restore) // whatever ends the process: the shell gets its screen back
  }
  return {
    note(said) {
      sentence = said
      if (drawn) show(false)
      else stream.write(`${said}\n`)
    },
    stop() {
      if (stopped) return
      stopped = true
      timer.cancel()
      if (drawn) {
        stream.off('resize', redraw)
        process.off('exit', restore)
      }
      show(true)
      delay.stop()
    },
  }
}

/** True for a terminal on which the cursor can be moved. */
export function canDraw(stream: NodeJS.WriteStream): boolean {
  return stream.isTTY && process.env['TERM'] !== 'dumb'
}

function read(status: RunStatus): Reading {
  const { user, system } = process.cpuUsage()
  const byRow = new Map<string, number>()
  for (const [key, row] of status.rows) byRow.set(key, row.events)
  return { atMs: performance.now(), events: status.events, byRow, cpuUs: user + system }
}

function ratesOf(before: Reading, now: Reading, loopMsP99: number): Rates {
  const seconds = Math.max(0.001, (now.atMs - before.atMs) / 1_000)
  return {
    eventsPerSecond: (now.events - before.events) / seconds,
    perSecondOf: (key, row) => (row.events - (before.byRow.get(key) ?? 0)) / seconds,
    cpuPercent: (now.cpuUs - before.cpuUs) / 1e4 / seconds,
    rssMb: process.memoryUsage.rss() / 1e6,
    loopMsP99,
  }
}

function oneLine(now: RunStatus, rates: Rates): string {
  const books = countStates(now)
  const repairing = books.gap + books.down
  const restarts = sum(now.stages.map((stage) => stage.restarts))
  return [
    `${now.seconds.toFixed(0).padStart(4)} s`,
    `${rate(rates.eventsPerSecond)} events/s`,
    `books ${books.live} live${repairing > 0 ? `, ${repairing} in repair` : ''}`,
    `gaps ${books.gaps} resyncs ${books.resyncs}`,
    `dropped ${sum(now.edges.flatMap((edge) => losses(edge).map(([, count]) => count)))}`,
    `faults ${sum(Object.values(now.faults))}`,
    ...(restarts > 0 ? [`restarts ${restarts}`] : []),
    ...(now.quarantine === undefined ? [] : [`quarantined ${now.quarantine.kept + now.quarantine.unkept}`]),
    ...(now.held.times > 0 ? [`held ${now.held.times}`] : []),
    processText(rates),
  ].join('  ')
}

/** On and off, as terminals know them. Whether colours are wanted is asked of the stream that is drawn on. */
const FORMATS = { bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39], yellow: [33, 39] } as const

type Format = keyof typeof FORMATS
type Style = (format: Format, text: string) => string

const coloured: Style = (format, text) => `\x1b[${FORMATS[format][0]}m${text}\x1b[${FORMATS[format][1]}m`

const plain: Style = (_, text) => text

function picture(
  now: RunStatus,
  rates: Rates,
  sentence: string,
  { columns, rows }: { columns: number; rows: number | undefined },
  style: Style,
): string[] {
  const books = countStates(now)
  const repairing = books.gap + books.down
  const time =
    now.mode === 'replay' && now.streamTimeUs !== undefined
      ? `  ${new Date(now.streamTimeUs / 1_000).toISOString().replace('T', ' ').slice(0, 19)} UTC`
      : ''
  const head = [
    `${style('bold', now.pipeline)}  ${now.mode}  ${now.seconds.toFixed(0)} s${time}  ${rate(rates.eventsPerSecond)} events/s`,
    [
      `books ${style('green', `${books.live} live`)}`,
      ...(repairing > 0 ? [style('red', `${repairing} in repair`)] : []),
      `gaps ${books.gaps}`,
      `resyncs ${books.resyncs}`,
      ...(now.held.times > 0
        ? [style('yellow', `held back ${now.held.times} times, ${now.held.seconds.toFixed(1)} s`)]
        : []),
      processText(rates),
    ].join('  '),
  ]
  if (sentence !== '') head.push(style('yellow', sentence))

  const faults = Object.entries(now.faults).map(([code, count]) => `${code} ${count}`)
  const tail = [
    ...stageLines(now, style),
    ...(faults.length === 0 ? [] : ['', style('yellow', `faults  ${faults.join('  ')}`)]),
  ]
  const edges = edgeLines(now, style)
  const all = instrumentLines(now, rates, columns, style)
  // The market comes first: edges are left out before instruments are, those in which nothing waits before the others.
  let room = (rows ?? Infinity) - head.length - tail.length
  const wanted = all.lines.length + 2
  const edgesShown = rows === undefined ? edges : edges.slice(0, Math.max(3, room - wanted - 2))
  room -= edgesShown.length + (edgesShown.length > 0 ? 2 : 0) + 2
  const shown = all.lines.slice(0, Math.max(1, Math.min(room, ROWS_SHOWN_MAX)))
  const hidden = all.lines.length - shown.length
  if (hidden > 0) shown.splice(-1, 1, style('dim', `… ${hidden + 1} more`))
  if (edgesShown.length > 0) {
    const more = edges.length - edgesShown.length
    tail.unshift('', style('dim', `${EDGE_TITLES}${more > 0 ? `  (${more} more)` : ''}`), ...edgesShown)
  }
  return [...head, '', style('dim', all.titles), ...shown, ...tail].slice(0, rows).map((line) => fit(line, columns))
}

/** A column of the table of instruments. The narrowest windows do without those that have a `from`. */
interface Column {
  readonly title: string
  readonly width: number
  readonly left?: true
  /** Shown in windows of at least so many columns. */
  readonly from?: number
}

const COLUMNS: readonly Column[] = [
  { title: 'instrument', width: 14, left: true },
  { title: 'exchange', width: 15, left: true },
  { title: 'book', width: 7, left: true },
  { title: 'events/s', width: 8 },
  { title: 'bid', width: 10 },
  { title: 'ask', width: 10 },
  { title: 'spread bp', width: 9 },
  { title: 'gaps', width: 5, from: 92 },
  { title: 'resyncs', width: 7, from: 100 },
  { title: 'levels', width: 11, from: 112 },
]

/** Instruments by name, their exchanges below each other; the best bid and ask of each instrument stand out. */
function instrumentLines(
  now: RunStatus,
  rates: Rates,
  columns: number,
  style: Style,
): { readonly titles: string; readonly lines: string[] } {
  const shown = COLUMNS.map(({ from }) => from === undefined || columns >= from)
  const rows = [...now.rows].sort(([, a], [, b]) => compare(a.name, b.name) || compare(a.exchange, b.exchange))
  const bestBid = new Map<string, number>()
  const bestAsk = new Map<string, number>()
  for (const [, { name, state, bidPrice, askPrice }] of rows) {
    if (state !== 'live') continue
    if (bidPrice !== undefined) bestBid.set(name, Math.max(bidPrice, bestBid.get(name) ?? -Infinity))
    if (askPrice !== undefined) bestAsk.set(name, Math.min(askPrice, bestAsk.get(name) ?? Infinity))
  }
  const lineOf = (cells: readonly (readonly [text: string, format?: Format | undefined])[]): string =>
    cells
      .map(([text, format], index) => {
        const { width, left } = COLUMNS[index]!
        const padded = left === true ? text.slice(0, width).padEnd(width) : text.padStart(width)
        return format === undefined ? padded : style(format, padded)
      })
      .filter((_, index) => shown[index])
      .join(' ')
  let name: string | undefined
  const lines = rows.map(([key, row]) => {
    const { bidPrice, askPrice, levels } = row
    const live = row.state === 'live'
    const spread =
      bidPrice === undefined || askPrice === undefined ? NaN : ((askPrice - bidPrice) / (askPrice + bidPrice)) * 2e4
    const first = row.name !== name
    name = row.name
    // The prices of a book that cannot vouch for itself are not shown: they are no prices.
    return lineOf([
      [first ? printable(row.name) : ''],
      [printable(row.exchange)],
      [row.state, live ? 'green' : row.state === 'waiting' ? 'dim' : 'red'],
      [rate(rates.perSecondOf(key, row))],
      [
        live && bidPrice !== undefined ? priceText(bidPrice) : '-',
        bidPrice === bestBid.get(row.name) ? 'bold' : undefined,
      ],
      [
        live && askPrice !== undefined ? priceText(askPrice) : '-',
        askPrice === bestAsk.get(row.name) ? 'bold' : undefined,
      ],
      [live && !Number.isNaN(spread) ? spread.toFixed(2) : '-'],
      [String(row.gaps), row.gaps > 0 ? 'yellow' : undefined],
      [String(row.resyncs)],
      [live && levels !== undefined ? `${levels[0]}/${levels[1]}` : '-'],
    ])
  })
  return { titles: lineOf(COLUMNS.map(({ title }) => [title])), lines }
}

/** Stages in the picture that have failed. */
const STAGES_SHOWN_MAX = 5

/** Stages that have failed, those that are not at work before the others. */
function stageLines(now: RunStatus, style: Style): string[] {
  const failed = now.stages.filter(({ failures }) => failures > 0)
  if (failed.length === 0) return []
  const isUp = ({ state }: (typeof failed)[number]): number => (state === 'running' ? 1 : 0)
  const lines = failed
    .sort((a, b) => isUp(a) - isUp(b) || b.failures - a.failures)
    .slice(0, STAGES_SHOWN_MAX)
    .map((stage) => {
      const state = stateOf(stage)
      const format = state === 'running' ? 'green' : state === 'ended' ? 'dim' : 'red'
      const counts = `failures ${stage.failures}  restarts ${stage.restarts}`
      return `${printable(stage.name).slice(0, 35).padEnd(36)}${style(format, state.padEnd(11))}${style('yellow', counts)}  ${printable(stage.lastFault ?? '')}`
    })
  if (now.quarantine !== undefined) {
    const { kept, unkept, file } = now.quarantine
    const more = unkept > 0 ? `, ${unkept} more not` : ''
    lines.push(style('yellow', `quarantined  ${kept} kept in ${printable(file ?? 'no file')}${more}`))
  }
  const more = Math.max(0, failed.length - STAGES_SHOWN_MAX)
  const titles = `${'stage'.padEnd(36)}${'state'.padEnd(11)}failures and restarts, the last fault${more > 0 ? `  (${more} more)` : ''}`
  return ['', style('dim', titles), ...lines]
}

const EDGE_TITLES = `${'edge'.padEnd(36)}${'when full'.padEnd(11)}${'waiting'.padStart(8)} of ${'at most'.padEnd(8)}${'in'.padStart(10)}`

/** Edges where something can wait, a sink's with what the sink has written; the fullest first. */
function edgeLines(now: RunStatus, style: Style): string[] {
  const sinks = new Map(now.sinks.map((sink) => [sink.name, sink]))
  return now.edges
    .filter((edge) => edge.kind !== 'inline')
    .sort((a, b) => tenths(b) - tenths(a))
    .map((edge) => {
      const sink = sinks.get(edge.to)
      const fill = edge.inFlight / edge.capacity
      return [
        `${edge.from} → ${edge.to}`.slice(0, 35).padEnd(36),
        edge.onFull.slice(0, 10).padEnd(11),
        style(fill > 0.5 ? 'red' : fill > 0.1 ? 'yellow' : 'dim', String(edge.inFlight).padStart(8)),
        ` of ${String(edge.capacity).padEnd(8)}`,
        String(edge.in).padStart(10),
        sink === undefined ? '' : `  written ${sink.written}, ${megabytes(sink.bytes)}`,
        ...losses(edge).map(([reason, count]) => style('yellow', `  ${reason} ${count}`)),
        sink !== undefined && sink.failed > 0 ? style('red', `  failed ${sink.failed}`) : '',
      ].join('')
    })
}

/** How full an edge is, so coarsely that lines change places only when it matters. */
function tenths({ inFlight, capacity }: RunStatus['edges'][number]): number {
  return Math.floor((10 * inFlight) / capacity)
}

/** Reasons for which values are left out by intent: a newer one has taken their place. */
const BY_INTENT: ReadonlySet<string> = new Set(['keepLatest', 'conflated'])

/** What an edge did not hand on, and no newer value stands for. */
function losses({ dropped }: RunStatus['edges'][number]): [reason: string, count: number][] {
  return Object.entries(dropped).filter(([reason, count]) => count > 0 && !BY_INTENT.has(reason))
}

function countStates(status: RunStatus): { live: number; gap: number; down: number; gaps: number; resyncs: number } {
  const counts = { live: 0, gap: 0, down: 0, gaps: 0, resyncs: 0 }
  for (const row of status.rows.values()) {
    if (row.state !== 'waiting') counts[row.state]++
    counts.gaps += row.gaps
    counts.resyncs += row.resyncs
  }
  return counts
}

function processText({ cpuPercent, rssMb, loopMsP99 }: Rates): string {
  return `cpu ${cpuPercent.toFixed(0)} %  rss ${rssMb.toFixed(0)} MB  loop p99 ${loopMsP99.toFixed(1)} ms`
}

function sum(counts: readonly number[]): number {
  return counts.reduce((a, b) => a + b, 0)
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function rate(perSecond: number): string {
  return perSecond >= 100_000 ? `${(perSecond / 1_000).toFixed(0)}k` : perSecond.toFixed(0)
}

function priceText(price: number): string {
  return price >= 1_000 ? price.toFixed(2) : price >= 1 ? price.toFixed(4) : price.toPrecision(6)
}

function megabytes(bytes: number): string {
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`
}

/** Cuts a line to the window without counting or cutting the colours in it. */
function fit(line: string, columns: number): string {
  let visible = 0
  let index = 0
  while (index < line.length) {
    if (line.charCodeAt(index) === 0x1b) {
      const end = line.indexOf('m', index)
      index = end < 0 ? line.length : end + 1
      continue
    }
    if (visible === columns - 1) return line.includes('\x1b') ? `${line.slice(0, index)}\x1b[0m` : line.slice(0, index)
    visible++
    index++
  }
  return line
}
