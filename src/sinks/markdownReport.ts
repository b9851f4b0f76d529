import { createRequire } from 'node:module'
import { personReport } from './report/personReport'
import type * as markdownText from './report/markdownText'
import type { ReportOptions } from './report/reportOptions'
import type { Sink } from './sink'

/** What makes Markdown is loaded when the first report is opened. */
const load = createRequire(__filename)

export type MarkdownReportOptions = ReportOptions

/**
 * Keeps a summary of a run in Markdown: the tables of `htmlReport`, without the charts.
 *
 * It takes the same values and holds the same of them; delivery, order, errors and options are those of `htmlReport`.
 *
 * @param sinkPath  inside the output folder; folders are created
 */
export function markdownReport(sinkPath: string, options: MarkdownReportOptions = {}): Sink<unknown> {
  return personReport(`markdownReport(${sinkPath})`, sinkPath, options, () => ({
    pieces: (load('./report/markdownText') as typeof markdownText).markdownText,
  }))
}
