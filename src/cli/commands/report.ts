import { realpath } from 'node:fs/promises'
import path from 'node:path'
import { Subject } from 'rxjs'
import { exchangeById } from '../../exchanges/exchanges'
import { Audit, isClean, type AuditReport } from '../../feed/audit'
import { replayRecords, type ReplayedRecords } from '../../feed/recording/mergeRecordings'
import { trace } from '../../feed/trace'
import type { Lineage, MarketEvent } from '../../model/events'
import type { Fault } from '../../model/fault'
import { toBooks } from '../../operators/toBooks'
import { Monitor } from '../../pipeline/monitor'
import { gathered, replaceFile } from '../../sinks/files/replaceFile'
import { htmlPage } from '../../sinks/report/htmlPage'
import { markdownText } from '../../sinks/report/markdownText'
import { countText, timeText } from '../../sinks/report/numbers'
import { pageParts } from '../../sinks/report/pageParts'
import { ReportModel } from '../../sinks/report/reportModel'
import { reportText, type ReportSection, type ReportText } from '../../sinks/report/sections'
import type { FaultLook, RunLook } from '../../sinks/runLook'
import { EXIT, optionsHelp, parse, print, say, UsageError, type Command, type OptionSpec } from '../command'
import { faultLog } from '../faultLog'
import { indexProgress } from '../indexProgress'
import { span, SPAN_OPTIONS } from '../instant'
import { onInterrupt } from '../onInterrupt'
import { progressLine } from '../progressLine'

const OPTIONS = {
  out: { value: 'FILE', meaning: 'the page (default report.html)' },
  markdown: { value: 'FILE', meaning: 'write the tables in Markdown as well' },
  title: { value: 'TEXT', meaning: 'what stands above it (default: the names of the recordings)' },
  instrument: {
    value: 'NAME',
    meaning: 'draw this instrument only, by its unified name or the exchange’s own; may be given several times',
    multiple: true,
  },
  instruments: { value: 'N', meaning: 'draw at most so many, those that come first (default 32)' },
  exchange: {
    value: 'ID',
    meaning: 'the exchange whose protocol the recording speaks, where its header names another',
  },
  ...SPAN_OPTIONS,
  lineage: {
    meaning: 'say of faults, notices, liquidations and extreme trades which line of which recording they came from',
  },
  json: { meaning: 'print a summary as one JSON object (millrace-report/1)' },
} satisfies Record<string, OptionSpec>

/** Levels of a side that the picture of depth is made of. */
const DEPTH = 200
const FAULTS_MAX = 200
const INSTRUMENTS_MAX = 32

export const report: Command = {
  name: 'report',
  summary: 'makes a page with tables and charts of recordings',
  help: `Usage: millrace report FILE... [--out report.html] [--markdown FILE] [OPTIONS]

Replays recordings, with their .rest files, through the decoders and books of the engine, and makes one HTML file of
them that opens anywhere and asks no host for anything: prices, spreads, depth over time, trades, bars, latencies, gaps,
faults, and how far the recording can be trusted.

${optionsHelp(OPTIONS)}

  millrace report today.ndjson.gz
  millrace report kraken.ndjson.gz --out kraken.html --markdown kraken.md --instrument BTC-USD
  millrace report day.ndjson.gz --from 2026-08-24T14:30:00Z --to 2026-08-24T15:00:00Z --lineage

A report from a time begins without books: each is silent until the recording brings its next snapshot. Views of books
and bars are made of many lines: --lineage says nothing of them.

Ctrl-C makes the report of what has been read. Exit status: 0 clean; 1 frames were unreadable, checksums failed or deltas
are missing; 2 wrong usage.`,
  async run(args) {
    const parsed = parse(args, OPTIONS)
    const files = parsed.positionals
    if (files.length === 0) throw new UsageError('Name at least one recording.')
    const exchange = parsed.text('exchange')
    if (exchange !== undefined) exchangeById(exchange)
    const out = parsed.text('out') ?? 'report.html'
    const markdown = parsed.text('markdown')
    await requireOthers(files, [out, ...(markdown === undefined ? [] : [markdown])])
    const instrumentsMax = parsed.number('instruments', { min: 1, max: 1_000, integer: true }) ?? INSTRUMENTS_MAX
    const { fromUs, toUs } = span(parsed)
    const lineage = parsed.flag('lineage')
    const log = faultLog(process.stderr.isTTY)
    const indexing = indexProgress(process.stderr)
    const told = new Reading(files, {
      ...{ instrumentsMax, only: parsed.texts('instrument'), fromUs, toUs },
      onFault: log.add,
    })
    const records = replayRecords(files, {
      ...{ exchange, fromUs, toUs, lineage },
      onFault: told.unread,
      onProgress: indexing.update,
    })
    await told.read(records, indexing.end)
    log.close()
    const title = parsed.text('title') ?? files.map((file) => path.basename(file)).join(', ')
    const text = told.text(title)
    const parts = await pageParts()
    const { bytes } = await replaceFile('report', out, gathered(htmlPage(text, told.model, told.look(), parts)))
    if (markdown !== undefined) await replaceFile('report', markdown, gathered(markdownText(text)))
    for (const { text: sentence, good } of text.verdict)
      say(`${good === false ? '✗' : good === true ? '✓' : '·'} ${sentence}`)
    say(
      `The report is in ${out} (${countText(bytes)} bytes)${markdown === undefined ? '' : `, its tables in ${markdown}`}.`,
    )
    if (parsed.flag('json')) print(JSON.stringify({ ...told.summary(), title, out, markdown, bytes }))
    return isClean(told.audit()) ? EXIT.done : EXIT.faults
  },
}

