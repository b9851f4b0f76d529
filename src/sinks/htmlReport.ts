import { createRequire } from 'node:module'
import { personReport } from './report/personReport'
import type * as htmlForm from './report/htmlForm'
import type { ReportOptions } from './report/reportOptions'
import type { Sink } from './sink'

/** What makes pages is loaded when the first is opened. */
const load = createRequire(__filename)

export type HtmlReportOptions = ReportOptions

/**
 * Keeps a page that shows a run to a person: one HTML file that asks no host for anything, with tables and charts.
 *
 * Draws     views of books (mid, spread, depth by price over time), summaries, quotes and tickers (mid, spread), trades,
 *           bars and candles, liquidations, derivatives, notices, samples of `processMetrics`. Of anything else the latest
 *           value of each kind and instrument stands in a table. From the run itself come faults, gaps, the ledger of every
 *           edge, sinks, latencies and the process's cost
 * Lineage   of events that say where they stand in a recording (`lineage`): notices, liquidations, the lowest, highest and
 *           largest trade of each instrument, and the latest values print it. Views and bars are made of many lines and do
 *           not carry it
 * Holds     at most 1,000 points a line, 480 bars and 240 × 192 cells an instrument, `instrumentsMax` of them: 0.3 MB each.
 *           When a capacity is reached the resolution is halved; lines keep the extremes of what their points stand for
 * Delivery  values are safe with the version of the page that follows them: every `everyMs`, and at the end. A value that
 *           came twice because writing failed is in it once
 * Order     as received; a value from before the one that came last counts as of its time
 * Errors    `SINK_REJECTED { path }` when the file cannot be written: on the write that was due, on closing, or, when a
 *           rewriting on the timer failed, on the next write; `OPTION_INVALID` on opening for a path outside the output
 *           folder. A value that cannot be read is counted in the page
 *
 * The page is written to `<path>.tmp` and renamed over the old one, in pieces between which the event loop is free. It says
 * when it was written and what it took, so it is not the same for a run and its replay, and has no digest.
 *
 * A view that waited before it came here has to be worked out anew from its book's log: give this sink views through
 * `sampleEvery`, and summaries for every change of the best prices.
 *
 * @param sinkPath  inside the output folder; folders are created
 */
export function htmlReport(sinkPath: string, options: HtmlReportOptions = {}): Sink<unknown> {
  return personReport(`htmlReport(${sinkPath})`, sinkPath, options, () =>
    (load('./report/htmlForm') as typeof htmlForm).htmlForm(),
  )
}
