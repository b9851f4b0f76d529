/**
 * A report in words and tables: what the page and the Markdown have in common.
 *
 * Everything in here is plain text. Whoever writes it down escapes it for where it goes.
 */
import type { Lineage } from '../../model/events'
import type { EdgeLook, InstrumentLook, RunLook } from '../runLook'
import type { InstrumentTrack } from './instrumentTrack'
import {
  bytesText,
  counted,
  countText,
  exactText,
  microsecondsText,
  NONE,
  roundedText,
  secondsText,
  timeText,
} from '../../page/numbers'
import { placeText, type Happening, type ReportModel } from './reportModel'

export interface ReportText {
  readonly title: string
  /** What a reader has to know first, in sentences. */
  readonly verdict: readonly Sentence[]
  readonly figures: readonly Figure[]
  readonly sections: readonly ReportSection[]
}

export interface Sentence {
  readonly text: string
  /** True when all is well, false when it is not; undefined for what is neither. */
  readonly good?: boolean
}

export interface Figure {
  readonly label: string
  readonly value: string
}

export interface ReportSection {
  readonly id: SectionId
  readonly title: string
  readonly sentences: readonly string[]
  readonly tables: readonly ReportTable[]
}

export type SectionId =
  | 'instruments'
  | 'recording'
  | 'latency'
  | 'faults'
  | 'feeds'
  | 'ledger'
  | 'sinks'
  | 'process'
  | 'liquidations'
  | 'values'

export interface ReportTable {
  readonly title?: string
  readonly head: readonly string[]
  /** Columns of numbers, which are set to the right. */
  readonly numeric: readonly string[]
  readonly rows: readonly (readonly string[])[]
  /** Rows that something is wrong with, by their index. */
  readonly bad?: ReadonlySet<number>
}

export interface ReportTextOptions {
  readonly title: string
  readonly writtenAtUs: number
  /** What whoever writes the report knows beside it: stands first, and behind the instruments. */
  readonly verdict?: readonly Sentence[]
  readonly sections?: readonly ReportSection[]
}

export function reportText(model: ReportModel, run: RunLook | undefined, options: ReportTextOptions): ReportText {
  const rows = instrumentRows(model, run)
  return {
    title: options.title,
    verdict: [...(options.verdict ?? []), ...verdictOf(run, rows)],
    figures: figuresOf(model, run, rows, options),
    sections: [
      instrumentsSection(model, rows),
      ...(options.sections ?? []),
      latencySection(model, run),
      faultsSection(run),
      feedsSection(model, run, rows),
      ...(run === undefined || run.edges.length === 0 ? [] : [ledgerSection(run)]),
      ...(run === undefined || run.sinks.length === 0 ? [] : [sinksSection(run)]),
      ...processSection(model, run),
      ...(model.liquidationCount === 0 ? [] : [liquidationsSection(model)]),
      valuesSection(model),
    ],
  }
}

/** What came in and is neither out, dropped nor in flight; 0 for an account that balances. */
export function unaccounted({ in: came, out, dropped, inFlight }: EdgeLook): number {
  return came - out - sumOf(dropped) - inFlight
}

interface InstrumentRow {
  readonly exchange: string
  readonly name: string
  readonly look: InstrumentLook | undefined
  readonly track: InstrumentTrack | undefined
}

/** Every instrument that the run or the model knows, in the order of exchanges and names. */
function instrumentRows(model: ReportModel, run: RunLook | undefined): InstrumentRow[] {
  const rows = new Map<string, InstrumentRow>()
  for (const [key, track] of model.instruments) {
    rows.set(key, { exchange: track.exchange, name: track.name, look: undefined, track })
  }
  for (const look of run?.rows.values() ?? []) {
    const key = `${look.exchange} ${look.name}`
    if (rows.size >= ROWS_MAX && !rows.has(key)) continue
    rows.set(key, { exchange: look.exchange, name: look.name, look, track: rows.get(key)?.track })
  }
  return [...rows.values()].sort(
    (left, right) => compared(left.name, right.name) || compared(left.exchange, right.exchange),
  )
}