/** A report must not take the place of what it reports on. */
async function requireOthers(files: readonly string[], outputs: readonly string[]): Promise<void> {
  const placeOf = (file: string): Promise<string> => realpath(file).catch(() => path.resolve(file))
  const taken = new Set(await Promise.all(files.map(placeOf)))
  for (const output of outputs) {
    const place = await placeOf(output)
    if (taken.has(place))
      throw new UsageError(`${output} is read, or written already: name another file for the report.`)
    taken.add(place)
  }
}

interface ReadingOptions {
  readonly instrumentsMax: number
  /** The instruments to draw; none named is all. */
  readonly only: readonly string[]
  readonly fromUs: number | undefined
  readonly toUs: number | undefined
  readonly onFault: (fault: Fault) => void
}

/** Recordings on their way into a report. */
class Reading {
  readonly model: ReportModel
  private readonly audited = new Audit(exchangeById, (fault) => this.fault(fault, this.lineage))
  private readonly monitor = new Monitor()
  private readonly events = new Subject<readonly MarketEvent[]>()
  private readonly only: ReadonlySet<string>
  private readonly latestFaults: FaultLook[] = []
  private readonly faults = new Map<string, number>()
  private readonly counts = { records: 0, events: 0, unreadable: 0 }
  private timeUs: number | undefined
  /** Of the record under way, where it was asked for. */
  private lineage: Lineage | undefined

  constructor(
    private readonly files: readonly string[],
    private readonly options: ReadingOptions,
  ) {
    this.model = new ReportModel(options)
    this.only = new Set(options.only)
    this.events.pipe(toBooks({ depth: DEPTH })).subscribe((views) => {
      this.monitor.observe(views)
      for (const view of views) this.model.take(view)
    })
  }

  /** What the reader could not read: it reads ahead, and its sentences say where that stands. */
  readonly unread = (fault: Fault): void => this.fault(fault, undefined)

  /** Reads to the end, or until somebody interrupts. */
  async read(records: ReplayedRecords, onRecords: () => void): Promise<void> {
    const progress = progressLine({ unit: 'records' })
    const interrupted = new AbortController()
    const release = onInterrupt(
      () => interrupted.abort(),
      () => say('Stopping: the report is made of what has been read. Once more to stop at once.'),
    )
    try {
      for await (const batch of records) {
        onRecords()
        for (const record of batch) {
          this.timeUs = record.timeUs
          this.lineage = record.lineage
          this.counts.records++
          const events = this.audited.take(record)
          trace(events, record.lineage)
          this.take(events)
        }
        progress.update({ done: records.counters.lines, share: records.progress.share })
        if (interrupted.signal.aborted) break
      }
    } finally {
      onRecords()
      progress.end()
      release()
      this.counts.unreadable = records.counters.unreadable
      this.events.complete()
    }
  }

  /** Lines of the files that are broken count as unreadable too. */
  audit(): AuditReport {
    const audit = this.audited.report(this.files)
    return { ...audit, unreadable: audit.unreadable + this.counts.unreadable }
  }

  look(): RunLook {
    return {
      pipeline: 'report',
      mode: 'recording',
      seconds: 0,
      records: this.counts.records,
      events: this.counts.events,
      rows: this.rows(),
      edges: [],
      sinks: [],
      stages: [],
      connections: [],
      faults: Object.fromEntries(this.faults),
      latestFaults: this.latestFaults,
      receiveToSink: { count: 0, p50: 0, p99: 0, max: 0, buckets: [] },
      held: { times: 0, seconds: 0 },
    }
  }

