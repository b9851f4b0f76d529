import { Fault } from '../../model/fault'

/** What reports for people have in common. */
export interface ReportOptions {
  /** The file is rewritten at most this often, in the stream's time. Default: only at the end. */
  readonly everyMs?: number
  /** What stands above it. Default: the pipeline's name, or `Report`. */
  readonly title?: string
  /** Instruments on exchanges that are drawn at most, those that come first; the values of others are counted. Default 32. */
  readonly instrumentsMax?: number
  readonly name?: string
}

export const INSTRUMENTS_MAX = 32

export function requireInstruments(sink: string, instrumentsMax: number): void {
  if (Number.isInteger(instrumentsMax) && instrumentsMax >= 1) return
  throw new Fault(
    'OPTION_INVALID',
    `The sink ${sink} has instrumentsMax = ${instrumentsMax}: it should be a whole number of 1 or more.`,
    { instrumentsMax },
  )
}