/** Rows of a table at most; a person reads no more. */
const ROWS_MAX = 500

function compared(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0
}

function verdictOf(run: RunLook | undefined, rows: readonly InstrumentRow[]): Sentence[] {
  const gaps = sum(rows, gapsOf)
  const resyncs = sum(rows, resyncsOf)
  const open = rows.filter((row) => stateOf(row) === 'gap').length
  const books: Sentence =
    gaps === 0
      ? { text: 'No book had a gap.', good: true }
      : {
          text: `${counted(gaps, 'gap')} in books, ${counted(resyncs, 'repair')}${open > 0 ? `; ${counted(open, 'book')} not repaired` : ''}.`,
          good: open === 0,
        }
  return [...(run === undefined ? [] : [...ledgerVerdict(run), ...sinkVerdict(run)]), books, ...faultVerdict(run)]
}

function ledgerVerdict({ edges }: RunLook): Sentence[] {
  if (edges.length === 0) return []
  const wrong = edges.filter((edge) => unaccounted(edge) !== 0).length
  const dropped = sum(edges, (edge) => sumOf(edge.dropped))
  return [
    wrong === 0
      ? { text: `The accounts of all ${countText(edges.length)} edges balance.`, good: true }
      : { text: `The accounts of ${wrong} of ${countText(edges.length)} edges do not balance.`, good: false },
    dropped === 0
      ? { text: 'No value was dropped.', good: true }
      : { text: `${counted(dropped, 'value')} dropped by the policies of edges, each counted with its reason.` },
  ]
}

function sinkVerdict({ sinks }: RunLook): Sentence[] {
  if (sinks.length === 0) return []
  const failed = sum(sinks, (sink) => sink.failed)
  return [
    failed === 0
      ? { text: 'No sink has given up a batch.', good: true }
      : { text: `Sinks have given up ${counted(failed, 'batch', 'batches')}.`, good: false },
  ]
}

function faultVerdict(run: RunLook | undefined): Sentence[] {
  if (run === undefined) return []
  const faults = sumOf(run.faults)
  return [
    faults === 0
      ? { text: 'No fault was met.', good: true }
      : { text: `${counted(faults, 'fault')} of ${counted(Object.keys(run.faults).length, 'kind')}.`, good: false },
  ]
}

function figuresOf(
  model: ReportModel,
  run: RunLook | undefined,
  rows: readonly InstrumentRow[],
  { writtenAtUs }: ReportTextOptions,
): Figure[] {
  const { firstUs, lastUs } = model
  const spanS = firstUs === undefined || lastUs === undefined ? 0 : (lastUs - firstUs) / 1e6
  const live = rows.filter((row) => isWell(stateOf(row))).length
  return [
    { label: 'from (UTC)', value: timeText(firstUs) },
    { label: 'to (UTC)', value: timeText(lastUs) },
    { label: 'market time', value: secondsText(spanS) },
    ...(run === undefined
      ? []
      : [
          { label: 'mode', value: run.mode },
          { label: 'frames and answers', value: countText(run.records) },
          { label: 'events', value: countText(run.events) },
        ]),
    { label: 'instruments', value: countText(rows.length) },
    { label: 'books live', value: countText(live) },
    ...(run === undefined || run.receiveToSink.count === 0
      ? []
      : [{ label: 'receive → sink, p99', value: microsecondsText(run.receiveToSink.p99) }]),
    { label: 'written (UTC)', value: timeText(writtenAtUs) },
  ]
}

