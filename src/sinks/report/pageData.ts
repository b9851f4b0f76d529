/**
 * The numbers behind a page's charts, as JSON for a script element, in pieces (`millrace-report-data/1`).
 *
 * Each piece is the work of a millisecond or so; between two of them the run goes on, so the charts of one instrument may
 * be a moment younger than those of another.
 */
import type { BarSeries } from './barSeries'
import type { InstrumentTrack } from './instrumentTrack'
import type { ReportModel } from './reportModel'
import type { Series, SeriesColumns } from '../../page/series'

export function* pageData(model: ReportModel): Iterable<string> {
  // A whole millisecond, so that times which are one stay one.
  const originUs = Math.floor((model.firstUs ?? 0) / 1_000) * 1_000
  const { cpuPercent, rssBytes, loopDelayMsP99 } = model
  yield `{"format":"millrace-report-data/1","originUs":${originUs}`
  yield* field('latest', [...model.latest.values()])
  yield* field('process', {
    cpu: lineOf(cpuPercent, originUs, 4),
    rssMb: lineOf(rssBytes, originUs, 4, 1e-6),
    loopMs: lineOf(loopDelayMsP99, originUs, 4),
  })
  yield ',"instruments":['
  let first = true
  for (const track of model.instruments.values()) {
    if (!first) yield ','
    first = false
    yield* instrumentData(track, originUs, model.lastUs ?? NaN)
  }
  yield ']}'
}

function* instrumentData(track: InstrumentTrack, originUs: number, endUs: number): Iterable<string> {
  yield `{"exchange":${scriptJson(track.exchange)},"name":${scriptJson(track.name)},"values":${track.values}`
  yield* field('mid', lineOf(track.mid, originUs, 12))
  yield* field('spreadBps', lineOf(track.spreadBps, originUs, 5))
  yield* field('trades', lineOf(track.tradePrice, originUs, 12))
  yield* field('dislocationBps', lineOf(track.dislocationBps, originUs, 5))
  yield* field('heat', track.heat?.columns(originUs, endUs))
  yield ',"bars":['
  let first = true
  for (const [label, bars] of barsOf(track)) {
    yield `${first ? '' : ','}${scriptJson({ label, ...bars.columns(originUs) })}`
    first = false
  }
  yield ']}'
}

/** The bars that came, and those of the trades that were seen. */
function barsOf({ bars, tradeBars }: InstrumentTrack): [string, BarSeries][] {
  return [...bars, ...(tradeBars === undefined ? [] : [['bars of the trades seen', tradeBars] as [string, BarSeries]])]
}

function* field(name: string, value: unknown): Iterable<string> {
  if (value !== undefined) yield `,"${name}":${scriptJson(value)}`
}

/** Undefined for a line without points; extremes only where they differ from the last values. */
function lineOf(series: Series, originUs: number, digits: number, factor = 1): Partial<SeriesColumns> | undefined {
  const { t, low, high, last, breaks } = series.columns(originUs)
  if (t.length === 0) return undefined
  const rounded = (values: readonly number[]): number[] =>
    values.map((value) => Number((value * factor).toPrecision(digits)))
  const hasRange = low.some((value, at) => value !== high[at])
  return {
    t,
    ...(breaks.length > 0 ? { breaks } : {}),
    ...(hasRange ? { low: rounded(low), high: rounded(high) } : {}),
    last: rounded(last),
  }
}

/** JSON that a script element of type `application/json` can hold, whatever texts are in it. */
export function scriptJson(value: unknown): string {
  return JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (char) => {
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}