  /** A recording ends with its connections closed: that is no loss. */
  private rows(): RunLook['rows'] {
    return new Map(
      [...this.monitor.rows].map(([key, { exchange, name, state, events, trades, gaps, resyncs }]) => [
        key,
        { exchange, name, state: state === 'down' ? 'closed' : state, events, trades, gaps, resyncs },
      ]),
    )
  }

  text(title: string): ReportText {
    const audit = this.audit()
    const clean = isClean(audit)
    return reportText(this.model, this.look(), {
      title,
      writtenAtUs: Date.now() * 1_000,
      verdict: [
        clean
          ? { text: 'Clean: nothing is missing that the protocol lets one see.', good: true }
          : { text: 'Not clean: see how far the recording can be trusted.', good: false },
      ],
      sections: [recordingSection(audit, this.options)],
    })
  }

  /** What `--json` prints. */
  summary(): object {
    const instruments = [...this.model.instruments.values()].map((track) => ({
      exchange: track.exchange,
      name: track.name,
      trades: track.trades,
      volume: track.volume,
      mid: track.mid.statistics(),
      spreadBps: track.spreadBps.statistics(),
    }))
    return { format: 'millrace-report/1', instruments, audit: this.audit() }
  }

  private fault(fault: Fault, lineage: Lineage | undefined): void {
    const { code, message } = fault
    this.options.onFault(fault)
    this.faults.set(code, (this.faults.get(code) ?? 0) + 1)
    this.latestFaults.push({ timeUs: this.timeUs, code, message, lineage })
    if (this.latestFaults.length > FAULTS_MAX) this.latestFaults.shift()
  }

  private take(events: readonly MarketEvent[]): void {
    if (events.length === 0) return
    this.counts.events += events.length
    const wanted = this.only.size === 0 ? events : events.filter((event) => this.wants(event))
    if (wanted.length === 0) return
    this.monitor.events(wanted)
    for (const event of wanted) this.model.take(event)
    this.events.next(wanted)
  }

  /** Notices about whole connections are about every instrument. */
  private wants({ symbol, instrument }: MarketEvent): boolean {
    return symbol === '' || this.only.has(symbol) || (instrument !== undefined && this.only.has(instrument))
  }
}

function recordingSection(
  audit: AuditReport,
  { fromUs, toUs }: Pick<ReadingOptions, 'fromUs' | 'toUs'>,
): ReportSection {
  const reports = audit.exchanges === undefined ? [audit] : Object.values(audit.exchanges)
  const rows: [string, (of: AuditReport) => number][] = [
    ['frames', (of) => of.frames],
    ['unreadable', (of) => of.unreadable],
    ['control frames', (of) => of.ignored],
    ['trades', (of) => of.counts.trades],
    ['trades sent at subscribing', (of) => of.counts.tradesHistory],
    ['tickers', (of) => of.counts.tickers],
    ['candles', (of) => of.counts.candles],
    ['book snapshots', (of) => of.counts.bookSnapshots],
    ['book deltas', (of) => of.counts.bookDeltas],
    ['checksums checked', (of) => of.checksums.checked],
    ['checksums failed', (of) => of.checksums.failed],
    ['links checked', (of) => of.sequence.checked],
    ['gaps', (of) => of.sequence.gaps],
    ['stale deltas, dropped', (of) => of.sequence.stale],
    ['crossed books', (of) => of.crossed],
    ['numbers that no double holds', (of) => of.inexactNumbers],
  ]
  const exchanges = reports.map(({ exchange }) => exchange)
  return {
    id: 'recording',
    title: 'How far the recording can be trusted',
    sentences: [
      `Read from ${audit.files.map((file) => path.basename(file)).join(', ')}.`,
      ...(fromUs === undefined ? [] : [`What was received before ${timeText(fromUs)} (UTC) was left out.`]),
      ...(toUs === undefined ? [] : [`What was received at ${timeText(toUs)} (UTC) or later was left out.`]),
    ],
    tables: [
      {
        head: ['', ...exchanges],
        numeric: exchanges,
        rows: rows.map(([what, of]) => [what, ...reports.map((each) => countText(of(each)))]),
        bad: new Set(
          rows.flatMap(([what, of], index) => (WRONG.has(what) && reports.some((each) => of(each) > 0) ? [index] : [])),
        ),
      },
    ],
  }
}

const WRONG: ReadonlySet<string> = new Set(['unreadable', 'checksums failed', 'gaps'])