function instrumentsSection(model: ReportModel, rows: readonly InstrumentRow[]): ReportSection {
  const sentences: string[] = []
  if (rows.length === 0) sentences.push('No instrument was seen.')
  if (model.furtherInstruments > 0) {
    sentences.push(
      `${counted(model.furtherInstruments, 'further instrument')} with ${counted(model.furtherValues, 'value')} not drawn: the report draws those that came first.`,
    )
  }
  const hasDislocation = rows.some(({ track }) => track?.dislocationBps.statistics() !== undefined)
  const names = DERIVATIVE_NAMES.filter((name) => rows.some(({ track }) => track?.derivative.has(name)))
  const head = [
    ...['exchange', 'instrument', 'book', 'events', 'trades', 'volume', 'mid', 'low', 'high'],
    ...['spread, bps', 'least', 'most', 'gaps', 'repairs'],
    ...(hasDislocation ? ['crossed, bps'] : []),
    ...names,
  ]
  return {
    id: 'instruments',
    title: 'Instruments',
    sentences,
    tables: [
      {
        head,
        numeric: head.slice(3),
        rows: rows.map((row) => [
          ...instrumentCells(row),
          ...(hasDislocation ? [roundedText(row.track?.dislocationBps.statistics()?.high)] : []),
          ...names.map((name) => exactText(row.track?.derivative.get(name))),
        ]),
        bad: indexes(rows, (row) => stateOf(row) === 'gap' || stateOf(row) === 'down'),
      },
      ...extremesTable(rows),
    ],
  }
}

/** Where the trades stand that none was beyond; none where trades do not say it. */
function extremesTable(rows: readonly InstrumentRow[]): ReportTable[] {
  const found = rows.flatMap(({ track }) =>
    track === undefined ? [] : [...track.extremes].map((of) => [track, ...of] as const),
  )
  if (found.length === 0) return []
  return [
    {
      title: 'Extreme trades',
      head: ['exchange', 'instrument', 'trade', 'time (UTC)', 'price', 'size', PLACE],
      numeric: ['price', 'size'],
      rows: found.map(([{ exchange, name }, which, { timeUs, price, size, lineage }]) => [
        ...[exchange, name, which, timeText(timeUs), exactText(price), exactText(size), placeText(lineage)],
      ]),
    },
  ]
}

/** The column that says which line of which recording a row came from. */
const PLACE = 'where it stands'

/** The column's cells, where at least one of the rows has something to say in it. */
function placesOf(rows: readonly { readonly lineage?: Lineage | undefined }[]): PlaceColumn {
  if (rows.every(({ lineage }) => lineage === undefined)) return { head: [], cells: () => [] }
  return { head: [PLACE], cells: ({ lineage }) => [lineage === undefined ? NONE : placeText(lineage)] }
}

interface PlaceColumn {
  readonly head: readonly string[]
  readonly cells: (row: { readonly lineage?: Lineage | undefined }) => readonly string[]
}

const DERIVATIVE_NAMES = ['mark', 'index', 'funding', 'open interest']

function instrumentCells(row: InstrumentRow): string[] {
  const { exchange, name, look, track } = row
  const price = track?.mid.statistics() ?? track?.tradePrice.statistics()
  const spread = track?.spreadBps.statistics()
  const trades = Math.max(look?.trades ?? 0, track?.trades ?? 0)
  return [
    exchange,
    name,
    STATE_WORDS[stateOf(row)],
    countText(look?.events ?? track?.values ?? 0),
    countText(trades),
    track === undefined || track.trades === 0 ? NONE : roundedText(track.volume, 6),
    exactText(price?.last),
    exactText(price?.low),
    exactText(price?.high),
    roundedText(spread?.mean, 3),
    roundedText(spread?.low, 3),
    roundedText(spread?.high, 3),
    countText(gapsOf(row)),
    countText(resyncsOf(row)),
  ]
}

const STATE_WORDS = {
  none: NONE,
  waiting: NONE,
  live: 'live',
  gap: 'gap',
  down: 'down',
  closed: 'live until closed',
} as const

function isWell(state: keyof typeof STATE_WORDS): boolean {
  return state === 'live' || state === 'closed'
}

