import { exchangeById } from '../../exchanges/exchanges'
import { Audit, isClean, type AuditReport } from '../../feed/audit'
import { replayRecords } from '../../feed/recording/mergeRecordings'
import { Fault } from '../../model/fault'
import { EXIT, optionsHelp, parse, print, say, UsageError, type Command, type OptionSpec } from '../command'
import { faultLog } from '../faultLog'
import { indexProgress } from '../indexProgress'
import { span, SPAN_OPTIONS } from '../instant'
import { onInterrupt } from '../onInterrupt'
import { progressLine } from '../progressLine'
import { table } from '../table'

const OPTIONS = {
  exchange: {
    value: 'ID',
    meaning: 'the exchange whose protocol the recording speaks, where its header names another',
  },
  ...SPAN_OPTIONS,
  json: { meaning: 'print the report as one JSON object (millrace-audit/1)' },
} satisfies Record<string, OptionSpec>

export const audit: Command = {
  name: 'audit',
  summary: 'says how far recordings can be trusted',
  help: `Usage: millrace audit FILE... [--exchange ID] [--json]

Replays recordings, with their .rest files, through the decoders and books of the engine, and says how far they can be
trusted: frames that could not be read, checksums, gaps, crossed books, and the best levels after the last frame.

${optionsHelp(OPTIONS)}

  millrace audit session.ndjson.gz
  millrace audit binance-us.ws1.ndjson.gz --exchange binance --json
  millrace audit day.ndjson.gz --from 2026-08-24T14:30:00Z --to 2026-08-24T15:00:00Z

An audit from a time begins without books: each is silent until the recording brings its next snapshot.

Exit status: 0 clean; 1 frames were unreadable, checksums failed or deltas are missing; 2 wrong usage.`,
  async run(args) {
    const parsed = parse(args, OPTIONS)
    const files = parsed.positionals
    if (files.length === 0) throw new UsageError('Name at least one recording.')
    const exchange = parsed.text('exchange')
    if (exchange !== undefined) exchangeById(exchange)
    const log = faultLog(process.stderr.isTTY)
    const { fromUs, toUs } = span(parsed)
    const indexing = indexProgress(process.stderr)
    const records = replayRecords(files, { onFault: log.add, exchange, fromUs, toUs, onProgress: indexing.update })
    let timeUs = 0
    const audited = new Audit(exchangeById, (fault) => log.add(dated(fault, timeUs)))
    const progress = progressLine({ unit: 'records' })
    const interrupted = new AbortController()
    const release = onInterrupt(() => interrupted.abort())
    try {
      for await (const batch of records) {
        indexing.end()
        for (const record of batch) {
          timeUs = record.timeUs
          audited.take(record)
        }
        progress.update({ done: records.counters.lines, share: records.progress.share })
        if (interrupted.signal.aborted) break
      }
    } finally {
      indexing.end()
      progress.end()
      release()
    }
    log.close()
    const report = withLines(audited.report(files), records.counters.unreadable)
    tell(report)
    if (parsed.flag('json')) print(JSON.stringify(report))
    return isClean(report) ? EXIT.done : EXIT.faults
  },
}

/** Lines of the files that are broken count as unreadable too. */
function withLines(report: AuditReport, unreadableLines: number): AuditReport {
  return unreadableLines === 0 ? report : { ...report, unreadable: report.unreadable + unreadableLines }
}

/** What is wrong is looked up in a recording by its time. */
function dated(fault: Fault, timeUs: number): Fault {
  return new Fault(fault.code, `${fault.message} At ${new Date(timeUs / 1_000).toISOString()}.`, fault.details)
}

/** How many frames were read by their shape, and which part of all that is. */
function scannedOf({ frames, scanned }: AuditReport): string {
  return frames === 0 ? '0' : `${scanned} (${Math.floor((scanned / frames) * 1_000) / 10} %)`
}

function tell(report: AuditReport): void {
  const { counts, checksums, sequence } = report
  say('')
  say(
    table(
      ['audit of', report.exchange],
      [
        ['frames', String(report.frames)],
        ['scanned', scannedOf(report)],
        ['unreadable', String(report.unreadable)],
        ['control frames', String(report.ignored)],
        ['trades', `${counts.trades}${counts.tradesHistory > 0 ? ` (and ${counts.tradesHistory} old ones)` : ''}`],
        ['tickers', String(counts.tickers)],
        ['candles', String(counts.candles)],
        ['book snapshots', String(counts.bookSnapshots)],
        [
          'book deltas',
          `${counts.bookDeltas}${sequence.stale > 0 ? ` (and ${sequence.stale} stale ones, dropped)` : ''}`,
        ],
        ['checksums', `${checksums.checked} checked, ${checksums.failed} failed`],
        ['sequence', `${sequence.checked} checked, ${sequence.gaps} gaps`],
        ['crossed', String(report.crossed)],
        ['inexact numbers', String(report.inexactNumbers)],
      ],
    ),
  )
  const books = Object.entries(report.books)
  if (books.length > 0) {
    say('')
    say(
      table(
        ['book', 'state', 'best bid', 'best ask', 'levels'],
        books.map(([symbol, book]) => [
          symbol,
          book.state,
          book.bids[0]?.[0] ?? '-',
          book.asks[0]?.[0] ?? '-',
          `${book.levels[0]}/${book.levels[1]}`,
        ]),
      ),
    )
  }
  say('')
  say(
    isClean(report) ? 'Clean: nothing is missing that the protocol lets one see.' : 'Not clean: see the counts above.',
  )
}
