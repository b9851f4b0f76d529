import type { Clock } from '../clock/clock'
import { gathered } from './replaceFile'
import { ReplacedFile } from './replacedFile'
import { ReportModel } from './report/reportModel'
import { reportText, type ReportText } from './report/sections'
import { INSTRUMENTS_MAX, requireInstruments, type ReportOptions } from './reportOptions'
import type { RunLook } from './runLook'
import type { Sink } from './sink'

/** How a report is written down. */
export interface ReportForm {
  /** Called on opening; what the text needs of the world is fetched here. */
  prepare?(): Promise<void>
  pieces(text: ReportText, model: ReportModel, run: RunLook | undefined): Iterable<string>
}

/** A sink that keeps a report for people, whatever its form: the values go into its model, and the file is made of that. */
export function personReport(
  defaultName: string,
  sinkPath: string,
  options: ReportOptions,
  form: ReportForm,
): Sink<unknown> {
  const name = options.name ?? defaultName
  const instrumentsMax = options.instrumentsMax ?? INSTRUMENTS_MAX
  requireInstruments(name, instrumentsMax)
  let model = new ReportModel({ instrumentsMax })
  let clock: Clock | undefined
  let look: () => RunLook | undefined = () => undefined
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
      const run = look()
      const title = options.title ?? run?.pipeline ?? 'Report'
      return gathered(form.pieces(reportText(current, run, { title, writtenAtUs: clock!.nowUs() }), current, run))
    },
  })

  return {
    name,
    delivery: 'latest',
    reportsOnRun: true,
    counters: file.counters,
    async open(context) {
      await form.prepare?.()
      if (context.resume !== true) {
        model = new ReportModel({ instrumentsMax })
        taken = undefined
      }
      clock = context.clock
      look = () => context.look?.()
      await file.open(context)
    },
    async write(batch) {
      if (batch.length === 0) return
      ended = false
      if (taken !== batch) for (const value of batch) model.take(value)
      taken = batch
      await file.put(model, batch.length - 1)
      taken = undefined
    },
    async close() {
      // Since the last version no value may have come, but the run has gone on.
      if (!ended) file.mark(model)
      await file.close()
      ended = true
    },
  }
}