function stateOf({ look, track }: InstrumentRow): keyof typeof STATE_WORDS {
  return look?.state ?? track?.state ?? 'none'
}

function gapsOf({ look, track }: InstrumentRow): number {
  return look?.gaps ?? track?.gaps ?? 0
}

function resyncsOf({ look, track }: InstrumentRow): number {
  return look?.resyncs ?? track?.resyncs ?? 0
}

function latencySection(model: ReportModel, run: RunLook | undefined): ReportSection {
  const toSink = run?.receiveToSink
  const rows = [
    ...(toSink === undefined || toSink.count === 0 ? [] : [latencyCells('receive → safe at a sink', toSink)]),
    ...[...model.exchangeToReceive].map(([exchange, histogram]) =>
      latencyCells(`${exchange}: its own time → receive`, histogram.summary()),
    ),
  ]
  const sentences = ['From the receive stamp of a frame, which is taken when the socket gives it.']
  if (toSink?.count === 0) sentences.push('From there to a sink is not measured in a replay.')
  if (model.fromTheFuture > 0) {
    sentences.push(
      `${counted(model.fromTheFuture, 'event')} dated later than received: the clocks disagree, and these count as 0.`,
    )
  }
  if (rows.length === 0) sentences.push('No event with a time of its exchange has come.')
  return {
    id: 'latency',
    title: 'Latency',
    sentences,
    tables: [{ head: ['from → to', 'events', 'p50', 'p99', 'most'], numeric: ['events', 'p50', 'p99', 'most'], rows }],
  }
}

function latencyCells(
  what: string,
  { count, p50, p99, max }: { count: number; p50: number; p99: number; max: number },
): string[] {
  return [what, countText(count), microsecondsText(p50), microsecondsText(p99), microsecondsText(max)]
}

function faultsSection(run: RunLook | undefined): ReportSection {
  const faults = Object.entries(run?.faults ?? {})
  const latest = run?.latestFaults ?? []
  const total = sumOf(run?.faults ?? {})
  const places = placesOf(latest)
  const sentences: string[] = []
  if (run === undefined) sentences.push('This report was written without a run, which is who hears of faults.')
  else if (total === 0) sentences.push('No fault was met.')
  if (total > latest.length)
    sentences.push(`The last ${countText(latest.length)} of ${countText(total)} are listed as they came.`)
  return {
    id: 'faults',
    title: 'Faults',
    sentences,
    tables: [
      {
        head: ['fault', 'times'],
        numeric: ['times'],
        rows: faults.map(([code, times]) => [code, countText(times)]),
      },
      {
        title: 'As they came',
        head: ['time (UTC)', 'fault', 'what', ...places.head],
        numeric: [],
        rows: latest.map((fault) => [timeText(fault.timeUs), fault.code, fault.message, ...places.cells(fault)]),
      },
    ],
  }
}

function feedsSection(model: ReportModel, run: RunLook | undefined, rows: readonly InstrumentRow[]): ReportSection {
  const connections = run?.connections ?? []
  const troubled = rows.filter((row) => gapsOf(row) + resyncsOf(row) > 0)
  const sentences: string[] = []
  if (troubled.length === 0) sentences.push('No book had to be repaired.')
  if (run !== undefined && run.held.times > 0) {
    sentences.push(
      `The sources were held back ${counted(run.held.times, 'time')}, ${secondsText(run.held.seconds)} in all, by edges that may not drop.`,
    )
  }
  if (model.noticeCount > model.notices.length) {
    sentences.push(`The last ${countText(model.notices.length)} of ${countText(model.noticeCount)} notices are listed.`)
  }
  return {
    id: 'feeds',
    title: 'Feeds and gaps',
    sentences,
    tables: [
      {
        title: 'Books that had gaps',
        head: ['exchange', 'instrument', 'book', 'gaps', 'repairs'],
        numeric: ['gaps', 'repairs'],
        rows: troubled.map((row) => [
          row.exchange,
          row.name,
          STATE_WORDS[stateOf(row)],
          countText(gapsOf(row)),
          countText(resyncsOf(row)),
        ]),
        bad: indexes(troubled, (row) => !isWell(stateOf(row))),
      },
      {
        title: 'Connections',
        head: ['exchange', 'state', 'attempts', 'trouble'],
        numeric: ['attempts'],
        rows: connections.map(({ exchange, state, attempts, trouble }) => [
          exchange === '' ? NONE : exchange,
          state,
          countText(attempts),
          trouble ?? NONE,
        ]),
        bad: indexes(connections, ({ state }) => state === 'failed'),
      },
      happeningsTable('Notices as they came', model.notices),
    ],
  }
}

