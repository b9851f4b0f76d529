import { createRequire } from 'node:module'
import { gathered } from '../files/replaceFile'
import { ReplacedFile } from '../files/replacedFile'
import type { ReportModel } from './reportModel'
import type * as reportModel from './reportModel'
import type { ReportText } from './sections'
import type * as sections from './sections'
import { INSTRUMENTS_MAX, requireInstruments, type ReportOptions } from './reportOptions'
import type { RunLook } from '../runLook'
import type { Sink, SinkContext } from '../sink'

/** How a report is written down. */
export interface ReportForm {
  /** Called on opening; what the text needs of the world is fetched here. */
  prepare?(): Promise<void>
  pieces(text: ReportText, model: ReportModel, run: RunLook | undefined): Iterable<string>
}

/** Most pipelines have no report for people, and do without the code for it. */
const load = createRequire(__filename)

/** A sink that keeps a report for people, whatever its form: the values go into its model, and the file is made of that. */
export function personReport(
  defaultName: string,
  sinkPath: string,
  options: ReportOptions,
  formOf: () => ReportForm,
): Sink<unknown> {
  const name = options.name ?? defaultName
  const instrumentsMax = options.instrumentsMax ?? INSTRUMENTS_MAX
  requireInstruments(name, instrumentsMax)
  let form: ReportForm | undefined
  let context: SinkContext | undefined
  /** Undefined before the first opening. */
  let model: ReportModel | undefined
  /** What the model holds already: a batch that was refused is offered again as the same array. */
  let taken: readonly unknown[] | undefined
  /** The file holds the end of the run, or there was nothing to hold. */
  let ended = true

  const file = new ReplacedFile<ReportModel>({
    name,
    sinkPath,
    everyMs: options.everyMs ?? Infinity,
    first: 'whenDue',
    pieces: (current) => {
      const { look, clock } = context!
      const run = look?.()
      const title = options.title ?? run?.pipeline ?? 'Report'
      const { reportText } = load('./sections') as typeof sections
      const text = reportText(current, run, { title, writtenAtUs: clock.nowUs() })
      return gathered(form!.pieces(text, current, run))
    },
  })

  return {
    name,
    delivery: 'latest',
    reportsOnRun: true,
    counters: file.counters,
    async open(opening) {
      form ??= formOf()
      await form.prepare?.()
      if (opening.resume !== true || model === undefined) {
        const { ReportModel } = load('./reportModel') as typeof reportModel
        model = new ReportModel({ instrumentsMax })
        taken = undefined
        ended = true
      }
      context = opening
      await file.open(opening)
    },
    async write(batch) {
      if (batch.length === 0) return
      if (taken !== batch) for (const value of batch) model?.take(value)
      taken = batch
      ended = false
      await file.put(model!, batch.length - 1)
      taken = undefined
    },
    async close() {
      // Since the last version no value may have come, but the run has gone on.
      if (!ended) file.mark(model!)
      await file.close()
      ended = true
    },
  }
}