function ledgerSection({ edges }: RunLook): ReportSection {
  return {
    id: 'ledger',
    title: 'The ledger of every edge',
    sentences: ['For each edge: what came in = what went out + what was dropped, by reason, + what is in flight.'],
    tables: [
      {
        head: ['from', 'to', 'kind', 'room', 'when full', 'in', 'out', 'dropped', 'in flight', 'account'],
        numeric: ['room', 'in', 'out', 'in flight'],
        rows: edges.map((edge) => [
          edge.from,
          edge.to,
          edge.kind,
          edge.kind === 'inline' ? NONE : countText(edge.capacity),
          edge.kind === 'inline' ? NONE : edge.onFull,
          countText(edge.in),
          countText(edge.out),
          droppedText(edge),
          countText(edge.inFlight),
          accountText(edge),
        ]),
        bad: indexes(edges, (edge) => unaccounted(edge) !== 0),
      },
    ],
  }
}

function droppedText({ dropped }: EdgeLook): string {
  const reasons = Object.entries(dropped).filter(([, count]) => count !== undefined && count > 0)
  return reasons.length === 0 ? '0' : reasons.map(([reason, count]) => `${countText(count!)} ${reason}`).join(', ')
}

function accountText(edge: EdgeLook): string {
  const missing = unaccounted(edge)
  if (missing === 0) return 'balances'
  return missing > 0
    ? `does not balance: ${countText(missing)} missing`
    : `does not balance: ${countText(-missing)} too many`
}

function sinksSection({ sinks, stages }: RunLook): ReportSection {
  const failed = stages.filter(({ failures }) => failures > 0)
  const hasLetters = sinks.some(({ deadLettered = 0 }) => deadLettered > 0)
  const counts = ['written', 'bytes', 'batches given up', 'retries', ...(hasLetters ? ['dead letters'] : [])]
  return {
    id: 'sinks',
    title: failed.length === 0 ? 'Sinks' : 'Sinks and stages that failed',
    sentences: ['What is safe at the destination. Of a report, which is replaced, its versions.'],
    tables: [
      {
        head: ['sink', ...counts],
        numeric: counts,
        rows: sinks.map(({ name, written, bytes, failed: lost, retries, deadLettered = 0 }) => [
          name,
          ...[written, bytes, lost, retries, ...(hasLetters ? [deadLettered] : [])].map(countText),
        ]),
        bad: indexes(sinks, (sink) => sink.failed > 0),
      },
      {
        title: 'Stages that failed',
        head: ['stage', 'state', 'failures', 'restarts', 'the last fault'],
        numeric: ['failures', 'restarts'],
        rows: failed.map(({ path, state, failures, restarts, lastFault }) => [
          path,
          state,
          countText(failures),
          countText(restarts),
          lastFault ?? NONE,
        ]),
      },
    ],
  }
}

function processSection(model: ReportModel, run: RunLook | undefined): ReportSection[] {
  const measured = [
    ['CPU, % of a core', model.cpuPercent, roundedText],
    ['memory (RSS)', model.rssBytes, bytesText],
    ['event-loop delay p99, ms', model.loopDelayMsP99, roundedText],
  ] as const
  const rows = measured.flatMap(([what, series, text]) => {
    const all = series.statistics()
    return all === undefined ? [] : [[what, text(all.mean), text(all.low), text(all.high), text(all.last)]]
  })
  const sentences: string[] = []
  if (run?.process !== undefined) {
    const { cpuPercent, rssBytes, loopDelayMs } = run.process
    sentences.push(
      `Over the whole run: ${roundedText(cpuPercent)} % of a core, ${bytesText(rssBytes)} of memory now; event-loop delay p50 ${roundedText(loopDelayMs.p50, 3)} ms, p99 ${roundedText(loopDelayMs.p99, 3)} ms, ${roundedText(loopDelayMs.max, 3)} ms at most.`,
    )
  }
  if (rows.length === 0 && sentences.length === 0) return []
  const figures = ['mean', 'least', 'most', 'last']
  return [{ id: 'process', title: 'Process', sentences, tables: [{ head: ['', ...figures], numeric: figures, rows }] }]
}

function liquidationsSection(model: ReportModel): ReportSection {
  const { liquidations, liquidationCount } = model
  return {
    id: 'liquidations',
    title: 'Liquidations',
    sentences: [
      liquidationCount > liquidations.length
        ? `The last ${countText(liquidations.length)} of ${countText(liquidationCount)}.`
        : `${counted(liquidationCount, 'liquidation')}.`,
    ],
    tables: [happeningsTable(undefined, liquidations)],
  }
}

function valuesSection(model: ReportModel): ReportSection {
  const sentences = [`${counted(model.values, 'value')} came to this report.`]
  if (model.unreadable > 0) sentences.push(`${counted(model.unreadable, 'value')} could not be read.`)
  if (model.unkept > 0) {
    sentences.push(`${counted(model.unkept, 'value')} of further kinds or instruments are counted and not shown.`)
  }
  return {
    id: 'values',
    title: 'What the report was given',
    sentences,
    tables: [
      {
        head: ['kind', 'values'],
        numeric: ['values'],
        rows: [...model.kinds].map(([kind, count]) => [kind, countText(count)]),
      },
      {
        title: 'The latest of what has no chart',
        head: ['what', 'time (UTC)', 'values', 'the latest'],
        numeric: ['values'],
        rows: [...model.latest.values()].map(({ what, timeUs, count, fields }) => [
          what,
          timeText(timeUs),
          countText(count),
          Object.entries(fields)
            .filter(([field]) => !SAID_BEFORE.has(field))
            .map(([field, value]) => `${field} ${typeof value === 'number' ? exactText(value) : String(value)}`)
            .join(', '),
        ]),
      },
    ],
  }
}

/** Fields that are in the other cells of a row. */
const SAID_BEFORE: ReadonlySet<string> = new Set([
  'kind',
  'exchange',
  'symbol',
  'instrument',
  'timeUs',
  'receiveTimeUs',
])

function happeningsTable(title: string | undefined, happenings: readonly Happening[]): ReportTable {
  const places = placesOf(happenings)
  return {
    ...(title === undefined ? {} : { title }),
    head: ['time (UTC)', 'what', 'exchange', 'instrument', 'details', ...places.head],
    numeric: [],
    rows: happenings.map((happening) => {
      const { timeUs, what, exchange, name, text } = happening
      return [timeText(timeUs), what, exchange, name, text, ...places.cells(happening)]
    }),
  }
}

function indexes<T>(rows: readonly T[], is: (row: T) => boolean): Set<number> {
  return new Set(rows.flatMap((row, index) => (is(row) ? [index] : [])))
}

function sum<T>(rows: readonly T[], of: (row: T) => number): number {
  return rows.reduce((total, row) => total + of(row), 0)
}

function sumOf(counts: Readonly<Partial<Record<string, number>>>): number {
  return Object.values(counts).reduce<number>((total, count) => total + (count ?? 0), 0)
}
